"""Whole arrays written with the numpy writer, and with writers made for the test."""

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.programming.array import program_array, replay
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.design import VoltageRange, design_recipe
from memtwin.circuits.programming.population import Population, Spread
from memtwin.circuits.programming.recipe import Status
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.models import models

DEVICE = Device(
    "vteam",
    models["vteam"],
    {"r_on": 1e4, "r_off": 1e5, "v_set": 0.9, "v_reset": 0.9, "k_set": 1e7, "k_reset": 1e7},
)
LEVELS = DEVICE.levels(8, 0.2)
RECIPE = design_recipe(LEVELS, limits=VoltageRange(-1.8, 1.8, "test"))


def setup(n=4, access=None, scheme="half", spread=None, seed=0):
    tile = Tile(n, n, cell=Cell(DEVICE, 0.2, access=access))
    rng = np.random.default_rng(seed)
    population = None if spread is None else Population.sample(DEVICE, n * n, spread, rng)
    writer = WriteArray(tile, scheme, population, rtol=1e-5)
    return writer, LEVELS.g[rng.integers(0, 8, (n, n))], rng


@pytest.mark.parametrize(
    ("scheme", "access"), [("half", None), ("third", None), ("gate", Transistor(v_gate=4.0))]
)
def test_every_cell_is_written_and_stays_written(scheme, access):
    writer, target, rng = setup(access=access, scheme=scheme)
    recipe = RECIPE
    if access is not None:  # the transistor takes a part of the voltage
        recipe = design_recipe(LEVELS, limits=VoltageRange(-2.4, 2.4, "test"))
    outcome = program_array(writer, LEVELS.x[2], target, recipe, rng)
    assert outcome.success == 1.0
    assert np.abs(outcome.error).max() <= recipe.tolerance * (1 + 1e-6)
    assert outcome.source_energy > outcome.energy.sum() > 0.0
    assert outcome.reads.min() >= 2  # one per pass
    assert outcome.passes >= 2
    assert np.abs(outcome.disturb).max() < recipe.tolerance
    if scheme == "gate":
        assert np.abs(outcome.disturb).max() < 1e-3 * recipe.tolerance


def test_one_cell_at_a_time_ends_in_the_same_band_and_takes_longer():
    writer, target, rng = setup(3)
    together = program_array(writer, 0.3, target, RECIPE, rng)
    single = program_array(writer, 0.3, target, RECIPE, rng, parallel=False)
    assert together.success == single.success == 1.0
    assert single.time > together.time


def test_devices_that_differ_are_written_too_and_the_same_seed_gives_the_same():
    spread = Spread({"k_set": 0.1, "v_set": 0.02}, c2c=0.05, read=0.002)
    first, second = (
        program_array(*_reordered(setup(3, spread=spread, seed=7)), passes=2) for _ in range(2)
    )
    assert first.success == 1.0
    assert np.array_equal(first.x, second.x)
    assert first.source_energy == second.source_energy


def _reordered(parts):
    writer, target, rng = parts
    return writer, 0.3, target, RECIPE, rng


def test_steps_replay_to_the_same_states():
    writer, target, rng = setup(3)
    outcome = program_array(writer, 0.3, target, RECIPE, rng, keep_steps=True)
    again = list(replay(writer, np.full((3, 3), 0.3), outcome.steps, RECIPE.edge))
    assert len(again) == len(outcome.steps)
    assert np.array_equal(again[-1].x, outcome.x)
    total = sum(done.source_energy for done in again)
    assert total == pytest.approx(outcome.source_energy, rel=1e-12)


def test_disturbed_cells_are_rewritten_in_a_later_pass():
    writer, target, _ = setup()

    class Leaky:
        """Every pulse also lowers the states of all other rows a little."""

        tile, scheme, population = writer.tile, writer.scheme, writer.population

        def pulse(self, x, row, amplitude, width, edge, pace):
            done = writer.pulse(x, row, amplitude, width, edge, pace)
            others = np.arange(len(x))[:, None] != row
            return done._replace(x=np.where(others, done.x * (1 - 3e-3), done.x))

    one = program_array(Leaky(), 0.4, target, RECIPE, np.random.default_rng(0), passes=1)
    three = program_array(Leaky(), 0.4, target, RECIPE, np.random.default_rng(0), passes=4)
    assert one.disturb.min() < -RECIPE.tolerance
    assert np.abs(one.error).max() > RECIPE.tolerance
    assert np.abs(three.error).max() < np.abs(one.error).max()
    assert three.pulses.sum() > one.pulses.sum()


def test_a_dead_cell_is_given_up_and_the_others_are_written():
    tile = Tile(3, 3, cell=Cell(DEVICE, 0.2))
    k = np.full(9, DEVICE.parameters["k_set"])
    k[4] = 1e-6
    population = Population(DEVICE, 9, {"k_set": k})
    target = np.full((3, 3), LEVELS.g[5])
    writer = WriteArray(tile, "half", population, rtol=1e-5)
    outcome = program_array(writer, LEVELS.x[1], target, RECIPE, np.random.default_rng(0), passes=1)
    assert outcome.status[1, 1] == Status.STUCK
    assert (np.delete(outcome.status.ravel(), 4) == Status.REACHED).all()


def test_what_does_not_fit_is_refused():
    writer, target, rng = setup()
    with pytest.raises(InputError, match=r"shape \(4, 4\)"):
        program_array(writer, 0.3, target[:2], RECIPE, rng)
    with pytest.raises(InputError, match="reaches only"):
        program_array(writer, 0.3, 100 * target, RECIPE, rng)
    with pytest.raises(InputError, match="passes"):
        program_array(writer, 0.3, target, RECIPE, rng, passes=0)
