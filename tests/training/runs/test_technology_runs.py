"""A technology as the device of a training: relaxation by level and time, read again and written anew, brackets."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.data.records.store import pack, read_record, write_record
from memtwin.data.shown.pictures import figure
from memtwin.devices.spread.effects import TABLE, TECHNOLOGY, Effects
from memtwin.devices.technology.technology import load_technology
from memtwin.training.rules.quantise import Uniform
from memtwin.training.runs.build import crossbar_of, levels_of, write_costs
from memtwin.training.runs.config import load_config, parse_config
from memtwin.training.runs.report import panels
from memtwin.training.twin.devices import Devices

LAW = load_technology("rram_1t1r").relaxation
LOW, HIGH = 1e-5, 1.3e-4


def _devices(count, **effects):
    rng = np.random.default_rng(0)
    known = {"programming": 0.0, "read": 0.0, "relaxation": LAW, "seconds": 1.0, **effects}
    return Devices(
        (count,), low=LOW, high=HIGH, quantiser=Uniform(16), effects=Effects(**known), rng=rng
    )


def test_the_next_read_meets_what_relaxed_for_one_update():
    devices, rng = _devices(4000), np.random.default_rng(1)
    index = np.arange(4000)
    found = devices.write(index, np.full(4000, 7.0, np.float32), rng)
    assert (found == 7.0).all()  # the verify read was before
    spread = np.std(devices.g)
    told = LAW.sample(np.full(4000, LOW + 7 * 8e-6), 1.0, np.random.default_rng(2))
    assert spread == pytest.approx(np.std(told), rel=0.1)
    devices.age(20)  # ten times as long and more: the law's last time
    late = LAW.sample(np.full(4000, LOW + 7 * 8e-6), 10.0, np.random.default_rng(2))
    assert np.std(devices.g) == pytest.approx(np.std(late), rel=0.1)


def test_reading_again_leaves_fewer_devices_outside_of_their_band():
    devices, rng = _devices(4000), np.random.default_rng(1)
    index, level = np.arange(4000), np.full(4000, 6.0, np.float32)
    devices.write(index, level, rng)
    off = np.abs(devices.missing(index, level, 1.0)) > 0.5
    assert 0.1 < off.mean() < 0.6
    devices.write(index[off], level[off], rng)
    assert (np.abs(devices.missing(index, level, 1.0)) > 0.5).mean() < 0.6 * off.mean()


def test_stuck_devices_are_not_asked_again():
    devices = _devices(2000, stuck=0.5)
    off = devices.missing(np.arange(2000), np.full(2000, 8.0, np.float32), 1.0)
    assert (off == 0.0).mean() > 0.4


def test_reading_again_needs_a_law_of_seconds():
    devices = _devices(4, relaxation=0.01)
    with pytest.raises(InputError, match="reckons in seconds"):
        devices.missing(np.arange(4), np.zeros(4, np.float32), 1.0)


def test_a_configuration_takes_what_it_leaves_open_from_the_technology():
    config = load_config("demo", ["device.name=rram_1t1r", "effects.read=0.0"])
    assert (config.device.g_min, config.device.g_max, config.device.v_read) == (1e-5, 1.3e-4, 0.2)
    assert config.effects.programming == TABLE
    assert config.effects.relaxation == TECHNOLOGY
    assert config.effects.read == 0.0  # said
    again = parse_config(config.model_dump(), "again")
    assert again == config
    laws = crossbar_of(config).effects
    assert laws.relaxation.t[-1] > 10.0
    assert laws.stuck.g_high <= config.device.g_max


def test_programming_errors_of_a_run_are_those_of_its_table(tmp_path):
    config = load_config("demo", ["device.name=rram_1t1r", "device.levels=4"])
    levels = levels_of(config)
    costs = write_costs(config, levels, path=tmp_path / "t.h5")
    assert costs.tolerance == pytest.approx(0.5)
    assert costs.bracket.min() >= 1.0
    rng = np.random.default_rng(0)
    left = costs.left.sample(np.full(5000, levels.g[2]), rng) - levels.g[2]
    assert np.abs(left).max() < 0.6 * levels.step
    assert np.std(left) > 0.1 * levels.step
    again = write_costs(config, levels, path=tmp_path / "t.h5")  # from the file
    assert (again.table.energy == costs.table.energy).all()


def test_laws_without_a_technology_are_refused():
    with pytest.raises(InputError, match="law of a technology"):
        _ = Effects(relaxation=TECHNOLOGY).laws


def test_an_area_of_measured_cells_is_refused():
    config = load_config("demo", ["device.name=rram_1t1r", "device.area=2.0"])
    with pytest.raises(InputError, match="size that they were measured at"):
        levels_of(config)


def test_a_report_draws_the_technology_of_its_record(tmp_path):
    config = load_config("demo")
    shipped = load_technology("rram_1t1r")
    other = replace(shipped, name="of then", set=replace(shipped.set, r_read=9e3))
    drawn = {}
    for technology in (shipped, other):
        tree = {
            "config": config.model_dump_json(),
            "levels": {"g": np.linspace(LOW, HIGH, 16)},
            "technology": pack(technology),
        }
        path = write_record(tmp_path / "run.h5", "run", tree)
        panel = panels.device(figure(4, 3).add_subplot(), read_record(path, "run"))
        assert technology.name in panel.caption
        drawn[technology.name] = panel.columns["2 V, median [µS]"][-1]
    assert 140 < drawn["rram_1t1r"] < 170
    assert drawn["of then"] < 111  # 1/9 kOhm, however strong the pulse
