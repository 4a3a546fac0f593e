"""Accuracy, writes and speed of training on MNIST, against the float twin and the other rules.

    python benchmarks/training.py                          # one seed, within ten minutes on two cores
    python benchmarks/training.py --full --seeds 3         # all of it through the surrogate: hours
    python benchmarks/training.py --full "mlp L=16" rules  # some of it
    python benchmarks/training.py spice                    # images of a trained network in ngspice

Tiles of 64x64 of the shipped device with 2.5 ohm per segment, 1 % programming error and 0.5 % read noise
unless the row says otherwise; configurations are the shipped presets and the changes named below.
Accuracies are held to their bars where there are three seeds.
What an epoch writes is read through the surrogate, fitted to ngspice in the same run. Without ``--full``
that is one epoch, and the accuracy after ten comes from tiles of linear devices without wires (the
engine ideal), which the row's name says. Finished trainings are kept in ``--folder``, so that a stopped run goes on,
under the digest of code, configuration and data: a kept one serves only what would compute the same, and its rows
say that it was kept. What is timed is never kept.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, at_least, at_most, publish

import memtwin
from memtwin.circuits.surrogate.engine import SurrogateArray
from memtwin.data.dataset import load_data
from memtwin.data.files import write_text
from memtwin.data.records.store import digest
from memtwin.devices.pulses.costs import Pricing
from memtwin.training.network import Network
from memtwin.training.runs.build import network_of, write_costs
from memtwin.training.runs.config import RunConfig, load_config
from memtwin.training.runs.setup import Setup, set_up
from memtwin.training.trainer.loop import train_float
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.validate import validate
from memtwin.training.twin.cost import Cost
from memtwin.training.twin.twin import MemristorTwin

PRESET = {"writes": 98.6, "weights": 98.6, "energy": 98.6, "time": 98.6, "to float": -0.2}
NOISY = ("effects.programming=0.05", "effects.read=0.02")


@dataclass(frozen=True)
class Case:
    """One configuration; its bars are minima, in percent or percentage points."""

    preset: str
    changes: tuple[str, ...] = ()
    bars: dict[str, float] = field(default_factory=dict)
    against: str = ""
    """Another case, whose accuracy this one may lose little of."""

    def config(self, engine: str, seed: int, epochs: int, workers: int = 1) -> RunConfig:
        settings = (
            f"seed={seed}",
            f"training.engine={engine}",
            f"training.epochs={epochs}",
            "audit.every=0",
            f"workers={workers}",
            # Without wires the drive undoes the devices' curvature, so that linear ones do as well.
            f"device.linear={'true' if engine == 'ideal' else 'false'}",
        )
        return load_config(self.preset, (*self.changes, *settings))


MLP = {
    "mlp L=16": Case(
        "mlp",
        bars={"accuracy": 97.9, "to float": -0.15, "writes": 99.6, "weights": 99.2, "row_time": 75},
    ),
    "mlp L=8": Case(
        "mlp",
        ("device.levels=8", "mapping.clip=7.0"),
        {"to float": -0.25, "writes": 99.8, "weights": 99.55},
    ),
    "mlp L=4": Case(
        "mlp",
        ("device.levels=4", "mapping.clip=5.0"),
        {"to float": -0.35, "writes": 99.85, "weights": 99.7},
    ),
    "mlp balanced": Case("balanced", bars=PRESET),
    "mlp endurance": Case("endurance", bars=PRESET),
    "mlp noisy": Case("mlp", NOISY, {"lost": -0.3}, "mlp L=16"),
    "mlp stuck": Case("mlp", ("effects.stuck=0.01",), {"lost": -0.3}, "mlp L=16"),
}
CNN = {
    "cnn L=16": Case("cnn", bars={"accuracy": 98.9, "to float": -0.15}),
    "cnn balanced": Case("cnn-balanced", bars=PRESET),
    "cnn endurance": Case("cnn-endurance", bars=PRESET),
    "cnn noisy": Case("cnn", NOISY, {"lost": -0.4}, "cnn L=16"),
}
RULES = {
    f"rule {rule}": Case("mlp", (f"training.rule='{rule}'",))
    for rule in ("siamese", "closed loop", "verify-first", "mixed precision", "sign")
}
CASES = MLP | CNN | RULES

SAVING = ("mlp L=16", "mlp L=8", "mlp L=4", "mlp balanced", "mlp endurance")
QUICK = {
    "surrogate": (1, (*SAVING, "cnn balanced", "cnn endurance")),
    "ideal": (10, (*MLP, "cnn L=16")),
}
"""What runs without ``--full``: epochs and cases per engine."""


def code() -> dict[str, bytes]:
    """Return what computes: every module and table of the package, and the versions under it."""
    root = Path(memtwin.__file__).parent
    found = {
        f"{room}/{path.relative_to(root / room)}": path.read_bytes()
        for room in ("data", "devices", "circuits", "training", "benchmarks")
        for path in sorted((root / room).rglob("*"))
        if path.suffix in (".py", ".toml")
    }
    return found | {name: version(name).encode() for name in ("numpy", "scipy")}


class Bench:
    """Trainings on one characterised tile, kept as they finish in a folder of this code and data."""

    def __init__(self, folder: Path) -> None:
        images = load_data("mnist")
        data = [getattr(images, part.name) for part in fields(images)]
        self.folder = folder / digest(code(), data)[:12]
        self.folder.mkdir(parents=True, exist_ok=True)

    def setup(self, config: RunConfig) -> Setup:
        """Return what a training starts from; ngspice characterises the tile once for all."""
        path = self.folder / "characterisation.h5"
        return set_up(config, characterisation=path, surrogate=config.training.engine != "ideal")

    def costs(self, setup: Setup) -> Pricing:
        """Return what writes cost, from a table that trainings of as many levels share."""
        name = f"writes-{setup.levels.count}-{setup.config.effects.programming:g}.h5"
        # The table is a property of the device: one for all seeds of the training.
        return write_costs(setup.seeded(0).config, setup.levels, path=self.folder / name)

    def train(self, name: str, engine: str, seed: int, epochs: int) -> dict[str, Any]:
        """Return the outcome of one training; one that is kept has ``kept`` set."""
        config = CASES[name].config("ideal" if engine == "float" else engine, seed, epochs)
        path = self._kept(name, engine, config, "json")
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            return found | {"kept": True}
        if engine == "float":
            outcome = self._train_float(name, seed, epochs)
        else:
            kept = self._kept(name, engine, config, "h5")
            outcome = self._train(self.setup(config), kept)[1]
        write_text(path, json.dumps(outcome))
        return outcome | {"kept": False}

    def _kept(self, name: str, engine: str, config: RunConfig, suffix: str) -> Path:
        slug = f"{name}-{engine}-{config.seed}".replace(" ", "_").replace("=", "")
        return self.folder / f"{slug}-{digest(config.model_dump_json())[:12]}.{suffix}"

    def _train(
        self, setup: Setup, checkpoint: Path | None = None
    ) -> tuple[MemristorTwin, dict[str, Any]]:
        twin = setup.twin()
        result = setup.train(twin, self.costs(setup), checkpoint=checkpoint)
        return twin, {
            "accuracy": [record.test_accuracy for record in result.records],
            "cost": [asdict(record.cost) for record in result.records],
            "closed_loop": [asdict(record.closed_loop) for record in result.records],
            "removed_of_learning": [record.removed_of_learning for record in result.records],
            "estimate": _estimate(twin),
            "max_writes": int(max(each.writes.max() for each in result.ledger.devices)),
        }

    def _train_float(self, name: str, seed: int, epochs: int) -> dict[str, Any]:
        config, images = CASES[name].config("ideal", seed, epochs), load_data("mnist")
        trained = train_float(network_of(config, images), images, config.training, seed=config.seed)
        return {"accuracy": trained.accuracies}

    def validate(self, workers: int) -> tuple[float, int]:
        """Return the minutes that ngspice takes for 200 test images of a network trained for an
        epoch, and how many of its predictions the surrogate shares.
        """
        setup = self.setup(CASES["mlp L=16"].config("surrogate", 0, 1, workers))
        twin, _ = self._train(setup)
        spice, surrogate = setup.engine("spice"), setup.engine("surrogate")
        started = time.perf_counter()
        found = validate(twin, setup.images, 200, engine=spice, reference=surrogate)
        return (time.perf_counter() - started) / 60, found.agreement


def _estimate(twin: MemristorTwin) -> float:
    """Return the worst error that the surrogate estimates of any tile [%]; nan for other engines."""
    arrays = [matrix.array for matrix in twin.matrices]
    surrogates = [array for array in arrays if isinstance(array, SurrogateArray)]
    return max((100.0 * each.report().estimate_worst for each in surrogates), default=np.nan)


def figures(bench: Bench, wanted: list[str], arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield the figures of all cases that are wanted."""
    seeds = range(arguments.seeds)
    chosen = [c for name in wanted for c in (RULES if name == "rules" else [name]) if c in CASES]
    plan = {"surrogate": (arguments.epochs, chosen)}
    if not arguments.full:
        plan = {
            engine: (epochs, [c for c in chosen if c in cases])
            for engine, (epochs, cases) in QUICK.items()
        }
    # Before the others start, so that ngspice is asked once.
    bench.setup(CASES["mlp L=16"].config("surrogate", 0, 1))
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        waiting: dict[tuple[str, str, int], Future[dict[str, Any]]] = {}

        def ask(name: str, engine: str, epochs: int) -> None:
            for seed in seeds:
                if (name, engine, seed) not in waiting:
                    job = pool.submit(bench.train, name, engine, seed, epochs)
                    waiting[name, engine, seed] = job

        def results(name: str, engine: str) -> list[dict[str, Any]]:
            return [waiting[name, engine, seed].result() for seed in seeds]

        # The longest trainings first, so that the workers end together.
        for engine, (epochs, cases) in plan.items():
            for name in sorted(cases, key=lambda c: not c.startswith("cnn")):
                ask(name, engine, epochs)
                if epochs > 1:
                    ask(*compared(name, engine), epochs)
        for name in chosen:
            for engine, (epochs, cases) in plan.items():
                if name in cases and engine == "surrogate":
                    yield from savings(name, results(name, engine))
                if name in cases and epochs > 1:
                    goals = results(*compared(name, engine))
                    yield from accuracies(name, engine, results(name, engine), goals)


