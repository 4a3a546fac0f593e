"""What every engine answers: it programs conductances into an array, and the array is read."""

__all__ = [
    "Differentiable",
    "Engine",
    "Inside",
    "Programmed",
    "ProgrammedArray",
    "checked_conductances",
    "checked_voltages",
    "flat_stack",
    "same_stack",
]

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Generic, Protocol, Self, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..data.errors import InputError
from ..data.types import Array
from .array.fields import Fields
from .array.tile import Tile

G_MAX = 1e3
"""Largest conductance accepted [S]."""

V_MAX = 1e3
"""Largest voltage accepted [V]."""


@runtime_checkable
class ProgrammedArray(Protocol):
    """A stack of equal tiles that holds conductances, and can be read.

    What it holds stays as it is; :meth:`reprogram` gives another array. Arrays of one engine know
    nothing of each other.
    """

    @property
    def tile(self) -> Tile:
        """The tile that all members of the stack share."""

    @property
    def g(self) -> Array:
        """The conductances [S], (..., rows, cols), read-only."""

    def read(self, v: ArrayLike) -> Array:
        """Return the sensed currents [A], (..., batch, cols), for row voltages ``v`` [V], (...,
        batch, rows); of a single tile also (cols,) for one vector, (rows,).

        The leading dimensions equal those of the conductances.
        """

    def reprogram(self, g: ArrayLike) -> "ProgrammedArray":
        """Return the array of the same engine that holds the conductances ``g`` [S] of this one's
        shape; work that was done for this one is used again where it still holds.
        """


@runtime_checkable
class Differentiable(ProgrammedArray, Protocol):
    """An array that knows the derivatives of its reads."""

    def gradients(self, v: ArrayLike, by_i: ArrayLike) -> tuple[Array, Array]:
        """Return a loss's derivatives by conductance [1/S], (..., rows, cols), and by row voltage
        [1/V], of ``v``'s shape, from those by sensed current, ``by_i`` [1/A], of the shape that
        the read of ``v`` [V] has.
        """


@runtime_checkable
class Inside(ProgrammedArray, Protocol):
    """An array that knows what happens inside it, with lines that differ, are open or held elsewhere."""

    def fields(self, v: ArrayLike, held: ArrayLike | None = None) -> Fields:
        """Return potentials and currents everywhere for row voltages ``v`` [V], (..., batch, rows),
        with bit lines at ``held`` [V], (..., batch, cols), or 0 V.
        """


class Engine(Protocol):
    """A way to compute what a tile's columns carry.

    All engines compute the same quantity, the static currents at the sense inputs; they differ in
    what they leave out and in what they cost.
    """

    @property
    def name(self) -> str:
        """What the engine calls itself; those here, as :data:`.registry.ENGINES` does."""

    @property
    def tile(self) -> Tile:
        """The tile that it reads stacks of."""

    def program(self, g: ArrayLike) -> ProgrammedArray:
        """Return a stack of tiles that holds the conductances ``g`` [S], (..., rows, cols); 0 is an
        open device.
        """


E = TypeVar("E", bound=Engine)


@dataclass(frozen=True, eq=False, repr=False)
class Programmed(ABC, Generic[E]):
    """What the engines' own arrays have in common: checked conductances, and voltages checked on
    their way in.
    """

    engine: E
    g: Array
    """The conductances [S], (..., rows, cols), read-only."""

    @property
    def tile(self) -> Tile:
        """The tile that all members of the stack share."""
        return self.engine.tile

    @property
    def stack(self) -> tuple[int, ...]:
        """Leading dimensions of all that goes in and comes out."""
        return self.g.shape[:-2]

    def __repr__(self) -> str:
        """Return what it is, without the numbers it holds."""
        count = f"{' × '.join(map(str, self.stack))} tiles" if self.stack else "tile"
        return f"<{self.engine.name} array: {count} of {self.tile.rows} × {self.tile.cols}>"

    def read(self, v: ArrayLike) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows); of a
        single tile also (cols,) for one vector, (rows,).
        """
        one = np.ndim(v) == 1
        # What came in is let go where it was converted: batches of convolutions are large.
        v = checked_voltages(self.tile, self.stack, v, dtype=self._precision(v))
        i = self._currents(v)
        return i[0] if one else i

    def reprogram(self, g: ArrayLike) -> Self:
        """Return the array that holds ``g`` [S], of this one's shape."""
        return cast("Self", self.engine.program(same_stack(self.g, g)))

    def _precision(self, v: ArrayLike) -> DTypeLike:
        """Return in what numbers voltages ``v`` are taken."""
        return self.g.dtype

    @abstractmethod
    def _currents(self, v: Array) -> Array:
        """Return the currents [A], (..., batch, cols), for checked voltages."""


