"""The stages of a fit: starting points, the search from all of them, and the polish of the best."""

__all__ = [
    "FACE",
    "compiled_once",
    "draw_starts",
    "drawn_between",
    "excluded",
    "polish",
    "search",
    "settle",
    "settle_substeps",
]

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from copy import deepcopy
from dataclasses import replace
from typing import Any

import lmfit
import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError, NonConvergence
from ...data.types import Array, Progress
from ..dynamics.walk import Trail
from ..model import CompactModel
from .guess import guess_ranges
from .search import Descent, descend, latin_hypercube
from .space import Space

_CHUNK = 16  # starts that descend together, whatever the number of workers
_ROUND = 15  # steps between two reports of progress
_SMOOTH = 4  # integration steps per interval of ends that are nearly alike, at least: the more, the lower the sills
_ROUNDS, _SETTLING, _WORTH = (
    7,
    12,
    1e-3,
)  # rounds and steps of these, and gain that is worth another round
_AT_LAST, _SIDESTEPS = 10, 6  # steps of these with the last integration steps, and of a restart
_COSTLY = 8  # steps of nearly alike ends where simulations go step by step
_FLAT = 1e-7  # relative gain at which leastsq ends
_EVALUATIONS = 20  # of residuals in one of its runs
_SETTLED = 1e-3  # relative gain of a restart below which a cost has stopped changing
_FRESH = 1e-8  # damping to restart with: long steps first, which leap over kinks
_ASIDE = ((1, 1e-8), (2, 1e-2), (1, 1e-3), (3, 1e-8), (2, 1e-3))  # more steps, damping of restarts
FACE = 1e-7  # this close to a face of the cube is on it


