"""What a surrogate has to beat: closed forms and linear models of a tile.

``ideal`` (:class:`.ideal.Ideal`), :class:`AlphaBeta`, and :class:`LinearTransfer` are printed beside
every check of a surrogate.
"""

__all__ = ["AlphaBeta", "LinearTransfer", "MatrixArray"]

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.types import Array
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances
from ..lines.transfer import transfer


class _Matrix(ABC):
    """An engine that is one matrix per tile."""

    name = "matrix"

    def __init__(self, tile: Tile) -> None:
        plain(tile, "a matrix of transfer")
        self.tile = tile

    def program(self, g: ArrayLike) -> "MatrixArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        g = checked_conductances(self.tile, g)
        return MatrixArray(self, g, self._matrix(g))

    @abstractmethod
    def _matrix(self, g: Array) -> Array:
        """Return what row voltages are multiplied by [S], (..., rows, cols)."""


@dataclass(frozen=True, eq=False, repr=False)
class MatrixArray(Programmed[_Matrix]):
    """Tiles as one matrix each."""

    matrix: Array
    """Transfer matrices [S], (..., rows, cols)."""

    def _currents(self, v: Array) -> Array:
        out: Array = v @ self.matrix
        return out


class LinearTransfer(_Matrix):
    """The exact transfer matrix of the tile with every device as its small-signal conductance.

    What RxNN does (Jain et al. 2018, doi:10.1109/TCAD.2020.3000185): exact for linear devices, blind
    to the curvature of others.
    """

    name = "transfer"

    def _matrix(self, g: Array) -> Array:
        return transfer(self.tile, _small_signal(self.tile, g))


class AlphaBeta(_Matrix):
    """First-order closed form: every device sees its row's and its column's load.

    ``i_j = sum_i v_i g_ij / (1 + alpha_ij + beta_ij)`` with ``alpha_ij`` the drop along the
    word line that its own devices cause, ``beta_ij`` the rise of the bit line that its own devices
    cause, both at equal row voltages; after the gamma-compact model (Cao et al. 2022,
    doi:10.1109/JETCAS.2022.3172170), extended by driver and sense resistance.
    """

    name = "alpha-beta"

    def _matrix(self, g: Array) -> Array:
        g = _small_signal(self.tile, g)
        return g / (1.0 + self._row_load(g) + self._column_load(g))

    def _row_load(self, g: Array) -> Array:
        tile = self.tile
        n = tile.cols
        # Resistance that the paths from the driver to nodes j and l share.
        place = np.arange(n)
        shared = tile.r_driver + tile.r_row * np.minimum(place[:, None], place[None, :])
        load: Array = g @ shared
        return load

    def _column_load(self, g: Array) -> Array:
        tile = self.tile
        place = np.arange(tile.rows)
        left = tile.rows - np.maximum(place[:, None], place[None, :])
        load: Array = (tile.r_sense + tile.r_col * left) @ g
        return load


def _small_signal(tile: Tile, g: Array) -> Array:
    if tile.cell.linear:
        return g
    return np.where(g > 0.0, tile.cell.didv(np.zeros_like(g), g), 0.0)
