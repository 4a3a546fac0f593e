"""How far the runs in folders have come, as their files say."""

__all__ = ["RunState", "find_runs", "images_read", "state_of"]

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....data.errors import InputError, MemtwinError
from ....data.records.store import reading
from ...trainer.checkpoint import finished_epochs
from ..claim import holder
from ..folder import CONFIG, stored_config
from ..record import load_record

STEPS = {
    "write_table.h5": "the write table",
    "characterisation.h5": "the characterisation",
}
"""Files of steps before the training, and what they hold."""


@dataclass(frozen=True)
class RunState:
    """How far a run has come."""

    folder: Path
    name: str
    seed: int
    steps: tuple[str, ...]
    """Steps before the training that are done."""
    epochs_done: int
    epochs: int
    images_read: int
    """Test images that were read for the validation."""
    images: int | None
    """Those that are to be read, ``None`` if that depends on the data."""
    holder: str | None
    """Which process works on it."""
    trainings: int
    """Trainings kept by a comparison of update rules, where the folder holds one."""
    summary: dict[str, Any] | None
    """Its figures, if it is finished."""
    problem: str | None = None
    """Why they can't be told."""

    @property
    def state(self) -> str:
        """Say in a few words how far it has come."""
        if self.trainings:
            return f"comparison of update rules; {self.trainings} trainings kept"
        if self.holder is not None:
            return f"at work, epoch {self.epochs_done} of {self.epochs} done"
        if self.summary is not None:
            return "finished"
        if self.problem is not None:
            return "finished, by another memtwin"
        if self.epochs_done < self.epochs:
            return f"stopped after epoch {self.epochs_done} of {self.epochs}"
        wanted = "" if self.images is None else f" of {self.images}"
        return f"trained; {self.images_read}{wanted} images of the validation read"

    @property
    def held(self) -> str:
        """Say what is there to go on from."""
        parts = list(self.steps)
        if self.trainings:
            parts.append(f"{self.trainings} trainings")
        if self.epochs_done:
            parts.append(f"{self.epochs_done} of {self.epochs} epochs of training")
        if self.images_read:
            parts.append(f"{self.images_read} images of the validation")
        return ", ".join(parts) or "its configuration"


def state_of(folder: str | Path) -> RunState:
    """Return how far the run in ``folder`` has come.

    Raises
    ------
    InputError
        If there is no run in it.
    """
    folder = Path(folder)
    config = stored_config(folder)
    summary: dict[str, Any] | None = None
    problem = None
    if (folder / "run.h5").exists():
        try:
            summary = dict(load_record(folder)["summary"])
        except MemtwinError as error:
            problem = str(error)
    done = 0
    with suppress(MemtwinError, OSError):
        done = finished_epochs(folder / "checkpoint.h5")
    return RunState(
        folder,
        config.name,
        config.seed,
        tuple(said for file, said in STEPS.items() if (folder / file).exists()),
        done,
        config.training.epochs,
        images_read(folder, config.validation.engine),
        config.validation.images,
        holder(folder),
        sum(not file.name.startswith("validation-") for file in folder.glob("*-*.h5")),
        summary,
        problem,
    )


def images_read(folder: str | Path, engine: str) -> int:
    """Return how many test images ``engine`` has read for a validation of the run in ``folder``."""
    with (
        suppress(MemtwinError, OSError, LookupError),
        reading(Path(folder) / f"validation-{engine}.h5", "validation") as tree,
    ):
        return len(tree["outputs"])
    return 0


def find_runs(home: str | Path) -> Iterator[RunState]:
    """Yield the runs in and below ``home``, by their folders' names.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    home = Path(home)
    if not home.is_dir():
        raise InputError(f"there is no folder {home}; runs are kept in ./runs, or where --out says")
    for file in sorted(home.rglob(CONFIG), key=lambda path: path.parent.parts):
        with suppress(InputError, json.JSONDecodeError):
            yield state_of(file.parent)
