"""Potentials everywhere in a tile by line sweeps: also of bit lines that are held elsewhere than at
0 V, and of lines that are open.

Sweeps know an open bit line by what it senses. So that it senses something, it is given a
conductance to ground that is far too small to count.
"""

__all__ = ["OPEN", "inside"]

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...data.errors import NonConvergence
from ...data.types import Array
from ..array.tile import Tile
from .chord import exact
from .ladder import Lines
from .sweeps import factor, solve

OPEN = 1e-9
"""Conductance of an open end, as a share of the line's own devices."""

VECTORS = 100
"""Vectors solved at a time."""


class Potentials(NamedTuple):
    """Potentials at the cells [V], (batch, rows, cols) each."""

    w: Array
    b: Array


def inside(
    tile: Tile,
    g: Array,
    states: Array,
    v: Array,
    held: Array,
    *,
    tolerance: float,
    sweeps: int,
) -> Potentials:
    """Solve one tile without amplifiers by its cell's own equations.

    Parameters
    ----------
    tile
        The array.
    g, states
        Conductances [S] and states of the devices, (rows, cols).
    v
        Row voltages [V], (batch, rows).
    held
        Potentials at which the bit lines are held [V], (batch, cols).
    tolerance
        Largest change of a sensed current in the last sweep, relative to the largest one.
    sweeps
        Give up after as many.

    Raises
    ------
    NonConvergence
        If the tolerance is not reached.
    """
    lines = Lines.of(tile, np.asarray, np)
    own = g.sum(axis=0)
    bare = (lines.bottom == 0.0) & (lines.top == 0.0)
    lines = replace(lines, bottom=np.where(bare, OPEN * own, lines.bottom))
    low = float(v.min(initial=0.0)) - float(held.max(initial=0.0))
    high = float(v.max(initial=0.0)) - float(held.min(initial=0.0))
    full = max(low, high, key=abs) or 1.0
    shares = low / full, high / full
    with np.errstate(all="ignore"):
        response = exact(tile.cell, g, states, full, np.float64, (min(shares), max(shares)))
        circuit = factor(lines, response.chord)
    out = Potentials(*(np.empty((len(v), *tile.shape)) for _ in range(2)))
    for at in range(0, len(v), VECTORS):
        part = slice(at, at + VECTORS)
        at_cols = np.where(bare, 0.0, held[part]).T / full
        with np.errstate(all="ignore"):
            found = solve(
                circuit,
                v[part].T / full,
                response.rest,
                tolerance=tolerance,
                sweeps=sweeps,
                inject=at_cols,
                apart=True,
            )
        if not found.error <= tolerance:
            raise NonConvergence(
                f"the line solver came to {found.error:.1e} of full scale in {found.sweeps} sweeps,"
                f" expected {tolerance:.1e}"
            )
        out.w[part] = full * np.moveaxis(found.u + found.b, -1, 0)
        out.b[part] = full * np.moveaxis(found.b, -1, 0)
    return out
