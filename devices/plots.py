"""Pictures of measurements and devices: matplotlib axes in, the same axes out.

``ramps_page`` and others lay the usual ones out on a page, :mod:`.fit_plots` those of a fit; results draw themselves
with them (``fit.plot("fit.png")``).
"""

__all__ = [
    "array_spread",
    "correlation",
    "cycles_page",
    "level_curves",
    "profile_likelihood",
    "profile_page",
    "pulse_ramps",
    "ramp_band",
    "ramps_page",
    "relaxation",
    "residuals",
    "save_measurement_figure",
    "starts",
    "state",
    "sweep",
    "sweep_fit",
    "table",
    "trace_page",
    "write",
]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.chip import PulseMap, WriteLog
from ..data.files import caption, write_figure
from ..data.measurement import Measurement, PulseTrain, Relaxation, Sweep, Table
from ..data.shown.pictures import BLUE, GREY, RED, beside, level_scale, shades
from ..data.shown.pictures import figure as _figure
from ..data.shown.quantities import quantity
from ..data.types import Array
from .fitting.loss import current_floor
from .technology.plots import draw_pulse_map, draw_write_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .device import Levels
    from .dynamics.simulate import Trace
    from .fitting.errors.profile import Profile
    from .pulses.ramp_spread import RampSpread
    from .pulses.response import PulseResponse

_MEASURED, _MODEL, _SECOND = GREY, RED, BLUE


def sweep(axes: "Axes", measured: Sweep) -> "Axes":
    """Draw the size of a sweep's current against voltage, censored points in another colour."""
    size = _visible(measured.i)
    axes.semilogy(measured.v, size, ".", ms=3, color=_MEASURED, label="measured")
    cut = measured.censored
    if cut.any():
        axes.semilogy(measured.v[cut], size[cut], ".", ms=4, color=_SECOND, label="censored")
        beside(axes)
    axes.set(xlabel="voltage [V]", ylabel="|current| [A]")
    axes.set_title(caption(measured.name[:40]), pad=22 if cut.any() else None)
    axes.grid(alpha=0.25)
    return axes


def sweep_fit(
    axes: "Axes", v: Array, i: Array, *, measured: tuple[Array, Array] | None = None
) -> "Axes":
    """Draw a modelled current [A] against voltage [V], over the measured pair if given.

    Parameters
    ----------
    axes
        Where to draw.
    v
        Voltages, (n,) [V].
    i
        Modelled currents, (n,) [A].
    measured
        Measured voltages [V] and currents [A].
    """
    if measured is not None:
        axes.semilogy(
            measured[0], _visible(measured[1]), ".", ms=3, color=_MEASURED, label="measured"
        )
    axes.semilogy(v, _visible(i), color=_MODEL, lw=1.3, label="model")
    axes.set(xlabel="voltage [V]", ylabel="|current| [A]")
    axes.grid(alpha=0.25)
    beside(axes)
    return axes


def residuals(axes: "Axes", measured: Sweep, i: Array, *, floor: float | None = None) -> "Axes":
    """Draw the error of a modelled current [A] in time: in percent of the range, and in decades down
    to ``floor`` [A].

    Parameters
    ----------
    axes
        Where to draw.
    measured
        The measured sweep.
    i
        Modelled currents, (n,) [A].
    floor
        Current below which decades are not counted [A].
    """
    double = 2.0 * (current_floor(measured) if floor is None else floor)
    percent = 100.0 * (i - measured.i) / np.ptp(measured.i[measured.kept])
    gap = np.arcsinh(i / double) - np.arcsinh(measured.i / double)
    axes.plot(measured.t, percent, color=_MODEL, lw=1, label="% of range")
    axes.set(xlabel="time [s]", ylabel="error [% of range]")
    right = axes.twinx()
    right.plot(measured.t, gap / np.log(10.0), color=_SECOND, lw=1)
    right.set_ylabel("error [decades]", color=_SECOND)
    axes.axhline(0.0, color=_MEASURED, lw=0.5)
    return axes


