"""JART against its published equations, written out once more without rounding and solved by bisection."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from memtwin.devices.device import load_device
from memtwin.devices.dynamics.cycles import JART_WALK, simulate_cycles
from memtwin.devices.models import models

E, K, HBAR, EPS_0, MASS = 1.602176634e-19, 1.380649e-23, 1.054571817e-34, 8.8541878128e-12, 9.1e-31
P = dict(models["jart"].defaults)
AREA = math.pi * (P["r_det"] * 1e-9) ** 2


def parts(n: float, i: float) -> tuple[float, float, float]:
    """Resistances of disc, plug and series [ohm] at a current."""
    ohmic = P["z_vo"] * E * 1e26 * P["mu_n"] * AREA
    disc = P["l_det"] * 1e-9 / (n * ohmic)
    plug = (P["l_cell"] - P["l_det"]) * 1e-9 / (P["n_plug"] * ohmic)
    heat = P["alpha_line"] * P["r_0"] * P["r_th_line"] * i * i
    return disc, plug, P["r_tiox"] + P["r_0"] * (1.0 + heat)


def contact(w: float, n: float, t: float) -> float:
    """Current at the contact's voltage, of the published sign: negative sets."""
    psi = P["phi_bn0"] - P["phi_n"] - w
    phi = P["phi_bn0"]
    if psi > 0.0:
        eps = P["eps_phib"] * EPS_0
        phi -= (E**3 * P["z_vo"] * n * 1e26 * psi / (8 * math.pi**2 * eps**3)) ** 0.25
    phi, kt = max(phi, 0.0), K * t
    if w < 0.0:
        e_00 = E * HBAR / 2 * math.sqrt(P["z_vo"] * n * 1e26 / (MASS * P["eps_s"] * EPS_0))
        y = e_00 / kt
        e_0, e_1 = e_00 / math.tanh(y), e_00 / (y - math.tanh(y))
        root = math.sqrt(math.pi * e_00 * E * (abs(w) + phi / math.cosh(y) ** 2))
        size = AREA * P["a_star"] * t / K * root * math.exp(-E * phi / e_0)
        return -size * (math.exp(min(E * abs(w) / e_1, 300.0)) - 1.0)
    size = AREA * P["a_star"] * t**2 * math.exp(-E * phi / kt)
    return size * (math.exp(min(E * w / kt, 300.0)) - 1.0)


def warmth(i: float, w: float, n: float, v: float) -> float:
    disc, plug, _ = parts(n, i)
    share = 1.0 if v < 0.0 else P["th_reset"]
    return P["t_0"] + share * P["r_th"] * i * (w + i * (disc + plug))


def solved(v: float, n: float) -> tuple[float, float]:
    """Current and contact voltage at a published voltage: the solution nearest to 0."""

    def excess(w: float) -> float:
        # the current that the resistances let through, by their own bisection
        i = brentq(lambda i: i * sum(parts(n, i)) - (v - w), -0.1, 0.1, xtol=1e-18, rtol=1e-14)
        return contact(w, n, warmth(i, w, n, v)) - i

    grid = v * np.linspace(0.0, 1.0, 60) ** 2
    signs = np.sign([excess(w) for w in grid[1:]])
    k = int(np.argmax(signs != signs[0]))
    w = brentq(excess, grid[k], grid[k + 1], xtol=1e-15, rtol=1e-13)
    i = brentq(lambda i: i * sum(parts(n, i)) - (v - w), -0.1, 0.1, xtol=1e-18, rtol=1e-14)
    return i, w


def concentration_rate(v: float, n: float) -> float:
    i, w = solved(v, n)
    disc, plug, _ = parts(n, i)
    t = warmth(i, w, n, v)
    sets = v < 0.0
    field = (
        i * disc / (P["l_det"] * 1e-9) if sets else (w + i * (disc + plug)) / (P["l_cell"] * 1e-9)
    )
    g = P["z_vo"] * field * P["a"] * 1e-9 / (math.pi * P["dw_a"])
    low, high = (
        P["dw_a"] * (math.sqrt(1 - g * g) + side * g * math.pi / 2 + g * math.asin(g))
        for side in (-1, 1)
    )
    end = 1 - (n / P["n_max"]) ** 10 if sets else 1 - (P["n_min"] / n) ** 10
    hops = math.exp(-low * E / (K * t)) - math.exp(-high * E / (K * t))
    return -(P["n_plug"] + n) / 2 * P["a"] / P["l_det"] * P["nu_0"] * hops * end


