"""What a RESET pulse does: it switches a cell with some probability, to a level of its own law.

    P = logistic(b_0 + b_w log10(pw/1 µs) + b_v (v_sl - v_0) - b_g (g - g_0)/10 µS - b_wl softplus(v_knee - v_wl))

Measured RESETs of cells behind a source follower are bimodal; no equation of a gap that shrinks makes that. A cell that
is not reset rises instead, by ``rise · (pw/1 µs)^a · (v_wl - v_on)^b · (v_sl/v_0)^c``.
"""

__all__ = ["LogNormal", "ResetFit", "ResetLaw", "fit_reset"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from ...data.chip import PulseMap
from ...data.errors import InputError
from ...data.types import Array

_SOFT = 0.03  # [V] over which the knee bends
_FEW = 20
_STRENGTH = 1e-3  # of a prior that keeps coefficients finite where the data separate perfectly


@dataclass(frozen=True)
class LogNormal:
    """A level that is log-normal.

    Attributes
    ----------
    g
        Median [S].
    decades
        Standard deviation of log10.
    """

    g: float
    decades: float

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        if not (0.0 < self.g < np.inf and 0.0 <= self.decades < np.inf):
            raise InputError(
                f"level: expected a median above 0 S and decades from 0, got {self.g!r} and"
                f" {self.decades!r}"
            )

    def sample(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw levels [S]."""
        return np.asarray(self.g * 10.0 ** (self.decades * rng.standard_normal(shape)))


@dataclass(frozen=True)
class ResetLaw:
    """Probability of a RESET, and where cells are afterwards.

    Attributes
    ----------
    base, width, line, start, word, knee
        Coefficients of the logistic law: at 1 µs, ``v_ref`` and ``g_ref``; per decade of width; per volt of the source
        line; per 10 µS of start; per volt of word line below the knee; the knee [V].
    v_ref, g_ref
        What the law is written around [V], [S].
    level
        Where cells that were reset are.
    rise, rise_width, rise_word, rise_line, rise_on
        What the others gain at 1 µs, 1 V above ``rise_on`` [V] and ``v_ref`` [S], and its exponents.
    """

    base: float
    width: float
    line: float
    start: float
    word: float
    knee: float
    v_ref: float
    g_ref: float
    level: LogNormal
    rise: float = 0.0
    rise_width: float = 0.5
    rise_word: float = 0.15
    rise_line: float = 3.0
    rise_on: float = 2.0

    def probability(self, g: ArrayLike, v_wl: ArrayLike, v_sl: ArrayLike, pw: ArrayLike) -> Array:
        """Return the probability that cells that read g [S] are reset; all broadcast.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        v_wl
            Voltage of the word line [V].
        v_sl
            Voltage of the source line [V].
        pw
            Width of the pulse [s].
        """
        features = _features(g, v_wl, v_sl, pw, self.v_ref, self.g_ref, self.knee)
        weights = (self.base, self.width, self.line, -self.start, -self.word)
        return np.asarray(expit(sum(w * f for w, f in zip(weights, features, strict=True))))

    def gain(self, v_wl: ArrayLike, v_sl: ArrayLike, pw: ArrayLike) -> Array:
        """Return by how much a cell rises that is not reset [S].

        Parameters
        ----------
        v_wl
            Voltage of the word line [V].
        v_sl
            Voltage of the source line [V].
        pw
            Width of the pulse [s].
        """
        above = np.maximum(np.asarray(v_wl, float) - self.rise_on, 0.0)
        return np.asarray(
            self.rise
            * (np.asarray(pw, float) / 1e-6) ** self.rise_width
            * above**self.rise_word
            * (np.maximum(v_sl, 0.0) / self.v_ref) ** self.rise_line
        )

    def pulse(
        self,
        g: ArrayLike,
        v_wl: ArrayLike,
        v_sl: ArrayLike,
        pw: ArrayLike,
        rng: np.random.Generator,
    ) -> Array:
        """Return what cells that read g [S] read after a RESET pulse [S]; a RESET lifts none.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        v_wl
            Voltage of the word line [V].
        v_sl
            Voltage of the source line [V].
        pw
            Width of the pulse [s].
        rng
            What random numbers are drawn from.
        """
        g = np.asarray(g, float)
        done = rng.random(g.shape) < self.probability(g, v_wl, v_sl, pw)
        left = np.minimum(self.level.sample(g.shape, rng), g)
        return np.where(done, left, g + self.gain(v_wl, v_sl, pw))


@dataclass(frozen=True)
class ResetFit:
    """A fitted RESET law.

    Attributes
    ----------
    law
        The law.
    error, noise
        Root mean square of what it misses of the probability by combination, and the binomial noise of that;
        ``rise`` [S] of the medians of cells that were not reset.
    stderr
        Standard errors of the logistic coefficients.
    cells, resets
        How many cells were pulsed, and reset.
    """

    law: ResetLaw
    error: Mapping[str, float]
    noise: Mapping[str, float]
    stderr: Mapping[str, float]
    cells: int
    resets: int


def _features(
    g: ArrayLike,
    v_wl: ArrayLike,
    v_sl: ArrayLike,
    pw: ArrayLike,
    v_ref: float,
    g_ref: float,
    knee: float,
) -> tuple[Array, ...]:
    below = _SOFT * np.logaddexp(0.0, (knee - np.asarray(v_wl, float)) / _SOFT)
    width = np.log10(np.asarray(pw, float) / 1e-6)
    line, start = np.asarray(v_sl, float) - v_ref, (np.asarray(g, float) - g_ref) / 1e-5
    return np.ones(()), width, line, start, below


def fit_reset(measured: PulseMap, *, below: float = 60e-6) -> ResetFit:
    """Fit the RESET law to a map by maximum likelihood.

    Parameters
    ----------
    measured
        The map; its RESET pulses on cells that read more than ``below``.
    below
        Conductance below which a cell counts as reset [S].

    Raises
    ------
    InputError
        If fewer than twenty cells were reset, or not reset.
    """
    from scipy.optimize import minimize

    wanted = measured.reset & (measured.g_before > below)
    ended = measured.g_after[wanted] < below
    if min(ended.sum(), (~ended).sum()) < _FEW:
        raise InputError(
            f"{measured.name}: {int(ended.sum())} of {len(ended)} RESET pulses left cells below"
            f" {1e6 * below:g} µS, expected {_FEW} or more that did and that did not"
        )
    kept, done = measured.only(wanted), ended
    v_ref, g_ref = float(kept.v_sl.max()), float(np.median(kept.g_before))

    def features(knee: float) -> Array:
        rows = _features(kept.g_before, kept.v_wl, kept.v_sl, kept.pw, v_ref, g_ref, knee)
        return np.stack([np.broadcast_to(row, done.shape) for row in rows])

    def cost(x: Array) -> tuple[float, Array]:
        rows = features(x[5])
        score = x[:5] @ rows
        miss = expit(score) - done
        bend = expit((x[5] - kept.v_wl) / _SOFT)
        slope = float((miss * x[4] * bend).sum())
        value = float(np.logaddexp(0.0, np.where(done, -score, score)).sum())
        shrink = _STRENGTH * x[:5]
        return value + 0.5 * float(shrink @ x[:5]), np.append(rows @ miss + shrink, slope)

    knees = np.quantile(np.unique(kept.v_wl), (0.4, 0.6, 0.75, 0.9))
    found = min(
        (
            minimize(cost, np.array([-1.0, 4.0, 4.0, -1.0, -5.0, knee]), jac=True, method="BFGS")
            for knee in knees
        ),
        key=lambda one: float(one.fun),
    )
    x = found.x
    error = np.sqrt(np.maximum(np.diag(found.hess_inv), 0.0))
    lower = np.log10(np.maximum(kept.g_after[done], 1e-7))
    level = LogNormal(float(10 ** np.median(lower)), _core(lower))
    rise = _fit_rise(kept, done, v_ref)
    law = ResetLaw(
        base=float(x[0]),
        width=float(x[1]),
        line=float(x[2]),
        start=float(-x[3]),
        word=float(-x[4]),
        knee=float(x[5]),
        v_ref=v_ref,
        g_ref=g_ref,
        level=level,
    )
    law = replace(law, **rise[0])
    names = ("base", "width", "line", "start", "word", "knee")
    misses, noise = _compared(kept, done, law)
    return ResetFit(
        law,
        {"switched": misses, "rise": rise[1]},
        {"switched": noise},
        dict(zip(names, map(float, error), strict=True)),
        len(kept),
        int(done.sum()),
    )


def _core(x: Array) -> float:
    """Return half of what lies between the 16 and 84 % quantiles."""
    low, high = np.quantile(x, (0.16, 0.84))
    return float(0.5 * (high - low))


def _groups(kept: PulseMap) -> tuple[Array, np.ndarray]:
    table = np.asarray(np.round(np.stack((kept.pw, kept.v_wl, kept.v_sl)), 12), float)
    keys, which = np.unique(table, axis=1, return_inverse=True)
    return keys, which.reshape(-1)


def _compared(kept: PulseMap, done: np.ndarray, law: ResetLaw) -> tuple[float, float]:
    _, which = _groups(kept)
    count = np.bincount(which)
    told = law.probability(kept.g_before, kept.v_wl, kept.v_sl, kept.pw)
    mean = np.bincount(which, told) / count
    miss = np.bincount(which, done) / count - mean
    noise = mean * (1.0 - mean) / count
    return float(np.sqrt(np.mean(miss**2))), float(np.sqrt(np.mean(noise)))


def _fit_rise(kept: PulseMap, done: np.ndarray, v_ref: float) -> tuple[dict[str, Any], float]:
    """Return the rise's parameters, and by how much they miss the medians [S]."""
    from scipy.optimize import least_squares

    still = kept.only(~done)
    keys, which = _groups(still)
    order = np.argsort(which, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(which))[:-1])
    rows = [
        (*keys[:, k], float(np.median((still.g_after - still.g_before)[group])), len(group))
        for k, group in enumerate(groups)
        if len(group) >= 5
    ]
    names = ("rise", "rise_width", "rise_word", "rise_line", "rise_on")
    if len(rows) < 12:
        return dict.fromkeys(names[:1], 0.0), 0.0
    pw, v_wl, v_sl, gain, count = np.array(rows).T

    def told(x: Array) -> Array:
        above = np.maximum(v_wl - x[4], 1e-9)
        on = np.where(v_wl > x[4], above ** x[2], 0.0)
        return np.asarray(x[0] * (pw / 1e-6) ** x[1] * on * (v_sl / v_ref) ** x[3])

    weight = np.sqrt(count / count.max())
    best = min(
        (
            least_squares(
                lambda x: weight * (told(x) - 1e6 * gain),
                [max(1e6 * gain.max(), 0.1), 0.5, 0.3, 3.0, on],
                bounds=([0.0, 0.0, 0.05, 0.0, 0.0], [1e3, 2.0, 3.0, 12.0, float(v_wl.max())]),
            )
            for on in np.quantile(v_wl, (0.2, 0.5, 0.7))
        ),
        key=lambda one: float(one.cost),
    )
    x = best.x
    miss = float(np.sqrt(np.mean((told(x) - 1e6 * gain) ** 2))) * 1e-6
    return dict(zip(names, (1e-6 * x[0], *map(float, x[1:])), strict=True)), miss
