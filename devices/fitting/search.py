"""Least squares from many starting points at once.

:func:`descend` runs Levenberg and Marquardt's method for S starts in lock step: every start has its
own damping, takes or refuses its own step, and leaves the batch when it has converged, while the
model is asked for all of them together. Points live in the unit cube, whose faces are the bounds; a
coordinate on a face that wants to leave it rests there.
"""

__all__ = ["Descent", "Problem", "descend", "latin_hypercube"]

from collections.abc import Callable
from dataclasses import dataclass
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
_EXACT = 1e-9  # mean square residual below which there is nothing left to fit


@dataclass(frozen=True)
class Descent:
    """Where each start ended.

    Attributes
    ----------
    points
        Shape (sets, parameters), in the unit cube.
    costs
        Half the sum of squares, shape (sets,).
    converged
        Whether it stopped by itself, shape (sets,).
    damping, idle
        What a descent needs to go on from here: damping, and steps without gain, shape (sets,).
    """

    points: Array
    costs: Array
    converged: NDArray[np.bool_]
    damping: Array
    idle: NDArray[np.int64]

    @classmethod
    def begin(cls, points: Array) -> "Descent":
        """Return the descent that has not yet made a step from these points."""
        count = len(points)
        return cls(
            points.copy(),
            np.full(count, np.inf),
            np.zeros(count, bool),
            np.full(count, 1e-2),
            np.zeros(count, np.int64),
        )


def latin_hypercube(count: int, dimensions: int, rng: np.random.Generator) -> Array:
    """Return points that stratify every axis of the unit cube, shape (count, dimensions)."""
    return np.asarray(qmc.LatinHypercube(dimensions, rng=rng).random(count))


def descend(problem: Problem, start: Descent | Array, *, steps: int = 60) -> Descent:
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
    """
    begin = start if isinstance(start, Descent) else Descent.begin(start)
    ends, costs, converged = begin.points.copy(), begin.costs.copy(), begin.converged.copy()
    dampings, idles = begin.damping.copy(), begin.idle.copy()
    running = np.flatnonzero(~converged)
    if not len(running):
        return begin
    z, damping, idle = ends[running], dampings[running], idles[running]
    residual, jacobian = problem(z, True)
    cost = _cost(residual)
    for _ in range(steps):
        trial = _step(z, residual, jacobian, damping)
        trial_residual, trial_jacobian = problem(trial, True)
        trial_cost = _cost(trial_residual)
        better = trial_cost < cost
        gain = np.where(better, (cost - trial_cost) / np.maximum(cost, 1e-300), 0.0)
        idle = np.where(better & (gain < _STALLED), idle + 1, np.where(better, 0, idle))
        damping = np.where(better, np.maximum(damping * 0.3, 1e-12), damping * 5.0)
        z = np.where(better[:, None], trial, z)
        residual = np.where(better, trial_residual, residual)
        jacobian = np.where(better, trial_jacobian, jacobian)
        cost = np.where(better, trial_cost, cost)
        done = (idle >= _PATIENCE) | (damping > _MAX_DAMPING) | (2 * cost < _EXACT * len(residual))
        ends[running], costs[running] = z, cost
        dampings[running], idles[running], converged[running] = damping, idle, done
        if done.all():
            break
        keep = ~done
        running, idle = running[keep], idle[keep]
        z, cost, damping = z[keep], cost[keep], damping[keep]
        residual, jacobian = residual[:, keep], jacobian[:, :, keep]
    return Descent(ends, costs, converged, dampings, idles)


def _cost(residual: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        cost = 0.5 * np.einsum("ms,ms->s", residual, residual)
    return np.where(np.isfinite(cost), cost, np.inf)


def _step(z: Array, residual: Array, jacobian: Array, damping: Array) -> Array:
    """Return the damped Gauss-Newton points, clipped to the cube, shape (sets, parameters)."""
    columns = np.moveaxis(jacobian, 2, 0)  # (sets, parameters, rows)
    with np.errstate(over="ignore", invalid="ignore"):
        normal = columns @ columns.swapaxes(1, 2)
        gradient = (columns @ residual.T[:, :, None])[:, :, 0]
    sound = np.asarray(np.isfinite(normal).all((1, 2)) & np.isfinite(gradient).all(1))
    normal = np.where(sound[:, None, None], normal, 0.0)
    gradient = np.where(sound[:, None], gradient, 0.0)
    rests = ((z <= 0.0) & (gradient > 0.0)) | ((z >= 1.0) & (gradient < 0.0))
    gradient = np.where(rests, 0.0, gradient)
    moving = ~rests
    normal = normal * (moving[:, :, None] & moving[:, None, :])
    scale = np.einsum("spp->sp", normal)
    floor = 1e-12 * scale.max(1, keepdims=True) + 1e-300
    diagonal = np.where(moving, damping[:, None] * np.maximum(scale, floor) + floor, 1.0)
    # scaled to a unit diagonal, so that parameters the data hardly know do not spoil the solve
    total = normal + diagonal[:, :, None] * np.eye(z.shape[1])
    root = np.sqrt(np.einsum("spp->sp", total))
    step = np.linalg.solve(
        total / (root[:, :, None] * root[:, None, :]), (-gradient / root)[:, :, None]
    )[:, :, 0]
    return np.asarray(np.clip(z + step / root, 0.0, 1.0))
