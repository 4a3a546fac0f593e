"""Runs that no SPICE takes part in: what they ask for, and what their record holds."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.array.cell import Cell
from memtwin.cli.main import app
from memtwin.data.dataset import load_data
from memtwin.data.records.store import digest, read_record, write_record
from memtwin.devices.device import Device
from memtwin.devices.models import models
from memtwin.devices.pulses.open_loop import open_loop_costs
from memtwin.training.runs import run as experiment
from memtwin.training.runs.build import engines_of, levels_of, write_costs
from memtwin.training.runs.config import load_config
from memtwin.training.runs.folder import stored_config
from memtwin.training.runs.report.page import write_report
from memtwin.training.trainer.checkpoint import KIND

SMALL = [
    "name=small",
    "images.train=300",
    "images.test=60",
    "network.hidden=[8]",
    "tile.rows=16",
    "tile.cols=16",
    "training.batch=20",
    "validation.images=10",
]


def test_a_run_without_wires_asks_nothing_of_ngspice(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise AssertionError("ngspice was asked")

    for place in ("setup.characterise", "setup.fit_surrogate", "run.ngspice.features"):
        monkeypatch.setattr(f"memtwin.training.runs.{place}", missing)
    changes = ["training.engine=ideal", "validation.engine=ideal", "training.epochs=1"]
    record = experiment.run(load_config("nbsto", [*SMALL, *changes]), tmp_path / "run")
    assert not (tmp_path / "run" / "characterisation.h5").exists()
    assert record["versions"]["ngspice"] == "not used"
    assert "surrogate" not in record
    # The same arrays through the same engine: all alike.
    assert record["summary"]["agreement"] == record["summary"]["spice_images"] == 10
    page = write_report(record, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "held to ngspice" not in page
    done = CliRunner().invoke(
        app, ["report", str(tmp_path / "run"), "--picture", str(tmp_path / "a.png")]
    )
    assert done.exit_code == 0, done.output


def test_outputs_follow_from_the_record_alone(tmp_path):
    changes = ["training.engine=ideal", "validation.engine=ideal", "training.epochs=1",
               "mapping.drive=linear", "device.v_read=0.3"]  # fmt: skip
    config = load_config("nbsto", [*SMALL, *changes])
    record = experiment.run(config, tmp_path / "run")
    levels, part = record["levels"], record["validation"]
    device, v_read, g = record["device"], levels["v_read"], levels["g"]
    cell = Cell(
        Device("it", models[device["model"]], device["parameters"], area=device["area"]), v_read
    )
    x = load_data("digits").x_test[part["indices"]].astype(float)
    for layer in record["layers"].values():
        x = np.hstack([np.maximum(x, 0.0), np.ones((len(x), 1))])
        scale = x.max(axis=1, keepdims=True)
        i = cell.current((x / scale * v_read)[:, :, None], layer["g"]).sum(axis=1)
        per_ampere = layer["clip"] / (v_read * (g[-1] - g[0]))
        assert abs(layer["gain"] - 1.0) > 0.01
        x = layer["gain"] * (i[:, 0::2] - i[:, 1::2]) * scale * per_ampere
    np.testing.assert_allclose(x, part["outputs"], rtol=1e-4, atol=1e-4 * np.abs(x).max())


def test_a_run_made_before_keys_moved_goes_on(tmp_path):
    changes = ["training.engine=ideal", "validation.engine=ideal", "training.epochs=1"]
    folder = tmp_path / "run"
    first = experiment.run(load_config("nbsto", [*SMALL, *changes]), folder)
    config = json.loads((folder / "config.json").read_text())
    config["training"]["clip"] = config["mapping"].pop("clip")
    (folder / "config.json").write_text(json.dumps(config))
    tree = read_record(folder / "checkpoint.h5", KIND)
    write_record(folder / "checkpoint.h5", KIND, tree | {"digest": None, "identity": "of old"})
    (folder / "run.h5").unlink()
    again = experiment.run(stored_config(folder), folder)
    assert (
        again["summary"]["memristor_accuracy_percent"]
        == first["summary"]["memristor_accuracy_percent"]
    )
    for name, layer in first["layers"].items():
        np.testing.assert_array_equal(again["layers"][name]["g"], layer["g"])
    found = experiment.validate_run(folder, images=5)
    np.testing.assert_array_equal(found.outputs, first["validation"]["outputs"][:5])


@pytest.mark.parametrize("kind", [str, Path])
def test_write_costs_are_kept_where_they_are_told(tmp_path, kind):
    config = load_config("nbsto", ["device.levels=3"])
    path = tmp_path / "table.h5"
    made = write_costs(config, levels_of(config), path=kind(path))
    assert path.exists()
    again = write_costs(config, levels_of(config), path=kind(path))
    assert digest(asdict(made)) == digest(asdict(again))


def test_a_device_that_was_not_fitted_here_is_priced_by_its_own_pulses(tmp_path):
    changes = ["training.engine=ideal", "validation.engine=ideal", "training.epochs=1",
               "device.name=yakopcic_miao", "device.levels=4", "device.pricing=open loop"]  # fmt: skip
    config = load_config("nbsto", [*SMALL, *changes])
    record = experiment.run(config, tmp_path / "run")
    found = open_loop_costs(levels_of(config))
    np.testing.assert_array_equal(record["write_cost"]["pulses"], found.costs.pulses)
    np.testing.assert_array_equal(record["write_cost"]["energy"], found.costs.energy)
    assert record["write_cost"]["source"] == found.source
    assert record["epochs"]["energy"].sum() > 0.0
    assert not (tmp_path / "run" / "write_table.h5").exists()
    page = write_report(record, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "under identical pulses, open loop" in page


def test_a_device_without_dynamics_has_a_nominal_price():
    config = load_config("nbsto", ["device.levels=4", "device.pricing=nominal"])
    static = Device("s", models["sinh"]).levels(4, 0.05, g_min=1e-6, g_max=1e-5)
    assert "no device data" in write_costs(config, static).source


@pytest.mark.parametrize(
    ("changes", "engines"),
    [
        ([], {"surrogate", "spice", "line"}),
        (["audit.every=0"], {"surrogate", "spice"}),
        (["audit.fallback=none"], {"surrogate", "spice"}),
        (["training.engine=ideal"], {"ideal", "spice"}),
        (["training.engine=spice", "validation.engine=line"], {"spice", "line"}),
    ],
)
def test_a_run_goes_through_the_engines_that_are_asked_for(changes, engines):
    assert engines_of(load_config("nbsto", changes)) == engines
