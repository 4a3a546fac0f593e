"""Where the nonlinear part of a closure is collocated, and on which powers of the row voltage."""

__all__ = ["Expansion", "expansion_for", "other_side"]

from dataclasses import dataclass
from functools import cache

import numpy as np

from ...data.errors import InputError
from ...data.types import Array
from ..lines.cell_law import KINK, ROUNDING, Law

OTHER_SIDE = 0.2
"""Share of the swing beyond 0 V that counts as one side still: idle rows see a little of it."""


@dataclass(frozen=True)
class Expansion:
    """Where the nonlinear part is collocated, and on which powers of the row voltage."""

    nodes: tuple[float, ...] = (0.4, 0.75, 1.0)
    """Row voltages, as shares of the full swing, that the powers run through."""
    value: tuple[int, ...] = (1, 3, 5)
    """Powers for the nonlinear current."""
    slope: tuple[int, ...] = (0, 2)
    """Powers for its derivative by the column current."""
    bend: tuple[int, ...] = (1,)
    """Powers for half its second derivative."""
    load: float = 0.5
    """Column current of the expansion, as a share of that at full swing on all rows."""
    multipliers: tuple[float, ...] = ()
    """Factors on the coefficients of ``value``, ``slope`` and ``bend`` in turn, from a fit to tile
    vectors; 1 where left out.
    """

    def __post_init__(self) -> None:
        if len(self.nodes) < max(len(self.value), len(self.slope), len(self.bend)):
            raise InputError(
                f"an expansion on {len(self.value)} powers needs as many nodes, got {self.nodes}"
            )

    @classmethod
    def unipolar(cls) -> "Expansion":
        """Row voltages between 0 and the full swing."""
        return cls()

    @classmethod
    def odd(cls) -> "Expansion":
        """Row voltages of both signs on devices whose current is odd in their voltage."""
        return cls(load=0.0)

    @classmethod
    def bipolar(cls) -> "Expansion":
        """Row voltages of both signs on devices that conduct differently in both directions."""
        return cls(
            nodes=(-1.0, -0.7, -0.3, 0.3, 0.7, 1.0),
            value=(1, 2, 3, 4, 5),
            slope=(0, 1, 2, 3),
            bend=(0, 1),
            load=0.0,
        )

    @property
    def one_sided(self) -> bool:
        """Whether it is made around column currents of one sign."""
        return self.load != 0.0

    @property
    def terms(self) -> int:
        """Number of coefficients that multipliers can act on."""
        return len(self.value) + len(self.slope) + len(self.bend)

    def weights(self) -> tuple[Array, Array, Array]:
        """Return what turns values at the nodes into coefficients of ``value``, ``slope`` and
        ``bend``, each (powers, nodes).
        """
        return _weights(self)


@cache
def _weights(expansion: Expansion) -> tuple[Array, Array, Array]:
    factors = np.ones(expansion.terms)
    factors[: len(expansion.multipliers)] = expansion.multipliers
    found, start = [], 0
    for powers in (expansion.value, expansion.slope, expansion.bend):
        table = np.array([[node**power for power in powers] for node in expansion.nodes])
        found.append(factors[start : start + len(powers), None] * np.linalg.pinv(table))
        start += len(powers)
    return found[0], found[1], found[2]


def expansion_for(law: Law, rows: tuple[float, float] | None = None) -> Expansion:
    """Return where to collocate for the symmetry of a device law and for row voltages of a range
    [V], by default its own.
    """
    reach = OTHER_SIDE if rows is None else other_side(law)
    if min(bound / law.v_full for bound in rows or law.v_range) >= -reach - ROUNDING:
        return Expansion.unipolar()
    return Expansion.odd() if law.odd else Expansion.bipolar()


def other_side(law: Law) -> float:
    """Return how far, as a share of the swing, row voltages may go to the other side of 0 V where
    the closure is made for one side.
    """
    return 0.0 if KINK in law.powers else OTHER_SIDE
