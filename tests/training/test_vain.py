"""Writes that a device can't follow: what the controller spends on them, and what it learns."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.programming.design import design_recipe
from memtwin.circuits.programming.fractional_moves import make_vain
from memtwin.circuits.programming.population import Population
from memtwin.circuits.programming.recipe import Status
from memtwin.circuits.programming.verify import write
from memtwin.data.dataset import load_data
from memtwin.devices.device import load_device
from memtwin.devices.pulses.costs import Read, verified
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.pulses.pricing import LevelPricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.bad_cells import Limits
from memtwin.training.rules.baselines import ClosedLoopOptions
from memtwin.training.rules.quantise import Uniform
from memtwin.training.rules.rule import Writes
from memtwin.training.runs.build import levels_of, write_costs
from memtwin.training.runs.config import load_config
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.devices import Devices
from memtwin.training.twin.ledger import Ledger
from memtwin.training.twin.placement import Placement

F = np.float32
OPTIONS = TrainOptions(epochs=2, batch=20, decay=0.9)


@pytest.fixture(scope="module")
def levels():
    return levels_of(load_config("nbsto"))


@pytest.fixture(scope="module")
def costs(levels):
    return write_costs(load_config("nbsto"), levels)


class Stuck(Population):
    """Devices that conduct and don't move."""

    def behaviour(self, which=slice(None)):
        found = super().behaviour(which)
        rate = found.rate

        def still(v, x, part):
            moving, i = rate(v, x, part)
            return 0.0 * moving, i

        found.rate = still
        return found


@pytest.mark.parametrize("pulses", ["aimed", "climbing"])
def test_the_cost_is_that_of_a_loop_on_devices_that_do_not_move(levels, pulses):
    recipe = design_recipe(levels)
    if pulses == "climbing":
        recipe = replace(recipe, reach=None)
    vain = make_vain(levels, recipe)
    held, target = (k.ravel() for k in np.meshgrid(vain.start, vain.start))
    apart = np.abs(held - target) > 1.01 * recipe.tolerance
    held, target = held[apart], target[apart]
    population = Stuck(levels.device, held.size)
    x = population.states(held, levels.v_read)
    done = write(population, x, target, recipe, np.random.default_rng(0))
    assert np.all(done.status != Status.REACHED)
    found = vain.of(held, target)
    # Interpolated between distances, from which a rung or two more or less lead to the last one.
    for mine, theirs in (
        (found.pulses, done.pulses.sum(axis=1)),
        (found.pulses_up, done.pulses[:, 1]),
        (found.reads, done.reads),
        (found.energy, done.pulse_energy),
        (found.time, done.time - done.reads * recipe.read_time),
    ):
        np.testing.assert_allclose(mine, theirs, rtol=0.25, atol=1e-30)
        assert mine.sum() == pytest.approx(theirs.sum(), rel=0.03)
    assert found.pulses.min() >= recipe.patience
    np.testing.assert_allclose(found.reads, found.pulses + 1.0)


def devices(stuck=(), reach=None, count=8):
    """Devices of levels 0 to 4, some of them stuck at a level, or with a largest one."""
    effects = Effects(programming=0.0, stuck=0.5, reach=0.5)
    made = Devices((2, count // 2), low=1.0, high=5.0, quantiser=Uniform(5), effects=effects,
                   rng=np.random.default_rng(0))  # fmt: skip
    made._stuck[:], made._reach[:] = False, 4.0
    for place, level in dict(stuck).items():
        made._stuck[place], made._flat[place] = True, 1.0 + level
    for place, level in (reach or {}).items():
        made._reach[place] = level
    return made


def writes(device, before, level):
    return Writes(np.array(device), np.array(before, F), np.array(level, F), len(device))


def hand_costs():
    """Three pulses per level up, two down; 0.1 J and 0.5 s per read. The longest: 12 and 8."""
    step = np.subtract.outer(np.arange(5), np.arange(5))
    pulses = np.where(step < 0, -3.0 * step, 2.0 * step)
    return LevelPricing(verified(pulses, pulses, pulses), Read(0.1, 0.5))


def test_writes_that_fail_are_billed_as_a_hand_counts():
    array = devices(stuck={1: 0, 2: 4, 3: 0}, reach={4: 2.0, 5: 2.0})
    ledger = Ledger([Placement(2, 2, 2, 4)], hand_costs(), [array])
    # Sound; stuck below, above, and where it is told to go; out of reach from below, and at it.
    asked = writes([0, 1, 2, 3, 4, 5], [0, 1, 0, 2, 1, 3], [1, 3, 1, 0, 4, 4])
    cost = ledger.record(0, asked)
    pulses = [3, 12, 8, 0, 3 + 12, 12]
    reads = [4, 13, 9, 1, 4 + 13 - 1, 13]
    mine = ledger.devices[0]
    assert (mine.pulses_up + mine.pulses_down)[:6].tolist() == pulses
    assert mine.pulses_down[:6].tolist() == [0, 0, 8, 0, 0, 0]
    assert mine.reads[:6].tolist() == reads
    assert mine.energy[:6] == pytest.approx(np.add(pulses, 0.1 * np.array(reads)))
    assert mine.time[:6] == pytest.approx(np.add(pulses, 0.5 * np.array(reads)))
    assert (cost.pulses, cost.reads, cost.writes) == (sum(pulses), sum(reads), 6)
    assert ledger.failed(0, asked).tolist() == [False, True, True, False, True, True]
    blind = replace(asked, blind=0.3)
    assert ledger.failed(0, blind) is None
    plain = Ledger([Placement(2, 2, 2, 4)], hand_costs())
    assert ledger.estimate(0, blind) == plain.estimate(0, blind)
    assert plain.failed(0, asked) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_devices_that_follow_cost_what_they_did(pairs):
    before, level = zip(*pairs, strict=True)
    asked = writes(range(len(pairs)), before, level)
    known = Ledger([Placement(2, 2, 2, 4)], hand_costs(), [devices()])
    assert known.record(0, asked) == Ledger([Placement(2, 2, 2, 4)], hand_costs()).record(0, asked)
    assert not known.failed(0, asked).any()


def test_limits_are_learned_on_the_side_that_failed():
    limits = Limits(3, 4)
    failed = np.array([True, True, False])
    limits.learn(writes([0, 1, 2], [0, 4, 1], [3, 1, 2]), np.array([1.9, 4.0, 2.1], F), failed)
    asked = np.array([4.0, 0.0, 4.0], F)
    np.testing.assert_array_equal(limits.clip(np.arange(3), asked), [2.0, 4.0, 4.0])
    np.testing.assert_array_equal(limits.clip(np.arange(3), np.zeros(3, F)), [0.0, 4.0, 0.0])
    other = Limits(3, 4)
    other.restore(limits.state())
    np.testing.assert_array_equal(other.clip(np.arange(3), asked), [2.0, 4.0, 4.0])


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def trained(digits, costs, effects, **changes):
    tile = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))
    crossbar = Crossbar(tile, effects, MappingOptions(clip=5.0))
    twin = build_twin(mlp(64, 16, 10), crossbar, Ideal)
    trainer = Trainer(twin, digits, replace(OPTIONS, **changes), costs, seed=3)
    for _ in range(2):
        trainer.run_epoch()
    return trainer


