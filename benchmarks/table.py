"""What every benchmark prints: rows of a figure, the bar it is held to, and whether it holds."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from memtwin.circuits.ngspice import available, features


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


def at_most(name: str, value: float, unit: str, most: float, note: str = "") -> Row:
    """Return a row whose value is to be at most ``most``."""
    return Row(name, value, unit, f"<= {most:g}", bool(value <= most), note)


def at_least(name: str, value: float, unit: str, least: float, note: str = "") -> Row:
    """Return a row whose value is to be at least ``least``."""
    return Row(name, value, unit, f">= {least:g}", bool(value >= least), note)


def publish(rows: Iterable[Row], *, as_json: bool) -> int:
    """Print rows as they come, or all of them as one JSON object; return 1 if a bar is missed."""
    found = features() if available() else None
    engine = f"{found.version}, {'KLU' if found.klu else 'SPARSE'}" if found else "none"
    if not as_json:
        print(f"ngspice {engine}")
    shown = []
    for row in rows:
        shown.append(row)
        if not as_json:
            verdict = {True: "ok", False: "MISSED", None: ""}[row.holds]
            print(
                f"{row.name:<64} {row.value:>10.4g} {row.unit:<6} {row.bar:>10}  {verdict:<6}"
                f" {row.note}",
                flush=True,
            )
    if as_json:
        tree = [
            {
                "name": row.name,
                "value": row.value if isfinite(row.value) else None,
                "bar": row.bar,
                "holds": row.holds,
            }
            | {"unit": row.unit, "note": row.note}
            for row in shown
        ]
        print(json.dumps({"rows": tree, "ngspice": engine}))
    return int(any(row.holds is False for row in shown))
