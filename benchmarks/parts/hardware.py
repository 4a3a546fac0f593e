"""Published hardware beside our runs under its conditions: MNIST on three memristor chips.

    cd benchmarks; python -m parts.hardware               # 8 CPU minutes
    cd benchmarks; python -m parts.hardware --only li     # 2 of them

Array sizes, levels and yields are those that were published where docs/hardware.md
says so, else assumed as it says; linear devices without wires. One process; figures are means over seeds 0 to 2,
or of one seed where the note says so.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, at_least, publish

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import Dataset, load_data
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.layers.digital import MaxPool, Relu
from memtwin.training.layers.weighted import Conv2d, Dense, Placing
from memtwin.training.network import Network, mlp
from memtwin.training.pretrained import Pretrained
from memtwin.training.trainer.loop import build_twin, train, train_float
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

SEEDS = 3


def crossbar(
    rows: int, cols: int, levels: int, effects: Effects, clip: float, **mapping: int
) -> Crossbar:
    """Return tiles of linear devices of so many levels."""
    held = Cell.resistor(0.2).levels(np.linspace(1e-5, 1e-4, levels))
    return Crossbar(Tile(rows, cols, levels=held), effects, MappingOptions(clip=clip, **mapping))


@cache
def small() -> Dataset:
    """Return 80,000 samples of MNIST on 8x8 pixels: the inner 24x24, as means of 3x3."""
    images = load_data("mnist")

    def shrunk(x: np.ndarray) -> np.ndarray:
        inner = x.reshape(-1, 28, 28)[:, 2:26, 2:26]
        return np.ascontiguousarray(inner.reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4)).reshape(-1, 64))

    again = np.random.default_rng(0).permutation(len(images.x_train))[:20_000]
    seen = np.concatenate([np.arange(len(images.x_train)), again])
    return replace(
        images,
        x_train=shrunk(images.x_train)[seen],
        y_train=images.y_train[seen],
        x_test=shrunk(images.x_test),
        shape=(8, 8),
    )


def li() -> Iterator[Row]:
    """Two layers on one 128x64 array, trained on line by 80,000 samples, 11 % of the devices dead."""
    network, images = mlp(64, 54, 10), small()
    whole = TrainOptions(epochs=1, batch=50, learning_rate=0.1)
    exact = [100 * train_float(network, images, whole, seed=k).accuracies[-1] for k in range(SEEDS)]
    yield Row("Li 2018: float network, one pass", float(np.mean(exact)), "%", "", None)
    free = replace(whole, partner="free")
    closed = replace(whole, rule="closed loop")
    budgeted = replace(free, rule="budgeted", rule_options={"budget": 4e-3})
    ways: dict[str, tuple[float, float, TrainOptions]] = {
        "every device to its target, none dead": (0.0, 0.0, closed),
        "every device to its target": (0.11, 0.0, closed),
        "Siamese, partner resting": (0.11, 0.0, whole),
        "Siamese, partner free": (0.11, 0.0, free),
        "budgeted, partner free": (0.11, 0.0, budgeted),
        "half of the dead conduct, partner resting": (0.11, 0.5, whole),
        "half of the dead conduct, partner free": (0.11, 0.5, free),
    }
    for name, (dead, high, options) in ways.items():
        found, changed = [], []
        for seed in range(SEEDS):
            effects = Effects(programming=0.03, read=0.01, stuck=dead, stuck_high=high)
            twin = build_twin(network, crossbar(128, 64, 32, effects, 6.0), Ideal, seed=seed)
            result = train(twin, images, options, nominal_pricing(32), seed=seed)
            found.append(100 * result.accuracy)
            changed.append(result.records[0].summary()["writes_removed_percent"])
        note = f"± {np.std(found, ddof=1):.2f}, {np.mean(changed):.2f} % of the closed loop's writes removed"
        label = f"Li 2018 (91.71 %): {name}"
        if name == "Siamese, partner free":
            yield at_least(label, float(np.mean(found)), "%", 91.71, note)
        else:
            yield Row(label, float(np.mean(found)), "%", "", None, note)


def mended() -> Iterator[Row]:
    """The same array written once with what was trained in float, with spare pairs of columns."""
    network, images = mlp(64, 54, 10), small()
    whole = TrainOptions(epochs=1, batch=50, learning_rate=0.1)
    floats = [train_float(network, images, whole, seed=seed).weights for seed in range(SEEDS)]
    for spares in (0, 2, 4, 8, 16):
        found, replaced, devices = [], [], []
        for seed, weights in enumerate(floats):
            effects = Effects(programming=0.03, read=0.01, stuck=0.11, stuck_high=0.0)
            array = crossbar(128, 64, 32, effects, 6.0, spare_columns=spares)
            twin = build_twin(network, array, Ideal, seed=seed, start=Pretrained(weights, []))
            trainer = Trainer(
                twin, images, whole, nominal_pricing(32), seed=seed, weights=list(weights)
            )
            found.append(100 * trainer.evaluate())
            places = [matrix.placement for matrix in twin.matrices]
            moved = [one.columns >= one.outputs for one in places if one.columns is not None]
            replaced.append(sum(int(each.sum()) for each in moved))
            devices.append(100 * twin.spare_devices / twin.devices)
        note = (
            f"± {np.std(found, ddof=1):.2f}, {np.mean(replaced):.0f} pairs replaced,"
            f" {np.mean(devices):.0f} % more devices"
        )
        label = f"Li 2018: written off line, {spares} spare pairs of columns a tile"
        yield Row(label, float(np.mean(found)), "%", "", None, note)


def yao() -> Iterator[Row]:
    """A small CNN of 15 weight levels on arrays of 128x16: written off line, then trained on line."""
    network = Network(
        (Conv2d(8, 3), Relu(), MaxPool(2), Conv2d(12, 3), Relu(), MaxPool(2), Dense(10)),
        (28, 28, 1),
    )
    images = load_data("mnist")
    trained = train_float(network, images, TrainOptions(epochs=3, learning_rate=0.05), seed=0)
    yield Row(
        "Yao 2020: float network, three epochs",
        100 * trained.accuracies[-1],
        "%",
        "",
        None,
        "one seed",
    )
    for name, spread in (("3 %", 0.03), ("6 %", 0.06)):
        effects = Effects(programming=spread, read=0.01, stuck=0.001)
        options = TrainOptions(epochs=1, learning_rate=0.01, partner="free")
        start = Pretrained(list(trained.weights), [])
        # The range reaches to the largest weight of each matrix.
        clip = max(
            float(np.abs(w).max()) / deviation
            for w, deviation in zip(trained.weights, network.deviations, strict=True)
        )
        twin = build_twin(network, crossbar(128, 16, 8, effects, clip), Ideal, seed=0, start=start)
        trainer = Trainer(
            twin, images, options, nominal_pricing(8), seed=0, weights=list(trained.weights)
        )
        twin.calibrate(images.x_train[:100])
        label = f"Yao 2020 (> 96 %): write errors of {name}"
        yield Row(f"{label}, as written", 100 * trainer.evaluate(), "%", "", None, "one seed")
        tuned = 100 * trainer.run_epoch().test_accuracy
        yield at_least(f"{label}, after an epoch on line", tuned, "%", 96.0, "one seed")


def neurram() -> Iterator[Row]:
    """Six convolutions and one dense layer, as in the authors' notebooks, written once to 1 to 40 uS."""
    sizes = [
        layer
        for pair in ((8, 8), (16, 16), (32, 32))
        for layer in (
            # 28 pixels in a frame of 32: pools leave no remainder, and the last layer has its 512 inputs.
            Conv2d(pair[0], 3, padding=3 if pair[0] == 8 else 1),
            Relu(),
            Conv2d(pair[1], 3, padding=1),
            Relu(),
            MaxPool(2),
        )
    ]
    network, images = Network((*sizes, Dense(10)), (28, 28, 1)), load_data("mnist")
    options = TrainOptions(epochs=2, optimiser="adam", learning_rate=1e-3)
    trained = train_float(network, images, options, seed=0)
    weights = list(trained.weights)
    count = sum(w.size for w in weights)
    note = f"one seed, two epochs, {count:,} weights"
    yield Row("NeuRRAM: float network", 100 * trained.accuracies[-1], "%", "", None, note)
    # Every matrix has a range of its own, to its largest weight.
    clips = iter(
        float(np.abs(w).max()) / deviation
        for w, deviation in zip(weights, network.deviations, strict=True)
    )
    placed = Network(
        tuple(
            replace(layer, placing=Placing(clip=next(clips)))
            if isinstance(layer, (Conv2d, Dense))
            else layer
            for layer in network.layers
        ),
        network.shape,
    )
    held = Cell.resistor(0.2).levels(np.linspace(1e-6, 40e-6, 40))
    for bits, relaxed in ((3, 0.0), (3, 0.05), (None, 0.0), (3, 0.1)):
        # A band of 1 uS either side, evenly filled, and what relaxes after it was verified.
        effects = Effects(programming=1 / 39 / 3**0.5, read=0.0, relaxation=relaxed)
        mapping = MappingOptions(dac_bits=bits, adc_bits=bits and 8)
        array = Crossbar(Tile(256, 256, levels=held), effects, mapping)
        twin = build_twin(placed, array, Ideal, seed=0, start=Pretrained(weights, []))
        trainer = Trainer(twin, images, options, nominal_pricing(40), seed=0, weights=list(weights))
        twin.calibrate(images.x_train[:100])
        inputs = f"{bits}-bit inputs" if bits else "analog inputs"
        label = f"NeuRRAM (99.0 %): {inputs}, relaxation of {100 * relaxed:g} % of the range"
        yield Row(label, 100 * trainer.evaluate(), "%", "", None, "one seed")


CASES: dict[str, Callable[[], Iterator[Row]]] = {
    "li": li,
    "mended": mended,
    "yao": yao,
    "neurram": neurram,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="which chips")
    add_options(parser)
    chosen = parser.parse_args()
    rows = (row for name in chosen.only for row in CASES[name]())
    return publish(rows, "hardware", chosen)


if __name__ == "__main__":
    sys.exit(main())
