"""Numbers out of delimited text, whatever the instrument: preamble, header, units, footer.

:func:`read_blocks` finds the blocks of numbers in a text file, each under its header, whose columns
it gives in SI units; every complaint names file, line and column.
"""

__all__ = ["Block", "read_block", "read_blocks"]

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, nearest
from ..types import Array
from .headings import Heading, parse_heading
from .rows import Row, is_number, is_spreadsheet_error, read_rows
from .units import parse_unit

_MISSING = frozenset({"nan", "na", "n/a", ""})
_NOT_MEASURED = 9.9e37  # SCPI instruments write 9.9E37 and 9.91E37 for overflow and no reading
_NO_UNIT = frozenset({"", "-", "1", "a.u.", "arb. u.", "#", "none"})


@dataclass(frozen=True)
class Block:
    """A rectangular block of numbers in a text file.

    Attributes
    ----------
    path
        The file.
    headings
        What each column's name says, shape (columns,); empty if the file has no header.
    values
        Numbers as written, shape (rows, columns); NaN where a field is empty, says so, or holds
        text.
    lines
        Line number of each row, counted from 1, shape (rows,).
    text
        (row, column) -> what stands where a number was expected.
    """

    path: Path
    headings: tuple[Heading, ...]
    values: Array
    lines: tuple[int, ...]
    text: Mapping[tuple[int, int], str] = field(default_factory=dict)

    @property
    def header(self) -> tuple[str, ...]:
        """Column names as written."""
        return tuple(heading.text for heading in self.headings)

    def heading(self, index: int) -> Heading:
        """Return what is known of a column by its name, if it has one."""
        return self.headings[index] if self.headings else Heading(f"column {index + 1}")

    def where(self, index: int) -> str:
        """Return file and column, to begin a sentence with."""
        return f"{self.path}, {self.heading(index).text}"

    def numbers(self, columns: Iterable[int] | None = None) -> Array:
        """Return columns as written, all by default; text in them is refused."""
        wanted = list(range(self.values.shape[1]) if columns is None else columns)
        broken = [place for place in self.text if place[1] in wanted]
        if broken:
            row, column = min(broken)
            raise InputError(
                f"{self.path}, line {self.lines[row]}, column {column + 1}: expected a number, got"
                f" {self.text[row, column]!r}"
            )
        return self.values[:, wanted]

    def column(
        self, index: int, quantity: str, unit: str | None = None, *, gaps: bool = False
    ) -> Array:
        """Return one column in SI units, shape (rows,).

        Parameters
        ----------
        index
            Its position, counted from 0.
        quantity
            What it has to be: ``voltage`` ...
        unit
            Unit of the numbers in the file; default: what the name says, else the SI unit.
        gaps
            Allow numbers that are missing; they are NaN.

        Raises
        ------
        InputError
            If the column's name contradicts its use, or a number in it is missing.
        """
        heading = self.heading(index)
        factor = heading.factor(quantity, unit, self.where(index))
        values = self.numbers([index])[:, 0]
        if not gaps and not np.isfinite(values).all():
            line = self.lines[int((~np.isfinite(values)).argmax())]
            raise InputError(
                f"{self.path}, line {line}: {quantity} ({heading.text}) is no finite number"
            )
        return np.asarray(values * factor)

    def index(self, key: str | int, what: str) -> int:
        """Return the position of the column that ``key`` means: its name (letter case and brackets
        with units ignored), or its position counted from 0.
        """
        width = self.values.shape[1]
        if isinstance(key, int) or (key.isdecimal() and len(key) < 5 and key not in self.header):
            if not 0 <= int(key) < width:
                raise InputError(
                    f"{self.path} has {width} columns, there is no column {int(key)} for the {what}"
                )
            return int(key)
        plain = parse_heading(key).plain
        for names, wanted in (
            (list(self.header), key),
            ([heading.plain for heading in self.headings], plain),
        ):
            if names.count(wanted) > 1:
                raise InputError(
                    f"{self.path} has {names.count(wanted)} columns {key!r} for the {what}: give"
                    " the position of one, counted from 0"
                )
            if wanted in names:
                return names.index(wanted)
        raise InputError(
            f"{self.path} has no column {key!r} for the {what}{nearest(key, self.header)}"
        )

    def take(self, rows: NDArray[np.int64]) -> "Block":
        """Return the block with some of its rows only, by their positions."""
        places = {int(row): k for k, row in enumerate(rows)}
        return Block(
            self.path,
            self.headings,
            self.values[rows],
            tuple(self.lines[int(row)] for row in rows),
            {(places[row], k): word for (row, k), word in self.text.items() if row in places},
        )


