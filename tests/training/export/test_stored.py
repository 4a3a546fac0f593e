"""A finished run, its layers placed in all ways, becomes a folder that numpy evaluates alike; on the way its record,
report, validation and studies know what is where.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from memtwin.cli.verbs.devices.device import export as export_verb
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.training.runs.config import load_config
from memtwin.training.runs.finished import load_run
from memtwin.training.runs.run import run

LAYERS = [
    "dense 24",
    "relu",
    {"layer": "dense 16", "levels": 4, "tile": 16, "clip": 3},
    "relu",
    {"layer": "dense 10", "digital": True},
]
CHANGES = [
    "training.engine=ideal",
    "validation.engine=nodal",
    "validation.images=4",
    "audit.every=0",
    "device.pricing=nominal",
    "device.linear=true",
    "training.epochs=3",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    config = load_config("demo", CHANGES, {"network.layers": LAYERS})
    run(config, folder)
    return folder


def test_the_record_and_the_report_say_what_is_where(home):
    found = load_run(home)
    record = found.record
    assert record["network"] == "8x8x1-24-16[levels=4, clip=3, tile=16]-10[digital]"
    assert {k: v["levels"] for k, v in record["layers"].items()} == {"layer_1": 16, "layer_2": 4}
    assert record["layers"]["layer_2"]["tile"].tolist() == [16, 16]
    assert record["digital"]["layer_3"]["weights"].shape == (17, 10)
    page = found.report().read_text()
    assert "17 × 10" in page
    assert "digital" in page
    assert "One inference" in page
    total = record["inference"]["total"]
    parts = record["inference"]["layers"]
    assert len(parts["rows"]) == 2  # digital work is not counted
    assert total["read_energy_joule"] == pytest.approx(
        sum(parts[f"{name}_energy"].sum() for name in ("array", "dac", "adc"))
    )
    assert found.footprint().summary() == pytest.approx(total, rel=1e-6)


def test_numpy_alone_answers_as_the_run_does(home, tmp_path, evaluated):
    found = load_run(home)
    data = load_data("digits")
    known = found.validate(engine="ideal", images=200)
    # Without its data: a run's own folder is enough.
    folder = found.export(tmp_path / "net")
    x = data.x_test[known.indices].reshape(-1, 8, 8)
    outputs = evaluated(folder, x)
    np.testing.assert_allclose(outputs, known.outputs, atol=2e-4 * np.abs(known.outputs).max())
    np.testing.assert_array_equal(outputs.argmax(1), known.predictions)
    facts = json.loads((folder / "network.json").read_text())
    assert facts["matrices"][1]["levels"] == 4
    assert facts["matrices"][2] == {"digital": True, "rows": 17, "cols": 10}
    with pytest.raises(InputError, match="is there already"):
        found.export(folder)


def test_any_number_of_workers_validates_alike(home):
    found = load_run(home)
    (home / "validation-ideal.h5").unlink(missing_ok=True)
    one = found.validate(engine="ideal", images=120)
    (home / "validation-ideal.h5").unlink()
    two = found.validate(engine="ideal", images=120, workers=2)
    np.testing.assert_array_equal(two.outputs, one.outputs)
    assert len(found.validate(engine="ideal", images=170, workers=2).outputs) == 170
    with pytest.raises(InputError, match="workers must be at least 1, got 0"):
        found.validate(engine="ideal", workers=0)


def test_a_study_reads_the_digital_layer_too(home):
    found = load_run(home)
    plain = found.study(["effects.read=0"], images=200)
    assert plain.accuracy == found.validate(engine="ideal", images=200).accuracy


def test_the_command_writes_it(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home, tmp_path / "mine")
    found = export_verb("mine", None, None, json=True)
    assert Path(found["folder"]).resolve() == tmp_path / "mine-numpy"
    assert json.loads(capsys.readouterr().out)["files"] == [
        "evaluate.py", "network.json", "weights.npz"
    ]  # fmt: skip
    with pytest.raises(InputError, match="for devices"):
        export_verb("mine", None, "verilog-a")
    with pytest.raises(InputError, match="no run's folder"):
        export_verb("nbsto_32um", None, "numpy")
    (tmp_path / "mine" / "run.h5").unlink()
    with pytest.raises(InputError, match=r"run\.h5"):
        export_verb("mine", tmp_path / "other", None)
    assert not (tmp_path / "other").exists()
