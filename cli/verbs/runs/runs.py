"""``memtwin runs``: which runs there are, and how far each has come."""

__all__ = ["runs"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ...console import Json, emit, note, table


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds them.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs here, and how far each has come."""
    from ....data.shown.quantities import figure
    from ....training.runs.overview.folders import RunState, find_runs

    def row(found: RunState) -> dict[str, Any]:
        figures = found.summary or {}
        kept = ("memristor_accuracy_percent", "memristor_r2", "writes", "writes_removed_percent")
        return {
            "name": found.name,
            "seed": found.seed,
            "state": found.state,
            "epochs_done": found.epochs_done,
            "epochs": found.epochs,
            "holder": found.holder,
            "problem": found.problem,
            **{key: figures[key] for key in kept if key in figures},
        }

    there = {str(found.folder): row(found) for found in find_runs(folder)}
    if json:
        emit({"runs": there}, as_json=True)
        return
    if not there:
        note(f"there are no runs in {folder}: memtwin run demo makes one")
        return

    def cell(one: dict[str, Any], *names: str) -> str:
        return next((figure(name, one[name]) for name in names if name in one), "–")

    table(
        ("folder", "state", "accuracy or R²", "writes removed"),
        [
            (
                place,
                one["state"],
                cell(one, "memristor_accuracy_percent", "memristor_r2"),
                cell(one, "writes_removed_percent"),
            )
            for place, one in there.items()
        ],
    )
