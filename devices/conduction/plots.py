"""The picture of a comparison of conduction laws."""

__all__ = ["support_page"]

from typing import TYPE_CHECKING

import numpy as np

from ...data.shown.pictures import BLUE, GREEN, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .fit import Support

_COLOURS = (RED, BLUE, GREEN)


def support_page(support: "Support") -> "Figure":
    """Draw currents at every temperature with the best law, and how far all laws are off."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    points, best = support.points, support.best
    temperatures = points.temperatures
    shades = colormaps["plasma"](np.linspace(0.1, 0.8, len(temperatures)))
    near = np.argmin(np.abs(points.temperature[:, None] - temperatures), 1)
    for k, (kelvin, shade) in enumerate(zip(temperatures, shades, strict=True)):
        v, i = points.v[near == k], points.i[near == k]
        left.plot(v, np.abs(i), ".", color=shade, ms=4, label=f"{kelvin:.4g} K")
        line = np.linspace(v.min(), v.max(), 200)
        left.plot(line, np.abs(best.current(line, kelvin)), color=shade, lw=1.0)
    left.set_yscale("log")
    left.set_xlabel("voltage [V]")
    left.set_ylabel("|current| [A]")
    left.set_title(f"lines: {best.law.title}", fontsize=9)
    left.legend(fontsize=7)
    names = [one.law.name for one in support.fits]
    at = np.arange(len(names))
    for shift, what, colour in ((-0.2, "decades", _COLOURS[1]), (0.2, "held_out", _COLOURS[0])):
        values = [max(getattr(one, what), 1e-4) for one in support.fits]
        right.barh(at + shift, values, 0.4, color=colour, label=what.replace("_", " "))
    right.set_xscale("log")
    right.set_yticks(at, names)
    right.invert_yaxis()
    right.set_xlabel("root mean square residual [decades]")
    right.set_title(support.verdict, fontsize=8, wrap=True)
    right.legend(fontsize=7)
    return figure
