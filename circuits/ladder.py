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

__all__ = ["Lines", "Profiles", "column_profiles", "column_solve", "row_profiles", "row_solve"]

from dataclasses import dataclass
from typing import Any, NamedTuple

from .tile import Tile

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
    before: Any
    """Ones where ``j < l``: ``f @ before`` sums what lies left of each node, (cols, cols)."""
    above: Any
    """Ones where ``k < i``: ``above @ f`` sums what lies above each node, (rows, rows)."""

    driven_right: bool
    """Whether there is a driver at the right end too."""
    sensed_top: bool
    """Whether there is a sense input at the top too."""

    @classmethod
    def of(cls, tile: Tile, array: Any, xp: Any) -> "Lines":
        """Return the lines of ``tile``; ``array`` turns a numpy array into one of ``xp``."""
        import numpy as np

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
            before=array(np.triu(np.ones((tile.cols, tile.cols)), 1)),
            above=array(np.tril(np.ones((tile.rows, tile.rows)), -1)),
            driven_right=tile.drive == "both",
            sensed_top=tile.sense == "both",
        )


def row_profiles(lines: Lines, g: Field) -> Profiles:
    """Return the profiles of all word lines whose nodes have the conductances ``g`` [S]."""
    xp = lines.xp
    along = xp.moveaxis(g, -1, 0)
    x, y = _profiles(xp, along, lines.row, lines.left, lines.right)
    return Profiles(_settle(xp.moveaxis(x, 0, -1)), _settle(xp.moveaxis(y, 0, -1)))


def column_profiles(lines: Lines, g: Field) -> Profiles:
    """Return the profiles of all bit lines whose nodes have the conductances ``g`` [S]."""
    xp = lines.xp
    along = xp.moveaxis(g, -2, 0)
    x, y = _profiles(xp, along, lines.col, lines.top, lines.bottom)
    return Profiles(_settle(xp.moveaxis(x, 0, -2)), _settle(xp.moveaxis(y, 0, -2)))


def row_solve(lines: Lines, rows: Profiles, f: Field) -> Field:
    """Return the potentials of word lines into whose nodes the currents ``f`` flow."""
    x, y = rows
    left, right = x * f, y * f
    # What lies at or right of a node is the whole less what lies left of it; the product with the
    # transposed matrix gives it without that subtraction, so without cancellation.
    right = right @ lines.before.T + right
    return x * right + y * (left @ lines.before)


def column_solve(lines: Lines, cols: Profiles, f: Field) -> Field:
    """Return the potentials of bit lines into whose nodes the currents ``f`` flow."""
    x, y = cols
    above, below = x * f, y * f
    below = lines.above.T @ below + below
    return x * below + y * (lines.above @ above)


def _profiles(xp: Any, g: Any, r: Any, first: Any, last: Any) -> tuple[Any, Any]:
    """Run both recurrences at once, the second one from the far end; ``g`` is (nodes, ..., lines).

    One step takes five array operations on all lines of all tiles; those, not the arithmetic, are
    what a refresh of few tiles costs.
    """
    nodes = g.shape[0]
    g = xp.stack([g, xp.flip(g, (0,))], 1)
    stack = (1,) * (len(g.shape) - 3)
    r = xp.stack([r, xp.flip(r, (0,))], 1).reshape((nodes - 1, 2, *stack, r.shape[-1]))
    ends = xp.stack([first, last]).reshape((2, *stack, g.shape[-1]))
    if r.shape[-1] == 1:
        r = r[:, :1]
    profile = xp.ones_like(g)
    excess = g[0] + ends
    for k in range(1, nodes):
        growth = excess * r[k - 1]
        growth += 1.0
        xp.multiply(profile[k - 1], growth, out=profile[k])
        excess /= growth
        excess += g[k]
    x, y = profile[:, 0], xp.flip(profile[:, 1], (0,))
    return x, y / (x[-1] * (excess[0] + ends[1]))


def _settle(array: Any) -> Any:
    """Return ``array`` contiguous in memory."""
    return array.copy() if hasattr(array, "copy") else array.contiguous()
