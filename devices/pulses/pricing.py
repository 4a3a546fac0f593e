"""Writes priced from a table over levels, and from what lies between and beyond its entries."""

__all__ = ["LevelPricing", "LongestWrite", "SingleSteps", "uneven_places"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array, Array32
from ..spread.programming import ProgrammingQuantiles
from .costs import CostLaw, Costs, Read
from .unread import Unread


@dataclass(frozen=True)
class LevelPricing:
    """Prices of writes between L levels; whole ones are looked up.

    Parameters
    ----------
    table
        Costs from the row's to the column's level, (L, L); energy and time are those of the pulses.
    read
        What one verify read costs besides.
    source
        How the table was obtained; the report repeats it.
    between
        Costs of writes from or to fractional levels; by default those of :class:`SingleSteps`.
    vain
        Costs of devices that stay where they are, until they are given up; by default those of
        :class:`LongestWrite`.
    tolerance
        Distance from its target at which a device counts as written [mean level steps].
    places
        Where the levels lie [mean level steps], (L,), if not evenly.
    bracket
        High end over low end of the energy of a write, reads included, (L, L), where the current of pulses is not
        known; the prices are the low end.
    left
        What these writes leave of their targets, where that was simulated.
    unread
        Writes that nobody reads, where these were simulated too.
    """

    table: Costs
    read: Read
    source: str = ""
    between: CostLaw | None = None
    vain: CostLaw | None = None
    tolerance: float = 0.25
    places: Array | None = None
    bracket: Array | None = None
    left: ProgrammingQuantiles | None = None
    unread: Unread | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.table.pulses)
        for name, values in self.table._asdict().items():
            if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape != shape:
                raise InputError(
                    f"write costs: {name} must be a square table over levels, got {values.shape}"
                )
            if not (np.isfinite(values).all() and values.min() >= 0.0):
                raise InputError(
                    f"write costs: {name} must be finite and not negative for every pair of levels;"
                    " give the device a pulse response that reaches all levels"
                )
        for name, value in self.read._asdict().items():
            if not 0.0 <= value < np.inf:
                raise InputError(f"write costs: read_{name} must be a number from 0, got {value!r}")

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.table.pulses)

    def of(self, before: Array32, after: Array32, *, verify: bool = True) -> Costs:
        """Return the costs of every write between levels, (n,) each; see :class:`.costs.Pricing`.

        Parameters
        ----------
        before
            Levels before, (n,).
        after
            Levels after, (n,).
        verify
            Whether a read follows every pulse.
        """
        found = self._bare(before, after)
        return self._with_reads(found) if verify else found._replace(reads=0.0 * found.reads)

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
        found = Costs.zeros(len(start))
        found.reads[:] = 1.0
        moved, missed = start != end, self.missed(end, target)
        held, wanted = (np.asarray(levels[missed], float) for levels in (end, target))
        for on, costs in (
            (moved, self._bare(start[moved], end[moved])),
            (missed, self._in_vain.of(held, wanted)),
        ):
            for sums, more in zip(found, costs, strict=True):
                sums[on] += more
            found.reads[on] -= 1.0  # the first read is the last one of what was before
        return self._with_reads(found)

    def missed(self, end: Array32, target: Array32) -> NDArray[np.bool_]:
        """Return where devices that come to level ``end`` don't count as written to ``target``."""
        if (places := self.places) is not None:
            levels = np.arange(self.levels)
            end, target = (np.interp(k, levels, places).astype(np.float32) for k in (end, target))
        far: NDArray[np.bool_] = np.abs(target - end) > np.float32(self.tolerance)
        return far

    def most(self, before: Array32, after: Array32, energy: Array) -> Array:
        """Return the high end of the bracket of writes whose prices say ``energy`` [J], (n,); that itself where it is
        known.

        Parameters
        ----------
        before, after
            Levels of the writes, (n,).
        energy
            Their price [J], (n,).
        """
        if self.bracket is None:
            return energy
        places = (np.clip(np.rint(k), 0, self.levels - 1).astype(np.intp) for k in (before, after))
        return np.asarray(energy * self.bracket[tuple(places)])

    def _with_reads(self, found: Costs) -> Costs:
        return found._replace(
            energy=found.energy + found.reads * self.read.energy,
            time=found.time + found.reads * self.read.time,
        )

    def _bare(self, before: Array32, after: Array32) -> Costs:
        """Return the costs of writes, energy and time without the verify reads."""
        whole = before.astype(np.intp), after.astype(np.intp)
        if (whole[0] == before).all() and (whole[1] == after).all():
            return Costs(*self._by_pair[:, self.levels * whole[0] + whole[1]])
        return self._moving.of(np.asarray(before, float), np.asarray(after, float))

    @cached_property
    def _by_pair(self) -> Array:
        """The costs of every pair of levels, (kinds, L * L): one look-up for all of them."""
        return np.stack([np.asarray(values, float).ravel() for values in self.table])

    @cached_property
    def _moving(self) -> CostLaw:
        return self.between or SingleSteps(self.table)

    @cached_property
    def _in_vain(self) -> CostLaw:
        return self.vain or LongestWrite(self.table)


