"""Lines of text as rows of fields, in whatever encoding, separator and way of writing numbers."""

__all__ = [
    "MISSING",
    "Row",
    "decode",
    "is_missing",
    "is_number",
    "is_spreadsheet_error",
    "is_word",
    "split_rows",
    "with_plain_numbers",
]

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass, replace

from ...errors import InputError

MISSING = frozenset(
    {"", "nan", "na", "n/a", "n.a.", "null", "none", "-", "--", "---", "inf", "-inf", "+inf"}
    | {"infinity", "overflow", "overrange", "over range", "ovrflw", "ovld", "ovfl", "o.l."}
)
"""What stands, in small letters, where nothing was measured."""

_NOTHING = re.compile(
    r"[+-]?(?:1\.#(?:QNAN|SNAN|IND|INF)\w*|nan(?:\([^()]*\))?|inf(?:inity)?)", re.IGNORECASE
)  # as C's libraries print what is no number
_SPREADSHEET_ERROR = re.compile(r"#(?:REF|N/A|VALUE|DIV/0|NAME|NULL|NUM)[!?]?", re.IGNORECASE)
_COMMENT = re.compile(r"(?:[#%!]|//)\s*")
_MINUS = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2012": "-", "\ufe63": "-", "\uff0d": "-"})
_GROUPS = " \u00a0\u2009\u202f'\u2019"  # what separates thousands and nothing else
_MARKED = re.compile(
    rf"([+-]?)(\d[\d.,{_GROUPS}]*|[.,]\d+)((?:[eE][+-]?\d+)?)", re.ASCII
)  # sign, digits with marks, exponent
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_FORTRAN = re.compile(r"([+-]?[\d.,]+)[dD]([+-]?\d+)", re.ASCII)
_SEPARATORS = ("\t", ";", ",", "|", None)
_RUN_ON = re.compile(r"[-+\d.,eE]+(?:[;|\t, ]+[-+\d.,eE]+)+")  # numbers that were not cut apart
_EASTERN = ("电压", "电流", "電圧", "電壓", "電流", "전압", "전류")  # voltage, current
_SAMPLE = 400  # lines that separators are tried on


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


def decode(raw: bytes, where: str) -> str:
    """Return text in whatever encoding it was exported.

    Raises
    ------
    InputError
        If the bytes are no text; ``where`` begins the sentence.
    """
    text = raw.decode(_encoding(raw), errors="replace").lstrip("\ufeff")
    if "\0" in text[:4096]:
        raise InputError(
            f"{where} is a binary file, expected delimited text, a workbook (xlsx, xls) or a MATLAB"
            " file"
        )
    return text


