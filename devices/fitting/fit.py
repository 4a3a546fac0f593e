"""Fit a compact model to measured sweeps: staged guesses, many starts, honest error bars.

A fit runs in four stages. Ranges for the parameters are read off the data; a seeded Latin hypercube
of candidates in these ranges is simulated at once; the best of them descend in lock step
(Levenberg-Marquardt with analytic derivatives, in chunks that an Executor may spread over
processes, with the same result for any number of workers); those that end nearly alike descend on,
and the winner is polished until its cost stops changing. The Jacobian there, and how many of the
residuals are independent, give standard errors and correlations.
"""

__all__ = ["Alternative", "Fit", "fit"]

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...data.errors import FitError, InputError
from ...data.measurement import Sweep
from ...data.types import Array, Progress
from ..model import SERIES, CompactModel
from .loss import Loss
from .model_response import respond
from .quality import effective_points, information, judge, quality, says_nothing, spread_of
from .result import Alternative, Fit, alike
from .space import Prior, Space, make_space
from .stages import FACE, draw_starts, excluded, polish, search, settle, settle_substeps
from .sweep_checks import check_sweeps

_NEAR = 1.1  # cost, relative to the best, up to which another end is kept
_MOST_ENDS = 8  # near ends that are looked at
_APART = 0.01  # relative difference in a parameter that makes two ends two
_NOTHING = "model {} describes the sweeps no better than a resistor does; take another model"
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
    series: bool = True,
    starts: int = 32,
    candidates: int = 256,
    steps: int = 60,
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
    starts, candidates
        How many descend, and among how many simulated candidates they are chosen.
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
    begin = time.perf_counter()
    given = (sweeps,) if isinstance(sweeps, Sweep) else tuple(sweeps)
    warnings = check_sweeps(given, dynamic=model.rate_expr is not None)
    loss = Loss(loss) if isinstance(loss, str) else loss
    if starts < 1 or candidates < starts:
        raise InputError(
            f"{starts} starts of {candidates} candidates: expected 1 or more of as many or more"
        )
    space = make_space(
        model, given, loss, fixed=fixed, free=free, bounds=bounds, priors=priors, series=series
    )
    warnings += excluded(space)
    points = draw_starts(space, start, starts, candidates, np.random.default_rng(seed))
    space = replace(space, substeps=settle_substeps(space, points[:4], 0.05, _COARSEST))
    descent = search(space, points, steps, executor, progress)
    best = int(np.argmin(descent.costs))
    if not np.isfinite(descent.costs[best]):
        raise FitError(f"{given[0].name}: no start of model {model.name} gives finite currents")
    # until integration errors move the sum of squares by less than a tenth of one point's noise
    share = 0.1 / max(len(space.sweeps[0].t), 1)
    fine = settle_substeps(space, descent.points[best : best + 1], share, _FINEST)
    space = replace(space, substeps=fine)
    order = np.argsort(descent.costs, kind="stable")
    near = order[descent.costs[order] <= _NEAR * descent.costs[best]][:_MOST_ENDS]
    points, costs = settle(space, descent.points[near])
    first = int(np.argmin(costs))
    z, message, converged = polish(space, points[first])
    found = _finish(
        space,
        z,
        np.delete(points, first, 0)[np.argsort(np.delete(costs, first), kind="stable")],
        np.sort(np.delete(costs, first)),
        message=message,
        converged=converged,
    )
    worse = order[~np.isin(order, near)]
    return replace(
        found,
        starts=np.sort(np.concatenate([costs, descent.costs[worse]])),
        warnings=warnings + found.warnings,
        seed=seed,
        seconds=time.perf_counter() - begin,
    )


