"""Panels as inline SVG: readable in light and dark, with alternative text, data to download and to hover over."""

__all__ = ["Figure", "Panel", "Series", "draw"]

import base64
import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.9, 3.6)
"""Inches; at 72 to the inch a picture is as wide as a telephone's page, so that its letters keep their size there."""

INK, PAPER = "#0a0b0c", "#f9fafb"
"""Stand for the page's own colours."""

PLAIN = 200_000
"""Characters of data up to which they are in the page as they are; longer ones are packed."""


@dataclass(frozen=True)
class Series:
    """Points that a reader can hover over: names of their columns."""

    label: str
    x: str
    y: str


@dataclass(frozen=True)
class Panel:
    """What a panel says of what it has drawn."""

    title: str
    alt: str
    """What is to be seen, for who does not see it."""
    columns: Mapping[str, Any]
    """Data, (n,) each, by name and unit; or one matrix."""
    caption: str = ""
    series: tuple[Series, ...] = ()
    wide: bool = False


Draw: TypeAlias = "Callable[[Axes], Panel]"


@dataclass(frozen=True)
class Figure:
    """A panel as the page shows it."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    file: str
    data: str
    """Address of the data, within the page."""
    hover: str = ""
    """What the script needs to know of axes and series, as JSON."""
    wide: bool = field(default=False)


def draw(name: str, panel: Draw) -> Figure:
    """Draw a panel; ``name`` is its own in the page, and that of its data's file."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    style: Any = {
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
        ),
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "grid.color": INK,
        "font.size": 9.5,
        "axes.titlesize": 9.5,
        "svg.hashsalt": name,  # the same record draws the same bytes, and no two figures share an id
        "svg.fonttype": "none",
    }
    with rc_context(style):
        canvas = Canvas(figsize=SIZE, layout="constrained")
        axes = canvas.add_subplot()
        told = panel(axes)
        axes.set_title("")
        # Laid out once, by the canvas that measures letters fastest: the page sets them in its own anyway.
        FigureCanvasAgg(canvas)
        layout = canvas.get_layout_engine()
        assert layout is not None
        layout.execute(canvas)
        canvas.set_layout_engine("none")
        canvas.set_dpi(144)
        buffer = io.StringIO()
        # Not by savefig, which draws all of it once more beforehand for a layout that is there.
        page: Any = FigureCanvasSVG(canvas)
        page.print_svg(buffer, metadata={"Date": None})
        hover = _hover(axes, told)
    file, data = _data(name, told.columns)
    return Figure(
        name,
        told.title,
        told.caption,
        told.alt,
        _inline(buffer.getvalue(), name, told),
        file,
        data,
        hover,
        told.wide,
    )


def _inline(svg: str, name: str, told: Panel) -> str:
    """Return the picture as an element of the page, in the page's own ink and letters."""
    from html import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    head = (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" \\1><title id="{name}-t">{escape(told.title)}</title>'
        f'<desc id="{name}-d">{escape(told.alt)}</desc>'
    )
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    return re.sub(r"<svg ([^>]*)>", lambda _: head.replace("\\1", view.group()), svg, count=1)


def _hover(axes: "Axes", told: Panel) -> str:
    """Return where the axes lie in the picture, and which columns are the points, as JSON."""
    if not told.series:
        return ""
    place = axes.get_position()
    scales = [axes.get_xscale(), axes.get_yscale()]
    names = list(told.columns)
    return json.dumps(
        {
            "box": [round(float(v), 5) for v in (place.x0, 1 - place.y1, place.x1, 1 - place.y0)],
            "x": [float(v) for v in axes.get_xlim()],
            "y": [float(v) for v in axes.get_ylim()],
            "scale": scales,
            "matrix": told.series[0].label
            if np.ndim(next(iter(told.columns.values()))) == 2
            else "",
            "series": [
                [one.label, names.index(one.x), names.index(one.y)]
                for one in told.series
                if one.x in told.columns
            ],
        }
    )


def _data(name: str, columns: Mapping[str, Any]) -> tuple[str, str]:
    """Return the file's name and the address that holds its text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    arrays: list[NDArray[Any]] = [np.asarray(column) for column in columns.values()]
    if len(arrays) == 1 and arrays[0].ndim == 2:
        writer.writerows([[_text(value) for value in row] for row in arrays[0]])
    else:
        writer.writerow(columns)
        for k in range(max(map(len, arrays), default=0)):
            writer.writerow([_text(one[k]) if k < len(one) else "" for one in arrays])
    whole = text.getvalue()
    if len(whole) <= PLAIN:
        return f"{name}.csv", f"data:text/csv;charset=utf-8,{quote(whole)}"
    packed = base64.b64encode(gzip.compress(whole.encode(), mtime=0)).decode()
    return f"{name}.csv.gz", f"data:application/gzip;base64,{packed}"


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return str(value)
