"""Test images read through another engine than the one that trained, image by image.

The trained twin keeps its conductances and its digital gains; only the engine changes. No read noise is drawn, so that
the two engines see the same array and differ only in how they compute it. Images are taken in a random order fixed by
the seed: the first n of it are a fair sample of the test set, and a validation can be extended later.
"""

__all__ = ["AGREED", "Validation", "r2_interval", "score_interval", "validate", "wilson"]

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...circuits.many import each
from ...data.dataset import Dataset
from ...data.errors import InputError
from ...data.records.store import digest, pack, reading, write_record
from ...data.types import Array, Array32, Progress
from ..losses import score_of
from ..twin.evaluation import predict
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin

KIND = "validation"

NORMAL_95 = 1.959963984540054
"""Deviations within which 95 % of normal numbers lie."""


@runtime_checkable
class Watched(Protocol):
    """An engine whose reads take long, and that tells how far it is."""

    watch: Progress | None


AGREED = 0.05
"""Difference up to which two predictions of a number agree, in standard deviations of the target."""


@dataclass(frozen=True)
class Validation:
    """What two engines say about the same images and the same conductances."""

    engine: str
    """The engine that validates."""
    reference_engine: str
    """The engine that training ended with."""
    indices: NDArray[np.int64]
    """Places of the images in the test set, (n,)."""
    labels: NDArray[Any]
    """True classes, (n,), or scaled targets, (n, targets)."""
    outputs: Array
    """Network outputs through the validating engine, (n, classes)."""
    reference: Array
    """Network outputs through that engine, (n, classes)."""
    devices: str = ""
    """How nonlinear devices stood in the decks of ngspice, if that is the engine."""

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Classes according to the validating engine, (n,)."""
        classes: NDArray[np.int64] = np.argmax(self.outputs, axis=1)
        return classes

    @property
    def reference_predictions(self) -> NDArray[np.int64]:
        """Classes according to the engine that trained, (n,)."""
        classes: NDArray[np.int64] = np.argmax(self.reference, axis=1)
        return classes

    @property
    def regression(self) -> bool:
        """Whether numbers are predicted, not classes."""
        return self.labels.ndim > 1

    @property
    def accuracy(self) -> float:
        """Share of images that the validating engine gets right, or R² of numbers."""
        return score_of(self.outputs, self.labels)

    @property
    def reference_accuracy(self) -> float:
        """Share of images that the engine that trained gets right, or R² of numbers."""
        return score_of(self.reference, self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy over all test images; of R² by 1,000 draws with
        putting back (Efron, doi:10.1214/aos/1176344552).
        """
        return score_interval(self.outputs[None], self.labels)

    @property
    def agreement(self) -> int:
        """Number of images on which both engines predict the same class, or numbers within ``AGREED``."""
        return len(self.labels) - len(self.differing)

    @property
    def differing(self) -> NDArray[np.int64]:
        """Places in the test set of the images on which they do not."""
        if self.regression:
            apart = np.abs(self.outputs - self.reference).max(axis=1) > AGREED
        else:
            apart = self.predictions != self.reference_predictions
        places: NDArray[np.int64] = self.indices[apart]
        return places


