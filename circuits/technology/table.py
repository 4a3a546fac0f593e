"""What a write costs on a technology, from every level to every other, with the distributions.

Write-verify is run on many sampled cells per pair of levels; a training looks means, errors and brackets up.
"""

__all__ = ["CellTable", "Targets", "Vain", "load_cell_table", "make_cell_table"]

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.records.store import pack, reading, unpack, write_record
from ...data.types import Array, Progress
from ...devices.device import Levels
from ...devices.pulses.costs import Costs, Read
from ...devices.pulses.pricing import LevelPricing, uneven_places
from ...devices.spread.programming import ProgrammingQuantiles, left_by_writes
from ...devices.technology.population import draw_cells
from ...devices.technology.technology import Technology, digest_of
from ..programming.table import SHARES
from .recipe import RampRecipe
from .unread import UnreadCells, make_unread
from .write import Tables, write

KIND = "cell-table"
_DRAWN = ("sets", "resets", "reads", "energy", "energy_high", "read_energy", "time")
_BLOCK = 65_536  # cells written side by side


@dataclass(frozen=True, eq=False)
class CellTable:
    """Writes from level ``a`` (first index) to level ``b`` (second index), each sampled cell (third index).

    Attributes
    ----------
    g
        Conductance of each level [S], (L,).
    sets, resets, reads
        Pulses and verify reads, (L, L, samples).
    energy, energy_high
        Of pulses and verify reads, both ends of the bracket [J], (L, L, samples).
    read_energy
        Share of the verify reads [J], (L, L, samples).
    time
        Of pulses and verify reads [s], (L, L, samples).
    error
        True conductance minus target after the write [S], (L, L, samples).
    reached
        Whether the last verify read was in the band; the others were given up, (L, L, samples).
    vain
        Pulses, reads, energy (both ends) and time that are spent on a cell that stays at a level below (first) or
        above (second) its target, (2, 6, L): SETs, RESETs, reads, two energies, time.
    recipe
        Bands, ramps and limits.
    technology
        Its name.
    technology_digest
        Hash of its laws.
    seed
        Of all that was drawn.
    unread
        Writes that nobody reads; older tables have none.
    """

    g: Array
    sets: Array = field(repr=False)
    resets: Array = field(repr=False)
    reads: Array = field(repr=False)
    energy: Array = field(repr=False)
    energy_high: Array = field(repr=False)
    read_energy: Array = field(repr=False)
    time: Array = field(repr=False)
    error: Array = field(repr=False)
    reached: Array = field(repr=False)
    vain: Array = field(repr=False)
    recipe: RampRecipe
    technology: str
    technology_digest: str
    seed: int
    unread: UnreadCells | None = None

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return len(self.g)

    @property
    def step(self) -> float:
        """Mean distance between neighbouring levels [S]."""
        return float(self.g[-1] - self.g[0]) / (self.levels - 1)

    @property
    def pulses(self) -> Array:
        """SET and RESET pulses, (L, L, samples)."""
        return np.asarray(self.sets + self.resets)

    @property
    def failing(self) -> Array:
        """Share of the cells that were given up, (L, L)."""
        return np.asarray(1.0 - self.reached.mean(axis=-1))

    def quantiles(self, name: str, shares: ArrayLike = SHARES) -> Array:
        """Return quantiles over the sampled cells of what an attribute holds, such as ``pulses`` or ``time``, (shares,
        L, L).
        """
        return np.asarray(np.quantile(getattr(self, name), np.asarray(shares, float), axis=-1))

    @property
    def programming(self) -> ProgrammingQuantiles:
        """What writes leave of their targets, by target; from all levels that are no target alike."""
        return left_by_writes(self.g, self.error)

    def pricing(self) -> LevelPricing:
        """Return what writes cost on average, the low end of the bracket; moves by fractions of a level cost as much
        as any other write of their direction to there.
        """
        read_time = self.recipe.read_time
        means = Costs(
            self.pulses.mean(-1),
            self.sets.mean(-1),
            self.reads.mean(-1),
            (self.energy - self.read_energy).mean(-1),
            np.maximum((self.time - self.reads * read_time).mean(-1), 0.0),
        )
        read = Read(float(self.read_energy.sum() / self.reads.sum()), read_time)
        vain = self.vain
        return LevelPricing(
            means,
            read,
            f"write-verify of {self.error.shape[-1]} sampled cells per pair of levels, {self.technology};"
            " energies are the low end of a bracket, the current was not measured",
            between=Targets(means),
            vain=Vain(
                Costs(vain[:, 0] + vain[:, 1], vain[:, 0], vain[:, 2], vain[:, 3], vain[:, 5])
            ),
            tolerance=self.recipe.tolerance / self.step,
            places=uneven_places(self.g),
            bracket=self._bracket(),
            left=self.programming,
            unread=self.unread,
        )

    def _bracket(self) -> Array:
        """Return high over low energy, (L, L); on the diagonal, for moves by fractions of a level, that of other writes
        to there.
        """
        found = self.energy_high.mean(-1) / self.energy.mean(-1)
        moved = ~np.eye(self.levels, dtype=bool)
        low, high = (
            np.where(moved, e.mean(-1), 0.0).sum(axis=0) for e in (self.energy, self.energy_high)
        )
        np.fill_diagonal(found, high / low)
        return np.asarray(found, float)

    def summary(self) -> dict[str, Any]:
        """Return the figures that a report shows, over the pairs of different levels."""
        moved = ~np.eye(self.levels, dtype=bool)
        told: dict[str, Any] = {
            "technology": self.technology,
            "levels": self.levels,
            "samples": self.error.shape[-1],
            "way": self.recipe.way,
            "tolerance_steps": self.recipe.tolerance / self.step,
            "failing_percent": 100.0 * float(self.failing[moved].mean()),
            "worst_pair_failing_percent": 100.0 * float(self.failing.max()),
            "error_rms_steps": float(np.sqrt(np.mean(self.error[moved] ** 2))) / self.step,
        }
        for name, key in (
            ("sets", "sets"),
            ("resets", "resets"),
            ("pulses", "pulses"),
            ("energy", "energy_joule"),
            ("energy_high", "energy_high_joule"),
            ("time", "time_seconds"),
        ):
            values = getattr(self, name)[moved]
            told[f"{key}_mean"] = float(values.mean())
            for share in SHARES:
                told[f"{key}_p{100 * share:g}"] = float(np.quantile(values, share))
        if self.unread is not None:
            alone, missed = self.unread.table.at(moved), self.unread.missed_square
            up = np.triu(moved)
            for way, pairs in (("", moved), ("up_", up), ("down_", up.T)):
                error = float(np.sqrt(missed[pairs].mean())) / self.step
                told[f"unread_error_{way}rms_steps"] = error
            told["unread_kept_percent"] = 100.0 * float(self.unread.kept[moved].mean())
            told["unread_pulses_mean"] = float(alone.pulses.mean())
            told["unread_energy_joule_mean"] = float(alone.energy.mean())
        return told

    def with_unread(self, tables: Tables) -> "CellTable":
        """Return the table with writes that nobody reads, of as many cells, drawn from its own seed.

        Parameters
        ----------
        tables
            Its technology and recipe.
        """
        left = np.mean(np.square(self.error.astype(float)), axis=-1)
        rng, samples = np.random.default_rng((self.seed, 1)), self.error.shape[-1]
        return replace(self, unread=make_unread(tables, self.g, left, samples=samples, rng=rng))

    def save(self, path: str | Path) -> Path:
        """Write the table as an HDF5 record."""
        return write_record(path, KIND, pack(self))


