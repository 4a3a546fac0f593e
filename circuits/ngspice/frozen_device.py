"""A device's static law with all that depends on its state worked out beforehand.

While a tile is read, states stand still, and ngspice would evaluate the parts of the law that hold
only the state at every device, iteration and vector. Here they are folded into constants, so that
``x sinh((b0 + b1 x) v) / (b0 + b1 x)`` reaches the deck as ``c0 sinh(c1 v)``.
"""

__all__ = ["FrozenLaw", "frozen_law"]

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from ...data.types import Array
from ...devices.compile import vectorised
from ...devices.device import Device
from ...devices.model import CompactModel, symbols
from ...devices.printing.ngspice import expression


@dataclass(frozen=True)
class FrozenLaw:
    """Text of the law and the constants that fill it."""

    text: str
    """B-source expression with ``%r`` for every constant, in the order of :meth:`constants`."""
    fill: Callable[..., Any]

    @property
    def factor(self) -> str | None:
        """What a single constant multiplies, if that is all that depends on the state."""
        alone = re.fullmatch(r"\((.+)\*%r\)|\(%r\*(.+)\)", self.text)
        text = None if alone is None else alone[1] or alone[2]
        return text if text is not None and "%r" not in text and _balanced(text) else None

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
    law = model.current_expr.xreplace(values).doit() * sp.Float(area)
    found: dict[Any, Any] = {}

    def fold(e: Any) -> Any:
        if v_symbol not in e.free_symbols:
            if x_symbol not in e.free_symbols:
                return e
            return found.setdefault(e, sp.Symbol(f"c{len(found)}", real=True))
        if e.is_Mul or e.is_Add:
            fixed, rest = e.as_independent(v_symbol, as_Add=e.is_Add)
            parts = [fold(a) for a in (rest.args if rest.func is e.func else (rest,))]
            return e.func(fold(fixed), *parts)
        return e.func(*map(fold, e.args)) if e.args else e

    folded = fold(law)
    text = expression(folded, {"V": v, **{s.name: f"<{s.name}>" for s in found.values()}})
    # A constant may come several times; the list of values repeats it in the order of the text.
    pieces = text.split("<")
    order = [piece.partition(">")[0] for piece in pieces[1:]]
    by_name = {s.name: e for e, s in found.items()}
    filled = pieces[0] + "".join("%r" + piece.partition(">")[2] for piece in pieces[1:])
    fill = vectorised([x_symbol], tuple(by_name[name] for name in order))
    return FrozenLaw(filled, fill)


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
