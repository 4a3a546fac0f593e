"""``import memtwin as mt``: the names, what they cost to import, and the first scripts of every kind of user."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import memtwin as mt
from memtwin.data.errors import FitError
from memtwin.training.runs.config import load_config

ROOT = Path(__file__).parents[1]


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """A sweep of the shipped device with 1 % noise, as a file in an empty folder."""
    monkeypatch.chdir(tmp_path)
    device = mt.load_device("nbsto_32um")
    t = np.linspace(0.0, 50.0, 150)
    v = np.interp(t, [0.0, 12.5, 37.5, 50.0], [0.0, 1.0, -2.0, 0.0])
    i = device.simulate(t, v, x0=0.1).i
    i *= 1 + 0.01 * np.random.default_rng(1).standard_normal(t.size)
    table = np.c_[t, v, i]
    np.savetxt("loop.csv", table, delimiter=",", header="t [s],V [V],I [A]", comments="")
    return device


def test_every_name_is_there_and_listed():
    places = {*mt._PLACES, *mt._MODULES, "__version__"}
    assert set(mt.__all__) == places
    assert places <= set(dir(mt))
    for name in mt.__all__:
        if name != "pytorch":  # needs torch
            assert getattr(mt, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode_device'"):
        _ = mt.lode_device


def test_asking_for_a_name_loads_no_more_than_it_needs():
    code = """
import sys
import memtwin as mt
light = set(sys.modules)
mt.Tile, mt.Effects, mt.mlp, mt.engine, mt.load_device
heavy = {'lmfit', 'matplotlib', 'torch', 'pandas', 'PySpice'}
print(sorted({'numpy', *heavy} & light), sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_from_a_loop_to_a_device(loop):
    held = {"x_p": 0.3, "x_n": 0.5, "alpha_p": 1.0, "alpha_n": 15.0, "v_p": 0.5}
    fit = mt.fit(mt.read_sweep("loop.csv"), "yakopcic", fixed=held, starts=1, candidates=128)
    assert 8 <= len(str(fit).splitlines()) <= 30
    assert "\n" not in repr(fit)
    assert "<table" in fit._repr_html_()
    fit.plot("fit.png")
    fit.device("mine").save("mine.toml")
    again = mt.load_device("mine.toml")
    assert ".subckt memristor p n x" in again.to_ngspice("mine.sub")
    assert "parameter real area = 0.5 " in again.scaled(0.5).to_verilog_a("mine.va")
    assert {p.name for p in Path().iterdir()} >= {"fit.png", "mine.toml", "mine.sub", "mine.va"}
    assert fit.quality[0].nrmse_percent < 1.5
    assert again.parameters["r_s"] == pytest.approx(loop.parameters["r_s"], rel=0.1)


def test_fit_takes_a_model_its_name_or_several(loop):
    sweep = mt.read_sweep("loop.csv")
    held = dict.fromkeys(("v_set", "v_reset", "k_set", "k_reset"), 0.5) | {"x0": 0.1}
    few = {"starts": 1, "candidates": 2, "steps": 3, "fixed": held, "series": False}
    assert (
        mt.fit("loop.csv", mt.models["vteam"], **few).parameters
        == mt.fit(sweep, "vteam", **few).parameters
    )
    with pytest.raises(mt.InputError, match="did you mean 'yakopcic'"):
        mt.fit(sweep, "yakopcik")
    assert mt.fit([sweep, sweep], ["vteam", "drift_zha"], **few).model.name in (
        "vteam",
        "drift_zha",
    )
    flat = mt.Tile  # a class is no measurement
    with pytest.raises((TypeError, AttributeError, mt.InputError, FitError)):
        mt.fit(flat, "vteam")


@pytest.mark.spice
def test_one_array_three_engines():
    device = mt.load_device("nbsto_32um")
    tile = mt.Tile(32, 32, levels=device.levels(16, v_read=0.05))
    g = np.random.default_rng(0).choice(tile.levels.g, tile.shape)
    v = np.full(32, 0.05)
    reads = {}
    for name in ("ideal", "surrogate", "spice"):
        reads[name] = mt.engine(name, tile).program(g).read(v)
        assert reads[name].shape == (32,)
    scale = reads["spice"].max()
    assert np.abs(reads["surrogate"] - reads["spice"]).max() < 2e-3 * scale
    assert reads["ideal"].sum() > reads["spice"].sum()
    batch = mt.engine("surrogate", tile).program(g).read(np.stack([v, 0.5 * v]))
    np.testing.assert_allclose(batch[0], reads["surrogate"], rtol=1e-5)


def test_a_twin_learns_predicts_and_scores():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.0, 1.0, (600, 8))
    y = np.digitize(x[:, 0] + x[:, 1], [0.75, 1.25])
    device = mt.load_device("nbsto_32um").scaled(10)
    tile = mt.Tile(32, 32, levels=device.levels(16, v_read=0.05))
    twin = mt.Twin(mt.mlp(8, 16, 3), tile, engine="surrogate")
    with pytest.raises(mt.InputError, match="fit it first"):
        twin.predict(x)
    assert twin.fit(x[:500], y[:500], epochs=20, batch=20, validation=(x[500:], y[500:])) is twin
    assert twin.predict(x[500:]).shape == (100,)
    assert twin.score(x[500:], y[500:]) > 0.85
    assert twin.result.records[-1].test_accuracy == pytest.approx(
        twin.score(x[500:], y[500:]), abs=0.05
    )
    again = mt.Twin(mt.mlp(8, 16, 3), tile, engine="surrogate")
    again.fit(x[:500], y[:500], epochs=20, batch=20)
    np.testing.assert_array_equal(again.predict(x), twin.predict(x))
    assert "\n" not in repr(twin)
    assert "epoch 20" in str(twin)


