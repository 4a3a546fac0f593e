"""What a fit of the SET law searches: each law in numbers that the map tells apart, where to begin, and priors.

All laws share the transistor, the resistances and the population; what is a form's own is how a cell moves.
"""

__all__ = ["ExponentialForm", "Form", "PowerForm", "first_transistor", "first_voltages"]

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data.types import Array
from .access import AccessTransistor
from .combinations import Combinations
from .population import Spreads
from .switching import CellLaw, PowerLaw, SetLaw

PULSE = 1e-7
"""Time that a cell's voltage is meant for [s]."""
_SHARED = ("k", "v_t", "theta", "eta", "r_write", "r_read")
_USUAL = np.array([0.7, 0.1, 0.5])  # theta [1/V], eta, r_write [kohm]
_ABOUT = np.array([0.5, 0.1, 1.0])
_STEEP = 0.02  # of a cell's voltage: what speeds it up e-fold
_LIKE = 0.7  # e-folds that this may be off


class Shared(NamedTuple):
    """What all laws have."""

    transistor: AccessTransistor
    r_read: float
    r_write: float


class Form(ABC):
    """A law as it is searched: ``x`` holds the transistor's and resistances' six numbers, the form's own, and four of
    the population where that is searched too.
    """

    @property
    @abstractmethod
    def own(self) -> tuple[str, ...]:
        """Names of the form's own numbers."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all but the population's."""
        return (*_SHARED, *self.own)

    spread_names: tuple[str, ...] = ("s_v_t", "s_v_cell", "s_r_read", "s_u")
    spread_start: tuple[float, ...] = (0.07, 0.06, 0.2, 0.06)

    @abstractmethod
    def starts(self, data: Combinations) -> list[Array]:
        """Return where to begin, without the population."""

    @abstractmethod
    def law(self, x: Array) -> CellLaw:
        """Return the law of searched numbers."""

    @abstractmethod
    def own_prior(self, x: Array) -> Array:
        """Return how unlike other cells these are, in standard deviations."""

    @abstractmethod
    def own_scales(self, x: Array) -> Iterable[float]:
        """Return what a unit of each of the form's own numbers is worth in the parameter's unit."""

    def decades(self, x: Array, spread: float) -> float:
        """Return the spread of the rate [decades] that a searched one is."""
        return spread

    def prior(self, x: Array) -> Array:
        """Return how unlike other transistors and cells these are, which decides only where data don't."""
        return np.concatenate(((x[2:5] - _USUAL) / _ABOUT, self.own_prior(x)))

    def spreads(self, x: Array) -> Spreads:
        """Return the population of searched numbers."""
        v_t, rate, r_read, u = (abs(float(one)) for one in x[len(self.names) :])
        return Spreads(v_t, self.decades(x, rate), 1e3 * r_read, u)

    def scales(self, x: Array) -> list[float]:
        """Return what a unit of every searched number is worth in the parameter's unit."""
        shared = [float(np.exp(x[0])), 1.0, 1.0, 1.0, 1e3, float(np.exp(x[5]))]
        return [*shared, *self.own_scales(x), 1.0, 1.0, 1e3, 1.0][: len(x)]


@dataclass(frozen=True)
class ExponentialForm(Form):
    """:class:`.SetLaw` by the voltage at which a cell acts within 100 ns, which the data tell apart from ``v_s``."""

    @property
    def own(self) -> tuple[str, ...]:
        """Return the names of what is searched."""
        return ("v_cell", "v_s")

    def starts(self, data: Combinations) -> list[Array]:
        """Return one start for each of the voltages that a cell may have."""
        first = first_transistor(data)
        return [np.append(first, (v, np.log(_STEEP * v))) for v in first_voltages(data)]

    def law(self, x: Array) -> CellLaw:
        """Return the law."""
        v_cell, v_s = float(x[6]), float(np.exp(x[7]))
        rate = -np.log10(PULSE) - v_cell / (v_s * np.log(10.0))
        transistor, r_read, r_write = shared(x)
        return SetLaw(transistor, float(rate), v_s, r_read, r_write)

    def own_prior(self, x: Array) -> Array:
        """``v_s`` is about 2 % of the cell's voltage."""
        return np.array([(x[7] - np.log(_STEEP * max(float(x[6]), 0.05))) / _LIKE])

    def own_scales(self, x: Array) -> Iterable[float]:
        """Return a volt, and ``v_s``, whose logarithm is searched."""
        return (1.0, float(np.exp(x[7])))

    def decades(self, x: Array, spread: float) -> float:
        """Return the decades that a spread of the cell's voltage is."""
        return spread / float(np.exp(x[7]) * np.log(10.0))


@dataclass(frozen=True)
class PowerForm(ExponentialForm):
    """:class:`.PowerLaw` of one power, as steep as the exponential law would be where it acts."""

    power: float = 3.0

    def law(self, x: Array) -> CellLaw:
        """Return the law."""
        v_cell, v_s = float(x[6]), float(np.exp(x[7]))
        v_on = max(v_cell - self.power * v_s, 0.02 * abs(v_cell), 1e-3)
        over = max(v_cell / v_on - 1.0, 1e-6)
        rate = -np.log10(PULSE) - self.power * np.log10(over)
        transistor, r_read, r_write = shared(x)
        return PowerLaw(transistor, float(rate), v_on, self.power, r_read, r_write)


def shared(x: Array) -> Shared:
    """Return transistor, read and write resistance [ohm] of searched numbers."""
    transistor = AccessTransistor(
        float(np.exp(x[0])), float(x[1]), abs(float(x[3])), abs(float(x[2]))
    )
    return Shared(transistor, float(np.exp(x[5])), 1e3 * abs(float(x[4])))


def top_level(data: Combinations) -> float:
    """Return the highest conductance that pulses reach [S]."""
    return float(np.quantile(data.measured.median, 0.99))


def first_transistor(data: Combinations) -> Array:
    """Return where the search begins for what all laws share, from the map's edges, (6,)."""
    median, top = data.measured.median, top_level(data)
    on = data.v_wl[(data.v_bl == data.v_bl.max()) & (median > 0.3 * top)]
    v_t = float(on.min()) - 0.3 if len(on) else float(data.v_wl.min())
    return np.array([np.log(1e-3), v_t, *_USUAL, np.log(0.9 / top)])


def first_voltages(data: Combinations) -> tuple[float, ...]:
    """Return voltages that a cell may have as it SETs, [V]: between the last bit line that does nothing and the first
    that does.
    """
    switched = data.measured.switched
    wide = data.v_wl >= np.quantile(data.v_wl, 0.6)
    lines = [v for v in np.unique(data.v_bl) if switched[wide & (data.v_bl == v)].mean() > 0.5]
    quiet = [v for v in np.unique(data.v_bl) if not lines or v < lines[0]]
    last = float(quiet[-1]) if quiet else 0.5 * float(data.v_bl.min())
    first = float(lines[0]) if lines else float(data.v_bl.max())
    return tuple(last + share * (first - last) for share in (0.1, 0.4))
