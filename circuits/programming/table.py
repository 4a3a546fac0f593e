"""What a write costs, from every level to every other, on devices that differ.

The table is made once per device by running the write-verify loop on many sampled devices per pair
of levels; a training run then looks its pulses, energy and time up.
"""

__all__ = ["SHARES", "WriteTable", "extrapolations", "load_table", "make_table"]

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.records.store import pack, reading, unpack, write_record
from ...data.types import Array, Progress
from ...devices.device import Levels
from ...devices.pulses.costs import Costs, Read
from ...devices.pulses.pricing import LevelPricing, uneven_places
from ...devices.pulses.unread import UnreadWrites
from ...devices.spread.programming import ProgrammingQuantiles, left_by_writes
from ..many import each
from .design import fitted_range
from .fractional_moves import LevelMoves, Moves, make_moves
from .population import Population, Spread
from .recipe import Recipe
from .verify import History, Outcome, open_loop, write

KIND, FORMAT = "write-table", 2

SHARES = (0.5, 0.9, 0.99)
"""Shares of the samples that summaries give quantiles of."""

BLOCK = 20_000
"""Devices written side by side; bounds the memory."""
BRIEFEST = 20e-12
"""Pulses below this are made by no electrical generator [s]."""


@dataclass(frozen=True)
class WriteTable:
    """Cost and quality of a write from level ``a`` (first index) to level ``b`` (second index).

    Means over ``samples`` sampled devices per pair, failed ones included. The diagonal is a write
    to the level a device already has: one verify read and, as a rule, no pulse.
    """

    g: Array
    """Conductance of each level [S], (L,)."""
    pulses: Array
    """Pulses of either polarity, (L, L)."""
    pulses_up: Array
    """Of these, SET pulses, (L, L): writes that overshoot take some of the other polarity."""
    reads: Array
    """Verify reads, (L, L)."""
    energy: Array
    """Energy in the device, pulses and verify reads [J], (L, L)."""
    time: Array
    """Duration of pulses and verify reads [s], (L, L)."""
    read_energy: Array
    """Share of the verify reads in ``energy`` [J], (L, L)."""
    success: Array
    """Share of the devices that ended within the tolerance, (L, L)."""
    error: Array
    """True conductance minus target after the write [S], (L, L, samples)."""
    predicted_pulses: Array
    """Pulses of the nominal device, the open-loop plan, (L, L)."""
    open_loop_error: Array
    """Conductance minus target after the open-loop plan without any read [S], (L, L, samples)."""
    disturb: Array
    """Largest change of a half-selected neighbour, over the levels it may have [S], (L, L)."""
    moves: Moves
    """Cost of moves by fractions of a level step."""
    staircase: History
    """Nominal device from the lowest to the highest level, and back, (reads, 2)."""
    recipe: Recipe
    spread: Spread
    half_select: float
    """Share of the amplitude that a half-selected neighbour sees: 1/2 or 1/3; 0 for 1T1R."""
    device: str
    """Name of the device."""
    device_digest: str
    """Hash of the device, see :attr:`memtwin.devices.device.Device.digest`."""
    seed: int
    notes: tuple[str, ...] = field(default=())
    """What a reader must know, such as where the recipe goes beyond the fitted data."""
    sampled: Mapping[str, Array] = field(default_factory=dict, repr=False)
    """``pulses``, ``energy`` and ``time`` of every sampled write, (L, L, samples) each; empty in tables of before."""

    def __post_init__(self) -> None:
        shape = (len(self.g),) * 2
        for name in (*Costs._fields, "success", "disturb"):
            found = getattr(self, name).shape
            if found != shape:
                raise InputError(f"write table: expected {name} of shape {shape}, got {found}")

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return len(self.g)

    @property
    def step(self) -> float:
        """Mean distance between neighbouring levels [S]."""
        return float(self.g[-1] - self.g[0]) / (self.levels - 1)

    @property
    def source(self) -> str:
        """How the costs were obtained, in one line."""
        return (
            f"write-verify of {self.error.shape[-1]} sampled devices per pair of levels,"
            f" {self.device}"
        )

    @property
    def costs(self) -> Costs:
        """The means over all samples, verify reads included, (L, L) each."""
        return Costs.held_by(self)

    def quantiles(self, name: str, shares: ArrayLike = SHARES) -> Array:
        """Return quantiles over the sampled devices of ``pulses``, ``energy``, ``time`` or ``error``, (shares, L, L).

        Raises
        ------
        InputError
            If nothing of that name was kept.
        """
        values = self.error if name == "error" else self.sampled.get(name)
        if values is None:
            known = ", ".join(("error", *self.sampled))
            raise InputError(f"write table: no samples of {name!r} were kept, only of {known}")
        return np.asarray(np.quantile(values, np.asarray(shares, float), axis=-1))

    def pricing(self, vain: Moves | None = None) -> LevelPricing:
        """Return what writes cost, every verify read alike.

        Parameters
        ----------
        vain
            What is spent on devices that don't move, see :func:`~.fractional_moves.make_vain`;
            without it as much as on the longest write between two levels.
        """
        read_time = self.recipe.read_time
        pulses_alone = self.costs._replace(
            energy=self.energy - self.read_energy,
            time=np.maximum(self.time - self.reads * read_time, 0.0),
        )
        return LevelPricing(
            pulses_alone,
            Read(float(self.read_energy.sum() / self.reads.sum()), read_time),
            self.source,
            between=LevelMoves(self.moves, self.g),
            vain=None if vain is None else LevelMoves(vain, self.g),
            tolerance=self.recipe.tolerance / self.step,
            places=uneven_places(self.g),
            left=self.programming,
            unread=self.unread,
        )

    @property
    def unread(self) -> UnreadWrites:
        """Writes by the planned pulses without reads, each pulse as much as a mean one between these levels."""
        planned = self.predicted_pulses
        share = planned / np.maximum(self.pulses, 1.0)
        alone = self.energy - self.read_energy, self.time - self.reads * self.recipe.read_time
        energy, time = (np.maximum(each, 0.0) * share for each in alone)
        costs = Costs(planned, np.triu(planned), np.zeros_like(planned), energy, time)
        return UnreadWrites(costs, self.open_loop_error, np.mean(np.square(self.error), axis=-1))

    @property
    def programming(self) -> ProgrammingQuantiles:
        """What writes leave of their targets, by target; from all levels that are no target alike."""
        return left_by_writes(self.g, self.error)

    def summary(self) -> dict[str, Any]:
        """Return the figures that a report shows; means are over the pairs of different levels."""
        moved = ~np.eye(self.levels, dtype=bool)
        return {
            "device": self.device,
            "levels": self.levels,
            "samples": self.error.shape[-1],
            "tolerance_steps": self.recipe.tolerance / self.step,
            "success_percent": 100.0 * float(self.success.mean()),
            "worst_pair_success_percent": 100.0 * float(self.success.min()),
            **self.costs.at(moved).means(),
            **self._shares(moved),
            "pulses_predicted_mean": float(self.predicted_pulses[moved].mean()),
            "error_rms_steps": _rms(self.error) / self.step,
            "open_loop_error_rms_steps": _rms(self.open_loop_error) / self.step,
            "disturb_max_steps": float(self.disturb.max()) / self.step,
            "set_volt": [self.recipe.set.start, self.recipe.set.stop],
            "reset_volt": [self.recipe.reset.start, self.recipe.reset.stop],
            "set_width_seconds": self.recipe.set.width,
            "reset_width_seconds": self.recipe.reset.width,
            "notes": list(self.notes),
        }

    def _shares(self, moved: NDArray[np.bool_]) -> dict[str, float]:
        """Return quantiles over all samples of the pairs that are ``moved``."""
        units = {"pulses": "", "energy": "_joule", "time": "_seconds"}
        return {
            f"{name}_p{100 * share:g}{units[name]}": float(np.quantile(values[moved], share))
            for name, values in self.sampled.items()
            for share in SHARES
        }

    def save(self, path: str | Path) -> Path:
        """Write the table as an HDF5 record."""
        return write_record(path, KIND, pack(self), format=FORMAT)


