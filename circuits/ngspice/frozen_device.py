"""A device's static law with all that depends on its state worked out beforehand.

While a tile is read, states stand still, and ngspice would evaluate the parts of the law that hold
only the state at every device, iteration and vector. Here they are folded into constants, so that
``x sinh((b0 + b1 x) v) / (b0 + b1 x)`` reaches the deck as ``c0 sinh(c1 v)``.
"""

__all__ = ["FrozenLaw", "frozen_law"]

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from ...data.types import Array
from ...devices.compile import vectorised
from ...devices.device import Device
from ...devices.model import CompactModel, symbols
from ...devices.printing.ngspice import expression, number

NODE = "q@"
"""An inner node, with ``@`` for the cell's position."""


@dataclass(frozen=True)
class FrozenLaw:
    """Text of the law and the constants that fill it."""

    text: str
    """B-source expression with ``%r`` for every constant, in the order of :meth:`constants`."""
    fill: Callable[..., Any]
    node: str = ""
    """Where the B-source ends if not at the device's own end: the inner node of a model that has one.
    :attr:`text` then has the lines of what is behind it after the expression."""

    @property
    def factor(self) -> str | None:
        """What a single constant multiplies, if that is all that depends on the state."""
        alone = re.fullmatch(r"\((.+)\*%r\)|\(%r\*(.+)\)", self.text)
        text = None if alone is None else alone[1] or alone[2]
        return text if text is not None and "%r" not in text and _balanced(text) else None

    def starts(self, tags: Iterable[str], volts: float = 0.0, within: str = "") -> str:
        """Return the lines that have the search for the inner nodes of cells ``tags`` begin at ``volts``, that of
        their bit lines, the nearest solution to which holds; none where the law has no such node.

        Parameters
        ----------
        tags
            What stands for ``@`` in the names of each cell.
        volts
            Where the search begins [V].
        within
            What comes before the names of nodes in the circuit around, such as ``xa.``.
        """
        if not self.node:
            return ""
        begin = f")={number(volts)}\n"
        return "".join(f".nodeset v({within}{self.node.replace('@', tag)}{begin}" for tag in tags)

    def constants(self, x: Array) -> Array:
        """Return the constants of devices in the states ``x``, (n,), as (n, constants)."""
        columns = self.fill(x)
        return np.stack([np.broadcast_to(np.asarray(c, float), x.shape) for c in columns], axis=-1)


def frozen_law(device: Device, v: str) -> FrozenLaw:
    """Return the current of ``device`` at the voltage whose ngspice text is ``v``, behind its
    series resistance.
    """
    numbers = tuple(device.parameters[name] for name in device.model.names[:-1])
    return _folded(device.model, numbers, device.area, v)


@functools.lru_cache(maxsize=64)
def _folded(model: CompactModel, numbers: tuple[float, ...], area: float, v: str) -> FrozenLaw:
    v_symbol, x_symbol = symbols("V", "X")
    values = {symbols(name)[0]: sp.Float(x) for name, x in zip(model.names, numbers, strict=False)}
    noded = model.inner_expr is not None
    moving = [v_symbol, *symbols("W", *(name for name, _ in model.definitions))]
    found: dict[Any, Any] = {}

    def fold(e: Any) -> Any:
        if not e.free_symbols.intersection(moving):
            if x_symbol not in e.free_symbols:
                return e
            return found.setdefault(e, sp.Symbol(f"c{len(found)}", real=True))
        if e.is_Mul or e.is_Add:
            fixed, rest = e.as_independent(*moving, as_Add=e.is_Add)
            parts = [fold(a) for a in (rest.args if rest.func is e.func else (rest,))]
            return e.func(fold(fixed), *parts)
        return e.func(*map(fold, e.args)) if e.args else e

    _, end = v.removeprefix("v(").removesuffix(")").split(",")
    names = {"V": v, "W": f"v({NODE},{end})"}
    names |= {name: f"v(e{k}{NODE})" for k, (name, _) in enumerate(model.definitions)}

    def printed(expr: Any, factor: float) -> str:
        law = fold(expr.xreplace(values).doit() * sp.Float(factor))
        marks = {s.name: f"<{s.name}>" for s in found.values()}
        # "<" is ngspice's too, but with spaces about it.
        return expression(law, names | marks, guarded=noded)

    text = printed(model.current_expr, area)
    if model.inner_expr is not None:
        text += f"\nb{NODE} {NODE} {end} i={printed(model.inner_expr, area)}"
        for k, (_, expr) in enumerate(model.definitions):
            text += f"\nbe{k}{NODE} e{k}{NODE} 0 v={printed(expr, 1.0)}"
    by_name = {s.name: e for e, s in found.items()}
    order = re.findall(r"<(c\d+)>", text)
    fill = vectorised([x_symbol], tuple(by_name[name] for name in order))
    return FrozenLaw(re.sub(r"<c\d+>", "%r", text), fill, NODE if noded else "")


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
