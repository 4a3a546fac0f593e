"""Current-voltage sweeps from the files that instruments write: text, workbooks, MATLAB files.

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
from ..measurement import Sweep
from ..types import Array, Meta
from .clock import seconds, spread_repeats
from .columns import Columns, cut_cycles, find_column, select
from .currents import read_current, unit_name
from .delimited import Block, join_blocks, read_blocks
from .headings import SI
from .instrument import find_limits, read_flags, stated_limit, zero_offset
from .periods import count_periods
from .units import parse_unit

_FAR = 100.0  # durations after which a time, such as seconds since 1970, is a date


def read_sweep(path: str | Path, **options: Any) -> Sweep:
    """Read the one sweep that a file holds.

    Parameters
    ----------
    path
        The file: delimited text, a workbook or a MATLAB file.
    **options
        As of :func:`read_sweeps`.

    Returns
    -------
    Sweep
        Times [s], voltages [V] and currents [A], (points,) each.

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
    r_tester: float | None = None,
    shunt: float | None = None,
    area: float | None = None,
    sheet: str | int | None = None,
    decimal: str | None = None,
    name: str | None = None,
    meta: Meta | None = None,
) -> list[Sweep]:
    """Read the sweeps in a file: one, or as many as it has tables, repeats its header or counts in a
    column of cycles.

    Parameters
    ----------
    path
        The file: delimited text, a workbook (``.xlsx``, ``.xls``) or a MATLAB file; gzipped is fine.
    columns
        Column of ``t``, ``v`` and ``i``, of ``cycle`` and ``status``: header names, or positions
        counted from 0. Default: by the header. What was read as what is kept in ``meta`` as ``read``.
    units
        Units of ``t``, ``v``, ``i`` in the file, such as ``{"i": "uA"}``, ``log10(A)``, ``A/cm2`` or
        ``kohm``. Default: from the header, else SI.
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
        Whether the current column holds magnitudes: each gets the sign of its voltage.
    r_tester
        Known resistor in series with the device, when ``v`` is the voltage across both [ohm].
    shunt
        Resistor in series across which an oscilloscope's second channel measured [ohm]; its voltage
        becomes the current, and the shunt the tester's resistor, unless ``r_tester`` says otherwise.
    area
        Area of the device [m²], kept in ``meta``; a current density needs it.
    sheet
        The one sheet of a workbook, or table of a MATLAB file, by name or position; default: all.
    decimal
        ``,`` or ``.``, where the file does not tell which is its decimal mark.
    name, meta
        Name, by default the file's, and further facts to keep.

    Returns
    -------
    list of Sweep
        Times [s], voltages [V] and currents [A], (points,) each; where the current is not the device's
        own, ``censored`` is true.

    Raises
    ------
    InputError
        If the file can't be read; if a column is missing, unnamed, in an impossible unit or not
        finite; if there is no time axis and no rate, or two rates; if time does not increase; if there
        are too few points, or currents are never negative though the voltage is; or if an option is
        out of its range.
    """
    if polarity not in (1, -1):
        raise InputError(f"polarity must be 1 or -1, got {polarity} (--polarity)")
    for what, value, option in (
        ("tester's resistor", r_tester, "--r-tester"),
        ("shunt", shunt, "--shunt"),
        ("area", area, "--area"),
        ("compliance", compliance, "--compliance"),
    ):
        none = option == "--r-tester"  # a resistance of 0 is that of no resistor
        if value is not None and not (
            np.isfinite(value) and (value > 0.0 or (none and value == 0.0))
        ):
            least = "0 or more" if none else "above 0"
            raise InputError(f"the {what} must be {least}, got {value:g} ({option})")
    if sweep_rate is not None and frequency is not None:
        raise InputError(f"{path}: give the sweep rate or the frequency, not both")
    parts, passed = _parts(
        read_blocks(path, sheet=sheet, decimal=decimal), columns, magnitude, shunt
    )
    sweeps = []
    for number, (block, place) in enumerate(parts, start=1):
        label = name or block.path.name
        label = f"{label}, sweep {number}" if len(parts) > 1 else label
        block = _filled_rows(block, place)
        said: list[str] = []
        v = block.column(place.v, "voltage", (units or {}).get("v"))
        said.append(_read_as(block, place.v, "voltage", (units or {}).get("v")))
        i, taken = read_current(
            block, place.i, v, (units or {}).get("i"), magnitude=magnitude, shunt=shunt, area=area
        )
        said.append(f"read {_column_name(block, place.i)} as {taken}")
        t, periods, how = _time(block, place, v, columns, units, sweep_rate, frequency, label)
        i, missing = _filled(v, i, label)
        i = np.copysign(i, v) if magnitude else i
        _refuse_magnitude(v, i, label)
        v, i = v * polarity, i * polarity
        shift = _offset(v, i, offset, label)
        limit, stated = stated_limit(block)
        told = (columns or {}).get("status")
        flagged, flags = read_flags(block, None if told is None else block.index(told, "status"))
        said = [*passed, *how, *said, *(stated if compliance is None else []), *flags]
        facts: dict[str, str | float] = {"file": block.path.name, "read": "; ".join(said)}
        if block.sheet:
            facts["sheet"] = block.sheet
        facts |= {"offset": shift, **(meta or {})}
        if periods is not None:
            facts["periods"] = periods
        through = shunt if r_tester is None and taken.startswith("voltage") else r_tester
        facts |= {"r_tester": through} if through else {}
        facts |= {"area": area} if area is not None else {}
        limit = limit if compliance is None else compliance
        facts |= {"compliance": limit} if limit is not None else {}
        i = i - shift
        limits = find_limits(v, i, compliance=limit)
        sweeps.append(Sweep(label, t, v, i, limits | missing | flagged, facts))
    return sweeps


