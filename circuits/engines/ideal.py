"""The tile without its wires: every device sees its row's full voltage, every column is at 0 V."""

__all__ = ["Ideal", "IdealArray", "faithful_law"]

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import FitError
from ...data.types import Array, Array32
from ...devices.device import Levels
from ..array.cell import Cell
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances, flat_stack
from ..lines.cell_law import KINK, Law, Terms
from ..lines.cell_law_fit import law_over
from ..ngspice.allocator import keep_freed_memory

BLOCK = 1 << 21
"""Devices evaluated at a time; bounds the memory of a nonlinear read to some tens of megabytes."""
FAITHFUL = 2e-6
"""Largest error of a law that stands for the cell's own equations, relative to its full scale."""


def faithful_law(cell: Cell, levels: Levels) -> Law | None:
    """Return polynomials that follow the cell over its levels up to the read voltage, for quick reads
    without wires; ``None`` where it is linear, or where none follow it closely enough.

    Parameters
    ----------
    cell
        What is at each crossing.
    levels
        Its levels, with the voltage that they are read at.
    """
    if cell.linear:
        return None
    with suppress(FitError):
        law = law_over(cell, levels.g, np.array([0.0, levels.v_read]))
        return law if law.residual_max <= FAITHFUL else None
    return None


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
        plain(tile, "the engine ideal")
        keep_freed_memory()
        self.tile, self.law = tile, law

    def program(self, g: ArrayLike) -> "IdealArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        linear, law = self.tile.cell.linear, self.law
        # Linear tiles are one matrix product, which keeps the precision it is given.
        single = linear and getattr(g, "dtype", None) == np.float32
        g = checked_conductances(self.tile, g, dtype=np.float32 if single else float)
        if linear:
            return IdealArray(self, g)
        if law is not None and law.covers_tiles(flat_stack(g)).all():
            return IdealArray(self, g, law.terms(g.astype(np.float32)))
        array = IdealArray(self, g)
        array.states  # noqa: B018  says so now if a device can't have its conductance
        return array


@dataclass(frozen=True, eq=False, repr=False)
class IdealArray(Programmed[Ideal]):
    """Devices without wires."""

    terms: Terms | None = None
    """The law's matrices, where it covers the conductances."""

    @cached_property
    def states(self) -> Array:
        """States of the devices, (..., rows, cols)."""
        return self.tile.cell.state(self.g)

    def _currents(self, v: Array) -> Array:
        cell, law = self.tile.cell, self.engine.law
        if cell.linear:
            product: Array = np.matmul(v, self.g)
            return product
        if self.terms is not None and law is not None and law.covers_voltages(v):
            u = v.astype(np.float32) / np.float32(law.v_full)
            return _sum(self.terms, u) * law.v_full
        closed = self.g > 0.0
        out = np.empty((*v.shape[:-1], self.tile.cols))
        step = max(1, BLOCK // max(self.g.size, 1))
        for k in range(0, v.shape[-2], step):
            part = v[..., k : k + step, :, None]
            i, _, _ = cell.law(part, self.states[..., None, :, :], closed[..., None, :, :])
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
