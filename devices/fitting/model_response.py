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
"""

__all__ = ["Response", "respond"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.types import Array
from ..model import SERIES, CompactModel
from ..series import Terminal

_STIFF = 30.0  # a state that would grow e^30-fold within one interval has reached its bound anyway
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
) -> Response:
    """Drive S parameter sets of a model through one sweep.

    Parameters
    ----------
    model
        The model; without dynamics its state stays at x0.
    t, v
        Time [s] and voltage [V], linear in between, shape (points,).
    p
        Every parameter of the model, each of shape (sets,).
    x0
        State at the first sample, shape (sets,).
    wanted
        Parameters to differentiate by; ``x0`` is one of them.
    substeps
        Integration steps per measured interval.
    """
    if substeps > 1:
        knots = np.arange(len(t))
        fine = np.linspace(0.0, len(t) - 1.0, substeps * (len(t) - 1) + 1)
        answer = respond(
            model, np.interp(fine, knots, t), np.interp(fine, knots, v), p, x0, wanted=wanted
        )
        return Response(answer.i[::substeps], answer.x[::substeps], answer.slopes[:, ::substeps])
    terminal = Terminal(model, [p[name] for name in model.names], tolerance=_SOLVED)
    args, r_s = terminal.args, terminal.r_s
    if model.rate_expr is None:
        x = np.repeat(x0[None], len(t), 0)
        inner = None
    else:
        x, inner = _walk(Terminal(model, [*args, r_s]), t, v, x0)
    u, i, _ = terminal.solve(np.repeat(v[:, None], x.shape[1], 1), x)
    if not wanted:
        return Response(i, x, np.empty((0, *i.shape)))
    moves = _sensitivity(model, t, v, args, r_s, x, inner, wanted)
    return Response(i, x, _slopes(model, u, i, x, args, r_s, moves, wanted))


def _walk(terminal: Terminal, t: Array, v: Array, x0: Array) -> tuple[Array, Array]:
    """Return states (points, sets) and mid-interval inner voltages (points - 1, sets)."""
    low, high = terminal.bounds
    x = np.empty((len(t), len(x0)))
    x[0] = np.clip(x0, low, high)
    inner = np.empty((len(t) - 1, len(x0)))
    middles, steps = 0.5 * (v[1:] + v[:-1]), np.diff(t)
    for k, (middle, step) in enumerate(zip(middles, steps, strict=True)):
        inner[k], rate, slope = terminal.walk(middle, x[k])
        # minimum and maximum: half of a step's time would go into clip's checks of its arguments
        stretch = np.minimum(np.maximum(step * slope, -1e6), _STIFF)
        x[k + 1] = np.minimum(np.maximum(x[k] + step * _phi(stretch) * rate, low), high)
    return x, inner


def _sensitivity(
    model: CompactModel,
    t: Array,
    v: Array,
    args: list[Array],
    r_s: Array,
    x: Array,
    inner: Array | None,
    wanted: Sequence[str],
) -> Array:
    """Return dx/dp, shape (parameters, points, sets)."""
    moves = np.zeros((len(wanted), *x.shape))
    if "x0" in wanted:
        moves[list(wanted).index("x0"), 0] = 1.0
    if inner is None:
        moves[:] = moves[:, :1]
        return moves
    step = np.diff(t)[:, None]
    # half the step on: there the coefficients are of second order
    half = 0.5 * (x[1:] + x[:-1])
    law = model.compiled_many(("current", ""), ("current", "V"), ("current", "X"))
    _, i_v, i_x = law(inner, x[:-1], *args)
    u = inner - r_s * i_x / (1.0 + r_s * i_v) * (half - x[:-1])
    names = [name for name in wanted if name not in ("x0", SERIES.name)]
    both = ("current", "rate")
    quantities = [(q, w) for q in both for w in ("", "V", "X", *names)]
    values = model.compiled_many(*quantities)(u, half, *args)
    of = {
        key: np.broadcast_to(value, u.shape) for key, value in zip(quantities, values, strict=True)
    }
    i, i_v, i_x = (of["current", w] for w in ("", "V", "X"))
    r_v, r_x = of["rate", "V"], of["rate", "X"]
    lost = r_v * r_s / (1.0 + r_s * i_v)
    pushes = np.zeros((len(wanted), *u.shape))
    for row, name in enumerate(wanted):
        if name == SERIES.name:
            pushes[row] = -r_v * i / (1.0 + r_s * i_v)
        elif name != "x0":
            pushes[row] = of["rate", name] - lost * of["current", name]
    stretch = np.clip(step * (r_x - lost * i_x), -1e6, _STIFF)
    pushes *= step * _phi(stretch)
    grow = np.exp(stretch)
    low, high = model.state_range
    free = (x[1:] > low) & (x[1:] < high)
    grow, pushes = grow * free, pushes * free
    for k in range(len(step)):
        moves[:, k + 1] = grow[k] * moves[:, k] + pushes[:, k]
    return moves


def _slopes(
    model: CompactModel,
    u: Array,
    i: Array,
    x: Array,
    args: list[Array],
    r_s: Array,
    moves: Array,
    wanted: Sequence[str],
) -> Array:
    """Return di/dp at the terminals, shape (parameters, points, sets)."""
    names = [name for name in wanted if name not in ("x0", SERIES.name)]
    i_v, i_x, *by_name = model.compiled_many(
        ("current", "V"), ("current", "X"), *(("current", name) for name in names)
    )(u, x, *args)
    gain = 1.0 / (1.0 + r_s * i_v)
    slopes = moves * i_x
    rows = list(wanted)
    for name, value in zip(names, by_name, strict=True):
        slopes[rows.index(name)] += value
    if SERIES.name in rows:
        slopes[rows.index(SERIES.name)] -= i_v * i
    return np.asarray(slopes * gain)


def _phi(z: Array) -> Array:
    """Return (e^z - 1)/z, 1 at z = 0."""
    small = np.abs(z) < 1e-8
    safe = np.where(small, 1.0, z)
    return np.where(small, 1.0 + 0.5 * z, np.expm1(safe) / safe)
