"""A training that is killed at any moment resumes to the record of one that was not."""

import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

SCRIPT = """
import sys
from memtwin.circuits.cell import Cell
from memtwin.circuits.ideal import Ideal
from memtwin.circuits.tile import Tile
from memtwin.data.images import load_images
from memtwin.training.effects import Effects
from memtwin.training.ledger import WriteCosts
from memtwin.training.network import mlp
from memtwin.training.train import build_twin, train
from memtwin.training.trainer import TrainOptions
import numpy as np

tile = Tile(32, 32, cell=Cell.resistor(0.2))
twin = build_twin(
    mlp(64, 32, 10), tile=tile, engine=Ideal, g_levels=np.linspace(5e-6, 50e-6, 16), v_read=0.2,
    clip=5.0, effects=Effects(relaxation=0.01, drift=0.002, stuck=0.01),
)
print("ready", flush=True)
train(
    twin, load_images("digits"), TrainOptions(epochs=12, batch=20), WriteCosts.nominal(16),
    checkpoint=sys.argv[1], resume=True, on_epoch=lambda record: print(record.epoch, flush=True),
)
"""


def start(file):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def finish(file):
    process = start(file)
    process.communicate()
    assert process.returncode == 0


def content(file):
    """Return all that a checkpoint holds, without the seconds that epochs took."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)
        found.update({f"{name}.{key}": value for key, value in item.attrs.items()})

    with h5py.File(file) as record:
        record.visititems(visit)
        epochs = record.attrs["records"]
    rows = [part for part in epochs.split(",") if "seconds" not in part]
    return found, rows


@pytest.mark.parametrize(
    "kills", [2, pytest.param(10, marks=pytest.mark.slow)], ids=["2 kills", "10 kills"]
)
def test_killed_trainings_end_in_the_same_record(kills, tmp_path, rng):
    whole = tmp_path / "whole.h5"
    started = time.perf_counter()
    finish(whole)
    span = time.perf_counter() - started
    expected, rows = content(whole)
    assert len(expected) > 20
    for kill in range(kills):
        file = tmp_path / f"killed-{kill}.h5"
        process = start(file)
        time.sleep(float(rng.uniform(0.0, 0.6 * span)))
        process.kill()
        process.communicate()
        finish(file)
        found, other_rows = content(file)
        assert rows == other_rows
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