def compared(name: str, engine: str) -> tuple[str, str]:
    """Return the case and the engine whose accuracy that of ``name`` is held against."""
    against = CASES[name].against
    if against:
        return against, engine
    return "cnn L=16" if name.startswith("cnn") else "mlp L=16", "float"


def savings(name: str, runs: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield what the first epoch saves against the basic closed loop [%], means over seeds."""
    removed = [Cost(**run["cost"][0]).removed(Cost(**run["closed_loop"][0])) for run in runs]
    kept = kept_note(runs)
    for key in removed[0]:
        value = float(np.mean([each[key] for each in removed]))
        bar = CASES[name].bars.get(key)
        yield checked(f"{name}: {key} saved in epoch 1", value, "%", bar, kept)
    value = float(np.mean([run["removed_of_learning"][0] for run in runs]))
    yield Row(f"{name}: weights saved of those with a gradient", value, "%", "", None, kept)
    worst = max(run["estimate"] for run in runs)
    label = f"{name}: the surrogate's own estimate of its error, worst tile"
    yield Row(label, worst, "%", "", None, kept)


def accuracies(
    name: str, engine: str, runs: list[dict[str, Any]], goals: list[dict[str, Any]]
) -> Iterator[Row]:
    """Yield the accuracy in the end [%], and how far it is above what it is compared to."""
    case, epochs = CASES[name], len(runs[0]["accuracy"])
    # Single trainings differ by more than what they are to lose.
    bars = case.bars if epochs >= 10 and len(runs) >= 3 else {}
    last, goal = (100 * np.array([run["accuracy"][-1] for run in each]) for each in (runs, goals))
    spread = f"± {last.std(ddof=1):.2f}" if len(last) > 1 else "one seed; bars are for three"
    where = f"{name}, {engine} engine, {epochs} epochs"
    kept = kept_note([*runs, *goals])
    spread = "; ".join(part for part in (spread, kept) if part)
    yield checked(f"{where}: accuracy", float(last.mean()), "%", bars.get("accuracy"), spread)
    key, text = ("lost", case.against) if case.against else ("to float", "float")
    difference = float((last - goal).mean())
    yield checked(f"{where}: above {text}", difference, "points", bars.get(key), kept)


def kept_note(runs: list[dict[str, Any]]) -> str:
    """Return how many of ``runs`` were trained earlier, by the same code on the same data."""
    count = sum(run["kept"] for run in runs)
    return f"{count} of {len(runs)} trainings kept" if count else ""


def checked(name: str, value: float, unit: str, least: float | None, note: str = "") -> Row:
    """Return a row that is to be at least ``least``."""
    holds = None if least is None else bool(round(value, 3) >= least)
    return Row(name, value, unit, "" if least is None else f">= {least:g}", holds, note)


def speed(bench: Bench) -> Iterator[Row]:
    """Yield CPU times per epoch and its test over those of the same network in plain numpy, and of
    the surrogate over the ideal engine; one process, in turns, so that other work hits all alike.
    """
    images = load_data("mnist")
    for kind, most in (("mlp", 6.0), ("cnn", 2.5)):
        ideal, wired = (
            bench.setup(CASES[f"{kind} L=16"].config(engine, 0, 1))
            for engine in ("ideal", "surrogate")
        )
        options, estimate = ideal.config.training, [np.nan]
        costs = bench.costs(ideal)

        def plain(setup: Setup = ideal, options: TrainOptions = options) -> None:
            train_float(setup.network, images, options)

        def tiles(setup: Setup = ideal, costs: Pricing = costs) -> None:
            twin = setup.twin()
            setup.train(twin, costs)
            estimate[0] = _estimate(twin)  # noqa: B023

        turns = [(_seconds(plain), _seconds(tiles)) for _ in range(3)]
        base, ours = (min(each) for each in zip(*turns, strict=True))
        name, note = f"{kind}: epoch, ideal engine", f"{ours:.3g} s over {base:.3g} s of CPU"
        yield at_most(f"{name} / float in numpy", ours / base, "x", 1.5, note)
        try:
            theirs, note = torch_epoch(ideal.network, images), ""
        except ImportError:
            theirs, note = np.nan, "torch is not installed"
        yield Row(f"{name} / float in torch", ours / theirs, "x", "", None, note)
        seconds = _seconds(lambda setup=wired: tiles(setup))  # type: ignore[misc]
        name, note = f"{kind}: epoch through the surrogate / ideal engine", f"{seconds:.3g} s"
        yield at_most(name, seconds / ours, "x", most, note)
        yield Row(f"{kind}: the same / float in numpy", seconds / base, "x", "", None)
        name = f"{kind}: worst self-check of any tile in that epoch"
        yield at_most(name, estimate[0], "%", 0.15)


def _seconds(job: Callable[[], None]) -> float:
    """Return the CPU time that ``job`` takes [s]."""
    started = time.process_time()
    job()
    return time.process_time() - started


def spice(bench: Bench, workers: int) -> Iterator[Row]:
    """Yield how long validation in ngspice takes, and what it finds."""
    minutes, agreement = bench.validate(workers)
    yield Row("mlp: 200 test images in ngspice", minutes, "min", "", None)
    yield at_least("mlp: predictions of 200 as the surrogate's", agreement, "", 199)


def torch_epoch(network: Network, images: Any) -> float:
    """Return the CPU time [s] that torch takes for an epoch of the same network on one thread."""
    import torch
    from torch import nn

    from memtwin.training.layers.digital import MaxPool, Relu
    from memtwin.training.layers.weighted import Conv2d, Dense

    torch.set_num_threads(1)
    layers: list[Any] = []
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        if isinstance(layer, Dense):
            layers += [nn.Flatten(), nn.Linear(int(np.prod(shape)), layer.outputs)]
        elif isinstance(layer, Conv2d):
            layers.append(nn.Conv2d(shape[2], layer.channels, layer.kernel))
        else:
            layers.append(nn.ReLU() if isinstance(layer, Relu) else nn.MaxPool2d(layer.size))
        assert isinstance(layer, Dense | Conv2d | MaxPool | Relu)
    model, loss = nn.Sequential(*layers), nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    shape = network.shape if len(network.shape) == 1 else (1, *network.shape[:2])
    x = torch.from_numpy(images.x_train).reshape(-1, *shape)
    y = torch.from_numpy(images.y_train)
    started = time.process_time()
    order = torch.randperm(len(x))
    for start in range(0, len(x), 100):
        chosen = order[start : start + 100]
        optimiser.zero_grad()
        loss(model(x[chosen]), y[chosen]).backward()
        optimiser.step()
    return time.process_time() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*CASES, "rules", "speed", "spice"]
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(names)}; default: nearly all")
    parser.add_argument("--full", action="store_true", help="everything through the surrogate")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10, help="with --full")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--folder", type=Path, default=Path("training-benchmark"))
    add_options(parser)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases if name not in names]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; choose from {', '.join(names)}")
    bench = Bench(arguments.folder)
    wanted = arguments.cases or ["speed", *MLP, *CNN]
    rows = chain(
        # First, and alone, so that what is timed has the machine to itself.
        speed(bench) if "speed" in wanted else (),
        spice(bench, arguments.workers) if "spice" in wanted else (),
        figures(bench, wanted, arguments),
    )
    return publish(rows, "training", arguments)


if __name__ == "__main__":
    sys.exit(main())
