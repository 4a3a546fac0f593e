"""The main job: a fitted device in, a trained and SPICE-validated network out, with a record of all of it.

Every step leaves its result in the run's folder, whole or not at all, and is taken from there when a run is continued:
``config.json``, ``characterisation.h5``, ``surrogate.h5``, ``checkpoint.h5`` (after every epoch), ``validation.h5`` and
``run.h5``, the record that reports are made from.
"""

__all__ = [
    "Listener",
    "Silent",
    "new_folder",
    "run",
    "stored_config",
    "train_run",
    "validate_run",
]

import json
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..circuits import ngspice
from ..circuits.characterise import characterise, load_characterisation
from ..circuits.engine import make_engine
from ..circuits.ideal import Ideal
from ..circuits.surrogate_fit import SurrogateFit, fit_surrogate
from ..circuits.tile import Tile
from ..data.errors import InputError, MemtwinError
from ..data.images import ImageSet, load_images
from ..data.store import write_record, write_text
from ..data.types import Progress
from ..devices.levels import Levels
from .config import RunConfig, parse_config
from .configured import cell_levels, cell_tile, chosen_images, train_options, write_costs
from .effects import Effects
from .ledger import WriteCosts
from .mapping import EngineFactory
from .network import Network, mlp
from .record import (
    KIND,
    device_tree,
    epochs_tree,
    layers_tree,
    levels_tree,
    load_run,
    summarise,
    versions,
)
from .results import EpochRecord, TrainResult
from .train import build_twin, train, train_float
from .twin import MemristorTwin
from .validate import Validation, validate


class Listener(Protocol):
    """Hears what a run is doing."""

    def step(self, title: str) -> AbstractContextManager[Progress]:
        """Enter a step; what is yielded is called with its progress."""

    def say(self, sentence: str) -> None:
        """Hear what came out of a step."""


class Silent:
    """A listener that keeps quiet."""

    def step(self, title: str) -> AbstractContextManager[Progress]:
        """Ignore a step's progress."""
        return nullcontext(lambda done, total: None)

    def say(self, sentence: str) -> None:
        """Ignore what came out."""


def stored_config(folder: str | Path) -> RunConfig:
    """Return the configuration with which the run in ``folder`` was started."""
    path = Path(folder) / "config.json"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no run: there is no {path.name} in it") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    return parse_config(tree, str(path))


def new_folder(out: str | Path | None, config: RunConfig) -> Path:
    """Return the folder for a new run, ``runs/NAME-SEED`` or the next free name; an existing run is never written over.

    Raises
    ------
    InputError
        If ``out`` names a folder that already holds a run.
    """
    if out is not None:
        if (Path(out) / "config.json").exists():
            raise InputError(
                f"{out} already holds a run: continue it with --resume {out}, or choose another folder"
            )
        return Path(out)
    base = Path("runs") / f"{config.name}-{config.seed}"
    names = (base if k == 1 else base.with_name(f"{base.name}-{k}") for k in range(1, 10_000))
    return next(name for name in names if not (name / "config.json").exists())


