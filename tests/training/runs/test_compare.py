"""Comparing update rules over seeds: rows, folders that are continued, and the command."""

import json
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.rules.registry import RULES, register_rule
from memtwin.training.rules.siamese import Siamese, SiameseOptions
from memtwin.training.runs.compare import compare, compare_in
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import train, train_float

SMALL = [
    "images.train=300",
    "images.test=60",
    "device.levels=4",
    "network.hidden=[8]",
    "tile.rows=16",
    "tile.cols=16",
    "training.epochs=2",
    "training.batch=20",
    "training.hysteresis=0.1",
]
IDEAL = [*SMALL, "training.engine=ideal", "device.linear=true"]


class Said:
    """A listener that remembers."""

    def __init__(self):
        self.steps, self.lines = [], []

    def step(self, title):
        self.steps.append(title)
        return nullcontext(lambda done, total: None)

    def say(self, sentence):
        self.lines.append(sentence)


def test_a_rule_of_ones_own_is_compared(tmp_path):
    register_rule("every fifth", Siamese, SiameseOptions(accumulate=5))
    try:
        setup, costs = set_up(load_config("nbsto", IDEAL), surrogate=False), nominal_pricing(4)
        found = compare(setup, costs, ["every fifth", "siamese"], [0], folder=tmp_path)
        assert [row.name for row in found.rules] == ["siamese", "closed loop", "every fifth"]
        assert found.rules[2].first[0].writes < found.rules[0].first[0].writes
        assert (tmp_path / "every-fifth-0.h5").exists()
    finally:
        del RULES._known["every fifth"]
    with pytest.raises(InputError, match="no update rule 'every fifth'"):
        compare(setup, costs, ["every fifth"], [0], folder=tmp_path)


def test_rows_are_those_of_the_trainings_that_they_name():
    setup, costs = set_up(load_config("nbsto", IDEAL), surrogate=False), nominal_pricing(4)
    found = compare(setup, costs, ["siamese"], [0, 1])
    siamese, closed = found.rules
    assert (siamese.name, closed.name) == ("siamese", "closed loop")
    for place, seed in enumerate((0, 1)):
        one = setup.seeded(seed)
        options = one.config.training
        run = train(one.twin(), one.images, options, costs, seed=seed)
        assert siamese.accuracy[place] == run.accuracy
        assert siamese.first[place] == run.records[0].cost
        accuracies = train_float(one.network, one.images, options, seed=seed).accuracies
        assert found.float_accuracy[place] == accuracies[-1]
    rows = found.summary()
    assert list(rows) == ["float", "siamese", "closed loop"]
    saved = [
        1 - mine.writes / all_.writes
        for mine, all_ in zip(siamese.first, closed.first, strict=True)
    ]
    row = rows["siamese"]
    assert row["writes_removed_percent"] == pytest.approx(100 * np.mean(saved))
    assert row["writes_removed_spread_percent"] == pytest.approx(100 * np.std(saved, ddof=1))
    assert row["accuracy_spread_percent"] == pytest.approx(100 * siamese.accuracy.std(ddof=1))
    assert rows["closed loop"]["energy_removed_percent"] == 0.0


def test_one_seed_has_no_spread(tmp_path, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    given = [word for change in IDEAL for word in ("--set", change)]
    arguments = ["compare", "nbsto", *given, "--rule", "siamese", "--seeds", "1", "--out", "c"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "±" not in done.stdout
    assert "update rules, seed 0" in done.stdout
    again = CliRunner().invoke(app, ["compare", "--resume", "c", "--seeds", "1", "--json"])
    assert "spread" not in again.stdout


def test_a_comparison_is_continued_with_what_was_finished(tmp_path):
    config, costs = load_config("nbsto", IDEAL), nominal_pricing(4)
    setup = set_up(config, surrogate=False)
    first = compare(setup, costs, ["siamese"], [0], folder=tmp_path)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(kept) == ["closed-loop-0.h5", "float-0.h5", "siamese-0.h5"]
    more = compare(setup, costs, ["siamese", "sign"], [0, 1], folder=tmp_path)
    assert all((tmp_path / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert [rule.name for rule in more.rules] == ["siamese", "closed loop", "sign"]
    assert more.rules[0].first[0] == first.rules[0].first[0]
    assert more.rules[0].max_writes[0] == first.rules[0].max_writes[0]
    assert more.float_accuracy[0] == first.float_accuracy[0]


@pytest.mark.spice
def test_engines_and_device_are_those_of_the_configuration(tmp_path):
    changes = ["surrogate.vectors=8", "surrogate.held_out=6", "training.epochs=1", "audit.every=10"]
    config, said = load_config("nbsto", [*SMALL, *changes]), Said()
    found = compare_in(tmp_path, config, ["siamese"], [0], said)
    assert {path.name for path in tmp_path.iterdir()} >= {"characterisation.h5", "write_table.h5"}
    assert "nbsto_32um" in found.write_cost_source
    assert (
        sum("siamese, seed 0: audit in epoch 1, batch 10: surrogate" in line for line in said.lines)
        == 1
    )
    assert {"float, seed 0", "siamese, seed 0", "closed loop, seed 0"} <= set(said.steps)
    with pytest.raises(InputError, match="another configuration"):
        compare_in(tmp_path, load_config("nbsto", SMALL), ["siamese"], [0])


def test_the_command_prints_every_rule(tmp_path, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    given = [word for change in SMALL for word in ("--set", change)]
    folder = str(tmp_path / "c")
    arguments = ["compare", "nbsto", *given, "--engine", "ideal", "--out", folder, "--seeds", "2"]
    runner = CliRunner()
    done = runner.invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert rows.keys() == {
        "float", *RULES, "engine", "seeds", "write_cost_source", "step_over_gentlest_energy", "folder",
    }  # fmt: skip
    for against in ("", "_against_not_resting", "_against_moved"):
        assert rows["siamese"][f"energy_removed{against}_percent"] < 100.0
    assert rows["closed loop"]["writes_removed_percent"] == 0.0
    assert (rows["engine"], rows["seeds"]) == ("ideal", [0, 1])
    again = runner.invoke(app, ["compare", "--resume", folder, "--seeds", "2"])
    assert again.exit_code == 0, again.output
    shown = f"{rows['siamese']['accuracy_percent']:.2f} ± {rows['siamese']['accuracy_spread_percent']:.2f} %"
    assert shown in again.stdout
    assert "than a closed loop (only devices whose target moved): writes" in " ".join(
        again.stdout.split()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rule", "sine"], "there is no update rule 'sine' (did you mean 'sign'?)"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--engine", "idael"], "training.engine: there is no engine 'idael'"),
    ],
)
def test_bad_comparisons_are_one_sentence(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    done = CliRunner().invoke(app, ["compare", "nbsto", *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_an_empty_comparison_is_refused():
    setup = set_up(load_config("nbsto", IDEAL), surrogate=False)
    with pytest.raises(InputError, match="at least one rule"):
        compare(setup, nominal_pricing(4), [], [0])
