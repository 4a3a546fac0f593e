"""Signed weights as pairs of devices, in neighbouring columns of a tile or in two tiles.

Both layouts go on any engine. Columns share the wires' voltage drop, so that part of it cancels;
two tiles keep their word lines half as long.
"""

__all__ = ["Differential", "DifferentialArray", "Layout"]

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..engine import Engine, ProgrammedArray

Layout: TypeAlias = Literal["columns", "tiles"]
"""``columns``: I+ in even, I- in odd columns; ``tiles``: a stack with I+ first, I- second in a new
leading dimension.
"""


class Differential:
    """An engine of pairs: its arrays hold ``g_plus`` and ``g_minus`` and return ``I+ - I-``."""

    def __init__(self, engine: Engine, layout: Layout = "columns") -> None:
        if layout not in ("columns", "tiles"):
            raise InputError(
                f"differential pairs: layout must be 'columns' or 'tiles', got {layout!r}"
            )
        if layout == "columns" and engine.tile.cols % 2:
            raise InputError(
                f"differential columns come in pairs, this tile has {engine.tile.cols}"
            )
        self.engine, self.layout = engine, layout

    def program(self, g_plus: ArrayLike, g_minus: ArrayLike) -> "DifferentialArray":
        """Return the tiles with both conductances of every pair [S], (..., rows, pairs) each."""
        inner = self.engine.program(_laid_out(g_plus, g_minus, self.layout))
        return DifferentialArray(inner, self.layout)


@dataclass(frozen=True)
class DifferentialArray:
    """Pairs of devices in an array; ``inner`` holds them as they are laid out."""

    inner: ProgrammedArray
    layout: Layout

    def read(self, v: ArrayLike) -> Array:
        """Return the differences of currents [A], (..., batch, pairs), for ``v`` [V], (..., batch,
        rows); of a single tile of pairs also (pairs,) for one vector, (rows,).
        """
        v = np.asarray(v, float)
        if self.layout == "columns":
            i = self.inner.read(v)
            plus, minus = i[..., 0::2], i[..., 1::2]
        elif v.ndim == 1:
            plus, minus = self.inner.read(np.stack([v, v])[:, None])[:, 0]
        else:
            plus, minus = self.inner.read(np.stack([v, v]))
        difference: Array = plus - minus
        return difference

    def reprogram(self, g_plus: ArrayLike, g_minus: ArrayLike) -> "DifferentialArray":
        """Return the array of as many pairs with these conductances [S]."""
        g = _laid_out(g_plus, g_minus, self.layout)
        return DifferentialArray(self.inner.reprogram(g), self.layout)


def _laid_out(g_plus: ArrayLike, g_minus: ArrayLike, layout: Layout) -> Array:
    plus, minus = np.asarray(g_plus, float), np.asarray(g_minus, float)
    if plus.shape != minus.shape:
        raise InputError(f"expected pairs of equal shape, got {plus.shape} and {minus.shape}")
    if layout == "tiles":
        return np.stack([plus, minus])
    return np.stack([plus, minus], axis=-1).reshape(*plus.shape[:-1], -1)
