import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.models import models

SERIES = {
    "transistor": Transistor(),
    "weak": Transistor(v_gate=0.7, k=1e-4),
    "selector": Selector(),
}
CELLS = {
    "sinh": Cell.sinh(5.0),
    "sinh_state": Cell.sinh_state({}),
    "yakopcic": Cell(Device("y", models["yakopcic2020"], {"r_s": 300.0}), 0.1),
    **{name: Cell.sinh(2.0, access=access) for name, access in SERIES.items()},
    "resistive transistor": Cell.resistor(access=Transistor()),
}
CONDUCTANCES = {"yakopcic": np.array([2e-5, 5e-5])}


def conductances(name):
    return CONDUCTANCES.get(name, np.array([5e-6, 1e-4]))


def test_a_resistor_is_linear_and_so_is_a_frozen_vteam():
    assert Cell.resistor().linear
    assert Cell(Device("v", models["vteam"]), 0.1).linear
    assert not Cell.sinh(1.0).linear
    assert not Cell.resistor(access=Transistor()).linear
    np.testing.assert_allclose(Cell.resistor().current(0.3, [0.0, 1e-5]), [0.0, 3e-6], rtol=1e-14)


@pytest.mark.parametrize("name", ["sinh", "sinh_state", "yakopcic"])
def test_a_conductance_is_the_chord_at_the_read_voltage(name):
    cell, g = CELLS[name], conductances(name)
    np.testing.assert_allclose(cell.current(cell.v_read, g) / cell.v_read, g, rtol=1e-9)


def test_an_open_device_carries_nothing():
    for name, cell in CELLS.items():
        i = cell.current([0.1, 0.1], [0.0, conductances(name)[0]])
        assert i[0] == 0.0
        assert i[1] > 0.0


@pytest.mark.parametrize("name", CELLS)
def test_slopes_are_the_derivatives(name):
    cell, g = CELLS[name], conductances(name)[0]
    v, b, h = np.array([-0.21, -0.05, 0.03, 0.17]), 0.04, 1e-6
    _, didv, didb = cell.law(v, cell.state(g), True, b)
    by_v = (cell.current(v + h, g, b) - cell.current(v - h, g, b)) / (2 * h)
    by_b = (cell.current(v, g, b + h) - cell.current(v, g, b - h)) / (2 * h)
    scale = np.abs(didv).max()
    np.testing.assert_allclose(didv, by_v, rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(didb, by_b, rtol=1e-5, atol=1e-6 * scale)


@given(
    v=st.floats(-0.5, 0.5),
    g=st.floats(1e-6, 1e-3),
    b=st.floats(-0.1, 0.2),
    name=st.sampled_from(sorted(SERIES)),
)
def test_a_series_cell_is_passive_and_carries_less_than_its_memristor(v, g, b, name):
    cell, bare = Cell.sinh(2.0, access=SERIES[name]), Cell.sinh(2.0)
    i = float(cell.current(v, g, b))
    assert i * v >= -1e-30
    assert abs(i) <= abs(float(bare.current(v, g))) * (1 + 1e-9) + 1e-18


def test_a_strong_transistor_is_a_short_and_a_closed_gate_an_open():
    bare = Cell.resistor().current(0.2, 1e-5)
    strong = Cell.resistor(access=Transistor(v_gate=20.0, k=10.0)).current(0.2, 1e-5)
    closed = Cell.resistor(access=Transistor(v_gate=0.1)).current(0.2, 1e-5)
    np.testing.assert_allclose(strong, bare, rtol=1e-6)
    assert abs(closed) < 1e-18


def test_the_transistor_is_symmetric_between_drain_and_source():
    gate = Transistor(v_gate=2.0)
    # The same two terminals, seen from the other end.
    y, b = 0.13, 0.05
    np.testing.assert_allclose(gate.current(-y, b + y), -gate.current(y, b), rtol=1e-12)


def test_a_selector_blocks_below_and_conducts_above_its_threshold():
    selector = Selector(v_threshold=0.3, width=0.005, g_on=1e-2, g_off=1e-9)
    cell = Cell.resistor(access=selector)
    assert cell.current(0.2, 1e-4) < 1e-3 * 0.2 * 1e-4
    assert cell.current(0.6, 1e-4) > 0.4 * 0.6 * 1e-4


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cell.resistor(v_read=0.0),
        lambda: Cell.resistor(v_read=float("nan")),
        lambda: Transistor(k=0.0),
        lambda: Transistor(v_gate=float("inf")),
        lambda: Transistor(channel=-0.1),
        lambda: Selector(width=-1.0),
        lambda: Selector(g_on=1e-9, g_off=1e-3),
        lambda: Amplifier(gain=0.0),
        lambda: Amplifier(r_feedback=float("nan")),
    ],
)
def test_impossible_parts_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_an_amplifier_of_high_gain_is_a_virtual_ground():
    amplifier = Amplifier(r_feedback=1e3, gain=1e6, v_max=1.0)
    s = np.array([-1e-7, 2e-7])
    np.testing.assert_allclose(amplifier.reading(s), amplifier.current(s), rtol=2e-6)
    h = 1e-9
    slope = (amplifier.current(s + h) - amplifier.current(s - h)) / (2 * h)
    np.testing.assert_allclose(amplifier.slope(s), slope, rtol=1e-4)
    assert abs(amplifier.output(1.0)) <= 1.0
