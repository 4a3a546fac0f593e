"""How the current of a read bends with its voltage, by level: a cell becomes ohmic as it grows.

    i = x sinh(b v)/b,    b = b_hrs exp(-x/g_bend)

This is the law of the whole cell, behind its transistor and lines, since that is what was read.
"""

__all__ = ["ReadFit", "ReadLaw", "fit_read_law"]

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.measurement import Table
from ...data.types import Array

_LEVELS = (3e-6, 1e-5, 3e-5, 6e-5, 9e-5, 1.3e-4)
"""Conductances between which cells are averaged [S]."""
_FEW = 5


@dataclass(frozen=True)
class ReadLaw:
    """Curvature of reads.

    Attributes
    ----------
    v_read
        Voltage at which conductances are meant [V].
    b_hrs
        Curvature of a cell that hardly conducts [1/V].
    g_bend
        Conductance at which it has fallen to 1/e [S].
    """

    v_read: float
    b_hrs: float
    g_bend: float

    def __post_init__(self) -> None:
        """Refuse what is no law."""
        for name, value in vars(self).items():
            if not 0.0 < value < np.inf:
                raise InputError(f"read law: {name} must be above 0, got {value!r}")

    @property
    def parameters(self) -> dict[str, float]:
        """Return the parameters of the model ``sinh_decay``."""
        return {"b_hrs": self.b_hrs, "g_bend": self.g_bend}

    def ratio(self, g: ArrayLike, v: ArrayLike) -> Array:
        """Return conductance i/v at v [V] over that at ``v_read``, of cells that read g [S] there."""
        g, v = np.asarray(g, float), np.asarray(v, float)
        x = g
        for _ in range(
            30
        ):  # x of the law, whose b depends on x itself: it is a few percent below g
            x = g / _bend(self._b(x) * self.v_read)
        b = self._b(x)
        return np.asarray(_bend(b * v) / _bend(b * self.v_read))

    def _b(self, x: Array) -> Array:
        return np.asarray(self.b_hrs * np.exp(-x / self.g_bend))


@dataclass(frozen=True)
class ReadFit:
    """A read law with its quality.

    Attributes
    ----------
    law
        The law.
    g
        Mean conductances of the groups of cells [S].
    error_percent
        Root mean square that the law misses of each group's mean curve [% of its largest current].
    cells
        How many were read.
    """

    law: ReadLaw
    g: tuple[float, ...]
    error_percent: tuple[float, ...]
    cells: int


def fit_read_law(measured: Table, v_read: float) -> ReadFit:
    """Fit the curvature to currents of cells over voltage; each cell's own current at 0 V is the
    instrument's and is taken off.

    Parameters
    ----------
    measured
        With columns ``address``, ``v`` [V] and ``i`` [A], every cell at the same voltages from 0.
    v_read
        Voltage at which conductances are meant [V].

    Raises
    ------
    InputError
        If cells were read at different voltages, not at 0 V or not at ``v_read``, or if fewer than two
        groups of conductance have five cells.
    """
    from scipy.optimize import least_squares

    missing = {"address", "v", "i"} - set(measured.columns)
    if missing:
        raise InputError(f"{measured.name}: reads need columns address, v and i, {missing} missing")
    order = np.lexsort((measured["v"], measured["address"]))
    cells = len(np.unique(measured["address"]))
    v = measured["v"][order]
    if len(v) % cells or not np.allclose(v.reshape(cells, -1), v[: len(v) // cells], atol=1e-6):
        raise InputError(f"{measured.name}: every cell must be read at the same voltages")
    i = measured["i"][order].reshape(cells, -1)
    v = v[: i.shape[1]]
    at = int(np.abs(v - v_read).argmin())
    if abs(v[0]) > 1e-6 or abs(v[at] - v_read) > 1e-6:
        raise InputError(f"{measured.name}: reads at 0 V and at {v_read:g} V are needed")
    i = i - i[:, :1]
    g = i[:, at] / v_read
    groups = [i[(g >= low) & (g < high)] for low, high in pairwise(_LEVELS)]
    curves = [group.mean(axis=0) for group in groups if len(group) >= _FEW]
    if len(curves) < 2:
        raise InputError(f"{measured.name}: fewer than two groups of conductance have {_FEW} cells")
    mean = np.stack(curves)
    level = mean[:, at] / v_read
    chord = mean[:, 1:] / v[1:] / level[:, None]
    # Small voltages have most of the noise of an offset.
    weight = v[1:] / v[-1]

    def law(x: Array) -> ReadLaw:
        return ReadLaw(v_read, float(x[0]), 1e-6 * float(x[1]))

    def miss(x: Array) -> Array:
        return np.asarray((weight * (law(x).ratio(level[:, None], v[1:]) - chord)).ravel())

    bounds = ([0.05, 1.0], [20.0, 1e4])
    found = law(least_squares(miss, [4.0, 5e5 * level.max()], bounds=bounds).x)
    told = found.ratio(level[:, None], v) * v * level[:, None]
    error = 100.0 * np.sqrt(np.mean((told - mean) ** 2, axis=1)) / np.abs(mean).max(axis=1)
    return ReadFit(found, tuple(map(float, level)), tuple(map(float, error)), cells)


def _bend(x: Array) -> Array:
    """Return sinh(x)/x."""
    return np.asarray(np.sinh(x) / np.where(x == 0.0, 1.0, x))