def state(axes: "Axes", t: Array, x: Array, v: Array) -> "Axes":
    """Draw a state over time [s], with the voltage [V] that drove it.

    Parameters
    ----------
    axes
        Where to draw.
    t
        Times, (n,) [s].
    x
        States, (n,).
    v
        Voltages, (n,) [V].
    """
    axes.plot(t, x, color=_MODEL, lw=1.3)
    axes.set(xlabel="time [s]", ylabel="state x", ylim=(-0.03, 1.03))
    right = axes.twinx()
    right.plot(t, v, color=_MEASURED, lw=0.8, alpha=0.6)
    right.set_ylabel("voltage [V]", color=_MEASURED)
    return axes


def starts(axes: "Axes", costs: Array) -> "Axes":
    """Draw by how much the cost that each start reached, (starts,) and rising, exceeds the least [%]."""
    above = 100.0 * (np.asarray(costs, float) / np.min(costs) - 1.0)
    axes.plot(np.arange(1, len(above) + 1), above, "o-", ms=4, color=_MODEL, lw=0.8)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(0.0, max(1.0, 1.2 * float(np.max(above))))  # less than that is none
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="start, best first", ylabel="cost above the least [%]", title="starts")
    axes.grid(alpha=0.25)
    return axes


def correlation(axes: "Axes", names: Sequence[str], matrix: Array) -> "Axes":
    """Draw the correlation matrix of parameters; grey where the data know nothing.

    Parameters
    ----------
    axes
        Where to draw.
    names
        Parameters, in the order of the matrix.
    matrix
        Correlations, (n, n) [-1..1].
    """
    image = axes.imshow(
        np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1, aspect="equal"
    )
    axes.set_facecolor("0.85")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_title("correlation")
    axes.figure.colorbar(image, ax=axes, shrink=0.8)
    return axes


def profile_likelihood(axes: "Axes", curve: "Profile") -> "Axes":
    """Draw a parameter's profile with its confidence interval."""
    axes.plot(curve.values, curve.costs, "o-", ms=3, lw=1, color=_MODEL)
    axes.axhline(
        curve.limit,
        color=_MEASURED,
        lw=0.8,
        ls="--",
        label=f"{curve.confidence:.0%}".replace("%", " %"),
    )
    for end in curve.interval:
        if np.isfinite(end):
            axes.axvline(end, color=_SECOND, lw=0.8)
    unit = "" if curve.unit == "1" else f" [{curve.unit.replace('ohm', 'Ω')}]"
    axes.set(xlabel=f"{curve.name}{unit}", ylabel="cost, others refitted")
    beside(axes)
    return axes


def ramp_band(
    axes: "Axes", spread: "RampSpread", ramp: float, *, seed: int = 0, unit: str = "S"
) -> "Axes":
    """Draw what a pulse law expects of one ramp, with the band of 90 % of such ramps.

    Parameters
    ----------
    axes
        Where to draw.
    spread
        The fitted law with its scatter.
    ramp
        Which ramp, counted from 0.
    seed
        Seed of every random draw.
    unit
        Unit of the conductance, ``S`` or ``1``.
    """
    scale, shown = _conductance(unit)
    n = np.arange(spread.pulses + 1.0)
    low, high = spread.band(n, ramp, np.random.default_rng(seed), count=1000)
    axes.fill_between(
        n, scale * low, scale * high, color=_SECOND, alpha=0.35, lw=0, label="90 % of ramps"
    )
    axes.plot(n, scale * spread.mean(n, ramp), color=_MODEL, lw=1.3, label=spread.law.name)
    axes.set(xlabel="pulse", ylabel=f"conductance [{shown}]")
    beside(axes)
    axes.grid(alpha=0.25)
    return axes


def level_curves(axes: "Axes", levels: "Levels") -> "Axes":
    """Draw the read I-V law of every level up to the read voltage."""
    v = np.linspace(0.0, levels.v_read, 101)
    for x, shade in zip(levels.x, shades(levels.count), strict=True):
        axes.plot(v, 1e6 * levels.device.current(v, x), color=shade, lw=1.0)
    level_scale(axes, 1e6 * float(levels.g[0]), 1e6 * float(levels.g[-1]), "conductance [µS]")
    axes.set(xlabel="voltage [V]", ylabel="current [µA]", title=f"{levels.count} levels")
    axes.locator_params(axis="x", nbins=5)
    axes.grid(alpha=0.25)
    return axes


