"""A device as its terminals see it: the law behind a series resistor.

A device of law f in series with r_s carries i = f(u, x) where u = v - r_s i. For a passive,
non-decreasing f the residual u + r_s f(u) - v grows with u and changes sign between 0 and v, so
Newton's step is taken inside a bracket that shrinks at every evaluation; where it would leave the
bracket, or has stopped to shrink (along an exponential each moves u by the same 1/b), the bracket
is halved instead. A :class:`Terminal` asks for it wherever a model's current or rate is wanted at a
terminal voltage.

A source with a current limit i_c gives its voltage, or the lower one at which |i| = i_c. Both
conditions grow with u, so that the root nearer to 0 V is the one that holds; and a source at its
limit is one behind an infinite resistance, which every slope here takes it for.
"""

__all__ = ["COLD", "Approach", "Inner", "Terminal", "full", "inner_voltage"]

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

COLD = 1e-3
"""Where the search for an inner node begins, in parts of V: of several solutions the one nearest to 0 holds."""
_STEPS = 120
_PATIENCE = 8  # steps after which Newton's have to halve each time
_SETTLED = 1e-5  # Newton step, relative to |v|, whose square no longer matters to a walk
_WALK_STEPS = 6
_SAME = 1e-5  # Newton step of an inner node, relative to |v|, whose square no current shows
_AT_LIMIT = 1e-7  # relative distance from its limit at which a source is on it
_OPEN = 1e30  # resistance of a source at its limit [ohm]: no conductance counts beside it


def inner_voltage(
    law: Callable[[Array], tuple[Array, Array]],
    v: Array,
    r_s: Array,
    *,
    limit: Array | None = None,
    start: Array | None = None,
    tolerance: float = 1e-13,
) -> tuple[Array, Array, Array]:
    """Solve u + r_s f(u) = v for every device at once, or |f(u)| = limit where that is nearer to 0.

    Parameters
    ----------
    law
        u [V] -> (f [A], df/du [S]), both of v's shape.
    v
        Terminal voltage [V], any shape.
    r_s
        Series resistance [ohm], broadcasting against v.
    limit
        Largest current of the source [A], above 0, broadcasting against v; without it, none.
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
    small = tolerance * np.abs(v) + 1e-16
    closed = 4.0 * np.finfo(float).eps * np.abs(v)
    before = np.full(np.shape(v), np.inf)
    most = None if limit is None else np.copysign(limit, v)
    for k in range(_STEPS):
        current, slope = law(u)
        residual = u + r_s * current - v
        step = residual / (1.0 + r_s * slope)
        if most is not None:
            residual, step = _nearer(residual, step, current - most, slope, v)
        following = u - step
        # a bracket that has closed is as near as rounding in the law lets it come
        done = (np.abs(step) <= small) | (high - low <= closed)
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


def _nearer(
    residual: Array, step: Array, excess: Array, slope: Array, v: Array
) -> tuple[Array, Array]:
    """Return sign and Newton step of the condition whose root is nearer to 0 V: the voltage's, or that
    the current has no excess over the limit.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        other = np.where(slope > 0.0, excess / slope, np.copysign(np.inf, excess))
    sign = np.where(v < 0.0, -1.0, 1.0)
    above = np.maximum(sign * np.sign(residual), sign * np.sign(excess))
    return sign * above, sign * np.maximum(sign * step, sign * other)


class Inner(NamedTuple):
    """What goes on behind the series resistance, each of the terminal voltage's shape."""

    u: Array
    """Voltage across the device itself [V]."""
    i: Array
    """Current [A]."""
    slope: Array
    """di/du [S]."""
    ohms: Array
    """Resistance between the source's voltage and u [ohm]: r_s, or beyond all measure at its limit."""