def uneven_places(g: ArrayLike) -> Array | None:
    """Return where levels of conductances ``g`` [S], (L,), lie [mean level steps]; ``None`` where
    that is evenly.
    """
    g = np.asarray(g, float)
    places = (g - g[0]) * ((len(g) - 1) / (g[-1] - g[0]))
    return None if np.allclose(places, np.arange(len(g)), rtol=0.0, atol=1e-6) else places


@dataclass(frozen=True)
class SingleSteps:
    """Fractional levels by the running sum of single steps: whole pulses, at least one."""

    table: Costs

    def of(self, before: Array, after: Array) -> Costs:
        """Return the costs of moves between levels, (n,) each."""
        sums, energy, time = self._steps
        way = (after < before).astype(np.intp)
        count = len(self.table.pulses)
        step = np.minimum(np.maximum(0.5 * (before + after), 0.0).astype(np.intp), count - 2)
        levels = np.arange(count)
        distance = np.empty(before.shape)
        for k in (0, 1):
            on = way == k
            distance[on] = np.abs(
                np.interp(after[on], levels, sums[k]) - np.interp(before[on], levels, sums[k])
            )
        pulses = np.maximum(np.ceil(distance - 1e-9), 1.0)
        return Costs(
            pulses,
            pulses * (way == 0),
            pulses + 1.0,
            pulses * energy[way, step],
            pulses * time[way, step],
        )

    @cached_property
    def _steps(self) -> tuple[Array, Array, Array]:
        """Running sum of pulses, and energy and time of one pulse per step; for the ways up and
        down, (2, ...).
        """
        k = np.arange(len(self.table.pulses) - 1)
        up, down = self.table.at((k, k + 1)), self.table.at((k + 1, k))
        pulses = np.stack([up.pulses, down.pulses])
        each = np.maximum(pulses, 1e-300)
        sums = np.concatenate([np.zeros((2, 1)), np.cumsum(pulses, axis=1)], axis=1)
        energy = np.stack([up.energy, down.energy]) / each
        time = np.stack([up.time, down.time]) / each
        return sums, energy, time


@dataclass(frozen=True)
class LongestWrite:
    """Devices that don't move cost as much as the longest write of the same direction."""

    table: Costs

    def of(self, before: Array, after: Array) -> Costs:
        """Return what is spent on devices that stay at level ``before``, (n,) each."""
        pulses = self.table.pulses
        up, down = (
            np.unravel_index(np.argmax(half(pulses)), pulses.shape) for half in (np.triu, np.tril)
        )
        at = tuple(np.where(after > before, *ends) for ends in zip(up, down, strict=True))
        return self.table.at(at)
