"""Numbers out of delimited text, whatever the instrument: preamble, header, units, footer.

:func:`read_blocks` finds the blocks of numbers in a text file, each under its header, whose columns
it gives in SI units; every complaint names file, line and column.
"""

__all__ = ["Block", "join_blocks", "read_block", "read_blocks"]

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, nearest
from ..types import Array
from .headings import Heading, parse_heading
from .tables.containers import Sheet, read_sheets
from .tables.rows import Row, is_number, is_word
from .tables.runs import find_runs

_UNITS_BESIDE = ("unit", "units", "einheit", "einheiten")
_NOT_MEASURED = 9.9e37  # SCPI instruments write 9.9E37 and 9.91E37 for overflow and no reading


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
    sheet
        Its sheet, where the file has several.
    loose
        Whether only a blank line or a comment parts it from the block before it.
    """

    path: Path
    headings: tuple[Heading, ...]
    values: Array
    lines: tuple[int, ...]
    text: Mapping[tuple[int, int], str] = field(default_factory=dict)
    sheet: str = ""
    loose: bool = False

    @property
    def source(self) -> str:
        """File and sheet, to begin a sentence with."""
        return f"{self.path}, sheet {self.sheet!r}" if self.sheet else str(self.path)

    @property
    def header(self) -> tuple[str, ...]:
        """Column names as written."""
        return tuple(heading.text for heading in self.headings)

    def heading(self, index: int) -> Heading:
        """Return what is known of a column by its name, if it has one."""
        return self.headings[index] if self.headings else Heading(f"column {index + 1}")

    def where(self, index: int) -> str:
        """Return file and column, to begin a sentence with."""
        return f"{self.source}, {self.heading(index).text}"

    def numbers(self, columns: Iterable[int] | None = None) -> Array:
        """Return columns as written, all by default; text in them is refused."""
        wanted = list(range(self.values.shape[1]) if columns is None else columns)
        broken = [place for place in self.text if place[1] in wanted]
        if broken:
            row, column = min(broken)
            raise InputError(
                f"{self.source}, line {self.lines[row]}, column {column + 1}: expected a number, got"
                f" {self.text[row, column]!r}: leave out the line, or name another column (--column)"
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
                f"{self.source}, line {line}: {quantity} ({heading.text}) is no finite number: leave out the line,"
                " or name another column (--column)"
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
                    f"{self.source} has {width} columns, there is no column {int(key)} for the {what}"
                )
            return int(key)
        plain = parse_heading(key).plain
        for names, wanted in (
            (list(self.header), key),
            ([heading.plain for heading in self.headings], plain),
        ):
            if names.count(wanted) > 1:
                raise InputError(
                    f"{self.source} has {names.count(wanted)} columns {key!r} for the {what}: give"
                    " the position of one, counted from 0"
                )
            if wanted in names:
                return names.index(wanted)
        raise InputError(
            f"{self.source} has no column {key!r} for the {what}{nearest(key, self.header)}"
        )

    def take(self, rows: NDArray[np.int64]) -> "Block":
        """Return the block with some of its rows only, by their positions."""
        places = {int(row): k for k, row in enumerate(rows)}
        return replace(
            self,
            values=self.values[rows],
            lines=tuple(self.lines[int(row)] for row in rows),
            text={(places[row], k): word for (row, k), word in self.text.items() if row in places},
        )

    def append(self, other: "Block") -> "Block":
        """Return the block with another's rows below its own."""
        below = {(row + len(self.lines), k): word for (row, k), word in other.text.items()}
        return replace(
            self,
            values=np.vstack([self.values, other.values]),
            lines=self.lines + other.lines,
            text={**self.text, **below},
        )

    def words(self, column: int) -> list[str]:
        """Return what stands in a column of words, empty where there are numbers."""
        return [self.text.get((row, column), "") for row in range(len(self.lines))]


