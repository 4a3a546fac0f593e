"""A normal deviation whose size is a power law of the conductance: σ = scale · g_ref (g/g_ref)^power.

Write errors, jumps after a write and read noise are such laws. With ``power = 0`` every device
deviates by as much, with ``power = 1`` by the same share of what it conducts.
"""

__all__ = ["Deviation", "fit_deviation"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array


@dataclass(frozen=True)
class Deviation:
    """A normal deviation.

    Attributes
    ----------
    scale
        σ/g at ``g_ref``; for ``power = 0``, σ as a share of ``g_ref``.
    power
        How σ grows with g.
    g_ref
        Conductance that ``scale`` refers to [S]; ``None`` for the range of the levels, highest
        minus lowest.
    """

    scale: float
    power: float = 0.0
    g_ref: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no size of a deviation."""
        if not 0.0 <= self.scale < np.inf or not np.isfinite(self.power):
            raise InputError(
                f"deviation: expected a scale from 0 and a finite power, got {self.scale!r} and"
                f" {self.power!r}"
            )
        if self.g_ref is not None and not 0.0 < self.g_ref < np.inf:
            raise InputError(f"deviation: g_ref must be positive [S], got {self.g_ref!r}")

    def share(self, span: float | None = None) -> float | None:
        """Return σ as a share of the levels' range ``span`` [S], or ``None`` where it depends on
        the conductance.
        """
        if self.scale == 0.0:
            return 0.0
        if self.power != 0.0:
            return None
        return self.scale if self.g_ref is None else self.scale * self.g_ref / _known(span)

    def sigma(self, g: ArrayLike, span: float | None = None) -> Array:
        """Return the standard deviation [S] at conductances g [S].

        Parameters
        ----------
        span
            Range of the levels, highest minus lowest [S]; needed where ``g_ref`` is ``None``.
        """
        g = np.asarray(g, float)
        if self.power == 1.0 or self.scale == 0.0:
            return np.asarray(self.scale * np.maximum(g, 0.0))
        reference = _known(span) if self.g_ref is None else self.g_ref
        share = np.maximum(g / reference, 0.0 if self.power >= 0.0 else 1e-9)
        return np.asarray(self.scale * reference * share**self.power)

    def sample(self, g: ArrayLike, rng: np.random.Generator, span: float | None = None) -> Array:
        """Draw what becomes of conductances g [S], any shape.

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
        z = rng.standard_normal(g.shape)
        if self.power == 1.0:
            return np.asarray(g * (1.0 + self.scale * z))
        return np.asarray(g + self.sigma(g, span) * z)


def fit_deviation(g: Array, sigma: Array, g_ref: float | None = None) -> tuple[float, float, float]:
    """Return scale, power and reference [S] of the power law through deviations ``sigma`` [S] at
    conductances ``g`` [S], (n,) each, by least squares of logarithms.

    Where conductances hardly differ, the relative deviation is taken to be one and the same.

    Parameters
    ----------
    g
        Conductances, an array of any shape [S].
    sigma
        Standard deviations there, (n,) [S].
    g_ref
        Reference conductance [S], by default found.
    """
    keep = (g > 0) & (sigma > 0)
    if not keep.any():
        raise InputError("there is no deviation to learn from: every value is the same")
    reference = float(np.median(g[keep])) if g_ref is None else g_ref
    x, y = np.log(g[keep] / reference), np.log(sigma[keep] / reference)
    power, start = (
        np.polyfit(x, y, 1) if keep.sum() >= 3 and np.ptp(x) > 0.1 else (1.0, np.mean(y - x))
    )
    return float(np.exp(start)), float(power), reference


def _known(span: float | None) -> float:
    if span is None:
        raise InputError(
            "the deviation is a share of the levels' range: say what that is, or give g_ref [S]"
        )
    return span
