"""A trained run, opened for studies: taken from its folder once, and read as often as is asked."""

__all__ = ["Study", "opened_run"]

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import InputError
from ...devices.spread.effects import TABLE
from ..runs.build import VALIDATED, write_costs
from ..runs.claim import claimed
from ..runs.config import FITTED
from ..runs.folder import stored_config
from ..runs.listener import Listener, Steps
from ..runs.run import check_trained, trained_by
from ..runs.setup import fitted, set_up
from ..trainer.checkpoint import load_twin
from .trained import Trained

FILE = "studies.h5"
"""Record of what has been read, in the run's folder."""


@dataclass(frozen=True)
class Study:
    """A run that is trained, and how its images are read."""

    folder: Path
    trained: Trained
    workers: int = 1
    executor: Executor | None = None

    @property
    def how(self) -> dict[str, Any]:
        """Options of :func:`.read.read_conditions`."""
        return {
            "workers": self.workers,
            "executor": self.executor,
            "path": self.folder / FILE,
        }


@contextmanager
def opened_run(
    run: str | Path,
    *,
    engine: str | None = None,
    images: int | None = None,
    workers: int = 1,
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> Iterator[Study]:
    """Yield a trained run for studies; its folder is claimed meanwhile.

    Parameters
    ----------
    listener
        Hears of the steps.
    run
        Folder of the run.
    engine
        The engine that tiles will be read through, if not the one that trained.
    images
        Test images to read; as many as the run's validation when ``None``. They come in an order
        that the run's seed draws, as those of a validation do.
    workers
        Processes; with ngspice those of ngspice.
    executor
        Where to work instead.

    Raises
    ------
    InputError
        If there is no finished training, or it has fewer test images.
    """
    folder = Path(run)
    if workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    config = stored_config(folder)
    with claimed(folder) as path:
        check_trained(path, config)
        state, audits = load_twin(path / "checkpoint.h5")
        name, steps = trained_by(config, audits), Steps(listener)
        setup = set_up(config, steps, surrogate=False, executor=executor)
        if config.effects.programming == TABLE:
            with steps.step("write cost", "taking what writes leave of their targets") as progress:
                table = path / "write_table.h5"
                setup = setup.priced(write_costs(config, setup.levels, progress, path=table))
        if (engine or name) in FITTED:
            setup = fitted(setup, steps, path / "characterisation.h5")
        data = setup.images
        total = len(data.x_test)
        count = images or config.validation.images or min(VALIDATED, total)
        if not 1 <= count <= total:
            raise InputError(f"{count} images asked for, the test set of {data.name} has {total}")
        order = np.random.default_rng([config.seed, 11]).permutation(total)[:count]
        few = replace(
            data,
            x_train=data.x_train[: config.training.calibration],
            y_train=data.y_train[: config.training.calibration],
            x_test=data.x_test[order],
            y_test=data.y_test[order],
            x_validation=None,
            y_validation=None,
        )
        by_ngspice = (engine or name) == "spice"
        spiced = config.model_copy(update={"workers": workers}) if by_ngspice else config
        trained = Trained(
            replace(setup, images=few, config=spiced, executor=executor if by_ngspice else None),
            state,
            name,
            order,
        )
        # ngspice brings processes of its own: pieces are read here one after the other.
        yield Study(
            path,
            trained,
            1 if by_ngspice else workers,
            None if by_ngspice else executor,
        )