def load_table(path: str | Path) -> WriteTable:
    """Read a table that :meth:`WriteTable.save` wrote."""
    with reading(path, KIND, format=FORMAT) as tree:
        if tree.get("format") != FORMAT:  # the recipe as JSON
            tree["recipe"] = json.loads(tree["recipe"])
        return unpack(WriteTable, tree)


def make_table(
    levels: Levels,
    recipe: Recipe,
    spread: Spread,
    *,
    samples: int = 64,
    half_select: float = 0.5,
    seed: int = 0,
    progress: Progress | None = None,
    workers: int = 1,
    executor: Executor | None = None,
) -> WriteTable:
    """Write ``samples`` sampled devices for every pair of levels, in closed and in open loop.

    A device starts anywhere within the tolerance around its level, as an earlier write left it.

    Parameters
    ----------
    levels
        The levels and their device.
    recipe
        Pulses, tolerance and limits; see :func:`~.recipe_design.design_recipe`.
    spread
        Device-to-device and cycle-to-cycle spread, read noise.
    samples
        Devices per pair of levels.
    half_select
        Share of the amplitude that a neighbour on the same line sees.
    seed
        Seed of all that is drawn; the same seed gives the same table.
    progress
        Called with the devices written and their number.
    workers, executor
        Processes, or where else pairs are written side by side, see :func:`~.many.each`.
    """
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    if not 0.0 <= half_select < 1.0:
        raise InputError(f"half_select must be from 0 to less than 1, got {half_select!r}")
    device, count = levels.device, levels.count
    a, b = (k.reshape(-1) for k in np.indices((count, count)))
    per_block = max(1, BLOCK // samples)

    def sample(n: int, rng: np.random.Generator) -> Population:
        return Population.sample(device, n, spread, rng)

    # A generator per block, so that the result does not depend on what else is drawn.
    starts = range(0, len(a), per_block)
    blocks = [
        _Block(levels, recipe, spread, a[k : k + per_block], b[k : k + per_block], samples, source)
        for k, source in zip(starts, np.random.SeedSequence(seed).spawn(len(starts)), strict=True)
    ]

    def told(done: int, _: int) -> None:
        if progress is not None:
            progress(min(done * per_block, len(a)) * samples, len(a) * samples)

    written = each(_write_block, blocks, workers=workers, executor=executor, progress=told)
    closed, opened = [one for one, _ in written], [other for _, other in written]
    shape = (count, count, samples)

    def joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
        whole: NDArray[Any] = np.concatenate(list(parts))
        return whole.reshape(*shape, *whole.shape[1:])

    def gathered(outcomes: list[Outcome], name: str) -> NDArray[Any]:
        return joined(getattr(outcome, name) for outcome in outcomes)

    plan = _plan(levels, recipe)
    all_costs = zip(*(outcome.costs for outcome in closed), strict=True)
    drawn = Costs(*(joined(parts) for parts in all_costs))
    costs = drawn.each(lambda values: values.mean(axis=-1))
    # Up and down apart, so that tables stay as they were to the last bit.
    falling = gathered(closed, "pulses")[..., 0]
    down = falling.mean(axis=-1)
    missed = ~gathered(closed, "reachable")
    notes = extrapolations(levels, recipe)
    notes += [
        f"level {k} lies outside the range of {100 * share:.2g} % of the sampled devices"
        for k, share in enumerate(missed.mean(axis=(0, 2)))
        if share > 0.0
    ]
    return WriteTable(
        g=levels.g,
        **costs._replace(pulses=down + costs.pulses_up)._asdict(),
        read_energy=gathered(closed, "read_energy").mean(axis=-1),
        success=gathered(closed, "reached").mean(axis=-1),
        error=gathered(closed, "error"),
        predicted_pulses=plan.costs.pulses.reshape(count, count),
        open_loop_error=gathered(opened, "error"),
        disturb=_disturb(levels, recipe, plan, half_select),
        moves=make_moves(
            levels, recipe, sample, samples=samples, rng=np.random.default_rng([seed, 1])
        ),
        staircase=_staircase(levels, recipe),
        recipe=recipe,
        spread=spread,
        half_select=half_select,
        device=device.name,
        device_digest=device.digest,
        seed=seed,
        notes=tuple(notes),
        sampled={"pulses": falling + drawn.pulses_up, "energy": drawn.energy, "time": drawn.time},
    )


class _Block(NamedTuple):
    """Some pairs of levels, to be written by devices that are drawn for them."""

    levels: Levels
    recipe: Recipe
    spread: Spread
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    samples: int
    source: np.random.SeedSequence


def _write_block(block: _Block) -> tuple[Outcome, Outcome]:
    """Return how the block's devices are written, in closed and in open loop."""
    levels, recipe, samples = block.levels, block.recipe, block.samples
    rng = np.random.default_rng(block.source)
    before = np.repeat(levels.g[block.a], samples)
    after = np.repeat(levels.g[block.b], samples)
    population = Population.sample(levels.device, len(before), block.spread, rng)
    begin = before + recipe.tolerance * rng.uniform(-1.0, 1.0, len(before))
    begin = np.where(before == after, before, begin)
    x = population.states(np.maximum(begin, 0.0), levels.v_read)
    closed = write(population, x, after, recipe, rng)
    start = levels.device.state(before, levels.v_read)
    return closed, open_loop(population, start, after, recipe, rng)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _plan(levels: Levels, recipe: Recipe) -> Outcome:
    """Write the nominal device from every level to every other, (L * L,)."""
    a, b = (k.reshape(-1) for k in np.indices((levels.count, levels.count)))
    nominal = Population(levels.device, len(a))
    rng = np.random.default_rng(0)
    return write(nominal, levels.x[a], levels.g[b], recipe, rng, history=True)


def _staircase(levels: Levels, recipe: Recipe) -> History:
    nominal = Population(levels.device, 2)
    rng = np.random.default_rng(0)
    outcome = write(nominal, levels.x[[0, -1]], levels.g[[-1, 0]], recipe, rng, history=True)
    assert outcome.history is not None
    return outcome.history


def _disturb(levels: Levels, recipe: Recipe, plan: Outcome, share: float) -> Array:
    """Return the largest change [S] of a neighbour that sees ``share`` of each planned pulse."""
    count = levels.count
    if share == 0.0:
        return np.zeros((count, count))
    assert plan.history is not None
    pairs = count * count
    x = np.tile(levels.x, pairs)  # neighbours at every level, for every pair
    neighbours = Population(levels.device, len(x))
    for amplitude, width in zip(plan.history.amplitude[1:], plan.history.width[1:], strict=True):
        on = np.flatnonzero(np.repeat(width > 0.0, count))
        if on.size:
            v, w = (np.repeat(k, count)[on] for k in (share * amplitude, width))
            x[on] = neighbours.pulse(x[on], v, w, recipe.edge, None, on).x
    g = neighbours.conductance(x, levels.v_read).reshape(pairs, count)
    worst: Array = np.abs(g - levels.g).max(axis=1)
    return worst.reshape(count, count)


def extrapolations(levels: Levels, recipe: Recipe) -> list[str]:
    """Return, in words, where levels and recipe go beyond the data that the device was fitted to,
    and what else the device's fit leaves in doubt.
    """
    device = levels.device
    notes = [f"device {device.name}: {device.caveat}"] if device.caveat else []
    meta, limits = device.meta, fitted_range(device)
    lowest, highest = recipe.reset.stop, recipe.set.stop
    if limits is None:
        notes.append("the device does not say on which voltages it was fitted")
    elif lowest < limits.low - 1e-6 or highest > limits.high + 1e-6:
        notes.append(
            f"pulses of {lowest:g} to {highest:g} V go beyond the fitted {limits.low:g} to"
            f" {limits.high:g} V"
        )
    sampling = meta.get("t_step")
    shortest = min(recipe.set.width, recipe.reset.width)
    if isinstance(sampling, (int, float)) and shortest < sampling:
        notes.append(
            f"pulses of {shortest:.2g} s are shorter than the {sampling:.2g} s between the fitted"
            " samples: their kinetics are the model's extrapolation"
        )
    if shortest < BRIEFEST:
        notes.append(
            f"pulses of {shortest:.2g} s are shorter than a generator makes: at such voltages the device"
            " runs from one end to the other, which lower ones (--v-set, --v-reset) slow down"
        )
    seen = meta.get("x_min"), meta.get("x_max")
    if None not in seen:
        low, high = (float(str(end)) for end in seen)
        outside = int(np.sum((levels.x < low) | (levels.x > high)))
        if outside:
            notes.append(
                f"{outside} of {levels.count} levels lie outside the states {low:.2g} to {high:.2g}"
                " that the fitted sweeps went through"
            )
    return notes
