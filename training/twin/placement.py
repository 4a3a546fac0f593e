"""Where the weights of a matrix sit on a stack of tiles."""

__all__ = ["Placement"]

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.types import Array, Array32


@dataclass(frozen=True)
class Placement:
    """Where the weights of a (rows, cols) matrix sit on tiles of (tile_rows, tile_cols) devices."""

    rows: int
    cols: int
    tile_rows: int
    tile_cols: int
    spares: int = 0
    """Pairs of columns of every tile that hold no weights unless outputs have been given them."""
    columns: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    """Pair of columns of each output of a tile, (row blocks, column blocks, outputs); ``None`` for the first ones in
    their order.
    """

    def __post_init__(self) -> None:
        if self.tile_cols < 2 or self.tile_cols % 2:
            raise InputError(
                f"differential pairs need an even number of tile columns, got {self.tile_cols}"
            )
        if not 0 <= self.spares < self.width:
            raise InputError(
                f"mapping.spare_columns: a tile of {self.width} pairs of columns can't have {self.spares} to spare"
            )

    @property
    def width(self) -> int:
        """Pairs of columns per tile."""
        return self.tile_cols // 2

    @property
    def spare_devices(self) -> int:
        """Devices of all tiles' spare columns, or of those that these replaced, in rows of the matrix."""
        return 2 * self.spares * self.rows * self.grid[1]

    @property
    def outputs(self) -> int:
        """Outputs per tile."""
        return self.width - self.spares

    @property
    def grid(self) -> tuple[int, int]:
        """Number of row blocks and of column blocks."""
        return -(-self.rows // self.tile_rows), -(-self.cols // self.outputs)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the stack: (row blocks, column blocks, tile rows, tile columns)."""
        return (*self.grid, self.tile_rows, self.tile_cols)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Place in the flattened stack of every device, in the order of :class:`.rules.Writes`,
        (2 * rows * cols,).
        """
        i, j = np.arange(self.rows)[:, None, None], np.arange(self.cols)[:, None]
        block, across, output = i // self.tile_rows, j // self.outputs, j % self.outputs
        pair = output if self.columns is None else self.columns[block, across, output]
        place = np.ravel_multi_index(
            (block, across, i % self.tile_rows, 2 * pair + np.arange(2)), self.shape
        )
        return place.reshape(-1)

    def part(self, block: int, across: int) -> tuple[slice, slice]:
        """Return which rows and columns of the matrix sit on the tile of a row and a column block."""
        rows = slice(block * self.tile_rows, min((block + 1) * self.tile_rows, self.rows))
        return rows, slice(across * self.outputs, min((across + 1) * self.outputs, self.cols))

    def used(self, stack: NDArray[Any]) -> NDArray[Any]:
        """Return of a number per column, (row blocks, column blocks, n, tile columns), those of the outputs' pairs in
        the outputs' order, (row blocks, column blocks, n, 2 * outputs).
        """
        return np.take_along_axis(stack, self._lines, axis=-1) if self.spares else stack

    def spread(self, stack: NDArray[Any]) -> NDArray[Any]:
        """Return what :meth:`used` would have taken from, 0 elsewhere."""
        if not self.spares:
            return stack
        result = np.zeros((*stack.shape[:-1], self.tile_cols), stack.dtype)
        np.put_along_axis(result, self._lines, stack, axis=-1)
        return result

    @cached_property
    def _lines(self) -> NDArray[np.int64]:
        """Columns of the outputs' pairs, (row blocks, column blocks, 1, 2 * outputs)."""
        columns = np.arange(self.outputs) if self.columns is None else self.columns
        lines = (2 * columns[..., None] + np.arange(2)).reshape(*columns.shape[:-1], -1)
        return np.broadcast_to(lines, (*self.grid, lines.shape[-1]))[:, :, None]

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """Place of every weight's pair in the stack, counted in pairs, (rows * cols,)."""
        return self.places[::2] >> 1

    def rows_of(self, x: Array32, factor: Array32) -> Array32:
        """Return ``factor`` (n, 1) times vectors (n, rows) as the inputs of all tiles, (row blocks,
        column blocks, n, tile rows).
        """
        blocks, columns = self.grid
        padded = np.zeros((len(x), blocks * self.tile_rows), np.float32)
        np.multiply(x, factor, out=padded[:, : self.rows])
        split = padded.reshape(len(x), blocks, 1, self.tile_rows).transpose(1, 2, 0, 3)
        return np.broadcast_to(split, (blocks, columns, len(x), self.tile_rows))

    def gather(self, outputs: Array) -> Array:
        """Return (row blocks, column blocks, n, width) summed over row blocks as (n, columns)."""
        total = outputs.sum(axis=0) if len(outputs) > 1 else outputs[0]
        result: Array = total.transpose(1, 0, 2).reshape(total.shape[1], -1)
        return result
