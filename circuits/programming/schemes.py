"""Which line gets which voltage while cells of one row are written.

A scheme turns the amplitudes wanted at the cells of a row into voltages of all word and bit lines.
Cells on the selected row or on a selected column see a part of the amplitude too (half-selected);
how much, and what all the others see, is the difference between the schemes:

========  =============  ================  ==========  =====================================
scheme    selected cell  same row, column  the others  needs
========  =============  ================  ==========  =====================================
``half``  V              V/2, V/2          0           nothing (1R), or a selector
``third`` V              V/3, V/3          -V/3        nothing (1R), or a selector
``gate``  V              0, cut off        cut off     a transistor per cell, gates along rows
========  =============  ================  ==========  =====================================
"""

__all__ = ["SCHEMES", "Bias", "bias", "check_scheme", "half_select"]

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError, nearest
from ...data.types import Array
from ..array.cell import Transistor
from ..array.terminals import plain
from ..array.tile import Tile

SCHEMES = {"half": 1 / 2, "third": 1 / 3, "gate": 0.0}
"""Schemes by name, with the share of the amplitude that a half-selected device sees."""


class Bias(NamedTuple):
    """Line voltages at the flat part of a pulse."""

    rows: Array
    """Word-line drivers [V], (rows,)."""
    cols: Array
    """Bit-line drivers [V], (cols,)."""
    gates: NDArray[np.bool_]
    """Rows whose transistors are on, (rows,); all of them where there are none."""


def half_select(scheme: str) -> float:
    """Return the share of the amplitude that a half-selected device sees.

    Raises
    ------
    InputError
        If there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise InputError(f"there is no write scheme {scheme!r}{nearest(scheme, SCHEMES)}")
    return SCHEMES[scheme]


def check_scheme(tile: Tile, scheme: str) -> None:
    """Refuse a scheme that the tile's cells can't be written with."""
    half_select(scheme)
    plain(tile, "programming by pulses")
    gated = isinstance(tile.cell.access, Transistor)
    if gated != (scheme == "gate"):
        raise InputError(
            f"write scheme {scheme!r} does not suit cells {'with' if gated else 'without'} a"
            f" transistor: use {'gate' if gated else 'half or third'}"
        )


def bias(scheme: str, shape: tuple[int, int], row: int, amplitude: ArrayLike) -> Bias:
    """Return the line voltages that give ``amplitude`` to the cells of ``row``.

    Parameters
    ----------
    scheme
        One of :data:`SCHEMES`.
    shape
        ``(rows, cols)`` of the array.
    row
        The selected row.
    amplitude
        Voltage wanted at each cell of that row, (cols,) [V]: all of one sign, 0 for a cell that is
        not to be written.
    """
    rows, cols = shape
    amplitude = np.asarray(amplitude, float)
    if amplitude.shape != (cols,) or not np.isfinite(amplitude).all():
        raise InputError(f"expected {cols} finite amplitudes, got shape {amplitude.shape}")
    if not 0 <= row < rows:
        raise InputError(f"row {row} is selected, expected one from 0 to {rows - 1}")
    selected = amplitude != 0.0
    if not selected.any() or np.ptp(np.sign(amplitude[selected])) != 0.0:
        raise InputError("one pulse writes at least one cell, and all its cells with one polarity")
    peak = float(amplitude[np.argmax(np.abs(amplitude))])
    here = np.arange(rows) == row
    if half_select(scheme) == 0.0:
        # All lines stay at or above 0 V, so that transistors with their gates at 0 V are off.
        level = max(peak, 0.0)
        return Bias(np.where(here, level, 0.0), level - amplitude, here)
    if scheme == "half":
        others, resting = peak / 2.0, peak / 2.0
    else:
        others, resting = peak / 3.0, 2.0 * peak / 3.0
    return Bias(
        np.where(here, peak, others),
        np.where(selected, peak - amplitude, resting),
        np.ones(rows, bool),
    )
