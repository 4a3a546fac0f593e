"""How few weights an update may write: rules and their options on MNIST, against float training.

    python benchmarks/writes.py --seeds 3               # all of it: hours on one core
    python benchmarks/writes.py budgeted "budgeted L=4" # some of it
    python benchmarks/writes.py accumulation            # k = 1, 2, 4, 8, the learning rate scaled
    python benchmarks/writes.py compensation            # what becomes of the quantisation error
    python benchmarks/writes.py devices --epochs 1      # energy and time against three closed loops
    python benchmarks/writes.py verified --epochs 5     # only some of the writes verified
    python benchmarks/writes.py measured --epochs 3     # the same on a measured technology
    python benchmarks/writes.py convergence --plot convergence.png    # accuracy batch by batch

784-128-10 (or LeNet) in tiles of 64x64 of linear devices without wires (the engine ideal), 1 %
programming error, 0.5 % read noise, batches of 100, rate 0.1 with momentum 0.9 (patient: 1 with 0.5), x 0.8 per epoch.
*Weights changed* are shares of all weights per batch; *batches to float* is when the memristor twin
first classifies the test set to within half a point of what float training ends with, looked at
every 100 batches. One process; rows are means over the seeds.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, publish

from memtwin.data.errors import MemtwinError
from memtwin.data.files import write_figure
from memtwin.data.shown.pictures import GREY, PALETTE, figure
from memtwin.devices.pulses.costs import step_over_gentlest
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.pulses.pricing import LevelPricing
from memtwin.training.rules.siamese import COMPENSATIONS
from memtwin.training.runs.build import write_costs
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import Setup, set_up
from memtwin.training.seeds import generator
from memtwin.training.trainer.closed_loop import BASELINES
from memtwin.training.trainer.loop import train_float
from memtwin.training.trainer.results import EpochRecord
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.evaluation import evaluate

LOOK = 100
"""Batches between looks at the test set."""


@dataclass(frozen=True)
class Case:
    """One rule with its options, as changes of a preset."""

    changes: tuple[str, ...] = ()
    preset: str = "mlp"
    bars: bool = False
    """Whether it is held to the marks of few writes."""

    def setup(self, seed: int, epochs: int) -> Setup:
        """Return what a training starts from."""
        settings = (
            f"seed={seed}",
            f"training.epochs={epochs}",
            "training.engine=ideal",
            "device.linear=true",
            "audit.every=0",
        )
        return set_up(load_config(self.preset, (*self.changes, *settings)), surrogate=False)

    @property
    def device(self) -> tuple[str, ...]:
        """Changes that say whose writes are priced; none where these are nominal."""
        named = any(change.startswith("device.name=") for change in self.changes)
        of_device = ("device.", "mapping.", "effects.")
        return tuple(each for each in self.changes if named and each.startswith(of_device))


def ruled(
    rule: str, *changes: str, preset: str = "mlp", bars: bool = False, **options: Any
) -> Case:
    """Return the case of a rule with ``options`` of its own."""
    own = tuple(f"training.rule_options.{key}={value}" for key, value in options.items())
    return Case((f"training.rule='{rule}'", *changes, *own), preset, bars)


FOUR = ("device.levels=4", "mapping.clip=5.0")
FEW = {"reach": 0.7}
"""Options of the budgeted rule for four levels, whose steps are three times as large."""
SMALL = {"reach": 0.75, "least": 32, "fade": 2.0}
"""Options of the budgeted rule for LeNet, whose small matrices starve with others, and diverge."""

STEADY = {
    preset: (f"training.learning_rate={rate:g}", "training.momentum=0.5")
    for preset, rate in (("mlp", 1.0), ("cnn", 0.25))
}
"""What the patient rule trains by, in place of the presets' rate and momentum: with less delay."""
SLOW = {"rise": 600, "narrow": 0.4}
"""Options of the patient rule for the perceptron."""

