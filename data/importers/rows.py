"""Lines of a text file as rows of fields, in whatever encoding, separator and dialect."""

__all__ = ["Row", "is_number", "is_spreadsheet_error", "read_rows", "read_text"]

import csv
import gzip
import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

_SPREADSHEET_ERROR = re.compile(r"#(?:REF|N/A|VALUE|DIV/0|NAME|NULL|NUM)[!?]?", re.IGNORECASE)
_COMMENT = re.compile(r"(?:[#%]|//)\s*")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Row:
    """One line: its number, its fields, and whether it is marked as a comment."""

    line: int
    words: list[str]
    comment: bool = False

    def width(self) -> int:
        """Fields up to the last that holds something; a comment column has no data below it."""
        words = self.words
        while words and (not words[-1] or words[-1].lower() in ("comment", "comments")):
            words = words[:-1]
        return len(words)


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


def read_rows(path: Path, *, left_out: frozenset[str] = frozenset()) -> list[Row]:
    """Return the lines of a text file that hold something as rows of fields.

    A field that is in ``left_out`` is left out of its row. Decimal commas become points.
    """
    lines = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        # blanks only: a tab at the start or end bounds an empty field
        text = line.strip(" \r\n")
        mark = None if _SPREADSHEET_ERROR.match(text) else _COMMENT.match(text)
        if text.strip():
            lines.append((number, text[mark.end() :] if mark else text, mark is not None))
    separator = _separator([text for _, text, comment in lines if not comment])
    rows = [
        Row(number, [word for word in _split(text, separator) if word not in left_out], comment)
        for number, text, comment in lines
    ]
    if any(row.words[:1] == ["DataValue"] for row in rows):  # Keysight EasyEXPERT
        rows = [
            Row(row.line, row.words[1:])
            for row in rows
            if row.words[:1] in (["DataName"], ["DataValue"])
        ]
    widths = Counter(len(row.words) for row in rows if not row.comment)
    usual = widths.most_common(1)[0][0] if widths else 0
    if usual > 1 and all(not row.words[-1] for row in rows if len(row.words) == usual):
        # some exports end every line with a separator
        rows = [
            Row(row.line, row.words[:-1], row.comment) if not row.words[-1] else row for row in rows
        ]
    return rows if separator == "," else _points_for_commas(rows, path)


def _points_for_commas(rows: list[Row], path: Path) -> list[Row]:
    """Write decimal commas as points, if the file has them."""
    commas = [
        (row.line, word)
        for row in rows
        if not row.comment
        for word in row.words
        if _DECIMAL_COMMA.fullmatch(word)
    ]
    if not commas:
        return rows
    if all(_THOUSANDS.fullmatch(word) for _, word in commas):
        line, word = commas[0]
        raise InputError(
            f"{path}, line {line}: {word} may have a decimal comma or one between thousands:"
            " write the file with decimal points"
        )
    return [
        Row(
            row.line,
            [
                word.replace(",", ".") if _DECIMAL_COMMA.fullmatch(word) else word
                for word in row.words
            ],
            row.comment,
        )
        for row in rows
    ]


def _separator(lines: list[str]) -> str | None:
    """Return the separator that most lines have, None for blanks."""
    sample = lines[:50]
    for candidate in ("\t", ";", ","):
        if sum(candidate in line for line in sample) > len(sample) / 2:
            return candidate
    return None


def _split(line: str, separator: str | None) -> list[str]:
    if separator is None:
        # a unit in brackets or after a slash belongs to the name before it
        return [word.strip('"') for word in re.split(r"(?<!/)\s+(?![(\[/])", line.strip())]
    if '"' in line:
        return [word.strip() for word in next(csv.reader([line], delimiter=separator))]
    return [word.strip() for word in line.split(separator)]


def is_spreadsheet_error(word: str) -> bool:
    """Return whether a field is what a spreadsheet writes for a broken formula."""
    return _SPREADSHEET_ERROR.fullmatch(word) is not None


def is_number(word: str) -> bool:
    """Return whether a field is a finite number."""
    try:
        return bool(math.isfinite(float(word)))
    except ValueError:
        return False
