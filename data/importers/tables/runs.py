"""Where the numbers of a table are: runs of rows, and the names and units above each.

:func:`find_runs` cuts a table into runs of numbers under their headers, whatever stands around them.
"""

__all__ = ["Run", "find_runs"]

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from ...errors import InputError
from ..headings import parse_heading
from ..units import parse_unit
from .rows import Row, is_missing, is_number, is_word

_SHORTEST = 8  # rows that a sweep has at least
_NO_UNIT = frozenset({"", "-", "1", "a.u.", "arb. u.", "#", "none"})


def _usual_width(rows: list[Row], wordy: frozenset[int]) -> int:
    """Return how many fields most rows of numbers have, 0 without any; the first of equals counts."""
    widths = Counter(len(row.words) for row in rows if _is_data(row.words, wordy))
    return widths.most_common(1)[0][0] if widths else 0


@dataclass
class Run:
    """Rows of numbers that follow each other.

    Attributes
    ----------
    above
        The rows of words above them.
    rows
        The numbers, all of one width.
    loose
        Whether only a blank line or a comment parts them from the run before.
    names, units
        The names over the columns and the units below these; empty where there are none.
    """

    above: list[Row]
    rows: list[Row]
    loose: bool = False
    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)


def find_runs(rows: list[Row], place: str) -> list[Run]:
    """Cut a table into runs of numbers: where a header or another line of words stands between, or
    where a blank line or a comment parts what is long enough to be a sweep.

    Parameters
    ----------
    rows
        The table.
    place
        What it is called in messages.

    Raises
    ------
    InputError
        If there is no number, a row is broken, or words stand between the rows of numbers.
    """
    data = [row for row in rows if not row.comment]
    if not data:
        raise InputError(f"{place} is empty")
    wordy = _wordy_columns(data)
    width = _usual_width(data, wordy)
    if not width:
        raise InputError(f"{place} holds no row of numbers{_units_within(data)}")
    runs = _merged(_cut(rows, width, wordy, place), width, 0 in wordy, place)
    for run in runs:
        run.names, run.units = _header(run.above, width)
        run.rows = [_fitted(row, width, place) for row in _trimmed(run.rows)]
        if not run.names:
            run.names = _other_width(run, width, place)
            run.units = [""] * len(run.names)
    if 0 not in wordy and runs:
        runs[-1].rows = _without_footer(runs[-1].rows)
    return [run for run in runs if run.rows]


def _cut(rows: list[Row], width: int, wordy: frozenset[int], place: str) -> list[Run]:
    """Return the runs as they stand, however short."""
    runs: list[Run] = []
    above: list[Row] = []
    last = 0
    for row in rows:
        blank = not any(row.words) and len(row.words) != width
        if row.comment or (not blank and not _holds_numbers(row, width)):
            above.append(row)
        elif not blank:
            if not runs and not (_is_data(row.words, wordy) and len(row.words) == width):
                # a preamble's numbers; a first row that is broken is one too many
                if _is_data(row.words, wordy) and last == 0 and _header_above(above, width):
                    _fitted(row, width, place)
                above.append(row)
                continue
            if not runs or above or row.line > last + 1:
                words = [one for one in above if not one.comment]
                runs.append(Run(above, [], bool(runs) and not words))
                above = []
            runs[-1].rows.append(row)
            last = row.line
    return runs


def _merged(runs: list[Run], width: int, wordy: bool, place: str) -> list[Run]:
    """Return the runs, those under a header alone where they are too short to be sweeps; settings
    below the numbers, such as ``Compliance,0.1,0.1``, are left out unless the first column is ``wordy``.
    """
    if all(len(run.rows) >= _SHORTEST for run in runs):
        return runs
    merged: list[Run] = []
    for run in runs:
        if not merged or _header_above(run.above, width):
            merged.append(run)
            continue
        words = [row for row in run.above if not row.comment]
        if words and not wordy and all(is_word(row.words[0]) for row in run.rows):
            continue
        if words:
            raise InputError(
                f"{place}, line {words[0].line}: words between the rows of numbers: leave the line out,"
                " or begin it with #"
            )
        merged[-1].rows += run.rows
    return merged


def _header_above(above: list[Row], width: int) -> bool:
    return any(row.width() == width and _knows(row.words[:width]) for row in above)


def _holds_numbers(row: Row, width: int) -> bool:
    """Return whether a row is one of numbers, also where they are missing; ``Cycle 2`` is none."""
    if not any(map(is_number, row.words)):
        return all(map(is_missing, row.words))
    return len(row.words) == width or is_number(row.words[0]) or is_missing(row.words[0])


