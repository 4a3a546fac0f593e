"""Write-read records: amplitude and width of each pulse, and what was read after it, as a sweep of pulses.

A record becomes a :class:`~memtwin.data.measurement.Sweep` whose voltage over time is that of the pulses, and whose
current is known only where it was read; all other points are left out, as censored ones are. So a compact model is
fitted to it as to any sweep, alone or together with loops of the same device.
"""

__all__ = ["is_pulse_record", "pulse_sweep", "read_pulse_records"]

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InputError
from ...measurement import Sweep
from ...types import Array, Meta
from ..delimited import Block, read_blocks
from ..headings import SI

_EDGE = 1e-3  # of a pulse's width: rise, fall, and the way to the read
_READ = re.compile(r"read|sense|lese|(?<![a-z])v_?r(?![a-z])", re.IGNORECASE)
_WIDTH = re.compile(
    r"width|duration|breite|dauer|(?<![a-z])(t_?p(ulse)?|pw|t_?w|t_?on)(?![a-z])", re.IGNORECASE
)
_BEFORE = re.compile(r"before|initial|vorher|(?<![a-z])pre(?![a-z])", re.IGNORECASE)
_TRACED = re.compile(r"(?<![A-Za-z])CT(?![A-Z])")
_HELD = {"S": "conductance", "ohm": "resistance", "A": "current"}


def pulse_sweep(
    name: str,
    v: ArrayLike,
    width: ArrayLike,
    i: ArrayLike,
    v_read: float,
    *,
    before: float | None = None,
    meta: Meta | None = None,
) -> Sweep:
    """Return a record of pulses as a sweep.

    Parameters
    ----------
    name
        What to call it.
    v
        Amplitude of each pulse [V], shape (pulses,); 0 V is a read alone.
    width
        Time that it lasts [s], one for all or one for each.
    i
        Current read after each pulse [A], shape (pulses,); NaN where none was.
    v_read
        Voltage of the reads [V].
    before
        Current read before the first pulse [A].
    meta
        What else is known.

    Notes
    -----
    Between pulse and read passes a thousandth of the pulse's width: rest times are not part of it, as a state that
    keeps what was written does not move in them.
    """
    v, i = np.asarray(v, float), np.asarray(i, float)
    width = np.broadcast_to(np.asarray(width, float), v.shape)
    if v.ndim != 1 or i.shape != v.shape:
        raise InputError(f"{name}: amplitudes have shape {v.shape}, reads {i.shape}, expected one")
    for what, values in (("amplitude", v), ("width", width)):
        wrong = ~np.isfinite(values)
        if wrong.any():
            raise InputError(f"{name}: the {what} of pulse {int(wrong.argmax()) + 1} is missing")
    if (width <= 0.0).any():
        at = int((width <= 0.0).argmax())
        raise InputError(
            f"{name}: the width of pulse {at + 1} is {width[at]:g} s, expected above 0"
        )
    if not (np.isfinite(v_read) and v_read != 0.0):
        raise InputError(
            f"{name}: the read voltage is {v_read:g} V, expected another than 0 (--v-read)"
        )
    edges = _EDGE * width
    steps = np.column_stack([edges, width, edges])
    t = np.concatenate([[0.0], np.cumsum(steps)])
    drive = np.concatenate([[v_read], np.column_stack([v, v, np.full(len(v), v_read)]).ravel()])
    read = np.full((len(v), 3), np.nan)
    read[:, 2] = i
    current = np.concatenate([[np.nan if before is None else before], read.ravel()])
    missing = ~np.isfinite(current)
    if missing.all():
        raise InputError(f"{name}: nothing was read after any pulse")
    facts: dict[str, str | float] = {**(meta or {}), "pulses": float(len(v)), "v_read": v_read}
    return Sweep(name, t, drive, np.where(missing, 0.0, current), missing, facts)


def is_pulse_record(block: Block) -> bool:
    """Return whether a table's names speak of amplitudes, widths and reads of pulses.

    A current that no name calls a read may be that of a pulsed sweep, taken while the pulse lasts.
    """
    return (
        bool(block.headings)
        and not _is_traced(block)
        and _width_column(block) is not None
        and bool(_amplitudes(block))
        and any(
            (heading := block.headings[k]).unit is None
            or heading.unit.si != "A"
            or _READ.search(heading.text)
            for k in _reads(block)
        )
    )


