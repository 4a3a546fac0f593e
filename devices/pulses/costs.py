"""What writes cost, in one language: five numbers per write, and what tells them from levels.

Everything that counts writes speaks of :class:`Costs`, an array each of pulses, reads, joules and
seconds; everything that prices them answers :class:`Pricing`.
"""

__all__ = [
    "CostLaw",
    "Costs",
    "Pricing",
    "Read",
    "check_levels",
    "highest",
    "step_over_gentlest",
    "verified",
]

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array, Array32

NUDGE = 1e-3
"""A move that is as good as none [level steps]: the controller's gentlest pulse is further."""


class Costs(NamedTuple):
    """Costs of writes, one array per kind, all of one shape."""

    pulses: Array
    """Of either polarity."""
    pulses_up: Array
    """Of these, towards higher conductances."""
    reads: Array
    """Verify reads."""
    energy: Array
    """[J]."""
    time: Array
    """[s]."""

    @classmethod
    def held_by(cls, owner: Any) -> "Costs":
        """Return the costs that ``owner`` has as attributes of these names."""
        return cls(*(getattr(owner, name) for name in cls._fields))

    @classmethod
    def zeros(cls, count: int) -> "Costs":
        """Return the costs of ``count`` writes that cost nothing."""
        return cls(*np.zeros((len(cls._fields), count)))

    def at(self, place: Any) -> "Costs":
        """Return the costs at ``place``, an index or a mask."""
        return Costs(*(values[place] for values in self))

    def means(self) -> dict[str, float]:
        """Return the figures of a mean write that reports show."""
        return {
            "pulses_mean": float(self.pulses.mean()),
            "reads_mean": float(self.reads.mean()),
            "energy_mean_joule": float(self.energy.mean()),
            "time_mean_seconds": float(self.time.mean()),
        }

    def each(self, of: Callable[[Array], Array]) -> "Costs":
        """Return the costs with ``of`` applied to each kind."""
        return Costs(*(of(values) for values in self))


class Read(NamedTuple):
    """What reading one device once costs."""

    energy: float
    """[J]."""
    time: float
    """[s]."""


class CostLaw(Protocol):
    """Costs of writes between fractional levels; energy and time are those of the pulses alone."""

    def of(self, before: Array, after: Array) -> Costs:
        """Return what writes from levels ``before`` to ``after`` cost, (n,) each."""
        ...


class Pricing(Protocol):
    """What writes of one kind of device cost, from any of its levels to any other."""

    @property
    def levels(self) -> int:
        """Number of levels."""
        ...

    @property
    def source(self) -> str:
        """How the costs were obtained, in a sentence; reports repeat it."""
        ...

    @property
    def read(self) -> Read:
        """What one verify read costs."""
        ...

    def of(self, before: Array32, after: Array32, *, verify: bool = True) -> Costs:
        """Return the costs of writes from levels ``before`` to ``after``, (n,) each, energy and time
        with the verify reads, if there are any.

        Parameters
        ----------
        before
            Levels before, (n,).
        after
            Levels after, (n,).
        verify
            Whether a read follows every pulse.
        """
        ...

    def of_limited(self, start: Array32, end: Array32, target: Array32) -> Costs:
        """Return the costs of verified writes from level ``start`` to ``target`` of devices that
        come no further than to ``end``, (n,) each: the controller goes on until it gives up.

        Parameters
        ----------
        start
            Levels before, (n,).
        end
            Levels that are reached, (n,).
        target
            Levels that were asked for, (n,).
        """
        ...

    def missed(self, end: Array32, target: Array32) -> NDArray[np.bool_]:
        """Return where devices that come to level ``end`` don't count as written to ``target``."""
        ...


def verified(pulses: ArrayLike, energy: ArrayLike, time: ArrayLike) -> Costs:
    """Return costs from every level to every other, (L, L), with a verify read before the first and
    after every pulse, where pulses go the way that the write goes.

    Parameters
    ----------
    pulses
        Pulses from every level (row) to every other, (L, L).
    energy
        Energy of these, (L, L) [J].
    time
        Time of these, (L, L) [s].
    """
    pulses = np.asarray(pulses, float)
    up = np.triu(pulses)
    return Costs(pulses, up, pulses + 1.0, np.asarray(energy, float), np.asarray(time, float))


def highest(pricing: Pricing, before: Array32, after: Array32, energy: Array) -> Array:
    """Return the high end of writes that ``pricing`` says take ``energy`` [J], (n,): what its method ``most``
    returns, where it has one because a bracket is all that is known; else that energy.

    Parameters
    ----------
    pricing
        What writes cost.
    before, after
        Levels of the writes, (n,).
    energy
        What it says of them [J], (n,).
    """
    most: Callable[[Array32, Array32, Array], Array] | None = getattr(pricing, "most", None)
    return energy if most is None else most(before, after, energy)


def check_levels(pricing: Pricing, levels: int) -> None:
    """Refuse devices of another number of levels than ``pricing`` is for."""
    if pricing.levels != levels:
        raise InputError(
            f"write costs are for {pricing.levels} levels, the twin's devices have {levels}"
        )


def step_over_gentlest(pricing: Pricing) -> float:
    """Return how many times the energy of the gentlest move a step between neighbouring levels
    takes, reads left out: means over all levels, up and down.

    It is what decides between few whole steps and many small moves: a rule that writes levels saves
    energy where it steps less often than a closed loop moves by more than this ratio. Infinite where
    the gentlest move costs nothing.
    """
    low = np.arange(pricing.levels - 1, dtype=np.float32)
    start = np.concatenate([low, low + 1])
    way = np.concatenate([np.ones_like(low), -np.ones_like(low)])
    step, gentlest = (
        float(pricing.of(start, start + way * np.float32(far), verify=False).energy.sum())
        for far in (1.0, NUDGE)
    )
    return step / gentlest if gentlest > 0.0 else float("inf")