def stuck_of(trainer, k=0):
    matrix = trainer.twin.matrices[k]
    return matrix.devices._stuck[matrix.placement.places]


STUCK = Effects(stuck=0.1, stuck_high=0.5)


def test_stuck_devices_cost_all_patience_at_every_vain_write(digits, costs):
    found = trained(digits, costs, STUCK, spare_failed=False)
    stuck, mine = stuck_of(found), found.ledger.devices[0]
    pulses = mine.pulses_up + mine.pulses_down
    at = stuck & (mine.writes > 0)
    # Of the writes to a stuck device those to the level that it has need no pulse.
    assert pulses[at].sum() > 0.4 * 8 * mine.writes[at].sum()
    assert np.all(mine.reads[at] == pytest.approx(pulses[at] + mine.writes[at]))
    sound = trained(digits, costs, Effects(), spare_failed=False).ledger.devices[0]
    each = (sound.pulses_up + sound.pulses_down).sum() / sound.writes.sum()
    assert pulses[at].sum() / mine.writes[at].sum() > 2.0 * each


def test_failed_devices_are_asked_no_more_for_what_they_cannot_reach(digits, costs):
    spared = trained(digits, costs, STUCK)
    vain = trained(digits, costs, STUCK, spare_failed=False)
    stuck = stuck_of(spared)
    # A stuck device is written once in vain, before training or in it; then it is known.
    assert spared.ledger.devices[0].writes[stuck].max() <= 1
    assert vain.ledger.devices[0].writes[stuck].max() > 5
    for one in (spared, vain):
        held = one.twin.matrices[0].levels()[stuck]
        assert set(np.rint(held).tolist()) == {0.0, 15.0}
    accuracies = [one.records[-1].test_accuracy for one in (spared, vain)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.05)


def test_the_closed_loop_learns_as_well(digits, costs):
    results = {
        spare: trained(
            digits,
            costs,
            STUCK,
            rule="closed loop",
            rule_options=ClosedLoopOptions(spare_failed=spare),
        )
        for spare in (True, False)
    }
    for found in results.values():
        record = found.records[0]
        assert record.cost.writes == record.closed_loop.writes
        # The estimate from sampled batches is that of the real thing.
        assert record.closed_loop.pulses == pytest.approx(record.cost.pulses, rel=0.1)
    pulses = {spare: found.records[0].cost.pulses for spare, found in results.items()}
    assert pulses[False] > 1.3 * pulses[True]


def test_a_device_out_of_reach_is_written_up_to_its_reach_and_down_again(digits, costs):
    found = trained(digits, costs, Effects(programming=0.0, read=0.0, reach=0.5))
    matrix, update = found.twin.matrices[0], found.updates[0]
    reach = matrix.devices._reach[matrix.placement.places]
    low, high = update._limits.low, update._limits.high
    assert np.all(low == 0.0)
    learned = high < 15.0
    assert learned.any()
    np.testing.assert_array_equal(high[learned], np.floor(reach[learned] + 0.25))
    codes = update.codes.ravel()
    told = np.stack([np.maximum(codes, 0.0), np.maximum(-codes, 0.0)], axis=-1).ravel()
    held = matrix.levels()
    # Where the write that failed has left it, or at the highest whole level that it is known for.
    assert np.all(held >= np.minimum(told, high) - 0.2501)
    assert np.all(held <= np.where(told >= high, reach, np.minimum(told, reach)) + 1e-4)


def test_the_option_is_in_the_configuration():
    for rule in ("closed loop", "siamese"):
        config = load_config("nbsto", [f"training.rule={rule}", "training.spare_failed=false"])
        assert not config.training.of_rule.spare_failed


def test_a_device_without_a_recipe_is_given_up_after_the_longest_write():
    device = load_device("nbsto_32um")
    g = [float(device.conductance(x, 0.2)) for x in (0.1, 0.8)]
    made = device.levels(4, 0.2, g_min=g[0], g_max=g[1])
    nominal = nominal_pricing(made.count)
    found = nominal.of_limited(np.array([0, 3], F), np.array([0, 3], F), np.array([1, 2], F))
    assert found.pulses.tolist() == [nominal.table.pulses[0, 3], nominal.table.pulses[3, 0]]
