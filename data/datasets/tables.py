"""Tables of numbers with a column to predict: CSV in its dialects."""

__all__ = ["read_table"]

import csv
import gzip
import warnings
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError, nearest
from .raw import Raw, Values, of_pair

LABELS = ("label", "labels", "class", "target", "y", "species")
"""Columns that are taken to hold the label, where none is said."""

Column = str | int


def read_table(
    path: Path, label: Column | Sequence[Column] | None = None, leave_out: Sequence[Column] = ()
) -> Raw:
    """Read a CSV file, gzipped or not: separated by commas, semicolons or tabs, with a header or
    without.

    Parameters
    ----------
    label
        Column to predict, by its name or place (from 0; -1 is the last), or several for targets that
        are numbers; the one called ``label``, ``class``, ``target`` or ``y`` if absent.
    leave_out
        Columns that are neither label nor feature.
    path
        Where the file is.

    Raises
    ------
    InputError
        If there is no such column, a field is no number, or is missing: with line and column.
    """
    first, separator = _beginning(path)
    width = len(first)
    header = not any(map(_is_number, first))
    names = [name.strip() for name in first] if header else [str(k) for k in range(width)]
    labels = _label_columns(path, names, label, header)
    out = {_place(path, names, one, "data.leave_out") for one in leave_out} | set(labels)
    features = [k for k in range(width) if k not in out]
    if not features:
        raise InputError(f"{path} has no column beside the label: there is nothing to learn from")
    x = _columns(path, separator, header, features, np.float32)
    if x is not None and not len(x):
        raise InputError(f"{path} holds no samples")
    if x is None or not np.isfinite(x).all():
        raise _wrong(path, separator, header, names, features)
    y = _columns(path, separator, header, labels, np.dtype("U64"))
    if y is None:
        raise _wrong(path, separator, header, names, features)
    if "" in (words := np.char.strip(y)):
        row, column = np.argwhere(words == "")[0]
        raise InputError(
            f"{path}: sample {row + 1} has no {names[labels[column]]!r}: labels must not be missing"
        )
    return Raw(path.name, of_pair(x, _labels(path, words, labels, names), str(path)))


def _labels(path: Path, words: Values, columns: Sequence[int], names: Sequence[str]) -> Values:
    try:
        numbers: Values = words.astype(float)
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


def _open(path: Path) -> IO[str]:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if zipped:
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from error


def _beginning(path: Path) -> tuple[list[str], str]:
    """Return the first row, and what separates its fields."""
    try:
        with _open(path) as file:
            lines = [line for line in islice(file, 20) if line.strip()]
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"{path} is no text: {error}") from error
    if not lines:
        raise InputError(f"{path} is empty")
    separator = max((",", ";", "\t"), key=lambda one: min(line.count(one) for line in lines))
    return next(csv.reader(lines[:1], delimiter=separator)), separator


def _columns(
    path: Path, separator: str, header: bool, columns: Sequence[int], kind: Any
) -> Values | None:
    try:
        with _open(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a file without rows
            return np.loadtxt(
                file,
                dtype=kind,
                delimiter=separator,
                comments=None,
                quotechar='"',
                skiprows=int(header),
                usecols=columns,
                ndmin=2,
            )
    except (ValueError, EOFError, OSError):
        return None


def _wrong(
    path: Path, separator: str, header: bool, names: Sequence[str], features: Sequence[int]
) -> InputError:
    """Return what is wrong with a table, and where."""
    with _open(path) as file:
        rows = csv.reader(file, delimiter=separator)
        for row in rows:
            if not row or (header and rows.line_num == 1):
                continue
            if len(row) != len(names):
                return InputError(
                    f"{path}, line {rows.line_num}: {len(row)} fields, the first row has {len(names)}"
                )
            for k in features:
                word = row[k].strip()
                if not _is_number(word) or not np.isfinite(float(word)):
                    what = f"got {word!r}" if word else "the field is empty"
                    return InputError(
                        f"{path}, line {rows.line_num}, column {names[k]!r}: expected a number,"
                        f" {what} (data.leave_out leaves a column out)"
                    )
    return InputError(f"{path} is no table of numbers")


def _label_columns(
    path: Path, names: Sequence[str], label: Column | Sequence[Column] | None, header: bool
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


def _place(path: Path, names: Sequence[str], column: Column, key: str) -> int:
    if isinstance(column, str) and column in names:
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
