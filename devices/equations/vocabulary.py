"""The functions that equations in text may use, in SymPy and as plain numbers; and the same equations back as text.

=========================  ==============================================================================
``exp log sqrt``           as they are; ``log`` is the natural one
``sinh cosh tanh``
``abs sign``
``min max``                of two to eight values
``where(c, a, b)``         a where the condition c holds, else b; more conditions and values may come between:
                           ``where(c1, a1, c2, a2, b)``
``limexp limsinh softplus  guarded forms, see :mod:`memtwin.devices.functions`
logistic power above
inside homing``
=========================  ==============================================================================
"""

__all__ = ["FUNCTIONS", "Function", "equation", "number"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.printing.str import StrPrinter

from ...data.errors import InputError
from .. import functions as own


@dataclass(frozen=True)
class Function:
    """One function: its SymPy form, and what it is of plain numbers.

    ``signature`` says its arguments in words; ``conditions`` that every other one is a comparison; ``copies`` how often
    an argument comes in the SymPy form.
    """

    symbolic: Callable[..., Any]
    number: Callable[..., Any] | None
    signature: str = "one argument"
    least: int = 1
    most: int = 1
    conditions: bool = False
    copies: int = 1

    def takes(self, count: int) -> bool:
        """Return whether it can have so many arguments."""
        return self.least <= count <= self.most and (not self.conditions or count % 2 == 1)


def number(value: float) -> Any:
    """Return a SymPy number, whole ones as integers."""
    return sp.Integer(int(value)) if value.is_integer() and abs(value) < 2**53 else sp.Float(value)


def _abs(u: Any) -> Any:
    # SymPy's own has a derivative only where it knows that u is real; a quotient might be infinite.
    return sp.Abs(u) if u.is_extended_real else sp.Max(u, -u)


def _sign(u: Any) -> Any:
    if u.has(sp.Piecewise):  # SymPy would ask for it in the conditions
        raise InputError("sign() can't have where() or sign() in it")
    return sp.Piecewise((1, u > 0), (-1, u < 0), (0, True))


def _homing(u: Any) -> Any:
    return 300 * _abs(u - own.inside(u))


def _where(*parts: Any) -> Any:
    pairs = zip(parts[1:-1:2], parts[0:-1:2], strict=True)
    return sp.Piecewise(*pairs, (parts[-1], True))


def _softplus(u: float) -> float:
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


def _inside(u: float) -> float:
    return min(max(u, 0.0), 1.0)


def _numpy(name: str) -> Callable[..., Any]:
    return lambda *args: own.NUMPY[name](*args).item()


_TWO, _SEVERAL = ("two arguments", 2, 2), ("two to eight arguments", 2, 8)

FUNCTIONS: Mapping[str, Function] = {
    "exp": Function(sp.exp, math.exp),
    "log": Function(sp.log, math.log),
    "sqrt": Function(sp.sqrt, math.sqrt),
    "sinh": Function(sp.sinh, math.sinh),
    "cosh": Function(sp.cosh, math.cosh),
    "tanh": Function(sp.tanh, math.tanh),
    "abs": Function(_abs, abs, copies=2),
    "sign": Function(_sign, lambda u: float((u > 0) - (u < 0)), copies=2),
    "min": Function(sp.Min, min, *_SEVERAL),
    "max": Function(sp.Max, max, *_SEVERAL),
    "where": Function(
        _where, None, "conditions and values by turns, then a last value", 3, 31, True
    ),
    "limexp": Function(own.limexp, _numpy("limexp")),
    "limsinh": Function(own.limsinh, _numpy("limsinh")),
    "softplus": Function(own.softplus, _softplus),
    "logistic": Function(own.logistic, _numpy("logistic")),
    "power": Function(own.power, lambda u, a: max(u, 0.0) ** a, *_TWO),
    "above": Function(own.above, lambda u, s: s * _softplus(u / s), *_TWO, copies=2),
    "inside": Function(own.inside, _inside),
    "homing": Function(_homing, lambda u: 300 * abs(u - _inside(u)), copies=4),
}
"""Functions by the name that a text calls them."""

_PRINTED = {"Abs": "abs", "Max": "max", "Min": "min"}


def equation(expr: Any) -> str:
    """Return an expression as text that :func:`.grammar.parse` reads.

    What the grammar does not know is printed as SymPy prints it, and is refused when it is read.
    """
    return str(_Printer({"full_prec": False}).doprint(expr))


class _Printer(StrPrinter):  # type: ignore[misc]
    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return str({"V": "v", "X": "x"}.get(expr.name, expr.name))

    def _print_Float(self, expr: sp.Float) -> str:
        return repr(float(expr))

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *guarded, (last, _) = expr.args
        # One value under several conditions is what SymPy makes of equal values in a row.
        pairs = [(c, value) for value, either in guarded for c in sp.Or.make_args(either)]
        parts = [self._print(part) for pair in pairs for part in pair]
        return f"where({', '.join([*parts, self._print(last)])})"

    def _print_Relational(self, expr: sp.Rel) -> str:
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"

    def _print_Function(self, expr: sp.Function) -> str:
        return self._called(expr)

    def _called(self, expr: sp.Expr) -> str:
        name = type(expr).__name__
        arguments = ", ".join(self._print(argument) for argument in expr.args)
        return f"{_PRINTED.get(name, name)}({arguments})"

    _print_Abs = _print_Max = _print_Min = _called
