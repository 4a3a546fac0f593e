"""Cells that differ, and that do not do the same twice: what a SET pulse makes of many.

Threshold, logarithm of the rate and read resistance are normal, as is what the pulse adds to the final state. A share
of each variance is the device's own, the rest is drawn at every pulse.
"""

__all__ = ["Cells", "Spreads", "draw_cells", "set_pulse"]

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from .switching import SetTable

REACH = 4.0
"""Standard deviations that a table of a population reaches."""


@dataclass(frozen=True)
class Spreads:
    """Standard deviations of a population.

    Attributes
    ----------
    v_t
        Of the threshold [V].
    log10_rate
        Of the rate [decades].
    r_read
        Of the read resistance [ohm].
    u
        Of the final ln(g_c).
    device_share
        Share of the variances that is the device's own and stays.
    """

    v_t: float = 0.0
    log10_rate: float = 0.0
    r_read: float = 0.0
    u: float = 0.0
    device_share: float = 0.7

    def __post_init__(self) -> None:
        """Refuse what is no size of a spread."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value < np.inf or (item.name == "device_share" and value > 1.0):
                raise InputError(f"spreads: {item.name} is {value!r}, expected 0 or more")

    @property
    def sizes(self) -> Array:
        """The four deviations, shape (4,)."""
        return np.array([self.v_t, self.log10_rate, self.r_read, self.u])


class Cells(NamedTuple):
    """What is their own of cells."""

    z: Array
    """Normal numbers for v_t, log10_rate, r_read and u, shape (4, *cells)."""
    lines: Array | None = None
    """Resistance of the way to the bit line's driver, and to the grounded end of the source line [ohm], (2, *cells);
    ``None`` for cells whose lines have none."""

    def only(self, chosen: NDArray[np.intp]) -> "Cells":
        """Return some of the cells."""
        lines = None if self.lines is None else self.lines[:, chosen]
        return Cells(self.z[:, chosen], lines)


def draw_cells(shape: int | tuple[int, ...], rng: np.random.Generator) -> Cells:
    """Draw cells of a population."""
    shape = (shape,) if isinstance(shape, int) else shape
    return Cells(rng.standard_normal((4, *shape)))


def set_pulse(
    table: SetTable,
    spreads: Spreads,
    cells: Cells,
    g: ArrayLike,
    v_wl: ArrayLike,
    v_bl: float,
    pw: float,
    rng: np.random.Generator,
) -> Array:
    """Return what cells that read g [S] without noise read after a SET pulse, of the cells' shape.

    Parameters
    ----------
    table
        Of the law, with the bit line ``v_bl`` [V].
    spreads, cells
        The population, and which of it these are.
    g
        Conductances before [S].
    v_wl, v_bl, pw
        Word line [V], one or one for each cell, bit line [V] and width [s].
    rng
        Source of what differs from pulse to pulse.
    """
    line = table.places.get(round(float(v_bl), 6))
    if line is None:
        known = ", ".join(f"{v:g}" for v in table.v_bl)
        raise InputError(f"the table has bit lines of {known} V, not {v_bl:g} V")
    own = np.sqrt(spreads.device_share)
    fresh = np.sqrt(1.0 - spreads.device_share)
    z = own * cells.z + fresh * rng.standard_normal(cells.z.shape)
    return shifted(table, spreads.sizes, z, line, np.asarray(g, float), v_wl, np.log(pw))


def shifted(
    table: SetTable,
    sizes: Array,
    z: Array,
    line: ArrayLike,
    g: Array,
    v_wl: ArrayLike,
    ln_pw: ArrayLike,
) -> Array:
    """Return what cells with normal numbers ``z`` (4, ...) read after a pulse [S]; the rest broadcasts."""
    law = table.law
    z = np.clip(z, -REACH, REACH)
    r_read = np.maximum(law.r_read + sizes[2] * z[2], 0.0)
    before = law.inner(g, r_read)
    rate = np.log(10.0) * (law.log10_rate + sizes[1] * z[1])
    after = table.after(line, np.asarray(v_wl) - sizes[0] * z[0], ln_pw + rate, before)
    # What a pulse adds to the state belongs to a filament that grew: a cell that it did not move stays.
    grown = -np.expm1(-4.0 * (after - before))
    return law.outer(after + sizes[3] * z[3] * grown, r_read)
