"""Functions that compact models are written with, safe at any argument and in every printing.

Each is a SymPy function with an analytic derivative; :data:`NUMPY` has its vectorised meaning, and
the printers of :mod:`memtwin.devices.printing.ngspice` and :mod:`memtwin.devices.printing.verilog_a` spell it out in
their languages.

=================  =====================================================================
``limexp(u)``      exp(u), continued linearly above u = 80
``limsinh(u)``     sinh(u), continued linearly beyond ``|u|`` = 80
``limcosh(u)``     derivative of limsinh
``softplus(u)``    ln(1 + exp(u)): a ramp without a kink, never zero, so any power of it is defined
``logistic(u)``    1 / (1 + exp(-u)), derivative of softplus
``power(u, a)``    max(u, 0)^a, whose derivative a power(u, a - 1) divides by nothing; a >= 1
=================  =====================================================================
"""

__all__ = [
    "LIMIT",
    "NUMPY",
    "above",
    "branches",
    "by_sign",
    "homing",
    "inside",
    "limcosh",
    "limexp",
    "limsinh",
    "logistic",
    "power",
    "softplus",
]

from collections.abc import Callable

import numpy as np
import sympy as sp

from ..data.types import Array

LIMIT = 80.0
"""Argument beyond which exponentials go on as straight lines: no overflow in products of several
of them.
"""


_TINY = 1e-300


class limexp(sp.Function):  # type: ignore[misc]
    """Exponential, linear above :data:`LIMIT`."""

    nargs = 1
    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.exp(sp.Min(self.args[0], sp.Float(LIMIT)))


class limsinh(sp.Function):  # type: ignore[misc]
    """Hyperbolic sine, linear beyond ±:data:`LIMIT`."""

    nargs = 1
    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return limcosh(self.args[0])


class limcosh(sp.Function):  # type: ignore[misc]
    """Hyperbolic cosine, constant beyond ±:data:`LIMIT`."""

    nargs = 1
    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        (u,) = self.args
        return sp.sinh(u) * sp.Heaviside(sp.Float(LIMIT) - sp.Abs(u))


class softplus(sp.Function):  # type: ignore[misc]
    """ln(1 + exp(u))."""

    nargs = 1
    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return logistic(self.args[0])


class logistic(sp.Function):  # type: ignore[misc]
    """1 / (1 + exp(-u))."""

    nargs = 1
    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        (u,) = self.args
        return logistic(u) * logistic(-u)


class power(sp.Function):  # type: ignore[misc]
    """max(u, 0)^a for a >= 1."""

    nargs = 2
    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        u, a = self.args
        if argindex == 1:
            return a * power(u, a - 1)
        return power(u, a) * sp.log(sp.Max(u, sp.Float(_TINY)))


def by_sign(v: sp.Symbol, positive: sp.Expr, negative: sp.Expr) -> sp.Expr:
    """Return ``positive`` where v >= 0, else ``negative``; continuous models need both equal at v
    = 0.

    Parameters
    ----------
    v
        The symbol of the voltage.
    positive
        What holds at v >= 0.
    negative
        What holds below.
    """
    return sp.Piecewise((positive, v >= 0), (negative, True))


def branches(expr: sp.Expr, v: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """Return what ``expr`` is for v >= 0 and for v < 0, without :func:`by_sign` and ``|v|``."""
    found = []
    for side, magnitude in ((0, v), (1, -v)):
        part = expr.replace(
            lambda e: isinstance(e, sp.Piecewise) and e.args[0][1] == (v >= 0),
            lambda e, side=side: sp.Piecewise(*e.args[1:]) if side else e.args[0][0],
        )
        found.append(part.xreplace({sp.Abs(v): magnitude}))
    return found[0], found[1]


def inside(x: sp.Expr) -> sp.Expr:
    """Return a state's value within [0, 1]: what a law reads of one that a simulator's coarse step
    has thrown outside.
    """
    return sp.Min(sp.Max(x, 0), 1)


def homing(x: sp.Expr) -> sp.Expr:
    """Return 0 within [0, 1], and outside of it 300 times the distance to the bound.

    A law of :func:`inside` moves a state no further out, but a stray one would come back late: what
    lets it leave the bound is raised by this much. Far steeper, and a trapezoidal step from outside
    would overshoot inwards.
    """
    return 300 * sp.Abs(x - inside(x))


def above(u: sp.Expr, softness: sp.Expr) -> sp.Expr:
    """Return max(u, 0) with its kink rounded over about ``softness`` (in units of u): always
    positive.
    """
    return softness * softplus(u / softness)


def _power(u: Array, a: Array) -> Array:
    return np.asarray(np.power(np.maximum(u, 0.0), a))


def _limexp(u: Array) -> Array:
    u = np.asarray(u, float)  # a whole number where a printed law has folded its argument
    if np.max(u, initial=-np.inf) <= LIMIT:
        return np.asarray(np.exp(u))
    return np.asarray(np.exp(np.minimum(u, LIMIT)) * (1.0 + np.maximum(u - LIMIT, 0.0)))


def _limsinh(u: Array) -> Array:
    u = np.asarray(u, float)
    if np.max(np.abs(u), initial=0.0) <= LIMIT:
        return np.asarray(np.sinh(u))
    inside = np.clip(u, -LIMIT, LIMIT)
    return np.asarray(np.sinh(inside) + np.cosh(LIMIT) * (u - inside))


def _limcosh(u: Array) -> Array:
    return np.asarray(np.cosh(np.clip(u, -LIMIT, LIMIT)))


def _softplus(u: Array) -> Array:
    # Never 0, so that a power's derivative, which divides by it, stays defined.
    return np.maximum(u, 0.0) + np.log1p(np.exp(-np.minimum(np.abs(u), LIMIT)))


def _logistic(u: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * u))


NUMPY: dict[str, Callable[..., Array]] = {
    "limexp": _limexp,
    "limsinh": _limsinh,
    "limcosh": _limcosh,
    "softplus": _softplus,
    "logistic": _logistic,
    "power": _power,
}
