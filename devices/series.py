"""A device as its terminals see it: the law behind a series resistor.

A device of law f in series with r_s carries i = f(u, x) where u = v - r_s i. For a passive,
non-decreasing f the residual u + r_s f(u) - v grows with u and changes sign between 0 and v, so
Newton's step is taken inside a bracket that shrinks at every evaluation; where it would leave the
bracket, or has stopped to shrink (along an exponential each moves u by the same 1/b), the bracket
is halved instead. A :class:`Terminal` asks for it wherever a model's current or rate is wanted at a
terminal voltage.
"""

__all__ = ["Inner", "Terminal", "full", "inner_voltage"]

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.errors import NonConvergence
from ..data.types import Array

if TYPE_CHECKING:
    from .compile import Numeric
    from .model import CompactModel

_STEPS = 120
_PATIENCE = 8  # steps after which Newton's have to halve each time
_SETTLED = 1e-5  # Newton step, relative to |v|, whose square no longer matters to a walk
_WALK_STEPS = 6


def inner_voltage(
    law: Callable[[Array], tuple[Array, Array]],
    v: Array,
    r_s: Array,
    *,
    start: Array | None = None,
    tolerance: float = 1e-13,
) -> tuple[Array, Array, Array]:
    """Solve u + r_s f(u) = v for every device at once.

    Parameters
    ----------
    law
        u [V] -> (f [A], df/du [S]), both of v's shape.
    v
        Terminal voltage [V], any shape.
    r_s
        Series resistance [ohm], broadcasting against v.
    start
        First guess of u [V]; without it, v.
    tolerance
        Newton step at which a device counts as solved, relative to ``|v|`` (plus 1e-16 V).

    Returns
    -------
    tuple
        u [V], f(u) [A], df/du [S], each of v's shape.

    Raises
    ------
    NonConvergence
        If the law is so irregular that 120 bracketed steps do not settle.
    """
    low, high = np.minimum(v, 0.0), np.maximum(v, 0.0)
    u = v if start is None else np.minimum(np.maximum(start, low), high)
    limit = tolerance * np.abs(v) + 1e-16
    closed = 4.0 * np.finfo(float).eps * np.abs(v)
    before = np.full(np.shape(v), np.inf)
    for k in range(_STEPS):
        current, slope = law(u)
        residual = u + r_s * current - v
        step = residual / (1.0 + r_s * slope)
        following = u - step
        # a bracket that has closed is as near as rounding in the law lets it come
        done = (np.abs(step) <= limit) | (high - low <= closed)
        if done.all():
            return following, current - slope * step, slope
        low = np.where(residual < 0, u, low)
        high = np.where(residual > 0, u, high)
        inside = (following >= low) & (following <= high)
        if k >= _PATIENCE:
            inside &= np.abs(step) <= 0.5 * before
        before = np.abs(step)
        u = np.where(done, u, np.where(inside, following, 0.5 * (low + high)))
    raise NonConvergence(
        f"no current found through r_s at {int(np.sum(~done))} of {done.size} points after"
        f" {_STEPS} steps; the model's current must not fall with voltage"
    )


class Inner(NamedTuple):
    """What goes on behind the series resistance, each of the terminal voltage's shape."""

    u: Array
    """Voltage across the device itself [V]."""
    i: Array
    """Current [A]."""
    slope: Array
    """di/du [S]."""


