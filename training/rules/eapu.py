"""Error-aware probabilistic update (EaPU): changes that are smaller than a write can make are made
seldom, and then as large as it can.

After Liu et al., Nat. Commun. 2025, doi:10.1038/s41467-025-66240-7. Public in what we could reach is
that weights are updated with a probability derived from the devices' writing noise, that most small
changes are skipped and the others made larger, and that fewer than 1 in 1,000 weights are updated per
step. Ours, where the text says no more: the least change is ``ratio`` times the writing noise; a
change below it is made with the probability that keeps its mean, ::

    m -> sign(m) c   with probability |m| / c,   else 0;   c = ratio * noise * range

a larger one as it is; targets are continuous and reached by write-verify; there is no float copy:
the weights are what the verify reads found, and errors go back through the devices.
"""

__all__ = ["Eapu", "EapuOptions"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.options import check_number
from ...data.types import Array32
from .bad_cells import Limits
from .quantise import pair
from .rule import Start, Writes


@dataclass(frozen=True)
class EapuOptions:
    """What counts as too small to be written."""

    noise: float = 0.01
    """Standard deviation of what a write leaves, in shares of the conductance range."""
    ratio: float = 10.0
    """The least change that is written, over ``noise``."""
    spare_failed: bool = True
    """Whether a device is asked no more for what it has failed to reach."""

    def __post_init__(self) -> None:
        check_number("EaPU", noise=self.noise, above=0, below=1)
        check_number("EaPU", ratio=self.ratio, above=0)
        if self.noise * self.ratio > 1.0:
            raise InputError(
                "EaPU: the least change, noise times ratio, must be at most the whole range of 1, got"
                f" {self.noise * self.ratio:g}"
            )


class Eapu:
    """Weights of one matrix as its devices hold them."""

    transposed = True

    def __init__(self, start: Start, options: EapuOptions | None = None) -> None:
        self.coding, self.optimiser, self._rng = start.coding, start.optimiser, start.rng
        self.options = options or EapuOptions()
        clip = start.coding.clip
        self.weights: Array32 = np.clip(start.weights, -clip, clip).astype(np.float32)
        self._rows = len(start.weights) - start.digital_rows
        self._held = np.zeros(2 * self._mapped.size, np.float32)
        """Levels that the verify reads found, (2 weights,)."""
        self._least = np.float32(self.options.noise * self.options.ratio * self.coding.top)
        self._limits = (
            Limits(self._held.size, self.coding.top) if self.options.spare_failed else None
        )

    @property
    def _mapped(self) -> Array32:
        """Weights that devices hold."""
        # Made at every use: a view that is kept would be cut loose by a copy.
        return self.weights[: self._rows]

    @property
    def codes(self) -> Array32:
        """Codes of the weights, fractional."""
        return self.coding.quantiser.code(self.coding.steps(self._mapped))

    def first(self) -> Writes:
        """Return the verified writes that the training starts from."""
        level = np.stack(pair(self.codes.ravel()), axis=-1).ravel()
        return Writes(np.arange(level.size), self._held.copy(), level, self.codes.size)

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Draw which weights change by this batch, and return their writes."""
        move = self.optimiser.move(gradient, rate)
        rows, least = self._rows, self._least
        self.weights[rows:] -= move[rows:]
        wanted = self.coding.steps(move[:rows]).ravel()
        size = np.abs(wanted)
        drawn = size > least * self._rng.random(size.size, np.float32)
        weight = np.flatnonzero(drawn)
        change = -np.sign(wanted[weight]) * np.maximum(size[weight], least)
        top = np.float32(self.coding.top)
        old = self.coding.steps(self._mapped).reshape(-1)[weight]
        aim: Array32 = np.clip(old + change, -top, top).astype(np.float32)
        device = 2 * weight[:, None] + np.arange(2)
        level = np.stack(pair(self.coding.quantiser.code(aim)), axis=-1)
        if self._limits is not None:
            level = self._limits.clip(device, level)
        before = self._held[device]
        # A partner that rests, and is to rest, is left alone with the error of its last write.
        resting = np.stack(pair(old), axis=-1) + np.stack(pair(aim), axis=-1) == 0.0
        touched = (before != level) & ~resting
        changed = int(np.count_nonzero(touched.any(axis=1)))
        return Writes(device[touched], before[touched], level[touched], changed)

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Take over what the verify reads found, and which devices were given up.

        Parameters
        ----------
        writes
            What was to be written.
        measured
            Levels that the verify reads found, (n,).
        failed
            Which writes did not reach their target.
        """
        self._held[writes.device] = measured
        if self._limits is not None and failed is not None:
            self._limits.learn(writes, measured, failed)
        weight = writes.device >> 1
        steps = self.coding.quantiser.steps
        found = steps(self._held[2 * weight]) - steps(self._held[2 * weight + 1])
        self._mapped.reshape(-1)[weight] = found * np.float32(self.coding.step)

    def column_scale(self) -> Array32 | None:
        """Return ``None``: nothing is scaled."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "weights": self.weights.copy(),
            "held": self._held.copy(),
            "limits": None if self._limits is None else self._limits.state(),
            "optimiser": self.optimiser.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.weights[...], self._held[...] = state["weights"], state["held"]
        if self._limits is not None:
            self._limits.restore(state["limits"])
        self.optimiser.restore(state["optimiser"])
