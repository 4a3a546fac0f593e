"""What a file keeps its tables in: text, a workbook's sheets, a MATLAB file's variables.

:func:`read_sheets` opens a file by what it begins with, and gives rows of fields either way, so that
names, units, gaps and flags are understood once for all of them.
"""

__all__ = ["Sheet", "read_bytes", "read_sheets"]

import gzip
import io
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ...errors import InputError, nearest
from ...registry import text_of
from .matlab import is_matlab, matlab_tables
from .rows import Row, decode, split_rows, with_plain_numbers
from .vendors import unframed


@dataclass(frozen=True)
class Sheet:
    """One table of a file: rows of fields, and its name where the file has several."""

    rows: list[Row]
    name: str = ""


def read_bytes(path: Path) -> bytes:
    """Return a file's contents, unpacked if gzipped."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"can't read {path}: {reason}") from error


def read_sheets(
    path: Path,
    *,
    sheet: str | int | None = None,
    decimal: str | None = None,
    left_out: frozenset[str] = frozenset(),
) -> list[Sheet]:
    """Return the tables of a file as rows of fields whose numbers are written plainly.

    Parameters
    ----------
    path
        The file; gzipped is fine.
    sheet
        Name of the one sheet wanted, or its position counted from 0. Default: all.
    decimal
        ``,`` or ``.``, where a text file does not tell.
    left_out
        Fields to leave out of their rows.

    Raises
    ------
    InputError
        If the file can't be read, or has no such sheet.
    """
    raw = read_bytes(path)
    _, opens = next(row for row in _CONTAINERS if row[0](path, raw))
    try:
        sheets = opens(path, raw, left_out)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs the package {error.name}: pip install {error.name}, or"
            " save the sheet as CSV"
        ) from error
    except Exception as error:
        raise InputError(
            f"{path} is damaged, or no {path.suffix} file: {text_of(error)}"
        ) from error
    chosen = sheets if sheet is None else [_chosen(sheets, sheet, path)]
    return [
        Sheet(unframed(with_plain_numbers(one.rows, str(path), decimal)), one.name)
        for one in chosen
    ]


def _chosen(sheets: list[Sheet], sheet: str | int, path: Path) -> Sheet:
    names = [one.name for one in sheets]
    if names == [""]:
        raise InputError(f"{path} has no sheets: leave out the sheet (--sheet)")
    if str(sheet) in names:
        return sheets[names.index(str(sheet))]
    if str(sheet).isdecimal() and int(sheet) < len(sheets):
        return sheets[int(sheet)]
    raise InputError(
        f"{path} has no sheet {str(sheet)!r}{nearest(str(sheet), names)} (it has:"
        f" {', '.join(names)}): name one (--sheet)"
    )


def _text(path: Path, raw: bytes, left_out: frozenset[str]) -> list[Sheet]:
    text = decode(raw, str(path))
    if text[:200].lstrip().lower().startswith(("<html", "<!doctype html", "<?xml")):
        raise InputError(f"{path} is a web page or XML, expected a table: save the sheet as CSV")
    return [Sheet(split_rows(text, left_out))]


def _workbook(path: Path, raw: bytes, left_out: frozenset[str]) -> list[Sheet]:
    from openpyxl import load_workbook

    # "read only" skips styles, but trusts dimensions that some instruments write wrongly
    book = load_workbook(io.BytesIO(raw), data_only=True)
    return [
        Sheet(_rows(sheet.iter_rows(values_only=True), left_out), sheet.title)
        for sheet in book.worksheets
    ]


def _old_workbook(path: Path, raw: bytes, left_out: frozenset[str]) -> list[Sheet]:
    import xlrd

    book = xlrd.open_workbook(file_contents=raw, logfile=io.StringIO())

    def value(cell: Any) -> Any:
        if cell.ctype == xlrd.XL_CELL_DATE:
            return xlrd.xldate_as_datetime(cell.value, book.datemode)
        if cell.ctype == xlrd.XL_CELL_ERROR:
            return "#N/A"
        return bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value

    return [
        Sheet(_rows((map(value, row) for row in sheet.get_rows()), left_out), sheet.name)
        for sheet in book.sheets()
    ]


def _rows(cells: Iterable[Iterable[Any]], left_out: frozenset[str]) -> list[Row]:
    """Return cells as rows of fields, without the empty columns that surround a table."""
    rows = [
        Row(number, [word for word in map(_word, row) if word not in left_out])
        for number, row in enumerate(cells, start=1)
    ]
    filled = [k for row in rows for k, word in enumerate(row.words) if word]
    first, last = min(filled, default=0), max(filled, default=-1) + 1
    rows = [Row(row.line, row.words[first:last]) for row in rows]
    return [row for row in rows if any(row.words)]


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    if isinstance(value, (datetime, date, time)):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return repr(value) if isinstance(value, float) else str(value).strip()


def _matlab(path: Path, raw: bytes, left_out: frozenset[str]) -> list[Sheet]:
    return [
        Sheet([Row(k, words) for k, words in enumerate(table, start=1)], name)
        for name, table in matlab_tables(path, raw)
    ]


_CONTAINERS: tuple[
    tuple[Callable[[Path, bytes], bool], Callable[[Path, bytes, frozenset[str]], list[Sheet]]],
    ...,
] = (
    (lambda path, raw: raw[:4] == b"PK\x03\x04", _workbook),
    (lambda path, raw: raw[:4] == b"\xd0\xcf\x11\xe0", _old_workbook),
    (is_matlab, _matlab),
    (lambda path, raw: True, _text),
)
"""(is a file of this kind, opens it), asked in this order."""
