"""Least squares from many starting points at once.

:func:`descend` runs Levenberg and Marquardt's method for S starts in lock step: every start has its
own damping, takes or refuses its own step, and leaves the batch when it has converged, while the
model is asked for all of them together. A step is bent by the second derivative along it (geodesic
acceleration, Transtrum and Sethna 2012, arXiv:1201.5885), which one more simulation tells: where parameters
trade against each other, the cost has long curved valleys, and straight steps along their floor are short.
That floor has small sills, where a threshold crosses a step of the integration: a step that goes on in about the
same direction may climb them (the same authors' bold acceptance), and the least point on the way is the end.
Points live in the unit cube, whose faces are the bounds; a coordinate on a face that wants to leave it rests
there.

:func:`race` finds starts that are worth a descent. All candidates take a few steps, the better ones go
on. Most of what still differs is one basin or another, and a basin is often chosen by a few parameters
alone: new starts keep most parameters of a good end and draw the rest anew (basin hopping, Wales and
Doye 1997, doi:10.1021/jp970984n), and race likewise.
"""

__all__ = ["Descent", "Problem", "descend", "latin_hypercube", "race"]

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from ...data.types import Array

Problem: TypeAlias = Callable[[Array, bool], tuple[Array, Array]]
"""(points of shape (sets, parameters), whether to differentiate) -> residuals (rows, sets) and
their derivatives
(parameters, rows, sets), empty unless asked for."""

_MAX_DAMPING = 1e10
_STALLED = 1e-7  # relative gain per accepted step below which a start is done
_PATIENCE = 3
_FIRST, _THEN = 10, 12  # steps of a race: of all, and of the better ones
_ON = 15  # further steps of the first race
_HOPS = 5  # rounds at most
_GAIN = 0.003  # relative gain below which a round was in vain; the second such is the last
_DRAWN = 0.12  # share of the parameters that a hop draws anew
_CROSSED = 0.25  # of the others: share that it takes from another end
_TRIES = 24  # starts of a round: a step costs nearly as much for one
_PROBE, _BENT = (
    0.1,
    0.375,
)  # share of a step at which its bend is looked at, and largest bend over the step
_UPHILL = 1.1  # cost, relative to the least on the way, up to which a step may climb
_EXACT = 1e-9  # mean square residual below which there is nothing left to fit


@dataclass(frozen=True)
class Descent:
    """Where each start ended.

    Attributes
    ----------
    points
        The least ones on the way, shape (sets, parameters), in the unit cube.
    costs
        Half the sum of squares there, shape (sets,).
    converged
        Whether it stopped by itself, shape (sets,).
    damping, idle, at, heading
        What a descent needs to go on: damping, and steps without gain, shape (sets,); where it stands, and the step
        that led there, shape (sets, parameters).
    """

    points: Array
    costs: Array
    converged: NDArray[np.bool_]
    damping: Array
    idle: NDArray[np.int64]
    at: Array
    heading: Array

    @classmethod
    def begin(cls, points: Array, damping: float = 1e-2) -> "Descent":
        """Return the descent that has not yet made a step from these points."""
        count = len(points)
        return cls(
            points.copy(),
            np.full(count, np.inf),
            np.zeros(count, bool),
            np.full(count, damping),
            np.zeros(count, np.int64),
            points.copy(),
            np.zeros(points.shape),
        )

    @classmethod
    def joined(cls, parts: "Iterable[Descent]") -> "Descent":
        """Return descents side by side as one."""
        kept = list(parts)
        return cls(*(np.concatenate([getattr(d, f.name) for d in kept]) for f in fields(cls)))

    def only(self, sets: NDArray[np.intp]) -> "Descent":
        """Return some of the sets, in this order."""
        return Descent(*(getattr(self, f.name)[sets] for f in fields(self)))


def latin_hypercube(count: int, dimensions: int, rng: np.random.Generator) -> Array:
    """Return points that stratify every axis of the unit cube, shape (count, dimensions).

    Parameters
    ----------
    count
        Number of points.
    dimensions
        Number of coordinates.
    rng
        What random numbers are drawn from.
    """
    return np.asarray(qmc.LatinHypercube(dimensions, rng=rng).random(count))


