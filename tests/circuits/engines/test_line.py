"""The line solver against Newton steps on all nodes, and its gradients against differences."""

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.data.errors import InputError, NonConvergence
from memtwin.devices.device import load_device

CELLS = {
    "linear": Cell.resistor(),
    "sinh5": Cell.sinh(5.0, 0.2),
    "sinh20": Cell.sinh(20.0, 0.2),
    "state": Cell.sinh_state({}, 0.2),
    "1T1R": Cell.sinh(2.0, 0.2, access=Transistor()),
    "1S1R": Cell.resistor(access=Selector()),
}
WIRES = {
    "plain": {},
    "both": {"drive": "both", "sense": "both", "wire_spread": 0.15},
}


@pytest.fixture(params=WIRES)
def wires(request: pytest.FixtureRequest) -> dict[str, object]:
    return WIRES[request.param]


@pytest.mark.parametrize("cell", CELLS)
def test_reads_what_newton_steps_find(
    cell: str, wires: dict[str, object], rng: np.random.Generator
) -> None:
    tile = Tile(12, 10, r_row=5.0, r_col=5.0, cell=CELLS[cell], **wires)
    g, v = rng.uniform(1e-6, 1e-4, (2, 12, 10)), rng.uniform(-0.1, 0.2, (2, 4, 12))
    line = LineSolver(tile, exact=True, tolerance=1e-9).program(g)
    expected = Nodal(tile).program(g).read(v)
    full = np.abs(expected).max()
    assert np.abs(line.read(v) - expected).max() < 1e-8 * full
    # Sweeps by polynomials end on the cell's own equations.
    line = LineSolver(tile, tolerance=1e-7).program(g)
    assert np.abs(line.read(v) - expected).max() < 1e-7 * full


def test_stated_tolerance_is_kept(rng: np.random.Generator) -> None:
    tile = Tile(32, 32, r_row=5.0, r_col=5.0, cell=Cell.sinh(5.0, 0.2))
    g, v = rng.uniform(1e-6, 1e-4, (32, 32)), 0.2 * rng.random((10, 32))
    line = LineSolver(tile, tolerance=1e-9).program(g)
    truth = line.read(v)
    for tolerance, dtype in ((1e-3, "float64"), (1e-5, "float64"), (1e-4, "float32")):
        line = LineSolver(tile, tolerance=tolerance, dtype=dtype).program(g)
        assert np.abs(line.read(v) - truth).max() < 2 * tolerance * np.abs(truth).max()


def test_one_hard_case_converges() -> None:
    tile = Tile(64, 64, r_row=5.0, r_col=5.0, cell=Cell.sinh(20.0, 0.2))
    line = LineSolver(tile, tolerance=1e-6).program(np.full((64, 64), 1e-4))
    assert np.isfinite(line.read(np.full((1, 64), 0.2))).all()


def test_says_when_it_does_not_converge(rng: np.random.Generator) -> None:
    tile = Tile(32, 32, r_row=50.0, r_col=50.0, cell=Cell.sinh(10.0, 0.2))
    line = LineSolver(tile, sweeps=2, fallback=None).program(rng.uniform(1e-5, 1e-4, (2, 32, 32)))
    with pytest.raises(NonConvergence, match="tile 0 in 2 sweeps"):
        line.read(0.2 * rng.random((2, 3, 32)))


def hard(name: str, rng: np.random.Generator) -> tuple[Tile, np.ndarray, np.ndarray]:
    """A tile that line sweeps don't get through, conductances and voltages."""
    if name == "long wires":
        tile = Tile(17, 50, 1e3, 1e3)
        return tile, 10.0 ** rng.uniform(-9, -2, (17, 50)), 0.2 * rng.random((5, 17))
    if name == "curved":
        tile = Tile(16, 16, cell=Cell.sinh(10.0, 0.2))
        return tile, rng.uniform(5e-6, 1e-4, (16, 16)), rng.uniform(-1.0, 1.0, (5, 16))
    device = load_device("nbsto_32um").scaled(1e3)
    g = device.conductance(rng.uniform(0.1, 0.8, (8, 8)), 0.2)
    return Tile(8, 8, cell=Cell(device, 0.2)), g, rng.uniform(-0.5, 0.5, (5, 8))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("engine", [LineSolver, Surrogate])
@pytest.mark.parametrize("name", ["long wires", "curved", "shipped"])
def test_where_sweeps_do_not_converge_all_nodes_are_solved(
    name: str, engine: type[LineSolver] | type[Surrogate], rng: np.random.Generator
) -> None:
    tile, g, v = hard(name, rng)
    expected = Nodal(tile).program(g).read(v)
    assert np.abs(engine(tile).program(g).read(v) - expected).max() < 1e-6 * np.abs(expected).max()
    stubborn = engine(tile, fallback=None).program(g)
    with pytest.raises(NonConvergence, match="sweeps"):
        stubborn.read(v)


