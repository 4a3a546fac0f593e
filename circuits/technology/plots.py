"""Pictures of writes on cells of a technology: a table's, and those of a whole tile."""

__all__ = ["save_cell_table_figure", "save_cells_figure"]

from pathlib import Path

import numpy as np

from ...data.files import caption, write_figure
from ...data.shown.pictures import BLUE, GREY, RED, beside, figure, shades
from ...data.shown.quantities import prefix
from ..programming.plots import array_map, cost_map
from .table import CellTable
from .tile import WrittenCells

_SHARES = (0.5, 0.9, 0.99)


def save_cell_table_figure(table: CellTable, path: str | Path) -> Path:
    """Write a picture of a table: pulses and energy between levels, their distribution by target, and the errors.

    Parameters
    ----------
    table
        The table.
    path
        Where to write the picture.
    """
    page = figure(11.0, 6.4)
    panels = page.subplots(2, 2).ravel()
    moved = ~np.eye(table.levels, dtype=bool)
    factor, name = prefix(float(table.energy_high.mean(-1).max()))
    cost_map(panels[0], table.pulses.mean(-1), label="pulses, mean")
    cost_map(panels[1], table.energy.mean(-1) / factor, label=f"energy, mean, low end [{name}J]")
    by_target = [table.pulses[moved[:, k], k].ravel() for k in range(table.levels)]
    for part, shade in zip(_SHARES, shades(len(_SHARES)), strict=True):
        found = [np.quantile(pulses, part) for pulses in by_target]
        panels[2].plot(1e6 * table.g, found, "o-", ms=3, color=shade, label=f"{100 * part:g} %")
    panels[2].set(xlabel="target [µS]", ylabel="pulses of a write")
    panels[2].grid(alpha=0.25)
    beside(panels[2], len(_SHARES))
    reached = table.reached[moved] > 0.5
    for chosen, colour, label in ((reached, BLUE, "in band"), (~reached, RED, "given up")):
        errors = 1e6 * table.error[moved][chosen]
        named = f"{label}: {100.0 * chosen.mean():.3g} %"
        panels[3].hist(errors, 60, color=colour, alpha=0.7, label=named)
    for side in (-1e6, 1e6):
        panels[3].axvline(side * table.recipe.tolerance, color=GREY, lw=0.8, ls="--")
    panels[3].set(xlabel="error after a write [µS]", ylabel="writes", yscale="log")
    beside(panels[3], 2)
    what = f"{table.levels} levels of {table.technology}, {table.recipe.way}, seed {table.seed}"
    page.suptitle(caption(what), fontsize=10)
    return write_figure(page, path)


def save_cells_figure(outcome: WrittenCells, step: float, path: str | Path) -> Path:
    """Write a picture of a tile that was written: targets, errors, the change since, pulses.

    Parameters
    ----------
    outcome
        What the write came to.
    step
        Distance between two levels [S].
    path
        Where to write the picture.
    """
    page = figure(8.6, 7.0)
    panels = page.subplots(2, 2).ravel()
    factor, name = prefix(float(outcome.target.max()))
    array_map(panels[0], outcome.target / factor, title="target", label=f"conductance [{name}S]")
    array_map(panels[1], outcome.sets + outcome.resets, title="pulses", label="pulses")
    array_map(panels[2], outcome.error / step, title="error", label="level steps", signed=True)
    if outcome.seconds > 0.0:
        change, title = outcome.later - outcome.g, f"change in the next {outcome.seconds:g} s"
        array_map(panels[3], change / step, title=title, label="level steps", signed=True)
    else:
        given_up = (~outcome.reached).astype(float)
        array_map(panels[3], given_up, title="given up", label="1: given up")
    return write_figure(page, path)
