"""The devices of a stack of tiles, with what keeps them from holding the level that they are told
to: :class:`~memtwin.devices.spread.effects.Effects`.

Programming error and relaxation are drawn anew at every write (cycle to cycle), reach, stuck
devices and lifetimes once (device to device). Read noise belongs to a read, see :mod:`.matrix`.
"""

__all__ = ["Devices"]

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array32
from ...devices.cycles.autoregression import CycleLaw
from ...devices.pulses.steps import PulseSteps
from ...devices.spread.effects import Effects
from ...devices.spread.pcm import PcmProgramming
from ...devices.spread.programming import Programming, ProgrammingQuantiles
from ...devices.spread.relaxation import Jump, RelaxationQuantiles
from ..rules.quantise import Quantiser


class Devices:
    """Conductances of all devices of one matrix, addressed by their place in the stack, flattened.

    Parameters
    ----------
    shape
        Shape of the stack of tiles, (..., rows, cols).
    low, high
        Conductance of the lowest and of the highest level [S].
    quantiser
        Where the levels lie between those.
    rng
        Draws the stuck devices, every device's reach, and which steps by pulses are its own.
    pulses
        What pulses do to them, where that is known.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        low: float,
        high: float,
        quantiser: Quantiser,
        effects: Effects,
        rng: np.random.Generator,
        pulses: PulseSteps | None = None,
    ) -> None:
        self.quantiser, self.top = quantiser, quantiser.levels - 1
        self.low, self.step = np.float32(low), np.float32((high - low) / self.top)
        self.span = float(high - low)
        """Highest minus lowest level [S]."""
        self.places = quantiser.steps(np.arange(quantiser.levels, dtype=np.float32))
        """Where the levels lie [mean steps], (L,)."""
        self.even = bool(np.all(self.places == np.arange(quantiser.levels)))
        self.effects, laws = effects, effects.laws
        self.g = np.full(shape, low, np.float32)
        """Conductances [S]."""
        self._stuck: NDArray[np.bool_] | None = None
        self._reach: Array32 | None = None
        self._life: NDArray[np.float64] | None = None
        if laws.stuck is not None:
            held = laws.stuck.sample(self.g.size, rng, low=low, high=high)
            self._stuck = ~np.isnan(held)
            self._flat[self._stuck] = held[self._stuck]
        if laws.reach is not None:
            self._reach = np.float32(self.top) * laws.reach.sample(self.g.size, rng)
        if laws.wear is not None:
            self._life = laws.wear.sample(self.g.size, rng)
            self._stuck = np.zeros(self.g.size, bool) if self._stuck is None else self._stuck
        self._written = None if self._life is None else np.zeros(self.g.size, np.int64)
        self._pulses = pulses
        self._kind: NDArray[np.int64] | None = None
        """Which of the devices that pulses tell of each one is."""
        if pulses is not None:
            self._kind = rng.integers(0, pulses.count, self.g.size)
        relaxation = laws.relaxation
        self._jump = relaxation if isinstance(relaxation, Jump) else None
        if isinstance(relaxation, RelaxationQuantiles) and relaxation.g_limit[1] < high:
            raise InputError(
                f"effects.relaxation: the law was learnt from cells of up to"
                f" {relaxation.g_limit[1]:.3g} S, the highest level is {high:.3g} S"
            )
        self._quantiles = relaxation if isinstance(relaxation, RelaxationQuantiles) else None
        self._sampled = isinstance(laws.programming, ProgrammingQuantiles)
        self._later = laws.later
        for law in self._later:
            effects.age(0, law)  # says what is missing before anything is trained
        written = laws.programming
        self._cells = written.cells(self.g.size, rng) if isinstance(written, CycleLaw) else None
        lucks = sum(law.lucks for law in self._later)
        self._luck = np.zeros((lucks, self.g.size), np.float32) if lucks else None
        self._fresh: Array32 | None = self._flat.copy() if self._later else None
        self._written_at = np.zeros(self.g.size, np.int32) if self._later else None

    @property
    def _flat(self) -> Array32:
        # Made at every use: a view that is kept would be cut loose by a copy of the devices.
        return self.g.reshape(-1)

    def write(
        self, index: NDArray[np.int64], level: Array32, rng: np.random.Generator, *, now: int = 0
    ) -> Array32:
        """Program the devices at ``index`` to ``level``; return the levels that the verify reads
        find, (n,).

        Parameters
        ----------
        index
            Places of devices, (n,).
        level
            Levels to write, (n,).
        rng
            What random numbers are drawn from.
        now
            The update at which it is done, counted from 0.
        """
        aim = self.quantiser.steps(level)
        if self._cells is None:
            error = self.programming_error(aim, rng)
        else:
            g = self.low + aim * self.step
            off = self._cells.law.deviation(g, self._cells.cycle(rng, index))
            error = (off / self.step).astype(np.float32)
        return self._put(index, aim + error, rng, now)

    def nudge(
        self,
        index: NDArray[np.int64],
        change: Array32,
        rng: np.random.Generator,
        *,
        noise: float,
        now: int = 0,
    ) -> Array32:
        """Change conductances by pulses of ``change`` [mean steps] without verification, each off by
        the relative ``noise``; return the levels that are reached, (n,).

        Parameters
        ----------
        index
            Places of devices, (n,).
        change
            Change in mean steps, (n,).
        rng
            What random numbers are drawn from.
        noise
            Deviation of each change, relative.
        now
            The update at which it is done, counted from 0.
        """
        made = change * (1.0 + np.float32(noise) * rng.standard_normal(change.size, np.float32))
        return self.shift(index, made, rng, now=now)

    def shift(
        self, index: NDArray[np.int64], change: Array32, rng: np.random.Generator, *, now: int = 0
    ) -> Array32:
        """Change conductances by ``change`` [mean steps] from wherever devices stand; return the levels that are
        reached, (n,).

        Parameters
        ----------
        index
            Places of devices, (n,).
        change
            Change in mean steps, (n,).
        rng
            What random numbers are drawn from.
        now
            The update at which it is done, counted from 0.
        """
        return self._put(index, self.steps(index) + change, rng, now)

    def pulse(
        self,
        index: NDArray[np.int64],
        pulses: NDArray[np.int64],
        rng: np.random.Generator,
        *,
        now: int = 0,
    ) -> Array32:
        """Give ``pulses``, down below 0, to the devices at ``index``, each of which moves in its own
        steps; return the levels that are reached, (n,).

        Parameters
        ----------
        index
            Places of the devices, flattened, (n,).
        pulses
            Numbers of pulses, (n,).
        rng
            Draws what differs from pulse to pulse.
        now
            Update in which it happens.
        """
        if self._pulses is None or self._kind is None:
            raise InputError("these devices have no response to pulses: Crossbar(..., pulses=...)")
        top = np.float32(self.top)
        share = self._pulses.apply(self.steps(index) / top, pulses, self._kind[index], rng)
        return self._put(index, share * top, rng, now)

    def missing(self, index: NDArray[np.int64], level: Array32, seconds: float) -> Array32:
        """Return how far the devices at ``index`` are from ``level``, ``seconds`` after they were written, (n,) [mean
        steps]; 0 for those that no write moves.

        Parameters
        ----------
        index
            Places of the devices, flattened, (n,).
        level
            Levels they were written to, (n,).
        seconds
            Since then [s].

        Raises
        ------
        InputError
            If nothing says what devices do in so many seconds.
        """
        if self._quantiles is None:
            raise InputError(
                "training.reverify: devices are read again after some seconds, but effects.relaxation has no"
                " law that reckons in seconds: learn one, or name a technology as the device"
            )
        off = (
            self.quantiser.steps(level)
            - (self._after(index, 1, seconds=seconds) - self.low) / self.step
        )
        if self._stuck is not None:
            off = np.where(self._stuck[index], np.float32(0.0), off)
        return np.asarray(off, np.float32)

    def levels(self, index: NDArray[np.int64]) -> Array32:
        """Return the present, fractional levels of the devices at ``index``."""
        return self.quantiser.code(self.steps(index))

    def steps(self, index: NDArray[np.int64]) -> Array32:
        """Return the present conductances of the devices at ``index`` over the lowest level [mean
        steps].
        """
        result: Array32 = (self._flat[index] - self.low) / self.step
        return result

    def pairs(self, index: NDArray[np.int64]) -> Array32:
        """Return the same of neighbours in even and odd columns, (n, 2), whose places are twice ``index`` and
        the next.
        """
        result: Array32 = (self._flat.reshape(-1, 2)[index] - self.low) / self.step
        return result

    def programming_error(self, aim: Array32, rng: np.random.Generator) -> Array32:
        """Draw what write-verify leaves of the targets ``aim``, (n,) [mean steps]."""
        return self._draw(self.effects.laws.programming, aim, rng)

    @property
    def dead(self) -> Array32 | None:
        """Where devices that no write moves are stuck [mean steps], nan for the others, as the stack; ``None``
        where all follow.
        """
        if self._stuck is None:
            return None
        held = np.where(self._stuck, (self._flat - self.low) / self.step, np.float32(np.nan))
        return np.asarray(held.reshape(self.g.shape), np.float32)

    @property
    def limited(self) -> bool:
        """Whether there are devices that don't go wherever they are told to."""
        return self._stuck is not None or self._reach is not None

    def attainable(self, index: NDArray[np.int64], level: Array32) -> Array32:
        """Return where writes of the devices at ``index`` to ``level`` end, programming errors
        left out: stuck devices stay, and others stop at their reach.
        """
        if self._reach is not None:
            level = np.minimum(level, self.quantiser.code(self._reach[index]))
        if self._stuck is not None:
            held = np.clip(np.rint(self.levels(index)), 0.0, np.float32(self.top))
            level = np.where(self._stuck[index], held, level)
        return level

    def _draw(
        self,
        law: Programming | PcmProgramming | CycleLaw | ProgrammingQuantiles | Jump,
        steps: Array32,
        rng: np.random.Generator,
    ) -> Array32:
        if isinstance(law, ProgrammingQuantiles):
            g = self.low + steps * self.step
            return ((law.sample(g, rng) - g) / self.step).astype(np.float32)
        z = rng.standard_normal(steps.size, np.float32)
        share = law.share(self.span)
        if share is not None:
            return np.float32(share * self.top) * z
        g = self.low + steps * self.step
        return (law.sigma(g, self.span) / self.step).astype(np.float32) * z

    def _put(
        self, index: NDArray[np.int64], reached: Array32, rng: np.random.Generator, now: int
    ) -> Array32:
        bottom, top = np.float32(0.0), np.float32(self.top)
        if self._sampled:  # bands reach beyond the outer levels
            bottom, top = -self.low / self.step, np.float32(np.inf)
        reached = reached.clip(bottom, top if self._reach is None else self._reach[index])
        held = reached
        if self._jump is not None:
            held = np.clip(held + self._draw(self._jump, held, rng), bottom, top)
        g = self.low + held * self.step
        self._wear_out(index)
        if self._stuck is not None:
            stuck = self._stuck[index]
            g = np.where(stuck, self._flat[index], g)
            reached = np.where(stuck, (g - self.low) / self.step, reached)
        self._flat[index] = g
        if self._fresh is not None and self._written_at is not None:
            self._fresh[index], self._written_at[index] = g, now
        if self._luck is not None:
            self._luck[:, index] = rng.standard_normal((len(self._luck), len(index)), np.float32)
        if self._quantiles is not None:
            # Reads meet the device an update after it was written, not before.
            self._flat[index] = self._after(index, 1)
        return self.quantiser.code(reached)

    def _after(
        self, index: NDArray[np.int64], updates: Any, *, seconds: float | None = None
    ) -> Array32:
        """Return what the devices at ``index`` have some updates, or ``seconds``, after their last write [S]."""
        assert self._fresh is not None
        held, drawn = self._fresh[index], 0
        for law in self._later:
            luck: ArrayLike = ()
            if self._luck is not None:
                luck = self._luck[drawn : drawn + law.lucks, index]
            drawn += law.lucks
            of_updates = seconds is None or not law.timed
            age = self.effects.age(updates, law) if of_updates else self.effects.since(seconds, law)
            held = law.later(held, age, luck)
        if self._stuck is not None:
            held = np.where(self._stuck[index], self._flat[index], held)
        return np.asarray(held, np.float32)

    def _wear_out(self, index: NDArray[np.int64]) -> None:
        """Count one write of each of the devices; those past their life stay where they are."""
        if self._written is not None and self._life is not None and self._stuck is not None:
            self._written[index] += 1
            self._stuck[index] |= self._written[index] > self._life[index]

    def age(self, now: int) -> bool:
        """Let all devices change with their age until update ``now``; return whether any
        conductance changed.
        """
        if self._fresh is None or self._written_at is None:
            return False
        updates = now - self._written_at
        # The next read of what has relaxed is an update after its write, not before.
        soon = np.maximum(updates, 1)
        self._grow_old(
            lambda law: self.effects.age(soon if law is self._quantiles else updates, law)
        )
        return True

    def wait(self, seconds: float) -> None:
        """Let all devices change with their age, ``seconds`` after each was written. Laws that count
        ages in updates count them in the effects' ``seconds``, or in seconds.
        """
        if self._fresh is not None:
            self._grow_old(lambda law: self.effects.since(seconds, law))

    def _grow_old(self, age: Callable[[Any], Any]) -> None:
        assert self._fresh is not None
        held, drawn = self._fresh, 0
        for law in self._later:
            luck: ArrayLike = ()
            if self._luck is not None:
                luck = self._luck[drawn : drawn + law.lucks]
            drawn += law.lucks
            held = law.later(held, age(law), luck)
        self._flat[...] = held if self._stuck is None else np.where(self._stuck, self._flat, held)

    def deploy(
        self,
        index: NDArray[np.int64],
        state: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        anew: bool,
        source: NDArray[np.int64] | None = None,
    ) -> None:
        """Hold what devices of another such array held, of its :meth:`state`: the levels nearest to
        it, programmed into the devices at ``index`` here (``anew``), or the very conductances, but
        for devices that are stuck here.

        Parameters
        ----------
        index
            Places of the devices, flattened, (n,).
        state
            Of the other array, as :meth:`state` gives it.
        rng
            Draws programming errors.
        anew
            Whether devices are programmed, or hold what those held.
        source
            Places there of what they are programmed to, if not the same, (n,).
        """
        g = np.asarray(state["g"], np.float32).reshape(-1)
        if anew:
            steps = (g[index if source is None else source] - self.low) / self.step
            level = np.clip(np.rint(self.quantiser.code(steps)), 0.0, np.float32(self.top))
            self.write(index, level, rng)
            return
        sound = np.ones(g.size, bool) if self._stuck is None else ~self._stuck
        self._flat[sound] = g[sound]
        if state.get("stuck") is not None:
            before = np.asarray(state["stuck"], bool)
            self._stuck = before.copy() if self._stuck is None else self._stuck | before
        if self._fresh is not None:
            self._fresh[...] = self._flat
        if self._luck is not None:
            # What was drawn when they were written belongs to the laws of then.
            self._luck[...] = rng.standard_normal(self._luck.shape, np.float32)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "g": self.g.copy(),
            "stuck": self._stuck,
            "reach": self._reach,
            "fresh": self._fresh,
            "written_at": self._written_at,
            "life": self._life,
            "written": self._written,
            "luck": self._luck,
            **dict(self._cycles()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.g[...] = state["g"]
        for mine, name in (
            (self._stuck, "stuck"),
            (self._reach, "reach"),
            (self._fresh, "fresh"),
            (self._written_at, "written_at"),
            (self._life, "life"),
            (self._written, "written"),
            (self._luck, "luck"),
            *((part, name) for name, part in self._cycles()),
        ):
            if mine is not None:
                mine[...] = state[name]

    def _cycles(self) -> list[tuple[str, Array32]]:
        cells = self._cells
        if cells is None:
            return []
        return [("past", cells.past), ("cell_mean", cells.mean), ("cell_spread", cells.spread)]
