"""Pictures of writing: one function each, matplotlib axes in, axes out."""

__all__ = [
    "array_map",
    "cost_map",
    "error_histogram",
    "save_ambient_figure",
    "save_table_figure",
    "save_tile_figure",
    "staircase",
]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ...data.files import caption, write_figure
from ...data.shown.pictures import BLUE, GREY, INK, RED, beside
from ...data.shown.quantities import prefix
from ...data.types import Array
from .array import ArrayOutcome
from .table import WriteTable
from .verify import History

UP, DOWN, LINE = BLUE, RED, INK


def staircase(
    axes: Axes, history: History, device: int, *, target: float, tolerance: float
) -> Axes:
    """Draw the reads of one write in µS over its pulses, the pulses' amplitudes below.

    ``history`` has shape (reads, devices); ``target`` and ``tolerance`` are in S.

    Parameters
    ----------
    axes
        Where to draw.
    history
        Reads and pulses of the write.
    device
        Which device.
    target
        Conductance that was asked for [S].
    tolerance
        Distance at which it is reached [S].
    """
    amplitude = history.amplitude[1:, device]
    pulses = int(np.count_nonzero(amplitude))
    g = 1e6 * history.g[: pulses + 1, device]
    count = np.arange(pulses + 1)
    axes.axhspan(
        1e6 * (target - tolerance), 1e6 * (target + tolerance), color=GREY, alpha=0.35, lw=0
    )
    axes.axhline(1e6 * target, color=GREY, lw=0.8)
    axes.step(count, g, where="post", color=LINE, lw=1.2)
    axes.plot(count, g, "o", ms=3, color=LINE)
    axes.set(xlabel="pulse", ylabel="conductance read [µS]", xlim=(-0.5, pulses + 0.5))
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
    axes.set_ylim(low - 0.45 * (high - low), high)
    volts = axes.twinx()
    applied = amplitude[:pulses]
    volts.bar(count[1:], np.abs(applied), 0.7, color=np.where(applied > 0, UP, DOWN))
    peak = float(np.abs(applied).max(initial=1e-3))
    volts.set_ylim(0.0, 3.5 * peak)
    volts.set_yticks([0.0, 0.5 * peak, peak], [f"{v:.2g}" for v in (0.0, 0.5 * peak, peak)])
    volts.set_ylabel("SET [V]" if applied.sum() > 0 else "RESET [−V]", loc="bottom")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def cost_map(axes: Axes, values: ArrayLike, *, label: str) -> Axes:
    """Draw a cost from every level to every other, ``values`` (L, L).

    Parameters
    ----------
    axes
        Where to draw.
    values
        Costs between levels, (L, L).
    label
        What to call it in the picture.
    """
    shown = np.asarray(values, float)
    image = axes.imshow(shown.T, origin="lower", cmap="viridis", aspect="equal")
    axes.set(xlabel="from level", ylabel="to level")
    axes.figure.colorbar(image, ax=axes, label=label, fraction=0.046, pad=0.04)
    return axes


def error_histogram(axes: Axes, table: WriteTable) -> Axes:
    """Draw the distributions of the final error, closed and open loop, in level steps."""
    band = table.recipe.tolerance / table.step
    edge = max(3.0 * band, 1.0)
    bins = np.linspace(-edge, edge, 61)
    moved = ~np.eye(table.levels, dtype=bool)
    for errors, colour, name in (
        (table.open_loop_error, GREY, "open loop"),
        (table.error, UP, "write-verify"),
    ):
        steps = (errors[moved] / table.step).ravel()
        share = 100.0 * float(np.mean(np.abs(steps) <= band))
        axes.hist(
            np.clip(steps, -edge, edge),
            bins.tolist(),
            weights=np.full(steps.size, 100.0 / steps.size),
            color=colour,
            alpha=0.7,
            label=f"{name}: {share:.2f} % within ±{band:.2g}",
        )
    for side in (-band, band):
        axes.axvline(side, color=LINE, lw=0.8, ls="--")
    axes.set(xlabel="error after the write [level steps]", ylabel="writes [%]", yscale="log")
    beside(axes, 1)
    return axes


