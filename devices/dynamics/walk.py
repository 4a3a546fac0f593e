"""The state on its way through a sweep, for many parameter sets side by side.

One exponential Rosenbrock step per interval (second order, exact where the rate is linear in the state,
stable where it is stiff):

    x_{k+1} = x_k + h φ(h J) r,   φ(z) = (e^z - 1)/z,   r = dx/dt and J = ∂r/∂x at x_k and the interval's mid
    voltage

:func:`step_through` takes the steps one after the other, which costs a round of small numpy calls each.
:func:`all_at_once` begins with a walk of nearby parameters and lets Newton's method correct all steps of it
together: every round evaluates the law at all of them in one call, and the corrections are a linear
recurrence. What has converged is left alone; where a state jumps, few intervals converge in a round, and a
window of them moves on from the first that has not.
"""

__all__ = [
    "STIFF",
    "Trail",
    "Walk",
    "all_at_once",
    "by_set",
    "held_recurrence",
    "phi",
    "step_through",
]

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ...data.types import Array
from ..series import Terminal
from .collocation import recurrence
from .jump import LEAP, Jump, cross

STIFF = 30.0
"""A state that would grow e^30-fold within one interval has reached its bound anyway."""
_STRIDE, _BENT, _SHARE = 5e-4, 0.4, 0.3
"""Under a limit: change of the state within a step, and of the logarithm of its rate or as a share of the state, from
which one slope is too little for the step and its derivatives to mean the same.
"""
_SAME = 1e-8  # correction of a state below which it has converged
_SETTLED = 1e-5  # correction of a voltage, relative to it, whose square no longer matters
_LEAP = 0.1  # correction of a state that one round makes at most: the next sees where it led
_WHOLE = 10  # rounds over all that is left; then windows move on
_WINDOW = 32  # intervals
_HUGE = 1e100  # beyond every move of a state, and far below what overflows
_KEPT = 4  # batches of walks that a trail remembers


@dataclass(frozen=True)
class Walk:
    """States at the samples, and what led from each to the next.

    Attributes
    ----------
    t
        Time [s], (points,) or (points, sets).
    x
        States, (points, sets).
    u
        Voltage behind r_s at the middle of every interval [V], (points - 1, sets).
    ohms
        Resistance before it [ohm], (points - 1, sets).
    jumps
        Intervals that were crossed in a jump.
    """

    t: Array
    x: Array
    u: Array
    ohms: Array
    jumps: tuple[Jump, ...] = ()

    def only(self, columns: Array) -> "Walk":
        """Return the walks of some of the sets."""
        t = self.t if self.t.ndim == 1 else self.t[:, columns]
        return Walk(t, self.x[:, columns], self.u[:, columns], self.ohms[:, columns])

    def at(self, t: Array) -> tuple[Array, Array]:
        """Return states at other times, (points, sets), and voltages between them."""
        if t.shape == self.t.shape:
            return self.x, self.u
        middles, mine = 0.5 * (t[1:] + t[:-1]), 0.5 * (self.t[1:] + self.t[:-1])
        return _interpolated(t, self.t, self.x), _interpolated(middles, mine, self.u)


