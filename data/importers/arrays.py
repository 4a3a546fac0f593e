"""Pulse ramps, array tables and relaxation data from the text files of their publishers.

Tables without a header are told what their columns are by a layout: one of :data:`LAYOUTS` by name,
or a mapping of column names to units.
"""

__all__ = [
    "LAYOUTS",
    "read_event_log",
    "read_noise_traces",
    "read_ramps",
    "read_relaxation",
    "read_response",
    "read_table",
]

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError, nearest
from ..measurement import PulseTrain, Relaxation, Table
from ..types import Array, Meta
from .delimited import Block, read_block
from .headings import SI
from .tables.containers import read_bytes
from .tables.rows import decode
from .units import parse_unit

LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "resistance": {"address": "1", "r": "ohm"},
    "endurance": {"address": "1", "r_set": "ohm", "r_reset": "ohm", "cycle": "1"},
    "cycles": {"address": "1", "r": "ohm", "cycle": "1"},
    "read_sweep": {"address": "1", "v": "V", "i": "A"},
    "read_multivolt": {"address": "1", "i": "A", "v": "V"},
    "retention": {"address": "1", "time": "s", "r": "ohm", "g": "S", "i": "A", "v": "V"},
    "one_pulse": {
        "address": "1",
        "width": "s",
        "v_word": "V",
        "v_drive": "V",
        "r_before": "ohm",
        "r_after": "ohm",
    },
    "dead": {"address": "1", "r_low": "ohm", "r_high": "ohm", "r": "ohm"},
    "bake": {"address": "1", "time": "s", "r": "ohm", "g": "S", "temperature": "degC"},
    "relaxation": {
        "address": "1",
        "time": "s",
        "r": "ohm",
        "g": "S",
        "g_first": "S",
        "level": "1",
        "time_nominal": "s",
    },
}
"""Column names and units of the headerless tables that array testers write, in file order."""


_READABLE = ("conductance", "current", "resistance")
_MOST = 10.0  # S, more than any device conducts; a unit was forgotten


def read_ramps(
    path: str | Path,
    *,
    v_read: float | None = None,
    columns: Sequence[str | int] | None = None,
    unit: str | None = None,
    sheet: str | int | None = None,
    decimal: str | None = None,
    name: str | None = None,
    meta: Meta | None = None,
) -> PulseTrain:
    """Read pulse ramps: one column per ramp, one row per pulse; short ramps end in NaN.

    What the columns hold, conductance, read current or resistance, and its unit are taken from their
    names; without these they are currents in A.

    Parameters
    ----------
    path
        The file, such as CrossSim's ``set.csv``.
    v_read
        Voltage at which currents were read [V]; the conductance is their ratio.
    columns
        The columns that are ramps: header names, or positions counted from 0. Default: all.
    unit
        Unit of the numbers in the file, such as ``uS`` or ``uA``. Default: from the header.
    sheet, decimal
        See :func:`~memtwin.data.importers.delimited.read_blocks`.
    name, meta
        Name and further facts to keep.

    Raises
    ------
    InputError
        If a column is by its name no ramp, such as a pulse's number, voltage or width; if currents
        have no read voltage; if the conductance is beyond any device's.
    """
    block = read_block(path, sheet=sheet, decimal=decimal)
    g, _ = _conductances(block, v_read, columns, unit, "current")
    return PulseTrain(name or block.path.stem, g, "S", _facts(block, v_read, meta))


