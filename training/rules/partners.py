"""Pairs whose partner need not rest: a weight moves by whichever device it takes least energy to write.

A weight is the difference of two devices. Where the partner rests at the lowest level, each way of a
weight is one direction of one device, and devices whose RESET takes a thousand times the energy of
their SET pay that for half of all changes. Raising the partner moves the weight the same way, until it
has come to the top of its range; where updates are few, it hardly ever does. The same freedom makes up
for a device that is stuck, with the other one of its pair.
"""

__all__ = ["FreePairs"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array32
from .bad_cells import Limits
from .quantise import pair
from .rule import EnergyOf


class FreePairs:
    """Levels of both devices of every weight of one matrix.

    Parameters
    ----------
    codes
        Codes of the weights, flattened, (n,).
    energy
        What a write takes.
    limits
        What devices are known to reach, if that is kept.
    top
        Highest level.
    """

    def __init__(self, codes: Array32, energy: EnergyOf, limits: Limits | None, top: int) -> None:
        self.levels: Array32 = np.stack(pair(codes), axis=-1)
        """Of the plus and of the minus device, (n, 2)."""
        self._energy, self._limits, self._top = energy, limits, np.float32(top)

    def plan(
        self, weight: NDArray[np.int64], code: Array32, worn: NDArray[np.bool_] | None = None
    ) -> tuple[Array32, Array32]:
        """Return the levels of the pairs of some weights before and after they are brought as near to
        ``code`` as they come, (n, 2) each, by the way that takes least energy.

        Parameters
        ----------
        weight
            Which weights, (n,).
        code
            Codes that are wanted, (n,).
        worn
            Devices that may not be written any more, (n, 2).
        """
        before = self.levels[weight]
        plus, minus = before.T
        ways = np.stack(
            [
                np.stack([minus + code, minus], axis=-1),
                np.stack([plus, plus - code], axis=-1),
                np.stack(pair(code), axis=-1),
                before,
            ]
        )
        ways = np.clip(ways, np.float32(0.0), self._top)
        if self._limits is not None:
            ways = self._limits.clip(2 * weight[:, None] + np.arange(2), ways)
        touched = ways != before
        energy = np.zeros(ways.shape)
        energy[touched] = self._energy(np.broadcast_to(before, ways.shape)[touched], ways[touched])
        missing = np.abs(ways[..., 0] - ways[..., 1] - code)
        if worn is not None:
            missing[(touched & worn).any(axis=-1)] = np.inf
        nearest = missing == missing.min(axis=0)
        chosen = np.argmin(np.where(nearest, energy.sum(axis=-1), np.inf), axis=0)
        return before, ways[chosen, np.arange(len(weight))]

    def settle(self, device: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take over what devices that failed are known to hold; return their weights."""
        assert self._limits is not None
        flat = self.levels.reshape(-1)
        flat[device] = self._limits.clip(device, flat[device])
        return np.unique(device >> 1)

    def code(self, weight: Any = slice(None)) -> Array32:
        """Return the codes that pairs hold."""
        difference: Array32 = self.levels[weight, 0] - self.levels[weight, 1]
        return difference

    def within(self, steps: Array32) -> None:
        """Clip weights ``steps`` [mean steps], (n,), to what their pairs can hold."""
        if self._limits is None or self._limits.none:
            return
        low, high = (each.reshape(-1, 2) for each in (self._limits.low, self._limits.high))
        # Of a device that is stuck between two levels the lower limit is above the higher one.
        low = np.minimum(low, high)
        np.clip(steps, low[:, 0] - high[:, 1], high[:, 0] - low[:, 1], out=steps)
