"""``memtwin characterise``: what ngspice says about a cell and a tile, for a surrogate's fit."""

__all__ = ["characterise"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import SEED, Json, bar, emit


def characterise(
    record: Annotated[Path, typer.Argument(help="Where to keep the characterisation (HDF5).")],
    config: Annotated[
        str, typer.Option(help="Device, levels and tile: a preset, or a configuration file (TOML).")
    ] = "demo",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. tile.rows=32."),
    ] = None,
    bipolar: Annotated[bool, typer.Option(help="Row voltages of both signs will come.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of patterns and vectors.", **SEED)] = None,
    workers: Annotated[int | None, typer.Option(help="ngspice processes.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Sweep single cells and read whole tiles in ngspice."""
    from ...circuits.surrogate.characterise import characterise as run
    from ...training.runs.build import cell_levels, cell_tile
    from ...training.runs.config import load_config

    given = {"seed": seed, "workers": workers}
    changes = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = load_config(config, [*(change or []), *changes])
    levels = cell_levels(settings)
    with bar("characterising cell and tile in ngspice") as progress:
        found = run(
            cell_tile(settings, levels),
            levels,
            vectors=settings.surrogate.vectors,
            held_out=settings.surrogate.held_out,
            bipolar=bipolar,
            seed=settings.seed,
            workers=settings.workers,
            memory=settings.worker_memory,
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
        "digest": found.digest,
    }
    emit(summary, as_json=json, title="characterisation")
    return summary
