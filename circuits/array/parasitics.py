"""What makes a read take time: capacitances of wires, drivers, sense inputs and cells, and the driver's edge."""

__all__ = ["Capacitances", "Parasitics"]

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data.options import check_number
from ...data.types import Array


class Capacitances(NamedTuple):
    """Capacitances [F] of every node and between nodes of a tile."""

    w: Array
    """Word-line nodes to ground, (rows, cols)."""
    b: Array
    """Bit-line nodes to ground, (rows, cols)."""
    w_w: float
    """Between neighbouring word lines, at every column."""
    b_b: float
    """Between neighbouring bit lines, at every row."""
    w_b: float
    """Across every crossing."""


@dataclass(frozen=True)
class Parasitics:
    """Capacitances of a tile and the rise time of its drivers.

    A cell takes one pitch of its word line and one of its bit line; the capacitance of that much
    wire is at the cell's nodes. That of a driver is at the first node of its line, that of a sense
    input at the last.

    Raises
    ------
    InputError
        If a value is not finite, or outside of its range.
    """

    pitch: float = 1e-6
    """Distance of neighbouring cells [m]."""
    c_length: float = 2e-10
    """Capacitance of a wire per length [F/m]: 0.2 fF per micrometre, as wires on chips have it
    whatever their width (Ho et al. 2001, doi:10.1109/5.920580).
    """
    coupling: float = 0.0
    """Share of a wire's capacitance that is to the two wires beside it, the rest to ground."""
    c_row: float | None = None
    """Word line per segment [F]; by default pitch times ``c_length``."""
    c_col: float | None = None
    """Bit line per segment [F]; by default pitch times ``c_length``."""
    c_cell: float = 0.0
    """Across a cell [F]."""
    c_driver: float = 5e-15
    """Output of a driver [F]."""
    c_sense: float = 1e-14
    """Input of a sense amplifier [F]."""
    rise: float = 1e-10
    """Time in which a driver goes from 0 V to its voltage, along a straight line [s]."""

    def __post_init__(self) -> None:
        name = "tile.parasitics"
        check_number(name, pitch=self.pitch, c_length=self.c_length, above=0, at_most=1)
        check_number(name, coupling=self.coupling, at_least=0, at_most=1)
        check_number(name, c_row=self.c_row, c_col=self.c_col, above=0, at_most=1e-6, optional=True)
        check_number(
            name,
            c_cell=self.c_cell,
            c_driver=self.c_driver,
            c_sense=self.c_sense,
            at_least=0,
            at_most=1e-6,
        )
        check_number(name, rise=self.rise, above=0, at_most=1)

    @property
    def row(self) -> float:
        """Capacitance of a word line per segment [F]."""
        return self.pitch * self.c_length if self.c_row is None else self.c_row

    @property
    def col(self) -> float:
        """Capacitance of a bit line per segment [F]."""
        return self.pitch * self.c_length if self.c_col is None else self.c_col

    def capacitances(
        self, shape: tuple[int, int], *, both_driven: bool = False, both_sensed: bool = False
    ) -> Capacitances:
        """Return the capacitances of a tile of ``shape``; what an outer line would have to a
        neighbour that is not there is to ground.

        Parameters
        ----------
        shape
            Rows and columns of the tile.
        both_driven
            Whether word lines are driven at both ends.
        both_sensed
            Whether bit lines are sensed at both ends.
        """
        m, n = shape
        w = np.full(shape, self.row * (1.0 - self.coupling))
        b = np.full(shape, self.col * (1.0 - self.coupling))
        half_w, half_b = 0.5 * self.coupling * self.row, 0.5 * self.coupling * self.col
        w[0] += half_w
        w[-1] += half_w
        b[:, 0] += half_b
        b[:, -1] += half_b
        w[:, 0] += self.c_driver
        b[m - 1] += self.c_sense
        if both_driven:
            w[:, n - 1] += self.c_driver
        if both_sensed:
            b[0] += self.c_sense
        return Capacitances(w, b, half_w, half_b, self.c_cell)
