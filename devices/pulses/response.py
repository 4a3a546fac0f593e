"""Fit pulse ramps, with their spread from cycle to cycle, and say what writing a level takes.

A ramp is fitted by one of the laws of :mod:`~memtwin.devices.pulses.laws` with lmfit. Many ramps of
one device give the law's parameters ramp by ramp: their trend over cycles (a device that is being
worn in drifts), their scatter about it (cycle to cycle), and what a smooth law leaves behind (pulse
to pulse). :class:`PulseResponse` joins an up and a down direction and answers a programmer's
questions: how many pulses from one level to another, and how far off they land.
"""

__all__ = ["TRENDS", "PulseResponse", "RampSpread", "fit_spread", "one_sided"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError
from ...data.measurement import PulseTrain
from ...data.types import Array, Progress
from .laws import PulseLaw
from .ramp import PulseFit, find_law, fit_ramp, inverse

TRENDS = ("constant", "logarithmic", "linear")


@dataclass(frozen=True)
class RampSpread:
    """A law whose parameters scatter from ramp to ramp, about a trend.

    Attributes
    ----------
    law, pulses
        The law and the length of its ramps.
    trend
        ``constant``, ``logarithmic`` or ``linear`` in the number of the ramp, for each parameter.
    coefficients
        Value and slope of each parameter's trend, shape (parameters, 2).
    covariance
        Scatter of the parameters about it, shape (parameters, parameters).
    bias
        Mean of what the law leaves behind (measurement minus law) over the ramp, shape (pulses +
        1,).
    noise
        Standard deviation of what remains: pulse to pulse.
    ramps
        Number of ramps that this was learnt from.
    fits
        Each ramp's own fit.
    """

    law: PulseLaw
    pulses: int
    trend: tuple[str, ...]
    coefficients: Array
    covariance: Array
    bias: Array
    noise: float
    ramps: int
    fits: tuple[PulseFit, ...]

    def expected(self, ramp: float) -> Array:
        """Return the parameters expected for one ramp, counted from 0, shape (parameters,)."""
        return np.array(
            [
                c[0] + c[1] * _regressor(kind, ramp)
                for kind, c in zip(self.trend, self.coefficients, strict=True)
            ]
        )

    def mean(self, n: Array, ramp: float = 0.0) -> Array:
        """Return the conductance expected after n pulses of a ramp, of n's shape."""
        n = np.asarray(n, float)
        return self.law.curve(n, self.expected(ramp), self.pulses) + self._bias(n)

    def sample(self, n: Array, ramp: float, count: int, rng: np.random.Generator) -> Array:
        """Draw ramps: conductance after n pulses, shape (count, len(n))."""
        n = np.asarray(n, float)
        values = rng.multivariate_normal(self.expected(ramp), self.covariance, count, method="svd")
        smooth = np.stack([self.law.curve(n, row, self.pulses) for row in values])
        # a law learnt from few ramps is itself uncertain, by 1/ramps of their variance
        lift = np.sqrt(1.0 + 2.0 / self.ramps)
        middle = self.law.curve(n, self.expected(ramp), self.pulses)
        noise = self.noise * rng.standard_normal(smooth.shape)
        return np.asarray(middle + lift * (smooth - middle) + self._bias(n) + noise)

    def band(
        self,
        n: Array,
        ramp: float,
        rng: np.random.Generator,
        *,
        share: float = 0.9,
        count: int = 4000,
    ) -> tuple[Array, Array]:
        """Return the limits between which ``share`` of the ramps lie after n pulses, each of n's
        shape.
        """
        drawn = self.sample(n, ramp, count, rng)
        low, high = np.quantile(drawn, ((1 - share) / 2, (1 + share) / 2), axis=0)
        return low, high

    def _bias(self, n: Array) -> Array:
        return np.interp(n, np.arange(len(self.bias)), self.bias)


@dataclass(frozen=True)
class PulseResponse:
    """A device that is written by identical pulses, up and down.

    Attributes
    ----------
    up, down
        What its ramps do, with their spread.
    """

    up: RampSpread
    down: RampSpread

    def step(self, g: Array, direction: int) -> tuple[Array, Array]:
        """Return mean and standard deviation of what one pulse up (1) or down (-1) changes at
        conductance g.
        """
        if direction not in (1, -1):
            raise InputError(f"a pulse goes up (1) or down (-1), not {direction}")
        side = self.up if direction > 0 else self.down
        fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
        n = inverse(fine, side.mean(fine), np.asarray(g, float))
        return side.mean(n + 1.0) - side.mean(n), np.full(np.shape(n), np.sqrt(2.0) * side.noise)

    def between(
        self, levels: Array, rng: np.random.Generator, *, draws: int = 200
    ) -> tuple[Array, Array]:
        """Return what it takes to go from every level to every other without reading in between.

        Parameters
        ----------
        levels
            Conductances, shape (levels,).
        rng, draws
            Where the spread is drawn from.

        Returns
        -------
        tuple
            Expected number of pulses, and standard deviation of the conductance reached, both of
            shape (levels from, levels to); NaN where a level lies outside a ramp.
        """
        levels = np.asarray(levels, float)
        count = len(levels)
        pulses, spread = np.zeros((count, count)), np.zeros((count, count))
        rising = levels[None, :] > levels[:, None]
        for side, chosen in ((self.up, rising), (self.down, rising.T)):
            fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
            place = inverse(fine, side.mean(fine), levels)
            needed = place[None, :] - place[:, None]
            values = rng.multivariate_normal(
                side.expected(0.0), side.covariance, draws, method="svd"
            )
            reached = np.empty((draws, count, count))
            for k, row in enumerate(values):
                curve = side.law.curve(fine, row, side.pulses) + side._bias(fine)
                own = inverse(fine, curve, levels, clip=True)
                reached[k] = np.interp(own[:, None] + np.nan_to_num(needed), fine, curve)
            landed = np.sqrt(reached.var(0) + side.noise**2)
            pulses[chosen] = np.abs(needed[chosen])
            spread[chosen] = np.where(np.isfinite(needed[chosen]), landed[chosen], np.nan)
        return pulses, spread


def one_sided(side: RampSpread, plus: float, minus: float, change: float) -> tuple[float, float]:
    """Return the pulses that a pair of devices which only rise needs to change its weight g+ - g-.

    Parameters
    ----------
    side
        What one device's ramp does.
    plus, minus
        Conductances of the pair now.
    change
        Wanted change of their difference: above zero it is written to the plus device, else to the
        minus device.

    Returns
    -------
    tuple
        Pulses on the plus and on the minus device; NaN where that device is at its end and the pair
        must be refreshed.
    """
    fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
    curve = side.mean(fine)
    way = 1.0 if curve[-1] >= curve[0] else -1.0
    moved = plus if change > 0.0 else minus
    now, then = inverse(fine, curve, np.array([moved, moved + way * abs(change)]))
    needed = float(then - now)
    return (needed, 0.0) if change > 0.0 else (0.0, needed)


def fit_spread(
    train: PulseTrain,
    law: str | PulseLaw = "exponential",
    *,
    trends: Sequence[str] = TRENDS,
    progress: Progress | None = None,
) -> RampSpread:
    """Fit a law to every ramp of a train, and describe how its parameters move and scatter.

    The trend of each parameter over the ramps is the one with the smallest AIC among constant,
    logarithmic and linear.

    Raises
    ------
    InputError
        If there are fewer than five ramps.
    """
    law = find_law(law)
    if len(train.g) < 5:
        raise InputError(
            f"{train.name}: {len(train.g)} ramps are too few for a spread, expected 5 or more"
        )
    length = int(train.lengths.min())
    fits = []
    for k, ramp in enumerate(train.g, start=1):
        fits.append(fit_ramp(ramp[:length], law))
        if progress is not None:
            progress(k, len(train.g))
    values = np.stack([one.values for one in fits])
    number = np.arange(len(values), dtype=float)
    trend, coefficients, scatter = [], [], []
    for column in values.T:
        kind, line, rest = _best_trend(number, column, trends)
        trend.append(kind)
        coefficients.append(line)
        scatter.append(rest)
    covariance = np.atleast_2d(np.cov(np.stack(scatter), bias=False))
    left = -np.stack([one.residual for one in fits])
    bias = left.mean(0)
    noise = float((left - bias).std())
    return RampSpread(
        law,
        length - 1,
        tuple(trend),
        np.array(coefficients),
        covariance,
        bias,
        noise,
        len(fits),
        tuple(fits),
    )


def _regressor(kind: str, ramp: float | Array) -> Array:
    if kind == "constant":
        return np.zeros_like(np.asarray(ramp, float))
    return np.log1p(ramp) if kind == "logarithmic" else np.asarray(ramp, float)


def _best_trend(
    number: Array, column: Array, trends: Sequence[str]
) -> tuple[str, tuple[float, float], Array]:
    best: tuple[float, str, tuple[float, float], Array] | None = None
    for kind in trends:
        x = _regressor(kind, number)
        if kind == "constant":
            line, taken = (float(column.mean()), 0.0), 1
        else:
            slope, start = np.polyfit(x, column, 1)
            line, taken = (float(start), float(slope)), 2
        rest = column - line[0] - line[1] * x
        aic = len(column) * np.log(max(float(np.mean(rest**2)), 1e-300)) + 2 * taken
        if best is None or aic < best[0] - 1e-9:
            best = (aic, kind, line, rest * np.sqrt(len(column) / (len(column) - taken)))
    assert best is not None
    return best[1], best[2], best[3]
