"""What a programmed conductance does afterwards: a jump, or a spread that grows.

:class:`RelaxationQuantiles` is learnt from arrays that were read again and again. The change of a
cell since its first read is a monotonic function of a standard normal z, given by its values at
fixed z: a table over programmed conductance and the logarithm of time. No shape is assumed, because
measured ones have a narrow core, tails several times wider than a normal law's, and lean to one
side. The z of one cell at different times are correlated as measured (a Gaussian copula).
"""

__all__ = ["Jump", "RelaxationQuantiles", "fit_relaxation"]

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ...data.errors import InputError
from ...data.measurement import Relaxation
from ...data.types import Array, Progress
from .deviation import Deviation

_UPPER = (0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.996)
_SHARES = np.array([*(1.0 - share for share in reversed(_UPPER)), 0.5, *_UPPER])
_FEW = 40  # cells per state and time below which quantiles mean nothing
_REACH = 3.5  # |z| beyond which tails go no further: less than one cell in 4,000


@dataclass(frozen=True)
class Jump(Deviation):
    """A normal jump right after the verify read has passed, drawn anew at every write."""


@dataclass(frozen=True, eq=False)
class RelaxationQuantiles:
    """Growing, state-dependent, heavy-tailed spread.

    Attributes
    ----------
    g
        Programmed conductances at which the law was learnt [S], rising, shape (states,).
    t
        Times after programming [s], rising and above 0, shape (times,).
    z
        Standard normal values at which the change is tabulated, rising, shape (knots,).
    change
        Change since the first read [S], shape (states, times, knots).
    correlation
        Of z between times, shape (times, times).
    g_limit
        Least and largest conductance that a cell can have [S].
    """

    g: Array
    t: Array
    z: Array
    change: Array
    correlation: Array
    g_limit: tuple[float, float]
    timed: ClassVar[bool] = True
    """Whether ages are in seconds."""

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        shape = (len(self.g), len(self.t), len(self.z))
        if self.change.shape != shape or self.correlation.shape != (len(self.t),) * 2:
            raise InputError(
                f"relaxation: expected changes of shape {shape} and correlations between the"
                f" {shape[1]} times, got {self.change.shape} and {self.correlation.shape}"
            )

    @property
    def lucks(self) -> int:
        """How many normal numbers a cell's fate hangs on."""
        return len(self.t)

    def quantile(self, share: ArrayLike, g: ArrayLike, t: float) -> Array:
        """Return quantiles of the change [S] of cells programmed to g [S], after t [s]; all
        broadcast.

        Parameters
        ----------
        share
            Share of cells below, an array that broadcasts [0..1].
        g
            Conductances, an array of any shape [S].
        t
            Times [s].
        """
        share, g = np.broadcast_arrays(np.asarray(share, float), np.asarray(g, float))
        place = np.broadcast_to(self._place(t), g.shape)
        return self._change(np.asarray(ndtri(share), float), g, place)

    def later(self, g: Any, age: Any, luck: Any) -> Any:
        """Return what cells programmed to g [S], any shape, have after ``age`` [s]; nothing has
        changed at age 0. ``luck`` (times, *g.shape) is drawn once per write.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        age
            Time since programming [s].
        luck
            The device's own standard normal number, an array that broadcasts.
        """
        cells, ages = np.broadcast_arrays(np.asarray(g, float), np.asarray(age, float))
        z = np.tensordot(self._root, luck, 1)
        place = self._place(np.maximum(ages, 1e-300))
        change = self._change(self._mix(z, place), cells, place)
        now = np.clip(cells + np.where(ages > 0.0, change, 0.0), *self.g_limit)
        return np.asarray(now, g.dtype)

    def sample(self, g: ArrayLike, t: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw what cells programmed to g [S] have become at each time.

        Parameters
        ----------
        g
            Programmed conductances [S], any shape.
        t
            Times after programming [s], shape (times,) or a number.
        rng
            Source of randomness.

        Returns
        -------
        Array
            Conductances [S], shape (times, *g.shape), or g's for a single time.
        """
        cells = np.asarray(g, float)
        luck = rng.standard_normal((self.lucks, *cells.shape))
        drawn = np.stack([self.later(cells, time, luck) for time in np.atleast_1d(t).astype(float)])
        return np.asarray(drawn if np.ndim(t) else drawn[0])

    @cached_property
    def _root(self) -> Array:
        return np.asarray(np.linalg.cholesky(self.correlation + 1e-9 * np.eye(len(self.t))))

    def _place(self, t: ArrayLike) -> Array:
        """Return where times [s] lie among the known ones."""
        place: Array = np.interp(np.log10(t), np.log10(self.t), np.arange(len(self.t)))
        return place

    def _mix(self, z: Array, place: Array) -> Array:
        """Return a cell's z between known times, its variance kept at 1."""
        k, share = _cell(place, len(self.t))
        rho = self.correlation[k, k + 1]
        size = np.sqrt((1 - share) ** 2 + share**2 + 2 * rho * share * (1 - share))
        early, late = (np.take_along_axis(z, at[None], 0)[0] for at in (k, k + 1))
        return np.asarray(((1 - share) * early + share * late) / size)

    def _change(self, z: Array, g: Array, place: Array) -> Array:
        """Interpolate over z, state and log time; tails go on straight, other ends hold. Below the
        lowest state that was learnt the change is as large a share of the conductance as there.
        """
        z = np.clip(z, -_REACH, _REACH)
        k, late = _cell(place, len(self.t))
        state, up = _cell(np.interp(g, self.g, np.arange(len(self.g))), len(self.g))
        knot = np.clip(np.searchsorted(self.z, z) - 1, 0, len(self.z) - 2)
        along = (z - self.z[knot]) / (self.z[knot + 1] - self.z[knot])

        def at(state: NDArray[np.int64]) -> Array:
            low, high = (
                (1 - late) * self.change[state, k, one] + late * self.change[state, k + 1, one]
                for one in (knot, knot + 1)
            )
            return np.asarray(low + along * (high - low))

        low = at(state)
        change = low + up * (at(state + 1) - low)
        return np.asarray(change * np.clip(g / self.g[0], 0.0, 1.0))


def fit_relaxation(
    cells: Relaxation, *, states: int | None = None, progress: Progress | None = None
) -> RelaxationQuantiles:
    """Learn the spread of a technology from cells that were read again and again.

    Parameters
    ----------
    cells
        The measurement; its first time is the reference.
    states
        Groups of equally many cells, by first conductance; default: 48, fewer where that would
        leave them less than 160 cells.
    progress
        Called with (groups done, groups).

    Raises
    ------
    InputError
        If a group has too few cells for its quantiles at some time.
    """
    first, change = cells.g[:, 0], cells.change[:, 1:]
    if states is None:
        states = min(max(len(first) // 160, 2), 48)
    edges = np.quantile(first, np.linspace(0.0, 1.0, states + 1))
    edges[-1] = np.nextafter(edges[-1], np.inf)
    table = np.zeros((states, change.shape[1], len(_SHARES)))
    middles = np.zeros(states)
    for state in range(states):
        group = (first >= edges[state]) & (first < edges[state + 1])
        middles[state] = np.median(first[group]) if group.any() else np.nan
        for k in range(change.shape[1]):
            values = change[group, k]
            values = values[np.isfinite(values)]
            if len(values) < _FEW:
                raise InputError(
                    f"{cells.name}: {len(values)} cells near {1e6 * edges[state]:.3g} µS were"
                    f" read at {cells.t[k + 1]:g} s,"
                    f" expected {_FEW} or more: ask for fewer states than {states}"
                )
            table[state, k] = np.quantile(values, _SHARES)
        if progress is not None:
            progress(state + 1, states)
    return RelaxationQuantiles(
        middles,
        cells.t[1:].copy(),
        ndtri(_SHARES),
        table,
        _correlation(change),
        (0.0, 1.2 * float(np.nanmax(cells.g))),
    )


def _cell(place: Array, count: int) -> tuple[NDArray[np.int64], Array]:
    """Return the table cell that a fractional place lies in, and where in it."""
    index = np.clip(place.astype(np.int64), 0, count - 2)
    return index, np.asarray(place - index)


def _correlation(change: Array) -> Array:
    """Return the correlation of normal scores between times, shape (times, times), positive
    definite.
    """
    count = change.shape[1]
    scores = np.full(change.shape, np.nan)
    for k in range(count):
        there = np.flatnonzero(np.isfinite(change[:, k]))
        order = np.argsort(np.argsort(change[there, k], kind="stable"), kind="stable")
        scores[there, k] = ndtri((order + 0.5) / len(there))
    matrix = np.eye(count)
    for a in range(count):
        for b in range(a):
            both = np.isfinite(scores[:, a]) & np.isfinite(scores[:, b])
            if both.sum() >= _FEW:
                matrix[a, b] = matrix[b, a] = np.corrcoef(scores[both, a], scores[both, b])[0, 1]
    values, vectors = np.linalg.eigh(matrix)
    positive = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    size = np.sqrt(np.diag(positive))
    return np.asarray(positive / (size[:, None] * size[None, :]))
