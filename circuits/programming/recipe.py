"""How a device is written: ramps of SET and RESET pulses, a verify read after each, when to stop.

:class:`Loop` is the controller, the same for a population of single devices and for a row of an
array: it is told what was read and says which pulse comes next. Where the recipe knows how far each
pulse moves a device, that is the one to go what is left, corrected by how far this device's last
pulse went compared to that (predictive write-verify). Where it does not, a pulse that moved a device
too little is followed by a stronger one, one rung up the ramp of its polarity (incremental step
pulse programming, ISPP); one that moved it further than what is left is followed by a weaker one.
"""

__all__ = ["GUARD", "Indices", "Loop", "Ramp", "Reach", "Recipe", "Status", "interval"]

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from ...devices.levels import V_READ

Indices = NDArray[np.intp]

GUARD = 2.5
"""Deviations of a verify read by which its band is narrower than the tolerance, so that what was
read inside is inside.
"""


CORRECTION = (0.5, 2.0)
"""Least and largest factor by which one pulse may correct what is known of a device's pace: a verify
read is noisy.
"""


@dataclass(frozen=True)
class Ramp:
    """Pulses of one polarity, from the gentlest to the strongest.

    Rung after rung the amplitude grows by ``step`` until it is ``stop``; from there on the width
    grows by the factor ``growth`` until it is ``width_max``. With ``step = 0`` only the width grows,
    with ``growth = 1`` only the amplitude, with both all pulses are equal.
    """

    start: float
    """Amplitude of the first rung [V]; its sign is the ramp's polarity."""
    step: float
    """Added to the amplitude from rung to rung [V], with the sign of ``start``, or 0."""
    stop: float
    """Amplitude that is not exceeded [V], with the sign of ``start``."""
    width: float
    """Width of the first rung, without edges [s]."""
    growth: float = 1.0
    """Factor of the width from rung to rung once the amplitude is ``stop``, at least 1."""
    width_max: float = np.inf
    """Width that is not exceeded [s]."""

    def __post_init__(self) -> None:
        numbers = (self.start, self.step, self.stop, self.width, self.growth)
        if not np.all(np.isfinite(numbers)) or self.start == 0.0:
            raise InputError(f"ramp: expected finite numbers, start other than 0 V, got {self}")
        if np.sign(self.start) * self.step < 0.0 or abs(self.stop) < abs(self.start):
            raise InputError(
                f"ramp: expected amplitudes that grow from start to stop, got start {self.start} V,"
                f" step {self.step} V, stop {self.stop} V"
            )
        if np.sign(self.start) * self.stop < 0.0:
            raise InputError(f"ramp: start {self.start} V and stop {self.stop} V differ in sign")
        if self.width <= 0.0 or self.growth < 1.0 or self.width_max < self.width:
            raise InputError(
                f"ramp: expected width > 0, growth >= 1 and width_max >= width, got width"
                f" {self.width} s, growth {self.growth}, width_max {self.width_max} s"
            )
        if self.growth > 1.0 and not np.isfinite(self.width_max):
            raise InputError("ramp: widths that grow need a width_max")

    @property
    def polarity(self) -> int:
        """+1 for SET, -1 for RESET."""
        return 1 if self.start > 0.0 else -1

    @property
    def _steps(self) -> int:
        """Rungs until the amplitude is ``stop``."""
        return int(np.ceil((self.stop - self.start) / self.step - 1e-9)) if self.step else 0

    @property
    def rungs(self) -> int:
        """Number of different pulses."""
        if self.growth == 1.0:
            return 1 + self._steps
        longer = np.log(self.width_max / self.width) / np.log(self.growth)
        return 1 + self._steps + int(np.ceil(longer - 1e-9))

    def amplitude(self, k: ArrayLike) -> Array:
        """Return the amplitude of rungs ``k`` [V]."""
        reached = self.start + np.asarray(k, float) * self.step
        bounded: Array = np.where(np.abs(reached) > abs(self.stop), self.stop, reached)
        return bounded

    def duration(self, k: ArrayLike) -> Array:
        """Return the width of rungs ``k`` [s]."""
        # Beyond the last rung nothing changes; the bound also keeps the power finite.
        longer = np.clip(np.asarray(k, float) - self._steps, 0, self.rungs)
        bounded: Array = np.minimum(self.width * self.growth**longer, self.width_max)
        return bounded


def interval(grid: Array, x: Array) -> tuple[Indices, Array]:
    """Return the interval of a rising ``grid`` that each of ``x`` lies in, and how far along it is,
    0 to 1; what lies outside is taken for the nearer end.
    """
    place = np.interp(x, grid, np.arange(len(grid)))
    at = np.minimum(place.astype(np.intp), len(grid) - 2)
    return at, place - at