ABLATION = {
    "siamese": ruled("siamese"),
    "siamese h=0.5": ruled("siamese", "training.hysteresis=0.5"),
    "siamese h=1": ruled("siamese", "training.hysteresis=1.0"),
    "eapu 10": ruled("eapu", ratio=10.0),
    "eapu 30": ruled("eapu", ratio=30.0),
    "budget alone": ruled("budgeted", reach=1e5, fade=0.0),
    "budgeted, not fading": ruled("budgeted", fade=0.0),
    "budgeted, reach 1": ruled("budgeted", reach=1.0),
    "budgeted, reach 4": ruled("budgeted", reach=4.0),
    "budgeted h=0.5": ruled("budgeted", "training.hysteresis=0.5"),
    "budgeted": ruled("budgeted", bars=True),
    "siamese L=4": ruled("siamese", *FOUR),
    "siamese L=4 h=0.25": ruled("siamese", *FOUR, "training.hysteresis=0.25"),
    "budgeted L=4": ruled("budgeted", *FOUR, bars=True, **FEW),
    "siamese cnn": ruled("siamese", preset="cnn"),
    "budgeted cnn": ruled("budgeted", preset="cnn", bars=True, **SMALL),
    "patient": ruled("patient", *STEADY["mlp"], bars=True, hysteresis=3.0, **SLOW),
    "patient L=4": ruled("patient", *FOUR, *STEADY["mlp"], bars=True, hysteresis=0.45, **SLOW),
    "patient cnn": ruled("patient", *STEADY["cnn"], preset="cnn", bars=True),
}
RATES = {"mlp": 0.1, "cnn": 0.05}
"""Learning rates of the presets."""
ACCUMULATION = {
    f"accumulate {k}{'' if preset == 'mlp' else f' {preset}'}": ruled(
        "siamese",
        f"training.accumulate={k}",
        f"training.learning_rate={rate * k:g}",
        preset=preset,
    )
    for preset, rate in RATES.items()
    for k in (1, 2, 4, 8)
}
COMPENSATION = {
    f"{name} {preset}": ruled("siamese", f"training.compensation={name}", preset=preset)
    for preset in RATES
    for name in COMPENSATIONS
}
ASSUMED = ("device.v_set=1.5", "device.v_reset=-1.5")
"""Voltages up to which devices are written that were published as a set of parameters."""
DEVICES: dict[str, tuple[str, ...]] = {
    "nbsto_32um": (),
    "stanford_hfox": ASSUMED,
    "vteam_asic2": ASSUMED,
    "rram_1t1r": ("mapping.clip=6",),
}
"""Devices and technologies of the library, with what changes with them."""


FREE = "training.partner=free"
RULES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "siamese": ("siamese", (), {}),
    "budgeted": ("budgeted", (), {}),
    "free": ("budgeted", (FREE,), {}),
    "gathered": ("budgeted", (FREE,), {"gather": 0.1}),
    "lean": ("budgeted", (FREE,), {"budget": 6.6e-4, "fade": 2.4}),
    "patient": ("patient", STEADY["mlp"], {"hysteresis": 3.0, **SLOW}),
    "patient, free": ("patient", (*STEADY["mlp"], FREE), {"hysteresis": 3.0, **SLOW}),
    "verify-first": ("verify-first", (), {}),
}
"""Rules whose writes are priced on every device: *free* is the budgeted one with a free partner, *gathered* that with
writes gathered by lines of devices too, *lean* that with fewer writes in the first epoch and more in later
ones."""
PRICED = {
    f"{name} on {device}": ruled(rule, f"device.name='{device}'", *changes, *others, **options)
    for device, changes in DEVICES.items()
    for name, (rule, others, options) in RULES.items()
}
ERRATIC = (
    "device.name='nbsto_32um'",
    "device.c2c=0.9",
    "device.verify_noise=0.005",
    "device.tolerance=0.45",
    "effects.programming=table",
)
"""The shipped device with a speed that differs from pulse to pulse by a log-normal deviation of 0.9: a write from level
to level that nobody reads misses by what matters."""
VERIFIED = {
    f"{rule}, {100 * share:g} % verified": ruled(rule, *ERRATIC, f"training.verified={share:g}")
    for rule in ("siamese", "budgeted")
    for share in (1.0, 0.5, 0.3, 0.1, 0.0)
}
CELLS = ("device.name='rram_1t1r'", "mapping.clip=6")
MEASURED = {
    "rram_1t1r, read again": ruled("siamese", *CELLS, "training.reverify=1"),
    **{
        f"rram_1t1r, {100 * share:g} % verified": ruled(
            "siamese", *CELLS, "training.reverify=0", f"training.verified={share:g}"
        )
        for share in (1.0, 0.5, 0.3, 0.0)
    },
}
"""The measured technology: written cells read again after a second, or never; and only some of the writes verified."""
CONVERGENCE = {
    "Siamese": ruled("siamese"),
    "budgeted": ruled("budgeted"),
    "every device": ruled("closed loop"),
    "not the resting partner": ruled("closed loop", skip="resting"),
    "only devices whose target moved": ruled("closed loop", skip="unmoved"),
}
"""What is drawn batch by batch; the last three are the baselines, trained by for real."""
CASES = ABLATION | ACCUMULATION | COMPENSATION | PRICED | VERIFIED | MEASURED | CONVERGENCE


