"""From a symbolic expression to a vectorised numpy function.

SymPy's own printing of Max and Piecewise needs arguments of equal shape and its ``select`` is
slow; here they become ``maximum`` and ``where``, which broadcast. Common subexpressions are
computed once.
"""

__all__ = ["Numeric", "printer", "vectorised"]

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import sympy as sp
from sympy.printing.numpy import NumPyPrinter
from sympy.printing.precedence import PRECEDENCE

from .functions import NUMPY

Numeric: TypeAlias = Callable[..., Any]


class _Printer(NumPyPrinter):  # type: ignore[misc]
    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.args
        if exponent.is_Integer and exponent < 0:  # a division is many times cheaper than a power
            text = self.parenthesize(base, PRECEDENCE["Atom"], strict=False)
            return f"(1.0/{text})" if exponent == -1 else f"(1.0/{text}**{-int(exponent)})"
        return str(super()._print_Pow(expr, rational=rational))

    def _print_Max(self, expr: sp.Max) -> str:
        return self._nested("maximum", expr.args)

    def _print_Min(self, expr: sp.Min) -> str:
        return self._nested("minimum", expr.args)

    def _nested(self, name: str, args: Sequence[sp.Expr]) -> str:
        text = self._print(args[0])
        for other in args[1:]:
            text = f"numpy.{name}({text}, {self._print(other)})"
        return str(text)

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *guarded, (last, condition) = expr.args
        if condition != sp.true:
            raise ValueError(
                f"a Piecewise without a final (…, True) branch leaves values undefined: {expr}"
            )
        text = self._value(last)
        for value, condition in reversed(guarded):
            text = f"numpy.where({self._print(condition)}, {self._value(value)}, {text})"
        return text

    def _value(self, expr: sp.Expr) -> str:
        # An array of whole numbers would overflow under a power.
        return repr(float(expr)) if expr.is_Integer else str(self._print(expr))

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        return f"numpy.heaviside({self._print(expr.args[0])}, 0.5)"

    def _print_Function(self, expr: sp.Function) -> str:
        name = type(expr).__name__
        if name in NUMPY:
            return f"{name}({', '.join(self._print(arg) for arg in expr.args)})"
        return str(super()._print_Function(expr))


def vectorised(args: Sequence[sp.Symbol], expr: sp.Expr | Sequence[sp.Expr]) -> Numeric:
    """Return numpy code for ``expr`` (or a tuple of them) as a function of ``args`` by position."""
    compiled: Numeric = sp.lambdify(
        args, expr, modules=[dict(NUMPY), "numpy"], printer=printer(), cse=True
    )
    return compiled


def printer() -> NumPyPrinter:
    """Return what prints expressions as numpy code."""
    return _Printer(
        {
            "fully_qualified_modules": True,
            "inline": True,
            "allow_unknown_functions": True,
            "user_functions": {},
        }
    )
