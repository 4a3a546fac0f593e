"""The verb ``spread``: laws learnt from measurements, and a training by them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.engines.ideal import Ideal
from memtwin.cli.main import app
from memtwin.data.dataset import load_data
from memtwin.data.measurement import Relaxation, Sweep, Table, save_measurement
from memtwin.devices.device import load_device
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.drift import Drift
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.record import load_law, save_law
from memtwin.devices.spread.relaxation import RelaxationQuantiles
from memtwin.devices.spread.wear import Wear
from memtwin.training.runs.build import crossbar_of, network_of
from memtwin.training.runs.config import load_config
from memtwin.training.runs.record import laws_tree
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.trainer import Trainer


def cli(*args):
    return CliRunner().invoke(app, ["spread", *map(str, args)])


def learnt(tmp_path, measurement, kind, *options):
    """Return the law that the verb learns from a measurement, and what it says."""
    file = save_measurement(measurement, tmp_path / "measured.h5")
    law = tmp_path / "law.h5"
    result = cli("learn", file, "--kind", kind, "-o", law, "--json", *options)
    assert result.exit_code == 0, result.output
    return load_law(law), json.loads(result.stdout)


def relaxing(rng, count=2000):
    t = np.array([0.0, 1.0, 100.0])
    g = np.repeat(np.linspace(2e-6, 12e-6, 10), count // 10)
    first = g * (1.0 + 0.02 * rng.standard_normal(count))
    later = Drift(0.05, 1.0, 0.01).sample(first, t, rng).T
    return Relaxation("r", t, later, np.repeat(np.arange(10), count // 10))


def test_relaxation_drift_and_programming_error_of_read_cells(tmp_path, rng):
    cells = relaxing(rng)
    law, said = learnt(tmp_path, cells, "relaxation", "--states", 4)
    assert isinstance(law, RelaxationQuantiles)
    assert len(law.g) == 4
    assert said["change"].startswith("4×2×17 from ")
    law, said = learnt(tmp_path, cells, "drift")
    assert law.exponent == said["exponent"] == pytest.approx(0.05, abs=1e-3)
    law, _ = learnt(tmp_path, cells, "programming")
    np.testing.assert_allclose(law.sigma([3e-6, 1e-5]), [6e-8, 2e-7], rtol=0.08)


def test_read_noise_of_traces(tmp_path, rng):
    truth = ReadNoise(0.02, 0.6, 1e-5)
    columns = {
        f"g_{k}": truth.sample(np.full(3000, g), rng) for k, g in enumerate((1e-6, 1e-5, 1e-4))
    }
    table = Table("noise", columns, dict.fromkeys(columns, "S"))
    law, _ = learnt(tmp_path, table, "read-noise")
    assert law.sigma(1e-5) == pytest.approx(truth.sigma(1e-5), rel=0.03)
    shown = cli("show", tmp_path / "law.h5")
    assert "ReadNoise" in shown.stdout


def test_endurance_of_cycled_cells(tmp_path, rng):
    life = Wear(2e4, 2.0).sample(400, rng)
    cycle = np.arange(100.0, 15_000.0, 100.0)
    cell, cycles = (part.ravel() for part in np.meshgrid(np.arange(400.0), cycle, indexing="ij"))
    alive = 2 * cycles <= life[cell.astype(int)]
    columns = {"address": cell, "cycle": cycles, "r_set": np.full(cell.size, 1e3)}
    columns["r_reset"] = np.where(alive, 1e4, 1e3)
    units = {"address": "1", "cycle": "1", "r_set": "ohm", "r_reset": "ohm"}
    law, _ = learnt(tmp_path, Table("cycled", columns, units), "endurance")
    assert law.writes == pytest.approx(2e4, rel=0.08)
    assert law.shape == pytest.approx(2.0, rel=0.12)


@pytest.mark.slow
def test_parameters_over_cycles(tmp_path, rng):
    device = load_device("nbsto_32um")
    t = np.linspace(0.0, 8.0, 81)
    v = np.interp(t, [0, 2, 4, 6, 8], [0, 1.0, 0, -1.5, 0])
    files = []
    for k in range(3):
        own = replace(device, parameters={**device.parameters, "b_p": 1.0 + 0.1 * k})
        i = own.simulate(t, v, 0.3).i
        sweep = Sweep(f"cycle {k}", t, v, i, np.zeros(len(t), bool))
        files.append(save_measurement(sweep, tmp_path / f"{k}.h5"))
    law = tmp_path / "law.h5"
    model = device.model.name
    result = cli(
        "learn", *files, "--kind", "parameters", "--model", model, "-o", law, "--starts", 2
    )
    assert result.exit_code == 0, result.output
    assert load_law(law, "parameters").model == model


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("relaxation", "expected one file of cells read again and again, got noise (Table)"),
        ("drift", "expected one file of cells"),
        ("read-noise", "expected a column g, or g_1, g_2 ... of one cell each, got a"),
        ("endurance", "cycle, r_reset, r_set are missing"),
        ("parameters", "noise is no current-voltage sweep"),
    ],
)
def test_measurements_of_another_kind_get_one_sentence(kind, sentence, tmp_path):
    table = Table("noise", {"address": np.arange(3.0)}, {"address": "1"})
    file = save_measurement(table, tmp_path / "noise.h5")
    result = cli("learn", file, "--kind", kind, "-o", tmp_path / "law.h5")
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "law.h5").exists()


def trained(*changes):
    """Return a trainer of the demo after one short epoch through ideal wires."""
    config = load_config("nbsto", ["training.epochs=1", "device.levels=16", *changes])
    images = load_data("digits")
    few = {name: getattr(images, name)[:200] for name in ("x_train", "y_train", "x_test", "y_test")}
    images = replace(images, **few)
    twin = build_twin(network_of(config, images), crossbar_of(config), Ideal, seed=config.seed)
    trainer = Trainer(twin, images, config.training, nominal_pricing(16), seed=config.seed)
    trainer.run_epoch()
    return trainer, config


def test_a_training_whose_effects_come_from_files(tmp_path, rng):
    cells = relaxing(rng)
    fitted, _ = learnt(tmp_path, cells, "relaxation")
    relaxation = save_law(fitted, tmp_path / "relax.h5")
    noise = save_law(ReadNoise(0.02, 0.6, 1e-5), tmp_path / "noise.h5")
    changes = [f"effects.relaxation={relaxation}", f"effects.read={noise}", "effects.seconds=10"]
    trainer, config = trained(*changes, "device.g_max=12e-6")
    plain, _ = trained("device.g_max=12e-6")
    assert trainer.records[0].train_loss != plain.records[0].train_loss
    assert set(laws_tree(config)["effects"]) == {"relaxation", "read"}
    assert laws_tree(load_config("nbsto")) == {}
    matrix = trainer.twin.matrices[0]
    devices, places = matrix.devices, matrix.placement.places
    matrix.age(trainer._updates_done)
    aged = devices.levels(places)
    fresh = devices.state()["fresh"].reshape(-1)[places]
    written = devices.quantiser.code((fresh - devices.low) / devices.step)
    # Cells as measured lose 5 % per e-fold of the age.
    ratio = np.median((aged + 1.5) / (written + 1.5))
    assert 0.7 < ratio < 0.95


@pytest.mark.slow
@pytest.mark.data
def test_a_training_by_what_measured_cells_do(tmp_path):
    jobs = {
        "relaxation": "rram-relaxation-3tech:techB/relaxdata*",
        "read-noise": "rram-relaxation-3tech:techA/tsdata*",
        "programming": "rram-relaxation-3tech:techB/relaxdata*",
        "endurance": "ni-rram-1t1r-endurance-retention:100cyc*",
    }
    for kind, data in jobs.items():
        made = cli("learn", data, "--kind", kind, "-o", tmp_path / f"{kind}.h5")
        assert made.exit_code == 0, made.output
    # 100 of 1024 cells had failed after 100 writes.
    wear = load_law(tmp_path / "endurance.h5", "wear")
    assert 1.0 - np.exp(-((100 / wear.writes) ** wear.shape)) == pytest.approx(100 / 1024, abs=0.01)
    names = {"relaxation": "relaxation", "read": "read-noise", "programming": "programming"}
    changes = [f"effects.{name}={tmp_path / kind}.h5" for name, kind in names.items()]
    wide = ["device.g_max=120e-6", "effects.seconds=1"]
    trainer, _ = trained(*changes, *wide, f"effects.wear={tmp_path / 'endurance'}.h5")
    assert np.isfinite(trainer.records[0].train_loss)
