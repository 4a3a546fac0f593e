"""Writes of a technology's cells that nobody reads: the pulses of the median cell, on cells that differ.

A SET ends where the transistor limits its current and a RESET at a level that is drawn anew, so that pulses hardly move
a cell by so much from wherever it stands: they forget most of that. But a SET lowers none, and a RESET may fail. So
sampled cells are given the pulses from every conductance that they may stand at.
"""

__all__ = ["UnreadCells", "make_unread"]

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.types import Array, Array32
from ...devices.pulses.costs import Costs
from ...devices.pulses.unread import pairs
from ...devices.technology.population import Cells, draw_cells
from .write import Tables, reset_pulse

STARTS = 49
"""Conductances that cells are written from."""

BEYOND = 1.25
"""How far these go, over what the median cell reaches at the end of the ramp."""

COARSE = 4
"""Of how many of them one tells the energy, which is smooth in it and long to work out."""


@dataclass(frozen=True, eq=False)
class UnreadCells:
    """Unread writes between L levels.

    Attributes
    ----------
    g
        Conductance of each level [S], (L,).
    plan
        Which of the plans takes the median cell from the row's to the column's level, (L, L).
    sets, resets
        Pulses of each plan, (plans,).
    time
        Of these [s], (plans,).
    start
        Conductances that cells stand at before, evenly spaced from 0 [S], (starts,).
    ends
        What sampled cells hold after [S], (plans, starts, samples).
    priced
        Conductances whose ``energy`` is known [S], (priced,).
    energy, energy_high
        Mean of the cells, both ends of the bracket [J], (plans, priced).
    tolerance
        Half width of the bands [S].
    left
        Mean square of what verified writes leave [S²], (L, L).
    """

    g: Array
    plan: NDArray[np.intp]
    sets: Array
    resets: Array
    time: Array
    start: Array
    ends: Array32 = field(repr=False)
    priced: Array
    energy: Array = field(repr=False)
    energy_high: Array = field(repr=False)
    tolerance: float
    left: Array = field(repr=False)

    def of(self, before: ArrayLike, after: ArrayLike, stands: ArrayLike | None = None) -> Costs:
        """Return what unread writes between levels, the nearest whole ones, cost, (n,) each; low ends of energies.

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        stands
            Levels at which the cells really stand, (n,); ``before`` if ``None``.
        """
        plan = self.plan[pairs(before, after)]
        sets, resets, time = (each[plan] for each in (self.sets, self.resets, self.time))
        energy = self._energy(self.energy, plan, before if stands is None else stands)
        return Costs(sets + resets, sets, np.zeros_like(sets), energy, time)

    def most(self, before: ArrayLike, after: ArrayLike, stands: ArrayLike | None = None) -> Array:
        """Return the high end of the energy that they take [J], (n,).

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        stands
            Levels at which the cells really stand, (n,); ``before`` if ``None``.
        """
        plan = self.plan[pairs(before, after)]
        return self._energy(self.energy_high, plan, before if stands is None else stands)

    def sample(
        self, before: ArrayLike, after: ArrayLike, held: ArrayLike, rng: np.random.Generator
    ) -> Array:
        """Draw by how much unread writes miss the change from level to level, (n,) [S].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        held
            Conductances that the cells really have [S], (n,).
        rng
            Draws one of the sampled cells for each.
        """
        (a, b), held = pairs(before, after), np.asarray(held, float)
        drawn = rng.integers(0, self.ends.shape[-1], a.shape)
        meant = self.g[b] - np.interp(np.asarray(before, float), np.arange(len(self.g)), self.g)
        return np.asarray(self.end(self.plan[a, b], drawn, held) - held - meant)

    def squares(self, before: ArrayLike, after: ArrayLike, gathered: Array) -> tuple[Array, Array]:
        """Return the mean squares of what unread writes leave, and of what verified ones leave, (n,) each [S²].

        Parameters
        ----------
        before, after
            Levels before and after, (n,).
        gathered
            Mean squares of what the cells had missed their levels by before [S²], (n,), of which some stays.
        """
        at = pairs(before, after)
        return self.missed_square[at] + self.kept[at] * gathered, self.left[at]

    def end(self, plan: NDArray[np.intp], drawn: NDArray[np.intp], held: Array) -> Array:
        """Return what sampled cells hold after a plan [S]; all broadcast.

        Parameters
        ----------
        plan
            Which of the plans.
        drawn
            Which of the sampled cells.
        held
            What they hold before [S].
        """
        at, share = _between(self.start, held)
        low, high = (self.ends[plan, at + k, drawn].astype(float) for k in (0, 1))
        # A cell that one of the two starts leaves as it is, and the other resets, is either.
        share = np.where(np.abs(high - low) > 2.0 * self.start[1], np.rint(share), share)
        return np.asarray(low + share * (high - low))

    @property
    def table(self) -> Costs:
        """Costs from the row's to the column's level, (L, L)."""
        return self.of(*np.indices((len(self.g), len(self.g))))

    @cached_property
    def missed(self) -> Array:
        """Conductance minus target of cells that start in the band of their level [S], (L, L, samples)."""
        samples = self.ends.shape[-1]
        within = self.tolerance * np.linspace(-1.0, 1.0, samples)
        return self._from(np.maximum(self.g[:, None] + within, 0.0))

    @cached_property
    def missed_square(self) -> Array:
        """Mean squares of that, (L, L) [S²]."""
        return np.asarray(np.mean(np.square(self.missed), axis=-1))

    @cached_property
    def kept(self) -> Array:
        """How much of the mean square of what a cell missed before is still there after, (L, L)."""
        # Cells that stand where an unread write left them, one from each of the other levels in turn.
        count, samples = len(self.g), self.ends.shape[-1]
        turn = np.arange(samples) % count
        off = self.missed[turn, :, np.arange(samples)].T
        held = np.maximum(self.g[:, None] + off, 0.0)
        more = np.mean(np.square(off), axis=-1) - self.tolerance**2 / 3.0
        rise = np.mean(np.square(self._from(held)), axis=-1) - self.missed_square
        return np.asarray(np.clip(rise / np.maximum(more, 1e-30)[:, None], 0.0, 1.0))

    def _from(self, held: Array) -> Array:
        """Return what cells that hold ``held`` (L, samples) [S] at each level then miss, (L, L, samples) [S]."""
        # Another cell for each start, so that starts and cells go through all pairs.
        samples = self.ends.shape[-1]
        drawn = np.random.default_rng(0).permutation(samples)
        after = self.end(self.plan[..., None], drawn, held[:, None, :])
        return np.asarray(after - self.g[:, None])

    def _energy(self, known: Array, plan: NDArray[np.intp], stands: ArrayLike) -> Array:
        """Return energies (plans, priced) of plans for cells at fractional levels, also beyond the outer ones."""
        level, top = np.asarray(stands, float), len(self.g) - 1
        inside = np.clip(level, 0.0, top)
        held = np.interp(inside, np.arange(top + 1), self.g)
        held = held + (level - inside) * (self.g[-1] - self.g[0]) / top
        at, share = _between(self.priced, held)
        low, high = (known[plan, at + k] for k in (0, 1))
        return np.asarray(low + share * (high - low))


