"""The Siamese update on a budget: at most so many weights of a matrix are changed per update, those
furthest from their levels first.

Plain hysteresis buys fewer writes with accuracy: a float weight that its devices don't follow goes on
adding up gradients that were taken where the devices are. So it does with a budget alone, whose
queue of weights that wait for a write grows; with one weight per update of a small output layer
training diverges. Here the float weight is held within ``reach`` level steps of what its devices
hold, so that it forgets what can't be written soon, as the integrator of a controller whose actuator
saturates is held (anti-windup)::

    w <- clip(w, d (q - reach), d (q + reach));   write the budget's largest |w / d - q| > 1/2 + h

As training settles, the budget shrinks with the learning rate: by its power ``fade``. All of this
is this project's own.
"""

__all__ = ["Budgeted", "BudgetedOptions"]

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.options import check_number
from ...data.types import Array32
from .rule import Start, Writes
from .siamese import Siamese, SiameseOptions

FINE = np.float32(1024.0)
"""Parts of a level step within which weights count as equally far from their levels."""


@dataclass(frozen=True)
class BudgetedOptions(SiameseOptions):
    """A budget of writes, beside the options of the Siamese update."""

    budget: float = 8e-4
    """Largest share of a matrix' weights that one update changes, in the beginning."""
    least: int = 16
    """Weights that an update may change in a matrix so small that the budget would be less."""
    fade: float = 3.0
    """How the budget follows the learning rate: by this power of its ratio to the first one."""
    reach: float = 2.0
    """How far a float weight may be from what its devices hold, in mean level steps."""
    gather: float = 0.0
    """Level steps within which waiting weights count as equally far, those on one line of devices, a row of
    a tile, being written together; row-parallel writing gains by it. 0 for each by itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("budgeted rule", budget=self.budget, above=0, at_most=1)
        check_number("budgeted rule", least=self.least, whole=True, at_least=1)
        check_number("budgeted rule", fade=self.fade, at_least=0, at_most=10)
        check_number("budgeted rule", gather=self.gather, at_least=0, at_most=10)
        check_number("budgeted rule", reach=self.reach, above=0, below=1e6)
        if self.reach <= 0.5 + self.hysteresis:
            raise InputError(
                f"budgeted rule: no weight would ever be written, reach = {self.reach:g} must be above"
                f" half a step plus the hysteresis of {self.hysteresis:g}"
            )


class Budgeted(Siamese):
    """Float twin and level codes of one matrix, of which few change per update."""

    options: BudgetedOptions

    def __init__(self, start: Start, options: BudgetedOptions | None = None) -> None:
        super().__init__(start, options or BudgetedOptions())
        self._rng, self._first_rate = start.rng, 0.0
        self._width = start.line
        self._room: int | None = None
        """Weights that the present update may change; ``None`` for as many as there are."""

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Take one batch's gradient; return the writes of the update, or ``None`` while gradients
        accumulate.
        """
        self._first_rate = self._first_rate or rate
        self._room = self.room(rate)
        return super().step(gradient, rate)

    def rescale(self, clip: float) -> Writes:
        """Let the highest level stand for the weight ``clip`` from now on; all weights are free to
        follow.
        """
        self._room = None
        return super().rescale(clip)

    def room(self, rate: float) -> int:
        """Return how many weights an update at a learning rate may change."""
        full = max(self.options.budget * self.codes.size, self.options.least)
        share = (rate / self._first_rate) ** self.options.fade if self._first_rate else 1.0
        return max(1, int(full * min(share, 1.0)))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return super().state() | {"first_rate": self._first_rate}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        super().restore(state)
        self._first_rate = float(state["first_rate"])

    def _sync(self) -> Writes:
        if self._room is not None:
            held = self.coding.weights(self.codes)
            reach = np.float32(self.options.reach * self.coding.step)
            np.clip(self._mapped, held - reach, held + reach, out=self._mapped)
        return super()._sync()

    def _leaving(self, target: Array32) -> tuple[NDArray[np.int64], Array32]:
        weight, ahead = super()._leaving(target)
        if self._room is None:
            return weight, ahead
        if self._written is not None and self.options.write_limit is not None:
            # Those that may not be written any more must not stand in the way of others.
            free = self._written.reshape(-1, 2).max(axis=1)[weight] < self.options.write_limit
            weight, ahead = weight[free], ahead[free]
        if len(weight) <= self._room:
            return weight, ahead
        # Many wait at the end of their reach: chance decides among them. To take those
        # first that the last batch pushes on was measured to train worse.
        # Where lines are gathered chance decides among lines, by which each weight's turn is as likely.
        if self.options.gather:
            fine, luck = np.float32(1.0 / self.options.gather), self._luck(weight)
        else:
            fine, luck = FINE, self._rng.random(len(ahead), np.float32)
        rank = np.rint(np.abs(ahead) * fine) + luck
        chosen = np.sort(np.argpartition(rank, -self._room)[-self._room :])
        return weight[chosen], ahead[chosen]

    def _luck(self, weight: NDArray[np.int64]) -> Array32:
        """Return one random number per line of devices, for each weight that of its line [0..1]."""
        drawn: Array32 = self._rng.random(int(self._line[-1]) + 1, np.float32)[self._line[weight]]
        return drawn

    @cached_property
    def _line(self) -> NDArray[np.int64]:
        """Line of devices that each weight sits on, flattened."""
        rows, cols = self.codes.shape
        width = self._width or cols
        block = np.arange(cols) // width
        line: NDArray[np.int64] = np.arange(rows)[:, None] * (block[-1] + 1) + block
        return line.reshape(-1)
