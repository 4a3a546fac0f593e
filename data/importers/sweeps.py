"""Current-voltage sweeps from the text files that instruments write.

:func:`read_sweep` finds time, voltage and current by their names, whatever the dialect (see
:mod:`~memtwin.data.importers.headings`), or takes a column map. It builds the missing time axis from a sweep
rate, removes the instrument's offset, and marks what an instrument's limits have cut off.
"""

__all__ = ["read_sweep", "read_sweeps"]

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..measurement import Meta, Sweep
from ..types import Array
from .delimited import Block, read_blocks
from .instrument import find_limits, zero_offset
from .periods import count_periods

_QUANTITY = {"t": "time", "v": "voltage", "i": "current"}


def read_sweep(path: str | Path, **options: Any) -> Sweep:
    """Read the one sweep that a delimited text file holds; options as of :func:`read_sweeps`.

    Raises
    ------
    InputError
        As :func:`read_sweeps`, and if the file holds several sweeps.
    """
    sweeps = read_sweeps(path, **options)
    if len(sweeps) > 1:
        raise InputError(
            f"{path} holds {len(sweeps)} sweeps, expected one: read them with read_sweeps, or as"
            " 'memtwin data import' does, into a record each"
        )
    return sweeps[0]


def read_sweeps(
    path: str | Path,
    *,
    columns: Mapping[str, str | int] | None = None,
    units: Mapping[str, str] | None = None,
    sweep_rate: float | None = None,
    frequency: float | None = None,
    compliance: float | None = None,
    offset: float | str = "zero",
    polarity: int = 1,
    magnitude: bool = False,
    r_tester: float = 0.0,
    name: str | None = None,
    meta: Meta | None = None,
) -> list[Sweep]:
    """Read the sweeps in a delimited text file: one, or as many as it repeats its header or counts
    in a column of cycles.

    Parameters
    ----------
    path
        The file; gzipped is fine.
    columns
        Column of ``t``, ``v`` and ``i``: header names, or positions counted from 0. Default: by the
        header.
    units
        Units of ``t``, ``v``, ``i`` in the file, such as ``{"i": "uA"}``. Default: from the header,
        else SI.
    sweep_rate
        |dv/dt| [V/s], to build the time axis of a file that has none.
    frequency
        Instead, for a periodic drive: its frequency [Hz]. How many periods the file holds is
        counted and kept in ``meta`` as ``periods``.
    compliance
        Current limit of the instrument [A]; points at it are marked as censored. Found by itself
        where it shows as a plateau.
    offset
        Current to subtract [A]; ``zero``: the median current where the voltage is zero, if the
        sweep passes there twice or more and its readings agree within the noise; ``none``: nothing.
    polarity
        -1 turns the sign of voltage and current, for a device that SETs at negative voltage.
    magnitude
        The current column holds magnitudes: give each the sign of its voltage.
    r_tester
        Known resistor in series with the device, when ``v`` is the voltage across both [ohm].
    name, meta
        Name and further facts to keep.

    Raises
    ------
    InputError
        If a column is missing, unnamed, in an impossible unit or not finite; if there is no time
        axis and no rate; if time does not increase; if there are too few points.
    """
    if polarity not in (1, -1):
        raise InputError(f"polarity must be 1 or -1, got {polarity}")
    if not r_tester >= 0.0 or not np.isfinite(r_tester):
        raise InputError(f"the tester's resistor must be 0 ohm or more, got {r_tester:g}")
    if sweep_rate is not None and frequency is not None:
        raise InputError(f"{path}: give the sweep rate or the frequency, not both")
    parts = [part for block in read_blocks(path) for part in _cycles(block)]
    sweeps = []
    for number, block in enumerate(parts, start=1):
        label = name or block.path.name
        label = f"{label}, sweep {number}" if len(parts) > 1 else label
        facts: dict[str, str | float] = {"file": block.path.name}
        v = _column(block, "v", columns, units, magnitude=magnitude)
        i = _column(block, "i", columns, units, magnitude=magnitude)
        t, periods = _time(block, v, columns, units, sweep_rate, frequency, label)
        i, missing = _filled(v, i, label)
        i = np.copysign(i, v) if magnitude else i
        _refuse_magnitude(v, i, label)
        v, i = v * polarity, i * polarity
        shift = _offset(v, i, offset, label)
        facts |= {"offset": shift, **(meta or {})}
        if periods is not None:
            facts["periods"] = periods
        if r_tester:
            facts["r_tester"] = r_tester
        i = i - shift
        censored = find_limits(v, i, compliance=compliance) | missing
        sweeps.append(Sweep(label, t, v, i, censored, facts))
    return sweeps


def _cycles(block: Block) -> list[Block]:
    """Cut a block where the number in its column of cycles changes."""
    column = _find(block, "cycle")
    if column is None:
        return [block]
    cycle = block.values[:, column]
    starts = np.flatnonzero(np.diff(cycle) != 0.0) + 1
    parts = np.split(np.arange(len(cycle)), starts)
    return [block.take(rows) for rows in parts]


