"""Other ways to train the same tiles, to compare the Siamese update with.

- :class:`ClosedLoop`: every device is write-verified to its new, continuous target after every
  batch (basic), or only where a read finds it off by more than a tolerance (verify-first);
- :class:`Blind`: pulses without any read. Mixed precision adds gradients up digitally and sends
  ``trunc(sum / threshold)`` pulses (Nandakumar et al., Front. Neurosci. 2020,
  doi:10.3389/fnins.2020.00406); sign-based ("Manhattan", Zamanidoost et al. 2015,
  doi:10.1109/WISP.2015.7139171) sends one pulse to every weight with a gradient.
"""

__all__ = [
    "Blind",
    "BlindOptions",
    "ClosedLoop",
    "ClosedLoopOptions",
]

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.options import check_choice
from ...data.types import Array32
from .bad_cells import Limits
from .quantise import pair
from .rule import Start, Writes


@dataclass(frozen=True)
class ClosedLoopOptions:
    """Write-verify of continuous targets."""

    tolerance: float | None = None
    """Distance from its target, in shares of the conductance range, up to which a device is left
    alone after a read; ``None`` writes devices without looking."""
    skip: Literal["nothing", "resting", "unmoved"] = "nothing"
    """Without a tolerance, devices that are left alone: none, partners that rest at the lowest level
    before and after the update, or all whose target did not move."""
    spare_failed: bool = True
    """Whether a device is asked no more for what it has failed to reach."""

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0.0 <= self.tolerance < 1.0:
            raise InputError(f"closed loop: the tolerance must be below 1, got {self.tolerance!r}")
        check_choice("closed loop", "skip", self.skip, ("nothing", "resting", "unmoved"))
        if self.tolerance is not None and self.skip != "nothing":
            raise InputError(
                f"closed loop: skip = {self.skip!r} knows what to write without a read, leave out the"
                f" tolerance of {self.tolerance:g}"
            )


@dataclass(frozen=True)
class BlindOptions:
    """Pulses without verification; where the devices' own response is known (``device.response``), it
    says what they do instead of ``step`` and ``noise``.
    """

    kind: Literal["accumulate", "sign"] = "accumulate"
    """Pulses for what has added up, or one per batch by the gradient's sign."""
    step: float = 0.01
    """Change of conductance that a pulse is meant to make, in shares of the range; with
    ``accumulate`` also the threshold."""
    noise: float = 0.3
    """Standard deviation of the change that a pulse makes, relative to it (cycle to cycle)."""

    def __post_init__(self) -> None:
        if not (0.0 < self.step < 1.0 and 0.0 <= self.noise < 10.0):
            raise InputError(
                f"blind pulses: step must be in 0..1 and noise not negative, got {self.step!r} and"
                f" {self.noise!r}"
            )


