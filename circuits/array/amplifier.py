"""The transimpedance amplifier at the end of a bit line: finite gain, saturating output."""

__all__ = ["Amplifier"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array


@dataclass(frozen=True)
class Amplifier:
    """An inverting operational amplifier with feedback resistance.

    Its input at ``s`` [V] gives the output ``-v_max tanh(gain s / v_max)``, the feedback carries
    the bit line's current ``(s - output) / r_feedback``, and the current that is read off the
    output is ``-output / r_feedback``. With infinite gain this is the ideal virtual ground.
    """

    r_feedback: float = 1e3
    """Feedback resistance [ohm]."""
    gain: float = 1e4
    """Open-loop gain."""
    v_max: float = 1.2
    """Largest output [V]."""

    def __post_init__(self) -> None:
        """Refuse what no amplifier has."""
        for name in ("r_feedback", "gain", "v_max"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"amplifier: {name} must be positive and finite, got {value!r}")

    def output(self, s: ArrayLike) -> Array:
        """Return the output voltage [V] for the input voltage ``s`` [V]."""
        out: Array = -self.v_max * np.tanh(self.gain / self.v_max * np.asarray(s, float))
        return out

    def current(self, s: ArrayLike) -> Array:
        """Return the current into the input [A]."""
        return (np.asarray(s, float) - self.output(s)) / self.r_feedback

    def slope(self, s: ArrayLike) -> Array:
        """Return the derivative of :meth:`current` [S]."""
        return (1.0 + self.gain * (1.0 - (self.output(s) / self.v_max) ** 2)) / self.r_feedback

    def reading(self, s: ArrayLike) -> Array:
        """Return the current [A] that the output stands for."""
        return -self.output(s) / self.r_feedback
