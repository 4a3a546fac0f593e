"""What all pictures share: one palette, their size, where a legend goes.

The colours are those of Okabe and Ito, which readers with any kind of colour vision tell apart
(https://jfly.uni-koeln.de/color/); levels, which have an order, are shaded by :func:`shades`. Files are
written by :func:`..files.write_figure`.
"""

__all__ = [
    "BASE",
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PALETTE",
    "PINK",
    "RED",
    "SKY",
    "beside",
    "figure",
    "level_scale",
    "plain_ticks",
    "shades",
]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, BASE = "#30363c", "#7d868f", "#b4bac0"
BLUE, RED, GREEN = "#0072b2", "#d55e00", "#009e73"
SKY, ORANGE, PINK = "#56b4e9", "#e69f00", "#cc79a7"
PALETTE = (BLUE, RED, GREEN, SKY, ORANGE, PINK, GREY)
"""Colours in the order in which they are used."""


def figure(width: float, height: float) -> "Figure":
    """Return an empty figure, in inches, that lays itself out; nothing global, no display needed."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Return ``count`` colours in order, dark to light, none too light for white paper or too dark for a dark page."""
    from matplotlib import colormaps

    return [colormaps["viridis"](x) for x in np.linspace(0.25, 0.88, count)]


def level_scale(axes: "Axes", low: float, high: float, label: str) -> Any:
    """Draw the scale of colours that :func:`shades` gives from ``low`` to ``high``, beside ``axes``.

    Parameters
    ----------
    axes
        Where to draw.
    low
        Figure of the darkest shade.
    high
        Figure of the lightest shade.
    label
        What to call it in the picture.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ScalarMappable(Normalize(low, high), ListedColormap(shades(256)))
    return axes.figure.colorbar(scale, ax=axes, label=label, fraction=0.05, pad=0.02)


def plain_ticks(axis: Any, values: Sequence[float]) -> None:
    """Label a logarithmic axis at ``values``, as plain numbers, and nowhere else.

    Parameters
    ----------
    axis
        ``axes.xaxis`` or ``axes.yaxis``.
    values
        Where, in the axis' unit.
    """
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)


def beside(axes: "Axes", columns: int = 2, handles: Sequence[Any] | None = None) -> None:
    """Put the legend above the axes, where no data lie.

    Parameters
    ----------
    axes
        Where to draw.
    columns
        Columns of the legend.
    handles
        What the legend names, by default all that has a label.
    """
    axes.legend(
        **({} if handles is None else {"handles": handles}),
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        borderpad=0.2,
        columnspacing=1.2,
        handlelength=1.4,
        fontsize="small",
        ncols=columns,
    )
