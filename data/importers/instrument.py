"""What an instrument adds to a device's current: its offset, and the limits that cut it off."""

__all__ = ["find_limits", "read_flags", "stated_limit", "zero_offset"]

import re
import warnings
from collections import Counter
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..types import Array
from .delimited import Block

_RANGE_BAND = (0.6, 1.3)  # a stuck range reads its full scale within these factors
_RANGE_POINTS = 8
_AT_ZERO = 0.01  # share of a step within which the voltage is 0 V
_AGREE = 6.0  # readings agree within this many standard deviations of the noise
_UNRESOLVED = 1e-15  # A, less than any instrument tells from nothing


_IN_LIMIT = re.compile(
    r"(?:in[\s_-]*)?(?:c|cc|cmpl?|comp|compl?|compliance|curr(?:ent)?[\s_-]*lim(?:it)?|lim|limit|limited|clamp(?:ed)?"
    r"|i[\s_-]?lim(?:it)?)(?:[\s_-]*(?:hit|on|reached|active|mode))?",
    re.IGNORECASE,
)
_GOOD = re.compile(r"(?:n|ok|normal|none|good|valid|measured|no|off|false|pass|0|)", re.IGNORECASE)
_TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})
_2400_SOURCES_VOLTS, _2400_LIMITS = 1 << 14, 1 << 3  # bits of its word of status


def read_flags(block: Block, told: int | None = None) -> tuple[NDArray[np.bool_], list[str]]:
    """Return where the instrument itself says that it limits the current, and what was read so.

    Flags are words in a column of status (``C``, ``Compliance``, ``CMPL``, ``limit``), yes or no below
    a name such as ``In compliance``, and the bit of a Keithley 2400's word of status.

    Parameters
    ----------
    block
        The rows.
    told
        Position of the column of flags. Default: by the names.
    """
    cut = np.zeros(len(block.lines), bool)
    said: list[str] = []
    found = [
        (index, heading.quantity)
        for index, heading in enumerate(block.headings)
        if heading.quantity in ("status", "limit")
    ]
    for index, quantity in [(told, "status")] if told is not None else found:
        words, values = block.words(index), block.values[:, index]
        name = f"column {index + 1} {block.heading(index).text!r}"
        yes = quantity == "limit"
        here = np.array(
            [bool(_IN_LIMIT.fullmatch(word)) or (yes and word.lower() in _TRUE) for word in words]
        )
        whole = np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2**24)
        if not any(words) and whole.all():
            bits = values.astype(np.int64)
            if (bits & _2400_SOURCES_VOLTS).all():
                here = (bits & _2400_LIMITS) != 0
            elif yes and set(bits.tolist()) <= {0, 1}:
                here = bits == 1
        cut |= here
        strange = Counter(
            word
            for word, flagged in zip(words, here, strict=True)
            if word
            and not flagged
            and not _GOOD.fullmatch(word)
            and not (yes and word.lower() in "false")
        )
        if here.any():
            said.append(f"{int(here.sum())} points in compliance by {name} are censored")
        if strange and len(strange) <= 8:
            listed = ", ".join(f"{word!r} ({count})" for word, count in strange.most_common())
            said.append(f"{name} holds {listed}, which is not known and left alone")
    return cut, said


def stated_limit(block: Block) -> tuple[float | None, list[str]]:
    """Return the current limit that a column of one number states [A], and that it was read."""
    for index, heading in enumerate(block.headings):
        values = block.values[:, index]
        if heading.quantity != "limit" and heading.mentions != {"limit", "current"}:
            continue
        if heading.unit is not None and heading.unit.si != "A":
            continue
        size = np.abs(values[np.isfinite(values)])
        factor = 1.0 if heading.unit is None else heading.unit.factor
        if len(size) and np.ptp(size) == 0.0 and size[0] > 0.0 and (heading.unit or size[0] < 1.0):
            limit = float(size[0] * factor)
            return limit, [f"read column {index + 1} {heading.text!r} as compliance, {limit:g} A"]
    return None, []


