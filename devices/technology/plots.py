"""Pictures of pulse maps, write logs, and of a fit over its map."""

__all__ = ["draw_pulse_map", "draw_write_log", "save_fit_figure"]

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.chip import PulseMap, WriteLog
from ...data.errors import InputError
from ...data.files import write_figure
from ...data.shown.pictures import BLUE, GREY, INK, RED, beside
from ...data.types import Array
from .combinations import combine
from .landing import EDGES
from .learn import relaxation_of_logs
from .set_fit import predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fit import Fitted

_MOVED = 15e-6  # [S], what counts as switched in a picture
_DELAYS = 5


def draw_pulse_map(figure: "Figure", measured: PulseMap) -> None:
    """Draw median after the pulse, share that was moved, and spread, over word line and driven line, one row of
    panels for SETs and one for RESETs; all widths together.
    """
    kinds = [reset for reset in (False, True) if (measured.reset == reset).any()]
    axes = figure.subplots(len(kinds), 3, squeeze=False)
    for row, reset in zip(axes, kinds, strict=True):
        part = measured.only(measured.reset == reset)
        driven = part.v_sl if reset else part.v_bl
        gates, lines, maps = _panels(part, driven)
        word = "RESET" if reset else "SET"
        titles = (f"{word}: median [µS]", "moved by > 15 µS", "16 to 84 %, half [µS]")
        for axes_, title, values in zip(row, titles, maps, strict=True):
            _heat(axes_, gates, lines, values, title)
            axes_.set_ylabel("source line [V]" if reset else "bit line [V]")


def _panels(part: PulseMap, driven: Array) -> tuple[Array, Array, tuple[Array, Array, Array]]:
    gates, gate = np.unique(np.round(part.v_wl, 9), return_inverse=True)
    lines, line = np.unique(np.round(driven, 9), return_inverse=True)
    median, moved, core = (np.full((len(lines), len(gates)), np.nan) for _ in range(3))
    for k in range(len(lines)):
        for j in range(len(gates)):
            there = (line == k) & (gate == j)
            if there.any():
                low, middle, high = np.quantile(part.g_after[there], (0.16, 0.5, 0.84))
                median[k, j], core[k, j] = 1e6 * middle, 0.5e6 * (high - low)
                change = np.abs(part.g_after[there] - part.g_before[there])
                moved[k, j] = float(np.mean(change > _MOVED))
    return gates, lines, (median, moved, core)


def _heat(axes: "Axes", gates: Array, lines: Array, values: Array, title: str) -> None:
    drawn = axes.pcolormesh(_ends(gates), _ends(lines), values, shading="flat")
    axes.figure.colorbar(drawn, ax=axes)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("word line [V]")


def _ends(centres: Array) -> Array:
    """Return the ends of the cells around rising centres."""
    if len(centres) < 2:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate(([2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]))


def draw_write_log(figure: "Figure", log: WriteLog) -> None:
    """Draw the share of writes that ended in their band by its width, and how far cells have moved later."""
    left, right = figure.subplots(1, 2)
    shown = []
    for low, high in pairwise(EDGES):
        there = (log.ln_width >= low) & (log.ln_width < high)
        if there.any():
            shown.append((f"{low:g}–{high:g}", 100.0 * log.success[there].mean(), there.sum()))
    left.bar([name for name, _, _ in shown], [share for _, share, _ in shown], color=BLUE)
    left.set_xlabel("width of the band, ln(high/low)")
    left.set_ylabel("writes that ended in it [%]")
    left.tick_params(axis="x", labelrotation=30)
    try:
        cells = relaxation_of_logs([log], log.name)
    except InputError:
        right.text(0.5, 0.5, "no later reads", ha="center", transform=right.transAxes)
        return
    edges = np.unique(np.quantile(cells.g[:, 0], np.linspace(0.0, 1.0, _DELAYS)))
    for low, high in pairwise(edges):
        group = (cells.g[:, 0] >= low) & (cells.g[:, 0] <= high)
        ends = np.nanquantile(cells.change[group, 1:], (0.16, 0.84), axis=0)
        label = f"{1e6 * low:.0f}–{1e6 * high:.0f} µS"
        right.semilogx(cells.t[1:], 0.5e6 * (ends[1] - ends[0]), "o-", ms=3, label=label)
    right.set_xlabel("time after the write [s]")
    right.set_ylabel("spread of the change, 16 to 84 %, half [µS]")
    beside(right)


def save_fit_figure(
    maps: Sequence[PulseMap], fitted: "Fitted", path: str | Path, *, below: float, moved: float
) -> Path:
    """Draw the SET map's medians and quantiles over word line, one panel per bit line, with the fit as lines.

    Parameters
    ----------
    maps
        The measured pulse maps.
    fitted
        The technology that was fitted.
    path
        Where to write the picture.
    below
        Conductance below which a cell counts as reset [S].
    moved
        Change from which on a cell has moved [S].
    """
    from matplotlib.figure import Figure

    measured = next(one for one in maps if not one.reset.all())
    data = combine(measured, below=below, moved=moved)
    told = predict(fitted.set.law, fitted.set.spreads, data)
    lines = np.unique(data.v_bl)
    columns = min(len(lines), 3)
    rows = int(np.ceil(len(lines) / columns))
    figure = Figure(figsize=(3.4 * columns, 2.7 * rows), layout="constrained")
    middle = np.unique(data.pw)[len(np.unique(data.pw)) // 2]
    for axes, line in zip(
        figure.subplots(rows, columns, squeeze=False, sharex=True).ravel(), lines, strict=False
    ):
        there = np.flatnonzero((data.v_bl == line) & (data.pw == middle))
        there = there[np.argsort(data.v_wl[there])]
        for name, colour in (("low", GREY), ("median", RED), ("high", GREY)):
            got, said, noise = (
                getattr(one, name)[there] for one in (data.measured, told, data.noise)
            )
            axes.errorbar(
                data.v_wl[there], 1e6 * got, 1e6 * noise, fmt=".", ms=3, lw=0.6, color=INK
            )
            axes.plot(data.v_wl[there], 1e6 * said, color=colour, lw=1.2)
        axes.set_title(f"bit line {line:g} V, {1e9 * middle:.0f} ns", fontsize=9)
        axes.set_xlabel("word line [V]")
        axes.set_ylabel("after one SET [µS]")
    return write_figure(figure, path, dpi=130)
