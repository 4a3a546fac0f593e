"""``memtwin run``: the main job, from a fitted device to a trained network that ngspice has checked; ``memtwin train``
is the same without its validation, which ``memtwin run --resume`` adds.
"""

__all__ = ["run", "train"]

from typing import Annotated

import typer

from ...console import Json, emit
from ...groups import grouped
from ...job import Asked, Engine, Rule, Terminal, job


@grouped
def run(
    asked: Asked,
    engine: Engine = None,
    rule: Rule = None,
    validate_engine: Annotated[
        str | None, typer.Option(help="Engine for the validation, by default spice.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Test images read in the validation.")] = None,
    json: Json = False,
) -> None:
    """Run the whole job: characterise, fit the surrogate, train, validate in ngspice, report."""
    from ....training.runs import run as experiment
    from ....training.runs.overview.summary import GROUPS, heading
    from ....training.runs.record import record_path
    from ....training.runs.report.page import write_report

    given = {
        "training.engine": engine,
        "training.rule": rule,
        "validation.engine": validate_engine,
        "validation.images": images,
    }
    with job(
        asked,
        given,
        again="memtwin run --resume {}",
    ) as (settings, claim, executor):
        record = experiment.run(settings, claim, Terminal(), executor, asked.characterisation)
        page = write_report(record, claim.path / "report.html")
    summary = record["summary"] | {"record": str(record_path(claim.path)), "report": str(page)}
    emit(summary, as_json=json, title=heading(settings.name, summary), groups=GROUPS)


@grouped
def train(
    asked: Asked,
    engine: Engine = None,
    rule: Rule = None,
    json: Json = False,
) -> None:
    """Characterise, fit the surrogate and train; every finished epoch is a checkpoint."""
    from ....training.runs.overview.summary import TRAINED, train_summary
    from ....training.runs.run import train_run

    given = {"training.engine": engine, "training.rule": rule}
    with job(
        asked,
        given,
        again="memtwin train --resume {}",
    ) as (settings, claim, executor):
        result = train_run(settings, claim, Terminal(), executor, asked.characterisation)
    summary = {"folder": str(claim.path)} | train_summary(result)
    emit(summary, as_json=json, title=f"training {settings.name}", groups=TRAINED)
