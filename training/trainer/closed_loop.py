"""What write-verify of continuous targets would have cost instead: the baselines of a training.

All of them bring devices to the float weights' new values after every batch, with the same
controller, pulses and tolerance. They differ in which devices they leave alone:

- ``closed_loop`` writes every device of every pair: the basic closed loop;
- ``closed_loop_not_resting`` leaves alone the partner that rests at the lowest level before and
  after the update, to which a pair asks nothing;
- ``closed_loop_moved`` writes only devices whose target moved: the most sparing of the three that
  needs no read to know what to write.
"""

__all__ = ["BASELINES", "ClosedLoops", "Share", "closed_loops"]

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array32
from ..rules.quantise import pair
from ..rules.rule import Writes
from ..twin.cost import Cost
from ..twin.ledger import Ledger
from ..twin.twin import MemristorTwin

BASELINES = {
    "closed_loop": "every device",
    "closed_loop_not_resting": "not the resting partner",
    "closed_loop_moved": "only devices whose target moved",
}
"""What each baseline writes, by the name that records and summaries have for it."""


@dataclass(frozen=True)
class ClosedLoops:
    """Costs of the baselines; two of them add."""

    every: Cost = field(default_factory=Cost)
    not_resting: Cost = field(default_factory=Cost)
    moved: Cost = field(default_factory=Cost)

    def __add__(self, other: "ClosedLoops") -> "ClosedLoops":
        mine, theirs = vars(self), vars(other)
        return ClosedLoops(**{name: mine[name] + theirs[name] for name in mine})

    def times(self, factor: float) -> "ClosedLoops":
        """Return ``factor`` times these costs."""
        return ClosedLoops(**{name: cost.times(factor) for name, cost in vars(self).items()})


@dataclass(frozen=True)
class Share:
    """Every how many rows of weights are looked at, from which one on: neighbours are alike, and so is what
    is left out.
    """

    every: int = 1
    first: int = 0

    def rows(self, count: int) -> NDArray[np.int64]:
        """Return which of ``count`` rows; one at least."""
        return np.arange(self.first % count, count, self.every)


def closed_loops(
    twin: MemristorTwin,
    ledger: Ledger,
    before: Sequence[Array32],
    after: Sequence[Array32],
    rng: np.random.Generator,
    *,
    spare_failed: bool = True,
    share: Share | None = None,
) -> ClosedLoops:
    """Return what it would cost to bring the devices from float weights ``before`` to ``after``, a
    matrix each.

    Each device starts where its last write left it: at the old target, give or take the programming
    error. A controller that spares failed devices asks for what they reach.

    Parameters
    ----------
    twin
        The memristor twin.
    ledger
        What was counted.
    before
        Float weights before, a matrix each.
    after
        Float weights after.
    rng
        What random numbers are drawn from.
    spare_failed
        Whether failed devices are asked only for what they reach.
    share
        Which rows of the weights are looked at; the others are taken to cost as much. By default all.
    """
    total, share = ClosedLoops(), share or Share()
    for k, (matrix, old, new) in enumerate(zip(twin.matrices, before, after, strict=True)):
        devices, (rows, cols) = matrix.devices, (matrix.placement.rows, matrix.placement.cols)
        scale = np.float32(devices.top / matrix.clip)
        looked = share.rows(rows)
        device = (2 * cols * looked[:, None] + np.arange(2 * cols)).reshape(-1)
        aims = [np.stack(pair(w[looked].ravel() * scale), axis=-1).ravel() for w in (old, new)]
        start = aims[0] + devices.programming_error(aims[0], rng)
        np.clip(start, 0.0, np.float32(devices.top), out=start)
        levels = [devices.quantiser.code(steps) for steps in (start, *aims)]
        if spare_failed:
            places = matrix.placement.places[device]
            levels = [devices.attainable(places, level) for level in levels]
        start, aimed, target = levels
        # Priced once: the others are parts of all.
        every = Writes(device, start, target, target.size // 2)
        each = ledger.price(k, every)
        parts = [
            ledger.estimate(k, _part(every, chosen), each.at(chosen))
            for chosen in map(np.flatnonzero, ((aimed > 0.0) | (target > 0.0), aimed != target))
        ]
        of_rows = ClosedLoops(ledger.estimate(k, every, each), *parts)
        total = total + of_rows.times(rows / len(looked))
    return total


def _part(writes: Writes, chosen: NDArray[np.int64]) -> Writes:
    """Return those of the writes of all devices that are chosen, in rising order."""
    weight = chosen >> 1
    weights = int(np.count_nonzero(weight[1:] != weight[:-1])) + bool(len(weight))
    return Writes(writes.device[chosen], writes.before[chosen], writes.level[chosen], weights)
