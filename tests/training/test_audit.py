"""Audits during training: what they find, the fallback, and their place in checkpoints."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.network import mlp
from memtwin.training.trainer.audit import AuditOptions, Auditor
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

TILE = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))
OPTIONS = TrainOptions(epochs=2, batch=50)
SEED = 1


@pytest.fixture(scope="module")
def digits():
    images = load_data("digits")
    return replace(
        images,
        x_train=images.x_train[:300],
        y_train=images.y_train[:300],
        x_test=images.x_test[:40],
        y_test=images.y_test[:40],
    )


def twin(engine):
    return build_twin(mlp(64, 32, 10), Crossbar(TILE, mapping=MappingOptions(clip=5.0)), engine)


def auditor_of(every, *, on_record=None, **options):
    return Auditor(AuditOptions(every=every, engine="nodal", **options), on_record=on_record)


def test_an_engine_without_wires_fails_and_the_fallback_passes(digits):
    auditor = auditor_of(1, bar_percent=1.0, fallback="nodal")
    result = train(twin(Ideal), digits, OPTIONS, nominal_pricing(16), seed=SEED, auditor=auditor)
    first, *others = result.audits
    assert not first.passed
    assert first.engine == "ideal"
    assert first.max_error_percent >= first.nrmse_percent > 1.0
    assert len(others) == 11
    assert all(record.passed and record.engine == "nodal" for record in others)
    assert max(record.nrmse_percent for record in others) < 1e-3


def test_audits_do_not_change_the_training(digits):
    costs = nominal_pricing(16)
    plain = train(twin(Ideal), digits, OPTIONS, costs, seed=SEED)
    audited = train(
        twin(Ideal), digits, OPTIONS, costs, seed=SEED, auditor=auditor_of(2, fallback="none")
    )
    np.testing.assert_array_equal(plain.weights[0], audited.weights[0])
    assert [(record.epoch, record.batch) for record in audited.audits] == [
        (1, 2), (1, 4), (1, 6), (2, 2), (2, 4), (2, 6),
    ]  # fmt: skip


def test_a_resumed_training_remembers_its_audits_and_its_fallback(digits, tmp_path):
    def trainer():
        auditor = auditor_of(3, fallback="nodal")
        return Trainer(
            twin(Ideal), digits, OPTIONS, nominal_pricing(16), seed=SEED, auditor=auditor
        )

    first, second = trainer(), trainer()
    first.run_epoch()
    save_checkpoint(tmp_path / "run.h5", first)
    load_checkpoint(tmp_path / "run.h5", second)
    assert second.audits == first.audits
    assert {matrix.engine.name for matrix in second.twin.matrices} == {"nodal"}


def test_a_training_that_fell_back_is_resumed_bit_for_bit(digits, tmp_path):
    def trainer():
        auditor = auditor_of(4, bar_percent=1e-9)
        costs = nominal_pricing(16)
        return Trainer(twin(Surrogate), digits, OPTIONS, costs, seed=SEED, auditor=auditor)

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
    auditor = auditor_of(5, fallback="none", on_record=heard.append)
    result = train(twin(Ideal), digits, OPTIONS, nominal_pricing(16), seed=SEED, auditor=auditor)
    assert tuple(heard) == result.audits
    # Every fifth batch of both epochs of six: the fifth, and the fourth of the second.
    assert [(record.epoch, record.batch) for record in heard] == [(1, 5), (2, 4)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": -1}, "audit: every must be a whole number, at least 0, got -1"),
        ({"vectors": 0}, "audit: vectors must be a whole number, at least 1"),
        ({"bar_percent": 0.0}, "audit: bar_percent must be above 0"),
        ({"engine": "nodla"}, r"there is no engine 'nodla' \(did you mean 'nodal'\?\)"),
        ({"fallback": "lines"}, "did you mean 'line'"),
    ],
)
def test_bad_audits_are_said(options, words):
    with pytest.raises(InputError, match=words):
        AuditOptions(**options)


def test_none_are_due_where_none_are_wanted():
    assert not any(Auditor(AuditOptions(every=0)).due(batch) for batch in range(1000))
