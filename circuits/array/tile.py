"""One physical array: rows x cols cells, their wires, drivers and sense amplifiers.

Row (word line) ``i`` runs through the nodes ``w{i}_{j}``, column (bit line) ``j`` through the nodes
``b{i}_{j}``, and the cell ``(i, j)`` joins ``w{i}_{j}`` to ``b{i}_{j}``, all counted from 0::

    v_i --r_driver-- w{i}_0 --r_row-- w{i}_1 --r_row-- ...
                       |cell            |cell
                     b{i}_0           b{i}_1
                       |r_col           |r_col
                     b{i+1}_0         b{i+1}_1
                      ...
                     b{rows-1}_0 --r_col-- --r_sense-- sense j

and the same again at the other end with ``drive="both"`` or ``sense="both"``.
The sense input is held at 0 V, or near it by an :mod:`.amplifier`; its current is the tile's
output.
"""

__all__ = ["Layout", "Tile", "Wires"]

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from ...data.files import write_figure
from ...data.options import check_choice, check_number
from ...data.records.pack import FLAT, UNSAVED
from ...data.shown.pictures import figure as page
from ...data.types import Array
from ...devices.device import Device, Levels
from .amplifier import Amplifier
from .cell import Cell
from .parasitics import Capacitances, Parasitics
from .schematic import Line, schematic
from .terminals import R_MAX, R_MIN, Terminals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES_MAX = 1024

Drive: TypeAlias = Literal["left", "both"]
Sense: TypeAlias = Literal["bottom", "both"]


class Wires(NamedTuple):
    """Conductances [S] of every segment of a tile."""

    row: Array
    """Between ``w{i}_{j}`` and ``w{i}_{j+1}``, (rows, cols - 1)."""
    col: Array
    """Between ``b{i}_{j}`` and ``b{i+1}_{j}``, (rows - 1, cols)."""
    left: Array
    """From the driver to ``w{i}_0``, (rows,)."""
    right: Array
    """From the second driver to ``w{i}_{cols-1}``, (rows,); if driven from the left only, to ground,
    zeros where that end is open."""
    bottom: Array
    """From ``b{rows-1}_{j}`` to the sense input, (cols,)."""
    top: Array
    """From ``b0_{j}`` to the second sense input, (cols,); if sensed at the bottom only, to ground,
    zeros where that end is open."""


@dataclass(frozen=True)
class Layout:
    """Lines, wires and periphery of an array of ``rows`` x ``cols`` cells, whatever these are.

    Raises
    ------
    InputError
        If a count or a resistance is not finite, or outside what a simulator can take; if ``drive``
        or ``sense`` is no such end; or if the terminals don't fit the lines.
    """

    rows: int
    """Number of word lines."""
    cols: int
    """Number of bit lines."""
    r_row: float = 2.5
    """Word line between neighbouring cells [ohm]."""
    r_col: float = 2.5
    """Bit line between neighbouring cells, and from the last cell to the sense amplifier [ohm]."""
    r_driver: float = 100.0
    """Output resistance of a driver [ohm]."""
    r_sense: float = 20.0
    """Input resistance of a sense amplifier [ohm]."""
    drive: Drive = "left"
    """Where the word lines are driven: at the ``left`` end, or at ``both``."""
    sense: Sense = "bottom"
    """Where the bit lines are sensed: at the ``bottom`` end, or at ``both``, whose currents are
    added.
    """
    amplifier: Amplifier | None = None
    """Amplifier at each sensed end; without one the sense input is held at 0 V exactly."""
    wire_spread: float = 0.0
    """Relative standard deviation of every wire segment's resistance (log-normal with median
    ``r_row`` or ``r_col``).
    """
    wire_seed: int = 0
    """Seed of that spread."""
    parasitics: Parasitics | None = field(default=None, compare=False)
    """Capacitances and the drivers' edge, for reads in time; by default those of
    :class:`~.parasitics.Parasitics`. Two tiles are the same, whatever these are: static reads know no time.
    """
    terminals: Terminals | None = None
    """Lines that differ from the others: resistances line by line, far ends, lines left open."""

    def __post_init__(self) -> None:
        check_number(
            "tile", rows=self.rows, cols=self.cols, whole=True, at_least=1, at_most=LINES_MAX
        )
        check_number(
            "tile",
            r_row=self.r_row,
            r_col=self.r_col,
            r_driver=self.r_driver,
            r_sense=self.r_sense,
            at_least=R_MIN,
            at_most=R_MAX,
        )
        check_choice("tile", "drive", self.drive, get_args(Drive))
        check_choice("tile", "sense", self.sense, get_args(Sense))
        check_number("tile", wire_spread=self.wire_spread, at_least=0, at_most=1)
        check_number("tile", wire_seed=self.wire_seed, whole=True, at_least=0)
        if self.terminals is not None:
            self.terminals.check(self)

    @property
    def shape(self) -> tuple[int, int]:
        """``(rows, cols)``."""
        return self.rows, self.cols

    @property
    def uniform(self) -> bool:
        """Whether all segments of a kind are equal."""
        return self.wire_spread == 0.0 and self.terminals is None

    @property
    def edge(self) -> Parasitics:
        """Its parasitics, or those that a tile has that doesn't say."""
        return self.parasitics or Parasitics()

    def capacitances(self) -> Capacitances:
        """Return the capacitance of every node, and between nodes [F]."""
        return self.edge.capacitances(
            self.shape, both_driven=self.drive == "both", both_sensed=self.sense == "both"
        )

    def wires(self) -> Wires:
        """Return the conductance of every segment [S]; the same tile always has the same spread."""
        m, n = self.shape
        own = self.terminals or Terminals()
        rng = np.random.default_rng(self.wire_seed)
        sigma = np.sqrt(np.log1p(self.wire_spread**2))

        def segments(resistance: Array, *shape: int) -> Array:
            drawn: Array = resistance * np.exp(sigma * rng.standard_normal(shape))
            return drawn

        r_row, r_col = own.row("r_row", self.r_row, m), own.row("r_col", self.r_col, n)
        row, col = segments(r_row[:, None], m, n - 1), segments(r_col, m - 1, n)
        bottom, top = segments(r_col, n), segments(r_col, n)
        driver, sense = own.row("r_driver", self.r_driver, m), own.row("r_sense", self.r_sense, n)
        ends = {
            "left": 1.0 / driver,
            "right": 1.0 / (driver if self.drive == "both" else own.row("end_rows", np.inf, m)),
            "bottom": 1.0 / (bottom + sense),
            "top": 1.0
            / (top + (sense if self.sense == "both" else own.row("end_cols", np.inf, n))),
        }
        for lines, names in (
            (own.open_rows, ("left", "right")),
            (own.open_cols, ("bottom", "top")),
        ):
            for name in names:
                ends[name][list(lines)] = 0.0
        return Wires(row=1.0 / row, col=1.0 / col, **ends)


