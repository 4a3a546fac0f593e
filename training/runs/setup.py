"""What every job starts from: images, levels, tile, network, and the engines that read the tile.

Running, training alone, comparing and benchmarking all build here, from a configuration::

    setup = set_up(load_config("balanced"), characterisation="characterisation.h5")
    costs = write_costs(setup.config, setup.levels)
    result = setup.train(setup.priced(costs).twin(), costs)
"""

__all__ = ["Setup", "characterised", "fitted", "set_up"]

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.array.tile import Tile
from ...circuits.engines.ideal import Ideal, faithful_law
from ...circuits.lines.cell_law import Law
from ...circuits.osdi.choice import chosen
from ...circuits.registry import make_engine
from ...circuits.surrogate.characterise import Characterisation, characterise, load_characterisation
from ...circuits.surrogate.fit import SurrogateFit, fit_surrogate
from ...circuits.surrogate.torch_arrays import torch_arrays
from ...data.dataset import Dataset, load_data
from ...data.errors import InputError, MemtwinError
from ...data.records.store import pack
from ...data.types import Progress
from ...devices.device import Levels
from ...devices.pulses.costs import Pricing
from ...devices.pulses.pricing import LevelPricing
from ...devices.spread.effects import TABLE
from ..network import Network
from ..pretrained import Pretrained, load_weights
from ..trainer.audit import Auditor
from ..trainer.loop import build_twin, train
from ..trainer.results import EpochRecord, TrainResult
from ..twin.crossbar import Crossbar
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin
from .build import auditor_of, chosen_images, crossbar_of, network_of, pulses_of, window_of
from .config import FITTED, RunConfig
from .listener import Steps
from .wording import audit_text, data_text, device_text, surrogate_text


@dataclass(frozen=True)
class Setup:
    """Everything that a configuration stands for before training."""

    config: RunConfig
    images: Dataset
    crossbar: Crossbar
    network: Network
    fit: SurrogateFit | None = None
    """Fitted to ngspice; ``None`` where no engine needs it."""
    check: dict[str, Any] | None = None
    """What the fit is worth on held-out vectors."""
    executor: Executor | None = None
    """Where ngspice runs, if not in processes of its own here."""
    start: Pretrained | None = None
    """Float weights to start from; ``None`` for weights from the seed."""

    @property
    def tile(self) -> Tile:
        """The largest tile."""
        return self.crossbar.tile

    @property
    def levels(self) -> Levels:
        """What its devices are programmed to."""
        return self.crossbar.levels

    @property
    def devices(self) -> str:
        """How devices stand in ngspice's decks: ``"compiled"`` or ``"behavioural"``."""
        compiled = chosen(self.config.devices, self.tile.cell)
        return "behavioural" if compiled is None else "compiled"

    def engine(self, name: str) -> EngineFactory:
        """Return what makes the engine called ``name``; ``surrogate`` and ``line`` have the fitted
        device law and resistances, ``ideal`` that law, or one made from the cell's own equations.
        """
        if name in FITTED:
            if self.fit is None:
                raise InputError(f"the engine {name} needs a surrogate, which was not fitted here")
            if name == "line":
                return self.fit.line
            on = self.config.training.device
            return self.fit.engine if on is None else partial(self.fit.engine, **torch_arrays(on))
        if name == "spice":
            return partial(
                make_engine,
                "spice",
                workers=self.config.workers,
                executor=self.executor,
                memory=self.config.worker_memory,
                devices=self.config.devices,
            )
        if name == "vacask":
            return partial(
                make_engine,
                "vacask",
                workers=self.config.workers,
                memory=self.config.worker_memory,
            )
        if name == "ideal":
            return partial(Ideal, law=self._own_law if self.fit is None else self.fit.law)
        return partial(make_engine, name)

    @cached_property
    def _own_law(self) -> Law | None:
        """Polynomials that follow the cell without wires, if any do; they make its reads quick."""
        return faithful_law(self.tile.cell, self.levels)

    def seeded(self, seed: int) -> "Setup":
        """Return the same setup for a training with another seed."""
        return replace(self, config=self.config.model_copy(update={"seed": seed}))

    def with_rule(self, rule: str) -> "Setup":
        """Return the same setup for a training by another update rule."""
        training = replace(self.config.training, rule=rule)
        config = self.config.model_copy(update={"training": training})
        crossbar = replace(self.crossbar, pulses=pulses_of(config, self.levels))
        return replace(self, config=config, crossbar=crossbar)

    def priced(self, costs: LevelPricing) -> "Setup":
        """Return the same setup with what the writes that ``costs`` are of leave of their targets, where
        ``effects.programming`` is that.

        Raises
        ------
        InputError
            If it is, and nobody has simulated these writes.
        """
        effects = self.crossbar.effects
        if effects.programming != TABLE:
            return self
        if costs.left is None:
            raise InputError(
                f"effects.programming: 'table' needs device.pricing = 'write-verify', not"
                f" {self.config.device.pricing!r}"
            )
        effects = effects.resolved(TABLE, {"programming": costs.left})
        return replace(self, crossbar=replace(self.crossbar, effects=effects))

    def twin(self) -> MemristorTwin:
        """Return a new memristor twin that is read through the training engine."""
        engine = self.engine(self.config.training.engine)
        return build_twin(
            self.network, self.crossbar, engine, seed=self.config.seed, start=self.start
        )

    def auditor(self) -> Auditor | None:
        """Return a new auditor, or ``None`` where none is asked for."""
        return auditor_of(self.config, self.engine)

    def train(
        self,
        twin: MemristorTwin,
        costs: Pricing,
        *,
        say: Callable[[str], None] | None = None,
        on_batch: Progress | None = None,
        on_epoch: Callable[[EpochRecord], bool | None] | None = None,
        checkpoint: Path | None = None,
    ) -> TrainResult:
        """Train ``twin`` as configured, on from ``checkpoint`` if that is there; ``say`` hears of
        every audit.

        Parameters
        ----------
        twin
            The memristor twin.
        costs
            What writes cost.
        say
            Called with a sentence on what came out.
        on_batch
            Called after every batch with how many are done, and of how many.
        on_epoch
            Called after every epoch with its record.
        checkpoint
            Where the training is kept after every epoch.
        """
        auditor = self.auditor()
        if auditor is not None and say is not None:
            auditor.on_record = lambda found: say(audit_text(found, self.config.audit))
        return train(
            twin,
            self.images,
            self.config.training,
            costs,
            seed=self.config.seed,
            on_batch=on_batch,
            on_epoch=on_epoch,
            auditor=auditor,
            checkpoint=checkpoint,
        )


