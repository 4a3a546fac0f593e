"""Training on the embedded digits: accuracy, ledger, determinism, checkpoints, errors."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError, MemtwinError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.layers.digital import MaxPool, Relu
from memtwin.training.layers.weighted import Conv2d, Dense
from memtwin.training.network import Network, mlp
from memtwin.training.rules.registry import RULES
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin, train, train_float
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.evaluation import evaluate

TILE = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))
COSTS = nominal_pricing(16)
OPTIONS = TrainOptions(epochs=2, batch=20, decay=0.9)
SEED = 3


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def twin(network=None, effects=None):
    crossbar = Crossbar(TILE, effects or Effects(), MappingOptions(clip=5.0))
    return build_twin(network or mlp(64, 32, 10), crossbar, Ideal)


def test_digits_train_like_float_and_write_little(digits):
    options = replace(OPTIONS, epochs=12)
    result = train(twin(), digits, options, COSTS, seed=SEED)
    accuracies = train_float(mlp(64, 32, 10), digits, options, seed=SEED).accuracies
    assert result.accuracy > accuracies[-1] - 0.02
    assert result.accuracy > 0.88
    first = result.records[0]
    removed = first.cost.removed(first.closed_loop)
    assert removed["writes"] > 97.0
    assert removed["weights"] > 94.0
    assert removed["energy"] > 85.0


def test_without_compensation_training_stalls(digits):
    options = replace(OPTIONS, epochs=4)
    carry = train(twin(), digits, options, COSTS, seed=SEED)
    none = train(twin(), digits, replace(options, compensation="none"), COSTS, seed=SEED)
    assert none.accuracy < carry.accuracy - 0.05


def test_an_adaptive_scale_follows_the_weights(digits):
    options = replace(OPTIONS, epochs=3, scale="adaptive")
    trainer = Trainer(twin(), digits, options, COSTS, seed=SEED)
    narrow = [0.1 * matrix.clip for matrix in trainer.twin.matrices]
    for update, matrix, clip in zip(trainer.updates, trainer.twin.matrices, narrow, strict=True):
        matrix.clip = clip
        update.rescale(clip)
    first = trainer.run_epoch()
    second = trainer.run_epoch()
    for update, matrix, clip in zip(trainer.updates, trainer.twin.matrices, narrow, strict=True):
        assert matrix.clip == update.coding.clip > clip
    # Rescaling rewrites many devices at once, and the ledger knows.
    assert second.cost.writes > 0.3 * trainer.twin.devices
    assert second.train_loss < first.train_loss


@pytest.mark.parametrize("name", sorted(set(RULES) - {"siamese", "pulsed"}))
def test_every_baseline_trains_and_is_counted(digits, name):
    options = replace(OPTIONS, epochs=4, rule=name)
    result = train(twin(), digits, options, COSTS, seed=SEED)
    assert result.accuracy > (0.7 if name == "sign" else 0.83)
    cost, batches = result.records[0].cost, -(-len(digits.x_train) // 20)
    devices = sum(each.writes.size for each in result.ledger.devices)
    if name == "closed loop":
        assert cost.writes == devices * batches
        # The estimate from sampled batches is that of the real thing.
        estimate = result.records[0].closed_loop
        assert cost.pulses == pytest.approx(estimate.pulses, rel=0.1)
    elif name == "verify-first":
        assert cost.reads > devices * batches > 5 * cost.writes
    elif name in ("budgeted", "eapu", "patient"):
        assert cost.reads > cost.writes > 0.0
        assert cost.weights < 0.1 * record_weights(result) * batches
    else:
        assert cost.reads == 0.0
        assert cost.pulses >= cost.writes > 0.0


def record_weights(result):
    return sum(codes.size for codes in result.codes)


@pytest.mark.parametrize("compensation", ["sd", "readback", "damp", "scale"])
def test_every_compensation_trains(digits, compensation):
    options = replace(OPTIONS, epochs=4, compensation=compensation)
    assert train(twin(), digits, options, COSTS, seed=SEED).accuracy > 0.83


def test_the_ledger_adds_up(digits):
    # Errors well below half a level, so that rounding tells the level of every device.
    trainer = Trainer(twin(effects=Effects(programming=0.002)), digits, OPTIONS, COSTS, seed=SEED)
    devices = trainer.twin.devices
    assert trainer.initial.writes == devices
    for _ in range(2):
        trainer.run_epoch()
    writes = sum(record.cost.writes for record in trainer.records)
    assert sum(int(each.writes.sum()) for each in trainer.ledger.devices) == writes
    for name in ("writes", "pulses_up", "reads", "energy", "time"):
        maps = trainer.ledger.maps(name)
        total = sum(getattr(record.cost, name) for record in trainer.records)
        assert sum(float(stack.sum()) for stack in maps) == pytest.approx(total)
        assert maps[0].shape == (3, 2, 32, 32)
    down = sum(record.cost.pulses - record.cost.pulses_up for record in trainer.records)
    assert sum(each.pulses_down.sum() for each in trainer.ledger.devices) == pytest.approx(down)
    for record in trainer.records:
        batches = -(-len(digits.x_train) // 20)
        assert record.closed_loop.writes == devices * batches
        cost = record.cost
        assert cost.weights <= cost.writes <= 2 * cost.weights
        assert cost.reads == cost.pulses + cost.writes
        assert 0.0 < cost.row_time < cost.time
    levels = [np.rint(matrix.levels()) for matrix in trainer.twin.matrices]
    for level, update in zip(levels, trainer.updates, strict=True):
        np.testing.assert_array_equal(level[0::2] - level[1::2], update.codes.ravel())


def same(a, b):
    assert [replace(r, seconds=0.0) for r in a.records] == [
        replace(r, seconds=0.0) for r in b.records
    ]
    for left, right in zip(a.weights + a.codes, b.weights + b.codes, strict=True):
        np.testing.assert_array_equal(left, right)
    for left, right in zip(a.ledger.devices, b.ledger.devices, strict=True):
        for name, sums in vars(left).items():
            np.testing.assert_array_equal(sums, getattr(right, name))


EFFECTS = Effects(reach=0.05, relaxation=0.01, drift=0.002, stuck=0.01)


def test_the_same_seed_gives_the_same_run_and_another_gives_another(digits):
    first, second = (
        train(twin(effects=EFFECTS), digits, OPTIONS, COSTS, seed=SEED) for _ in range(2)
    )
    same(first, second)
    other = train(twin(effects=EFFECTS), digits, OPTIONS, COSTS, seed=4)
    assert not np.array_equal(first.weights[0], other.weights[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate": 2, "compensation": "sd", "write_limit": 50},
        {"optimiser": "adam", "learning_rate": 3e-3},
        {"rule": "verify-first"},
        {"rule": "mixed precision"},
        {"scale": "adaptive"},
    ],
    ids=["sd", "adam", "closed loop", "blind", "adaptive"],
)
def test_resumed_training_is_the_uninterrupted_one(digits, tmp_path, changes):
    options = replace(OPTIONS, epochs=3, **changes)
    whole = train(twin(effects=EFFECTS), digits, options, COSTS, seed=SEED)
    file = tmp_path / "run.h5"
    trainer = Trainer(twin(effects=EFFECTS), digits, options, COSTS, seed=SEED)
    trainer.run_epoch()
    save_checkpoint(file, trainer)
    trainer.run_epoch()  # lost, as in a kill after the last checkpoint
    seen = []
    resumed = train(
        twin(effects=EFFECTS),
        digits,
        options,
        COSTS,
        seed=SEED,
        checkpoint=file,
        on_epoch=lambda record: seen.append(record.epoch),
    )
    assert seen == [2, 3]
    same(whole, resumed)


def test_a_checkpoint_of_another_configuration_is_refused(digits, tmp_path):
    file = tmp_path / "run.h5"
    save_checkpoint(file, Trainer(twin(), digits, OPTIONS, COSTS, seed=SEED))
    load_checkpoint(file, Trainer(twin(), digits, replace(OPTIONS, epochs=9), COSTS, seed=SEED))
    with pytest.raises(InputError, match="another configuration"):
        load_checkpoint(file, Trainer(twin(), digits, OPTIONS, COSTS, seed=9))
    with pytest.raises(InputError, match="another configuration"):
        load_checkpoint(file, Trainer(twin(mlp(64, 30, 10)), digits, OPTIONS, COSTS, seed=SEED))


def test_a_small_convolutional_network_trains(digits):
    network = Network(
        (Conv2d(6, 3), Relu(), MaxPool(2), Dense(10)),
        (8, 8, 1),
    )
    options = replace(OPTIONS, epochs=6, learning_rate=0.05)
    assert train(twin(network), digits, options, COSTS, seed=SEED).accuracy > 0.85


def test_progress_and_callbacks(digits):
    batches, epochs = [], []
    train(
        twin(),
        digits,
        replace(OPTIONS, batch=500),
        COSTS,
        seed=SEED,
        on_batch=lambda done, total: batches.append((done, total)),
        on_epoch=epochs.append,
    )
    assert batches == [(k, 6) for k in range(1, 7)]
    assert [record.epoch for record in epochs] == [1, 2]
    row = epochs[0].summary()
    assert row["closed_loop_writes"] == row["closed_loop_weights"] * 2
    assert row["writes_removed_percent"] == pytest.approx(
        100 * (1 - row["writes"] / row["closed_loop_writes"])
    )
    # Pixels that are black in a whole batch, and hidden units off for all of it, have no gradient.
    assert row["closed_loop_weights"] / 4 < row["learning"] < row["closed_loop_weights"]
    assert row["weights_of_learning_removed_percent"] == pytest.approx(
        100 * (1 - row["weights"] / row["learning"])
    )


def test_evaluation_without_noise_repeats(digits):
    trained = twin()
    train(trained, digits, OPTIONS, COSTS, seed=SEED)
    first, second = (evaluate(trained, digits.x_test, digits.y_test) for _ in range(2))
    assert first == second


def test_what_cannot_be_trained_is_said(digits):
    with pytest.raises(InputError, match="takes 65 pixels"):
        train(twin(mlp(65, 10)), digits, OPTIONS, COSTS, seed=SEED)
    with pytest.raises(InputError, match="9 outputs, but a label is 9"):
        train(twin(mlp(64, 9)), digits, OPTIONS, COSTS, seed=SEED)
    with pytest.raises(InputError, match="for 8 levels"):
        train(twin(), digits, OPTIONS, nominal_pricing(8))
    for rate in (0.0, np.nan, np.inf, 1e300):
        with pytest.raises(InputError, match="learning_rate"):
            TrainOptions(learning_rate=rate)
    with pytest.raises(
        MemtwinError, match=r"diverged in epoch 1.* % of matrix \d at .* rate of 30 \("
    ):
        train(twin(), digits, replace(OPTIONS, learning_rate=30.0), COSTS, seed=SEED)
    with (
        np.errstate(all="ignore"),
        pytest.raises(MemtwinError, match=r"diverged in epoch 1.*lower"),
    ):
        train_float(mlp(64, 32, 10), digits, replace(OPTIONS, learning_rate=1e30))
