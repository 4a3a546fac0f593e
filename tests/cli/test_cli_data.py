"""The verbs ``fit`` and ``data``, called as functions and through typer."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.intake import find_files
from memtwin.cli.main import app
from memtwin.cli.verbs.devices import data as verbs
from memtwin.cli.verbs.devices.fit import fit
from memtwin.data.errors import InputError
from memtwin.data.importers.readers import read_measurement
from memtwin.data.measurement import PulseTrain, Relaxation, Sweep, Table, save_measurement
from memtwin.devices.device import Device, load_device
from memtwin.devices.fitting import compare as fit_compare
from memtwin.devices.fitting import fit as fit_module
from memtwin.devices.fitting.compare import Comparison
from memtwin.devices.fitting.parts import Alternative
from memtwin.devices.fitting.result import load_fit
from memtwin.devices.models import models
from memtwin.devices.plots import save_measurement_figure

runner = CliRunner()


@pytest.fixture
def sweep_file(tmp_path):
    corners = np.array([0.0, 1.0, 0.0, -1.2, 0.0])
    places = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(corners)))])
    t = np.linspace(0.0, 20.0, 81)
    v = np.interp(t, 20.0 * places / places[-1], corners)
    truth = {"a_p": 2e-5, "a_n": 3e-5, "b_p": 4.0, "b_n": 3.0, "A_p": 3.0, "A_n": 1.0, "r_s": 300.0}
    i = Device("d", models["yakopcic"], truth).simulate(t, v, 0.2).i
    path = tmp_path / "device one.csv"
    np.savetxt(path, np.c_[t, v, i], delimiter=",", header="t,v,i", comments="")
    return path


def test_list_names_every_dataset(capsys):
    summary = verbs.list_(json=True)
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["datasets"]) == set(summary["datasets"])
    assert printed["datasets"]["mnist"]["files"] == 4
    verbs.list_()
    assert "CC BY-SA" in capsys.readouterr().out


def test_import_then_show(tmp_path, sweep_file, capsys):
    record = tmp_path / "s.h5"
    summary = verbs.import_(
        str(sweep_file),
        record,
        column=["t=0:s", "v=v", "i=2:A"],
        area=1e-9,
        licence="CC0",
        json=True,
    )
    assert summary["points"] == 81
    assert summary["meta"]["licence"] == "CC0"
    assert json.loads(capsys.readouterr().out)["records"] == [str(record)]
    shown = verbs.show(str(record), plot=tmp_path / "s.png", json=True)
    assert shown["sha256"] == summary["sha256"]
    assert (tmp_path / "s.png").stat().st_size > 5000


def test_import_errors_end_with_two_and_one_sentence(tmp_path, sweep_file):
    for arguments, sentence in (
        (["import", str(tmp_path / "no.csv"), "x.h5"], "there is no file"),
        (["import", str(sweep_file), "x.h5", "--column", "q=1"], "expected t=, v= or i="),
        (
            ["import", str(sweep_file), "x.h5", "--kind", "sweeps"],
            "no kind of measurement 'sweeps' (did you mean 'sweep'?)",
        ),
        (["import", str(sweep_file), "x.h5", "--kind", "ramps"], "t: by its name this is a time"),
        (["import", str(sweep_file), "x.h5", "--kind", "ramps", "--column", "g=i"], "read voltage"),
        (["import", str(sweep_file), "x.h5", "--v-read", "0.1"], "v read does not apply to"),
        (["import", str(sweep_file), "x.h5", "--kind", "log", "--offset", "0"], "does not apply"),
        (["import", str(sweep_file), "x.h5", "--column", "i=v"], "expected A, as of a current"),
        (["get", "mnits"], "did you mean 'mnist'"),
    ):
        result = runner.invoke(verbs.app, arguments)
        assert result.exit_code == 2, arguments
        assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize(
    "words",
    ["data import {0} {0}", "data import {0} {1}", "fit {0} --record {0}", "fit {0} --device {1}"],
)
def test_what_is_read_is_never_written_over(tmp_path, sweep_file, words):
    before, link = sweep_file.read_bytes(), tmp_path / "link.csv"
    link.symlink_to(sweep_file)
    done = runner.invoke(app, [w.format(sweep_file, link) for w in words.split()])
    assert done.exit_code == 2
    assert "what is written must be a file of its own" in done.stderr
    assert sweep_file.read_bytes() == before


def test_options_that_are_no_quantities_name_themselves(sweep_file):
    for option in ("--compliance", "--shunt", "--area", "--r-tester"):
        done = runner.invoke(app, ["data", "show", str(sweep_file), option, "-1"])
        assert done.exit_code == 2
        assert f"({option})" in done.stderr


def test_fit_from_a_file_to_a_device(tmp_path, sweep_file, capsys):
    record, device, picture = (tmp_path / name for name in ("f.h5", "d.toml", "f.png"))
    summary = fit(
        [str(sweep_file)],
        fix=["alpha_p=1", "alpha_n=1", "x_p=0.3", "x_n=0.3"],
        bound=["b_p=1:20"],
        starts=2,
        candidates=32,
        workers=1,
        record=record,
        device=device,
        plot=picture,
        json=True,
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["converged"] is True
    assert printed["parameters"]["r_s"]["unit"] == "ohm"
    assert load_fit(record).parameters == pytest.approx(load_device(device).parameters)
    command = load_device(device).meta["command"]
    assert "--bound b_p=1:20" in command
    assert "--fix x_p=0.3" in command
    assert picture.stat().st_size > 10_000
    assert summary["model"] == "yakopcic"


def broken(table, how):
    """One thing wrong with a sound loop."""
    t, v, i = table.T
    if how == "time":
        t = np.where(np.arange(len(t)) == 5, t[3], t)
    elif how == "short":
        t, v, i = t[:3], v[:3], i[:3]
    elif how == "constant":
        i = np.full(len(i), 1e-6)
    elif how == "ohmic":
        i = 1e-3 * v
    elif how == "against":
        i = -i
    elif how == "negative":
        v, i = -v, -i
    return np.c_[t, v, i]


@pytest.mark.parametrize(
    ("how", "options", "code", "sentences"),
    [
        ("time", (), 2, ("time does not increase at point 6",)),
        ("no time", (), 2, ("no time", "sweep rate")),
        ("short", (), 2, ("3 points are too few",)),
        ("constant", (), 2, ("the current is constant; check the current column",)),
        ("censored", (), 2, ("every point is censored; give a higher compliance",)),
        ("against", (), 2, ("flows against the voltage; turn the sign",)),
        ("", ("--start", "b_p=50", "--bound", "b_p=1:20"), 2, ("outside its bounds", "widen")),
        ("", ("--bound", "b_p=20:1"), 2, ("expected a rising pair",)),
        ("", ("--model", "yakopic"), 2, ("did you mean 'yakopcic'",)),
        ("", ("--model", "auto", "--fix", "bq=1"), 2, ("no model compared has a parameter",)),
        ("", ("--bound", "b_p=20:25"), 0, ("exclude what the data suggest", "wider")),
        ("ohmic", (), 0, ("does not switch", "use a larger voltage")),
        ("negative", (), 0, ("SET at negative voltage", "polarity -1")),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, sweep_file, how, options, code, sentences):
    """It names the file where one is at fault, and the remedy; nothing is written after an error."""
    table = np.loadtxt(sweep_file, delimiter=",", skiprows=1)
    path = tmp_path / "mine.csv"
    if how == "censored":
        path = save_measurement(
            Sweep("mine.csv", *table.T, np.ones(len(table), bool)), tmp_path / "mine.h5"
        )
    elif how == "no time":
        np.savetxt(path, table[:, 1:], delimiter=",", header="v,i", comments="")
    else:
        np.savetxt(path, broken(table, how), delimiter=",", header="t,v,i", comments="")
    record = tmp_path / "fit.h5"
    quick = ["--starts", "1", "--candidates", "4", "--workers", "1", "--json"]
    held = [f"--fix={name}=0.3" for name in ("x_p", "x_n")] if code == 0 else []
    arguments = ["fit", str(path), *quick, *held, *options]
    arguments += ["--record", str(record)] if code else []
    result = runner.invoke(app, arguments)
    said = " ".join(result.stderr.split())
    assert result.exit_code == code, said
    assert "Traceback" not in said
    for sentence in sentences:
        assert sentence in said
    if code:
        assert "error: " in said
        assert how == "" or "mine.csv" in said
        assert not record.exists()
        assert not result.stdout
    else:
        assert "warning: mine.csv: " in said
        assert json.loads(result.stdout)["warnings"]


def test_a_fit_that_did_not_converge_is_not_kept(tmp_path, sweep_file, monkeypatch):
    real = fit_module.fit

    def unfinished(*args, **settings):
        found = real(*args, **settings)
        return replace(found, course=replace(found.course, converged=False, message="out of steps"))

    monkeypatch.setattr(fit_module, "fit", unfinished)
    record, device = tmp_path / "f.h5", tmp_path / "d.toml"
    base = ["fit", str(sweep_file), "--starts", "1", "--candidates", "4", "--workers", "1"]
    held = [f"--fix={name}=0.3" for name in ("x_p", "x_n")]
    for option in (["--record", str(record)], ["--device", str(device)]):
        result = runner.invoke(app, [*base, *held, *option])
        said = " ".join(result.stderr.split())
        assert result.exit_code == 1, said
        assert "did not converge" in said
        assert "is not saved" in said
    assert not record.exists()
    assert not device.exists()
    both = ["--record", str(record), "--device", str(device), "--keep-unconverged", "--json"]
    result = runner.invoke(app, [*base, *held, *both])
    assert result.exit_code == 0, result.stderr
    assert "did not converge (out of steps)" in result.stderr
    assert json.loads(result.stdout)["converged"] is False
    assert not load_fit(record).converged
    assert load_device(device).caveat == "its fit did not converge"


def test_a_fit_says_fixed_from_unidentified_and_names_the_alternatives(
    tmp_path, sweep_file, monkeypatch
):
    real = fit_module.fit

    def ridge(*args, **settings):
        found = real(*args, **settings)
        other = Alternative({**found.parameters, "A_n": 123.0}, found.x0, 1.004 * found.cost)
        unknown = {"stderr": {**found.stderr, "A_n": np.inf}, "unidentified": {"A_n": "no data"}}
        return replace(
            found,
            estimate=replace(found.estimate, **unknown),
            course=replace(found.course, ends=(other,)),
        )

    monkeypatch.setattr(fit_module, "fit", ridge)
    device = tmp_path / "d.toml"
    base = ["fit", str(sweep_file), "--starts", "1", "--candidates", "4", "--workers", "1"]
    base += [f"--fix={name}=0.3" for name in ("x_p", "x_n")]
    result = runner.invoke(app, [*base, "--device", str(device), "--json"])
    said = json.loads(result.stdout)
    rows = said["parameters"]
    assert (rows["x_p"]["fixed"], rows["A_n"]["fixed"]) == (True, False)
    assert rows["x_p"]["unidentified"] is rows["b_p"]["unidentified"] is None
    assert rows["A_n"]["unidentified"] == "no data"
    (other,) = said["alternatives"]
    assert other["parameters"]["A_n"] == 123.0
    assert "a fit that is as good: cost +0.4 % at A_n = 123" in " ".join(result.stderr.split())
    kept = load_device(device)
    assert kept.stderr["A_n"] == np.inf
    assert kept.unidentified == {"A_n": "no data"}
    shown = " ".join(runner.invoke(app, base).stdout.split())
    assert "fixed: x_p = 0.3, x_n = 0.3" in shown
    assert re.search(r"A_n \S+ 1/s \(unidentified\): no data", shown)
    assert "a fit as good: cost +0.4 % at A_n = 123" in shown


def test_no_model_is_chosen_where_none_describes_the_data(tmp_path, sweep_file, monkeypatch):
    nothing = Comparison(None, {}, {}, "mine.csv: no model foretells it")
    monkeypatch.setattr(fit_compare, "compare", lambda *args, **settings: nothing)
    result = runner.invoke(app, ["fit", str(sweep_file), "--model", "auto", "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["model"] is None
    assert "warning: mine.csv: no model foretells it" in result.stderr
    record = tmp_path / "f.h5"
    wanted = ["fit", str(sweep_file), "--model", "auto", "--record", str(record)]
    result = runner.invoke(app, wanted)
    assert result.exit_code == 1
    assert "f.h5 is not written" in "".join(result.stderr.splitlines())
    assert not record.exists()


def test_fit_refuses_what_it_cannot_read(sweep_file):
    with pytest.raises(InputError, match=r"--fix 'b_p': expected NAME=VALUE"):
        fit([str(sweep_file)], fix=["b_p"])
    with pytest.raises(InputError, match=r"--bound .*NAME=NUMBER:NUMBER"):
        fit([str(sweep_file)], bound=["b_p=1"])
    with pytest.raises(InputError, match="workers must be 0 or more"):
        fit([str(sweep_file)], workers=-1)
    with pytest.raises(InputError, match="no dataset of that name"):
        find_files("nowhere:*.csv")


@pytest.mark.parametrize(
    "measurement",
    [
        Sweep("s", np.arange(9.0), np.arange(9.0), np.arange(9.0) * 1e-6, np.arange(9) > 7),
        PulseTrain("p", np.linspace(1e-6, 2e-6, 20)[None].repeat(3, 0)),
        PulseTrain("n", np.linspace(-1, 1, 20)[None], "1"),
        Relaxation(
            "r", np.array([0.0, 1.0, 10.0]), np.ones((50, 3)) * 1e-6, np.zeros(50, np.int64)
        ),
        Table("t", {"a": np.arange(20.0), "b": np.ones(20)}, {"a": "ohm", "b": "1"}),
    ],
    ids=lambda measurement: measurement.name,
)
def test_every_measurement_can_be_drawn_and_read_back(tmp_path, measurement):
    assert save_measurement_figure(measurement, tmp_path / "m.png").stat().st_size > 3000
    record = save_measurement(measurement, tmp_path / "m.h5")
    assert read_measurement(record)[0].digest == measurement.digest


@pytest.mark.slow
@pytest.mark.data
def test_every_array_file_of_the_catalogue_is_read():
    from memtwin.data.catalogue import datasets

    for name, entry in datasets().items():
        if entry.kind not in ("array", "pulses"):
            continue
        for file in entry.files:
            if file.endswith(".json"):
                with pytest.raises(InputError, match="holds no measurement"):
                    read_measurement(entry.path(file), dataset=name)
            elif entry.path(file).stat().st_size < 1_200_000:
                assert read_measurement(entry.path(file), dataset=name)
