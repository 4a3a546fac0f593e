"""Programming of which only some devices are verified."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.programming.array import program_array
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.design import VoltageRange, design_recipe
from memtwin.circuits.programming.population import Population, Spread
from memtwin.circuits.programming.recipe import Status
from memtwin.circuits.programming.table import make_table
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.training.studies.selective import most, program_some, verify_gain

LIMITS = VoltageRange(-1.5, 1.5, "assumed")


@pytest.fixture(scope="module")
def levels():
    return load_device("vteam_asic2").scaled(1e-3).levels(4, 0.01)


@pytest.fixture(scope="module")
def table(levels):
    spread = Spread(d2d={}, c2c=0.6, read=0.002)
    return make_table(levels, design_recipe(levels, limits=LIMITS), spread, samples=24)


@given(st.lists(st.floats(0.0, 1e9), min_size=1, max_size=40), st.floats(0.0, 1.0))
def test_the_chosen_matter_no_less_than_the_others(worth, share):
    worth = np.array(worth)
    chosen = most(worth, share)
    assert chosen.sum() <= round(share * worth.size)
    if chosen.any() and not chosen.all():
        assert worth[chosen].min() >= worth[~chosen].max()
    assert not chosen[worth == 0.0].any()


def test_verified_devices_are_within_the_band_and_others_take_no_reads(table, rng):
    level = rng.integers(0, 4, 4000)
    on = rng.random(4000) < 0.5
    found = program_some(table, level, on, rng)
    error = np.abs(found.g - table.g[level])
    assert np.mean(error[on] <= table.recipe.tolerance) > 0.99
    assert error[~on].max() > 2.0 * table.recipe.tolerance
    assert found.costs.reads[~on].max() == 0.0 < found.costs.reads[on].min()
    # All verified, the means are those of the table.
    whole = program_some(table, level, True, rng)
    for name in ("pulses", "energy", "time", "reads"):
        expected = getattr(table, name)[0, level].mean()
        assert getattr(whole.costs, name).mean() == pytest.approx(expected, rel=0.05)


def test_the_gain_of_a_verify_is_what_open_loop_writes_miss_by(table, rng):
    gain = verify_gain(table)
    assert gain.shape == (4,)
    level = np.repeat(np.arange(4), 2000)
    blind, seen = (
        np.square(program_some(table, level, on, rng).g - table.g[level])
        .reshape(4, -1)
        .mean(axis=1)
        for on in (False, True)
    )
    np.testing.assert_allclose(gain[1:], (blind - seen)[1:], rtol=0.2)


def test_an_array_reads_only_the_cells_that_are_to_be_verified():
    levels = load_device("nbsto_32um").scaled(1e-3).levels(4, 0.2)
    tile = Tile(2, 2, levels=levels, r_row=1e-3, r_col=1e-3, r_driver=1e-3, r_sense=1e-3)
    recipe = design_recipe(levels)
    target = levels.g[[[1, 2], [3, 1]]]
    on = np.eye(2, dtype=bool)
    population = Population(levels.device, 4, spread=Spread(d2d={}, c2c=2.0))
    writer, rng = WriteArray(tile, "half", population, rtol=1e-3), np.random.default_rng(2)
    found = program_array(writer, levels.x[0], target, recipe, rng, verified=on)
    assert found.reads[~on].max() == 0 < found.reads[on].min()
    assert (np.abs(found.error[on]) <= recipe.tolerance).all()
    assert np.abs(found.error[~on]).max() > recipe.tolerance
    inside = np.abs(found.error) <= recipe.tolerance
    np.testing.assert_array_equal(found.status == Status.REACHED, inside)
    # Without spread nothing needs to be read.
    exact = WriteArray(tile, "half", Population(levels.device, 4), rtol=1e-3)
    blind = program_array(exact, levels.x[0], target, recipe, rng, verified=False)
    assert blind.reads.max() == 0 < blind.pulses.sum()
    assert np.abs(blind.error).max() <= 1.5 * recipe.tolerance


def test_bad_choices_are_one_sentence(table, rng):
    with pytest.raises(InputError, match="share must be at least 0 and at most 1, got 2"):
        most([1.0], 2)
    with pytest.raises(InputError, match="numbers from 0"):
        most([-1.0], 0.5)
    with pytest.raises(InputError, match="whole levels of 0 to 3"):
        program_some(table, [4], True, rng)
