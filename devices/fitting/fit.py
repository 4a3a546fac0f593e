"""Fit a compact model to measured sweeps: staged guesses, many starts, honest error bars.

A fit runs in five stages. Ranges for the parameters are read off the data; a seeded Latin hypercube
of candidates in these ranges is simulated at once; the best of them race on thinned sweeps, and hop on
from where they end; the winners descend in lock step
(Levenberg-Marquardt with analytic derivatives, in chunks that an Executor may spread over processes,
with the same result for any number of workers); those that end nearly alike descend on, and the winner
is polished until its cost stops changing. The Jacobian there, and how many of the residuals are
independent, give standard errors and correlations.
"""

__all__ = ["fit"]

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...data.errors import FitError, InputError
from ...data.measurement import Sweep
from ...data.types import Array, Progress
from ..dynamics.walk import Trail
from ..model import CompactModel
from .errors.correlated import correlated, sandwich
from .loss import Loss
from .model_response import respond_to
from .parts import Alternative, Course, Curve, Estimate, Task, alike
from .quality import information, judge, quality, says_nothing, spread_of
from .result import Fit
from .search import Descent, race
from .space import Prior, Space, make_space, thinned
from .stages import (
    FACE,
    draw_starts,
    drawn_between,
    excluded,
    polish,
    search,
    settle,
    settle_substeps,
)
from .sweep_checks import check_sweeps

_Costly: TypeAlias = tuple[Array, Array]  # points of the cube, and their costs

_RACERS = 4  # starts that race for each one that descends
_NEAR = 1.1  # cost, relative to the best, up to which another end is kept
_MOST_ENDS = 8  # near ends that are looked at
_APART = 0.01  # relative difference in a parameter that makes two ends two
_FASTER, _JOINT = 3.0, 2.0
"""Ratio of durations from which sweeps differ in speed, and NRMSE [%] that one set of parameters should reach."""
_COARSEST, _FINEST = 8, 64  # integration steps per interval at most: in the search, and after it