def _finish(
    space: Space, z: Array, others: Array, costs: Array, *, message: str, converged: bool
) -> Fit:
    residual, jacobian = (a[..., 0] for a in space.residuals(z[None]))
    points = effective_points(space.by_sweep(residual)) + len(space.priors)
    at_bound = (z < FACE) | (z > 1.0 - FACE)
    moving = ~at_bound
    covariance = np.full((len(z), len(z)), np.nan)
    covariance[np.ix_(moving, moving)], _ = spread_of(jacobian[moving], residual, points)
    deviation = np.sqrt(np.where(at_bound, np.inf, np.diag(covariance)))
    values, slopes = space.values(z), space.slopes(z)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / (deviation[:, None] * deviation[None, :])
        correlation[~np.isfinite(correlation)] = np.nan
        stderr = deviation * np.abs(slopes)
        relative = stderr / np.abs(values)
    np.fill_diagonal(correlation, 1.0)
    cost = 0.5 * float(residual @ residual)
    ends = _ends(space, others, costs, values, np.isfinite(deviation), _NEAR * cost)
    p, x0 = space.split(values[None])
    answers = [
        respond(
            space.model,
            sweep.t,
            sweep.v,
            {**p, SERIES.name: p[SERIES.name] + float(sweep.meta.get("r_tester", 0.0))},
            start,
            substeps=space.substeps,
        )
        for sweep, start in zip(space.sweeps, x0, strict=True)
    ]
    traces = tuple(answer.i[:, 0] for answer in answers)
    aic, bic = information(cost, len(residual), len(z))
    with np.errstate(invalid="ignore", divide="ignore"):
        rivals = (
            np.reshape([row for row, end in ends if alike(end.cost, cost)], (-1, len(z))) / values
        )
    judged = tuple(quality(i, s, space.loss) for i, s in zip(traces, space.sweeps, strict=True))
    score, percent = np.sqrt(2.0 * cost / len(residual)), max(q.nrmse_percent for q in judged)
    poor = says_nothing(float(score), percent, space.sweeps, space.loss)
    return Fit(
        model=space.model,
        sweeps=space.sweeps,
        loss=space.loss,
        parameters={name: float(value[0]) for name, value in p.items()},
        x0=tuple(float(start[0]) for start in x0),
        stderr=dict(zip(space.names, map(float, stderr), strict=True)),
        names=space.names,
        correlation=correlation,
        quality=judged,
        traces=traces,
        states=tuple(answer.x[:, 0] for answer in answers),
        cost=cost,
        aic=aic,
        bic=bic,
        starts=np.array([cost]),
        unidentified=judge(
            space.names,
            relative,
            correlation,
            {
                space.names[k]: space.bound_text(k, z[k] > 0.5)
                for k in np.flatnonzero(at_bound).tolist()
            },
            rivals,
        ),
        converged=converged,
        message=" ".join(message.split()),
        warnings=(f"{space.sweeps[0].name}: {_NOTHING.format(space.model.name)}",) if poor else (),
        seed=0,
        seconds=0.0,
        bounds={
            name: (float(low), float(high))
            for name, low, high in zip(space.names, space.lower, space.upper, strict=True)
        },
        priors=dict(space.priors),
        substeps=space.substeps,
        effective_points=points,
        ends=tuple(end for _, end in ends),
    )


def _ends(
    space: Space, points: Array, costs: Array, best: Array, known: NDArray[np.bool_], most: float
) -> list[tuple[Array, Alternative]]:
    """Return the free values and the parameters of every end below a cost that is not one of those
    before it, in what the data know at all.
    """
    found: list[tuple[Array, Alternative]] = []
    for values, cost in zip(space.values(points), costs, strict=True):
        kept = [best, *(row for row, _ in found)]
        if cost > most or any(
            np.allclose(values[known], row[known], rtol=_APART, atol=0.0) for row in kept
        ):
            continue
        p, x0 = space.split(values[None])
        parameters = {name: float(value[0]) for name, value in p.items()}
        states = tuple(float(state[0]) for state in x0)
        found.append((values, Alternative(parameters, states, float(cost))))
    return found
