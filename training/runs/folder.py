"""The folder of a job: which configuration it belongs to, and what is made there before training."""

__all__ = ["Folder", "check_inputs", "new_folder", "stored_config"]

import json
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ...circuits.ngspice import installed
from ...data.dataset import check_data_path
from ...data.errors import InputError
from ...data.files import write_text
from ...devices.pulses.pricing import LevelPricing
from ..trainer.trainer import check_images
from .build import engines_of, levels_of, write_costs, write_note
from .claim import Claim, FolderInUse
from .config import FITTED, RunConfig, parse_config
from .listener import Steps
from .setup import Setup, characterised, fitted, set_up

CONFIG = "config.json"
"""File with which a folder belongs to a run."""


def stored_config(folder: str | Path) -> RunConfig:
    """Return the configuration with which the run in ``folder`` was started."""
    path = Path(folder) / CONFIG
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no run: there is no {path.name} in it") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} is damaged: it holds no configuration")
    return parse_config(tree, str(path))


def check_inputs(config: RunConfig, characterisation: str | Path | None = None) -> None:
    """Refuse, before any folder is made, what can be seen at once to lead nowhere: a device that can't have
    the levels, files that are not there, an ngspice that is needed and missing. What files hold is seen
    when they are read, before anything is written.

    Raises
    ------
    InputError
        If there is such a thing.
    MemtwinError
        If there is no ngspice.
    """
    levels_of(config)
    path = config.data.path
    if path is not None and not Path(path).exists():
        raise InputError(f"data.path: there is no file or folder {path!r}")
    if path is not None:
        check_data_path(path)
    if characterisation is not None and not Path(characterisation).is_file():
        raise InputError(f"there is no characterisation {characterisation}")
    engines = engines_of(config)
    if "spice" in engines or not engines.isdisjoint(FITTED):
        installed.features()


def new_folder(out: str | Path | None, config: RunConfig, kind: str | None = None) -> Claim:
    """Claim the folder for a new job, ``runs/NAME-SEED`` (``runs/KIND-NAME-SEED``) or the next free
    name; an existing one is never written over.

    Parameters
    ----------
    out
        The folder, if one was asked for.
    config
        The configuration.
    kind
        Comes before the name of a folder that was not.

    Raises
    ------
    InputError
        If ``out`` names a folder that already holds a run, or that another job is using.
    """
    if out is not None:
        claim = Claim(out)
        if not (claim.path / CONFIG).exists():
            return claim
        claim.release()
        raise InputError(
            f"{out} already holds a run: continue it with --resume {out}, or choose another folder"
        )
    name = config.name if kind is None else f"{kind}-{config.name}"
    base = Path("runs") / f"{name}-{config.seed}"
    for k in count(1):
        path = base if k == 1 else base.with_name(f"{base.name}-{k}")
        # Claimed first: what was free when looked at may be another's by now.
        with suppress(FolderInUse):
            if not (path / CONFIG).exists():
                claim = Claim(path)
                if not (path / CONFIG).exists():
                    return claim
                claim.release()
    raise AssertionError


@dataclass(frozen=True)
class Folder:
    """Where a job keeps ``config.json``, ``write_table.h5``, ``characterisation.h5`` and its results."""

    path: Path
    characterisation: str | Path | None = None
    """Record of the same device and tile, to be copied instead of made."""

    def check(self, config: RunConfig) -> None:
        """Refuse a folder that another configuration has, and a characterisation that is not there."""
        if self.characterisation is not None and not Path(self.characterisation).is_file():
            raise InputError(f"there is no characterisation {self.characterisation}")
        if (self.path / CONFIG).exists() and stored_config(self.path) != config:
            raise InputError(
                f"{self.path} holds a run with another configuration: choose another folder"
            )

    def start(
        self,
        config: RunConfig,
        steps: Steps,
        *,
        surrogate: bool = True,
        executor: Executor | None = None,
        before: Callable[[Setup], object] = lambda setup: None,
    ) -> tuple[Setup, LevelPricing]:
        """Return what training starts from, made here or taken from here; what can go wrong quickly
        comes first, and an input that is refused leaves no file behind. See :func:`.setup.set_up`.

        Parameters
        ----------
        config
            The configuration.
        steps
            Hears of the steps of a job.
        surrogate
            Whether an engine needs one.
        executor
            Where jobs run, by default in processes of its own here.
        before
            Called with what the configuration stands for, before anything long is begun or written.
        """
        if self.characterisation is not None and not surrogate:
            raise InputError(
                f"no engine here needs a characterisation: leave {self.characterisation} out, or"
                " choose the engine surrogate or line"
            )
        setup = set_up(config, steps, surrogate=False, executor=executor)
        check_images(setup.network, setup.images, config.training.batch)
        note = write_note(config, setup.levels)  # refuses levels that can't be written
        kept = self.path / "characterisation.h5"
        given = None
        if self.characterisation is not None and not kept.exists():
            given = characterised(config, setup.tile, self.characterisation)
        before(setup)
        table = self.path / "write_table.h5"
        made = [file for file in (self.path / CONFIG, table) if not file.exists()]
        try:
            if not (self.path / CONFIG).exists():
                write_text(self.path / CONFIG, config.model_dump_json(indent=2) + "\n")
            with steps.step("write cost", "pulsing the device between levels") as progress:
                costs = write_costs(config, setup.levels, progress, path=table)
            setup = setup.priced(costs)
        except InputError:
            for file in made:
                file.unlink(missing_ok=True)
            raise
        if note:
            steps.say(f"warning: {note}")
        if not surrogate:
            return setup, costs
        if given is not None:
            given.save(kept)
        return fitted(setup, steps, kept), costs
