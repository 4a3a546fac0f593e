"""The integrator against scipy, closed forms and itself."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.dynamics import simulate as simulate_module
from memtwin.devices.models import models
from memtwin.devices.models.mms import pulse_response

CASES = {
    "vteam": {"k_set": 30.0, "k_reset": 30.0},
    "vteam_exp_kvatinsky": {"k_set": 30.0, "k_reset": 30.0, "r_s": 500.0},
    "yakopcic": {"a_p": 1e-3, "a_n": 1e-3, "A_p": 10.0, "A_n": 10.0, "r_s": 50.0},
    "yakopcic2020": {"A_p": 10.0, "A_n": 10.0},
    "stanford": {"r_s": 20.0},
    "mms": {},
    "knowm": {"tau": 0.1},
    "drift_biolek": {},
}
T = np.linspace(0.0, 1.0, 301)
V = 1.2 * np.sin(2 * np.pi * T)


def reference(device: Device, t: np.ndarray, v: np.ndarray, x0: float) -> np.ndarray:
    """scipy's LSODA, started anew at every corner of the waveform."""
    states = [x0]
    for k in range(t.size - 1):
        slope = (v[k + 1] - v[k]) / (t[k + 1] - t[k])
        solved = solve_ivp(
            lambda s, x, k=k, slope=slope: device.rate(v[k] + slope * (s - t[k]), np.clip(x, 0, 1)),
            (t[k], t[k + 1]),
            [states[-1]],
            method="LSODA",
            rtol=1e-9,
            atol=1e-12,
        )
        states.append(float(np.clip(solved.y[0, -1], 0, 1)))
    return np.array(states)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_scipy_by_both_methods(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("d", models[name], CASES[name])
    t, v = T[::3], V[::3]
    expected = reference(device, t, v, 0.3)
    whole = device.simulate(t, v, 0.3)
    np.testing.assert_allclose(whole.x, expected, atol=2e-5)
    monkeypatch.setattr(simulate_module, "_FEW", 0)
    steps = device.simulate(t, v, 0.3)
    np.testing.assert_allclose(steps.x, expected, atol=2e-5)
    np.testing.assert_allclose(
        steps.i, device.current(v, expected), atol=1e-4 * np.abs(whole.i).max()
    )


@pytest.mark.parametrize("name", CASES)
def test_tolerance_is_kept(name: str) -> None:
    device = Device("d", models[name], CASES[name])
    fine = device.simulate(T, V, 0.3, rtol=1e-10, atol=1e-13)
    for rtol in (1e-4, 1e-6):
        assert (
            np.abs(device.simulate(T, V, 0.3, rtol=rtol, atol=rtol * 1e-3).x - fine.x).max()
            < 50 * rtol
        )


def test_many_devices_are_as_each_alone(rng: np.random.Generator) -> None:
    device = Device("d", models["yakopcic"], CASES["yakopcic"])
    v_p = rng.uniform(0.3, 0.8, 100)
    x0 = rng.uniform(0.05, 0.9, 100)
    many = device.simulate(T, V, x0, parameters={"v_p": v_p})
    assert many.x.shape == (100, T.size)
    for k in (0, 41, 99):
        alone = device.simulate(T, V, x0[k], parameters={"v_p": v_p[k]})
        np.testing.assert_allclose(many.x[k], alone.x, atol=1e-5)
        np.testing.assert_allclose(many.i[k], alone.i, atol=1e-5 * np.abs(alone.i).max())


def test_devices_and_parameter_sets_broadcast() -> None:
    device = Device("d", models["vteam"], CASES["vteam"])
    trace = device.simulate(T, V, np.array([[0.2], [0.5]]), parameters={"r_s": [0.0, 100.0, 200.0]})
    assert trace.i.shape == (2, 3, T.size)
    assert trace.energy.shape == (2, 3)
    one = device.simulate(T, V, 0.5, parameters={"r_s": 100.0})
    np.testing.assert_allclose(trace.x[1, 1], one.x, atol=1e-6)


def test_mms_pulses_have_a_closed_form(rng: np.random.Generator) -> None:
    device = load_device("mms_tiox")
    x0, v = rng.uniform(0.2, 0.9, 60), np.concatenate([np.full(30, 1.4), np.full(30, -1.1)])
    t = np.array([0.0, 0.02, 0.05, 0.3])
    trace = device.simulate(t, np.repeat(v[:, None], 4, axis=1), x0, rtol=1e-9, atol=1e-12)
    for k, time in enumerate(t):
        np.testing.assert_allclose(
            trace.x[:, k], pulse_response(device.parameters, x0, v, time), atol=1e-7
        )
    with pytest.raises(InputError, match="series resistance"):
        pulse_response({"r_s": 1.0}, 0.5, 1.0, 1.0)


@pytest.mark.parametrize("samples", [5, 101])
@pytest.mark.parametrize("v", [-12.0, -5.0, 5.0, 12.0])
def test_rates_beyond_the_resolution_of_time(v: float, samples: int) -> None:
    """At -5 V this device resets in 1e-15 s of a pulse of 1 s."""
    device = load_device("mms_tiox2")
    t = np.linspace(0.0, 1.0, samples)
    for devices in (1, 60):  # solved at once, or marched
        trace = device.simulate(t, np.full(samples, v), np.full(devices, 0.5))
        end = pulse_response(device.parameters, 0.5, v, 1.0)
        np.testing.assert_allclose(trace.x[:, -1], end, atol=1e-6)


@pytest.mark.parametrize("v", [0.8, -0.8])
def test_the_published_vteam_set_has_a_closed_form(v: float) -> None:
    """At constant voltage Biolek's window with p = 1 gives dy/dt = c (1 - y²): y = tanh(c t + ...),
    where y is x on the way up and 1 - x on the way down.
    """
    device = load_device("vteam_asic2")
    assert device.parameters["p"] == 1.0
    begin = 0.3 if v > 0 else 0.7
    c = abs(float(device.rate(v, 0.0 if v > 0 else 1.0)))
    t = np.linspace(0.0, 2.0 / c, 401)
    y = np.tanh(c * t + np.arctanh(0.3))
    x = y if v > 0 else 1.0 - y
    trace = device.simulate(t, np.full(401, v), begin)
    np.testing.assert_allclose(trace.x, x, atol=1e-6)
    r_on, r_off = device.parameters["r_on"], device.parameters["r_off"]
    np.testing.assert_allclose(trace.i, v / (r_off + (r_on - r_off) * x), rtol=1e-5)


def test_metastable_switches_relax_exponentially() -> None:
    device = Device("d", models["knowm"], {"tau": 1e-3})
    t = np.linspace(0, 5e-3, 11)
    trace = device.simulate(t, np.full(11, 0.27), 0.1, rtol=1e-9)  # half of the switches per tau
    off = 1 / (1 + np.exp(2 * 0.27 / (8.617333262e-5 * 298.5)))
    settled = 0.5 / (0.5 + off)
    np.testing.assert_allclose(
        trace.x, settled + (0.1 - settled) * np.exp(-t / 1e-3 * (0.5 + off)), atol=1e-8
    )


def test_fast_devices_in_long_intervals_are_followed() -> None:
    """Six orders of magnitude between the device and the samples."""
    device = Device("d", models["vteam_asymmetric"], {"k_set": 1e6, "k_reset": 1e6})
    x0 = np.linspace(0.01, 0.99, 200)
    trace = device.simulate([0.0, 1.0, 2.0, 3.0], [0.0, 1.5, 0.0, -1.5], x0)
    assert trace.x[:, 1].min() > 0.999
    assert trace.x[:, 3].max() < 0.001


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("jart", "pcm") else ())
        for n in models
        if models[n].rate_expr is not None
    ],
)
def test_states_stay_inside_and_no_energy_comes_out(name: str, rng: np.random.Generator) -> None:
    """Random walks of the voltage, over five decades of speed at once."""
    t = np.linspace(0.0, 1.0, 25)
    v = np.cumsum(rng.normal(0.0, 0.4, (4, 25)), axis=1).clip(-2.0, 2.0) * (t > 0)
    device = Device("d", models[name])
    for scale in (1e-6, 1e-3, 1.0):
        trace = device.simulate(t * scale, v, rng.uniform(0.0, 1.0, 4))
        assert trace.x.min() >= 0.0
        assert trace.x.max() <= 1.0
        assert (trace.i * trace.v >= 0.0).all()
        moved = np.diff(trace.x, axis=1)
        both = (v[:, 1:] >= 0) & (v[:, :-1] >= 0)
        # Knowm's switches also relax at rest, and the last two know no polarity.
        if name not in ("knowm", "pcm", "volatile"):
            assert (moved[both] >= -1e-6).all()


