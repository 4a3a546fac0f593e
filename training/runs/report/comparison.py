"""Several runs on one page: what they were told, how they went, what came out."""

__all__ = ["ComparisonSection", "differences", "write_comparison"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....data.errors import InputError
from ....data.shown.pictures import PALETTE, beside
from ....data.shown.quantities import duration, percent, quantity, saved
from ..overview.summary import config_of
from .figures import Figure, Panel, Series, draw
from .keys import flat, told
from .page import rendered
from .sections import Rows, Section, scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Mapping[str, Mapping[str, Any]]
"""Records of runs, by what to call them."""

SHORT, LONG = 24, 48
"""Letters of names that stand beside each other in a legend, and the most that one shows."""

MARKS = ("o", "s", "^", "D", "v", "P", "X")
"""Marks of curves, so that colour is not all that tells them apart."""


@dataclass(frozen=True)
class ComparisonSection(Section):
    """Runs side by side."""

    name, title = "comparison", "Side by side"
    table: Rows
    figures: tuple[Figure, ...]
    differences: Rows | None


def write_comparison(records: Records, path: Path) -> Path:
    """Write one page about several runs at ``path``, whole or not at all.

    Raises
    ------
    InputError
        If there are fewer than two runs.
    """
    from ....data.files import write_text

    if len(records) < 2:
        raise InputError("a comparison takes two runs or more")
    other = differences(records)
    section = ComparisonSection(
        _outcome(records),
        (
            *(
                draw(name, partial(_scores, records=some, score=score))
                for name, score in (("accuracy", "accuracy"), ("r2", "r2"))
                if (some := {k: one for k, one in records.items() if one["summary"]["score"] == score})
            ),
            draw("writes", partial(_writes, records=records)),
        ),
        Rows(("key", *records), [(key, *(told(key, one) for one in values)) for key, values in other.items()],
             "What they were told differently") if other else None,
    )  # fmt: skip
    title = f"memtwin: {len(records)} runs compared"
    text = rendered(title, "; ".join(records) + "; everything on this page is simulated", [section])
    return write_text(path, text)


def differences(records: Records) -> dict[str, list[Any]]:
    """Return the keys of the configuration in which runs differ, with the value of each run."""
    configs = [flat(config_of(record)) for record in records.values()]
    names = list(dict.fromkeys(name for config in configs for name in config))
    rows = {name: [config.get(name) for config in configs] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _outcome(records: Records) -> Rows:
    """Return what came out, a column per run."""
    summaries = [record["summary"] for record in records.values()]

    def both(name: str) -> list[str]:
        return [" ".join(filter(None, (value, f"({interval})" if interval else "")))
                for value, interval in (scored(one, name) for one in summaries)]  # fmt: skip

    def each(say: Any, name: str) -> list[str]:
        return [say(one[name]) if name in one else "–" for one in summaries]

    joules = partial(quantity, unit="J")
    rows = {
        "memristor twin": both("memristor"),
        "float network": both("float"),
        "validation": both("spice"),
        "samples in the validation": each(str, "spice_images"),
        "of these, the same predictions": each(str, "agreement"),
        "error of the surrogate (NRMSE)": each(percent, "surrogate_nrmse_percent"),
        "device writes": each("{:,}".format, "writes"),
        "writes removed": each(saved, "writes_removed_percent"),
        "writes removed, first epoch": each(saved, "writes_removed_first_epoch_percent"),
        "most-written device, writes": each("{:,}".format, "max_writes"),
        "write energy": each(joules, "write_energy_joule"),
        "write energy removed": each(saved, "energy_removed_percent"),
        "write time, row by row": each(duration, "write_row_time_seconds"),
        "time on this computer": each(duration, "wall_seconds"),
    }
    return Rows(("", *records), [(name, *cells) for name, cells in rows.items()])


def _scores(axes: "Axes", records: Records, score: str) -> Panel:
    regression = score == "r2"
    scale, what = (1.0, "R²") if regression else (100.0, "test accuracy [%]")
    curves = {name: scale * one["epochs"]["test_accuracy"] for name, one in records.items()}
    title = "R² over epochs" if regression else "Accuracy over epochs"
    panel = _curves(axes, curves, title, what)
    axes.set_ylabel(what)
    return panel


def _writes(axes: "Axes", records: Records) -> Panel:
    curves = {name: one["epochs"]["writes"] for name, one in records.items()}
    panel = _curves(axes, curves, "Device writes per epoch", "device writes")
    axes.set_yscale("log")
    axes.set_ylabel("device writes per epoch")
    return panel


def _curves(axes: "Axes", curves: Mapping[str, Any], title: str, what: str) -> Panel:
    from matplotlib.ticker import MaxNLocator

    longest = max(map(len, curves.values()))
    columns: dict[str, Any] = {"epoch": np.arange(1, longest + 1)}
    for (name, values), colour, mark in zip(
        curves.items(), cycle(PALETTE), cycle(MARKS), strict=False
    ):
        axes.plot(
            columns["epoch"][: len(values)],
            values,
            color=colour,
            marker=mark,
            ms=3,
            lw=1.3,
            label=_cut(name),
        )
        columns[f"{name}: {what}"] = values
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    beside(axes, 2 if max(map(len, curves)) <= SHORT else 1)
    scores = "On all test samples after every epoch, through the memristor twin."
    caption = "" if "writes" in what else scores
    ends = ", ".join(f"{name} {values[-1]:.4g}" for name, values in curves.items())
    return Panel(
        title,
        f"{len(curves)} lines over the epochs, up to {longest}; they end at {ends}.",
        columns,
        caption,
        tuple(Series(name, "epoch", f"{name}: {what}") for name in curves),
    )  # fmt: skip


def _cut(name: str) -> str:
    """Return a name as a legend shows it: the end tells runs apart."""
    return name if len(name) <= LONG else f"…{name[1 - LONG :]}"