def _find(block: Block, quantity: str, *, magnitude: bool = False) -> int | None:
    """Return the position of the column whose name says ``quantity``, None without one.

    Raises
    ------
    InputError
        If several say so alike, or the only one that does is a magnitude.
    """
    alike = [
        (not heading.fits(quantity), heading.rank, index)
        for index, heading in enumerate(block.headings)
        if heading.quantity == quantity and (magnitude or not heading.magnitude)
    ]
    if magnitude and quantity == "current":
        only = [row for row in alike if block.headings[row[2]].magnitude]
        alike = only or alike
    best = [row for row in alike if row[:2] == min(alike)[:2]]
    if len(best) > 1:
        names = " and ".join(f"{block.header[row[2]]!r} (column {row[2]})" for row in best)
        raise InputError(f"{block.path} has {names} for the {quantity}: name one, or its position")
    return best[0][2] if best else None


def _column(
    block: Block,
    key: str,
    columns: Mapping[str, str | int] | None,
    units: Mapping[str, str] | None,
    *,
    magnitude: bool = False,
) -> Array:
    quantity = _QUANTITY[key]
    where = (columns or {}).get(key)
    index = (
        _find(block, quantity, magnitude=magnitude)
        if where is None
        else block.index(where, quantity)
    )
    if index is None:
        raise InputError(_unnamed(block, key))
    if quantity == "current" and block.heading(index).magnitude and not magnitude:
        raise InputError(_is_magnitude(block.where(index)))
    return block.column(index, quantity, (units or {}).get(key), gaps=quantity == "current")


def _unnamed(block: Block, key: str) -> str:
    """Return the sentence for a column that can't be found by its name."""
    for index, heading in enumerate(block.headings):
        if heading.quantity == _QUANTITY[key] and heading.magnitude:
            return _is_magnitude(block.where(index))
    there = (
        ", ".join(block.header)
        if block.header
        else f"{block.values.shape[1]} columns without names"
    )
    return (
        f"{block.path} has no column that is known to be the {_QUANTITY[key]} (it has: {there}):"
        f" name it, as in --column {key}=NAME:UNIT"
    )


def _is_magnitude(where: str) -> str:
    return (
        f"{where}: this is the magnitude of the current, which says nothing of its sign: give it"
        " the sign of the voltage (--magnitude)"
    )


def _refuse_magnitude(v: Array, i: Array, label: str) -> None:
    """Refuse a current that is positive at either sign of the voltage, as no device's is."""
    below = v < 0.5 * v.min()
    both = v.min() < 0.0 < v.max() and np.ptp(i) > 0.0
    if both and i.min() >= 0.0 and np.median(i[below]) > 1e-4 * i.max():
        raise InputError(_is_magnitude(f"{label}: the current is never negative"))


def _filled(v: Array, i: Array, label: str) -> tuple[Array, NDArray[np.bool_]]:
    """Bridge currents that were not measured, and return where they are."""
    missing = ~np.isfinite(i)
    if not missing.any():
        return i, missing
    if missing.all():
        raise InputError(f"{label}: no current was measured, every one is missing")
    first = int(missing.argmax())
    warnings.warn(
        f"{label}: {int(missing.sum())} of {len(i)} currents are missing, the first at point"
        f" {first + 1} ({v[first]:.4g} V); these points are censored",
        stacklevel=3,
    )
    points = np.arange(len(i))
    return np.interp(points, points[~missing], i[~missing]), missing


def _time(
    block: Block,
    v: Array,
    columns: Mapping[str, str | int] | None,
    units: Mapping[str, str] | None,
    sweep_rate: float | None,
    frequency: float | None,
    label: str,
) -> tuple[Array, float | None]:
    """Return the time axis, and the number of periods where it was made from a frequency."""
    if sweep_rate is not None:
        if not 0.0 < sweep_rate < np.inf:
            raise InputError(f"the sweep rate must be positive [V/s], got {sweep_rate:g}")
        steps = np.abs(np.diff(v))
        # a point held, as at the turn of a sweep, still takes the instrument one step
        floor = float(np.median(steps)) if len(steps) else 0.0
        if floor == 0.0:
            raise InputError(
                f"{block.path}: the voltage does not change, so a sweep rate gives no time axis"
            )
        taken = np.where(steps < 1e-3 * floor, floor, steps)
        return np.concatenate([[0.0], np.cumsum(taken)]) / sweep_rate, None
    if frequency is not None:
        if not 0.0 < frequency < np.inf:
            raise InputError(f"the frequency must be positive [Hz], got {frequency:g}")
        points, periods = count_periods(v, label)
        return np.arange(len(v)) / (frequency * points), periods
    if (columns or {}).get("t") is None and _find(block, "time") is None:
        raise InputError(
            f"{block.path} has no time column: give the sweep rate in V/s, or the frequency of"
            " the drive in Hz"
        )
    return _column(block, "t", columns, units), None


def _offset(v: Array, i: Array, offset: float | str, label: str) -> float:
    if offset == "none":
        return 0.0
    if offset == "zero":
        return zero_offset(v, i, label)
    try:
        shift = float(offset)
    except ValueError:
        shift = np.nan
    if not np.isfinite(shift):
        raise InputError(
            f"{label}: offset must be a current in A, 'zero' or 'none', got {offset!r}"
        )
    return shift
