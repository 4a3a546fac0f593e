"""The Siamese update for few writes: a wide hysteresis that narrows as training settles, and learning
rates that rise to their height over the first updates.

Most writes of the plain update follow the noise of batches back and forth, not the way that a weight
goes in the end. A weight that is let go only some steps after its devices makes that way in one
write. What it costs is delay, and a delayed loop overshoots: it takes a small momentum, whose own
delay would add up, and, while all gradients point the same way, small rates::

    write  iff  |w / d - q| > 1/2 + h (rate / first rate)^narrow,      q <- round(w / d)
    rate  <-  rate min(1, n / rise)    in update n

Nothing bounds the writes of an update, so that none waits in a queue: how many there are follows from the
rate over the hysteresis. All of this is this project's own.
"""

__all__ = ["Patient", "PatientOptions"]

from dataclasses import dataclass
from typing import Any

from ...data.options import check_number
from ...data.types import Array32
from .rule import Start, Writes
from .siamese import Siamese, SiameseOptions


@dataclass(frozen=True)
class PatientOptions(SiameseOptions):
    """How patient an update is, beside the options of the Siamese update."""

    hysteresis: float = 2.5
    """Extra distance from the present level before a weight is rewritten, in level steps, in the beginning."""
    narrow: float = 0.6
    """How the hysteresis follows the learning rate: by this power of its ratio to the first one."""
    rise: int = 300
    """Updates over which the learning rate rises to its height; 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("patient rule", narrow=self.narrow, at_least=0, at_most=10)
        check_number("patient rule", rise=self.rise, whole=True, at_least=0)


class Patient(Siamese):
    """Float twin and level codes of one matrix, whose weights are let go after a while."""

    options: PatientOptions

    def __init__(self, start: Start, options: PatientOptions | None = None) -> None:
        super().__init__(start, options or PatientOptions())
        self._first_rate, self._width, self._done = 0.0, self.options.hysteresis, 0

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Take one batch's gradient; return the writes of the update, or ``None`` while gradients
        accumulate.
        """
        self._first_rate = self._first_rate or rate
        self._width = self.hysteresis(rate)
        share = min(1.0, (self._done + 1) / self.options.rise) if self.options.rise else 1.0
        writes = super().step(gradient, rate * share)
        if writes is not None:
            self._done += 1
        return writes

    def hysteresis(self, rate: float) -> float:
        """Return how far beyond half a step a weight may go at a learning rate, in level steps."""
        share = min(rate / self._first_rate, 1.0) if self._first_rate else 1.0
        return float(self.options.hysteresis * share**self.options.narrow)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return super().state() | {
            "first_rate": self._first_rate,
            "width": self._width,
            "done": self._done,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        super().restore(state)
        self._first_rate, self._done = float(state["first_rate"]), int(state["done"])
        self._width = float(state["width"])

    @property
    def _slack(self) -> float:
        return 0.5 + self._width
