"""Numbers out of delimited text, whatever the instrument: preamble, header, separator, units.

:func:`read_block` finds the block of numbers in a text file, whose columns it gives in SI units;
every complaint names file, line and column.
"""

__all__ = ["Block", "read_block", "read_text", "si_factor"]

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError, nearest
from .types import Array

_PREFIX = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
}
_MISSING = {"nan", "na", "n/a", ""}


@dataclass(frozen=True)
class Block:
    """The rectangular block of numbers in a text file.

    Attributes
    ----------
    path
        The file.
    header
        Column names as written, shape (columns,); empty if the file has none.
    values
        Numbers as written, shape (rows, columns); NaN where a field is empty or says so.
    first_line
        Line number of the first row, counted from 1.
    """

    path: Path
    header: tuple[str, ...]
    values: Array
    first_line: int

    def column(self, key: str | int, what: str, unit: str, given_unit: str | None = None) -> Array:
        """Return one column in SI units, shape (rows,).

        Parameters
        ----------
        key
            Name in the header (letter case and brackets with units ignored), or position counted
            from 0.
        what
            What it is, for messages: ``voltage`` ...
        unit
            SI unit expected: ``V`` ...
        given_unit
            Unit of the numbers in the file; default: what the header says in brackets, else the SI
            unit.

        Raises
        ------
        InputError
            If there is no such column, its unit can't be one of ``what``, or a number in it is
            missing.
        """
        index = self._index(key, what)
        name = self.header[index] if self.header else f"column {index + 1}"
        factor = si_factor(given_unit or _unit_in(name) or unit, unit, f"{self.path}, {name}")
        values = self.values[:, index]
        wrong = ~np.isfinite(values)
        if wrong.any():
            line = self.first_line + int(wrong.argmax())
            raise InputError(f"{self.path}, line {line}: {what} ({name}) is no finite number")
        return np.asarray(values * factor)

    def find(self, names: tuple[str, ...]) -> int | None:
        """Return the position of the first column that has one of ``names``, or None."""
        plain = [_plain(name) for name in self.header]
        return next((plain.index(name) for name in names if name in plain), None)

    def _index(self, key: str | int, what: str) -> int:
        width = self.values.shape[1]
        if isinstance(key, int) or key.isdecimal():
            if not 0 <= int(key) < width:
                raise InputError(
                    f"{self.path} has {width} columns, there is no column {int(key)} for the {what}"
                )
            return int(key)
        found = self.find((_plain(key),))
        if found is None:
            raise InputError(
                f"{self.path} has no column {key!r} for the {what}{nearest(key, self.header)}"
            )
        return found


def read_block(path: str | Path, *, text_columns: tuple[str, ...] = ()) -> Block:
    """Read the block of numbers in a text file, plain or gzipped.

    Lines before it are a preamble, the last of them the header if it has as many fields. Separators
    may be commas, semicolons, tabs or blanks; lines that start with ``#`` are comments. A field
    that holds one of ``text_columns``, such as the name of an operation, is left out of its row.

    Raises
    ------
    InputError
        If the file is missing, binary, empty, or a row inside the block is broken.
    """
    path = Path(path)
    text = read_text(path)
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path} is empty")
    separator = _separator([line for _, line in lines])
    rows = [
        (number, [word for word in _split(line, separator) if word not in text_columns])
        for number, line in lines
    ]
    if separator is not None and all(len(row) > 1 and not row[-1] for _, row in rows[1:]):
        # some exports end every line with a separator
        rows = [(number, row[:-1] if not row[-1] else row) for number, row in rows]
    start = next((k for k, (_, row) in enumerate(rows) if _is_numeric(row)), None)
    if start is None:
        raise InputError(f"{path} holds no row of numbers")
    width = len(rows[start][1])
    header = rows[start - 1][1] if start else []
    values = np.empty((len(rows) - start, width))
    for k, (number, row) in enumerate(rows[start:]):
        if len(row) != width:
            raise InputError(
                f"{path}, line {number}: {len(row)} fields, expected {width} as in the first row"
            )
        for column, word in enumerate(row):
            values[k, column] = _number(word, f"{path}, line {number}, column {column + 1}")
    return Block(path, tuple(header) if len(header) == width else (), values, rows[start][0])


def si_factor(given: str, unit: str, where: str) -> float:
    """Return the factor from the unit ``given`` (such as ``mV``) to the SI unit ``unit`` (such as
    ``V``).
    """
    aliases = {"Ω": "ohm", "Ohm": "ohm", "sec": "s", "amp": "A", "volt": "V"}
    for prefix, factor in _PREFIX.items():
        rest = given[len(prefix) :] if given.startswith(prefix) else ""
        if aliases.get(rest, rest) == unit:
            return factor
    raise InputError(
        f"{where}: {given!r} can't be the unit here, expected {unit} with a prefix, such as m{unit}"
    )


def read_text(path: Path) -> str:
    """Return a text file's contents, gzipped or not, in whatever encoding it was exported."""
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"can't read {path}: {reason}") from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    if b"\0" in raw[:4096]:
        raise InputError(f"{path} is a binary file, expected delimited text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # instrument exports write µ that way


def _separator(lines: list[str]) -> str | None:
    """Return the separator that most lines have, None for blanks."""
    sample = lines[:50]
    for candidate in ("\t", ";", ","):
        if sum(candidate in line for line in sample) > len(sample) / 2:
            return candidate
    return None


def _split(line: str, separator: str | None) -> list[str]:
    return [word.strip().strip('"') for word in line.split(separator)]


def _is_numeric(row: list[str]) -> bool:
    return any(_is_number(word) for word in row) and all(
        _is_number(word) or word.lower() in _MISSING for word in row
    )


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _number(word: str, where: str) -> float:
    if word.lower() in _MISSING:
        return float("nan")
    try:
        return float(word)
    except ValueError:
        raise InputError(f"{where}: expected a number, got {word!r}") from None


def _plain(name: str) -> str:
    return re.sub(r"\s*[\[(].*?[\])]\s*", "", name).strip().lower()


def _unit_in(name: str) -> str | None:
    """Return the unit that a column name has in brackets; bare digits there are an instrument's
    channel.
    """
    found = re.search(r"[\[(]\s*([^\d\s\])][^\])]*?)\s*[\])]", name)
    return found.group(1) if found else None
