"""Pulses in an array, against independent solutions of the same circuit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import root

from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.population import Population, Spread
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.models import models

VTEAM = Device(
    "vteam",
    models["vteam"],
    {"r_on": 1e4, "r_off": 1e5, "v_set": 0.7, "v_reset": 0.7, "k_set": 1e7, "k_reset": 1e7},
)
YAKOPCIC = Device(
    "yakopcic",
    models["yakopcic"],
    {"a_p": 1e-4, "a_n": 1e-4, "b_p": 2.0, "b_n": 2.0, "A_p": 1e6, "A_n": 1e6, "r_s": 200.0},
)
GATED = Transistor(v_gate=4.0)


def states(shape, seed=0):
    return np.random.default_rng(seed).uniform(0.2, 0.8, shape)


@pytest.mark.parametrize("device", [VTEAM, YAKOPCIC], ids=lambda device: device.name)
def test_without_wires_a_cell_is_a_device_by_itself(device):
    tile = Tile(3, 3, 1e-3, 1e-3, 1e-3, 1e-3, Cell(device))
    x = states((3, 3))
    amplitude = np.array([0.0, 1.2, 0.9])
    done = WriteArray(tile, "half").pulse(x, 1, amplitude, 1e-7, 0.02, np.ones((3, 3)))
    alone = Population(device, 2).pulse(x[1, 1:], amplitude[1:], 1e-7, 0.02)
    assert np.abs(done.x[1, 1:] - x[1, 1:]).min() > 1e-3
    assert done.x[1, 1:] == pytest.approx(alone.x, rel=1e-5)
    assert done.energy[1, 1:] == pytest.approx(alone.energy, rel=1e-5)
    assert done.source_energy == pytest.approx(done.energy.sum(), rel=1e-4)


@pytest.mark.parametrize("access", [None, GATED], ids=["1R", "1T1R"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_two_by_two_against_scipy(access, sign):
    """All node equations of a 2 x 2 array written out, solved by root() inside solve_ivp()."""
    cell = Cell(YAKOPCIC, access=access)
    tile = Tile(2, 2, 30.0, 40.0, 100.0, 20.0, cell)
    x0, width, edge = states((2, 2)), 2e-8, 0.1
    amplitude = sign * np.array([1.6, 0.0])
    scheme = "half" if access is None else "gate"
    if access is None:
        rows, cols = np.array([1.0, 0.5]), np.array([0.0, 0.5])
    else:
        rows, cols = (
            (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
            if sign > 0
            else (np.zeros(2), np.array([-1.0, 0.0]))
        )
    on = np.array([[True, True], [access is None] * 2])

    def nodes(scale, x):
        v_row, v_col = scale * 1.6 * sign * rows, scale * 1.6 * sign * cols

        def balance(u):
            w, b, t = u[:4].reshape(2, 2), u[4:8].reshape(2, 2), u[8:].reshape(2, 2)
            if access is None:
                i, inner = YAKOPCIC.current(w - b, x), t
            else:
                i = np.where(on, YAKOPCIC.current(w - t, x), 0.0)
                inner = np.where(on, i - access.current(t - b, b), t)
            along, down = (w[:, 0] - w[:, 1]) / 30.0, (b[0] - b[1]) / 40.0
            word = [(v_row - w[:, 0]) / 100.0 - along, along]
            bit = [-down, down - (b[1] - v_col) / 60.0]
            return np.concatenate(
                [
                    1e3 * (np.array(word).T - i).ravel(),
                    1e3 * (np.array(bit) + i).ravel(),
                    (1e3 * inner if access is not None else inner).ravel(),
                ]
            )

        found = root(balance, np.zeros(12), tol=1e-13)
        w, b, t = (found.x[k : k + 4].reshape(2, 2) for k in (0, 4, 8))
        v = np.where(on, w - (b if access is None else t), 0.0)
        source = v_row @ (v_row - w[:, 0]) / 100.0 + v_col @ (v_col - b[1]) / 60.0
        return v, source

    total = width * (1 + 2 * edge)
    corners = np.array([0.0, edge * width, (1 + edge) * width, total])

    def motion(time, y):
        x = y[:4].reshape(2, 2)
        v, source = nodes(np.interp(time, corners, [0.0, 1.0, 1.0, 0.0]), x)
        rate = np.where(on, YAKOPCIC.rate(v, x), 0.0)
        return np.concatenate([rate.ravel(), (v * YAKOPCIC.current(v, x)).ravel(), [source]])

    y = np.concatenate([x0.ravel(), np.zeros(5)])
    for begin, end in pairwise(corners):
        y = solve_ivp(motion, (begin, end), y, rtol=1e-9, atol=1e-18).y[:, -1]
    done = WriteArray(tile, scheme).pulse(x0, 0, amplitude, width, edge, np.ones((2, 2)))
    assert abs(done.x[0, 0] - x0[0, 0]) > 1e-3
    assert done.x == pytest.approx(y[:4].reshape(2, 2), rel=2e-5)
    assert done.energy[0] == pytest.approx(y[4:6], rel=1e-4)
    assert done.source_energy == pytest.approx(y[8], rel=1e-4)


def test_wires_take_their_share():
    x = np.full((8, 8), 0.5)
    amplitude = np.zeros(8)
    amplitude[7] = 1.2
    moved = []
    for r in (1e-3, 5.0, 50.0):
        tile = Tile(8, 8, r, r, 100.0, 20.0, Cell(VTEAM))
        done = WriteArray(tile, "half").pulse(x, 0, amplitude, 1e-7, 0.02, np.ones((8, 8)))
        moved.append(done.x[0, 7] - 0.5)
        assert done.source_energy > done.energy.sum()
    assert moved[0] > moved[1] > moved[2] > 0.0


def test_half_selected_cells_are_disturbed_by_half_the_voltage():
    # At V/2 = 0.8 V, above the threshold of 0.7 V.
    x = states((4, 4))
    amplitude = np.array([0.0, 1.6, 0.0, 0.0])
    tile = Tile(4, 4, cell=Cell(VTEAM))
    done = WriteArray(tile, "half").pulse(x, 2, amplitude, 2e-8, 0.02, np.ones((4, 4)))
    moved = done.x - x
    half = np.zeros((4, 4), bool)
    half[2], half[:, 1] = True, True
    half[2, 1] = False
    assert (moved[half] > 1e-4).all()
    assert np.abs(moved[~half & (np.arange(16).reshape(4, 4) != 9)]).max() < 1e-9
    assert moved[2, 1] > 10 * moved[half].max()
    third = WriteArray(tile, "third").pulse(x, 2, amplitude, 2e-8, 0.02, np.ones((4, 4)))
    assert np.abs(third.x - x)[half].max() < 1e-9


def test_gates_shield_the_other_rows():
    x = states((4, 4))
    tile = Tile(4, 4, cell=Cell(VTEAM, access=GATED))
    amplitude = np.array([0.0, 1.2, 0.0, 1.5])
    done = WriteArray(tile, "gate").pulse(x, 1, amplitude, 1e-7, 0.02, np.ones((4, 4)))
    assert np.array_equal(np.delete(done.x, 1, 0), np.delete(x, 1, 0))
    assert np.delete(done.energy, 1, 0).max() == 0.0
    assert (done.x[1, [1, 3]] > x[1, [1, 3]] + 1e-3).all()


def test_speed_is_per_device_and_devices_may_differ():
    x, amplitude = np.full((2, 3), 0.4), np.full(3, 1.2)
    tile = Tile(2, 3, 1e-3, 1e-3, 1e-3, 1e-3, Cell(VTEAM))
    pace = np.array([[1.0, 2.0, 0.5], [1.0, 1.0, 1.0]])
    same = WriteArray(tile, "half").pulse(x, 0, amplitude, 1e-9, 0.02, pace)
    moved = same.x[0] - 0.4
    assert moved[1:] / moved[0] == pytest.approx([2.0, 0.5], rel=0.02)
    rng = np.random.default_rng(0)
    population = Population.sample(VTEAM, 6, Spread({"k_set": 0.5}), rng)
    done = WriteArray(tile, "half", population).pulse(x, 0, amplitude, 1e-9, 0.02, np.ones((2, 3)))
    ratio = (done.x[0] - 0.4) / moved[0]
    assert ratio == pytest.approx(population.parameters["k_set"][:3] / 1e7, rel=0.02)


@pytest.mark.parametrize("change", [{"drive": "both"}, {"sense": "both"}, {"wire_spread": 0.2}])
def test_every_kind_of_tile_conserves_energy(change):
    tile = replace(Tile(5, 4, 20.0, 20.0, 50.0, 20.0, Cell(VTEAM)), **change)
    amplitude = np.array([0.9, 0.0, 1.1, 0.0])
    done = WriteArray(tile, "half").pulse(states((5, 4)), 3, amplitude, 1e-8, 0.02, np.ones((5, 4)))
    assert 0.5 * done.source_energy < done.energy.sum() < done.source_energy


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="without a transistor"):
        WriteArray(Tile(2, 2, cell=Cell(VTEAM)), "gate")
    with pytest.raises(InputError, match="expected 4 devices"):
        WriteArray(Tile(2, 2, cell=Cell(VTEAM)), "half", Population(VTEAM, 3))
    with pytest.raises(InputError, match="no dynamics"):
        WriteArray(Tile(2, 2), "half")