def test_two_levels_learn_too():
    data = mt.load_data("digits")
    levels = mt.load_device("nbsto_32um").scaled(10).levels(2, v_read=0.05)
    twin = mt.Twin(mt.mlp(64, 32, 10), mt.Tile(32, 32, levels=levels), engine="ideal")
    assert twin.fit(data, epochs=3).score(data) > 0.7


@pytest.mark.parametrize("regression", [False, True])
def test_a_twin_of_a_whole_data_set_takes_what_that_holds(regression):
    rng = np.random.default_rng(3)
    raw = rng.uniform(0.0, 255.0, (500, 8))
    total = raw[:, 0] + raw[:, 1]
    y = total if regression else np.where(total > 255.0, "light", "dark")
    data = mt.Dataset.of_arrays(raw, y, scale="unit", name="shades")
    levels = mt.load_device("nbsto_32um").scaled(10).levels(16, v_read=0.05)
    twin = mt.Twin(
        mt.mlp(8, 16, 1 if regression else 2), mt.Tile(32, 32, levels=levels), engine="ideal"
    )
    rate = {"learning_rate": 0.02} if regression else {}
    twin.fit(data, epochs=20, batch=20, **rate)
    score = twin.score(data)
    assert score > 0.8
    assert score == twin.score(data.x_test, data.y_test)
    assert score == pytest.approx(twin.result.records[-1].test_accuracy, abs=0.05)
    said = twin.predict(data.x_test)  # in the user's own terms
    if regression:
        assert np.corrcoef(said, data.targets.said(data.y_test))[0, 1] ** 2 > 0.9
        assert 200.0 < said.mean() < 310.0
    else:
        assert set(said) == {"light", "dark"}
        assert twin.score(data.x_test, said) == 1.0
    with pytest.raises(mt.InputError, match=r"reach 25.*scaling\.apply"):
        twin.predict(raw)
    assert twin.predict(data.scaling.apply(raw)).shape == (500,)
    with pytest.raises(mt.InputError, match="labels, parts and scales of its own"):
        twin.fit(data, y)
    with pytest.raises(mt.InputError, match="100 inputs but labels of shape"):
        twin.score(data.x_test, 3)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.ones((4, 2)), [0, 1, 1], "4 samples but 3 labels"),
        (
            np.full((4, 2), np.nan),
            [0, 1, 1, 0],
            "sample 0 holds nan at .0., expected finite|finite",
        ),
        (np.ones((4, 2)), ["a", "a", "a", "a"], "only one class, 'a'"),
        (np.ones((4, 2)), [0.5, 1, 1, 0], "the network has 2 outputs, the data 1 target"),
        (np.ones((4, 2)), [0.5, np.nan, 1, 0], "must not be missing"),
        (np.array([["a", "b"]] * 4), [0, 1, 1, 0], "samples hold <U1, expected numbers"),
        (np.ones(4), [0, 1, 1, 0], "expected samples .n, features."),
        (np.ones((4, 3)), [0, 1, 1, 0], "2"),
        (np.ones((1, 2)), [0], "holds 1 samples, expected at least 2"),
    ],
)
def test_what_a_twin_can_not_learn_is_one_sentence(x, y, sentence):
    tile = mt.Tile(4, 4, levels=mt.Cell.resistor(0.2).levels(np.linspace(1e-6, 1e-5, 4)))
    with pytest.raises(mt.InputError, match=sentence):
        mt.Twin(mt.mlp(2, 2), tile, engine="ideal").fit(x, y, epochs=1, batch=2)


