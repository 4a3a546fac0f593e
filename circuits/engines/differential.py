"""Signed weights as pairs of devices, in neighbouring columns of a tile or in two tiles.

Both layouts go on any engine. Columns share the wires' voltage drop, so that part of it cancels;
two tiles keep their word lines half as long.
"""

__all__ = ["Differential", "Layout"]

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..engine import Engine

Layout: TypeAlias = Literal["columns", "tiles"]
"""``columns``: I+ in even, I- in odd columns; ``tiles``: a stack with I+ first, I- second in a new
leading dimension.
"""


class Differential:
    """An engine that holds ``g_plus`` and ``g_minus`` and returns ``I+ - I-``."""

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

    def program(self, g_plus: ArrayLike, g_minus: ArrayLike) -> None:
        """Set both conductances of every pair [S], (..., rows, pairs) each."""
        plus, minus = np.asarray(g_plus, float), np.asarray(g_minus, float)
        if plus.shape != minus.shape:
            raise InputError(f"expected pairs of equal shape, got {plus.shape} and {minus.shape}")
        if self.layout == "tiles":
            self.engine.program(np.stack([plus, minus]))
        else:
            self.engine.program(np.stack([plus, minus], axis=-1).reshape(*plus.shape[:-1], -1))

    def read(self, v: ArrayLike) -> Array:
        """Return the differences of currents [A], (..., batch, pairs), for ``v`` [V], (..., batch,
        rows).
        """
        v = np.asarray(v, float)
        if self.layout == "tiles":
            plus, minus = self.engine.read(np.stack([v, v]))
        else:
            i = self.engine.read(v)
            plus, minus = i[..., 0::2], i[..., 1::2]
        difference: Array = plus - minus
        return difference
