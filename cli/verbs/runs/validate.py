"""``memtwin validate RUN``: read test images of a trained run through another engine, or under other
conditions: noise, faults, wires, converters, age.
"""

__all__ = ["KEPT", "After", "Changed", "Conditions", "Temperature", "opened", "validate"]

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....data.errors import InputError
from ... import complete
from ...console import Json, bar, emit, note, picture
from ...groups import grouped
from ...interrupt import keeping
from ...job import Dask, Devices, Terminal, executor_at

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ....training.studies.read import Outcome
    from ....training.studies.study import Study
    from ....training.studies.trained import Condition
    from ....training.trainer.validate import Validation

KEPT = "{}/studies.h5 keeps what was read; the same command goes on from there"
"""What to say of studies of a run that were interrupted."""

After = Annotated[
    str, typer.Option(help="Time since the devices were written, such as 90s, 12h, 30d or 1y.")
]
Changed = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Read under another effects.*, mapping.*, tile.* key or device.temperature,"
        " e.g. effects.read=0.1.",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="Ambient temperature [K]: devices in the states of the training, read in another place."
    ),
]
Recalibrate = Annotated[
    bool, typer.Option(help="Calibrate digital gains and ADC ranges again, on training images.")
]
Images = Annotated[int | None, typer.Option(help="Test images; as configured when absent.")]
Draws = Annotated[int, typer.Option(help="How often each condition is drawn and read.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes (of ngspice, with that engine); the result is the same.", min=1),
]
Table = Annotated[Path | None, typer.Option(help="Where to keep the table (CSV).")]
Plot = Annotated[Path | None, typer.Option(help="Where to draw it.", callback=picture)]


@dataclass(frozen=True)
class Conditions:
    """Under which a trained network is read."""

    change: Changed = None
    after: After = "0s"
    recalibrate: Recalibrate = False
    draws: Draws = 1
    workers: Workers = None
    temperature: Temperature = None

    def condition(self, engine: str | None) -> "Condition":
        """Return what is asked for."""
        from ....data.shown.quantities import seconds_of
        from ....training.runs.config import changes_of
        from ....training.studies.trained import Condition, with_change

        changes = changes_of(self.change or ())
        if self.temperature is not None:
            changes = with_change(changes, "device.temperature", self.temperature)
        return Condition(
            changes,
            engine,
            seconds_of(self.after, "--after"),
            self.recalibrate,
        )


@grouped
def validate(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run whose training is finished.", autocompletion=complete.runs
        ),
    ],
    conditions: Conditions,
    images: Images = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine; as configured when absent. Several, with commas between, without conditions."
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,C",
            help="Values of a key, of after or of temperature, to read at; twice for a family of curves.",
        ),
    ] = None,
    hardware: Annotated[
        bool, typer.Option(help="Tell energy, latency and area per inference, by [hardware].")
    ] = False,
    table: Table = None,
    plot: Plot = None,
    devices: Devices = None,
    dask: Dask = None,
    json: Json = False,
) -> None:
    """Read test images through every tile of every layer, by default in ngspice.

    Without conditions, two engines are compared image by image. With conditions or a sweep,
    accuracies come with 95 % intervals, read noise included.
    """
    said = conditions.change or conditions.recalibrate or conditions.after != "0s"
    said = said or conditions.temperature is not None
    if not (said or sweep or hardware) and conditions.draws == 1:
        if table is not None or plot is not None:
            raise InputError("--table and --plot belong to a --sweep")
        _compare(run, images, engine, (devices, conditions.workers), dask, json)
        return
    asked = conditions.condition(engine)
    with (
        keeping(lambda: KEPT.format(run)),
        executor_at(dask) as executor,
        opened(run, asked, images, executor, conditions) as study,
    ):
        if sweep:
            _sweep(study, asked, conditions, sweep, (table, plot), json, hardware=hardware)
            return
        if table is not None or plot is not None:
            raise InputError("--table and --plot belong to a --sweep")
        _one(study, asked, conditions, hardware, json)


