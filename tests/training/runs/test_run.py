"""The main job, small but whole: real ngspice, real digits, the shipped device; and how it fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.surrogate.characterise import load_characterisation
from memtwin.cli.main import app
from memtwin.data.errors import InputError, MemtwinError
from memtwin.data.records.store import digest, write_record
from memtwin.devices.device import load_device
from memtwin.devices.technology.technology import load_technology
from memtwin.training.runs import run as experiment
from memtwin.training.runs.config import load_config
from memtwin.training.runs.folder import new_folder
from memtwin.training.runs.overview.summary import summarise
from memtwin.training.runs.record import load_record
from memtwin.training.runs.report.page import write_report
from memtwin.training.trainer.checkpoint import load_checkpoint

RELAXATION = load_technology("rram_1t1r").relaxation
SMALL = [
    "name=small",
    "images.train=300",
    "images.test=60",
    "network.hidden=[8]",
    "tile.rows=16",
    "tile.cols=16",
    "training.epochs=2",
    "training.batch=20",
    "surrogate.vectors=8",
    "surrogate.held_out=6",
    "audit.every=10",
    "validation.images=10",
]
PROMISED = {
    "float_accuracy_percent",
    "memristor_accuracy_percent",
    "memristor_accuracy_low_percent",
    "memristor_accuracy_high_percent",
    "spice_accuracy_percent",
    "spice_images",
    "surrogate_same_images_accuracy_percent",
    "surrogate_nrmse_percent",
    "surrogate_max_error_percent",
    "writes",
    "writes_closed_loop",
    "writes_removed_percent",
    "weights_removed_first_epoch_percent",
    "weights_of_learning_removed_first_epoch_percent",
    "row_time_removed_percent",
    "energy_removed_against_not_resting_percent",
    "energy_removed_against_moved_first_epoch_percent",
    "step_over_gentlest_energy",
    "energy_removed_percent",
    "audits",
    "audits_failed",
    "final_engine",
    "epochs_to_endurance",
    "wall_seconds",
    "write_energy_joule",
    "record",
    "report",
    "seed",
    "ngspice_version",
    "klu",
}


def memtwin(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memtwin", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, **options)


def settings(*changes: str) -> list[str]:
    return [word for change in (*SMALL, *changes) for word in ("--set", change)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    done = memtwin("run", "demo", *settings(), "--out", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done


@pytest.mark.spice
def test_a_run_prints_one_json_object_with_what_was_promised(finished):
    folder, summary, done = finished
    assert done.stdout.count("\n") == 1
    assert summary.keys() >= PROMISED
    assert summary["spice_images"] == 10
    assert summary["record"] == str(folder / "run.h5")
    assert summary["surrogate_nrmse_percent"] < 0.2
    # Three hundred images, eight hidden units, two epochs: above chance, far below a real network.
    assert summary["memristor_accuracy_percent"] > 30
    low, high = (summary[f"first_epoch_energy{end}_joule"] for end in ("", "_high"))
    assert 0 < low < high < summary["first_epoch_energy_closed_loop_joule"]
    assert summary["agreement"] >= 9
    removed = 100 * (1 - summary["writes"] / summary["writes_closed_loop"])
    assert summary["writes_removed_percent"] == pytest.approx(removed)


@pytest.mark.spice
def test_the_record_agrees_with_itself(finished):
    record = load_record(finished[0])
    epochs, layers = record["epochs"], record["layers"]
    assert sum(layer["writes"].sum() for layer in layers.values()) == epochs["writes"].sum()
    assert [layers[name]["g"].shape for name in sorted(layers)] == [(65, 16), (9, 20)]
    low, high = record["levels"]["g"][[0, -1]]
    for layer in layers.values():
        # Bands reach beyond the outer levels, and cells relax.
        assert layer["g"].min() > 0
        assert low < np.median(layer["g"]) < high
        assert layer["g"].max() <= RELAXATION.g_limit[1]
    # Every device after every batch of both layers.
    devices = 65 * 16 + 9 * 20
    assert epochs["closed_loop_writes"].tolist() == [devices * 15] * 2
    lowest = record["levels"]["i"][0, -1] / record["levels"]["v_read"]
    assert lowest == pytest.approx(low)


@pytest.mark.spice
def test_the_report_is_one_page_with_all_pictures(finished):
    page = (finished[0] / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 11
    assert "3 times a random tile was read" in page
    assert "none of the audits exceeded it" in page
    assert "95 % confidence interval" in page
    assert "that limit is the configured device.endurance" in page
    # Self-contained: nothing is fetched.
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|url\((?!#)", page)


@pytest.mark.spice
@pytest.mark.parametrize("right", [True, False])
def test_a_run_with_all_or_no_images_right_is_reported(finished, tmp_path, right):
    record = load_record(finished[0])
    part = record["validation"]
    part["labels"] = (part["outputs"].argmax(axis=1) + (not right)) % 10
    record["summary"] = summarise(record)
    assert record["summary"]["spice_accuracy_percent"] == 100 * right
    page = write_report(record, tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{100 * right:.2f} % correct" in page


@pytest.mark.spice
def test_audits_are_in_the_record(finished):
    audits, summary = load_record(finished[0])["audits"], finished[1]
    assert audits["epoch"].tolist() == [1, 2, 2]
    assert audits["batch"].tolist() == [10, 5, 15]
    assert list(audits["engine"]) == ["surrogate"] * 3
    assert audits["passed"].all()
    assert summary["audits"] == 3
    assert 0 < summary["audit_worst_nrmse_percent"] < 0.2


@pytest.mark.spice
def test_a_failed_audit_ends_on_the_line_solver_and_is_said(tmp_path):
    folder = tmp_path / "strict"
    done = memtwin(
        "run", "demo", *settings("audit.bar_percent=1e-9", "training.epochs=1"),
        "--out", str(folder), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the bar is 1e-09 %: training goes on through the engine line" in done.stderr
    summary = json.loads(done.stdout)
    assert (summary["audits_failed"], summary["final_engine"]) == (1, "line")
    assert load_record(folder)["validation"]["reference_engine"] == "line"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "training went through the engine line" in page


@pytest.mark.spice
def test_the_same_seed_gives_the_same_record(finished, tmp_path):
    first = load_record(finished[0])
    config = load_config("demo", [*SMALL, "workers=1"])
    again = experiment.run(config, tmp_path / "again")
    for record in (first, again):
        del record["seconds"], record["summary"]["wall_seconds"], record["config"]
    assert digest(first) == digest(again)


@pytest.mark.spice
def test_validation_goes_on_from_what_was_read(finished):
    folder = finished[0]
    done = memtwin("validate", str(folder), "--images", "14", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["spice_images"] == 14
    assert found["agreement"] >= 13
    low, score, high = (found[f"spice_accuracy{part}_percent"] for part in ("_low", "", "_high"))
    assert 0 <= low <= score <= high <= 100


@pytest.mark.spice
def test_reports_are_drawn_from_the_record_alone(finished, tmp_path):
    folder = finished[0]
    done = memtwin("report", str(folder / "run.h5"), "--out", str(tmp_path / "page.html"), "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").read_bytes() == (folder / "report.html").read_bytes()


INTERRUPTED = """
import os, sys
from memtwin.cli.job import Terminal
from memtwin.cli.main import main