def _encoding(raw: bytes) -> str:
    if raw[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    # without a mark, every other byte of plain text in UTF-16 is zero
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        high, low = raw[start:4096:2], raw[1 - start : 4096 : 2]
        if len(high) > 2 and high.count(0) > 0.8 * len(high) and not low.count(0):
            return encoding
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        for encoding in ("gb18030", "shift_jis", "big5", "euc_kr"):
            text = raw.decode(encoding, errors="replace")
            if any(word in text for word in _EASTERN):
                return encoding
        return "cp1252" if b"\0" not in raw[:4096] else "latin-1"  # as µ is exported
    return "utf-8-sig"


def split_rows(text: str, left_out: frozenset[str] = frozenset()) -> list[Row]:
    """Return the lines that hold something as rows of fields; a field in ``left_out`` is dropped."""
    lines = []
    given: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        # blanks only: a tab at the start or end bounds an empty field
        stripped = line.strip(" \r\n")
        if number == 1 and re.fullmatch(r"sep=.", stripped):
            given = stripped[-1]  # how spreadsheets are told
            continue
        mark = None if _SPREADSHEET_ERROR.match(stripped) else _COMMENT.match(stripped)
        if stripped.strip():
            lines.append((number, stripped[mark.end() :] if mark else stripped, mark is not None))
    separator = given or _separator([text for _, text, comment in lines if not comment])
    rows = [
        Row(number, [word for word in _split(text, separator) if word not in left_out], comment)
        for number, text, comment in lines
    ]
    usual = _usual(rows)
    while usual > 1 and all(not row.words[-1] for row in rows if len(row.words) == usual):
        # some exports end every line with separators
        rows = [replace(row, words=row.words[:-1]) if not row.words[-1] else row for row in rows]
        usual = _usual(rows)
    if separator is None:
        # names of several words stand apart by more than one blank
        for k, (row, (_, text, _)) in enumerate(zip(rows, lines, strict=True)):
            apart = re.split(r"\s{2,}", text.strip())
            if len(row.words) != usual == len(apart):
                rows[k] = replace(row, words=[word.strip('"') for word in apart])
    return rows


def _usual(rows: list[Row]) -> int:
    widths = Counter(len(row.words) for row in rows if not row.comment and row.words)
    return widths.most_common(1)[0][0] if widths else 0


def _separator(lines: list[str]) -> str | None:
    """Return the separator that gives most numbers and fewest words, None for blanks; of those that
    give a table, where there are any.
    """
    sample = lines[:: max(len(lines) // _SAMPLE, 1)]

    def score(separator: str | None) -> int:
        total = 0
        for line in sample:
            words = _split(line, separator)
            numbers = sum(map(_looks_like_number, words))
            total += 2 * numbers - sum(map(bool, words)) if numbers else 0
        return total

    there = [
        separator
        for separator in _SEPARATORS
        if separator is None or any(separator in line for line in sample)
    ]
    tables = [one for one in there if one is not None and _gives_table(sample, one)]
    return max(tables or there, key=score)


def _gives_table(lines: list[str], separator: str) -> bool:
    """Return whether most lines with a digit have one number of fields, several of them numbers, and
    none of them several numbers in one.
    """
    digits = sum(any(map(str.isdigit, line)) for line in lines)
    rows = [_split(line, separator) for line in lines]
    rows = [words for words in rows if sum(map(_looks_like_number, words)) > 1]
    widths = Counter(map(len, rows)).most_common(1)
    if not widths or widths[0][1] < 0.5 * digits:
        return False
    words = [word.translate(_MINUS) for row in rows if len(row) == widths[0][0] for word in row]
    return not any(_RUN_ON.fullmatch(word) and not _is_grouped(word) for word in words)


def _is_grouped(word: str) -> bool:
    found = _MARKED.fullmatch(word)
    return found is not None and any(_number(found.group(2), mark) is not None for mark in ",.")


def _looks_like_number(word: str) -> bool:
    return bool(word) and _MARKED.fullmatch(word.translate(_MINUS)) is not None


def _split(line: str, separator: str | None) -> list[str]:
    if separator is None:
        # a unit in brackets or after a slash belongs to the name before it
        return [word.strip('"') for word in re.split(r"(?<!/)\s+(?![(\[/])", line.strip())]
    if '"' in line:
        try:
            return [word.strip() for word in next(csv.reader([line], delimiter=separator))]
        except csv.Error:
            pass
    return [word.strip() for word in line.split(separator)]


def with_plain_numbers(rows: list[Row], where: str, decimal: str | None = None) -> list[Row]:
    """Return rows whose numbers are written as Python writes them.

    Whether a comma is decimal or separates thousands is read off the whole file: ``0,5`` and
    ``1.234,5`` have a decimal comma, ``0.5``, ``1,234.5`` and ``1,234,567`` none, ``1,234`` either.

    Parameters
    ----------
    rows
        Rows of fields.
    where
        The file, to begin a sentence with.
    decimal
        ``,`` or ``.``, where the file does not tell.

    Raises
    ------
    InputError
        If numbers of the file contradict each other, or none of them tells.
    """
    if decimal not in (None, ",", "."):
        raise InputError(f"the decimal mark must be ',' or '.', got {decimal!r} (--decimal)")
    mark = decimal or _decimal(rows, where)
    return [replace(row, words=[_plain(word, mark) for word in row.words]) for row in rows]


def _decimal(rows: list[Row], where: str) -> str:
    sure: dict[str, tuple[int, str]] = {}
    open_: tuple[int, str] | None = None
    data = [row for row in rows if not row.comment]
    usual = Counter(len(row.words) for row in data).most_common(1)
    for row in data:
        if len(row.words) != usual[0][0]:
            continue  # a preamble's version numbers say nothing of the table
        for word in row.words:
            if "," not in word and "." not in word:
                continue
            if "," not in word and _PLAIN.fullmatch(word):
                # most words of most files: a decimal point, unless it may stand between thousands
                if "." not in sure and not _THOUSANDS.fullmatch(word):
                    sure["."] = (row.line, word)
                continue
            found = _MARKED.fullmatch(word.translate(_MINUS))
            told = None if found is None else _told(found.group(2), bool(found.group(3)))
            if told == "?":
                open_ = open_ or (row.line, word)
            elif told:
                sure.setdefault(told, (row.line, word))
        if len(sure) == 2:
            (here, comma), (there, point) = sure[","], sure["."]
            raise InputError(
                f"{where}, line {here}: {comma} has a decimal comma, but {point} in line {there} a"
                " decimal point: say which it is (--decimal , or --decimal .)"
            )
    if not sure and open_ is not None:
        line, word = open_
        raise InputError(
            f"{where}, line {line}: {word} may have a decimal comma or one between thousands: say"
            " which it is (--decimal , or --decimal .)"
        )
    return next(iter(sure), ".")


def _told(digits: str, exponent: bool) -> str:
    """Return the decimal mark that a number tells, ``?`` for a comma that may be either."""
    marks = [mark for mark in digits if mark in ",."]
    if not marks:
        return ""
    if len(set(marks)) == 2:
        last = marks[-1]
        return last if _number(digits, last) is not None else ""
    (mark,) = set(marks)
    other = "." if mark == "," else ","
    as_thousands, as_decimal = _number(digits, other), _number(digits, mark)
    if as_thousands is None or (exponent and as_decimal is not None):
        return mark if as_decimal is not None else ""
    if as_decimal is None:
        return other
    return "?" if mark == "," else ""  # a point alone is decimal, unless the file tells otherwise


def _number(digits: str, decimal: str) -> str | None:
    """Return digits without groups and with a decimal point, None if they aren't written that way."""
    whole, point, part = digits.partition(decimal)
    other = "." if decimal == "," else ","
    groups = re.split(f"[{re.escape(other)}{_GROUPS}]", whole)
    if len(groups) > 1 and not (
        re.fullmatch(r"[1-9]\d{0,2}", groups[0]) and all(len(group) == 3 for group in groups[1:])
    ):
        return None
    if not "".join((*groups, part)).isdecimal():
        return None
    return "".join(groups) + ("." if point else "") + part


def _plain(word: str, decimal: str) -> str:
    """Return a number as Python writes it; any other word as it is."""
    if not word or _PLAIN.fullmatch(word):
        return word
    text = _FORTRAN.sub(r"\1e\2", word.translate(_MINUS))
    found = _MARKED.fullmatch(text)
    number = None if found is None else _number(found.group(2), decimal)
    return word if found is None or number is None else found.group(1) + number + found.group(3)


def is_spreadsheet_error(word: str) -> bool:
    """Return whether a field is what a spreadsheet writes for a broken formula."""
    return _SPREADSHEET_ERROR.fullmatch(word) is not None


def is_number(word: str) -> bool:
    """Return whether a field is a finite number."""
    return _PLAIN.fullmatch(word) is not None and math.isfinite(float(word))


def is_missing(word: str) -> bool:
    """Return whether a field says that there is no number, or one beyond any."""
    return (
        word.lower() in MISSING
        or is_spreadsheet_error(word)
        or _NOTHING.fullmatch(word) is not None
        or _PLAIN.fullmatch(word) is not None
    ) and not is_number(word)


def is_word(word: str) -> bool:
    """Return whether a field holds words where a number might stand."""
    return not is_number(word) and not is_missing(word)
