"""Devices that no write moves, from the start."""

__all__ = ["Stuck", "held"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array


@dataclass(frozen=True)
class Stuck:
    """Independent faults: stuck at the highest or the lowest conductance, or open.

    Attributes
    ----------
    share
        Share of the devices that are stuck.
    high
        Share of these that are stuck at the highest conductance.
    opened
        Share of these that are open and conduct nothing; the others are at the lowest conductance.
    g_low, g_high
        These conductances [S]; ``None`` for those of the lowest and the highest level.
    """

    share: float
    high: float = 0.5
    opened: float = 0.0
    g_low: float | None = None
    g_high: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no share, or no conductance."""
        shares = (self.share, self.high, self.opened)
        if not (all(0.0 <= one <= 1.0 for one in shares) and self.high + self.opened <= 1.0):
            raise InputError(
                f"stuck devices: share, high and opened must be from 0 to 1, the last two together"
                f" at most 1, got {self.share!r}, {self.high!r} and {self.opened!r}"
            )
        for name in ("g_low", "g_high"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < np.inf:
                raise InputError(f"stuck devices: {name} must be 0 S or more, got {value!r}")

    def sample(
        self,
        shape: int | tuple[int, ...],
        rng: np.random.Generator,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> Array:
        """Draw at which conductance devices are stuck [S], NaN for sound ones, of ``shape``.

        Parameters
        ----------
        low, high
            Conductances of the lowest and the highest level [S], where the law does not say at
            which devices are stuck.
        shape
            Shape of the array.
        rng
            What random numbers are drawn from.
        """
        low = low if self.g_low is None else self.g_low
        high = high if self.g_high is None else self.g_high
        if low is None or high is None:
            raise InputError("stuck devices: say at which conductances, g_low and g_high [S]")
        draw = rng.random(shape)
        open_below = self.share * (self.high + self.opened)
        kinds = [draw < self.share * self.high, draw < open_below, draw < self.share]
        return np.select(kinds, [high, 0.0, low], default=np.nan)


def held(stuck: ArrayLike, g: ArrayLike) -> Array:
    """Return what devices conduct [S] when ``g`` [S] is programmed, given where they are ``stuck``
    [S], NaN for sound ones; of one shape.
    """
    stuck, g = np.asarray(stuck, float), np.asarray(g, float)
    if stuck.shape != g.shape:
        raise InputError(f"expected conductances of shape {stuck.shape}, got {g.shape}")
    if (stuck < 0.0).any():
        raise InputError("a stuck device needs a conductance of 0 S or more")
    return np.where(np.isnan(stuck), g, stuck)
