"""A node within a device: two elements in series, at the potential where both carry the same current.

JART's Schottky barrier behind its resistances, heated by what flows through both, is such a device: no
formula gives its current. With J(V, W) the current into the node and F(W) the one out of it, F - J grows
with W and changes sign between W = 0 and W = V, so that Newton's step is taken inside a bracket, as
behind a series resistance (:mod:`memtwin.devices.series`). Far from the solution it is taken on
ln(F/J), which is nearly a straight line where F is an exponential, and near it the two are the same.

What depends on W follows it: dq/dV = ∂q/∂V + ∂q/∂W dW/dV with dW/dV = -∂h/∂V / ∂h/∂W of h = F - J.
"""

__all__ = ["NODE", "Noded"]

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from ..data.errors import InputError, NonConvergence
from ..data.types import Array
from .compile import Numeric
from .functions import branches
from .series import COLD
from .tape import Tape

if TYPE_CHECKING:
    from .model import CompactModel

NODE = "node"
"""The quantity W itself, beside ``current`` and ``rate``."""

_STEPS = 100
_CLOSED = 4.0 * float(np.finfo(float).eps)
_NEARER = 3e-5  # Newton step, relative to |V|, that slopes may be taken before
_MANY = 64  # points from which those that are found are left aside
_NEAR = 1e4  # times that: where Newton's step is taken as it is
_SETTLED = 1e-6  # Newton step, relative to |V|, after which the last one applied is exact


@dataclass(frozen=True)
class Noded:
    """Quantities of a model with an inner node, as a function of V, X and the parameters.

    Where all voltages have one sign, code without the other sign's laws is used.
    """

    model: "CompactModel"
    wanted: tuple[tuple[str, str], ...]

    def __call__(self, v: Array, x: Array, *args: Any, start: Array | None = None) -> Any:
        """Evaluate at the node's potential, found from the guess ``start`` [V]."""
        side = _side_of(v)
        w = self.node(v, x, *args, start=start)
        return _explicit(self.model, side, self.wanted)(v, x, *args, w)

    def once(self, v: Array, x: Array, *args: Any, start: Array, share: float = 1e-4) -> Any:
        """Evaluate one quantity after one step of Newton's method from ``start``: what the last bits of
        the stages between two known states are not worth.

        Parameters
        ----------
        v
            Voltages over the device [V].
        x
            States.
        args
            Parameters in the model's order.
        start
            Potentials of the node to begin at [V].
        share
            Step, relative to ``|V|``, up to which one is enough; what is left is about its square over
            kT/e.
        """
        side = _side_of(v)
        ((quantity, _),) = self.wanted
        stage = _stage(self.model, side, quantity)
        there, on, there_w, on_w, value, slope = stage(v, x, *args, start)
        step = (on - there) / (on_w - there_w)
        return self._rest(step, share, [value - slope * step], v, x, args, start)[0]

    def near(self, v: Array, x: Array, *args: Any, start: Array) -> list[Array]:
        """Evaluate all quantities after one step of Newton's method from ``start``, and their slopes at
        ``start`` itself: a step between two samples needs no better ones.

        Parameters
        ----------
        v
            Voltages over the device [V].
        x
            States.
        args
            Parameters in the model's order.
        start
            Potentials of the node to begin at [V].
        """
        there, on, there_w, on_w, *values = _near(self.model, _side_of(v), self.wanted)(
            v, x, *args, start
        )
        step = (on - there) / (on_w - there_w)
        found, by_w = values[: len(self.wanted)], iter(values[len(self.wanted) :])
        moved = [
            value if wrt else value - next(by_w) * step
            for value, (_, wrt) in zip(found, self.wanted, strict=True)
        ]
        return self._rest(step, _NEARER, moved, v, x, args, start)

    def _rest(
        self,
        step: Array,
        share: float,
        found: list[Array],
        v: Array,
        x: Array,
        args: tuple[Any, ...],
        start: Array,
    ) -> list[Array]:
        """Return what was ``found``, with the full search's at those few places where the ``step`` to
        the node is more than a share of the voltage.
        """
        wide = ~(np.abs(step) <= share * np.abs(v) + 1e-15)
        if not wide.any():
            return found
        some = [part(value, wide) for value in (v, x, *args)]
        rest = self(some[0], some[1], *some[2:], start=part(start - step, wide))
        rest = rest if len(self.wanted) > 1 else [rest]
        for k, (value, other) in enumerate(zip(found, rest, strict=True)):
            found[k] = np.array(np.broadcast_to(value, wide.shape), float)
            found[k][wide] = other
        return found

    def node(self, v: Array, x: Array, *args: Any, start: Array | None = None) -> Array:
        """Return W [V], of the shape that all arguments broadcast to.

        Parameters
        ----------
        v
            Voltages over the device [V].
        x
            States.
        args
            Parameters in the model's order.
        start
            Potentials to begin at [V]; from 0 V by default.

        Raises
        ------
        NonConvergence
            If 100 bracketed steps don't settle.
        """
        shape = np.broadcast_shapes(np.shape(v), np.shape(x), *map(np.shape, args))
        v = np.broadcast_to(np.asarray(v, float), shape)
        low, high = np.minimum(v, 0.0), np.maximum(v, 0.0)
        small = _SETTLED * high - _SETTLED * low + 1e-18
        w = COLD * v if start is None else np.minimum(np.maximum(start, low), high)
        balance = _balance(self.model, _side_of(v))
        found, left = np.empty(shape), None  # where those are that are still searched for
        with np.errstate(all="ignore"):
            for k in range(_STEPS):
                there, on, there_w, on_w = balance(v, x, *args, w)
                excess = on - there
                step = excess / (on_w - there_w)
                size = np.abs(step)
                settled = size <= small
                ends = np.minimum(np.maximum(w - step, low), high)
                if not settled.all():
                    if k == 0 and (size <= _NEAR * small).all():
                        w = w - step
                        continue
                    low = np.where(excess < 0.0, w, low)
                    high = np.where(excess > 0.0, w, high)
                    far = size > _NEAR * small
                    ratio = np.log(on / there) / (on_w / on - there_w / there)
                    following = w - np.where(far & np.isfinite(ratio), ratio, step)
                    inside = (following >= low) & (following <= high)
                    # a bracket that has closed is as near as rounding lets it come
                    closed = high - low <= _CLOSED * np.abs(v)
                    ends = np.where(settled, ends, w)
                    settled = settled | closed
                    w = np.where(inside, following, np.where(settled, w, 0.5 * (low + high)))
                if settled.all():
                    if left is None:
                        return np.asarray(ends)
                    found.reshape(-1)[left] = ends
                    return found
                if w.size >= _MANY and settled.mean() > 0.5:
                    going = ~settled
                    if left is None:
                        left = np.arange(w.size)
                    found.reshape(-1)[left[settled.reshape(-1)]] = ends[settled]
                    left = left[going.reshape(-1)]
                    some = [part(value, going) for value in (v, x, low, high, small, w, *args)]
                    v, x, low, high, small, w = some[:6]
                    args = tuple(some[6:])
        raise NonConvergence(
            f"no potential of the inner node found at {int(np.sum(~settled))} of {found.size} points"
            f" after {_STEPS} steps"
        )


