"""The exact transfer matrix of a tile of linear devices, by elimination column after column.

Seen from word line nodes ``w_j``, bit line ``j`` with its devices is a dense symmetric admittance
``K_j = G_j - G_j (L_C + G_j)^-1 G_j`` between the rows. From the last column to the first, the
admittance of all that lies to the right is passed through the word-line segments,
``Y_j = K_j + S_j - S_j (Y_{j+1} + S_j)^-1 S_j``, and the factors ``H_j = (Y_j + S_{j-1})^-1 S_{j-1}``
carry the drivers' voltages forward. That takes one inverse of (rows, rows) per column, for all input
vectors at once; a sparse factorisation of the whole tile takes about five times as long. Tiles of
many lines are dissected instead (:mod:`.dissection`).
"""

__all__ = ["column_after_column", "transfer"]

import numpy as np
from numpy.typing import ArrayLike

from ...data.types import Array
from ..array.tile import Tile
from .dissection import dissected, divisible
from .ladder import Lines, line_profiles


def transfer(tile: Tile, g: ArrayLike) -> Array:
    """Return ``T`` with ``i = v @ T``.

    Parameters
    ----------
    tile
        Wires and periphery; its cell and its amplifiers play no part.
    g
        Conductances [S], (..., rows, cols).

    Returns
    -------
    Array
        Transfer matrices [S], (..., rows, cols), in float64.
    """
    g = np.asarray(g, float)
    stack = g.reshape((-1, *tile.shape))
    out = np.empty_like(stack)
    large = min(tile.shape) >= DISSECTED and divisible(tile.shape)
    together, solve = (
        (max(1, CELLS // stack[0].size), dissected) if large else (TILES, column_after_column)
    )
    for k in range(0, len(stack), together):
        out[k : k + together] = solve(tile, stack[k : k + together])
    return out.reshape(g.shape)


TILES = 4
"""Tiles eliminated at a time: one keeps (cols, rows, rows) numbers."""

CELLS = 2**14
"""Cells dissected at a time: one keeps a few hundred numbers."""

DISSECTED = 64
"""Lines from which that is faster."""


def column_after_column(tile: Tile, g: Array) -> Array:
    """Return what :func:`transfer` does, for conductances ``g`` [S], (tiles, rows, cols), all at once.

    Parameters
    ----------
    tile
        Wires and periphery.
    g
        Conductances [S], (tiles, rows, cols).
    """
    m, n = tile.shape
    wires = tile.wires()
    lines = Lines.of(tile, np.asarray, np)
    _, (x, y) = line_profiles(lines, g)
    share = wires.bottom * x * y[..., -1:, :] + wires.top * y
    eye = np.eye(m)
    admittance = np.zeros((len(g), m, m)) + np.diag(wires.right)
    source = admittance.copy()
    inverses, sources = [], []
    for j in range(n - 1, -1, -1):
        xj, yj, gj = x[:, :, j], y[:, :, j], g[:, :, j]
        # x rises along a line and y falls, so the wanted element of each is the smaller one.
        line = np.minimum(xj[:, :, None], xj[:, None, :])
        line *= np.minimum(yj[:, :, None], yj[:, None, :])
        line *= -gj[:, :, None] * gj[:, None, :]
        admittance = admittance + line
        admittance[:, range(m), range(m)] += gj
        segment = wires.left if j == 0 else wires.row[:, j - 1]
        admittance[:, range(m), range(m)] += segment
        inverse = np.linalg.inv(admittance) * segment
        inverses.append(inverse)
        sources.append(source)
        admittance = segment[:, None] * (eye - inverse)
        if lines.driven_right:
            source = inverse.swapaxes(-1, -2) @ source
    # Sensitivities of the columns from j on to the potentials of column j, carried to the drivers.
    carried = np.zeros((len(g), 0, m))
    total = np.zeros((len(g), n, m))
    weights = (share * g).swapaxes(-1, -2)
    for j, (inverse, source) in enumerate(zip(inverses, sources, strict=True)):
        j = n - 1 - j
        carried = np.concatenate([weights[:, j : j + 1], carried], 1)
        if lines.driven_right:
            segment = wires.left if j == 0 else wires.row[:, j - 1]
            total[:, j:] += (carried @ (inverse / segment)) @ source
        carried = carried @ inverse
    total += carried
    return total.swapaxes(-1, -2)
