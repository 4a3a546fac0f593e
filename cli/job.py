"""What the verbs ``run``, ``train`` and ``compare`` share: their options, the job, bars and lines for its steps."""

__all__ = [
    "Changes",
    "Characterised",
    "ConfigFile",
    "Dask",
    "Device",
    "Devices",
    "Engine",
    "Job",
    "Out",
    "Preset",
    "Response",
    "Resume",
    "Rule",
    "Seed",
    "Terminal",
    "Workers",
    "executor_at",
    "job",
]

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from ..data.errors import EngineError, InputError, MemtwinError
from . import complete
from .console import SEED, bar, note
from .interrupt import keeping

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..data.types import Progress
    from ..training.runs.claim import Claim
    from ..training.runs.config import RunConfig

Preset = Annotated[
    str | None,
    typer.Argument(
        help="A shipped configuration: demo, mnist, nbsto, mlp, balanced, endurance, cnn,"
        " cnn-balanced or cnn-endurance.",
        show_default=False,
        autocompletion=complete.presets,
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A configuration file (TOML) instead of a preset.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. training.epochs=2."),
]
Engine = Annotated[str | None, typer.Option(help="Engine for training, such as line.")]
Device = Annotated[
    str | None,
    typer.Option(
        help="Device in every cell: a shipped one, or a TOML file that memtwin fit wrote; the preset is"
        " demo where none is given.",
        autocompletion=complete.cells,
    ),
]
Response = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="What single pulses do, for rules that send them: ramps that memtwin fit --kind ramps kept,"
        " or 'model'.",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of every random draw.", **SEED)]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes, of ngspice, or of trainings that go side by side; the result is the same."
    ),
]
Devices = Annotated[
    Literal["auto", "behavioural", "compiled"] | None,
    typer.Option(help="How devices stand in ngspice's decks; auto compiles them where it can."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the run; runs/NAME-SEED when absent.")
]
Dask = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on the Dask cluster at tcp://HOST:PORT instead of here.",
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
Rule = Annotated[
    str | None, typer.Option(help="Update rule: siamese, pulsed, sign, ... or a registered one.")
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
    if not re.fullmatch(r"(tcp://)?([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", address):
        raise InputError(
            f"--dask {address!r}: expected tcp://HOST:PORT, the address of a scheduler"
        )
    from ..circuits.ngspice.cluster import dask_executor

    return dask_executor(address)


class Job(NamedTuple):
    """What a verb works with."""

    config: "RunConfig"
    folder: "Claim"
    """Held until the verb has ended."""
    executor: "Executor | None"
    """Where ngspice runs, if not here."""


@dataclass(frozen=True)
class Asked:
    """What every job is asked for."""

    preset: Preset = None
    config: ConfigFile = None
    device: Device = None
    response: Response = None
    change: Changes = None
    seed: Seed = None
    workers: Workers = None
    devices: Devices = None
    characterisation: Characterised = None
    dask: Dask = None
    out: Out = None
    resume: Resume = None


@contextmanager
def job(
    asked: Asked, given: Mapping[str, Any], *, again: str, kind: str | None = None
) -> Iterator[Job]:
    """Enter the job that is asked for: its folder is claimed, and said; after Ctrl-C, or where an
    engine failed, it is said how to go on.

    Parameters
    ----------
    given
        Keys of the configuration with their values, ``None`` where an option is absent.
    again
        The command that goes on, ``{}`` for the folder.
    kind
        Comes before the name of a folder that is not given.
    """
    from ..training.runs.claim import Claim
    from ..training.runs.config import load_config, presets
    from ..training.runs.folder import check_inputs, new_folder, stored_config

    preset, config, resume = asked.preset, asked.config, asked.resume
    keys = {
        **given,
        "device.name": asked.device,
        "device.response": asked.response,
        "seed": asked.seed,
        "workers": asked.workers,
        "devices": asked.devices,
    }
    if preset is None and config is None and resume is None and asked.device is not None:
        preset = "demo"
    if resume is not None:
        changed = asked.change or any(value is not None for value in keys.values())
        if preset or config or changed or asked.out or asked.characterisation:
            raise InputError(
                "--resume continues a run as it was configured; give the folder and nothing else"
            )
        settings, claim = stored_config(resume), Claim(resume)
    elif (preset is None) == (config is None):
        raise InputError(f"give a preset ({', '.join(presets())}) or --config FILE, one of them")
    else:
        source = config if config is not None else str(preset)
        settings = load_config(source, asked.change or (), keys)
        check_inputs(settings, asked.characterisation)
        claim = new_folder(asked.out, settings, kind)
    with claim:
        note(f"{kind or 'run'} folder: {claim.path}")
        try:
            with (
                keeping(lambda: _left(claim.path, again)),
                executor_at(asked.dask) as executor,
            ):
                yield Job(settings, claim, executor)
        except EngineError:
            note(_left(claim.path, again))
            raise


def _left(folder: Path, again: str) -> str:
    """Say what a job that has stopped leaves behind."""
    from ..training.runs.overview.folders import state_of

    try:
        held = state_of(folder).held
    except MemtwinError:
        return "nothing is left half-written; the same command begins anew"
    return f"{folder} holds {held}; continue with: {again.format(folder)}"
