"""What happens inside a tile while it is read: potentials, currents, losses."""

__all__ = ["Fields", "fields_of"]

from dataclasses import dataclass

import numpy as np

from ...data.types import Array
from .tile import Tile


@dataclass(frozen=True)
class Fields:
    """What happens inside a tile while it is read; leading dimensions are those of the read
    voltages.
    """

    v: Array
    """Row voltages at the drivers [V], (..., rows)."""
    w: Array
    """Potentials of the word lines at the cells [V], (..., rows, cols)."""
    b: Array
    """Potentials of the bit lines at the cells [V], (..., rows, cols)."""
    i: Array
    """Currents through the cells [A], (..., rows, cols)."""
    sensed: Array
    """Sensed currents [A], (..., cols)."""
    row: Array
    """Currents along the word-line segments [A], (..., rows, cols - 1), left to right."""
    col: Array
    """Currents along the bit-line segments [A], (..., rows - 1, cols), downward."""

    @property
    def power(self) -> Array:
        """Power dissipated in each cell [W], (..., rows, cols)."""
        return (self.w - self.b) * self.i

    @property
    def drop(self) -> Array:
        """Voltage lost on the wires on the way to each cell and back [V], (..., rows, cols)."""
        return self.v[..., :, None] - (self.w - self.b)

    @property
    def worst_drop(self) -> Array:
        """Largest loss of any cell [V], (...)."""
        worst: Array = np.abs(self.drop).max(axis=(-2, -1))
        return worst


def fields_of(
    tile: Tile, v: Array, w: Array, b: Array, i: Array, sensed: Array, *, one: bool = False
) -> Fields:
    """Complete :class:`Fields` from the potentials and currents at the cells, (batch, ...), or if
    there is ``one`` vector in the batch, without that dimension.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    v
        Row voltages, (batch, rows) [V].
    w
        Potentials of word lines at the cells, (batch, rows, cols) [V].
    b
        Potentials of bit lines there, (batch, rows, cols) [V].
    i
        Currents of the cells, (batch, rows, cols) [A].
    sensed
        Sensed currents, (batch, cols) [A].
    one
        Whether the batch is one vector, and its dimension goes.
    """
    if one:
        v, w, b, i, sensed = v[0], w[0], b[0], i[0], sensed[0]
    wires = tile.wires()
    row = (w[..., :, :-1] - w[..., :, 1:]) * wires.row
    col = (b[..., :-1, :] - b[..., 1:, :]) * wires.col
    return Fields(v=v, w=w, b=b, i=i, sensed=sensed, row=row, col=col)
