"""A technology's statistics from the files of its chips: relaxation, noise, cycled RESETs, dead cells, wear."""

__all__ = [
    "cycled_resets",
    "device_share",
    "fading",
    "map_noise",
    "relaxation_of_logs",
    "stuck_cells",
]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...data.chip import PulseMap, WriteLog
from ...data.errors import InputError
from ...data.measurement import Relaxation, Table
from ...data.types import Array
from ..spread.noise import ReadNoise
from ..spread.stuck import Stuck
from .reset import LogNormal
from .technology import Cycled, Fading

_GAP = 0.1  # decades between two times of later reads
_VERIFY = 1e-3  # [s] when the verify read was, before the write was logged for done
_RESET = 60e-6  # [S] below which a cell counts as reset


def relaxation_of_logs(logs: Sequence[WriteLog], name: str = "logs") -> Relaxation:
    """Return the later reads of successful writes as one row per write, one column per time; the first
    column is the verify read.

    Raises
    ------
    InputError
        If the logs hold no later reads.
    """
    orders = [_order(log) for log in logs]
    nominal = [
        np.array([np.median(log.delay[order == k]) for k in range(order.max(initial=-1) + 1)])
        for log, order in zip(logs, orders, strict=True)
    ]
    every = np.sort(np.concatenate(nominal))
    every = every[every > 0.0]
    if not len(every):
        raise InputError(f"{name}: no write was read again later")
    groups = np.split(every, np.flatnonzero(np.diff(np.log10(every)) > _GAP) + 1)
    times = np.array([np.median(group) for group in groups])
    rows, levels = [], []
    for log, order, usual in zip(logs, orders, nominal, strict=True):
        g = np.full((len(log), len(times)), np.nan)
        if len(usual):
            near = np.abs(np.log10(np.maximum(usual, 1e-9))[:, None] - np.log10(times))
            g[log.write, near.argmin(1)[order]] = log.g
        good = log.success
        rows.append(np.column_stack((log.g_written[good], g[good])))
        levels.append(np.round(1e6 * 0.5 * (log.g_low + log.g_high)[good]).astype(np.int64))
    start = min(_VERIFY, 0.5 * float(times[0]))
    return Relaxation(
        name, np.concatenate(([start], times)), np.concatenate(rows), np.concatenate(levels)
    )


def _order(log: WriteLog) -> NDArray[np.int64]:
    """Return which of its write's later reads each one is, counted from 0, shape (reads,)."""
    by_write = np.lexsort((log.delay, log.write))
    first = np.searchsorted(log.write[by_write], log.write[by_write])
    order = np.empty(len(by_write), np.int64)
    order[by_write] = np.arange(len(by_write)) - first
    return order


def map_noise(measured: PulseMap) -> ReadNoise:
    """Return the noise of one read from SET pulses at the lowest bit line, if they move nothing.

    Raises
    ------
    InputError
        If they do.
    """
    kept = measured.only(~measured.reset & (measured.v_bl == measured.v_bl[~measured.reset].min()))
    change = kept.g_after - kept.g_before
    low, middle, high = np.quantile(change, (0.16, 0.5, 0.84))
    sigma = 0.5 * float(high - low) / np.sqrt(2.0)
    if abs(middle) > sigma:
        raise InputError(
            f"{measured.name}: the lowest bit line moves cells by {1e6 * middle:.3g} µS: the noise of"
            " a read is not to be had from this map"
        )
    return ReadNoise(1.0, 0.0, sigma)


def device_share(cycled: Table) -> float:
    """Return the share of the variance after SET that is the device's own: the correlation between two cycles, over
    cells that were reset in both.
    """
    g, low = _cycles(cycled, "r_set"), _cycles(cycled, "r_reset")
    sound = np.isfinite(g).all(1) & (low < _RESET).all(1)
    return float(np.clip(np.corrcoef(g[sound, 0], g[sound, 1])[0, 1], 0.0, 1.0))


def cycled_resets(cycled: Table, v_wl: float, v_sl: float, pw: float) -> Cycled:
    """Return levels and failures of RESETs of cycled cells, by the pulse that they were made with.

    Parameters
    ----------
    cycled
        RESETs of cycled cells.
    v_wl
        Voltage of the word line [V].
    v_sl
        Voltage of the source line [V].
    pw
        Width of the pulse [s].
    """
    low = _cycles(cycled, "r_reset")
    all_of_them = low[np.isfinite(low)]
    done = np.log10(np.maximum(all_of_them[all_of_them < _RESET], 1e-8))
    first, last = np.quantile(done, (0.16, 0.84))
    level = LogNormal(float(10.0 ** np.median(done)), float(0.5 * (last - first)))
    both = (low < _RESET).all(1) & np.isfinite(low).all(1)
    logs = np.log10(np.maximum(low[both], 1e-8))
    return Cycled(
        level,
        float(np.mean(all_of_them >= _RESET)),
        v_wl,
        v_sl,
        pw,
        float(np.corrcoef(logs[:, 0], logs[:, 1])[0, 1]),
    )


def _cycles(cycled: Table, column: str) -> Array:
    """Return conductances of each cell at the test's first two recorded cycles [S], shape (cells, 2)."""
    cycles = np.unique(cycled["cycle"])
    if len(cycles) < 2:
        raise InputError(f"{cycled.name}: expected two cycles or more of each cell")
    cells = np.unique(cycled["address"])
    g = np.full((len(cells), 2), np.nan)
    for k, cycle in enumerate(cycles[:2]):
        there = cycled["cycle"] == cycle
        g[np.searchsorted(cells, cycled["address"][there]), k] = 1.0 / cycled[column][there]
    return g


def stuck_cells(dead: Table, array_cells: int) -> Stuck:
    """Return the share of an array's cells that no write moves, and where they are.

    Parameters
    ----------
    dead
        With columns ``address``, ``r_low``, ``r_high`` and ``r`` [ohm]: the band that each was written to,
        and what it had.
    array_cells
        How many cells were tried.
    """
    count = len(np.unique(dead["address"]))
    if not count <= array_cells:
        raise InputError(
            f"{dead.name} lists {count} dead cells, more than the array's {array_cells}"
        )
    g, top = 1.0 / dead["r"], 1.0 / dead["r_low"]
    high = g > top
    ends = {
        "g_low": float(np.median(g[~high])) if (~high).any() else None,
        "g_high": float(np.median(g[high])) if high.any() else None,
    }
    return Stuck(count / array_cells, float(high.mean()), 0.0, **ends)


def fading(cycled: Table, points: int = 13) -> Fading:
    """Return median levels around cycles that are evenly spaced in their logarithm."""
    cycle = cycled["cycle"]
    ends = np.log10(max(float(cycle.min()), 1.0)), np.log10(float(cycle.max()))
    edges = np.linspace(*ends, points + 1)
    where = np.digitize(np.log10(np.maximum(cycle, 1.0)), edges[1:-1])
    rows = []
    for k in range(points):
        group = where == k
        if group.sum() >= 3:
            r_set, r_reset = cycled["r_set"][group], cycled["r_reset"][group]
            rows.append((np.median(cycle[group]), 1.0 / np.median(r_set), 1.0 / np.median(r_reset)))
    return Fading(*np.array(rows).T.copy())
