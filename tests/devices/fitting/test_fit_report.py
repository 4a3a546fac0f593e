"""What a fit leaves open is said wherever its device is shown."""

import numpy as np

from memtwin.circuits.programming.table import extrapolations
from memtwin.data.records.store import read_record, write_record
from memtwin.devices.device import Device
from memtwin.devices.models import models
from memtwin.devices.printing.ngspice import subcircuit
from memtwin.training.runs.record import device_tree
from memtwin.training.runs.report import passages
from memtwin.training.runs.wording import device_text

DEVICE = Device(
    "mine",
    models["vteam"],
    {"k_set": 0.3, "r_on": 1000.0},
    {"k_set": np.inf, "r_on": 2.5, "v_set": 0.1},
    meta={"converged": False},
    unidentified={"k_set": "the data do not depend on it", "v_set": "moves together with k_set"},
)


def test_a_report_tells_fixed_from_unidentified(tmp_path):
    write_record(tmp_path / "run.h5", "run", {"device": device_tree(DEVICE)})
    record = read_record(tmp_path / "run.h5", "run") | {"levels": {"v_read": 0.1}}
    said = passages.device(record)
    assert "k_set = 0.3 (unidentified)" in said
    assert "k_set: the data do not depend on it" in said
    assert "r_on = 1000 ± 2.5," in said
    assert "± 0.1 (unidentified)" in said
    assert "r_s = 0 (fixed)" in said
    assert "did not converge" in said


def test_a_report_of_an_older_record_is_written():
    tree = {key: value for key, value in device_tree(DEVICE).items() if key != "unidentified"}
    del tree["caveat"]
    assert "k_set = 0.3" in passages.device({"device": tree, "levels": {"v_read": 0.1}})


def test_an_unconverged_device_says_so_wherever_it_is_shown():
    levels = DEVICE.levels(4, 0.1)
    said = "its fit did not converge"
    assert said in device_text(levels)
    assert said in subcircuit(DEVICE)
    recipe = type("R", (), {})()
    ramp = type("S", (), {"stop": 1.0, "width": 1.0})()
    recipe.set = recipe.reset = ramp
    assert any(said in note for note in extrapolations(levels, recipe))
