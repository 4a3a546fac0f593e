"""What a few changed devices do to the matrices of a closure, without working them out anew.

A device of row ``i`` and column ``j`` whose conductance grows by ``d`` sends ``d u`` more, from its
word line to its bit line. To first order in ``d``, with all else as it was::

    T' = T + d a c^T,   a = p_ij e_i + T h,      h = W_i[j] (g beta)_i - beta_ij e_j
                        c = R^T (q_ij e_j - W_i[j] (q g)_i)

``a`` is how much of every row voltage lies across the device, ``c`` what every column senses of a
current through it. What the nonlinear part of its current changes by at the nodes of the expansion
reaches the columns by the same ``c``. All devices that changed in a tile are one product of thin
matrices. Second orders are left out, so that tiles are to be worked out anew before the changes add
up to much.
"""

__all__ = ["Changed", "Workings", "update"]

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array
from ..lines.cell_law import KINK, Law, Terms, beyond, evaluate
from .expansion import Expansion

Indices = NDArray[np.intp]


class Workings(NamedTuple):
    """What stays of working a closure out; (tiles, rows, cols) each where not said otherwise."""

    g: Any
    """Small-signal conductances [S]."""
    x: Any
    """Profiles of the word lines."""
    y: Any
    p: Any
    """Word-line response to its driver."""
    q: Any
    """Share of a current into a bit line that is sensed."""
    beta: Any
    """Bit-line potential per sensed current [ohm]."""
    full: Any
    """Sensed currents with all rows at full swing, (tiles, 1, cols)."""
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

    def moves(self, g: Array) -> Array:
        """Return how far they went from ``g`` [S], summed over every tile and relative to its sum,
        (tiles,).
        """
        total = np.zeros(len(g))
        np.add.at(total, self.tile, np.abs(self.after - self.before))
        at = self.tiles
        total[at] /= g[at].sum((1, 2)) + 1e-300
        return total

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
    tiles, slot = np.unique(changed.tile, return_inverse=True)
    here, line = (changed.tile, changed.row, changed.col), (changed.tile, changed.row)
    order = np.arange(len(slot)) - np.searchsorted(slot, slot)
    own = (np.arange(len(slot)), changed.col)
    rows, cols = work.p.shape[-2:]
    count = int(order.max()) + 1

    def placed(values: Any, shape: tuple[int, ...], *at: Any) -> Any:
        """Return zeros, (changed tiles, ...), with one value per device at its place."""
        result = array(np.zeros((len(tiles), *shape), np.float32))
        result[(slot, *at)] = values
        return result

    def crossings(values: Any) -> Any:
        return placed(values, (rows, count), changed.row, order)

    new, old = (law.terms(array(g), xp) for g in (changed.after, changed.before))
    grown = new[0][1] - old[0][1]
    x, y = work.x[line], work.y[line]
    # One line of the word line's inverse; x rises along it and y falls.
    inverse = xp.minimum(x, x[own][:, None]) * xp.minimum(y, y[own][:, None]) * work.g[line]
    lifted, sensed = inverse * work.beta[line], -inverse * work.q[line]
    lifted[own] -= work.beta[here]
    sensed[own] += work.q[here]
    value = closure.value.matrices
    c = placed(sensed, (count, cols), order) @ closure.r[tiles]
    lifted = placed(lifted * grown[:, None], (count, cols), order)
    a = value[0][tiles] @ xp.swapaxes(lifted, -1, -2)
    a += crossings(work.p[here] * grown)
    rest = _difference(beyond(new), beyond(old))
    if not rest:
        value[0][tiles] += a @ c
        return
    q, full = work.q[here], work.full[changed.tile, 0, changed.col]
    b_full, shift, base = work.beta[here] * full, work.shift[here], work.p[here]
    b = expansion.load * b_full
    values, slopes, bends = [], [], []
    for node, across in zip(expansion.nodes, work.u, strict=True):
        u = across[here]
        drop = node * base - expansion.load * shift - u
        values.append(evaluate(rest, u, b) - grown * drop)
        turn = evaluate(rest, u, b, by="b") * b_full - evaluate(rest, u, b, by="u") * shift
        slopes.append(q * turn / full)
        bends.append(q * evaluate(rest, u, b, by="uu") * (shift / full) ** 2)
    for_value, for_slope, for_bend = expansion.weights()
    for k, row in enumerate(for_value):
        left = crossings(_sum(row, values))
        value[k][tiles] += (left if k else left + a) @ c
    for stack, powers, weights, parts in (
        (closure.slope, expansion.slope, for_slope, slopes),
        (closure.bend, expansion.bend, for_bend, bends),
    ):
        matrices = iter(stack.matrices)
        for p, row in zip(powers, weights, strict=True):
            change = _sum(row, parts)
            if p:
                next(matrices)[here] += change
            else:
                columns = placed(change, (count, cols), order, changed.col)
                stack.constant[tiles] += columns.sum(-2, keepdims=True)
    if closure.idle is not None:
        sent = evaluate({KINK: rest[KINK]}, work.sunk[here], 0.0)
        closure.idle[here] += q * sent / (expansion.load * full)


def _difference(new: Terms, old: Terms) -> Terms:
    return {k: {p: new[k][p] - old[k][p] for p in row} for k, row in old.items()}


def _sum(weights: Array, parts: list[Any]) -> Any:
    total = float(weights[0]) * parts[0]
    for weight, part in zip(weights[1:].tolist(), parts[1:], strict=True):
        total = total + weight * part
    return total
