"""A training that is killed at any moment resumes to the record of one that was not."""

import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from memtwin.data.records.store import digest
from memtwin.training.runs.record import load_record

SCRIPT = """
import sys
from memtwin.circuits.array.cell import Cell
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.array.tile import Tile
from memtwin.data.dataset import load_data
from memtwin.devices.spread.effects import Effects
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.network import mlp
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
import numpy as np

tile = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))
effects = Effects(relaxation=0.01, drift=0.002, stuck=0.01)
twin = build_twin(mlp(64, 32, 10), Crossbar(tile, effects, MappingOptions(clip=5.0)), Ideal)
print("ready", flush=True)
train(
    twin, load_data("digits"), TrainOptions(epochs=12, batch=20), nominal_pricing(16),
    checkpoint=sys.argv[1], on_epoch=lambda record: print(record.epoch, flush=True),
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
        for _ in range(rng.integers(12)):
            process.stdout.readline()
        time.sleep(float(rng.uniform(0.0, span / 12)))  # anywhere in an epoch
        process.kill()
        process.communicate()
        finish(file)
        found, other_rows = content(file)
        assert rows == other_rows
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


RUN = [
    "name=small", "images.train=300", "images.test=60", "network.hidden=[8]", "device.levels=4",
    "tile.rows=16", "tile.cols=16", "training.epochs=6", "training.batch=20", "effects.drift=0.002",
    "effects.relaxation=0.01", "surrogate.vectors=8", "surrogate.held_out=6", "audit.every=20",
    "validation.images=20",
]  # fmt: skip


def run(folder, *, resume=False):
    given = ["--resume", str(folder)] if resume else ["demo", "--out", str(folder)]
    changes = [] if resume else [word for change in RUN for word in ("--set", change)]
    return subprocess.Popen(
        [sys.executable, "-m", "memtwin", "run", *given, *changes],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def record(folder):
    found = load_record(folder)
    del found["seconds"], found["summary"]["wall_seconds"]
    return digest(found)


@pytest.mark.slow
@pytest.mark.spice
def test_runs_killed_at_any_step_end_in_the_same_record(tmp_path, rng):
    whole = tmp_path / "whole"
    started = time.perf_counter()
    process = run(whole)
    _, said = process.communicate()
    assert process.returncode == 0, said
    span = time.perf_counter() - started
    expected = record(whole)
    for kill in range(10):
        folder = tmp_path / f"killed-{kill}"
        process = run(folder)
        # Nothing is claimed before the configuration is on disk.
        while process.poll() is None and not (folder / "config.json").exists():
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0.0, 0.7 * span)))
        process.kill()
        process.communicate()
        process = run(folder, resume=True)
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert record(folder) == expected
