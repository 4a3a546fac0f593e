"""The tile without its wires: every device sees its row's full voltage, every column is at 0 V."""

__all__ = ["Ideal"]

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array, Array32
from ..array.tile import Tile
from ..engine import checked_conductances, checked_voltages, flat_stack
from ..lines.cell_law import KINK, Law, Terms
from ..ngspice.allocator import keep_freed_memory

BLOCK = 1 << 21
"""Devices evaluated at a time; bounds the memory of a nonlinear read to some tens of megabytes."""


class Ideal:
    """Device law only: ``i_j = sum_i i(v_i, g_ij)``.

    Parameters
    ----------
    tile
        Its cells; of its wires nothing is used.
    law
        The cell's current as polynomials, which makes a read a few products of matrices, in single
        precision. Without it, or for what lies outside its ranges, every device is evaluated.
    """

    name = "ideal"

    def __init__(self, tile: Tile, law: Law | None = None) -> None:
        keep_freed_memory()
        self.tile, self.law = tile, law
        self._g: Array | None = None
        self._x: Array | None = None
        self._terms: Terms | None = None

    def program(self, g: ArrayLike) -> None:
        """Set the conductances ``g`` [S], (..., rows, cols)."""
        linear = self.tile.cell.linear
        # Linear tiles are one matrix product, which keeps the precision it is given.
        single = linear and getattr(g, "dtype", None) == np.float32
        self._g = checked_conductances(self.tile, g, dtype=np.float32 if single else float)
        self._x = self._terms = None
        if linear:
            return
        tiles = flat_stack(self._g)
        if self.law is not None and self.law.covers_tiles(tiles).all():
            self._terms = self.law.terms(self._g.astype(np.float32))
        else:
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
        law = self.law
        if self._terms is not None and law is not None and law.covers_voltages(v):
            u = v.astype(np.float32) / np.float32(law.v_full)
            return _sum(self._terms, u) * law.v_full
        if self._x is None:
            self._x = cell.state(self._g)
        closed = self._g > 0.0
        out = np.empty((*v.shape[:-1], self.tile.cols))
        step = max(1, BLOCK // max(self._g.size, 1))
        for k in range(0, v.shape[-2], step):
            part = v[..., k : k + step, :, None]
            i, _, _ = cell.law(part, self._x[..., None, :, :], closed[..., None, :, :])
            out[..., k : k + step, :] = i.sum(axis=-2)
        return out


def _sum(terms: Terms, u: Array32) -> Array:
    """Return the column currents of grounded columns, in siemens times the unit of ``u``."""
    total: Any = 0.0
    for k, base in ((0, u), (KINK, np.minimum(u, 0.0))):
        row = terms.get(k, {})
        if not base.any():
            continue
        power = base
        for p in range(1, max(row, default=0) + 1):
            power = base if p == 1 else power * base
            if p in row:
                total = total + power @ row[p]
    return np.asarray(total, float)
