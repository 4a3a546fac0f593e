"""Ramps that were written one below the other: up and down again, perhaps many times, in one column."""

__all__ = ["split_stacked"]

import itertools

import numpy as np
from numpy.typing import NDArray

from ...data.measurement import PulseTrain
from ...data.types import Array

_TURNED = 0.5  # share of the range by which a conductance goes back where its ramp has ended
_LEAST = 8  # pulses of a ramp


def split_stacked(train: PulseTrain) -> list[PulseTrain]:
    """Return a train of ramps up and one of ramps down, where its rows go both ways; else the train alone.

    A row turns where the conductance goes back by half of the row's range. The read at a turn is the last of one ramp
    and the first of the next. A stretch of fewer than eight reads, such as the erase between two ramps, is none.
    """
    rows = [row[:count] for row, count in zip(train.g, train.lengths, strict=True)]
    turns = [_turns(row) for row in rows]
    if not any(len(turn) for turn in turns):
        return [train]
    up: list[Array] = []
    down: list[Array] = []
    for row, turn in zip(rows, turns, strict=True):
        edges = [0, *turn.tolist(), len(row) - 1]
        for begin, end in itertools.pairwise(edges):
            ramp = row[begin : end + 1]
            if len(ramp) >= _LEAST:
                (up if ramp[-1] > ramp[0] else down).append(ramp)
    facts = {**train.meta, "split": f"{len(up)} ramps up and {len(down)} down in one column"}
    return [
        PulseTrain(f"{train.name} {way}", _table(ramps), train.unit, facts)
        for way, ramps in (("up", up), ("down", down))
        if ramps
    ]


def _turns(g: Array) -> NDArray[np.intp]:
    """Return the positions of the extremes between which a row goes forth and back."""
    step = _TURNED * float(np.ptp(g))
    if step <= 0.0:
        return np.empty(0, np.intp)
    found: list[int] = []
    least = most = 0  # positions of the extremes since the last turn
    way = 0
    for k in range(1, len(g)):
        least = k if g[k] < g[least] else least
        most = k if g[k] > g[most] else most
        if way >= 0 and g[most] - g[k] >= step:
            found.append(most)
            way, least = -1, k
        elif way <= 0 and g[k] - g[least] >= step:
            found.append(least)
            way, most = 1, k
    # the first extreme is where a row begins, unless it went there on a ramp of its own
    return np.array([place for place in found if place >= _LEAST - 1], np.intp)


def _table(ramps: list[Array]) -> Array:
    table = np.full((len(ramps), max(map(len, ramps))), np.nan)
    for row, ramp in zip(table, ramps, strict=True):
        row[: len(ramp)] = ramp
    return table
