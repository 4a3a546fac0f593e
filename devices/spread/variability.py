"""From one ideal device to an array of real ones.

- :class:`ParameterSpread`: a model's parameters over cycles or devices, sampled with their bounds
  kept;
- :class:`ReadNoise`: what one read adds;
- :class:`Faults` and :class:`Endurance`: cells that no longer, or never, do as told;
- :class:`RealArray`: all of it, with relaxation or drift, behind one call: levels and times in,
  conductances out.
"""

__all__ = [
    "Endurance",
    "Faults",
    "ParameterSpread",
    "ReadNoise",
    "RealArray",
    "fit_endurance",
    "fit_read_noise",
    "parameter_spread",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ...data.errors import InputError
from ...data.types import Array
from ..fitting.result import Fit
from ..model import CompactModel
from .relaxation import PcmDrift, RelaxationSpread

_EDGE = 1e-9  # how far inside its bounds a parameter is taken to be, as a share of their distance


@dataclass(frozen=True)
class ParameterSpread:
    """A model's parameters over cycles or devices: normal in coordinates that know no bounds.

    A parameter p with bounds becomes logit((p - low)/(high - low)), of logarithms for one on a
    logarithmic scale, so that whatever is drawn lies within them.

    Attributes
    ----------
    model
        The model.
    names
        Parameters that vary.
    mean, covariance
        Of the coordinates, shapes (parameters,) and (parameters, parameters).
    fixed
        The others' values.
    bounds
        (low, high) of each that varies, shape (parameters, 2).
    """

    model: CompactModel
    names: tuple[str, ...]
    mean: Array
    covariance: Array
    fixed: Mapping[str, float]
    bounds: Array

    def sample(self, count: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draw parameter sets, each parameter of shape (count,)."""
        drawn = rng.multivariate_normal(self.mean, self.covariance, count, method="svd")
        values = {name: np.full(count, value) for name, value in self.fixed.items()}
        for k, name in enumerate(self.names):
            values[name] = _bounded(drawn[:, k], self.bounds[k], self.model.parameter(name).log)
        return values


@dataclass(frozen=True)
class ReadNoise:
    """Standard deviation of one read: σ = scale · g_ref (g/g_ref)^power, normal.

    Attributes
    ----------
    scale
        σ/g at ``g_ref``.
    power
        How σ grows with g; 1 for a constant relative noise.
    g_ref
        Conductance that ``scale`` refers to [S].
    """

    scale: float
    power: float = 1.0
    g_ref: float = 1e-4

    def sigma(self, g: ArrayLike) -> Array:
        """Return the standard deviation at conductance g [S]."""
        share = np.maximum(np.asarray(g, float) / self.g_ref, 0.0)
        return np.asarray(self.scale * self.g_ref * share**self.power)

    def sample(self, g: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one read of cells of conductance g [S]."""
        g = np.asarray(g, float)
        return np.asarray(g + self.sigma(g) * rng.standard_normal(g.shape))


@dataclass(frozen=True)
class Faults:
    """Cells that are stuck from the start.

    Attributes
    ----------
    stuck_low, stuck_high
        Probability of a cell to be stuck at ``g_low`` and at ``g_high``.
    g_low, g_high
        These conductances [S].
    """

    stuck_low: float
    stuck_high: float
    g_low: float
    g_high: float

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not (
            self.stuck_low >= 0 and self.stuck_high >= 0 and self.stuck_low + self.stuck_high <= 1
        ):
            raise InputError(
                f"stuck cells: probabilities {self.stuck_low:g} and {self.stuck_high:g} must be 0"
                " or more, 1 together"
            )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return the conductance at which cells are stuck [S], NaN for sound ones, of ``shape``."""
        drawn = rng.random(shape)
        stuck = np.full(shape, np.nan)
        stuck[drawn < self.stuck_low] = self.g_low
        stuck[drawn >= 1.0 - self.stuck_high] = self.g_high
        return stuck


@dataclass(frozen=True)
class Endurance:
    """Writes that a cell survives: a Weibull law. A worn-out cell stays where it was.

    Attributes
    ----------
    writes
        Writes by which 63 % of the cells have failed.
    shape
        Weibull's β: below 1 early failures prevail, above 1 wear-out.
    """

    writes: float
    shape: float = 2.0

    def lifetimes(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw how many writes each cell survives, of ``shape``."""
        return np.asarray(self.writes * rng.weibull(self.shape, shape))


@dataclass(frozen=True)
class RealArray:
    """An array of real devices: programmed to levels, read at times.

    Attributes
    ----------
    programming
        Standard deviation of a programmed conductance about its target [S]: what write-verify
        leaves.
    device_spread
        Relative standard deviation from cell to cell of what a target means, lasting (device to
        device).
    after
        What programmed cells do with time.
    noise
        What a read adds.
    faults, endurance
        Cells stuck from the start; cells that wear out.
    """

    programming: float = 0.0
    device_spread: float = 0.0
    after: RelaxationSpread | PcmDrift | None = None
    noise: ReadNoise | None = None
    faults: Faults | None = None
    endurance: Endurance | None = None

    def sample(
        self,
        g: ArrayLike,
        t: ArrayLike,
        rng: np.random.Generator,
        *,
        writes: ArrayLike = 0.0,
    ) -> Array:
        """Draw what an array reads.

        Parameters
        ----------
        g
            Target conductances [S], any shape.
        t
            Times after programming [s], a number or shape (times,).
        rng
            Source of randomness; the same cells are drawn for all times.
        writes
            How often each cell has been written before, broadcasting against g.

        Returns
        -------
        Array
            Conductances read [S], shape (times, *g.shape), or g's for a single time; never below 0.
        """
        target = np.asarray(g, float)
        if (target < 0).any() or not np.isfinite(target).all():
            raise InputError("target conductances must be finite and 0 S or more")
        own = target * np.maximum(1.0 + self.device_spread * rng.standard_normal(target.shape), 0.0)
        now = np.maximum(own + self.programming * rng.standard_normal(target.shape), 0.0)
        stuck = (
            np.full(target.shape, np.nan)
            if self.faults is None
            else self.faults.sample(target.shape, rng)
        )
        if self.endurance is not None:
            worn = self.endurance.lifetimes(target.shape, rng) < np.asarray(writes, float)
            # a worn-out cell keeps one of the states it went through
            last = rng.permuted(now.ravel()).reshape(now.shape)
            stuck = np.where(worn & np.isnan(stuck), last, stuck)
        times = np.atleast_1d(np.asarray(t, float))
        later = self._later(now, times, rng)
        read = np.where(np.isnan(stuck), later, stuck)
        if self.noise is not None:
            read = self.noise.sample(read, rng)
        read = np.maximum(read, 0.0)
        return read if np.ndim(t) else read[0]

    def _later(self, now: Array, times: Array, rng: np.random.Generator) -> Array:
        if isinstance(self.after, RelaxationSpread):
            return self.after.sample(now, times, rng)
        if isinstance(self.after, PcmDrift):
            state = rng.bit_generator.state
            columns = []
            for time in times:
                rng.bit_generator.state = state  # a cell drifts with one exponent
                columns.append(self.after.drifted(now, float(time), rng))
            return np.stack(columns)
        return np.repeat(now[None], len(times), 0)


def parameter_spread(fits: Sequence[Fit]) -> ParameterSpread:
    """Describe how the parameters of one model scatter over fits to several cycles or devices.

    Parameters that every fit holds at the same value stay fixed; so do those that some fit could
    not identify, at their median.

    Raises
    ------
    InputError
        If there are fewer than three fits, or they are of different models.
    """
    if len(fits) < 3:
        raise InputError(f"{len(fits)} fits are too few for a spread, expected 3 or more")
    model = fits[0].model
    if any(one.model is not model for one in fits):
        raise InputError("the fits are of different models")
    values = {name: np.array([one.parameters[name] for one in fits]) for name in model.names}
    unknown = {name for one in fits for name in one.unidentified}
    names = tuple(
        name for name in model.names if name not in unknown and np.ptp(values[name]) > 0.0
    )
    bounds = np.array([(model.parameter(n).lower, model.parameter(n).upper) for n in names])
    columns = [
        _free(values[name], bounds[k], model.parameter(name).log) for k, name in enumerate(names)
    ]
    table = np.array(columns).reshape(len(names), len(fits))
    return ParameterSpread(
        model,
        names,
        table.mean(1),
        np.atleast_2d(np.cov(table)) if names else np.zeros((0, 0)),
        {name: float(np.median(values[name])) for name in model.names if name not in names},
        bounds,
    )


def fit_read_noise(traces: Array, *, g_ref: float | None = None) -> ReadNoise:
    """Learn read noise from conductance over time.

    Parameters
    ----------
    traces
        Conductance [S], shape (cells, reads); slow drift is taken out by differences of
        neighbouring reads.
    g_ref
        Reference conductance [S]; default: the median cell's.

    Raises
    ------
    InputError
        If there are fewer than ten reads per cell.
    """
    traces = np.atleast_2d(np.asarray(traces, float))
    if traces.shape[1] < 10:
        raise InputError(
            f"{traces.shape[1]} reads per cell are too few for their noise, expected 10 or more"
        )
    g = np.median(traces, 1)
    sigma = np.diff(traces, axis=1).std(1) / np.sqrt(2.0)
    keep = (g > 0) & (sigma > 0)
    if not keep.any():
        raise InputError(
            "the traces hold no noise: every read of a cell is the same, or none conducts"
        )
    reference = float(np.median(g[keep])) if g_ref is None else g_ref
    x, y = np.log(g[keep] / reference), np.log(sigma[keep] / reference)
    power, start = (
        np.polyfit(x, y, 1) if keep.sum() >= 3 and np.ptp(x) > 0.1 else (1.0, np.mean(y - x))
    )
    return ReadNoise(float(np.exp(start)), float(power), reference)


def fit_endurance(writes: ArrayLike, failed: ArrayLike) -> Endurance:
    """Learn a Weibull law from cells that failed and cells that had not when the test ended
    (maximum likelihood).

    Parameters
    ----------
    writes
        Writes at failure, or at the end of the test, shape (cells,).
    failed
        Whether the cell had failed, shape (cells,).

    Raises
    ------
    InputError
        If fewer than three cells failed.
    """
    x = np.asarray(writes, float)
    dead: NDArray[np.bool_] = np.asarray(failed, bool)
    if dead.sum() < 3 or (x <= 0).any():
        raise InputError(
            f"{int(dead.sum())} failures are too few for a law, expected 3 or more, at positive"
            " writes"
        )
    log = np.log(x / x.max())

    def slope(beta: float) -> float:
        weight = np.exp(beta * log)
        return float((weight @ log) / weight.sum() - 1.0 / beta - log[dead].mean())

    beta = float(brentq(slope, 1e-3, 1e3))
    scale = float(x.max() * (np.exp(beta * log).sum() / dead.sum()) ** (1.0 / beta))
    return Endurance(scale, beta)


def _free(values: Array, bounds: Array, log: bool) -> Array:
    low, high = np.log(bounds) if log else bounds
    share = ((np.log(values) if log else values) - low) / (high - low)
    share = np.clip(share, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(share / (1.0 - share)))


def _bounded(free: Array, bounds: Array, log: bool) -> Array:
    low, high = np.log(bounds) if log else bounds
    value = low + (high - low) * 0.5 * (1.0 + np.tanh(0.5 * free))
    return np.asarray(np.exp(value) if log else value)
