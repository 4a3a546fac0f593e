"""What the verbs ``run`` and ``train`` share: their options, and bars and lines for the steps of the job."""

__all__ = [
    "Changes",
    "Characterised",
    "ConfigFile",
    "Dask",
    "Engine",
    "Out",
    "Preset",
    "Resume",
    "Seed",
    "Terminal",
    "Workers",
    "executor_at",
    "prepared",
    "resumable",
]

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data.errors import EngineError
from .console import bar, note

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..data.types import Progress
    from ..training.config import RunConfig

Preset = Annotated[
    str | None,
    typer.Argument(
        help="A shipped configuration: demo, mnist, mlp, balanced, endurance, cnn, cnn-balanced or"
        " cnn-endurance.",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A configuration file (TOML) instead of a preset.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. training.epochs=2."),
]
Engine = Annotated[
    str | None, typer.Option(help="Engine for training: ideal, surrogate, line or spice.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of every random draw.")]
Workers = Annotated[
    int | None, typer.Option(help="ngspice processes; the result does not depend on it.")
]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME-SEED when absent.")]
Dask = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run ngspice on the Dask cluster at tcp://HOST:PORT instead of here.",
    ),
]
Characterised = Annotated[
    Path | None,
    typer.Option(
        "--characterisation",
        metavar="FILE",
        help="Take this record of the same device and tile (memtwin characterise makes one).",
    ),
]
Resume = Annotated[Path | None, typer.Option(help="Continue the run in this folder.")]


class Terminal:
    """Shows the steps of a job as bars on stderr, and what came out of each as a line."""

    @contextmanager
    def step(self, title: str) -> "Iterator[Progress]":
        """Draw one step's bar."""
        with bar(title) as progress:
            yield progress

    def say(self, sentence: str) -> None:
        """Say what came out."""
        note(sentence)


def executor_at(address: str | None) -> "AbstractContextManager[Executor | None]":
    """Return a context with the executor of the Dask cluster at ``address``, or with none."""
    if address is None:
        return nullcontext()
    from ..circuits.cluster import dask_executor

    return dask_executor(address)


@contextmanager
def resumable(address: str | None, again: str) -> "Iterator[Executor | None]":
    """Enter work that the command ``again`` continues when it is interrupted or an engine fails it, with the executor
    of the Dask cluster at ``address``, or with none.
    """
    with executor_at(address) as executor:
        try:
            yield executor
        except (KeyboardInterrupt, EngineError):
            note(f"continue with: {again}")
            raise


def prepared(
    preset: str | None,
    config: Path | None,
    changes: list[str] | None,
    given: Mapping[str, Any],
    out: Path | None,
    resume: Path | None,
    characterisation: Path | None = None,
    kind: str | None = None,
) -> "tuple[RunConfig, Path]":
    """Return configuration and folder of the job that the options ask for; ``given`` are keys with their values,
    ``kind`` comes before the name of a folder that is not given.
    """
    from ..data.errors import InputError
    from ..training.config import load_config, presets
    from ..training.folder import new_folder, stored_config

    every = [
        *(changes or []),
        *(f"{key}={value}" for key, value in given.items() if value is not None),
    ]
    if resume is not None:
        if preset or config or every or out or characterisation:
            raise InputError(
                "--resume continues a run as it was configured; give the folder and nothing else"
            )
        return stored_config(resume), resume
    if (preset is None) == (config is None):
        raise InputError(f"give a preset ({', '.join(presets())}) or --config FILE, one of them")
    settings = load_config(config if config is not None else str(preset), every)
    return settings, new_folder(out, settings, kind)
