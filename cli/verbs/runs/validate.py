"""``memtwin validate RUN``: read test images of a finished run through another engine."""

__all__ = ["validate"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import complete
from ...console import Json, emit
from ...job import Dask, Devices, Terminal, executor_at

if TYPE_CHECKING:
    from ....training.trainer.validate import Validation


def validate(
    run: Annotated[
        Path, typer.Argument(help="Folder of a finished run.", autocompletion=complete.runs)
    ],
    images: Annotated[
        int | None, typer.Option(help="Test images; as configured when absent.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Engine, or several with commas between; as configured when absent."),
    ] = None,
    devices: Devices = None,
    dask: Dask = None,
    json: Json = False,
) -> None:
    """Read test images through every tile of every layer in another engine, by default ngspice."""
    import numpy as np

    from ....training.runs.overview.summary import VALIDATED
    from ....training.runs.run import validate_run

    names = [None] if engine is None else [name.strip() for name in engine.split(",")]
    with executor_at(dask) as executor:
        found = [
            validate_run(
                run,
                engine=name,
                images=images,
                devices=devices,
                listener=Terminal(),
                executor=executor,
            )
            for name in names
        ]
    first, *others = found
    summary = _summary(first)
    for one in others:
        scale = float(np.abs(first.outputs).max()) or 1.0
        summary[one.engine] = _summary(one) | {
            f"agreement_with_{first.engine}": float((one.predictions == first.predictions).mean()),
            f"outputs_apart_from_{first.engine}": float(
                np.abs(one.outputs - first.outputs).max() / scale
            ),
        }
    emit(summary, as_json=json, title=f"validation of {run}", groups=VALIDATED)


def _summary(found: "Validation") -> dict[str, Any]:
    from ....training.runs.overview.summary import validation_summary

    return {
        **validation_summary(found),
        **({"devices": found.devices} if found.devices else {}),
        "differing": found.differing.tolist(),
    }
