"""A trained network read under conditions: accuracies with intervals, for any number of workers."""

__all__ = ["Outcome", "read_conditions"]

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...circuits.many import each
from ...data.errors import InputError
from ...data.records.store import digest, reading, write_record
from ...data.types import Array, Array32, Progress
from ..losses import score_of
from ..trainer.validate import score_interval
from ..twin.evaluation import predict
from .trained import Condition, Trained

KIND = "studies"

CHUNK = 100
"""Images that one piece of work reads; noise is drawn by the piece, so that the number of workers
changes nothing.
"""


@dataclass(frozen=True)
class Outcome:
    """What a network answers under one condition.

    Attributes
    ----------
    condition
        Under which it was read.
    labels
        True classes, (n,), or scaled targets, (n, targets).
    outputs
        Its outputs, (draws, n, classes).
    """

    condition: Condition
    labels: NDArray[Any]
    outputs: Array

    @property
    def scores(self) -> Array:
        """Share of images that are right in every draw, or R², (draws,)."""
        return np.array([score_of(one, self.labels) for one in self.outputs])

    @property
    def accuracy(self) -> float:
        """Mean of them."""
        return float(self.scores.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy over all test images: Wilson's for shares of images, of the
        mean share where there are several draws; of R² by drawing images with putting back.
        """
        return score_interval(self.outputs, self.labels)

    @property
    def intervals(self) -> Array:
        """The same for every draw by itself, (draws, 2)."""
        return np.array([score_interval(one[None], self.labels) for one in self.outputs])

    @property
    def spread(self) -> float:
        """Standard deviation over draws; 0 of a single one."""
        return float(self.scores.std(ddof=1)) if len(self.outputs) > 1 else 0.0

    @property
    def regression(self) -> bool:
        """Whether numbers are predicted, not classes."""
        return self.labels.ndim > 1

    def told(self, name: str, score: float) -> dict[str, float]:
        """Return a score under a name that says what it is: ``NAME_percent``, or ``NAME_r2``."""
        if self.regression:
            return {
                f"{name.replace('accuracy', 'r2') if 'accuracy' in name else f'{name}_r2'}": score
            }
        return {f"{name}_percent": 100.0 * score}

    def row(self) -> dict[str, Any]:
        """Return its figures by name: shares in percent, or R²."""
        low, high = self.interval
        return {
            **self.told("accuracy", self.accuracy),
            **self.told("accuracy_low", low),
            **self.told("accuracy_high", high),
            **self.told("spread", self.spread),
            "images": len(self.labels),
            "draws": len(self.outputs),
        }


class _Piece(NamedTuple):
    trained: Trained
    condition: Condition
    draw: int
    at: int


def read_conditions(
    trained: Trained,
    conditions: Sequence[Condition],
    *,
    draws: int = 1,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    path: str | Path | None = None,
) -> list[Outcome]:
    """Read the images of ``trained`` under every one of the ``conditions``.

    Parameters
    ----------
    trained
        The trained network with its images.
    conditions
        What differs from the run, one after the other.
    draws
        How often each is read, with other noise, and other devices where these are drawn.
    workers, executor, progress
        As :func:`~memtwin.circuits.many.each` takes them.
    path
        Record of what has been read; what is there is not read again.

    Raises
    ------
    InputError
        If a condition can't be met, or there are no draws.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    for condition in conditions:
        trained.check(condition)
    trained.warm(conditions)
    pieces = [
        _Piece(trained, condition, draw, at)
        for condition in conditions
        for draw in range(draws)
        for at in range(0, trained.count, CHUNK)
    ]
    names = [
        digest(trained.identity, str(p.condition), p.condition.engine or "", p.draw, p.at)
        for p in pieces
    ]
    kept = _kept(path)
    left = [k for k, name in enumerate(names) if name not in kept]

    def took(place: int, outputs: Array32) -> None:
        kept[names[left[place]]] = np.asarray(outputs, float)
        if path is not None:
            write_record(path, KIND, {"outputs": kept})

    def told(done: int, _: int) -> None:
        if progress is not None:
            progress(len(pieces) - len(left) + done, len(pieces))

    told(0, 0)
    each(
        _read,
        [pieces[k] for k in left],
        workers=workers,
        executor=executor,
        progress=told,
        done=took,
    )
    labels = trained.labels
    parts = iter(names)
    outcomes = []
    for condition in conditions:
        drawn = [
            np.concatenate([kept[next(parts)] for _ in range(0, trained.count, CHUNK)])
            for _ in range(draws)
        ]
        outcomes.append(Outcome(condition, labels, np.stack(drawn)))
    return outcomes


def _read(piece: _Piece) -> Array32:
    """Return the outputs for one part of the images, (images, classes)."""
    twin = piece.trained.twin(piece.condition, piece.draw)
    x = piece.trained.setup.images.x_test[piece.at : piece.at + CHUNK]
    return predict(twin, x, piece.trained.noise(piece.draw, piece.at // CHUNK))


def _kept(path: str | Path | None) -> dict[str, Array]:
    if path is None or not Path(path).exists():
        return {}
    with reading(path, KIND) as tree:
        return {name: np.asarray(values, float) for name, values in tree["outputs"].items()}
