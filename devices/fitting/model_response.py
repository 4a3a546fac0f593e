"""A model's answer to a sweep, and its derivative by every parameter, for many parameter sets at
once.

A fit asks the same question a few thousand times: the same voltage over time, other parameters.
Here all sets walk through the sweep side by side as numpy vectors, one exponential Rosenbrock step
per measured interval (second order, exact where the rate is linear in the state, stable where it is
stiff):

    x_{k+1} = x_k + h φ(h J) r,   φ(z) = (e^z - 1)/z,   r = dx/dt and J = ∂r/∂x at x_k and the
    interval's mid voltage

The series resistance is solved on the way, one or two Newton steps from the last interval's
solution. Derivatives come from the sensitivity equations s' = J s + ∂r/∂p, whose coefficients are
evaluated for the whole sweep in one call of the model's compiled derivatives, so that a Jacobian
costs about as much as the simulation itself.

A source with a current limit makes of a SET a jump that stops where the current is reached, all
within one measured interval (:mod:`memtwin.devices.dynamics.jump`).
"""

__all__ = ["Response", "respond", "respond_to"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.measurement import Sweep
from ...data.types import Array
from ..dynamics.jump import LEAP, Jump, cross, rate_slopes
from ..model import SERIES, CompactModel
from ..series import Inner, Terminal

_STIFF = 30.0  # a state that would grow e^30-fold within one interval has reached its bound anyway
_STRIDE, _BENT, _SHARE = 5e-4, 0.4, 0.3
"""Under a limit: change of the state within a step, and of the logarithm of its rate or as a share of the state, from
which one slope is too little for the step and its derivatives to mean the same.
"""
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
    """

    i: Array
    x: Array
    slopes: Array


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
        )
        return Response(answer.i[::substeps], answer.x[::substeps], answer.slopes[:, ::substeps])
    terminal = Terminal(model, [p[name] for name in model.names], tolerance=_SOLVED)
    if limit is not None:
        terminal = terminal.limited(_by_set(limit))
    if model.rate_expr is None:
        x = np.repeat(x0[None], len(t), 0)
        walk = None
    else:
        walk = _walk(terminal.limited(None), t, v, x0, limit)
        x = walk.x
    inner = terminal.solve(np.broadcast_to(_by_set(v), x.shape).copy(), x)
    if not wanted:
        return Response(inner.i, x, np.empty((0, *inner.i.shape)))
    moves = _sensitivity(model, t, terminal, x, walk, wanted)
    return Response(inner.i, x, _slopes(model, inner, x, terminal.args, moves, wanted))


def respond_to(
    sweeps: Sequence[Sweep],
    model: CompactModel,
    p: Mapping[str, Array],
    x0: Sequence[Array],
    *,
    wanted: Sequence[str] = (),
    substeps: int = 1,
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
    )
    found, first = [], 0
    for sweep, start in zip(sweeps, x0, strict=True):
        its = (slice(len(sweep.t)), slice(first, first + len(start)))
        slopes = answer.slopes[:, its[0], its[1]] if wanted else np.empty((0, *answer.i[its].shape))
        found.append(Response(answer.i[its], answer.x[its], slopes))
        first += len(start)
    return found


def _side_by_side(columns: Sequence[Array], sets: int) -> Array:
    """Return columns beside each other, ``sets`` times each, the shorter ones with their last value
    to the end.
    """
    longest = max(map(len, columns))
    even = [np.pad(column, (0, longest - len(column)), "edge") for column in columns]
    return np.repeat(np.stack(even, 1), sets, 1)


def _by_set(values: Array) -> Array:
    return values if values.ndim > 1 else values[:, None]


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


@dataclass(frozen=True)
class _Walk:
    """States at the samples, (points, sets); in every interval the voltage behind r_s at its middle and
    the resistance before it, (points - 1, sets); and the intervals crossed in a jump.
    """

    x: Array
    u: Array
    ohms: Array
    jumps: tuple[Jump, ...]


def _walk(terminal: Terminal, t: Array, v: Array, x0: Array, limit: Array | None) -> _Walk:
    low, high = terminal.bounds
    x = np.empty((len(t), len(x0)))
    x[0] = np.clip(x0, low, high)
    inner = np.empty((len(t) - 1, len(x0)))
    ohms = np.broadcast_to(terminal.r_s, inner.shape)
    middles, steps = 0.5 * (v[1:] + v[:-1]), np.diff(t, axis=0)
    jumps: list[Jump] = []
    between = np.full(len(t) - 1, np.inf)
    if limit is not None:
        between, ohms = np.minimum(limit[1:], limit[:-1]), ohms.copy()
    limited = np.asarray(np.isfinite(_by_set(between)).any(1))
    for k, (middle, step) in enumerate(zip(middles, steps, strict=True)):
        most = between[k] if limited[k] else None
        if (most is None) != (terminal.limit is None):
            terminal = terminal.limited(most)
        elif most is not None:
            terminal.limit = most
        inner[k], rate, slope = terminal.walk(middle, x[k])
        # minimum and maximum: half of a step's time would go into clip's checks of its arguments
        stretch = np.minimum(np.maximum(step * slope, -1e6), _STIFF)
        x[k + 1] = np.minimum(np.maximum(x[k] + step * _phi(stretch) * rate, low), high)
        if most is not None:
            ohms[k] = terminal.ohms
            far = np.abs(x[k + 1] - x[k])
            bent = (np.abs(stretch) > _BENT) | (far > _SHARE * np.abs(x[k]))
            leaps = (far > LEAP) | ((far > _STRIDE) & bent)
            (sets,) = np.nonzero(leaps & np.isfinite(most))
            if len(sets):
                each = (np.broadcast_to(value, far.shape)[sets] for value in (middle, step))
                jumps.append(cross(terminal.only(sets), k, sets, x[k, sets], *each))
                x[k + 1, sets] = jumps[-1].end
    return _Walk(x, inner, ohms, tuple(jumps))


def _sensitivity(
    model: CompactModel,
    t: Array,
    terminal: Terminal,
    x: Array,
    walk: _Walk | None,
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
    step = _by_set(np.diff(t, axis=0))
    # half the step on: there the coefficients are of second order
    half = 0.5 * (x[1:] + x[:-1])
    law = model.compiled_many(("current", ""), ("current", "V"), ("current", "X"))
    _, i_v, i_x = law(walk.u, x[:-1], *args)
    u = walk.u - ohms * i_x / (1.0 + ohms * i_v) * (half - x[:-1])
    slope, pushes = rate_slopes(model, u, half, args, ohms, wanted)
    stretch = np.clip(step * slope, -1e6, _STIFF)
    pushes *= step * _phi(stretch)
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


def _phi(z: Array) -> Array:
    """Return (e^z - 1)/z, 1 at z = 0."""
    small = np.abs(z) < 1e-8
    safe = np.where(small, 1.0, z)
    return np.where(small, 1.0 + 0.5 * z, np.expm1(safe) / safe)
