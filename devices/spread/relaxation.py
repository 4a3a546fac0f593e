"""What a programmed conductance does afterwards: a spread that grows, state-dependent and
heavy-tailed; or drift.

:class:`RelaxationSpread` is learnt from arrays that were read again and again. The change of a cell
since its first read is a monotonic function of a standard normal z, given by its values at fixed z:
a table over programmed conductance and the logarithm of time. No shape is assumed, because measured
ones have a narrow core, tails several times wider than a normal law's, and lean to one side. The z
of one cell at different times are correlated as measured (a Gaussian copula).

:class:`PcmDrift` holds the published statistics of phase-change memory (Joshi et al., Nature
Communications 11, 2473 (2020), doi:10.1038/s41467-020-16108-9; Nandakumar et al., ICECS 2019,
doi:10.1109/ICECS46596.2019.8964852).
"""

__all__ = ["PcmDrift", "RelaxationSpread", "fit_relaxation"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ...data.errors import InputError
from ...data.measurement import Relaxation
from ...data.types import Array, Progress

_UPPER = (0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.996)
_SHARES = np.array([*(1.0 - share for share in reversed(_UPPER)), 0.5, *_UPPER])
_FEW = 40  # cells per state and time below which quantiles mean nothing
_REACH = 3.5  # |z| beyond which tails go no further: less than one cell in 4,000


@dataclass(frozen=True)
class RelaxationSpread:
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

    def quantile(self, share: ArrayLike, g: ArrayLike, t: float) -> Array:
        """Return quantiles of the change [S] of cells programmed to g [S], after t [s]; all
        broadcast.
        """
        return self._change(ndtri(np.asarray(share, float)), np.asarray(g, float), t)

    def sample(self, g: ArrayLike, t: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw what cells programmed to g [S] have become at each time.

        Parameters
        ----------
        g
            Programmed conductances [S], any shape.
        t
            Times after programming [s], shape (times,) or a number; before the first known time
            nothing has changed.
        rng
            Source of randomness.

        Returns
        -------
        Array
            Conductances [S], shape (times, *g.shape), or g's for a single time.
        """
        cells, times = np.asarray(g, float), np.atleast_1d(np.asarray(t, float))
        root = np.linalg.cholesky(self.correlation + 1e-9 * np.eye(len(self.t)))
        z = np.tensordot(root, rng.standard_normal((len(self.t), *cells.shape)), 1)
        drawn = []
        for time in times:
            now = (
                np.zeros(cells.shape)
                if time <= 0.0
                else self._change(self._mix(z, time), cells, time)
            )
            drawn.append(np.clip(cells + now, *self.g_limit))
        return np.stack(drawn) if np.ndim(t) else drawn[0]

    def _mix(self, z: Array, t: float) -> Array:
        """Return a cell's z between known times, its variance kept at 1."""
        place = float(np.interp(np.log10(t), np.log10(self.t), np.arange(len(self.t))))
        k = min(int(place), len(self.t) - 2)
        share = place - k
        rho = self.correlation[k, k + 1]
        size = np.sqrt((1 - share) ** 2 + share**2 + 2 * rho * share * (1 - share))
        return np.asarray(((1 - share) * z[k] + share * z[k + 1]) / size)

    def _change(self, z: Array, g: Array, t: float) -> Array:
        """Interpolate over z, state and log time; tails go on straight, other ends hold."""
        z, g = np.broadcast_arrays(np.clip(z, -_REACH, _REACH), g)
        when = float(np.interp(np.log10(t), np.log10(self.t), np.arange(len(self.t))))
        k, late = _cell(np.array(when), len(self.t))
        now = (1 - late) * self.change[:, k] + late * self.change[:, k + 1]
        state, up = _cell(np.interp(g, self.g, np.arange(len(self.g))), len(self.g))
        knot = np.clip(np.searchsorted(self.z, z) - 1, 0, len(self.z) - 2)
        along = (z - self.z[knot]) / (self.z[knot + 1] - self.z[knot])
        low = now[state, knot] + along * (now[state, knot + 1] - now[state, knot])
        high = now[state + 1, knot] + along * (now[state + 1, knot + 1] - now[state + 1, knot])
        return np.asarray(low + up * (high - low))


@dataclass(frozen=True)
class PcmDrift:
    """Published statistics of phase-change memory, for conductances up to ``g_max``.

    Attributes
    ----------
    g_max
        Full scale [S].
    t_0
        Time after programming at which g is the programmed one [s].
    t_read
        Duration of a read [s].
    """

    g_max: float = 25e-6
    t_0: float = 20.0
    t_read: float = 250e-9

    def programmed(self, g: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw what cells have after programming to g [S]."""
        share = np.asarray(g, float) / self.g_max
        sigma = 1e-6 * np.maximum(-1.1731 * share**2 + 1.9650 * share + 0.2635, 0.0)
        drawn = np.asarray(g, float) + sigma * self.g_max / 25e-6 * rng.standard_normal(share.shape)
        return np.maximum(drawn, 0.0)

    def drifted(self, g: ArrayLike, t: float, rng: np.random.Generator) -> Array:
        """Draw what cells that have g [S] at ``t_0`` have at t [s]: g (t/t_0)^-ν, ν from cell to
        cell.
        """
        g = np.asarray(g, float)
        share = np.log(np.maximum(g / self.g_max, 1e-6))
        mean = np.clip(-0.0155 * share + 0.0244, 0.049, 0.1)
        sigma = np.clip(-0.0125 * share - 0.0059, 0.008, 0.045)
        nu = np.maximum(mean + sigma * rng.standard_normal(g.shape), 0.0)
        return np.asarray(g * (max(t, self.t_0) / self.t_0) ** -nu)

    def read(self, g: ArrayLike, t: float, rng: np.random.Generator) -> Array:
        """Draw what one read at t [s] after programming gives for cells of g [S]: 1/f noise."""
        g = np.asarray(g, float)
        share = np.maximum(g / self.g_max, 1e-9)
        q = np.minimum(0.0088 / share**0.65, 0.2)
        sigma = g * q * np.sqrt(np.log((t + self.t_read) / (2.0 * self.t_read)))
        return np.asarray(g + sigma * rng.standard_normal(g.shape))


def fit_relaxation(
    cells: Relaxation, *, states: int | None = None, progress: Progress | None = None
) -> RelaxationSpread:
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
    return RelaxationSpread(
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