def checked_conductances(tile: Tile, g: ArrayLike, *, dtype: DTypeLike = float) -> Array:
    """Return ``g`` as a new, read-only array of ``dtype``, or say what is wrong with it.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    g
        Conductances, (..., rows, cols) [S].
    dtype
        Type of the numbers.
    """
    g = np.array(g, dtype)
    if g.shape[-2:] != tile.shape:
        raise InputError(
            f"expected conductances of shape (..., {tile.rows}, {tile.cols}), got {g.shape}"
        )
    if g.size and not (g.min() >= 0.0 and g.max() <= G_MAX):
        bad = ~((g >= 0.0) & (g <= G_MAX))
        place = tuple(int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"conductance at {place} is {g[place]:g}, expected a number from 0 to {G_MAX:g} S"
        )
    g.flags.writeable = False
    return g


def same_stack(held: Array, g: ArrayLike) -> ArrayLike:
    """Return ``g``, or say that it doesn't have the shape of the conductances that are held."""
    if np.shape(g) != held.shape:
        raise InputError(
            f"expected conductances of shape {held.shape}, as this array holds, got {np.shape(g)}:"
            " another shape takes another array, from the engine's program"
        )
    return g


def checked_voltages(
    tile: Tile, stack: tuple[int, ...], v: ArrayLike, *, dtype: DTypeLike = float
) -> Array:
    """Return ``v`` as an array of ``dtype``, (..., batch, rows), that fits a stack of tiles with
    leading dimensions ``stack``, one vector for a single tile as a batch of one; or say what is
    wrong.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    stack
        Leading dimensions of the stack of tiles.
    v
        Row voltages, (..., batch, rows) [V].
    dtype
        Type of the numbers.
    """
    v = np.asarray(v, dtype)
    if v.shape == (tile.rows,) and not stack:
        v = v[None]
    if v.ndim != len(stack) + 2 or v.shape[:-2] != stack or v.shape[-1] != tile.rows:
        lead = "".join(f"{n}, " for n in stack)
        rule = "" if stack else f" or ({tile.rows},)"
        if stack and v.ndim <= len(stack) + 1 and v.shape[-1:] == (tile.rows,):
            rule = " (vectors without a batch are for single tiles)"
        raise InputError(
            f"expected voltages of shape ({lead}batch, {tile.rows}){rule}, got {v.shape}"
        )
    if not v.size:
        return v
    # Extremes first: they are NaN if anything is, and cost no temporary array. Tiles side by side
    # are given the same vectors by broadcasting; once is enough.
    once = v[tuple(slice(None if step else 1) for step in v.strides)]
    lowest, highest = float(once.min()), float(once.max())
    if not (highest <= V_MAX and lowest >= -V_MAX):
        bad = ~(np.abs(v) <= V_MAX)
        place = tuple(int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"voltage at {place} is {v[place]:g}, expected a number within ±{V_MAX:g} V"
        )
    _warn_beyond_the_fit(tile, lowest, highest)
    return v


def _warn_beyond_the_fit(tile: Tile, lowest: float, highest: float) -> None:
    device = tile.cell.device
    low, high = device.meta.get("v_min"), device.meta.get("v_max")
    if low is None or high is None:
        return
    if lowest < float(low) or highest > float(high):
        warnings.warn(
            f"device {device.name} was fitted from {float(low):.3g} to {float(high):.3g} V,"
            f" and is read from {lowest:.3g} to {highest:.3g} V",
            RuntimeWarning,
            stacklevel=4,
        )


def flat_stack(values: Array) -> Array:
    """Return ``values``, (..., m, n), as (tiles, m, n), also where there are none."""
    return values.reshape((prod(values.shape[:-2]), *values.shape[-2:]))
