"""A training stopped after any epoch and continued is the uninterrupted one, bit for bit."""

from dataclasses import fields, replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.pulses.steps import PulseSteps
from memtwin.devices.spread.drift import Drift
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.pcm import PcmDrift, PcmProgramming
from memtwin.devices.spread.programming import Programming
from memtwin.devices.spread.record import save_law
from memtwin.devices.spread.relaxation import RelaxationQuantiles
from memtwin.devices.spread.stuck import Stuck
from memtwin.devices.spread.wear import Wear
from memtwin.training.network import mlp
from memtwin.training.rules.registry import RULES
from memtwin.training.rules.siamese import COMPENSATIONS
from memtwin.training.trainer.audit import AuditOptions, Auditor
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

ENGINES = {"ideal": Ideal, "surrogate": Surrogate, "line": LineSolver}
OPTIONS = TrainOptions(epochs=4, batch=20, decay=0.9)
SEED = 3
NOISE = {"programming": 0.01, "read": 0.005}
# Strong enough to move conductances, and not so strong that nothing is learnt.
STRENGTH = {
    "programming": 0.02, "read": 0.02, "reach": 0.2, "relaxation": 0.02, "drift": 0.05,
    "stuck": 0.1, "stuck_high": 1.0,
}  # fmt: skip
EFFECTS = {
    name: Effects(**({"stuck": 0.1 * (name == "stuck_high")} | NOISE | {name: strength}))
    for name, strength in STRENGTH.items()
} | {"all": Effects(**STRENGTH)}
QUANTILES = RelaxationQuantiles(
    g=np.array([5e-6, 50e-6]),
    t=np.array([1.0, 100.0]),
    z=np.array([-1.0, 0.0, 1.0]),
    change=1e-7 * np.array([[[-2, 0, 1], [-4, 0, 2]], [[-2, 0, 1], [-4, -1, 2]]], float),
    correlation=np.array([[1.0, 0.6], [0.6, 1.0]]),
    g_limit=(0.0, 1e-4),
)
LAWS = {
    "programming law": {"programming": Programming(0.02, 0.5, 2e-5)},
    "read law": {"read": ReadNoise(0.03)},
    "relaxation law": {"relaxation": QUANTILES},
    "drift law": {"drift": Drift(0.02, 1.0, 0.01)},
    "open": {"stuck": Stuck(0.05, 0.2, 0.5)},
    "wear": {"wear": Wear(3.0)},
    "pcm": {"programming": PcmProgramming(5e-5), "drift": PcmDrift(5e-5, 1.0)},
}
LAWED = {name: law for laws in LAWS.values() for name, law in laws.items()}
LAWS["all laws"] = LAWED
EFFECTS |= {name: Effects(**NOISE | laws, seconds=2.0) for name, laws in LAWS.items()}


@pytest.fixture(scope="module")
def digits():
    images = load_data("digits")
    return replace(
        images,
        x_train=images.x_train[:80],
        y_train=images.y_train[:80],
        x_test=images.x_test[:30],
        y_test=images.y_test[:30],
    )


def trainer(digits, engine, effects, options=OPTIONS, mapping=None):
    levels = Cell.sinh(5.0, v_read=0.2).levels(np.linspace(5e-6, 50e-6, 16))
    tile = Tile(32, 12, r_row=20.0, levels=levels)
    pulses = PulseSteps(*2 * [np.linspace(0.05, 0.01, 9)[None]], c2c=0.1)
    crossbar = Crossbar(tile, effects, mapping or MappingOptions(clip=5.0), pulses=pulses)
    twin = build_twin(mlp(64, 6, 10), crossbar, ENGINES[engine], seed=SEED)
    # A surrogate of its own, whose reads depend on what it held before.
    auditor = Auditor(AuditOptions(every=2, engine="surrogate", bar_percent=100.0, fallback="none"))
    return Trainer(twin, digits, options, nominal_pricing(16), seed=SEED, auditor=auditor)


