"""Every model with dynamics through the whole chain: read by every engine, written in an array, trained.

A model of which a device is shipped is that device, any other one is of its defaults within 1.5 V: what a
user would get who names it in ``[device]``.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.ngspice.engine import Spice
from memtwin.circuits.programming.array_ngspice import WriteSpice
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.registry import make_engine
from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.models import models
from memtwin.training.runs.build import levels_of, recipe_of, write_costs
from memtwin.training.runs.config import RunConfig, load_config
from memtwin.training.runs.setup import set_up

SHIPPED = {load_device(name).model.name: name for name in reversed(shipped_devices())}
FORGETS = "volatile"
SLOW = ("jart", "jart_explicit", "memdiode")
"""Models whose writes take minutes to work out, or some seconds."""
DYNAMIC = [name for name in models if models[name].rate_expr is not None]


def unhurried(names: list[str]) -> list[object]:
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


KEEPING = [name for name in DYNAMIC if name != FORGETS]
QUICK = ("mms", "knowm", "pcm")
"""Models that are trained in every run of the tests; a training takes some seconds."""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("devices")


@cache
def configured(model: str, files: Path) -> RunConfig:
    name = SHIPPED.get(model)
    if name is None:
        device = Device(model, models[model], meta={"v_min": -1.5, "v_max": 1.5})
        name = str(device.save(files / f"{model}.toml"))
    changes = (
        f"device.name={name}",
        "device.levels=8",
        "tile.rows=16",
        "tile.cols=16",
        "data.train=600",
        "data.test=300",
        "training.epochs=3",
        "audit.every=0",
    )
    return load_config("nbsto", changes)


@pytest.mark.spice
@pytest.mark.parametrize("model", unhurried(DYNAMIC))
def test_engines_read_what_ngspice_reads(model: str, files: Path, rng: np.random.Generator) -> None:
    config = configured(model, files)
    levels = levels_of(config)
    tile = Tile(
        6, 5, 20.0, 15.0, 30.0, 20.0, cell=Cell(levels.device, levels.v_read), levels=levels
    )
    g = rng.choice(levels.g, tile.shape)  # both ends of the range among them
    g[0, :2] = levels.g[[0, -1]]
    v = rng.uniform(0.0, levels.v_read, (7, 6))
    truth = Spice(tile).program(g).read(v)
    peak = np.abs(truth).max()
    for name, bar in (("nodal", 1e-6), ("line", 1e-4), ("surrogate", 2e-3)):
        read = make_engine(name, tile).program(g).read(v)
        assert np.abs(read - truth).max() <= bar * peak, name


@pytest.mark.spice
@pytest.mark.parametrize("model", unhurried(KEEPING))
def test_a_pulse_moves_an_array_as_in_ngspice(
    model: str, files: Path, rng: np.random.Generator
) -> None:
    config = configured(model, files)
    levels = levels_of(config)
    recipe = recipe_of(config, levels)
    tile = Tile(3, 3, cell=Cell(levels.device, levels.v_read))
    x = levels.device.state(rng.uniform(*levels.g[[1, -2]], tile.shape), levels.v_read)
    for ramp in (recipe.set, recipe.reset):
        k = ramp.rungs // 2
        amplitude = np.array([0.0, 1.0, 0.9]) * float(ramp.amplitude(k))
        one, two = (
            writer(tile, "half").pulse(
                x, 1, amplitude, float(ramp.duration(k)), recipe.edge, np.ones(tile.shape)
            )
            for writer in (WriteArray, WriteSpice)
        )
        g, h = (levels.device.conductance(done.x, levels.v_read) for done in (one, two))
        assert np.abs(h - g).max() <= 1e-3 * levels.g[-1]
        assert two.energy.sum() == pytest.approx(one.energy.sum(), rel=1e-2)


@pytest.mark.spice
@pytest.mark.parametrize(
    "model", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in KEEPING]
)
def test_digits_are_learnt_through_wires(model: str, files: Path) -> None:
    config = configured(model, files)
    setup = set_up(config)
    result = setup.train(setup.twin(), write_costs(config, setup.levels))
    assert result.accuracy > 0.6
    assert all(record.cost.energy > 0.0 for record in result.records)


def test_a_device_that_forgets_is_refused(files: Path) -> None:
    config = configured(FORGETS, files)
    with pytest.raises(InputError, match="volatile_diffusive holds no level"):
        write_costs(config, levels_of(config))
