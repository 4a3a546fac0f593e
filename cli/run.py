"""``memtwin run``: the main job, from a fitted device to a trained network that ngspice has checked."""

__all__ = ["run"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..data.types import Progress
from .console import Json, bar, emit, note


class Terminal:
    """Shows the steps of a run as bars on stderr, and what came out of each as a line."""

    @contextmanager
    def step(self, title: str) -> Iterator[Progress]:
        """Draw one step's bar."""
        with bar(title) as progress:
            yield progress

    def say(self, sentence: str) -> None:
        """Say what came out."""
        note(sentence)


def run(
    preset: Annotated[
        str | None,
        typer.Argument(
            help="A shipped configuration: demo, mnist, … See memtwin info.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A configuration file (TOML) instead of a preset.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. training.epochs=2."),
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Engine for training: ideal, surrogate, line, spice.")
    ] = None,
    validate_engine: Annotated[
        str | None, typer.Option(help="Engine for the validation, by default spice.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Test images read in the validation.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="ngspice processes; the result does not depend on it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME-SEED when absent.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
    json: Json = False,
) -> None:
    """Run the whole job: characterise, fit the surrogate, train, validate in ngspice, report."""
    from ..data.errors import InputError
    from ..training import experiment
    from ..training.config import load_config
    from ..training.record import record_path
    from .report import write_report

    given = {
        "training.engine": engine,
        "validation.engine": validate_engine,
        "validation.images": images,
        "seed": seed,
        "workers": workers,
    }
    changes = [
        *(change or []),
        *(f"{key}={value}" for key, value in given.items() if value is not None),
    ]
    if resume is not None:
        if preset or config or changes or out:
            raise InputError(
                "--resume continues a run as it was configured; give the folder and nothing else"
            )
        folder, settings = resume, experiment.stored_config(resume)
    else:
        if (preset is None) == (config is None):
            raise InputError("give a preset (such as demo or mnist) or --config FILE, one of them")
        settings = load_config(config if config is not None else str(preset), changes)
        folder = experiment.new_folder(out, settings)
    note(f"run folder: {folder}")
    try:
        record = experiment.run(settings, folder, Terminal())
    except KeyboardInterrupt:
        note(f"continue with: memtwin run --resume {folder}")
        raise
    page = write_report(record, folder / "report.html")
    summary = dict(record["summary"]) | {
        "record": str(record_path(folder)),
        "report": str(page),
    }
    emit(summary, as_json=json, title=f"run {settings.name}")
