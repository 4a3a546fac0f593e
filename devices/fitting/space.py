"""The space that a fit searches: which parameters are free, between which bounds, on which scale.

Every free parameter becomes one coordinate of the unit cube, linear or logarithmic as its model's
table says; each sweep adds its own initial state ``x0_1``, ``x0_2``, ... A :class:`Space` turns
points of the cube into residuals.
"""

__all__ = ["Prior", "Space", "default_bounds", "make_space", "thinned", "thinned_sweep"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError, nearest
from ...data.measurement import Sweep
from ...data.types import Array
from ..dynamics.walk import Trail
from ..model import SERIES, CompactModel
from .loss import Loss
from .model_response import at_once, respond_to
from .search import Problem

_FEW = 100  # points of a thinned sweep
_LEAST_STATE = 1e-5  # the logarithmic axis of x0 starts here


@dataclass(frozen=True)
class Prior:
    """What is known of a parameter before: a normal law, of its logarithm for parameters on a
    logarithmic scale.

    Attributes
    ----------
    mean
        Expected value, in the parameter's unit.
    sigma
        Standard deviation, in the parameter's unit, or of ln(parameter).
    """

    mean: float
    sigma: float


@dataclass(frozen=True)
class Space:
    """Free parameters, their bounds, and the sweeps they answer to.

    Attributes
    ----------
    model, sweeps, loss
        What is fitted, to what, and how differences count.
    names
        Free parameters, the sweeps' initial states last.
    lower, upper, log
        Bounds and scale of each, shape (parameters,).
    fixed
        Values of the others.
    priors
        Prior knowledge of some.
    substeps
        Integration steps per measured interval.
    """

    model: CompactModel
    sweeps: tuple[Sweep, ...]
    loss: Loss
    names: tuple[str, ...]
    lower: Array
    upper: Array
    log: NDArray[np.bool_]
    fixed: Mapping[str, float]
    priors: Mapping[str, Prior] = field(default_factory=dict)
    substeps: int = 1

    def values(self, z: Array) -> Array:
        """Return parameters at points z of the cube, both of shape (..., parameters)."""
        low, high = np.where(self.log, self.lower, 1.0), np.where(self.log, self.upper, 1.0)
        geometric = low * np.exp(z * np.log(high / low))
        return np.where(self.log, geometric, self.lower + z * (self.upper - self.lower))

    def slopes(self, z: Array) -> Array:
        """Return d(parameter)/dz, shape (..., parameters)."""
        low, high = np.where(self.log, self.lower, 1.0), np.where(self.log, self.upper, 1.0)
        return np.where(self.log, self.values(z) * np.log(high / low), self.upper - self.lower)

    def points(self, values: Array) -> Array:
        """Return the points of the cube where the parameters have these values, clipped to it."""
        low, high = np.where(self.log, self.lower, 1.0), np.where(self.log, self.upper, np.e)
        inside = np.clip(values, self.lower, self.upper)
        linear = (inside - self.lower) / (self.upper - self.lower)
        positive = np.where(self.log, inside, 1.0)
        return np.where(self.log, np.log(positive / low) / np.log(high / low), linear)

    def split(self, values: Array) -> tuple[dict[str, Array], list[Array]]:
        """Return the model's parameters and each sweep's x0 for value sets of shape (sets,
        parameters).
        """
        free = dict(zip(self.names, values.T, strict=True))
        count = len(values)
        p = {
            name: free[name] if name in free else np.full(count, self.fixed[name])
            for name in self.model.names
        }
        starts = [
            free.get(_x0(k), np.full(count, self.fixed.get(_x0(k), 0.0)))
            for k in range(len(self.sweeps))
        ]
        return p, starts

    @cached_property
    def at_once(self) -> bool:
        """Whether a simulation can correct all its steps at once, so that many cost little."""
        return at_once(self.model, self.sweeps)

    def along(self, trail: Trail | None = None) -> Problem:
        """Return :meth:`residuals` on a trail, by default a new one."""
        return partial(self.residuals, trail=Trail() if trail is None else trail)

    def residuals(
        self, z: Array, differentiate: bool = True, trail: Trail | None = None
    ) -> tuple[Array, Array]:
        """Return residuals (rows, sets) of points, and dr/dz (parameters, rows, sets).

        Parameters
        ----------
        z
            Points of the cube, (sets, parameters).
        differentiate
            Whether dr/dz is wanted; else it is empty.
        trail
            Walks of points tried before, to begin with the nearest ones'; these are added to it.
        """
        p, starts = self.split(self.values(z))
        scale = self.slopes(z).T  # (parameters, sets)
        shared = [name for name in self.names if not name.startswith("x0_")]
        wanted = [*shared, *(["x0"] if len(shared) < len(self.names) else [])]
        answers = respond_to(
            self.sweeps,
            self.model,
            p,
            starts,
            wanted=wanted if differentiate else (),
            substeps=self.substeps,
            near=trail.near(z) if trail is not None and self.at_once else None,
        )
        if trail is not None and self.at_once and answers[0].walk is not None:
            trail.keep(z, answers[0].walk)
        parts, slopes = [], []
        for k, (sweep, answer) in enumerate(zip(self.sweeps, answers, strict=True)):
            residual, slope = self.loss.residuals(answer.i, sweep)
            parts.append(residual)
            if differentiate:
                by = np.zeros((len(self.names), *residual.shape))
                own = [_x0(k)] if _x0(k) in self.names else []
                rows = [self.names.index(name) for name in (*shared, *own)]
                kept = answer.slopes[: len(rows), sweep.counted]
                repeat = len(residual) // kept.shape[1]  # hybrid stacks two rows per point
                by[rows] = np.tile(kept, (1, repeat, 1)) * slope
                slopes.append(by * scale[:, None, :])
        for name, prior in self.priors.items():
            row, by_row = self._prior(self.names.index(name), prior, z)
            parts.append(row[None])
            if differentiate:
                by = np.zeros((len(self.names), 1, len(z)))
                by[self.names.index(name), 0] = by_row
                slopes.append(by)
        jacobian = np.concatenate(slopes, 1) if slopes else np.empty((0, 0, 0))
        return np.concatenate(parts), jacobian

    def by_sweep(self, residual: Array) -> list[Array]:
        """Return one set's residuals, shape (rows,), sweep by sweep, each of shape (residuals of a
        point, points); those of priors, and of points where the source was at its limit, are left out.
        """
        counts = [int(sweep.counted.sum()) for sweep in self.sweeps]
        each = (len(residual) - len(self.priors)) // sum(counts)  # hybrid stacks two rows per point
        ends = np.cumsum([each * count for count in counts])
        parts = np.split(residual[: ends[-1]], ends[:-1])
        return [
            part.reshape(each, -1)[:, sweep.kept[sweep.counted]]
            for part, sweep in zip(parts, self.sweeps, strict=True)
        ]

    def slopes_by_sweep(self, jacobian: Array) -> list[Array]:
        """Return one set's derivatives, shape (parameters, rows), sweep by sweep as :meth:`by_sweep` does, each of
        shape (parameters, residuals of a point, points).
        """
        parts = [self.by_sweep(row) for row in jacobian]
        shapes = [part.shape for part in self.by_sweep(np.zeros(jacobian.shape[1]))]
        return [
            np.array([part[k] for part in parts]).reshape(-1, *shape)
            for k, shape in enumerate(shapes)
        ]

    def bound_text(self, k: int, upper: bool) -> str:
        """Say which bound a parameter ended on, and how to widen it."""
        name, low, high = self.names[k], float(self.lower[k]), float(self.upper[k])
        text = f"ended on its {'upper' if upper else 'lower'} bound, {high if upper else low:g}"
        least, most = (0.0 if low >= 0.0 else -np.inf), np.inf  # what no bound can be beyond
        if name.startswith("x0_"):
            least, most = self.model.state_range
            least += _LEAST_STATE
        if high >= most if upper else low <= least:
            return f"{text}, and can go no further"
        if upper:
            high = min(10.0 * high if self.log[k] else high + (high - low), most)
        else:
            low = max(low / 10.0 if self.log[k] else low - (high - low), least)
        return f"{text}; --bound {name}={low:g}:{high:g} (bounds= of fit) widens it"

    def _prior(self, column: int, prior: Prior, z: Array) -> tuple[Array, Array]:
        value, slope = self.values(z)[:, column], self.slopes(z)[:, column]
        if self.log[column]:
            return np.log(value / prior.mean) / prior.sigma, slope / (value * prior.sigma)
        return (value - prior.mean) / prior.sigma, slope / prior.sigma


def make_space(
    model: CompactModel,
    sweeps: Sequence[Sweep],
    loss: Loss,
    *,
    fixed: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    priors: Mapping[str, Prior] | None = None,
    series: bool = True,
) -> Space:
    """Lay out the space of a fit.

    Parameters
    ----------
    model, sweeps, loss
        See :class:`Space`.
    fixed
        Parameters to hold, with their values; ``x0`` holds every sweep's initial state, ``x0_2``
        the second's.
    free
        Parameters to fit although the model's table marks them as fixed.
    bounds
        Bounds that replace the table's; ``x0`` for every sweep.
    priors
        Prior knowledge, by parameter.
    series
        Whether to fit a series resistance.

    Raises
    ------
    InputError
        If a name is unknown, or bounds are in the wrong order or not positive on a logarithmic
        scale.
    """
    fixed, bounds, priors = dict(fixed or {}), dict(bounds or {}), dict(priors or {})
    states = [_x0(k) for k in range(len(sweeps))]
    known = [*model.names, *states, "x0"]
    for name in (*fixed, *free, *bounds, *priors):
        if name not in known:
            raise InputError(f"model {model.name} has no parameter {name!r}{nearest(name, known)}")
    if "x0" in fixed:
        fixed |= dict.fromkeys(states, fixed.pop("x0"))
    wanted = {SERIES.name} if series else set()
    rows = [
        (row.name, row.lower, row.upper, row.log)
        for row in model.parameters
        if row.name not in fixed and (not row.fixed or row.name in free or row.name in wanted)
    ]
    rows += [(name, *default_bounds(model, name), True) for name in states if name not in fixed]
    limits = []
    for name, lower, upper, log in rows:
        lower, upper = bounds.get(
            name, bounds.get("x0", (lower, upper)) if name in states else (lower, upper)
        )
        if not lower < upper:
            raise InputError(f"bounds of {name} are {lower:g} to {upper:g}, expected a rising pair")
        if log and lower <= 0.0:
            raise InputError(
                f"{name} is searched on a logarithmic scale: its lower bound must be above 0"
            )
        limits.append((lower, upper))
    for name, prior in priors.items():
        if not prior.sigma > 0.0:
            raise InputError(f"the prior of {name} needs a positive sigma, got {prior.sigma:g}")
    names = tuple(row[0] for row in rows)
    missing = set(priors) - set(names)
    if missing:
        raise InputError(f"there is a prior on {min(missing)}, which is not free")
    held = {
        row.name: fixed.get(row.name, row.default)
        for row in model.parameters
        if row.name not in names
    }
    held |= {name: fixed[name] for name in states if name in fixed}
    return Space(
        model,
        tuple(sweeps),
        loss,
        names,
        np.array([pair[0] for pair in limits], float),
        np.array([pair[1] for pair in limits], float),
        np.array([row[3] for row in rows], bool),
        held,
        priors,
    )


def thinned(space: Space, points: int = _FEW) -> Space:
    """Return the same space with so many points of each sweep, its turns and the ends of its plateaus
    among them: a descent there costs a fraction, and ends at nearly the same place.
    """
    return replace(space, sweeps=tuple(thinned_sweep(sweep, points) for sweep in space.sweeps))


def default_bounds(model: CompactModel, name: str) -> tuple[float, float]:
    """Return the bounds that a parameter, or an initial state, has unless told otherwise."""
    if not name.startswith("x0"):
        row = model.parameter(name)
        return row.lower, row.upper
    low, high = model.state_range
    return (low + _LEAST_STATE, high) if np.isfinite(high) else (1e-12, 10.0)


def _x0(k: int) -> str:
    return f"x0_{k + 1}"


def thinned_sweep(sweep: Sweep, points: int) -> Sweep:
    """Return a sweep of about so many points, its turns and the ends of its plateaus among them."""
    if len(sweep.t) <= 1.5 * points or sweep.pulsed:
        return sweep
    chosen = np.linspace(0, len(sweep.t) - 1, points).round().astype(int)
    edges = np.flatnonzero(np.diff(sweep.held)) + 1
    turns = [int(sweep.v.argmax()), int(sweep.v.argmin())]
    few = np.unique(np.concatenate([chosen, turns, edges, edges - 1]))
    return Sweep(
        sweep.name, sweep.t[few], sweep.v[few], sweep.i[few], sweep.censored[few], sweep.meta
    )