def array_map(axes: Axes, values: Array, *, title: str, label: str, signed: bool = False) -> Axes:
    """Draw a quantity of every cell of an array, (rows, cols); ``signed``: white is 0.

    Parameters
    ----------
    axes
        Where to draw.
    values
        One number per cell, (rows, cols).
    title
        Heading.
    label
        What to call it in the picture.
    signed
        Whether white is 0.
    """
    if signed:
        limit = float(np.abs(values).max(initial=0.0)) or 1.0
        image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="equal")
    else:
        image = axes.imshow(values, cmap="viridis", aspect="equal")
    axes.set(title=title, xlabel="bit line", ylabel="word line")
    axes.figure.colorbar(image, ax=axes, label=label, fraction=0.046, pad=0.04)
    return axes


def save_table_figure(table: WriteTable, path: str | Path) -> Path:
    """Write a picture of a table: two staircases, pulses, energy, and the errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    for k, (target, title) in enumerate(
        ((table.g[-1], "lowest to highest level"), (table.g[0], "highest to lowest level"))
    ):
        axes = figure.add_subplot(grid[0, 3 * k : 3 * k + 3])
        staircase(axes, table.staircase, k, target=target, tolerance=table.recipe.tolerance)
        axes.set_title(title, fontsize=10)
    cost_map(figure.add_subplot(grid[1, 0:2]), table.pulses, label="pulses")
    energy, scale = _scaled(table.energy)
    cost_map(figure.add_subplot(grid[1, 2:4]), energy, label=f"energy [{scale}J]")
    error_histogram(figure.add_subplot(grid[1, 4:6]), table)
    figure.suptitle(
        caption(f"{table.levels} levels: {table.source}, seed {table.seed}"), fontsize=10
    )
    return write_figure(figure, path)


def save_tile_figure(outcome: ArrayOutcome, step: float, path: str | Path) -> Path:
    """Write a picture of a tile that was written: targets, conductances, errors, disturb.

    ``step`` is the distance between neighbouring levels [S].

    Parameters
    ----------
    outcome
        What the write came to.
    step
        Distance between two levels [S].
    path
        Where to write the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 7.0), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    g, scale = _scaled(np.stack([outcome.target, outcome.g]))
    label = f"conductance [{scale}S]"
    array_map(panels[0], g[0], title="target", label=label)
    array_map(panels[1], g[1], title="written", label=label)
    for axes, values, title in (
        (panels[2], outcome.error, "error"),
        (panels[3], outcome.disturb, "disturb by writes of other cells"),
    ):
        array_map(axes, values / step, title=title, label="level steps", signed=True)
    return write_figure(figure, path)


def save_ambient_figure(rows: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Write a picture of writes over the ambient temperature: share written, pulses, energy, error.

    Parameters
    ----------
    rows
        Figures of a write by name, with its ``temperature`` [K].
    path
        Where to write the picture.
    """
    from matplotlib.figure import Figure

    labels = {
        "success_percent": "written within the band [%]",
        "pulses": "pulses",
        "pulses_mean": "pulses per write",
        "energy_mean_joule": "energy of a write [J]",
        "device_energy_joule": "energy in the devices [J]",
        "error_rms_steps": "error, rms [level steps]",
        "error_max_steps": "largest error [level steps]",
    }
    shown = [name for name in labels if name in rows[0]]
    figure = Figure(figsize=(2.9 * len(shown), 2.9), layout="constrained")
    kelvin = [row["temperature"] for row in rows]
    for axes, name in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.plot(kelvin, [row[name] for row in rows], "o-", color=LINE, ms=4)
        axes.set(xlabel="temperature [K]", ylabel=labels[name])
        axes.grid(alpha=0.3)
    return write_figure(figure, path)


def _scaled(values: Array) -> tuple[Array, str]:
    """Return values in a unit with a prefix that suits their largest one."""
    factor, name = prefix(float(np.abs(values).max(initial=0.0)))
    return values / factor, name