def _between(grid: Array, g: Array) -> tuple[NDArray[np.intp], Array]:
    """Return which step of an even grid from 0 conductances lie in, and how far along it they are [0..1]."""
    place = np.clip(g / grid[1], 0.0, len(grid) - 1 - 1e-9)
    at = place.astype(np.intp)
    return at, place - at


class _Plans(NamedTuple):
    """Pulses that the median cell needs, (n,) each."""

    resets: NDArray[np.intp]
    begin: NDArray[np.intp]
    """Rung of the first SET."""
    sets: NDArray[np.intp]


def make_unread(
    tables: Tables, g: Array, left: Array, *, samples: int, rng: np.random.Generator
) -> UnreadCells:
    """Write sampled cells by the pulses that the median one needs.

    Parameters
    ----------
    tables
        Technology and recipe.
    g
        Conductance of each level [S], (L,).
    left
        Mean square of what verified writes leave [S²], (L, L).
    samples
        Cells per plan.
    rng
        Draws the cells, and what differs from pulse to pulse.
    """
    recipe, cycled = tables.recipe, tables.technology.cycled
    assert cycled is not None
    pairs_of_levels = np.repeat(g, len(g)), np.tile(g, len(g))
    rows, plan = np.unique(
        np.stack(_planned(tables, *pairs_of_levels), axis=1), axis=0, return_inverse=True
    )
    start = np.linspace(0.0, BEYOND * float(tables.nominal[-1]), STARTS)
    ends = np.empty((len(rows), STARTS, samples), np.float32)
    energy = np.zeros((2, len(rows), len(start[::COARSE])))
    for k, row in enumerate(rows):
        ends[k], energy[:, k] = _given(tables, _Plans(*row), start, draw_cells(samples, rng), rng)
    resets, _, sets = (column.astype(float) for column in rows.T)
    return UnreadCells(
        g,
        plan.reshape(len(g), len(g)),
        sets,
        resets,
        sets * recipe.pw + resets * cycled.pw,
        start,
        ends,
        start[::COARSE],
        energy=energy[0],
        energy_high=energy[1],
        tolerance=recipe.tolerance,
        left=left,
    )


