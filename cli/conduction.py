"""What ``memtwin fit --kind conduction`` does with read curves, and what it writes."""

__all__ = ["Conduction", "fit_conduction"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data.errors import InputError
from .console import bar, emit, note, show
from .intake import find_files, read_files
from .ramps import Kept

if TYPE_CHECKING:
    from ..data.measurement import Measurement

Laws = Annotated[
    str | None,
    typer.Option(help="Of conduction: the laws to compare, separated by commas; all by default."),
]
Temperature = Annotated[
    str | None,
    typer.Option(
        help="Of conduction: temperature of every file [K], separated by commas; by default what a"
        " column or the file's name says, as in hrs_350K.csv."
    ),
]
Window = Annotated[
    str | None, typer.Option(help="Of conduction: voltages to use, as 0.05:0.5 [V].")
]
Thickness = Annotated[
    float | None,
    typer.Option(help="Of conduction: of the film [m]; says what the parameters stand for."),
]


@dataclass(frozen=True)
class Conduction:
    """What belongs to conduction laws."""

    laws: Laws = None
    temperature: Temperature = None
    window: Window = None
    thickness: Thickness = None

    def options(self) -> dict[str, Any]:
        """Return what was given by option."""
        return {
            "--laws": self.laws,
            "--temperature": self.temperature,
            "--window": self.window,
            "--thickness": self.thickness,
        }


def fit_conduction(
    data: list[str],
    reading: Mapping[str, Any],
    wanted: Conduction,
    kept: Kept,
    floor: float | None,
    seed: int,
) -> dict[str, Any]:
    """Fit conduction laws to currents that were read without switching, and say which the data support."""
    from ..data.files import write_figure
    from ..devices.conduction.fit import compare_laws
    from ..devices.conduction.plots import support_page
    from ..devices.conduction.points import points_of

    if kept.record is not None or kept.profile:
        raise InputError(
            "--record and --profile do not apply to conduction laws; --device keeps one"
        )
    curves = _curves(data, reading)
    window = _numbers(wanted.window, ":", "--window", "0.05:0.5", 2)
    told = _numbers(wanted.temperature, ",", "--temperature", "300,350", None)
    if told is not None and len(told) == 1:
        told *= len(curves)
    points = points_of(curves, told, window=None if window is None else (window[0], window[1]))
    laws = None if wanted.laws is None else wanted.laws.split(",")
    with bar("fitting conduction laws") as progress:
        support = compare_laws(
            points, laws, floor=floor, thickness=wanted.thickness, seed=seed, progress=progress
        )
    best = support.best
    if kept.device is not None:
        if not support.decided:
            note(f"warning: {support.verdict}")
        meta = {"data": [curve.name for curve in curves], "support": support.verdict}
        device = best.device(
            kept.name or kept.device.stem, float(points.temperatures[0]), meta=meta
        )
        device.save(kept.device)
    if kept.plot is not None:
        write_figure(support_page(support), kept.plot)
    summary = {**support.summary(), "device": kept.device, "plot": kept.plot}
    if kept.json:
        emit(summary, as_json=True)
    else:
        show(str(support))
    return summary


def _curves(data: list[str], reading: Mapping[str, Any]) -> "list[Measurement]":
    """Return files without a time as tables, anything else as sweeps."""
    from ..data.importers.named import read_named
    from ..devices.conduction.points import is_curve

    found: list[Measurement] = []
    for item in data:
        paths, facts = find_files(item)
        for path in paths:
            table = None
            if not reading and path.suffix not in (".h5", ".hdf5"):
                try:
                    table = read_named(path, meta=facts)
                except InputError:
                    table = None  # the reader of sweeps says what is wrong
            if table is not None and is_curve(table):
                found.append(table)
            else:
                found += read_files([item if len(paths) == 1 else str(path)], "sweep", reading)[0]
    return found


def _numbers(
    text: str | None, mark: str, option: str, form: str, count: int | None
) -> list[float] | None:
    if text is None:
        return None
    try:
        values = [float(word) for word in text.split(mark)]
    except ValueError:
        values = []
    if not values or (count is not None and len(values) != count):
        raise InputError(f"{option} {text!r}: expected numbers, as in {form}")
    return values