def array_spread(axes: "Axes", targets: Array, read: Array) -> "Axes":
    """Draw what cells read [S] about what they were told to be [S], each of the same shape.

    Parameters
    ----------
    axes
        Where to draw.
    targets
        What cells were told to be [S].
    read
        What they read, in the same shape [S].
    """
    low, high = 1e6 * min(read.min(), targets.min()), 1e6 * max(read.max(), targets.max())
    bins = np.linspace(low, high, 121)
    levels = np.unique(targets)
    for level, shade in zip(levels, shades(len(levels)), strict=True):
        counts = np.histogram(1e6 * read[targets == level], bins)
        axes.stairs(*counts, fill=True, alpha=0.7, color=shade)
        axes.axvline(1e6 * level, color=_MEASURED, lw=0.6, ls=":")
    axes.set(xlabel="conductance read [µS]", ylabel="cells")
    return axes


def pulse_ramps(axes: "Axes", train: PulseTrain) -> "Axes":
    """Draw every ramp of a pulse train, early ones dark, late ones light."""
    scale, unit = _conductance(train.unit)
    for ramp, shade in zip(train.g, shades(len(train.g)), strict=True):
        axes.plot(scale * ramp, color=shade, lw=0.8)
    if len(train.g) > 1:
        level_scale(axes, 1, len(train.g), "ramp")
    axes.set(xlabel="pulse", ylabel=f"conductance [{unit}]", title=caption(train.name[:40]))
    axes.grid(alpha=0.25)
    return axes


def relaxation(axes: "Axes", cells: Relaxation) -> "Axes":
    """Draw quantiles of the change since programming against time."""
    change = 1e6 * cells.change[:, 1:]
    for low, high, shade in ((5, 95, 0.25), (25, 75, 0.5)):
        edges = np.nanpercentile(change, (low, high), axis=0)
        axes.fill_between(
            cells.t[1:], *edges, color=_SECOND, alpha=shade, lw=0, label=f"{low}–{high} %"
        )
    axes.semilogx(cells.t[1:], np.nanmedian(change, 0), "o-", ms=4, color=_MODEL, label="median")
    axes.set(xlabel="time after programming [s]", ylabel="change [µS]")
    axes.set_title(caption(cells.name[:40]), pad=22)
    beside(axes, 3)
    axes.grid(alpha=0.25)
    return axes


def table(axes: "Axes", columns: Table) -> "Axes":
    """Draw the distribution of every column, each over its own range."""
    names = list(columns.columns)
    for k, name in enumerate(names):
        values = columns[name][np.isfinite(columns[name])]
        low, high = np.percentile(values, (0.5, 99.5)) if len(values) else (0.0, 1.0)
        counts, _ = np.histogram(values, 60, (low, high if high > low else low + 1.0))
        height = 0.8 * counts / max(int(counts.max()), 1)
        axes.bar(np.linspace(0, 1, 60), height, 1 / 60, k, color=_SECOND)
        unit = columns.units[name]
        unit = "" if unit == "1" else unit.replace("ohm", "Ω")
        ends = " … ".join(quantity(float(end), unit, 3) for end in (low, high))
        if not unit:
            ends = " … ".join(f"{v:,.0f}" if abs(v) >= 1e3 else f"{v:.4g}" for v in (low, high))
        axes.text(1.04, k, caption(ends), fontsize=8)
    axes.set_yticks(range(len(names)), [caption(name) for name in names])
    axes.set(xticks=[], xlim=(-0.02, 1.02), title=caption(columns.name[:40]))
    return axes


def profile_page(curve: "Profile") -> "Figure":
    """Draw one parameter's profile on a page of its own."""
    figure = _figure(5.0, 3.8)
    profile_likelihood(figure.subplots(), curve)
    return figure


