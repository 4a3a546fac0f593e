"""The main job: a fitted device in, a trained and SPICE-validated network out, with a record of all of it.

Every step leaves its result in the run's folder, whole or not at all, and is taken from there when a run is continued:
``config.json``, ``characterisation.h5``, ``write_table.h5``, ``checkpoint.h5`` (after every epoch),
``validation-ENGINE.h5`` and ``run.h5``, the record that reports are made from.
"""

__all__ = ["check_trained", "run", "train_run", "trained_by", "validate_run"]

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ...circuits.ngspice import installed as ngspice
from ...circuits.osdi.choice import Devices
from ...data.errors import InputError
from ...data.records.store import pack, write_record
from ...devices.pulses.costs import Pricing
from ...devices.pulses.pricing import LevelPricing
from ...devices.technology.technology import is_technology, load_technology
from ..losses import score_text
from ..studies.hardware import FOOTPRINTS, Footprint, footprint
from ..trainer.audit import AuditRecord
from ..trainer.checkpoint import kept_records
from ..trainer.loop import FloatTraining, train_float
from ..trainer.results import EpochRecord, TrainResult, ended
from ..trainer.validate import Validation, validate
from ..twin.twin import MemristorTwin
from .build import VALIDATED, engines_of
from .claim import Claim, claimed
from .config import FITTED, RunConfig, parse_config
from .folder import Folder, stored_config
from .listener import Listener, Steps
from .overview.summary import summarise
from .record import (
    FORMAT,
    KIND,
    audits_tree,
    data_tree,
    device_tree,
    digital_tree,
    epochs_tree,
    inference_tree,
    laws_tree,
    layers_tree,
    levels_tree,
    load_record,
    network_name,
    pricing_tree,
    versions,
    wear_tree,
)
from .setup import Setup
from .wording import cost_text, epoch_text, network_text, validation_text


def run(
    config: RunConfig,
    folder: str | Path | Claim,
    listener: Listener | None = None,
    executor: Executor | None = None,
    characterisation: str | Path | None = None,
) -> dict[str, Any]:
    """Do the whole job in ``folder``, or what is left of it there, and return the record.

    ngspice reads tiles on ``executor`` if one is given, else in processes of its own here. A
    ``characterisation`` of the same device and tile that is there already is copied into the folder.

    Parameters
    ----------
    config
        The configuration.
    folder
        Folder of the run.
    listener
        Hears of the job's steps.
    executor
        Where jobs run, by default in processes of its own here.
    characterisation
        Record of the same device and tile that is there already.

    Raises
    ------
    InputError
        If the configuration can't be met, or ``folder`` holds a run with another one or is in use.
    MemtwinError
        If a step fails; what was finished stays in the folder.
    """
    with claimed(folder) as path:
        return _Job(config, path, listener, executor, characterisation).run()


def train_run(
    config: RunConfig,
    folder: str | Path | Claim,
    listener: Listener | None = None,
    executor: Executor | None = None,
    characterisation: str | Path | None = None,
) -> TrainResult:
    """Do the job up to the end of the training, or what is left of it in ``folder``.

    :func:`run` on the same folder does the rest. Raises as it does.

    Parameters
    ----------
    config
        The configuration.
    folder
        Folder of the run.
    listener
        Hears of the job's steps.
    executor
        Where jobs run, by default in processes of its own here.
    characterisation
        Record of the same device and tile that is there already.
    """
    with claimed(folder) as path:
        return _Job(config, path, listener, executor, characterisation).train()


