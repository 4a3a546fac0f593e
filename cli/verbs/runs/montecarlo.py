"""``memtwin montecarlo RUN``: the trained levels in many arrays whose devices are drawn anew."""

__all__ = ["montecarlo"]

from pathlib import Path
from typing import Annotated

import typer

from ....data.errors import InputError
from ... import complete
from ...console import Json, bar, emit
from ...groups import grouped
from ...interrupt import keeping
from ...job import Dask, executor_at
from .validate import (
    KEPT,
    After,
    Changed,
    Conditions,
    Images,
    Plot,
    Recalibrate,
    Table,
    Temperature,
    Workers,
    opened,
)


@grouped
def montecarlo(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run whose training is finished.", autocompletion=complete.runs
        ),
    ],
    draws: Annotated[int, typer.Option(help="Arrays that are drawn.")] = 20,
    change: Changed = None,
    after: After = "0s",
    temperature: Temperature = None,
    recalibrate: Recalibrate = False,
    workers: Workers = None,
    images: Images = None,
    engine: Annotated[
        str | None, typer.Option(help="Engine; the one that trained when absent.")
    ] = None,
    table: Table = None,
    plot: Plot = None,
    dask: Dask = None,
    json: Json = False,
) -> None:
    """Program the trained levels into new arrays, by the run's effects, and read test images in each.

    Every array draws its stuck devices, reach and programming errors anew, by its own seed.
    """
    from ....training.studies.montecarlo import draw_montecarlo, write_montecarlo
    from ....training.studies.montecarlo import montecarlo as run_draws

    if draws < 1:
        raise InputError(f"--draws must be at least 1, got {draws}")
    conditions = Conditions(change, after, recalibrate, draws, workers, temperature)
    asked = conditions.condition(engine)
    with (
        keeping(lambda: KEPT.format(run)),
        executor_at(dask) as executor,
        opened(run, asked, images, executor, conditions) as study,
    ):
        with bar(f"reading {draws} arrays") as progress:
            found = run_draws(study.trained, draws, asked, progress=progress, **study.how)
        table = write_montecarlo(table or study.folder / "montecarlo.csv", found)
        plot = plot or study.folder / "montecarlo.png"
        draw_montecarlo(found, plot)
    summary = {
        "engine": engine or study.trained.engine,
        "condition": str(found.drawn.condition),
        **found.summary(),
        "table": table,
        "plot": plot,
    }
    if json:
        regression = found.drawn.regression
        scores = found.drawn.scores if regression else 100.0 * found.drawn.scores
        summary["scores_r2" if regression else "scores_percent"] = scores
    emit(summary, as_json=json, title=f"arrays for {run}")