@dataclass(frozen=True)
class Reach:
    """How far one pulse of every rung moves the nominal device, from several conductances."""

    g: tuple[float, ...]
    """Conductances before the pulse [S], rising, (conductances,)."""
    set: tuple[tuple[float, ...], ...]
    """Change of the conductance by SET pulses [S], (rungs, conductances)."""
    reset: tuple[tuple[float, ...], ...]
    """Change by RESET pulses, counted positive [S], (rungs, conductances)."""
    quiet: tuple[int, int]
    """Strongest rungs, RESET and SET, that leave half-selected neighbours where they are."""

    def __post_init__(self) -> None:
        for name in ("set", "reset"):
            rows = tuple(tuple(map(float, row)) for row in getattr(self, name))
            if not rows or any(len(row) != len(self.g) for row in rows):
                raise InputError(f"reach: expected {name} of shape (rungs, {len(self.g)})")
            object.__setattr__(self, name, rows)
        object.__setattr__(self, "g", tuple(map(float, self.g)))
        object.__setattr__(self, "quiet", tuple(self.quiet))
        if len(self.g) < 2 or np.diff(self.g).min() <= 0.0:
            raise InputError("reach: expected at least 2 rising conductances")

    @cached_property
    def table(self) -> Array:
        """Both polarities, RESET first, (2, rungs, conductances); rising with the rung."""
        rungs = max(len(self.set), len(self.reset))
        sides = (np.asarray(self.reset), np.asarray(self.set))
        # The shorter ramp's last rung is repeated; it is never chosen, as the top rung comes first.
        full = np.stack([np.pad(a, ((0, rungs - len(a)), (0, 0)), mode="edge") for a in sides])
        rising: Array = np.maximum.accumulate(np.maximum(full, 0.0), axis=1)
        return rising

    def of(self, side: Indices, g: Array) -> Array:
        """Return the expected moves of all rungs [S], (devices, rungs), for devices at ``g`` [S]
        and polarities ``side``.
        """
        at, rest = interval(np.asarray(self.g), g)
        rest, table = rest[:, None], self.table
        expected: Array = table[side, :, at] * (1.0 - rest) + table[side, :, at + 1] * rest
        return expected


@dataclass(frozen=True)
class Recipe:
    """A write-verify loop for devices of one kind."""

    set: Ramp
    """Pulses that raise the conductance."""
    reset: Ramp
    """Pulses that lower it."""
    tolerance: float
    """Half width of the accepted band around the target [S]."""
    v_read: float = V_READ
    """Voltage of the verify read [V]."""
    read_time: float = 1e-7
    """Duration of a verify read [s]."""
    edge: float = 0.02
    """Rise and fall time of a pulse, each, as a share of its width."""
    max_pulses: int = 200
    """Pulses after which a device is given up."""
    patience: int = 8
    """Pulses of the last rung, one after the other, that may bring a device no nearer to its target
    than a tenth of the tolerance, before it is given up as stuck.
    """
    backoff: int = 3
    """Rungs to step down when a pulse moved a device further than what is left to go, where that
    can't be predicted.
    """
    reach: Reach | None = field(default=None, repr=False)
    """How far pulses move the nominal device; without it every write climbs the ramp."""

    def __post_init__(self) -> None:
        if self.set.polarity != 1 or self.reset.polarity != -1:
            raise InputError("recipe: SET pulses must be positive and RESET pulses negative")
        for name in ("tolerance", "read_time", "edge"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"recipe: {name} must be a positive number, got {value!r}")
        if not np.isfinite(self.v_read) or self.v_read == 0.0:
            raise InputError(f"recipe: v_read must be a number other than 0, got {self.v_read!r}")
        if self.max_pulses < 1 or self.patience < 1 or self.backoff < 1:
            raise InputError("recipe: max_pulses, patience and backoff must be at least 1")

    def duration(self, width: ArrayLike) -> Array:
        """Return the time a pulse of ``width`` takes with its edges [s]."""
        whole: Array = np.asarray(width, float) * (1.0 + 2.0 * self.edge)
        return whole


class Status(IntEnum):
    """Where a device's write-verify loop stands."""

    RUNNING = 0
    REACHED = 1
    """Read within the tolerance of its target."""
    EXHAUSTED = 2
    """Still outside after ``max_pulses``."""
    STUCK = 3
    """The strongest pulses no longer move it."""


