"""Writes that nobody reads: a device gets the pulses that the nominal one would need, and misses by what it differs."""

__all__ = ["Unread", "UnreadWrites", "pairs", "unread_of"]

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from .costs import Costs, Pricing


class Unread(Protocol):
    """What unread writes between levels cost and leave."""

    def of(self, before: ArrayLike, after: ArrayLike, stands: ArrayLike | None = None) -> Costs:
        """Return what unread writes between levels, the nearest whole ones, cost, (n,) each.

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        stands
            Levels at which the devices really stand, fractional, (n,); ``before`` if ``None``.
        """
        ...

    def most(self, before: ArrayLike, after: ArrayLike, stands: ArrayLike | None = None) -> Array:
        """Return the high end of the energy that they take [J], (n,); that itself where it is known.

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        stands
            Levels at which the devices really stand, fractional, (n,); ``before`` if ``None``.
        """
        ...

    def sample(
        self, before: ArrayLike, after: ArrayLike, held: ArrayLike, rng: np.random.Generator
    ) -> Array:
        """Draw by how much they miss the change from level to level, (n,) [S].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        held
            Conductances that the devices really have [S], (n,).
        rng
            Draws one of the samples for each.
        """
        ...

    def squares(self, before: ArrayLike, after: ArrayLike, gathered: Array) -> tuple[Array, Array]:
        """Return the mean squares of what unread writes leave of their level, and of what verified writes leave,
        (n,) each [S²].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        gathered
            Mean squares of what the devices had missed their levels by before [S²], (n,).
        """
        ...


@dataclass(frozen=True, eq=False)
class UnreadWrites:
    """Unread writes between L levels that move a device by so much, wherever it stands, and how much better verified
    ones are.

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

    def of(self, before: ArrayLike, after: ArrayLike, stands: ArrayLike | None = None) -> Costs:
        """Return what unread writes between levels, the nearest whole ones, cost, (n,) each.

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        stands
            Levels at which the devices really stand: they don't matter.
        """
        return self.table.at(pairs(before, after))

    def most(self, before: ArrayLike, after: ArrayLike, stands: ArrayLike | None = None) -> Array:
        """Return the energy that they take [J], which is known, (n,).

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        stands
            Levels at which the devices really stand: they don't matter.
        """
        return self.of(before, after).energy

    def sample(
        self, before: ArrayLike, after: ArrayLike, held: ArrayLike, rng: np.random.Generator
    ) -> Array:
        """Draw by how much unread writes between levels miss, (n,) [S].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        held
            Conductances that the devices really have [S]: they don't matter.
        rng
            Draws one of the samples for each.
        """
        a, b = pairs(before, after)
        drawn: Array = self.missed[a, b, rng.integers(0, self.missed.shape[-1], a.shape)]
        return drawn

    def squares(self, before: ArrayLike, after: ArrayLike, gathered: Array) -> tuple[Array, Array]:
        """Return the mean squares of what unread writes leave, and of what verified ones leave, (n,) each [S²].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        gathered
            Mean squares of what was missed before [S²], (n,): they add up.
        """
        at = pairs(before, after)
        return gathered + self._missed_square[at], self.left[at]

    @property
    def gain(self) -> Array:
        """By how much a read after every pulse lowers the mean square of what is left, (L, L) [S²]."""
        return np.asarray(np.maximum(self._missed_square - self.left, 0.0))

    @cached_property
    def _missed_square(self) -> Array:
        return np.asarray(np.mean(np.square(self.missed), axis=-1))


def pairs(before: ArrayLike, after: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the whole levels nearest to ``before`` and ``after``, as an index of tables over levels."""
    a, b = (np.rint(np.asarray(level, float)).astype(np.intp) for level in (before, after))
    return a, b


def unread_of(pricing: Pricing) -> Unread:
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
    found: Unread | None = getattr(pricing, "unread", None)
    if found is None:
        raise InputError(
            "training.verified: to leave writes unread takes a table of writes that simulated them so, of a"
            " technology or a device with dynamics and device.pricing = 'write-verify'; these costs are"
            f" {pricing.source}"
        )
    return found
