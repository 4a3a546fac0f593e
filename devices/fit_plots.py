"""Pictures of fits: every sweep with the model in it, on linear and logarithmic axes, and what is left over.

Legends stand beside the axes, never on the data. A record of pulses is drawn by the number of the pulse, as the
conductance that was read.
"""

__all__ = ["comparison_page", "fit_page"]

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data.files import caption
from ..data.measurement import Sweep
from ..data.shown.pictures import BLUE, GREY, RED
from ..data.shown.pictures import figure as figure_of
from ..data.types import Array
from .fitting.loss import current_floor
from .plots import correlation, starts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fitting.compare import Comparison
    from .fitting.result import Fit

_SECOND = BLUE
_NAMED = 8  # sweeps that a legend names one by one
_UNITS = ((1.0, "A"), (1e-3, "mA"), (1e-6, "µA"), (1e-9, "nA"), (1e-12, "pA"))


def fit_page(fit: "Fit") -> "Figure":
    """Draw a fit on one page: all sweeps, their residuals, states, the correlation of parameters, the starts."""
    figure = figure_of(13.0, 8.5)
    (log, linear, percent), (state, matrix, course) = figure.subplots(2, 3)
    colours = _colours(len(fit.sweeps))
    unit = _unit(fit.sweeps)
    loops = [k for k, sweep in enumerate(fit.sweeps) if not _pulsed(sweep)]
    pulses = [k for k, sweep in enumerate(fit.sweeps) if _pulsed(sweep)]
    for k, sweep in enumerate(fit.sweeps):
        curve = fit.curves[k]
        label = _label(fit, k)
        if k in loops:
            _loop(log, sweep, curve.i, colours[k], label, scale=None)
            _loop(linear, sweep, curve.i, colours[k], "", scale=unit[0])
        elif not loops:
            _train(log, sweep, curve.i, colours[k], label, logarithmic=True)
            _train(linear, sweep, curve.i, colours[k], "", logarithmic=False)
        elif k == pulses[0]:
            _train(course, sweep, curve.i, colours[k], label, logarithmic=False)
        share = np.linspace(0.0, 100.0, len(sweep.t))[sweep.counted]
        span = np.ptp(sweep.i[sweep.kept])
        off = np.where(
            sweep.held, np.minimum(np.abs(curve.i) - sweep.limit, 0.0), curve.i - sweep.i
        )
        percent.plot(share, 100.0 * off[sweep.counted] / span, color=colours[k], lw=1.0)
        state.plot(np.linspace(0.0, 100.0, len(sweep.t)), curve.x, color=colours[k], lw=1.3)
    if loops:
        _current_axes(log, linear, unit[1])
    percent.set(xlabel="share of the sweep [%]", ylabel="model - measured [% of range]")
    percent.axhline(0.0, color="black", lw=0.5)
    percent.grid(alpha=0.25)
    _decades(percent, fit)
    state.set(xlabel="share of the sweep [%]", ylabel="state x", ylim=_state_range(fit))
    state.grid(alpha=0.25)
    correlation(matrix, fit.names, fit.estimate.correlation)
    if not (loops and pulses):
        starts(course, fit.course.starts)
    log.set_title(f"{fit.model.name}: measured (dots) and model (lines)")
    handles, labels = log.get_legend_handles_labels()
    more = course.get_legend_handles_labels() if loops and pulses else ([], [])
    figure.legend(
        handles + more[0],
        labels + more[1],
        loc="outside lower center",
        ncols=min(len(labels) or 1, 4),
        frameon=False,
        fontsize=8,
    )
    return figure


def comparison_page(comparison: "Comparison") -> "Figure":
    """Draw what every candidate foretells of the sweeps that it had not seen, the best first."""
    names = list(comparison.held_out)
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure = figure_of(3.6 * columns, 3.2 * rows + 0.6)
    grid = np.atleast_1d(
        np.asarray(figure.subplots(rows, columns, sharex=True, sharey=True))
    ).ravel()
    colours = _colours(len(comparison.unseen))
    for axes, name in zip(grid, names, strict=False):
        errors = comparison.held_out[name]
        foretold = comparison.foretold[name]
        for sweep, i, colour in zip(comparison.unseen, foretold, colours, strict=True):
            axes.semilogy(*_shown(sweep, sweep.i), ".", ms=2, color=GREY, label="measured")
            axes.semilogy(*_shown(sweep, i), color=colour, lw=1.2, label="foretold")
        axes.set_title(
            f"{name}: {errors.nrmse_percent:.3g} %, {errors.decades:.2g} decades", fontsize=9
        )
        axes.grid(alpha=0.25)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    pulsed = _pulsed(comparison.unseen[0])
    figure.supxlabel("pulse" if pulsed else "voltage [V]")
    figure.supylabel("conductance [S]" if pulsed else "|current| [A]")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper right", ncols=2, frameon=False)
    if comparison.warning:
        figure.suptitle(caption("no candidate describes the device"), color=RED, x=0.02, ha="left")
    return figure


