"""Resistor ladders: the one-dimensional circuits that word lines and bit lines are.

A line of nodes joined by segments of resistance ``r``, each node with a conductance ``g`` to a
known potential, has a tridiagonal matrix whose inverse is semiseparable,
``inv[i, k] = x[min(i, k)] y[max(i, k)]``. The profiles ``x`` and ``y`` follow from two recurrences;
they are run on the *excess* of each pivot over the segment's conductance, since in the pivot itself
a device of 1 uS beside a wire of 0.4 S would lose four digits in float32.

With the profiles, solving a line is two running sums. They are written as products with triangular
matrices of ones, which is faster than any running sum and works on a whole stack of tiles.

Every function takes arrays of one namespace ``xp`` (numpy, or torch and others that share its
functions), in one precision, and returns the same.
"""

__all__ = ["Field", "Lines", "Profiles", "column_solve", "line_profiles", "row_solve"]

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..array.tile import Tile

Field = Any
"""Array of namespace ``xp``, one number per crossing, (..., rows, cols)."""


class Profiles(NamedTuple):
    """``inv[i, k] = x[min(i, k)] y[max(i, k)]`` along every line; both (..., rows, cols)."""

    x: Field
    y: Field


@dataclass(frozen=True)
class Lines:
    """The wires of a tile as arrays of a namespace, precision and device."""

    xp: Any
    row: Any
    """Resistance between word-line nodes ``j`` and ``j + 1`` [ohm], (cols - 1, rows), or
    (cols - 1, 1) if all word lines are equal.
    """
    col: Any
    """Resistance between bit-line nodes ``i`` and ``i + 1`` [ohm], (rows - 1, cols), or
    (rows - 1, 1) if all bit lines are equal.
    """
    left: Any
    """Conductance from driver to the first node of a word line [S], (rows,)."""
    right: Any
    """The same at the other end, (rows,)."""
    top: Any
    """Conductance from the first node of a bit line to its sense input [S], (cols,)."""
    bottom: Any
    """The same at the other end, (cols,)."""
    eye: Any
    """Identity, (cols, cols)."""
    upper: Any
    """Ones where ``l >= j``, (cols, cols)."""
    lower: Any
    """Ones where ``l < j``, (cols, cols)."""
    before: Any
    """Ones where ``j < l``: ``f @ before`` sums what lies left of each node, (cols, cols)."""
    from_right: Any
    """Ones where ``j >= l``: ``f @ from_right`` sums what lies at or right of each node."""
    above: Any
    """Ones where ``k < i``: ``above @ f`` sums what lies above each node, (rows, rows)."""

    from_below: Any
    """Ones where ``k >= i``: ``from_below @ f`` sums what lies at or below each node."""
    driven_right: bool
    """Whether there is a driver at the right end too."""
    sensed_top: bool
    """Whether there is a sense input at the top too."""

    @classmethod
    def of(cls, tile: Tile, array: Any, xp: Any) -> "Lines":
        """Return the lines of ``tile``; ``array`` turns a numpy array into one of ``xp``.

        Parameters
        ----------
        tile
            The tile: its size, wires, periphery and cell.
        array
            Turns numpy's arrays into those of ``xp``.
        xp
            The module of array functions: numpy, or one that does as it does.
        """
        wires = tile.wires()
        # One number for all lines spares the recurrences a broadcast in every step.
        lines = 1 if tile.uniform else None
        return cls(
            xp=xp,
            row=array(1.0 / wires.row.T[:, :lines]),
            col=array(1.0 / wires.col[:, :lines]),
            left=array(wires.left),
            right=array(wires.right),
            top=array(wires.top),
            bottom=array(wires.bottom),
            eye=array(np.eye(tile.cols)),
            upper=array(np.triu(np.ones((tile.cols, tile.cols)))),
            lower=array(np.tril(np.ones((tile.cols, tile.cols)), -1)),
            before=array(np.triu(np.ones((tile.cols, tile.cols)), 1)),
            from_right=array(np.tril(np.ones((tile.cols, tile.cols)))),
            above=array(np.tril(np.ones((tile.rows, tile.rows)), -1)),
            from_below=array(np.triu(np.ones((tile.rows, tile.rows)))),
            driven_right=tile.drive == "both",
            sensed_top=tile.sense == "both",
        )


