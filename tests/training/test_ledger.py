"""Write costs and the ledger against sums done by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.programming.design import design_recipe
from memtwin.circuits.programming.population import Spread
from memtwin.circuits.programming.table import make_table
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.pulses.costs import Costs, Read, verified
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.pulses.open_loop import open_loop_costs
from memtwin.devices.pulses.pricing import LevelPricing
from memtwin.training.rules.rule import Writes
from memtwin.training.twin import ledger as ledgers
from memtwin.training.twin.cost import Cost
from memtwin.training.twin.ledger import Ledger
from memtwin.training.twin.placement import Placement

LEVELS = 5
UP, DOWN = 3.0, 2.0


def linear_costs():
    """Three pulses per level up, two down; 1 J and 1 s per pulse, 0.1 J and 0.5 s per read."""
    step = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS))
    pulses = np.where(step < 0, -step * UP, step * DOWN)
    return LevelPricing(verified(pulses, pulses, pulses), Read(0.1, 0.5))


def writes(device, before, level, weights=0):
    return Writes(
        np.array(device), np.array(before, np.float32), np.array(level, np.float32), weights
    )


def test_an_update_costs_what_a_hand_counts():
    # One tile row holds weights (i, 0) and (i, 1): devices 4 i .. 4 i + 3.
    ledger = Ledger([Placement(2, 2, 2, 4)], linear_costs())
    cost = ledger.record(0, writes([0, 1, 2, 4], [0, 3, 1, 2], [2, 0, 2, 0], 3))
    pulses = [2 * UP, 3 * DOWN, UP, 2 * DOWN]
    times = [p + 0.5 * (p + 1) for p in pulses]
    assert cost.writes == 4
    assert cost.weights == 3
    assert cost.pulses == sum(pulses)
    assert cost.reads == sum(pulses) + 4
    assert cost.energy == pytest.approx(sum(p + 0.1 * (p + 1) for p in pulses))
    assert cost.time == pytest.approx(sum(times))
    # Row 0 moves up (devices 0, 2) and down (1); row 1 down (4).
    assert cost.row_time == pytest.approx(max(times[0], times[2]) + times[1] + times[3])
    assert cost.pulses_up == pulses[0] + pulses[2]
    devices = ledger.devices[0]
    assert devices.writes.tolist() == [1, 1, 1, 0, 1, 0, 0, 0]
    assert devices.pulses_up.tolist() == [pulses[0], 0, pulses[2], 0, 0, 0, 0, 0]
    assert devices.pulses_down.tolist() == [0, pulses[1], 0, 0, pulses[3], 0, 0, 0]
    assert devices.time[[0, 1, 2, 4]].tolist() == times
    for name in ("reads", "energy", "time"):
        assert getattr(devices, name).sum() == pytest.approx(getattr(cost, name))
    assert ledger.close_epoch() == cost
    assert ledger.epoch == Cost()


def test_updates_summed_together_cost_what_they_do_one_by_one(monkeypatch):
    monkeypatch.setattr(ledgers, "TOGETHER", 7)  # some are summed up on the way, some at the end
    alone, together = (Ledger([Placement(2, 2, 2, 4)], linear_costs()) for _ in range(2))
    rng = np.random.default_rng(0)
    for _ in range(20):
        device = rng.permutation(8)[: rng.integers(0, 5)]
        before, level = rng.integers(0, LEVELS, (2, len(device)))
        update = writes(device, before, level, len(device))
        alone.record(0, update)
        together.enter(0, update)
        update.device[:] = update.level[:] = 0  # whoever made it may use its arrays again
    for name, sums in vars(alone.devices[0]).items():
        np.testing.assert_array_equal(getattr(together.devices[0], name), sums)
    assert together.close_epoch().values() == pytest.approx(alone.close_epoch().values())
    together.enter(0, replace(writes([0], [0], [1]), reads=8))  # rows are read: counted at once
    assert together.epoch.reads == UP + 1 + 8


class Flat:
    """A pulse per write, whatever its way: 2 J and 3 s; reads of 1 J and 5 s."""

    levels, source, read = LEVELS, "by hand", Read(1.0, 5.0)

    def of(self, before, after, *, verify=True):
        one = np.ones(len(before))
        reads = 2.0 * one * verify
        return Costs(one, one * (after > before), reads, 2.0 * one + reads, 3.0 * one + 5.0 * reads)

    def of_limited(self, start, end, target):
        return self.of(start, target).each(lambda sums: 10.0 * sums)

    def missed(self, end, target):
        return end != target


def test_the_ledger_sums_what_any_pricing_says():
    ledger = Ledger([Placement(2, 2, 2, 4)], Flat())
    asked = writes([0, 1, 4], [0, 3, 2], [2, 1, 0], 2)
    cost = ledger.record(0, replace(asked, reads=8))
    # Two devices of row 0 move apart, one of row 1 moves down; all eight are read, two rows at once.
    assert cost == Cost(3, 2, 3, 1, 6 + 8, 3 * 4 + 8 * 1, 3 * 13 + 8 * 5, 3 * 13 + 2 * 5, 20)
    assert ledger.devices[0].energy.tolist() == [5, 5, 1, 1, 5, 1, 1, 1]
    blind = ledger.estimate(0, replace(asked, blind=0.1))
    assert (blind.reads, blind.energy, blind.time) == (0, 6, 9)


@given(st.floats(0.0, 4.0), st.floats(0.0, 4.0))
def test_fractional_levels_cost_their_share_of_pulses_but_at_least_one(before, after):
    costs = linear_costs()
    pulses, up, _, energy, time = costs.of(
        np.array([before, 0.25], np.float32), np.array([after, 0.3], np.float32)
    )
    change = float(np.float32(after)) - float(np.float32(before))
    exact = change * UP if change > 0 else -change * DOWN
    assert max(exact, 1.0) - 1e-6 <= pulses[0] <= max(exact + 1.0, 1.0)
    assert pulses[1] == up[1] == 1.0
    assert up[0] == (0.0 if change < 0.0 else pulses[0])
    assert energy[0] == pytest.approx(pulses[0] + 0.1 * (pulses[0] + 1))
    assert time[0] == pytest.approx(pulses[0] + 0.5 * (pulses[0] + 1))


def test_whole_levels_are_looked_up():
    table = np.arange(9.0).reshape(3, 3)
    costs = LevelPricing(verified(table, 10 * table, 100 * table), Read(0.0, 0.0))
    pulses, up, _, energy, time = costs.of(
        np.array([0, 2], np.float32), np.array([2, 1], np.float32)
    )
    assert pulses.tolist() == [2.0, 7.0]
    assert up.tolist() == [2.0, 0.0]
    assert energy.tolist() == [20.0, 70.0]
    assert time.tolist() == [200.0, 700.0]


def test_nominal_costs_of_uneven_levels_are_those_of_their_conductances():
    fine, g = nominal_pricing(101), np.array([1.0, 1.01, 1.1, 1.5, 2.0])
    costs, at = nominal_pricing(5, g_levels=g), np.array([0, 1, 10, 50, 100])
    np.testing.assert_array_equal(costs.table.pulses, fine.table.pulses[np.ix_(at, at)])
    # Reached is what lies within a quarter of a mean step, whatever the levels.
    end, target = np.array([0.0, 3.0, 3.0], np.float32), np.array([1.0, 4.0, 3.2], np.float32)
    assert costs.missed(end, target).tolist() == [False, True, True]
    with pytest.raises(InputError, match="expected 4 g_levels"):
        nominal_pricing(4, g_levels=g)


def test_nominal_costs_say_so_and_rise_with_the_distance():
    costs = nominal_pricing(16)
    assert "no device data" in costs.source
    assert costs.table.pulses[0, 15] == 100
    assert np.all(np.diff(costs.table.pulses[0]) > 0)
    assert np.all(np.diff(costs.table.pulses[15]) < 0)
    assert not costs.table.pulses.diagonal().any()


def test_costs_add_and_compare():
    cost = Cost(1, 2, 3, 2, 4, 5, 6, 7)
    assert cost + cost == cost.times(2.0)
    removed = cost.removed(cost.times(4.0))
    assert set(removed.values()) == {75.0}
    assert cost.removed(Cost())["writes"] == 0.0


def test_endurance_projection_looks_at_the_most_written():
    ledger = Ledger([Placement(10, 10, 10, 20)], linear_costs())
    assert ledger.epochs_to_limit(1e6, 1) == float("inf")
    for _ in range(4):
        ledger.record(0, writes([7], [0], [1], 1))
    # 0.1 % of 200 devices is one device, written 4 times in 2 epochs.
    assert ledger.epochs_to_limit(1e6, 2) == pytest.approx(5e5)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.zeros((2, 3)), "square"),
        (np.array([[0.0, np.nan], [1.0, 0.0]]), "pulse response that reaches"),
        (np.array([[0.0, -1.0], [1.0, 0.0]]), "not negative"),
    ],
)
def test_bad_tables_are_said(table, words):
    with pytest.raises(InputError, match=words):
        LevelPricing(verified(table, table, table), Read(0.0, 0.0))


@pytest.mark.parametrize("wrong", [np.inf, np.nan, -1.0])
def test_a_read_that_takes_no_finite_time_or_energy_is_refused(wrong):
    table = verified(*np.zeros((3, 2, 2)))
    with pytest.raises(InputError, match="read_time must be a number from 0"):
        LevelPricing(table, Read(0.0, wrong))
    with pytest.raises(InputError, match="read_energy must be a number from 0"):
        LevelPricing(table, Read(wrong, 0.0))


@pytest.fixture(scope="module")
def levels():
    device = load_device("nbsto_32um")
    g = [float(device.conductance(x, 0.2)) for x in (0.1, 0.8)]
    return device.levels(4, 0.2, g_min=g[0], g_max=g[1])


def test_costs_of_a_write_verify_table_are_the_table(levels):
    table = make_table(levels, design_recipe(levels), Spread(), samples=4, seed=0)
    costs = table.pricing()
    a, b = (index.ravel() for index in np.indices((4, 4)))
    pulses, up, reads, energy, time = costs.of(a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_array_equal(pulses, table.pulses.ravel())
    # Writes overshoot now and then, and come back; but most pulses go where the write goes.
    assert np.all(up <= pulses)
    assert np.all(up[a < b] > 0.5 * pulses[a < b])
    assert np.all(up[a > b] < 0.5 * pulses[a > b])
    np.testing.assert_array_equal(reads, table.reads.ravel())
    # Reads cost the same at every level here; in the table they follow the conductance.
    np.testing.assert_allclose(energy.sum(), table.energy.sum(), rtol=1e-6)
    np.testing.assert_allclose(time, table.time.ravel(), rtol=1e-6)
    assert "nbsto_32um" in costs.source


def test_costs_of_a_device_are_its_own_pulses(levels):
    found = open_loop_costs(levels, count=16)
    costs = found.pricing(read_time=1e-6)
    pulses, _, reads, energy, _ = costs.of(np.array([0], np.float32), np.array([3], np.float32))
    assert pulses[0] == found.costs.pulses[0, 3]
    assert reads[0] == pulses[0] + 1
    middle = 0.5 * (levels.g[0] + levels.g[-1])
    assert energy[0] == pytest.approx(found.costs.energy[0, 3] + reads[0] * 0.04 * middle * 1e-6)
