"""Training of the memristor twin by the Siamese scheme, and of a float network the same way for
comparison.

Each batch is read forward through the tiles; the loss's gradient at the measured outputs goes back
through the float weights with the measured activations; the float weights move, and the few devices
whose level must change are written. Random numbers of an epoch come from generators seeded with
(seed, stream, epoch), so that a run resumed at an epoch's end continues bit for bit.
"""

__all__ = [
    "EpochRecord",
    "TrainOptions",
    "TrainResult",
    "Trainer",
    "build_twin",
    "evaluate",
    "predict",
    "train",
    "train_float",
]

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..circuits.tile import Tile
from ..data.errors import InputError, MemtwinError
from ..data.images import ImageSet
from ..data.types import Array32
from .baselines import Baseline, start_rule
from .effects import Effects
from .ledger import Cost, Ledger, WriteCosts
from .mapping import EngineFactory, MappingOptions, MemristorTwin
from .network import Network, cross_entropy
from .optim import make_optimiser, schedule
from .quantise import Quantiser, pair
from .rules import Writes
from .siamese import SiameseOptions

Labels: TypeAlias = NDArray[np.int64]

EVALUATION_BATCH = 500
"""Images read at a time outside of training; bounds memory, and changes no result but the order of
noise draws.
"""

SAMPLE_EVERY = 100
"""Batches between those on which the closed loop's pulses are counted; its writes need no sampling.
"""