def descend(
    problem: Problem,
    start: Descent | Array,
    *,
    steps: int = 60,
    bent: bool = True,
    uphill: bool = False,
) -> Descent:
    """Minimise half the sum of squares from every point.

    Parameters
    ----------
    problem
        Residuals and derivatives of many points at once.
    start
        Starts in the unit cube, shape (sets, parameters), or a descent to go on with: in several
        rounds it takes the same way as in one.
    steps
        Steps at most.
    bent
        Whether steps follow the valley they are in; straight ones stay nearer to where they begin.
    uphill
        Whether steps may climb sills in its floor.
    """
    begin = start if isinstance(start, Descent) else Descent.begin(start)
    running = np.flatnonzero(~begin.converged)
    if not len(running):
        return begin
    end, now = begin.only(np.arange(len(begin.costs))), begin.only(running)
    z, heading, damping, idle = now.at, now.heading, now.damping, now.idle
    residual, jacobian = problem(z, True)
    cost = _cost(residual)
    least, points = np.minimum(now.costs, cost), now.points
    for _ in range(steps):
        trial = _step(problem if bent else None, z, residual, jacobian, damping)
        trial_residual, trial_jacobian = problem(trial, True)
        trial_cost = _cost(trial_residual)
        better = trial_cost < cost
        gain = np.where(better, (cost - trial_cost) / np.maximum(cost, 1e-300), 0.0)
        idle = np.where(better & (gain < _STALLED), idle + 1, np.where(better, 0, idle))
        taken = better | _climbs(trial - z, heading, trial_cost, cost, least) if uphill else better
        damping = np.where(taken, np.maximum(damping * 0.3, 1e-12), damping * 5.0)
        heading = np.where(taken[:, None], trial - z, heading)
        z = np.where(taken[:, None], trial, z)
        residual = np.where(taken, trial_residual, residual)
        jacobian = np.where(taken, trial_jacobian, jacobian)
        cost = np.where(taken, trial_cost, cost)
        points = np.where((cost < least)[:, None], z, points)
        least = np.minimum(cost, least)
        done = (idle >= _PATIENCE) | (damping > _MAX_DAMPING) | (2 * cost < _EXACT * len(residual))
        end.points[running], end.costs[running], end.converged[running] = points, least, done
        end.damping[running], end.idle[running] = damping, idle
        end.at[running], end.heading[running] = z, heading
        if done.all():
            break
        keep = ~done
        running, idle = running[keep], idle[keep]
        points, least, z, heading = points[keep], least[keep], z[keep], heading[keep]
        cost, damping = cost[keep], damping[keep]
        residual, jacobian = residual[:, keep], jacobian[:, :, keep]
    return end


def _climbs(
    step: Array, heading: Array, trial: Array, cost: Array, least: Array
) -> NDArray[np.bool_]:
    """Return which steps may climb: the less they turn from the last one, the higher."""
    along = np.einsum("sp,sp->s", step, heading)
    long = np.linalg.norm(step, axis=1) * np.linalg.norm(heading, axis=1)
    turn = 1.0 - along / np.maximum(long, 1e-300)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray((turn < 1.0) & (turn * trial < cost) & (trial < _UPHILL * least))


def race(
    problem: Problem,
    points: Array,
    spans: tuple[Array, Array],
    count: int,
    rng: np.random.Generator,
    *,
    bent: bool = True,
) -> Array:
    """Return the ``count`` best ends of a race, shape (count, parameters), best first.

    Parameters
    ----------
    problem
        What to minimise.
    points
        Candidates, shape (candidates, parameters).
    spans
        Lower and upper ends of where parameters are drawn anew, each of shape (parameters,).
    count
        How many are wanted.
    rng
        Source of the hops.
    bent
        See :func:`descend`.
    """
    best = descend(problem, _raced(problem, points, 2 * count, bent), steps=_ON, bent=bent)
    vain = 0
    for _ in range(_HOPS):
        hops = _raced(problem, _hops(_best(best, count).points, spans, rng), count, bent)
        reached, least = float(hops.costs[0]), float(best.costs.min())
        best = _best(Descent.joined([best, hops]), 2 * count)
        vain = 0 if reached < (1.0 - _GAIN) * least else vain + 1
        if vain == 2:
            break
    return _best(best, count).points