say, number = Terminal.say, int(sys.argv.pop(1))

def interrupted(self, sentence):
    say(self, sentence)
    if sentence.startswith("epoch 2:"):
        os.kill(os.getpid(), number)

Terminal.say = interrupted
main()
"""


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    config = load_config("demo", [*SMALL, "training.epochs=4"])
    return experiment.run(config, tmp_path_factory.mktemp("runs") / "straight")


@pytest.mark.spice
@pytest.mark.parametrize(
    "way", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_is_resumed_to_the_same_record(way, straight, tmp_path):
    folder = tmp_path / "stopped"
    words = ["run", "demo", *settings("training.epochs=40"), "--out", str(folder)]
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(int(way)), *words], capture_output=True, text=True
    )
    assert stopped.returncode == 128 + way, stopped.stderr
    assert f"continue with: memtwin run --resume {folder}" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "epoch 3:" not in stopped.stderr
    assert (folder / "checkpoint.h5").exists()
    assert not (folder / "run.h5").exists()
    assert not list(folder.glob(".*"))
    # As if it had been configured for four epochs: then it must come out as the uninterrupted run did.
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"epochs": 40', '"epochs": 4'))
    done = memtwin("run", "--resume", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    assert digest(timeless(straight)) == digest(timeless(load_record(folder)))


def timeless(record):
    """Return a record without what a clock says."""
    kept = {name: value for name, value in record.items() if name != "seconds"}
    summary = {name: value for name, value in record["summary"].items() if name != "wall_seconds"}
    return {**kept, "summary": summary}


def test_records_of_an_older_memtwin_are_refused_with_the_remedy(tmp_path):
    write_record(tmp_path / "run.h5", "run", {"config": "{}"})
    done = memtwin("report", str(tmp_path))
    assert done.returncode == 2
    assert f"memtwin run --resume {tmp_path} writes it anew" in " ".join(done.stderr.split())


def test_runs_are_never_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config("demo")
    with new_folder(None, config) as first:
        assert first.path == Path("runs/demo-0")
        (first.path / "config.json").write_text(config.model_dump_json())
    with new_folder(None, config) as second:
        assert second.path == Path("runs/demo-0-2")
    with pytest.raises(InputError, match="already holds a run: continue it with --resume"):
        new_folder(first.path, config)
    with pytest.raises(InputError, match="another configuration"):
        experiment.run(load_config("demo", ["seed=1"]), first.path)


def resumed_with(finished, folder, changes, *files):
    """Continue a copy of some of a run's files as if it had been configured otherwise."""
    folder.mkdir()
    for name in ("config.json", *files):
        shutil.copy(finished[0] / name, folder / name)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for section, values in changes.items():
        config[section] |= values
    path.write_text(json.dumps(config))
    done = memtwin("train", "--resume", str(folder))
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join(done.stderr.split())


