"""What happens inside a tile while it is read: potentials, currents, losses."""

__all__ = ["Fields", "checked_held", "fields_of", "refuse_adrift"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from .tile import Tile

V_MAX = 1e3
"""Largest voltage accepted [V]."""


@dataclass(frozen=True)
class Fields:
    """What happens inside a tile while it is read; leading dimensions are those of the read
    voltages.
    """

    v: Array
    """Row voltages at the drivers [V], (..., rows)."""
    held: Array
    """Potentials at which the bit lines are held [V], (..., cols)."""
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
    driven: Array
    """Currents that the drivers send into the word lines [A], (..., rows)."""
    applied: Array
    """Voltage that each cell would see without wires [V], (..., rows, cols); NaN where its word
    line or its bit line is open.
    """

    @property
    def power(self) -> Array:
        """Power dissipated in each cell [W], (..., rows, cols)."""
        return (self.w - self.b) * self.i

    @property
    def supplied(self) -> Array:
        """Power that the sources deliver, so what cells, wires and periphery dissipate [W], (...)."""
        total: Array = (self.v * self.driven).sum(axis=-1) - (self.held * self.sensed).sum(axis=-1)
        return total

    @property
    def drop(self) -> Array:
        """Voltage lost on the wires on the way to each cell and back [V], (..., rows, cols)."""
        return self.applied - (self.w - self.b)

    @property
    def worst_drop(self) -> Array:
        """Largest loss of any cell between lines that aren't open [V], (...)."""
        lost = np.abs(self.drop)
        worst: Array = np.where(np.isnan(lost), 0.0, lost).max(axis=(-2, -1), initial=0.0)
        return worst


def fields_of(
    tile: Tile,
    v: Array,
    w: Array,
    b: Array,
    *,
    states: Array,
    closed: NDArray[np.bool_],
    held: Array | None = None,
    sensed: Array | None = None,
    one: bool = False,
) -> Fields:
    """Complete :class:`Fields` from the potentials at the cells.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    v
        Row voltages, (..., batch, rows) [V].
    w
        Potentials of word lines at the cells, (..., batch, rows, cols) [V].
    b
        Potentials of bit lines there, (..., batch, rows, cols) [V].
    states, closed
        States of the devices, and which of them conduct at all, (..., rows, cols).
    held
        Potentials at which the bit lines are held [V], (..., batch, cols); 0 V when left out.
    sensed
        Currents that are read [A], where the ends of the bit lines don't say: behind amplifiers.
    one
        Whether the batch is one vector, and its dimension goes.
    """
    wires, both = tile.wires(), tile.drive == "both"
    held = np.zeros((*v.shape[:-1], tile.cols)) if held is None else held
    i = tile.cell.law(w - b, states[..., None, :, :], closed[..., None, :, :], b)[0]
    if sensed is None:
        sensed = wires.bottom * (b[..., -1, :] - held)
        if tile.sense == "both":
            sensed = sensed + wires.top * (b[..., 0, :] - held)
    driven = wires.left * (v - w[..., :, 0])
    if both:
        driven = driven + wires.right * (v - w[..., :, -1])
    # An end that is neither driven nor open is at ground; so is a line that has no other end.
    at_rows = np.where(wires.left + both * wires.right > 0.0, v, np.nan)
    at_rows = np.where((wires.left == 0.0) & (wires.right > 0.0) & (not both), 0.0, at_rows)
    at_cols = np.where(wires.bottom + wires.top > 0.0, held, np.nan)
    found = Fields(
        v=v,
        held=held,
        w=w,
        b=b,
        i=i,
        sensed=sensed,
        row=(w[..., :, :-1] - w[..., :, 1:]) * wires.row,
        col=(b[..., :-1, :] - b[..., 1:, :]) * wires.col,
        driven=driven,
        applied=at_rows[..., :, None] - at_cols[..., None, :],
    )
    if not one:
        return found
    return Fields(**{name: part[0] for name, part in vars(found).items()})


def checked_held(tile: Tile, v: Array, held: ArrayLike | None) -> Array:
    """Return the potentials at which the bit lines are held [V], (..., batch, cols), for checked row
    voltages ``v``, (..., batch, rows): ``held`` broadcast, or 0 V; or say what is wrong with it.

    Parameters
    ----------
    tile
        The array.
    v
        Checked row voltages [V], (..., batch, rows).
    held
        What was asked for [V], or ``None``.
    """
    shape = (*v.shape[:-1], tile.cols)
    if held is None:
        return np.zeros(shape)
    held = np.asarray(held, float)
    try:
        full = np.broadcast_to(held, shape)
    except ValueError:
        raise InputError(
            f"expected one potential per bit line, ({tile.cols},), or one row of them per vector,"
            f" {shape}, got {held.shape}"
        ) from None
    if not (np.abs(full) <= V_MAX).all():
        raise InputError(f"bit lines are held within ±{V_MAX:g} V, got {held.ravel()!r:.60}")
    if tile.amplifier is not None and full.any():
        raise InputError(
            "amplifiers hold their bit lines at 0 V: leave tile.amplifier out to hold them elsewhere"
        )
    return np.array(full)


def refuse_adrift(tile: Tile, g: Array) -> None:
    """Refuse conductances ``g`` [S], (..., rows, cols), with which an open line has no potential of
    its own: no device leads from it, over however many lines, to one that is held.
    """
    if tile.terminals is None:
        return
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    wires, (m, n) = tile.wires(), tile.shape
    anchored = np.concatenate([wires.left + wires.right, wires.bottom + wires.top]) > 0.0
    for one in g.reshape(-1, m, n):
        links = np.zeros((m + n + 1, m + n + 1), bool)
        links[:m, m : m + n] = one > 0.0
        links[: m + n, -1] = anchored
        _, group = connected_components(csr_array(links), directed=False)
        adrift = np.flatnonzero(group[:-1] != group[-1])
        if adrift.size:
            k = int(adrift[0])
            line = f"word line {k}" if k < m else f"bit line {k - m}"
            raise InputError(
                f"{line} is open and no conducting device joins it to a line that is held: it has no"
                " potential to be read; connect it in tile.terminals"
            )
