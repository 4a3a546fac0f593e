"""Many ramps of one device: a law whose parameters drift from ramp to ramp, and scatter.

Every ramp is fitted by one of the laws of :mod:`~memtwin.devices.pulses.laws`. The parameters' trend
over the ramps (a device that is being worn in drifts), their scatter about it (cycle to cycle), and
what a smooth law leaves behind (pulse to pulse) are what a :class:`RampSpread` knows.
"""

__all__ = ["LEAST", "TRENDS", "RampSpread", "fit_mean", "fit_spread"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.errors import InputError, too_few
from ...data.measurement import PulseTrain
from ...data.types import Array, Progress
from .laws import PulseLaw
from .ramp import PulseFit, find_law, fit_ramp

TRENDS = ("constant", "logarithmic", "linear")
LEAST = 5
"""Ramps from which a spread is learnt."""


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
        """Draw ramps: conductance after n pulses, shape (count, len(n)).

        Parameters
        ----------
        n
            Pulses, counted from 0.
        ramp
            Which ramp, counted from 0.
        count
            How many ramps to draw.
        rng
            What random numbers are drawn from.
        """
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

        Parameters
        ----------
        n
            Pulses, counted from 0.
        ramp
            Which ramp, counted from 0.
        rng
            What random numbers are drawn from.
        share
            Share of ramps within the band [0..1].
        count
            Ramps that are drawn to find it.
        """
        drawn = self.sample(n, ramp, count, rng)
        low, high = np.quantile(drawn, ((1 - share) / 2, (1 + share) / 2), axis=0)
        return low, high

    def __str__(self) -> str:
        """Return what was learnt, a line for the ramps and one for each parameter."""
        first, last = self.mean(np.array([0.0, self.pulses]))
        worst = max(one.nrmse_percent for one in self.fits)
        floor = float(np.median([one.floor_percent for one in self.fits]))
        lines = [
            f"{self.ramps} ramp{'s' if self.ramps > 1 else ''} of {self.pulses} pulses,"
            f" {first:.4g} to {last:.4g}, {self.law.name} law: {worst:.2f} % of the range at worst"
            f" (noise of the data {floor:.2f} %), pulse to pulse {self.noise:.2g}"
        ]
        scatter, what = np.sqrt(np.diag(self.covariance)), " from ramp to ramp"
        if self.ramps < LEAST:
            scatter, what = self.fits[0].stderr, ""
        for name, value, error, kind in zip(
            self.law.names, self.expected(0.0), scatter, self.trend, strict=True
        ):
            lines.append(
                f"    {name:6} {value:.5g} ± {error:.2g}{what}"
                + (f", {kind} trend" if kind != "constant" else "")
            )
        return "\n".join(lines)

    def summary(self) -> dict[str, Any]:
        """Return what was learnt, as plain mappings, lists and numbers."""
        return {
            "law": self.law.name,
            "ramps": self.ramps,
            "pulses": self.pulses,
            "parameters": dict(zip(self.law.names, self.expected(0.0).tolist(), strict=True)),
            "trend": dict(zip(self.law.names, self.trend, strict=True)),
            "scatter": dict(
                zip(self.law.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True)
            ),
            "nrmse_percent": [one.nrmse_percent for one in self.fits],
            "floor_percent": [one.floor_percent for one in self.fits],
            "noise": self.noise,
        }

    def _bias(self, n: Array) -> Array:
        return np.interp(n, np.arange(len(self.bias)), self.bias)


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

    Parameters
    ----------
    train
        Ramps of conductances, one direction.
    law
        The law, or its name.
    trends
        Trends over the ramps to choose from.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If there are fewer than five ramps.
    """
    law = find_law(law)
    if len(train.g) < LEAST:
        raise InputError(
            f"{train.name}: {too_few(len(train.g), 'ramp')} for a spread, expected {LEAST} or more"
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


def fit_mean(
    train: PulseTrain, law: str | PulseLaw, *, progress: Progress | None = None
) -> RampSpread:
    """Fit the mean ramp of a train of few; nothing is said of a spread.

    Parameters
    ----------
    train
        Ramps of conductances, one direction.
    law
        The law, or its name.
    progress
        Called with how much is done, and of how much.
    """
    length = int(train.lengths.min())
    one = fit_ramp(train.g[:, :length].mean(0), law)
    if progress is not None:
        progress(1, 1)
    size = len(one.values)
    return RampSpread(
        one.law,
        length - 1,
        ("constant",) * size,
        np.stack([one.values, np.zeros(size)], 1),
        np.zeros((size, size)),
        np.zeros(length),
        float(one.residual.std()),
        len(train.g),
        (one,),
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
