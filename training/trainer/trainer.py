"""Training of the memristor twin, batch by batch.

Each batch is read forward through the tiles; the loss's gradient at the measured outputs goes back
through the float weights with the measured activations; the float weights move, and the few devices
whose level must change are written.
"""

__all__ = ["Trainer", "batches", "check_images"]

import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.dataset import Dataset
from ...data.errors import InputError, MemtwinError
from ...data.records.store import digest, pack
from ...data.types import Array32, Progress
from ...devices.pulses.costs import Pricing, check_levels
from ..losses import cross_entropy, loss_of, score_of
from ..network import Adjoint, Network
from ..rules.optim import make_optimiser, schedule
from ..rules.registry import start_rule
from ..rules.rule import Rescalable, Start, Writes
from ..rules.selective import some_verified
from ..seeds import generator, renew
from ..twin.cost import Cost
from ..twin.evaluation import evaluate, predict
from ..twin.ledger import Ledger
from ..twin.twin import MemristorTwin
from .audit import Auditor, AuditRecord
from .closed_loop import ClosedLoops, Share, closed_loops
from .options import TrainOptions
from .results import EpochRecord, TrainResult
from .validate import r2_interval

DIVERGED = 0.2
"""Share of a matrix' weights at their limit beyond which a loss no better than chance stops."""

RESTING = ", partner='resting'"
"""What rules' options say where trainings of before said nothing."""

SAMPLES = 6
"""Batches per epoch on which the baselines are counted; writes of every device need no sampling."""

PART = (0, 1, 2, 2, 1, 0)
"""Which third of the rows of weights each of them looks at: what changes steadily in an epoch does so
for all of them.
"""


