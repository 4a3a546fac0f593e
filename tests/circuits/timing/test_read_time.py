"""Reads in time: closed forms, conservation of energy, and the estimate against ngspice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh, expm

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.parasitics import Parasitics
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.timing.read import read_time
from memtwin.circuits.timing.reduced import Reduced
from memtwin.circuits.timing.result import settled_at
from memtwin.circuits.timing.waveform import Scene
from memtwin.data.errors import InputError, NonConvergence
from memtwin.devices.device import load_device

EDGE = Parasitics(coupling=0.3, c_cell=1e-16, rise=2e-11)


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    g = np.geomspace(5e-6, 1e-4, 16)[rng.integers(0, 16, (n, n))]
    return g, 0.2 * rng.random((1, n)) * (rng.random((1, n)) < 0.7)


def test_one_cell_is_two_poles() -> None:
    """One crossing: driver, two nodes, sense; the ramp's answer from the matrix exponential."""
    edge = Parasitics(
        c_row=3e-15, c_col=2e-15, c_cell=1e-15, c_driver=4e-15, c_sense=6e-15, rise=5e-11
    )
    tile = Tile(1, 1, r_driver=3e3, r_sense=8e3, parasitics=edge)
    g, v = 1e-4, 0.2
    c = np.array([[7e-15 + 1e-15, -1e-15], [-1e-15, 8e-15 + 1e-15]])
    left, bottom = 1.0 / 3e3, 1.0 / (8e3 + 2.5)
    a = np.linalg.solve(c, -np.array([[left + g, -g], [-g, g + bottom]]))
    b = np.linalg.solve(c, [left * v, 0.0])
    # x' = a x + b t / rise, then a x + b: exact by augmenting with t and 1.
    ramp = np.zeros((4, 4))
    ramp[:2, :2], ramp[:2, 2], ramp[2, 3] = a, b / edge.rise, 1.0
    at_rise = (expm(ramp * edge.rise) @ [0.0, 0.0, 0.0, 1.0])[:2]
    end = -np.linalg.solve(a, b)
    t = np.linspace(0.0, 1.5e-9, 4001)
    poles, modes = np.linalg.eig(a)
    x = end + (np.exp(np.outer(t, poles)) * np.linalg.solve(modes, at_rise - end)) @ modes.T
    off = np.abs(x[:, 1] - end[1]) / abs(end[1])
    expected = edge.rise + t[np.flatnonzero(off > 0.01)[-1] + 1]
    found = read_time(tile, [[g]], [v])
    assert found.slowest[0] == pytest.approx(expected, rel=5e-3)
    assert found.current[0, 0] == pytest.approx(end[1] * bottom, rel=1e-9)
    assert found.power[0] == pytest.approx(v * (v - end[0]) * left, rel=2e-3)


def test_a_slow_edge_costs_the_static_power_and_charges() -> None:
    """With an edge far slower than the wires, current follows voltage: energy = power (rise / 3 + rest)."""
    tile = Tile(6, 5, parasitics=replace(EDGE, rise=1e-7))
    g, v = np.full((6, 5), 2e-5), np.full((1, 6), 0.2)
    found = read_time(tile, g, v, duration=3e-7)
    held = found.power[0] * (1e-7 / 3 + 2e-7)
    assert found.energy.drivers[0] == pytest.approx(held, rel=1e-3)
    assert found.settling.max() < 1e-7  # 99 % of a ramp that the current follows
    assert found.settling.min() > 0.98e-7


@pytest.mark.parametrize(
    "tile",
    [
        Tile(5, 5, parasitics=EDGE),
        Tile(5, 5, cell=Cell.sinh(8.0, 0.2), drive="both", sense="both", wire_spread=0.2),
        Tile(5, 5, cell=Cell.sinh(2.0, 0.2, access=Transistor())),
        Tile(5, 5, cell=Cell.sinh(2.0, 0.2, access=Selector(width=0.05))),
        Tile(5, 5, cell=Cell.sinh(4.0, 0.2), amplifier=Amplifier(2e3, 300.0, 0.5)),
    ],
    ids=["linear", "sinh", "1T1R", "1S1R", "amplifier"],
)
def test_the_estimate_agrees_with_ngspice(tile: Tile) -> None:
    tile = replace(tile, parasitics=EDGE)
    g, v = drawn(5)
    g[2, 3] = 0.0
    guess = read_time(tile, g, v)
    truth = read_time(tile, g, v, engine="spice", duration=guess.duration)
    assert guess.slowest == pytest.approx(truth.slowest, rel=0.02)
    for name in ("drivers", "devices", "wires", "stored", "amplifier", "supplied"):
        there, here = getattr(truth.energy, name), getattr(guess.energy, name)
        assert here == pytest.approx(there, rel=0.01, abs=1e-4 * truth.energy.drivers.max()), name
    for one in (guess, truth):
        assert np.abs(one.energy.balance).max() < 1e-3
    assert guess.current == pytest.approx(truth.current)
    assert guess.overshoot.max() == pytest.approx(truth.overshoot.max(), abs=0.01)
    assert guess.quiet == pytest.approx(truth.quiet, abs=0.005)


