"""Writes at several ambient temperatures, by pulses made for one."""

import json
import re

import pytest
from typer.testing import CliRunner

from memtwin.circuits.programming.table import load_table
from memtwin.cli.main import app

WORDS = "stanford_hfox --v-read 0.1 --g-max 1e-4 --levels 3"


def run(tmp_path, words: str):
    return CliRunner().invoke(app, [*words.split(), "--out", str(tmp_path / "w.h5")])


def test_a_table_of_writes_at_two_temperatures(tmp_path):
    sweep = "--samples 2 --sweep temperature=280,340 --json"
    done = run(tmp_path, f"program table {WORDS} {sweep} --plot {tmp_path / 'w.png'}")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    cold, warm = (row["time_mean_seconds"] for row in rows)
    assert cold > warm  # hops are activated, pulses made for 298 K
    tables = [load_table(tmp_path / f"w-{kelvin}K.h5") for kelvin in (280, 340)]
    assert len({table.recipe for table in tables}) == 1
    assert len({tuple(table.g) for table in tables}) == 1
    head, *lines = (tmp_path / "w-temperature.csv").read_text().splitlines()
    assert head.startswith("temperature,")
    assert len(lines) == 2
    assert (tmp_path / "w.png").stat().st_size > 0
    assert not (tmp_path / "w.h5").exists()


@pytest.mark.slow
def test_a_tile_at_two_temperatures(tmp_path):
    done = run(
        tmp_path, f"program tile {WORDS} --rows 2 --cols 2 --sweep temperature=298,340 --json"
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["success_percent"] for row in rows] == [100.0, 100.0]
    assert rows[0]["record"].endswith("w-298K.h5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{WORDS} --sweep levels=2,4", "expected temperatures, as temperature=300,325,350"),
        (f"{WORDS} --sweep temperature=300,-3", "different temperatures above 0 K"),
        (f"{WORDS} --sweep temperature=a", "expected temperatures [K]"),
        ("yakopcic_oblea --g-max 1e-4 --sweep temperature=300", "don't depend on a temperature"),
    ],
)
def test_what_cannot_be_swept_is_one_sentence(tmp_path, words, said):
    done = run(tmp_path, f"program table {words}")
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_datasheet_of_a_device_in_a_warmer_place(tmp_path):
    page = tmp_path / "page.html"
    words = ["datasheet", "stanford_hfox", str(page), "--temperature", "350"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert re.search(r"t_0.*?<td[^>]*>350", page.read_text(), re.S)
    words[1:3] = ["vteam_asic2", str(tmp_path / "other.html")]
    assert CliRunner().invoke(app, words).exit_code == 2
    assert not (tmp_path / "other.html").exists()
