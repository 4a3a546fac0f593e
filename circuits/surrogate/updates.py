"""What a few changed devices do to the matrices of a closure, without working them out anew.

A device of row ``i`` and column ``j`` whose conductance grows by ``d`` sends ``d u`` more, from its
word line to its bit line. To first order in ``d``, with all else as it was::

    T' = T + d a c^T,   a = p_ij e_i + T h,      h = W_i[j] (g beta)_i - beta_ij e_j
                        c = R^T (q_ij e_j - W_i[j] (q g)_i)

``a`` is how much of every row voltage lies across the device, ``c`` what every column senses of a
current through it. What the nonlinear part of its current changes by at the nodes of the expansion
reaches the columns by the same ``c``. All devices that changed in a tile are one product of thin
matrices; tiles take turns, since how many changed differs much between them. Second orders are left
out, so that tiles are to be worked out anew before the changes add up to much.
"""

__all__ = ["Changed", "Workings", "on_host", "update"]

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array, Array32
from ..lines.cell_law import KINK, Law, beyond, evaluate
from .expansion import Expansion

Indices = NDArray[np.intp]


class Workings(NamedTuple):
    """What stays of working a closure out; (tiles, rows, cols) each where not said otherwise."""

    x: Any
    """Profiles of the word lines."""
    y: Any
    p: Any
    """Word-line response to its driver."""
    q: Any
    """Share of a current into a bit line that is sensed."""
    beta: Any
    """Bit-line potential per sensed current [ohm]."""
    qg: Any
    """The last two times the small-signal conductances."""
    gb: Any
    full: Any
    """Sensed currents with all rows at full swing, (tiles, 1, cols)."""
    t: Any
    """Transfer matrix [S]."""
    shift: Any = None
    """By how much those lower the voltage across every device; ``None`` if devices are linear."""
    u: tuple[Any, ...] = ()
    """Voltage across every device at every node."""
    sunk: Any = None
    """The same of idle rows, where devices have a kink."""


class Changed(NamedTuple):
    """Devices whose conductances changed, tile after tile."""

    tile: Indices
    """(n,), rising."""
    row: Indices
    col: Indices
    before: Array
    """[S]."""
    after: Array

    @classmethod
    def between(cls, before: Array, after: Array) -> "Changed":
        """Return the devices in which conductances [S], (tiles, rows, cols), differ."""
        place = np.flatnonzero(before != after)
        tile, row, col = np.unravel_index(place, before.shape)
        return cls(tile, row, col, before.reshape(-1)[place], after.reshape(-1)[place])

    def of(self, tiles: NDArray[np.bool_]) -> "Changed":
        """Return those in the tiles that a mask has."""
        here = tiles[self.tile]
        return Changed._make(part[here] for part in self)

    @property
    def tiles(self) -> Indices:
        """The tiles they are in, rising."""
        return np.unique(self.tile)

    def moves(self, since: Array32) -> Array:
        """Return by how much further from ``since`` [S], (tiles, rows, cols), they are than before, summed
        over every row [S], (tiles, rows).
        """
        tiles, rows, _ = since.shape
        at = since[self.tile, self.row, self.col]
        further = np.abs(self.after - at) - np.abs(self.before - at)
        summed = np.bincount(self.tile * rows + self.row, further, tiles * rows)
        return np.asarray(summed, float).reshape(tiles, rows)

    def undo(self, g: Array) -> None:
        """Put the conductances from before back into ``g``."""
        g[self.tile, self.row, self.col] = self.before


