"""The devices of a stack of tiles, with what keeps them from holding the level that they are told
to.

Every effect has its own switch, a fraction of the conductance range (highest minus lowest level)
unless said otherwise; 0 is off. Programming error and relaxation are drawn anew at every write
(cycle to cycle), reach and stuck devices once (device to device). Read noise belongs to a read, see
:mod:`.mapping`.
"""

__all__ = ["Devices", "Effects"]

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.types import Array32
from ..rules.quantise import Quantiser


@dataclass(frozen=True)
class Effects:
    """Device errors."""

    programming: float = 0.01
    """Standard deviation of what write-verify leaves of a target."""
    read: float = 0.005
    """Standard deviation of the noise of one device in one read."""
    reach: float = 0.0
    """Device to device: log-normal deviation of the largest reachable conductance; writes above it
    end there.
    """
    relaxation: float = 0.0
    """Standard deviation of the jump after the verify read has passed."""
    drift: float = 0.0
    """Exponent of the loss ``g ~ (1 + age)^-drift``; age in updates since the last write, brought
    up to date every epoch, in torch after every step.
    """
    stuck: float = 0.0
    """Share of devices that no write moves."""
    stuck_high: float = 0.5
    """Share of the stuck devices that are stuck at the highest level; the others are at the lowest.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value <= 1.0:
                raise InputError(f"effects: {item.name} must be from 0 to 1, got {value!r}")


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
        Draws the stuck devices and every device's reach.
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
    ) -> None:
        self.quantiser, self.top = quantiser, quantiser.levels - 1
        self.low, self.step = np.float32(low), np.float32((high - low) / self.top)
        self.places = quantiser.steps(np.arange(quantiser.levels, dtype=np.float32))
        """Where the levels lie [mean steps], (L,)."""
        self.even = bool(np.all(self.places == np.arange(quantiser.levels)))
        self.effects = effects
        self.g = np.full(shape, low, np.float32)
        """Conductances [S]."""
        self._stuck: NDArray[np.bool_] | None = None
        self._reach: Array32 | None = None
        if effects.stuck > 0.0:
            draw = rng.random(self.g.size)
            self._stuck = draw < effects.stuck
            self._flat[draw < effects.stuck * effects.stuck_high] = high
        if effects.reach > 0.0:
            spread = np.float32(effects.reach) * rng.standard_normal(self.g.size, np.float32)
            self._reach = np.float32(self.top) * np.minimum(np.exp(spread), np.float32(1.0))
        self._fresh: Array32 | None = self._flat.copy() if effects.drift > 0.0 else None
        self._written_at = np.zeros(self.g.size, np.int32) if effects.drift > 0.0 else None

    @property
    def _flat(self) -> Array32:
        # Made at every use: a view that is kept would be cut loose by a copy of the devices.
        return self.g.reshape(-1)

    def write(
        self, index: NDArray[np.int64], level: Array32, rng: np.random.Generator, *, now: int = 0
    ) -> Array32:
        """Program the devices at ``index`` to ``level``; return the levels that the verify reads
        find, (n,).
        """
        aim = self.quantiser.steps(level)
        return self._put(index, aim + self._draw(self.effects.programming, aim, rng), rng, now)

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
        """
        made = change * (1.0 + np.float32(noise) * rng.standard_normal(change.size, np.float32))
        return self._put(index, self.steps(index) + made, rng, now)

    def levels(self, index: NDArray[np.int64]) -> Array32:
        """Return the present, fractional levels of the devices at ``index``."""
        return self.quantiser.code(self.steps(index))

    def steps(self, index: NDArray[np.int64]) -> Array32:
        """Return the present conductances of the devices at ``index`` over the lowest level [mean
        steps].
        """
        result: Array32 = (self._flat[index] - self.low) / self.step
        return result

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
            level = np.where(self._stuck[index], np.rint(self.levels(index)), level)
        return level

    def _draw(self, share: float, like: Array32, rng: np.random.Generator) -> Array32:
        return np.float32(share * self.top) * rng.standard_normal(like.size, np.float32)

    def _put(
        self, index: NDArray[np.int64], reached: Array32, rng: np.random.Generator, now: int
    ) -> Array32:
        bottom, top = np.float32(0.0), np.float32(self.top)
        reached = np.clip(reached, bottom, top if self._reach is None else self._reach[index])
        held = reached
        if self.effects.relaxation > 0.0:
            held = np.clip(held + self._draw(self.effects.relaxation, held, rng), bottom, top)
        g = self.low + held * self.step
        if self._stuck is not None:
            stuck = self._stuck[index]
            g = np.where(stuck, self._flat[index], g)
            reached = np.where(stuck, (g - self.low) / self.step, reached)
        self._flat[index] = g
        if self._fresh is not None and self._written_at is not None:
            self._fresh[index], self._written_at[index] = g, now
        return self.quantiser.code(reached)

    def age(self, now: int) -> bool:
        """Let all devices drift until update ``now``; return whether any conductance changed."""
        if self._fresh is None or self._written_at is None:
            return False
        age = (1 + now - self._written_at).astype(np.float32)
        loss = age ** np.float32(-self.effects.drift)
        held = self._fresh * loss
        self._flat[...] = held if self._stuck is None else np.where(self._stuck, self._flat, held)
        return True

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "g": self.g.copy(),
            "stuck": self._stuck,
            "reach": self._reach,
            "fresh": self._fresh,
            "written_at": self._written_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.g[...] = state["g"]
        for mine, name in (
            (self._stuck, "stuck"),
            (self._reach, "reach"),
            (self._fresh, "fresh"),
            (self._written_at, "written_at"),
        ):
            if mine is not None:
                mine[...] = state[name]