class Terminal:
    """Devices of one model, side by side, at their terminals.

    What was found behind the series resistances is kept, with its slopes where they are known: they
    foretell the next solution so well that Newton's method needs a step or two. Only what returns
    several quantities keeps its solution; the stages between two steps do not disturb it.

    Parameters
    ----------
    model
        The model.
    args
        Its parameters in the order of the table, r_s last; numbers, or arrays that broadcast
        against the voltages.
    tolerance
        See :func:`inner_voltage`. Newton's last step is applied, so that the error left is about
        its square.
    start
        First guess of the voltages behind r_s [V]; without it, the terminal voltages.
    """

    def __init__(
        self,
        model: "CompactModel",
        args: Sequence[Array],
        *,
        tolerance: float = 1e-13,
        start: Array | None = None,
    ) -> None:
        self.bounds = model.state_range
        self.model = model
        *self.args, self.r_s = args
        self.series = bool(np.any(self.r_s))
        self._tolerance = tolerance
        self._u = start if self.series else None
        self._tangent: tuple[tuple[Array, Array], ...] = ()  # (v, du/dv), (x, du/dx) found there

    def fresh(self) -> "Terminal":
        """Return the same devices with nothing kept."""
        other = object.__new__(Terminal)
        other.__dict__.update(self.__dict__, _u=None, _tangent=())
        return other

    def only(self, index: NDArray[np.intp] | slice) -> "Terminal":
        """Return the devices at ``index``, with what was kept of them."""
        part = self.fresh()
        part.args = [a if a.ndim == 0 else a[index] for a in self.args]
        part.r_s = self.r_s if self.r_s.ndim == 0 else self.r_s[index]
        part._u = None if self._u is None else self._u[index]
        part._tangent = tuple((at[index], slope[index]) for at, slope in self._tangent)
        return part

    def absorb(self, part: "Terminal", index: NDArray[np.intp] | slice) -> None:
        """Keep what ``part``, the devices at ``index``, have kept."""
        if self._u is None or part._u is None:
            return
        self._u[index] = part._u
        for mine, its in zip(self._tangent, part._tangent, strict=True):
            for kept, found in zip(mine, its, strict=True):
                kept[index] = found

    def solve(self, v: Array, x: Array) -> Inner:
        """Return voltage, current and slope behind r_s, as Newton's method leaves them."""
        shape = v.shape

        def law(u: Array) -> tuple[Array, Array]:
            i, slope = self._law(u, x, *self.args)
            return full(i, shape), full(slope, shape)

        if not self.series:
            return Inner(v, *law(v))
        return Inner(
            *inner_voltage(
                law,
                v,
                self.r_s,
                start=self._guess(v, x),
                tolerance=self._tolerance,
            )
        )

    def current(self, v: Array, x: Array) -> Array:
        """Return i [A]."""
        return full(self._current(self._inner(v, x), x, *self.args), v.shape)

    def rate(self, v: Array, x: Array) -> Array:
        """Return dx/dt [1/s]."""
        return full(self._rate(self._inner(v, x), x, *self.args), v.shape)

    def current_and_slope(self, v: Array, x: Array) -> tuple[Array, Array]:
        """Return i [A] and di/dv [S]."""
        u = self._kept(self._inner(v, x))
        i, slope = self._law(u, x, *self.args)
        if self.series:
            slope = slope / (1.0 + self.r_s * slope)
        return full(i, v.shape), full(slope, v.shape)

    def rate_and_current(self, v: Array, x: Array) -> tuple[Array, Array]:
        """Return dx/dt [1/s] and i [A]."""
        u = self._kept(self._inner(v, x))
        rate, i = self._rate_and_current(u, x, *self.args)
        return full(rate, v.shape), full(i, v.shape)

    def rate_and_slopes(self, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return F = dx/dt [1/s], dF/dx and dF/dv."""
        if not self.series:
            f, f_x, f_v = self._motion(v, x, *self.args)
            return f, f_x, f_v
        u = self._inner(v, x)
        f, f_x, f_v, g, i_x = self._motion(u, x, *self.args)
        u_v = 1.0 / (1.0 + self.r_s * g)
        u_x = -self.r_s * i_x * u_v
        by_v, by_x = (v.copy(), full(u_v, v.shape)), (x.copy(), full(u_x, v.shape))
        self._u, self._tangent = u, (by_v, by_x)
        return f, f_x + f_v * u_x, f_v * u_v

    def walk(self, v: float, x: Array) -> tuple[Array, Array, Array]:
        """Return u [V], dx/dt [1/s] and its slope by x at a voltage that all devices share, and that
        is near the last one.

        Newton's method runs on all quantities at once, so that its last step corrects the rate too.
        """
        law, args, r_s = self._everything, self.args, self.r_s
        if not self.series:
            u = np.full(len(x), v)
            _, _, _, rate, _, slope = law(u, x, *args)
            return u, rate, slope
        low, high = min(v, 0.0), max(v, 0.0)
        guess = self._guess(v, x)
        u = np.full(len(x), v) if guess is None else np.minimum(np.maximum(guess, low), high)
        for _ in range(_WALK_STEPS):
            i, i_v, i_x, rate, r_v, r_x = law(u, x, *args)
            gain = 1.0 / (1.0 + r_s * i_v)
            move = (v - u - r_s * i) * gain
            following = np.minimum(np.maximum(u + move, low), high)
            move = following - u
            u = following
            if np.abs(move).max() <= _SETTLED * abs(v) + 1e-12:
                break
        else:
            u = self.fresh().solve(np.full(len(x), v), x).u
            i, i_v, i_x, rate, r_v, r_x = law(u, x, *args)
            gain, move = 1.0 / (1.0 + r_s * i_v), np.zeros(len(x))
        self._u, self._tangent = u, ((np.asarray(v, float), gain),)
        return u, rate + r_v * move, r_x - r_v * gain * r_s * i_x

    @cached_property
    def _current(self) -> "Numeric":
        return self.model.compiled("current")

    @cached_property
    def _rate(self) -> "Numeric":
        return self.model.compiled("rate")

    @cached_property
    def _rate_and_current(self) -> "Numeric":
        return self.model.compiled_many(("rate", ""), ("current", ""))

    @cached_property
    def _law(self) -> "Numeric":
        return self.model.compiled_many(("current", ""), ("current", "V"))

    @cached_property
    def _motion(self) -> "Numeric":
        wanted = [("rate", ""), ("rate", "X"), ("rate", "V")]
        return self.model.compiled_many(
            *wanted, *([("current", "V"), ("current", "X")] if self.series else [])
        )

    @cached_property
    def _everything(self) -> "Numeric":
        return self.model.compiled_many(
            *((quantity, wrt) for quantity in ("current", "rate") for wrt in ("", "V", "X"))
        )

    def _inner(self, v: Array, x: Array) -> Array:
        return self.solve(v, x).u if self.series else v

    def _kept(self, u: Array) -> Array:
        if self.series:
            self._u, self._tangent = u, ()
        return u

    def _guess(self, v: Array | float, x: Array) -> Array | None:
        guess, tangent = self._u, self._tangent
        if guess is None or not tangent:
            return guess
        if guess.shape != x.shape:
            return None
        at, slope = tangent[0]
        guess = guess + slope * (v - at)
        if len(tangent) == 1:
            return guess
        at, slope = tangent[1]
        return guess + slope * (x - at)


def full(value: Any, shape: tuple[int, ...]) -> Array:
    """Return a value as an array of this shape."""
    array = np.asarray(value, float)
    return array if array.shape == shape else np.broadcast_to(array, shape).copy()
