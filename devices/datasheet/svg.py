"""Small line charts as SVG text, drawn with the page's own colours: they follow its light and dark."""

__all__ = ["Line", "chart"]

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ...data.types import Array

_WIDTH, _HEIGHT = 360.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 10.0, 10.0, 40.0


@dataclass(frozen=True)
class Line:
    """One line, or a cloud of dots.

    Attributes
    ----------
    x, y
        Where it goes, shape (points,); it breaks where y is NaN.
    kind
        Class of the style sheet: ``model``, ``measured``, ``second`` or ``level``.
    dots
        Whether points are drawn instead.
    """

    x: Array
    y: Array
    kind: str = "model"
    dots: bool = False


def chart(
    lines: Sequence[Line], across: str, up: str, *, log: bool = False, title: str = ""
) -> str:
    """Return a chart of lines, its axes named and with their units.

    Parameters
    ----------
    lines
        What is drawn.
    across, up
        Names of the axes.
    log
        Whether the axis upward is logarithmic: values that are not above 0 are left out.
    title
        What a reader that does not see says.
    """
    x = np.concatenate([line.x for line in lines])
    y = np.concatenate([line.y for line in lines])
    y = np.log10(y[y > 0.0]) if log else y[np.isfinite(y)]
    x_ticks, y_ticks = _ticks(x), (_decades(y) if log else _ticks(y))
    x_ends = min(x_ticks[0], x.min()), max(x_ticks[-1], x.max())
    y_ends = min(y_ticks[0], y.min()), max(y_ticks[-1], y.max())

    def place(of: Array, ends: tuple[float, float], low: float, high: float) -> Array:
        return low + (of - ends[0]) / max(ends[1] - ends[0], 1e-300) * (high - low)

    def at_x(of: Array) -> Array:
        return place(of, x_ends, _LEFT, _WIDTH - _RIGHT)

    def at_y(of: Array) -> Array:
        return place(of, y_ends, _HEIGHT - _BOTTOM, _TOP)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(title or up)}">'
    ]
    for tick in x_ticks:
        p = float(at_x(np.array(tick)))
        parts.append(f'<path class="grid" d="M{p:.1f} {_TOP:g}V{_HEIGHT - _BOTTOM:g}"/>')
        parts.append(f'<text x="{p:.1f}" y="{_HEIGHT - 24:g}" class="mid">{tick:g}</text>')
    for tick in y_ticks:
        p = float(at_y(np.array(tick)))
        parts.append(f'<path class="grid" d="M{_LEFT:g} {p:.1f}H{_WIDTH - _RIGHT:g}"/>')
        shown = f"1e{tick:g}" if log else f"{tick:g}"
        parts.append(f'<text x="{_LEFT - 5:g}" y="{p + 4:.1f}" class="end">{shown}</text>')
    for line in lines:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(np.where(line.y > 0.0, line.y, np.nan)) if log else line.y
        parts.append(_drawn(at_x(line.x), at_y(values), line))
    middle = 0.5 * (_TOP + _HEIGHT - _BOTTOM)
    parts.append(
        f'<text x="{0.5 * (_LEFT + _WIDTH):g}" y="{_HEIGHT - 6:g}" class="mid axis">{escape(across)}</text>'
    )
    parts.append(
        f'<text transform="translate(11 {middle:g}) rotate(-90)" class="mid axis">{escape(up)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _drawn(x: Array, y: Array, line: Line) -> str:
    there = np.isfinite(x) & np.isfinite(y)
    if line.dots:
        dots = "".join(
            f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[there].tolist(), y[there].tolist(), strict=True)
        )
        return f'<path class="dots {line.kind}" d="{dots}"/>'
    words, pen = [], "M"
    for a, b, ok in zip(x.tolist(), y.tolist(), there.tolist(), strict=True):
        words.append(f"{pen}{a:.1f} {b:.1f}" if ok else "")
        pen = "L" if ok else "M"
    return f'<path class="line {line.kind}" d="{"".join(words)}"/>'


def _ticks(values: Array) -> list[float]:
    """Return round numbers about a range, four to seven of them."""
    low, high = float(values.min()), float(values.max())
    span = high - low or abs(high) or 1.0
    raw = span / 4.0
    unit = 10.0 ** np.floor(np.log10(raw))
    step = float(unit * next(s for s in (1.0, 2.0, 5.0, 10.0) if s * unit >= raw))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in np.arange(first, last + 1.0)]


def _decades(logs: Array) -> list[float]:
    low, high = float(np.floor(logs.min())), float(np.ceil(logs.max()))
    step = max(int(np.ceil((high - low) / 6.0)), 1)
    return [float(k) for k in np.arange(low, max(high, low + 1.0) + 1.0, step)]
