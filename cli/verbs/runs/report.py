"""``memtwin report RUN``: one self-contained HTML page made from a run's record."""

__all__ = ["report"]

from pathlib import Path
from typing import Annotated

import typer

from ...console import Json, emit
from ...console import picture as picture_path


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder or its run.h5.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write the page; report.html beside the record.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Draw four panels of it as one picture, too (PNG, SVG, PDF).",
            callback=picture_path,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the report of a finished run."""
    from ....training.runs.record import load_record, record_path
    from ....training.runs.report.page import write_picture, write_report

    path = record_path(run)
    record = load_record(path)
    page = write_report(record, out or path.with_name("report.html"))
    summary = {"report": str(page), "bytes": page.stat().st_size}
    if picture is not None:
        summary["picture"] = str(write_picture(record, picture))
    emit(summary, as_json=json)
