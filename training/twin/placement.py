"""Where the weights of a matrix sit on a stack of tiles."""

__all__ = ["Placement"]

from dataclasses import dataclass
from functools import cached_property

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

    def __post_init__(self) -> None:
        if self.tile_cols < 2 or self.tile_cols % 2:
            raise InputError(
                f"differential pairs need an even number of tile columns, got {self.tile_cols}"
            )

    @property
    def outputs(self) -> int:
        """Outputs per tile."""
        return self.tile_cols // 2

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
        place = np.ravel_multi_index(
            (
                i // self.tile_rows,
                j // self.outputs,
                i % self.tile_rows,
                2 * (j % self.outputs) + np.arange(2),
            ),
            self.shape,
        )
        return place.reshape(-1)

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
