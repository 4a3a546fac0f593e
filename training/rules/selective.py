"""Selective verify while a network learns: of an update's writes only those that matter most are read.

A verified write is read after every pulse. An unread one gets the pulses that take the nominal device from
level to level, and leaves its device where these take it from wherever it stands: most devices are shifted by the
change that is meant and what it misses, so that errors add up until a verified write ends them; cells behind
transistors forget most of where they stood. Which writes are worth the reads is estimated, to second order, as how
steep the loss is in the weight, the running mean of its squared gradients, times by how much the mean square error
of the device would fall: what an unread write would leave of it, less what a verified one does.

That sensitive weights alone are verified is the idea of SWIM and U-SWIM (Yan et al., DAC 2022,
doi:10.1145/3489517.3530459; arXiv:2401.05357), who write a trained network once; the estimate is this project's own.
"""

__all__ = ["Selective", "check_unread", "some_verified"]

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from ...data.errors import InputError
from ...data.types import Array, Array32
from ...devices.pulses.costs import Pricing
from ...devices.pulses.unread import Unread, unread_of
from .rule import Rule, Writes

MEMORY = np.float32(0.01)
"""Weight of the last batch in the running mean of squared gradients."""


class Selective:
    """Which writes of one matrix are verified.

    Parameters
    ----------
    share
        Share of an update's writes that are [0..1].
    unread
        What the others leave.
    codes
        Codes of the matrix' weights, (rows, cols).
    priced
        Levels of these devices as levels of the table of writes.
    """

    def __init__(
        self,
        share: float,
        unread: Unread,
        codes: Array32,
        priced: Callable[[Array32], Array32],
    ) -> None:
        self._share, self._unread, self._priced = share, unread, priced
        self._steepness = np.zeros_like(codes)
        self._gathered = np.zeros(2 * codes.size)
        """Mean square of what unread writes have left of each device's level so far [S²]."""

    def look(self, gradient: Array32) -> None:
        """Take one batch's gradient, (rows, cols)."""
        if self._share > 0.0:
            self._steepness *= np.float32(1.0) - MEMORY
            self._steepness += MEMORY * np.square(gradient[: len(self._steepness)])

    def chosen(
        self, writes: Writes, rng: np.random.Generator, stands: Array32, held: Array
    ) -> Writes:
        """Return the writes of an update with what those that are left unread miss, and where devices stand that
        were left unread before.

        Parameters
        ----------
        writes
            All of them, between whole levels.
        rng
            Draws what unread writes miss.
        stands
            Levels at which their devices really stand, fractional, (n,).
        held
            Conductances that these have [S], (n,).

        Raises
        ------
        InputError
            If they are of a rule that writes no levels, or does not read them as it is.
        """
        level, device = writes.level, writes.device
        if writes.blind is not None or (level != np.rint(level)).any():
            raise InputError(
                "training.verified: expected a rule that verifies writes from level to level, such as siamese or"
                " budgeted"
            )
        before, after = (self._priced(each) for each in (writes.before, level))
        gathered = self._gathered[device]
        owed, left = self._unread.squares(before, after, gathered)
        worth = self._steepness.reshape(-1)[device >> 1] * np.maximum(owed - left, 0.0)
        read = np.argsort(-worth, kind="stable")[: round(self._share * len(writes))]
        missed = self._unread.sample(before, after, held, rng)
        missed[read], owed[read] = np.nan, 0.0
        self._gathered[device] = owed
        known = np.where(gathered > 0.0, stands, writes.before)
        return replace(writes, unread=missed, stands=known)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"steepness": self._steepness.copy(), "gathered": self._gathered.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self._steepness[...], self._gathered[...] = state["steepness"], state["gathered"]


class _Priced(Protocol):
    """What a ledger knows."""

    @property
    def pricing(self) -> Pricing:
        """What writes cost."""
        ...

    def priced(self, matrix: int, level: Array32) -> Array32:
        """Return levels of one matrix's devices as levels of the pricing."""
        ...


def some_verified(share: float, updates: Sequence[Rule], ledger: _Priced) -> list[Selective] | None:
    """Return which writes of each matrix are verified; ``None`` where all are.

    Parameters
    ----------
    share
        Share of an update's writes that are [0..1].
    updates
        Rules of the matrices.
    ledger
        Of the same matrices.

    Raises
    ------
    InputError
        If nobody has simulated what unread writes cost and leave.
    """
    if share == 1.0:
        return None
    unread = unread_of(ledger.pricing)
    return [
        Selective(share, unread, update.codes, partial(ledger.priced, k))
        for k, update in enumerate(updates)
    ]


def check_unread(verified: float, reverify: float | None) -> None:
    """Refuse devices that are read again some seconds after they were left unread.

    Parameters
    ----------
    verified
        Share of the writes that is verified.
    reverify
        Seconds after which written devices are read again.
    """
    if verified < 1.0 and reverify:
        raise InputError(
            "training.verified: devices that are read again after a write, as those of a technology are where"
            " nothing is said, can't be left unread: choose training.reverify = 0"
        )
