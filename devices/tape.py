"""Equations as a list of small steps, and their slopes by the chain rule along it.

The slope of an equation that is a page long is many pages, and its symbolic form takes minutes. As a tape,
r_1 = e_1(inputs), r_2 = e_2(inputs, r_1), ..., every step is a few symbols, and so is its derivative:
dr_k/ds = ∂e_k/∂s + Σ_j ∂e_k/∂r_j dr_j/ds. A function made of a tape computes what its outputs need, each
step once.
"""

__all__ = ["Tape"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import sympy as sp

from .compile import Numeric, printer
from .functions import NUMPY


@dataclass(frozen=True)
class Tape:
    """Named expressions as steps.

    Attributes
    ----------
    outputs
        Every expression, in inputs and steps.
    steps
        What each step's symbol stands for; slopes are added as they are asked for.
    """

    outputs: Mapping[str, sp.Expr]
    steps: dict[sp.Symbol, sp.Expr]
    _slopes: dict[tuple[sp.Symbol, sp.Symbol], sp.Expr] = field(default_factory=dict)

    @classmethod
    def of(
        cls, expressions: Mapping[str, sp.Expr], definitions: Sequence[tuple[sp.Symbol, sp.Expr]]
    ) -> "Tape":
        """Split expressions, and the definitions that they are written in, into steps."""
        rows = [expr for _, expr in definitions] + list(expressions.values())
        common, reduced = sp.cse(rows, symbols=sp.numbered_symbols("k_", real=True))
        # A comparison has no slope of its own: it stays in the step that asks for it.
        asked = {s: e for s, e in common if not isinstance(e, sp.Expr)}
        common = [(s, e.xreplace(asked)) for s, e in common if s not in asked]
        reduced = [e.xreplace(asked) for e in reduced]
        steps = dict(common)
        steps |= {s: e for (s, _), e in zip(definitions, reduced, strict=False)}
        outputs = dict(zip(expressions, reduced[len(definitions) :], strict=True))
        return cls(outputs, _sorted(steps))

    def slope(self, expr: sp.Expr, by: sp.Symbol) -> sp.Expr:
        """Return the derivative of an expression in inputs and steps by the input ``by``."""
        for symbol in _needed(self.steps, [expr]):
            if (symbol, by) not in self._slopes:
                self._slopes[symbol, by] = self._named(self._chain(self.steps[symbol], by))
        return self._chain(expr, by)

    def function(self, args: Sequence[sp.Symbol], outputs: sp.Expr | Sequence[sp.Expr]) -> Numeric:
        """Return numpy code for expressions in inputs and steps, or for one of them."""
        several = isinstance(outputs, tuple | list)
        wanted = list(outputs) if several else [outputs]
        needed = {s: self.steps[s] for s in _needed(self.steps, wanted)}
        common, reduced = sp.cse(
            [*needed.values(), *wanted], symbols=sp.numbered_symbols("c_", real=True)
        )
        steps = dict(common) | dict(zip(needed, reduced, strict=False))
        results = reduced[len(needed) :]
        assigned = list(_sorted(steps).items())
        code: Numeric = sp.lambdify(
            args,
            tuple(results) if several else results[0],
            modules=[dict(NUMPY), "numpy"],
            printer=printer(),
            cse=lambda _: (assigned, tuple(results) if several else results[0]),
        )
        return code

    def _chain(self, expr: sp.Expr, by: sp.Symbol) -> sp.Expr:
        total = expr.diff(by)
        for symbol in sorted(expr.free_symbols & self.steps.keys(), key=str):
            inner = self._slopes[symbol, by]
            if inner != 0:
                total += expr.diff(symbol) * inner
        return total

    def _named(self, expr: sp.Expr) -> sp.Expr:
        if not expr.args:
            return expr
        symbol = sp.Symbol(f"d_{len(self.steps)}", real=True)
        self.steps[symbol] = expr
        return symbol


def _needed(steps: Mapping[sp.Symbol, sp.Expr], wanted: Sequence[sp.Expr]) -> list[sp.Symbol]:
    """Return the steps that expressions are made of, in their order."""
    found: set[sp.Symbol] = set()
    left = list(wanted)
    while left:
        for symbol in left.pop().free_symbols:
            if symbol in steps and symbol not in found:
                found.add(symbol)
                left.append(steps[symbol])
    return [symbol for symbol in steps if symbol in found]


def _sorted(steps: Mapping[sp.Symbol, sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
    """Return steps so that each comes after those it needs."""
    order = TopologicalSorter(
        {s: sorted(e.free_symbols & steps.keys(), key=str) for s, e in steps.items()}
    )
    return {symbol: steps[symbol] for symbol in order.static_order()}
