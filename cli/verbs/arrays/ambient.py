"""A sweep of ambient temperatures: the same work once for each, a table of figures, a picture."""

__all__ = ["Ambient", "swept", "temperatures"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ....data.errors import InputError
from ...console import emit

Ambient = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        metavar="temperature=A,B,C",
        help="Ambient temperatures [K] to write at, with devices, levels and pulses as made for"
        " --temperature.",
    ),
]

KEY = "temperature"


def temperatures(sweep: str) -> list[float]:
    """Return the temperatures that ``temperature=300,350`` lists [K]."""
    key, _, listed = (part.strip() for part in sweep.partition("="))
    if key not in (KEY, f"device.{KEY}") or not listed:
        raise InputError(f"--sweep {sweep!r}: expected temperatures, as {KEY}=300,325,350")
    try:
        found = [float(word) for word in listed.split(",")]
    except ValueError:
        raise InputError(f"--sweep {sweep!r}: expected temperatures [K], as 300,325,350") from None
    if not all(0.0 < value < float("inf") for value in found) or len(set(found)) < len(found):
        raise InputError(f"--sweep {sweep!r}: expected different temperatures above 0 K")
    return found


def swept(
    values: Sequence[float],
    work: Callable[[float, Path], Mapping[str, Any]],
    out: Path,
    plot: Path | None,
    *,
    title: str,
    json: bool,
) -> dict[str, Any]:
    """Do ``work`` at each temperature, into a record of its own beside ``out``; keep the figures that
    are numbers as a table.

    Parameters
    ----------
    values
        Temperatures [K].
    work
        Takes a temperature and the path of its record; returns figures by name.
    out
        Path of the record of a single one; the table is ``OUT-temperature.csv``.
    plot
        Where to draw the figures, if anywhere.
    title
        What it is a sweep of.
    json
        Whether rows are printed as JSON.
    """
    from ....data.files import write_csv

    rows: list[dict[str, Any]] = []
    for value in values:
        record = out.with_name(f"{out.stem}-{value:g}K{out.suffix}")
        rows.append({KEY: value, **work(value, record)})
    names = [name for name in rows[0] if all(isinstance(row[name], int | float) for row in rows)]
    cells = ([row[name] for name in names] for row in rows)
    table = write_csv(out.with_name(f"{out.stem}-{KEY}.csv"), names, cells)
    summary: dict[str, Any] = {"rows": rows, "table": str(table)}
    if plot is not None:
        from ....circuits.programming.plots import save_ambient_figure

        summary["plot"] = str(save_ambient_figure(rows, plot))
    if json:
        emit(summary, as_json=True)
    else:
        told = {f"{row[KEY]:g} K": _line(row) for row in rows}
        rest = {key: value for key, value in summary.items() if key != "rows"}
        emit({**told, **rest}, as_json=False, title=title)
    return summary


def _line(row: Mapping[str, Any]) -> str:
    pulses = row.get("pulses_mean", row.get("pulses"))
    error = row.get("error_rms_steps", row.get("error_max_steps"))
    return f"{row['success_percent']:.4g} % written, {pulses:.4g} pulses, error {error:.3g} steps"
