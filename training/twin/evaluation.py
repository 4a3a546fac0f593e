"""Reading images through a memristor twin."""

__all__ = ["evaluate", "predict"]

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array32, Progress
from ..losses import score_of
from .twin import MemristorTwin

EVALUATION_BATCH = 500
"""Images read at a time outside of training; bounds memory, and changes no result but the order of
noise draws.
"""


def predict(
    twin: MemristorTwin,
    x: Array32,
    rng: np.random.Generator | None = None,
    *,
    progress: Progress | None = None,
) -> Array32:
    """Return the outputs (n, classes) of the twin for images ``x`` (n, ...), with read noise if
    ``rng`` is given.

    Parameters
    ----------
    twin
        The memristor twin.
    x
        Images, (n, ...).
    rng
        What random numbers are drawn from.
    progress
        Called with how much is done, and of how much.
    """
    outputs, done = [], 0
    for part in parts(x):
        outputs.append(twin.forward(part, rng)[0])
        done += len(part)
        if progress is not None:
            progress(done, len(x))
    return np.concatenate(outputs)


def evaluate(
    twin: MemristorTwin,
    x: Array32,
    labels: NDArray[Any],
    rng: np.random.Generator | None = None,
    *,
    progress: Progress | None = None,
) -> float:
    """Return the share of images that the twin classifies right, or R² for numbers (n, targets).

    Parameters
    ----------
    twin
        The memristor twin.
    x
        Images, (n, ...).
    labels
        Classes, (n,), or targets, (n, targets).
    rng
        What random numbers are drawn from.
    progress
        Called with how much is done, and of how much.
    """
    return score_of(predict(twin, x, rng, progress=progress), labels)


def parts(x: Array32) -> Iterator[Array32]:
    """Cut images into parts that fit into memory."""
    for start in range(0, len(x), EVALUATION_BATCH):
        yield x[start : start + EVALUATION_BATCH]