def _compare(
    run: Path,
    images: int | None,
    engine: str | None,
    how: tuple[Any, int | None],
    dask: str | None,
    json: bool,
) -> None:
    """Compare engines, one or several, with the one that trained, image by image."""
    import numpy as np

    from ....training.runs.overview.summary import VALIDATED
    from ....training.runs.run import validate_run

    names = [None] if engine is None else [name.strip() for name in engine.split(",")]
    with keeping(lambda: _left(run, names)), executor_at(dask) as executor:
        found = [
            validate_run(
                run,
                engine=name,
                images=images,
                devices=how[0],
                workers=how[1],
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
            f"agreement_with_{first.engine}_percent": 100.0
            * float((one.predictions == first.predictions).mean()),
            f"outputs_apart_from_{first.engine}_percent": 100.0
            * float(np.abs(one.outputs - first.outputs).max() / scale),
        }
    emit(summary, as_json=json, title=f"validation of {run}", groups=VALIDATED)


def _left(run: Path, names: Sequence[str | None]) -> str:
    """Say what an interrupted validation has left behind."""
    from ....training.runs.folder import stored_config
    from ....training.runs.overview.folders import images_read

    engines = [name or stored_config(run).validation.engine for name in names]
    there = ", ".join(f"{images_read(run, name)} images read in {name}" for name in engines)
    return f"{run} holds {there}; the same command goes on from there"


def _summary(found: "Validation") -> dict[str, Any]:
    from ....training.runs.overview.summary import validation_summary

    return {
        **validation_summary(found),
        **({"devices": found.devices} if found.devices else {}),
        "differing": found.differing.tolist(),
    }


@contextmanager
def opened(
    run: Path,
    condition: "Condition",
    images: int | None,
    executor: "Executor | None",
    conditions: Conditions,
) -> "Iterator[Study]":
    """Yield the trained run with how it is read: its folder is claimed meanwhile."""
    from ....training.studies.study import opened_run

    with opened_run(
        run,
        engine=condition.engine,
        images=images,
        workers=conditions.workers or 1,
        listener=Terminal(),
        executor=executor,
    ) as study:
        yield study


def _sweep(
    study: "Study",
    condition: "Condition",
    conditions: Conditions,
    wanted: Sequence[str],
    kept: tuple[Path | None, Path | None],
    json: bool,
    *,
    hardware: bool,
) -> None:
    from ....training.studies.sweep import axis_of, draw_sweep, sweep, write_sweep

    axes = [axis_of(text) for text in wanted]
    with bar("reading under all conditions") as progress:
        found = sweep(
            study.trained, axes, condition, draws=conditions.draws, progress=progress, **study.how
        )
    if hardware:
        with bar("energy, latency and area") as progress:
            found = found.with_footprints(study.trained, progress)
    stem = "sweep-" + "-".join(axis.key for axis in axes)
    table, plot = kept
    table = write_sweep(table or study.folder / f"{stem}.csv", found)
    plot = plot or study.folder / f"{stem}.png"
    draw_sweep(found, plot)
    rows = found.rows()
    if json:
        emit({"rows": rows, "table": table, "plot": plot}, as_json=True)
        return
    names = [axis.key for axis in axes]
    lines = {
        ", ".join(f"{name}={row[name]}" for name in names): _line(outcome)
        for row, outcome in zip(rows, found.outcomes, strict=True)
    }
    emit({**lines, "table": table, "plot": plot}, as_json=False, title=f"sweep of {study.folder}")


def _line(outcome: "Outcome") -> str:
    factor, unit = (1.0, "") if outcome.regression else (100.0, " %")
    score, (low, high) = factor * outcome.accuracy, outcome.interval
    text = f"{score:.4g}{unit} (95 %: {factor * low:.4g} to {factor * high:.4g}{unit})"
    if len(outcome.outputs) == 1:
        return text
    return f"{text}, spread {factor * outcome.spread:.3g} over {len(outcome.outputs)} draws"


def _one(
    study: "Study", condition: "Condition", conditions: Conditions, hardware: bool, json: bool
) -> None:
    from dataclasses import asdict

    from ....training.studies.read import read_conditions
    from ....training.studies.trained import Condition

    trained = study.trained
    before = Condition(engine=condition.engine)
    wanted = [before] if condition == before else [before, condition]
    with bar("reading") as progress:
        first, *rest = read_conditions(
            trained, wanted, draws=conditions.draws, progress=progress, **study.how
        )
    last = rest[-1] if rest else first
    summary: dict[str, Any] = {
        "engine": condition.engine or trained.engine,
        "condition": str(condition),
        **last.row(),
        **first.told("accuracy_as_trained", first.accuracy),
    }
    if condition.after and not trained.ages(condition):
        note(
            "note: no law of these effects changes devices with time (effects.drift,"
            " effects.relaxation), so that they are as they were"
        )
    if hardware:
        found = trained.footprint(condition)
        summary |= found.summary()
        if json:
            summary["layers"] = [asdict(layer) for layer in found.layers]
            summary["hardware"] = asdict(found.options)
        else:
            note("energy, latency and area follow from figures that are stated, see [hardware]")
    emit(summary, as_json=json, title=f"validation of {study.folder}")
