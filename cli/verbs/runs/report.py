"""``memtwin report RUN...``: one self-contained HTML page made from a run's record, or from several."""

__all__ = ["report"]

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ....data.errors import InputError
from ... import complete
from ...console import Json, emit
from ...console import picture as picture_path


def report(
    run: Annotated[
        list[Path],
        typer.Argument(
            help="A run's folder or its run.h5; several are compared on one page.",
            autocompletion=complete.runs,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to write the page; report.html beside the record, comparison.html here.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Draw four panels of a run as one picture, too (PNG, SVG, PDF).",
            callback=picture_path,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the page of a finished run, or of several side by side."""
    from ....training.runs.record import load_record, record_path

    paths = [record_path(one) for one in run]
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("a run is named twice")
    records = {name: load_record(path) for name, path in zip(_called(paths), paths, strict=True)}
    summary: dict[str, Any]
    if len(paths) > 1:
        from ....training.runs.report.comparison import differences, write_comparison

        if picture is not None:
            raise InputError("--picture draws one run")
        page = write_comparison(records, out or Path("comparison.html"))
        summary = {"report": str(page), "bytes": page.stat().st_size, "runs": list(records)}
        told = differences(records)
        summary["differences"] = told if json else f"{len(told)} keys of the configuration"
    else:
        from ....training.runs.report.page import write_picture, write_report

        (record,) = records.values()
        page = write_report(record, out or paths[0].with_name("report.html"))
        summary = {"report": str(page), "bytes": page.stat().st_size}
        if picture is not None:
            summary["picture"] = str(write_picture(record, picture))
    emit(summary, as_json=json)


def _called(paths: Sequence[Path]) -> list[str]:
    """Return what to call runs: their folders, or files that have names of their own, by as much of their paths as
    tells them apart.
    """
    whole = [
        (path.parent if path.name == "run.h5" and path.parent.name else path).resolve().parts
        for path in paths
    ]
    return [
        next(
            "/".join(parts[-n:])
            for n in range(1, len(parts) + 1)
            if sum(other[-n:] == parts[-n:] for other in whole) == 1 or n == len(parts)
        )
        for parts in whole
    ]
