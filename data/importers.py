"""Current-voltage sweeps from the text files that instruments write.

:func:`read_sweep` knows the exports of Keithley source-measure units (``Smu1.Time``, ``Smu1.V``,
``Smu1.I``), tables with ``V1, I1``, Knowm's memristor-discovery columns, and takes a column map for
anything else. It builds the missing time axis from a sweep rate, removes the instrument's offset,
and marks what an instrument's limits have cut off.
"""

__all__ = ["find_limits", "read_sweep"]

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .delimited import Block, read_block
from .errors import InputError
from .measurement import Meta, Sweep
from .types import Array

_NAMES = {
    "t": ("smu1.time", "time", "t", "timestamp", "elapsed time"),
    "v": ("smu1.v", "voltage", "v", "v1", "vapp", "v_applied", "vm", "v_mem", "memristor voltage"),
    "i": ("smu1.i", "current", "i", "i1", "im", "i_mem"),
}
_WORDS = {"t": ("time", "s"), "v": ("voltage", "V"), "i": ("current", "A")}

_RANGE_BAND = (0.6, 1.3)  # a stuck range reads its full scale within these factors
_RANGE_POINTS = 8


def read_sweep(
    path: str | Path,
    *,
    columns: Mapping[str, str | int] | None = None,
    units: Mapping[str, str] | None = None,
    sweep_rate: float | None = None,
    frequency: float | None = None,
    compliance: float | None = None,
    offset: float | str = "zero",
    polarity: int = 1,
    r_tester: float = 0.0,
    name: str | None = None,
    meta: Meta | None = None,
) -> Sweep:
    """Read one sweep from a delimited text file.

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
        Instead, for a file that holds one period of a periodic drive: its frequency [Hz].
    compliance
        Current limit of the instrument [A]; points at it are marked as censored. Found by itself
        where it shows as a plateau.
    offset
        Current to subtract [A]; ``zero``: the median current where the voltage is zero, if the
        sweep passes there; ``none``: nothing.
    polarity
        -1 turns the sign of voltage and current, for a device that SETs at negative voltage.
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
    block = read_block(path)
    label = name or block.path.name
    v = _column(block, "v", columns, units)
    i = _column(block, "i", columns, units)
    t = _time(block, v, columns, units, sweep_rate, frequency)
    if polarity not in (1, -1):
        raise InputError(f"polarity must be 1 or -1, got {polarity}")
    if r_tester < 0.0:
        raise InputError(f"the tester's resistor must be 0 ohm or more, got {r_tester:g}")
    v, i = v * polarity, i * polarity
    shift = _offset(v, i, offset, label)
    facts: dict[str, str | float] = {"file": block.path.name, "offset": shift, **(meta or {})}
    if r_tester:
        facts["r_tester"] = r_tester
    i = i - shift
    return Sweep(label, t, v, i, find_limits(v, i, compliance=compliance), facts)


def find_limits(v: Array, i: Array, *, compliance: float | None = None) -> NDArray[np.bool_]:
    """Find the points of a sweep whose current is the instrument's limit and not the device's.

    - Compliance: the current stays within 0.2 % of its extreme (or of ``compliance``) while the
      voltage moves on. Where the measured voltage stands still as well, voltage and current belong
      together and the point is good.
    - A stuck range: the current hovers about a power of ten (the range's full scale) while the
      voltage rises, falling and recovering again and again, which no device does just there.

    Parameters
    ----------
    v, i
        Voltage [V] and current [A], shape (points,).
    compliance
        Known current limit [A].

    Returns
    -------
    NDArray
        True at the points to leave out, shape (points,).
    """
    cut = np.zeros(len(v), bool)
    step = np.median(np.abs(np.diff(v))) if len(v) > 1 else 0.0
    for sign in (1.0, -1.0):
        along = sign * i
        limit = compliance if compliance is not None else float(along.max())
        if limit <= 0.0:
            continue
        for first, last in _stretches(along >= limit * (1.0 - 2e-3)):
            if last - first >= 3 and np.ptp(v[first:last]) > 3.0 * step:
                cut[first:last] = True
    size = np.abs(i)
    # second differences where the voltage is lowest tell noise from a steep but smooth current
    rest = np.argsort(np.abs(v[1:-1]), kind="stable")[: max(len(v) // 20, 5)]
    noise = float(np.median(np.abs(np.diff(i, 2))[rest])) if len(v) > 2 else 0.0
    visible = size[size > 30.0 * noise]
    for decade in np.unique(np.round(np.log10(visible[visible > 0.0]))):
        scale = 10.0**decade
        near = (size > _RANGE_BAND[0] * scale) & (size < _RANGE_BAND[1] * scale) & (v * i > 0.0)
        if scale < 30.0 * noise:
            continue
        for first, last in _stretches(near):
            # one branch at a time: |v| must grow or shrink throughout
            for begin, end in _branches(np.abs(v), first, last):
                if end - begin < _RANGE_POINTS:
                    continue
                change = np.diff(size[begin:end]) / size[begin : end - 1]
                turns = np.diff(np.sign(change[np.abs(change) > 0.02]))
                if np.count_nonzero(turns) >= 4:
                    cut[begin:end] = True
    return cut


def _column(
    block: Block,
    key: str,
    columns: Mapping[str, str | int] | None,
    units: Mapping[str, str] | None,
) -> Array:
    what, unit = _WORDS[key]
    where = (columns or {}).get(key)
    if where is None:
        where = block.find(_NAMES[key])
    if where is None:
        there = (
            ", ".join(block.header)
            if block.header
            else f"{block.values.shape[1]} columns without names"
        )
        raise InputError(
            f"{block.path} has no column that is known to be the {what} (it has: {there}): name it"
        )
    return block.column(where, what, unit, (units or {}).get(key))


def _time(
    block: Block,
    v: Array,
    columns: Mapping[str, str | int] | None,
    units: Mapping[str, str] | None,
    sweep_rate: float | None,
    frequency: float | None,
) -> Array:
    if sweep_rate is not None:
        if not sweep_rate > 0.0:
            raise InputError(f"the sweep rate must be positive [V/s], got {sweep_rate:g}")
        steps = np.abs(np.diff(v))
        # a point held, as at the turn of a sweep, still takes the instrument one step
        floor = float(np.median(steps)) if len(steps) else 0.0
        if floor == 0.0:
            raise InputError(
                f"{block.path}: the voltage does not change, so a sweep rate gives no time axis"
            )
        return (
            np.concatenate([[0.0], np.cumsum(np.where(steps < 1e-3 * floor, floor, steps))])
            / sweep_rate
        )
    if frequency is not None:
        if not frequency > 0.0:
            raise InputError(f"the frequency must be positive [Hz], got {frequency:g}")
        return np.arange(len(v)) / (frequency * len(v))
    if (columns or {}).get("t") is None and block.find(_NAMES["t"]) is None:
        raise InputError(
            f"{block.path} has no time column: give the sweep rate in V/s, or the frequency of"
            " the drive in Hz"
        )
    return _column(block, "t", columns, units)


def _offset(v: Array, i: Array, offset: float | str, label: str) -> float:
    if offset == "none":
        return 0.0
    if offset == "zero":
        steps = np.abs(np.diff(v))
        rest = np.abs(v) <= (0.1 * np.median(steps[steps > 0.0]) if steps.any() else 0.0)
        return float(np.median(i[rest])) if rest.any() else 0.0
    try:
        return float(offset)
    except ValueError:
        raise InputError(
            f"{label}: offset must be a current in A, 'zero' or 'none', got {offset!r}"
        ) from None


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first, last + 1) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _branches(size: Array, first: int, last: int) -> list[tuple[int, int]]:
    """Cut a stretch where |v| turns."""
    way = np.sign(np.diff(size[first:last]))
    turns = np.flatnonzero(way[1:] * way[:-1] < 0) + first + 1
    ends = [first, *(int(turn) for turn in turns), last]
    return list(pairwise(ends))
