"""Accuracy, writes and speed of training on MNIST, against the float twin and the other rules.

    python benchmarks/training.py                        # every perceptron row, one seed
    python benchmarks/training.py --seeds 3 --cnn        # all rows, three seeds
    python benchmarks/training.py "mlp L=16" speed       # some of them

Tiles of 64x64 linear devices without wires (the ideal engine), 1 % programming error and 0.5 % read
noise unless the row says otherwise; write costs from the shipped device's write-verify table. One
line per seed goes to ``--out`` as JSON, so that a stopped run goes on where it was.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import table

from memtwin.circuits.cell import Cell
from memtwin.circuits.ideal import Ideal
from memtwin.circuits.population import Spread
from memtwin.circuits.recipe_design import design_recipe
from memtwin.circuits.tile import Tile
from memtwin.circuits.write_table import make_table
from memtwin.data.images import load_images
from memtwin.devices.device import load_device
from memtwin.devices.levels import make_levels
from memtwin.training.baselines import BASELINES, Baseline
from memtwin.training.effects import Effects
from memtwin.training.ledger import Cost, WriteCosts
from memtwin.training.network import Network, lenet, mlp
from memtwin.training.siamese import SiameseOptions
from memtwin.training.train import build_twin, train, train_float
from memtwin.training.trainer import TrainOptions

V_READ, G_MAX, ON_OFF = 0.2, 50e-6, 10.0


@dataclass(frozen=True)
class Row:
    """One setting; its bars are minima, in percent or percentage points."""

    network: Callable[[], Network]
    levels: int = 16
    clip: float = 8.0
    rate: float = 0.1
    siamese: SiameseOptions = field(default_factory=SiameseOptions)
    effects: Effects = field(default_factory=Effects)
    baseline: Baseline | None = None
    bars: dict[str, float] = field(default_factory=dict)


def mlp128() -> Network:
    return mlp(784, 128, 10)


def mlp100() -> Network:
    return mlp(784, 100, 10)


SLACK = SiameseOptions(hysteresis=0.1)
FEEDBACK = SiameseOptions(compensation="sd")
NOISY = Effects(programming=0.05, read=0.02)
STUCK = Effects(stuck=0.01)
PRESET = {"writes": 98.6, "weights": 98.6, "energy": 98.6, "time": 98.6, "to float": -0.2}

ROWS: dict[str, Row] = {
    "mlp L=16": Row(
        mlp128, bars={"accuracy": 97.9, "to float": -0.15, "writes": 99.6, "weights": 99.2}
    ),
    "mlp L=8": Row(mlp128, 8, 7.0, bars={"to float": -0.25, "writes": 99.8, "weights": 99.55}),
    "mlp L=4": Row(mlp128, 4, 5.0, bars={"to float": -0.35, "writes": 99.85, "weights": 99.7}),
    "mlp L=4 sd": Row(mlp128, 4, 6.0, siamese=FEEDBACK, bars={"to float": -0.35}),
    "mlp balanced": Row(mlp128, siamese=SLACK, bars=PRESET),
    "mlp endurance": Row(mlp128, 8, 7.0, siamese=SLACK, bars=PRESET),
    "mlp noisy": Row(mlp128, effects=NOISY, bars={"to float": -0.45}),
    "mlp stuck 1 %": Row(mlp128, effects=STUCK, bars={"to float": -0.45}),
    "mlp 784-100-10": Row(mlp100, bars={"accuracy": 97.9, "writes": 99.6}),
}
RULES: dict[str, Row] = {
    f"rule {name}": Row(mlp128, baseline=baseline) for name, baseline in BASELINES.items()
}
CNN: dict[str, Row] = {
    "cnn L=16": Row(lenet, 16, 5.0, 0.05, bars={"accuracy": 98.9, "to float": -0.15}),
    "cnn balanced": Row(lenet, 16, 6.0, 0.05, SLACK, bars=PRESET),
    "cnn endurance": Row(lenet, 8, 4.0, 0.05, SLACK, bars=PRESET),
    "cnn noisy": Row(lenet, 16, 5.0, 0.05, effects=NOISY, bars={"to float": -0.55}),
}


@cache
def costs_of(levels: int) -> WriteCosts:
    device = load_device("nbsto_32um")
    top = float(device.meta.get("x_max", 1.0))
    device = device.scaled(G_MAX / float(device.conductance(top, V_READ)))
    chosen = make_levels(device, levels, V_READ, g_min=G_MAX / ON_OFF, g_max=G_MAX)
    return WriteCosts.of_table(make_table(chosen, design_recipe(chosen), Spread(), seed=0))


def run(row: Row, seed: int, epochs: int) -> dict[str, Any]:
    images = load_images("mnist")
    tile = Tile(64, 64, cell=Cell.resistor(V_READ))
    twin = build_twin(
        row.network(),
        tile=tile,
        engine=Ideal,
        g_levels=np.linspace(G_MAX / ON_OFF, G_MAX, row.levels),
        v_read=V_READ,
        clip=row.clip,
        effects=row.effects,
        seed=seed,
    )
    options = TrainOptions(
        epochs, learning_rate=row.rate, siamese=row.siamese, baseline=row.baseline, seed=seed
    )
    result = train(twin, images, options, costs_of(row.levels))
    return {
        "accuracy": [record.test_accuracy for record in result.records],
        "cost": [asdict(record.cost) for record in result.records],
        "closed_loop": [asdict(record.closed_loop) for record in result.records],
        "seconds": [record.seconds for record in result.records],
        "max_writes": int(max(counts.max() for counts in result.ledger.device_writes)),
    }


def run_float(row: Row, seed: int, epochs: int) -> dict[str, Any]:
    options = TrainOptions(epochs, learning_rate=row.rate, seed=seed)
    started = time.perf_counter()
    accuracy, _ = train_float(row.network(), load_images("mnist"), options)
    return {"accuracy": accuracy, "seconds": [(time.perf_counter() - started) / epochs]}


class Results:
    """Finished runs, kept in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.done = {tuple(run["key"]): run for run in map(json.loads, lines)}

    def get(self, name: str, seed: int, epochs: int, make: Callable[[], dict[str, Any]]) -> Any:
        key = (name, seed, epochs)
        if key not in self.done:
            self.done[key] = {"key": key, **make()}
            with self.path.open("a") as file:
                file.write(json.dumps(self.done[key]) + "\n")
        return self.done[key]


