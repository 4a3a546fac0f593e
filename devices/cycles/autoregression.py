"""Cycles as a vector autoregression over their features, after Hennen et al. 2022 (doi:10.3389/fnins.2022.941753)
and 2024 (doi:10.1109/TED.2024.3427616).

A cell k has the features x_n in its cycle n (logarithms, where they are learnt so)

    x_n = mu_k + sigma_k Γ(z_n),    z_n = A_1 z_(n-1) + ... + A_p z_(n-p) + B ε_n

with ε_n independent standard normal, Γ the monotonic map (a table for each feature) that gives them the measured
distribution, and mu_k, ln sigma_k drawn once for each cell from their joint normal distribution over devices. A and B
solve the Yule-Walker equations for those correlations of z that Γ turns into the correlations measured (Γ bends
them: each is found from its Hermite series), so that the process is stable and has the features' own correlations
up to lag p; p is the order with the least BIC. The papers map by polynomials and mix several normal distributions of
cells; the tables, that correction and the one distribution here are ours.
"""

__all__ = ["Cells", "CycleLaw", "fit_cycles"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_discrete_lyapunov
from scipy.special import ndtri

from ...data.errors import InputError
from ...data.types import Array, Array32
from .features import CycleFeatures

NODES = 129
"""Entries of the table of each feature's distribution."""
SPAN = 4.0
"""The table goes from minus to plus so many standard deviations of a normal one."""
MOST = 10
"""Largest order that is tried, that of the papers."""
TERMS = 16
"""Of the series by which a table bends correlations."""
BLOCK = 2048
"""Cells that are drawn at a time: what the caches hold."""


@dataclass(frozen=True, eq=False)
class CycleLaw:
    """What is known of a kind of device's cycles.

    Attributes
    ----------
    names
        The features, d of them.
    log
        Which are logarithms inside, shape (d,).
    centre
        Mean over devices of (mu, ln sigma), shape (2 d,).
    between
        A square root of their covariance, shape (2 d, 2 d); zeros where one device was measured.
    table
        Γ at evenly spaced z from -4 to 4, shape (d, nodes).
    lags
        A_1 to A_p, shape (p, d, d).
    innovation
        B, lower triangular, shape (d, d).
    strength
        Of deviations where the law serves as the error of a write: 1 is as measured.
    g_low, g_high
        Conductances that the two resistances stand for there [S]; 0: their medians.
    """

    names: tuple[str, ...]
    log: NDArray[np.bool_]
    centre: Array
    between: Array
    table: Array
    lags: Array
    innovation: Array
    strength: float = 1.0
    g_low: float = 0.0
    g_high: float = 0.0

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other, and a process that runs away."""
        d = len(self.names)
        if not self.lags.size:  # a table of no lag has lost its shape in a text
            object.__setattr__(self, "lags", np.zeros((0, d, d)))
        shapes = {
            "log": (d,),
            "centre": (2 * d,),
            "between": (2 * d, 2 * d),
            "table": (d, self.table.shape[-1]),
            "lags": (len(self.lags), d, d),
            "innovation": (d, d),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"cycles: expected {name} of shape {shape}, got {getattr(self, name).shape}"
                )
        if not 0.0 <= self.strength <= 10.0:
            raise InputError(f"cycles: strength must be from 0 to 10, got {self.strength!r}")
        if len(self.lags) and np.abs(np.linalg.eigvals(self._companion)).max() >= 1.0:
            raise InputError("cycles: the autoregression is not stable")

    @cached_property
    def _companion(self) -> Array:
        p, d = len(self.lags), len(self.names)
        whole = np.zeros((p * d, p * d))
        whole[:d] = np.concatenate(list(self.lags), axis=1)
        whole[d:, :-d] = np.eye((p - 1) * d)
        return whole

    @cached_property
    def _memory(self) -> Array:
        """A square root of the covariance of the last p z, shape (p d, p d)."""
        p, d = len(self.lags), len(self.names)
        noise = np.zeros((p * d, p * d))
        noise[:d, :d] = self.innovation @ self.innovation.T
        return _root(solve_discrete_lyapunov(self._companion, noise))

    @cached_property
    def _z_spread(self) -> Array:
        """Standard deviation of each z, shape (d,)."""
        d = len(self.names)
        if not len(self.lags):
            return np.asarray(np.sqrt(np.sum(self.innovation**2, 1)))
        return np.asarray(np.sqrt(np.sum(self._memory[:d] ** 2, 1)))

    def cells(self, count: int, rng: np.random.Generator) -> "Cells":
        """Draw ``count`` cells with their pasts."""
        return Cells(self, count, rng)

    def draw(self, cells: int, cycles: int, rng: np.random.Generator) -> Array32:
        """Draw the features of so many cycles of each of so many cells, shape (cycles, cells, d).

        Parameters
        ----------
        cells, cycles
            How many; cells are independent of each other.
        rng
            Draws them.
        """
        drawn = self.cells(cells, rng)
        return np.stack([drawn.cycle(rng).T for _ in range(cycles)])

    def drive(self, v: Array, rng: np.random.Generator) -> Array:
        """Draw by which factor a pulse of each voltage [V], shape (n,), acts stronger than on the mean cell: the
        mean SET (RESET) voltage over that of the cell and cycle, each a cell of its own.
        """
        missing = [name for name in ("v_set", "v_reset") if name not in self.names]
        if missing:
            raise InputError(
                f"cycles: {missing[0]} was not measured, which pulses need; learnt are"
                f" {', '.join(self.names)}"
            )
        drawn = self.cells(len(v), rng).cycle(rng)
        factor = np.ones(len(v))
        for name, side in (("v_set", v > 0.0), ("v_reset", v < 0.0)):
            k = self.names.index(name)
            mean = np.exp(self.centre[k]) if self.log[k] else self.centre[k]
            # A threshold near 0, or below, is beyond what was measured.
            factor[side] = mean / np.clip(drawn[k, side], 0.2 * mean, 5.0 * mean)
        return factor

    # What follows is how the law serves as the error of a write.

    def share(self, span: float | None = None) -> float | None:
        """Return ``None``: the deviation depends on the conductance."""
        del span
        return None

    @cached_property
    def _states(self) -> tuple[int, int, float, float]:
        """Places of HRS and LRS among the features, and the logarithms of their mean resistances."""
        missing = [name for name in ("r_hrs", "r_lrs") if name not in self.names]
        if missing:
            raise InputError(
                f"cycles: {missing[0]} was not measured, which the error of a write needs; learnt are"
                f" {', '.join(self.names)}"
            )
        high, low = self.names.index("r_hrs"), self.names.index("r_lrs")
        if not (self.log[high] and self.log[low]):
            raise InputError("cycles: resistances must be learnt as logarithms")
        return high, low, float(self.centre[high]), float(self.centre[low])

    def weight(self, g: ArrayLike) -> Array:
        """Return how much of the LRS is in a conductance [S], 0 to 1."""
        _, _, hrs, lrs = self._states
        low = self.g_low or float(np.exp(-hrs))
        high = self.g_high or float(np.exp(-lrs))
        return np.clip((np.asarray(g, float) - low) / (high - low), 0.0, 1.0)

    def deviation(self, g: ArrayLike, features: Array | Array32) -> Array:
        """Return by how much writes to g [S] miss it [S], shape (n,), in cycles with ``features`` (d, n)."""
        high, low, hrs, lrs = self._states
        part = self.weight(g)
        off = (1.0 - part) * (np.log(features[high]) - hrs) + part * (np.log(features[low]) - lrs)
        return np.asarray(np.asarray(g, float) * np.expm1(-self.strength * off))

    def sigma(self, g: ArrayLike, span: float | None = None) -> Array:
        """Return the standard deviation [S] of writes to g [S], to first order."""
        del span
        high, low, _, _ = self._states
        part, g = self.weight(g), np.asarray(g, float)
        root = np.diag(self._feature_spread()[[high, low]])
        d = len(self.names)
        z = np.eye(d)[[high, low]] / self._z_spread[[high, low], None]
        joint = root @ (z @ self._z_covariance() @ z.T) @ root + _of(self.between, (high, low))
        pair = np.stack([1.0 - part, part])
        return np.asarray(
            g * self.strength * np.sqrt(np.einsum("i...,ij,j...->...", pair, joint, pair))
        )

    def _z_covariance(self) -> Array:
        d = len(self.names)
        root = self._memory[:d] if len(self.lags) else self.innovation
        return np.asarray(root @ root.T)

    def _feature_spread(self) -> Array:
        """Standard deviation within a device of each feature inside, shape (d,)."""
        d = len(self.names)
        z = ndtri((np.arange(400) + 0.5) / 400.0)
        y = np.stack([np.interp(z, _grid(self.table), row) for row in self.table])
        return np.asarray(np.exp(self.centre[d:]) * y.std(1))

    def sample(self, g: ArrayLike, rng: np.random.Generator, span: float | None = None) -> Array:
        """Draw what cells have after a write to g [S], each a cell of its own.

        Parameters
        ----------
        g
            Targets [S], any shape.
        rng
            Draws the cycles.
        span
            Range of the levels [S], which this law does not need.
        """
        del span
        g = np.asarray(g, float)
        drawn = self.cells(g.size, rng).cycle(rng).astype(float)
        return np.maximum(g + self.deviation(g.ravel(), drawn).reshape(g.shape), 0.0)


class Cells:
    """Cells of one law, each with its own mean, spread and past.

    Parameters
    ----------
    law
        What they are drawn from.
    count
        How many.
    rng
        Draws them.
    """

    def __init__(self, law: CycleLaw, count: int, rng: np.random.Generator) -> None:
        self.law = law
        d, p = len(law.names), len(law.lags)
        own = rng.standard_normal((2 * d, count), np.float32)
        drawn = law.centre[:, None].astype(np.float32) + law.between.astype(np.float32) @ own
        self.mean, self.spread = drawn[:d], np.exp(drawn[d:])
        """Of the features inside, each (d, count)."""
        past = rng.standard_normal((p * d, count), np.float32)
        self.past = law._memory.astype(np.float32) @ past if p else past
        """The last z, the latest first, shape (p d, count)."""
        self._lags = np.concatenate(list(law.lags), axis=1).astype(np.float32) if p else None
        self._innovation = law.innovation.astype(np.float32)
        self._table = law.table.astype(np.float32)
        self._log = np.flatnonzero(law.log)

    def __len__(self) -> int:
        return int(self.mean.shape[1])

    def cycle(
        self, rng: np.random.Generator, which: NDArray[np.integer[Any]] | None = None
    ) -> Array32:
        """Let cells (all by default, each at most once) go on to their next cycle; return its features,
        shape (d, n).
        """
        if which is not None:
            part = self.past[:, which]
            made = self._next(part, self.mean[:, which], self.spread[:, which], rng)
            self.past[:, which] = part
            return made
        made = np.empty((len(self.law.names), len(self)), np.float32)
        for start in range(0, len(self), BLOCK):
            cut = slice(start, start + BLOCK)
            made[:, cut] = self._next(
                self.past[:, cut], self.mean[:, cut], self.spread[:, cut], rng
            )
        return made

    def _next(
        self, past: Array32, mean: Array32, spread: Array32, rng: np.random.Generator
    ) -> Array32:
        d = len(self.law.names)
        z = self._innovation @ rng.standard_normal((d, past.shape[1]), np.float32)
        if self._lags is not None:
            z += self._lags @ past
            past[d:] = past[:-d].copy()
            past[:d] = z
        x = mean + spread * self._mapped(z)
        x[self._log] = np.exp(x[self._log])
        return x

    def _mapped(self, z: Array32) -> Array32:
        """Return Γ(z), beyond the table's ends by its last slopes."""
        last = self._table.shape[1] - 1
        place = (z + np.float32(SPAN)) * np.float32(last / (2.0 * SPAN))
        below = np.clip(place.astype(np.int32), 0, last - 1)
        share = place - below
        made = np.empty_like(z)
        for row, (k, s, out) in enumerate(zip(below, share, made, strict=True)):
            left, rise = self._table[row, :-1], np.diff(self._table[row])
            np.add(left.take(k), s * rise.take(k), out=out)
        return made


def fit_cycles(
    cycles: CycleFeatures, *, order: int | None = None, linear: Sequence[str] = ()
) -> CycleLaw:
    """Learn the process from measured cycles.

    Parameters
    ----------
    cycles
        Features of the cycles of one device or of several.
    order
        How many cycles are remembered; by default the number with the least BIC, 10 at most.
    linear
        Features that are not taken as logarithms; resistances always are by default, voltages never.

    Raises
    ------
    InputError
        If the order is more than a tenth of the cycles that a device has.
    """
    names = cycles.names
    log = np.array([name.startswith("r_") and name not in linear for name in names])
    runs = [np.where(log, np.log(run), run) for run in cycles.runs]
    runs = [run for run in runs if len(run) >= 10 and (run.std(0) > 0.0).all()]
    if not runs:
        raise InputError("cycles: no device has 10 cycles or more in which every feature changes")
    own = np.array([np.concatenate([run.mean(0), np.log(run.std(0))]) for run in runs])
    y = [(run - run.mean(0)) / run.std(0) for run in runs]
    pooled = np.concatenate(y)
    table = np.stack([_quantiles(column) for column in pooled.T])
    longest = max(len(run) for run in y)
    most = min(MOST, longest // 10)
    if order is not None and not 0 <= order <= most:
        raise InputError(f"cycles: order is {order}, expected 0 to {most} for {longest} cycles")
    orders = range(most + 1) if order is None else [order]
    bent = [_straightened(_lagged(y, lag), table) for lag in range(most + 1)]
    tried = [found for p in orders if (found := _yule_walker(bent, p)) is not None]
    if not tried:  # correlations that no process has once straightened: those of the normal scores
        z = [np.stack([_scores(one, pooled[:, k]) for k, one in enumerate(run.T)], 1) for run in y]
        plain = [_lagged(z, lag) for lag in range(most + 1)]
        tried = [found for p in orders if (found := _yule_walker(plain, p)) is not None]
    count = sum(len(run) for run in y)
    lags, noise = min(tried, key=lambda one: _bic(one[0], one[1], count))
    between = np.zeros((own.shape[1],) * 2)
    if len(runs) > 1:
        between = _root(np.atleast_2d(np.cov(own.T)))
    return CycleLaw(names, log, own.mean(0), between, table, lags, _root(noise))


def _grid(table: Array) -> Array:
    return np.linspace(-SPAN, SPAN, table.shape[-1])


def _quantiles(values: Array) -> Array:
    """Return the values that stand at the nodes' normal scores, on by straight lines beyond the data."""
    ranked = np.sort(values)
    scores = ndtri((np.arange(len(ranked)) + 0.5) / len(ranked))
    nodes = np.linspace(-SPAN, SPAN, NODES)
    inside = np.interp(nodes, scores, ranked)
    few = max(len(ranked) // 50, 3)
    for end, edge in ((slice(0, few), scores[0]), (slice(-few, None), scores[-1])):
        slope = max(float(np.polyfit(scores[end], ranked[end], 1)[0]), 0.0)
        beyond = nodes < edge if edge < 0.0 else nodes > edge
        inside[beyond] += slope * (nodes[beyond] - edge)
    return np.asarray(np.maximum.accumulate(inside))


def _scores(values: Array, pooled: Array) -> Array:
    """Return the normal scores of values among all; equal ones share theirs."""
    ranked = np.sort(pooled)
    place = 0.5 * (
        np.searchsorted(ranked, values, "left") + np.searchsorted(ranked, values, "right")
    )
    return np.asarray(
        ndtri(np.clip(place / len(ranked), 0.5 / len(ranked), 1.0 - 0.5 / len(ranked)))
    )


def _lagged(runs: Sequence[Array], lag: int) -> Array:
    """Return the covariance of z_n with z_(n-lag) over all runs, divided by their whole length."""
    count = sum(len(run) for run in runs)
    return np.asarray(
        sum(run[lag:].T @ run[: len(run) - lag] for run in runs if len(run) > lag) / count
    )


def _straightened(correlation: Array, table: Array) -> Array:
    """Return the correlations of normal numbers that the tables turn into the given ones, shape (d, d)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    y = np.stack([np.interp(nodes, _grid(table), row) for row in table])
    y = (y - y @ weights[:, None]) / np.sqrt(((y - y @ weights[:, None]) ** 2) @ weights)[:, None]
    series, norm = [], 1.0
    for k in range(1, TERMS + 1):
        norm *= k
        he = np.polynomial.hermite_e.hermeval(nodes, [0.0] * k + [1.0])
        series.append((y * weights) @ he / np.sqrt(norm))
    powers = np.arange(1, TERMS + 1)
    rho = np.linspace(-1.0, 1.0, 401)
    found = np.empty_like(correlation)
    for i, j in np.ndindex(*correlation.shape):
        terms = np.array([one[i] * one[j] for one in series])
        reached = np.maximum.accumulate((rho[:, None] ** powers) @ terms)
        reached /= max(reached[-1], 1e-12) if i == j else 1.0
        found[i, j] = np.interp(correlation[i, j], reached, rho)
    return found


def _yule_walker(covariances: Sequence[Array], order: int) -> tuple[Array, Array] | None:
    """Return A_1 to A_p and the covariance of the innovations; None if no stable process has those."""
    d = len(covariances[0])
    if order == 0:
        noise = 0.5 * (covariances[0] + covariances[0].T)
        return (np.zeros((0, d, d)), noise) if np.linalg.eigvalsh(noise)[0] > 0.0 else None
    blocks = [
        [covariances[j - i] if j >= i else covariances[i - j].T for j in range(order)]
        for i in range(order)
    ]
    right = np.concatenate(covariances[1 : order + 1], axis=1)
    whole = np.linalg.solve(np.block(blocks).T, right.T).T
    lags = np.stack([whole[:, k * d : (k + 1) * d] for k in range(order)])
    noise = covariances[0] - sum(a @ c.T for a, c in zip(lags, covariances[1:], strict=False))
    noise = 0.5 * (noise + noise.T)
    step = np.zeros((order * d, order * d))
    step[:d], step[d:, :-d] = whole, np.eye((order - 1) * d)
    stable = np.abs(np.linalg.eigvals(step)).max() < 0.9999
    return (lags, noise) if stable and np.linalg.eigvalsh(noise)[0] > 0.0 else None


def _bic(lags: Array, noise: Array, count: int) -> float:
    sign, size = np.linalg.slogdet(noise)
    if sign <= 0:
        return float("inf")
    return float(count * size + np.log(count) * lags.size)


def _root(covariance: Array) -> Array:
    """Return a square root of a covariance that may lack ranks, lower triangular where it has all."""
    try:
        return np.asarray(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _of(root: Array, which: tuple[int, int]) -> Array:
    part = root[list(which)]
    return np.asarray(part @ part.T)
