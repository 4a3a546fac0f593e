"""``memtwin characterise``: what ngspice says about a cell and a tile, for a surrogate's fit."""

__all__ = ["characterise"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ...console import Json, bar, emit
from ...groups import grouped
from ...job import Devices
from ...settings import Source


@grouped
def characterise(
    record: Annotated[Path, typer.Argument(help="Where to keep the characterisation (HDF5).")],
    source: Source,
    bipolar: Annotated[
        bool | None, typer.Option(help="Whether row voltages of both signs will come.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="ngspice processes.")] = None,
    devices: Devices = None,
    json: Json = False,
) -> dict[str, Any]:
    """Sweep single cells and read whole tiles in ngspice."""
    from ....circuits.surrogate.characterise import characterise as run
    from ....training.runs.build import tile_of

    settings = source.read({"workers": workers, "devices": devices, "surrogate.bipolar": bipolar})
    tile = tile_of(settings)
    levels = tile.levels
    assert levels is not None
    with bar("characterising cell and tile in ngspice") as progress:
        found = run(
            tile,
            settings.surrogate,
            seed=settings.seed,
            workers=settings.workers,
            memory=settings.worker_memory,
            devices=settings.devices,
            progress=progress,
        )
    found.save(record)
    summary = {
        "record": str(record),
        "device": levels.device.name,
        "rows": found.tile.rows,
        "cols": found.tile.cols,
        "levels": levels.count,
        "g_min": float(levels.g[0]),
        "g_max": float(levels.g[-1]),
        "v_read": levels.v_read,
        "cell_points": int(found.sweep.i.size),
        "vectors": sum(len(one.v) for one in found.fitted),
        "held_out": sum(len(one.v) for one in found.held_out),
        "seconds": found.meta["seconds"],
        "seed": settings.seed,
        "ngspice_version": found.meta["ngspice"],
        "klu": bool(found.meta["klu"]),
        "devices": found.meta["devices"],
        "digest": found.digest,
    }
    emit(summary, as_json=json, title="characterisation")
    return summary
