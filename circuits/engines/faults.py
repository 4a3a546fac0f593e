"""Devices that can't be programmed: stuck at a conductance, or open.

A fault map belongs to an array, not to an engine: :class:`Faulty` puts it in front of any of them,
so that whatever is programmed, the array holds what its faults leave of it.
"""

__all__ = ["Faults", "Faulty", "FaultyArray"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from ..array.tile import Tile
from ..engine import Engine, ProgrammedArray


@dataclass(frozen=True, eq=False)
class Faults:
    """Which devices don't follow, and what they conduct instead."""

    where: NDArray[np.bool_]
    """The faulty devices, (..., rows, cols)."""
    g: Array
    """Their conductances [S], 0 for open ones; of ``where``'s shape, without meaning elsewhere."""

    def __post_init__(self) -> None:
        """Refuse maps that don't fit each other."""
        if self.where.shape != self.g.shape or self.where.dtype != np.bool_:
            raise InputError(
                f"faults: expected a boolean map and conductances of one shape,"
                f" got {self.where.dtype} {self.where.shape} and {self.g.shape}"
            )
        if not np.all(self.g[self.where] >= 0.0):
            raise InputError("faults: a stuck device needs a conductance of 0 S or more")

    @classmethod
    def draw(
        cls,
        shape: tuple[int, ...],
        rng: np.random.Generator,
        *,
        opened: float = 0.0,
        low: float = 0.0,
        high: float = 0.0,
        g_low: float = 0.0,
        g_high: float = 0.0,
    ) -> "Faults":
        """Draw independent faults.

        Parameters
        ----------
        shape
            (..., rows, cols) of the stack of tiles.
        rng
            Where chance comes from.
        opened, low, high
            Probabilities of an open device, one stuck in its HRS, one stuck in its LRS.
        g_low, g_high
            What the stuck ones conduct [S].
        """
        if min(opened, low, high) < 0.0 or not opened + low + high <= 1.0:
            raise InputError(
                f"faults: probabilities {opened}, {low}, {high} must be shares of at most 1"
            )
        u = rng.random(shape)
        g = np.select([u < opened, u < opened + low], [0.0, g_low], default=g_high)
        return cls(u < opened + low + high, g)

    def apply(self, g: ArrayLike) -> Array:
        """Return what the array conducts [S] when ``g`` [S] is programmed."""
        g = np.asarray(g, float)
        if g.shape != self.where.shape:
            raise InputError(f"expected conductances of shape {self.where.shape}, got {g.shape}")
        return np.where(self.where, self.g, g)


class Faulty:
    """An engine whose array has faults."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        self.engine, self.faults = engine, faults

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
        return FaultyArray(self.engine.program(self.faults.apply(g)), self.faults)


@dataclass(frozen=True)
class FaultyArray:
    """An array some of whose devices don't follow."""

    inner: ProgrammedArray
    faults: Faults

    @property
    def tile(self) -> Tile:
        """The tile of the array inside."""
        return self.inner.tile

    @property
    def g(self) -> Array:
        """What the devices conduct [S], (..., rows, cols), the faulty ones too."""
        return self.inner.g

    def read(self, v: ArrayLike) -> Array:
        """Return the currents [A] for ``v`` [V], in the shapes of the array inside."""
        return self.inner.read(v)

    def reprogram(self, g: ArrayLike) -> "FaultyArray":
        """Return the array that holds ``g`` [S] where devices follow."""
        return FaultyArray(self.inner.reprogram(self.faults.apply(g)), self.faults)
