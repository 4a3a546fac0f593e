"""The tile without its wires: every device sees its row's full voltage, every column is at 0 V."""

__all__ = ["Ideal"]

import numpy as np
from numpy.typing import ArrayLike

from ..data.errors import InputError
from ..data.types import Array
from .engine import checked_conductances, checked_voltages
from .tile import Tile

BLOCK = 1 << 21
"""Devices evaluated at a time; bounds the memory of a nonlinear read to some tens of megabytes."""


class Ideal:
    """Device law only: ``i_j = sum_i i(v_i, g_ij)``."""

    name = "ideal"

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        self._g: Array | None = None
        self._x: Array

    def program(self, g: ArrayLike) -> None:
        """Set the conductances ``g`` [S], (..., rows, cols)."""
        linear = self.tile.cell.linear
        # Linear tiles are one matrix product, which keeps the precision it is given.
        single = linear and getattr(g, "dtype", None) == np.float32
        self._g = checked_conductances(self.tile, g, dtype=np.float32 if single else float)
        if not linear:
            self._x = self.tile.cell.state(self._g)

    def read(self, v: ArrayLike) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows)."""
        if self._g is None:
            raise InputError("program the ideal engine before reading it")
        v = checked_voltages(self.tile, self._g.shape[:-2], v, dtype=self._g.dtype)
        cell = self.tile.cell
        if cell.linear:
            product: Array = np.matmul(v, self._g)
            return product
        closed = self._g > 0.0
        out = np.empty((*v.shape[:-1], self.tile.cols))
        step = max(1, BLOCK // max(self._g.size, 1))
        for k in range(0, v.shape[-2], step):
            part = v[..., k : k + step, :, None]
            i, _, _ = cell.law(part, self._x[..., None, :, :], closed[..., None, :, :])
            out[..., k : k + step, :] = i.sum(axis=-2)
        return out
