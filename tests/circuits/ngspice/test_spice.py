import os
import shutil

import numpy as np
import pytest

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.ngspice import engine as module
from memtwin.circuits.ngspice import pool
from memtwin.circuits.ngspice.engine import CHUNK, Spice
from memtwin.circuits.surrogate.cell_deck import sweep_in_ngspice
from memtwin.data.errors import InputError, NonConvergence
from memtwin.devices.device import load_device

pytestmark = pytest.mark.spice


def conductances(rng, *shape):
    return np.exp(rng.uniform(np.log(5e-6), np.log(1e-4), shape))


def exact(tile, g, v):
    return Nodal(tile).program(g).read(v)


def spice(tile, g, **options):
    return Spice(tile, **options).program(g)


def worst(i, truth):
    return np.abs(i - truth).max() / np.abs(truth).max()


@pytest.mark.parametrize(
    ("cell", "bar"),
    [
        (Cell.resistor(), 1e-9),
        (Cell.sinh(5.0, 0.2), 1e-6),
        (Cell.sinh(2.0, 0.2, access=Transistor()), 1e-6),
    ],
)
def test_32_by_32_against_the_exact_solve(cell, bar, rng):
    tile = Tile(32, 32, cell=cell)
    g, v = conductances(rng, 32, 32), rng.uniform(0, 0.2, (4, 32))
    assert worst(spice(tile, g).read(v), exact(tile, g, v)) <= bar


def test_a_large_batch_on_a_linear_tile_goes_through_unit_vectors(rng, monkeypatch):
    tile, seen = Tile(4, 3), []
    original = pool.call

    def call(job, *rest, **options):
        seen.append(job.steps[0].analysis)
        return original(job, *rest, **options)

    monkeypatch.setattr(pool, "call", call)
    g, v = conductances(rng, 2, 4, 3), rng.uniform(-0.2, 0.2, (2, 30, 4))
    assert worst(spice(tile, g).read(v), exact(tile, g, v)) <= 1e-9
    assert seen == ["dc vsel 0 3 1"] * 2


def test_a_saturating_amplifier_is_not_taken_for_linear(rng):
    tile = Tile(4, 3, amplifier=Amplifier(r_feedback=2e4, gain=1e3, v_max=0.5))
    g, v = conductances(rng, 4, 3), rng.uniform(0, 0.5, (12, 4))
    i = spice(tile, g).read(v)
    assert worst(i, exact(tile, g, v)) <= 1e-6
    assert np.abs(i).max() <= 0.5 / 2e4 * (1 + 1e-9)


def test_batches_are_chunked_and_empty_ones_are_empty(rng):
    tile = Tile(2, 2, cell=Cell.sinh(3.0, 0.2))
    g, v = conductances(rng, 2, 2), rng.uniform(0, 0.2, (CHUNK + 3, 2))
    array, seen = spice(tile, g), []
    i = array.read(v, progress=lambda done, total: seen.append((done, total)))
    assert worst(i, exact(tile, g, v)) <= 1e-6
    assert seen[-1] == (2, 2)
    assert array.read(np.zeros((0, 2))).shape == (0, 2)


def test_bits_do_not_depend_on_workers_or_order(rng):
    tile = Tile(6, 5, cell=Cell.sinh(4.0, 0.2))
    g, v = conductances(rng, 3, 2, 6, 5), rng.uniform(0, 0.2, (3, 2, 7, 6))
    one = spice(tile, g, workers=1).read(v)
    assert np.array_equal(one, spice(tile, g, workers=3).read(v))
    assert np.array_equal(one[2, 1], spice(tile, g[2, 1]).read(v[2, 1]))


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="no ngspice program")
def test_isolated_mode_returns_the_same(rng):
    tile = Tile(6, 5, cell=Cell.sinh(4.0, 0.2))
    g, v = conductances(rng, 6, 5), rng.uniform(0, 0.2, (7, 6))
    assert np.array_equal(spice(tile, g).read(v), spice(tile, g, mode="isolated").read(v))


def test_fields_agree_with_the_exact_ones(rng):
    tile = Tile(6, 5, cell=Cell.sinh(2.0, 0.2, access=Transistor()), drive="both")
    g, v = conductances(rng, 2, 6, 5), rng.uniform(0.05, 0.2, (2, 3, 6))
    mine, truth = spice(tile, g).fields(v), Nodal(tile).program(g).fields(v)
    for name in ("w", "b", "i", "sensed", "row", "col", "power", "worst_drop"):
        a, b = getattr(mine, name), getattr(truth, name)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), name


@pytest.mark.parametrize("cell", [Cell.resistor(), Cell.sinh(3.0, 0.2), Cell.sinh_state({}, 0.2)])
def test_a_live_session_alters_what_changed(cell, rng, monkeypatch):
    jobs = []
    run = pool.Worker.run

    def recorded(self, job, *limits):
        jobs.append(job)
        return run(self, job, *limits)

    monkeypatch.setattr(pool.Worker, "run", recorded)
    tile = Tile(8, 6, cell=cell)
    g, v = conductances(rng, 8, 6), rng.uniform(0, 0.2, (5, 8))
    with Spice(tile, live=True) as engine:
        array = engine.program(g)
        for _ in range(3):
            assert worst(array.read(v), exact(tile, g, v)) <= 1e-6
            g = g.copy()
            g[2, 3], g[7, 0] = g[7, 0], g[2, 3] * 0.7
            array = array.reprogram(g)
        assert [bool(job.deck) for job in jobs] == [True, False, False]
        assert all(2 <= len(job.steps[0].alter) <= 4 for job in jobs[1:])
        g[0, 0] = 0.0  # an open device is another topology
        opened = array.reprogram(g)
        assert worst(opened.read(v), exact(tile, g, v)) <= 1e-6
        assert jobs[-1].deck
        # An array that shares the process with others still reads what it holds.
        assert worst(array.read(v), exact(tile, array.g, v)) <= 1e-6