@dataclass
class Loop:
    """State of many write-verify loops that run side by side, one per device.

    Call :meth:`observe` with what was read and :meth:`following` for the pulses to apply, in turn,
    until no device is :attr:`running`.
    """

    recipe: Recipe
    target: Array
    """Conductance to reach [S], (devices,)."""
    read_noise: float | Array = 0.0
    """Standard deviation of a read, relative, a number or (devices,); the band that a read must
    fall into is narrower than the tolerance by :data:`GUARD` of them.
    """
    status: NDArray[np.int8] = field(init=False)
    pulses: NDArray[np.int64] = field(init=False)
    """Pulses so far, (devices, 2): RESET and SET."""
    reads: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.target)
        self._band = self.recipe.tolerance - GUARD * self.read_noise * np.abs(self.target)
        self.status = np.zeros(count, np.int8)
        self.pulses = np.zeros((count, 2), np.int64)
        self.reads = np.zeros(count, np.int64)
        self._top = np.array([self.recipe.reset.rungs, self.recipe.set.rungs]) - 1
        # Rung of the next pulse per polarity, and the polarity of the last one; -1: none yet.
        self._rung = np.full((count, 2), -1)
        self._side = np.full(count, -1)
        self._last = np.full(count, np.nan)
        self._nearest = np.full(count, np.inf)
        self._idle = np.zeros(count, np.int64)
        # How far pulses move each device, per polarity, relative to what the recipe expects, and
        # what was expected of the last one.
        self._pace = np.ones((count, 2))
        self._expected = np.ones(count)

    @property
    def running(self) -> Indices:
        """Devices that still need a pulse, in order."""
        return np.flatnonzero(self.status == Status.RUNNING)

    def observe(self, g: Array) -> None:
        """Take the verify reads ``g`` [S] of the :attr:`running` devices and settle who is done."""
        on = self.running
        self.reads[on] += 1
        left = self.target[on] - g
        side = (left > 0.0).astype(int)
        # A polarity that was not used yet counts as turned to, not as gone on with.
        same = side == self._side[on]
        self._count_idle(on, left, same)
        if self.recipe.reach is None:
            self._climb(on, left, np.abs(g - self._last[on]), side, same)
        else:
            self._aim(self.recipe.reach, on, g, left, side)
        self._side[on], self._last[on] = side, g
        inside = np.abs(left) <= self._band[on]
        spent = self.pulses[on].sum(axis=1) >= self.recipe.max_pulses
        self.status[on] = np.select(
            [inside, self._idle[on] >= self.recipe.patience, spent],
            [Status.REACHED, Status.STUCK, Status.EXHAUSTED],
            Status.RUNNING,
        )

    def _count_idle(self, on: Indices, left: Array, same: NDArray[np.bool_]) -> None:
        """Count the pulses of the last rung that brought their devices no nearer."""
        side = self._side[on]
        top = same & (self._rung[on, side] >= self._top[side])
        # Against the nearest that it has been, so that read noise does not count as progress.
        nearer = np.abs(left) < self._nearest[on] - 0.1 * self.recipe.tolerance
        idle = top & ~nearer
        self._nearest[on] = np.where(idle, self._nearest[on], np.abs(left))
        self._idle[on] = np.where(idle, self._idle[on] + 1, 0)

    def _climb(
        self, on: Indices, left: Array, moved: Array, side: Indices, same: NDArray[np.bool_]
    ) -> None:
        """Set the rungs of the pulses to come by what the last ones moved; ``moved`` is nan before
        the first.
        """
        was = self._side[on]
        weak, strong = moved < 0.5 * np.abs(left), moved > np.abs(left)
        change = np.where(same & weak, 1, np.where(same & ~strong, 0, -self.recipe.backoff))
        used = was >= 0
        on_used, was = on[used], was[used]
        self._rung[on_used, was] = np.clip(
            self._rung[on_used, was] + change[used], 0, self._top[was]
        )
        self._rung[on, side] = np.maximum(self._rung[on, side], 0)

    def _aim(self, reach: Reach, on: Indices, g: Array, left: Array, side: Indices) -> None:
        """Set the rungs of the pulses to come by how far they are expected to move each device."""
        used = self._side[on] >= 0
        on_used, was = on[used], self._side[on[used]]
        moved = (g[used] - self._last[on_used]) * np.where(was == 1, 1.0, -1.0)
        self._pace[on_used, was] *= np.clip(moved / self._expected[on_used], *CORRECTION)
        expected = reach.of(side, g) * self._pace[on, side][:, None]
        rung = (expected <= np.abs(left)[:, None]).sum(axis=1) - 1
        rung = np.clip(rung, 0, self._top[side])
        # Half of a stronger pulse would move neighbours: only where nothing weaker gets anywhere.
        quiet = np.minimum(np.asarray(reach.quiet)[side], self._top[side])
        enough = expected[np.arange(len(on)), quiet] >= self.recipe.tolerance
        rung = np.where(enough, np.minimum(rung, quiet), rung)
        self._rung[on, side] = rung
        # Where hardly any move is expected, any at all says little of the pace.
        least = 0.01 * self.recipe.tolerance
        self._expected[on] = np.maximum(expected[np.arange(len(on)), rung], least)

    def following(self) -> tuple[Indices, Array, Array]:
        """Return the running devices with the amplitude [V] and width [s] of their next pulse."""
        on = self.running
        side = self._side[on]
        rung = self._rung[on, side]
        self.pulses[on, side] += 1
        up, down = self.recipe.set, self.recipe.reset
        amplitude = np.where(side == 1, up.amplitude(rung), down.amplitude(rung))
        width = np.where(side == 1, up.duration(rung), down.duration(rung))
        return on, amplitude, width