def summary(runs: list[dict[str, Any]], floats: list[dict[str, Any]]) -> dict[str, float]:
    """Return means over seeds: accuracies [%], and what the first epoch saves [%]."""
    accuracy = 100 * np.array([run["accuracy"][-1] for run in runs])
    goal = 100 * np.array([run["accuracy"][-1] for run in floats])
    shown = {
        "accuracy": float(accuracy.mean()),
        "spread": float(accuracy.std(ddof=1)) if len(runs) > 1 else 0.0,
        "to float": float((accuracy - goal).mean()),
    }
    saved = [Cost(**run["cost"][0]).removed(Cost(**run["closed_loop"][0])) for run in runs]
    for key in ("writes", "weights", "pulses", "reads", "energy", "time", "row_time"):
        shown[key] = float(np.mean([each[key] for each in saved]))
    shown["max writes"] = float(np.mean([run["max_writes"] for run in runs]))
    shown["s/epoch"] = float(np.min([run["seconds"] for run in runs]))
    return shown


def speed() -> Iterator[table.Row]:
    """Yield seconds per epoch: ours, the same network in plain numpy, and in torch."""
    images = load_images("mnist")
    for name, network, rate in (("mlp 784-100-10", mlp100(), 0.1), ("cnn", lenet(), 0.05)):
        row = Row(partial(Network, network.layers, network.shape), 16, 8.0, rate)
        bar = 1.5 if name != "cnn" else 20.0
        ours = min(run(row, 0, 2 if name != "cnn" else 1)["seconds"])
        yield table.Row(
            f"{name}: siamese, ideal engine", ours, "s/epoch", f"<= {bar:g}", ours <= bar
        )
        plain = run_float(row, 0, 1)["seconds"][0]
        yield table.Row(f"{name}: float in numpy", plain, "s/epoch", "", None)
        try:
            yield table.Row(
                f"{name}: float in torch", torch_epoch(network, images), "s/epoch", "", None
            )
        except ImportError:
            yield table.Row(
                f"{name}: float in torch", float("nan"), "s/epoch", "", None, "no torch"
            )


def torch_epoch(network: Network, images: Any) -> float:
    import torch
    from torch import nn

    from memtwin.training.network import Conv2d, Dense, MaxPool, Relu

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
    started = time.perf_counter()
    order = torch.randperm(len(x))
    for start in range(0, len(x), 100):
        chosen = order[start : start + 100]
        optimiser.zero_grad()
        loss(model(x[chosen]), y[chosen]).backward()
        optimiser.step()
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="names of rows, 'rules' or 'speed'; default: all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--cnn", action="store_true", help="with the convolutional rows")
    parser.add_argument("--out", type=Path, default=Path("training-benchmark.jsonl"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    known = ROWS | RULES | CNN
    wanted = arguments.rows or [*ROWS, *(CNN if arguments.cnn else {})]
    if "rules" in wanted:
        wanted = [name for name in wanted if name != "rules"] + list(RULES)
    figures = (figure for name in wanted for figure in figures_of(name, known, arguments))
    return table.publish(figures, as_json=arguments.json)


def figures_of(
    name: str, known: dict[str, Row], arguments: argparse.Namespace
) -> Iterator[table.Row]:
    """Yield what is known of one row of the tables: each figure, held to its bar where it has one."""
    if name == "speed":
        yield from speed()
        return
    results, seeds, epochs = Results(arguments.out), range(arguments.seeds), arguments.epochs
    row = known[name]
    kind = f"float {row.network.__name__}"
    floats = [
        results.get(kind, seed, epochs, partial(run_float, row, seed, epochs)) for seed in seeds
    ]
    runs = [results.get(name, seed, epochs, partial(run, row, seed, epochs)) for seed in seeds]
    # The bars are those of ten epochs.
    bars = row.bars if epochs >= 10 else {}
    for key, value in summary(runs, floats).items():
        bar = bars.get(key)
        holds = None if bar is None else round(value, 3) >= bar
        unit = UNITS.get(key, "%")
        yield table.Row(f"{name}: {key}", value, unit, "" if bar is None else f">= {bar:g}", holds)


UNITS = {"to float": "points", "max writes": "", "s/epoch": "s"}


if __name__ == "__main__":
    sys.exit(main())