def set_up(
    config: RunConfig,
    steps: Steps | None = None,
    *,
    characterisation: str | Path | None = None,
    surrogate: bool = True,
    executor: Executor | None = None,
) -> Setup:
    """Build what ``config`` stands for.

    Parameters
    ----------
    characterisation
        Record of the tile in ngspice, made and kept there if it is not there. Configurations whose
        device, tile and range of conductances are the same can share one.
    surrogate
        Whether to characterise and fit at all; the engines ``surrogate`` and ``line`` need it.
    config
        The configuration.
    steps
        Hears of the steps of a job.
    executor
        Where jobs run, by default in processes of its own here.

    Raises
    ------
    InputError
        If the configuration can't be met, or the characterisation is of another tile.
    MemtwinError
        If training is to go through the surrogate and that misses its bar.
    """
    steps = steps or Steps()
    if config.training.device is not None:
        torch_arrays(config.training.device)  # refuses what there is not
    with steps.step("images", f"loading {config.data.source}") as progress:
        found = load_data(config.data.source, progress=progress, **config.data.options)
        images = chosen_images(found, config)
    if config.data.path is not None:
        steps.say(data_text(images))
        for note in images.notes:
            steps.say(f"note: {note}")
    network = network_of(config, images)
    crossbar = crossbar_of(config)
    crossbar.parts(network.placings)  # refuses layers that ask for what there is not
    steps.say(device_text(crossbar.levels))
    if note := window_of(config).note:
        steps.say(f"warning: {note}")
    weights = config.network.weights
    start = None if weights is None else load_weights(network, weights)
    setup = Setup(config, images, crossbar, network, executor=executor, start=start)
    return fitted(setup, steps, characterisation) if surrogate else setup


def fitted(setup: Setup, steps: Steps, characterisation: str | Path | None = None) -> Setup:
    """Return ``setup`` with a surrogate, fitted to the ``characterisation``; see :func:`set_up`.

    Parameters
    ----------
    setup
        What training starts from.
    steps
        Hears of the steps of a job.
    characterisation
        Record of the same device and tile that is there already.
    """
    config = setup.config
    with steps.step("characterisation", "characterising cell and tile in ngspice") as progress:
        record = characterised(config, setup.tile, characterisation, progress)
    with steps.step("surrogate", "fitting the surrogate"):
        fit = fit_surrogate(record)
    check = fit.check(record).tree()
    steps.say(surrogate_text(check))
    error, bar = check["nrmse_percent"], config.surrogate.bar_percent
    if config.training.engine == "surrogate" and error > bar:
        raise MemtwinError(
            f"the surrogate misses its bar on held-out ngspice vectors ({error:.3f} % against"
            f" {bar:g} %): train with --engine line, or lower device.v_read"
        )
    return replace(setup, fit=fit, check=check)


def characterised(
    config: RunConfig,
    tile: Tile,
    path: str | Path | None = None,
    progress: Progress | None = None,
) -> Characterisation:
    """Return what ngspice says about the tile: the record at ``path``, made and kept there if need
    be.

    Parameters
    ----------
    config
        The configuration.
    tile
        The tile: its size, wires, periphery and cell.
    path
        Where the file is.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If that record is of another tile, device or range of conductances.
    """
    path = None if path is None else Path(path)
    if path is not None and path.exists():
        record = load_characterisation(path)
        _check_match(record, tile, path)
        return record
    record = characterise(
        tile,
        config.surrogate,
        seed=config.seed,
        workers=config.workers,
        memory=config.worker_memory,
        devices=config.devices,
        progress=progress,
    )
    if path is None:
        return record
    record.save(path)
    # From the file even when it is new: arrays read back may lie otherwise in memory, and a
    # resumed run must repeat to the last bit.
    return load_characterisation(path)


def _check_match(record: Characterisation, tile: Tile, path: Path) -> None:
    """Refuse a record of another tile, device or range of conductances; the number of levels
    between its ends may differ.
    """
    asked, stated = pack(tile), pack(record.tile)
    other = [name for name in stated if stated[name] != asked.get(name)]
    assert tile.levels is not None
    ends = tile.levels.g[[0, -1]]
    if not np.allclose(record.levels[[0, -1]], ends, rtol=1e-9, atol=0.0):
        other.append("levels' range")
    if other or asked.keys() != stated.keys():
        raise InputError(
            f"{path} characterises a tile that differs from the configured one in"
            f" {', '.join(other) or 'its parts'}: characterise anew"
        )
