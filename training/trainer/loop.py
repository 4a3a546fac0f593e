"""Whole trainings: of a memristor twin, with checkpoints, and of the same network in float."""

__all__ = ["FloatTraining", "build_twin", "train", "train_float"]

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.dataset import Dataset
from ...data.errors import MemtwinError
from ...data.types import Array32, Progress
from ...devices.pulses.costs import Pricing
from ..losses import loss_of, score_of
from ..network import Network
from ..pretrained import Pretrained
from ..rules.optim import make_optimiser, schedule
from ..seeds import generator
from ..twin.crossbar import Crossbar
from ..twin.evaluation import parts
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin
from .audit import Auditor
from .checkpoint import load_checkpoint, save_checkpoint
from .options import TrainOptions
from .results import EpochRecord, TrainResult, ended
from .trainer import Trainer, batches, check_images
from .validate import r2_interval


def build_twin(
    network: Network,
    crossbar: Crossbar,
    engine: EngineFactory,
    *,
    seed: int = 0,
    start: Pretrained | None = None,
) -> MemristorTwin:
    """Return a memristor twin whose fixed device errors are drawn from ``seed``, and which is to be
    trained from the float weights ``start`` where they are given; see :class:`.twin.MemristorTwin`.

    Parameters
    ----------
    network
        The network.
    crossbar
        Tile, effects and mapping.
    engine
        Makes an engine for a tile.
    seed
        Seed of every random draw.
    start
        Float weights to begin with.
    """
    twin = MemristorTwin(network, crossbar, engine, generator(seed, "devices"))
    if start is not None:
        twin.start = start.matrices
        for norm, given in zip(twin.norms, start.norms, strict=True):
            norm[...] = given
    return twin


def train(
    twin: MemristorTwin,
    images: Dataset,
    options: TrainOptions,
    costs: Pricing,
    *,
    seed: int = 0,
    on_batch: Progress | None = None,
    on_epoch: Callable[[EpochRecord], bool | None] | None = None,
    auditor: Auditor | None = None,
    checkpoint: str | Path | None = None,
) -> TrainResult:
    """Train ``twin`` on ``images``.

    Parameters
    ----------
    twin
        The memristor twin.
    images
        The data set.
    options
        How to train.
    costs
        What writes cost.
    seed
        Of weights, order of images, and all that is random in writes and reads.
    on_batch
        Called with (batches done, batches in all epochs).
    on_epoch
        Called with the record of every finished epoch, the resumed ones left out; training ends where
        it returns ``False``.
    auditor
        Checks the engine now and then; its findings are in the result.
    checkpoint
        File to which the training is saved after every epoch, and from which it goes on where it is
        there.

    Returns
    -------
    TrainResult
        A record per epoch, the ledger of writes, float weights and level codes.

    Raises
    ------
    InputError
        If data, network, options or prices don't fit each other, or the checkpoint is of another
        training.
    MemtwinError
        If the training diverges.
    """
    weights = None if twin.start is None else [w.copy() for w in twin.start]
    trainer = Trainer(twin, images, options, costs, seed=seed, weights=weights, auditor=auditor)
    if checkpoint is not None and Path(checkpoint).exists():
        load_checkpoint(checkpoint, trainer)
    total = -(-len(images.x_train) // options.batch)
    while not ended(trainer.records, options):
        done = len(trainer.records) * total

        def report(b: int, _: int, done: int = done) -> None:
            if on_batch is not None:
                on_batch(done + b, options.epochs * total)

        record = trainer.run_epoch(report)
        if checkpoint is not None:
            save_checkpoint(checkpoint, trainer)
        if on_epoch is not None and on_epoch(record) is False:
            break
    return trainer.result()


class FloatTraining(NamedTuple):
    """What comes of the float network's training."""

    accuracies: list[float]
    """Test accuracy, or R² of numbers, after every epoch."""
    weights: list[Array32]
    """Trained matrices."""
    interval: tuple[float, float] | None
    """95 % interval of the last R²; ``None`` for shares, whose interval follows from their count."""


def train_float(
    network: Network,
    images: Dataset,
    options: TrainOptions,
    *,
    seed: int = 0,
    on_batch: Progress | None = None,
    start: Pretrained | None = None,
) -> FloatTraining:
    """Train the same network in float, unclipped, from the same initial weights and in the same
    order of images, or from ``start``.

    Parameters
    ----------
    network
        The network.
    images
        The data set.
    options
        How to train.
    seed
        Seed of every random draw.
    on_batch
        Called after every batch with how many are done, and of how many.
    start
        Float weights to begin with.

    Returns
    -------
    FloatTraining
        Test accuracy after every epoch, the matrices, and the interval of the last R².
    """
    check_images(network, images, options.batch)
    loss_and_error = loss_of(options.loss, regression=images.regression)
    if start is None:
        start = Pretrained(network.initial(generator(seed, "weights")), network.states())
    weights, norms = ([one.copy() for one in part] for part in start)
    optimisers, of_norms = (
        [make_optimiser(options.optimiser, shape, options.momentum) for shape in shapes]
        for shapes in ([w.shape for w in weights], [(2, norm.shape[1]) for norm in norms])
    )

    def product(k: int, a: Array32) -> Array32:
        return a @ weights[k]

    accuracies: list[float] = []
    first = options.rate(regression=images.regression)
    total = -(-len(images.x_train) // options.batch)
    for epoch in range(options.epochs):
        order = generator(seed, "order", epoch + 1).permutation(len(images.x_train))
        dropping = generator(seed, "dropout", epoch + 1)
        rate = schedule(options.schedule, first, options.decay, epoch, options.epochs)
        for b, chosen in enumerate(batches(order, options.batch)):
            with np.errstate(over="ignore", invalid="ignore"):  # said below
                outputs, tape = network.forward(images.x_train[chosen], product, norms, dropping)
                loss, error = loss_and_error(outputs, images.y_train[chosen])
            if not np.isfinite(loss):
                raise MemtwinError(
                    f"float training diverged in epoch {epoch + 1}, batch {b + 1}, most in matrix"
                    f" {_largest(network, weights) + 1}:"
                    f" lower the learning rate of {first:g} (training.learning_rate)"
                )
            gradients, by_norms = network.gradients(tape, error, weights)
            for w, optimiser, gradient in zip(weights, optimisers, gradients, strict=True):
                w -= optimiser.move(gradient, rate)
            for norm, optimiser, gradient in zip(norms, of_norms, by_norms, strict=True):
                norm[:2] -= optimiser.move(gradient, rate)
            if on_batch is not None:
                on_batch(epoch * total + b + 1, options.epochs * total)
        outputs = np.concatenate(
            [network.forward(x, product, norms)[0] for x in parts(images.x_test)]
        )
        accuracies.append(score_of(outputs, images.y_test))
    return FloatTraining(accuracies, weights, r2_interval(outputs, images.y_test))


def _largest(network: Network, weights: list[Array32]) -> int:
    """Return which matrix has grown most, in its initial weights."""
    grown = [
        float(np.abs(np.nan_to_num(w, nan=np.inf)).max()) / deviation
        for w, deviation in zip(weights, network.deviations, strict=True)
    ]
    return int(np.argmax(grown))
