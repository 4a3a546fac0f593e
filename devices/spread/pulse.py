"""How one device answers equal pulses differently (cycle to cycle)."""

__all__ = ["PulseSpread"]

from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError
from ...data.types import Array


@dataclass(frozen=True)
class PulseSpread:
    """Log-normal speed of the state, drawn anew for every pulse.

    Attributes
    ----------
    sigma
        Standard deviation of its logarithm.
    """

    sigma: float

    def __post_init__(self) -> None:
        """Refuse what is no deviation."""
        if not 0.0 <= self.sigma <= 2.0:
            raise InputError(f"pulse spread: sigma must be from 0 to 2, got {self.sigma!r}")

    def sample(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw by which factor each pulse moves the state faster, of ``shape``."""
        return np.asarray(np.exp(self.sigma * rng.standard_normal(shape)))