class Trail:
    """Walks of points that were tried, for those tried next: a walk begins with that of the nearest."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Array, Walk]] = deque(maxlen=_KEPT)

    def near(self, points: Array) -> Walk | None:
        """Return for each of ``points``, (sets, parameters), the walk of the nearest one that was kept,
        sweep by sweep; ``None`` if none was.
        """
        if not self._kept:
            return None
        gaps = [((points[:, None] - z) ** 2).sum(-1) for z, _ in self._kept]
        batch = np.argmin([gap.min(1) for gap in gaps], axis=0)
        # One batch for all: walks of different ones have different times.
        latest = int(np.bincount(batch).argmax())
        z, walk = self._kept[latest]
        nearest = gaps[latest].argmin(1)
        sweeps = walk.x.shape[1] // len(z)
        return walk.only(np.concatenate([k * len(z) + nearest for k in range(sweeps)]))

    def keep(self, points: Array, walk: Walk) -> None:
        """Remember the walks of ``points``, (sets, parameters)."""
        self._kept.append((points.copy(), walk))


def step_through(terminal: Terminal, t: Array, v: Array, x0: Array, limit: Array | None) -> Walk:
    """Take one step after the other.

    Parameters
    ----------
    terminal
        The devices, one per set.
    t, v
        Time [s] and programmed voltage [V], (points,) or (points, sets).
    x0
        First states, (sets,).
    limit
        Largest current of the source at every sample [A], in the shape of ``v``; ``None``: no limit.
    """
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
    limited = np.asarray(np.isfinite(by_set(between)).any(1))
    for k, (middle, step) in enumerate(zip(middles, steps, strict=True)):
        most = between[k] if limited[k] else None
        if (most is None) != (terminal.limit is None):
            terminal = terminal.limited(most)
        elif most is not None:
            terminal.limit = most
        inner[k], rate, slope = terminal.walk(middle, x[k])
        # minimum and maximum: half of a step's time would go into clip's checks of its arguments
        stretch = np.minimum(np.maximum(step * slope, -1e6), STIFF)
        x[k + 1] = np.minimum(np.maximum(x[k] + step * phi(stretch) * rate, low), high)
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
    return Walk(t, x, inner, ohms, tuple(jumps))


def all_at_once(terminal: Terminal, t: Array, v: Array, x0: Array, guess: Walk) -> Walk:
    """Correct all steps of a guess together, until they are those of :func:`step_through`.

    Parameters
    ----------
    terminal
        The devices, one per set; without an inner node, and behind a source without a limit.
    t, v
        Time [s] and programmed voltage [V], (points,) or (points, sets).
    x0
        First states, (sets,).
    guess
        A walk of such devices, one per set, at these or other times.
    """
    low, high = terminal.bounds
    far = _LEAP * (high - low) if np.isfinite(high - low) else np.inf
    x, u = (each.copy() for each in guess.at(t))
    x[0] = np.clip(x0, low, high)
    count, sets = u.shape
    steps = np.broadcast_to(by_set(np.diff(t, axis=0)), u.shape)
    middles = np.broadcast_to(by_set(0.5 * (v[1:] + v[:-1])), u.shape)
    begins = np.zeros(sets, np.intp)  # the first interval that has not converged
    left = np.arange(sets)
    part = terminal
    for made in range(count):
        width = min(count - int(begins[left].min()), count if made < _WHOLE else _WINDOW)
        rows = begins[left] + np.arange(width)[:, None]
        within = rows < count
        rows = np.minimum(rows, count - 1)
        before, here = x[rows, left], u[rows, left]
        v_mid, step = middles[rows, left], np.where(within, steps[rows, left], 0.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = part.approach(v_mid, here, before)
            stretch = np.minimum(np.maximum(step * found.slope, -1e6), STIFF)
            led = before + step * phi(stretch) * found.rate
            wanted = x[rows + 1, left]
            least, most = np.maximum(low - wanted, -far), np.minimum(high - wanted, far)
            move = held_recurrence(np.exp(stretch), led - wanted, least, most)
        reached = np.minimum(np.maximum(wanted + move, low), high)
        move = reached - wanted
        fine = (np.abs(move) <= _SAME) & (np.abs(found.move) <= _SETTLED * np.abs(v_mid) + 1e-12)
        moved = np.concatenate([np.zeros((1, len(left))), move[:-1]])
        inside = np.nan_to_num(found.u + found.by_x * moved)
        inside = np.minimum(np.maximum(inside, np.minimum(v_mid, 0.0)), np.maximum(v_mid, 0.0))
        row, column = np.nonzero(within)
        x[rows[row, column] + 1, left[column]] = reached[row, column]
        u[rows[row, column], left[column]] = inside[row, column]
        fine |= ~within
        begins[left] += np.where(fine.all(0), width, fine.argmin(0))
        on = begins[left] < count
        if not on.all():
            left = left[on]
            part = terminal.only(left)
        if not len(left):
            break
    else:
        its_t, its_v = (each if each.ndim == 1 else each[:, left] for each in (t, v))
        walked = step_through(part.fresh(), its_t, its_v, x0[left], None)
        x[:, left], u[:, left] = walked.x, walked.u
    return Walk(t, x, u, np.broadcast_to(terminal.r_s, u.shape))


def held_recurrence(grow: Array, push: Array, least: Array, most: Array) -> Array:
    """Return y with y[k] = grow[k] y[k-1] + push[k], held between ``least`` and ``most``, and y[-1] = 0, along the
    first axis.

    A state that rests on a bound leaves it as soon as the one before does. Where nothing is held, doubling of
    the plain recurrence has the answer; else the maps y -> min(max(a y + b, l), h) are joined, which are closed
    under composition as none falls.

    Parameters
    ----------
    grow, push
        Factors, none below 0, and summands, of one shape.
    least, most
        Bounds of every element, in that shape.
    """
    push = np.minimum(np.maximum(np.where(np.isnan(push), 0.0, push), -_HUGE), _HUGE)
    grow = np.where(np.isnan(grow), 0.0, grow)
    free = recurrence(grow, push)
    if ((free >= least) & (free <= most)).all():
        return free
    a, b = grow, push
    low, high = np.maximum(least, -_HUGE), np.minimum(most, _HUGE)
    stride = 1
    while stride < len(b):
        late = (a[stride:], b[stride:], low[stride:], high[stride:])
        a, b, low, high = (
            np.concatenate([mine[:stride], joined])
            for mine, joined in zip(
                (a, b, low, high),
                _after(late, (a[:-stride], b[:-stride], low[:-stride], high[:-stride])),
                strict=True,
            )
        )
        stride *= 2
    return np.asarray(np.minimum(np.maximum(b, low), high))


_Held: TypeAlias = tuple[Array, Array, Array, Array]  # slopes, offsets, least and most of maps


def _after(late: _Held, early: _Held) -> _Held:
    """Return the maps that do the early one first, and the late one then."""
    a, b, low, high = late
    least, most = (np.minimum(np.maximum(a * end + b, low), high) for end in early[2:])
    slope = np.minimum(a * early[0], _HUGE)
    offset = np.minimum(np.maximum(a * early[1] + b, -_HUGE), _HUGE)
    return slope, offset, least, most


def phi(z: Array) -> Array:
    """Return (e^z - 1)/z, 1 at z = 0."""
    small = np.abs(z) < 1e-8
    safe = np.where(small, 1.0, z)
    return np.where(small, 1.0 + 0.5 * z, np.expm1(safe) / safe)


def by_set(values: Array) -> Array:
    """Return values as columns, one for all sets where they are alike."""
    return values if values.ndim > 1 else values[:, None]


def _interpolated(at: Array, t: Array, values: Array) -> Array:
    columns = range(values.shape[1])
    return np.stack(
        [
            np.interp(at if at.ndim == 1 else at[:, k], t if t.ndim == 1 else t[:, k], values[:, k])
            for k in columns
        ],
        1,
    )
