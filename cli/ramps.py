"""What ``memtwin fit`` does with ramps of pulses, and what it writes."""

__all__ = ["Kept", "Ramps", "fit_ramps"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data.errors import InputError
from .console import Json, bar, emit, note, picture, show
from .intake import read_files

if TYPE_CHECKING:
    from ..devices.pulses.response import PulseResponse


Law = Annotated[
    str,
    typer.Option(help="Of ramps: exponential, soft_bounds, exp_step, power_step or piecewise."),
]
Levels = Annotated[
    int, typer.Option(help="Of ramps: say what it takes to go between so many levels; 0: none.")
]
Aihwkit = Annotated[
    Path | None,
    typer.Option(help="Of ramps: where to write aihwkit's device, as Python."),
]
NeuroSim = Annotated[
    Path | None,
    typer.Option("--neurosim", help="Of ramps: where to write NeuroSim's cell parameters."),
]
Record = Annotated[Path | None, typer.Option(help="Where to keep the fit (HDF5).")]
DeviceFile = Annotated[Path | None, typer.Option(help="Where to write the device (TOML).")]
Name = Annotated[str | None, typer.Option(help="Name of the device.")]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        help="Free parameter whose confidence interval to read off its profile; repeatable. Drawn"
        " beside --plot.",
    ),
]
Plot = Annotated[Path | None, typer.Option(help="Where to draw the fit.", callback=picture)]
Unconverged = Annotated[
    bool,
    typer.Option(
        "--keep-unconverged",
        help="Save a fit that did not converge too; record and device say so.",
    ),
]


@dataclass(frozen=True)
class Kept:
    """What is written."""

    record: Record = None
    device: DeviceFile = None
    name: Name = None
    profile: Profiles = None
    plot: Plot = None
    keep_unconverged: Unconverged = False
    json: Json = False


@dataclass(frozen=True)
class Ramps:
    """What belongs to ramps of pulses."""

    law: Law = "exponential"
    levels: Levels = 0
    aihwkit: Aihwkit = None
    neurosim: NeuroSim = None

    def written(self) -> dict[str, Path | int | None]:
        """Return what was given by options that sweeps don't take."""
        return {
            "--levels": self.levels or None,
            "--aihwkit": self.aihwkit,
            "--neurosim": self.neurosim,
        }


def fit_ramps(
    data: list[str], kind: str, reading: Mapping[str, Any], ramps: Ramps, kept: Kept, seed: int
) -> dict[str, Any]:
    """Fit a pulse law to the ramps of files, or read a response that was kept, and say what it takes
    to go between levels.
    """
    from ..data.files import write_text
    from ..devices.pulses.presets import aihwkit_preset, neurosim_cell, nonlinearity_label
    from ..devices.pulses.response import save_response

    response = _response(data, kind, reading, ramps.law, kept.name)
    if kept.record is not None:
        save_response(response, kept.record)
    if kept.plot is not None:
        response.plot(kept.plot)
    if ramps.aihwkit is not None:
        write_text(ramps.aihwkit, aihwkit_preset(response))
    if ramps.neurosim is not None:
        rows = (f"{key} = {value!r}" for key, value in neurosim_cell(response).items())
        write_text(ramps.neurosim, "\n".join(rows) + "\n")
    summary: dict[str, Any] = {"name": response.name, "unit": response.unit}
    for way, side in response.sides.items():
        summary[way] = {**side.summary(), "nonlinearity_label": nonlinearity_label(side)}
    between = _between(response, ramps.levels, seed) if ramps.levels else None
    files = {"record": kept.record, "aihwkit": ramps.aihwkit, "neurosim": ramps.neurosim}
    summary |= {"levels": between, **files}
    if kept.json:
        emit(summary, as_json=True)
        return summary
    show(str(response))
    labels = (f"{way} {summary[way]['nonlinearity_label']:+.2f}" for way in response.sides)
    show(f"NeuroSim's nonlinearity label: {', '.join(labels)}")
    if between is not None:
        show(_table(between))
    written = {key: path for key, path in files.items() if path is not None}
    if written:
        emit(written, as_json=False)
    return summary


def _response(
    data: list[str], kind: str, reading: Mapping[str, Any], law: str, name: str | None
) -> "PulseResponse":
    from ..data.measurement import PulseTrain
    from ..devices.pulses.published import published_responses
    from ..devices.pulses.response import fit_response, load_response
    from ..devices.pulses.stacked import split_stacked

    if len(data) == 1 and data[0] in published_responses() and not Path(data[0]).exists():
        return load_response(data[0])
    if len(data) == 1 and data[0].endswith(".h5") and not reading:
        try:
            return load_response(data[0])
        except InputError as error:
            if "expected a pulse-response record" not in str(error):
                raise
    trains, _ = read_files(data, kind, reading)
    for train in trains:
        if not isinstance(train, PulseTrain):
            raise InputError(f"{train.name} holds no ramps of conductances")
        for part in split_stacked(train)[:1]:
            if "split" in part.meta:
                note(f"{train.name}: split {part.meta['split']}")
    with bar(f"fitting {law}") as progress:
        return fit_response(trains, law, name=name, progress=progress)


def _between(response: "PulseResponse", count: int, seed: int) -> dict[str, Any]:
    import numpy as np

    levels = response.levels(count)
    pulses, spread = response.between(levels, np.random.default_rng(seed))
    return {"g": levels, "pulses": pulses, "spread": spread}


def _table(between: Mapping[str, Any]) -> str:
    """Return pulses from row to column, and the standard deviation where they land."""
    levels = between["g"]
    lines = ["pulses from a level (row) to another (column) ± spread of the conductance reached"]
    lines.append(" ".join([" " * 10, *(f"{g:>16.4g}" for g in levels)]))
    for g, pulses, spread in zip(levels, between["pulses"], between["spread"], strict=True):
        cells = (f"{n:.1f} ± {s:.2g}" for n, s in zip(pulses, spread, strict=True))
        lines.append(" ".join([f"{g:10.4g}", *(f"{cell:>16}" for cell in cells)]))
    return "\n".join(lines)
