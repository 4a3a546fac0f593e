"""Devices that can't be programmed, in front of any engine.

What is stuck belongs to an array, not to an engine: whatever is programmed, the array holds what
its faults leave of it. :class:`~memtwin.devices.spread.stuck.Stuck` draws such devices.
"""

__all__ = ["Faulty", "FaultyArray"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.types import Array
from ...devices.spread.stuck import held
from ..array.tile import Tile
from ..engine import Engine, ProgrammedArray


class Faulty:
    """An engine whose array has stuck devices.

    Parameters
    ----------
    engine
        Reads the array.
    stuck
        Conductance at which devices are stuck [S], 0 for open and NaN for sound ones, (..., rows,
        cols).
    """

    def __init__(self, engine: Engine, stuck: ArrayLike) -> None:
        self.engine, self.stuck = engine, np.asarray(stuck, float)

    @property
    def name(self) -> str:
        """Name of the engine inside."""
        return self.engine.name

    @property
    def tile(self) -> Tile:
        """Tile of the engine inside."""
        return self.engine.tile

    def program(self, g: ArrayLike) -> "FaultyArray":
        """Return the tiles with ``g`` [S], (..., rows, cols), where devices follow."""
        return FaultyArray(self.engine.program(held(self.stuck, g)), self.stuck)


@dataclass(frozen=True, eq=False)
class FaultyArray:
    """An array some of whose devices don't follow."""

    inner: ProgrammedArray
    stuck: Array

    @property
    def tile(self) -> Tile:
        """The tile of the array inside."""
        return self.inner.tile

    @property
    def g(self) -> Array:
        """What the devices conduct [S], (..., rows, cols), the stuck ones too."""
        return self.inner.g

    def read(self, v: ArrayLike) -> Array:
        """Return the currents [A] for ``v`` [V], in the shapes of the array inside."""
        return self.inner.read(v)

    def reprogram(self, g: ArrayLike) -> "FaultyArray":
        """Return the array that holds ``g`` [S] where devices follow."""
        return FaultyArray(self.inner.reprogram(held(self.stuck, g)), self.stuck)
