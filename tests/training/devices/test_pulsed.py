from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.programming.table import load_table
from memtwin.circuits.registry import make_engine
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.pulses.steps import PulseSteps
from memtwin.training.network import mlp
from memtwin.training.runs.build import levels_of, write_costs, write_note
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar

LEVELS = Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16))
EVEN = np.full((1, 9), 0.005)
SOFT = np.linspace(0.02, 0.001, 9)[None]
DIGITS = load_data("digits")


def trained(pulses: PulseSteps, rule: str, epochs: int = 4, **options: object) -> float:
    crossbar = Crossbar(Tile(32, 32, levels=LEVELS), pulses=pulses)
    twin = build_twin(mlp(64, 16, 10), crossbar, partial(make_engine, "ideal"))
    chosen = TrainOptions(epochs=epochs, batch=20, momentum=0.0, rule=rule, **options)
    result = train(twin, DIGITS, chosen, nominal_pricing(16))
    cost = result.records[0].cost
    assert cost.reads == 0.0
    assert cost.pulses >= cost.writes > 0.0
    return result.accuracy


@pytest.mark.parametrize("rule", ["pulsed", "mixed precision"])
def test_even_fine_steps_learn_the_digits(rule: str) -> None:
    assert trained(PulseSteps(EVEN, EVEN), rule) > 0.85


def test_asymmetric_steps_of_devices_that_differ_learn_less() -> None:
    rng = np.random.default_rng(0)
    factors = np.exp(0.3 * rng.standard_normal((64, 1)))
    real = PulseSteps(SOFT * factors, SOFT[:, ::-1] * factors[::-1], c2c=0.3)
    worse, better = trained(real, "pulsed"), trained(PulseSteps(EVEN, EVEN), "pulsed")
    assert 0.5 < worse < better


def test_the_devices_move_by_the_tables() -> None:
    crossbar = Crossbar(Tile(32, 32, levels=LEVELS), pulses=PulseSteps(SOFT, SOFT[:, ::-1]))
    twin = build_twin(mlp(64, 16, 10), crossbar, partial(make_engine, "ideal"))
    options = TrainOptions(epochs=1, batch=100, momentum=0.0, rule="pulsed")
    trainer = Trainer(twin, DIGITS, options, nominal_pricing(16))
    matrix, rule = twin.matrices[0], trainer.updates[0]
    before = matrix.devices.steps(matrix.placement.places.ravel()) / 15
    writes = rule.step(np.full(rule.weights.shape, -1.0, np.float32), 0.05)
    assert writes is not None
    matrix.write(writes, np.random.default_rng(0))
    after = matrix.devices.steps(matrix.placement.places.ravel()) / 15
    on, pulses = writes.device, writes.pulses
    assert pulses is not None
    assert (pulses[::2] > 0).all()
    assert (pulses[1::2] == -pulses[::2]).all()
    expected = crossbar.pulses.apply(before[on], pulses, 0, None)  # type: ignore[union-attr]
    assert after[on] == pytest.approx(expected, abs=1e-5)
    rest = np.setdiff1d(np.arange(after.size), on)
    assert (after[rest] == before[rest]).all()


def test_a_resumed_training_is_the_same(tmp_path: Path) -> None:
    crossbar = Crossbar(Tile(32, 32, levels=LEVELS), pulses=PulseSteps(SOFT, SOFT, c2c=0.2))

    def run(epochs: int, path: Path) -> list[float]:
        twin = build_twin(mlp(64, 8, 10), crossbar, partial(make_engine, "ideal"))
        options = TrainOptions(epochs=epochs, batch=100, rule="pulsed")
        train(twin, DIGITS, options, nominal_pricing(16), checkpoint=path)
        return twin.matrices[0].weights().ravel().tolist()

    run(1, tmp_path / "a.h5")
    assert run(2, tmp_path / "a.h5") == run(2, tmp_path / "b.h5")


def test_pulses_need_a_response() -> None:
    twin = build_twin(
        mlp(64, 8, 10), Crossbar(Tile(32, 32, levels=LEVELS)), partial(make_engine, "ideal")
    )
    with pytest.raises(InputError, match="needs the response of the devices"):
        Trainer(twin, DIGITS, TrainOptions(rule="pulsed"), nominal_pricing(16))


FAST = ("training.engine=ideal", "device.levels=4", "training.epochs=1", "data.train=200")


def test_a_published_device_is_written_within_the_drive_it_was_published_at(tmp_path: Path) -> None:
    config = load_config("nbsto", (*FAST, "device.name=yakopcic_miao"))
    levels, path = levels_of(config), tmp_path / "table.h5"
    write_costs(config, levels, path=path)
    recipe = load_table(path).recipe
    assert (recipe.set.stop, recipe.reset.stop) == (1.25, -1.25)
    # Other voltages and widths are asked for, and a table that is there is taken as it is.
    changes = ("device.v_set=1.1", "device.v_reset=-1.0", "device.width=0.01")
    asked = load_config("nbsto", (*FAST, "device.name=yakopcic_miao", *changes))
    write_costs(asked, levels, path=tmp_path / "asked.h5")
    recipe = load_table(tmp_path / "asked.h5").recipe
    assert (recipe.set.stop, recipe.reset.stop, recipe.set.width) == (1.1, -1.0, 0.01)
    ready = load_config("nbsto", (*FAST, "device.name=yakopcic_miao", f"device.write_table={path}"))
    kept = tmp_path / "run.h5"
    assert write_costs(ready, levels, path=kept).source == load_table(kept).source
    other = load_config("nbsto", (*FAST, "device.name=yakopcic_jo", f"device.write_table={path}"))
    with pytest.raises(InputError, match="is of another device"):
        write_costs(other, levels_of(other))


def test_levels_that_reads_cannot_tell_apart() -> None:
    config = load_config("nbsto", ("device.name=knowm_nugent", "device.verify_noise=0.02"))
    with pytest.raises(InputError, match=r"device.levels = 2 or less"):
        write_costs(config, levels_of(config))
    config = load_config("nbsto", ("device.name=knowm_nugent",))
    assert "effects.programming = 0.017" in write_note(config, levels_of(config))


def test_what_the_device_was_called_before() -> None:
    config = load_config("nbsto", ("device.pulse_spread=0.1", "device.parameter_spread.A_p=0.2"))
    assert config.device.c2c == 0.1
    assert "A_p" in str(config.device.d2d)


def test_the_model_gives_the_response_where_none_was_measured() -> None:
    changes = (*FAST, "device.name=yakopcic_miao", "device.d2d.A_p=0.2", "device.c2c=0.1")
    setup = set_up(load_config("nbsto", changes), surrogate=False)
    assert setup.crossbar.pulses is None
    pulses = setup.with_rule("pulsed").crossbar.pulses
    assert pulses is not None
    assert pulses.c2c == pytest.approx(0.1)
    speeds = pulses.up[:, 64]
    assert 0.1 < np.log(speeds).std() < 0.3
    assert replace(pulses, up=pulses.down).digest != pulses.digest
