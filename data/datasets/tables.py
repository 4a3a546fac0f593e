"""Tables of numbers with a column to predict: CSV in its dialects.

Fields stand between tabs, semicolons, commas or blanks; where not between commas, numbers may have
decimal commas. Text is UTF-8, UTF-16 if the file says so, or else Windows-1252, as spreadsheets write it.
"""

__all__ = ["read_table"]

import codecs
import csv
import gzip
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError, nearest
from .raw import Raw, Values, of_pair

LABELS = ("label", "labels", "class", "target", "y", "species")
"""Columns that are taken to hold the label, where none is said."""

UNNAMED = ("", "Unnamed: 0")
"""Names of a column that has none."""

Column = str | int

MISSING = ("", "-", "?", "n/a", "na", "nan", "none", "null")
"""Fields that say nothing."""

LARGEST = float(np.finfo(np.float32).max)
"""Numbers are single precision."""


def read_table(
    path: Path,
    label: Column | Sequence[Column] | None = None,
    leave_out: Sequence[Column] = (),
    *,
    drop: bool = False,
) -> Raw:
    """Read a table, gzipped or not: fields between commas, semicolons, tabs or blanks, with a header or
    without.

    Parameters
    ----------
    label
        Column to predict, by its name or place (from 0; -1 is the last), or several for targets that
        are numbers; the one called by one of :data:`LABELS` if absent.
    leave_out
        Columns that are neither label nor feature.
    path
        Where the file is.
    drop
        Whether rows with a missing field are left out, and counted in the notes.

    Raises
    ------
    InputError
        If there is no such column, a field is no number, or is missing: with line and column.
    """
    table = _opened(path)
    names, width = table.names, len(table.names)
    labels = _label_columns(path, names, label, table.header)
    out = {_place(path, names, one, "data.leave_out") for one in leave_out} | set(labels)
    notes = list(table.notes)
    if table.header and 0 not in out and names[0] in UNNAMED and _counts(table):
        out.add(0)
        notes.append(
            f"{path.name}: its first column has no name, numbers the rows, and is left out"
        )
    features = [k for k in range(width) if k not in out]
    if not features:
        raise InputError(f"{path} has no column beside the label: there is nothing to learn from")
    if drop:
        table = replace(table, needed=tuple(sorted({*features, *labels})))
        if count := table.incomplete():
            notes.append(f"{path.name}: {count} rows with missing fields are left out")
    x = table.columns(features, np.float32)
    if x is not None and not len(x):
        raise InputError(f"{path} holds no samples")
    if x is None or not np.isfinite(x).all():
        raise _wrong(table, features)
    y = table.columns(labels, np.dtype("U64"))
    if y is None:
        raise _wrong(table, features)
    if "" in (words := np.char.strip(y)):
        row, column = np.argwhere(words == "")[0]
        raise InputError(
            f"{path}: sample {row + 1} has no {names[labels[column]]!r}: labels must not be missing"
            " (data.missing = 'drop' leaves such rows out)"
        )
    pair = of_pair(x, _labels(table, words, labels), str(path))
    return Raw(path.name, pair, notes=tuple(notes))


def _counts(table: "_Table") -> bool:
    """Return whether the first column says which row it is, as spreadsheets and data frames write it."""
    found = table.columns([0], np.float32)
    return found is not None and len(found) > 1 and bool(np.all(np.diff(found[:, 0]) == 1.0))


def _labels(table: "_Table", words: Values, columns: Sequence[int]) -> Values:
    path, names = table.path, table.names
    try:
        numbers: Values = (np.char.replace(words, ",", ".") if table.comma else words).astype(float)
    except ValueError as error:
        if len(columns) > 1:
            raise InputError(
                f"{path}: several targets must be numbers, {[names[k] for k in columns]} are not"
            ) from error
        return words[:, 0]
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise InputError(
            f"{path}: sample {row + 1} has {words[row, column]!r} for {names[columns[column]]!r}"
        )
    if np.all(numbers == np.rint(numbers)) and np.abs(numbers).max(initial=0.0) < 2**53:
        numbers = numbers.astype(np.int64)
    return numbers


@dataclass(frozen=True)
class _Table:
    """A file of rows, and how it is written."""

    path: Path
    encoding: str
    zipped: bool
    separator: str
    """Between fields; a blank stands for any number of them."""
    header: bool
    names: tuple[str, ...]
    comma: bool
    """Whether numbers have decimal commas."""
    needed: tuple[int, ...] = ()
    """Columns in which no field may be missing: rows where one is are passed over."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as in most files."""
        found = {
            "its text is in Windows-1252": self.encoding == "cp1252",
            "its text is in UTF-16": self.encoding == "utf-16",
            "its numbers have decimal commas": self.comma,
            "its fields stand between blanks": self.separator == " ",
        }
        return tuple(f"{self.path.name}: {said}" for said, so in found.items() if so)

    def open(self) -> IO[str]:
        """Open it as text."""
        return _open(self.path, self.encoding, zipped=self.zipped)

    def columns(self, columns: Sequence[int], kind: Any) -> Values | None:
        """Return some columns, (rows, columns), or ``None`` where they can't be read so."""
        number = np.dtype(kind).kind == "f"
        try:
            with self.open() as file, warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a file without rows
                lines = filter(self._complete, file) if self.needed else file
                return np.loadtxt(
                    (line.replace(",", ".") for line in lines) if self.comma and number else lines,
                    dtype=kind,
                    delimiter=None if self.separator == " " else self.separator,
                    comments=None,
                    quotechar='"',
                    skiprows=int(self.header),
                    usecols=columns,
                    ndmin=2,
                )
        except (ValueError, EOFError, OSError, zlib.error):
            return None

    def incomplete(self) -> int:
        """Return how many rows are passed over."""
        with self.open() as file:
            return sum(bool(line.strip()) and not self._complete(line) for line in file)

    def _complete(self, line: str) -> bool:
        """Return whether no field of a line is missing where it is needed."""
        blanks = self.separator == " "
        row = line.split() if blanks else next(csv.reader([line], delimiter=self.separator), [])
        return not self._gap(row)

    def _gap(self, row: Sequence[str]) -> bool:
        return any(k < len(row) and row[k].strip().lower() in MISSING for k in self.needed)

    def rows(self) -> "Iterator[tuple[int, list[str]]]":
        """Yield the number of the line and the fields of every row but the header."""
        with self.open() as file:
            reader = csv.reader(file, delimiter=self.separator, skipinitialspace=True)
            for row in reader:
                row = [word for word in row if word] if self.separator == " " else row
                if row and not (self.header and reader.line_num == 1) and not self._gap(row):
                    yield reader.line_num, row

    def number(self, word: str) -> float | None:
        """Return the number that a field says, or ``None``."""
        try:
            return float(word.replace(",", ".") if self.comma else word)
        except ValueError:
            return None


