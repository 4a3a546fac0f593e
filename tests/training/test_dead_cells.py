"""The case of Li et al., Nat. Commun. 9, 2385 (2018), doi:10.1038/s41467-018-04484-2, in small: 64-54-10 on one
128x64 array of which 11 % are dead, trained on line. They report that the others learn around them.
"""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.pretrained import Pretrained
from memtwin.training.trainer.loop import build_twin, train_float
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

NETWORK, LEVELS = mlp(64, 54, 10), 32
TILE = Tile(128, 64, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 5e-5, LEVELS)))
DEAD = Effects(programming=0.03, read=0.01, stuck=0.11, stuck_high=0.0)
OPTIONS = TrainOptions(epochs=6, batch=20)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def trainer(digits, effects, options=OPTIONS, start=None, spares=0):
    crossbar = Crossbar(TILE, effects, MappingOptions(clip=5.0, spare_columns=spares))
    twin = build_twin(NETWORK, crossbar, Ideal, seed=1, start=start)
    weights = None if start is None else [w.copy() for w in start.matrices]
    return Trainer(twin, digits, options, nominal_pricing(LEVELS), seed=1, weights=weights)


def trained(*arguments, **options):
    found = trainer(*arguments, **options)
    for _ in range(OPTIONS.epochs):
        found.run_epoch()
    return found


def test_an_array_with_eleven_percent_dead_learns_and_leaves_them_alone(digits):
    float_trained = train_float(NETWORK, digits, OPTIONS, seed=1)
    found = trained(digits, DEAD)
    matrix = found.twin.matrices[0]
    dead = matrix.devices._stuck[matrix.placement.places]
    assert dead.mean() == pytest.approx(0.11, abs=0.01)
    accuracy = found.records[-1].test_accuracy
    assert accuracy > max(float_trained.accuracies[-1] - 0.03, 0.9)
    # Found out once each, at most, and not asked again; the others are written as they are needed.
    writes = found.ledger.devices[0].writes
    assert writes[dead].max() <= 1
    assert writes[~dead].mean() > 20 * writes[dead].mean()
    assert np.all(matrix.levels()[dead] == pytest.approx(0.0, abs=1e-4))
    # Without the list they take their share of all writes, in vain.
    vain = trained(digits, DEAD, TrainOptions(epochs=6, batch=20, spare_failed=False))
    assert vain.ledger.devices[0].writes[dead].mean() > 20 * writes[dead].mean()
    assert accuracy > vain.records[-1].test_accuracy - 0.02


def test_what_was_trained_elsewhere_suffers_by_dead_devices_until_it_is_trained_on(digits):
    elsewhere = train_float(NETWORK, digits, OPTIONS, seed=1)
    # Of the dead half conduct: what was written is then another network.
    effects = replace(DEAD, stuck_high=0.5)
    found = trainer(digits, effects, start=Pretrained(elsewhere.weights, []))
    written = found.evaluate()
    for _ in range(OPTIONS.epochs):
        record = found.run_epoch()
    assert written < elsewhere.accuracies[-1] - 0.1
    assert record.test_accuracy > elsewhere.accuracies[-1] - 0.03


def test_spare_columns_give_back_a_part_of_what_scattered_dead_devices_take(digits):
    elsewhere = train_float(NETWORK, digits, OPTIONS, seed=1)

    def left(spares):
        found = trainer(digits, DEAD, start=Pretrained(elsewhere.weights, []), spares=spares)
        pairs = zip(elsewhere.weights, found.twin.matrices, strict=True)
        return sum(np.square(np.clip(w, -m.clip, m.clip) - m.weights()).sum() for w, m in pairs)

    # The spare ones have as many dead devices, so that only the choice among them helps.
    without, some, many = (left(spares) for spares in (0, 4, 8))
    assert 0.5 * without < many < some < 0.95 * without
