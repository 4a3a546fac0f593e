"""Weights as whole numbers of level steps, and those as a pair of devices.

A weight is ``w = clip (g+ - g-)`` with both devices' conductances in 0..1 of their range. One
device of a pair always rests at its lowest level, so that L levels per device give the codes ``q =
-(L - 1) .. L - 1``, a step ``clip / (L - 1)`` apart. Codes are whole numbers kept as float32: the
hot loop compares them with weights and needs no conversion.
"""

__all__ = ["Quantiser", "pair"]

from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError
from ...data.types import Array32


@dataclass(frozen=True)
class Quantiser:
    """``levels`` conductance levels per device, of which the highest stands for the weight
    ``clip``.
    """

    levels: int
    clip: float

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise InputError(
                f"a device needs at least 2 levels to hold a weight, got {self.levels}"
            )
        if not (np.isfinite(self.clip) and self.clip > 0.0):
            raise InputError(f"the largest weight must be positive and finite, got {self.clip!r}")

    @property
    def top(self) -> int:
        """Largest code."""
        return self.levels - 1

    @property
    def step(self) -> float:
        """Weight of one level step."""
        return self.clip / self.top

    def codes(self, weights: Array32) -> Array32:
        """Return the nearest code of every weight."""
        codes: Array32 = np.rint(np.clip(weights / np.float32(self.step), -self.top, self.top))
        return codes

    def weights(self, codes: Array32) -> Array32:
        """Return the weights that ``codes`` stand for."""
        return codes * np.float32(self.step)

    def better_clip(self, weights: Array32) -> float:
        """Return the largest weight that would suit ``weights`` better, or the present one.

        More than one weight in a thousand at the limit widens the range by a quarter; if even the
        largest weight leaves a third of the range unused, the range shrinks to it.
        """
        size = np.abs(weights)
        if float(np.mean(size >= np.float32(0.999 * self.clip))) > 1e-3:
            return 1.25 * self.clip
        largest = float(size.max())
        return largest if 0.0 < largest < self.clip / 1.5 else self.clip


def pair(codes: Array32) -> tuple[Array32, Array32]:
    """Return the levels of the plus and of the minus device for (possibly fractional) codes."""
    return np.maximum(codes, np.float32(0.0)), np.maximum(-codes, np.float32(0.0))