def update(
    closure: Any, changed: Changed, law: Law, expansion: Expansion, xp: Any, array: Any
) -> None:
    """Take devices that changed into the matrices of a closure, in place.

    ``array`` turns numpy arrays into those of the namespace ``xp``.

    Parameters
    ----------
    closure
        The wires, in closed form.
    changed
        Devices whose conductances changed.
    law
        Polynomials that follow the cell.
    expansion
        Where the nonlinear part is collocated.
    xp
        The module of array functions: numpy, or one that does as it does.
    array
        Turns numpy's arrays into those of ``xp``.
    """
    work: Workings = closure.workings
    rows, cols = work.p.shape[-2:]
    line = changed.tile * rows + changed.row
    here = line * cols + changed.col
    own = (np.arange(len(line)), changed.col)

    def at(field: Any) -> Any:
        """Return what a field has where the devices are, (n,)."""
        return field.reshape(-1)[here]

    def along(field: Any) -> Any:
        """Return what a field has along their word lines, (n, cols)."""
        return field.reshape((-1, cols))[line]

    both = law.terms(array(np.stack([changed.after, changed.before])), xp)
    change = {k: {p: one[0] - one[1] for p, one in row.items()} for k, row in both.items()}
    grown = change[0][1]
    x, y = along(work.x), along(work.y)
    # One line of the word line's inverse; x rises along it and y falls.
    inverse = xp.minimum(x, x[own][:, None]) * xp.minimum(y, y[own][:, None])
    lifted, sensed = inverse * along(work.gb), -inverse * along(work.qg)
    lifted[own] -= at(work.beta)
    sensed[own] += at(work.q)
    lifted *= grown[:, None]
    value = closure.value.matrices
    for part, tile in _tiles(changed.tile):
        sent, whole = sensed[part] @ closure.r[tile], value[0][tile]
        whole += (work.t[tile] @ lifted[part].T) @ sent
        sensed[part] = sent
    turns = _turns(line)

    def send(matrix: Any, sent: Any) -> None:
        """Add what devices send from their own row, (n,), to a matrix."""
        added, matrix = sent[:, None] * sensed, matrix.reshape((-1, cols))
        for apart in turns:
            matrix[line[apart]] += added[apart]

    straight = at(work.p) * grown
    rest = beyond(change)
    if not rest:
        send(value[0], straight)
        return
    q, full = at(work.q), work.full[changed.tile, 0, changed.col]
    b_full, shift, base = at(work.beta) * full, at(work.shift), at(work.p)
    b = expansion.load * b_full
    u = xp.stack([at(across) for across in work.u])  # (nodes, n)
    drop = array(np.array(expansion.nodes)[:, None]) * base - expansion.load * shift - u
    turn = evaluate(rest, u, b, by="b") * b_full - evaluate(rest, u, b, by="u") * shift
    bent = evaluate(rest, u, b, by="uu")
    values = evaluate(rest, u, b) - grown * drop
    slopes, bends = q * turn / full, q * bent * (shift / full) ** 2
    for_value, for_slope, for_bend = (array(weights) for weights in expansion.weights())
    # What the nonlinear part of a device changes is its own row's alone.
    left = for_value @ values
    left[0] += straight
    for matrix, sent in zip(value, left, strict=True):
        send(matrix, sent)
    column = changed.tile * cols + changed.col
    for stack, powers, parts in (
        (closure.slope, expansion.slope, for_slope @ slopes),
        (closure.bend, expansion.bend, for_bend @ bends),
    ):
        matrices = iter(stack.matrices)
        for p, part in zip(powers, parts, strict=True):
            if p:
                next(matrices).reshape(-1)[here] += part
            else:
                shape = stack.constant.shape
                sums = np.bincount(column, on_host(part), shape[0] * cols)
                stack.constant[...] += array(sums.reshape(shape))
    if closure.idle is not None:
        sent = evaluate({KINK: rest[KINK]}, at(work.sunk), 0.0)
        closure.idle.reshape(-1)[here] += q * sent / (expansion.load * full)


def _tiles(tile: Indices) -> Iterator[tuple[slice, int]]:
    """Yield the devices of one tile after the other, and the tile; ``tile`` rises."""
    ends = [*np.flatnonzero(np.diff(tile)) + 1, len(tile)]
    for start, end in pairwise([0, *ends]):
        yield slice(start, end), tile[start]


def _turns(line: Indices) -> list[Indices]:
    """Return devices of rows ``line``, rising, in groups none of which has two of one row: rows are
    added to at once.
    """
    place = np.arange(len(line)) - np.searchsorted(line, line)
    return [np.flatnonzero(place == k) for k in range(int(place.max()) + 1)]


def on_host(values: Any) -> Any:
    """Return numpy's array of what another library may hold."""
    return values if isinstance(values, np.ndarray) else np.asarray(values.cpu())
