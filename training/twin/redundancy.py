"""Spare columns of tiles: pairs of columns that hold no weights until, of the others, those whose dead devices hurt
the most are replaced by them.

Which devices are dead, and at what conductance, an array's test tells before it is programmed. A pair of columns
hurts an output by the squares of what its dead devices take from the weights there. Where a network is still to be
trained, these are of either sign and of the usual size.
"""

__all__ = ["missing", "replaced"]

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array, Array32
from ..rules.quantise import pair
from .placement import Placement


def missing(weights: Array32, dead: Array32) -> Array:
    """Return how much dead devices take from weights, with the signs of what is missing.

    Parameters
    ----------
    weights
        What is wanted [mean steps], any shape.
    dead
        Where the plus and the minus device of each are stuck [mean steps], nan for sound ones, (..., 2),
        broadcasting against the weights.
    """
    wanted = np.stack(pair(weights), axis=-1)
    held = np.where(np.isnan(dead), wanted, dead)
    return np.asarray(weights - (held[..., 0] - held[..., 1]))


def replaced(
    placement: Placement, dead: Array32, weights: Array32, *, trained: bool
) -> NDArray[np.int64]:
    """Return which pair of columns of its tile every output of every tile gets, (row blocks, column blocks, outputs).

    Parameters
    ----------
    placement
        Where the weights sit while every output has its own pair.
    dead
        Where devices are stuck [mean steps], nan for sound ones, (row blocks, column blocks, tile rows, tile columns).
    weights
        Float weights [mean steps], (rows, cols).
    trained
        Whether these are the ones to hold, not only to start from.
    """
    size = np.full_like(weights, np.sqrt(np.mean(np.square(weights))))
    blocks, across = placement.grid
    columns = np.empty((blocks, across, placement.outputs), np.int64)
    for row in range(blocks):
        for col in range(across):
            rows, cols = placement.part(row, col)
            of_tile = dead[row, col, : len(weights[rows])].reshape(-1, 1, placement.width, 2)
            hurt = sum(
                np.square(missing(each[rows, cols][..., None], of_tile)).sum(axis=0)
                for each in ((weights,) if trained else (size, -size))
            )
            columns[row, col] = _chosen(np.asarray(hurt), placement.outputs)
    return columns


def _chosen(hurt: Array, outputs: int) -> NDArray[np.int64]:
    """Return the pair of columns of every output of a tile, (outputs,), from how much each would hurt it,
    (outputs in use, pairs): those that hurt most choose a spare first, where one hurts less.
    """
    columns, spares = np.arange(outputs), list(range(outputs, hurt.shape[1]))
    own = np.diagonal(hurt)
    for output in np.argsort(-own, kind="stable"):
        if not spares:
            break
        best = min(spares, key=lambda spare: hurt[output, spare])
        if hurt[output, best] < own[output]:
            columns[output] = best
            spares.remove(best)
    return columns
