"""The options that say how to read a measurement, shared by the verbs that read one."""

__all__ = [
    "Column",
    "Compliance",
    "Frequency",
    "Magnitude",
    "Offset",
    "Polarity",
    "RTester",
    "SweepRate",
    "VRead",
    "find_files",
    "read_files",
    "read_options",
    "reading_words",
    "say_periods",
]

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.errors import InputError
from .console import finite, note

Column = Annotated[
    list[str] | None,
    typer.Option(
        help="t=NAME, v=NAME, i=NAME of a sweep, g=NAME of ramps, or positions from 0, with a unit:"
        " i=2:uA; repeatable."
    ),
]
SweepRate = Annotated[
    float | None, typer.Option(help="|dv/dt| if there is no time [V/s].", callback=finite)
]
Frequency = Annotated[
    float | None,
    typer.Option(
        help="Frequency of the drive, if there is no time; periods are counted [Hz].",
        callback=finite,
    ),
]
Compliance = Annotated[
    float | None, typer.Option(help="Current limit of the instrument [A].", callback=finite)
]
Offset = Annotated[str | None, typer.Option(help="Current to subtract [A], 'zero' or 'none'.")]
Polarity = Annotated[
    int | None, typer.Option(help="-1 for a device that SETs at negative voltage.")
]
Magnitude = Annotated[
    bool,
    typer.Option("--magnitude", help="The current is a magnitude: give it the voltage's sign."),
]
RTester = Annotated[
    float | None, typer.Option(help="Known resistor in series [ohm].", callback=finite)
]
VRead = Annotated[
    float | None, typer.Option(help="Read voltage of pulse ramps [V].", callback=finite)
]


def read_options(column: list[str] | None, magnitude: bool, **others: Any) -> dict[str, Any]:
    """Return what was given, as arguments of :func:`~memtwin.data.importers.readers.read_measurement`."""
    columns, units = _columns(column)
    given = {**others, "columns": columns or None, "units": units or None}
    given["magnitude"] = magnitude or None
    return {name: value for name, value in given.items() if value is not None}


def find_files(data: str) -> tuple[list[Path], dict[str, str | float]]:
    """Return the files that one argument means, and what the catalogue knows of them."""
    from ..data.catalogue import datasets, fetch

    dataset, _, pattern = data.partition(":")
    if dataset in datasets() and not Path(data).exists():
        entry = datasets()[dataset]
        facts: dict[str, str | float] = {
            "dataset": dataset,
            "device": entry.device,
            "licence": entry.licence,
            "doi": entry.doi,
            "source": entry.source,
        }
        return fetch(dataset, pattern or "*"), facts
    if not Path(data).is_file():
        raise InputError(f"there is no file {data}, and no dataset of that name in the catalogue")
    return [Path(data)], {}


def read_files(
    data: Iterable[str], kind: str, reading: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the measurements of one kind that several arguments mean, and what the catalogue knows
    of them.
    """
    from ..data.importers.readers import read_measurement

    found: list[Any] = []
    origin: dict[str, Any] = {}
    for item in data:
        paths, facts = find_files(item)
        origin |= facts
        for path in paths:
            # the catalogue knows how its ramps are read; a sweep takes options all the same, and a
            # registered importer may know the file
            known = kind != "sweep" and not reading and "dataset" in facts
            dataset = str(facts["dataset"]) if known else None
            given = None if known or kind == "sweep" else kind
            found += read_measurement(path, dataset=dataset, kind=given, meta=facts, **reading)
    say_periods(found)
    return found, origin


def reading_words(column: Sequence[str] | None, reading: Mapping[str, Any]) -> list[str]:
    """Return the options of a command line that say how to read, from what :func:`read_options` gave."""
    words = [f"--column '{item}'" for item in column or []]
    words += [
        f"--{key.replace('_', '-')} {value}"
        for key, value in reading.items()
        if key not in ("columns", "units", "magnitude")
    ]
    return [*words, "--magnitude"] if "magnitude" in reading else words


def say_periods(measurements: Iterable[Any]) -> None:
    """Say how many periods were counted in what was read by its frequency."""
    for measurement in measurements:
        periods = measurement.meta.get("periods")
        if periods is not None:
            note(f"{measurement.name}: {periods:.4g} period{'s' if periods != 1 else ''} counted")


def _columns(items: list[str] | None) -> tuple[dict[str, Any], dict[str, str]]:
    columns: dict[str, Any] = {}
    units: dict[str, str] = {}
    for item in items or []:
        key, _, rest = item.partition("=")
        where, _, unit = rest.rpartition(":") if ":" in rest else (rest, "", "")
        if key not in ("t", "v", "i", "g") or not (where or (key == "g" and unit)):
            raise InputError(
                f"--column {item!r}: expected t=, v= or i= (g= of ramps) and a name or position"
            )
        place: str | int = int(where) if where.isdecimal() and len(where) < 5 else where
        if key == "g":
            columns |= {key: [*columns.get(key, []), place]} if where else {}
        elif key in columns:
            raise InputError(f"--column {item!r}: {key} was given already")
        else:
            columns[key] = place
        if unit and units.setdefault(key, unit) != unit:
            raise InputError(f"--column {item!r}: the ramps before it are in {units[key]}")
    return columns, units