def test_unknown_options_are_one_sentence():
    tile = mt.Tile(4, 4, levels=mt.Cell.resistor(0.2).levels(np.linspace(1e-6, 1e-5, 4)))
    with pytest.raises(
        mt.InputError, match=r"no option 'epoch' of a training .did you mean 'epochs'"
    ):
        mt.Twin(mt.mlp(2, 2), tile, engine="ideal").fit(np.eye(2), [0, 1], epoch=1)
    with pytest.raises(mt.InputError, match="changes belong to a preset or a file"):
        mt.run(load_config("demo"), changes=["seed=1"])


def test_devices_levels_tiles_and_models_show_themselves(tmp_path):
    device = mt.load_device("nbsto_32um")
    tile = mt.Tile(8, 4, levels=device.levels(4, 0.05), drive="both")
    for thing in (device, tile, tile.levels, tile.cell, mt.models["yakopcic"]):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 120
    assert "r_s" in str(device)
    assert "± " in device._repr_html_()
    assert "SET threshold" in str(mt.models["yakopcic"])
    tile.plot(tmp_path / "tile.svg")
    drawn = (tmp_path / "tile.svg").read_text()
    assert "<svg" in drawn


@pytest.mark.spice
def test_a_finished_run_is_an_object(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ["training.epochs=1", "validation.images=5", "training.engine=ideal", "audit.every=0"]
    run = mt.run("demo", "here", changes=[*changes, "validation.engine=ideal"])
    assert run.config.training.epochs == 1
    assert run.summary["spice_images"] == 5
    assert "float network" in str(run)
    assert Path("here/report.html").stat().st_size > 10_000
    assert run.report("page.html") == Path("page.html")
    again = mt.load_run("here")
    assert again.summary == run.summary
    assert again.validate("line" if run.record.get("surrogate") else "ideal", 3) is not None
    with pytest.raises(mt.InputError, match="there is no run record"):
        mt.load_run("elsewhere")


@pytest.mark.slow
def test_a_type_checker_resolves_the_names():
    checker = shutil.which("pyright") or shutil.which("basedpyright")
    if checker is None:
        pytest.skip("no pyright on the path")
    script = ROOT / "typed_use.py"
    lines = [f"reveal_type(mt.{name})" for name in mt.__all__ if name != "pytorch"]
    script.write_text("import memtwin as mt\n" + "\n".join(lines) + "\n")
    try:
        done = subprocess.run(
            [checker, "--outputjson", str(script)], capture_output=True, text=True, cwd=ROOT
        )
    finally:
        script.unlink()
    said = json.loads(done.stdout)["generalDiagnostics"]
    types = [one["message"] for one in said if one["severity"] == "information"]
    assert len(types) == len(lines)
    assert not [one for one in types if "Unknown" in one]
    assert not [one for one in said if one["severity"] == "error"]


def test_the_reference_has_every_name():
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    for name in mt._PLACES:
        assert f"\n## {name}\n" in pages, name
