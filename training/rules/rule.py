"""What an update rule is: gradients of one matrix in, device writes out."""

__all__ = ["EnergyOf", "Rescalable", "Rule", "Start", "Writes"]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array, Array32
from ...devices.pulses.steps import PulseSteps
from .optim import Optimiser
from .quantise import Coding

Indices: TypeAlias = NDArray[np.int64]

EnergyOf: TypeAlias = Callable[[Array32, Array32], Array]
"""Energy of verified writes from levels to levels, (n,) each [J]."""


@dataclass(frozen=True)
class Writes:
    """Devices to be programmed in one update of one matrix.

    Device ``2 k`` is the plus device of weight ``k`` in row-major order, ``2 k + 1`` the minus
    device.
    """

    device: Indices
    """(n,), none twice."""
    before: Array32
    """Level that the device is taken to be at, (n,)."""
    level: Array32
    """Level to program, 0..L-1; whole for level-coded rules, fractional for others, (n,). What a
    fraction means, the quantiser says."""
    weights: int
    """How many weights change."""
    reads: int = 0
    """Devices read to find out what to write, besides the verify reads of the writes."""
    blind: float | None = None
    """For pulses without any verify read: their relative cycle-to-cycle deviation."""
    pulses: Indices | None = None
    """For pulses that move devices as their own response has it: how many, down below 0, (n,); the
    levels then say where the mean device comes."""
    unread: Array | None = None
    """By how much writes that nobody reads miss the change that they are meant to make [S], (n,); nan for those with
    a read after every pulse, ``None`` where these are all."""
    stands: Array32 | None = None
    """Levels at which the devices really stand, fractional, (n,); ``None`` where that is ``before``."""

    @property
    def alone(self) -> NDArray[np.intp]:
        """Which of them nobody reads, (k,)."""
        return np.flatnonzero([] if self.unread is None else ~np.isnan(self.unread))

    def __len__(self) -> int:
        return len(self.device)


@dataclass(frozen=True)
class Start:
    """What a rule starts from, for one matrix."""

    weights: Array32
    """Initial float weights, (rows, cols)."""
    coding: Coding
    """Levels and largest weight."""
    optimiser: Optimiser
    """Made for the same shape."""
    digital_rows: int = 0
    """Last rows (a digital bias) that no device holds."""
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    """For rules that draw; in a training it starts anew with every epoch, so that a rule keeps
    nothing of it."""
    pulses: PulseSteps | None = None
    """What pulses do to the devices, where that is known."""
    energy: EnergyOf | None = None
    """What writes between levels take, where that is known."""
    line: int | None = None
    """Weights of a row that share a line of devices, counted from its first; ``None`` for all."""


class Rule(Protocol):
    """Float weights and device levels of one matrix, and how the ones become the others."""

    coding: Coding
    """Levels and largest weight."""
    weights: Array32
    """Float weights, (rows, cols)."""
    transposed: bool
    """Whether errors go back through the devices' own weights instead of the float ones."""

    @property
    def codes(self) -> Array32:
        """Level codes that the pairs of the mapped rows are meant to hold."""
        ...

    def first(self) -> Writes:
        """Return the writes that program every device for the first time, from level 0."""
        ...

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Take one batch's gradient; return the writes of the update, or ``None`` if none is due."""
        ...

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Take the verify reads of ``writes``: the levels that were reached, fractional, and which
        devices were given up, (n,) each.

        Parameters
        ----------
        writes
            What was to be written.
        measured
            Levels that the verify reads found, (n,).
        failed
            Which writes did not reach their target.
        """
        ...

    def column_scale(self) -> Array32 | None:
        """Return a digital factor for every column, or ``None``."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        ...


@runtime_checkable
class Rescalable(Protocol):
    """A rule whose largest weight can change while it trains."""

    def rescale(self, clip: float) -> Writes:
        """Let the highest level stand for the weight ``clip`` from now on; return the writes that
        this calls for.
        """
        ...
