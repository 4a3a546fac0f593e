"""Amplifiers at the end of bit lines as the surrogate and the line solver see them: small signal.

An amplifier of gain ``A`` and feedback ``R`` is a resistance ``R / (1 + A)`` to ground for the bit
line, and its output stands for ``A / (1 + A)`` of the current. That holds until the output nears its
limit; beyond :attr:`Sense.limit` those engines don't answer.
"""

__all__ = ["Sense", "sense_of"]

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..array.tile import Tile

SHIFT = 1e-4
"""How far saturation may move an amplifier's input, as a share of the read voltage."""


class Sense(NamedTuple):
    """A tile without its amplifiers, and what they amount to."""

    tile: Tile
    """With their input resistance in its ``r_sense``."""
    gain: float
    """Current that is read per current that is sensed."""
    limit: float
    """Largest current [A] that is read in proportion."""


def sense_of(tile: Tile) -> Sense:
    """Return ``tile`` with small-signal amplifiers."""
    if tile.amplifier is None:
        return Sense(tile, 1.0, np.inf)
    from scipy.optimize import brentq

    r, gain, top = tile.amplifier.r_feedback, tile.amplifier.gain, tile.amplifier.v_max
    plain = replace(tile, amplifier=None, r_sense=tile.r_sense + r / (1.0 + gain))
    allowed = SHIFT * abs(tile.cell.v_read) * gain / top
    share = brentq(lambda x: np.arctanh(x) - x - allowed, 0.0, 1.0 - 1e-15) if allowed < 15 else 1.0
    return Sense(plain, gain / (1.0 + gain), share * top / r)