def _raced(problem: Problem, points: Array, count: int, bent: bool) -> Descent:
    descent = _best(descend(problem, Descent.begin(points), steps=_FIRST, bent=bent), count)
    return _best(descend(problem, descent, steps=_THEN, bent=bent), count)


def _hops(ends: Array, spans: tuple[Array, Array], rng: np.random.Generator) -> Array:
    """Return starts about the best ends: some coordinates are drawn anew, some are another end's."""
    size = (_TRIES, ends.shape[1])
    parents = ends[np.minimum(rng.geometric(0.5, _TRIES) - 1, len(ends) - 1)]
    others = ends[rng.integers(len(ends), size=_TRIES)]
    fresh = spans[0] + rng.random(size) * (spans[1] - spans[0])
    mixed = np.where(rng.random(size) < _CROSSED, others, parents)
    return np.where(rng.random(size) < _DRAWN, fresh, mixed)


def _best(descent: Descent, count: int) -> Descent:
    return descent.only(np.argsort(descent.costs, kind="stable")[:count])


def _cost(residual: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        cost = 0.5 * np.einsum("ms,ms->s", residual, residual)
    return np.where(np.isfinite(cost), cost, np.inf)


def _step(
    problem: Problem | None, z: Array, residual: Array, jacobian: Array, damping: Array
) -> Array:
    """Return where a damped Gauss-Newton step leads, clipped to the cube, shape (sets, parameters); bent along the
    valley it is in, if there is a problem to ask.
    """
    columns = np.moveaxis(jacobian, 2, 0)  # (sets, parameters, rows)
    solve = _solver(z, columns, residual, damping)
    straight = solve(residual)
    if problem is None:
        return np.asarray(np.clip(z + straight, 0.0, 1.0))
    probe = np.clip(z + _PROBE * straight, 0.0, 1.0)
    ahead, _ = problem(probe, False)
    with np.errstate(over="ignore", invalid="ignore"):
        foretold = np.einsum("spr,sp->rs", columns, probe - z)
        bend = solve((ahead - residual - foretold) / _PROBE**2)
        long = np.linalg.norm(bend, axis=1) > _BENT * np.linalg.norm(straight, axis=1)
    bend = np.where((long | ~np.isfinite(bend).all(1))[:, None], 0.0, bend)
    return np.asarray(np.clip(z + straight + bend, 0.0, 1.0))


def _solver(z: Array, columns: Array, residual: Array, damping: Array) -> Callable[[Array], Array]:
    """Return what gives the damped step against ``rows`` (rows, sets), shape (sets, parameters), from the
    points z with the derivatives ``columns`` (sets, parameters, rows) of ``residual``.
    """

    def downhill(rows: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            slope = -(columns @ rows.T[:, :, None])[:, :, 0]
        return np.where((np.isfinite(slope).all(1) & sound)[:, None], slope, 0.0)

    with np.errstate(over="ignore", invalid="ignore"):
        normal = columns @ columns.swapaxes(1, 2)
    sound = np.asarray(np.isfinite(normal).all((1, 2)))
    normal = np.where(sound[:, None, None], normal, 0.0)
    wanted = downhill(residual)
    moving = ~(((z <= 0.0) & (wanted < 0.0)) | ((z >= 1.0) & (wanted > 0.0)))
    normal = normal * (moving[:, :, None] & moving[:, None, :])
    scale = np.einsum("spp->sp", normal)
    floor = 1e-12 * scale.max(1, keepdims=True) + 1e-300
    diagonal = np.where(moving, damping[:, None] * np.maximum(scale, floor) + floor, 1.0)
    # scaled to a unit diagonal, so that parameters the data hardly know do not spoil the solve
    total = normal + diagonal[:, :, None] * np.eye(z.shape[1])
    root = np.sqrt(np.einsum("spp->sp", total))
    inverse = np.linalg.inv(total / (root[:, :, None] * root[:, None, :]))

    def solve(rows: Array) -> Array:
        right = np.where(moving, downhill(rows), 0.0) / root
        return np.asarray((inverse @ right[:, :, None])[:, :, 0] / root)

    return solve
