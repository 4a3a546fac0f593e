"""Pictures of a run: one function each, matplotlib axes in, axes out."""

__all__ = ["accuracy", "conductance_map", "write_histogram", "write_map", "writes"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.shown.pictures import BASE, BLUE, GREY, RED, beside
from ...data.shown.quantities import saved
from ..trainer.validate import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLOAT, MEMRISTOR, SPICE = GREY, BLUE, RED


def accuracy(
    axes: "Axes",
    float_accuracy: ArrayLike,
    memristor_accuracy: ArrayLike,
    *,
    spice_accuracy: float | None = None,
    spice_images: int = 0,
    spice_interval: tuple[float, float] | None = None,
    spice_engine: str = "ngspice",
    regression: bool = False,
) -> "Axes":
    """Draw test accuracy [0..1] of both twins over the epochs, each of shape (epochs,).

    ``spice_accuracy`` over ``spice_images`` images, read in ngspice after training, is drawn with its 95 % interval.
    What is drawn is R² for a ``regression``, whose interval must be given.

    Parameters
    ----------
    axes
        Where to draw.
    float_accuracy
        Of the float network, after every epoch [0..1].
    memristor_accuracy
        Of the memristor twin, after every epoch [0..1].
    spice_accuracy
        Of the validating engine, after training [0..1].
    spice_images
        Samples that it read.
    spice_interval
        Ends of the 95 % interval; by default Wilson's.
    spice_engine
        What to call that engine.
    regression
        Whether all of these are R².
    """
    scale = 1.0 if regression else 100.0
    twin, memristor = np.asarray(float_accuracy, float), np.asarray(memristor_accuracy, float)
    epochs = np.arange(1, len(memristor) + 1)
    axes.plot(
        np.arange(1, len(twin) + 1),
        scale * twin,
        "o-",
        ms=3,
        color=FLOAT,
        label="float network",
    )
    axes.plot(
        epochs,
        scale * memristor,
        "o-",
        ms=4,
        color=MEMRISTOR,
        label="memristor twin",
    )
    if spice_accuracy is not None and spice_images:
        low, high = spice_interval or wilson(round(spice_accuracy * spice_images), spice_images)
        axes.errorbar(
            [epochs[-1]],
            [scale * spice_accuracy],
            yerr=[[scale * (spice_accuracy - low)], [scale * (high - spice_accuracy)]],
            fmt="D",
            ms=5,
            capsize=4,
            color=SPICE,
            label=f"{spice_engine}, {spice_images} samples, 95 %",
        )
    axes.set(xlabel="epoch", ylabel="R² on test samples" if regression else "test accuracy [%]")
    _whole(axes)
    axes.grid(alpha=0.25)
    beside(axes, 3)
    return axes


def writes(
    axes: "Axes", written: ArrayLike, closed_loop: ArrayLike, *, label: str = "Siamese"
) -> "Axes":
    """Draw device writes per epoch beside those of the basic closed loop, each of shape (epochs,), on a log axis;
    ``label`` names the rule that trained.

    Parameters
    ----------
    axes
        Where to draw.
    written
        Device writes per epoch, (epochs,).
    closed_loop
        Those of the basic closed loop, (epochs,).
    label
        What to call it in the picture.
    """
    done, basic = np.asarray(written, float), np.asarray(closed_loop, float)
    epochs = np.arange(1, len(done) + 1)
    axes.bar(epochs - 0.2, basic, 0.4, color=FLOAT, label="basic closed loop")
    axes.bar(epochs + 0.2, np.maximum(done, 0.5), 0.4, color=MEMRISTOR, label=label)
    axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="device writes per epoch", xlim=(0.4, len(done) + 0.6))
    removed = 100.0 * (1.0 - done / basic)
    axes.set_title(
        f"{saved(removed[0], 'fewer')} in the first epoch, {saved(removed[-1], 'fewer')} in the last",
        pad=20,
    )
    _whole(axes)
    beside(axes, 2)
    return axes


def write_map(axes: "Axes", counts: ArrayLike, *, title: str) -> "Axes":
    """Draw how often each device of a layer was written, those that never were in grey.

    Parameters
    ----------
    axes
        Where to draw.
    counts
        Writes of every device, (inputs, 2 × outputs).
    title
        Heading.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    shown = np.asarray(counts, float)
    # Grey, as the ends of the scale are the colours of a light and of a dark page.
    scale = colormaps["magma_r"].with_extremes(bad=BASE)
    image = axes.imshow(
        np.where(shown > 0, shown, np.nan),
        aspect="auto",
        interpolation="nearest",
        cmap=scale,
        norm=LogNorm(1, max(2.0, float(shown.max()))),
    )
    _label(
        axes,
        image,
        f"{title}: {int(shown.sum()):,} writes, {100 * np.mean(shown == 0):.0f} % never written",
        "writes",
    )
    return axes


def write_histogram(axes: "Axes", counts: Sequence[ArrayLike]) -> "Axes":
    """Draw how many devices were written how often, on a log axis; ``counts`` holds one array per layer."""
    flat = np.concatenate([np.ravel(np.asarray(one, int)) for one in counts])
    top = max(1, int(flat.max()))
    width = -(-top // 60)  # bars of equal, whole width, so that their heights compare
    axes.hist(
        flat[flat > 0], (np.arange(1, top + width + 1, width) - 0.5).tolist(), color=MEMRISTOR
    )
    axes.set_yscale("symlog", linthresh=1.0)  # shows a single device, and none
    axes.set(
        xlabel="writes of a device",
        ylabel="devices" if width == 1 else f"devices per {width} writes",
        title=f"{100 * np.mean(flat == 0):.0f} % of {flat.size:,} devices never written",
    )
    axes.grid(alpha=0.25)
    return axes


def conductance_map(axes: "Axes", g: ArrayLike, *, title: str) -> "Axes":
    """Draw the conductances of a layer in µS; ``g`` [S] has shape (inputs, 2 × outputs).

    Parameters
    ----------
    axes
        Where to draw.
    g
        Conductances, (inputs, 2 × outputs) [S].
    title
        Heading.
    """
    image = axes.imshow(
        1e6 * np.asarray(g, float), aspect="auto", interpolation="nearest", cmap="viridis"
    )
    _label(axes, image, title, "conductance [µS]")
    return axes


def _whole(axes: "Axes") -> None:
    """Mark whole numbers only, of epochs, lines and writes."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _label(axes: "Axes", image: Any, title: str, quantity: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(title=title, xlabel="bit line (pairs: I⁺, I⁻)", ylabel="word line")
    _whole(axes)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.figure.colorbar(image, ax=axes, label=quantity, fraction=0.05, pad=0.02)
