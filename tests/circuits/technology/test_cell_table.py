"""Write-verify on a technology's cells: what the loop promises, and what the table keeps of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.technology.recipe import RampRecipe
from memtwin.circuits.technology.table import load_cell_table, make_cell_table
from memtwin.circuits.technology.write import Tables, write
from memtwin.data.errors import InputError
from memtwin.devices.technology.population import Cells, Spreads, draw_cells
from memtwin.devices.technology.technology import Technology, load_technology

TECHNOLOGY = load_technology("rram_1t1r")
LEVELS = TECHNOLOGY.device().levels(8, 0.2, g_min=1e-5, g_max=1.3e-4)
RECIPE = RampRecipe(8.5e-6)


@pytest.fixture(scope="module")
def tables():
    return Tables(TECHNOLOGY, RECIPE)


@pytest.fixture(scope="module")
def table():
    return make_cell_table(TECHNOLOGY, LEVELS, RECIPE, samples=64, seed=3)


@settings(max_examples=15, deadline=None)
@given(target=st.floats(1e-5, 1.3e-4), start=st.floats(2e-6, 1.6e-4), seed=st.integers(0, 99))
def test_cells_that_count_as_written_are_in_their_band(tables, target, start, seed):
    rng = np.random.default_rng(seed)
    done = write(tables, draw_cells(40, rng), start, target, rng)
    far = np.abs(done.g - target)[done.reached]
    assert (far <= RECIPE.tolerance + 6.0 * RECIPE.verify_noise).all()
    pulses = done.sets + done.resets
    assert (done.reads == pulses + 1.0).all()  # one before the first and after every pulse
    assert (done.time == pytest.approx(
        1e-7 * done.sets + 1e-6 * done.resets + 1e-6 * done.reads
    ))  # fmt: skip
    assert (done.energy_high >= done.energy).all()
    assert (done.energy > done.read_energy)[pulses > 0.0].all()


def test_without_spread_a_seeded_write_takes_the_pulses_of_its_lead():
    quiet = Technology("quiet", TECHNOLOGY.set, Spreads(), cycled=TECHNOLOGY.cycled)
    recipe = RampRecipe(6e-6, verify_noise=0.0, lead=0.1, step=0.05)
    cells = Cells(np.zeros((4, 5)))
    target = np.array([3e-5, 5e-5, 7e-5, 9e-5, 1.1e-4])
    done = write(Tables(quiet, recipe), cells, 5e-6, target, np.random.default_rng(0))
    assert done.reached.all()
    assert (done.resets == 0.0).all()
    assert ((done.sets >= 1) & (done.sets <= 4)).all()


def test_a_full_ramp_costs_more_than_a_seeded_one_and_reaches_as_much():
    rng = np.random.default_rng(1)
    cells = draw_cells(600, rng)
    target = rng.choice(LEVELS.g, 600)
    found = {
        way: write(
            Tables(TECHNOLOGY, RampRecipe(8.5e-6, way=way, erase_first=way == "ramp")),
            cells,
            1e-5,
            target,
            np.random.default_rng(2),
        )
        for way in ("ramp", "seeded")
    }
    assert all(one.reached.mean() > 0.99 for one in found.values())
    assert found["ramp"].sets.mean() > 1.5 * found["seeded"].sets.mean()
    assert found["ramp"].resets.mean() > 1.0 > found["seeded"].resets.mean()


def test_narrow_bands_take_more_pulses_about_in_proportion():
    rng = np.random.default_rng(4)
    cells, mean = draw_cells(500, rng), {}
    for half in (2e-6, 4e-6, 8e-6):
        recipe = RampRecipe(half, verify_noise=3e-7)
        done = write(Tables(TECHNOLOGY, recipe), cells, 1e-5, 7e-5, np.random.default_rng(5))
        mean[half] = float((done.sets + done.resets).mean())
    assert mean[2e-6] > 1.5 * mean[4e-6] > 1.5 * 1.2 * mean[8e-6]


def test_reset_caps_give_up_cells_whose_band_they_never_meet(tables):
    rng = np.random.default_rng(6)
    done = write(tables, draw_cells(200, rng), 1.2e-4, 4e-5, rng, resets_max=1)
    assert done.resets.max() == 1.0
    assert not done.reached.all()


def test_a_table_keeps_distributions_and_prices_by_their_means(table, tmp_path):
    half, high, most = table.quantiles("pulses")
    assert ((half <= high) & (high <= most)).all()
    assert (np.diag(table.failing) == 0.0).all()
    pricing = table.pricing()
    low, up = np.array([0.0], np.float32), np.array([3.0], np.float32)
    cost = pricing.of(low, up)
    assert cost.energy == pytest.approx(table.energy[0, 3].mean(), rel=0.15)
    assert cost.pulses == pytest.approx(table.pulses[0, 3].mean())
    assert pricing.most(low, up, cost.energy) > cost.energy
    fraction = pricing.of(np.array([2.4], np.float32), np.array([2.5], np.float32))
    assert fraction.pulses >= 1.0
    assert np.isfinite(fraction.energy).all()
    again = load_cell_table(table.save(tmp_path / "t.h5"))
    assert (again.error == table.error).all()
    assert again.recipe == table.recipe


def test_errors_that_are_drawn_are_those_of_the_samples(table):
    law = table.programming
    rng = np.random.default_rng(0)
    for level in (1, 4):
        drawn = law.sample(np.full(40_000, table.g[level]), rng) - table.g[level]
        moved = np.arange(table.levels) != level
        kept = table.error[moved, level]
        assert np.quantile(drawn, (0.05, 0.5, 0.95)) == pytest.approx(
            np.quantile(kept, (0.05, 0.5, 0.95)), abs=4e-7
        )


def test_the_same_seed_gives_the_same_table(table):
    again = make_cell_table(TECHNOLOGY, LEVELS, RECIPE, samples=64, seed=3)
    assert (again.energy == table.energy).all()
    assert (again.error == table.error).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tolerance": 5e-7}, "drown"),
        ({"stop": 0.3}, "below its start"),
        ({"way": "backwards"}, "way"),
        ({"pw": 0.0}, "pw must be above 0"),
    ],
)
def test_what_is_no_recipe_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        RampRecipe(**{"tolerance": 4e-6, **change})


def test_levels_above_the_ramp_are_refused():
    high = TECHNOLOGY.device().levels(4, 0.2, g_min=1e-5, g_max=1.9e-4)
    with pytest.raises(InputError, match="end of the ramp"):
        make_cell_table(TECHNOLOGY, high, RECIPE, samples=2)


def test_a_technology_without_resets_says_so():
    bare = Technology("bare", TECHNOLOGY.set)
    with pytest.raises(InputError, match="--cycled"):
        write(Tables(bare, RECIPE), draw_cells(3, np.random.default_rng(0)), 1e-5, 5e-5,
              np.random.default_rng(0))  # fmt: skip