def read_block(path: str | Path, *, text_columns: tuple[str, ...] = ()) -> Block:
    """Read a text file that holds one block of numbers; see :func:`read_blocks`."""
    blocks = read_blocks(path, text_columns=text_columns)
    if len(blocks) > 1:
        raise InputError(
            f"{path}, line {blocks[1].lines[0] - 1}: the header comes again, and {len(blocks)}"
            " tables follow each other: split the file"
        )
    return blocks[0]


def read_blocks(path: str | Path, *, text_columns: tuple[str, ...] = ()) -> list[Block]:
    """Read the blocks of numbers in a text file, plain or gzipped; a repeated header begins another.

    Lines before the first are a preamble, the last of them the header if it has as many fields, or
    the last but one above a row of units. Separators may be commas, semicolons, tabs or blanks;
    lines that start with ``#``, ``%`` or ``//`` are comments, unless they hold the header. A line
    without any number at the end is ignored. A field that holds one of ``text_columns``, such as the
    name of an operation, is left out of its row.

    Raises
    ------
    InputError
        If the file is missing, binary, empty, or a row inside the block is broken.
    """
    path = Path(path)
    rows = read_rows(path, left_out=frozenset(text_columns))
    data = [row for row in rows if not row.comment]
    if not data:
        raise InputError(f"{path} is empty")
    wordy = _wordy_columns(data)
    first = next((row for row in data if _is_data(row.words, wordy)), None)
    if first is None:
        raise InputError(f"{path} holds no row of numbers")
    width = len(first.words)
    above = [row for row in rows if row.line < first.line]
    header, units = _header(above, width)
    headings = tuple(parse_heading(name, unit) for name, unit in zip(header, units, strict=True))
    repeated = {tuple(row.words[:width]) for row in above if row.width() == width}
    parts: list[list[Row]] = [[]]
    words: Row | None = None
    for row in data[data.index(first) :]:
        if not any(row.words) and len(row.words) != width:
            continue
        if any(is_number(word) for word in row.words) or _is_missing(row.words):
            if words is not None:
                raise InputError(f"{path}, line {words.line}: words between the rows of numbers")
            parts[-1].append(_fitted(row, width, path))
        elif tuple(row.words[:width]) in repeated:
            parts += [[]] if parts[-1] else []
        else:
            words = words or row
    blocks = [_block(path, headings, _trimmed(part)) for part in parts]
    return [block for block in blocks if len(block.values)]


def _wordy_columns(rows: list[Row]) -> frozenset[int]:
    """Return the columns that hold words in most rows that hold a number, such as a status."""
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
        if sum(_is_word(row.words[column]) for row in rows) > len(rows) / 2
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
    names = next((words for words in near if _knows(words)), near[0])
    labels = next((row.words[1:] for row in above if row.words[:1] == ["Y_Unit_Label"]), [])
    units = ["", *labels, *nothing][:width]  # LabVIEW's first column is the time
    return names, [unit if parse_unit(unit) else "" for unit in units]


def _is_units(words: list[str]) -> bool:
    plain = [word.strip("()[]<> ") for word in words]
    units = [parse_unit(word) is not None for word in plain]
    return any(units) and all(
        unit or word.lower() in _NO_UNIT for unit, word in zip(units, plain, strict=True)
    )


def _knows(words: list[str]) -> bool:
    """Return whether a row of names holds one of a known quantity."""
    return any(parse_heading(word).quantity for word in words)


def _fitted(row: Row, width: int, path: Path) -> Row:
    """Return a row of ``width`` fields; empty ones more do no harm."""
    if len(row.words) > width and not any(row.words[width:]):
        return Row(row.line, row.words[:width])
    if len(row.words) != width:
        raise InputError(
            f"{path}, line {row.line}: {len(row.words)} fields, expected {width} as in the first"
            " row"
        )
    return row


def _trimmed(rows: list[Row]) -> list[Row]:
    """Leave out the empty rows at the end that spreadsheets write."""
    while rows and not any(rows[-1].words):
        rows = rows[:-1]
    return rows


def _block(path: Path, headings: tuple[Heading, ...], rows: list[Row]) -> Block:
    values = np.full((len(rows), len(rows[0].words) if rows else 0), np.nan)
    text = {}
    for k, row in enumerate(rows):
        for column, word in enumerate(row.words):
            try:
                values[k, column] = float(word)
            except ValueError:
                if word.lower() not in _MISSING and not is_spreadsheet_error(word):
                    text[k, column] = word
    values[~(np.abs(values) < _NOT_MEASURED)] = np.nan
    return Block(path, headings, values, tuple(row.line for row in rows), text)


def _is_data(words: list[str], wordy: frozenset[int]) -> bool:
    numbers = [word for column, word in enumerate(words) if column not in wordy]
    return any(is_number(word) for word in numbers) and not any(map(_is_word, numbers))


def _is_missing(words: list[str]) -> bool:
    return all(word.lower() in _MISSING for word in words)


def _is_word(word: str) -> bool:
    return not (is_number(word) or word.lower() in _MISSING or is_spreadsheet_error(word))
