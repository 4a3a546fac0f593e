"""What every benchmark prints: rows of a figure, the bar it is held to, and whether it holds.

A benchmark that is told to ``--save`` leaves its rows in ``docs/figures/``, from where ``figures.py``
takes the tables of the documentation.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

from memtwin.circuits.ngspice.installed import available, features

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"


@dataclass(frozen=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str
    bar: str
    """Such as ``<= 1.2``, in the same unit; empty for a figure that nothing is asked of."""
    holds: bool | None
    """``None`` where there is no bar, or where it could not be measured; the note says why."""
    note: str = ""

    def tree(self) -> dict[str, object]:
        """Return the row as JSON has it: no bar, no ``holds``; what was not measured is null."""
        tree = asdict(self) | {"value": self.value if isfinite(self.value) else None}
        return {k: v for k, v in tree.items() if k not in ("bar", "holds") or self.bar}


def at_most(name: str, value: float, unit: str, most: float, note: str = "") -> Row:
    """Return a row whose value is to be at most ``most``."""
    return Row(name, value, unit, f"<= {most:g}", bool(value <= most), note)


def at_least(name: str, value: float, unit: str, least: float, note: str = "") -> Row:
    """Return a row whose value is to be at least ``least``."""
    return Row(name, value, unit, f">= {least:g}", bool(value >= least), note)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what all benchmarks are asked alike."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--save", action="store_true", help="keep the rows for the documentation, in docs/figures"
    )


def publish(rows: Iterable[Row], name: str, options: argparse.Namespace) -> int:
    """Print rows as they come, or all of them as one JSON object; return 1 if a bar is missed."""
    found = features() if available() else None
    solver = "none" if found is None else "KLU" if found.klu else "SPARSE"
    engine = f"{found.version}, {solver}" if found else "none"
    if not options.json:
        print(f"ngspice {engine}")
    shown = []
    for row in rows:
        shown.append(row)
        if not options.json:
            verdict = {True: "ok", False: "MISSED", None: ""}[row.holds]
            print(
                f"{row.name:<64} {row.value:>10.4g} {row.unit:<6} {row.bar:>10}  {verdict:<6}"
                f" {row.note}",
                flush=True,
            )
    tree = {"rows": [row.tree() for row in shown], "ngspice": engine}
    if options.json:
        print(json.dumps(tree))
    if options.save:
        FIGURES.mkdir(exist_ok=True)
        text = json.dumps(tree, indent=1, ensure_ascii=False)
        (FIGURES / f"{name}-{solver.lower()}.json").write_text(text + "\n", encoding="utf-8")
    return int(any(row.holds is False for row in shown))
