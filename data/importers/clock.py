"""Time as instruments write it: dates, clocks, and stamps coarser than the points."""

__all__ = ["seconds", "spread_repeats"]

import re
from datetime import date

import numpy as np

from ..errors import InputError
from ..types import Array

_CLOCK = re.compile(
    r"(?:(\d{1,2}):)?(\d{1,2}):(\d{2})(?:[.,:](\d+))?\s*([AaPp])?\.?(?:[Mm]\.?)?"
    r"(?:Z|[+-]\d{2}:?\d{2})?$"
)
_DATE = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})")
_DAY = 86400.0
_MONTHS = {"jan": 1, "feb": 2, "fév": 2, "mar": 3, "mär": 3, "apr": 4, "avr": 4, "may": 5, "mai": 5}
_MONTHS |= {"jun": 6, "jul": 7, "aug": 8, "aoû": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11}
_MONTHS |= {"dec": 12, "dez": 12, "déc": 12}
_WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+", re.IGNORECASE)
_NAMED = (  # where year, month and day stand
    re.compile(r"(?P<m>[^\W\d]{3,9})\.?\s+(?P<d>\d{1,2})\s+(?P<rest>[\d:.,]+)\s+(?P<y>\d{4})"),
    re.compile(r"(?P<m>[^\W\d]{3,9})\.?\s+(?P<d>\d{1,2}),?\s+(?P<y>\d{4})(?P<rest>.*)"),
    re.compile(r"(?P<d>\d{1,2})[\s./-]*(?P<m>[^\W\d]{3,9})\.?[\s./-]*(?P<y>\d{4}|\d{2})(?P<rest>\D.*|)"),
)  # fmt: skip
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)[T_\s-]+(\d\d):?(\d\d):?(\d\d)(.*)")
_DASHED = re.compile(r"(\d{4}-\d\d-\d\d)[T_\s-]+(\d\d)-(\d\d)-(\d\d)(.*)")


def seconds(stamps: list[str], where: str) -> Array:
    """Return time stamps as seconds from the first, shape (stamps,).

    A stamp is a clock, ``10:00:00.25`` with ``AM`` or ``PM`` where there is one, with or without a
    date before it; two numbers, as in ``01:23.5``, are minutes and seconds. A clock without date that
    falls back by more than half a day went past midnight.

    Raises
    ------
    InputError
        If one can't be read, or days and months can't be told apart where the day changes.
    """
    stamps = [_usual(stamp.strip()) for stamp in stamps]
    parts = [re.split(r"[T\s]+", stamp, maxsplit=1) for stamp in stamps]
    dated = all(_DATE.fullmatch(part[0]) for part in parts)
    days = _days([part[0] for part in parts], where) if dated else np.zeros(len(parts))
    clocks = [
        (part[1] if len(part) > 1 else "0:00:00") if dated else stamp.strip()
        for part, stamp in zip(parts, stamps, strict=True)
    ]
    found = np.array(
        [_clock(clock, stamp, where) for clock, stamp in zip(clocks, stamps, strict=True)]
    )
    if not dated:
        days = np.concatenate([[0.0], np.cumsum(np.diff(found) < -0.5 * _DAY)])
    found = found + days * _DAY
    return np.asarray(found - found[0]) if len(found) else found


def _usual(stamp: str) -> str:
    """Return a stamp whose month is a name, or that has no marks, as ``2026-11-26 10:00:00.25``."""
    stamp = _WEEKDAY.sub("", stamp)
    for pattern in _NAMED:
        found = pattern.fullmatch(stamp)
        month = _MONTHS.get(found["m"].lower()[:3]) if found else None
        if found and month:
            year = found["y"] if len(found["y"]) == 4 else f"20{found['y']}"
            return f"{year}-{month:02}-{found['d']} {found['rest'].strip(' ,T_')}".strip()
    for pattern in (_COMPACT, _DASHED):
        found = pattern.fullmatch(stamp)
        if found:
            *day, hour, minute, second, rest = found.groups()
            return f"{'-'.join(day)} {hour}:{minute}:{second}{rest}"
    return stamp


def _clock(clock: str, stamp: str, where: str) -> float:
    found = _CLOCK.match(clock)
    hours, minutes, whole, part, half = found.groups() if found else (None,) * 5
    if found is None or (hours is None and not part):
        raise InputError(
            f"{where}: {stamp!r} is no time that can be read, expected seconds or a clock such as"
            " 10:00:00.25: give the sweep rate (--sweep-rate) or the drive's frequency (--frequency)"
        )
    hour = int(hours or 0)
    if half:
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    return 3600.0 * hour + 60.0 * int(minutes or 0) + float(f"{whole}.{part or 0}")


def _days(dates: list[str], where: str) -> Array:
    """Return days from the first date, whichever of its numbers is the day."""
    if len(set(dates)) == 1:
        return np.zeros(len(dates))
    fields = [found.groups() for found in map(_DATE.fullmatch, dates) if found]
    numbers = [(int(first), int(second), int(third)) for first, _, second, third in fields]
    orders = [(0, 1, 2)] if numbers[0][0] > 31 else [(2, 1, 0), (2, 0, 1)]
    if fields[0][1] == ".":
        orders = orders[:1]
    readings = []
    for order in orders:
        try:
            days = [date(*(row[k] for k in order)).toordinal() for row in numbers]
        except ValueError:
            continue
        readings.append(np.array(days, float) - days[0])
    steps = [float(np.abs(np.diff(days)).max()) for days in readings]
    if not readings or (len(readings) > 1 and min(steps) == max(steps)):
        raise InputError(
            f"{where}: {dates[0]!r} may be day and month or month and day: give the sweep rate"
            " (--sweep-rate) or the drive's frequency (--frequency)"
        )
    return readings[int(np.argmin(steps))]  # an experiment goes on from one day to the next


def spread_repeats(t: Array) -> tuple[Array, int]:
    """Spread points that share a time stamp evenly up to the next stamp.

    Parameters
    ----------
    t
        Time that does not fall [s], shape (points,).

    Returns
    -------
    tuple
        The time [s], and how many points were moved; 0 leaves it as it is.
    """
    steps = np.diff(t)
    if len(t) < 2 or not (steps == 0.0).any() or (steps < 0.0).any() or not (steps > 0.0).any():
        return t, 0
    starts = np.concatenate([[0], np.flatnonzero(steps > 0.0) + 1])
    counts = np.diff(np.append(starts, len(t)))
    widths = np.diff(t[starts])
    # the first and the last stamp may have been caught in part: the usual pace holds there
    pace = float(np.median(widths / counts[:-1]))
    widths = np.append(widths, pace * counts[-1])
    place = np.arange(len(t)) - np.repeat(starts, counts)
    spread = np.repeat(t[starts], counts) + place * np.repeat(widths / counts, counts)
    return spread, int(len(t) - len(starts))
