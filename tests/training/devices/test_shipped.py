"""Every shipped device, and one that was fitted here, in every cell of a network for the digits."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import memtwin
from memtwin.cli.main import app
from memtwin.devices.device import load_device
from memtwin.training.runs.build import levels_of, write_costs, write_tolerance
from memtwin.training.runs.config import RunConfig, load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import train_float

SHIPPED = sorted(
    path.stem for path in (Path(memtwin.__path__[0]) / "devices/library").rglob("*.toml")
)


def configured(name: str) -> RunConfig:
    changes = [f"device.name={name}", "training.engine=ideal"]
    config = load_config("nbsto", changes)
    levels = levels_of(config)
    error = write_tolerance(config, levels) / 3.0**0.5 / (levels.count - 1)
    return load_config("nbsto", [*changes, f"effects.programming={max(error, 0.01)}"])


@cache
def float_accuracy() -> float:
    config = configured("nbsto_32um")
    setup = set_up(config, surrogate=False)
    return train_float(setup.network, setup.images, config.training, seed=0)[0][-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_device_learns_the_digits_within_its_own_voltages(name: str) -> None:
    config = configured(name)
    setup = set_up(config, surrogate=False)
    costs = write_costs(config, setup.levels)
    assert setup.train(setup.twin(), costs).accuracy >= float_accuracy() - 0.015


def test_a_device_file_trains_from_one_command(tmp_path: Path) -> None:
    path = load_device("yakopcic_miao").save(tmp_path / "mine.toml")
    fast = ("training.epochs=1", "device.levels=4", "data.train=300", "device.pricing=open loop")
    result = CliRunner().invoke(
        app,
        ["train", "--device", str(path), "--engine", "ideal", "--out", str(tmp_path / "run")]
        + [part for change in fast for part in ("--set", change)],
    )
    assert result.exit_code == 0, result.output
    assert "yakopcic_miao" in result.output
    assert (tmp_path / "run" / "checkpoint.h5").exists()


def test_a_fitted_device_that_only_sets_is_told_what_is_missing(tmp_path: Path) -> None:
    device = load_device("yakopcic_miao")
    one_way = replace(device, meta={"v_min": 0.0, "v_max": 1.2})
    path = one_way.save(tmp_path / "mine.toml")
    result = CliRunner().invoke(
        app, ["train", "--device", str(path), "--engine", "ideal", "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 2
    assert "give device.v_reset" in " ".join(result.output.split()).replace("│ ", "")


def test_a_device_whose_states_conduct_alike_is_one_sentence_and_makes_no_folder(
    tmp_path: Path,
) -> None:
    device = load_device("mms_tiox")
    alike = replace(device, parameters={**device.parameters, "r_max": 4300.1})
    path = alike.save(tmp_path / "mine.toml")
    result = CliRunner().invoke(
        app, ["train", "--device", str(path), "--engine", "ideal", "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 2
    assert "can't span two levels" in " ".join(result.output.split()).replace("│ ", "")
    assert not (tmp_path / "run").exists()
