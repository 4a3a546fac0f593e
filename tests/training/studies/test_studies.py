"""Studies of a finished run: other noise, faults, wires, converters and age, and arrays drawn anew."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.timing.read import read_time
from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.training.runs.config import load_config
from memtwin.training.runs.finished import load_run
from memtwin.training.runs.run import run as do_run
from memtwin.training.studies.hardware import footprint
from memtwin.training.studies.montecarlo import montecarlo
from memtwin.training.studies.options import HardwareOptions
from memtwin.training.studies.read import read_conditions
from memtwin.training.studies.study import opened_run
from memtwin.training.studies.sweep import Axis, axis_of, sweep
from memtwin.training.studies.trained import Condition
from memtwin.training.trainer.validate import score_interval, wilson

SMALL = [
    "images.train=300",
    "images.test=150",
    "network.hidden=[12]",
    "tile.rows=32",
    "tile.cols=16",
    "training.epochs=3",
    "training.batch=20",
    "training.engine=ideal",
    "validation.engine=ideal",
    "validation.images=150",
    "audit.every=0",
    "device.pricing=open loop",
]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        do_run(load_config("nbsto", SMALL), folder)
    return folder


@pytest.fixture
def finished(trained_once, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_once, folder)
    return folder


def test_as_trained_is_what_the_run_says(finished):
    record = load_run(finished).record
    with opened_run(finished) as study:
        quiet = Condition((("effects.read", 0.0),))
        (found,) = read_conditions(study.trained, [quiet])
    # Without noise the very outputs of the validation, which reads without any.
    np.testing.assert_allclose(found.outputs[0], record["validation"]["outputs"], atol=1e-5)
    assert 100 * found.accuracy == pytest.approx(record["summary"]["spice_accuracy_percent"])
    assert found.interval == pytest.approx(wilson(round(150 * found.accuracy), 150))


def test_noise_faults_and_age_act_as_their_laws_say(finished):
    with opened_run(finished) as study:
        trained = study.trained
        before = trained.twin(Condition())
        g = before.matrices[0].devices.g
        old = trained.twin(Condition((("effects.drift", 0.1),), after=1e6))
        np.testing.assert_allclose(old.matrices[0].devices.g, g * (1 + 1e6) ** -0.1, rtol=1e-4)
        again = trained.twin(Condition((("effects.drift", 0.1),), after=1e6, recalibrate=True))
        ratio = again.matrices[0].gain / old.matrices[0].gain
        assert ratio == pytest.approx((1 + 1e6) ** 0.1, rel=0.02)
        faulty = trained.twin(Condition((("effects.stuck", 0.2),)))
        moved = np.asarray(faulty.matrices[0].devices.state()["stuck"]).reshape(g.shape)
        assert 0.14 < moved.mean() < 0.26
        levels = trained.setup.levels.g
        held = np.unique(faulty.matrices[0].devices.g[moved])
        np.testing.assert_allclose(held, levels[[0, -1]], rtol=1e-6)
        anew = trained.twin(Condition((("effects.programming", 0.0),)))
        steps = anew.matrices[0].devices.levels(anew.matrices[0].placement.places)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        loud, quiet = (Condition((("effects.read", r),)) for r in (0.5, 0.0))
        found = read_conditions(trained, [loud, quiet], draws=3)
        assert found[0].accuracy < found[1].accuracy - 0.1
        assert found[0].spread > 0.0
        assert found[1].spread == 0.0


def test_any_number_of_workers_gives_the_same_and_nothing_is_read_twice(finished, monkeypatch):
    axes = [axis_of("effects.read=0.0,0.2"), axis_of("after=0s,30d")]
    asked = Condition((("effects.drift", 0.02),))
    with opened_run(finished) as study:
        first = sweep(study.trained, axes, asked)
        second = sweep(study.trained, axes, asked, workers=2, path=study.folder / "s.h5")
        told = []

        def fail(piece):
            raise AssertionError("it was read before")

        monkeypatch.setattr("memtwin.training.studies.read._read", fail)
        third = sweep(
            *(study.trained, axes, asked),
            path=study.folder / "s.h5",
            progress=lambda done, total: told.append((done, total)),
        )
    assert [row["after"] for row in first.rows()] == [0.0, 2592000.0] * 2
    for one, two, three in zip(first.outcomes, second.outcomes, third.outcomes, strict=True):
        np.testing.assert_array_equal(one.outputs, two.outputs)
        np.testing.assert_array_equal(one.outputs, three.outputs)
    assert told == [(8, 8)]


def test_drawn_arrays_differ_and_their_mean_has_an_interval(finished):
    with opened_run(finished) as study:
        rough = Condition((("effects.programming", 0.08), ("effects.stuck", 0.03)))
        found = montecarlo(study.trained, 6, rough)
        assert montecarlo(study.trained, 3, rough).drawn.scores == pytest.approx(
            found.drawn.scores[:3]
        )
    told = found.summary()
    assert told["worst_percent"] < told["best_percent"]
    half = 2.5706 * found.drawn.scores.std(ddof=1) / 6**0.5  # Student's t of 5
    assert told["mean_high_percent"] - told["accuracy_percent"] == pytest.approx(
        100 * half, rel=1e-4
    )
    assert told["accuracy_as_trained_percent"] > told["accuracy_percent"]


def test_footprint_is_what_its_figures_say(finished):
    options = HardwareOptions(adcs_per_tile=4, adc_bits=6, read_time=2e-8)
    with opened_run(finished) as study:
        twin, x = study.trained.twin(Condition()), study.trained.setup.images.x_test[:10]
        found = footprint(twin, x, options)
    first, last = found.layers
    # 64 pixels and a bias on tiles of 32 × 8 pairs: 3 × 2 tiles; 13 × 10 on 13 × 16: 1 × 2.
    assert (first.rows, first.outputs, first.tiles, first.vectors, first.reads) == (65, 12, 6, 1, 1)
    assert (last.rows, last.outputs, last.tiles) == (13, 10, 2)
    assert first.adc_energy == pytest.approx(3 * 24 * 1.5625e-12 / 4)
    assert first.dac_energy == pytest.approx(65 * 2 * options.dac_energy)
    assert first.latency == pytest.approx(2e-8 + 4 * options.adc_time)
    cells = 6 * 32 * 16 * 1e-14
    assert first.area == pytest.approx(cells + 6 * (32 * options.dac_area + 4 * options.adc_area))
    again = footprint(twin, x, replace(options, read_time=1.0))
    assert again.layers[0].array_energy == pytest.approx(first.array_energy / 2e-8)


def test_reads_last_until_the_slowest_tile_has_settled(finished):
    wired = (("tile.parasitics.c_row", 5e-14), ("tile.parasitics.c_col", 5e-14))
    with opened_run(finished) as study:
        x = study.trained.setup.images.x_test[:1]
        twin = study.trained.twin(Condition(wired))
        found = footprint(twin, x, HardwareOptions(adc_energy=0.0, dac_energy=0.0))
    matrix, last = twin.matrices[1], found.layers[1]
    inputs = []
    hidden = lambda k, a: (inputs.append(a), twin.matrices[k].multiply(a, None))[1]  # noqa: E731
    twin.network.forward(x, twin.product(hidden), twin.norms)
    (v,) = matrix.voltages(inputs[1])
    g = matrix.devices.g.astype(float)
    every = [read_time(matrix.tile, g[0, j], v[0, j]) for j in range(g.shape[1])]
    slowest = max(one.slowest.max() for one in every)
    assert last.timed == "estimated"
    assert last.read_time == pytest.approx(slowest, rel=0.05)
    assert last.read_time > 3.0 * found.edge.rise
    # Over the time in which it settles, a read delivers what was integrated up to then.
    each = [one.energy.drivers - one.power * (one.duration - last.read_time) for one in every]
    assert last.energy == pytest.approx(np.sum(each), rel=0.05)
    static = footprint(twin, x, HardwareOptions(read_time=last.read_time)).layers[1]
    assert last.array_energy > 1.2 * static.array_energy  # wires are charged, too


def test_energy_is_what_devices_take_where_wires_take_nothing(finished):
    wires = tuple((f"tile.r_{name}", 1e-3) for name in ("row", "col", "driver", "sense"))
    with opened_run(finished) as study:
        twin = study.trained.twin(Condition(wires))
        x = study.trained.setup.images.x_test[:4]
        found = footprint(twin, x, HardwareOptions(read_time=1.0)).layers[0]
    matrix = twin.matrices[0]
    (v,) = matrix.voltages(np.hstack([x, np.ones((4, 1), np.float32)]))
    cell, g = matrix.tile.cell, matrix.devices.g[:, :, None]
    power = v[..., None] * cell.current(v[..., None], g.astype(float))
    assert found.array_energy == pytest.approx(power.sum() / 4, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--set", "network.hidden=[3]"],
            "network.hidden can't change in a network that is trained",
        ),
        (["--set", "effects.reed=0.1"], "did you mean 'read'"),
        (["--set", "effects.read=2"], "read must be from 0 to 1"),
        (["--after", "soon"], "expected a time such as 90s, 12h or 30d"),
        (["--engine", "lime"], "'lime'"),
        (["--sweep", "effects.read"], "expected KEY=VALUE,VALUE"),
        (["--sweep", "effects.read=0,5"], "read must be from 0 to 1"),
        (["--images", "999", "--set", "effects.read=0"], "999 images asked for"),
        (["--draws", "0", "--set", "effects.read=0"], "draws must be at least 1"),
        (["--plot", "x.png"], "belong to a --sweep"),
    ],
)
def test_what_cannot_be_is_one_sentence(finished, words, said):
    before = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    done = CliRunner().invoke(app, ["validate", str(finished), *words])
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.stderr.split())
    after = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    assert after == before


def test_the_command_line_keeps_table_and_picture(finished, tmp_path):
    words = ["validate", str(finished), "--sweep", "effects.read=0,0.01,0.3", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    rows = (finished / "sweep-effects.read.csv").read_text().splitlines()
    assert rows[0] == ",".join(found["rows"][0])
    assert len(rows) == 4
    assert [row["effects.read"] for row in found["rows"]] == [0, 0.01, 0.3]
    assert (finished / "sweep-effects.read.png").stat().st_size > 5000
    one = CliRunner().invoke(
        app,
        [
            *("validate", str(finished), "--set", "effects.read=0.1", "--after", "30d"),
            *("--engine", "line", "--images", "20", "--hardware", "--json"),
        ],
    )
    assert one.exit_code == 0, one.output
    told = json.loads(one.stdout)
    assert told["engine"] == "line"
    low, score, high = (told[f"accuracy{part}_percent"] for part in ("_low", "", "_high"))
    assert 0.0 <= low <= score <= high <= 100.0
    assert told["latency_seconds"] > 0.0
    assert "no law of these effects" in one.stderr
    many = CliRunner().invoke(app, ["montecarlo", str(finished), "--draws", "3", "--json"])
    assert many.exit_code == 0, many.output
    assert len(json.loads(many.stdout)["scores_percent"]) == 3
    assert (finished / "montecarlo.png").exists()


def test_intervals_of_several_readings_are_those_of_their_mean():
    outputs = np.zeros((2, 10, 2))
    outputs[0, :, 0], outputs[1, :4, 1], outputs[1, 4:, 0] = 1.0, 1.0, 1.0
    labels = np.zeros(10, int)
    assert score_interval(outputs, labels) == wilson(8, 10)
    with pytest.raises(InputError, match="two different ones"):
        sweep(None, [Axis("effects.read", (0,))] * 2)
