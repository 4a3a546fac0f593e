"""What instruments put around their numbers: frames that hold the names, the steps or the time."""

__all__ = ["unframed"]

from collections.abc import Callable
from dataclasses import replace

from .rows import Row, is_number

_ELEMENTS = 5  # of a reading of a Keithley 2400: voltage, current, resistance, time, status


def unframed(rows: list[Row]) -> list[Row]:
    """Return the header and the numbers of a known instrument's file; other rows as they are."""
    for knows, strip in _FRAMES:
        if knows(rows):
            return strip(rows)
    return rows


def _first_words(rows: list[Row]) -> set[str]:
    return {row.words[0] for row in rows[:400] if row.words}


def _is_easy_expert(rows: list[Row]) -> bool:
    return "DataName" in _first_words(rows)


def _easy_expert(rows: list[Row]) -> list[Row]:
    """Keysight EasyEXPERT: ``DataName`` and ``DataValue`` rows; a secondary sweep follows its step."""
    found: list[Row] = []
    primary = steps = count = 0
    header: Row | None = None
    for row in rows:
        key, *rest = row.words or [""]
        numbers = [int(float(word)) for word in rest if is_number(word)]
        if key == "Dimension1":
            primary = numbers[0] if numbers else 0
        elif key == "Dimension2":
            steps = numbers[0] if numbers else 0
        elif key == "DataName":
            header, count = replace(row, words=rest), 0
            found.append(header)
        elif key == "DataValue":
            if header and steps > 1 and primary > 0 and count and count % primary == 0:
                found.append(replace(header, line=row.line))
            found.append(replace(row, words=rest))
            count += 1
    return found


def _is_labview(rows: list[Row]) -> bool:
    return bool(rows) and rows[0].words[0].startswith("LabVIEW Measurement")


def _labview(rows: list[Row]) -> list[Row]:
    """LabVIEW: units stand in ``Y_Unit_Label``; a file without x has ``X0`` and ``Delta_X``."""
    found: list[Row] = []
    facts: dict[str, list[str]] = {}
    inside, count, without, width = False, 0, False, 0
    for row in rows:
        key, *rest = row.words or [""]
        if key == "X_Value" or (inside and key == "" and "Comment" in rest and not count):
            labels = facts.get("Y_Unit_Label", [])
            without = facts.get("X_Columns", [""])[0].lower() in ("no", "none")
            names = row.words if row.words[0] else ["X_Value", *rest]
            names = names[: names.index("Comment")] if "Comment" in names else names
            width = len(names)
            found.append(replace(row, words=names))
            if any(labels):
                # a channel's label stands above it, beside or behind its x
                xs = [word.startswith("X_Value") for word in names]
                ys = iter(labels)
                each = sum(xs) > 1
                units = ["s" if x else next(ys, "") for x in xs] if each else ["s", *labels]
                found.append(replace(row, words=[*units, *[""] * width][:width]))
            inside, count = True, 0
        elif inside and (is_number(key) or (key == "" and any(map(is_number, rest)))):
            if without or not key:
                x0, step = (float(facts[name][0]) for name in ("X0", "Delta_X")) if (
                    all(is_number((facts.get(name) or [""])[0]) for name in ("X0", "Delta_X"))
                ) else (0.0, float("nan"))  # fmt: skip
                row = replace(row, words=[repr(x0 + count * step), *rest])
            found.append(replace(row, words=row.words[:width]))  # a remark may stand behind
            count += 1
        else:
            inside = False
            facts[key] = rest
    return found


def _is_rigol(rows: list[Row]) -> bool:
    words = rows[0].words if rows else []
    return words[:1] == ["X"] and "Increment" in words and "Start" in words


def _rigol(rows: list[Row]) -> list[Row]:
    """Rigol: points are counted, and the second row has start and step of the time."""
    names, units, *rest = rows[0].words, rows[1].words if len(rows) > 1 else [], *rows[2:]
    width = names.index("Start")
    values = units[width:]
    if len(values) < 2 or not (is_number(values[0]) and is_number(values[1])):
        return rows
    start, step = float(values[0]), float(values[1])
    head = [Row(1, ["Time", *names[1:width]]), Row(2, ["s", *units[1:width]])]
    return head + [
        replace(row, words=[repr(start + float(row.words[0]) * step), *row.words[1:width]])
        if row.words and is_number(row.words[0])
        else row
        for row in rest
    ]


def _is_one_line(rows: list[Row]) -> bool:
    data = [row for row in rows if any(map(is_number, row.words))]
    if len(data) != 1 or len(rows) > 1:
        return False
    words = [word for word in data[0].words if word]
    # the last of each reading is the word of status, a whole number
    stats = words[_ELEMENTS - 1 :: _ELEMENTS]
    return (
        len(words) >= 8 * _ELEMENTS
        and len(words) % _ELEMENTS == 0
        and all(is_number(word) and float(word) == int(float(word)) >= 1024 for word in stats)
    )


def _one_line(rows: list[Row]) -> list[Row]:
    """Keithley 2400: the answer to READ?, every reading behind the other in one line."""
    words = [word for word in rows[0].words if word]
    starts = range(0, len(words), _ELEMENTS)
    return [Row(k, words[at : at + _ELEMENTS]) for k, at in enumerate(starts, start=1)]


_FRAMES: tuple[tuple[Callable[[list[Row]], bool], Callable[[list[Row]], list[Row]]], ...] = (
    (_is_easy_expert, _easy_expert),
    (_is_labview, _labview),
    (_is_rigol, _rigol),
    (_is_one_line, _one_line),
)
"""(knows its file, leaves the header and the numbers), asked in this order."""