def test_a_live_session_survives_its_process(rng):
    tile = Tile(4, 4, cell=Cell.sinh(3.0, 0.2))
    g, v = conductances(rng, 4, 4), rng.uniform(0, 0.2, (3, 4))
    with Spice(tile, live=True) as engine:
        array = engine.program(g)
        array.read(v)
        worker = engine._sessions[0]._worker
        assert worker is not None
        os.kill(worker.pid, 9)
        g = g * 0.9
        assert worst(array.reprogram(g).read(v), exact(tile, g, v)) <= 1e-6


def test_a_failure_names_tile_and_vectors(rng, monkeypatch):
    array = spice(
        Tile(2, 2, cell=Cell.sinh(40.0, 0.2)),
        conductances(rng, 3, 2, 2),
        workers=1,
        devices="behavioural",
    )
    array.engine.ladder = ("itl1=1 itl6=1 itl2=1 gminsteps=0 srcsteps=0",)
    with pytest.raises(
        NonConvergence, match=r"tile \(\d,\) of the stack, vectors from 0: .*point 0"
    ):
        array.read(rng.uniform(1.0, 2.0, (3, 2, 2)))


def test_a_cached_read_needs_no_ngspice(tmp_path, rng, monkeypatch):
    tile = Tile(4, 4, cell=Cell.sinh(3.0, 0.2))
    g, v = conductances(rng, 2, 4, 4), rng.uniform(0, 0.2, (2, 3, 4))
    array = spice(tile, g, cache=tmp_path)
    first = array.read(v)

    def forbidden(*args, **options):
        raise AssertionError("ngspice was asked")

    monkeypatch.setattr(pool, "call", forbidden)
    assert np.array_equal(array.read(v), first)


def test_a_conductance_that_the_device_cannot_have_is_refused_when_programmed():
    engine = Spice(Tile(2, 2, cell=Cell.sinh(3.0, 0.2)))
    with pytest.raises(InputError):
        engine.program(np.full((2, 2), -1e-5))
    with pytest.raises(InputError, match="live"):
        Spice(Tile(2, 2), live=True, mode="isolated")


@pytest.mark.slow
def test_memory_of_a_worker_stays(rng):
    tile = Tile(16, 16)
    worker = pool.Worker()
    try:
        from memtwin.circuits.ngspice.job import Job, Step
        from memtwin.circuits.ngspice.netlist import build

        g, v = conductances(rng, 16, 16), rng.uniform(0, 0.2, (8, 16))
        memory = []
        for _ in range(500):
            deck = build(tile, g, v)
            memory.append(worker.run(Job(deck.text, (Step(deck.analysis, deck.sense),))).memory)
        assert memory[-1] - memory[20] < 10e6
    finally:
        worker.close()


def test_equal_vectors_are_read_once_and_in_their_order(rng, monkeypatch):
    tile = Tile(5, 4, cell=Cell.sinh(3.0, 0.2))
    array = Spice(tile, workers=1).program(rng.uniform(1e-6, 1e-4, (2, 5, 4)))
    different = rng.uniform(0.0, 0.2, (2, 3, 5))
    different[0, 1] = 0.0
    expected = array.read(different)
    decks = []
    build = module.build
    monkeypatch.setattr(
        module, "build", lambda *args, **options: decks.append(args[2]) or build(*args, **options)
    )
    which = [2, 0, 0, 1, 2, 1, 0]
    found = array.read(different[:, which])
    assert [len(v) for v in decks] == [3, 3]
    # In another order Newton's method starts elsewhere, and ends within its tolerance.
    np.testing.assert_allclose(found, expected[:, which], rtol=1e-6, atol=1e-15)
    assert np.abs(found[0, 3]).max() < 1e-12


@pytest.mark.parametrize("live", [False, True])
def test_of_several_solutions_of_an_inner_node_the_one_nearest_to_0_holds(live, rng):
    # In RESET the barrier of this contact rises faster than the voltage over it: there it also conducts less.
    tile = Tile(4, 3, cell=Cell(load_device("jart_bengel2020"), 0.2))
    v = 0.5 * np.array(
        [[1, -1, 0.8, -0.3], [-1, 1, -0.6, 0.4], [0.5, -0.9, 1, -1], [-1, -1, 0.2, 0.9]]
    )
    with Spice(tile, devices="behavioural", live=live, workers=1) as engine:
        for _ in range(2):
            g = tile.cell.conductance(rng.uniform(0.3, 0.95, tile.shape))
            array = engine.program(g)
            np.testing.assert_allclose(array.read(v), Nodal(tile).program(g).read(v), rtol=1e-5)


def test_a_sweep_of_cells_begins_at_the_solution_nearest_to_0():
    cell = Cell(load_device("jart_bengel2020"), 0.2)
    swept, _ = sweep_in_ngspice(
        cell, cell.conductance(np.array([0.3, 0.6, 0.9])), (-0.4, 0.4), voltages=9
    )
    states = cell.state(swept.g)[:, None]
    np.testing.assert_allclose(
        swept.i[..., 0], cell.device.current(swept.v, states), rtol=1e-5, atol=1e-12
    )
