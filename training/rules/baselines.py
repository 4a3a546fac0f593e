"""Other ways to train the same tiles, to compare the Siamese update with.

- :class:`ClosedLoop`: every device is write-verified to its new, continuous target after every
  batch (basic), or only where a read finds it off by more than a tolerance (verify-first);
- :class:`Blind`: pulses without any read. Mixed precision adds gradients up digitally and sends
  ``trunc(sum / threshold)`` pulses (Nandakumar et al., Front. Neurosci. 2020,
  doi:10.3389/fnins.2020.00406); sign-based ("Manhattan", Zamanidoost et al. 2015,
  doi:10.1109/WISP.2015.7139171) sends one pulse to every weight with a gradient.
"""

__all__ = [
    "BASELINES",
    "Baseline",
    "Blind",
    "BlindOptions",
    "ClosedLoop",
    "ClosedLoopOptions",
    "start_rule",
]

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.types import Array32
from .bad_cells import Limits
from .optim import Optimiser
from .quantise import Quantiser, pair
from .rule import Rule, Writes
from .siamese import Siamese, SiameseOptions


@dataclass(frozen=True)
class ClosedLoopOptions:
    """Write-verify of continuous targets."""

    tolerance: float | None = None
    """Distance from its target, in shares of the conductance range, up to which a device is left
    alone after a read; ``None`` writes every device without looking."""
    spare_failed: bool = True
    """Whether a device is asked no more for what it has failed to reach."""

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0.0 <= self.tolerance < 1.0:
            raise InputError(f"closed loop: the tolerance must be below 1, got {self.tolerance!r}")


@dataclass(frozen=True)
class BlindOptions:
    """Pulses without verification."""

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


Baseline: TypeAlias = ClosedLoopOptions | BlindOptions

BASELINES: dict[str, Baseline] = {
    "closed loop": ClosedLoopOptions(),
    "verify-first": ClosedLoopOptions(tolerance=0.02),
    "mixed precision": BlindOptions(),
    "sign": BlindOptions("sign"),
}
"""Baselines by the name under which reports show them."""


class ClosedLoop:
    """Continuous targets, reached by write-verify."""

    transposed = False

    def __init__(
        self,
        weights: Array32,
        quantiser: Quantiser,
        optimiser: Optimiser,
        options: ClosedLoopOptions,
        *,
        digital_rows: int = 0,
    ) -> None:
        self.quantiser, self.optimiser, self.options = quantiser, optimiser, options
        self.weights: Array32 = np.clip(weights, -quantiser.clip, quantiser.clip).astype(np.float32)
        self._mapped = self.weights[: len(weights) - digital_rows]
        self._held = np.zeros(2 * self._mapped.size, np.float32)
        self._limits = Limits(self._held.size, quantiser.top) if options.spare_failed else None

    @property
    def codes(self) -> Array32:
        """Targets in level steps, fractional."""
        codes: Array32 = self._mapped * np.float32(1.0 / self.quantiser.step)
        return codes

    def first(self) -> Writes:
        """Return the writes of all devices."""
        return self._writes(np.arange(self._held.size), self._targets(), 0)

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Move the weights and write all devices, or those that a read finds off."""
        self.weights -= self.optimiser.move(gradient, rate)
        limit = np.float32(self.quantiser.clip)
        np.clip(self.weights, -limit, limit, out=self.weights)
        target = self._targets()
        if self.options.tolerance is None:
            return self._writes(np.arange(target.size), target, 0)
        off = np.abs(target - self._held) > np.float32(self.options.tolerance * self.quantiser.top)
        return self._writes(np.flatnonzero(off), target, target.size)

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Keep what the verify reads found, and which devices were given up."""
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

    def __init__(
        self,
        weights: Array32,
        quantiser: Quantiser,
        optimiser: Optimiser,
        options: BlindOptions,
        *,
        digital_rows: int = 0,
    ) -> None:
        self.quantiser, self.optimiser, self.options = quantiser, optimiser, options
        self.weights: Array32 = np.clip(weights, -quantiser.clip, quantiser.clip).astype(np.float32)
        self._mapped = self.weights[: len(weights) - digital_rows]
        self.codes: Array32 = self._mapped * np.float32(1.0 / quantiser.step)
        self._step = np.float32(options.step * quantiser.top)

    def first(self) -> Writes:
        """Return the verified writes that the training starts from."""
        level = np.stack(pair(self.codes.ravel()), axis=-1).ravel()
        return Writes(np.arange(level.size), np.zeros_like(level), level, self.codes.size)

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Return the pulses of this batch, as changes of levels."""
        move = self.optimiser.move(gradient, rate)
        self.weights[len(self.codes) :] -= move[len(self.codes) :]
        if self.options.kind == "sign":
            pulses = -np.sign(gradient[: len(self.codes)])
        else:
            self._mapped -= move[: len(self.codes)]
            limit = np.float32(self.quantiser.clip)
            np.clip(self._mapped, -limit, limit, out=self._mapped)
            # What the weight is ahead of the pulses sent so far is the digital sum.
            ahead = self._mapped * np.float32(1.0 / self.quantiser.step) - self.codes
            pulses = np.trunc(ahead / self._step)
        weight = np.flatnonzero(pulses)
        old = self.codes.reshape(-1)[weight]
        top = np.float32(self.quantiser.top)
        new: Array32 = np.clip(old + pulses.reshape(-1)[weight] * self._step, -top, top)
        self.codes.reshape(-1)[weight] = new
        if self.options.kind == "sign":
            self._mapped[...] = self.codes * np.float32(self.quantiser.step)
        before, after = np.stack(pair(old), axis=-1), np.stack(pair(new), axis=-1)
        touched = before != after
        device = (2 * weight[:, None] + np.arange(2))[touched]
        return Writes(
            device, before[touched], after[touched], len(weight), blind=self.options.noise
        )

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Ignore it: blind pulses are not read."""

    def column_scale(self) -> Array32 | None:
        """Return ``None``: nothing is scaled."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "weights": self.weights.copy(),
            "codes": self.codes.copy(),
            "optimiser": self.optimiser.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.weights[...], self.codes[...] = state["weights"], state["codes"]
        self.optimiser.restore(state["optimiser"])


def start_rule(
    options: SiameseOptions | Baseline,
    weights: Array32,
    quantiser: Quantiser,
    optimiser: Optimiser,
    *,
    digital_rows: int = 0,
) -> Rule:
    """Return the rule that ``options`` describe, for one matrix."""
    if isinstance(options, SiameseOptions):
        return Siamese(weights, quantiser, optimiser, options, digital_rows=digital_rows)
    if isinstance(options, ClosedLoopOptions):
        return ClosedLoop(weights, quantiser, optimiser, options, digital_rows=digital_rows)
    return Blind(weights, quantiser, optimiser, options, digital_rows=digital_rows)
