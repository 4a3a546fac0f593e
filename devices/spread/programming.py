"""What write-verify leaves of a target, drawn anew at every write (cycle to cycle)."""

__all__ = ["Programming", "fit_programming"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from .deviation import Deviation, fit_deviation

FEW = 20
"""Writes to one target below which their deviation is not known."""


@dataclass(frozen=True)
class Programming(Deviation):
    """Normal programming error, the same everywhere unless ``power`` says otherwise."""


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
