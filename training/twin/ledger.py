"""What writing costs: writes, pulses, reads, joules and seconds, per device and per epoch.

A *device write* is one closed-loop write of one device: address it, apply pulses, verify by reads
between them; a :class:`~.costs.Pricing` says what it costs. Elimination is counted
against the basic closed loop, which writes every device to its new target after every mini-batch;
per device and per weight (a level step touches one device of a pair, so that the weight figure is
the more conservative one). Serial time writes one device after the other. In row-parallel time all
devices of a row that move the same way share their pulses, so that a row takes as long as its
slowest device, once upwards and once downwards.
"""

__all__ = ["Ledger"]

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array, Array32
from ...devices.pulses.costs import Costs, Pricing, highest
from ...devices.pulses.unread import unread_of
from ..rules.quantise import Quantiser
from ..rules.rule import Writes
from .cost import Cost, DeviceCosts
from .devices import Devices
from .placement import Placement

SAME = np.float32(1e-4)
"""Distance between levels up to which they are the same."""

TOGETHER = 50_000
"""Writes of a matrix that are summed up together, where nothing depends on when."""


class Ruler(NamedTuple):
    """Two sets of levels over the same conductances."""

    own: Quantiser
    other: Quantiser

    def priced(self, level: Array32) -> Array32:
        """Return which of the other levels, fractional, lie where ``level`` of the own ones do, (n,)."""
        share = self.own.steps(level) / np.float32(self.own.levels - 1)
        found = self.other.code(share * np.float32(self.other.levels - 1))
        whole = np.rint(found)
        return np.where(np.abs(found - whole) < SAME, whole, found).astype(np.float32)