def line_profiles(lines: Lines, g: Field) -> tuple[Profiles, Profiles]:
    """Return the profiles of all word lines and of all bit lines of tiles whose devices have the
    conductances ``g`` [S], (..., rows, cols).
    """
    xp = lines.xp
    ladders = [
        (xp.moveaxis(g, -1, 0), lines.row, lines.left, lines.right),
        (xp.moveaxis(g, -2, 0), lines.col, lines.top, lines.bottom),
    ]
    if g.shape[-1] == g.shape[-2]:
        rows, cols = _profiles(xp, ladders)
    else:
        (rows,), (cols,) = (_profiles(xp, [ladder]) for ladder in ladders)
    return (
        Profiles(*(_settle(xp.moveaxis(part, 0, -1)) for part in rows)),
        Profiles(*(_settle(xp.moveaxis(part, 0, -2)) for part in cols)),
    )


def row_solve(lines: Lines, rows: Profiles, f: Field) -> Field:
    """Return the potentials of word lines into whose nodes the currents ``f`` flow.

    Parameters
    ----------
    lines
        Ladders of word and bit lines.
    rows
        Profiles of the word lines.
    f
        Currents into the nodes, (..., rows, cols) [A].
    """
    x, y = rows
    solved = (y * f) @ lines.from_right
    solved *= x
    left = (x * f) @ lines.before
    left *= y
    solved += left
    return solved


def column_solve(lines: Lines, cols: Profiles, f: Field) -> Field:
    """Return the potentials of bit lines into whose nodes the currents ``f`` flow.

    Parameters
    ----------
    lines
        Ladders of word and bit lines.
    cols
        Profiles of the bit lines.
    f
        Currents into the nodes, (..., rows, cols) [A].
    """
    x, y = cols
    solved = lines.from_below @ (y * f)
    solved *= x
    above = lines.above @ (x * f)
    above *= y
    solved += above
    return solved


def _profiles(xp: Any, ladders: list[tuple[Any, Any, Any, Any]]) -> list[tuple[Any, Any]]:
    """Run the recurrences of all ladders at once, and of each from both ends.

    A ladder is ``g``, (nodes, ..., lines), the resistances between nodes, and the conductances at
    both ends. One step takes a few array operations on all lines of all tiles; those, not the
    arithmetic, are what a refresh of few tiles costs.
    """

    def both(first: Any, second: Any) -> list[Any]:
        return [first, xp.flip(second, (0,))]

    g = xp.stack([part for ladder in ladders for part in both(ladder[0], ladder[0])], 1)
    nodes, ways = g.shape[:2]
    middle = (1,) * (len(g.shape) - 3)
    r = xp.stack([part for ladder in ladders for part in both(ladder[1], ladder[1])], 1)
    r = r.reshape((nodes - 1, ways, *middle, r.shape[-1]))
    near = xp.stack([end for ladder in ladders for end in (ladder[2], ladder[3])])
    far = xp.stack([end for ladder in ladders for end in (ladder[3], ladder[2])])
    near, far = (ends.reshape((ways, *middle, g.shape[-1])) for ends in (near, far))
    # The excess is counted in units of the next segment's conductance.
    ratio = r[1:] / r[:-1]
    even = bool((ratio == 1.0).all())
    profile = xp.ones_like(g)
    excess = g[0] + near
    if nodes > 1:
        excess *= r[0]
        g[1:-1] *= r[1:]
        for k in range(1, nodes):
            growth = excess + 1.0
            xp.multiply(profile[k - 1], growth, out=profile[k])
            excess /= growth
            if k == nodes - 1:
                excess /= r[-1]
            elif not even:
                excess *= ratio[k - 1]
            excess += g[k]
    excess += far
    pairs = []
    for way in range(0, ways, 2):
        x, y = profile[:, way], xp.flip(profile[:, way + 1], (0,))
        pairs.append((x, y / (x[-1] * excess[way])))
    return pairs


def _settle(array: Any) -> Any:
    """Return ``array`` contiguous in memory."""
    return array.copy() if hasattr(array, "copy") else array.contiguous()
