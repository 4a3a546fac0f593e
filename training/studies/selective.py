"""Programming many devices of which only some are verified: the others get the planned pulses, unread.

What a network loses by an unverified device depends on the weight that it holds. Verifying the sensitive
ones alone is the idea of SWIM and U-SWIM (Yan et al., DAC 2022, doi:10.1145/3489517.3530459;
arXiv:2401.05357): most reads, pulses and seconds go into devices that hardly matter. What a write of either
kind takes and leaves is drawn from a write table's own samples.
"""

__all__ = ["Programmed", "most", "program_some", "verify_gain"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...circuits.programming.table import WriteTable
from ...data.errors import InputError
from ...data.options import check_number
from ...data.types import Array
from ...devices.pulses.costs import Costs


@dataclass(frozen=True)
class Programmed:
    """Devices that were programmed once, (devices,) each."""

    g: Array
    """Conductances in the end [S]."""
    verified: NDArray[np.bool_]
    """Which were read after every pulse."""
    costs: Costs
    """What each took, verify reads included."""


def most(worth: ArrayLike, share: float) -> NDArray[np.bool_]:
    """Return which are the ``share`` of highest ``worth``, of the same shape; none is chosen that is worth
    nothing.

    Parameters
    ----------
    worth
        How much each matters, not below 0.
    share
        Share of all [0..1].

    Raises
    ------
    InputError
        If the share is none, or a worth is negative or no number.
    """
    check_number("selective verify", share=share, at_least=0, at_most=1)
    worth = np.asarray(worth, float)
    if not (worth >= 0.0).all():
        raise InputError("selective verify: how much devices matter must be numbers from 0")
    chosen = np.zeros(worth.size, bool)
    chosen[np.argsort(-worth.ravel(), kind="stable")[: round(share * worth.size)]] = True
    return chosen.reshape(worth.shape) & (worth > 0.0)


def verify_gain(table: WriteTable) -> Array:
    """Return by how much a read after every pulse lowers the mean square of what is left of each target, for
    fresh devices, (L,) [S²]: what a device's sensitivity is to be multiplied by.
    """
    return np.asarray(table.unread.gain[0])


def program_some(
    table: WriteTable, levels: ArrayLike, verified: ArrayLike, rng: np.random.Generator
) -> Programmed:
    """Program fresh devices, all at the lowest level, and verify only some of them.

    Parameters
    ----------
    table
        What writes take and leave, in closed and in open loop.
    levels
        Level of each device, whole, (devices,).
    verified
        Which devices are written with a read after every pulse, (devices,); those that stay at the lowest
        level are given no pulse without a read.
    rng
        Draws one of the table's samples for each.

    Raises
    ------
    InputError
        If there is no such level, or the table kept no samples.
    """
    level = np.asarray(levels)
    on = np.broadcast_to(np.asarray(verified, bool), level.shape)
    if not (
        np.equal(level, np.rint(level)).all() and ((level >= 0) & (level < table.levels)).all()
    ):
        raise InputError(f"selective verify: expected whole levels of 0 to {table.levels - 1}")
    if not table.sampled:
        raise InputError("selective verify: the write table kept no samples, make it anew")
    to, drawn = level.astype(np.intp), rng.integers(0, table.error.shape[-1], level.shape)
    unread = table.unread
    error = np.where(on, table.error[0, to, drawn], unread.missed[0, to, drawn])
    pulses, energy, time = (
        table.sampled[name][0, to, drawn] for name in ("pulses", "energy", "time")
    )
    read = Costs(pulses, pulses, table.reads[0, to], energy, time)
    alone = unread.of(np.zeros_like(to), to)
    costs = Costs(*(np.where(on, *each) for each in zip(read, alone, strict=True)))
    return Programmed(np.maximum(table.g[to] + error, 0.0), on.copy(), costs)