def ramps_page(response: "PulseResponse") -> "Figure":
    """Draw a pulse response on one page: each direction's first and last ramp as fitted with the band
    expected of the last, and what one pulse changes by conductance.
    """
    scale, unit = _conductance(response.unit)
    sides = response.sides
    figure = _figure(4.2 * (len(sides) + 1), 3.8)
    *grids, steps = figure.subplots(1, len(sides) + 1)
    for axes, (way, side) in zip(grids, sides.items(), strict=True):
        ramp_band(axes, side, side.ramps - 1.0, unit=response.unit)
        n = np.arange(side.pulses + 1.0)
        for one in (side.fits[0], side.fits[-1]):
            measured = scale * (one.curve(n) - one.residual)
            axes.plot(n, measured, ".", ms=2, color=_MEASURED)
        axes.set_title(f"{way}: {side.ramps} ramps", pad=22)
        low, high = np.sort(side.mean(np.array([0.0, side.pulses - 1.0])))
        g = np.linspace(low, high, 101)
        change, _ = response.step(g, 1 if way == "up" else -1)
        steps.plot(scale * g, scale * np.abs(change), lw=1.3, label=f"one pulse {way}")
    steps.set(xlabel=f"conductance [{unit}]", ylabel=f"|change| [{unit}]")
    beside(steps)
    steps.grid(alpha=0.25)
    return figure


def trace_page(trace: "Trace") -> "Figure":
    """Draw a simulated device on one page: current against voltage, and its state over time."""
    figure = _figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    sweep_fit(left, trace.v, trace.i)
    state(right, trace.t, trace.x, trace.v)
    return figure


def cycles_page(traces: "Sequence[Trace]") -> "Figure":
    """Draw the loops of several devices over several cycles on one page: all loops, and the largest
    currents of each polarity from cycle to cycle, a line for each device. ``traces`` are the cycles,
    whose voltages and currents are (devices, points).
    """
    figure = _figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    for k, trace in enumerate(traces):
        for v, i in zip(trace.v, trace.i, strict=True):
            left.semilogy(v, _visible(i), color=BLUE if k else GREY, lw=0.5, alpha=0.5)
    left.set(xlabel="voltage [V]", ylabel="|current| [A]")
    for color, name, ends in (
        (RED, "SET", [trace.i.max(axis=1) for trace in traces]),
        (BLUE, "RESET", [-trace.i.min(axis=1) for trace in traces]),
    ):
        lines = right.plot(
            np.arange(1, len(traces) + 1), np.stack(ends), ".-", color=color, lw=0.6, ms=3
        )
        lines[0].set_label(f"largest current at {name}")
    right.set(xlabel="cycle", ylabel="current [A]")
    beside(right)
    return figure


def write(figure: "Figure", path: str | Path | None) -> "Figure":
    """Write a figure where a path is given, whose suffix names the format; return the figure."""
    if path is not None:
        write_figure(figure, path, dpi=130)
    return figure


def save_measurement_figure(measurement: Measurement, path: str | Path) -> Path:
    """Draw a measurement, whatever it is, on one page at ``path``, and return that."""
    if isinstance(measurement, PulseMap | WriteLog):
        page = _figure(10.0, 3.4)
        if isinstance(measurement, PulseMap):
            draw_pulse_map(page, measurement)
        else:
            draw_write_log(page, measurement)
        return write_figure(page, path, dpi=130)
    figure = _figure(6.5, 4.5)
    axes = figure.subplots()
    if isinstance(measurement, Sweep):
        sweep(axes, measurement)
    elif isinstance(measurement, PulseTrain):
        pulse_ramps(axes, measurement)
    elif isinstance(measurement, Relaxation):
        relaxation(axes, measurement)
    else:
        table(axes, measurement)
    return write_figure(figure, path, dpi=130)


def _conductance(unit: str) -> tuple[float, str]:
    return (1e6, "µS") if unit == "S" else (1.0, "normalised")


def _visible(i: Array) -> Array:
    """Return |i|, without what a logarithmic axis would dwell on: the dip where it crosses zero."""
    size = np.abs(np.asarray(i, float))
    return np.where(size > 1e-9 * size.max(initial=0.0), size, np.nan)