class Approach(NamedTuple):
    """One Newton step of a voltage behind the series resistance, and the motion to first order in it."""

    u: Array
    """Voltage after the step [V]."""
    move: Array
    """The step [V]."""
    ohms: Array
    """Resistance between the source's voltage and u [ohm]."""
    u_v: Array
    """du/dv at constant state."""
    by_x: Array
    """du/dx at constant voltage [V]."""
    rate: Array
    """dx/dt [1/s]."""
    slope: Array
    """Its slope by x at constant voltage [1/s]."""


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
    limit
        Largest current of the source [A], broadcasting against the voltages; without it, none. It may
        be set anew before every call.
    """

    def __init__(
        self,
        model: "CompactModel",
        args: Sequence[Array],
        *,
        tolerance: float = 1e-13,
        start: Array | None = None,
        limit: Array | None = None,
    ) -> None:
        self.bounds = model.state_range
        self.model = model
        *self.args, self.r_s = args
        self.limit = limit
        self.ohms = self.r_s  # before the last voltages found, with the source's own at its limit
        self.series = bool(np.any(self.r_s)) or limit is not None
        self._tolerance = tolerance
        self._u = start if self.series else None
        self._tangent: tuple[tuple[Array, Array], ...] = ()  # (v, du/dv), (x, du/dx) found there
        self._noded = model.inner_expr is not None
        self._node: tuple[Array, ...] = ()  # W of an inner node, u and x there, dW/du, dW/dx

    @property
    def costly(self) -> bool:
        """Whether evaluating the law is a search of its own."""
        return self._noded

    def fresh(self) -> "Terminal":
        """Return the same devices with nothing kept."""
        other = object.__new__(Terminal)
        other.__dict__.update(self.__dict__, _u=None, _tangent=(), _node=())
        return other

    def starting(self, u: Array) -> "Terminal":
        """Return the same devices, whose voltages behind r_s are looked for from u [V]."""
        other = self.fresh()
        other._u = u if self.series else None
        return other

    def limited(self, limit: Array | None) -> "Terminal":
        """Return the same devices behind a source with this limit [A], with nothing kept."""
        other = self.fresh()
        other.limit = limit
        other.series = self.series or limit is not None
        return other

    def only(self, index: NDArray[np.intp] | slice) -> "Terminal":
        """Return the devices at ``index``, with what was kept of them."""
        part = self.fresh()
        part.args = [a if a.ndim == 0 else a[index] for a in self.args]
        part.r_s = self.r_s if self.r_s.ndim == 0 else self.r_s[index]
        if self.limit is not None and np.ndim(self.limit):
            part.limit = self.limit[index]
        part._u = None if self._u is None else self._u[index]
        part._tangent = tuple((at[index], slope[index]) for at, slope in self._tangent)
        part._node = tuple(kept[index] for kept in self._node)
        return part

    def absorb(self, part: "Terminal", index: NDArray[np.intp] | slice) -> None:
        """Keep what ``part``, the devices at ``index``, have kept."""
        if part._node and not self._node and np.ndim(self.r_s):
            self._node = tuple(np.zeros(self.r_s.shape) for _ in part._node)
        for kept, found in zip(self._node, part._node, strict=False):
            kept[index] = found
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
            i, slope = self._at(self._law, u, x)
            return full(i, shape), full(slope, shape)

        if not self.series:
            return Inner(v, *law(v), self.r_s)
        found = inner_voltage(
            law,
            v,
            self.r_s,
            limit=self.limit,
            start=self._guess(v, x),
            tolerance=self._tolerance,
        )
        return Inner(*found, self._ohms(found[1]))

    def current(self, v: Array, x: Array) -> Array:
        """Return i [A]."""
        start = None if self.series else self._node_near(v, x)
        if start is not None:
            return full(self._current.once(v, x, *self.args, start=start, share=_SAME), v.shape)
        return full(self._at(self._current, self._inner(v, x), x), v.shape)

    def rate(self, v: Array, x: Array) -> Array:
        """Return dx/dt [1/s]."""
        u = self._inner(v, x)
        start = self._node_near(u, x)
        if start is not None:
            return full(self._rate.once(u, x, *self.args, start=start), v.shape)
        return full(self._rate(u, x, *self.args), v.shape)

    def current_and_slope(self, v: Array, x: Array) -> tuple[Array, Array]:
        """Return i [A] and di/dv [S]."""
        u = self._kept(self._inner(v, x))
        i, slope = self._at(self._law, u, x)
        if self.series:
            slope = slope / (1.0 + self._ohms(i) * slope)
        return full(i, v.shape), full(slope, v.shape)

    def rate_on_grid(self, v: Array, x: Array, guess: Array | None) -> tuple[Array, Array | None]:
        """Return dx/dt [1/s] far from what was kept, and where an inner node is [V], if there is one,
        looked for from a guess.

        Parameters
        ----------
        v
            Terminal voltages [V], of any shape.
        x
            States, of the same shape.
        guess
            Where the inner node is looked for first [V]; ``None``: where it is easily found.
        """
        if not self._noded or self.series:
            return self.fresh().rate(v, x), None
        rate, node = self._rate_and_node(v, x, *self.args, start=guess)
        return full(rate, v.shape), full(node, v.shape)

    def rate_and_current(self, v: Array, x: Array) -> tuple[Array, Array]:
        """Return dx/dt [1/s] and i [A]."""
        u = self._kept(self._inner(v, x))
        if self.series or not self._noded:
            rate, i = self._at(self._rate_and_current, u, x)
        else:
            rate, i, *node = self._near(self._rate_current_and_node, u, x)
            self._keep_node(u, x, node)
        return full(rate, v.shape), full(i, v.shape)

    def rate_and_slopes(self, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return F = dx/dt [1/s], dF/dx and dF/dv."""
        if not self.series:
            f, f_x, f_v, *node = self._near(self._motion, v, x)
            self._keep_node(v, x, node)
            return f, f_x, f_v
        inner = self.solve(v, x)
        u, ohms = inner.u, inner.ohms
        self.ohms = ohms
        f, f_x, f_v, g, i_x, *node = self._near(self._motion, u, x)
        self._keep_node(u, x, node)
        u_v = 1.0 / (1.0 + ohms * g)
        u_x = -ohms * i_x * u_v
        by_v, by_x = (v.copy(), full(u_v, v.shape)), (x.copy(), full(u_x, v.shape))
        self._u, self._tangent = u, (by_v, by_x)
        return f, f_x + f_v * u_x, f_v * u_v

    def walk(self, v: Array | float, x: Array) -> tuple[Array, Array, Array]:
        """Return u [V], dx/dt [1/s] and its slope by x at a voltage near the last one: one for all
        devices, or one for each.

        Newton's method runs on all quantities at once, so that its last step corrects the rate too.
        """
        if not self.series:
            found = self.approach(v, x, x)
            return found.u, found.rate, found.slope
        low, high = np.minimum(v, 0.0), np.maximum(v, 0.0)
        guess = self._guess(v, x)
        u = np.full(len(x), v) if guess is None else np.minimum(np.maximum(guess, low), high)
        near = _SETTLED * np.abs(v) + 1e-12
        for _ in range(_WALK_STEPS):
            found = self.approach(v, u, x)
            u = found.u
            if (np.abs(found.move) <= near).all():
                break
        else:
            inner = self.fresh().solve(np.full(len(x), v), x)
            found = self.approach(v, inner.u, x, settled=inner.ohms)
        self.ohms = found.ohms
        self._u, self._tangent = found.u, ((np.asarray(v, float), found.u_v),)
        if self.limit is not None:  # at the limit it is the state that moves the voltage
            self._tangent = ((np.full(len(x), v), found.u_v), (x.copy(), found.by_x))
        return found.u, found.rate, found.slope

    def approach(
        self, v: Array | float, u: Array, x: Array, *, settled: Array | None = None
    ) -> Approach:
        """Take one Newton step from u [V] towards the voltage behind r_s.

        Parameters
        ----------
        v
            Terminal voltages [V].
        u
            Where they may be behind r_s [V].
        x
            States, in the shape of ``u``.
        settled
            Where u is that voltage already: the resistance before it [ohm].
        """
        if not self.series:
            u, none = full(v, x.shape), np.zeros(x.shape)
            _, _, _, rate, _, r_x = self._at(self._everything, u, x)
            return Approach(u, none, self.r_s, none + 1.0, none, rate, r_x)
        i, i_v, i_x, rate, r_v, r_x = self._at(self._everything, u, x)
        following, ohms = u, settled
        if ohms is None:
            move, ohms = self._newton(v, u, i, i_v)
            following = np.minimum(np.maximum(u + move, np.minimum(v, 0.0)), np.maximum(v, 0.0))
        move = following - u
        gain = 1.0 / (1.0 + ohms * i_v)
        by_x = -ohms * i_x * gain
        return Approach(following, move, ohms, gain, by_x, rate + r_v * move, r_x + r_v * by_x)

    def _newton(self, v: Array | float, u: Array, i: Array, slope: Array) -> tuple[Array, Array]:
        """Return Newton's step of u [V] to where the series resistance, or the limit, lets it be, and
        the resistance that this means.
        """
        move = (v - u - self.r_s * i) / (1.0 + self.r_s * slope)
        if self.limit is None:
            return move, self.r_s
        v = np.asarray(v)
        excess = i - np.where(v < 0.0, -self.limit, self.limit)
        _, back = _nearer(-move, -move, excess, slope, v)
        return -back, np.where(back == -move, self.r_s, _OPEN)

    @cached_property
    def _current(self) -> Any:
        return self.model.compiled("current")

    @cached_property
    def _rate(self) -> Any:
        return self.model.compiled("rate")

    @cached_property
    def _rate_and_current(self) -> "Numeric":
        return self.model.compiled_many(("rate", ""), ("current", ""))

    @cached_property
    def _rate_current_and_node(self) -> Any:
        wanted = [("rate", ""), ("current", ""), *(("node", wrt) for wrt in ("", "V", "X"))]
        return self.model.compiled_many(*wanted)

    @cached_property
    def _rate_and_node(self) -> Any:
        return self.model.compiled_many(("rate", ""), ("node", ""))

    @cached_property
    def _law(self) -> "Numeric":
        return self.model.compiled_many(("current", ""), ("current", "V"))

    @cached_property
    def _motion(self) -> "Numeric":
        wanted = [("rate", ""), ("rate", "X"), ("rate", "V")]
        return self.model.compiled_many(
            *wanted,
            *([("current", "V"), ("current", "X")] if self.series else []),
            *([("node", wrt) for wrt in ("", "V", "X")] if self._noded else []),
        )

    @cached_property
    def _everything(self) -> "Numeric":
        return self.model.compiled_many(
            *((quantity, wrt) for quantity in ("current", "rate") for wrt in ("", "V", "X"))
        )

    def _at(self, function: Any, u: Array, x: Array) -> Any:
        """Evaluate a compiled function; an inner node is looked for where it is likely to be."""
        start = self._node_near(u, x)
        return function(u, x, *self.args, **({} if start is None else {"start": start}))

    def _near(self, function: Any, u: Array, x: Array) -> Any:
        """Evaluate a compiled function; where an inner node is likely to be a step suffices."""
        start = self._node_near(u, x)
        if start is None:
            return function(u, x, *self.args)
        return function.near(u, x, *self.args, start=start)

    def _node_near(self, u: Array, x: Array) -> Array | None:
        if not self._node or self._node[0].shape != u.shape or x.shape != u.shape:
            return None
        w, at_u, at_x, by_u, by_x = self._node
        # From 0 V on, and across it, the other polarity's slopes would lead to another solution than the one near 0.
        near = w + by_u * (u - at_u) + by_x * (x - at_x)
        return np.where(at_u * u > 0.0, near, COLD * u)

    def _keep_node(self, u: Array, x: Array, node: Sequence[Array]) -> None:
        if node:
            w, by_u, by_x = (full(value, u.shape) for value in node)
            self._node = (w, u.copy(), x.copy(), by_u, by_x)

    def _inner(self, v: Array, x: Array) -> Array:
        return self.solve(v, x).u if self.series else v

    def _ohms(self, i: Array) -> Array:
        if self.limit is None:
            return self.r_s
        return np.where(np.abs(i) >= (1.0 - _AT_LIMIT) * self.limit, _OPEN, self.r_s)

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
