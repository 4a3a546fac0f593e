"""The call that every engine answers: program conductances, then read batches of voltages."""

__all__ = [
    "Engine",
    "checked_conductances",
    "checked_voltages",
    "flat_stack",
]

import warnings
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..data.errors import InputError
from ..data.types import Array
from .array.tile import Tile

G_MAX = 1e3
"""Largest conductance accepted [S]."""

V_MAX = 1e3
"""Largest voltage accepted [V]."""


class Engine(Protocol):
    """A stack of equal tiles that can be programmed and read.

    All engines compute the same quantity, the static currents at the sense inputs; they differ in
    what they leave out and in what they cost.
    """

    @property
    def name(self) -> str:
        """What the engine calls itself; those here, as :data:`.registry.ENGINES` does."""

    @property
    def tile(self) -> Tile:
        """The tile that all members of the stack share."""

    def program(self, g: ArrayLike) -> None:
        """Set the conductances ``g`` [S], (..., rows, cols), of every tile of the stack; 0 is an
        open device.
        """

    def read(self, v: ArrayLike) -> Array:
        """Return the sensed currents [A], (..., batch, cols), for row voltages ``v`` [V], (...,
        batch, rows).

        The leading dimensions equal those of the programmed conductances.
        """


def checked_conductances(tile: Tile, g: ArrayLike, *, dtype: DTypeLike = float) -> Array:
    """Return ``g`` as a new array of ``dtype``, or say what is wrong with it."""
    g = np.array(g, dtype)
    if g.shape[-2:] != tile.shape:
        raise InputError(
            f"expected conductances of shape (..., {tile.rows}, {tile.cols}), got {g.shape}"
        )
    if g.size and not (g.min() >= 0.0 and g.max() <= G_MAX):
        bad = ~((g >= 0.0) & (g <= G_MAX))
        place = tuple(int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"conductance at {place} is {g[place]!r}, expected a number from 0 to {G_MAX:g} S"
        )
    return g


def checked_voltages(
    tile: Tile, stack: tuple[int, ...], v: ArrayLike, *, dtype: DTypeLike = float
) -> Array:
    """Return ``v`` as an array of ``dtype`` that fits a stack of tiles with leading dimensions
    ``stack``, or say what is wrong.
    """
    v = np.asarray(v, dtype)
    if v.ndim != len(stack) + 2 or v.shape[:-2] != stack or v.shape[-1] != tile.rows:
        lead = "".join(f"{n}, " for n in stack)
        raise InputError(f"expected voltages of shape ({lead}batch, {tile.rows}), got {v.shape}")
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
            f"voltage at {place} is {v[place]!r}, expected a number within ±{V_MAX:g} V"
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
