"""``memtwin spread``: laws of devices that differ, drift and fail, learnt from measurements."""

__all__ = ["app", "learn", "show"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from ....data.errors import InputError
from ...console import SEED, Json, bar, emit, verb

if TYPE_CHECKING:
    from ....data.measurement import Measurement

app = typer.Typer(
    help="Laws of devices that differ, drift and fail, learnt from measurements.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Kind: TypeAlias = Literal[
    "relaxation", "drift", "programming", "read-noise", "endurance", "parameters", "cycles"
]

READ_AS: Mapping[str, str] = {
    "relaxation": "relaxation",
    "drift": "relaxation",
    "programming": "relaxation",
    "read-noise": "retention",
    "endurance": "endurance",
    "parameters": "sweep",
    "cycles": "table",
}
"""What a file is read as that says nothing of it itself."""


def learn(
    data: Annotated[
        list[str],
        typer.Argument(help="Files, measurement records, or DATASET:PATTERN of the catalogue."),
    ],
    kind: Annotated[Kind, typer.Option(help="What to learn.")],
    output: Annotated[
        Path, typer.Option("--out", "--output", "-o", help="Where to keep the law (HDF5).")
    ],
    model: Annotated[
        str, typer.Option(help="For parameters: the model that every sweep is fitted with.")
    ] = "yakopcic",
    starts: Annotated[int, typer.Option(help="Starts of the first of these fits.", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="Seed of the starts.", **SEED)] = 0,
    window: Annotated[
        float,
        typer.Option(help="For endurance: ratio of resistances below which a cell has failed."),
    ] = 2.0,
    order: Annotated[
        int | None,
        typer.Option(help="For cycles: how many are remembered; by default what the data support."),
    ] = None,
    v_read: Annotated[
        float, typer.Option(help="For cycles of sweeps: where resistances are read [V].")
    ] = 0.1,
    states: Annotated[
        int | None, typer.Option(help="For relaxation: groups of cells by conductance.")
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Learn a law; give its file to a run: --set effects.read=law.h5."""
    from ....devices.spread.record import save_law

    makers: Mapping[str, Callable[[list[Measurement]], Any]] = {
        "relaxation": lambda found: _relaxation(found, states),
        "drift": _drift,
        "programming": _programming,
        "read-noise": _read_noise,
        "endurance": lambda found: _endurance(found, window),
        "parameters": lambda found: _parameters(found, model, starts, seed),
        "cycles": lambda found: _cycles(found, order, v_read),
    }
    law = makers[kind](_measurements(data, READ_AS[kind]))
    save_law(law, output)
    summary = {**_described(law), "record": output}
    emit(summary, as_json=json, title=f"{kind}, learnt from {', '.join(data)}")
    return summary


def show(
    record: Annotated[Path, typer.Argument(help="A law that `memtwin spread learn` wrote.")],
    json: Json = False,
) -> dict[str, Any]:
    """Say what a law holds."""
    from ....devices.spread.record import load_law

    summary = _described(load_law(record))
    emit(summary, as_json=json, title=str(record))
    return summary


def _described(law: Any) -> dict[str, Any]:
    """Return a law's fields; of tables their sizes and ends."""
    import numpy as np

    from ....devices.spread.record import law_tree

    return {
        name: f"{'×'.join(map(str, value.shape))} from {value.min():.4g} to {value.max():.4g}"
        if isinstance(value, np.ndarray) and value.size > 4 and value.dtype.kind == "f"
        else value.tolist()
        if isinstance(value, np.ndarray)
        else value
        for name, value in {"law": type(law).__name__, **law_tree(law)}.items()
    }


def _measurements(data: list[str], kind: str) -> "list[Measurement]":
    from ....data.importers.readers import read_measurement
    from ...intake import find_files

    found: list[Measurement] = []
    for item in data:
        paths, facts = find_files(item)
        dataset = facts.get("dataset")
        for path in paths:
            known = {"kind": kind} if dataset is None else {"dataset": str(dataset)}
            read = read_measurement(path, meta=facts, **known)
            if known.get("kind") == "table" and {"v", "voltage"} & set(
                getattr(read[0], "columns", ())
            ):
                read = read_measurement(path, meta=facts, kind="sweep")
            found += read
    return found


def _only(found: "list[Measurement]", type_: type[Any], what: str) -> Any:
    """Return the one measurement, if it is of the type."""
    if len(found) != 1 or not isinstance(found[0], type_):
        names = ", ".join(f"{one.name} ({type(one).__name__})" for one in found)
        raise InputError(f"expected one file of {what}, got {names}")
    return found[0]


def _relaxation(found: "list[Measurement]", states: int | None) -> Any:
    from ....data.measurement import Relaxation
    from ....devices.spread.relaxation import fit_relaxation

    cells = _only(found, Relaxation, "cells read again and again")
    with bar("learning relaxation") as progress:
        return fit_relaxation(cells, states=states, progress=progress)


def _drift(found: "list[Measurement]") -> Any:
    from ....data.measurement import Relaxation
    from ....devices.spread.drift import fit_drift

    return fit_drift(_only(found, Relaxation, "cells read again and again"))


def _programming(found: "list[Measurement]") -> Any:
    """Take the median first read of a level for its target: the file does not say more."""
    import numpy as np

    from ....data.measurement import Relaxation
    from ....devices.spread.programming import fit_programming

    cells = _only(found, Relaxation, "cells read after programming")
    _, which = np.unique(cells.level, return_inverse=True)
    first = cells.g[:, 0]
    middle = np.array([np.median(first[which == k]) for k in range(which.max() + 1)])
    return fit_programming(middle[which], first)


def _read_noise(found: "list[Measurement]") -> Any:
    import numpy as np

    from ....data.measurement import Table
    from ....devices.spread.noise import fit_read_noise

    traces = []
    for table in found:
        if not isinstance(table, Table):
            raise InputError(f"{table.name}: read noise is learnt from conductances over time")
        names = [name for name in table.columns if name == "g" or name.startswith("g_")]
        if not names:
            raise InputError(
                f"{table.name}: expected a column g, or g_1, g_2 ... of one cell each, got"
                f" {', '.join(table.columns)}"
            )
        traces += [table[name] for name in names]
    reads = min(len(trace) for trace in traces)
    return fit_read_noise(np.array([trace[:reads] for trace in traces]))


def _endurance(found: "list[Measurement]", window: float) -> Any:
    import numpy as np

    from ....data.measurement import Table
    from ....devices.spread.wear import failures, fit_wear

    tests = []
    for table in found:
        if not isinstance(table, Table):
            raise InputError(f"{table.name}: endurance is learnt from tables of cycled cells")
        tests.append(failures(table, window))
    writes, failed = (np.concatenate(part) for part in zip(*tests, strict=True))
    return fit_wear(writes, failed)


def _cycles(found: "list[Measurement]", order: int | None, v_read: float) -> Any:
    """Learn from tables of features, or of sweeps whose cycles follow each other."""
    from ....data.measurement import Sweep, Table
    from ....devices.cycles.autoregression import fit_cycles
    from ....devices.cycles.features import features_of_sweeps, features_of_tables

    sweeps = [one for one in found if isinstance(one, Sweep)]
    tables = [one for one in found if isinstance(one, Table)]
    if len(sweeps) + len(tables) < len(found) or (sweeps and tables):
        raise InputError("cycles are learnt from tables of features, or from sweeps")
    features = features_of_sweeps(sweeps, v_read) if sweeps else features_of_tables(tables)
    return fit_cycles(features, order=order)


def _parameters(found: "list[Measurement]", model: str, starts: int, seed: int) -> Any:
    """Fit every sweep, the later ones from where the first one's fit ended."""
    from ....data.measurement import Sweep
    from ....devices.fitting.fit import fit
    from ....devices.models import models
    from ....devices.spread.parameters import fit_parameters

    fits: list[Any] = []
    with bar(f"fitting {model}") as progress:
        for sweep in found:
            if not isinstance(sweep, Sweep):
                raise InputError(f"{sweep.name} is no current-voltage sweep")
            start = None
            if fits:
                free = set(fits[0].names) & set(fits[0].parameters)
                start = {name: fits[0].parameters[name] for name in free}
            few = 2 if fits else starts
            options: dict[str, Any] = {"starts": few, "candidates": 8 * few, "seed": seed}
            fits.append(fit(models[model], sweep, start=start, **options))
            progress(len(fits), len(found))
    return fit_parameters(fits)


for command in (learn, show):
    app.command()(verb(command))
