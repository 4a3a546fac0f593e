"""``memtwin technology``: measured processes of cells behind transistors: fit, show, check."""

__all__ = ["app", "check", "fit", "show"]

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....data.errors import InputError
from ... import complete
from ...console import SEED, Json, bar, emit, finite, note, picture, verb
from ...groups import grouped

if TYPE_CHECKING:
    from ....data.chip import WriteLog
    from ....devices.technology.fit import Fitted

app = typer.Typer(
    help="Measured processes of cells behind their transistors.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Which = Annotated[
    str,
    typer.Argument(
        help="A shipped technology, or the path of a .toml file.",
        autocompletion=complete.technologies,
    ),
]
Files = list[str]
_FILES = "files, measurement records, or DATASET:PATTERN of the catalogue"
Map = Annotated[Files, typer.Argument(help=f"Pulse maps: {_FILES}.")]
Output = Annotated[
    Path | None,
    typer.Option("--out", "--output", "-o", help="Where to keep the technology (TOML)."),
]
Name = Annotated[str | None, typer.Option(help="Name of the technology.")]
Logs = Annotated[
    Files | None, typer.Option("--log", help="Write-verify logs of one chip; repeatable.")
]
CycledFile = Annotated[
    str | None, typer.Option("--cycled", help="Endurance test whose cycles cells repeat.")
]
CycledPulse = Annotated[
    str, typer.Option(help="Its RESETs: word line [V], source line [V], width [s].")
]
DeadFile = Annotated[str | None, typer.Option("--dead", help="Cells that can't be written.")]
ArrayCells = Annotated[int | None, typer.Option(help="Cells that were tried for --dead.", min=1)]
WornFile = Annotated[str | None, typer.Option("--worn", help="Endurance test to many cycles.")]
Law = Annotated[
    str,
    typer.Option(
        help="How cells SET: 'exponential' in their voltage, by a 'power' of what is above a threshold, or as a"
        " model has it: its name, that of a shipped device, or a device's file."
    ),
]
Free = Annotated[
    list[str] | None,
    typer.Option(
        "--free",
        help="Parameter of such a model to fit, repeatable; default: those that the speed of a SET depends on and"
        " a read does not.",
    ),
]
Below = Annotated[
    float,
    typer.Option(help="SET pulses count on cells that read less before [S].", callback=finite),
]
Moved = Annotated[
    float, typer.Option(help="Change by which a cell has switched [S].", callback=finite)
]
Rounds = Annotated[int | None, typer.Option(help="Rounds after which writes were given up.", min=1)]
HoldOut = Annotated[
    bool,
    typer.Option("--hold-out", help="Fit without parts of the map too, and say what that misses."),
]
Plot = Annotated[Path | None, typer.Option(help="Where to draw map and fit.", callback=picture)]


@dataclass(frozen=True)
class Chip:
    """What is known of the chip beside its maps."""

    log: Logs = None
    rounds: Rounds = None
    cycled: CycledFile = None
    cycled_pulse: CycledPulse = "3.0,3.5,1e-6"
    dead: DeadFile = None
    array_cells: ArrayCells = None
    worn: WornFile = None


@dataclass(frozen=True)
class Kept:
    """What is written and printed."""

    output: Output = None
    name: Name = None
    plot: Plot = None
    json: Json = False


@grouped
def fit(
    maps: Map,
    chip: Chip,
    kept: Kept,
    law: Law = "exponential",
    free: Free = None,
    below: Below = 25e-6,
    moved: Moved = 15e-6,
    hold_out: HoldOut = False,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", **SEED)] = 0,
) -> dict[str, Any]:
    """Fit cell, transistor and population to pulse maps, and what else a chip's files tell."""
    from ....data.files import write_text
    from ....devices.technology.fit import Beside, fit_technology
    from ....devices.technology.technology import technology_text

    found = read_pulse_maps(maps)
    asked = _tables(chip.cycled, chip.dead, chip.worn)
    tables = {key: _table(item, kind) for key, item, kind in asked}
    beside = Beside(
        law=law,
        free=free or (),
        logs=read_logs(chip.log or []),
        rounds=chip.rounds,
        cycled_pulse=_pulse(chip.cycled_pulse),
        array_cells=chip.array_cells,
        **tables,
    )
    with bar("fitting the technology") as progress:
        fitted = fit_technology(
            kept.name or Path(kept.output or found[0].name).stem,
            found,
            beside,
            below=below,
            moved=moved,
            held_out=hold_out,
            seed=seed,
            meta=_about(found),
            progress=progress,
        )
    if kept.output is not None:
        write_text(kept.output, technology_text(fitted.technology))
    drawn = None
    if kept.plot is not None:
        from ....devices.technology.plots import save_fit_figure

        drawn = save_fit_figure(found, fitted, kept.plot, below=below, moved=moved)
    summary = {**_told(fitted), "technology": kept.output, "picture": drawn}
    emit(summary, as_json=kept.json, title=f"technology {fitted.technology.name}")
    if not fitted.set.describes:
        error, noise = (1e6 * one["median"] for one in (fitted.set.error, fitted.set.noise))
        note(
            f"the law {law} does not describe this map: it misses the medians by {error:.3g} µS, their noise is"
            f" {noise:.3g} µS"
        )
    for sentence in fitted.unknown:
        note(f"the data do not tell: {sentence}")
    return summary