SPAN = math.log(P["n_max"] / P["n_min"])


@pytest.mark.parametrize("v", [-1.2, -0.3, 0.6, 1.1])
@pytest.mark.parametrize("x", [0.05, 0.5, 0.95])
def test_current_and_rate_are_the_published_ones(v: float, x: float) -> None:
    n = P["n_min"] * math.exp(SPAN * x)
    i, _ = solved(-v, n)
    # kinks are rounded over 1 mV of 26 mV
    assert float(models["jart"].current(v, x, {})) == pytest.approx(-i, rel=0.02)
    rate = concentration_rate(-v, n) / (n * SPAN)
    assert float(models["jart"].rate(v, x, {})) == pytest.approx(rate, rel=0.1)


@pytest.mark.parametrize("v", [0.5, 0.8, 1.1])
def test_set_takes_as_long_as_the_published_equations_say(v: float) -> None:
    """Nine decades of time; at constant voltage it is the integral of dN over dN/dt."""
    n = P["n_min"] * np.exp(SPAN * np.linspace(0.01, 0.5, 400))
    times = np.trapezoid([1.0 / concentration_rate(-v, each) for each in n], n)
    t = np.concatenate([[0.0], times * np.geomspace(0.5, 2.0, 60)])
    trace = load_device("jart_bengel2020").simulate(t, np.full(t.size, v), 0.01, rtol=1e-5)
    half = np.interp(0.5, trace.x, t)
    assert half == pytest.approx(times, rel=0.03)


def test_devices_walk_within_their_bounds_and_repeat_with_the_seed() -> None:
    device, rng = load_device("jart_bengel2020"), np.random.default_rng(3)
    p = JART_WALK.start(device, 50, rng)
    for _ in range(50):
        before, p = p, JART_WALK.next(device, p, rng)
        for name, (low, high) in JART_WALK.bounds.items():
            own = device.parameters[name]
            assert (p[name] >= low * own).all()
            assert (p[name] <= high * own).all()
            assert np.abs(p[name] - before[name]).max() <= 0.05 * (high - low) * own * (1 + 1e-12)
    t, v = np.array([0.0, 1e-6, 2e-6, 3e-6]), np.array([0.0, 0.8, 0.8, 0.0])
    runs = [
        simulate_cycles(
            device, t, v, 0.0, cycles=2, walk=JART_WALK, count=3, rng=np.random.default_rng(7)
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0][1].i, runs[1][1].i)
    assert len(set(runs[0][1].i[:, 1])) == 3


@pytest.mark.parametrize("v", [-1.3, -0.4, 0.4, 1.2])
def test_the_explicit_current_of_others_is_that_of_the_implicit_equations(v: float) -> None:
    """Ntinas et al. fitted their own solutions of the same equations: 10 % at the ends of their range, less within."""
    x = np.linspace(0.05, 0.95, 19)
    for radius, length in ((45.0, 0.4), (49.0, 0.38), (41.5, 0.43)):
        p = {"r_det": radius, "l_det": length}
        ratio = models["jart_explicit"].current(v, x, p) / models["jart"].current(v, x, p)
        assert np.abs(ratio - 1.0).max() < 0.12
        assert np.abs(ratio[4:] - 1.0).max() < 0.07
        rates = models["jart_explicit"].rate(v, x, p) / models["jart"].rate(v, x, p)
        assert np.abs(np.log(rates)).max() < np.log(2.5)


def test_the_explicit_current_ends_at_0_v_and_its_rate_knows_the_ambient() -> None:
    device = load_device("jart_explicit_ntinas")
    assert device.at(330.0).rate(0.3, 0.3) > 10.0 * device.rate(0.3, 0.3)
    assert float(device.current(0.0, 0.5)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["jart_bengel2020", "jart_explicit_ntinas"])
def test_what_drives_a_state_out_drives_it_back(name):
    device = load_device(name)
    assert device.rate(0.8, 1.2) < 0.0 < device.rate(0.8, 0.9)
    assert device.rate(-0.8, -0.2) > 0.0 > device.rate(-0.8, 0.1)
