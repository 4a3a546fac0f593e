"""Comparing update rules over seeds."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.cell import Cell
from memtwin.circuits.ideal import Ideal
from memtwin.circuits.tile import Tile
from memtwin.data.errors import InputError
from memtwin.data.images import load_images
from memtwin.training.baselines import BASELINES
from memtwin.training.compare import compare
from memtwin.training.ledger import WriteCosts
from memtwin.training.network import mlp
from memtwin.training.siamese import SiameseOptions
from memtwin.training.train import build_twin, train
from memtwin.training.trainer import TrainOptions

TILE = Tile(32, 32, cell=Cell.resistor(0.2))


def make_twin(seed):
    return build_twin(
        mlp(64, 16, 10),
        tile=TILE,
        engine=Ideal,
        g_levels=np.linspace(5e-6, 50e-6, 16),
        v_read=0.2,
        clip=5.0,
        seed=seed,
    )


def test_rows_are_means_over_seeds_of_the_trainings_they_name():
    images = load_images("digits")
    options, costs = TrainOptions(epochs=2, batch=20), WriteCosts.nominal(16)
    rules = {"siamese": SiameseOptions(hysteresis=0.1), "closed loop": BASELINES["closed loop"]}
    seen = []
    siamese, closed = compare(
        make_twin,
        images,
        options,
        costs,
        rules,
        [0, 1],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (6, 6)
    runs = [
        train(make_twin(k), images, replace(options, seed=k, siamese=rules["siamese"]), costs)
        for k in (0, 1)
    ]
    np.testing.assert_array_equal(siamese.accuracy, [run.accuracy for run in runs])
    assert siamese.first.writes == np.mean([run.records[0].cost.writes for run in runs])
    row = siamese.summary(closed)
    assert row["rule"] == "siamese"
    assert row["writes_removed_percent"] > 97.0
    assert row["to_float_percent"] < 10.0
    assert closed.summary(closed)["energy_removed_percent"] == 0.0


def test_an_empty_comparison_is_refused():
    with pytest.raises(InputError, match="at least one rule"):
        compare(make_twin, load_images("digits"), TrainOptions(), WriteCosts.nominal(16), {}, [0])
