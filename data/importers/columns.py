"""Which columns of a block are a sweep's time, voltage and current: by name, or as told."""

__all__ = ["Columns", "cut_cycles", "find_column", "missing_column", "select"]

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError
from ..types import Array
from .delimited import Block
from .headings import SI

_GATE = re.compile(r"gate|(?<![^\W_])v_?gs?(?![^\W_])", re.IGNORECASE)
_CHANNEL = re.compile(r"(?:ch|chan|channel|c)[\s_]*(?:\d|[A-D])(?!\w)", re.IGNORECASE)
_SHORTEST = 8  # points of a sweep
_OPPOSITE = -0.9  # correlation of the currents into a device's two ends
_QUANTITY = {"t": "time", "v": "voltage", "i": "current"}
_KEY = {quantity: key for key, quantity in _QUANTITY.items()} | {"date": "t"}
_OTHERWISE = {"current": ("density", "resistance", "conductance")}


@dataclass(frozen=True)
class Columns:
    """Positions of a sweep's columns, counted from 0; without a time ``t`` is None."""

    t: int | None
    v: int
    i: int


def find_column(block: Block, quantity: str, *, magnitude: bool = False) -> list[int]:
    """Return the columns whose names say ``quantity`` best, in order: one, or one for each cycle.

    Parameters
    ----------
    block
        The file's numbers, column by column.
    quantity
        What the column is to hold.
    magnitude
        Whether the current is a magnitude, to be given the voltage's sign.

    Raises
    ------
    InputError
        If several say so alike and are not the numbered columns of one name.
    """
    for kind in (quantity, *_OTHERWISE.get(quantity, ())):
        alike = [
            (not heading.fits(kind), heading.rank, index)
            for index, heading in enumerate(block.headings)
            if heading.quantity == kind and (magnitude or not heading.magnitude)
        ]
        if magnitude and quantity == "current":
            alike = [row for row in alike if block.headings[row[2]].magnitude] or alike
        if not alike:
            continue
        alike.sort()
        best = block.headings[alike[0][2]]
        group = [
            row[2]
            for row in alike
            if row[0] == alike[0][0]
            and row[1][0] == alike[0][1][0]
            and block.headings[row[2]].stem == best.stem
            and block.headings[row[2]].unit == best.unit
        ]
        equal = [row[2] for row in alike if row[:2] == alike[0][:2]]
        if not set(equal) <= set(group):
            names = " and ".join(f"{block.header[k]!r} (column {k})" for k in equal)
            raise InputError(
                f"{block.source} has {names} for the {quantity}: name one, or its position"
                f" (--column {_KEY[quantity]}={equal[0]})"
            )
        return group
    return _by_unit(block, quantity) or _of_drain(block, quantity)


def _of_drain(block: Block, quantity: str) -> list[int]:
    """Return the column of a transistor's drain, ``VD`` or ``ID``, where both are there: alone, an
    ``ID`` may be a name.
    """
    names = [heading.plain for heading in block.headings]
    for pair in (("vd", "id"), ("vds", "ids")):
        if all(names.count(name) == 1 for name in pair) and quantity in ("voltage", "current"):
            return [names.index(pair[quantity == "current"])]
    return []


def _by_unit(block: Block, quantity: str) -> list[int]:
    """Return the one column whose unit alone says what it is, such as ``Response (A)``."""
    found = [
        index
        for index, heading in enumerate(block.headings)
        if heading.quantity is None
        and not heading.unclear
        and not heading.magnitude
        and heading.unit is not None
        and heading.unit.si == SI[quantity]
        and heading.mentions == {quantity}
        and not _GATE.search(heading.text)
    ]
    return found if len(found) == 1 and quantity in SI else []


def select(
    block: Block, columns: Mapping[str, str | int] | None, magnitude: bool, shunt: bool
) -> list[Columns]:
    """Return the columns of each sweep in a block: one, or several side by side.

    Columns of one name that are numbered are several cycles, unless the data say that they are
    another terminal of the same device: a voltage that stands still, a current of opposite sign.

    Parameters
    ----------
    block
        The file's numbers, column by column.
    columns
        Columns that the caller names, by quantity.
    magnitude
        Whether the current is a magnitude, to be given the voltage's sign.
    shunt
        Whether the current is the voltage across a resistor.

    Raises
    ------
    InputError
        If a column is missing, or can't be chosen.
    """
    given = columns or {}
    told = {
        key: block.index(where, _QUANTITY[key]) for key, where in given.items() if key in _QUANTITY
    }
    t = [told["t"]] if "t" in told else find_column(block, "time")
    if shunt and "i" not in told:
        v, i = _channels(block, told)
    else:
        i = [told["i"]] if "i" in told else find_column(block, "current", magnitude=magnitude)
        if not i and len(_voltages(block)) > 1:
            raise InputError(missing_column(block, "i"))
        v = [told["v"]] if "v" in told else find_column(block, "voltage")
    for key, found in (("v", v), ("i", i)):
        if not found:
            raise InputError(missing_column(block, key))
    if len(i) == 1 or len(v) not in (1, len(i)):
        return [Columns(t[0] if t else None, v[0], i[0])]
    several = [Columns(t[0] if t else None, v[0], i[0])]
    for k in range(1, len(i)):
        one = Columns(
            t[k] if len(t) == len(i) else several[0].t, v[k] if len(v) > 1 else v[0], i[k]
        )
        if not _other_terminal(block.values, several[0], one):
            several.append(one)
    return several