class Trainer:
    """A training that can be stepped epoch by epoch and saved in between.

    Parameters
    ----------
    twin
        The memristor twin; it is programmed with the initial weights when the trainer is made.
    images
        Images to train on and to test on.
    costs
        What writes of the device cost.
    seed
        Of weights, order of images, and all that is random in writes and reads.
    weights
        Initial float matrices; by default drawn from the seed.
    auditor
        Checks the engine now and then against a trusted one.
    """

    def __init__(
        self,
        twin: MemristorTwin,
        images: Dataset,
        options: TrainOptions,
        costs: Pricing,
        *,
        seed: int = 0,
        weights: list[Array32] | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        check_images(twin.network, images, options.batch)
        check_levels(costs, twin.levels)
        if seed < 0:
            raise InputError(f"training: the seed must not be negative, got {seed}")
        self.twin, self.images, self.options, self.seed = twin, images, options, seed
        self.auditor = auditor
        self.identity = _identity(twin, images, options, seed)
        """Hash of all that a checkpoint must share with the training it continues."""
        self.loss = loss_of(options.loss, regression=images.regression)
        self.rate = options.rate(regression=images.regression)
        self._norms = [
            make_optimiser(options.optimiser, (2, norm.shape[1]), options.momentum)
            for norm in twin.norms
        ]
        self.records: list[EpochRecord] = []
        self.audits: list[AuditRecord] = []
        start = weights or twin.network.initial(generator(seed, "weights"))
        for matrix, w in zip(twin.matrices, twin.on_devices(start), strict=True):
            matrix.repair(w, trained=weights is not None)
        self.ledger = Ledger(
            [matrix.placement for matrix in twin.matrices],
            costs,
            [matrix.devices for matrix in twin.matrices],
            twin.crossbar.quantiser,
        )
        for number, w in twin.digital.items():
            w[...] = start[number]
        self._digital = {
            number: make_optimiser(options.optimiser, w.shape, options.momentum)
            for number, w in twin.digital.items()
        }
        self._drawing = generator(seed, "rule")
        self.updates = [
            start_rule(
                options.rule,
                Start(
                    w,
                    matrix.coding,
                    make_optimiser(options.optimiser, w.shape, options.momentum),
                    int(matrix.bias is not None),
                    self._drawing,
                    twin.crossbar.pulses,
                    partial(self.ledger.energy, k),
                    matrix.placement.outputs,
                ),
                options.of_rule,
            )
            for k, (w, matrix) in enumerate(zip(twin.on_devices(start), twin.matrices, strict=True))
        ]
        self._selective = some_verified(options.verified, self.updates, self.ledger)
        self._updates_done = 0
        rng = generator(seed, "programming", 0)
        self.initial = Cost()
        """Cost of programming the initial weights, and of the test that tells which columns to replace; the ledger
        does not hold it.
        """
        for k, update in enumerate(self.updates):
            writes = update.first()
            self.initial = self.initial + self.ledger.tested(k) + self.ledger.estimate(k, writes)
            measured = twin.matrices[k].write(writes, rng)
            update.verify(writes, measured, self.ledger.failed(k, writes))
            if options.reverify:
                again = self._reverified(k, writes, rng)
                self.initial = self.initial + self.ledger.estimate(k, again)

    def run_epoch(self, on_batch: Progress | None = None) -> EpochRecord:
        """Train one epoch and test; ``on_batch(done, total)`` is called after every batch."""
        options, x, y = self.options, self.images.x_train, self.images.y_train
        epoch = len(self.records)
        started = time.perf_counter()
        noise, writing, sampling, auditing, dropping = (
            generator(self.seed, name, epoch + 1)
            for name in ("reading", "programming", "closed loop", "audit", "dropout")
        )
        order = generator(self.seed, "order", epoch + 1).permutation(len(x))
        rate = schedule(options.schedule, self.rate, options.decay, epoch, options.epochs)
        for matrix in self.twin.matrices:
            matrix.renew()
            matrix.age(self._updates_done)
        if self.auditor is not None:
            self.auditor.renew()
        renew(self._drawing, self.seed, "rule", epoch + 1)
        if options.scale == "adaptive" and epoch > 0:
            self._rescale(writing)
        self.twin.calibrate(x[: options.calibration])
        total = -(-len(x) // options.batch)
        stride = max(1, total // SAMPLES)
        loss, learning, closed, sampled = 0.0, 0, ClosedLoops(), 0
        for b, chosen in enumerate(batches(order, options.batch)):
            self.twin.scales = self._scales()
            outputs, tape = self.twin.forward(x[chosen], noise, dropping)
            batch_loss, error = self.loss(outputs, y[chosen])
            if not np.isfinite(batch_loss):
                self._check(batch_loss, epoch)
            loss += batch_loss * len(chosen)
            weights = [update.weights for update in self.updates]
            everything, by_norms = self.twin.network.gradients(
                tape, error, self.twin.whole(self._backward_weights()), self._adjoint
            )
            gradients = self.twin.on_devices(everything)
            learning += self._learning(gradients)
            sample = b % stride == stride // 2
            before = [w.copy() for w in weights] if sample else []
            if self.auditor is not None and self.auditor.due(epoch * total + b):
                inputs = self.twin.on_devices(self.twin.network.inputs(tape))
                record = self.auditor.audit(self.twin, inputs, auditing, epoch=epoch, batch=b)
                self._audited([record])
            self._update(gradients, rate, writing)
            for norm, optimiser, gradient in zip(
                self.twin.norms, self._norms, by_norms, strict=True
            ):
                norm[:2] -= optimiser.move(gradient, rate)
            for number, optimiser in self._digital.items():
                self.twin.digital[number] -= optimiser.move(everything[number], rate)
            if sample:
                share = Share(3, PART[sampled % len(PART)])
                closed, sampled = closed + self._closed_loops(before, sampling, share), sampled + 1
            if on_batch is not None:
                on_batch(b + 1, total)
        self._check(loss / len(x), epoch)
        seconds = time.perf_counter() - started
        closed = closed.times(total / sampled)
        for matrix in self.twin.matrices:
            matrix.age(self._updates_done)
        outputs = self._test()
        result = EpochRecord(
            epoch=epoch + 1,
            learning_rate=rate,
            train_loss=loss / len(x),
            test_accuracy=score_of(outputs, self.images.y_test),
            cost=self.ledger.close_epoch(),
            closed_loop=closed.every,
            learning=learning,
            seconds=seconds,
            closed_loop_not_resting=closed.not_resting,
            closed_loop_moved=closed.moved,
            validation_accuracy=self._validate(),
            test_interval=r2_interval(outputs, self.images.y_test),
        )
        self.records.append(result)
        return result

    def evaluate(self) -> float:
        """Return the share of the test images that the memristor twin classifies right, read noise
        included.
        """
        return score_of(self._test(), self.images.y_test)

    def _test(self) -> Array32:
        """Return the memristor twin's outputs for the test images, (n, classes)."""
        rng = generator(self.seed, "testing", len(self.records) + 1)
        self.twin.scales = self._scales()
        return predict(self.twin, self.images.x_test, rng)

    def _validate(self) -> float | None:
        x, y = self.images.x_validation, self.images.y_validation
        if x is None or y is None:
            return None
        rng = generator(self.seed, "validating", len(self.records) + 1)
        return evaluate(self.twin, x, y, rng)

    def result(self) -> TrainResult:
        """Return the outcome so far."""
        return TrainResult(
            tuple(self.records),
            self.ledger,
            self.twin.whole([update.weights for update in self.updates]),
            [update.codes for update in self.updates],
            tuple(self.audits),
            len(self.images.x_test),
            self.images.regression,
        )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep; to be taken between epochs."""
        state = {
            "updates_done": self._updates_done,
            "twin": self.twin.state(),
            "ledger": self.ledger.state(),
            "updates": {str(k): update.state() for k, update in enumerate(self.updates)},
        }
        for name, optimisers in (
            ("norms", dict(enumerate(self._norms))),
            ("digital", self._digital),
        ):
            if optimisers:
                state[name] = {str(k): one.state() for k, one in optimisers.items()}
        if self._selective is not None:
            state["selective"] = {str(k): one.state() for k, one in enumerate(self._selective)}
        return state

    def restore(
        self, state: dict[str, Any], records: list[EpochRecord], audits: list[AuditRecord]
    ) -> None:
        """Continue from what :meth:`state` returned, and the records until then.

        Parameters
        ----------
        state
            What :meth:`state` returned.
        records
            Records of the epochs that are done.
        audits
            Records of the audits that were made.
        """
        self._updates_done = int(state["updates_done"])
        self.twin.restore(state["twin"])
        self.ledger.restore(state["ledger"])
        for k, update in enumerate(self.updates):
            update.restore(state["updates"][str(k)])
        for k, norm in enumerate(self._norms):
            norm.restore(state["norms"][str(k)])
        for number, optimiser in self._digital.items():
            optimiser.restore(state["digital"][str(number)])
        for k, one in enumerate(self._selective or ()):
            one.restore(state["selective"][str(k)])
        self.records = list(records)
        self.audits = []
        self._audited(audits)

    @property
    def _adjoint(self) -> Adjoint | None:
        if self.options.gradients == "float":
            return None
        return self.twin.adjoint

    def _backward_weights(self) -> list[Array32]:
        return [
            matrix.weights() if update.transposed else update.weights
            for update, matrix in zip(self.updates, self.twin.matrices, strict=True)
        ]

    def _scales(self) -> list[Array32 | None] | None:
        scales = [update.column_scale() for update in self.updates]
        return None if all(scale is None for scale in scales) else scales

    def _rescale(self, rng: np.random.Generator) -> None:
        for k, (update, matrix) in enumerate(zip(self.updates, self.twin.matrices, strict=True)):
            if not isinstance(update, Rescalable):
                continue
            clip = update.coding.better_clip(update.weights)
            if clip != update.coding.clip:
                matrix.clip = clip
                self._write(k, update.rescale(clip), rng)

    def _write(self, k: int, writes: Writes, rng: np.random.Generator) -> None:
        if self._selective is not None:
            standing = self.twin.matrices[k].standing(writes)
            writes = self._selective[k].chosen(writes, rng, *standing)
        self.ledger.enter(k, writes)
        measured = self.twin.matrices[k].write(writes, rng, now=self._updates_done)
        self.updates[k].verify(writes, measured, self.ledger.failed(k, writes))
        if self.options.reverify and writes.blind is None and len(writes):
            self.ledger.record(k, self._reverified(k, writes, rng))

    def _reverified(self, k: int, writes: Writes, rng: np.random.Generator) -> Writes:
        """Read the devices of ``writes`` again and write anew what has left its band; return that."""
        assert self.options.reverify is not None
        return self.twin.matrices[k].reverify(
            writes,
            rng,
            seconds=self.options.reverify,
            missed=partial(self.ledger.missed, k),
            now=self._updates_done,
        )

    def _audited(self, records: list[AuditRecord]) -> None:
        fallback = None if self.auditor is None else self.auditor.fallback
        was_fine = all(record.passed for record in self.audits)
        self.audits += records
        if fallback is not None and was_fine and not all(record.passed for record in records):
            self.twin.use(fallback)

    def _update(self, gradients: list[Array32], rate: float, rng: np.random.Generator) -> None:
        self._updates_done += 1
        for k, (update, matrix, gradient) in enumerate(
            zip(self.updates, self.twin.matrices, gradients, strict=True)
        ):
            if self._selective is not None:
                self._selective[k].look(gradient)
            writes = update.step(gradient, rate)
            if matrix.bias is not None:
                matrix.bias[...] = update.weights[-1]
            if writes is not None:
                self._write(k, writes, rng)

    def _learning(self, gradients: list[Array32]) -> int:
        """Return how many of the devices' weights have a gradient."""
        return sum(
            int(np.count_nonzero(gradient[: matrix.placement.rows] != 0.0))
            for gradient, matrix in zip(gradients, self.twin.matrices, strict=True)
        )

    def _closed_loops(
        self, before: list[Array32], rng: np.random.Generator, share: Share
    ) -> ClosedLoops:
        """Return what the baselines would pay for this update."""
        after = [update.weights for update in self.updates]
        spares = getattr(self.options.of_rule, "spare_failed", True)
        return closed_loops(
            self.twin, self.ledger, before, after, rng, spare_failed=spares, share=share
        )

    def _check(self, loss: float, epoch: int) -> None:
        """Stop where training has diverged: numbers that are not finite, or a loss no better than
        chance with weights pressed against their limits.
        """
        shares = [
            float(np.mean(np.abs(update.weights) >= np.float32(0.999 * matrix.clip)))
            for update, matrix in zip(self.updates, self.twin.matrices, strict=True)
        ]
        finite = [bool(np.isfinite(update.weights).all()) for update in self.updates]
        worst = int(np.argmax(shares)) if all(finite) else finite.index(False)
        number = self.twin.mapped[worst] + 1
        if np.isfinite(loss) and all(finite):
            outputs = self.twin.network.shapes[-1][0]
            # Of even outputs for cross-entropy, of outputs of 0 for squares.
            targets = outputs if self.images.regression else 1
            chance = float(np.log(outputs)) if self.loss is cross_entropy else 0.5 * targets
            if loss < chance or shares[worst] < DIVERGED:
                return
            state = f"{100 * shares[worst]:.0f} % of matrix {number} at its largest weight"
        else:
            state = f"numbers in matrix {number} or its outputs that are not finite"
        raise MemtwinError(
            f"training diverged in epoch {epoch + 1}, with a loss of {loss:.3g} and {state}:"
            f" lower the learning rate of {self.rate:g} (training.learning_rate)"
        )


def batches(order: NDArray[np.int64], batch: int) -> Iterator[NDArray[np.int64]]:
    """Cut an order of images into batches; the last may be smaller."""
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def check_images(network: Network, images: Dataset, batch: int = 1) -> None:
    """Refuse images that do not fit the network, or are fewer than a ``batch``.

    Parameters
    ----------
    network
        The network.
    images
        The data set.
    batch
        Samples per batch.
    """
    pixels = int(np.prod(network.shape))
    if images.x_train.shape[1] != pixels:
        raise InputError(
            f"the network takes {pixels} pixels, the images have {images.x_train.shape[1]}"
        )
    classes = network.shapes[-1][0]
    if not len(images.x_test):
        raise InputError("there are no test images")
    if batch > len(images.x_train):
        count = len(images.x_train)
        raise InputError(
            f"training.batch: {batch} samples in a batch, {images.name} has {count} to train on:"
            f" choose {count} or less"
        )
    if images.regression:
        if classes != images.classes:
            raise InputError(
                f"the network has {classes} outputs, the data {images.classes} targets"
            )
        return
    highest = max(int(images.y_train.max()), int(images.y_test.max()))
    if highest >= classes:
        raise InputError(f"the network has {classes} outputs, but a label is {highest}")


def _identity(twin: MemristorTwin, images: Dataset, options: TrainOptions, seed: int) -> str:
    # More epochs of the same training are no other training; the engine may change from one to the
    # next, and a subclass of the options may have keys that are not the trainer's.
    settings = {
        item.name: repr(getattr(options, item.name))
        for item in fields(TrainOptions)
        if item.name not in ("epochs", "rule_options", "patience", "loss")
    }
    settings["learning_rate"] = repr(options.rate(regression=images.regression))
    if options.loss != "auto":
        settings["loss"] = options.loss
    if not options.reverify:
        del settings["reverify"]  # trainings of before did not know it
    if options.partner == "resting":
        del settings["partner"]  # nor that
    if options.verified == 1.0:
        del settings["verified"]  # nor that
    return digest(
        repr(twin.network),
        pack(twin.tile),
        twin.crossbar.levels.g,
        twin.matrices[0].devices.places.tolist(),
        [matrix.clip for matrix in twin.matrices],
        twin.effects.identity(),
        _known(asdict(twin.crossbar.mapping)),
        settings,
        repr(options.of_rule).replace(RESTING, ""),
        seed,
        images.name,
        len(images.x_train),
        len(images.x_test),
        *([images.digest] if images.digest else []),
        *([] if twin.crossbar.pulses is None else [twin.crossbar.pulses.digest]),
    )


def _known(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping's options as trainings of before had them, where nothing else is wanted."""
    return {name: value for name, value in mapping.items() if name != "spare_columns" or value}
