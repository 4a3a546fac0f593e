"""The verb ``technology``, and ``data`` on what it is fitted to."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.technology.table import load_cell_table
from memtwin.cli.main import app
from memtwin.data.importers.readers import read_measurement
from memtwin.data.records.store import read_record

LOG = "stanford-1t1r-write-verify:*_4_2_Nov29"


def cli(*args):
    return CliRunner().invoke(app, [*map(str, args)])


@pytest.fixture
def files(tmp_path):
    """A map and a log as a lab would write them."""
    rng = np.random.default_rng(0)
    rows = ["cell,op,pw [ns],v_wl [V],v_bl [V],g_before [uS],g_after [uS]"]
    for k in range(60):
        gate, line = rng.choice([0.8, 1.2, 2.0]), rng.choice([1.0, 2.0])
        rows.append(f"{k},set,100,{gate},{line},10,{10 + 60 * (line > 1) * gate:.3f}")
    chart = tmp_path / "map.csv"
    chart.write_text("\n".join(rows), encoding="utf-8")
    rows = ["cell,g_low [uS],g_high [uS],g_written [uS],g at 1 s [uS]"]
    for k in range(300):
        dead = k // 3 < 10
        rows.append(f"{k // 3},98,102,{20 if dead else 100 + rng.uniform(-1.5, 1.5)},99")
    log = tmp_path / "log.csv"
    log.write_text("\n".join(rows), encoding="utf-8")
    return chart, log


def test_a_log_is_foretold_by_what_ships(files):
    result = cli("technology", "check", "rram_1t1r", files[1], "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    (row,) = said["rows"]
    assert set(row) == {"ln_width", "predicted_percent", "measured_percent", "writes"}
    assert row["ln_width"] == pytest.approx(np.log(102 / 98))
    assert row["writes"] == 300
    assert row["measured_percent"] == pytest.approx(90.0)
    assert row["predicted_percent"] == pytest.approx(90.0, abs=1.0)
    assert said["writes_to_dead_cells_percent"] == pytest.approx(10.0)
    known = cli("technology", "check", "rram_1t1r", files[1], "--dead-share", "0.5", "--json")
    assert json.loads(known.stdout)["rows"][0]["predicted_percent"] == pytest.approx(50.0, abs=1.0)


def test_a_technology_says_what_it_holds(files):
    result = cli("technology", "show", "rram_1t1r", "--json")
    assert result.exit_code == 0, result.output
    tree = json.loads(result.stdout)
    assert tree["sources"]["set"]["cells"] == 27251
    assert len(tree["relaxation"]["g"]) == len(tree["relaxation"]["change"])


def test_a_header_says_which_kind_a_file_is(files):
    for file, what in zip(files, ("PulseMap", "WriteLog"), strict=True):
        (one,) = read_measurement(file)
        assert type(one).__name__ == what


@pytest.mark.parametrize("kind", ["pulse_map", "write_log"])
def test_data_shows_and_keeps_both_kinds(files, tmp_path, kind):
    file = files[kind == "write_log"]
    record = tmp_path / "kept.h5"
    kept = cli("data", "import", file, record, "--kind", kind, "--json")
    assert kept.exit_code == 0, kept.output
    shown = cli("data", "show", record, "--plot", tmp_path / "page.png", "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["sha256"] == json.loads(kept.stdout)["sha256"]
    assert (tmp_path / "page.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("show", "rram_1t1"), "did you mean 'rram_1t1r'"),
        (("check", "rram_1t1r", "{map}"), "no column g_low"),
        (("check", "rram_1t1r", "{log}", "--dead-share", "2"), "from 0 to 1"),
        (("fit", "{log}"), "no column op|no column pw"),
        (("fit", "{map}", "--cycled-pulse", "3,3"), "word line"),
        (("fit", "{map}"), "too few"),
    ],
)
def test_what_is_none_is_refused_in_one_sentence(files, args, said):
    named = [str(arg).format(map=files[0], log=files[1]) for arg in args]
    result = cli("technology", *named)
    assert result.exit_code == 2, result.output
    text = " ".join(result.output.split())
    assert any(part in text for part in said.split("|")), text


@pytest.mark.data
@pytest.mark.slow
def test_the_arrays_maps_are_described_to_their_noise(tmp_path):
    target = tmp_path / "array.toml"
    maps = "stanford-1t1r-switching-kinetics:*et_sweep*"
    result = cli("technology", "fit", maps, "-o", target, "--json", "--log", LOG)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    error = found["set"]["error"]
    assert 2.7e-6 < error["median"] < 3.5e-6
    assert error["switched"] < 0.055
    assert error["pooled"] < 0.04
    assert found["reset"]["error"]["switched"] < 0.04
    assert found["set"]["seconds"] < 60.0
    assert cli("technology", "check", target, LOG).exit_code == 0


def test_program_table_knows_technologies(tmp_path):
    given = ["program", "table", "rram_1t1r", "--levels", "3", "--samples", "8"]
    record = tmp_path / "t.h5"
    done = CliRunner().invoke(app, [*given, "--out", str(record), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["technology"] == "rram_1t1r"
    assert told["pulses_p50"] <= told["pulses_p99"]
    assert 0 < told["energy_joule_mean"] < told["energy_high_joule_mean"]
    assert load_cell_table(record).levels == 3
    done = CliRunner().invoke(app, [*given, "--v-set", "2"])
    assert done.exit_code == 2
    assert "no other option does" in " ".join(done.output.split())
    done = CliRunner().invoke(app, ["program", "show", str(record), "--json"])
    assert Path(json.loads(done.stdout)["plot"]).is_file()


def test_a_tile_of_a_technology_is_written_with_its_stuck_cells(tmp_path):
    given = ["program", "tile", "rram_1t1r", "--rows", "12", "--cols", "8", "--seed", "4"]
    record, plot = tmp_path / "w.h5", tmp_path / "w.png"
    done = CliRunner().invoke(app, [*given, "--out", str(record), "--plot", str(plot), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["given_up"] == len(told["failed_cells"])
    assert told["success_percent"] > 90.0
    assert 0 < told["energy_joule"] < told["energy_high_joule"]
    assert plot.is_file()
    kept = read_record(record, "written-cells")
    assert kept["reached"].shape == (12, 8)
    for option in (["--engine", "spice"], ["--scheme", "gate"], ["--access", "transistor"]):
        done = CliRunner().invoke(app, [*given, *option, "--out", str(record)])
        assert done.exit_code == 2, option


def test_verbs_of_devices_say_that_a_technology_is_none(tmp_path):
    for verb in (["simulate"], ["export"], ["datasheet"]):
        out = [str(tmp_path / "o.html")] if verb == ["datasheet"] else []
        done = CliRunner().invoke(app, [*verb, "rram_1t1r", *out])
        assert done.exit_code == 2
        assert "is a technology" in " ".join(done.output.split())
