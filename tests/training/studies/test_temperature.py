"""A trained network in another place: its reads, and what time does to it there."""

import json
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.array.tile import Tile
from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.equations.model_file import load_model
from memtwin.devices.spread.drift import Drift
from memtwin.devices.spread.effects import Effects
from memtwin.training.runs.build import crossbar_of
from memtwin.training.runs.config import load_config
from memtwin.training.runs.run import run as do_run
from memtwin.training.studies.read import read_conditions
from memtwin.training.studies.study import opened_run
from memtwin.training.studies.trained import Condition

K = 8.617333262e-5  # [eV/K]
RUN = [
    "images.train=200",
    "images.test=20",
    "network.hidden=[8]",
    "tile.rows=16",
    "tile.cols=16",
    "training.epochs=2",
    "training.engine=ideal",
    "validation.engine=ideal",
    "validation.images=20",
    "audit.every=0",
    "device.pricing=open loop",
    "device.g_max=1e-4",
    "tile.r_driver=1.0",
    "tile.r_sense=0.1",
    "tile.r_row=0.1",
    "tile.r_col=0.1",
]


def mixed() -> Device:
    """A device whose HRS is thermally activated."""
    return Device(
        "mixed",
        load_model("vteam+ohmic/schottky"),
        {"g_0_lrs": 1e-4, "i_0_hrs": 2e-7, "phi_hrs": 0.15, "temperature": 300.0},
        meta={"drive_v": 1.2, "drive_period": 1.0},
    )


def test_states_stay_where_a_device_is_moved_to_a_warmer_place():
    device, x = mixed(), np.linspace(0.02, 0.98, 40)
    warm = device.at(350.0)
    g = device.conductance(x, 0.2)
    found = device.moved(g, warm, 0.2)
    np.testing.assert_allclose(found, warm.conductance(x, 0.2), rtol=1e-5)
    assert found[0] > 1.2 * g[0]
    assert device.moved(np.zeros(2), warm, 0.2).tolist() == [0.0, 0.0]
    levels = device.levels(8, 0.2)
    tile = Tile(4, 4, levels=levels).at(350.0)
    assert tile.cell.device.temperature == 350.0
    np.testing.assert_allclose(tile.levels.x, levels.x)
    np.testing.assert_allclose(tile.cell.state(tile.levels.g), levels.x, rtol=1e-6)
    with pytest.raises(InputError, match="don't depend on a temperature"):
        Tile(4, 4).at(350.0)


def test_time_runs_faster_where_it_is_warm_by_arrhenius():
    drift = Effects(drift=Drift(0.05, 1.0), programming=0.0, read=0.0, activation=1.1)
    warm = drift.at(400.0)
    factor = np.exp(1.1 / K * (1 / 300 - 1 / 400))
    assert warm.pace == pytest.approx(factor)
    rng = np.random.default_rng
    g = np.array([1e-5, 1e-4])
    np.testing.assert_allclose(
        warm.sample(g, 10.0, rng(0)), drift.sample(g, 10.0 * factor, rng(0)), rtol=1e-12
    )
    assert drift.at(None).pace == 1.0
    assert Effects(drift=0.1).at(350.0).pace == 1.0
    oven = Effects(drift=Drift(0.05, 1.0), activation=1.1, temperature=300.0).at(400.0)
    assert oven.pace == 1.0
    with pytest.raises(InputError, match="no law here changes devices with the seconds"):
        Effects(drift=0.1, activation=1.0).at(350.0)
    with pytest.raises(InputError, match="0 to 10 eV"):
        Effects(activation=-1.0)
    assert "activation" not in Effects().identity()  # runs of before keep their name


def test_a_device_without_temperature_takes_one_for_its_age_alone():
    keys = ["device.temperature=350", 'effects.drift={kind="power",exponent=0.1,t_0=1.0}']
    with pytest.raises(InputError, match="don't depend on a temperature"):
        crossbar_of(load_config("demo", keys))
    made = crossbar_of(load_config("demo", [*keys, "effects.activation=1.0", "effects.seconds=1"]))
    assert made.effects.temperature == 350.0
    assert made.effects.pace > 100.0
    with pytest.raises(InputError, match="don't depend on a temperature"):
        crossbar_of(load_config("demo", ["device.name=rram_1t1r", "device.temperature=350"]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    mixed().save(folder / "mixed.toml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        do_run(load_config("demo", [*RUN, f"device.name={folder / 'mixed.toml'}"]), folder / "run")
    return folder / "run"


def test_reads_follow_the_temperature_and_a_calibration_takes_them_back(finished):
    quiet = ("effects.read", 0.0)
    warm = ("device.temperature", 380.0)
    drifting = (("effects.drift", Drift(0.02, 1.0)), ("effects.seconds", 1.0))
    with opened_run(finished) as study:
        trained = study.trained
        device = trained.setup.levels.device
        before = trained.twin(Condition((quiet,))).matrices[0]
        after = trained.twin(Condition((quiet, warm))).matrices[0]
        x = device.state(np.asarray(before.devices.g, float), before.v_read)
        expected = device.at(380.0).conductance(x, before.v_read)
        np.testing.assert_allclose(after.devices.g, expected, rtol=1e-4)
        assert after.tile.cell.device.temperature == 380.0
        same, hot, nodal, again = (
            found.outputs[0]
            for found in read_conditions(
                trained,
                [
                    Condition((quiet,)),
                    Condition((quiet, warm)),
                    Condition((quiet, warm), engine="nodal"),
                    Condition((quiet, warm), recalibrate=True),
                ],
            )
        )
        scale = np.abs(same).max()
        assert np.abs(hot - same).max() > 0.02 * scale
        assert np.abs(nodal - hot).max() < 0.1 * scale
        assert np.square(again - same).sum() < 0.7 * np.square(hot - same).sum()
        old = Condition((quiet, warm, *drifting, ("effects.activation", 1.0)), after=10.0)
        aged = trained.twin(old).matrices[0].devices.g
        factor = np.exp(1.0 / K * (1 / 300 - 1 / 380))
        late = Condition((quiet, warm, *drifting), after=10.0 * factor)
        np.testing.assert_allclose(aged, trained.twin(late).matrices[0].devices.g, rtol=1e-3)


def test_the_command_line_sweeps_the_ambient(finished):
    words = ["validate", str(finished), "--sweep", "temperature=300,380", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["device.temperature"] for row in rows] == [300.0, 380.0]
    one = CliRunner().invoke(app, ["validate", str(finished), "--temperature", "380", "--json"])
    assert json.loads(one.stdout)["condition"] == "device.temperature=380.0"
    cold = CliRunner().invoke(app, ["validate", str(finished), "--temperature", "-5"])
    assert cold.exit_code == 2
    assert "greater than 0" in cold.stderr
