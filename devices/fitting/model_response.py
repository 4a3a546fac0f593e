"""A model's answer to a sweep, and its derivative by every parameter, for many parameter sets at
once.

A fit asks the same question a few thousand times: the same voltage over time, other parameters.
Here all sets walk through the sweep side by side as numpy vectors (:mod:`memtwin.devices.dynamics.walk`), from
one measured interval to the next or, where a walk of nearby parameters is known, all intervals at once.

The series resistance is solved on the way, one or two Newton steps from the last interval's
solution. Derivatives come from the sensitivity equations s' = J s + ∂r/∂p, whose coefficients are
evaluated for the whole sweep in one call of the model's compiled derivatives, so that a Jacobian
costs about as much as the simulation itself.

A source with a current limit makes of a SET a jump that stops where the current is reached, all
within one measured interval (:mod:`memtwin.devices.dynamics.jump`).
"""

__all__ = ["Response", "at_once", "respond", "respond_to"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.measurement import Sweep
from ...data.types import Array
from ..dynamics.jump import rate_slopes
from ..dynamics.walk import STIFF, Walk, all_at_once, by_set, phi, step_through
from ..model import SERIES, CompactModel
from ..series import Inner, Terminal

_SOLVED = 1e-10  # Newton step behind r_s at a sample, relative to the voltage


@dataclass(frozen=True)
class Response:
    """What a sweep does to S parameter sets.

    Attributes
    ----------
    i
        Current at every sample [A], shape (points, sets).
    x
        State at every sample, shape (points, sets).
    slopes
        di/dp for each parameter asked for, shape (parameters, points, sets); empty if none was.
    walk
        How the states got there, of all sweeps that were walked through together; ``None`` without dynamics.
    """

    i: Array
    x: Array
    slopes: Array
    walk: Walk | None = None


def respond(
    model: CompactModel,
    t: Array,
    v: Array,
    p: Mapping[str, Array],
    x0: Array,
    *,
    wanted: Sequence[str] = (),
    substeps: int = 1,
    limit: Array | None = None,
    near: Walk | None = None,
) -> Response:
    """Drive S parameter sets of a model through one sweep.

    Parameters
    ----------
    model
        The model; without dynamics its state stays at x0.
    t, v
        Time [s] and voltage [V], linear in between, shape (points,), or (points, sets) where each set
        has its own.
    p
        Every parameter of the model, each of shape (sets,).
    x0
        State at the first sample, shape (sets,).
    wanted
        Parameters to differentiate by; ``x0`` is one of them.
    substeps
        Integration steps per measured interval.
    limit
        Largest current of the source at every sample [A], in the shape of ``v``, the lower of two
        holding between them; infinite where there is none.
    near
        Walks of nearby parameters to begin with, one per set; not with a limit, or for a model with an inner node.
    """
    if substeps > 1:
        answer = respond(
            model,
            _finer(t, substeps),
            _finer(v, substeps),
            p,
            x0,
            wanted=wanted,
            limit=None if limit is None else _finer_limit(limit, substeps),
            near=near,
        )
        slopes = answer.slopes[:, ::substeps]
        return Response(answer.i[::substeps], answer.x[::substeps], slopes, answer.walk)
    terminal = Terminal(model, [p[name] for name in model.names], tolerance=_SOLVED)
    if limit is not None:
        terminal = terminal.limited(by_set(limit))
    walk = None
    if model.rate_expr is not None:
        free = terminal.limited(None)
        walk = (
            step_through(free, t, v, x0, limit)
            if near is None
            else all_at_once(free, t, v, x0, near)
        )
    x = np.repeat(x0[None], len(t), 0) if walk is None else walk.x
    if walk is not None:
        terminal = terminal.starting(_at_samples(walk.u))
    inner = terminal.solve(np.broadcast_to(by_set(v), x.shape).copy(), x)
    if not wanted:
        return Response(inner.i, x, np.empty((0, *inner.i.shape)), walk)
    moves = _sensitivity(model, t, terminal, x, walk, wanted)
    return Response(inner.i, x, _slopes(model, inner, x, terminal.args, moves, wanted), walk)


def respond_to(
    sweeps: Sequence[Sweep],
    model: CompactModel,
    p: Mapping[str, Array],
    x0: Sequence[Array],
    *,
    wanted: Sequence[str] = (),
    substeps: int = 1,
    near: Walk | None = None,
) -> list[Response]:
    """Drive S parameter sets as each sweep did: through its tester's resistor, by a source with its
    limit. All sweeps are walked through together; a shorter one stands still at its end.

    Parameters
    ----------
    sweeps
        The measured sweeps.
    model
        The compact model.
    p
        Parameters by name, (sets,) each.
    x0
        States at the start of each sweep, (sets,).
    wanted
        Parameters to differentiate by.
    substeps
        Integration steps per interval of the sweeps.
    near
        Walk of nearby parameters to begin with, as an answer to the same sweeps has it.
    """
    if len(sweeps) > 1:
        t, v, limit = (
            _side_by_side([getattr(sweep, name) for sweep in sweeps], len(x0[0]))
            for name in ("t", "v", "limit")
        )
    else:
        t, v, limit = sweeps[0].t, sweeps[0].v, sweeps[0].limit
    testers = [float(sweep.meta.get("r_tester", 0.0)) for sweep in sweeps]
    every = {name: np.tile(value, len(sweeps)) for name, value in p.items()}
    every[SERIES.name] = every[SERIES.name] + np.repeat(testers, len(x0[0]))
    answer = respond(
        model,
        t,
        v,
        every,
        np.concatenate(list(x0)),
        wanted=wanted,
        substeps=substeps,
        limit=limit if np.isfinite(limit).any() else None,
        near=near,
    )
    found, first = [], 0
    for sweep, start in zip(sweeps, x0, strict=True):
        its = (slice(len(sweep.t)), slice(first, first + len(start)))
        slopes = answer.slopes[:, its[0], its[1]] if wanted else np.empty((0, *answer.i[its].shape))
        found.append(Response(answer.i[its], answer.x[its], slopes, answer.walk))
        first += len(start)
    return found


def _at_samples(u: Array) -> Array:
    """Return about where voltages are at the samples that are known between them."""
    return np.concatenate([u[:1], 0.5 * (u[1:] + u[:-1]), u[-1:]])


def at_once(model: CompactModel, sweeps: Sequence[Sweep]) -> bool:
    """Return whether a simulation can correct all its steps at once, so that many cost little."""
    limited = any(np.isfinite(sweep.limit).any() for sweep in sweeps)
    return model.inner_expr is None and not limited


def _side_by_side(columns: Sequence[Array], sets: int) -> Array:
    """Return columns beside each other, ``sets`` times each, the shorter ones with their last value
    to the end.
    """
    longest = max(map(len, columns))
    even = [np.pad(column, (0, longest - len(column)), "edge") for column in columns]
    return np.repeat(np.stack(even, 1), sets, 1)


def _finer(values: Array, substeps: int) -> Array:
    """Return values at ``substeps`` equal steps in every interval, linear in between."""
    share = (np.arange(substeps) / substeps).reshape(-1, *[1] * (values.ndim - 1))
    within = values[:-1, None] + share * np.diff(values, axis=0)[:, None]
    return np.concatenate([within.reshape(-1, *values.shape[1:]), values[-1:]])


def _finer_limit(limit: Array, substeps: int) -> Array:
    """Return the limit at these steps: between two samples the lower of both."""
    between = np.repeat(np.minimum(limit[1:], limit[:-1]), substeps, 0)
    between[::substeps] = limit[:-1]
    return np.concatenate([between, limit[-1:]])


def _sensitivity(
    model: CompactModel,
    t: Array,
    terminal: Terminal,
    x: Array,
    walk: Walk | None,
    wanted: Sequence[str],
) -> Array:
    """Return dx/dp, shape (parameters, points, sets)."""
    moves = np.zeros((len(wanted), *x.shape))
    if "x0" in wanted:
        moves[list(wanted).index("x0"), 0] = 1.0
    if walk is None:
        moves[:] = moves[:, :1]
        return moves
    args, ohms = terminal.args, walk.ohms
    step = by_set(np.diff(t, axis=0))
    # half the step on: there the coefficients are of second order
    half = 0.5 * (x[1:] + x[:-1])
    law = model.compiled_many(("current", ""), ("current", "V"), ("current", "X"))
    _, i_v, i_x = law(walk.u, x[:-1], *args)
    u = walk.u - ohms * i_x / (1.0 + ohms * i_v) * (half - x[:-1])
    slope, pushes = rate_slopes(model, u, half, args, ohms, wanted)
    stretch = np.clip(step * slope, -1e6, STIFF)
    pushes *= step * phi(stretch)
    grow = np.exp(stretch)
    for jump in walk.jumps:
        grow[jump.interval, jump.sets], pushes[:, jump.interval, jump.sets] = jump.slopes(wanted)
    low, high = model.state_range
    free = (x[1:] > low) & (x[1:] < high)
    grow, pushes = grow * free, pushes * free
    for k in range(len(step)):
        moves[:, k + 1] = grow[k] * moves[:, k] + pushes[:, k]
    return moves


def _slopes(
    model: CompactModel,
    inner: Inner,
    x: Array,
    args: list[Array],
    moves: Array,
    wanted: Sequence[str],
) -> Array:
    """Return di/dp at the terminals, shape (parameters, points, sets)."""
    names = [name for name in wanted if name not in ("x0", SERIES.name)]
    i_v, i_x, *by_name = model.compiled_many(
        ("current", "V"), ("current", "X"), *(("current", name) for name in names)
    )(inner.u, x, *args)
    gain = 1.0 / (1.0 + inner.ohms * i_v)
    slopes = moves * i_x
    rows = list(wanted)
    for name, value in zip(names, by_name, strict=True):
        slopes[rows.index(name)] += value
    if SERIES.name in rows:
        slopes[rows.index(SERIES.name)] -= i_v * inner.i
    return np.asarray(slopes * gain)
