"""How many periods of its drive a record holds, from the voltage alone."""

__all__ = ["count_periods"]

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..types import Array

_REPEATS = 0.05  # periods agree within this share of the voltage's range (rms)
_CLOSED = 0.02  # share of the range within which a loop's ends have to meet
_OVERLAP = 0.1  # share of the record that has to come again to count as a repetition
_COVERED = 0.75
_TURN = 0.1  # share of the range by which the voltage must go back to have turned


def count_periods(v: Array, label: str) -> tuple[float, float]:
    """Return how many steps from point to point one period of the drive takes, and how many periods
    there are.

    The period is the smallest lag after which the voltage repeats itself, if there is one; else the
    whole record. A record of whole periods ends at its last point or one step after it.

    Parameters
    ----------
    v
        Voltage at equal steps of time [V], shape (points,).
    label
        What to call the record in messages.

    Raises
    ------
    InputError
        If the voltage neither repeats nor makes one closed loop.
    """
    span = float(np.ptp(v)) if len(v) else 0.0
    if span == 0.0:
        raise InputError(f"{label}: the voltage does not change, so it has no period")
    lag = _lag(v, span)
    if lag is not None:
        whole = round((len(v) - 0.5) / lag)
        ends = np.array([len(v) - 1.0, float(len(v))])
        off = np.abs(ends - whole * lag)
        if whole and off.min() < 0.5 + 0.1 * whole:
            return float(ends[off.argmin()]) / whole, float(whole)
        return lag, (len(v) - 1) / lag
    turns = _turns(v, _TURN * span)
    if turns > 2:
        raise InputError(
            f"{label}: the voltage turns {turns} times and does not repeat itself, so a frequency"
            " gives no time axis: give the sweep rate, or cut the file into its loops"
        )
    steps = np.abs(np.diff(v))
    gap, step = abs(v[-1] - v[0]), float(np.median(steps[steps > 0.0]))
    if gap > max(2.5 * step, _CLOSED * span):
        raise InputError(
            f"{label}: the voltage ends at {v[-1]:.3g} V and began at {v[0]:.3g} V, so the file"
            " holds no whole period: give the sweep rate instead of the frequency"
        )
    first = abs(v[1] - v[0]) or step
    return float(len(v) - 1 if gap < 0.25 * first else len(v)), 1.0


def _lag(v: Array, span: float) -> float | None:
    """Return the lag [points] after which the voltage repeats, None if it does not."""
    count = len(v)
    longest = int(count * (1.0 - _OVERLAP))
    if longest < 4:
        return None
    lags = np.arange(2, longest + 1)
    misfit = np.sqrt(_square_differences(v, lags) / (count - lags)) / span
    # the period may lie half a step beside a lag
    allowed = _REPEATS + 0.6 * float(np.sqrt(np.mean(np.diff(v) ** 2))) / span
    for place in np.flatnonzero(misfit < allowed):
        lag = int(lags[place])
        beside = misfit[max(place - 1, 0) : place + 2]
        if place == len(lags) - 1 or misfit[place] > beside.min() or not _covers(v, lag, span):
            continue
        return lag + _vertex(misfit[place - 1 : place + 2] if place else misfit[:0])
    return None


def _square_differences(v: Array, lags: NDArray[np.int64]) -> Array:
    """Return the sum of (v[k + lag] - v[k])² over k, for every lag."""
    centred = v - v.mean()
    size = 2 * len(v)
    spectrum = np.fft.rfft(centred, size)
    product = np.fft.irfft(np.abs(spectrum) ** 2, size)[lags]
    energy = np.concatenate([[0.0], np.cumsum(centred**2)])
    late, early = energy[-1] - energy[lags], energy[len(v) - lags]
    return np.asarray(np.maximum(late + early - 2.0 * product, 0.0))


def _covers(v: Array, lag: int, span: float) -> bool:
    """Return whether every stretch of ``lag`` steps goes through most of the range, as a period does
    even where few points miss its peaks.
    """
    windows = np.lib.stride_tricks.sliding_window_view(v, lag + 1)
    return bool((windows.max(1) - windows.min(1)).min() > _COVERED * span)


def _vertex(misfit: Array) -> float:
    """Return where between three points the squared misfit is least, -0.5 to 0.5 steps from the
    middle.
    """
    if len(misfit) < 3:
        return 0.0
    before, here, after = misfit**2
    bend = before - 2.0 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend > 0.0 else 0.0


def _turns(v: Array, least: float) -> int:
    """Return how often the voltage turns by more than ``least``."""
    turns, way, extreme = 0, 0, float(v[0])
    for value in v:
        if way == 0:
            way = int(np.sign(value - extreme)) if abs(value - extreme) > least else 0
            extreme = value if way else extreme
        elif (value - extreme) * way >= 0:
            extreme = value
        elif abs(value - extreme) > least:
            turns, way, extreme = turns + 1, -way, value
    return turns
