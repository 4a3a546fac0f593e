"""Audits during training: what they find, the fallback, and their place in checkpoints."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.data.dataset import load_images
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.network import mlp
from memtwin.training.trainer.audit import Auditor
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.trainer import Trainer, TrainOptions

TILE = Tile(32, 32, cell=Cell.resistor(0.2))
OPTIONS = TrainOptions(epochs=2, batch=50, seed=1)


@pytest.fixture(scope="module")
def digits():
    images = load_images("digits")
    return replace(
        images,
        x_train=images.x_train[:300],
        y_train=images.y_train[:300],
        x_test=images.x_test[:40],
        y_test=images.y_test[:40],
    )


def twin(engine):
    return build_twin(
        mlp(64, 32, 10),
        tile=TILE,
        engine=engine,
        g_levels=np.linspace(5e-6, 50e-6, 16),
        v_read=0.2,
        clip=5.0,
    )


def test_an_engine_without_wires_fails_and_the_fallback_passes(digits):
    auditor = Auditor(Nodal, every=1, bar_percent=1.0, fallback=Nodal)
    result = train(twin(Ideal), digits, OPTIONS, nominal_pricing(16), auditor=auditor)
    first, *others = result.audits
    assert not first.passed
    assert first.engine == "ideal"
    assert first.max_error_percent >= first.nrmse_percent > 1.0
    assert len(others) == 11
    assert all(record.passed and record.engine == "nodal" for record in others)
    assert max(record.nrmse_percent for record in others) < 1e-3


def test_audits_do_not_change_the_training(digits):
    costs = nominal_pricing(16)
    plain = train(twin(Ideal), digits, OPTIONS, costs)
    audited = train(twin(Ideal), digits, OPTIONS, costs, auditor=Auditor(Nodal, every=2))
    np.testing.assert_array_equal(plain.weights[0], audited.weights[0])
    assert [(record.epoch, record.batch) for record in audited.audits] == [
        (1, 2), (1, 4), (1, 6), (2, 2), (2, 4), (2, 6),
    ]  # fmt: skip


def test_a_resumed_training_remembers_its_audits_and_its_fallback(digits, tmp_path):
    def trainer():
        auditor = Auditor(Nodal, every=3, fallback=Nodal)
        return Trainer(twin(Ideal), digits, OPTIONS, nominal_pricing(16), auditor=auditor)

    first, second = trainer(), trainer()
    first.run_epoch()
    save_checkpoint(tmp_path / "run.h5", first)
    load_checkpoint(tmp_path / "run.h5", second)
    assert second.audits == first.audits
    assert {matrix.engine.name for matrix in second.twin.matrices} == {"nodal"}


def test_a_training_that_fell_back_is_resumed_bit_for_bit(digits, tmp_path):
    def trainer():
        auditor = Auditor(Nodal, every=4, bar_percent=1e-9, fallback=LineSolver)
        costs = nominal_pricing(16)
        return Trainer(twin(Surrogate), digits, OPTIONS, costs, auditor=auditor)

    straight, stopped, resumed = trainer(), trainer(), trainer()
    straight.run_epoch()
    save_checkpoint(tmp_path / "straight.h5", straight)  # taken in an uninterrupted training too
    straight.run_epoch()
    stopped.run_epoch()
    save_checkpoint(tmp_path / "stopped.h5", stopped)
    load_checkpoint(tmp_path / "stopped.h5", resumed)
    resumed.run_epoch()
    assert [record.engine for record in straight.audits] == ["surrogate", "line", "line"]
    assert resumed.audits == straight.audits
    for mine, theirs in zip(resumed.updates, straight.updates, strict=True):
        np.testing.assert_array_equal(mine.weights, theirs.weights)


def test_findings_are_told(digits):
    heard = []
    auditor = Auditor(Nodal, every=5, on_record=heard.append)
    result = train(twin(Ideal), digits, OPTIONS, nominal_pricing(16), auditor=auditor)
    assert tuple(heard) == result.audits
    # Every fifth batch of both epochs of six: the fifth, and the fourth of the second.
    assert [(record.epoch, record.batch) for record in heard] == [(1, 5), (2, 4)]


def test_bad_audits_are_said():
    with pytest.raises(InputError, match="must be positive"):
        Auditor(Nodal, every=0)