def run(
    config: RunConfig,
    folder: str | Path,
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Do the whole job in ``folder``, or what is left of it there, and return the record.

    ngspice reads tiles on ``executor`` if one is given, else in processes of its own here.

    Raises
    ------
    InputError
        If the configuration can't be met, or ``folder`` holds a run with another one.
    MemtwinError
        If a step fails; what was finished stays in the folder.
    """
    return _Job(config, Path(folder), listener or Silent(), executor).run()


def train_run(
    config: RunConfig,
    folder: str | Path,
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> TrainResult:
    """Do the job up to the end of the training, or what is left of it in ``folder``.

    :func:`run` on the same folder does the rest. Raises as it does.
    """
    return _Job(config, Path(folder), listener or Silent(), executor).train()


def validate_run(
    folder: str | Path,
    *,
    engine: str | None = None,
    images: int | None = None,
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> Validation:
    """Read test images of a finished run through ``engine``, by default as the run was configured.

    Images that have been read before are not read again.

    Raises
    ------
    InputError
        If there is no finished training in ``folder``, or no such engine.
    """
    folder, config = Path(folder), stored_config(folder)
    if not (folder / "run.h5").exists():
        raise InputError(f"the run in {folder} is not finished: memtwin run --resume {folder}")
    changes = {
        "engine": engine or config.validation.engine,
        "images": images or config.validation.images,
    }
    tree = config.model_dump() | {"validation": changes}
    settings = parse_config(tree, "validate")
    return _Job(settings, folder, listener or Silent(), executor).validate()


@dataclass(frozen=True)
class _Setup:
    """What training and validation share."""

    config: RunConfig
    images: ImageSet
    levels: Levels
    tile: Tile
    check: dict[str, Any]
    engines: dict[str, EngineFactory]

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.images.x_train.shape[1], *self.config.network.hidden, self.images.classes

    @property
    def network(self) -> Network:
        return mlp(*self.sizes)

    @property
    def network_name(self) -> str:
        return "-".join(map(str, self.sizes))


@dataclass
class _Job:
    config: RunConfig
    folder: Path
    listener: Listener
    executor: Executor | None
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        started = time.perf_counter()
        self._claim()
        features = ngspice.features()
        setup = self._set_up()
        float_accuracy = self._train_float(setup)
        costs = self._write_costs(setup.levels)
        twin, result = self._train(setup, costs)
        validation = self._validate(setup, twin)
        self.seconds["all"] = time.perf_counter() - started
        record = {
            "config": self.config.model_dump_json(),
            "versions": versions(features),
            "seconds": self.seconds,
            "network": setup.network_name,
            "device": device_tree(setup.levels.device),
            "levels": levels_tree(setup.levels, setup.tile.cell),
            "surrogate": setup.check,
            "write_cost": asdict(costs),
            "epochs": epochs_tree(result.records, float_accuracy),
            "layers": layers_tree(twin, result),
            "validation": validation.tree(),
        }
        record["summary"] = summarise(record)
        write_record(self.folder / "run.h5", KIND, record)
        return load_run(self.folder)

    def train(self) -> TrainResult:
        """Do the job up to the end of the training."""
        self._claim()
        setup = self._set_up()
        return self._train(setup, self._write_costs(setup.levels))[1]

    def validate(self) -> Validation:
        """Validate a run that has been trained; everything else is taken from its folder."""
        setup = self._set_up()
        twin, _ = self._train(setup, self._write_costs(setup.levels))
        return self._validate(setup, twin)

    def _set_up(self) -> "_Setup":
        config = self.config
        with self._step("images", f"loading {config.images.name}") as progress:
            images = chosen_images(load_images(config.images.name, progress=progress), config)
        levels = cell_levels(config)
        tile = cell_tile(config, levels)
        self.listener.say(_device_text(levels))
        fitted, check = self._surrogate(tile, levels)
        engines: dict[str, EngineFactory] = {
            "ideal": Ideal,
            "surrogate": fitted.engine,
            "line": fitted.line,
            "spice": partial(make_engine, "spice", workers=config.workers, executor=self.executor),
        }
        return _Setup(config, images, levels, tile, check, engines)

    def _train_float(self, setup: "_Setup") -> list[float]:
        options = train_options(self.config)
        with self._step("float network", "training the float network") as progress:
            accuracy, _ = train_float(setup.network, setup.images, options, on_batch=progress)
        self.listener.say(
            f"float network: {100 * accuracy[-1]:.2f} % on {len(setup.images.x_test):,} test images"
        )
        return accuracy

    def _write_costs(self, levels: Levels) -> WriteCosts:
        with self._step("write cost", "pulsing the device between levels") as progress:
            return write_costs(self.config, levels, progress, path=self.folder / "write_table.h5")

    def _train(self, setup: "_Setup", costs: WriteCosts) -> tuple[MemristorTwin, TrainResult]:
        config, levels = self.config, setup.levels
        twin = build_twin(
            setup.network,
            tile=setup.tile,
            engine=setup.engines[config.training.engine],
            g_levels=levels.g,
            v_read=levels.v_read,
            clip=config.training.clip,
            effects=Effects(programming=config.effects.programming, read=config.effects.read),
            seed=config.seed,
        )
        self.listener.say(
            f"network: {setup.network_name}, {twin.devices:,} devices on {twin.tiles} tiles of"
            f" {setup.tile.rows}×{setup.tile.cols}"
        )
        with self._step("training", "training the memristor twin") as progress:
            result = train(
                twin,
                setup.images,
                train_options(config),
                costs,
                on_batch=progress,
                on_epoch=lambda epoch: self.listener.say(_epoch_text(epoch)),
                checkpoint=self.folder / "checkpoint.h5",
                resume=True,
            )
        return twin, result

    def _validate(self, setup: "_Setup", twin: MemristorTwin) -> Validation:
        config, wanted = self.config, self.config.validation
        count = min(wanted.images, len(setup.images.x_test))
        with self._step("validation", f"reading {count} images in {wanted.engine}") as progress:
            found = validate(
                twin,
                setup.images,
                count,
                engine=setup.engines[wanted.engine],
                name=wanted.engine,
                reference=setup.engines[config.training.engine],
                seed=config.seed,
                path=self.folder / f"validation-{wanted.engine}.h5",
                progress=progress,
            )
        self.listener.say(_validation_text(found, config.training.engine))
        return found

    def _claim(self) -> None:
        """Take the folder for this configuration, or make sure that it already has it."""
        path = self.folder / "config.json"
        if path.exists():
            if stored_config(self.folder) != self.config:
                raise InputError(
                    f"{self.folder} holds a run with another configuration: choose another folder"
                )
            return
        write_text(path, self.config.model_dump_json(indent=2) + "\n")

    @contextmanager
    def _step(self, name: str, title: str) -> Iterator[Progress]:
        started = time.perf_counter()
        with self.listener.step(title) as progress:
            yield progress
        self.seconds[name] = time.perf_counter() - started

    def _surrogate(self, tile: Tile, levels: Levels) -> tuple[SurrogateFit, dict[str, Any]]:
        """Characterise the tile in ngspice and fit the surrogate, or take the characterisation that is there."""
        config, path = self.config, self.folder / "characterisation.h5"
        with self._step("characterisation", "characterising cell and tile in ngspice") as progress:
            if not path.exists():
                characterise(
                    tile,
                    levels,
                    vectors=config.surrogate.vectors,
                    held_out=config.surrogate.held_out,
                    seed=config.seed,
                    workers=config.workers,
                    progress=progress,
                ).save(path)
        # From the file even when it is new: arrays read back may lie otherwise in memory, and a
        # resumed run must repeat to the last bit.
        record = load_characterisation(path)
        with self._step("surrogate", "fitting the surrogate"):
            fitted = fit_surrogate(record)
        check = fitted.check(record).tree()
        self.listener.say(
            f"surrogate: NRMSE {check['nrmse_percent']:.4f} %, largest error {check['max_error_percent']:.3f} % of full"
            f" scale on {len(check['spice'])} held-out ngspice vectors;"
            f" without wires {check['ideal_nrmse_percent']:.2f} %"
        )
        if (
            config.training.engine == "surrogate"
            and check["nrmse_percent"] > config.surrogate.bar_percent
        ):
            raise MemtwinError(
                f"the surrogate misses its bar on held-out ngspice vectors ({check['nrmse_percent']:.3f} % against"
                f" {config.surrogate.bar_percent:g} %): train with --engine line, or lower device.v_read"
            )
        return fitted, check


def _device_text(levels: Levels) -> str:
    device = levels.device
    return (
        f"device: {device.name} ({device.model.title}), area × {device.area:.4g} of the measured one, {levels.count}"
        f" levels from {1e6 * levels.g[0]:.3g} to {1e6 * levels.g[-1]:.3g} µS at {levels.v_read:g} V"
    )


def _epoch_text(epoch: EpochRecord) -> str:
    row = epoch.summary()
    return (
        f"epoch {epoch.epoch}: {100 * epoch.test_accuracy:.2f} %, {int(row['writes']):,} writes"
        f" ({row['writes_removed_percent']:.2f} % fewer than closed loop), {epoch.seconds:.1f} s"
    )


def _validation_text(found: Validation, reference: str) -> str:
    low, high = found.interval
    return (
        f"{found.engine}: {100 * found.accuracy:.1f} % of {len(found.labels)} images (95 %: {100 * low:.1f} to"
        f" {100 * high:.1f} %), {reference}: {100 * found.reference_accuracy:.1f} %; they agree on"
        f" {found.agreement} of {len(found.labels)}"
    )
