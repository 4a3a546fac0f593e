"""Fit pulse ramps, with their spread from cycle to cycle, and say what writing a level takes.

A ramp is fitted by one of the laws of :mod:`~memtwin.devices.pulses.laws` with lmfit. Many ramps of
one device give the law's parameters ramp by ramp: their trend over cycles (a device that is being
worn in drifts), their scatter about it (cycle to cycle), and what a smooth law leaves behind (pulse
to pulse). :class:`PulseResponse` joins an up and a down direction and answers a programmer's
questions: how many pulses from one level to another, and how far off they land.
"""

__all__ = [
    "TRENDS",
    "PulseResponse",
    "RampSpread",
    "fit_response",
    "fit_spread",
    "load_response",
    "save_response",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.errors import InputError
from ...data.measurement import PulseTrain
from ...data.store import reading, write_record
from ...data.types import Array, Progress
from .laws import PulseLaw
from .ramp import PulseFit, find_law, fit_ramp, inverse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRENDS = ("constant", "logarithmic", "linear")
_LEAST = 5  # ramps from which a spread is learnt


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
        if self.ramps < _LEAST:
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


@dataclass(frozen=True)
class PulseResponse:
    """A device that is written by identical pulses, up and down.

    Attributes
    ----------
    up, down
        What its ramps do, with their spread; ``None`` for a direction that was not measured.
    name
        What it is called.
    unit
        Unit of its conductances: ``S``, or ``1`` where they are normalised.
    """

    up: RampSpread | None
    down: RampSpread | None
    name: str = "device"
    unit: str = "S"

    def __str__(self) -> str:
        """Return what was learnt of either direction."""
        unit = "S" if self.unit == "S" else "normalised"
        return "\n".join(
            [
                f"Pulse response of {self.name} (conductances: {unit})",
                *(f"{way}: {side}" for way, side in self.sides.items()),
            ]
        )

    @property
    def sides(self) -> dict[str, RampSpread]:
        """The directions that were measured, by their name."""
        both = {"up": self.up, "down": self.down}
        return {way: side for way, side in both.items() if side is not None}

    def levels(self, count: int) -> Array:
        """Return evenly spaced conductances within all ramps, shape (count,)."""
        ends = np.array([side.mean(np.array([0.0, side.pulses])) for side in self.sides.values()])
        low, high = float(ends.min(1).max()), float(ends.max(1).min())
        if count < 2 or not low < high:
            raise InputError(
                f"{self.name}: no {count} levels between {low:.4g} and {high:.4g}; ask for 2 or more"
                " within what both directions reach"
            )
        return np.linspace(low, high, count)

    def step(self, g: Array, direction: int) -> tuple[Array, Array]:
        """Return mean and standard deviation of what one pulse up (1) or down (-1) changes at
        conductance g.
        """
        if direction not in (1, -1):
            raise InputError(f"a pulse goes up (1) or down (-1), not {direction}")
        side = self.up if direction > 0 else self.down
        if side is None:
            raise InputError(f"{self.name}: no ramp {'up' if direction > 0 else 'down'} is known")
        fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
        n = inverse(fine, side.mean(fine), np.asarray(g, float))
        return side.mean(n + 1.0) - side.mean(n), np.full(np.shape(n), np.sqrt(2.0) * side.noise)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw either direction's ramps with what the law expects, and the step by conductance.

        Parameters
        ----------
        path
            Where to write the picture; the suffix names its format.
        """
        from ..plots import ramps_page, write

        return write(ramps_page(self), path)

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
            shape (levels from, levels to); NaN where a level lies outside a ramp, or that direction
            was not measured.
        """
        levels = np.asarray(levels, float)
        count = len(levels)
        pulses, spread = np.zeros((count, count)), np.zeros((count, count))
        rising = levels[None, :] > levels[:, None]
        for side, chosen in ((self.up, rising), (self.down, rising.T)):
            if side is None:
                pulses[chosen] = spread[chosen] = np.nan
                continue
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
    if len(train.g) < _LEAST:
        raise InputError(
            f"{train.name}: {len(train.g)} ramps are too few for a spread, expected {_LEAST} or more"
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


def fit_response(
    trains: Sequence[PulseTrain],
    law: str | PulseLaw = "exponential",
    *,
    name: str | None = None,
    progress: Progress | None = None,
) -> PulseResponse:
    """Fit a law to the ramps of a device; which direction a train goes is seen in it.

    Fewer than five ramps of a direction tell no spread: their mean is fitted, and only the noise from
    pulse to pulse is known.

    Raises
    ------
    InputError
        If there is no train, or two of the same direction or of different units.
    """
    sides: dict[str, RampSpread] = {}
    for train in trains:
        ends = train.g[:, 0], train.g[np.arange(len(train.g)), train.lengths - 1]
        way = "up" if float(np.mean(ends[1] - ends[0])) > 0.0 else "down"
        if way in sides:
            raise InputError(f"{train.name}: its ramps go {way}, and so do those before it")
        if train.unit != trains[0].unit:
            raise InputError(f"{train.name}: its unit is {train.unit}, before it {trains[0].unit}")
        fit_side = _fit_mean if len(train.g) < _LEAST else fit_spread
        sides[way] = fit_side(train, law, progress=progress)
    if not sides:
        raise InputError("there is no ramp to fit")
    return PulseResponse(sides.get("up"), sides.get("down"), name or trains[0].name, trains[0].unit)


def _fit_mean(
    train: PulseTrain, law: str | PulseLaw, *, progress: Progress | None = None
) -> RampSpread:
    """Fit the mean ramp of a train; nothing is said of a spread."""
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


def save_response(response: PulseResponse, path: str | Path) -> Path:
    """Write a response as a record."""
    tree: dict[str, Any] = {"name": response.name, "unit": response.unit}
    for way, side in response.sides.items():
        tree[way] = {
            "law": side.law.name,
            "names": list(side.law.names),
            "pulses": side.pulses,
            "trend": list(side.trend),
            "coefficients": side.coefficients,
            "covariance": side.covariance,
            "bias": side.bias,
            "noise": side.noise,
            "ramps": side.ramps,
            **{f"fit_{key}": np.array([getattr(one, key) for one in side.fits]) for key in _KEPT},
        }
    return write_record(path, "pulse-response", tree)


def load_response(path: str | Path) -> PulseResponse:
    """Read what :func:`save_response` wrote.

    Raises
    ------
    InputError
        If it is no such record, or a damaged one.
    """
    with reading(path, "pulse-response") as tree:
        up, down = (_side(tree[way]) if way in tree else None for way in ("up", "down"))
        return PulseResponse(up, down, str(tree["name"]), str(tree["unit"]))


_KEPT = ("values", "stderr", "nrmse_percent", "floor_percent", "residual")


def _side(tree: Mapping[str, Any]) -> RampSpread:
    law, pulses = find_law(tree["law"]), int(tree["pulses"])
    rows = zip(*(tree[f"fit_{key}"] for key in _KEPT), strict=True)
    fits = tuple(
        PulseFit(law, values, stderr, pulses, float(nrmse), float(floor), residual)
        for values, stderr, nrmse, floor, residual in rows
    )
    return RampSpread(
        law,
        pulses,
        tuple(tree["trend"]),
        tree["coefficients"],
        tree["covariance"],
        tree["bias"],
        float(tree["noise"]),
        int(tree["ramps"]),
        fits,
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
