"""``memtwin read``: a tile at hand from files."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.parasitics import Parasitics
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.timing.read import read_time
from memtwin.cli.main import app


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    g = np.random.default_rng(0).uniform(1e-6, 1e-5, (3, 2))
    np.save("g.npy", g)
    np.savetxt("g.csv", g, delimiter=",")
    np.savetxt("v.csv", [[0.1, 0.0, 0.05]], delimiter=",")
    np.save("cols.npy", np.array([0.1, 0.05]))
    (tmp_path / "tile.toml").write_text(
        "[tile]\nr_row = 5.0\n[tile.terminals]\nopen_rows = [1]\nend_rows = [inf, inf, 1e4]\n"
    )
    return g


def read(*words):
    done = CliRunner().invoke(app, ["read", *words, "--json"])
    return done.exit_code, json.loads(done.stdout) if done.exit_code == 0 else done.stderr


def test_numbers_come_out_as_the_library_says(files):
    code, found = read("--tile", "tile.toml", "--g", "g.npy", "--v", "v.csv", "--engine", "nodal")
    assert code == 0
    assert (found["device"], found["rows"], found["cols"]) == ("resistor", 3, 2)
    # The open line carries a little from column to column; wires take some.
    assert found["current_ampere"][0] == pytest.approx([0.1, 0.0, 0.05] @ files, rel=0.1)
    code, line = read("--tile", "tile.toml", "--g", "g.csv", "--v", "v.csv", "--engine", "line")
    assert line["current_ampere"][0] == pytest.approx(found["current_ampere"][0], rel=1e-6)
    code, _ = read(
        *("--g", "g.npy", "--v", "cols.npy", "--inputs", "cols", "--engine", "nodal"),
        *("--out", "all.npz", "--map", "map.png", "--device", "nbsto_32um"),
    )
    assert code == 0
    assert np.load("all.npz")["i"].shape == (1, 3)


def test_time_is_what_the_library_says(files, tmp_path):
    (tmp_path / "timed.toml").write_text(
        "[tile]\nr_row = 5.0\n[tile.parasitics]\npitch = 1e-6\nrise = 1e-10\n"
    )
    words = ("--tile", "timed.toml", "--g", "g.npy", "--v", "v.csv", "--engine", "nodal")
    code, found = read(*words, "--time", "estimate", "--settled", "2")
    assert code == 0
    tile = Tile(
        3, 2, r_row=5.0, cell=Cell.resistor(), parasitics=Parasitics(pitch=1e-6, rise=1e-10)
    )
    timing = read_time(tile, files, [[0.1, 0.0, 0.05]], error=0.02)
    assert found["time"]["settling_error_percent"] == 2.0
    assert found["time"]["settling_seconds"] == pytest.approx(float(timing.slowest.max()), rel=1e-6)
    assert found["time"]["energy_joule"] == pytest.approx(float(timing.energy.drivers[0]), rel=1e-6)
    shown = CliRunner().invoke(app, ["read", *words, "--time", "estimate"])
    assert "settling" in shown.stdout
    assert shown.exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--g", "no.npy", "--v", "v.csv"], "no readable file no.npy"),
        (["--g", "g.npy", "--v", "cols.npy"], "expected voltages of shape (batch, 3)"),
        (["--g", "g.npy", "--v", "v.csv", "--engine", "spicy"], "no engine 'spicy'"),
        (["--g", "g.npy", "--v", "v.csv", "--out", "i.xls"], "ends in .csv"),
        (["--g", "g.npy", "--v", "v.csv", "--settled", "2"], "add --time"),
        (
            ["--g", "g.npy", "--v", "cols.npy", "--inputs", "cols", "--time", "spice"],
            "from the word lines",
        ),
        (["--g", "g.npy", "--v", "v.csv", "--rows", "4"], "shape (..., 4, 2)"),
        (["--g", "g.npy", "--v", "v.csv", "--set", "tile.terminals.open_row=[1]"], "open_row"),
    ],
)
def test_what_cannot_be_is_one_sentence(files, tmp_path, words, said):
    before = set(tmp_path.iterdir())
    code, error = read(*words)
    assert code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert set(tmp_path.iterdir()) == before