@pytest.mark.parametrize(("rise", "c"), [(1e-13, 5e-15), (1e-12, 2e-16), (1e-11, 2e-14)])
def test_the_estimate_is_the_whole_network_whatever_the_edge(rise: float, c: float) -> None:
    """Linear devices: every mode of the whole network, of which the estimate knows a few."""
    edge = Parasitics(coupling=0.3, c_cell=1e-16, rise=rise, c_row=c, c_col=c)
    tile = Tile(10, 10, parasitics=edge)
    g, v = drawn(10)
    found = read_time(tile, g, v)
    reduced = Reduced(Scene(tile, g))
    net, c_all = reduced.net, reduced.capacitance.toarray()
    a = net.matrix.toarray()
    for at, sign in (((net.w, net.w), 1), ((net.b, net.b), 1), ((net.w, net.b), -1)):
        a[at] += sign * g
    a[net.b, net.w] -= g
    rates, modes = eigh(a, c_all)
    drive = modes.T @ net.injected(v)[0]
    t = np.linspace(rise, found.duration, 4000)[:, None]
    risen = (rise - (1.0 - np.exp(-rates * rise)) / rates) / (rates * rise)
    later = np.exp(-rates * (t - rise))
    x = (drive * (risen * later + (1.0 - later) / rates)) @ modes.T
    i = x[:, net.b[-1]] * tile.wires().bottom
    expected = settled_at(t[:, 0], i, found.current[0], 0.01 * found.current.max())
    assert found.settling[0] == pytest.approx(expected, rel=5e-3)


def test_a_device_that_is_far_from_ohmic_settles_as_in_ngspice() -> None:
    cell = Cell(load_device("nbsto_32um").scaled(10), 0.2)
    edge = replace(EDGE, rise=1e-12, c_row=2e-15, c_col=2e-15)
    tile = Tile(8, 8, cell=cell, parasitics=edge)
    rng = np.random.default_rng(1)
    g, v = cell.conductance(rng.uniform(0.2, 0.9, (8, 8))), 0.2 * rng.random((1, 8))
    guess = read_time(tile, g, v)
    truth = read_time(tile, g, v, engine="spice", duration=guess.duration)
    assert guess.slowest == pytest.approx(truth.slowest, rel=0.02)
    assert guess.energy.drivers == pytest.approx(truth.energy.drivers, rel=5e-3)


def test_longer_lines_take_longer_and_coupling_disturbs() -> None:
    g, v = drawn(16)
    near = read_time(Tile(16, 16, parasitics=replace(EDGE, rise=1e-12)), g, v)
    far = replace(EDGE, rise=1e-12, pitch=4e-6)
    assert (read_time(Tile(16, 16, parasitics=far), g, v).slowest > 1.5 * near.slowest).all()
    apart = read_time(Tile(16, 16, parasitics=replace(EDGE, coupling=0.0, c_cell=0.0)), g, v)
    beside = read_time(Tile(16, 16, parasitics=replace(EDGE, coupling=0.8)), g, v)
    assert beside.quiet.max() > apart.quiet.max()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=12), st.floats(0.01, 0.5))
def test_settled_means_within_the_band_ever_after(values: list[float], band: float) -> None:
    t, i = np.arange(len(values), dtype=float), np.array(values)[:, None]
    found = float(settled_at(t, i, [0.0], band)[0])
    if not np.isfinite(found):
        assert abs(values[-1]) > band
        return
    fine = np.linspace(0.0, t[-1], 2001)
    course = np.abs(np.interp(fine, t, np.abs(i[:, 0])))
    assert (course[fine > found + 1e-9] <= band + 1e-9).all()
    assert found == 0.0 or course[np.searchsorted(fine, found - 2e-2) :].max() > band - 0.05


def test_a_wire_has_the_capacitance_of_its_length() -> None:
    edge = Parasitics(pitch=2e-6, coupling=0.4, c_driver=0.0, c_sense=0.0)
    c = edge.capacitances((7, 9))
    total = 7 * 9 * 2e-6 * 2e-10
    assert c.w.sum() + 2 * 6 * 9 * c.w_w == pytest.approx(total)
    assert c.b.sum() + 2 * 7 * 8 * c.b_b == pytest.approx(total)


def test_what_can_not_be_read_in_time_is_refused() -> None:
    tile, g = Tile(3, 3), np.full((3, 3), 1e-5)
    with pytest.raises(InputError, match="not at 0 V"):
        read_time(tile, g, np.zeros(3))
    with pytest.raises(InputError, match="error must be"):
        read_time(tile, g, np.ones(3), error=0.0)
    with pytest.raises(InputError, match="of one tile"):
        read_time(tile, g[None], np.ones((1, 3)))
    with pytest.raises(InputError, match="parasitics: rise"):
        Parasitics(rise=0.0)
    with pytest.raises(NonConvergence, match="longer duration"):
        read_time(tile, g, np.full(3, 0.1), duration=1e-13)
