"""Whole trainings: of a memristor twin, with checkpoints, and of the same network in float."""

__all__ = ["build_twin", "train", "train_float"]

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...data.dataset import Dataset
from ...data.errors import MemtwinError
from ...data.types import Array32, Progress
from ...devices.pulses.costs import Pricing
from ..network import Network, cross_entropy
from ..rules.optim import make_optimiser, schedule
from ..seeds import generator
from ..twin.crossbar import Crossbar
from ..twin.evaluation import parts
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin
from .audit import Auditor
from .checkpoint import load_checkpoint, save_checkpoint
from .options import TrainOptions
from .results import EpochRecord, TrainResult
from .trainer import Trainer, batches, check_images


def build_twin(
    network: Network, crossbar: Crossbar, engine: EngineFactory, *, seed: int = 0
) -> MemristorTwin:
    """Return a memristor twin whose fixed device errors are drawn from ``seed``; see
    :class:`.twin.MemristorTwin`.
    """
    return MemristorTwin(network, crossbar, engine, generator(seed, "devices"))


def train(
    twin: MemristorTwin,
    images: Dataset,
    options: TrainOptions,
    costs: Pricing,
    *,
    seed: int = 0,
    on_batch: Progress | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    auditor: Auditor | None = None,
    checkpoint: str | Path | None = None,
) -> TrainResult:
    """Train ``twin`` on ``images``.

    Parameters
    ----------
    seed
        Of weights, order of images, and all that is random in writes and reads.
    on_batch
        Called with (batches done, batches in all epochs).
    on_epoch
        Called with the record of every finished epoch, the resumed ones left out.
    auditor
        Checks the engine now and then; its findings are in the result.
    checkpoint
        File to which the training is saved after every epoch, and from which it goes on where it is
        there.
    """
    trainer = Trainer(twin, images, options, costs, seed=seed, auditor=auditor)
    if checkpoint is not None and Path(checkpoint).exists():
        load_checkpoint(checkpoint, trainer)
    total = -(-len(images.x_train) // options.batch)
    while len(trainer.records) < options.epochs:
        done = len(trainer.records) * total

        def report(b: int, _: int, done: int = done) -> None:
            if on_batch is not None:
                on_batch(done + b, options.epochs * total)

        record = trainer.run_epoch(report)
        if checkpoint is not None:
            save_checkpoint(checkpoint, trainer)
        if on_epoch is not None:
            on_epoch(record)
    return trainer.result()


def train_float(
    network: Network,
    images: Dataset,
    options: TrainOptions,
    *,
    seed: int = 0,
    on_batch: Progress | None = None,
) -> tuple[list[float], list[Array32]]:
    """Train the same network in float, unclipped, from the same initial weights and in the same
    order of images.

    Returns
    -------
    tuple
        Test accuracy after every epoch, and the matrices.
    """
    check_images(network, images)
    weights = network.initial(generator(seed, "weights"))
    optimisers = [make_optimiser(options.optimiser, w.shape, options.momentum) for w in weights]

    def product(k: int, a: Array32) -> Array32:
        return a @ weights[k]

    accuracies = []
    total = -(-len(images.x_train) // options.batch)
    for epoch in range(options.epochs):
        order = generator(seed, "order", epoch + 1).permutation(len(images.x_train))
        rate = schedule(
            options.schedule, options.learning_rate, options.decay, epoch, options.epochs
        )
        for b, chosen in enumerate(batches(order, options.batch)):
            outputs, tape = network.forward(images.x_train[chosen], product)
            loss, error = cross_entropy(outputs, images.y_train[chosen])
            if not np.isfinite(loss):
                raise MemtwinError(
                    f"float training diverged in epoch {epoch + 1}, batch {b + 1}, most in matrix"
                    f" {_largest(network, weights) + 1}:"
                    f" lower the learning rate of {options.learning_rate:g}"
                )
            for w, optimiser, gradient in zip(
                weights, optimisers, network.backward(tape, error, weights), strict=True
            ):
                w -= optimiser.move(gradient, rate)
            if on_batch is not None:
                on_batch(epoch * total + b + 1, options.epochs * total)
        outputs = np.concatenate([network.forward(x, product)[0] for x in parts(images.x_test)])
        accuracies.append(float(np.mean(outputs.argmax(axis=1) == images.y_test)))
    return accuracies, weights


def _largest(network: Network, weights: list[Array32]) -> int:
    """Return which matrix has grown most, in its initial weights."""
    grown = [
        float(np.abs(np.nan_to_num(w, nan=np.inf)).max()) / deviation
        for w, deviation in zip(weights, network.deviations, strict=True)
    ]
    return int(np.argmax(grown))