@dataclass(frozen=True)
class Targets:
    """Writes that end between levels: as much as others of their way to the levels beside, however far they came."""

    table: Costs

    def of(self, before: Array, after: Array) -> Costs:
        """Return the costs of writes between levels, (n,) each; energy and time without the verify reads."""
        count = len(self.table.pulses)
        above = np.triu(np.ones((count, count), bool), 1)
        below, levels, down = above.T, np.arange(count), after < before

        def priced(values: Array) -> Array:
            up = _means(values, above)
            return np.where(
                down,
                np.interp(after, levels, _means(values, below)),
                np.interp(after, levels, up),
            )

        return self.table.each(priced)


def _means(values: Array, kept: np.ndarray) -> Array:
    """Return the mean of every column over what is kept of it; a column without any takes its neighbour's."""
    count = kept.sum(axis=0)
    means = (values * kept).sum(axis=0) / np.maximum(count, 1)
    means[0] = means[1] if not count[0] else means[0]
    means[-1] = means[-2] if not count[-1] else means[-1]
    return np.asarray(means)


@dataclass(frozen=True)
class Vain:
    """What is spent on cells that stay where they are, below (first) or above (second) their target."""

    table: Costs

    def of(self, before: Array, after: Array) -> Costs:
        """Return what is spent on cells that stay at level ``before``, (n,) each."""
        levels, down = np.arange(self.table.pulses.shape[1]), after < before
        return self.table.each(
            lambda values: np.where(
                down,
                np.interp(before, levels, values[1]),
                np.interp(before, levels, values[0]),
            )
        )