def validate_run(
    folder: str | Path,
    *,
    engine: str | None = None,
    images: int | None = None,
    devices: Devices | None = None,
    workers: int | None = None,
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> Validation:
    """Read test images of a trained run through ``engine``, by default as the run was configured.

    Images that have been read before are not read again.

    Parameters
    ----------
    folder
        Folder of the run.
    engine
        Engine that reads; as configured when absent.
    images
        Samples to read; as configured when absent.
    devices
        How devices stand in ngspice's decks; as configured when absent.
    workers
        Processes, of ngspice with that engine; when absent as configured for ngspice, else one. The
        result is the same.
    listener
        Hears of the job's steps.
    executor
        Where jobs run, by default in processes of its own here.

    Raises
    ------
    InputError
        If there is no finished training in ``folder``, or no such engine.
    """
    config = stored_config(folder)
    changes = {
        "engine": engine or config.validation.engine,
        "images": images or config.validation.images,
    }
    for what, value in (("workers", workers), ("images", images)):
        if value is not None and value < 1:
            raise InputError(f"{what} must be at least 1, got {value}")
    tree = config.model_dump() | {
        "validation": changes,
        "devices": devices or config.devices,
        "workers": workers or config.workers,
    }
    settings = parse_config(tree, "validate")
    with claimed(folder) as path:
        check_trained(path, config)
        return _Job(settings, path, listener, executor).validate(workers or 1)


def trained_by(config: RunConfig, audits: Sequence[AuditRecord]) -> str:
    """Return the engine that a training ended with."""
    fallback, passed = config.audit.fallback, all(one.passed for one in audits)
    return config.training.engine if passed or fallback == "none" else fallback


def check_trained(folder: Path, config: RunConfig) -> None:
    """Refuse the run in ``folder`` where its training has not come to its end."""
    records = kept_records(folder / "checkpoint.h5")
    if not ended(records, config.training):
        raise InputError(
            f"the training in {folder} is not finished, {len(records)} of {config.training.epochs} epochs"
            f" are done: memtwin train --resume {folder}"
        )


class _Job:
    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        listener: Listener | None,
        executor: Executor | None,
        characterisation: str | Path | None = None,
    ) -> None:
        self.config, self.folder = config, Folder(folder, characterisation)
        self.executor, self.steps = executor, Steps(listener)
        self.engines = engines_of(config)
        self.needs_fit = not self.engines.isdisjoint(FITTED)

    def run(self) -> dict[str, Any]:
        started = time.perf_counter()
        self.folder.check(self.config)
        features = ngspice.features() if "spice" in self.engines or self.needs_fit else None
        floats: list[FloatTraining] = []
        # First of all: a rate at which even this diverges is told before anything long is begun.
        setup, costs = self._start(lambda setup: floats.append(self._train_float(setup)))
        (trained_float,) = floats
        twin, result = self._train(setup, costs)
        validation = self._validate(setup, twin, result)
        self.steps.seconds["all"] = time.perf_counter() - started
        record = {
            "config": self.config.model_dump_json(),
            "versions": versions(features, setup.devices),
            "seconds": self.steps.seconds,
            "data": data_tree(setup.images),
            "network": network_name(setup.network),
            "device": device_tree(setup.levels.device),
            "levels": levels_tree(setup.levels, setup.tile.cell),
            "surrogate": setup.check,
            "write_cost": pricing_tree(costs),
            "epochs": epochs_tree(result.records, trained_float),
            "audits": audits_tree(result.audits),
            "layers": layers_tree(twin, result),
            "inference": inference_tree(self._footprint(setup, twin)),
            "wear": wear_tree(result, self.config.device.endurance),
            "validation": pack(validation),
        }
        if twin.digital:
            record["digital"] = digital_tree(twin)
        if is_technology(self.config.device.name):
            record["technology"] = pack(load_technology(self.config.device.name))
        if laws := laws_tree(self.config, setup.crossbar.effects):
            record["laws"] = laws
        record["summary"] = summarise(record)
        write_record(self.folder.path / "run.h5", KIND, record, format=FORMAT)
        return load_record(self.folder.path)

    def train(self) -> TrainResult:
        """Do the job up to the end of the training."""
        self.folder.check(self.config)
        return self._train(*self._start())[1]

    def validate(self, workers: int) -> Validation:
        """Validate a run that has been trained; everything else is taken from its folder."""
        setup, costs = self._start()
        twin, result = self._train(setup, costs)
        return self._validate(setup, twin, result, workers)

    def _start(
        self, before: Callable[[Setup], object] = lambda setup: None
    ) -> tuple[Setup, LevelPricing]:
        return self.folder.start(
            self.config,
            self.steps,
            surrogate=self.needs_fit,
            executor=self.executor,
            before=before,
        )

    def _train_float(self, setup: Setup) -> FloatTraining:
        with self.steps.step("float network", "training the float network") as progress:
            trained = train_float(
                setup.network,
                setup.images,
                self.config.training,
                seed=self.config.seed,
                on_batch=progress,
                start=setup.start,
            )
        self.steps.say(
            f"float network: {score_text(trained.accuracies[-1], regression=setup.images.regression)} on"
            f" {len(setup.images.x_test):,} test images"
        )
        return trained

    def _train(self, setup: Setup, costs: Pricing) -> tuple[MemristorTwin, TrainResult]:
        twin = setup.twin()
        self.steps.say(network_text(network_name(setup.network), twin))
        with self.steps.step("training", "training the memristor twin") as progress:
            result = setup.train(
                twin,
                costs,
                say=self.steps.say,
                on_batch=progress,
                on_epoch=lambda epoch: self._say(epoch, regression=setup.images.regression),
                checkpoint=self.folder.path / "checkpoint.h5",
            )
        return twin, result

    def _say(self, epoch: EpochRecord, *, regression: bool) -> None:
        self.steps.say(epoch_text(epoch, regression=regression))
        if epoch.epoch == 1:
            self.steps.say(cost_text(epoch, self.config.device.drivers))

    def _footprint(self, setup: Setup, twin: MemristorTwin) -> Footprint:
        with self.steps.step("inference", "energy, latency and area of an inference"):
            return footprint(twin, setup.images.x_test[:FOOTPRINTS], self.config.hardware)

    def _validate(
        self, setup: Setup, twin: MemristorTwin, result: TrainResult, workers: int = 1
    ) -> Validation:
        config, wanted = self.config, self.config.validation
        count = wanted.images or min(VALIDATED, len(setup.images.x_test))
        title = f"reading {count} images in {wanted.engine}"
        with self.steps.step("validation", title) as progress:
            found = validate(
                twin,
                setup.images,
                count,
                engine=setup.engine(wanted.engine),
                reference=setup.engine(trained_by(config, result.audits)),
                seed=config.seed,
                path=self.folder.path / f"validation-{wanted.engine}.h5",
                workers=workers,
                executor=self.executor,
                progress=progress,
            )
        self.steps.say(validation_text(found))
        return found
