"""Layers that say for themselves where their weights are: levels, largest weight, tiles, or no devices."""

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import Dataset
from memtwin.data.errors import InputError
from memtwin.devices.pulses.costs import Costs
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.layers.weighted import Dense, Placing
from memtwin.training.layers.written import written_layers
from memtwin.training.network import Network, Residual, mlp
from memtwin.training.rules.rule import Writes
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.ledger import Ledger
from memtwin.training.twin.placement import Placement

G = np.linspace(5e-6, 50e-6, 16)
TILE = Tile(16, 12, levels=Cell.resistor(0.2).levels(G))
EXACT = Crossbar(TILE, Effects(programming=0.0, read=0.0), MappingOptions(clip=6.0))
LAYERS = [
    "dense 8",
    "tanh",
    {"layer": "dense 6", "levels": 4, "tile": [5, 4], "clip": 3},
    "relu",
    "dense 3 digital=true",
]
RNG = np.random.default_rng(1)
KIND = np.arange(90) % 3
DATA = Dataset.of_arrays(RNG.normal(size=(90, 7)) + 2.0 * np.eye(3, 7)[KIND], KIND)
OPTIONS = TrainOptions(epochs=4, batch=9, learning_rate=0.05)


def network(layers=LAYERS, shape=(7,)):
    return Network(written_layers(layers, Residual), shape)


def trainer(layers=LAYERS, crossbar=EXACT, options=OPTIONS):
    twin = build_twin(network(layers), crossbar, Ideal)
    return Trainer(twin, DATA, options, nominal_pricing(16, g_levels=G))


def test_a_layer_gets_what_it_says():
    made = trainer()
    for _ in range(2):
        made.run_epoch()
    twin = made.twin
    assert twin.mapped == (0, 1)
    assert [m.clip / d for m, d in zip(twin.matrices, twin.network.deviations, strict=False)] == (
        pytest.approx([6.0, 3.0])
    )
    assert [m.tile.shape for m in twin.matrices] == [(8, 12), (5, 4)]
    # The first layer holds any of the sixteen levels, the second every fifth of them.
    for matrix, levels in zip(twin.matrices, (G, G[::5]), strict=True):
        off = np.abs(matrix.devices.g.reshape(-1, 1) - levels).min(axis=1)
        assert off.max() < 1e-5 * G[-1]
        assert len(np.unique(matrix.devices.g)) > 2
    assert twin.devices == 2 * 8 * 8 + 2 * 9 * 6
    assert twin.digital[2].shape == (7, 3)


def test_a_digital_layer_is_that_of_a_float_network_and_is_not_written():
    made = trainer()
    before = made.twin.digital[2].copy()
    for _ in range(4):
        record = made.run_epoch()
    assert record.test_accuracy > 0.8
    assert not np.array_equal(before, made.twin.digital[2])
    assert len(made.ledger.devices) == 2
    # By numpy: what the devices hold, and the digital weights as they are.
    first, second = (matrix.weights() for matrix in made.twin.matrices)
    x = DATA.x_test
    one = np.ones((len(x), 1), np.float32)
    h = np.tanh(np.hstack([x, one]) @ first)
    h = np.maximum(np.hstack([h, one]) @ second, 0.0)
    expected = np.hstack([h, one]) @ made.twin.digital[2]
    np.testing.assert_allclose(made.twin.forward(x, None)[0], expected, rtol=2e-3, atol=2e-3)
    assert [w.shape for w in made.result().weights] == [(8, 8), (9, 6), (7, 3)]


def test_a_training_goes_on_where_it_was_left():
    whole, first, second = trainer(), trainer(), trainer()
    for _ in range(2):
        whole.run_epoch()
    first.run_epoch()
    second.restore(first.state(), first.records, [])
    second.run_epoch()
    assert second.records[-1].test_accuracy == whole.records[-1].test_accuracy
    np.testing.assert_array_equal(second.twin.digital[2], whole.twin.digital[2])
    for mine, theirs in zip(whole.twin.matrices, second.twin.matrices, strict=True):
        np.testing.assert_array_equal(mine.devices.g, theirs.devices.g)