def read_pulse_records(
    path: str | Path,
    *,
    columns: Mapping[str, str | int] | None = None,
    units: Mapping[str, str] | None = None,
    v_read: float | None = None,
    pulse_width: float | None = None,
    polarity: int | None = None,
    r_tester: float | None = None,
    sheet: str | int | None = None,
    decimal: str | None = None,
    meta: Meta | None = None,
) -> list[Sweep]:
    """Read the records of a file: one, or one for each number in a column of cells or cycles.

    Parameters
    ----------
    path
        The file.
    columns
        Columns by name or position: ``v`` the amplitudes, ``w`` the widths, ``g`` or ``i`` what was read.
    units
        Units of these, where the names say none.
    v_read
        Voltage of the reads [V], where no column holds it.
    pulse_width
        Width of every pulse [s], where no column holds it.
    polarity
        -1 for a device that SETs at negative voltage.
    r_tester
        Known resistor in series [ohm].
    sheet, decimal, meta
        See :func:`~memtwin.data.importers.sweeps.read_sweeps`.
    """
    path = Path(path)
    blocks = read_blocks(path, sheet=sheet, decimal=decimal)
    found: list[Sweep] = []
    parts = [part for block in blocks for part in _cells(block)]
    for k, part in enumerate(parts, start=1):
        label = path.stem if len(parts) == 1 else f"{path.stem} {k}"
        facts: dict[str, str | float] = {"file": path.name, **(meta or {})}
        if r_tester is not None:
            facts["r_tester"] = r_tester
        found.append(
            _record(
                part, label, columns or {}, units or {}, v_read, pulse_width, polarity or 1, facts
            )
        )
    return found