def draw_starts(
    space: Space,
    start: Mapping[str, float] | None,
    count: int,
    candidates: int,
    rng: np.random.Generator,
) -> Array:
    """Return the most promising points of a Latin hypercube, shape (starts, parameters).

    Parameters
    ----------
    space
        The search space: free parameters and their bounds.
    start
        Values to begin with, for parameters that have one.
    count
        Starts to return.
    candidates
        Points that are tried.
    rng
        What random numbers are drawn from.
    """
    low, high = drawn_between(space)
    drawn = low + latin_hypercube(candidates, len(low), rng) * (high - low)
    residual = np.concatenate(
        [
            space.residuals(part, False)[0]
            for part in np.array_split(drawn, max(candidates // 64, 1))
        ],
        1,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        cost = (residual**2).sum(0)
    order = np.argsort(np.where(np.isfinite(cost), cost, np.inf), kind="stable")
    points = drawn[order[:count]]
    if start:
        values = space.values(points[0])
        for name, value in start.items():
            if name not in space.names:
                raise InputError(
                    f"the start names {name!r}, which is not free ({', '.join(space.names)})"
                )
            k = space.names.index(name)
            if not space.lower[k] <= value <= space.upper[k]:
                raise InputError(
                    f"the start of {name} is {value:g}, outside its bounds"
                    f" {space.lower[k]:g} to {space.upper[k]:g}: widen the bounds"
                )
            values[k] = value
        points = np.concatenate([space.points(values)[None], points[: max(count - 1, 0)]])
    return np.asarray(points)


def drawn_between(space: Space) -> tuple[Array, Array]:
    """Return the points of the cube between which starts are drawn, each of shape (parameters,)."""
    spans = _spans(space)
    # an axis that starts at 0 has no logarithm: its draw is linear, like its coordinate
    outside = _outside(space, spans)
    low = np.where(outside, 0.0, space.points(spans[:, 0]))
    return low, np.where(outside, 1.0, space.points(spans[:, 1]))


def excluded(space: Space) -> tuple[str, ...]:
    """Return a warning for every parameter whose bounds exclude what the data suggest."""
    spans = _spans(space)
    return tuple(
        f"{space.sweeps[0].name}: the bounds of {name}, {space.lower[k]:g} to {space.upper[k]:g},"
        f" exclude what the data suggest, {spans[k, 0]:.3g} to {spans[k, 1]:.3g}; starts are drawn"
        " between the bounds, wider ones may fit better"
        for k, name in enumerate(space.names)
        if _outside(space, spans)[k]
    )


def _spans(space: Space) -> Array:
    """Return the range that the data suggest for each parameter, shape (parameters, 2)."""
    ranges = guess_ranges(space.model, space.sweeps, space.fixed)
    return np.array([ranges["x0" if name.startswith("x0_") else name] for name in space.names])


def _outside(space: Space, spans: Array) -> NDArray[np.bool_]:
    return np.asarray((spans[:, 1] < space.lower) | (spans[:, 0] > space.upper))


def settle_substeps(
    space: Space, points: Array, share: float, most: int, trail: Trail | None = None
) -> int:
    """Return the integration steps per interval whose error is below a share of the misfit.

    Parameters
    ----------
    space
        The search space: free parameters and their bounds.
    points
        Starting points, (starts, parameters).
    share
        Largest error, as a share of the misfit.
    most
        Steps per interval that are not exceeded.
    trail
        Walks of points tried before.
    """
    count, trail = space.substeps, Trail() if trail is None else trail
    coarse = space.residuals(points, False, trail)[0]
    while count < most:
        fine = replace(space, substeps=2 * count).residuals(points, False, trail)[0]
        with np.errstate(over="ignore", invalid="ignore"):
            error, misfit = ((coarse - fine) ** 2).sum(0), (fine**2).sum(0)
        # an exact fit has no misfit: a thousandth of a residual is fine enough for any
        if np.median(error - share * misfit) <= 1e-6 * len(fine):
            break
        count, coarse = 2 * count, fine
    return count


def search(
    space: Space,
    points: Array,
    steps: int,
    executor: Executor | None,
    progress: Progress | None,
    trail: Trail | None = None,
) -> Descent:
    """Descend from all points, in chunks and rounds that do not depend on who does the work.

    Parameters
    ----------
    space
        The search space: free parameters and their bounds.
    points
        Starting points, (starts, parameters).
    steps
        Steps of each descent at most.
    executor
        Where jobs run, by default in processes of its own here.
    progress
        Called with how much is done, and of how much.
    trail
        Walks of points tried before; each job begins with those.
    """
    chunks = [Descent.begin(points[k : k + _CHUNK]) for k in range(0, len(points), _CHUNK)]
    rounds = -(-steps // _ROUND)
    left = dict.fromkeys(range(len(chunks)), rounds)
    submit = _now if executor is None else executor.submit

    def start(k: int) -> "Future[Descent]":
        size = min(_ROUND, steps - (rounds - left[k]) * _ROUND)
        return submit(_descend, space, chunks[k], size, trail)

    jobs = {start(k): k for k in left}
    while jobs:
        for job in wait(jobs, return_when=FIRST_COMPLETED).done:
            k = jobs.pop(job)
            chunks[k] = job.result()
            left[k] = 0 if chunks[k].converged.all() else left[k] - 1
            if left[k]:
                jobs[start(k)] = k
        if progress is not None:
            progress(len(chunks) * rounds - sum(left.values()), len(chunks) * rounds)
    return Descent.joined(chunks)


def _now(function: Callable[..., Descent], *args: Any) -> "Future[Descent]":
    """Do a piece of work here, in the manner of an Executor."""
    job: Future[Descent] = Future()
    job.set_result(function(*args))
    return job


_compiled: dict[str, CompactModel] = {}  # in a worker: the models whose functions are made


def compiled_once(model: CompactModel) -> CompactModel:
    """Return the model of the same equations that this process has met first, with what was compiled of it."""
    key = f"{model.name}: {model.current_expr}; {model.rate_expr}; {model.inside}"
    return _compiled.setdefault(key, model)


def _descend(space: Space, begin: Descent, steps: int, trail: Trail | None) -> Descent:
    known = compiled_once(space.model)
    along = replace(space, model=known).along(deepcopy(trail))
    return descend(along, begin, steps=steps, bent=space.at_once)


def settle(
    space: Space, substeps: int, points: Array, trail: Trail | None = None
) -> tuple[Array, Array]:
    """Let starts that ended nearly alike descend on, together, and return points and costs, of the
    space with so many steps per interval: most of the way goes by those of the search.

    They begin with fresh damping: one that has grown at a kink, a threshold that a sample has just
    crossed, stops a descent short of the minimum. Other steps per interval have their kinks elsewhere.

    Parameters
    ----------
    space
        The search space: free parameters and their bounds.
    substeps
        Integration steps per interval at the end.
    points
        Where they ended, (starts, parameters).
    trail
        Walks of points tried before.
    """
    steps = _COSTLY
    if space.at_once:
        smooth = replace(space, substeps=max(space.substeps, _SMOOTH)).along(trail)
        descent = Descent.begin(points, _FRESH)
        for _ in range(_ROUNDS):
            before = descent.costs
            descent = descend(smooth, descent, steps=_SETTLING, bent=False, uphill=True)
            vain = descent.costs > (1.0 - _WORTH) * before
            descent = replace(descent, converged=descent.converged | vain)
        points, steps = descent.points, _AT_LAST
    along = replace(space, substeps=substeps).along(trail)
    begin = Descent.begin(points, _FRESH)
    descent = descend(along, begin, steps=steps, bent=False, uphill=space.at_once)
    return descent.points, descent.costs


def polish(space: Space, z: Array, trail: Trail | None = None) -> tuple[Array, str, bool]:
    """Descend from the winner by lmfit's leastsq, begun anew until the cost stops changing; return
    the end, how it ended, and whether the cost has stopped.

    The cost has kinks, where a threshold is crossed at a step of the integration, and a descent may
    stop at one. Each new beginning is where our own steps lead at another number of integration
    steps, whose kinks lie elsewhere; the cost has stopped when one of these gains nothing.

    Parameters
    ----------
    space
        The search space: free parameters and their bounds.
    z
        The winner, (parameters,).
    trail
        Walks of points tried before.
    """
    trail = Trail() if trail is None else trail
    z = _leastsq(space, z, trail)
    cost = _cost(space, z, trail)
    gains = [1.0]
    for more, damping in _ASIDE:
        aside = replace(space, substeps=space.substeps + more)
        begin = Descent.begin(z[None], damping)
        descent = descend(aside.along(trail), begin, steps=_SIDESTEPS, bent=space.at_once)
        trial = _leastsq(space, descent.points[0], trail)
        reached = _cost(space, trial, trail)
        gains.append(max(1.0 - reached / cost, 0.0) if cost else 0.0)
        if reached < cost:
            z, cost = trial, reached
        if gains[-1] < _SETTLED:
            # not leastsq's own message, which speaks of its tolerances
            return z, f"a restart gained {100.0 * gains[-1]:.1g} % of the cost", True
    return z, f"the cost still falls, by {100.0 * gains[-1]:.2g} % from a restart", False


def _cost(space: Space, z: Array, trail: Trail) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return 0.5 * float((space.residuals(z[None], False, trail)[0] ** 2).sum())


def _leastsq(space: Space, z: Array, trail: Trail) -> Array:
    """Return where one run of lmfit's leastsq ends, ``z`` where it fails; coordinates on a face stay there."""
    parameters = lmfit.Parameters()
    for k, name in enumerate(space.names):
        on_face = z[k] < FACE or z[k] > 1.0 - FACE
        parameters.add(name, value=float(z[k]), min=0.0, max=1.0, vary=not on_face)
    moving = [k for k, name in enumerate(space.names) if parameters[name].vary]
    if not moving:
        return z

    known: dict[bytes, tuple[Array, Array]] = {}  # leastsq asks for both at the same point

    def both(values: lmfit.Parameters) -> tuple[Array, Array]:
        point = np.array([[values[name].value for name in space.names]])
        if not np.isfinite(point).all():
            # MINPACK's own steps, where slopes of some parameters are lost in rounding.
            raise FloatingPointError("its step was not a number")
        if point.tobytes() not in known:
            known.clear()
            residual, slopes = space.residuals(point, True, trail)
            known[point.tobytes()] = residual[:, 0], slopes[:, :, 0]
        return known[point.tobytes()]

    minimizer = lmfit.Minimizer(
        lambda values: both(values)[0], parameters, nan_policy="raise", calc_covar=False
    )
    try:
        result = minimizer.leastsq(
            Dfun=lambda values: both(values)[1][moving],
            col_deriv=1,
            ftol=_FLAT,
            xtol=_FLAT,
            max_nfev=_EVALUATIONS,
        )
    except (FloatingPointError, NonConvergence):
        return z
    end = np.array([result.params[name].value for name in space.names])
    if not np.isfinite(result.chisqr) or result.chisqr > 2.0 * _cost(space, z, trail):
        return z
    return end
