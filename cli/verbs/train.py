"""``memtwin train``: the main job without its validation; ``memtwin run --resume`` adds that."""

__all__ = ["train"]

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


def train(
    preset: Preset = None,
    config: ConfigFile = None,
    change: Changes = None,
    engine: Engine = None,
    seed: Seed = None,
    workers: Workers = None,
    characterisation: Characterised = None,
    dask: Dask = None,
    out: Out = None,
    resume: Resume = None,
    json: Json = False,
) -> None:
    """Characterise, fit the surrogate and train; every finished epoch is a checkpoint."""
    from ...training.runs.run import train_run

    given = {"training.engine": engine, "seed": seed, "workers": workers}
    with job(
        preset,
        config,
        change,
        given,
        out=out,
        resume=resume,
        characterisation=characterisation,
        dask=dask,
        again="memtwin train --resume {}",
    ) as (settings, claim, executor):
        result = train_run(settings, claim, Terminal(), executor, characterisation)
    last = result.records[-1].summary()
    audits = {
        "audits": len(result.audits),
        "audits_failed": sum(not found.passed for found in result.audits),
    }
    summary = {"folder": str(claim.path), "memristor_accuracy": result.accuracy} | audits | last
    emit(summary, as_json=json, title=f"training {settings.name}")
