"""One read of one tile: what goes in at its lines, what comes out, what is lost on the way."""

__all__ = ["Inputs", "TileRead", "read_tile"]

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.options import check_choice
from ...data.types import Array
from ..array.fields import Fields, checked_held
from ..array.tile import Tile
from ..engine import Engine, Inside, checked_voltages
from ..registry import make_engine

Inputs: TypeAlias = Literal["rows", "cols"]


@dataclass(frozen=True)
class TileRead:
    """What a tile answers to a batch of voltages; arrays are (batch, ...), but for the conductances.

    Attributes
    ----------
    engine
        What read it.
    inputs
        Which lines the vectors were given to; the others are sensed.
    g
        Conductances [S], (rows, cols).
    v_rows, v_cols
        Voltages at the ends of the word lines and of the bit lines [V], (batch, rows) and
        (batch, cols).
    i
        Sensed currents [A]: out of the lines that are not the inputs, (batch, lines).
    fields
        Potentials and currents everywhere; ``None`` of an engine that knows only what is sensed.
    """

    engine: str
    inputs: Inputs
    g: Array
    v_rows: Array
    v_cols: Array
    i: Array
    fields: Fields | None

    @property
    def i_inputs(self) -> Array | None:
        """Currents that the sources send into the lines that are the inputs [A], (batch, lines)."""
        if self.fields is None:
            return None
        return self.fields.driven if self.inputs == "rows" else -self.fields.sensed

    @property
    def power(self) -> Array | None:
        """Power that all sources deliver [W], (batch,)."""
        return None if self.fields is None else self.fields.supplied

    @property
    def cell_power(self) -> Array | None:
        """Power that stays in the cells [W], (batch,)."""
        return None if self.fields is None else self.fields.power.sum(axis=(-2, -1))

    @property
    def worst_drop(self) -> Array | None:
        """Largest voltage that any cell misses by the wires [V], (batch,)."""
        return None if self.fields is None else self.fields.worst_drop

    @property
    def worst_cell(self) -> tuple[int, int, int] | None:
        """Vector, row and column of the cell that misses most; ``None`` where no cell lies between
        two lines that aren't open.
        """
        if self.fields is None:
            return None
        lost = np.abs(self.fields.drop)
        if np.isnan(lost).all():
            return None
        k, i, j = np.unravel_index(int(np.nanargmax(lost)), lost.shape)
        return int(k), int(i), int(j)

    def summary(self) -> dict[str, object]:
        """Return the figures that are asked for first, by name."""
        found: dict[str, object] = {
            "engine": self.engine,
            "rows": self.g.shape[0],
            "cols": self.g.shape[1],
            "vectors": len(self.v_rows),
            "inputs": self.inputs,
            "largest_current_ampere": float(np.abs(self.i).max(initial=0.0)),
        }
        if self.fields is None or self.power is None or self.cell_power is None:
            return found
        return found | {
            "power_watt": self.power.tolist(),
            "cell_power_watt": self.cell_power.tolist(),
            "worst_drop_volt": float(self.fields.worst_drop.max(initial=0.0)),
            "worst_cell": self.worst_cell,
        }


def read_tile(
    tile: Tile,
    g: ArrayLike,
    v: ArrayLike,
    *,
    inputs: Inputs = "rows",
    held: ArrayLike | None = None,
    engine: Engine | str = "nodal",
) -> TileRead:
    """Read one tile.

    Parameters
    ----------
    tile
        The array; :class:`~.array.terminals.Terminals` say which of its lines differ or are open.
    g
        Conductances [S], (rows, cols); 0 is an open device.
    v
        Voltages of the lines that are the inputs [V], (batch, lines) or (lines,). Those of open
        lines play no part.
    inputs
        Whether these are the word lines (``rows``) or the bit lines (``cols``).
    held
        Voltages at the other lines [V], one per line, (lines,), or a row of them per vector; 0 V
        when left out. A half-select read has half of the read voltage there.
    engine
        An engine of this tile or its name. ``line``, ``nodal`` and ``spice`` know all that a
        :class:`TileRead` says; others read plain tiles from their rows, and know the currents.

    Returns
    -------
    TileRead
        Currents, power and drops.

    Raises
    ------
    InputError
        If shapes don't fit, a conductance or voltage is out of range, an open line has no potential,
        or the engine can't read such a tile, or isn't there.
    EngineError
        If a simulator is missing, or fails.
    """
    check_choice("read", "lines called", inputs, get_args(Inputs))
    g = np.asarray(g, float)
    if g.ndim != 2:
        raise InputError(f"expected the conductances of one tile, (rows, cols), got {g.shape}")
    reader = make_engine(engine, tile) if isinstance(engine, str) else engine
    array = reader.program(g)
    v_rows, v_cols = _voltages(tile, np.asarray(v, float), inputs, held)
    if isinstance(array, Inside) and (tile.amplifier is None or reader.name != "line"):
        found = array.fields(v_rows, v_cols)
        i = found.sensed if inputs == "rows" else -found.driven
        return TileRead(reader.name, inputs, g, v_rows, v_cols, i, found)
    if inputs == "cols" or v_cols.any():
        raise InputError(
            f"the engine {reader.name} has its bit lines at 0 V: read inputs at columns and held lines"
            " through the engine line, nodal or spice"
        )
    return TileRead(reader.name, inputs, g, v_rows, v_cols, array.read(v_rows), None)


def _voltages(tile: Tile, v: Array, inputs: Inputs, held: ArrayLike | None) -> tuple[Array, Array]:
    """Return the voltages of word lines, (batch, rows), and of bit lines, (batch, cols)."""
    count = tile.rows if inputs == "rows" else tile.cols
    if v.ndim == 1:
        v = v[None]
    if v.ndim != 2 or v.shape[1] != count:
        what = "rows" if inputs == "rows" else "columns"
        raise InputError(
            f"expected voltages of shape (batch, {count}), one per {what[:-1]}, got {v.shape}"
        )
    if inputs == "rows":
        return v, checked_held(tile, v, held)
    shape = (len(v), tile.rows)
    try:
        rows = np.array(np.broadcast_to(np.asarray(0.0 if held is None else held, float), shape))
    except ValueError:
        raise InputError(
            f"expected one held voltage per word line, ({tile.rows},), or a row of them per vector,"
            f" {shape}, got {np.asarray(held).shape}"
        ) from None
    rows = checked_voltages(tile, (), rows)
    return rows, checked_held(tile, rows, v)
