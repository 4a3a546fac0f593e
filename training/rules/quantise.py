"""Weights as whole numbers of levels, and those as a pair of devices.

A weight is ``w = clip (g+ - g-)`` with both devices' conductances in 0..1 of their range. One
device of a pair always rests at its lowest level, so that L levels per device give the codes ``q =
-(L - 1) .. L - 1``. Codes are whole numbers kept as float32: the hot loop compares them with
weights and needs no conversion.

Weights and conductances are measured in *mean steps*, of which the range has L - 1; a
:class:`Quantiser` says which fractional code lies where on that ruler. Levels in equal steps make
the two the same.
"""

__all__ = [
    "QUANTISERS",
    "Coding",
    "Nonuniform",
    "Quantiser",
    "QuantiserFactory",
    "Uniform",
    "make_quantiser",
    "pair",
    "register_quantiser",
]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.registry import Registry
from ...data.types import Array, Array32

EQUAL = 1e-3
"""Spread of steps up to which they count as equal, relative to their mean."""


class Quantiser(Protocol):
    """Where the levels of a device lie in its range.

    Both methods are odd, strictly rising and each other's inverse; between levels they say what a
    fraction of a step means. Half way between two codes is where the nearest one changes.
    """

    @property
    def levels(self) -> int:
        """Levels per device."""
        ...

    def code(self, steps: Array32) -> Array32:
        """Return the fractional codes at ``steps`` from 0 [mean steps]; it may be the same array."""
        ...

    def steps(self, code: Array32) -> Array32:
        """Return where fractional codes lie [mean steps]; it may be the same array."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Levels in equal steps."""

    levels: int

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise InputError(
                f"a device needs at least 2 levels to hold a weight, got {self.levels}"
            )

    def code(self, steps: Array32) -> Array32:
        """Return ``steps``."""
        return steps

    def steps(self, code: Array32) -> Array32:
        """Return ``code``."""
        return code


@dataclass(frozen=True)
class Nonuniform:
    """Levels anywhere; fractional codes are interpolated, so that the nearest code is the one whose
    weight is nearest.
    """

    places: tuple[float, ...]
    """Every level over the lowest one, rising from 0 to L - 1 [mean steps]."""

    def __post_init__(self) -> None:
        places = np.asarray(self.places, np.float32)
        if places.size < 2:
            raise InputError(
                f"a device needs at least 2 levels to hold a weight, got {places.size}"
            )
        if not (
            np.isfinite(places).all()
            and np.diff(places).min() > 0.0
            and places[0] == 0.0
            and places[-1] == places.size - 1
        ):
            raise InputError(
                f"levels must rise from 0 to {places.size - 1} mean steps, got {self.places!r:.80}"
            )

    @property
    def levels(self) -> int:
        """Levels per device."""
        return len(self.places)

    def code(self, steps: Array32) -> Array32:
        """Return the fractional codes at ``steps``; beyond the ends, those of the ends."""
        places, codes = self._table
        return np.interp(steps, places, codes).astype(np.float32)

    def steps(self, code: Array32) -> Array32:
        """Return where fractional codes lie."""
        places, codes = self._table
        return np.interp(code, codes, places).astype(np.float32)

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """Places and codes of both signs, (2 L - 1,) each."""
        # Places in single precision, so that a level comes back as the very code.
        places = np.asarray(self.places, np.float32).astype(float)
        codes = np.arange(float(self.levels))
        return np.append(-places[:0:-1], places), np.append(-codes[:0:-1], codes)


QuantiserFactory: TypeAlias = Callable[[Array], Quantiser]
"""Makes a quantiser from where the levels lie, (L,), rising from 0 to L - 1 [mean steps]."""


def _uniform(places: Array) -> Uniform:
    if not _equal(places):
        raise InputError(
            "conductance levels rise in unequal steps [S]: leave mapping.quantiser out, or choose"
            " 'nonuniform'"
        )
    return Uniform(len(places))


def _nonuniform(places: Array) -> Nonuniform:
    return Nonuniform(tuple(places.tolist()))


def _checked(name: str, factory: Any) -> QuantiserFactory:
    if not callable(factory):
        raise InputError(
            f"the quantiser {name!r} is {factory!r:.60}, expected a class or function of the places"
            " of levels"
        )
    taken: QuantiserFactory = factory
    return taken