def read_response(
    path: str | Path,
    *,
    v_read: float | None = None,
    columns: Sequence[str | int] | None = None,
    unit: str | None = None,
    sheet: str | int | None = None,
    decimal: str | None = None,
    name: str | None = None,
    meta: Meta | None = None,
) -> tuple[PulseTrain, PulseTrain]:
    """Read the response to up pulses (first column) and to down pulses (second), in normalised
    conductance, or in S where the names or ``unit`` say a unit; arguments as of :func:`read_ramps`.

    Parameters
    ----------
    path
        Where the file is.
    v_read
        Voltage that the conductance was read at, where the file holds currents [V].
    columns
        The two columns, up and then down: header names, or positions counted from 0.
    unit
        Unit of the conductance, where the file says none.
    sheet
        Sheet of a workbook, by name or position from 0.
    decimal
        Decimal mark, ``","`` or ``"."``.
    name
        What to call it.
    meta
        What else is known of the measurement.
    """
    block = read_block(path, sheet=sheet, decimal=decimal)
    count = block.values.shape[1] if columns is None else len(columns)
    if count != 2:
        raise InputError(
            f"{path} has {count} columns, expected two: the response up, and down"
            f" ({', '.join(block.header) or 'no names'}); name them, as in --column g=NAME"
        )
    values, si = _conductances(block, v_read, columns, unit, None)
    facts = _facts(block, v_read, meta)
    label = name or block.path.stem
    up, down = values
    return PulseTrain(f"{label} up", up[None], si, facts), PulseTrain(
        f"{label} down", down[None], si, facts
    )


def _facts(block: Block, v_read: float | None, meta: Meta | None) -> Meta:
    read: Meta = {} if v_read is None else {"v_read": v_read}
    return {"file": block.path.name, **read, **(meta or {})}


def _conductances(
    block: Block,
    v_read: float | None,
    columns: Sequence[str | int] | None,
    unit: str | None,
    otherwise: str | None,
) -> tuple[Array, str]:
    """Return columns as conductances, shape (columns, rows), and their unit, ``S`` or ``1``.

    What neither ``unit`` nor a name says is ``otherwise``, or a normalised conductance if None.
    """
    if v_read is not None and not (np.isfinite(v_read) and v_read != 0.0):
        raise InputError(f"the read voltage must be a number other than 0 V, got {v_read:g}")
    places = (
        list(range(block.values.shape[1]))
        if columns is None
        else [block.index(key, "conductance") for key in columns]
    )
    stated = None if unit in (None, "1") else _quantity_of(str(unit), block)
    sure = columns is not None and unit is not None
    kinds = {}
    for place in places:
        if not sure:
            _refuse_settings(block, place, named=columns is not None)
        heading = block.heading(place)
        words = heading.quantity if heading.quantity in _READABLE else None
        held = heading.unit and next((q for q in _READABLE if SI[q] == heading.unit.si), "time")
        if otherwise is None and held is None and words == "conductance":
            words = None  # normalised, as long as no unit is said
        kinds[place] = stated or (None if unit == "1" else held or words or otherwise)
    if len(set(kinds.values())) > 1:
        first, other = sorted({str(kind or "normalised conductance") for kind in kinds.values()})[
            :2
        ]
        raise InputError(
            f"{block.path} has columns of {first} and of {other}: name the ramps, as in --column"
            " g=NAME"
        )
    (kind,) = set(kinds.values())
    if kind is None:
        return np.ascontiguousarray(block.numbers(places).T), "1"
    values = np.array([block.column(place, kind, unit, gaps=True) for place in places])
    if kind == "current":
        if v_read is None:
            raise InputError(
                f"{block.path}: give the read voltage, so that currents become conductances; or the"
                " unit, if these are conductances, as in --column g=NAME:uS"
            )
        values = values / v_read
    elif kind == "resistance":
        if not (values[np.isfinite(values)] > 0.0).all():
            raise InputError(f"{block.path}: a resistance is not above 0 ohm")
        values = 1.0 / values
    if np.nanmax(np.abs(values), initial=0.0) > _MOST:
        raise InputError(
            f"{block.path}: read as {kind} in {SI[kind]}, the conductance reaches"
            f" {np.nanmax(np.abs(values)):.3g} S, beyond any device's: give the unit, as in"
            " --column g=NAME:uS"
        )
    return values, "S"


