"""The options that say how to read a measurement, shared by the verbs that read one."""

__all__ = [
    "find_files",
    "read_files",
    "reading_words",
    "say_reading",
    "takes_reading",
]

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..data.errors import InputError, nearest
from .console import finite, note

_Number = float | None


def _number(words: str) -> Any:
    return Annotated[_Number, typer.Option(help=words, callback=finite)]


_READING: Mapping[str, tuple[Any, Any]] = {
    "column": (
        Annotated[
            list[str] | None,
            typer.Option(
                help="t=NAME, v=NAME, i=NAME, cycle=NAME, status=NAME of a sweep, v=, w= (width) and g="
                " of pulses, g=NAME of ramps, or"
                " positions from 0, with a unit: i=2:uA; repeatable."
            ),
        ],
        None,
    ),
    "unit": (
        Annotated[
            list[str] | None,
            typer.Option(
                help="Unit of t, v, i or g where the name says none: i=uA, i=log10(A), i=A/cm2,"
                " i=kohm; repeatable."
            ),
        ],
        None,
    ),
    "sheet": (
        Annotated[
            str | None, typer.Option(help="Sheet of a workbook, by name or position from 0.")
        ],
        None,
    ),
    "decimal": (
        Annotated[str | None, typer.Option(help="Decimal mark, ',' or '.', if the file is open.")],
        None,
    ),
    "sweep_rate": (_number("|dv/dt| if there is no time [V/s]."), None),
    "frequency": (
        _number("Frequency of the drive, if there is no time; periods are counted [Hz]."),
        None,
    ),
    "compliance": (_number("Current limit of the instrument [A]."), None),
    "offset": (
        Annotated[str | None, typer.Option(help="Current to subtract [A], 'zero' or 'none'.")],
        None,
    ),
    "polarity": (
        Annotated[int | None, typer.Option(help="-1 for a device that SETs at negative voltage.")],
        None,
    ),
    "magnitude": (
        Annotated[
            bool,
            typer.Option(
                "--magnitude", help="The current is a magnitude: give it the voltage's sign."
            ),
        ],
        False,
    ),
    "r_tester": (_number("Known resistor in series [ohm]."), None),
    "shunt": (_number("Resistor whose voltage, a second channel, is the current [ohm]."), None),
    "area": (_number("Area of the device, for a current density [m²]."), None),
    "v_read": (_number("Read voltage of pulses and ramps [V]."), None),
    "pulse_width": (_number("Width of every pulse, where no column has it [s]."), None),
}
"""Every option that says how to read: its type and its default."""


def takes_reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that say how to read, in place of its argument ``reading``.

    The verb is called with what was given, as arguments of
    :func:`~memtwin.data.importers.readers.read_measurement`.
    """
    plain = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = {name: bound.arguments.pop(name, None) for name in _READING}
        return function(**bound.arguments, reading=_reading(**given))

    parameters: list[inspect.Parameter] = []
    for parameter in plain.parameters.values():
        kind = parameters[-1].kind if parameters else inspect.Parameter.POSITIONAL_OR_KEYWORD
        if parameter.name == "reading":
            parameters += [
                inspect.Parameter(name, kind, default=default, annotation=hint)
                for name, (hint, default) in _READING.items()
            ]
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
    signature = plain.replace(parameters=parameters)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    del wrapped.__wrapped__
    return wrapped


def _reading(
    column: list[str] | None, unit: list[str] | None, magnitude: bool, **others: Any
) -> dict[str, Any]:
    columns, units = _columns(column, unit)
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
    if Path(data).is_dir():
        raise InputError(f"{data} is a folder: name its files, as in {Path(data) / '*.csv'}")
    if not Path(data).is_file():
        hint = nearest(dataset, datasets()) if pattern or "." not in data else ""
        raise InputError(
            f"there is no file {data}, and no dataset of that name in the catalogue{hint}"
        )
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
            read = read_measurement(path, dataset=dataset, kind=given, meta=facts, **reading)
            say_reading(path, read)
            found += read
    return found, origin


def reading_words(reading: Mapping[str, Any]) -> list[str]:
    """Return the options of a command line that say how to read, from what a verb was given."""
    columns, units = reading.get("columns", {}), reading.get("units", {})
    words = [
        f"--column '{key}={place}'"
        for key, found in columns.items()
        for place in (found if isinstance(found, list) else [found])
    ]
    words += [f"--unit '{key}={unit}'" for key, unit in units.items()]
    words += [
        f"--{key.replace('_', '-')} '{value}'"
        if isinstance(value, str)
        else f"--{key.replace('_', '-')} {value}"
        for key, value in reading.items()
        if key not in ("columns", "units", "magnitude")
    ]
    return [*words, "--magnitude"] if "magnitude" in reading else words


def say_reading(path: Path, measurements: Iterable[Any]) -> None:
    """Say what was taken for what in a file, once, and how many periods were counted by a frequency."""
    said: set[str] = set()
    for measurement in measurements:
        read = measurement.meta.get("read")
        if read and read not in said and path.suffix not in (".h5", ".hdf5"):
            said.add(read)
            sheet = measurement.meta.get("sheet")
            note(f"{path.name}{f', sheet {sheet}' if sheet else ''}: {read}")
        periods = measurement.meta.get("periods")
        if periods is not None:
            note(f"{measurement.name}: {periods:.4g} period{'s' if periods != 1 else ''} counted")


_KEYS = ("t", "v", "i", "g", "w", "cycle", "status")


def _columns(
    items: list[str] | None, more: list[str] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return columns and units by quantity, from ``--column`` and ``--unit``."""
    columns: dict[str, Any] = {}
    units: dict[str, str] = {}
    for item in items or []:
        key, _, rest = item.partition("=")
        where, _, unit = rest.rpartition(":") if ":" in rest else (rest, "", "")
        if key not in _KEYS or not (where or (key == "g" and unit)):
            raise InputError(
                f"--column {item!r}: expected t=, v= or i= (g= of ramps; cycle=, status=) and a name"
                " or position"
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
    for item in more or []:
        key, _, unit = item.partition("=")
        if key not in ("t", "v", "i", "g", "w") or not unit:
            raise InputError(f"--unit {item!r}: expected t=, v=, i= or g= and a unit, as in i=uA")
        if units.setdefault(key, unit) != unit:
            raise InputError(f"--unit {item!r}: {key} is in {units[key]} already")
    return columns, units