@cache
def float_accuracy(preset: str, seed: int, epochs: int) -> float:
    """Return what float training of the preset as it is ends with [%]."""
    setup = Case(preset=preset).setup(seed, epochs)
    trained = train_float(setup.network, setup.images, setup.config.training, seed=seed)
    return 100 * trained.accuracies[-1]


@cache
def priced(changes: tuple[str, ...]) -> LevelPricing:
    """Return what writes of the device that ``changes`` describe cost; its table is one for all seeds and rules."""
    setup = Case(changes).setup(0, 1)
    return write_costs(setup.config, setup.levels)


@dataclass(frozen=True)
class Outcome:
    """What one training found."""

    records: tuple[EpochRecord, ...]
    share: tuple[float, ...]
    """Weights changed per batch, epoch by epoch [%]."""
    accuracy: float
    """In the end [%]."""
    above: float
    """Of float training [points]."""
    reached: float
    """Batches until half a point below float; nan where it never was."""
    curve: tuple[tuple[int, float], ...] = ()
    """Batches done and accuracy then [%], where all of it was wanted."""


def train(case: Case, seed: int, epochs: int, *, whole: bool = False) -> Outcome:
    """Train one case, looking at the test set on the way, to the end if the ``whole`` curve is wanted."""
    goal = float_accuracy(case.preset, seed, epochs)
    setup = case.setup(seed, epochs)
    config = setup.config
    costs: Any = nominal_pricing(config.device.levels)
    if case.device:
        costs = priced(case.device)
        setup = setup.priced(costs)
    trainer = Trainer(setup.twin(), setup.images, config.training, costs, seed=seed)
    batches = -(-len(setup.images.x_train) // config.training.batch)
    weights = sum(update.codes.size for update in trainer.updates)
    reached, noise = np.nan, generator(seed, "testing", epochs + 1)
    curve: list[tuple[int, float]] = []

    def look(done: int, _: int) -> None:
        nonlocal reached
        if done % LOOK == 0 and (whole or np.isnan(reached)):
            x, y = setup.images.x_test, setup.images.y_test
            found = 100 * evaluate(trainer.twin, x, y, noise)
            curve.append((len(trainer.records) * batches + done, found))
            if found >= goal - 0.5 and np.isnan(reached):
                reached = float(curve[-1][0])

    for _ in range(epochs):
        trainer.run_epoch(look)
    last = 100 * trainer.records[-1].test_accuracy
    share = tuple(100 * each.cost.weights / (weights * batches) for each in trainer.records)
    return Outcome(tuple(trainer.records), share, last, last - goal, reached, tuple(curve))


def figures(name: str, seeds: int, epochs: int) -> Iterator[Row]:
    """Yield the figures of one case, means over the seeds."""
    case = CASES[name]
    try:
        runs = [train(case, seed, epochs) for seed in range(seeds)]
    except MemtwinError as error:
        yield Row(f"{name}: accuracy", np.nan, "%", "", None, str(error))
        return
    held = case.bars and epochs >= 10

    def row(
        what: str,
        value: float,
        unit: str,
        least: float | None = None,
        most: float | None = None,
        note: str = "",
    ) -> Row:
        if not held or (least is None and most is None):
            return Row(f"{name}: {what}", value, unit, "", None, note)
        if most is not None:
            return Row(f"{name}: {what}", value, unit, f"<= {most:g}", bool(value <= most), note)
        return Row(
            f"{name}: {what}", value, unit, f">= {least:g}", bool(value >= (least or 0.0)), note
        )

    first, whole = ([np.mean(run.share[:count]) for run in runs] for count in (1, None))
    yield row("weights changed, epoch 1", float(np.mean(first)), "%", most=0.1)
    yield row("weights changed, all epochs", float(np.mean(whole)), "%", most=0.02)
    last = np.array([run.accuracy for run in runs])
    note = f"± {last.std(ddof=1):.2f}" if seeds > 1 else "one seed"
    yield row("accuracy", float(last.mean()), "%", note=note)
    yield row("above float", float(np.mean([run.above for run in runs])), "points", least=-0.2)
    yield row("batches to float - 0.5", float(np.mean([run.reached for run in runs])), "")
    if name in PRICED:
        yield from savings(name, runs)
    if name in VERIFIED | MEASURED:
        keys = {"writes": "", "pulses": "", "reads": "", "energy": "J", "energy_high": "J"}
        for key, unit in (keys | {"time": "s", "row_time": "s"}).items():
            total = np.mean([sum(getattr(each.cost, key) for each in run.records) for run in runs])
            yield row(f"{key}, all epochs", float(total), unit)


def savings(name: str, runs: list[Outcome]) -> Iterator[Row]:
    """Yield what the first epoch saves against every baseline [%]."""
    for baseline, writes in BASELINES.items():
        for key in ("writes", "energy", "time", "row_time"):
            saved = [
                run.records[0].cost.removed(run.records[0].baselines()[baseline])[key]
                for run in runs
            ]
            yield Row(f"{name}: {key} saved, {writes}", float(np.mean(saved)), "%", "", None)


def ratios() -> Iterator[Row]:
    """Yield what a step takes over the gentlest move, device by device."""
    for device in DEVICES:
        ratio = step_over_gentlest(priced(PRICED[f"siamese on {device}"].device))
        yield Row(f"{device}: energy of a step / of the gentlest move", ratio, "x", "", None)


def converging(names: Sequence[str], epochs: int, plot: Path | None) -> Iterator[Row]:
    """Yield how fast trainings converge (seed 0), and draw their curves."""
    curves = {}
    for name in names:
        run = train(CASES[name], 0, epochs, whole=True)
        curves[name] = np.array(run.curve)
        yield Row(f"{name}: batches to float - 0.5", run.reached, "", "", None)
        yield Row(f"{name}: accuracy", run.accuracy, "%", "", None, "one seed")
    if plot is not None:
        picture = figure(7.2, 3.6)
        axes = picture.add_subplot()
        for (name, curve), colour in zip(curves.items(), PALETTE, strict=False):
            axes.plot(curve[:, 0], curve[:, 1], color=colour, label=name)
        axes.axhline(float_accuracy("mlp", 0, epochs) - 0.5, color=GREY, lw=0.8, ls="--")
        axes.set(xlabel="batches of 100", ylabel="test images right [%]", ylim=(93.0, 98.6))
        axes.legend(frameon=False)
        write_figure(picture, plot, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    groups = {
        "ablation": ABLATION,
        "accumulation": ACCUMULATION,
        "compensation": COMPENSATION,
        "devices": PRICED,
        "verified": VERIFIED,
        "measured": MEASURED,
        "convergence": CONVERGENCE,
    }
    names = [*CASES, *groups]
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--curves", nargs="+", choices=CONVERGENCE, default=list(CONVERGENCE), help="which of them"
    )
    parser.add_argument("--plot", type=Path, help="where the curves of convergence are drawn")
    add_options(parser)
    arguments = parser.parse_args()
    wanted = arguments.cases or list(groups)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; choose from {', '.join(names)}")

    def rows() -> Iterator[Row]:
        for name in wanted:
            if name == "devices":
                yield from ratios()
            if name == "convergence":
                yield from converging(arguments.curves, arguments.epochs, arguments.plot)
                continue
            for case in groups.get(name, [name]):
                yield from figures(case, arguments.seeds, arguments.epochs)

    return publish(rows(), "writes", arguments)


if __name__ == "__main__":
    sys.exit(main())
