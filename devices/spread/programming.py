"""What write-verify leaves of a target, drawn anew at every write (cycle to cycle)."""

__all__ = [
    "Programming",
    "ProgrammingQuantiles",
    "fit_programming",
    "left_by_writes",
    "sampled_programming",
]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from .deviation import Deviation, fit_deviation

FEW = 20
"""Writes to one target below which their deviation is not known."""


@dataclass(frozen=True)
class Programming(Deviation):
    """Normal programming error, the same everywhere unless ``power`` says otherwise."""


@dataclass(frozen=True, eq=False)
class ProgrammingQuantiles:
    """Programming error as write-verify left it of many cells: quantiles by target.

    Attributes
    ----------
    g
        Targets [S], rising, shape (targets,).
    error
        Quantiles of conductance minus target [S] at evenly spaced shares from 0 to 1, shape (targets, shares).
    """

    g: Array
    error: Array

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        if self.error.ndim != 2 or len(self.error) != len(self.g) or self.error.shape[1] < 2:
            raise InputError(
                f"programming: expected quantiles by target, two or more of each of {len(self.g)}, got"
                f" shape {self.error.shape}"
            )

    def share(self, span: float | None = None) -> float | None:
        """Return nothing: the error is no share of the levels' range."""
        return None

    def sigma(self, g: ArrayLike, span: float | None = None) -> Array:
        """Return the root mean square [S] of the error of targets g [S]."""
        middles = 0.5 * (self.error[:, 1:] + self.error[:, :-1])
        return np.asarray(
            np.interp(np.asarray(g, float), self.g, np.sqrt(np.mean(middles**2, axis=1)))
        )

    def sample(self, g: ArrayLike, rng: np.random.Generator, span: float | None = None) -> Array:
        """Draw what writes leave of targets g [S], any shape; never below 0.

        Parameters
        ----------
        g
            Targets [S], any shape.
        rng
            Draws the errors.
        span
            Range of the levels [S], which this law does not need.
        """
        g = np.asarray(g, float)
        last = self.error.shape[1] - 1
        knot = rng.random(g.shape) * last
        at = np.minimum(knot.astype(np.intp), last - 1)
        along = knot - at
        place = np.interp(g, self.g, np.arange(len(self.g)))
        low = np.minimum(place.astype(np.intp), max(len(self.g) - 2, 0))
        high = np.minimum(low + 1, len(self.g) - 1)
        up = place - low

        def of(target: NDArray[np.intp]) -> Array:
            start = self.error[target, at]
            return np.asarray(start + along * (self.error[target, at + 1] - start))

        left = of(low)
        return np.asarray(np.maximum(g + left + up * (of(high) - left), 0.0))


def sampled_programming(g: ArrayLike, error: ArrayLike, knots: int = 129) -> ProgrammingQuantiles:
    """Return the law of errors [S] that were left of targets g [S], (targets,), samples of shape
    (targets, samples).

    Parameters
    ----------
    g
        Targets [S], (targets,).
    error
        Samples of what was left of them [S], (targets, samples).
    knots
        Number of quantiles that are kept.
    """
    share = np.linspace(0.0, 1.0, knots)
    return ProgrammingQuantiles(
        np.asarray(g, float), np.quantile(np.asarray(error, float), share, axis=1).T.copy()
    )


def left_by_writes(g: ArrayLike, error: Array) -> ProgrammingQuantiles:
    """Return the law of what writes between levels leave of their targets: by target, of writes from
    all levels that are no target alike.

    Parameters
    ----------
    g
        Conductances of the levels [S], (levels,).
    error
        What sampled writes left [S], from and to every level, (levels, levels, samples).
    """
    moved = ~np.eye(len(error), dtype=bool)
    return sampled_programming(g, [error[moved[:, b], b].ravel() for b in range(len(error))])


def fit_programming(target: ArrayLike, g: ArrayLike) -> Programming:
    """Learn the programming error from what writes left, ``g`` [S], of their ``target`` [S].

    Parameters
    ----------
    target, g
        (writes,) each; targets repeat.

    Raises
    ------
    InputError
        If no target was written twenty times.
    """
    target, g = np.ravel(np.asarray(target, float)), np.ravel(np.asarray(g, float))
    levels, which, counts = np.unique(target, return_inverse=True, return_counts=True)
    known = np.flatnonzero(counts >= FEW)
    if not known.size:
        raise InputError(
            f"at most {counts.max(initial=0)} writes to one target are too few for their deviation,"
            f" expected {FEW} or more"
        )
    error = g - target
    sigma = np.array([np.sqrt(np.mean(error[which == k] ** 2)) for k in known])
    return Programming(*fit_deviation(levels[known], sigma))
