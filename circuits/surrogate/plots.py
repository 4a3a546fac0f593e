"""Pictures of engines against ngspice: one function each, matplotlib axes in, axes out."""

__all__ = ["error_against_current", "error_histogram", "scatter"]

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ...data.shown.pictures import BASE, BLUE, GREEN, INK, ORANGE, PINK, beside
from ...data.types import Array

SURROGATE, BASELINE = BLUE, ORANGE


def scatter(
    axes: Axes,
    spice: ArrayLike,
    predicted: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    label: str = "surrogate",
    baseline_label: str = "device law without wires",
) -> Axes:
    """Draw predicted currents over those of ngspice, both (vectors, cols) in A.

    ``baseline`` are the currents of an engine to compare with.

    Parameters
    ----------
    axes
        Where to draw.
    spice
        Currents in ngspice, (vectors, cols) [A].
    predicted
        The same currents by another engine.
    baseline
        Currents of an engine to compare with, in the same shape [A].
    label
        What to call the predicted currents in the picture.
    baseline_label
        What to call these in the picture.
    """
    truth, scale, unit = _scaled(spice)
    if baseline is not None:
        axes.plot(
            truth,
            scale * np.ravel(baseline),
            ".",
            ms=2.5,
            color=BASELINE,
            label=baseline_label,
            rasterized=True,
        )
    axes.plot(
        truth, scale * np.ravel(predicted), ".", ms=2.5, color=SURROGATE, label=label,
        rasterized=True,
    )  # fmt: skip
    ends = [min(0.0, float(truth.min())), float(truth.max())]
    axes.plot(ends, ends, lw=0.7, color=INK)
    axes.set(xlabel=f"sensed current in ngspice [{unit}]", ylabel=f"sensed current read [{unit}]")
    axes.grid(alpha=0.25)
    beside(axes, 2)
    return axes


def error_histogram(axes: Axes, spice: ArrayLike, predicted: ArrayLike, *, bins: int = 80) -> Axes:
    """Draw how the errors against ngspice are distributed, in percent of the largest current.

    Parameters
    ----------
    axes
        Where to draw.
    spice
        Currents in ngspice, (vectors, cols) [A].
    predicted
        The same currents by another engine.
    bins
        Number of bars.
    """
    off = _errors(spice, predicted)
    rms, worst = float(np.sqrt(np.mean(off**2))), float(np.abs(off).max())
    axes.hist(off, bins=bins, color=SURROGATE)
    axes.axvline(0.0, lw=0.7, color=INK)
    axes.set_yscale("log")
    axes.set(
        xlabel="error [% of the largest current]",
        ylabel="currents",
        title=f"NRMSE {rms:.4f} %, largest {worst:.3f} %",
    )
    axes.grid(alpha=0.25)
    return axes


def error_against_current(
    axes: Axes, spice: ArrayLike, engines: Mapping[str, ArrayLike], *, floor: float = 1e-5
) -> Axes:
    """Draw the size of every error over the current in ngspice, for several engines by name.

    Errors are in percent of the largest current; those below ``floor`` are drawn at it.

    Parameters
    ----------
    axes
        Where to draw.
    spice
        Currents in ngspice, (vectors, cols) [A].
    engines
        Currents of several engines by name, in the same shape [A].
    floor
        Smallest error that is drawn [%].
    """
    truth, _, unit = _scaled(spice)
    colours = (BASE, ORANGE, SURROGATE, GREEN, PINK)
    for (name, read), colour in zip(engines.items(), colours, strict=False):
        off = np.abs(_errors(spice, read))
        rms = float(np.sqrt(np.mean(off**2)))
        axes.plot(
            truth,
            np.maximum(off, floor),
            ".",
            ms=2.0,
            color=colour,
            label=f"{name}, NRMSE {rms:.2g} %",
            rasterized=True,
        )
    axes.set_yscale("log")
    axes.set(
        xlabel=f"sensed current in ngspice [{unit}]", ylabel="error [% of the largest current]"
    )
    axes.grid(alpha=0.25)
    axes.legend(
        frameon=False,
        markerscale=5,
        fontsize="small",
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
    )
    return axes


def _errors(spice: ArrayLike, predicted: ArrayLike) -> Array:
    truth = np.ravel(np.asarray(spice, float))
    largest = float(np.abs(truth).max()) or 1.0
    off: Array = 100.0 * (np.ravel(np.asarray(predicted, float)) - truth) / largest
    return off


def _scaled(spice: ArrayLike) -> tuple[Array, float, str]:
    """Return the currents in a unit that suits them, the factor, and the unit."""
    truth = np.ravel(np.asarray(spice, float))
    largest = float(np.abs(truth).max())
    for factor, unit in ((1e9, "nA"), (1e6, "µA"), (1e3, "mA")):
        if largest * factor < 2e3:
            return truth * factor, factor, unit
    return truth, 1.0, "A"
