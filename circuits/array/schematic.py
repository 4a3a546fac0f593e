"""A tile as a circuit diagram: its corners, with the value of every kind of element."""

__all__ = ["Line", "schematic"]

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.shown.pictures import GREY, INK, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOFT, DEVICE = GREY, RED


class Line(NamedTuple):
    """One end of the lines of a kind: its resistance, and what is there."""

    r: float
    """Resistance there [ohm]."""
    what: str
    """``driver`` or ``sense input``."""


def schematic(
    axes: "Axes",
    shape: tuple[int, int],
    segments: tuple[float, float],
    *,
    left: Line,
    bottom: Line,
    right: Line | None = None,
    top: Line | None = None,
    cell: Sequence[str] = (),
) -> "Axes":
    """Draw the corners of an array: word lines across, bit lines down.

    Parameters
    ----------
    shape
        (rows, cols).
    segments
        Resistance of a word-line and of a bit-line segment [ohm].
    left, right
        Ends of the word lines; nothing at the right if ``None``.
    bottom, top
        Ends of the bit lines; nothing at the top if ``None``.
    cell
        Lines of text that say what sits at a crossing.
    axes
        Where to draw.
    """
    rows, cols = (_shown(count) for count in shape)
    xs, ys = (2.0 * np.arange(len(shown)) for shown in (cols, rows))
    ys = ys[::-1]
    for y, k in zip(ys, rows, strict=True):
        _wire(axes, xs, y, gap=shape[1] > len(cols), across=True)
        _end(axes, (xs[0], y), (-1, 0), f"$v_{{{k}}}$")
        if right is not None:
            _end(axes, (xs[-1], y), (1, 0), f"$v_{{{k}}}$")
    for x, k in zip(xs + 0.7, cols, strict=True):
        _wire(axes, ys - 0.7, x, gap=shape[0] > len(rows), across=False)
        _end(axes, (x, ys[-1] - 0.7), (0, -1), f"$i_{{{k}}}$")
        if top is not None:
            up = np.array([ys[0] - 0.7, ys[0] + 0.3])
            axes.plot([x, x], up, color="white", lw=6.0, zorder=1.5)
            axes.plot([x, x], up, color=INK, lw=1.0, zorder=2)
            _end(axes, (x, ys[0] + 0.3), (0, 1), f"$i_{{{k}}}$")
    for x in xs:
        for y in ys:
            axes.plot([x, x + 0.7], [y, y - 0.7], color=DEVICE, lw=1.2, zorder=2.5)
            axes.plot(x + 0.35, y - 0.35, "s", ms=7, color=DEVICE, mfc="white", zorder=3)
            axes.plot([x, x + 0.7], [y, y - 0.7], "o", ms=2.5, color=INK, zorder=3)
    said = [
        f"{shape[0]} × {shape[1]} cells",
        *cell,
        f"word-line segment {_ohm(segments[0])}",
        f"bit-line segment {_ohm(segments[1])}",
        f"{left.what} {_ohm(left.r)}" + (", at both ends" if right is not None else ""),
        f"{bottom.what} {_ohm(bottom.r)}" + (", at both ends" if top is not None else ""),
    ]
    beside = xs[-1] + (2.0 if right is None else 3.4)
    axes.text(beside, 0.5 * (ys[0] + ys[-1]), "\n".join(said), va="center", fontsize=9)
    axes.set(
        xlim=(-3.0, beside + 6.6),
        ylim=(ys[-1] - 3.6, ys[0] + (1.0 if top is None else 3.4)),
        aspect="equal",
    )
    axes.axis("off")
    return axes


def _shown(count: int) -> list[int]:
    """Return the lines that are drawn: the first two and the last."""
    return list(range(count)) if count <= 3 else [0, 1, count - 1]


def _wire(
    axes: "Axes", places: NDArray[np.floating[Any]], at: float, *, gap: bool, across: bool
) -> None:
    """Draw one line through the cells, a resistor between neighbours, dots where it is cut short."""
    for k, (a, b) in enumerate(pairwise(places)):
        cut = gap and k == len(places) - 2
        _resistor(axes, a, b, at, across=across, style=":" if cut else "-")


def _resistor(
    axes: "Axes", a: float, b: float, at: float, *, across: bool, style: str = "-"
) -> None:
    # Off the middle, so that it keeps clear of the line that crosses.
    middle = 0.68 if across else 0.34
    along = middle + 0.18 * np.array([-1.0, -0.8, -0.4, 0.0, 0.4, 0.8, 1.0])
    along = np.concatenate([[0.0], along, [1.0]]) * (b - a) + a
    aside = at + 0.14 * np.array([0, 0, 1, -1, 1, -1, 1, 0, 0])
    if style != "-":
        along, aside = np.array([a, b]), np.array([at, at])
    x, y = (along, aside) if across else (aside, along)
    if not across:  # lines cross without touching
        axes.plot(x[[0, -1]], y[[0, -1]], color="white", lw=6.0, zorder=1.5)
    axes.plot(x, y, style, color=INK if style == "-" else SOFT, lw=1.0, zorder=2 - 0.8 * across)


def _end(axes: "Axes", at: tuple[float, float], way: tuple[int, int], text: str) -> None:
    """Draw a line's end: a resistor, a terminal, its name."""
    x, y = at
    end = (x + 2.0 * way[0], y + 2.0 * way[1])
    if way[0]:
        _resistor(axes, x, end[0], y, across=True)
    else:
        _resistor(axes, y, end[1], x, across=False)
    axes.plot(*end, "o", ms=5, color=INK, mfc="white", zorder=3)
    axes.text(end[0] + 0.6 * way[0], end[1] + 0.5 * way[1], text, ha="center", va="center")


def _ohm(r: float) -> str:
    for scale, unit in ((1e6, "MΩ"), (1e3, "kΩ"), (1.0, "Ω")):
        if r >= scale:
            return f"{r / scale:.4g} {unit}"
    return f"{r:.4g} Ω"
