"""``memtwin run``: the main job, from a fitted device to a trained network that ngspice has checked."""

__all__ = ["run"]

from typing import Annotated

import typer

from ..console import Json, emit
from ..job import (
    Changes,
    Characterised,
    ConfigFile,
    Dask,
    Engine,
    Out,
    Preset,
    Resume,
    Seed,
    Terminal,
    Workers,
    job,
)


def run(
    preset: Preset = None,
    config: ConfigFile = None,
    change: Changes = None,
    engine: Engine = None,
    validate_engine: Annotated[
        str | None, typer.Option(help="Engine for the validation, by default spice.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Test images read in the validation.")] = None,
    seed: Seed = None,
    workers: Workers = None,
    characterisation: Characterised = None,
    dask: Dask = None,
    out: Out = None,
    resume: Resume = None,
    json: Json = False,
) -> None:
    """Run the whole job: characterise, fit the surrogate, train, validate in ngspice, report."""
    from ...training.runs import run as experiment
    from ...training.runs.record import record_path
    from ...training.runs.report.page import write_report

    given = {
        "training.engine": engine,
        "validation.engine": validate_engine,
        "validation.images": images,
        "seed": seed,
        "workers": workers,
    }
    with job(
        preset,
        config,
        change,
        given,
        out=out,
        resume=resume,
        characterisation=characterisation,
        dask=dask,
        again="memtwin run --resume {}",
    ) as (settings, claim, executor):
        record = experiment.run(settings, claim, Terminal(), executor, characterisation)
        page = write_report(record, claim.path / "report.html")
    summary = record["summary"] | {"record": str(record_path(claim.path)), "report": str(page)}
    emit(summary, as_json=json, title=f"run {settings.name}")