def _pulsed(sweep: Sweep) -> bool:
    return "pulses" in sweep.meta


def _shown(sweep: Sweep, i: Array) -> tuple[Array, Array]:
    """Return what a panel has across and up: voltage and size of the current, or pulse and conductance."""
    if not _pulsed(sweep):
        return sweep.v, _visible(i)
    number, g = _reads(sweep, i)
    return number, _visible(g)


def _reads(sweep: Sweep, i: Array) -> tuple[Array, Array]:
    """Return numbers of the pulses after which was read, and the conductances [S]."""
    places = np.flatnonzero(sweep.kept)
    return places / 3.0, i[places] / sweep.v[places]


def _loop(
    axes: "Axes", sweep: Sweep, i: Array, colour: str, label: str, *, scale: float | None
) -> None:
    """Draw one sweep, as sizes on a logarithmic axis or in units of ``scale``."""
    kept = sweep.kept
    for values, style in ((sweep.i, {"ls": "", "marker": ".", "ms": 2.5}), (i, {"lw": 1.3})):
        shown = _visible(values) if scale is None else values / scale
        points = kept if style.get("marker") else np.ones(len(kept), bool)
        axes.plot(
            sweep.v[points],
            shown[points],
            color=colour,
            alpha=0.55 if style.get("marker") else 1.0,
            label=label if label and "lw" in style else None,
            **style,
        )
    if scale is None and (~kept).any():
        cut = ~kept
        axes.plot(sweep.v[cut], _visible(sweep.i)[cut], "x", ms=2.5, color=_SECOND, alpha=0.5)


def _train(
    axes: "Axes", sweep: Sweep, i: Array, colour: str, label: str, *, logarithmic: bool
) -> None:
    number, measured = _reads(sweep, sweep.i)
    _, modelled = _reads(sweep, i)
    axes.plot(number, 1e6 * measured, ".", ms=3, color=colour, alpha=0.55)
    axes.plot(number, 1e6 * modelled, color=colour, lw=1.3, label=label or None)
    axes.set(xlabel="pulse", ylabel="conductance read [µS]")
    axes.set_yscale("log" if logarithmic else "linear")
    axes.grid(alpha=0.25)


def _current_axes(log: "Axes", linear: "Axes", unit: str) -> None:
    log.set_yscale("log")
    log.set(xlabel="voltage [V]", ylabel="|current| [A]")
    linear.set(xlabel="voltage [V]", ylabel=f"current [{unit}]")
    for axes in (log, linear):
        axes.grid(alpha=0.25)


def _decades(axes: "Axes", fit: "Fit") -> None:
    """Draw the errors in decades on an axis of their own, above those in percent."""
    right = axes.twinx()
    for sweep, curve in zip(fit.sweeps, fit.curves, strict=True):
        floor = fit.loss.floor if fit.loss.floor is not None else current_floor(sweep)
        gap = np.arcsinh(curve.i / (2.0 * floor)) - np.arcsinh(sweep.i / (2.0 * floor))
        share = np.linspace(0.0, 100.0, len(sweep.t))
        right.plot(
            share,
            np.where(sweep.kept, gap, np.nan) / np.log(10.0),  # a line has a gap where none counts
            color=_SECOND,
            lw=0.7,
            alpha=0.6,
        )
    right.set_ylabel("error [decades], thin", color=_SECOND)


def _state_range(fit: "Fit") -> tuple[float, float]:
    low, high = fit.model.state_range
    top = max(float(curve.x.max()) for curve in fit.curves)
    return low - 0.03, (high + 0.03 if np.isfinite(high) else 1.05 * top)


def _label(fit: "Fit", k: int) -> str:
    """Return the legend's words for one sweep; where there are many, of the first and the last only."""
    if len(fit.sweeps) > _NAMED and k not in (0, len(fit.sweeps) - 1):
        return ""
    good = fit.curves[k].quality
    return f"{caption(fit.sweeps[k].name[:28])}: {good.nrmse_percent:.2g} %, {good.decades:.2g} decades"


def _colours(count: int) -> list[str]:
    """Return a colour for each of many sweeps, that of the model for one."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if count == 1:
        return [RED]
    return [to_hex(colormaps["plasma"](place)) for place in _places(count)]


def _places(count: int) -> Iterator[float]:
    yield from np.linspace(0.0, 0.82, count).tolist()


def _unit(sweeps: Sequence[Sweep]) -> tuple[float, str]:
    """Return the unit in which the largest current is 1 or more."""
    top = max(float(np.abs(sweep.i).max()) for sweep in sweeps)
    return next(((size, name) for size, name in _UNITS if top >= size), _UNITS[-1])


def _visible(i: Array) -> Array:
    """Return |i|, without what a logarithmic axis would dwell on: the dip where it crosses zero."""
    size = np.abs(np.asarray(i, float))
    return np.where(size > 1e-9 * size.max(initial=0.0), size, np.nan)