def _wordy_columns(rows: list[Row]) -> frozenset[int]:
    """Return the columns without numbers in most rows that hold one: a status, a note at the top."""
    width = Counter(
        len(row.words) for row in rows if any(is_number(word) for word in row.words)
    ).most_common(1)
    rows = [
        row
        for row in rows
        if width and len(row.words) == width[0][0] and any(is_number(word) for word in row.words)
    ]
    return frozenset(
        column
        for column in range(width[0][0] if width else 0)
        if sum(is_number(row.words[column]) for row in rows) < len(rows) / 2
    )


def _header(above: list[Row], width: int) -> tuple[list[str], list[str]]:
    """Return the names over the first row of numbers and the units below each, empty without."""
    near: list[list[str]] = []
    for row in reversed(above):
        if row.width() != width:
            if row.comment:
                continue
            break
        names = row.words[:width]
        if not row.comment or _is_units(names) or _knows(names):
            near.append(names)
    near = near[:4]
    nothing = [""] * width
    if not near:
        return [], []
    for below, over in pairwise(near):
        if _is_units(below) and _knows(over):
            return over, ["" if word.lower() in _NO_UNIT else word for word in below]
    for below, over in pairwise(near):
        if _is_units(over) and _knows(below) and not any(parse_heading(one).unit for one in below):
            return below, ["" if word.lower() in _NO_UNIT else word for word in over]
    names = next((words for words in near if _knows(words)), near[0])
    return names, nothing


def _other_width(run: Run, width: int, place: str) -> list[str]:
    """Return the names of a header without one for the rows' numbers, as R writes it.

    Raises
    ------
    InputError
        If the rows are twice as wide as their header, as with decimal commas between commas.
    """
    known = [row.words[: row.width()] for row in run.above if _knows(row.words)]
    names = known[-1] if known else []
    counts = [float(row.words[0]) for row in run.rows if is_number(row.words[0])]
    steps = {after - before for before, after in pairwise(counts)}
    if len(names) == width - 1 and len(counts) == len(run.rows) and steps == {1.0}:
        return ["", *names]
    if len(names) * 2 == width and len(names) > 1:
        raise InputError(
            f"{place}, line {run.rows[0].line}: {width} fields below {len(names)} names, as where a"
            " comma stands in the numbers and between them: save it with semicolons, tabs or decimal"
            " points"
        )
    return []


def _without_footer(rows: list[Row]) -> list[Row]:
    """Leave out last rows such as ``Mean,0.1,0.2``."""
    while rows and is_word(rows[-1].words[0]):
        rows = rows[:-1]
    return rows


def _units_within(rows: list[Row]) -> str:
    """Return a hint where fields are numbers with their unit, such as ``0.1 mA``."""
    for row in rows:
        for word in row.words:
            found = re.fullmatch(r"([-+\d.,eE]+)\s*([^\W\d]+)", word)
            if found and is_number(found.group(1)) and parse_unit(found.group(2)):
                return (
                    f", but {word!r} in line {row.line}: write the numbers without their units, and"
                    " the unit into the heading or behind --unit"
                )
    return ""


def _is_units(words: list[str]) -> bool:
    plain = [word.strip("()[]<> ") for word in words]
    units = [parse_unit(word) is not None for word in plain]
    return any(units) and all(
        unit or word.lower() in _NO_UNIT for unit, word in zip(units, plain, strict=True)
    )


def _knows(words: list[str]) -> bool:
    """Return whether a row of names holds one of a known quantity."""
    return any(parse_heading(word).quantity for word in words)


def _fitted(row: Row, width: int, place: str) -> Row:
    """Return a row of ``width`` fields; empty ones more do no harm."""
    if len(row.words) > width and not any(row.words[width:]):
        return Row(row.line, row.words[:width])
    if len(row.words) != width:
        raise InputError(
            f"{place}, line {row.line}: {len(row.words)} fields, expected {width} as in the other"
            " rows"
        )
    return row


def _trimmed(rows: list[Row]) -> list[Row]:
    """Leave out the empty rows at the end that spreadsheets write."""
    while rows and not any(rows[-1].words):
        rows = rows[:-1]
    return rows


def _is_data(words: list[str], wordy: frozenset[int]) -> bool:
    numbers = [word for column, word in enumerate(words) if column not in wordy]
    return any(map(is_number, numbers)) and not any(map(is_word, numbers))