@dataclass(frozen=True)
class TrainOptions:
    """How to train; the defaults are those of the MNIST perceptron."""

    epochs: int = 10
    batch: int = 100
    learning_rate: float = 0.1
    momentum: float = 0.9
    optimiser: Literal["sgd", "adam"] = "sgd"
    schedule: Literal["exponential", "cosine", "constant"] = "exponential"
    decay: float = 0.8
    """Factor on the learning rate after every epoch, for ``exponential``."""
    siamese: SiameseOptions = field(default_factory=SiameseOptions)
    baseline: Baseline | None = None
    """Another update rule instead of the Siamese one."""
    calibration: int = 100
    """Training images on which the digital gains are calibrated before every epoch."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.calibration) < 1:
            raise InputError("training: epochs, batch and calibration must be at least 1")
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise InputError(
                f"training: the learning rate must be positive, got {self.learning_rate!r}"
            )
        if self.seed < 0:
            raise InputError(f"training: the seed must not be negative, got {self.seed}")


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    train_loss: float
    test_accuracy: float
    """Share of the test images that the memristor twin, as it is, classifies right."""
    cost: Cost
    """What this epoch's writes cost."""
    closed_loop: Cost
    """What the basic closed loop would have cost: writes exactly, the rest from sampled batches."""
    seconds: float
    """Wall time of training, without the test."""

    def summary(self) -> dict[str, float]:
        """Return one flat mapping of numbers, for JSON and plots."""
        row: dict[str, float] = {
            "epoch": self.epoch,
            "learning_rate": self.learning_rate,
            "train_loss": self.train_loss,
            "test_accuracy": self.test_accuracy,
            "seconds": self.seconds,
        }
        row |= asdict(self.cost)
        row |= {f"closed_loop_{key}": value for key, value in asdict(self.closed_loop).items()}
        removed = self.cost.removed(self.closed_loop)
        return row | {f"{key}_removed_percent": value for key, value in removed.items()}


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training."""

    records: tuple[EpochRecord, ...]
    ledger: Ledger
    weights: list[Array32]
    """Float twin's matrices."""
    codes: list[Array32]
    """Level codes of every weight, -(L-1)..L-1."""

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch."""
        return self.records[-1].test_accuracy


def build_twin(
    network: Network,
    *,
    tile: Tile,
    engine: EngineFactory,
    g_levels: ArrayLike,
    v_read: float,
    clip: float = 8.0,
    effects: Effects | None = None,
    options: MappingOptions | None = None,
    seed: int = 0,
) -> MemristorTwin:
    """Return a memristor twin whose fixed device errors are drawn from ``seed``; see
    :class:`.mapping.MemristorTwin`.
    """
    return MemristorTwin(
        network,
        tile=tile,
        engine=engine,
        g_levels=g_levels,
        v_read=v_read,
        clip=clip,
        effects=effects,
        options=options,
        rng=_generator(seed, "devices"),
    )


class Trainer:
    """A training that can be stepped epoch by epoch and saved in between.

    Parameters
    ----------
    twin
        The memristor twin; it is programmed with the initial weights when the trainer is made.
    images
        Images to train on and to test on.
    costs
        Write costs of the device.
    """

    def __init__(
        self,
        twin: MemristorTwin,
        images: ImageSet,
        options: TrainOptions,
        costs: WriteCosts,
        *,
        weights: list[Array32] | None = None,
    ) -> None:
        _check_images(twin.network, images)
        if costs.levels != twin.levels:
            raise InputError(
                f"write costs are for {costs.levels} levels, the twin's devices have {twin.levels}"
            )
        self.twin, self.images, self.options = twin, images, options
        self.records: list[EpochRecord] = []
        self.ledger = Ledger([matrix.placement for matrix in twin.matrices], costs)
        start = weights or twin.network.initial(_generator(options.seed, "weights"))
        self.updates = [
            start_rule(
                options.baseline or options.siamese,
                w,
                Quantiser(twin.levels, matrix.clip),
                make_optimiser(options.optimiser, w.shape, options.momentum),
                digital_rows=int(matrix.bias is not None),
            )
            for w, matrix in zip(start, twin.matrices, strict=True)
        ]
        self._updates_done = 0
        rng = _generator(options.seed, "programming", 0)
        first = Cost()
        for k, update in enumerate(self.updates):
            writes = update.first()
            first = first + self.ledger.record(k, writes)
            update.verify(writes, twin.matrices[k].write(writes, rng))
        self.initial = first
        """Cost of programming the initial weights; no epoch's record holds it."""
        self.ledger.close_epoch()

    def run_epoch(self, on_batch: Callable[[int, int], None] | None = None) -> EpochRecord:
        """Train one epoch and test; ``on_batch(done, total)`` is called after every batch."""
        options, x, y = self.options, self.images.x_train, self.images.y_train
        epoch = len(self.records)
        started = time.perf_counter()
        noise, writing, sampling = (
            _generator(options.seed, name, epoch + 1)
            for name in ("reading", "programming", "closed loop")
        )
        order = _generator(options.seed, "order", epoch + 1).permutation(len(x))
        rate = schedule(
            options.schedule, options.learning_rate, options.decay, epoch, options.epochs
        )
        for matrix in self.twin.matrices:
            matrix.age(self._updates_done)
        self.twin.calibrate(x[: options.calibration])
        total = -(-len(x) // options.batch)
        loss, closed, sampled = 0.0, Cost(), 0
        for b, chosen in enumerate(_batches(order, options.batch)):
            outputs, tape = self.twin.forward(x[chosen], noise, self._scales())
            batch_loss, error = cross_entropy(outputs, y[chosen])
            self._check_loss(batch_loss, epoch, b, tape)
            loss += batch_loss * len(chosen)
            weights = [update.weights for update in self.updates]
            gradients = self.twin.network.backward(tape, error, self._backward_weights())
            sample = b % SAMPLE_EVERY == 0
            before = [w.copy() for w in weights] if sample else []
            self._update(gradients, rate, writing)
            if sample:
                closed, sampled = closed + self._closed_loop(before, sampling), sampled + 1
            if on_batch is not None:
                on_batch(b + 1, total)
        seconds = time.perf_counter() - started
        record = EpochRecord(
            epoch=epoch + 1,
            learning_rate=rate,
            train_loss=loss / len(x),
            test_accuracy=self.evaluate(),
            cost=self.ledger.close_epoch(),
            closed_loop=closed.times(total / sampled),
            seconds=seconds,
        )
        self.records.append(record)
        return record

    def evaluate(self) -> float:
        """Return the share of the test images that the memristor twin classifies right, read noise
        included.
        """
        rng = _generator(self.options.seed, "testing", len(self.records) + 1)
        return evaluate(
            self.twin, self.images.x_test, self.images.y_test, rng, scales=self._scales()
        )

    def result(self) -> TrainResult:
        """Return the outcome so far."""
        return TrainResult(
            tuple(self.records),
            self.ledger,
            [update.weights for update in self.updates],
            [update.codes for update in self.updates],
        )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep; to be taken between epochs."""
        return {
            "updates_done": self._updates_done,
            "twin": self.twin.state(),
            "ledger": self.ledger.state(),
            "updates": {str(k): update.state() for k, update in enumerate(self.updates)},
        }

    def restore(self, state: dict[str, Any], records: list[EpochRecord]) -> None:
        """Continue from what :meth:`state` returned and the epochs' records until then."""
        self._updates_done = int(state["updates_done"])
        self.twin.restore(state["twin"])
        self.ledger.restore(state["ledger"])
        for k, update in enumerate(self.updates):
            update.restore(state["updates"][str(k)])
        self.records = list(records)

    def _backward_weights(self) -> list[Array32]:
        return [
            matrix.weights() if update.transposed else update.weights
            for update, matrix in zip(self.updates, self.twin.matrices, strict=True)
        ]

    def _scales(self) -> list[Array32 | None] | None:
        scales = [update.column_scale() for update in self.updates]
        return None if all(scale is None for scale in scales) else scales

    def _update(self, gradients: list[Array32], rate: float, rng: np.random.Generator) -> None:
        self._updates_done += 1
        for k, (update, matrix, gradient) in enumerate(
            zip(self.updates, self.twin.matrices, gradients, strict=True)
        ):
            writes = update.step(gradient, rate)
            if matrix.bias is not None:
                matrix.bias[...] = update.weights[-1]
            if writes is not None:
                self.ledger.record(k, writes)
                update.verify(writes, matrix.write(writes, rng, now=self._updates_done))

    def _closed_loop(self, before: list[Array32], rng: np.random.Generator) -> Cost:
        """Return what writing every device to its new continuous target would cost after this
        update.

        Each device starts where its last write left it: at the old target, give or take the
        programming error.
        """
        total = Cost()
        spread = np.float32(self.twin.effects.programming * (self.twin.levels - 1))
        for k, (old, update) in enumerate(zip(before, self.updates, strict=True)):
            matrix = self.twin.matrices[k]
            scale = np.float32(matrix.devices.top / matrix.clip)
            rows = matrix.placement.rows
            start, target = (
                np.stack(pair(w[:rows].ravel() * scale), axis=-1).ravel()
                for w in (old, update.weights)
            )
            start = start + spread * rng.standard_normal(start.size, np.float32)
            np.clip(start, 0.0, self.twin.levels - 1, out=start)
            writes = Writes(np.arange(start.size), start, target, start.size // 2)
            total = total + self.ledger.estimate(k, writes)
        return total

    def _check_loss(self, loss: float, epoch: int, batch: int, tape: list[Any]) -> None:
        if np.isfinite(loss):
            return
        broken = next(
            (k for k, w in enumerate(self.updates) if not np.isfinite(w.weights).all()), None
        )
        where = f"matrix {broken + 1}" if broken is not None else "the outputs"
        raise MemtwinError(
            f"training diverged in epoch {epoch + 1}, batch {batch + 1}: {where} holds numbers"
            " that are not finite;"
            f" lower the learning rate of {self.options.learning_rate:g}"
        )


def train(
    twin: MemristorTwin,
    images: ImageSet,
    options: TrainOptions,
    costs: WriteCosts,
    *,
    on_batch: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> TrainResult:
    """Train ``twin`` on ``images``.

    Parameters
    ----------
    on_batch
        Called with (batches done, batches in all epochs).
    on_epoch
        Called with the record of every finished epoch, the resumed ones left out.
    checkpoint
        File to which the training is saved after every epoch.
    resume
        Continue from ``checkpoint`` if it exists.
    """
    from .checkpoint import load_checkpoint, save_checkpoint

    trainer = Trainer(twin, images, options, costs)
    if resume and checkpoint is not None and Path(checkpoint).exists():
        load_checkpoint(checkpoint, trainer)
    batches = -(-len(images.x_train) // options.batch)
    while len(trainer.records) < options.epochs:
        done = len(trainer.records) * batches

        def report(b: int, _: int, done: int = done) -> None:
            if on_batch is not None:
                on_batch(done + b, options.epochs * batches)

        record = trainer.run_epoch(report)
        if checkpoint is not None:
            save_checkpoint(checkpoint, trainer)
        if on_epoch is not None:
            on_epoch(record)
    return trainer.result()


def train_float(
    network: Network,
    images: ImageSet,
    options: TrainOptions,
    *,
    on_batch: Callable[[int, int], None] | None = None,
) -> tuple[list[float], list[Array32]]:
    """Train the same network in float, unclipped, from the same initial weights and in the same
    order of images.

    Returns
    -------
    tuple
        Test accuracy after every epoch, and the matrices.
    """
    _check_images(network, images)
    weights = network.initial(_generator(options.seed, "weights"))
    optimisers = [make_optimiser(options.optimiser, w.shape, options.momentum) for w in weights]

    def product(k: int, a: Array32) -> Array32:
        return a @ weights[k]

    accuracies = []
    batches = -(-len(images.x_train) // options.batch)
    for epoch in range(options.epochs):
        order = _generator(options.seed, "order", epoch + 1).permutation(len(images.x_train))
        rate = schedule(
            options.schedule, options.learning_rate, options.decay, epoch, options.epochs
        )
        for b, chosen in enumerate(_batches(order, options.batch)):
            outputs, tape = network.forward(images.x_train[chosen], product)
            loss, error = cross_entropy(outputs, images.y_train[chosen])
            if not np.isfinite(loss):
                raise MemtwinError(
                    f"float training diverged in epoch {epoch + 1}, batch {b + 1}:"
                    f" lower the learning rate of {options.learning_rate:g}"
                )
            for w, optimiser, gradient in zip(
                weights, optimisers, network.backward(tape, error, weights), strict=True
            ):
                w -= optimiser.move(gradient, rate)
            if on_batch is not None:
                on_batch(epoch * batches + b + 1, options.epochs * batches)
        outputs = np.concatenate([network.forward(x, product)[0] for x in _parts(images.x_test)])
        accuracies.append(float(np.mean(outputs.argmax(axis=1) == images.y_test)))
    return accuracies, weights


def predict(
    twin: MemristorTwin,
    x: Array32,
    rng: np.random.Generator | None = None,
    *,
    scales: list[Array32 | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Array32:
    """Return the outputs (n, classes) of the twin for images ``x`` (n, ...), with read noise if
    ``rng`` is given.
    """
    outputs, done = [], 0
    for part in _parts(x):
        outputs.append(twin.forward(part, rng, scales)[0])
        done += len(part)
        if progress is not None:
            progress(done, len(x))
    return np.concatenate(outputs)


def evaluate(
    twin: MemristorTwin,
    x: Array32,
    labels: Labels,
    rng: np.random.Generator | None = None,
    *,
    scales: list[Array32 | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> float:
    """Return the share of images that the twin classifies right."""
    outputs = predict(twin, x, rng, scales=scales, progress=progress)
    return float(np.mean(outputs.argmax(axis=1) == labels))


_STREAMS = ("weights", "devices", "order", "programming", "reading", "testing", "closed loop")


def _generator(seed: int, stream: str, epoch: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, _STREAMS.index(stream), epoch])


def _batches(order: NDArray[np.int64], batch: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def _parts(x: Array32) -> Iterator[Array32]:
    for start in range(0, len(x), EVALUATION_BATCH):
        yield x[start : start + EVALUATION_BATCH]


def _check_images(network: Network, images: ImageSet) -> None:
    pixels = int(np.prod(network.shape))
    if images.x_train.shape[1] != pixels:
        raise InputError(
            f"the network takes {pixels} pixels, the images have {images.x_train.shape[1]}"
        )
    classes = network.shapes[-1][0]
    highest = max(int(images.y_train.max()), int(images.y_test.max()))
    if highest >= classes:
        raise InputError(f"the network has {classes} outputs, but a label is {highest}")
    if not len(images.x_test):
        raise InputError("there are no test images")