def read_block(
    path: str | Path,
    *,
    text_columns: tuple[str, ...] = (),
    sheet: str | int | None = None,
    decimal: str | None = None,
) -> Block:
    """Read a file that holds one block of numbers; see :func:`read_blocks`.

    Parameters
    ----------
    path
        Where the file is.
    text_columns
        Columns that hold words.
    sheet
        Sheet of a workbook, by name or position from 0.
    decimal
        Decimal mark, ``","`` or ``"."``.
    """
    blocks = read_blocks(path, text_columns=text_columns, sheet=sheet, decimal=decimal)
    if len({block.sheet for block in blocks}) > 1:
        names = ", ".join(dict.fromkeys(block.sheet for block in blocks))
        raise InputError(f"{path} has numbers in several sheets ({names}): name one (--sheet)")
    blocks = join_blocks(blocks)
    if len(blocks) > 1:
        raise InputError(
            f"{path}, line {blocks[1].lines[0] - 1}: the header comes again, and {len(blocks)}"
            " tables follow each other: split the file"
        )
    return blocks[0]


def join_blocks(
    blocks: list[Block], goes_on: Callable[[Block, Block], bool] | None = None
) -> list[Block]:
    """Put blocks together that only a blank line or a comment parts, where ``goes_on(one, next)``."""
    joined = blocks[:1]
    for block in blocks[1:]:
        if block.loose and (goes_on is None or goes_on(joined[-1], block)):
            joined[-1] = joined[-1].append(block)
        else:
            joined.append(block)
    return joined


def read_blocks(
    path: str | Path,
    *,
    text_columns: tuple[str, ...] = (),
    sheet: str | int | None = None,
    decimal: str | None = None,
) -> list[Block]:
    """Read the blocks of numbers in a file, whatever it keeps them in (see
    :mod:`~memtwin.data.importers.tables.containers`); a header begins a block.

    Lines before the first are a preamble, the last of them the header if it has as many fields, or
    the last but one above a row of units. Separators may be commas, semicolons, tabs or blanks;
    lines that start with ``#``, ``%`` or ``//`` are comments, unless they hold the header. A line
    without any number at the end is ignored. A field that holds one of ``text_columns``, such as the
    name of an operation, is left out of its row.

    Parameters
    ----------
    path
        The file; gzipped is fine.
    text_columns
        Fields to leave out.
    sheet
        Name or position of the one sheet wanted, of a workbook or a MATLAB file.
    decimal
        ``,`` or ``.``, where the file does not tell which is its decimal mark.

    Raises
    ------
    InputError
        If the file is missing, binary, empty, or a row inside a block is broken.
    """
    path = Path(path)
    sheets = read_sheets(path, sheet=sheet, decimal=decimal, left_out=frozenset(text_columns))
    found, reasons = [], []
    for one in sheets:
        try:
            found += _blocks(path, one)
        except InputError as error:
            reasons.append(error)
    if not found:
        raise reasons[0] if reasons else InputError(f"{path} is empty")
    return found


def _blocks(path: Path, sheet: Sheet) -> list[Block]:
    place = f"{path}, sheet {sheet.name!r}" if sheet.name else str(path)
    blocks: list[Block] = []
    headings: tuple[Heading, ...] = ()
    for run in find_runs(sheet.rows, place):
        own = tuple(
            parse_heading(name, unit) for name, unit in zip(run.names, run.units, strict=True)
        )
        # below a line such as "Cycle 2" the names still hold
        if not headings or any(heading.quantity for heading in own):
            headings = own
        blocks.append(_block(path, sheet.name, headings, run.rows, run.loose))
    return blocks


def _with_units_beside(
    headings: tuple[Heading, ...], rows: int, text: Mapping[tuple[int, int], str]
) -> tuple[Heading, ...]:
    """Return the headings with the units that a column of them beside says, alike in all rows, as ``Amp DC``."""
    found = list(headings)
    for k in range(1, len(found)):
        words = {text.get((row, k), "") for row in range(rows)}
        if found[k].plain in _UNITS_BESIDE and found[k - 1].unit is None and len(words) == 1:
            said = re.sub(r"[\s_]+[AD]C$", "", words.pop())
            found[k - 1] = parse_heading(found[k - 1].text, said)
    return tuple(found)


def _block(
    path: Path, sheet: str, headings: tuple[Heading, ...], rows: list[Row], loose: bool
) -> Block:
    values = np.full((len(rows), len(rows[0].words)), np.nan)
    text = {}
    for k, row in enumerate(rows):
        for column, word in enumerate(row.words):
            if is_number(word):
                values[k, column] = float(word)
            elif is_word(word):
                text[k, column] = word
    values[~(np.abs(values) < _NOT_MEASURED)] = np.nan
    headings = _with_units_beside(headings, len(rows), text)
    return Block(path, headings, values, tuple(row.line for row in rows), text, sheet, loose)
