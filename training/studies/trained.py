"""A network that is trained, as its studies take it: what its devices hold, and how it may be
changed.
"""

__all__ = ["CHANGEABLE", "Condition", "Trained", "condition_of", "with_change"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...circuits.array.tile import Tile
from ...circuits.engines.ideal import Ideal
from ...circuits.registry import known_engine, make_engine
from ...data.errors import InputError
from ...data.records.store import digest, pack
from ...data.types import Array32
from ...devices.device import Device
from ...devices.spread.effects import TABLE, Effects
from ...devices.spread.relaxation import Jump
from ..runs.build import ambient_of, crossbar_of, effects_of
from ..runs.config import FITTED, RunConfig, changed_config
from ..runs.setup import Setup
from ..seeds import generator
from ..twin.crossbar import Crossbar
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin
from .hardware import FOOTPRINTS, Footprint, footprint

CHANGEABLE = (
    "device.temperature",
    "effects.",
    "hardware.",
    "mapping.adc_bits",
    "mapping.dac_bits",
    "mapping.drive",
    "mapping.gain",
    "mapping.signed",
    "tile.amplifier",
    "tile.drive",
    "tile.r_",
    "tile.sense",
    "tile.parasitics.",
    "tile.wire_",
)
"""Keys of a configuration that may be others in a study than in the training, by how they begin."""

WRITTEN = ("programming", "reach", "wear")
"""Effects that act when devices are written: other ones need an array that is programmed anew."""


@dataclass(frozen=True)
class Condition:
    """What is otherwise when a trained network is read.

    Attributes
    ----------
    changes
        Keys of the configuration and their values, see :data:`CHANGEABLE`.
    engine
        What reads the tiles; the one that trained when ``None``.
    after
        Seconds since the devices were written. Ages that effects count in updates are counted in
        ``effects.seconds``, or seconds.
    recalibrate
        Whether digital gains and ADC ranges are calibrated again, on training images, against the
        conductances of the end of the training, before the images are read; else they are those of
        then.
    anew
        Whether the levels are programmed into a new array, whose devices are drawn anew; else the
        array is the one that was trained, with new faults.
    """

    changes: tuple[tuple[str, Any], ...] = ()
    engine: str | None = None
    after: float = 0.0
    recalibrate: bool = False
    anew: bool = False

    def __post_init__(self) -> None:
        """Refuse times that are none, and engines that there are not."""
        if not 0.0 <= self.after < np.inf:
            raise InputError(f"after: expected seconds, 0 or more, got {self.after!r}")
        if self.engine is not None:
            known_engine(self.engine)

    def __str__(self) -> str:
        said = [f"{key}={value}" for key, value in self.changes]
        said += [f"after {self.after:g} s"] if self.after else []
        said += ["recalibrated"] if self.recalibrate else []
        said += ["programmed anew"] if self.anew else []
        return ", ".join(said) or "as trained"


def condition_of(config: RunConfig, condition: Condition) -> RunConfig:
    """Return the configuration that a condition makes of a run's.

    Raises
    ------
    InputError
        If a key is unknown, can't have the value, or can't be changed after training.
    """
    for key, _ in condition.changes:
        if not key.startswith(CHANGEABLE):
            may = ", ".join(f"{name}*" if name[-1] in "._" else name for name in CHANGEABLE)
            raise InputError(f"{key} can't change in a network that is trained; what can: {may}")
    return changed_config(config, condition.changes)


@dataclass(frozen=True)
class Trained:
    """What inference needs of a finished run; it can be sent to other processes.

    Attributes
    ----------
    setup
        What the run was built from, its images those to read and those to calibrate on.
    state
        Of the trained twin.
    engine
        The engine that training ended with.
    indices
        Places of the images in the test set.
    """

    setup: Setup
    state: Mapping[str, Any]
    engine: str
    indices: Any

    @property
    def config(self) -> RunConfig:
        """Of the run."""
        return self.setup.config

    @property
    def count(self) -> int:
        """Number of images to read."""
        return len(self.indices)

    @cached_property
    def identity(self) -> str:
        """Hash of all that a reading of its images depends on, but for the condition."""
        images = self.setup.images
        return digest(
            dict(self.state),
            pack(self.setup.tile),
            repr(self.setup.network),
            self.config.seed,
            images.name,
            images.digest,
            np.asarray(self.indices),
        )

    def twin(self, condition: Condition, draw: int = 0) -> MemristorTwin:
        """Return the network under a condition; ``draw`` counts arrays that are drawn alike."""
        config = condition_of(self.config, condition)
        crossbar, warm = self._crossbar(config), self._warm(config)
        same_tile = digest(pack(crossbar.tile)) == digest(pack(self.setup.tile))
        rng = generator(config.seed, "studying", draw)
        anew = condition.anew or self.written(condition)
        if not anew and not any(key.startswith("effects.stuck") for key, _ in condition.changes):
            # The faults of the training are in what its devices hold.
            effects = replace(crossbar.effects, stuck=0.0, stuck_high=0.0)
            crossbar = replace(crossbar, effects=effects)
        engine = Ideal if warm else self._engine(condition, same_tile)
        twin = MemristorTwin(self.setup.network, crossbar, engine, rng)
        for k, matrix in enumerate(twin.matrices):
            matrix.deploy(self.state[str(k)], rng, anew=anew, seconds=condition.after)
        twin.restore_digital(self.state)
        if warm is not None:
            engine = self._engine_of(condition, crossbar.tile.holding(warm))
            for matrix in twin.matrices:
                matrix.hold(self.setup.levels.device, warm, engine)
        if condition.recalibrate or crossbar.mapping != self.setup.crossbar.mapping:
            meant = [self.state[str(k)]["devices"]["g"] for k in range(len(twin.matrices))]
            twin.calibrate(self.calibration, meant)
        return twin

    def written(self, condition: Condition) -> bool:
        """Return whether a condition changes what happens when devices are written."""
        one = self.setup.crossbar.effects
        other = self._effects(condition_of(self.config, condition))
        names = {*WRITTEN, "relaxation"} if isinstance(other.laws.relaxation, Jump) else WRITTEN
        before, now = one.identity(), other.identity()
        return any(digest(before.get(name)) != digest(now.get(name)) for name in names)

    @property
    def calibration(self) -> Array32:
        """Training images that gains are calibrated on."""
        return self.setup.images.x_train

    @property
    def labels(self) -> Any:
        """True classes, (n,), or scaled targets, (n, targets), of the images."""
        return self.setup.images.y_test

    def check(self, condition: Condition) -> None:
        """Refuse a condition that can't be."""
        config = condition_of(self.config, condition)
        self._crossbar(config)
        self._warm(config)

    def warm(self, conditions: Sequence[Condition]) -> None:
        """Do once what all readings share, before they go to other processes."""
        for name in {condition.engine or self.engine for condition in conditions}:
            self.setup.engine(name)

    def noise(self, draw: int, chunk: int) -> np.random.Generator:
        """Return what draws the read noise of a part of the images, whoever reads the others."""
        return generator(self.config.seed, "studying", draw).spawn(chunk + 1)[chunk]

    def ages(self, condition: Condition) -> bool:
        """Return whether devices change with time under a condition."""
        return bool(self._effects(condition_of(self.config, condition)).laws.later)

    def footprint(self, condition: Condition | None = None) -> Footprint:
        """Return what one inference costs under a condition, by ``[hardware]`` of its
        configuration.
        """
        condition = condition or Condition()
        x = self.setup.images.x_test[:FOOTPRINTS]
        options = condition_of(self.config, condition).hardware
        return footprint(self.twin(condition), x, options)

    def _crossbar(self, config: RunConfig) -> Crossbar:
        """Return what the levels were written into, at the temperature of then; what happens to them
        later happens at the temperature of now.
        """
        device = config.device.model_copy(
            update={"temperature": self.config.device.temperature},
        )
        made = crossbar_of(config.model_copy(update={"device": device}))
        return replace(made, effects=self._effects(config))

    def _effects(self, config: RunConfig) -> Effects:
        """Return what happens to the trained devices, with the laws that names stand for."""
        effects = effects_of(config, self.setup.levels)
        if self.config.effects.programming != TABLE:
            return effects
        # What writes leave of their targets is what they left in training.
        return effects.resolved(TABLE, {"programming": self.setup.crossbar.effects.programming})

    def _warm(self, config: RunConfig) -> Device | None:
        """Return the devices at the temperature of a condition; ``None`` where that changes no read."""
        now = config.device.temperature
        if now is None or now == ambient_of(self.config):
            return None
        device = self.setup.levels.device
        if not device.model.ambient and config.effects.activation > 0.0:
            return None
        return device.at(now)

    def _engine_of(self, condition: Condition, tile: Tile) -> EngineFactory:
        """Return the engine of a tile of other devices; what was fitted to the trained one is left aside."""
        name, temperature = condition.engine or self.engine, tile.cell.device.temperature
        if name in FITTED:
            return partial(make_engine, name)
        if temperature not in self._elsewhere:
            crossbar = replace(self.setup.crossbar, tile=tile)
            self._elsewhere[temperature] = replace(self.setup, crossbar=crossbar, fit=None)
        return self._elsewhere[temperature].engine(name)

    @cached_property
    def _elsewhere(self) -> dict[float | None, Setup]:
        """What was built for other temperatures [K]."""
        return {}

    def _engine(self, condition: Condition, same_tile: bool) -> EngineFactory:
        name = condition.engine or self.engine
        if name in FITTED and not same_tile:
            # What was fitted belongs to the tile that was characterised.
            return lambda tile: make_engine(name, tile)
        return self.setup.engine(name)


def with_change(
    changes: Sequence[tuple[str, Any]], key: str, value: Any
) -> tuple[tuple[str, Any], ...]:
    """Return ``changes`` with ``key`` at ``value``.

    Parameters
    ----------
    changes
        Keys with values.
    key
        The key that changes.
    value
        What it becomes.
    """
    return (*((name, held) for name, held in changes if name != key), (key, value))