def test_gradients_go_through_a_digital_layer_as_through_any():
    layers = ["dense 8 digital=true", "tanh", "dense 3"]
    plain = trainer(["dense 8", "tanh", "dense 3"], options=TrainOptions(epochs=1, batch=9))
    mixed = trainer(layers, options=TrainOptions(epochs=1, batch=9))
    for one in (plain, mixed):
        one.run_epoch()
    # Both start from the same float weights; only what the first layer is read by differs.
    moved = mixed.twin.digital[0] - plain.updates[0].weights
    assert np.abs(moved).max() < 0.3 * np.abs(mixed.twin.digital[0]).max()


@pytest.mark.parametrize(("before", "level"), [(0, 3), (3, 0), (1, 2), (2, 2)])
def test_a_write_between_fewer_levels_costs_what_its_conductances_do(before, level):
    """Four of sixteen levels are every fifth: 1 to 2 there is 5 to 10 of the pricing's."""
    pricing = nominal_pricing(16, g_levels=G)
    twin = build_twin(network(), EXACT, Ideal)
    devices = [m.devices for m in twin.matrices]
    ledger = Ledger([m.placement for m in twin.matrices], pricing, devices, EXACT.quantiser)
    one = np.ones(1, np.float32)
    found = ledger.estimate(1, Writes(np.zeros(1, np.int64), before * one, level * one, 1))
    expected: Costs = pricing.of(5.0 * before * one, 5.0 * level * one)
    assert (found.pulses, found.energy) == pytest.approx((expected.pulses[0], expected.energy[0]))
    # A matrix with all of them is priced as it was.
    plain = Ledger([Placement(4, 2, 4, 4)], pricing)
    assert plain.estimate(0, Writes(np.zeros(1, np.int64), 2 * one, 7 * one, 1)).pulses == (
        pytest.approx(pricing.of(2 * one, 7 * one).pulses[0])
    )


def test_what_is_as_everywhere_is_called_as_before():
    """Checkpoints know networks by what their layers are called."""
    assert repr(mlp(4, 3, 2).layers) == "(Dense(outputs=3), Relu(), Dense(outputs=2))"
    layer = Dense(3, Placing(levels=4))
    assert repr(layer) == "Dense(outputs=3, levels=4)"
    words = written_layers(["dense 3 levels=4"], Residual)
    table = written_layers([{"kind": "dense", "outputs": 3, "levels": 4}], Residual)
    assert words == table == (layer,)


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([{"layer": "dense 3", "levels": 32}], "32 levels: the devices have 16"),
        ([{"layer": "dense 3", "levels": 1}], "layer 1: .*levels must be .*at least 2"),
        ([{"layer": "dense 3", "tile": 64}], "64 × 64: the largest.* is 16 × 12"),
        ([{"layer": "dense 3", "tile": [8, 5]}], "layer 1: tile: columns must be even"),
        ([{"layer": "dense 3", "tile": [8, 4, 2]}], r"expected lines, or \[rows, columns\]"),
        ([{"layer": "dense 3", "clip": 0}], "layer 1: .*clip must be above 0"),
        ([{"layer": "dense 3", "digital": True}], "all layers are digital"),
        ([{"layer": "dense 3", "digital": "yes"}], "digital must be true or false, got 'yes'"),
        ([{"layer": "dense 3", "digital": True, "levels": 4}], "no devices: leave levels out"),
        ([{"layer": "relu", "levels": 4}, "dense 3"], "layer 1: relu has no option 'levels'"),
        ([{"layer": "dense 3", "level": 4}], "no option 'level'.*'levels'"),
        ([{"layer": 3}], "expected a text such as 'conv 8 5', or a table"),
    ],
)  # fmt: skip
def test_what_a_layer_can_not_have_is_one_sentence(layers, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        build_twin(network(layers), EXACT, Ideal)
    assert "\n" not in str(error.value)