def test_a_fallback_that_gives_up_too_says_so(rng: np.random.Generator) -> None:
    tile, g, v = hard("curved", rng)
    line = LineSolver(tile, fallback=LineSolver(tile, sweeps=3, fallback=None)).program(g)
    with pytest.raises(NonConvergence, match="nor does its fallback, the engine line"):
        line.read(v)
    with pytest.raises(InputError, match="no fallback 'line'"):
        LineSolver(tile, fallback="line")


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-9, 1e-11])
@pytest.mark.parametrize("cell", [*CELLS, "weak 1T1R", "knowm_nugent", "nbsto_32um"])
def test_the_tolerance_is_kept_whatever_the_law(
    cell: str, tolerance: float, rng: np.random.Generator
) -> None:
    weak = Cell.sinh(2.0, 0.2, access=Transistor(v_gate=1.2, k=2e-4))
    known = CELLS | {"weak 1T1R": weak}
    made = known[cell] if cell in known else Cell(load_device(cell), 0.2)
    if cell in known:
        g = rng.uniform(1e-6, 1e-4, (16, 16))
    else:
        g = made.device.conductance(rng.uniform(0.1, 0.9, (16, 16)), 0.2)
    tile, v = Tile(16, 16, cell=made), rng.uniform(-0.1, 0.2, (4, 16))
    line = LineSolver(tile, tolerance=tolerance, sweeps=2000, fallback=None).program(g)
    expected = Nodal(tile).program(g).read(v)
    newton = 4e-13 * np.abs(v).max() / tile.r_driver  # what Newton's steps may leave
    assert np.abs(line.read(v) - expected).max() <= tolerance * np.abs(expected).max() + newton


def test_zero_input_and_open_devices(rng: np.random.Generator) -> None:
    tile = Tile(6, 5, cell=Cell.sinh(5.0, 0.2))
    g = rng.uniform(1e-6, 1e-4, (6, 5))
    g[:, 2] = 0.0
    line = LineSolver(tile).program(g)
    v = 0.2 * rng.random((3, 6))
    v[1] = 0.0
    i = line.read(v)
    assert (i[1] == 0.0).all()
    assert (np.abs(i[:, 2]) < 1e-20).all()
    assert (i[0, [0, 1, 3, 4]] > 0.0).all()


@pytest.mark.parametrize("cell", ["linear", "sinh5", "1T1R"])
@pytest.mark.parametrize("exact", [False, True])
def test_gradients_equal_differences(
    cell: str, exact: bool, wires: dict[str, object], rng: np.random.Generator
) -> None:
    tile = Tile(9, 8, r_row=10.0, r_col=10.0, cell=CELLS[cell], **wires)
    g, v = rng.uniform(1e-5, 1e-4, (9, 8)), 0.2 * rng.random((5, 9))
    d = rng.normal(size=(5, 8))
    line = LineSolver(tile, exact=exact, tolerance=1e-11, sweeps=500).program(g)
    by_g, by_v = line.gradients(v, d)

    def loss(g: np.ndarray, v: np.ndarray) -> float:
        return float((line.reprogram(g).read(v) * d).sum())

    for place in ((0, 0), (4, 3), (8, 7)):
        step = np.zeros_like(g)
        step[place] = 1e-3 * g[place]
        slope = (loss(g + step, v) - loss(g - step, v)) / (2.0 * step[place])
        assert by_g[place] == pytest.approx(slope, rel=1e-5, abs=1e-6 * np.abs(by_g).max())
    for place in ((0, 0), (2, 5)):
        step = np.zeros_like(v)
        step[place] = 1e-4
        slope = (loss(g, v + step) - loss(g, v - step)) / 2e-4
        assert by_v[place] == pytest.approx(slope, rel=1e-5, abs=1e-6 * np.abs(by_v).max())


def test_input_errors() -> None:
    tile = Tile(4, 3)
    line = LineSolver(tile).program(np.full((4, 3), 1e-5))
    with pytest.raises(InputError, match=r"expected voltages"):
        line.read(np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"expected finite derivatives"):
        line.gradients(np.zeros((1, 4)), np.zeros((1, 4)))
    with pytest.raises(InputError, match="dtype"):
        LineSolver(tile, dtype="float16")
    with pytest.raises(InputError, match="tolerance"):
        LineSolver(tile, tolerance=0.0)
    with pytest.raises(InputError, match="single precision reaches"):
        LineSolver(tile, tolerance=1e-8, dtype="float32")
