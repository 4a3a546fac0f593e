"""The table of write costs: what is in it, on disk, in pictures, and on the command line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.programming.design import VoltageRange, design_recipe
from memtwin.circuits.programming.plots import array_map, save_table_figure
from memtwin.circuits.programming.population import Spread
from memtwin.circuits.programming.table import load_table, make_table
from memtwin.cli.verbs.arrays.program import app
from memtwin.data.errors import InputError
from memtwin.data.records.store import pack, read_record, write_record
from memtwin.devices.device import Device
from memtwin.devices.models import models
from memtwin.devices.spread.parameters import ParameterSpread

VTEAM = Device("vteam", models["vteam"], {"k_set": 1e6, "k_reset": 1e6})
LEVELS = VTEAM.levels(5, 0.2)
RECIPE = design_recipe(LEVELS, limits=VoltageRange(-1.2, 1.2, "test"), margin=1.2)
SPREAD = Spread({"k_set": 0.1}, 0.05, 0.003)


@pytest.fixture(scope="module")
def table():
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        return make_table(LEVELS, RECIPE, SPREAD, samples=6, seed=1)


def test_staying_costs_a_read_and_moving_further_costs_more(table):
    still = np.eye(5, dtype=bool)
    assert (table.pulses[still] < 0.5).all()
    assert (table.pulses[~still] >= 1).all()
    assert (table.reads >= 1).all()
    assert table.pulses[0, 4] > table.pulses[0, 1]
    assert (table.energy > table.read_energy).sum() >= 20
    assert (table.time > 0).all()
    assert table.success[~still].mean() > 0.98
    assert table.error.shape == table.open_loop_error.shape == (5, 5, 6)
    assert np.abs(table.error).std() < np.abs(table.open_loop_error).std()


def test_samples_are_kept_and_means_are_theirs(table, tmp_path):
    for name in ("pulses", "energy", "time"):
        values = table.sampled[name]
        assert values.shape == (5, 5, 6)
        np.testing.assert_allclose(values.mean(axis=-1), getattr(table, name), rtol=1e-12)
    low, high = table.quantiles("energy", (0.5, 0.99))
    assert (low <= high).all()
    told = table.summary()
    assert told["pulses_p50"] <= told["pulses_p90"] <= told["pulses_p99"]
    assert told["energy_p50_joule"] <= told["energy_p99_joule"]
    with pytest.raises(InputError, match="no samples of 'reads' were kept, only of error, pulses"):
        table.quantiles("reads")
    older = pack(table)
    del older["sampled"]
    write_record(tmp_path / "older.h5", "write-table", older, format=2)
    assert load_table(tmp_path / "older.h5").summary()["pulses_mean"] == told["pulses_mean"]


def test_errors_of_a_training_are_those_of_writes_that_move(table):
    left, rng = table.pricing().left, np.random.default_rng(0)
    drawn = left.sample(np.full(4000, LEVELS.g[2]), rng) - LEVELS.g[2]
    written = np.delete(table.error[:, 2], 2, axis=0)
    assert drawn.min() >= written.min() - 1e-12
    assert drawn.max() <= written.max() + 1e-12
    assert np.median(drawn) == pytest.approx(np.median(written), abs=0.05 * LEVELS.step)


def test_costs_of_writes_add_up(table):
    costs = table.costs.at(([0, 4, 2], [3, 1, 2]))
    assert costs.pulses.sum() == table.pulses[0, 3] + table.pulses[4, 1] + table.pulses[2, 2]
    assert costs.energy.sum() == table.energy[[0, 4, 2], [3, 1, 2]].sum()
    assert costs.reads.tolist() == table.reads[[0, 4, 2], [3, 1, 2]].tolist()


def test_small_moves_take_a_pulse_and_more_the_further_they_go(table):
    moves = table.moves
    assert (moves.pulses >= 1).all()
    np.testing.assert_allclose(moves.reads, moves.pulses + 1)
    up, down = moves.energy[0, :-1].mean(axis=0), moves.energy[1, 1:].mean(axis=0)
    assert (np.diff(up)[2:] > 0).all()
    assert (np.diff(down)[2:] > 0).all()
    still = moves.of(np.array([moves.start[3]]), np.array([moves.start[3]]))
    assert still.pulses[0] == 1.0
    assert still.reads[0] == 2.0


def test_moves_between_the_points_are_interpolated_and_long_ones_made_of_parts(table):
    moves = table.moves
    at = moves.of(np.repeat(moves.start[4], 2), moves.start[4] + moves.distance[[3, 5]])
    np.testing.assert_allclose(at.pulses, moves.pulses[0, 4, [3, 5]])
    middle = moves.of(moves.start[4:5], moves.start[4:5] - moves.distance[3:5].mean())
    np.testing.assert_allclose(middle.energy, moves.energy[1, 4, 3:5].mean())
    far = moves.of(moves.start[:1], moves.start[:1] + 2 * moves.distance[-1])
    assert far.pulses[0] > 1.5 * moves.pulses[0, :3, -1].min()


def test_the_seed_decides(table):
    again = make_table(LEVELS, RECIPE, SPREAD, samples=6, seed=1)
    assert np.array_equal(again.error, table.error)
    assert np.array_equal(again.energy, table.energy)
    other = make_table(LEVELS, RECIPE, SPREAD, samples=6, seed=2)
    assert not np.array_equal(other.error, table.error)


def test_records_come_back_as_they_were(table, tmp_path):
    back = load_table(table.save(tmp_path / "table.h5"))
    assert (back.recipe, back.spread, back.notes) == (table.recipe, table.spread, table.notes)
    assert back.summary() == table.summary()
    for name in ("g", "pulses", "energy", "time", "error", "disturb", "success"):
        assert np.array_equal(getattr(back, name), getattr(table, name))
    assert np.array_equal(back.staircase.g, table.staircase.g)
    for name, value in vars(table.moves).items():
        assert np.array_equal(getattr(back.moves, name), value)


def test_a_record_with_a_hole_is_refused(tmp_path):
    path = write_record(tmp_path / "half.h5", "write-table", {"g": np.ones(3)})
    with pytest.raises(InputError, match="is damaged"):
        load_table(path)


def test_disturb_grows_with_the_share_and_is_none_behind_transistors():
    levels = VTEAM.levels(3, 0.2)
    none, third, half = (
        make_table(levels, RECIPE, Spread(), samples=1, half_select=share).disturb.max()
        for share in (0.0, 1 / 3, 0.5)
    )
    assert none == 0.0
    assert third < half


def test_a_measured_distribution_of_parameters_takes_the_place_of_the_spread():
    row = VTEAM.model.parameter("k_set")
    bounds = np.array([[row.lower, row.upper]])
    middle = np.log((np.log(1e6) - np.log(row.lower)) / (np.log(row.upper) - np.log(1e6)))
    fixed = {k: v for k, v in VTEAM.parameters.items() if k != "k_set"}
    devices = ParameterSpread(
        VTEAM.model.name, ("k_set",), np.array([middle]), np.array([[1e-3]]), bounds,
        np.array([True]), fixed,
    )  # fmt: skip
    made = make_table(LEVELS, RECIPE, Spread(devices), samples=4)
    plain = make_table(LEVELS, RECIPE, Spread(), samples=4)
    assert made.success.mean() > 0.98
    assert made.open_loop_error.std() > plain.open_loop_error.std()


def test_notes_say_where_the_device_was_not_fitted():
    device = Device(
        "fitted",
        VTEAM.model,
        VTEAM.parameters,
        meta={"v_min": -1.0, "v_max": 1.3, "t_step": 0.1, "x_min": 0.2, "x_max": 0.99},
    )
    levels = device.levels(5, 0.2)
    notes = make_table(levels, RECIPE, Spread(), samples=1).notes
    assert any("-1.2 to 1.2 V go beyond the fitted -1 to 1.3 V" in note for note in notes)
    assert any("extrapolation" in note for note in notes)
    assert any("1 of 5 levels" in note for note in notes)


def test_pictures(table, tmp_path):
    from matplotlib.figure import Figure

    path = save_table_figure(table, tmp_path / "table.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    axes = array_map(Figure().subplots(), np.ones((3, 4)), title="t", label="g [S]")
    assert axes.get_title() == "t"


def test_wrong_numbers_are_refused():
    with pytest.raises(InputError, match="samples"):
        make_table(LEVELS, RECIPE, SPREAD, samples=0)
    with pytest.raises(InputError, match="half_select"):
        make_table(LEVELS, RECIPE, SPREAD, half_select=1.0)


def cli(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_verbs_make_and_draw_a_table(tmp_path):
    record = tmp_path / "t.h5"
    made = cli("table", "nbsto_32um", "--levels", 4, "--samples", 3, "--out", record, "--json")
    assert made.exit_code == 0, made.output
    summary = json.loads(made.stdout)
    assert summary["success_percent"] > 90
    assert summary["set_volt"][1] <= 1.0
    assert summary["record"] == str(record)
    shown = cli("show", record, "--out", tmp_path / "t.png", "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["pulses_mean"] == summary["pulses_mean"]
    assert summary["pulses_p50"] <= summary["pulses_p99"]
    assert (tmp_path / "t.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nbsto"], "did you mean"),
        (["nbsto_32um", "--v-set", "3"], "beyond the -2 to 1 V"),
        (["nbsto_32um", "--v-reset", "1"], "enclose 0 V"),
        (["nbsto_32um", "--tolerance", "0.01"], "drowns in the read noise"),
        (["nbsto_32um", "--d2d", "v_n"], "PARAMETER=SIGMA"),
        (["nbsto_32um", "--d2d", "vn=0.1"], "did you mean 'v_n'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(args, said, tmp_path):
    out = tmp_path / "t.h5"
    result = cli("table", *args, "--samples", 1, "--levels", 4, "--out", out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not out.exists()


@pytest.mark.parametrize("engine", ["numpy", pytest.param("spice", marks=pytest.mark.spice)])
def test_a_tile_is_written_from_the_command_line(engine, tmp_path):
    targets, record = tmp_path / "g.csv", tmp_path / "tile.h5"
    targets.write_text("8e-9,2e-9\n3e-9,5e-9\n")
    made = cli(
        *("tile", "nbsto_32um", "--conductances", targets, "--engine", engine, "--out", record),
        *("--area", 1e-3, "--v-read", 0.2),
        *("--plot", tmp_path / "tile.png", "--json"),
    )
    assert made.exit_code == 0, made.output
    summary = json.loads(made.stdout)
    assert summary["success_percent"] == 100.0
    assert summary["source_energy_joule"] > summary["device_energy_joule"] > 0.0
    kept = read_record(record, "written-tile")
    assert kept["g"] == pytest.approx(np.loadtxt(targets, delimiter=","), abs=3e-10)
    assert kept["facts"]["engine"] == engine
    assert (tmp_path / "tile.png").is_file()


def test_levels_that_end_where_the_device_does_are_said(tmp_path):
    args = ["nbsto_32um", "--area", "1", "--g-max", "1", "--samples", 1, "--levels", 4]
    result = cli("table", *args, "--out", tmp_path / "t.h5")
    assert result.exit_code == 0, result.output
    assert "levels end where device nbsto_32um does" in " ".join(result.stderr.split())


def test_a_wrong_target_is_named_by_its_place(tmp_path):
    targets = tmp_path / "g.csv"
    targets.write_text("8e-9,2e-9\n3e-9,5e-2\n")
    refused = cli("tile", "nbsto_32um", "--conductances", targets, "--out", tmp_path / "t.h5")
    assert refused.exit_code == 2
    assert "target 1, 1 is 0.05 S" in " ".join(refused.stderr.split())
