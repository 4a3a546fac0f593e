"""What a configuration stands for: levels, tile, write costs, images, network, twin and options."""

__all__ = [
    "VALIDATED",
    "auditor_of",
    "cell_levels",
    "cell_tile",
    "chosen_images",
    "engines_of",
    "network_of",
    "train_options",
    "twin_of",
    "write_costs",
    "write_spread",
    "write_tolerance",
]

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from ...circuits.array.cell import Cell
from ...circuits.array.tile import Tile
from ...circuits.programming.design import design_recipe, fitted_range
from ...circuits.programming.fractional_moves import make_vain
from ...circuits.programming.population import Spread, spread_from_fit
from ...circuits.programming.table import load_table, make_table
from ...data.dataset import ImageSet
from ...data.errors import InputError
from ...data.types import Progress
from ...devices.device import Device, load_device
from ...devices.levels import Levels, make_levels
from ...devices.pulses.nominal import nominal_pricing
from ...devices.pulses.open_loop import open_loop_costs
from ...devices.pulses.pricing import LevelPricing
from ...devices.spread.record import saved
from ..network import AveragePool, MaxPool, Network, lenet, mlp
from ..trainer.audit import Auditor
from ..trainer.loop import build_twin
from ..trainer.trainer import TrainOptions
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin
from .config import RunConfig

TOP_STATE = 0.95
"""State of the highest level of a device that does not say which states it was fitted in."""

FINEST = 0.02
"""Narrowest band of write-verify [level steps], where no programming error is asked for."""


def cell_levels(config: RunConfig) -> Levels:
    """Return the levels of the run's device, its area scaled so that the highest one has the wanted conductance."""
    wanted = config.device
    device = load_device(wanted.name).scaled(1.0)
    top = float(device.meta.get("x_max", TOP_STATE))
    area = wanted.g_max / float(device.conductance(top, wanted.v_read))
    return make_levels(
        device.scaled(area),
        wanted.levels,
        wanted.v_read,
        g_min=wanted.g_max / wanted.on_off,
        g_max=wanted.g_max,
        spacing=wanted.spacing,
    )


def cell_tile(config: RunConfig, levels: Levels) -> Tile:
    """Return the run's tile, the scaled device in every cell, or a resistor if that is wanted."""
    v_read, wanted = levels.v_read, config.tile.access
    access = None if wanted is None else wanted.device()
    cell = (
        Cell.resistor(v_read, access)
        if config.device.linear
        else Cell(levels.device, v_read, access)
    )
    plain = {
        item.name: getattr(config.tile, item.name) for item in fields(Tile) if item.name != "cell"
    }
    return Tile(**plain, cell=cell)


def write_costs(
    config: RunConfig,
    levels: Levels,
    progress: Progress | None = None,
    *,
    path: str | Path | None = None,
) -> LevelPricing:
    """Return what writes of the run's device cost, from where ``device.pricing`` says.

    A table of write-verify loops is taken from ``path`` if it is there, else made and kept there.

    Raises
    ------
    InputError
        If the device's dynamics don't allow such a price.
    """
    wanted = config.device.pricing
    if wanted == "nominal":
        return nominal_pricing(levels.count, g_levels=levels.g)
    if not levels.device.dynamic:
        raise InputError(
            f"device.pricing: device {levels.device.name} has no dynamics"
            f" ({levels.device.model.name}), so that pulses on it have no price: choose 'nominal'"
        )
    if wanted == "open loop":
        return open_loop_costs(levels).pricing()
    spread = write_spread(config, levels.device)
    if path is not None and Path(path).exists():
        table = load_table(path)
        if table.spread.tree() != spread.tree():
            raise InputError(
                f"{path} was made for devices that differ otherwise than [device] says: a law's file"
                " has changed, or choose another folder"
            )
        return table.pricing(make_vain(levels, table.recipe))
    if fitted_range(levels.device) is None:
        raise InputError(
            f"device.pricing: device {levels.device.name} does not say on which voltages it was"
            " fitted, between which write-verify stays: choose 'open loop'"
        )
    recipe = design_recipe(levels, tolerance=write_tolerance(config, levels))
    table = make_table(levels, recipe, spread, seed=config.seed, progress=progress)
    if path is not None:
        table.save(path)
    return table.pricing(make_vain(levels, recipe))


def write_spread(config: RunConfig, device: Device) -> Spread:
    """Return how the run's devices differ where they are written."""
    wanted = config.device
    c2c, read = (
        saved(subject, getattr(wanted, name), f"device.{name}")
        for subject, name in (("pulses", "pulse_spread"), ("read", "verify_noise"))
    )
    if wanted.parameter_spread is None:
        return spread_from_fit(device, c2c=c2c, read=read)
    d2d = saved("parameters", wanted.parameter_spread, "device.parameter_spread")
    return Spread(d2d, c2c, read)


