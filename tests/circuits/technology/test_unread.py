"""Writes of cells that nobody reads, against the closed loop of quiet cells and pulses given one by one."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.technology.recipe import RampRecipe
from memtwin.circuits.technology.table import load_cell_table, make_cell_table
from memtwin.circuits.technology.write import Tables, write
from memtwin.devices.technology.population import Cells, Spreads, draw_cells
from memtwin.devices.technology.reset import LogNormal
from memtwin.devices.technology.technology import Technology, load_technology
from memtwin.training.runs.chip import cell_table

TECHNOLOGY = load_technology("rram_1t1r")
LEVELS = TECHNOLOGY.device().levels(8, 0.2, g_min=1e-5, g_max=1.3e-4)
RECIPE = RampRecipe(8.5e-6)
CYCLED = TECHNOLOGY.cycled
QUIET = Technology(
    "quiet",
    TECHNOLOGY.set,
    Spreads(),
    reset=TECHNOLOGY.reset,
    cycled=replace(CYCLED, level=LogNormal(CYCLED.level.g, 0.0), failed=0.0),
)


@pytest.fixture(scope="module")
def table():
    return make_cell_table(TECHNOLOGY, LEVELS, RECIPE, seed=3)


@pytest.mark.parametrize("way", ["seeded", "ramp"])
def test_quiet_cells_get_the_pulses_of_their_closed_loop_and_end_where_that_does(way):
    recipe = RampRecipe(8.5e-6, way=way, verify_noise=0.0, erase_first=way == "ramp")
    unread = make_cell_table(QUIET, LEVELS, recipe, samples=3).unread
    a, b = (k.reshape(-1) for k in np.indices((8, 8)))
    a, b = a[a != b], b[a != b]
    cells = Cells(np.zeros((4, len(a))))
    rng = np.random.default_rng(0)
    done = write(Tables(QUIET, recipe), cells, LEVELS.g[a], LEVELS.g[b], rng)
    assert done.reached.all()
    found = unread.of(a, b)
    np.testing.assert_array_equal(found.pulses_up, done.sets)
    np.testing.assert_array_equal(found.pulses, done.sets + done.resets)
    np.testing.assert_allclose(found.time, 1e-7 * done.sets + 1e-6 * done.resets)
    np.testing.assert_allclose(found.energy, done.energy - done.read_energy, rtol=0.03)
    np.testing.assert_allclose(unread.most(a, b), done.energy_high - done.read_energy, rtol=0.03)
    missed = unread.sample(a, b, LEVELS.g[a], rng)
    np.testing.assert_allclose(missed, done.g - LEVELS.g[b], atol=2e-8)


@pytest.mark.parametrize(("start", "target"), [(2, 3), (0, 6), (5, 2), (7, 0)])
def test_cells_end_as_those_do_that_are_given_the_pulses_one_by_one(table, start, target):
    unread, rng, count = table.unread, np.random.default_rng(5), 20_000
    plan = unread.plan[start, target]
    cells, g = draw_cells(count, rng), np.full(count, LEVELS.g[start])
    energy = 0.0
    for _ in range(int(unread.resets[plan])):
        energy += TECHNOLOGY.reset_energy(g, CYCLED.v_sl, CYCLED.pw)[0].mean()
        level = CYCLED.level.g * 10.0 ** (CYCLED.level.decades * rng.standard_normal(count))
        g = np.where(rng.random(count) < CYCLED.failed, g, np.minimum(level, g))
    law = TECHNOLOGY.table([RECIPE.other], (RECIPE.start, RECIPE.stop), (RECIPE.pw, RECIPE.pw))
    ramp = RECIPE.rungs[Tables(TECHNOLOGY, RECIPE).seed(LEVELS.g[[target]])[0] :]
    for v_wl in ramp[: int(unread.sets[plan])]:
        g = TECHNOLOGY.set_pulse(law, cells, g, v_wl, RECIPE.other, RECIPE.pw, rng)
        energy += TECHNOLOGY.energy(g, v_wl, RECIPE.other, RECIPE.pw)[0].mean()
    a, b = np.full(count, start), np.full(count, target)
    ends = unread.sample(a, b, LEVELS.g[a], rng) + LEVELS.g[target]
    shares = (0.1, 0.25, 0.5, 0.75)
    # 256 samples know a median to 1 uS here, outer quantiles to twice as much, failed RESETs to 2 %.
    assert np.quantile(ends, shares) == pytest.approx(np.quantile(g, shares), abs=3.5e-6)
    assert np.median(ends) == pytest.approx(np.median(g), abs=2e-6)
    far = LEVELS.g[target] + 4e-5
    assert (ends > far).mean() == pytest.approx((g > far).mean(), abs=0.05)
    assert unread.of(a[:1], b[:1]).energy == pytest.approx(energy, rel=0.05)
    assert unread.most(a[:1], b[:1]) > 1.2 * unread.of(a[:1], b[:1]).energy


def test_sets_lower_no_cell_and_resets_fail_as_often_as_measured(table):
    unread, rng = table.unread, np.random.default_rng(0)
    held = rng.uniform(5e-6, 1.6e-4, 20_000)
    up, down = (np.full(20_000, level) for level in (3, 4))
    after = held + unread.sample(up, down, held, rng) + LEVELS.g[4] - LEVELS.g[3]
    assert (after >= held - 1e-9).all()
    high = held > 1.1e-4
    assert np.allclose(after[high], held[high], atol=2e-6)
    # Downwards a cell keeps what it had where the RESET failed, and forgets it else.
    after = held + unread.sample(down + 3, up - 2, held, rng) + LEVELS.g[1] - LEVELS.g[7]
    kept = np.abs(after - held)[high] < 2e-6
    assert kept.mean() == pytest.approx(CYCLED.failed, abs=0.04)
    assert np.quantile(after[high][~kept], 0.95) < LEVELS.g[3]


def test_what_was_gathered_is_mostly_forgotten(table):
    unread = table.unread
    a, b = np.array([3, 4]), np.array([4, 3])
    fresh, left = unread.squares(a, b, np.zeros(2))
    again, _ = unread.squares(a, b, fresh)
    assert (left < 0.25 * fresh).all()
    assert (fresh < again).all()
    assert (again < 1.5 * fresh).all()  # where errors add up it would be twice as much
    np.testing.assert_allclose(left, np.mean(np.square(table.error[a, b]), axis=-1), rtol=1e-5)


def test_a_reset_from_higher_up_takes_more(table):
    one, two = (table.unread.of([5], [2], [stands]).energy for stands in (5.0, 8.5))
    rise = TECHNOLOGY.reset_energy(3.5 * LEVELS.step, CYCLED.v_sl, CYCLED.pw)[0]
    assert two - one == pytest.approx(rise, rel=0.1)


def test_a_table_keeps_unread_writes_and_one_of_before_gets_them(table, tmp_path):
    kept = load_cell_table(table.save(tmp_path / "table.h5"))
    old = tmp_path / "old.h5"
    replace(table, unread=None).save(old)
    assert load_cell_table(old).unread is None
    anew = cell_table(TECHNOLOGY, LEVELS, 0.5, "seeded", seed=9, path=old)
    for other in (kept, anew):
        np.testing.assert_array_equal(other.unread.ends, table.unread.ends)
        np.testing.assert_array_equal(other.unread.plan, table.unread.plan)
        np.testing.assert_array_equal(other.unread.energy_high, table.unread.energy_high)
    assert table.summary()["unread_error_rms_steps"] > 3.0 * table.summary()["error_rms_steps"]


def test_ramps_of_resets_are_planned_as_far_as_the_median_cell_needs_them():
    recipe = RampRecipe(8.5e-6, way="ping-pong")
    unread = make_cell_table(TECHNOLOGY, LEVELS, recipe, samples=64).unread
    plan = unread.plan[6, 2]
    g, count, chance = LEVELS.g[6], 0, 0.0
    while chance < 0.5:
        v_sl = recipe.sl_start + recipe.sl_step * count
        chance = TECHNOLOGY.reset.probability(g, CYCLED.v_wl, v_sl, CYCLED.pw)
        chance = 1.0 if v_sl >= CYCLED.v_sl else chance
        g, count = g + TECHNOLOGY.reset.gain(CYCLED.v_wl, v_sl, CYCLED.pw), count + 1
    assert unread.resets[plan] == count
    assert (unread.resets[unread.plan[2, 3:]] == 0.0).all()