def _parts(
    blocks: list[Block],
    columns: Mapping[str, str | int] | None,
    magnitude: bool,
    shunt: float | None,
) -> tuple[list[tuple[Block, Columns]], list[str]]:
    """Return the rows and columns of each sweep, and which tables were passed over as they hold none
    while others do.
    """
    found: list[tuple[Block, Columns]] = []
    reasons: list[tuple[Block, InputError]] = []

    def goes_on(one: Block, below: Block) -> bool:
        times = find_column(below, "time")
        return bool(times) and bool(below.values[0, times[0]] > one.values[-1, times[0]])

    blocks = join_blocks(blocks, goes_on)
    for block in blocks:
        try:
            for part in cut_cycles(block, columns):
                found += [
                    (part, one) for one in select(part, columns, magnitude, shunt is not None)
                ]
        except InputError as error:
            reasons.append((block, error))
    if not found:
        raise reasons[0][1]
    passed = [
        f"passed over the {'sheet ' + repr(block.sheet) if block.sheet else 'table'} from line"
        f" {block.lines[0]}, in which no sweep was found"
        for block, _ in reasons
    ]
    return found, passed


def _filled_rows(block: Block, place: Columns) -> Block:
    """Leave out the rows at the end that a shorter cycle beside longer ones does not fill."""
    used = [k for k in (place.t, place.v, place.i) if k is not None]
    there = np.isfinite(block.values[:, used]).any(1) | np.array(
        [any((row, k) in block.text for k in used) for row in range(len(block.lines))]
    )
    count = len(there) - int(there[::-1].argmax()) if there.any() else len(there)
    return block if count == len(there) else block.take(np.arange(count))


def _column_name(block: Block, index: int) -> str:
    name = block.heading(index).text
    return f"column {index + 1} {name!r}" if block.headings else f"column {index + 1}"