def _quantity_of(unit: str, block: Block) -> str:
    found = parse_unit(unit)
    for quantity in _READABLE:
        if found is not None and found.si == SI[quantity]:
            return quantity
    raise InputError(
        f"{block.path}: {unit!r} can't be the unit of a ramp, expected one of conductance, current"
        " or resistance, such as uS, uA or kohm; or 1"
    )


def _refuse_settings(block: Block, place: int, *, named: bool) -> None:
    """Refuse a column that says what was applied, not what was read."""
    heading = block.heading(place)
    others = heading.mentions.difference(_READABLE)
    if others and not heading.mentions.intersection(_READABLE):
        raise InputError(
            f"{block.where(place)}: by its name this is a {' or '.join(sorted(others))}, not a"
            " conductance or read current: name the columns that are, as in --column g=NAME:uS"
        )
    values = block.values[:, place]
    if not named and not block.headings and len(values) > 2 and (np.diff(values) == 1.0).all():
        raise InputError(
            f"{block.where(place)} counts {values[0]:g}, {values[1]:g}, {values[2]:g} ..., which no"
            " conductance does: give the positions of those that are, as in --column g=1:uS"
        )


def read_table(
    path: str | Path,
    layout: str | Mapping[str, str],
    *,
    name: str | None = None,
    meta: Meta | None = None,
) -> Table:
    """Read a table without a header, or one whose header has the layout's names, in any order and with units; then
    ``cell`` is an ``address``, and a conductance ``g_NAME`` does for the resistance ``r_NAME``.

    Parameters
    ----------
    path
        The file; gzipped is fine.
    layout
        Name of a layout in :data:`LAYOUTS`, or column names with their units in file order.
    name, meta
        Name and further facts to keep.

    Raises
    ------
    InputError
        If the layout is unknown or does not have as many columns as the file.
    """
    if isinstance(layout, str):
        if layout not in LAYOUTS:
            raise InputError(f"unknown table layout {layout!r}{nearest(layout, LAYOUTS)}")
        layout = LAYOUTS[layout]
    block = read_block(path, text_columns=("READ", "False", "True"))
    if (columns := _by_header(block, layout)) is not None:
        facts = {"file": block.path.name, **(meta or {})}
        return Table(name or block.path.stem, columns, dict(layout), facts)
    if block.values.shape[1] != len(layout):
        raise InputError(
            f"{path} has {block.values.shape[1]} columns, expected {len(layout)}:"
            f" {', '.join(layout)}"
        )
    columns = dict(zip(layout, np.ascontiguousarray(block.numbers().T), strict=True))
    return Table(
        name or block.path.stem, columns, dict(layout), {"file": block.path.name, **(meta or {})}
    )


def _by_header(block: Block, layout: Mapping[str, str]) -> dict[str, Array] | None:
    """Return a layout's columns in SI units from a table whose header names them; ``None`` where it names others."""
    names = [heading.plain.replace(" ", "_") for heading in block.headings]
    names = ["address" if name in ("cell", "addr") else name for name in names]
    columns = {}
    for name, si in layout.items():
        other = f"g{name[1:]}" if si == "ohm" else name
        found = next((one for one in (name, other) if one in names), None)
        if found is None:
            return None
        place = names.index(found)
        wanted, unit = (si if found == name else "S"), block.headings[place].unit
        if unit is not None and wanted in ("S", "ohm", "s", "V", "A") and unit.si != wanted:
            raise InputError(
                f"{block.where(place)}: {unit.si!r} can't be the unit here, expected {wanted}"
            )
        values = block.numbers([place])[:, 0] * (1.0 if unit is None else unit.factor)
        if found != name and (values == 0.0).any():
            raise InputError(f"{block.where(place)}: a conductance of 0 S has no resistance")
        columns[name] = np.ascontiguousarray(values if found == name else 1.0 / values)
    return columns