def find_limits(v: Array, i: Array, *, compliance: float | None = None) -> NDArray[np.bool_]:
    """Find the points of a sweep whose current is the instrument's limit and not the device's.

    - Compliance: the current stays within 0.2 % of its extreme (or of ``compliance``) while the
      voltage moves on. Where the measured voltage stands still as well, voltage and current belong
      together and the point is good.
    - A stuck range: the current hovers about a power of ten (the range's full scale) while the
      voltage rises, falling and recovering again and again, which no device does just there.

    Parameters
    ----------
    v, i
        Voltage [V] and current [A], shape (points,).
    compliance
        Known current limit [A].

    Returns
    -------
    NDArray
        True at the points to leave out, shape (points,).
    """
    cut = np.zeros(len(v), bool)
    step = np.median(np.abs(np.diff(v))) if len(v) > 1 else 0.0
    for sign in (1.0, -1.0):
        along = sign * i
        limit = compliance if compliance is not None else float(along.max())
        if limit <= 0.0:
            continue
        for first, last in _stretches(along >= limit * (1.0 - 2e-3)):
            if last - first >= 3 and np.ptp(v[first:last]) > 3.0 * step:
                cut[first:last] = True
    size = np.abs(i)
    # second differences where the voltage is lowest tell noise from a steep but smooth current
    rest = np.argsort(np.abs(v[1:-1]), kind="stable")[: max(len(v) // 20, 5)]
    noise = float(np.median(np.abs(np.diff(i, 2))[rest])) if len(v) > 2 else 0.0
    visible = size[size > 30.0 * noise]
    for decade in np.unique(np.round(np.log10(visible[visible > 0.0]))):
        scale = 10.0**decade
        near = (size > _RANGE_BAND[0] * scale) & (size < _RANGE_BAND[1] * scale) & (v * i > 0.0)
        if scale < 30.0 * noise:
            continue
        for first, last in _stretches(near):
            # one branch at a time: |v| must grow or shrink throughout
            for begin, end in _branches(np.abs(v), first, last):
                if end - begin < _RANGE_POINTS:
                    continue
                change = np.diff(size[begin:end]) / size[begin : end - 1]
                turns = np.diff(np.sign(change[np.abs(change) > 0.02]))
                if np.count_nonzero(turns) >= 4:
                    cut[begin:end] = True
    return cut


def zero_offset(v: Array, i: Array, label: str) -> float:
    """Return the instrument's offset: the current at 0 V, where its readings agree.

    They disagree where the instrument changed its range or the device was not at rest; what is
    right for one branch would then be wrong for the other, whose whole current it may exceed. Then
    nothing is subtracted, and a warning has the values.

    Parameters
    ----------
    v, i
        Voltage [V] and current [A], shape (points,).
    label
        What to call the sweep in the warning.

    Returns
    -------
    float
        The current to subtract [A], 0 without agreement.
    """
    steps = np.abs(np.diff(v))
    if not steps.any():
        return 0.0
    zero = np.abs(v) <= _AT_ZERO * np.median(steps[steps > 0.0])
    readings = i[zero]
    if not len(readings) or np.abs(readings).max() < _UNRESOLVED:
        return 0.0
    shift = float(np.median(readings))
    rounding = max(1e-3 * abs(shift), _UNRESOLVED)
    noise = _noise(v, i, zero)
    if len(readings) > 1 and np.ptp(readings) <= rounding + _AGREE * noise:
        return shift
    if np.abs(readings).max() > _AGREE * noise:
        low, high = readings.min(), readings.max()
        what = (
            f"the readings at 0 V disagree by more than the noise ({low:.3g} to {high:.3g} A)"
            if len(readings) > 1
            else f"there is one reading at 0 V ({low:.3g} A), which nothing confirms"
        )
        warnings.warn(
            f"{label}: {what}; nothing is subtracted, give the offset in A if it is known, or"
            " 'none' (--offset)",
            stacklevel=4,
        )
    return 0.0


def _noise(v: Array, i: Array, leave_out: NDArray[np.bool_]) -> float:
    """Return the standard deviation of the current's noise where the voltage is lowest [A], without
    the points in question.

    Fourth differences leave out what is smooth; their lower third leaves out the branch on which
    they do not.
    """
    if len(v) < 5:
        return 0.0
    free = ~np.lib.stride_tricks.sliding_window_view(leave_out, 5).any(1)
    order = np.argsort(np.abs(v[2:-2][free]), kind="stable")[: max(len(v) // 8, 5)]
    fourth = np.abs(np.diff(i, 4))[free][order]
    return float(np.quantile(fourth, 1 / 3) / (np.sqrt(70.0) * 0.4307)) if len(fourth) else 0.0


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first, last + 1) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _branches(size: Array, first: int, last: int) -> list[tuple[int, int]]:
    """Cut a stretch where |v| turns."""
    way = np.sign(np.diff(size[first:last]))
    turns = np.flatnonzero(way[1:] * way[:-1] < 0) + first + 1
    ends = [first, *(int(turn) for turn in turns), last]
    return list(pairwise(ends))
