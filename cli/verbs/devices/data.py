"""``memtwin data``: what public measurements there are, getting them, reading your own, looking at
them.
"""

__all__ = ["app", "get", "import_", "list_", "show"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ... import complete
from ...console import Json, bar, emit, note, picture, verb
from ...intake import say_reading, takes_reading
from ...interrupt import keeping

app = typer.Typer(
    help="Public datasets, and measurements of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Files = Annotated[
    str, typer.Argument(help="A file, or DATASET:PATTERN for files of a catalogue dataset.")
]


def list_(json: Json = False) -> dict[str, Any]:
    """List the datasets of the catalogue."""
    from ....data.catalogue import cache_folder, datasets

    rows = {
        name: {
            "title": entry.title,
            "kind": entry.kind,
            "device": entry.device,
            "licence": entry.licence,
            "doi": entry.doi,
            "source": entry.source,
            "columns": entry.columns,
            "files": len(entry.files),
            "cached": entry.cached,
        }
        for name, entry in datasets().items()
    }
    summary = {"cache": cache_folder(), "datasets": rows}
    if json:
        emit(summary, as_json=True)
    else:
        shown = {
            name: f"{row['title']} ({row['cached']} of {row['files']} files here; {row['licence']})"
            for name, row in rows.items()
        }
        emit(shown, as_json=False, title=f"datasets, cached in {cache_folder()}")
    return summary


def get(
    dataset: Annotated[
        str, typer.Argument(help="Name in the catalogue.", autocompletion=complete.datasets)
    ],
    pattern: Annotated[str, typer.Option(help="Shell pattern of the files wanted.")] = "*",
    json: Json = False,
) -> dict[str, Any]:
    """Download a dataset into the cache, and check every file's hash."""
    from ....data.catalogue import fetch, find_dataset

    entry = find_dataset(dataset)
    wanted = entry.matching(pattern)

    def left() -> str:
        there = sum(entry.path(file).is_file() for file in wanted)
        return f"{there} of {len(wanted)} files are in {entry.path('')}; the same command gets the rest"

    note(f"licence: {entry.licence}")
    with keeping(left), bar(f"getting {dataset}") as progress:
        paths = fetch(dataset, pattern, progress=progress)
    summary = {
        "dataset": dataset,
        "licence": entry.licence,
        "doi": entry.doi,
        "files": len(paths),
        "folder": paths[0].parent if len(paths) == 1 else entry.path(""),
    }
    emit(summary, as_json=json, title=entry.title)
    return summary


@takes_reading
def import_(
    data: Files,
    output: Annotated[Path, typer.Argument(help="Measurement record to write (HDF5).")],
    kind: Annotated[
        str | None,
        typer.Option(
            help="sweep, ramps, response, relaxation, log, pulse_map, write_log, a table layout, or a"
            " registered importer."
        ),
    ] = None,
    reading: Any = None,
    device: Annotated[str | None, typer.Option(help="What was measured.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the data.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Read a measurement and keep it as one record, with units, provenance and licence."""
    from ....data.importers.readers import read_measurement
    from ....data.measurement import save_measurement

    path, facts, dataset = _one_file(data)
    facts |= {
        key: value for key, value in (("device", device), ("licence", licence)) if value is not None
    }
    found = read_measurement(path, dataset=dataset, kind=kind, meta=facts, **reading)
    say_reading(path, found)
    records = []
    for k, measurement in enumerate(found, start=1):
        target = output if len(found) == 1 else output.with_stem(f"{output.stem}_{k}")
        records.append(save_measurement(measurement, target))
    summary = {"records": records, **_described(found[0])}
    emit(summary, as_json=json, title=f"imported {path.name}")
    return summary


@takes_reading
def show(
    data: Files,
    plot: Annotated[
        Path | None,
        typer.Option(help="Where to draw it; default: beside you, as PNG.", callback=picture),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="What it is; see import.")] = None,
    reading: Any = None,
    json: Json = False,
) -> dict[str, Any]:
    """Say what a measurement holds, and draw it."""
    from ....data.importers.readers import read_measurement
    from ....devices.plots import save_measurement_figure

    path, facts, dataset = _one_file(data)
    found = read_measurement(path, dataset=dataset, kind=kind, meta=facts, **reading)
    say_reading(path, found)
    target = plot or Path(f"{path.stem.replace(' ', '_')}.png")
    drawn = []
    for k, measurement in enumerate(found, start=1):
        place = target if len(found) == 1 else target.with_stem(f"{target.stem}_{k}")
        drawn.append(save_measurement_figure(measurement, place))
    summary = {**_described(found[0]), "pictures": drawn}
    emit(summary, as_json=json, title=path.name)
    return summary


def _one_file(data: str) -> tuple[Path, dict[str, Any], str | None]:
    from ....data.errors import InputError
    from ...intake import find_files

    paths, facts = find_files(data)
    if len(paths) != 1:
        raise InputError(f"{data} means {len(paths)} files, expected one: narrow the pattern")
    dataset = facts.get("dataset")
    return paths[0], dict(facts), None if dataset is None else str(dataset)


def _described(measurement: Any) -> dict[str, Any]:
    """Return what one would like to know about a measurement before using it."""
    import numpy as np

    from ....data.chip import PulseMap, WriteLog
    from ....data.measurement import PulseTrain, Relaxation, Sweep

    facts: dict[str, Any] = {"name": measurement.name, "type": type(measurement).__name__}
    if isinstance(measurement, Sweep):
        facts |= {
            "points": len(measurement.t),
            "censored": int(measurement.censored.sum()),
            "seconds": float(measurement.t[-1] - measurement.t[0]),
            "v_range_volt": [float(measurement.v.min()), float(measurement.v.max())],
            "i_range_ampere": [float(measurement.i.min()), float(measurement.i.max())],
        }
    elif isinstance(measurement, PulseTrain):
        shortest, longest = measurement.lengths.min(), measurement.lengths.max()
        facts |= {"ramps": len(measurement.g), "pulses": [int(shortest), int(longest)]}
        unit = "_siemens" if measurement.unit == "S" else ""
        g = measurement.g[np.isfinite(measurement.g)]
        facts |= {"unit": measurement.unit, f"g_range{unit}": [float(g.min()), float(g.max())]}
    elif isinstance(measurement, Relaxation):
        facts |= {"cells": len(measurement.g), "times_seconds": measurement.t}
    elif isinstance(measurement, PulseMap):
        facts |= {"pulses": len(measurement), "resets": int(measurement.reset.sum())}
        units = {"pw": "seconds", "v_wl": "volt", "v_bl": "volt", "v_sl": "volt"}
        for key, unit in units.items():
            column = getattr(measurement, key)
            facts[f"{key}_{unit}"] = [float(column.min()), float(column.max())]
        moved = abs(measurement.g_after - measurement.g_before) > 15e-6
        facts["moved_percent"] = 100.0 * float(moved.mean())
    elif isinstance(measurement, WriteLog):
        facts |= {"writes": len(measurement), "cells": len(set(measurement.cell.tolist()))}
        facts |= {
            "success_percent": 100.0 * float(measurement.success.mean()),
            "later_reads": len(measurement.g),
        }
    else:
        facts |= {"rows": len(measurement), "columns": dict(measurement.units)}
    return {**facts, "sha256": measurement.digest, "meta": dict(measurement.meta)}


for name, command in (("list", list_), ("get", get), ("import", import_), ("show", show)):
    app.command(name)(verb(command))
