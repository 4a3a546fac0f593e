"""The same trained levels on many arrays: what devices that differ do to the accuracy."""

__all__ = ["MonteCarlo", "draw_montecarlo", "montecarlo", "write_montecarlo"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.errors import InputError
from ...data.files import write_csv, write_figure
from .read import Outcome, read_conditions
from .trained import Condition, Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class MonteCarlo:
    """Accuracies of arrays whose devices are drawn anew, and of the one that was trained."""

    drawn: Outcome
    trained: Outcome
    """The array as trained, through the same engine."""

    def summary(self) -> dict[str, Any]:
        """Return mean, spread, range and intervals by name: ``mean_low`` to ``mean_high`` hold the
        mean over all such arrays on these images with 95 % confidence (Student's t),
        ``accuracy_low`` to ``accuracy_high`` allow for the images too (Wilson's).
        """
        scores, told = self.drawn.scores, self.drawn.told
        figures = {
            **self.mean_interval(),
            "worst": float(scores.min()),
            "median": float(np.median(scores)),
            "best": float(scores.max()),
            "accuracy_as_trained": self.trained.accuracy,
        }
        found: dict[str, Any] = self.drawn.row()
        for name, score in figures.items():
            found |= told(name, score)
        return found

    def mean_interval(self) -> dict[str, float]:
        """Return the ends of the mean's 95 % interval over draws; none of a single draw."""
        from scipy.stats import t

        scores = self.drawn.scores
        if len(scores) < 2:
            return {}
        half = float(t.ppf(0.975, len(scores) - 1)) * self.drawn.spread / len(scores) ** 0.5
        return {"mean_low": self.drawn.accuracy - half, "mean_high": self.drawn.accuracy + half}


def montecarlo(
    trained: Trained, draws: int, condition: Condition | None = None, **options: Any
) -> MonteCarlo:
    """Program the trained levels into ``draws`` arrays and read them under ``condition``;
    ``options`` are those of :func:`.read.read_conditions`.

    Every draw has its own stuck devices, reach and programming errors, by the effects of the run
    and the condition, and its own read noise.

    Parameters
    ----------
    trained
        The trained network with its images.
    draws
        Number of arrays.
    condition
        What differs from the run; nothing by default.
    **options
        As of :func:`.read.read_conditions`.

    Raises
    ------
    InputError
        If there are no draws, or the condition can't be met.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    asked = condition or Condition()
    as_trained = Condition(engine=asked.engine)
    (before,) = read_conditions(trained, [as_trained], **(options | {"progress": None}))
    (drawn,) = read_conditions(trained, [replace(asked, anew=True)], draws=draws, **options)
    return MonteCarlo(drawn, before)


def write_montecarlo(path: str | Path, found: MonteCarlo) -> Path:
    """Write one line per draw as CSV at ``path``, whole or not at all."""
    rows = [
        {
            "draw": k,
            **found.drawn.told("accuracy", score),
            **found.drawn.told("accuracy_low", low),
            **found.drawn.told("accuracy_high", high),
        }
        for k, (score, (low, high)) in enumerate(
            zip(found.drawn.scores.tolist(), found.drawn.intervals.tolist(), strict=True)
        )
    ]
    return write_csv(path, rows[0], (row.values() for row in rows), "{:.9g}".format)


def draw_montecarlo(found: MonteCarlo, path: str | Path | None = None) -> "Figure":
    """Draw every array's accuracy with its interval, the mean's, and the array as trained; write the
    picture to ``path`` if given.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    regression = found.drawn.regression
    factor = 1.0 if regression else 100.0
    order = np.argsort(found.drawn.scores)
    y, ends = factor * found.drawn.scores[order], factor * found.drawn.intervals[order]
    x = np.arange(1, len(y) + 1)
    errors = np.maximum([y - ends[:, 0], ends[:, 1] - y], 0.0)
    axes.errorbar(x, y, errors, fmt="o", ms=4, capsize=2, label="arrays, sorted")
    span = found.mean_interval()
    if span:
        axes.axhspan(factor * span["mean_low"], factor * span["mean_high"], alpha=0.25, color="C1")
    axes.axhline(factor * found.drawn.accuracy, color="C1", label="mean, with its 95 % interval")
    axes.axhline(factor * found.trained.accuracy, color="0.3", ls="--", label="as trained")
    axes.set(xlabel="array", ylabel="R²" if regression else "accuracy [%]")
    axes.set_title(f"{len(found.drawn.labels)} images, 95 % intervals", fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    if path is not None:
        write_figure(figure, path)
    return figure
