"""Conductance patterns and input vectors for characterising tiles and for judging surrogates.

Pattern families: ``uniform`` (any level anywhere), ``mlp`` (half the devices at the lowest level,
the rest normally distributed weights, as a trained layer on differential columns has them),
``binary``, ``sparse`` (a tenth at the highest level), and for the far ends ``on``, ``half`` (one
half of the columns on) and ``gradient``.
"""

__all__ = ["FAMILIES", "UNSEEN", "pattern", "vectors"]

import numpy as np

from ...data.errors import InputError, nearest
from ...data.types import Array

FAMILIES = ("uniform", "mlp", "binary", "sparse")
UNSEEN = ("on", "half", "gradient")


def pattern(family: str, shape: tuple[int, int], levels: Array, rng: np.random.Generator) -> Array:
    """Return conductances [S] of ``shape``, each one of ``levels``, (L,) rising.

    Parameters
    ----------
    family
        Kind of the pattern.
    shape
        Rows and columns.
    levels
        Levels to choose from, (L,) rising [S].
    rng
        What random numbers are drawn from.
    """
    m, n = shape
    if family == "uniform":
        share = rng.random(shape)
    elif family == "mlp":
        weight = np.clip(np.abs(rng.normal(0.0, 0.25, shape)), 0.0, 1.0)
        share = weight * (rng.random(shape) < 0.5)
    elif family == "binary":
        share = (rng.random(shape) < 0.5).astype(float)
    elif family == "sparse":
        share = (rng.random(shape) < 0.1).astype(float)
    elif family == "on":
        share = np.ones(shape)
    elif family == "half":
        share = np.broadcast_to((np.arange(n) < n // 2).astype(float), shape)
    elif family == "gradient":
        share = np.outer(np.linspace(0.0, 1.0, m), np.linspace(1.0, 0.0, n))
    else:
        known = FAMILIES + UNSEEN
        raise InputError(f"there is no pattern family {family!r}{nearest(family, known)}")
    target = levels[0] + share * (levels[-1] - levels[0])
    middles = 0.5 * (levels[1:] + levels[:-1])
    chosen: Array = levels[np.searchsorted(middles, target)]
    return chosen


def vectors(
    count: int, rows: int, v_full: float, rng: np.random.Generator, *, bipolar: bool = False
) -> Array:
    """Return row voltages [V], (count, rows): images (sparse), dense, rectified and binary inputs
    in turn, the last one at full swing.

    Parameters
    ----------
    count
        Number of vectors.
    rows
        Number of word lines.
    v_full
        Largest row voltage [V].
    rng
        What random numbers are drawn from.
    bipolar
        Whether voltages have either sign.
    """
    kinds = (
        lambda: rng.random(rows) * (rng.random(rows) < 0.25),
        lambda: rng.random(rows),
        lambda: np.clip(rng.normal(0.0, 0.4, rows), 0.0, 1.0),
        lambda: (rng.random(rows) < 0.5).astype(float),
    )
    v = np.array([kinds[k % len(kinds)]() for k in range(count)])
    v[-1:] = 1.0
    if bipolar:
        v = v * np.where(rng.random(v.shape) < 0.5, -1.0, 1.0)
    return v_full * v