QUANTISERS: Registry[QuantiserFactory] = Registry(
    "quantiser",
    how="register it with register_quantiser(NAME, FACTORY) of memtwin.training.rules.quantise",
    shipped={"uniform": lambda: _uniform, "nonuniform": lambda: _nonuniform},
    group="memtwin.quantisers",
    check=_checked,
)
"""Quantisers by the name under which ``[mapping] quantiser`` chooses them; packages offer theirs by
entry points of the group ``memtwin.quantisers``.
"""


def register_quantiser(
    name: str, factory: QuantiserFactory, *, replace: bool = False
) -> QuantiserFactory:
    """Let ``[mapping] quantiser`` and :class:`.matrix.MappingOptions` choose ``name``.

    Parameters
    ----------
    factory
        Takes where the device's levels lie, (L,), rising from 0 to L - 1 [mean steps]; returns a
        :class:`Quantiser` that has its whole codes there.
    replace
        Whether it may take the place of another one of that name.
    name
        Name under which it is found.
    """
    return QUANTISERS.add(name, factory, replace=replace)


def make_quantiser(name: str | None, g_levels: ArrayLike) -> Quantiser:
    """Return the quantiser ``name`` for a device with these levels.

    Parameters
    ----------
    name
        One of :data:`QUANTISERS`; ``None`` for ``uniform`` where levels rise in equal steps, else
        ``nonuniform``.
    g_levels
        Conductance of every level [S], (L,), rising.

    Raises
    ------
    InputError
        If the levels do not rise, there is no such quantiser, or its levels lie elsewhere.
    """
    g = np.asarray(g_levels, float)
    if g.ndim != 1 or g.size < 2:
        raise InputError(f"expected at least 2 conductance levels, got {g.size}")
    if not (np.isfinite(g).all() and np.diff(g).min() > 0.0):
        raise InputError("conductance levels must be finite and rise from each to the next [S]")
    places = (g - g[0]) / (g[-1] - g[0]) * (g.size - 1)
    if name is None:
        name = "uniform" if _equal(places) else "nonuniform"
    quantiser = QUANTISERS[name](places)
    codes = np.arange(g.size, dtype=np.float32)
    near = min(EQUAL * g.size, 0.25) * float(np.diff(places).min())
    for sign in (np.float32(1.0), np.float32(-1.0)):
        found = quantiser.steps(sign * codes)
        back = quantiser.code(found)
        if not (
            np.allclose(found, sign * places, rtol=0.0, atol=near)
            and np.allclose(back, sign * codes, rtol=0.0, atol=EQUAL)
        ):
            raise InputError(
                f"the quantiser {name!r} must have its whole codes at the device's levels, those of"
                f" minus devices mirrored: code {sign * codes[1]:g} is at {sign * places[1]:.4g} mean"
                f" steps, got {float(found[1]):.4g} and back {float(back[1]):.4g}"
            )
    return quantiser


def _equal(places: Array) -> bool:
    steps = np.diff(places)
    return bool(np.ptp(steps) <= EQUAL * steps.mean())


@dataclass(frozen=True)
class Coding:
    """What codes weigh: the highest level of ``quantiser`` stands for the weight ``clip``."""

    quantiser: Quantiser
    clip: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.clip) and self.clip > 0.0):
            raise InputError(f"the largest weight must be positive and finite, got {self.clip!r}")

    @property
    def levels(self) -> int:
        """Levels per device."""
        return self.quantiser.levels

    @property
    def top(self) -> int:
        """Largest code."""
        return self.levels - 1

    @property
    def step(self) -> float:
        """Weight of one mean step."""
        return self.clip / self.top

    def codes(self, weights: Array32) -> Array32:
        """Return the nearest code of every weight."""
        steps = np.clip(weights / np.float32(self.step), -self.top, self.top)
        codes: Array32 = np.rint(self.quantiser.code(steps))
        return codes

    def steps(self, weights: Array32, out: Array32 | None = None) -> Array32:
        """Return weights in mean steps."""
        return np.multiply(weights, np.float32(1.0 / self.step), out=out)

    def weights(self, codes: Array32) -> Array32:
        """Return the weights that (possibly fractional) ``codes`` stand for."""
        return self.quantiser.steps(codes) * np.float32(self.step)

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