class Ledger:
    """Sums up the writes of all matrices: per device over the whole run, in total per epoch.

    Writes that their device can't follow cost what the controller spends until it gives up, where
    the ``arrays`` of devices are known. Writes between fewer levels than ``pricing`` has cost what
    those between the same conductances do; ``quantiser`` says where its levels lie.
    """

    def __init__(
        self,
        placements: Sequence[Placement],
        pricing: Pricing,
        arrays: Sequence[Devices] | None = None,
        quantiser: Quantiser | None = None,
    ) -> None:
        self.placements, self.pricing = placements, pricing
        self._arrays = [array if array.limited else None for array in arrays or ()]
        self._rulers = [
            None
            if quantiser is None or array.quantiser.levels == quantiser.levels
            else Ruler(array.quantiser, quantiser)
            for array in arrays or ()
        ]
        self._devices = [DeviceCosts(p.places.size) for p in placements]
        self._epoch = Cost()
        self._rows = [p.places // p.tile_cols for p in placements]
        self._used_rows = [len(np.unique(rows)) for rows in self._rows]
        self._lines = [2 * int(np.prod(p.shape[:3])) for p in placements]
        self._waiting: list[list[Writes]] = [[] for _ in placements]
        self._many = [0 for _ in placements]

    @property
    def devices(self) -> list[DeviceCosts]:
        """Sums per device, a matrix each."""
        self._settle_all()
        return self._devices

    @property
    def epoch(self) -> Cost:
        """Sums of the epoch so far."""
        self._settle_all()
        return self._epoch

    @epoch.setter
    def epoch(self, cost: Cost) -> None:
        self._settle_all()
        self._epoch = cost

    def enter(self, matrix: int, writes: Writes) -> None:
        """Count the writes of one update of one matrix as :meth:`record` does, but together with those of
        other updates, where what they cost doesn't depend on when.
        """
        limited = bool(self._arrays) and self._arrays[matrix] is not None
        unread = writes.unread is not None or writes.blind is not None or writes.pulses is not None
        if limited or unread or writes.reads:
            self.record(matrix, writes)
        elif len(writes):
            # Whose they are may use the arrays again.
            before, level = writes.before.copy(), writes.level.copy()
            self._waiting[matrix].append(
                Writes(writes.device.copy(), before, level, writes.weights)
            )
            self._many[matrix] += len(writes)
            if self._many[matrix] >= TOGETHER:
                self._settle(matrix)

    def _settle_all(self) -> None:
        for matrix, waiting in enumerate(self._waiting):
            if waiting:
                self._settle(matrix)

    def _settle(self, matrix: int) -> None:
        waiting, self._waiting[matrix], self._many[matrix] = self._waiting[matrix], [], 0
        device, before, level = (
            np.concatenate([getattr(one, name) for one in waiting])
            for name in ("device", "before", "level")
        )
        writes = Writes(device, before, level, sum(one.weights for one in waiting))
        update = np.repeat(np.arange(len(waiting)), [len(one) for one in waiting])
        each = self.price(matrix, writes)
        self._devices[matrix].add(device, each)
        self._epoch = self._epoch + self._writing(matrix, writes, each, update)

    def record(self, matrix: int, writes: Writes) -> Cost:
        """Count the writes of one update of one matrix."""
        each = self.price(matrix, writes)
        cost = self._sum(matrix, writes, each)
        self._devices[matrix].add(writes.device, each)
        if writes.reads:
            self._devices[matrix].look(writes.reads, self.pricing.read)
        self._epoch = self._epoch + cost
        return cost

    def estimate(self, matrix: int, writes: Writes, each: Costs | None = None) -> Cost:
        """Return the cost of the writes of one update of one matrix without counting it.

        Parameters
        ----------
        matrix
            Which matrix, counted from 0.
        writes
            Its writes.
        each
            What each of them costs, as :meth:`price` says it, where that is known already.
        """
        return self._sum(matrix, writes, self.price(matrix, writes) if each is None else each)

    def tested(self, matrix: int) -> Cost:
        """Return what it costs to write all devices of one matrix and of its spare columns to the highest level and
        back, rows at once: an array's test for stuck ones. Nothing where there are no spare columns.
        """
        place, top = self.placements[matrix], np.float32(self.pricing.levels - 1)
        if not place.spares:
            return Cost()
        ends = np.array([0.0, top], np.float32)
        each = self.pricing.of(ends, ends[::-1].copy())
        high = highest(self.pricing, ends, ends[::-1].copy(), each.energy)
        devices = place.places.size + place.spare_devices
        return Cost(
            writes=2.0 * devices,
            row_time=self._used_rows[matrix] * float(each.time.sum()),
            energy_high=devices * float(high.sum()),
            **{name: devices * float(values.sum()) for name, values in each._asdict().items()},
        )

    def failed(self, matrix: int, writes: Writes) -> NDArray[np.bool_] | None:
        """Return which of the ``writes`` the controller gives up, (n,); ``None`` where all devices
        follow or nobody looks.
        """
        ends = self._ends(matrix, writes)
        if ends is None:
            return None
        missed = self.missed(matrix, ends[1], writes.level)
        missed[writes.alone] = False
        return missed

    def missed(self, matrix: int, end: Array32, target: Array32) -> NDArray[np.bool_]:
        """Return where devices of one matrix that come to level ``end`` don't count as written to
        ``target``.

        Parameters
        ----------
        matrix
            Which matrix.
        end
            Levels that are reached, (n,).
        target
            Levels that were asked for, (n,).
        """
        return self.pricing.missed(self.priced(matrix, end), self.priced(matrix, target))

    def priced(self, matrix: int, level: Array32) -> Array32:
        """Return levels of one matrix's devices as levels of the pricing.

        Parameters
        ----------
        matrix
            Which matrix, counted from 0.
        level
            Levels of its own devices, (n,).
        """
        ruler = self._rulers[matrix] if self._rulers else None
        return level if ruler is None else ruler.priced(level)

    def _ends(self, matrix: int, writes: Writes) -> tuple[Array32, Array32] | None:
        """Return the levels at which the devices of verified ``writes`` really start and end, (n,)
        each; ``None`` where that is what the writes say.
        """
        array = self._arrays[matrix] if self._arrays else None
        if array is None or writes.blind is not None:
            return None
        place = self.placements[matrix].places[writes.device]
        return array.attainable(place, writes.before), array.attainable(place, writes.level)

    def price(self, matrix: int, writes: Writes) -> Costs:
        """Return what each of the writes of one update of one matrix costs, (n,)."""
        if writes.pulses is not None:
            return self._pulsed(writes.pulses)
        before, level = (self.priced(matrix, one) for one in (writes.before, writes.level))
        each = self.pricing.of(before, level, verify=writes.blind is None)
        if writes.stands is not None:
            begin = self._begins(matrix, writes)
            off, whole = begin != before, begin == np.rint(begin)
            for some in (np.flatnonzero(off & whole), np.flatnonzero(off & ~whole)):
                _put(each, some, self.pricing.of(begin[some], level[some]))
        ends = self._ends(matrix, writes)
        if ends is not None:
            start, end = (self.priced(matrix, one) for one in ends)
            odd = np.flatnonzero((start != before) | (end != level))
            _put(each, odd, self.pricing.of_limited(start[odd], end[odd], level[odd]))
        if len(alone := writes.alone):
            stands = self._stands(matrix, writes)[alone]
            _put(each, alone, unread_of(self.pricing).of(before[alone], level[alone], stands))
        return each

    def _begins(self, matrix: int, writes: Writes) -> Array32:
        """Return the pricing's levels that writes begin at, (n,): those that they say, but for verified ones of
        devices that were left unread before and have left their band. These begin at the level nearest to where
        they stand, or there where that is the target, and at the target where they are in its band already.
        """
        before = self.priced(matrix, writes.before)
        if writes.stands is None:
            return before
        stands, level = self._stands(matrix, writes), self.priced(matrix, writes.level)
        off = self.pricing.missed(stands, before)
        off[writes.alone] = False
        near = np.clip(np.rint(stands), np.float32(0.0), np.float32(self.pricing.levels - 1))
        near = np.where(near == level, stands, near)
        near = np.where(self.pricing.missed(stands, level), near, level)
        return np.where(off, near, before).astype(np.float32)

    def _stands(self, matrix: int, writes: Writes) -> Array32:
        """Return the pricing's levels at which devices really stand, (n,)."""
        return self.priced(matrix, writes.before if writes.stands is None else writes.stands)

    def energy(self, matrix: int, before: Array32, level: Array32) -> Array:
        """Return what verified writes of devices that follow take, of one matrix, (n,) [J].

        Parameters
        ----------
        matrix
            Which matrix, counted from 0.
        before, level
            Levels before and after, (n,).
        """
        ends = (self.priced(matrix, one) for one in (before, level))
        return self.pricing.of(*ends).energy

    def _pulsed(self, pulses: NDArray[np.int64]) -> Costs:
        """Return what ``pulses`` cost, each as much as those of a write through the whole range."""
        up, down = self._per_pulse
        number, rising = np.abs(pulses).astype(float), pulses > 0
        energy, time = (np.where(rising, a, b) * number for a, b in zip(up, down, strict=True))
        return Costs(number, np.where(rising, number, 0.0), np.zeros(len(number)), energy, time)

    @cached_property
    def _per_pulse(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Energy [J] and time [s] of a pulse up, and of one down."""
        ends = np.array([0.0, self.pricing.levels - 1], np.float32)
        whole = self.pricing.of(ends, ends[::-1].copy(), verify=False)
        number = np.maximum(whole.pulses, 1.0)
        energy, time = whole.energy / number, whole.time / number
        return (float(energy[0]), float(time[0])), (float(energy[1]), float(time[1]))

    def _sum(self, matrix: int, writes: Writes, each: Costs) -> Cost:
        cost = self._writing(matrix, writes, each) if len(writes) else Cost()
        return cost + self._looking(matrix, writes.reads) if writes.reads else cost

    def _writing(
        self,
        matrix: int,
        writes: Writes,
        each: Costs,
        update: NDArray[np.int64] | int = 0,
    ) -> Cost:
        """Return the cost of writes, of one update or, where ``update`` counts them from 0, (n,), of several."""
        before, level = self._begins(matrix, writes), self.priced(matrix, writes.level)
        line = 2 * self._rows[matrix][writes.device] + (level < before)
        row_time = float(_slowest(line + update * self._lines[matrix], each.time).sum())
        high = highest(self.pricing, before, level, each.energy)
        if len(alone := writes.alone):
            stands = self._stands(matrix, writes)[alone]
            high = high.copy()
            high[alone] = unread_of(self.pricing).most(before[alone], level[alone], stands)
        sums = {name: float(values.sum()) for name, values in each._asdict().items()}
        return Cost(
            writes=float(len(writes)),
            weights=float(writes.weights),
            row_time=row_time,
            energy_high=float(high.sum()),
            **sums,
        )

    def _looking(self, matrix: int, reads: int) -> Cost:
        """Return the cost of reading devices to find out what to write; whole rows at a time."""
        read = self.pricing.read
        return Cost(
            reads=float(reads),
            energy=reads * read.energy,
            energy_high=reads * read.energy,
            time=reads * read.time,
            row_time=min(self._used_rows[matrix], reads) * read.time,
        )

    def close_epoch(self) -> Cost:
        """Return the sums of the epoch and start a new one."""
        epoch = self.epoch
        self.epoch = Cost()
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

        Parameters
        ----------
        endurance
            Writes that a device endures.
        epochs
            Epochs that were counted.
        share
            Share of the devices, the most-written ones, that is looked at [0..1].
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


def _slowest(line: NDArray[np.int64], time: Array) -> Array:
    """Return the longest ``time`` of each of the lines that were written, in order; 0 may be among them."""
    most = int(line.max()) + 1
    if most <= len(line):
        found = np.zeros(most)
        np.maximum.at(found, line, time)
        return found
    order = np.argsort(line)
    line = line[order]
    first = np.flatnonzero(line[1:] != line[:-1]) + 1
    return np.maximum.reduceat(time[order], np.append(0, first))


def _put(each: Costs, place: NDArray[np.intp], other: Costs) -> None:
    """Let the costs at ``place`` be others."""
    for sums, values in zip(each, other, strict=True):
        sums[place] = values
