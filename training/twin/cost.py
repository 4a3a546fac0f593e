"""Sums of what writes cost: over all devices, and per device."""

__all__ = ["Cost", "DeviceCosts", "removed_percent"]

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...devices.pulses.costs import Costs, Read

UNSAVED = ("pulses_up", "energy_high")
"""Sums that no share removed is told of."""


def removed_percent(done: float, basic: float) -> float:
    """Return by how many percent ``done`` is below ``basic``; 0 where there was nothing to remove."""
    return 100.0 * (1.0 - done / basic) if basic else 0.0


@dataclass(frozen=True)
class Cost:
    """Sums over writes; two costs add."""

    writes: float = 0.0
    """Device writes."""
    weights: float = 0.0
    """Weights changed."""
    pulses: float = 0.0
    pulses_up: float = 0.0
    """Of these, towards higher conductances."""
    reads: float = 0.0
    """Verify reads, of one device each."""
    energy: float = 0.0
    """Pulses and verify reads [J]; the low end where a bracket is all that is known."""
    time: float = 0.0
    """One device after the other [s]."""
    row_time: float = 0.0
    """One row after the other [s]."""
    energy_high: float = 0.0
    """High end of the bracket of ``energy`` [J]; the same where that is known."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def times(self, factor: float) -> "Cost":
        """Return ``factor`` times this cost."""
        return Cost(*(factor * a for a in self.values()))

    def values(self) -> tuple[float, ...]:
        """Return the sums in the order of the fields."""
        return tuple(vars(self).values())

    def removed(self, other: "Cost") -> dict[str, float]:
        """Return by how many percent this cost is below ``other``, per field, pulses as a whole."""
        mine, theirs = asdict(self), asdict(other)
        return {key: removed_percent(mine[key], theirs[key]) for key in mine if key not in UNSAVED}


class DeviceCosts:
    """Sums per device of one matrix over all epochs, (devices,) each, in the order of
    :class:`.rules.Writes`. Programming the initial weights is not among them.
    """

    def __init__(self, devices: int) -> None:
        self.writes = np.zeros(devices, np.int32)
        self.pulses_up, self.pulses_down = np.zeros(devices), np.zeros(devices)
        self.reads = np.zeros(devices)
        """Verify reads, and those that find out what to write."""
        self.energy, self.time = np.zeros(devices), np.zeros(devices)

    def add(self, device: NDArray[Any], each: Costs) -> None:
        """Add writes of devices, (n,)."""
        # An array of ones: numpy adds it seventy times as fast as the number.
        np.add.at(self.writes, device, np.ones(len(device), np.int32))
        for sums, more in (
            (self.pulses_up, each.pulses_up),
            (self.pulses_down, each.pulses - each.pulses_up),
            (self.reads, each.reads),
            (self.energy, each.energy),
            (self.time, each.time),
        ):
            np.add.at(sums, device, more)

    def look(self, reads: int, read: Read) -> None:
        """Add ``reads`` that find out what to write, of all devices alike."""
        share = reads / len(self.reads)
        self.reads += share
        self.energy += share * read.energy
        self.time += share * read.time
