"""Update rules and quantisers of one's own, with no line of memtwin changed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.network import mlp
from memtwin.training.rules.registry import RULES, register_rule, rule_options
from memtwin.training.rules.siamese import SiameseOptions
from memtwin.training.runs.config import load_config
from memtwin.training.runs.folder import stored_config
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

MODULE = '''
from dataclasses import dataclass

import numpy as np

from memtwin.training.rules.quantise import Nonuniform
from memtwin.training.rules.registry import RuleKind
from memtwin.training.rules.siamese import Siamese, SiameseOptions


@dataclass(frozen=True)
class LazyOptions:
    """Options of a rule that lets only some updates through."""

    share: float = 0.5
    hysteresis: float = 0.0


class Lazy(Siamese):
    """Writes what the Siamese rule would, after a share of the batches that is drawn."""

    def __init__(self, start, options):
        super().__init__(start, SiameseOptions(hysteresis=options.hysteresis))
        self.rng, self.share = start.rng, options.share

    def step(self, gradient, rate):
        if self.rng.random() < self.share:
            return super().step(gradient, rate)
        self.weights -= self.optimiser.move(gradient, rate)
        return None


def squeezed(places):
    return Nonuniform(tuple(places.tolist()))


LAZY = RuleKind(Lazy, LazyOptions())
'''

SCRIPT = """
import json
import sys
import own
from memtwin.training.rules.registry import register_rule
from memtwin.training.rules.quantise import register_quantiser

register_rule("lazy", own.Lazy, own.LazyOptions())
register_quantiser("squeezed", own.squeezed)

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.training.network import mlp
from memtwin.training.runs.config import load_config
from memtwin.training.runs.run import run
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
import numpy as np

twin = build_twin(
    mlp(64, 16, 10),
    Crossbar(
        Tile(32, 32, levels=Cell.resistor(0.2).levels(np.geomspace(5e-6, 50e-6, 16))),
        mapping=MappingOptions(clip=5.0, quantiser="squeezed"),
    ),
    Ideal,
)
options = TrainOptions(epochs=2, batch=20, learning_rate=0.03, rule="lazy", rule_options=own.LazyOptions(share=0.3))
result = train(twin, load_data("digits"), options, nominal_pricing(16))
config = load_config(sys.argv[1])
done = run(config, sys.argv[2])
print(json.dumps([result.accuracy, config.training.rule]))
"""

CONFIG = """
[data]
train = 400
test = 100
[network]
hidden = [8]
[device]
levels = 6
spacing = "logarithmic"
linear = true
[training]
engine = "ideal"
epochs = 1
batch = 20
clip = 5.0
hysteresis = 0.2
rule = "lazy"
rule_options = {share = 0.7}
[mapping]
quantiser = "squeezed"
[audit]
every = 0
[validation]
engine = "ideal"
images = 20
"""


def test_in_a_process_of_ones_own(tmp_path):
    (tmp_path / "own.py").write_text(MODULE)
    (tmp_path / "run.toml").write_text(CONFIG)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "run.toml", "out"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accuracy, rule = json.loads(done.stdout.splitlines()[-1])
    assert accuracy > 0.8
    assert rule == "lazy"
    # Here nobody has registered it.
    with pytest.raises(InputError, match=r"no update rule 'lazy' .*register_rule\(NAME, FACTORY"):
        stored_config(tmp_path / "out")


@pytest.mark.slow
def test_from_an_installed_package(tmp_path):
    """Entry points let the command line take them, and go on with their runs."""
    (tmp_path / "own.py").write_text(MODULE)
    (tmp_path / "run.toml").write_text(CONFIG)
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[memtwin.rules]\nlazy = own:LAZY\n[memtwin.quantisers]\nsqueezed = own:squeezed\n"
    )

    def cli(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "memtwin", *arguments],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    done = cli("run", "--config", "run.toml", "--out", "out")
    assert done.returncode == 0, done.stderr
    again = cli("run", "--resume", "out")
    assert again.returncode == 0, again.stderr
    wrong = cli("run", "--config", "run.toml", "--out", "b", "--set", "training.rule=lasy")
    assert wrong.returncode == 2
    assert "no update rule 'lasy' (did you mean 'lazy'?)" in " ".join(wrong.stderr.split())


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    import own  # type: ignore[import-not-found]

    register_rule("lazy", own.Lazy, own.LazyOptions())
    yield own
    del RULES._known["lazy"]
    sys.modules.pop("own")


def test_a_rule_that_draws_resumes_bit_for_bit(own, tmp_path):
    def trainer():
        levels = Cell.resistor(0.2).levels(np.geomspace(5e-6, 50e-6, 16))
        crossbar = Crossbar(Tile(32, 32, levels=levels), mapping=MappingOptions(clip=5.0))
        twin = build_twin(mlp(64, 16, 10), crossbar, Ideal)
        options = TrainOptions(epochs=3, batch=50, rule="lazy")
        return Trainer(twin, load_data("digits"), options, nominal_pricing(16))

    whole, stopped = trainer(), trainer()
    for one in (whole, whole, stopped):
        one.run_epoch()
    save_checkpoint(tmp_path / "run.h5", stopped)
    again = trainer()
    load_checkpoint(tmp_path / "run.h5", again)
    again.run_epoch()
    for mine, theirs in zip(whole.twin.matrices, again.twin.matrices, strict=True):
        np.testing.assert_array_equal(mine.devices.g, theirs.devices.g)


def test_options_come_from_the_configuration(own):
    def chosen(*changes):
        return load_config("nbsto", ["training.rule=lazy", *changes]).training.of_rule

    assert chosen() == own.LazyOptions()
    assert chosen("training.rule_options.share=0.7", "training.hysteresis=0.2") == own.LazyOptions(
        0.7, 0.2
    )
    # A key of a rule of its own is the rule's own, whatever it is called.
    assert chosen("training.rule_options.hysteresis=0.1").hysteresis == 0.1
    for change, words in (
        ("training.rule_options.shre=1", "no option 'shre' .did you mean 'share'"),
        ("training.rule_options.share=much", "the update rule 'lazy': share: .*got 'much'"),
    ):
        with pytest.raises(InputError, match=words):
            chosen(change)


def test_what_cannot_be_a_rule_is_said(own):
    for make, words in (
        (
            lambda: register_rule("siamese", own.Lazy),
            "another update rule 'siamese' already",
        ),
        (lambda: register_rule("x", 3), "expected a RuleKind"),
        (lambda: register_rule("a/b", own.Lazy), "no update rule can be called 'a/b'"),
        (lambda: register_rule("x", own.Lazy, {"share": 1}), "dataclass of their own"),
        (lambda: TrainOptions(rule="lazi"), "did you mean 'lazy'"),
        (lambda: TrainOptions(rule="lazy", rule_options=SiameseOptions()), "takes LazyOptions"),
        (lambda: TrainOptions(rule="sign", scale="adaptive"), "rescaled, such as siamese"),
        (lambda: rule_options("sign", {"pace": 1}), "no option 'pace'"),
    ):
        with pytest.raises(InputError, match=words):
            make()


def test_a_comparison_takes_it(own):
    assert next(iter(RULES)) == "siamese"
    assert tuple(RULES)[-1] == "lazy"