@pytest.mark.spice
def test_a_learning_rate_that_diverges_stops_and_names_the_matrix(finished, tmp_path):
    code, said = resumed_with(
        finished, tmp_path / "r", {"training": {"learning_rate": 1e6}},
        "characterisation.h5", "write_table.h5",
    )  # fmt: skip
    assert code == 1
    assert re.search(
        r"diverged in epoch 1, .* of matrix \d .*: lower the learning rate of 1e\+06", said
    )


@pytest.mark.spice
def test_a_checkpoint_of_another_configuration_or_version_is_refused(finished, tmp_path):
    files = ("characterisation.h5", "write_table.h5", "checkpoint.h5")
    code, said = resumed_with(finished, tmp_path / "r", {"training": {"hysteresis": 0.2}}, *files)
    assert code == 2
    assert "checkpoint.h5 was saved by a training with another configuration" in said
    assert "resume with the same ones, or start anew with another file" in said
    newer = write_record(tmp_path / "newer.h5", "training checkpoint", {}, format=9)
    with pytest.raises(
        InputError, match="has format 9, this memtwin reads up to 1: update memtwin"
    ):
        load_checkpoint(newer, None)


@pytest.mark.spice
def test_a_characterisation_is_taken_from_another_run_or_refused(finished, tmp_path):
    given = ["--characterisation", str(finished[0] / "characterisation.h5")]
    done = memtwin(
        "train", "demo", *settings("tile.r_row=3.0"), "--out", str(tmp_path / "r"), *given
    )
    assert done.returncode == 2
    assert "characterises a tile that differs from the configured one in r_row" in done.stderr
    assert not (tmp_path / "r" / "characterisation.h5").exists()
    done = memtwin("train", "demo", *settings("seed=4"), "--out", str(tmp_path / "s"), *given)
    assert done.returncode == 0, done.stderr
    mine, theirs = (
        load_characterisation(folder / "characterisation.h5").digest
        for folder in (tmp_path / "s", finished[0])
    )
    assert mine == theirs