def show(name: Which, json: Json = False) -> dict[str, Any]:
    """Say what a technology holds, and from which data."""
    from ....data.records.pack import pack
    from ....devices.technology.technology import load_technology

    technology = load_technology(name)
    summary = _shortened(pack(technology), json)
    emit(summary, as_json=json, title=f"technology {technology.name}")
    return summary


def check(
    name: Which,
    log: Annotated[Files, typer.Argument(help=f"Write-verify logs of one chip: {_FILES}.")],
    dead_share: Annotated[
        float | None,
        typer.Option(
            help="Share of the chip's cells that can't be written; default: those of the log that no"
            " write brought into its band.",
            callback=finite,
        ),
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Foretell which share of a chip's writes ends inside of its band, by the band's width."""
    from ....devices.technology.landing import check_log, dead_cells
    from ....devices.technology.technology import load_technology

    if dead_share is not None and not 0.0 <= dead_share <= 1.0:
        raise InputError(f"--dead-share must be from 0 to 1, got {dead_share:g}")
    technology = load_technology(name)
    if technology.landing is None:
        raise InputError(
            f"the technology {technology.name} says nothing of write-verify: fit it with a --log that holds the"
            " RESET ramps before writes"
        )
    logs = read_logs(log)
    rows = check_log(technology.landing, logs, dead_share=dead_share)
    dead = sum(int(dead_cells(one).sum()) for one in logs) / sum(map(len, logs))
    summary: dict[str, Any] = {
        "technology": technology.name,
        "rows": [row._asdict() for row in rows],
    }
    summary["writes_to_dead_cells_percent"] = 100.0 * dead
    if json:
        emit(summary, as_json=True)
        return summary
    shown = {
        f"ln width {row.ln_width:.4f}": f"predicted {row.predicted_percent:.1f} %, measured"
        f" {row.measured_percent:.1f} % of {row.writes}"
        for row in rows
    }
    shown["writes to dead cells"] = f"{100.0 * dead:.2f} %"
    emit(shown, as_json=False, title=f"{technology.name}, writes inside of their band")
    return summary


def read_pulse_maps(items: list[str]) -> list[Any]:
    """Return the pulse maps that arguments mean."""
    from ....data.chip import PulseMap

    return _read(items, "pulse_map", PulseMap, "pulse map")


def read_logs(items: list[str]) -> "list[WriteLog]":
    """Return the write-verify logs that arguments mean."""
    from ....data.chip import WriteLog

    return _read(items, "write_log", WriteLog, "write log")


def _read(items: list[str], kind: str, type_: type[Any], what: str) -> list[Any]:
    from ....data.importers.readers import read_measurement
    from ...intake import find_files

    found: list[Any] = []
    for item in items:
        paths, facts = find_files(item)
        dataset = facts.get("dataset")
        for path in paths:
            known = {"kind": kind} if dataset is None else {"dataset": str(dataset)}
            found += read_measurement(path, meta=facts, **known)
    for one in found:
        if not isinstance(one, type_):
            raise InputError(f"{one.name} holds a {type(one).__name__}, expected a {what}")
    return found


def _tables(cycled: str | None, dead: str | None, worn: str | None) -> list[tuple[str, str, str]]:
    given = (("cycled", cycled, "endurance"), ("dead", dead, "dead"), ("worn", worn, "endurance"))
    return [(key, item, kind) for key, item, kind in given if item is not None]


def _table(item: str, kind: str) -> Any:
    from ....data.measurement import Table

    found = _read([item], kind, Table, "table")
    if len(found) != 1:
        raise InputError(f"{item} means {len(found)} files, expected one")
    return found[0]


def _pulse(text: str) -> tuple[float, float, float]:
    try:
        word, source, width = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--cycled-pulse {text!r}: expected word line [V], source line [V], width [s], as in 3,3.5,1e-6"
        ) from None
    return word, source, width


def _about(found: list[Any]) -> dict[str, Any]:
    kept = ("device", "licence", "doi", "source")
    return {key: found[0].meta[key] for key in kept if found[0].meta.get(key)}


def _told(fitted: "Fitted") -> dict[str, Any]:
    """Return the quality of a fit."""
    from ....data.records.pack import pack

    summary: dict[str, Any] = {"name": fitted.technology.name}
    told = asdict(fitted.set)
    summary["set"] = {key: value for key, value in told.items() if key != "law"}
    summary["set"]["law"] = pack(fitted.set.law)
    if fitted.reset is not None:
        summary["reset"] = asdict(fitted.reset)
    summary["held_out"] = [row._asdict() for row in fitted.held_out]
    summary["device_share"] = fitted.technology.spreads.device_share
    summary["unknown"] = list(fitted.unknown)
    return summary


def _shortened(tree: dict[str, Any], json: bool) -> dict[str, Any]:
    """Return a technology's tree, for people with long tables by their sizes."""
    import numpy as np

    shown: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            shown[key] = _shortened(value, json)
        elif isinstance(value, np.ndarray):
            small = json or value.size <= 6
            shown[key] = value.tolist() if small else f"{'×'.join(map(str, value.shape))} numbers"
        else:
            shown[key] = value
    return shown


for command in (show, fit, check):
    app.command()(verb(command))
