"""What a fit leaves open is said wherever its device is shown."""

import numpy as np

from memtwin.circuits.programming.table import extrapolations
from memtwin.data.records.store import read_record, write_record
from memtwin.devices.device import Device
from memtwin.devices.models import models
from memtwin.devices.printing.ngspice import subcircuit
from memtwin.training.runs.record import device_tree
from memtwin.training.runs.report import sections
from memtwin.training.runs.wording import device_text

DEVICE = Device(
    "mine",
    models["vteam"],
    {"k_set": 0.3, "r_on": 1000.0},
    {"k_set": np.inf, "r_on": 2.5, "v_set": 0.1},
    meta={"converged": False},
    unidentified={"k_set": "the data do not depend on it", "v_set": "moves together with k_set"},
)


def shown(record, monkeypatch):
    """Return what a report says of the device: the rows of its parameters, and its caveat."""
    monkeypatch.setattr(sections, "draw", lambda name, panel: None)
    section = sections.DeviceSection.of(record)
    return {row[0]: row[1:] for row in section.parameters.rows}, section.caveat


def test_a_report_tells_fixed_from_unidentified(tmp_path, monkeypatch):
    write_record(tmp_path / "run.h5", "run", {"device": device_tree(DEVICE)})
    record = read_record(tmp_path / "run.h5", "run") | {"levels": {"v_read": 0.1}}
    rows, caveat = shown(record, monkeypatch)
    assert rows["k_set"][0] == "0.3 1/s (unidentified)"
    assert "the data do not depend on it" in rows["k_set"][1]
    assert rows["r_on"][0] == "1000 ± 2.5 Ω"
    assert "± 0.1 V (unidentified)" in rows["v_set"][0]
    assert rows["r_s"][0] == "0 Ω (fixed)"
    assert "did not converge" in caveat


def test_a_report_of_an_older_record_is_written(monkeypatch):
    tree = {key: value for key, value in device_tree(DEVICE).items() if key != "unidentified"}
    del tree["caveat"]
    rows, caveat = shown({"device": tree, "levels": {"v_read": 0.1}}, monkeypatch)
    assert rows["k_set"][0].startswith("0.3")
    assert not caveat


def test_an_unconverged_device_says_so_wherever_it_is_shown():
    levels = DEVICE.levels(4, 0.1)
    said = "its fit did not converge"
    assert said in device_text(levels)
    assert said in subcircuit(DEVICE)
    recipe = type("R", (), {})()
    ramp = type("S", (), {"stop": 1.0, "width": 1.0})()
    recipe.set = recipe.reset = ramp
    assert any(said in note for note in extrapolations(levels, recipe))
    assert not any("a generator" in note for note in extrapolations(levels, recipe))
    ramp.width = 1e-13
    assert any("a generator" in note for note in extrapolations(levels, recipe))