def fit(
    model: CompactModel,
    sweeps: Sweep | Sequence[Sweep],
    *,
    loss: Loss | str = "hybrid",
    fixed: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    priors: Mapping[str, Prior] | None = None,
    start: Mapping[str, float] | None = None,
    begin: Array | None = None,
    series: bool = True,
    starts: int = 8,
    candidates: int = 256,
    steps: int = 15,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit a model to one sweep, or one set of parameters to several sweeps together.

    Parameters
    ----------
    model
        The model, as in :data:`memtwin.devices.models.models`.
    sweeps
        The measurements; each gets an initial state of its own.
    loss
        What to minimise: a :class:`~memtwin.devices.fitting.loss.Loss` or its kind.
    fixed, free, bounds, priors, series
        See :func:`~memtwin.devices.fitting.space.make_space`.
    start
        Values of one more start, besides those drawn.
    begin
        Points of the unit cube of the free parameters to descend from, (starts, parameters), where another
        search has found them: none are drawn then.
    starts, candidates
        How many descend, and among how many simulated candidates they are chosen: the best four times
        as many race for it, see :func:`.search.race`. A single start doesn't race.
    steps
        Search steps that each start takes at most.
    seed
        Seed of the candidates.
    executor
        Where chunks of starts run; default: here, one after the other.
    progress
        Called with (done, total) search steps.

    Raises
    ------
    InputError
        If the data or the settings can't be used: too few points, no current, everything censored,
        a current against its voltage, a start outside its bounds, an unknown name.
    FitError
        If no start leads anywhere.
    """
    began = time.perf_counter()
    given = (sweeps,) if isinstance(sweeps, Sweep) else tuple(sweeps)
    warnings = check_sweeps(given, dynamic=model.rate_expr is not None)
    loss = Loss(loss) if isinstance(loss, str) else loss
    if starts < 1 or candidates < starts:
        raise InputError(
            f"{starts} starts of {candidates} candidates: expected one start or more, and no fewer"
            " candidates than starts"
        )
    space = make_space(
        model, given, loss, fixed=fixed, free=free, bounds=bounds, priors=priors, series=series
    )
    warnings += excluded(space)
    trail = Trail()
    points = begin
    if points is None:
        points = _starts(space, start, starts, candidates, np.random.default_rng(seed), trail)
    space = replace(space, substeps=settle_substeps(space, points[:4], 0.05, _COARSEST, trail))
    descent = search(space, points, steps, executor, progress, trail)
    if not np.isfinite(descent.costs).any():
        raise FitError(f"{given[0].name}: no start of model {model.name} gives finite currents")
    space, minimum, others, costs = _minimum(space, descent, trail)
    ends = _ends(space, others, minimum)
    alternatives = np.array([row for row, end in ends if alike(end.cost, minimum.cost)])
    curves = _curves(space, minimum.values)
    aic, bic = information(minimum.cost, len(minimum.residual), len(minimum.z))
    return Fit(
        Task(
            model,
            given,
            loss,
            {
                name: (float(low), float(high))
                for name, low, high in zip(space.names, space.lower, space.upper, strict=True)
            },
            dict(fixed or {}),
            dict(space.priors),
            dict(start or {}),
            starts,
            candidates,
            seed,
        ),
        _estimate(space, minimum, alternatives),
        curves,
        Course(
            minimum.cost,
            aic,
            bic,
            costs,
            minimum.converged,
            minimum.message,
            warnings + _doubts(space, minimum, curves),
            time.perf_counter() - began,
            space.substeps,
            tuple(end for _, end in ends),
        ),
    )


def _starts(
    space: Space,
    start: Mapping[str, float] | None,
    count: int,
    candidates: int,
    rng: np.random.Generator,
    trail: Trail,
) -> Array:
    """Return points to descend from, shape (count, parameters): the given one and winners of a race."""
    if count == 1:
        return draw_starts(space, start, count, candidates, rng)
    coarse = thinned(space)
    drawn = draw_starts(coarse, start, min(_RACERS * count, candidates), candidates, rng)
    substeps = settle_substeps(coarse, drawn[:4], 0.05, _COARSEST, trail)
    coarse = replace(coarse, substeps=substeps)
    spans = drawn_between(coarse)
    winners = race(coarse.along(trail), drawn, spans, count, rng, bent=space.at_once)
    return np.concatenate([drawn[:1], winners[:-1]]) if start else winners


@dataclass(frozen=True)
class _Minimum:
    """Where the polish ended, and what the residuals there tell.

    ``z`` is its point of the cube, ``values`` the free parameters, ``points`` how many of the
    residuals are independent, ``stuck`` which coordinates ended on a bound; ``covariance`` is that of
    z, NaN for those.
    """

    z: Array
    values: Array
    residual: Array
    points: float
    stuck: NDArray[np.bool_]
    covariance: Array
    message: str
    converged: bool

    @cached_property
    def cost(self) -> float:
        return 0.5 * float(self.residual @ self.residual)

    @cached_property
    def deviation(self) -> Array:
        """Standard errors of z, infinite where the data do not know it."""
        return np.sqrt(np.where(self.stuck, np.inf, np.diag(self.covariance)))


def _minimum(
    space: Space, descent: Descent, trail: Trail
) -> tuple[Space, _Minimum, _Costly, Array]:
    """Settle the best ends and polish the winner of them.

    Returns
    -------
    tuple
        The space with the steps that the data's precision asks for; the minimum; points and costs
        of the other ends, rising; and what every start cost, rising.
    """
    best = int(np.argmin(descent.costs))
    # until integration errors move the sum of squares by less than a tenth of one point's noise
    share = 0.1 / max(len(space.sweeps[0].t), 1)
    fine = settle_substeps(space, descent.points[best : best + 1], share, _FINEST, trail)
    order = np.argsort(descent.costs, kind="stable")
    near = order[descent.costs[order] <= _NEAR * descent.costs[best]][:_MOST_ENDS]
    points, costs = settle(space, fine, descent.points[near], trail)
    space = replace(space, substeps=fine)
    first = int(np.argmin(costs))
    z, message, converged = polish(space, points[first], trail)
    residual, jacobian = (a[..., 0] for a in space.residuals(z[None]))
    stuck = (z < FACE) | (z > 1.0 - FACE)
    free = jacobian[~stuck]
    parts = space.by_sweep(residual), space.slopes_by_sweep(free)
    found = correlated(*parts)
    effective = found.points + len(space.priors)
    covariance = np.full((len(z), len(z)), np.nan)
    spread, unknown = spread_of(free, residual, effective)
    known = ~unknown
    if known.any():
        priors = free[known][:, len(residual) - len(space.priors) :]
        slopes = [part[known] for part in parts[1]]
        spread[np.ix_(known, known)] = sandwich(free[known], slopes, priors, found)
    covariance[np.ix_(~stuck, ~stuck)] = spread
    minimum = _Minimum(
        z,
        space.values(z),
        residual,
        effective,
        stuck,
        covariance,
        " ".join(message.split()),
        converged,
    )
    left, cost = np.delete(points, first, 0), np.delete(costs, first)
    rising = np.argsort(cost, kind="stable")
    worse = descent.costs[order[~np.isin(order, near)]]
    return space, minimum, (left[rising], cost[rising]), np.sort(np.concatenate([costs, worse]))


def _estimate(space: Space, minimum: _Minimum, alternatives: Array) -> Estimate:
    """Return the parameters with their errors; ``alternatives`` are the free values of fits as good."""
    z, values, deviation = minimum.z, minimum.values, minimum.deviation
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = minimum.covariance / (deviation[:, None] * deviation[None, :])
        correlation[~np.isfinite(correlation)] = np.nan
        stderr = deviation * np.abs(space.slopes(z))
        relative = stderr / np.abs(values)
        rivals = np.reshape(alternatives, (-1, len(z))) / values
    np.fill_diagonal(correlation, 1.0)
    p, x0 = space.split(values[None])
    at_bound = {
        space.names[k]: space.bound_text(k, z[k] > 0.5)
        for k in np.flatnonzero(minimum.stuck).tolist()
    }
    return Estimate(
        {name: float(value[0]) for name, value in p.items()},
        tuple(float(start[0]) for start in x0),
        space.names,
        dict(zip(space.names, map(float, stderr), strict=True)),
        correlation,
        judge(space.names, relative, correlation, at_bound, rivals),
        minimum.points,
    )


def _curves(space: Space, values: Array) -> tuple[Curve, ...]:
    p, x0 = space.split(values[None])
    answers = respond_to(space.sweeps, space.model, p, x0, substeps=space.substeps)
    return tuple(
        Curve(answer.i[:, 0], answer.x[:, 0], quality(answer.i[:, 0], sweep, space.loss))
        for sweep, answer in zip(space.sweeps, answers, strict=True)
    )


def _doubts(space: Space, minimum: _Minimum, curves: tuple[Curve, ...]) -> tuple[str, ...]:
    score = float(np.sqrt(2.0 * minimum.cost / len(minimum.residual)))
    percent = max(curve.quality.nrmse_percent for curve in curves)
    if not says_nothing(score, percent, space.sweeps, space.loss):
        return _together(space, curves)
    return (
        f"{space.sweeps[0].name}: model {space.model.name} describes the sweeps no better than a"
        " resistor does; take another model",
    )


def _together(space: Space, curves: tuple[Curve, ...]) -> tuple[str, ...]:
    """Say where one set of parameters does not describe loops of very different speed."""
    loops = [k for k, sweep in enumerate(space.sweeps) if not sweep.pulsed]
    spans = [float(space.sweeps[k].t[-1] - space.sweeps[k].t[0]) for k in loops]
    worst = max((curves[k].quality.nrmse_percent for k in loops), default=0.0)
    if len(loops) < 2 or max(spans) < _FASTER * min(spans) or worst <= _JOINT:
        return ()
    return (
        f"{space.sweeps[0].name}: sweeps of {min(spans):.3g} to {max(spans):.3g} s are described together"
        f" within {worst:.2g} % only: model {space.model.name} hardly holds over such speeds; fit them one"
        " by one, or compare models (--model auto)",
    )


def _ends(space: Space, others: _Costly, minimum: _Minimum) -> list[tuple[Array, Alternative]]:
    """Return the free values and the parameters of every end below a cost that is not one of those
    before it, in what the data know at all.
    """
    known = np.isfinite(minimum.deviation)
    found: list[tuple[Array, Alternative]] = []
    for values, cost in zip(space.values(others[0]), others[1], strict=True):
        kept = [minimum.values, *(row for row, _ in found)]
        if cost > _NEAR * minimum.cost or any(
            np.allclose(values[known], row[known], rtol=_APART, atol=0.0) for row in kept
        ):
            continue
        p, x0 = space.split(values[None])
        parameters = {name: float(value[0]) for name, value in p.items()}
        states = tuple(float(state[0]) for state in x0)
        found.append((values, Alternative(parameters, states, float(cost))))
    return found
