"""``memtwin train``: the main job without its validation; ``memtwin run --resume`` adds that."""

__all__ = ["train"]

from ..console import Json, emit
from ..groups import grouped
from ..job import Asked, Engine, Terminal, job


@grouped
def train(
    asked: Asked,
    engine: Engine = None,
    json: Json = False,
) -> None:
    """Characterise, fit the surrogate and train; every finished epoch is a checkpoint."""
    from ...training.runs.run import train_run

    given = {"training.engine": engine}
    with job(
        asked,
        given,
        again="memtwin train --resume {}",
    ) as (settings, claim, executor):
        result = train_run(settings, claim, Terminal(), executor, asked.characterisation)
    last = result.records[-1].summary()
    audits = {
        "audits": len(result.audits),
        "audits_failed": sum(not found.passed for found in result.audits),
    }
    summary = {"folder": str(claim.path), "memristor_accuracy": result.accuracy} | audits | last
    emit(summary, as_json=json, title=f"training {settings.name}")