def _planned(tables: Tables, g: Array, target: Array) -> _Plans:
    """Return what takes the median cell from ``g`` to ``target`` [S], (n,) each: up to the first read in the band, or
    the one nearer to the target of the two that it lies between.
    """
    recipe = tables.recipe
    count, last = len(g), len(recipe.rungs) - 1
    begin = np.zeros(count, np.intp) if recipe.way == "ramp" else tables.seed(target)
    sets, resets, g = np.zeros(count, np.intp), np.zeros(count, np.intp), g.copy()
    on = np.arange(count) if recipe.erase_first else np.flatnonzero(g > target + recipe.tolerance)
    while on.size:
        before = g[on]
        g[on], _ = reset_pulse(tables, before, _source_line(tables, resets[on]), None)
        resets[on] += 1
        on = on[g[on] >= before] if recipe.way == "ping-pong" else on[:0]
    cells = Cells(np.zeros((4, count)))
    on, done = np.flatnonzero(g < target - recipe.tolerance), 0
    while on.size:
        rung = np.minimum(begin[on] + done, last)
        after = tables.pulse(cells.only(on), g[on], rung, None)
        over = after - target[on] > target[on] - g[on]
        sets[on[(after <= target[on] + recipe.tolerance) | ~over]] += 1
        g[on] = after
        done += 1
        more = (after < target[on] - recipe.tolerance) & (begin[on] + done < last + recipe.patience)
        on = on[more]
    return _Plans(resets, begin, sets)


def _source_line(tables: Tables, resets: ArrayLike) -> ArrayLike:
    """Return the voltage of a RESET after so many of the same ramp [V]."""
    recipe, cycled = tables.recipe, tables.technology.cycled
    assert cycled is not None
    if recipe.way != "ping-pong" or recipe.erase_first:
        return cycled.v_sl
    return np.minimum(recipe.sl_start + recipe.sl_step * np.asarray(resets), cycled.v_sl)


def _given(
    tables: Tables, plan: _Plans, start: Array, cells: Cells, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return what cells (samples) hold that were given one plan from each start, (starts, samples) [S], and both ends
    of what that takes on the mean, (2, priced) [J]; what is drawn is the same for all starts.
    """
    last = len(tables.recipe.rungs) - 1
    g = np.repeat(start[:, None], cells.z.shape[1], axis=1)
    energy = np.zeros((2, len(start[::COARSE])))
    for k in range(int(plan.resets)):
        g, bracket = reset_pulse(tables, g, _source_line(tables, k), rng)
        energy += [end[::COARSE].mean(axis=-1) for end in bracket]
    for k in range(int(plan.sets)):
        rung = np.minimum(plan.begin + k, last)
        g = tables.pulse(cells, g, rung, rng)
        energy += [end.mean(axis=-1) for end in tables.energy(g[::COARSE], rung)]
    return g, energy