def test_static_models_keep_their_state() -> None:
    trace = Device("d", models["sinh"], {"b": 3.0}, area=2.0).simulate(T, V, 1e-5)
    assert (trace.x == 1e-5).all()
    np.testing.assert_allclose(trace.i, 2 * 1e-5 * np.sinh(3 * V) / 3)


def test_area_scales_current_and_not_the_state() -> None:
    device = Device("d", models["yakopcic"], CASES["yakopcic"])
    one, tenth = device.simulate(T, V, 0.3), device.scaled(0.1).simulate(T, V, 0.3)
    np.testing.assert_array_equal(one.x, tenth.x)
    np.testing.assert_allclose(tenth.i, 0.1 * one.i)
    np.testing.assert_allclose(tenth.energy, 0.1 * one.energy)


@pytest.mark.parametrize(
    ("t", "v", "x0", "words"),
    [
        ([0, 1, 1], [0, 1, 2], 0.5, "each later"),
        ([0, 1], [0, 1, 2], 0.5, r"shape \(..., 2\)"),
        ([0, 1], [0, np.nan], 0.5, "finite"),
        ([0, 1], [0, 1], 1.5, r"\[0, 1\]"),
    ],
)
def test_bad_input_is_refused(t: list, v: list, x0: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Device("d", models["vteam"]).simulate(t, v, x0)


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    device = Device("d", models["vteam"])
    device.simulate(T, V, np.full(60, 0.3), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (300, 300)
