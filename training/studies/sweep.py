"""Accuracy over a swept value: a table, and a picture of it."""

__all__ = ["Axis", "Sweep", "axis_of", "draw_sweep", "sweep", "write_sweep"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.errors import InputError
from ...data.files import parse_toml, write_csv, write_figure
from ...data.shown.quantities import seconds_of
from ...data.types import Progress
from .hardware import Footprint
from .read import Outcome, read_conditions
from .trained import Condition, Trained, with_change

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AFTER = "after"
"""Axis of times since the devices were written."""

SHORT = {"temperature": "device.temperature"}
"""Keys that have a name of their own as an axis."""


@dataclass(frozen=True)
class Axis:
    """A key of the configuration, or ``after``, and its values."""

    key: str
    values: tuple[Any, ...]

    def at(self, condition: Condition, value: Any) -> Condition:
        """Return ``condition`` with this axis at ``value``."""
        if self.key == AFTER:
            return replace(condition, after=value)
        return replace(condition, changes=with_change(condition.changes, self.key, value))


@dataclass(frozen=True)
class Sweep:
    """Outcomes over the values of one axis or two, the last one fastest."""

    axes: tuple[Axis, ...]
    outcomes: tuple[Outcome, ...]
    footprints: tuple[Footprint, ...] = ()
    """What one inference takes at each point, where it was asked for."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row of figures per point."""
        points = product(*(axis.values for axis in self.axes))
        rows = [
            dict(zip((axis.key for axis in self.axes), point, strict=True)) | outcome.row()
            for point, outcome in zip(points, self.outcomes, strict=True)
        ]
        for row, found in zip(rows, self.footprints, strict=False):
            row |= found.summary()
        return rows

    def with_footprints(self, trained: Trained, progress: Progress | None = None) -> "Sweep":
        """Return it with energy, latency and area of one inference at every point."""
        found = []
        for outcome in self.outcomes:
            found.append(trained.footprint(outcome.condition))
            if progress is not None:
                progress(len(found), len(self.outcomes))
        return replace(self, footprints=tuple(found))


def axis_of(text: str) -> Axis:
    """Return the axis that ``KEY=VALUE,VALUE,...`` says; of ``after`` values are times such as 30d.

    Raises
    ------
    InputError
        If it says none.
    """
    key, equals, listed = (part.strip() for part in text.partition("="))
    key = SHORT.get(key, key)
    if not equals or not key or not listed:
        raise InputError(f"expected KEY=VALUE,VALUE such as effects.read=0,0.01,0.1, got {text!r}")
    if key == AFTER:
        return Axis(key, tuple(seconds_of(word.strip(), "after") for word in listed.split(",")))
    try:
        values = tuple(parse_toml(f"value = [{listed}]", text)["value"])
    except InputError:
        values = tuple(word.strip() for word in listed.split(","))
    if not values:
        raise InputError(f"{text!r} lists no values")
    return Axis(key, values)


def sweep(
    trained: Trained, axes: Sequence[Axis], condition: Condition | None = None, **options: Any
) -> Sweep:
    """Read a trained network at all values of ``axes``; all else is as ``condition`` says, and
    ``options`` are those of :func:`.read.read_conditions`.

    Parameters
    ----------
    trained
        The trained network with its images.
    axes
        One or two, each a key with its values.
    condition
        What differs from the run besides; nothing by default.
    **options
        As of :func:`.read.read_conditions`.

    Raises
    ------
    InputError
        If there are no axes or more than two, or a value can't be.
    """
    if not 1 <= len(axes) <= 2 or len({axis.key for axis in axes}) < len(axes):
        raise InputError("a sweep goes over the values of one key, or of two different ones")
    points = []
    for values in product(*(axis.values for axis in axes)):
        point = condition or Condition()
        for axis, value in zip(axes, values, strict=True):
            point = axis.at(point, value)
        points.append(point)
    return Sweep(tuple(axes), tuple(read_conditions(trained, points, **options)))


def write_sweep(path: str | Path, found: Sweep) -> Path:
    """Write the table as CSV at ``path``, whole or not at all."""
    rows = found.rows()
    return write_csv(path, rows[0], (row.values() for row in rows), _cell)


def _cell(value: Any) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return f'"{text}"' if "," in text else text


def draw_sweep(found: Sweep, path: str | Path | None = None) -> "Figure":
    """Draw accuracy over the first axis, one line per value of the second, and write the picture to
    ``path`` if given.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    first, others = found.axes[0], found.axes[1:]
    groups = others[0].values if others else (None,)
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in first.values)
    x = list(first.values) if numbers else list(range(len(first.values)))
    regression = found.outcomes[0].regression
    factor = 1.0 if regression else 100.0
    for k, group in enumerate(groups):
        some = found.outcomes[k :: len(groups)]
        y = [factor * outcome.accuracy for outcome in some]
        low = [factor * (outcome.accuracy - outcome.interval[0]) for outcome in some]
        high = [factor * (outcome.interval[1] - outcome.accuracy) for outcome in some]
        label = None if group is None else f"{others[0].key} = {group}"
        axes.errorbar(x, y, [low, high], fmt="o-", ms=4, capsize=3, label=label)
    if not numbers:
        axes.set_xticks(x, [str(value) for value in first.values])
    elif (
        min(x) >= 0.0
        and (rising := sorted(v for v in x if v > 0.0))
        and rising[-1] > 30 * rising[0]
    ):
        axes.set_xscale(
            "symlog" if min(x) == 0.0 else "log",
            **({"linthresh": rising[0]} if min(x) == 0.0 else {}),
        )
    unit = {AFTER: " [s]", "device.temperature": " [K]"}.get(first.key, "")
    axes.set(xlabel=f"{first.key}{unit}", ylabel="R²" if regression else "accuracy [%]")
    axes.set_title(f"{len(found.outcomes[0].labels)} images, 95 % intervals", fontsize=10)
    axes.grid(alpha=0.3)
    if others:
        axes.legend(fontsize=8)
    if path is not None:
        write_figure(figure, path)
    return figure
