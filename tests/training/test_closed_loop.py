"""The closed loops that a training is set against: what they write, and that they cost what they are
said to.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.data.records.store import pack, unpack
from memtwin.devices.pulses.costs import Costs, Read, step_over_gentlest
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.pulses.pricing import LevelPricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.baselines import ClosedLoopOptions
from memtwin.training.trainer.closed_loop import BASELINES, Share, closed_loops
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.results import EpochRecord
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

TILE = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))
COSTS = nominal_pricing(16)
OPTIONS = TrainOptions(epochs=1, batch=20, rule="closed loop")


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def twin(effects=None):
    crossbar = Crossbar(TILE, effects or Effects(), MappingOptions(clip=5.0))
    return build_twin(mlp(64, 32, 10), crossbar, Ideal)


@pytest.mark.parametrize(
    ("skip", "baseline"),
    [
        ("nothing", "closed_loop"),
        ("resting", "closed_loop_not_resting"),
        ("unmoved", "closed_loop_moved"),
    ],
)
def test_a_baseline_costs_what_training_by_it_costs(digits, skip, baseline):
    options = replace(OPTIONS, rule_options=ClosedLoopOptions(skip=skip))
    result = train(twin(), digits, options, COSTS, seed=3)
    record = result.records[0]
    estimate = record.baselines()[baseline]
    for name in ("writes", "weights", "pulses", "energy", "row_time"):
        done = getattr(record.cost, name)
        assert getattr(estimate, name) == pytest.approx(done, rel=0.1), name
    assert result.accuracy > 0.75


def test_each_baseline_writes_less_than_the_one_before(digits):
    record = train(twin(), digits, replace(OPTIONS, rule="siamese"), COSTS, seed=3).records[0]
    known = record.baselines()
    assert list(known) == list(BASELINES)
    costs = list(known.values())
    for more, less in pairwise(costs):
        for name in ("writes", "pulses", "reads", "energy", "time", "row_time"):
            assert getattr(less, name) <= getattr(more, name), name
    # Half of all partners rest, give or take the weights that change their sign.
    assert known["closed_loop_not_resting"].writes == pytest.approx(0.5 * costs[0].writes, rel=0.05)
    row = record.summary()
    for name in BASELINES:
        against = name.removeprefix("closed_loop")
        key = f"energy_removed_against{against}_percent" if against else "energy_removed_percent"
        assert row[key] == pytest.approx(100 * (1 - row["energy"] / row[f"{name}_energy"]))


def test_what_is_written_follows_from_the_targets():
    trainer = Trainer(twin(), load_data("digits"), OPTIONS, COSTS, seed=3)
    before = [np.zeros_like(update.weights) for update in trainer.updates]
    after = [w.copy() for w in before]
    rows, first = len(before[0]), before[0]
    first[0, :3], after[0][0, :3] = (0.1, 0.1, -0.1), (0.1, 0.2, 0.1)
    found = closed_loops(trainer.twin, trainer.ledger, before, after, np.random.default_rng(0))
    # One stays, one moves on one device, one changes its sign and thereby moves both.
    assert found.every.writes == trainer.twin.devices
    assert (found.not_resting.writes, found.not_resting.weights) == (4, 3)
    assert (found.moved.writes, found.moved.weights) == (3, 2)
    # Looked at in thirds, all rows are looked at once, and each third stands for the whole.
    thirds = [
        closed_loops(
            trainer.twin,
            trainer.ledger,
            before,
            after,
            np.random.default_rng(0),
            share=Share(3, k),
        )
        for k in range(3)
    ]
    assert [third.every.writes for third in thirds] == [pytest.approx(trainer.twin.devices)] * 3
    counts = [
        round(third.moved.writes * len(Share(3, k).rows(rows)) / rows)
        for k, third in enumerate(thirds)
    ]
    assert counts == [3, 0, 0]
    still = closed_loops(trainer.twin, trainer.ledger, before, before, np.random.default_rng(0))
    assert still.moved.writes == still.moved.row_time == 0.0


def test_records_of_before_the_baselines_load(digits):
    record = train(twin(), digits, OPTIONS, COSTS, seed=3).records[0]
    tree = {key: value for key, value in pack(record).items() if key not in list(BASELINES)[1:]}
    old = unpack(EpochRecord, tree)
    assert list(old.baselines()) == ["closed_loop"]
    assert unpack(EpochRecord, pack(record)) == record


def test_the_ratio_of_a_step_to_the_gentlest_move():
    # All pulses take the same energy here: a step takes as many as its pulses, the gentlest move one.
    pulses = COSTS.table.pulses
    k = np.arange(15)
    steps = np.concatenate([pulses[k, k + 1], pulses[k + 1, k]])
    assert step_over_gentlest(COSTS) == pytest.approx(steps.mean(), rel=1e-6)
    nothing = Costs(*(0.0 * values for values in COSTS.table))
    assert step_over_gentlest(LevelPricing(nothing, Read(0.0, 0.0))) == float("inf")


def test_a_tolerance_leaves_nothing_to_skip():
    with pytest.raises(InputError, match="skip = 'resting' knows what to write without a read"):
        ClosedLoopOptions(tolerance=0.02, skip="resting")
    with pytest.raises(InputError, match="skip"):
        ClosedLoopOptions(skip="most")
