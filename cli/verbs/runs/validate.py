"""``memtwin validate RUN``: read test images of a finished run through another engine."""

__all__ = ["validate"]

from pathlib import Path
from typing import Annotated

import typer

from ... import complete
from ...console import Json, emit
from ...job import Dask, Devices, Terminal, executor_at


def validate(
    run: Annotated[
        Path, typer.Argument(help="Folder of a finished run.", autocompletion=complete.runs)
    ],
    images: Annotated[
        int | None, typer.Option(help="Test images; as configured when absent.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine; as configured when absent.")] = None,
    devices: Devices = None,
    dask: Dask = None,
    json: Json = False,
) -> None:
    """Read test images through every tile of every layer in another engine, by default ngspice."""
    from ....training.runs.overview.summary import VALIDATED, validation_summary
    from ....training.runs.run import validate_run

    with executor_at(dask) as executor:
        found = validate_run(
            run,
            engine=engine,
            images=images,
            devices=devices,
            listener=Terminal(),
            executor=executor,
        )
    summary = {
        **validation_summary(found),
        **({"devices": found.devices} if found.devices else {}),
        "differing": found.differing.tolist(),
    }
    emit(summary, as_json=json, title=f"validation of {run}", groups=VALIDATED)
