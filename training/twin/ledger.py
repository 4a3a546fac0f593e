"""What writing costs: writes, pulses, reads, joules and seconds, per device and per epoch.

A *device write* is one closed-loop write of one device: address it, apply pulses, verify by reads
between them; its costs come from a table of the device's own pulse response. Elimination is counted
against the basic closed loop, which writes every device to its new target after every mini-batch;
per device and per weight (a level step touches one device of a pair, so that the weight figure is
the more conservative one). Serial time writes one device after the other. In row-parallel time all
devices of a row that move the same way share their pulses, so that a row takes as long as its
slowest device, once upwards and once downwards.
"""

__all__ = ["Cost", "Ledger", "WriteCosts"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...circuits.programming.fractional_moves import EachCost, Moves
from ...circuits.programming.table import WriteTable
from ...data.errors import InputError
from ...data.types import Array, Array32
from ...devices.pulses.trapezoid import WriteCost
from ..rules.quantise import Quantiser, Uniform, make_quantiser
from ..rules.rule import Writes
from .cost import Cost, DeviceCosts
from .effects import Devices
from .placement import Placement


@dataclass(frozen=True)
class WriteCosts:
    """Pulse response of a device between its L levels, and what one verify read costs.

    Parameters
    ----------
    pulses, energy, time
        Number of pulses, their energy [J] and their duration [s] from the row's to the column's
        level, (L, L).
    read_energy, read_time
        Of one verify read [J], [s].
    source
        How the table was obtained; the report repeats it.
    reads
        Verify reads, (L, L); one more than pulses if not given.
    pulses_up
        Pulses towards higher conductances among ``pulses``, (L, L); if not given, all those of
        writes to higher levels.
    """

    pulses: Array
    energy: Array
    time: Array
    read_energy: float
    read_time: float
    source: str = ""
    reads: Array | None = None
    pulses_up: Array | None = None
    moves: Moves | None = None
    """Costs of moves by fractions of a step; read off the running sum of single steps without."""
    g: Array | None = None
    """Conductance of every level [S], (L,), where there are moves or uneven levels."""
    vain: Moves | None = None
    """What is spent on devices that don't move before they are given up, by distance from where
    they are; without it as much as on the longest write between two levels."""
    tolerance: float = 0.25
    """Distance from its target at which a device counts as written [mean level steps]."""

    def __post_init__(self) -> None:
        if self.reads is None:
            object.__setattr__(self, "reads", np.asarray(self.pulses, float) + 1.0)
        if self.pulses_up is None:
            object.__setattr__(self, "pulses_up", np.triu(np.asarray(self.pulses, float)))
        for name in ("pulses", "pulses_up", "energy", "time", "reads"):
            table = np.asarray(getattr(self, name), float)
            object.__setattr__(self, name, table)
            if (
                table.ndim != 2
                or table.shape[0] != table.shape[1]
                or table.shape != self.pulses.shape
            ):
                raise InputError(
                    f"write costs: {name} must be a square table over levels, got {table.shape}"
                )
            if not (np.isfinite(table).all() and table.min() >= 0.0):
                raise InputError(
                    f"write costs: {name} must be finite and not negative for every pair of levels;"
                    " give the device a pulse response that reaches all levels"
                )
        for name in ("read_energy", "read_time"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(
                    f"write costs: {name} must be a number from 0, got {getattr(self, name)!r}"
                )

    @classmethod
    def nominal(
        cls,
        levels: int,
        *,
        pulses: int = 100,
        nonlinearity: float = 2.0,
        pulse_energy: float = 20e-12,
        pulse_time: float = 100e-9,
        read_energy: float = 2e-12,
        read_time: float = 50e-9,
        g_levels: ArrayLike | None = None,
    ) -> "WriteCosts":
        """Return a stand-in for devices without pulse data: ``g(n) = (1 - exp(-a n / N)) / (1 -
        exp(-a))``, down mirrored.

        ``g_levels`` [S], (levels,), are where the levels lie if not in equal steps.

        It says so in its source; for a fitted device use that device's own pulse response.
        """
        g = np.linspace(0.0, 1.0, levels) if g_levels is None else np.asarray(g_levels, float)
        if g.shape != (levels,):
            raise InputError(f"write costs: expected {levels} g_levels, got {g.shape}")
        share = (g - g[0]) / (g[-1] - g[0])
        up, down = (
            np.log1p(x * np.expm1(-nonlinearity)) * -pulses / nonlinearity
            for x in (share, 1.0 - share)
        )
        rise = np.maximum(up[None, :] - up[:, None], 0.0)
        fall = np.maximum(down[None, :] - down[:, None], 0.0)
        count = np.ceil(rise + fall - 1e-9)
        source = (
            f"no device data: nominal exponential pulse response of {pulses} pulses,"
            f" nonlinearity {nonlinearity:g}"
        )
        energy, time = count * pulse_energy, count * pulse_time
        return cls(count, energy, time, read_energy, read_time, source, g=g)

    @classmethod
    def of_device(cls, cost: WriteCost, *, read_time: float = 100e-9) -> "WriteCosts":
        """Return the costs of a device's own open-loop pulses, a verify read after each.

        Reads last ``read_time`` [s], at the device's read voltage and middle conductance.
        """
        g, v = cost.levels.g, cost.levels.v_read
        energy = float(v * v * 0.5 * (g[0] + g[-1]) * read_time)
        return cls(cost.pulses, cost.energy, cost.time, energy, read_time, cost.source)

    @classmethod
    def of_table(cls, table: WriteTable, vain: Moves | None = None) -> "WriteCosts":
        """Return the costs that write-verify loops had on sampled devices, and what they spend in
        ``vain``.
        """
        reads, read_time = table.reads, table.recipe.read_time
        return cls(
            table.pulses,
            table.energy - table.read_energy,
            np.maximum(table.time - reads * read_time, 0.0),
            float(table.read_energy.sum() / reads.sum()),
            read_time,
            f"write-verify of {table.error.shape[-1]} sampled devices per pair of levels,"
            f" {table.device}",
            reads,
            table.pulses_up,
            table.moves,
            table.g,
            vain,
            table.recipe.tolerance / table.step,
        )

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.pulses)

    def check_levels(self, levels: int) -> None:
        """Refuse devices of another number of levels."""
        if self.levels != levels:
            raise InputError(
                f"write costs are for {self.levels} levels, the twin's devices have {levels}"
            )

    def of(self, before: Array32, after: Array32, *, verify: bool = True) -> EachCost:
        """Return the costs of every write between levels, energy and time with the verify reads, if
        there are any.

        Whole levels are looked up. Fractional ones, as continuous rules write them, are moves; a
        move takes at least one pulse.
        """
        found = self._bare(before, after)
        return self._with_reads(found) if verify else found._replace(reads=0.0 * found.reads)

    def of_limited(self, start: Array32, end: Array32, target: Array32) -> EachCost:
        """Return the costs of verified writes from level ``start`` to ``target`` of devices that
        come no further than to ``end``, (n,) each: the controller goes on until it gives up.
        """
        found = EachCost(*np.zeros((len(EachCost._fields), len(start))))
        found.reads[:] = 1.0
        moved, missed = start != end, self.missed(end, target)
        for on, costs in (
            (moved, self._bare(start[moved], end[moved])),
            (missed, self._vain(end[missed], target[missed])),
        ):
            for sums, more in zip(found, costs, strict=True):
                sums[on] += more
            found.reads[on] -= 1.0  # the first read is the last one of what was before
        return self._with_reads(found)

    def missed(self, end: Array32, target: Array32) -> NDArray[np.bool_]:
        """Return where devices that come to level ``end`` don't count as written to ``target``."""
        steps = self._quantiser.steps
        far: NDArray[np.bool_] = np.abs(steps(target) - steps(end)) > np.float32(self.tolerance)
        return far

    @cached_property
    def _quantiser(self) -> Quantiser:
        return Uniform(self.levels) if self.g is None else make_quantiser(None, self.g)

    def _with_reads(self, found: EachCost) -> EachCost:
        return found._replace(
            energy=found.energy + found.reads * self.read_energy,
            time=found.time + found.reads * self.read_time,
        )

    def _bare(self, before: Array32, after: Array32) -> EachCost:
        """Return the costs of writes, energy and time without the verify reads."""
        whole = bool(np.all(before == np.rint(before)) and np.all(after == np.rint(after)))
        if not whole:
            return self._between(np.asarray(before, float), np.asarray(after, float))
        at = (before.astype(np.intp), after.astype(np.intp))
        return EachCost(*(getattr(self, name)[at] for name in EachCost._fields))

    def _vain(self, held: Array32, target: Array32) -> EachCost:
        """Return what is spent on devices that stay at level ``held``, as above."""
        if self.vain is not None and self.g is not None:
            levels = np.arange(self.levels)
            return self.vain.of(*(np.interp(a, levels, self.g) for a in (held, target)))
        up, down = (
            np.unravel_index(np.argmax(half(self.pulses)), self.pulses.shape)
            for half in (np.triu, np.tril)
        )
        at = tuple(np.where(target > held, *ends) for ends in zip(up, down, strict=True))
        return EachCost(*(getattr(self, name)[at] for name in EachCost._fields))

    @cached_property
    def _steps(self) -> tuple[Array, Array, Array]:
        """Running sum of pulses, and energy and time of one pulse per step; for the ways up and
        down, (2, ...).
        """
        k = np.arange(self.levels - 1)
        up, down = (k, k + 1), (k + 1, k)
        pulses = np.stack([self.pulses[up], self.pulses[down]])
        each = np.maximum(pulses, 1e-300)
        sums = np.concatenate([np.zeros((2, 1)), np.cumsum(pulses, axis=1)], axis=1)
        energy = np.stack([self.energy[up], self.energy[down]]) / each
        time = np.stack([self.time[up], self.time[down]]) / each
        return sums, energy, time

    def _between(self, before: Array, after: Array) -> EachCost:
        if self.moves is not None and self.g is not None:
            levels = np.arange(self.levels)
            return self.moves.of(*(np.interp(a, levels, self.g) for a in (before, after)))
        sums, energy, time = self._steps
        way = (after < before).astype(np.intp)
        step = np.minimum(np.maximum(0.5 * (before + after), 0.0).astype(np.intp), self.levels - 2)
        levels = np.arange(self.levels)
        distance = np.empty(before.shape)
        for k in (0, 1):
            on = way == k
            distance[on] = np.abs(
                np.interp(after[on], levels, sums[k]) - np.interp(before[on], levels, sums[k])
            )
        pulses = np.maximum(np.ceil(distance - 1e-9), 1.0)
        return EachCost(
            pulses,
            pulses * (way == 0),
            pulses + 1.0,
            pulses * energy[way, step],
            pulses * time[way, step],
        )


class Ledger:
    """Sums up the writes of all matrices: per device over the whole run, in total per epoch.

    Writes that their device can't follow cost what the controller spends until it gives up, where
    the ``arrays`` of devices are known.
    """

    def __init__(
        self,
        placements: Sequence[Placement],
        costs: WriteCosts,
        arrays: Sequence[Devices] | None = None,
    ) -> None:
        self.placements, self.costs = placements, costs
        self._arrays = [array if array.limited else None for array in arrays or ()]
        self.devices = [DeviceCosts(p.places.size) for p in placements]
        self.epoch = Cost()
        self._rows = [p.places // p.tile_cols for p in placements]
        self._used_rows = [len(np.unique(rows)) for rows in self._rows]
        self._slowest = [np.zeros(2 * int(np.prod(p.shape[:3]))) for p in placements]

    def record(self, matrix: int, writes: Writes) -> Cost:
        """Count the writes of one update of one matrix."""
        each = self._each(matrix, writes)
        cost = self._sum(matrix, writes, each)
        self.devices[matrix].add(writes.device, each)
        if writes.reads:
            self.devices[matrix].look(writes.reads, self.costs.read_energy, self.costs.read_time)
        self.epoch = self.epoch + cost
        return cost

    def estimate(self, matrix: int, writes: Writes) -> Cost:
        """Return the cost of the writes of one update of one matrix without counting it."""
        return self._sum(matrix, writes, self._each(matrix, writes))

    def failed(self, matrix: int, writes: Writes) -> NDArray[np.bool_] | None:
        """Return which of the ``writes`` the controller gives up, (n,); ``None`` where all devices
        follow or nobody looks.
        """
        ends = self._ends(matrix, writes)
        return None if ends is None else self.costs.missed(ends[1], writes.level)

    def _ends(self, matrix: int, writes: Writes) -> tuple[Array32, Array32] | None:
        """Return the levels at which the devices of verified ``writes`` really start and end, (n,)
        each; ``None`` where that is what the writes say.
        """
        array = self._arrays[matrix] if self._arrays else None
        if array is None or writes.blind is not None:
            return None
        place = self.placements[matrix].places[writes.device]
        return array.attainable(place, writes.before), array.attainable(place, writes.level)

    def _each(self, matrix: int, writes: Writes) -> EachCost:
        each = self.costs.of(writes.before, writes.level, verify=writes.blind is None)
        ends = self._ends(matrix, writes)
        if ends is None:
            return each
        start, end = ends
        odd = np.flatnonzero((start != writes.before) | (end != writes.level))
        found = self.costs.of_limited(start[odd], end[odd], writes.level[odd])
        for sums, limited in zip(each, found, strict=True):
            sums[odd] = limited
        return each

    def _sum(self, matrix: int, writes: Writes, each: EachCost) -> Cost:
        cost = self._writing(matrix, writes, each) if len(writes) else Cost()
        return cost + self._looking(matrix, writes.reads) if writes.reads else cost

    def _writing(self, matrix: int, writes: Writes, each: EachCost) -> Cost:
        slowest = self._slowest[matrix]
        key = 2 * self._rows[matrix][writes.device] + (writes.level < writes.before)
        np.maximum.at(slowest, key, each.time)
        row_time = float(slowest.sum())
        slowest[key] = 0.0
        sums = {name: float(values.sum()) for name, values in each._asdict().items()}
        return Cost(
            writes=float(len(writes)),
            weights=float(writes.weights),
            row_time=row_time,
            **sums,
        )

    def _looking(self, matrix: int, reads: int) -> Cost:
        """Return the cost of reading devices to find out what to write; whole rows at a time."""
        costs = self.costs
        return Cost(
            reads=float(reads),
            energy=reads * costs.read_energy,
            time=reads * costs.read_time,
            row_time=self._used_rows[matrix] * costs.read_time,
        )

    def close_epoch(self) -> Cost:
        """Return the sums of the epoch and start a new one."""
        epoch, self.epoch = self.epoch, Cost()
        return epoch

    def maps(self, name: str = "writes") -> list[NDArray[Any]]:
        """Return a sum per device, an attribute of :class:`.cost.DeviceCosts`, where the devices sit: one
        (row blocks, column blocks, rows, cols) stack per matrix.
        """
        result = []
        for placement, devices in zip(self.placements, self.devices, strict=True):
            sums = getattr(devices, name)
            stack = np.zeros(placement.shape, sums.dtype)
            stack.reshape(-1)[placement.places] = sums
            result.append(stack)
        return result

    def epochs_to_limit(self, endurance: float, epochs: int, share: float = 1e-3) -> float:
        """Return after how many epochs like the ``epochs`` so far the most-written ``share`` of
        devices reach ``endurance`` writes.
        """
        counts = np.concatenate([devices.writes for devices in self.devices])
        worst = max(1, round(share * counts.size))
        rate = float(np.partition(counts, -worst)[-worst:].mean()) / max(epochs, 1)
        return endurance / rate if rate > 0.0 else float("inf")

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep; it is taken between epochs."""
        return {
            str(k): {name: sums.copy() for name, sums in vars(devices).items()}
            for k, devices in enumerate(self.devices)
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        for k, devices in enumerate(self.devices):
            for name, sums in vars(devices).items():
                sums[...] = state[str(k)][name]
