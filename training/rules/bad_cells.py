"""What devices were found not to reach: the list of bad cells that a controller keeps."""

__all__ = ["Limits"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array32
from .rule import Writes

CLOSE = np.float32(0.25)
"""Distance at which a level still counts as reached [level steps]."""


class Limits:
    """Lowest and highest level that every device is known to reach, learned from failed writes."""

    def __init__(self, devices: int, top: int) -> None:
        self.low = np.zeros(devices, np.float32)
        self.high = np.full(devices, top, np.float32)
        self.top, self.none = top, True
        """Whether all are known to reach every level."""

    def learn(self, writes: Writes, measured: Array32, failed: NDArray[np.bool_]) -> None:
        """Take what the verify reads found where ``writes`` ``failed``, (n,) each.

        Parameters
        ----------
        writes
            What was to be written, (n,).
        measured
            Levels that the verify reads found, (n,).
        failed
            Which writes did not succeed, (n,).
        """
        device, found = writes.device[failed], measured[failed]
        short = writes.level[failed] > found
        self.none &= not failed.any()
        self.high[device[short]] = np.floor(found[short] + CLOSE)
        self.low[device[~short]] = np.ceil(found[~short] - CLOSE)

    def clip(self, device: Any, level: Array32) -> Array32:
        """Return the levels nearest to ``level`` that each ``device`` is known to reach."""
        if self.none:
            return level
        nearest: Array32 = np.minimum(np.maximum(level, self.low[device]), self.high[device])
        return nearest

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"low": self.low.copy(), "high": self.high.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.low[...], self.high[...] = state["low"], state["high"]
        self.none = bool((self.low == 0.0).all() and (self.high == self.top).all())
