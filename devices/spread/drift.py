"""Conductance that is lost with time: a power law."""

__all__ = ["Drift", "fit_drift"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.measurement import Relaxation
from ...data.types import Array


@dataclass(frozen=True)
class Drift:
    """``g (1 + t/t_0)^-exponent``.

    Attributes
    ----------
    exponent
        How fast conductance is lost.
    t_0
        Time at which the loss sets in [s]; ``None`` where the age is counted in updates of a
        training, 1 of them.
    spread
        Standard deviation of the exponent, from write to write; never below 0.
    """

    exponent: float
    t_0: float | None = None
    spread: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no drift."""
        if not (0.0 <= self.exponent < np.inf and 0.0 <= self.spread < np.inf):
            raise InputError(
                f"drift: exponent and spread must be 0 or more, got {self.exponent!r} and"
                f" {self.spread!r}"
            )
        if self.t_0 is not None and not 0.0 < self.t_0 < np.inf:
            raise InputError(f"drift: t_0 must be positive [s], got {self.t_0!r}")

    @property
    def timed(self) -> bool:
        """Whether ages are in seconds."""
        return self.t_0 is not None

    @property
    def lucks(self) -> int:
        """How many normal numbers a cell's fate hangs on."""
        return int(self.spread > 0.0)

    def later(self, g: Any, age: Any, luck: Any) -> Any:
        """Return what cells written to g [S], (n,), have after ``age`` [s], or updates; ``luck``
        (lucks, n) is drawn once per write.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        age
            Time since programming [s].
        luck
            The device's own standard normal number, an array that broadcasts.
        """
        grown = np.asarray(1 + age if self.t_0 is None else 1.0 + age / self.t_0, g.dtype)
        if not self.lucks:
            return g * grown ** g.dtype.type(-self.exponent)
        exponent = np.maximum(self.exponent + self.spread * luck[0], 0.0)
        return g * grown ** -exponent.astype(g.dtype)

    def sample(self, g: ArrayLike, t: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw what cells of g [S] have at each time, shape (times, *g.shape), or g's for a single
        time.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        t
            Times [s].
        rng
            What random numbers are drawn from.
        """
        g = np.asarray(g, float)
        luck = rng.standard_normal((self.lucks, *g.shape))
        drawn = np.stack([self.later(g, time, luck) for time in np.atleast_1d(t).astype(float)])
        return np.asarray(drawn if np.ndim(t) else drawn[0])


def fit_drift(cells: Relaxation, t_0: float | None = None) -> Drift:
    """Learn drift from cells that were read again and again.

    Parameters
    ----------
    t_0
        See :class:`Drift`; default: the time between the first two reads [s].

    Raises
    ------
    InputError
        If fewer than three cells were read twice and conduct.
    """
    t = cells.t - cells.t[0]
    start = float(t[1]) if t_0 is None else t_0
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = -np.log(cells.g[:, 1:] / cells.g[:, :1])
    along = np.log1p(t[1:] / start)
    there = np.isfinite(loss)
    weight = (there * along**2).sum(1)
    enough = weight > 0.0
    if enough.sum() < 3:
        raise InputError(
            f"{cells.name}: {int(enough.sum())} cells that conduct were read twice, expected 3 or"
            " more"
        )
    exponents = np.where(there, loss * along, 0.0).sum(1)[enough] / weight[enough]
    return Drift(max(float(np.mean(exponents)), 0.0), start, float(np.std(exponents)))
