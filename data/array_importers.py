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

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .delimited import read_block, read_text
from .errors import InputError, nearest
from .measurement import Meta, PulseTrain, Relaxation, Table
from .types import Array

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


def read_ramps(
    path: str | Path, *, v_read: float, name: str | None = None, meta: Meta | None = None
) -> PulseTrain:
    """Read pulse ramps: one column per ramp, one row per pulse, the read current in A; short ramps
    end in NaN.

    Parameters
    ----------
    path
        The file, such as CrossSim's ``set.csv``.
    v_read
        Voltage at which the currents were read [V]; the conductance is their ratio.
    name, meta
        Name and further facts to keep.
    """
    if not (np.isfinite(v_read) and v_read != 0.0):
        raise InputError(f"the read voltage must be a number other than 0 V, got {v_read:g}")
    block = read_block(path)
    facts = {"file": block.path.name, "v_read": v_read, **(meta or {})}
    return PulseTrain(name or block.path.stem, block.values.T / v_read, "S", facts)


def read_response(
    path: str | Path, *, name: str | None = None, meta: Meta | None = None
) -> tuple[PulseTrain, PulseTrain]:
    """Read the response to up pulses (first column) and to down pulses (second), in normalised
    conductance.
    """
    block = read_block(path)
    if block.values.shape[1] != 2:
        raise InputError(
            f"{path} has {block.values.shape[1]} columns, expected two: the response up, and down"
        )
    facts = {"file": block.path.name, **(meta or {})}
    label = name or block.path.stem
    up, down = block.values.T
    return PulseTrain(f"{label} up", up[None], "1", facts), PulseTrain(
        f"{label} down", down[None], "1", facts
    )


def read_table(
    path: str | Path,
    layout: str | Mapping[str, str],
    *,
    name: str | None = None,
    meta: Meta | None = None,
) -> Table:
    """Read a table without a header.

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
    block = read_block(path, text_columns=("READ",))
    if block.values.shape[1] != len(layout):
        raise InputError(
            f"{path} has {block.values.shape[1]} columns, expected {len(layout)}:"
            f" {', '.join(layout)}"
        )
    columns = dict(zip(layout, np.ascontiguousarray(block.values.T), strict=True))
    return Table(
        name or block.path.stem, columns, dict(layout), {"file": block.path.name, **(meta or {})}
    )


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
    return np.ascontiguousarray(block.values[:, 2:])


def read_event_log(path: str | Path, *, name: str | None = None, meta: Meta | None = None) -> Table:
    """Read the READ rows of a tester's log, each with the kind of the last write before it.

    Rows are chip, time, address, operation, then what belongs to the operation: resistance,
    conductance, current and voltage after READ; the pulses after SET and RESET; those of a whole
    burst, its number of cycles last, after ENDURANCE.

    Returns
    -------
    Table
        ``time`` [s], ``address``, ``r`` [ohm], ``g`` [S], ``i`` [A], ``v`` [V], ``after`` (1 after
        SET, -1 after RESET, 0 else) and ``cycles``, counted over all bursts so far.
    """
    path = Path(path)
    rows: list[list[float]] = []
    after, cycles = 0.0, 0.0
    for number, line in enumerate(read_text(path).splitlines(), start=1):
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
