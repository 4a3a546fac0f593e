"""Spare columns: what they replace, against every choice there is, and what a network gains by them."""

from itertools import permutations

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.pretrained import Pretrained
from memtwin.training.rules.quantise import pair
from memtwin.training.rules.rule import Writes
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import build_twin, train_float
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.placement import Placement
from memtwin.training.twin.redundancy import missing, replaced

LEVELS = 16
TILE = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 5e-5, LEVELS)))
NAN = np.nan


def test_what_dead_devices_take_from_a_weight():
    dead = np.array([[NAN, NAN], [0.0, NAN], [15.0, NAN], [NAN, 4.0], [0.0, 15.0]], np.float32)
    up, down = (missing(np.full(5, w, np.float32), dead) for w in (5.0, -5.0))
    assert up.tolist() == [0.0, 5.0, -10.0, 4.0, 20.0]
    assert down.tolist() == [0.0, 0.0, -15.0, -1.0, 10.0]


def test_one_spare_goes_where_no_other_choice_leaves_less():
    rng = np.random.default_rng(0)
    for spares, rows in ((1, 8), (1, 3)):
        place = Placement(rows, 5, 8, 12, spares)
        weights = rng.normal(0.0, 5.0, (rows, 5)).astype(np.float32)
        dead = np.where(rng.random((*place.grid, 8, 12)) < 0.2, 0.0, NAN).astype(np.float32)
        pairs = dead[0, 0, :rows].reshape(rows, 6, 2)
        columns = replaced(place, dead, weights, trained=True)

        def left(chosen, output=slice(None), weights=weights, pairs=pairs, rows=rows):
            squares = np.square(
                missing(weights[:, output].reshape(rows, -1), pairs[:, list(chosen)])
            )
            return squares.sum()

        worst = max(range(5), key=lambda j: left([j], j))
        instead = [5 if j == worst else j for j in range(5)]
        assert left(columns[0, 0]) == pytest.approx(min(left(instead), left(range(5))))
        best = min(left(each) for each in permutations(range(6), 5))
        assert best <= left(columns[0, 0]) <= left(range(5))


@pytest.mark.parametrize("gain", ["none", "matrix", "column", "tile"])
def test_reads_are_products_with_the_weights_wherever_their_columns_are(gain):
    rng = np.random.default_rng(1)
    effects = Effects(programming=0.0, read=0.0, stuck=0.1, stuck_high=0.3)
    mapping = MappingOptions(clip=5.0, gain=gain, spare_columns=3)
    twin = build_twin(mlp(70, 40, 10), Crossbar(TILE, effects, mapping), Ideal, seed=2)
    matrix = twin.matrices[0]
    w = rng.normal(0.0, 0.2 * matrix.clip, (71, 40)).astype(np.float32)
    matrix.repair(w, trained=True)
    place = matrix.placement
    assert place.grid == (3, 4)  # 13 outputs a tile
    assert (place.columns >= place.outputs).any()
    assert len(np.unique(place.places)) == 2 * 71 * 40
    level = np.stack(pair(np.rint(w / matrix.clip * 15).ravel()), axis=-1).ravel()
    matrix.write(Writes(np.arange(level.size), 0 * level, level, 0), rng)
    x = rng.random((20, 71)).astype(np.float32)
    x[:, -1] = 1.0
    matrix.calibrate(x)
    matrix._product = False  # through tiles, as engines with wires are read
    np.testing.assert_allclose(matrix.multiply(x, None), x @ matrix.weights(), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(place.used(place.spread(np.ones((3, 4, 2, 26)))), 1.0)
    # The same devices after a checkpoint, whose array was tested before.
    again = build_twin(mlp(70, 40, 10), Crossbar(TILE, effects, mapping), Ideal, seed=2)
    again.matrices[0].restore(matrix.state())
    np.testing.assert_array_equal(again.matrices[0].weights(), matrix.weights())


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.fixture(scope="module")
def elsewhere(digits):
    return train_float(mlp(64, 32, 10), digits, TrainOptions(epochs=6, batch=20), seed=0).weights


def trainer(digits, weights, spares, dead=None):
    crossbar = Crossbar(TILE, mapping=MappingOptions(clip=5.0, spare_columns=spares))
    twin = build_twin(mlp(64, 32, 10), crossbar, Ideal, start=Pretrained(weights, []))
    if dead is not None:
        for matrix in twin.matrices:  # whole columns of every tile
            matrix.devices._stuck = np.zeros(matrix.devices.g.shape, bool)
            matrix.devices._stuck[..., dead] = True
            matrix.devices._stuck = matrix.devices._stuck.reshape(-1)
    options = TrainOptions(epochs=6, batch=20)
    return Trainer(
        twin, digits, options, nominal_pricing(LEVELS), weights=[w.copy() for w in weights]
    )


def test_broken_columns_are_replaced_and_counted(digits, elsewhere):
    sound = trainer(digits, elsewhere, 0)
    broken = trainer(digits, elsewhere, 0, dead=[2, 3, 6])
    mended = trainer(digits, elsewhere, 2, dead=[2, 3, 6])
    assert broken.evaluate() < sound.evaluate() - 0.1
    assert mended.evaluate() > sound.evaluate() - 0.01
    for matrix in mended.twin.matrices:
        assert (matrix.placement.columns != 1).all()  # where both devices of the pair are dead
    # 14 outputs a tile in place of 16: 3 × 3 tiles for 65 × 32 weights, 2 × 1 for 33 × 10.
    assert (sound.twin.tiles, mended.twin.tiles) == (3 * 2 + 2, 3 * 3 + 2)
    spare = 65 * 2 * 2 * 3 + 33 * 2 * 2
    assert mended.twin.spare_devices == spare
    # The test writes every device up and down once; programming writes those that hold weights.
    assert mended.initial.writes == 3 * mended.twin.devices + 2 * spare
    assert sound.initial.writes == sound.twin.devices
    assert [maps.shape for maps in mended.ledger.maps()] == [(3, 3, 32, 32), (2, 1, 32, 24)]


def test_a_configuration_has_spare_columns():
    changes = ["training.engine=ideal", "device.linear=true", "audit.every=0", "effects.stuck=0.05"]
    setup = set_up(load_config("nbsto", [*changes, "mapping.spare_columns=2"]), surrogate=False)
    assert setup.twin().spare_devices == 65 * 4 * 3 + 33 * 4
    with pytest.raises(InputError, match=r"spare_columns: a tile of 16 pairs .* 16 to spare"):
        set_up(load_config("nbsto", [*changes, "mapping.spare_columns=16"]), surrogate=False).twin()
