"""How many writes a device survives."""

__all__ = ["Wear", "failures", "fit_wear"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError, too_few
from ...data.measurement import Table
from ...data.types import Array

WRITES_PER_CYCLE = 2
"""A SET and a RESET."""


@dataclass(frozen=True)
class Wear:
    """Endurance: a Weibull law. A worn-out device stays where it was.

    Attributes
    ----------
    writes
        Writes by which 63 % of the devices have failed.
    shape
        Weibull's β: below 1 early failures prevail, above 1 wear-out.
    """

    writes: float
    shape: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what is no Weibull law."""
        if not (0.0 < self.writes < np.inf and 0.0 < self.shape < np.inf):
            raise InputError(
                f"wear: writes and shape must be positive, got {self.writes!r} and {self.shape!r}"
            )

    def sample(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw how many writes each device survives, of ``shape``."""
        return np.asarray(self.writes * rng.weibull(self.shape, shape))


def fit_wear(writes: ArrayLike, failed: ArrayLike) -> Wear:
    """Learn a Weibull law from cells that failed and cells that had not when the test ended
    (maximum likelihood).

    Parameters
    ----------
    writes
        Writes at failure, or at the end of the test, shape (cells,).
    failed
        Whether the cell had failed, shape (cells,).

    Raises
    ------
    InputError
        If fewer than three cells failed.
    """
    from scipy.optimize import brentq  # slow to load, and only fits need it

    x = np.asarray(writes, float)
    dead: NDArray[np.bool_] = np.asarray(failed, bool)
    if dead.sum() < 3 or (x <= 0).any():
        raise InputError(
            f"{too_few(int(dead.sum()), 'failure')} for a law, expected 3 or more, at positive"
            " writes"
        )
    log = np.log(x / x.max())

    def slope(beta: float) -> float:
        weight = np.exp(beta * log)
        return float((weight @ log) / weight.sum() - 1.0 / beta - log[dead].mean())

    try:
        beta = float(brentq(slope, 1e-3, 1e3))
    except ValueError as error:
        raise InputError(
            "no Weibull law describes the failures: all cells failed after as many writes"
        ) from error
    scale = float(x.max() * (np.exp(beta * log).sum() / dead.sum()) ** (1.0 / beta))
    return Wear(scale, beta)


def failures(cycled: Table, window: float = 2.0) -> tuple[Array, NDArray[np.bool_]]:
    """Return the writes that cells of an endurance test survived, or went through until it ended,
    and whether they had failed, (cells,) each.

    A cell has failed from the first read on after which its ``window``, resistance after RESET
    over that after SET, never opens again.

    Parameters
    ----------
    cycled
        With columns ``address``, ``r_set`` and ``r_reset`` [ohm] and ``cycle``.

    Raises
    ------
    InputError
        If a column is missing.
    """
    missing = {"address", "r_set", "r_reset", "cycle"} - set(cycled.columns)
    if missing:
        raise InputError(
            f"{cycled.name}: an endurance test has columns address, r_set, r_reset and cycle, here"
            f" {', '.join(sorted(missing))} are missing"
        )
    ends, dead = [], []
    for cell in np.unique(cycled["address"]):
        there = np.flatnonzero(cycled["address"] == cell)
        there = there[np.argsort(cycled["cycle"][there], kind="stable")]
        cycle = cycled["cycle"][there]
        fine = np.flatnonzero(cycled["r_reset"][there] > window * cycled["r_set"][there])
        last = int(fine[-1]) if fine.size else -1
        failed = last + 1 < len(cycle)
        ends.append(cycle[last + 1] if failed else cycle[-1])
        dead.append(failed)
    return WRITES_PER_CYCLE * np.maximum(np.array(ends, float), 1.0), np.array(dead, bool)