def _open(path: Path, encoding: str, *, zipped: bool) -> IO[str]:
    if zipped:
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _encoding(path: Path) -> tuple[str, bool]:
    """Return how a file's text is encoded, and whether it is gzipped."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if zipped else path.open("rb") as raw:
        start = raw.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", zipped
        decoder, piece = codecs.getincrementaldecoder("utf-8")(), start
        try:
            while piece:
                if b"\0" in piece:
                    raise InputError(f"{path} is no text: it holds bytes of value 0")
                decoder.decode(piece)
                piece = raw.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252", zipped
    return "utf-8-sig", zipped


def _opened(path: Path) -> _Table:
    """Look at the first lines of a table, and tell how it is written."""
    try:
        encoding, zipped = _encoding(path)
        with _open(path, encoding, zipped=zipped) as file:
            lines = [line for line in islice(file, 20) if line.strip()]
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no text: {error}") from error
    if not lines:
        raise InputError(f"{path} is empty")
    try:
        return _told(path, encoding, zipped, lines)
    except csv.Error as error:
        raise InputError(f"{path} is no table: {error}") from error


def _told(path: Path, encoding: str, zipped: bool, lines: list[str]) -> _Table:
    def fields(line: str, separator: str) -> list[str]:
        if separator == " ":
            return line.split()
        return next(csv.reader([line], delimiter=separator))

    # A comma may be that of a decimal number, where tabs or semicolons part the fields.
    counts = {one: [len(fields(line, one)) for line in lines] for one in ("\t", ";", ",", " ")}
    likely = [one for one, found in counts.items() if min(found) > 1]
    separator = next((one for one in likely if len(set(counts[one])) == 1), (likely or [","])[0])
    first, *others = (fields(line, separator) for line in lines)
    comma = separator != "," and any(
        _is_number(word.replace(",", ".")) and not _is_number(word)
        for row in (others or [first])
        for word in row
    )
    header = not any(_is_number(word.replace(",", ".") if comma else word) for word in first)
    names = tuple(name.strip() for name in first) if header else tuple(map(str, range(len(first))))
    return _Table(path, encoding, zipped, separator, header, names, comma)


def _wrong(table: _Table, features: Sequence[int]) -> InputError:
    """Return what is wrong with a table, and where."""
    path, names = table.path, table.names
    try:
        for line, row in table.rows():
            if len(row) != len(names):
                return InputError(
                    f"{path}, line {line}: {len(row)} fields, the first row has {len(names)}"
                )
            for k in features:
                word, number = row[k].strip(), table.number(row[k].strip())
                if number is None or not abs(number) < LARGEST:
                    what = f"got {word!r}" if word else "the field is empty"
                    remedy = "data.leave_out leaves a column out"
                    if word.lower() in MISSING:
                        remedy = f"data.missing = 'drop' leaves such rows out, {remedy}"
                    return InputError(
                        f"{path}, line {line}, column {names[k]!r}: expected a number,"
                        f" {what} ({remedy})"
                    )
    except (csv.Error, OSError, EOFError, ValueError, zlib.error) as error:
        return InputError(f"can't read {path} to its end: {error}")
    return InputError(f"{path} is no table of numbers")


def _label_columns(
    path: Path, names: tuple[str, ...], label: Column | Sequence[Column] | None, header: bool
) -> list[int]:
    if label is not None:
        wanted = [label] if isinstance(label, str | int) else list(label)
        return [_place(path, names, one, "data.label") for one in wanted]
    found = [k for k, name in enumerate(names) if name.lower() in LABELS]
    if len(found) != 1:
        has = f"its columns are {', '.join(names[:12])}" if header else "it has no header"
        raise InputError(
            f"{path}: say which column to predict, such as data.label ="
            f" {names[-1]!r} or data.label = -1 for the last; {has}"
        )
    return found


def _place(path: Path, names: tuple[str, ...], column: Column, key: str) -> int:
    if isinstance(column, str) and column in names:
        if names.count(column) > 1:
            raise InputError(
                f"{key}: {path} has {names.count(column)} columns {column!r}: say its place, counted from 0"
            )
        return names.index(column)
    try:
        place = int(column)
    except ValueError:
        raise InputError(
            f"{key}: {path} has no column {column!r}{nearest(str(column), names)}"
        ) from None
    if not -len(names) <= place < len(names):
        raise InputError(f"{key}: {path} has {len(names)} columns, there is no column {place}")
    return place % len(names)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
