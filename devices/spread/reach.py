"""How far a device can be written, drawn once per device (device to device)."""

__all__ = ["Reach"]

from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError
from ...data.types import Array32


@dataclass(frozen=True)
class Reach:
    """Largest reachable conductance: log-normal about the highest level; writes above it end there.

    Attributes
    ----------
    sigma
        Standard deviation of its logarithm.
    """

    sigma: float

    def __post_init__(self) -> None:
        """Refuse what is no deviation."""
        if not 0.0 <= self.sigma < np.inf:
            raise InputError(f"reach: sigma must be a number from 0, got {self.sigma!r}")

    def sample(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Array32:
        """Draw up to which share of the levels' range each device can be written, of ``shape``."""
        spread = np.float32(self.sigma) * rng.standard_normal(shape, np.float32)
        share: Array32 = np.minimum(np.exp(spread), np.float32(1.0))
        return share
