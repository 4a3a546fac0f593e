"""Writes that nobody reads: a device gets the pulses that the nominal one would need, and misses by what it differs."""

__all__ = ["UnreadWrites", "unread_of"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from .costs import Costs, Pricing


@dataclass(frozen=True, eq=False)
class UnreadWrites:
    """Unread writes between L levels, and how much better verified ones are.

    Parameters
    ----------
    table
        What the planned pulses cost from the row's to the column's level, (L, L); no reads.
    missed
        Conductance minus target after them, of sampled devices that start at their level [S], (L, L, samples).
    left
        Mean square of what verified writes leave [S²], (L, L).
    """

    table: Costs
    missed: Array
    left: Array

    def of(self, before: ArrayLike, after: ArrayLike) -> Costs:
        """Return what unread writes between levels, the nearest whole ones, cost, (n,) each."""
        return self.table.at(self._pairs(before, after))

    def sample(self, before: ArrayLike, after: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw by how much unread writes between levels miss, (n,) [S].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        rng
            Draws one of the samples for each.
        """
        a, b = self._pairs(before, after)
        drawn: Array = self.missed[a, b, rng.integers(0, self.missed.shape[-1], a.shape)]
        return drawn

    def squares(self, before: ArrayLike, after: ArrayLike) -> tuple[Array, Array]:
        """Return the mean squares of what unread and of what verified writes leave, (n,) each [S²]."""
        pairs = self._pairs(before, after)
        return self._missed_square[pairs], self.left[pairs]

    @property
    def gain(self) -> Array:
        """By how much a read after every pulse lowers the mean square of what is left, (L, L) [S²]."""
        return np.asarray(np.maximum(self._missed_square - self.left, 0.0))

    @cached_property
    def _missed_square(self) -> Array:
        return np.asarray(np.mean(np.square(self.missed), axis=-1))

    def _pairs(
        self, before: ArrayLike, after: ArrayLike
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        a, b = (np.rint(np.asarray(level, float)).astype(np.intp) for level in (before, after))
        return a, b


def unread_of(pricing: Pricing) -> UnreadWrites:
    """Return what unread writes cost and leave, where ``pricing`` knows.

    Parameters
    ----------
    pricing
        What writes cost.

    Raises
    ------
    InputError
        If nobody has simulated them.
    """
    found: UnreadWrites | None = getattr(pricing, "unread", None)
    if found is None:
        raise InputError(
            "training.verified: to leave writes unread takes a table of writes that simulated them so, of a"
            f" device with dynamics and device.pricing = 'write-verify'; these costs are {pricing.source}"
        )
    return found
