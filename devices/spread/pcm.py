"""The published statistics of phase-change memory, for conductances up to ``g_max``.

Joshi et al., Nature Communications 11, 2473 (2020), doi:10.1038/s41467-020-16108-9; Nandakumar et
al., ICECS 2019, doi:10.1109/ICECS46596.2019.8964852.
"""

__all__ = ["PcmDrift", "PcmProgramming", "PcmReadNoise"]

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ...data.types import Array


@dataclass(frozen=True)
class PcmProgramming:
    """What programming leaves of a target.

    Attributes
    ----------
    g_max
        Full scale [S].
    """

    g_max: float = 25e-6

    def share(self, span: float | None = None) -> float | None:
        """Return ``None``: the deviation depends on the conductance."""
        del span
        return None

    def sigma(self, g: ArrayLike, span: float | None = None) -> Array:
        """Return the standard deviation [S] at conductances g [S]."""
        del span
        share = np.asarray(g, float) / self.g_max
        sigma = 1e-6 * np.maximum(-1.1731 * share**2 + 1.9650 * share + 0.2635, 0.0)
        return np.asarray(sigma * self.g_max / 25e-6)

    def sample(self, g: ArrayLike, rng: np.random.Generator, span: float | None = None) -> Array:
        """Draw what cells have after programming to g [S].

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        rng
            What random numbers are drawn from.
        span
            Highest less lowest level [S], for laws that are relative to it.
        """
        g = np.asarray(g, float)
        return np.maximum(g + self.sigma(g, span) * rng.standard_normal(g.shape), 0.0)


@dataclass(frozen=True)
class PcmDrift:
    """``g (t/t_0)^-ν``, ν from cell to cell and less where more was programmed.

    Attributes
    ----------
    g_max
        Full scale [S].
    t_0
        Time after programming at which g is the programmed one [s].
    """

    g_max: float = 25e-6
    t_0: float = 20.0
    timed: ClassVar[bool] = True
    """Whether ages are in seconds."""
    lucks: ClassVar[int] = 1
    """How many normal numbers a cell's fate hangs on."""

    def later(self, g: Any, age: Any, luck: Any) -> Any:
        """Return what cells programmed to g [S], (n,), have after ``age`` [s]; ``luck`` (1, n) is
        drawn once per write.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        age
            Time since programming [s].
        luck
            The device's own standard normal number, an array that broadcasts.
        """
        share = np.log(np.maximum(g / self.g_max, 1e-6))
        mean = np.clip(-0.0155 * share + 0.0244, 0.049, 0.1)
        sigma = np.clip(-0.0125 * share - 0.0059, 0.008, 0.045)
        nu = np.maximum(mean + sigma * luck[0], 0.0)
        return np.asarray(g * (np.maximum(age, self.t_0) / self.t_0) ** -nu, g.dtype)

    def sample(self, g: ArrayLike, t: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw what cells of g [S] have at each time [s], shape (times, *g.shape), or g's for a
        single time; a cell drifts with one exponent.

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
        luck = rng.standard_normal((1, *g.shape))
        drawn = np.stack([self.later(g, time, luck) for time in np.atleast_1d(t).astype(float)])
        return np.asarray(drawn if np.ndim(t) else drawn[0])


@dataclass(frozen=True)
class PcmReadNoise:
    """1/f noise of one read.

    Attributes
    ----------
    g_max
        Full scale [S].
    t
        Time after programming at which is read [s].
    t_read
        Duration of a read [s].
    """

    g_max: float = 25e-6
    t: float = 1.0
    t_read: float = 250e-9

    def share(self, span: float | None = None) -> float | None:
        """Return ``None``: the deviation depends on the conductance."""
        del span
        return None

    def sigma(self, g: ArrayLike, span: float | None = None) -> Array:
        """Return the standard deviation [S] at conductances g [S]."""
        del span
        g = np.asarray(g, float)
        q = np.minimum(0.0088 / np.maximum(g / self.g_max, 1e-9) ** 0.65, 0.2)
        return np.asarray(g * q * np.sqrt(np.log((self.t + self.t_read) / (2.0 * self.t_read))))

    def sample(self, g: ArrayLike, rng: np.random.Generator, span: float | None = None) -> Array:
        """Draw what one read gives for cells of g [S].

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        rng
            What random numbers are drawn from.
        span
            Highest less lowest level [S], for laws that are relative to it.
        """
        g = np.asarray(g, float)
        return np.asarray(g + self.sigma(g, span) * rng.standard_normal(g.shape))