def outcome(trained):
    """Return all that a training leaves behind."""
    state = trained.state()
    records = [replace(record, seconds=0.0) for record in trained.records]
    devices = [matrix.devices.g for matrix in trained.twin.matrices]
    gains = [matrix.gain for matrix in trained.twin.matrices]
    return {
        "records": records, "audits": trained.audits, "state": state, "g": devices, "gain": gains,
        "accuracy": trained.evaluate(),
    }  # fmt: skip


def assert_same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, np.ndarray) or (isinstance(a, list) and isinstance(a[0], np.ndarray)):
        for left, right in zip(a, b, strict=True) if isinstance(a, list) else [(a, b)]:
            np.testing.assert_array_equal(left, right)
    else:
        assert a == b


def assert_resumes(make, file):
    whole, stopped = make(), make()
    for epoch in range(OPTIONS.epochs):
        whole.run_epoch()
        if epoch:
            stopped = make()
            load_checkpoint(file, stopped)
        stopped.run_epoch()
        save_checkpoint(file, stopped)
    assert_same(outcome(whole), outcome(stopped))


def test_every_effect_is_tried():
    known = {item.name for item in fields(Effects)}
    ambient = {"temperature", "activation", "learnt_at"}  # of what time does
    assert STRENGTH.keys() | {"wear", "seconds"} | ambient == known


def test_with_laws_from_files_that_must_not_change(digits, tmp_path):
    paths = {name: str(save_law(law, tmp_path / f"{name}.h5")) for name, law in LAWED.items()}
    effects = Effects(**paths, seconds=2.0)
    file = tmp_path / "run.h5"
    assert_resumes(lambda: trainer(digits, "ideal", effects), file)
    plain = Effects(**LAWED, seconds=2.0)
    assert trainer(digits, "ideal", effects).identity == trainer(digits, "ideal", plain).identity
    save_law(ReadNoise(0.04), paths["read"])
    with pytest.raises(InputError, match="training with another configuration"):
        load_checkpoint(file, trainer(digits, "ideal", replace(effects)))


@pytest.mark.parametrize(
    ("effects", "engine"),
    [
        # By default each effect on one engine, and each engine with all effects.
        pytest.param(
            effects,
            engine,
            marks=() if effects == "all" or engine == "surrogate" else pytest.mark.slow,
        )
        for effects in EFFECTS
        for engine in ENGINES
    ],
)
def test_with_any_effect_and_engine(digits, tmp_path, effects, engine):
    assert_resumes(lambda: trainer(digits, engine, EFFECTS[effects]), tmp_path / "run.h5")


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_with_any_compensation(digits, tmp_path, compensation):
    siamese = {"accumulate": 2, "compensation": compensation, "write_limit": 3}
    options = replace(OPTIONS, **siamese, optimiser="adam", learning_rate=3e-3)
    assert_resumes(
        lambda: trainer(digits, "surrogate", EFFECTS["all"], options), tmp_path / "run.h5"
    )


@pytest.mark.parametrize("rule", RULES)
def test_with_any_rule(digits, tmp_path, rule):
    options = replace(OPTIONS, rule=rule, learning_rate=0.03)
    assert_resumes(
        lambda: trainer(digits, "surrogate", EFFECTS["drift"], options), tmp_path / "run.h5"
    )


@pytest.mark.parametrize(
    ("mapping", "changes"),
    [
        (MappingOptions(clip=5.0, bias="digital", gain="tile", adc_bits=8), {"scale": "adaptive"}),
        (MappingOptions(clip=5.0, gain="column", drive="bits", dac_bits=4), {"schedule": "cosine"}),
        (MappingOptions(clip=5.0, gain="none", drive="linear"), {"gradients": "array"}),
    ],
    ids=["digital bias", "bits", "array gradients"],
)
def test_with_any_mapping(digits, tmp_path, mapping, changes):
    options = replace(OPTIONS, learning_rate=0.03, **changes)
    make = lambda: trainer(digits, "surrogate", EFFECTS["all"], options, mapping)  # noqa: E731
    assert_resumes(make, tmp_path / "run.h5")
