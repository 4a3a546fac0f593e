"""Devices that differ and walk from cycle to cycle, and one in a warmer place."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app

WORDS = "simulate jart_explicit_ntinas --sweep 1.4,-1.4 --sweep-rate 1.4 --points 41"


def run(words: str):
    return CliRunner().invoke(app, words.split())


def test_loops_of_devices_that_walk(tmp_path):
    words = f"{WORDS} --walk jart --devices 3 --cycles 2 --seed 4 --csv {tmp_path / 'a.csv'} --json"
    done = run(f"{words} --plot {tmp_path / 'a.png'}")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["i_max_between_devices_ampere"] > said["i_max_between_cycles_ampere"] > 0.0
    rows = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1)
    assert rows[:, :2].max(axis=0).tolist() == [1, 2]
    assert (tmp_path / "a.png").stat().st_size > 0
    first = (tmp_path / "a.csv").read_bytes()
    run(words)
    assert (tmp_path / "a.csv").read_bytes() == first
    (tmp_path / "w.toml").write_text("step = 0.0\n[bounds]\nr_det = [1.0, 1.0]\n")
    plain = json.loads(run(f"{WORDS} --json").stdout)
    same = json.loads(run(f"{WORDS} --walk {tmp_path / 'w.toml'} --json").stdout)
    assert same["i_max_ampere"] == pytest.approx(plain["i_range_ampere"][1], rel=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{WORDS} --devices 3", "--devices applies to --walk"),
        ("simulate yakopcic_oblea --sweep 0.5,-0.5 --walk jart", "r_det"),
        (
            "simulate yakopcic_oblea --sweep 0.5,-0.5 --temperature 350",
            "don't depend on a temperature",
        ),
        (f"{WORDS} --walk nothing.toml", "nothing.toml"),
    ],
)
def test_what_cannot_be_is_one_sentence(words, said):
    done = run(words)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.stderr.split())
