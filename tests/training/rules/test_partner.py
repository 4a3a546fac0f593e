"""Pairs whose partner need not rest: cheapest ways, and devices that fail."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.bad_cells import Limits
from memtwin.training.rules.budgeted import Budgeted, BudgetedOptions
from memtwin.training.rules.optim import Sgd
from memtwin.training.rules.partners import FreePairs
from memtwin.training.rules.quantise import Coding, Nonuniform, Uniform
from memtwin.training.rules.rule import Start, Writes
from memtwin.training.rules.siamese import Siamese, SiameseOptions
from memtwin.training.runs.config import load_config
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

EVEN = Coding(Uniform(8), clip=1.4)
TOP = EVEN.top


def energy_of(up, down):
    return lambda before, after: np.where(after > before, up, down) * np.abs(after - before)


def start_at(weights, energy, coding=EVEN):
    weights = np.asarray(weights, np.float32)
    return Start(weights, coding, Sgd(weights.shape, 0.0), energy=energy)


def ways_of(code):
    """Every pair of levels that a code has."""
    return [(p, p - code) for p in range(TOP + 1) if 0 <= p - code <= TOP]


@settings(deadline=None, max_examples=24)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(1.0, 1000.0), (1000.0, 1.0), (1.0, 1.1)]),
    st.sampled_from([None, 3]),
)
def test_pairs_hold_their_codes_and_no_single_write_would_be_cheaper(seed, prices, write_limit):
    rng = np.random.default_rng(seed)
    energy = energy_of(*prices)
    rule = Siamese(
        start_at(rng.normal(size=(6, 5)) * 0.5, energy),
        SiameseOptions(partner="free", write_limit=write_limit),
    )
    levels, counts = np.zeros((30, 2), np.float32), np.zeros((30, 2), int)
    first = rule.first()
    levels.reshape(-1)[first.device] = first.level
    for _ in range(8):
        writes = rule.step(rng.normal(size=(6, 5)).astype(np.float32), 0.3)
        rule.verify(writes, writes.level, np.zeros(len(writes), bool))
        held = levels.copy()
        np.testing.assert_array_equal(levels.reshape(-1)[writes.device], writes.before)
        levels.reshape(-1)[writes.device] = writes.level
        counts.reshape(-1)[writes.device] += 1
        assert levels.min() >= 0
        assert levels.max() <= TOP
        np.testing.assert_array_equal(levels[:, 0] - levels[:, 1], rule.codes.ravel())
        if write_limit:
            assert counts.max() <= write_limit
            continue
        for k in np.unique(writes.device >> 1):
            paid = energy(held[k], levels[k]).sum()
            single = [
                energy(held[k], np.array(way)).sum()
                for way in ways_of(int(rule.codes.ravel()[k]))
                if (np.array(way) == held[k]).any()
            ]
            assert paid <= min(single, default=np.inf) + 1e-9


def test_a_weight_that_goes_to_and_fro_is_only_set_until_its_pair_is_full():
    rule = Siamese(
        start_at(np.zeros((1, 1)), energy_of(1.0, 100.0)), SiameseOptions(partner="free")
    )
    seen = []
    for k in range(2 * TOP + 1):
        push = np.full((1, 1), -1.0 if k % 2 == 0 else 1.0, np.float32)
        writes = rule.step(push * np.float32(EVEN.step), 1.0)
        seen.append((writes.device.tolist(), writes.before.tolist(), writes.level.tolist()))
    # Plus and minus in turn are raised to the top; there the partner goes down again.
    assert all(device == [k % 2] and b < a for k, (device, (b,), (a,)) in enumerate(seen[:-1]))
    assert seen[-1] == ([1], [TOP], [TOP - 1.0])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.0, 0.6))
def test_the_partner_makes_up_for_stuck_devices(seed, share):
    """A controller that knows bad cells comes as near to the weights as any levels would."""
    rng = np.random.default_rng(seed)
    wanted = rng.uniform(-1.4, 1.4, (8, 5)).astype(np.float32)
    rule = Siamese(start_at(wanted, energy_of(1.0, 2.0)), SiameseOptions(partner="free"))
    stuck = rng.random(80) < share
    truth = np.where(stuck, rng.integers(0, TOP + 1, 80), 0).astype(np.float32)

    def write(writes):
        at = writes.device
        truth[at] = np.where(stuck[at], truth[at], writes.level)
        rule.verify(writes, truth[at], truth[at] != writes.level)

    write(rule.first())
    for _ in range(6):
        write(rule.step(np.zeros_like(wanted), 1.0))
    plus, minus = truth.reshape(-1, 2).T
    found = np.abs(plus - minus - np.rint(wanted.ravel() / np.float32(EVEN.step)))
    for k, (p, m) in enumerate(stuck.reshape(-1, 2)):
        choice = [
            (a, b)
            for a in ([plus[k]] if p else range(TOP + 1))
            for b in ([minus[k]] if m else range(TOP + 1))
        ]
        best = min(abs(a - b - np.rint(wanted.ravel()[k] / EVEN.step)) for a, b in choice)
        assert found[k] <= best + 1e-6
    assert len(rule.step(np.zeros_like(wanted), 1.0)) == 0  # and then lets them be


def test_limits_bound_what_a_pair_can_hold():
    limits = Limits(4, TOP)
    pairs = FreePairs(np.array([2.0, -1.0], np.float32), energy_of(1.0, 1.0), limits, TOP)
    wanted = np.array([-9.0, 9.0], np.float32)
    pairs.within(wanted)
    np.testing.assert_array_equal(wanted, [-9.0, 9.0])  # nothing is known to fail
    failed = Writes(np.array([0]), np.array([2.0]), np.array([5.0]), 1)
    limits.learn(failed, np.array([3.0], np.float32), np.array([True]))
    pairs.within(wanted)
    np.testing.assert_array_equal(wanted, [-7.0, 7.0])
    wanted = np.array([9.0, 0.0], np.float32)
    pairs.within(wanted)
    assert wanted[0] == 3.0


def test_what_a_free_partner_needs_is_said():
    weights = np.zeros((1, 2), np.float32)
    with pytest.raises(InputError, match="chosen by the energy of writes"):
        Siamese(Start(weights, EVEN, Sgd((1, 2), 0.0)), SiameseOptions(partner="free"))
    uneven = Coding(Nonuniform((0.0, 0.5, 1.2, 3.0)), clip=1.4)
    with pytest.raises(InputError, match="needs evenly spaced levels"):
        Siamese(start_at(weights, energy_of(1, 1), uneven), SiameseOptions(partner="free"))
    with pytest.raises(InputError, match="partner"):
        SiameseOptions(partner="lazy")


TILE = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))


def asymmetric():
    """Writes whose way down takes fifty times the energy of the way up."""
    pricing = nominal_pricing(16)
    down = np.tril(np.full((16, 16), 49.0), -1) + 1.0
    return replace(pricing, table=pricing.table._replace(energy=pricing.table.energy * down))


def trainer_by(rule="budgeted", effects=None, **changes):
    crossbar = Crossbar(TILE, effects or Effects(), MappingOptions(clip=5.0))
    chosen = TrainOptions(epochs=3, batch=20, decay=0.8, rule=rule, **changes)
    twin = build_twin(mlp(64, 32, 10), crossbar, Ideal)
    return Trainer(twin, load_data("digits"), chosen, asymmetric(), seed=3)


def test_a_training_with_free_partners_saves_energy_learns_and_goes_on_bit_for_bit(tmp_path):
    stuck = Effects(stuck=0.02)
    free = [
        trainer_by(effects=stuck, partner="free", rule_options={"least": 8, "gather": 0.1})
        for _ in range(3)
    ]
    whole, broken, resumed = free
    for _ in range(2):
        whole.run_epoch()
    broken.run_epoch()
    save_checkpoint(tmp_path / "c.h5", broken)
    load_checkpoint(tmp_path / "c.h5", resumed)
    resumed.run_epoch()
    for one, other in zip(whole.updates, resumed.updates, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        np.testing.assert_array_equal(one.codes, other.codes)
    assert [each.cost for each in whole.records] == [each.cost for each in resumed.records]
    assert whole.records[-1].test_accuracy > 0.7
    resting = trainer_by(effects=stuck, rule_options={"least": 8})
    resting.run_epoch()
    # The same budget, at a fraction of the energy.
    assert whole.records[0].cost.energy < 0.1 * resting.records[0].cost.energy


def test_gathered_weights_share_lines_and_keep_the_budget(rng):
    """Of as many changes, those that are gathered lie on fewer rows of tiles."""
    lines = {}
    for gather in (0.0, 5.0):
        options = BudgetedOptions(budget=0.05, least=1, gather=gather, fade=0.0)
        rule = Budgeted(replace(start_at(np.zeros((40, 32)), None), line=16), options)
        push = 0.3 * np.random.default_rng(1).normal(size=(40, 32)).astype(np.float32)
        writes = rule.step(push, 1.0)
        weight = writes.device >> 1
        assert writes.weights == 64 == rule.room(1.0)
        lines[gather] = len(np.unique(2 * (weight // 32) + weight % 32 // 16))
    assert lines[5.0] < 0.5 * lines[0.0]


def test_a_zero_cost_way_is_no_reason_to_write():
    pairs = FreePairs(np.array([2.0], np.float32), lambda b, a: 0.0 * b, None, TOP)
    before, after = pairs.plan(np.array([0]), np.array([2.0], np.float32))
    np.testing.assert_array_equal(before, after)


def test_the_option_is_reached_from_configurations():
    config = load_config("mlp", ["training.rule=budgeted", "training.partner=free"])
    assert config.training.of_rule == BudgetedOptions(partner="free")