def validate(
    twin: MemristorTwin,
    images: Dataset,
    count: int,
    *,
    engine: EngineFactory,
    reference: EngineFactory,
    seed: int = 0,
    path: str | Path | None = None,
    chunk: int = 50,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Read ``count`` test images through ``engine`` and through ``reference``.

    Parameters
    ----------
    twin
        The trained twin; it is left with the ``reference`` engine.
    engine, reference
        Makers of the validating engine, and of the one that training ended with.
    path
        Record of what has been read so far, written after every ``chunk`` images; a validation of the same array that
        finds it there goes on from it, and extends it where ``count`` is larger.
    chunk
        Images read at a time.
    workers, executor
        Processes, or where to work instead, see :func:`~memtwin.circuits.many.each`; for engines that
        bring no processes of their own. The result is the same.
    images
        The data set.
    count
        How many of them.
    seed
        Seed of every random draw.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If there are fewer test images than ``count``.
    """
    total = len(images.x_test)
    if not 1 <= count <= total:
        raise InputError(f"{count} images asked for, the test set of {images.name} has {total}")
    order = np.random.default_rng([seed, 11]).permutation(total)
    indices = order[:count]
    try:
        twin.use(engine)
        name = twin.matrices[0].engine.name
        devices = str(getattr(twin.matrices[0].engine, "devices", ""))
        kind = f"{name} compiled" if devices == "compiled" else name
        identity = digest(
            kind,
            seed,
            images.name,
            total,
            pack(twin.tile),
            repr(twin.network),
            twin.state(),
            *([images.digest] if images.digest else []),
        )
        outputs = _read_so_far(path, identity, images.classes)
        parts = [
            images.x_test[indices[at : min(at + chunk, count)]]
            for at in range(len(outputs), count, chunk)
        ]

        def keep() -> None:
            if path is not None:
                write_record(path, KIND, {"identity": identity, "outputs": outputs})

        if isinstance(twin.matrices[0].engine, Watched):
            for x in parts:
                if progress is not None:
                    progress(len(outputs), count)
                    _watch(twin, progress, len(outputs), len(x), count)
                outputs = np.concatenate([outputs, predict(twin, x)])
                keep()
        else:
            start, before = len(outputs), outputs
            found: dict[int, Array32] = {}

            def took(place: int, read: Array32) -> None:
                nonlocal outputs
                found[place] = read
                if progress is not None:
                    progress(start + sum(len(one) for one in found.values()), count)
                reached = next(k for k in range(len(found) + 1) if k not in found)
                so_far = np.concatenate([before, *(found[k] for k in range(reached))])
                if len(so_far) > len(outputs):  # those before it are all there
                    outputs = so_far
                    keep()

            if progress is not None:
                progress(start, count)
            pieces = [(twin, x) for x in parts]
            each(_read, pieces, workers=workers, executor=executor, done=took)
    finally:
        twin.use(reference)
    if progress is not None:
        progress(count, count)
    return Validation(
        name,
        twin.matrices[0].engine.name,
        indices,
        images.y_test[indices],
        outputs[:count],
        np.asarray(predict(twin, images.x_test[indices]), float),
        devices,
    )


def _read(piece: tuple[MemristorTwin, Array32]) -> Array32:
    """Return the outputs for one part of the images, by engines that have read nothing before."""
    twin, x = piece
    for matrix in twin.matrices:
        matrix.renew()
    return predict(twin, x)


def _watch(twin: MemristorTwin, progress: Progress, done: int, part: int, count: int) -> None:
    """Let engines that read job by job tell how far they are through ``part`` images after ``done``."""
    for k, matrix in enumerate(twin.matrices):
        if isinstance(matrix.engine, Watched):

            def tell(now: int, total: int, k: int = k) -> None:
                progress(done + int(part * (k + now / total) / len(twin.matrices)), count)

            matrix.engine.watch = tell


def score_interval(outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[float, float]:
    """Return the 95 % interval over all images of the mean score of ``outputs``, (draws, n,
    classes), of the same n images: Wilson's of the mean share that is right, or for numbers, (n,
    targets), of R² by 1,000 draws with putting back (Efron, doi:10.1214/aos/1176344552).
    """
    n = len(labels)
    if labels.ndim == 1:
        right = np.mean(np.argmax(outputs, axis=2) == labels)
        return wilson(float(right) * n, n)
    rng = np.random.default_rng(95)
    scores = []
    for _ in range(1000):
        some = rng.integers(0, n, n)
        scores.append(np.mean([score_of(one[some], labels[some]) for one in outputs]))
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)


def r2_interval(outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[float, float] | None:
    """Return the 95 % interval of R² of numbers (n, targets), as :func:`score_interval` has it; ``None``
    for classes, whose interval follows from a share and a count.
    """
    return None if labels.ndim == 1 else score_interval(outputs[None], labels)


def wilson(hits: float, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion (doi:10.1080/01621459.1927.10502953);
    it holds ``hits / count`` itself. ``hits`` may be a mean over several readings of the same.
    """
    if not 0 <= hits <= count or count < 1:
        raise InputError(f"expected hits from 0 to the count, of at least 1, got {hits} of {count}")
    share, z2 = hits / count, NORMAL_95**2 / count
    middle = (share + 0.5 * z2) / (1.0 + z2)
    half = (z2 * share * (1.0 - share) + 0.25 * z2 * z2) ** 0.5 / (1.0 + z2)
    # Where all or none are hits, rounding may leave the estimate just outside.
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def _read_so_far(path: str | Path | None, identity: str, classes: int) -> Array:
    if path is not None and Path(path).exists():
        with reading(path, KIND) as tree:
            if tree["identity"] == identity:
                return np.asarray(tree["outputs"], float).reshape(-1, classes)
    return np.empty((0, classes))
