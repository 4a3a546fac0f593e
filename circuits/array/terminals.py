"""Lines that differ from one another: wires, drivers, sense inputs and far ends line by line, and
lines that are left open.

With them a tile is no longer what a network is mapped to, but what stands on a bench: sneak paths
through open lines, half-select reads, a line with a bad contact.
"""

__all__ = ["LineValues", "Terminals", "plain"]

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from ...data.errors import InputError
from ...data.types import Array

if TYPE_CHECKING:
    from .tile import Layout

LineValues: TypeAlias = float | tuple[float, ...] | None
"""One number for all lines of a kind, or one for each; ``None`` for what the layout says."""

R_MIN, R_MAX = 1e-3, 1e9
"""Resistances accepted [ohm]: below, ngspice replaces a resistor by one of its own choice; above,
gmin outweighs it.
"""

ROWS = ("r_row", "r_driver", "end_rows")
COLS = ("r_col", "r_sense", "end_cols")


@dataclass(frozen=True)
class Terminals:
    """What differs from line to line, ``[tile.terminals]``; engines that solve every line take it
    (``line``, ``nodal``, ``spice``).

    Raises
    ------
    InputError
        If a resistance is outside what a simulator can take, or a line isn't there.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"allow_inf_nan": True, "extra": "forbid"}
    """In a configuration an open end may be stated as infinite."""
    r_row: LineValues = None
    """Word line between neighbouring cells [ohm]."""
    r_col: LineValues = None
    """Bit line between neighbouring cells, and from the last cell to its sense input [ohm]."""
    r_driver: LineValues = None
    """From the driver to the word line [ohm]."""
    r_sense: LineValues = None
    """From the bit line to its sense input [ohm]."""
    end_rows: LineValues = None
    """From the far end of the word line to ground [ohm]; infinite where it ends open."""
    end_cols: LineValues = None
    """From the far end of the bit line, at the first row, to ground [ohm]; infinite where open."""
    open_rows: tuple[int, ...] = ()
    """Word lines that float, connected at neither end, counted from 0."""
    open_cols: tuple[int, ...] = ()
    """Bit lines that float, likewise."""

    def __post_init__(self) -> None:
        """Take lists for tuples; refuse what is no resistance."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, list):
                object.__setattr__(self, item.name, value := tuple(value))
            if item.name.startswith("open"):
                if not all(isinstance(k, (int, np.integer)) and k >= 0 for k in value):
                    raise InputError(
                        f"tile.terminals: {item.name} are numbers of lines, counted from 0, got"
                        f" {value!r:.60}"
                    )
                continue
            numbers = value if isinstance(value, tuple) else () if value is None else (value,)
            top = np.inf if item.name.startswith("end") else R_MAX
            for number in numbers:
                if isinstance(number, bool) or not (
                    isinstance(number, (int, float)) and R_MIN <= number <= top
                ):
                    raise InputError(
                        f"tile.terminals: {item.name} must be from {R_MIN:g} to {R_MAX:g} ohm, got"
                        f" {number!r:.60}"
                    )

    def check(self, layout: "Layout") -> None:
        """Refuse what does not fit the lines of ``layout``.

        Raises
        ------
        InputError
            If numbers are not one per line, a line isn't there, or the layout has amplifiers, or uses
            a far end that is said to be grounded.
        """
        for names, opened, count, what in (
            (ROWS, "open_rows", layout.rows, "word"),
            (COLS, "open_cols", layout.cols, "bit"),
        ):
            for name in names:
                value = getattr(self, name)
                if isinstance(value, tuple) and len(value) != count:
                    raise InputError(
                        f"tile.terminals: {name} has {len(value)} numbers for {count} {what} lines:"
                        " give one number, or one per line"
                    )
            for k in getattr(self, opened):
                if k >= count:
                    raise InputError(
                        f"tile.terminals: there is no {what} line {k} in {opened}, they are counted"
                        f" from 0 to {count - 1}"
                    )
        if layout.amplifier is not None:
            raise InputError(
                "tile: lines with terminals of their own are sensed without amplifiers: leave"
                " tile.amplifier or tile.terminals out"
            )
        for name, key, both in (
            ("end_rows", "drive", layout.drive),
            ("end_cols", "sense", layout.sense),
        ):
            if getattr(self, name) is not None and both == "both":
                raise InputError(
                    f"tile.terminals: {name} has no place where tile.{key} = 'both' uses that end"
                )

    def row(self, name: str, default: float, count: int) -> Array:
        """Return one resistance per line of what is called ``name`` [ohm], (count,).

        Parameters
        ----------
        name
            One of the fields with resistances.
        default
            Where nothing is given [ohm].
        count
            Number of lines.
        """
        value = getattr(self, name)
        return np.broadcast_to(np.asarray(default if value is None else value, float), (count,))


def plain(tile: "Layout", what: str) -> None:
    """Refuse a tile with terminals of its own; ``what`` is what can't take it."""
    if tile.terminals is not None:
        raise InputError(
            f"{what} takes all lines as alike, and tile.terminals makes them differ: read such a"
            " tile through the engine line, nodal or spice"
        )