def load_cell_table(path: str | Path) -> CellTable:
    """Read a table that :meth:`CellTable.save` wrote."""
    with reading(path, KIND) as tree:
        found: CellTable = unpack(CellTable, tree)
        return found


def make_cell_table(
    technology: Technology,
    levels: Levels,
    recipe: RampRecipe,
    *,
    samples: int = 256,
    seed: int = 0,
    progress: Progress | None = None,
) -> CellTable:
    """Write ``samples`` sampled cells for every pair of levels, with reads between the pulses and without.

    A cell starts anywhere within the band around its level, as an earlier write left it. Cells that no write moves are
    not among them: their share is the technology's ``stuck``.

    Parameters
    ----------
    technology, levels, recipe
        Whose cells, which targets, and how they are written.
    samples
        Cells per pair.
    seed
        Of all that is drawn; the same seed gives the same table.
    progress
        Called with the cells written and their number.

    Raises
    ------
    InputError
        If the highest level lies above what the ramp reaches on the median cell.
    """
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    g, count = np.asarray(levels.g, float), levels.count
    tables = Tables(technology, recipe)
    if g[-1] > tables.nominal[-1]:
        raise InputError(
            f"the highest level of {1e6 * g[-1]:.4g} µS lies above the {1e6 * tables.nominal[-1]:.4g} µS that"
            f" the median cell of {technology.name} reaches at the end of the ramp"
        )
    a, b = (k.reshape(-1) for k in np.indices((count, count)))
    block = max(1, _BLOCK // samples)
    parts = []
    starts = range(0, len(a), block)
    for place, source in zip(starts, np.random.SeedSequence(seed).spawn(len(starts)), strict=True):
        rng = np.random.default_rng(source)
        before, target = (np.repeat(g[k[place : place + block]], samples) for k in (a, b))
        spread = recipe.tolerance * rng.uniform(-1.0, 1.0, len(before))
        begin = np.maximum(np.where(before == target, before, before + spread), 0.0)
        done = write(tables, draw_cells(len(begin), rng), begin, target, rng)
        parts.append({**done._asdict(), "error": done.g - target})
        if progress is not None:
            progress((place + len(before) // samples) * samples, len(a) * samples)
    shape = (count, count, samples)

    def joined(name: str) -> Any:
        return np.concatenate([part[name] for part in parts]).astype(np.float32).reshape(shape)

    made = CellTable(
        g,
        **{name: joined(name) for name in (*_DRAWN, "error", "reached")},
        vain=_vain(tables, g),
        recipe=recipe,
        technology=technology.name,
        technology_digest=digest_of(technology),
        seed=seed,
    )
    return made.with_unread(tables)


def _vain(tables: Tables, g: Array) -> Array:
    """Return what is spent on cells that stay at levels g, (2, 6, L), see :class:`CellTable`."""
    recipe, technology = tables.recipe, tables.technology
    cycled = technology.cycled
    assert cycled is not None
    found = np.zeros((2, 6, len(g)))
    last = len(recipe.rungs) - 1
    for k, level in enumerate(g):
        begin = 0 if recipe.way == "ramp" else int(tables.seed(np.array([level]))[0])
        rungs = np.concatenate((np.arange(begin, last), np.full(recipe.patience, last)))
        low, high = tables.energy(np.full(len(rungs), level), rungs)
        reads = len(rungs) + 1.0
        found[0, :, k] = (
            len(rungs), 0.0, reads, low.sum(), high.sum(), len(rungs) * recipe.pw
        )  # fmt: skip
        low, high = technology.reset_energy(level, cycled.v_sl, cycled.pw)
        most = float(recipe.resets_max)
        found[1, :, k] = (0.0, most, most + 1.0, most * low, most * high, most * cycled.pw)
    return found