@dataclass(frozen=True)
class Tile(Layout):
    """An array of equal cells; their conductances are an engine's business.

    Raises
    ------
    InputError
        As for a :class:`Layout`, and if cell and levels are meant at different read voltages.
    """

    cell: Cell = field(default=None, metadata=FLAT)  # type: ignore[assignment]  # never None once made
    """What sits at a crossing; by default the device of the levels, or a resistor."""
    levels: Levels | None = field(default=None, compare=False, repr=False, metadata=UNSAVED)
    """What the cells are programmed to, where that is known. Two tiles are the same, whatever their
    devices are to hold.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell is None:
            made = Cell.resistor() if self.levels is None else Cell.of(self.levels)
            object.__setattr__(self, "cell", made)
        if self.levels is not None:
            self.cell.check_voltage(self.levels.v_read)

    def at(self, temperature: float) -> "Tile":
        """Return the same tile at an ambient temperature [K]: devices in the states that they are in,
        wires as they are.

        Raises
        ------
        InputError
            If the device's model has no temperature, or this one is none.
        """
        device = self.levels.device if self.levels else self.cell.device
        return self.holding(device.at(temperature))

    def holding(self, device: Device) -> "Tile":
        """Return the tile with another device in the same states, where it isn't read as a resistor."""
        levels, cell = self.levels, self.cell
        if levels is not None:
            levels = Levels(
                device, levels.v_read, device.conductance(levels.x, levels.v_read), levels.x
            )
        if cell.device.model.rate_expr is not None or levels is None:
            cell = replace(cell, device=device)
        return replace(self, cell=cell, levels=levels)

    def __repr__(self) -> str:
        return f"<Tile {self.rows} × {self.cols}: {self.cell!r}>"

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the tile as a circuit with the value of every kind of element, and write the picture
        to ``path`` if given; its suffix names the format.
        """
        figure = page(6.8, 4.0)
        driver, sense = Line(self.r_driver, "driver"), Line(self.r_sense, "sense input")
        schematic(
            figure.subplots(),
            self.shape,
            (self.r_row, self.r_col),
            left=driver,
            right=driver if self.drive == "both" else None,
            bottom=sense,
            top=sense if self.sense == "both" else None,
            cell=str(self.cell).splitlines(),
        )
        if path is not None:
            write_figure(figure, path, dpi=130)
        return figure
