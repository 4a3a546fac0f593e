"""Which verbs there are: a row each, with its module, so that only the verb that is asked for is loaded."""

__all__ = ["TABLE", "Row", "help_text", "rows"]

import os
import sys
import textwrap
from shutil import get_terminal_size
from typing import NamedTuple


class Row(NamedTuple):
    """One verb."""

    name: str
    place: str
    """Module below ``cli.verbs``, and what it holds there: a function, or the ``app`` of a group of verbs."""
    summary: str


TABLE = {
    "Devices": (
        Row("data", "devices.data:app", "Public datasets, and measurements of your own."),
        Row("fit", "devices.fit:fit", "Fit a compact model to sweeps, or a pulse law to ramps."),
        Row("simulate", "devices.device:simulate", "Drive a device, and say what it does."),
        Row("models", "papers.models:app", "Compact models, with their papers."),
        Row(
            "export", "devices.device:export", "Print a device for simulators, a network for numpy."
        ),
        Row("datasheet", "devices.datasheet:datasheet", "Write a fitted device on one page."),
        Row("spread", "devices.spread:app", "Laws of devices that differ, drift and fail."),
        Row(
            "technology",
            "devices.technology:app",
            "Measured processes of cells behind transistors.",
        ),
    ),
    "Arrays": (
        Row("netlist", "arrays.netlist:netlist", "Write the deck of a tile, for ngspice -b."),
        Row("read", "arrays.read:read", "Read a tile at hand: currents, power, drops."),
        Row("characterise", "arrays.characterise:characterise", "Read cells and tiles in ngspice."),
        Row("surrogate", "arrays.surrogate:app", "Fit, judge and show surrogates."),
        Row("program", "arrays.program:app", "Write devices by pulses and verify reads."),
    ),
    "Networks": (
        Row("run", "runs.run:run", "The whole job: fit, train, validate in ngspice, report."),
        Row("train", "runs.run:train", "The same up to the end of the training."),
        Row(
            "validate",
            "runs.validate:validate",
            "Read a run through ngspice, or under other conditions.",
        ),
        Row(
            "montecarlo", "runs.montecarlo:montecarlo", "Read a run's levels in arrays drawn anew."
        ),
        Row("compare", "runs.compare:compare", "Train by several update rules over seeds."),
        Row("report", "runs.report:report", "Draw the page of a run, or of several side by side."),
        Row("runs", "runs.runs:runs", "List the runs here, and how far each has come."),
    ),
    "This installation": (
        Row("info", "info:info", "Versions, ngspice, cores, models, engines."),
        Row("cite", "papers.cite:cite", "Name the works behind what was used."),
    ),
}
"""Verbs under the headings of the help, in the order in which one needs them."""

HEAD = "Memristor devices in SPICE, and the networks that train on them."

OPTIONS = (
    ("-V, --version", "Print the version."),
    ("-h, --help", "Show this; after a verb, its options."),
    ("--install-completion", "Complete verbs, options and names in this shell."),
    ("--show-completion", "Print what that would install."),
)


def rows() -> dict[str, Row]:
    """Return the verbs by name, in the order of the help."""
    return {row.name: row for group in TABLE.values() for row in group}


def help_text() -> str:
    """Return what ``memtwin --help`` prints; no other module is needed for it."""
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    groups = [(title, [(row.name, row.summary) for row in group]) for title, group in TABLE.items()]
    groups.append(("Options", list(OPTIONS)))
    wide = max(len(name) for _, entries in groups for name, _ in entries) + 4
    room = max(min(get_terminal_size().columns, 100), wide + 24)
    lines = ["Usage: memtwin VERB [OPTIONS] [ARGUMENTS]", "", HEAD]
    for title, entries in groups:
        lines += ["", f"\033[1m{title}\033[0m" if bold else title]
        for name, said in entries:
            lines += textwrap.wrap(
                said, room, initial_indent=f"  {name}".ljust(wide), subsequent_indent=" " * wide
            )
    ending = "Begin with 'memtwin run demo', or 'memtwin fit SWEEP.csv --model auto'. Every verb takes -h, and --json."
    return "\n".join([*lines, "", *textwrap.wrap(ending, room)]) + "\n"