def _read_as(block: Block, index: int, quantity: str, given: str | None) -> str:
    heading = block.heading(index)
    unit = parse_unit(given) if given else heading.unit
    written = SI[quantity] if unit is None else unit_name(unit)
    return f"read {_column_name(block, index)} as {quantity} in {written}"


def _refuse_magnitude(v: Array, i: Array, label: str) -> None:
    """Refuse a current that is positive at either sign of the voltage, as no device's is."""
    below = v < 0.5 * v.min()
    both = v.min() < 0.0 < v.max() and np.ptp(i) > 0.0
    if both and i.min() >= 0.0 and np.median(i[below]) > 1e-4 * i.max():
        raise InputError(
            f"{label}: the current is never negative, as its magnitude is, which says nothing of its"
            " sign: give it the sign of the voltage (--magnitude)"
        )


def _filled(v: Array, i: Array, label: str) -> tuple[Array, NDArray[np.bool_]]:
    """Bridge currents that were not measured, and return where they are."""
    missing = ~np.isfinite(i)
    if not missing.any():
        return i, missing
    if missing.all():
        raise InputError(
            f"{label}: no current was measured, every one is missing: name another column"
            " (--column i=NAME)"
        )
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
    place: Columns,
    v: Array,
    columns: Mapping[str, str | int] | None,
    units: Mapping[str, str] | None,
    sweep_rate: float | None,
    frequency: float | None,
    label: str,
) -> tuple[Array, float | None, list[str]]:
    """Return the time axis, the number of periods where it was made from a frequency, and how it was
    read.
    """
    if sweep_rate is not None:
        if not 0.0 < sweep_rate < np.inf:
            raise InputError(
                f"the sweep rate must be positive [V/s], got {sweep_rate:g} (--sweep-rate)"
            )
        steps = np.abs(np.diff(v))
        # a point held, as at the turn of a sweep, still takes the instrument one step
        floor = float(np.median(steps)) if len(steps) else 0.0
        if floor == 0.0:
            raise InputError(
                f"{block.path}: the voltage does not change, so a sweep rate gives no time axis"
            )
        taken = np.where(steps < 1e-3 * floor, floor, steps)
        return np.concatenate([[0.0], np.cumsum(taken)]) / sweep_rate, None, []
    if frequency is not None:
        if not 0.0 < frequency < np.inf:
            raise InputError(
                f"the frequency must be positive [Hz], got {frequency:g} (--frequency)"
            )
        points, periods = count_periods(v, label)
        return np.arange(len(v)) / (frequency * points), periods, []
    if place.t is None:
        raise InputError(
            f"{block.source} has no time column: give the sweep rate in V/s (--sweep-rate), the"
            " frequency of the drive in Hz (--frequency), or name the column (--column t=NAME)"
        )
    if sum(column == place.t for _, column in block.text) > len(v) / 2:
        t, how = _clock(block, place.t)
    else:
        t = block.column(place.t, "time", (units or {}).get("t"))
        how = [_read_as(block, place.t, "time", (units or {}).get("t"))]
    if len(t) and abs(t[0]) > _FAR * float(np.ptp(t)):
        t = t - t[0]
        how.append("time is counted from the first stamp")
    t, moved = spread_repeats(t)
    if moved:
        how.append(f"points that share a time stamp ({moved}) are spread evenly up to the next")
    return t, None, how


def _clock(block: Block, index: int) -> tuple[Array, list[str]]:
    """Return the seconds since the first of time stamps that are written as clocks or dates."""
    stamps = block.words(index)
    dates = find_column(block, "date")
    if dates and all(block.words(dates[0])):
        stamps = [
            f"{day} {clock}" for day, clock in zip(block.words(dates[0]), stamps, strict=True)
        ]
    how = f"read {_column_name(block, index)} as clock, in seconds from the first"
    return seconds(stamps, block.where(index)), [how]


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
            f"{label}: offset must be a current in A, 'zero' or 'none', got {offset!r} (--offset)"
        )
    return shift
