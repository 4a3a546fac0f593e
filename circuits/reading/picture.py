"""A read as a picture: what every cell misses by the wires, what it dissipates, what is sensed."""

__all__ = ["draw_read"]

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.errors import InputError
from ...data.files import write_figure
from ...data.shown.quantities import prefix
from .read import TileRead

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...data.types import Array


def draw_read(
    found: TileRead, path: str | Path | None = None, vector: int | None = None
) -> "Figure":
    """Draw maps of the tile and its sensed currents, and write the picture to ``path`` if given.

    Parameters
    ----------
    found
        What was read.
    path
        Where to write the picture; nowhere if ``None``.
    vector
        Which of the batch, counted from 0; the one with the largest drop when left out.

    Raises
    ------
    InputError
        If the engine told currents only, or there is no such vector.
    """
    from matplotlib.figure import Figure

    inside, worst = found.fields, found.worst_cell
    if inside is None:
        raise InputError(
            f"the engine {found.engine} tells sensed currents only: a map takes line, nodal or spice"
        )
    k = (0 if worst is None else worst[0]) if vector is None else vector
    if not 0 <= k < len(found.i):
        raise InputError(f"there is no vector {k}, they are counted from 0 to {len(found.i) - 1}")
    figure = Figure(figsize=(12.0, 4.0), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _map(left, inside.drop[k], "V", "voltage missing at the cell", symmetric=True)
    if worst is not None and worst[0] == k:
        left.plot(worst[2], worst[1], "o", mfc="none", mec="black", ms=9)
    _map(middle, inside.power[k], "W", "power in the cell")
    factor, name = prefix(float(np.abs(found.i[k]).max(initial=0.0)))
    right.bar(np.arange(found.i.shape[1]), found.i[k] / factor, color="#4c72b0")
    lines = "bit line" if found.inputs == "rows" else "word line"
    right.set(xlabel=lines, ylabel=f"sensed current [{name}A]", title=f"vector {k}, {found.engine}")
    if path is not None:
        write_figure(figure, path)
    return figure


def _map(axes: "Axes", values: "Array", unit: str, title: str, *, symmetric: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    largest = float(np.nanmax(np.abs(values), initial=0.0))
    factor, name = prefix(largest)
    top = (largest / factor) or 1.0
    image = axes.imshow(
        values / factor,
        aspect="auto",
        cmap="RdBu_r" if symmetric else "viridis",
        vmin=-top if symmetric else None,
        vmax=top if symmetric else None,
        interpolation="nearest",
    )
    axes.set(title=f"{title} [{name}{unit}]", xlabel="bit line", ylabel="word line")
    axes.set_facecolor("0.85")  # where a line is open
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.figure.colorbar(image, ax=axes)