def _channels(block: Block, told: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Return an oscilloscope's channels: the drive's, and the shunt's."""
    channels = _voltages(block)
    if "v" in told:
        channels = [told["v"], *(k for k in channels if k != told["v"])]
    if len(channels) != 2:
        raise InputError(
            f"{block.source} has {len(channels)} columns of voltage"
            f" ({', '.join(block.header) or 'no names'}), expected the drive's and the shunt's:"
            " name both (--column v=NAME --column i=NAME)"
        )
    return channels[:1], channels[1:]


def _voltages(block: Block) -> list[int]:
    """Return the columns of voltages, and of channels without a unit."""
    return [
        index
        for index, heading in enumerate(block.headings)
        if heading.quantity == "voltage"
        or (heading.quantity is None and not heading.mentions and _CHANNEL.match(heading.text))
    ]


def _other_terminal(values: Array, first: Columns, other: Columns) -> bool:
    if np.isfinite(values[:, [other.v, other.i]]).all(1).sum() < _SHORTEST:
        return True
    swing = [np.ptp(values[np.isfinite(values[:, k]), k]) for k in (first.v, other.v)]
    if swing[1] < 1e-3 * swing[0]:
        return True
    pair: Array = values[:, [first.i, other.i]]
    pair = pair[np.isfinite(pair).all(1)]
    if len(pair) < _SHORTEST or not np.ptp(pair, axis=0).all():
        return False
    return bool(np.corrcoef(pair.T).min() < _OPPOSITE)


def cut_cycles(block: Block, columns: Mapping[str, str | int] | None = None) -> list[Block]:
    """Cut a block where a column of cycles changes, or its time begins again."""
    told = (columns or {}).get("cycle")
    counted = (
        [block.index(told, "cycle")]
        if told is not None
        else [k for k, heading in enumerate(block.headings) if heading.quantity == "cycle"]
    )
    parts = [block]
    for column in counted:
        words = block.words(column)
        label = [
            word or float(value) for word, value in zip(words, block.values[:, column], strict=True)
        ]
        starts = [k for k in range(1, len(label)) if label[k] != label[k - 1]]
        if told is not None or len(label) >= _SHORTEST * (len(starts) + 1):
            parts = [piece for part in parts for piece in _pieces(part, block, starts)]
    return [piece for part in parts for piece in _restarts(part, columns)]


def _pieces(part: Block, whole: Block, starts: list[int]) -> list[Block]:
    lines = {whole.lines[k] for k in starts}
    return _cut(part, [k for k, line in enumerate(part.lines) if line in lines])


def _cut(block: Block, starts: list[int]) -> list[Block]:
    rows = np.split(np.arange(len(block.lines)), [k for k in starts if k])
    return [block.take(one) for one in rows] if len(rows) > 1 else [block]


def _restarts(block: Block, columns: Mapping[str, str | int] | None) -> list[Block]:
    """Cut a block where time falls back to where it began, as in cycles below each other."""
    told = (columns or {}).get("t")
    times = [block.index(told, "time")] if told is not None else find_column(block, "time")
    if not times:
        return [block]
    t = block.values[:, times[0]]
    starts = np.flatnonzero(np.diff(t) < 0.0) + 1
    if not len(starts):
        return [block]
    edges = [0, *starts.tolist(), len(t)]
    first = float(np.nanmax(t[: edges[1]]) - t[0])
    again = all(abs(t[k] - t[0]) <= 0.1 * first for k in starts)
    long = min(b - a for a, b in pairwise(edges)) >= _SHORTEST
    return _cut(block, edges[1:-1]) if again and long else [block]


def missing_column(block: Block, key: str) -> str:
    """Return the sentence for a column that can't be found by its name."""
    quantity = _QUANTITY[key]
    for index, heading in enumerate(block.headings):
        if heading.quantity == quantity and heading.magnitude:
            return (
                f"{block.where(index)}: this is the magnitude of the current, which says nothing of"
                " its sign: give it the sign of the voltage (--magnitude)"
            )
    voltages = [block.headings[index].text for index in _voltages(block)]
    if len(voltages) > 1 and (key == "i" or not find_column(block, "current")):
        return (
            f"{block.source} has voltages ({', '.join(voltages)}) and no current: give the resistor"
            f" in ohm across which {voltages[1]!r} was taken (--shunt), or name the current's column"
            " (--column i=NAME:UNIT)"
        )
    width = block.values.shape[1]
    there = ", ".join(block.header) if block.header else f"{width} columns without names"
    hint = f"name it, as in --column {key}=NAME:UNIT"
    if not block.headings:
        hint = "say which they are, counted from 0, as in --column t=0 --column v=1 --column i=2"
        if width == 5 and np.isnan(block.values[:, 2]).all() and not block.text:
            hint = (
                "it looks like a Keithley 2400's, whose readings are voltage, current, resistance,"
                " time and status: --column v=0 --column i=1 --column t=3 --column status=4"
            )
    return (
        f"{block.source} has no column that is known to be the {quantity} (it has: {there}): {hint}"
    )