def part(value: Any, where: NDArray[np.bool_]) -> Array:
    """Return the entries of an argument, which broadcasts, at a mask; a number stays one."""
    value = np.asarray(value)
    if value.ndim == 0:
        return np.asarray(value, float)
    return np.asarray(np.broadcast_to(value, where.shape)[where], float)


def _symbol(name: str) -> sp.Symbol:
    return sp.Symbol(name, real=True)


def _kept(make: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what is made of a model with that model, which takes long to hash."""

    @functools.wraps(make)
    def asked(model: "CompactModel", *args: Any) -> Any:
        key = (make.__name__, *args)
        if key not in model._cache:
            model._cache[key] = make(model, *args)
        return model._cache[key]

    return asked


def _side_of(v: Array) -> int:
    """Return the sign that all voltages have, or 0."""
    if np.min(v, initial=np.inf) >= 0.0:
        return 1
    return -1 if np.max(v, initial=-np.inf) < 0.0 else 0


@_kept
def _tape(model: "CompactModel", side: int) -> Tape:
    """Return the model's equations in steps, for voltages of one sign or of both."""
    assert model.inner_expr is not None
    v = _symbol("V")

    def kept(expr: sp.Expr) -> sp.Expr:
        return branches(expr, v)[0 if side > 0 else 1] if side else expr

    quantities = {"current": model.current_expr, "inner": model.inner_expr}
    if model.rate_expr is not None:
        quantities["rate"] = model.rate_expr
    return Tape.of(
        {name: kept(expr) for name, expr in quantities.items()},
        [(_symbol(name), kept(expr)) for name, expr in model.definitions],
    )


def _sides(tape: Tape) -> list[sp.Expr]:
    """Return J, F and their slopes by W."""
    w = _symbol("W")
    sides = [tape.outputs["current"], tape.outputs["inner"]]
    return [*sides, *(tape.slope(side, w) for side in sides)]


def _inputs(model: "CompactModel") -> list[sp.Symbol]:
    return [_symbol(name) for name in ("V", "X", *model.names[:-1], "W")]


@_kept
def _balance(model: "CompactModel", side: int) -> Numeric:
    """Return the function that the search for W needs."""
    tape: Tape = _tape(model, side)
    return tape.function(_inputs(model), _sides(tape))


@_kept
def _explicit(model: "CompactModel", side: int, wanted: tuple[tuple[str, str], ...]) -> Numeric:
    """Return the function of V, X, the parameters and W that gives what is wanted."""
    tape: Tape = _tape(model, side)
    expressions = [_total(tape, quantity, wrt) for quantity, wrt in wanted]
    return tape.function(_inputs(model), expressions if len(wanted) > 1 else expressions[0])


@_kept
def _stage(model: "CompactModel", side: int, quantity: str) -> Numeric:
    """Return J, F, their slopes by W, and a quantity with its own, of V, X, the parameters and W."""
    tape: Tape = _tape(model, side)
    w = _symbol("W")
    value = tape.outputs[quantity]
    return tape.function(_inputs(model), [*_sides(tape), value, tape.slope(value, w)])


@_kept
def _near(model: "CompactModel", side: int, wanted: tuple[tuple[str, str], ...]) -> Numeric:
    """Return J, F, their slopes by W, what is wanted, and the slopes by W of what is no slope itself."""
    tape: Tape = _tape(model, side)
    w = _symbol("W")
    values = [_total(tape, quantity, wrt) for quantity, wrt in wanted]
    plain = [value for value, (_, wrt) in zip(values, wanted, strict=True) if not wrt]
    by_w = [tape.slope(value, w) for value in plain]
    return tape.function(_inputs(model), [*_sides(tape), *values, *by_w])


def _total(tape: Tape, quantity: str, wrt: str) -> sp.Expr:
    w = _symbol("W")
    if quantity == "rate" and "rate" not in tape.outputs:
        raise InputError("this model has no dynamics: its state never changes")
    expr = w if quantity == NODE else tape.outputs[quantity]
    if not wrt:
        return expr
    s = _symbol(wrt)
    excess = tape.outputs["inner"] - tape.outputs["current"]
    moved = -tape.slope(excess, s) / tape.slope(excess, w)
    return tape.slope(expr, s) + tape.slope(expr, w) * moved
