"""The nodes of a tile in elimination order, and the pattern of its nodal matrix.

The order is a nested dissection (George 1973, doi:10.1137/0710032) made for two layers of lines:
cutting the grid between two columns meets only word lines, between two rows only bit lines, so that
a separator has half the nodes it has in a grid.
"""

__all__ = ["Pattern", "pattern"]

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from ...data.types import Array

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where each node and each stamp of a tile is in its matrix."""

    size: int
    """Number of nodes."""
    w: Index
    """Nodes on word lines, (rows, cols)."""
    b: Index
    """Nodes on bit lines, (rows, cols)."""
    inputs: Index
    """Inputs of amplifiers, (ends, cols); none without amplifiers."""
    ends: Index
    """Nodes at the sensed ends, (ends, cols)."""
    slot: Index
    """Place in the matrix's data of every stamped value, in the order of :meth:`values`."""
    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]

    def matrix(self, values: Array) -> Any:
        """Return the CSC matrix that the stamped ``values`` add up to."""
        data = np.bincount(self.slot, values, len(self.indices)).astype(float)
        return csc_matrix((data, self.indices, self.indptr), shape=(self.size, self.size))


@functools.lru_cache(maxsize=8)
def pattern(rows: int, cols: int, both: bool, amplified: bool) -> Pattern:
    """Return the pattern of all tiles of a shape, sensed at ``both`` ends or one, with or without
    amplifiers.

    Stamps come in the order: links (own nodes twice, then both couplings) along word lines, bit
    lines and to amplifiers; conductances to ground at the drivers, left then right, and without
    amplifiers at the sensed ends; cells' derivatives by their word-line node, by their bit-line
    node, and the negatives of both; amplifiers' slopes.

    Parameters
    ----------
    rows
        Number of word lines.
    cols
        Number of bit lines.
    both
        Whether both ends are sensed.
    amplified
        Whether bit lines end at amplifiers.
    """
    cells, ends = rows * cols, [rows - 1, 0] if both else [rows - 1]
    size = 2 * cells + (len(ends) * cols if amplified else 0)
    place = np.arange(size)
    place[_dissection(rows, cols)] = np.arange(2 * cells)
    w, b = place[: 2 * cells].reshape(2, rows, cols)
    inputs, end_nodes = place[2 * cells :].reshape(-1, cols), b[ends]
    links = [(w[:, :-1], w[:, 1:]), (b[:-1], b[1:])]
    grounded = [w[:, 0], w[:, -1]]
    if amplified:
        links.append((end_nodes, inputs))
    else:
        grounded.append(end_nodes)
    p = np.concatenate([a for a, _ in links], axis=None)
    q = np.concatenate([a for _, a in links], axis=None)
    d = np.concatenate(grounded, axis=None)
    at_w, at_b, at_s = w.ravel(), b.ravel(), inputs.ravel()
    i = np.concatenate([p, q, p, q, d, at_w, at_w, at_b, at_b, at_s])
    j = np.concatenate([p, q, q, p, d, at_w, at_b, at_w, at_b, at_s])
    keys, slot = np.unique(j * size + i, return_inverse=True)
    return Pattern(
        size=size,
        w=w,
        b=b,
        inputs=inputs,
        ends=end_nodes,
        slot=slot,
        indices=(keys % size).astype(np.int32),
        indptr=np.searchsorted(keys, np.arange(size + 1) * size).astype(np.int32),
    )


def _dissection(m: int, n: int) -> Index:
    """Return node numbers (word lines first, then bit lines) in elimination order."""
    order: list[Any] = []

    def part(w: Any, b: Any) -> None:
        rows, cols = max(len(w), len(b)), max(w.shape[1], b.shape[1])
        if rows * cols <= 6:
            order.extend((w.ravel(), b.ravel()))
        elif cols >= rows:
            # A column of word-line nodes separates; its bit line hangs on it alone and goes to the left.
            mid = cols // 2
            part(w[:, :mid], b[:, : mid + 1])
            part(w[:, mid + 1 :], b[:, mid + 1 :])
            order.append(w[:, mid : mid + 1].ravel())
        else:
            mid = rows // 2
            part(w[: mid + 1], b[:mid])
            part(w[mid + 1 :], b[mid + 1 :])
            order.append(b[mid : mid + 1].ravel())

    nodes = np.arange(2 * m * n).reshape(2, m, n)
    part(nodes[0], nodes[1])
    return np.concatenate(order)
