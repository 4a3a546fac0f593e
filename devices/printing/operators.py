"""What the printers of SPICE and Verilog-A expressions have in common: C-like operators and names."""

__all__ = ["Described", "OperatorPrinter"]

from collections.abc import Mapping
from typing import Protocol

import sympy as sp
from sympy.printing.str import StrPrinter

from ..model import CompactModel


class Described(Protocol):
    """What is printed: a model with its parameters, at an area."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> CompactModel: ...
    @property
    def parameters(self) -> Mapping[str, float]: ...
    @property
    def area(self) -> float: ...
    @property
    def r_s(self) -> float: ...
    @property
    def caveat(self) -> str: ...


class OperatorPrinter(StrPrinter):  # type: ignore[misc]
    """Prints relations, logarithms, magnitudes, and extremes of two at a time."""

    def _print_log(self, expr: sp.Expr) -> str:
        return f"ln({self._print(expr.args[0])})"

    def _print_Abs(self, expr: sp.Expr) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_Max(self, expr: sp.Max) -> str:
        return self._pairs("max", expr)

    def _print_Min(self, expr: sp.Min) -> str:
        return self._pairs("min", expr)

    def _pairs(self, name: str, expr: sp.Expr) -> str:
        text = self._print(expr.args[0])
        for other in expr.args[1:]:
            text = f"{name}({text}, {self._print(other)})"
        return str(text)

    def _print_And(self, expr: sp.And) -> str:
        return self._joined(" && ", expr)

    def _print_Or(self, expr: sp.Or) -> str:
        return self._joined(" || ", expr)

    def _joined(self, sign: str, expr: sp.Expr) -> str:
        return f"({sign.join(f'({self._print(part)})' for part in expr.args)})"

    def _print_Relational(self, expr: sp.Rel) -> str:
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"