def write_tolerance(config: RunConfig, levels: Levels) -> float:
    """Return the half width of the band that write-verify accepts, in steps between levels, the
    smallest where they differ.

    What it leaves is about uniform in the band, so that the band follows from the programming error
    that training reckons with, however many levels there are; it ends at a quarter step.
    """
    high = config.device.g_max
    span = high - high / config.device.on_off
    law = config.effects.laws.programming
    share = law.share(span)
    if share is None:
        g = np.linspace(high - span, high, config.device.levels)
        share = float(np.sqrt(np.mean(np.square(law.sigma(g, span) / span))))
    steps = 3.0**0.5 * share * (config.device.levels - 1)
    if config.device.spacing != "even":
        steps *= levels.step / float(np.diff(levels.g).min())
    return float(np.clip(steps, FINEST, 0.25))


VALIDATED = 200
"""Test images that a validation reads, where the configuration leaves it open and there are more."""


def chosen_images(images: ImageSet, config: RunConfig) -> ImageSet:
    """Keep the first images of each part, as many as the configuration asks for."""
    train, test = config.images.train, config.images.test
    for name, wanted, there in (
        ("images.train", train, len(images.x_train)),
        ("images.test", test, len(images.x_test)),
        ("validation.images", config.validation.images, test or len(images.x_test)),
    ):
        if wanted is not None and wanted > there:
            kept = " to test on" if name == "validation.images" else ""
            raise InputError(f"{name}: {wanted} images asked for, {images.name} has {there}{kept}")
    chosen = replace(
        images,
        x_train=images.x_train[:train],
        y_train=images.y_train[:train],
        x_test=images.x_test[:test],
        y_test=images.y_test[:test],
    )
    highest = int(chosen.y_test.max())
    if highest >= chosen.classes:
        raise InputError(
            f"images.train: a test image has the label {highest}, the first {train} training images"
            f" only labels up to {chosen.classes - 1}: train on more images"
        )
    return chosen


def network_of(config: RunConfig, images: ImageSet) -> Network:
    """Return the run's network, of the size that ``images`` need."""
    pixels, wanted = images.x_train.shape[1], config.network
    if wanted.kind == "mlp":
        return mlp(pixels, *wanted.hidden, images.classes)
    height, width = images.shape
    if height != width or images.classes > 10:
        raise InputError(
            f"network.kind: a lenet takes square images of ten classes, {images.name} has"
            f" {height} × {width} pixels and {images.classes} classes"
        )
    pool = AveragePool if wanted.pool == "average" else MaxPool
    try:
        return lenet(wanted.channels, height, pool)
    except InputError as error:
        raise InputError(
            f"network.kind: images of {height} × {width} pixels are too small for a lenet"
            f" ({error}); choose kind = 'mlp'"
        ) from error


def twin_of(
    config: RunConfig, network: Network, levels: Levels, tile: Tile, engine: EngineFactory
) -> MemristorTwin:
    """Return the run's memristor twin, read through ``engine``."""
    return build_twin(
        network,
        tile=tile,
        engine=engine,
        g_levels=levels.g,
        v_read=levels.v_read,
        clip=config.training.clip,
        effects=config.effects,
        options=config.mapping,
        seed=config.seed,
    )


def train_options(config: RunConfig) -> TrainOptions:
    """Return the options of the run's training."""
    wanted = config.training
    own = {
        item.name: getattr(wanted, item.name)
        for item in fields(TrainOptions)
        if item.name != "rule_options" and hasattr(wanted, item.name)
    }
    return TrainOptions(**own, rule_options=wanted.of_rule, seed=config.seed)


def audited(config: RunConfig) -> bool:
    """Return whether the run's training is audited."""
    return bool(config.audit.every) and config.training.engine not in ("ideal", config.audit.engine)


def engines_of(config: RunConfig) -> set[str]:
    """Return the names of the engines that a run goes through."""
    audits = {config.audit.engine, config.audit.fallback} - {"none"} if audited(config) else set()
    return {config.training.engine, config.validation.engine} | audits


def auditor_of(config: RunConfig, engine: Callable[[str], EngineFactory]) -> Auditor | None:
    """Return what audits the run's training, ``engine(name)`` giving the makers of engines; or
    ``None`` where nothing is to be audited.
    """
    wanted = config.audit
    if not audited(config):
        return None
    return Auditor(
        engine(wanted.engine),
        every=wanted.every,
        vectors=wanted.vectors,
        bar_percent=wanted.bar_percent,
        fallback=None if wanted.fallback == "none" else engine(wanted.fallback),
    )
