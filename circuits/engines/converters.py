"""Converters around a tile: digital inputs become voltages (DAC), sensed currents become numbers
(ADC).

They don't depend on how the tile between them is read, so :class:`Converted` puts them around any
engine.
"""

__all__ = ["ADC", "DAC", "Converted", "ConvertedArray"]

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..array.tile import Tile
from ..engine import Engine, ProgrammedArray


@dataclass(frozen=True)
class DAC:
    """Uniform steps over ``[v_min, v_max]``, ends included; inputs beyond are held at the ends."""

    bits: int
    """Resolution."""
    v_max: float
    """Highest output [V]."""
    v_min: float = 0.0
    """Lowest output [V]."""

    def __post_init__(self) -> None:
        """Refuse what no converter has."""
        _check("DAC", self.bits, self.v_min, self.v_max)

    @property
    def step(self) -> float:
        """Difference between neighbouring outputs [V]."""
        return (self.v_max - self.v_min) / float(2**self.bits - 1)

    def convert(self, v: ArrayLike) -> Array:
        """Return the output nearest to each of ``v`` [V]."""
        return _nearest(v, self.v_min, self.v_max, self.step)


@dataclass(frozen=True)
class ADC:
    """Uniform steps over ``[i_min, i_max]``, ends included; currents beyond saturate."""

    bits: int
    """Resolution."""
    i_max: float
    """Largest current that is told apart [A]."""
    i_min: float = 0.0
    """Smallest current that is told apart [A]."""

    def __post_init__(self) -> None:
        """Refuse what no converter has."""
        _check("ADC", self.bits, self.i_min, self.i_max)

    @property
    def step(self) -> float:
        """Difference between neighbouring codes [A]."""
        return (self.i_max - self.i_min) / float(2**self.bits - 1)

    def convert(self, i: ArrayLike) -> Array:
        """Return the current [A] that each of ``i`` [A] is read as."""
        return _nearest(i, self.i_min, self.i_max, self.step)


@dataclass(frozen=True)
class Converted:
    """An engine whose arrays are read through converters; either may be missing."""

    engine: Engine
    dac: DAC | None = None
    adc: ADC | None = None

    @property
    def name(self) -> str:
        """Name of the engine inside."""
        return self.engine.name

    @property
    def tile(self) -> Tile:
        """Tile of the engine inside."""
        return self.engine.tile

    def program(self, g: ArrayLike) -> "ConvertedArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols), and converters."""
        return ConvertedArray(self.engine.program(g), self.dac, self.adc)


@dataclass(frozen=True)
class ConvertedArray:
    """An array between converters."""

    inner: ProgrammedArray
    dac: DAC | None
    adc: ADC | None

    @property
    def tile(self) -> Tile:
        """The tile of the array inside."""
        return self.inner.tile

    @property
    def g(self) -> Array:
        """The conductances [S], (..., rows, cols)."""
        return self.inner.g

    def read(self, v: ArrayLike) -> Array:
        """Return the converted currents [A] for ``v`` [V], in the shapes of the array inside."""
        v = np.asarray(v, float)
        if not np.isfinite(v).all():
            raise InputError("voltages to be converted must be finite numbers")
        i = self.inner.read(v if self.dac is None else self.dac.convert(v))
        return i if self.adc is None else self.adc.convert(i)

    def reprogram(self, g: ArrayLike) -> "ConvertedArray":
        """Return the array that holds ``g`` [S], between the same converters."""
        return replace(self, inner=self.inner.reprogram(g))


def _nearest(x: ArrayLike, low: float, high: float, step: float) -> Array:
    code = np.rint((np.clip(np.asarray(x, float), low, high) - low) / step)
    value: Array = low + code * step
    return value


def _check(name: str, bits: int, low: float, high: float) -> None:
    if not isinstance(bits, (int, np.integer)) or not 1 <= bits <= 24:
        raise InputError(f"{name}: bits must be an integer from 1 to 24, got {bits!r}")
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"{name}: its range must be finite and rising, got {low!r} to {high!r}")