def _record(
    block: Block,
    label: str,
    columns: Mapping[str, str | int],
    units: Mapping[str, str],
    v_read: float | None,
    pulse_width: float | None,
    polarity: int,
    facts: dict[str, str | float],
) -> Sweep:
    at_v = _place(block, columns, "v", "voltage", _amplitudes(block), "amplitude of the pulses")
    said = [f"{block.heading(at_v).text!r} as the pulses' amplitude"]
    v = block.column(at_v, "voltage", units.get("v"))
    at_w = block.index(columns["w"], "width") if "w" in columns else _width_column(block)
    if at_w is not None:
        width = _seconds(block, at_w, units.get("w"))
        said.append(f"{block.heading(at_w).text!r} as their width")
    elif pulse_width is not None:
        width = np.full(len(v), pulse_width)
    else:
        raise InputError(
            f"{block.source}: no column is the pulses' width: name it (--column w=NAME:us), or give the"
            " one that all have (--pulse-width)"
        )
    key = "i" if "i" in columns else "g"
    at_r = _place(block, columns, key, "conductance", _reads(block), "read after each pulse")
    unit = units.get("i", units.get("g"))
    held = block.heading(at_r)
    kind = _HELD.get(held.unit.si, "") if held.unit else str(held.quantity)
    if kind not in _HELD.values():
        kind = "current" if key == "i" else "conductance"
    values = block.column(at_r, kind, unit, gaps=True)
    said.append(f"{block.heading(at_r).text!r} as the {kind} read after each")
    v_read = _read_voltage(block, at_v) if v_read is None else v_read
    if v_read is None:
        raise InputError(
            f"{block.source}: give the read voltage (--v-read), at which what was read after a pulse holds"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        current = {"conductance": values * v_read, "resistance": v_read / values}.get(kind, values)
    current = np.where(np.isfinite(current), current, np.nan)
    before = _before(block, at_r, kind, v_read)
    facts["read"] = "read " + ", ".join(said) + f", at {v_read:g} V"
    sign = float(polarity)
    # a read of the other sign is the same read of a device that is turned
    return pulse_sweep(label, sign * v, width, current, v_read, before=before, meta=facts)


def _place(
    block: Block,
    columns: Mapping[str, str | int],
    key: str,
    quantity: str,
    found: list[int],
    what: str,
) -> int:
    if key in columns:
        return block.index(columns[key], quantity)
    if len(found) == 1:
        return found[0]
    names = " and ".join(repr(block.heading(k).text) for k in found) or "no column"
    raise InputError(f"{block.source}: {names} for the {what}: name one (--column {key}=NAME)")


def _is_traced(block: Block) -> bool:
    """Return whether tags say that every row is a point of a curve (ArC ONE's ``CT``), read while its pulse lasts."""
    return any(
        heading.plain == "tag"
        and all(_TRACED.search(block.text.get((row, k), "")) for row in range(len(block.lines)))
        for k, heading in enumerate(block.headings)
    )


def _width_column(block: Block) -> int | None:
    fits = [
        k
        for k, heading in enumerate(block.headings)
        if heading.quantity == "width"
        or (_WIDTH.search(heading.text) and heading.quantity in (None, "time"))
    ]
    return fits[0] if len(fits) == 1 else None


def _seconds(block: Block, place: int, unit: str | None) -> Array:
    heading = block.heading(place)
    quantity = "width" if heading.quantity == "width" else "time"
    if heading.quantity is None and heading.unit is None and unit is None:
        raise InputError(f"{block.where(place)}: give the unit of the widths (--column w=NAME:us)")
    return block.column(place, quantity, unit)


def _amplitudes(block: Block) -> list[int]:
    return [
        k
        for k, heading in enumerate(block.headings)
        if (heading.quantity in ("voltage", "amplitude") or "voltage" in heading.mentions)
        and (heading.unit is None or heading.unit.si == "V")
        and not _READ.search(heading.text)
    ]


def _reads(block: Block) -> list[int]:
    """Return the columns of what was read after a pulse, the best kind alone."""
    for si in ("S", "ohm", "A"):
        fits = [
            k
            for k, heading in enumerate(block.headings)
            if (
                (heading.unit is not None and heading.unit.si == si)
                or (heading.unit is None and heading.quantity == _HELD[si])
            )
            and SI.get(str(heading.quantity), si) == si
            and not _BEFORE.search(heading.text)
            and heading.quantity != "limit"
        ]
        named = [k for k in fits if _READ.search(block.headings[k].text)]
        if fits:
            return named if len(named) == 1 else fits
    return []


def _before(block: Block, read: int, kind: str, v_read: float) -> float | None:
    """Return the current read before the first pulse, if a column says it."""
    unit = block.heading(read).unit
    for k, heading in enumerate(block.headings):
        if k != read and _BEFORE.search(heading.text) and heading.unit == unit and unit is not None:
            value = float(block.column(k, kind, gaps=True)[0])
            if not np.isfinite(value) or (kind == "resistance" and value <= 0.0):
                return None
            return {"conductance": value * v_read, "resistance": v_read / value}.get(kind, value)
    return None


def _read_voltage(block: Block, amplitude: int) -> float | None:
    for k, heading in enumerate(block.headings):
        if k != amplitude and heading.unit is not None and heading.unit.si == "V":
            values = block.column(k, "voltage", gaps=True)
            there = values[np.isfinite(values)]
            if _READ.search(heading.text) and len(there) and np.ptp(there) <= 1e-9:
                return float(there[0])
    return None


def _cells(block: Block) -> list[Block]:
    """Return a block's rows cell by cell, or cycle by cycle, where a column counts them."""
    for k, heading in enumerate(block.headings):
        if re.search(r"(?<![a-z])(cell|device|address)(?![a-z])", heading.text, re.IGNORECASE):
            values = block.values[:, k]
            if np.isfinite(values).all():
                return [block.take(np.flatnonzero(values == one)) for one in np.unique(values)]
    counted = [k for k, heading in enumerate(block.headings) if heading.quantity == "cycle"]
    for k in counted[:1]:
        values = block.values[:, k]
        if np.isfinite(values).all() and len(np.unique(values)) < len(values) / 4:
            return [block.take(np.flatnonzero(values == one)) for one in np.unique(values)]
    return [block]
