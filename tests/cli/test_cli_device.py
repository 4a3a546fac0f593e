"""The verbs that drive a device, print it for other simulators, and fit its ramps."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.measurement import PulseTrain, save_measurement
from memtwin.devices.device import load_device
from memtwin.devices.printing.ngspice import subcircuit
from memtwin.devices.pulses.trapezoid import Pulse

runner = CliRunner()


def ran(*arguments, code=0):
    result = runner.invoke(app, list(map(str, arguments)))
    said = " ".join(result.stderr.split())
    assert result.exit_code == code, said
    assert "Traceback" not in said
    return said if code else result.stdout


def test_a_sweep_is_what_simulate_gives(tmp_path):
    said = json.loads(
        ran(
            "simulate",
            "yakopcic_oblea",
            "--sweep",
            "0.5,-0.5",
            "--sweep-rate",
            "100",
            "--x0",
            "0.2",
            "--csv",
            tmp_path / "s.csv",
            "--plot",
            tmp_path / "s.png",
            "--json",
        )
    )
    t, v, i, x = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1).T
    assert len(t) == 401
    assert said["v_range_volt"] == [v.min(), v.max()] == [-0.5, 0.5]
    assert np.abs(np.diff(v) / np.diff(t)) == pytest.approx(100.0)
    again = load_device("yakopcic_oblea").simulate(t, v, 0.2)
    np.testing.assert_allclose(i, again.i, rtol=1e-9)
    np.testing.assert_allclose(x, again.x, rtol=1e-9)
    assert said["energy_joule"] == pytest.approx(float(again.energy))
    assert (tmp_path / "s.png").stat().st_size > 5000


def test_a_fitted_device_knows_its_own_sweep():
    said = json.loads(ran("simulate", "nbsto_32um", "--points", "101", "--json"))
    meta = load_device("nbsto_32um").meta
    assert said["v_range_volt"] == pytest.approx([meta["v_min"], meta["v_max"]])
    assert said["x0"] == pytest.approx(meta["x0"][0])


def test_a_waveform_of_ones_own(tmp_path):
    t = np.linspace(0.0, 1e-3, 50)
    np.savetxt(tmp_path / "w.csv", np.c_[t, 0.4 * np.sin(2e3 * np.pi * t)], delimiter=",")
    said = json.loads(
        ran("simulate", "yakopcic_oblea", "--waveform", tmp_path / "w.csv", "--x0", 0.1, "--json")
    )
    assert said["seconds"] == pytest.approx(1e-3)


def test_switches_turn_by_chance_and_by_seed():
    runs = [
        json.loads(
            ran(
                "simulate",
                "knowm_nugent",
                "--sweep",
                "0.4,-0.4",
                "--sweep-rate",
                4,
                "--switches",
                500,
                "--seed",
                seed,
                "--json",
            )
        )
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0]["x_end"] != runs[2]["x_end"]
    assert (500 * runs[0]["x_end"]) % 1 == pytest.approx(0.0, abs=1e-9)


def test_pulses_move_the_device_up_and_down(tmp_path):
    said = json.loads(
        ran(
            "simulate",
            "nbsto_32um",
            "--pulses",
            12,
            "--v-read",
            0.2,
            "--csv",
            tmp_path / "p.csv",
            "--plot",
            tmp_path / "p.png",
            "--json",
        )
    )
    n, v, g, x, energy = np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1).T
    assert len(n) == 25
    assert (np.diff(g[:13]) > 0).all()
    assert (np.diff(g[12:]) < 0).all()
    assert said["energy_joule"] == pytest.approx(energy.sum())
    device, width = load_device("nbsto_32um"), said["set"]["width_seconds"]
    t, wave = Pulse(v[1], width, 0.05 * width).waveform()
    assert x[1] == pytest.approx(float(device.simulate(t, wave, x[0]).x[-1]), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("simulate", "yakopcic_oblea"), "give --sweep, as 1,-1"),
        (("simulate", "yakopcic_oblea", "--sweep", "1,x"), "expected voltages, as 1,-2"),
        (("simulate", "yakopcic_oblea", "--sweep", "0"), "stays at 0 V"),
        (("simulate", "nbsto_32um", "--x0", "2"), "--x0 is 2, expected 0 to 1"),
        (("simulate", "nbsto_32um", "--pulses", "3", "--set", "-1:1"), "a positive voltage"),
        (("simulate", "nbsto_32um", "--pulses", "3", "--set", "1"), "expected V:WIDTH"),
        (("simulate", "nbsto_32um", "--set", "1:1"), "apply to --pulses N only"),
        (("simulate", "nbsto_32um", "--pulses", "3", "--sweep", "1"), "does not apply to --pulses"),
        (("simulate", "nbsto_32um", "--switches", "3"), "only knowm devices have switches"),
        (("export", "nbsto_32um", "--to", "verilog-a", "--state", "0.5"), "no part of verilog-a"),
        (("export", "nbsto_32um", "--state", "1.5"), "expected 0 to 1"),
        (("export", "nbsto"), "did you mean"),
        (("fit", "x.csv", "--levels", "3"), "--levels does not apply to sweeps"),
        (("fit", "x.csv", "--kind", "ramps", "--fix", "a=1"), "--fix does not apply to ramps"),
    ],
)
def test_errors_are_one_sentence(arguments, sentence):
    assert sentence in ran(*arguments, code=2)


def test_exports_are_the_printings(tmp_path):
    device = load_device("yakopcic_oblea").scaled(2.0)
    text = ran("export", "yakopcic_oblea", "--area", 2, "--name", "cell", "--x0", 0.2)
    assert text == subcircuit(device, "cell", x0=0.2)
    ran("export", "yakopcic_oblea", tmp_path / "d.va", "--to", "verilog-a", "--area", 2)
    module = (tmp_path / "d.va").read_text()
    assert "module memristor(p, n);" in module
    assert "parameter real area = 2.0 " in module
    ran("export", "yakopcic_oblea", tmp_path / "d.toml", "--to", "toml", "--area", 2)
    assert load_device(tmp_path / "d.toml").digest == device.digest
    frozen = ran("export", "nbsto_32um", "--state", 0.3)
    assert ".subckt memristor p n\n" in frozen
    assert "ddt" not in frozen


def ramps(rng, down=False):
    n = np.arange(61.0)
    rise = -np.expm1(-1.5 * n / 60.0) / -np.expm1(-1.5)
    ends = (2e-6, 1e-6) if down else (1e-6, 2e-6)
    g = ends[0] + (ends[1] - ends[0]) * rise * (1.0 + 0.02 * rng.standard_normal((8, 1)))
    return PulseTrain("mine", g)


def test_ramps_are_fitted_kept_drawn_and_asked_again(tmp_path, rng):
    files = [save_measurement(ramps(rng, down), tmp_path / f"{down}.h5") for down in (False, True)]
    kept, picture = tmp_path / "r.h5", tmp_path / "r.png"
    told = ["--record", kept, "--plot", picture, "--levels", 3, "--json"]
    said = json.loads(ran("fit", *files, "--kind", "ramps", "--name", "cell", *told))
    assert said["up"]["parameters"]["c"] == pytest.approx(1.5, abs=0.1)
    assert picture.stat().st_size > 5000
    pulses = np.array(said["levels"]["pulses"])
    assert (np.diag(pulses) == 0.0).all()
    assert pulses[0, 2] == pytest.approx(60.0, rel=0.05)
    again = json.loads(ran("fit", kept, "--kind", "ramps", "--levels", 3, "--json"))
    assert again["up"] == said["up"]
    assert again["levels"] == said["levels"]
    shown = ran("fit", kept, "--kind", "ramps", "--levels", 3)
    assert "Pulse response of cell" in shown
    assert "up: 8 ramps of 60 pulses" in shown
    assert "no current-voltage sweep" in ran("fit", files[0], code=2)


def test_a_profile_is_read_off_and_drawn(tmp_path):
    t = np.linspace(0.0, 1.0, 61)
    v = np.sin(2.0 * np.pi * t)
    noise = np.random.default_rng(0).standard_normal(61)
    i = 1e-3 * np.sinh(2.0 * v) * (1.0 + 0.01 * noise)
    np.savetxt(tmp_path / "s.csv", np.c_[t, v, i], delimiter=",", header="t,v,i", comments="")
    words = ["--model", "sinh", "--starts", 1, "--candidates", 8, "--workers", 1, "--no-series"]
    record, picture = tmp_path / "f.h5", tmp_path / "f.png"
    words += ["--profile", "b", "--plot", picture, "--record", record]
    said = json.loads(ran("fit", tmp_path / "s.csv", *words, "--json"))
    interval = said["profiles"]["b"]
    assert interval["low"] < said["parameters"]["b"]["value"] < interval["high"]
    assert (tmp_path / "f_b.png").stat().st_size > 5000
    shown = ran("fit", tmp_path / "s.csv", *words)
    assert "Fit of sinh" in shown
    assert "with 95%" in shown
    text = ran("export", record, "--to", "toml", "--name", "s")
    assert "sinh" in text