def read_relaxation(
    path: str | Path,
    *,
    g_max: float | None = None,
    name: str | None = None,
    meta: Meta | None = None,
) -> Relaxation:
    """Read a relaxation table into one row per cell, one column per nominal time.

    The factor is the nominal time point, not the time stamp, which scatters; a cell that was not
    read at a time point has NaN there, and a cell without a first read is left out.

    Parameters
    ----------
    path
        A table of layout ``relaxation``.
    g_max
        Full scale of the technology [S], kept in ``meta``.
    name, meta
        Name and further facts to keep.
    """
    table = read_table(path, "relaxation")
    cells, cell = np.unique(table["address"], return_inverse=True)
    times, point = np.unique(table["time_nominal"], return_inverse=True)
    g = np.full((len(cells), len(times)), np.nan)
    g[cell, point] = table["g"]
    level = np.zeros(len(cells), np.int64)
    level[cell] = table["level"].astype(np.int64)
    there = np.isfinite(g[:, 0])
    facts: dict[str, str | float] = {"file": Path(path).name, **(meta or {})}
    if g_max is not None:
        facts["g_max"] = g_max
    return Relaxation(name or Path(path).stem, times, g[there], level[there], facts)


def read_noise_traces(path: str | Path) -> Array:
    """Read conductance over time, one cell per row after two columns of bookkeeping [S], shape
    (cells, reads).
    """
    block = read_block(path)
    if block.values.shape[1] < 10:
        raise InputError(
            f"{path} has {block.values.shape[1]} columns, too few for traces over time"
        )
    return np.ascontiguousarray(block.numbers()[:, 2:])


def read_event_log(path: str | Path, *, name: str | None = None, meta: Meta | None = None) -> Table:
    """Read the READ rows of a tester's log, each with the kind of the last write before it.

    Rows are chip, time, address, operation, then what belongs to the operation: resistance,
    conductance, current and voltage after READ; the pulses after SET and RESET; those of a whole
    burst, its number of cycles last, after ENDURANCE.

    Parameters
    ----------
    path
        Where the file is.
    name
        What to call it.
    meta
        What else is known of the measurement.

    Returns
    -------
    Table
        ``time`` [s], ``address``, ``r`` [ohm], ``g`` [S], ``i`` [A], ``v`` [V], ``after`` (1 after
        SET, -1 after RESET, 0 else) and ``cycles``, counted over all bursts so far.
    """
    path = Path(path)
    rows: list[list[float]] = []
    after, cycles = 0.0, 0.0
    for number, line in enumerate(decode(read_bytes(path), str(path)).splitlines(), start=1):
        words = [word.strip() for word in line.split(",")]
        if len(words) < 5:
            if line.strip():
                raise InputError(f"{path}, line {number}: {len(words)} fields, expected 5 or more")
            continue
        operation = words[3]
        try:
            if operation == "READ":
                rows.append(
                    [float(words[1]), float(words[2]), *map(float, words[4:8]), after, cycles]
                )
            elif operation == "ENDURANCE":
                cycles += float(words[-1])
            elif operation in ("SET", "RESET", "FORM"):
                after = -1.0 if operation == "RESET" else 1.0
            else:
                raise InputError(
                    f"{path}, line {number}: unknown operation {operation!r},"
                    " expected READ, SET, RESET, FORM or ENDURANCE"
                )
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}, line {number}: a number is broken ({error})") from None
    if not rows:
        raise InputError(f"{path} holds no READ row")
    if any(len(row) != 8 for row in rows):
        raise InputError(
            f"{path}: a READ row lacks one of resistance, conductance, current, voltage"
        )
    units = {
        "time": "s",
        "address": "1",
        "r": "ohm",
        "g": "S",
        "i": "A",
        "v": "V",
        "after": "1",
        "cycles": "1",
    }
    columns = dict(zip(units, np.array(rows).T.copy(), strict=True))
    return Table(name or path.stem, columns, units, {"file": path.name, **(meta or {})})