class ClosedLoop:
    """Continuous targets, reached by write-verify."""

    transposed = False

    def __init__(self, start: Start, options: ClosedLoopOptions | None = None) -> None:
        self.coding, self.optimiser = start.coding, start.optimiser
        self.options = options or ClosedLoopOptions()
        clip = start.coding.clip
        self.weights: Array32 = np.clip(start.weights, -clip, clip).astype(np.float32)
        self._rows = len(start.weights) - start.digital_rows
        self._held = np.zeros(2 * self._mapped.size, np.float32)
        self._limits = (
            Limits(self._held.size, self.coding.top) if self.options.spare_failed else None
        )

    @property
    def _mapped(self) -> Array32:
        """Float weights that devices hold."""
        # Made at every use: a view that is kept would be cut loose by a copy.
        return self.weights[: self._rows]

    @property
    def codes(self) -> Array32:
        """Targets, fractional."""
        return self.coding.quantiser.code(self.coding.steps(self._mapped))

    def first(self) -> Writes:
        """Return the writes of all devices."""
        return self._writes(np.arange(self._held.size), self._targets(), 0)

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Move the weights and write all devices, or those that the options name."""
        skip = self.options.skip
        before = self._targets() if skip != "nothing" else None
        self.weights -= self.optimiser.move(gradient, rate)
        limit = np.float32(self.coding.clip)
        np.clip(self.weights, -limit, limit, out=self.weights)
        target = self._targets()
        if before is not None:
            chosen = target != before if skip == "unmoved" else (target > 0.0) | (before > 0.0)
            return self._writes(np.flatnonzero(chosen), target, 0)
        if self.options.tolerance is None:
            return self._writes(np.arange(target.size), target, 0)
        steps, band = self.coding.quantiser.steps, self.options.tolerance * self.coding.top
        off = np.abs(steps(target) - steps(self._held)) > np.float32(band)
        return self._writes(np.flatnonzero(off), target, target.size)

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Keep what the verify reads found, and which devices were given up.

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

    def _targets(self) -> Array32:
        level = np.stack(pair(self.codes.ravel()), axis=-1).ravel()
        return level if self._limits is None else self._limits.clip(slice(None), level)

    def _writes(self, device: Any, target: Array32, reads: int) -> Writes:
        weights = len(np.unique(device >> 1))
        return Writes(device, self._held[device], target[device], weights, reads)


class Blind:
    """Pulses on trust: nobody reads what they did, and errors go back through the devices."""

    transposed = True

    def __init__(self, start: Start, options: BlindOptions | None = None) -> None:
        self.coding, self.optimiser = start.coding, start.optimiser
        self.options = options or BlindOptions()
        clip = start.coding.clip
        self.weights: Array32 = np.clip(start.weights, -clip, clip).astype(np.float32)
        self._rows = len(start.weights) - start.digital_rows
        self._sent = self.coding.steps(self._mapped)
        """Where the pulses so far are meant to have brought the pairs [mean steps]."""
        self._step = np.float32(self.options.step * self.coding.top)

    @property
    def _mapped(self) -> Array32:
        """Float weights that devices hold."""
        # Made at every use: a view that is kept would be cut loose by a copy.
        return self.weights[: self._rows]

    @property
    def codes(self) -> Array32:
        """What the pairs are meant to hold, fractional."""
        return self.coding.quantiser.code(self._sent)

    def first(self) -> Writes:
        """Return the verified writes that the training starts from."""
        level = np.stack(pair(self.codes.ravel()), axis=-1).ravel()
        return Writes(np.arange(level.size), np.zeros_like(level), level, self.codes.size)

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Return the pulses of this batch, as changes of levels."""
        move = self.optimiser.move(gradient, rate)
        rows = self._rows
        self.weights[rows:] -= move[rows:]
        if self.options.kind == "sign":
            pulses = -np.sign(gradient[:rows])
        else:
            mapped, limit = self._mapped, np.float32(self.coding.clip)
            mapped -= move[:rows]
            np.clip(mapped, -limit, limit, out=mapped)
            # What the weight is ahead of the pulses sent so far is the digital sum.
            ahead = self.coding.steps(mapped) - self._sent
            pulses = np.trunc(ahead / self._step)
        weight = np.flatnonzero(pulses)
        old = self._sent.reshape(-1)[weight]
        top = np.float32(self.coding.top)
        new: Array32 = np.clip(old + pulses.reshape(-1)[weight] * self._step, -top, top)
        self._sent.reshape(-1)[weight] = new
        if self.options.kind == "sign":
            self._mapped[...] = self._sent * np.float32(self.coding.step)
        before, after = (
            np.stack(pair(self.coding.quantiser.code(at)), axis=-1) for at in (old, new)
        )
        touched = before != after
        device = (2 * weight[:, None] + np.arange(2))[touched]
        return Writes(
            device, before[touched], after[touched], len(weight), blind=self.options.noise
        )

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Ignore it: blind pulses are not read.

        Parameters
        ----------
        writes
            What was to be written.
        measured
            Levels that the verify reads found, (n,).
        failed
            Which writes did not reach their target.
        """

    def column_scale(self) -> Array32 | None:
        """Return ``None``: nothing is scaled."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "weights": self.weights.copy(),
            "sent": self._sent.copy(),
            "optimiser": self.optimiser.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.weights[...], self._sent[...] = state["weights"], state["sent"]
        self.optimiser.restore(state["optimiser"])