SINH = 'name = "plain"\nmodel = "sinh"\narea = 1.0\n[parameters]\nb = 2.0\n[meta]\n'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["device.levels=1"], "device.levels: Input should be greater than or equal to 2, got 1"),
        (["network.kind=lenet", "network.hidden=[100]"], "8 × 8 pixels are too small for a lenet"),
        (["images.train=5"], "a test sample has the label 5"),
        (
            ["device.name=plain.toml"],
            "device plain has no dynamics (sinh), so that pulses on it have no price: choose 'nominal'",
        ),
        (
            ["device.name=bare.toml"],
            "device bare does not say at which voltages it was fitted to",
        ),
        (["effects.stuck=2"], "effects: stuck must be from 0 to 1, got 2.0"),
        (["mapping.drive=bits"], "inputs driven bit by bit need dac_bits, such as 8"),
        (
            ["training.gradients=array", "training.engine=ideal"],
            "needs the engine surrogate or line",
        ),
        (["training.write_limit=0"], "training: write_limit must be a whole number, at least 1"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    Path("plain.toml").write_text(SINH)
    replace(load_device("yakopcic_miao"), name="bare", meta={}).save("bare.toml")
    given = [word for change in changes for word in ("--set", change)]
    done = CliRunner().invoke(app, ["train", "demo", *given, "--out", "r"])
    assert done.exit_code == 2, done.output
    said = " ".join(done.output.split())
    assert said.count("error:") == 1
    assert words in said
    assert not list(tmp_path.glob("r/*.h5"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "give a preset"),
        (["run", "demoo"], 2, "did you mean 'demo'?"),
        (["run", "demo", "--set", "training.epoch=3"], 2, "did you mean 'epochs'?"),
        (["run", "demo", "--engine", "spcie"], 2, "there is no engine 'spcie'"),
        (["run", "demo", "--resume", "x"], 2, "nothing else"),
        (["run", "--resume", "nowhere"], 2, "holds no run"),
        (["run", "demo", "--characterisation", "no.h5"], 2, "there is no characterisation no.h5"),
        (["run", "demo", "--set", "device.name=nbsto"], 2, "did you mean 'nbsto_32um'?"),
        (["run", "demo", "--set", "images.train=99999"], 2, "has 1297"),
        (["run", "demo", "--images", "100000"], 2, "validation.images: 100000 images asked for"),
        (["run", "demo", "--engine", "ideal", "--characterisation", __file__], 2, "leave"),
        (["validate", "nowhere"], 2, "holds no run"),
        (["report", "nowhere"], 2, "there is no run record"),
        (["fit", "missing.csv"], 2, "missing.csv"),
        (["data", "get", "nbsto-groningen"], 2, "did you mean 'nbsto-groningen-iv'?"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, code, words):
    done = memtwin(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_ngspice_the_remedy_is_named(tmp_path):
    # Neither the library nor the program that would stand in for it.
    missing = {"NGSPICE_LIBRARY_PATH": str(tmp_path / "missing.so"), "PATH": str(tmp_path)}
    environment = {**os.environ, **missing}
    done = memtwin("run", "demo", "--out", str(tmp_path / "r"), env=environment)
    assert done.returncode == 1
    assert "ngspice" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MemtwinError, match="can't write"):
        experiment.run(load_config("demo"), tmp_path / "file" / "run")
