"""What a configuration stands for: tile with levels, crossbar, write costs, images, network."""

__all__ = [
    "VALIDATED",
    "auditor_of",
    "chosen_images",
    "crossbar_of",
    "drawn",
    "engines_of",
    "levels_of",
    "network_of",
    "tile_of",
    "write_costs",
    "write_spread",
    "write_tolerance",
]

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from ...circuits.array.cell import Cell
from ...circuits.array.tile import Layout, Tile
from ...circuits.programming.design import design_recipe, fitted_range
from ...circuits.programming.fractional_moves import make_vain
from ...circuits.programming.population import Spread, spread_from_fit
from ...circuits.programming.table import load_table, make_table
from ...data.dataset import Dataset
from ...data.errors import InputError
from ...data.types import Array, Progress
from ...devices.device import Device, Levels, load_device
from ...devices.models import models
from ...devices.pulses.nominal import nominal_pricing
from ...devices.pulses.open_loop import open_loop_costs
from ...devices.pulses.pricing import LevelPricing
from ...devices.spread.record import saved
from ..layers.digital import AveragePool, MaxPool
from ..layers.written import written_layers
from ..network import Network, Residual, lenet, mlp
from ..trainer.audit import Auditor
from ..twin.crossbar import Crossbar
from ..twin.matrix import EngineFactory
from .config import RunConfig

G_MAX = 14e-6
"""Conductance of the highest level [S], where the configuration leaves it and the area open."""

ON_OFF = 10.0
"""Highest level over lowest level, where the configuration leaves it open and the device has it."""

TOP_STATE = 0.95
"""State of the highest level of a device that does not say which states it was fitted in; that of
the lowest level is as far from the other end, where the device does not reach lower.
"""

FINEST = 0.02
"""Narrowest band of write-verify [level steps], where no programming error is asked for."""


def levels_of(config: RunConfig) -> Levels:
    """Return the levels of the configured device, whose area is scaled so that the highest one has
    the wanted conductance, where no area is given.
    """
    wanted, device = config.device, _device(config.device.name)
    v_read, top = wanted.v_read, float(device.meta.get("x_max", TOP_STATE))
    if wanted.area is not None:
        device = device.scaled(wanted.area)
        g_max = wanted.g_max or float(device.conductance(top, v_read))
    else:
        g_max = wanted.g_max or G_MAX
        if np.isfinite(device.model.state_range).all():
            device = device.scaled(g_max / float(device.scaled(1.0).conductance(top, v_read)))
    g_min = wanted.g_min or g_max / (wanted.on_off or ON_OFF)
    if wanted.g_min is None and wanted.on_off is None:
        lowest, margin = device.model.state_range[0], 1.0 - TOP_STATE
        if g_min < float(device.conductance(lowest, v_read)):
            g_min = float(device.conductance(device.meta.get("x_min", lowest + margin), v_read))
    return device.levels(wanted.levels, v_read, g_min=g_min, g_max=g_max, spacing=wanted.spacing)


def _device(name: str) -> Device:
    return Device(name, models[name]) if name == "resistor" else load_device(name)


def tile_of(config: RunConfig) -> Tile:
    """Return the configured tile with its levels, the scaled device in every cell, or a resistor if
    that is wanted.
    """
    levels, access = levels_of(config), config.tile.access
    linear = config.device.linear
    cell = Cell.resistor(levels.v_read, access) if linear else Cell.of(levels, access)
    layout = {item.name: getattr(config.tile, item.name) for item in fields(Layout)}
    return Tile(**layout, cell=cell, levels=levels)


def drawn(tile: Tile, seed: int) -> Array:
    """Return conductances [S], (rows, cols), each one of the tile's levels, at random."""
    assert tile.levels is not None
    rng = np.random.default_rng(seed)
    g: Array = tile.levels.g[rng.integers(0, tile.levels.count, tile.shape)]
    return g


def crossbar_of(config: RunConfig) -> Crossbar:
    """Return what the matrices of the run's twin sit on."""
    return Crossbar(tile_of(config), config.effects, config.mapping)


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
    spread = Spread(d2d, c2c, read)
    for name in spread.parameters.names:
        device.model.parameter(name)
    return spread


def write_tolerance(config: RunConfig, levels: Levels) -> float:
    """Return the half width of the band that write-verify accepts, in steps between levels, the
    smallest where they differ.

    What it leaves is about uniform in the band, so that the band follows from the programming error
    that training reckons with, however many levels there are; it ends at a quarter step.
    """
    span = float(levels.g[-1] - levels.g[0])
    law = config.effects.laws.programming
    share = law.share(span)
    if share is None:
        g = np.linspace(levels.g[0], levels.g[-1], levels.count)
        share = float(np.sqrt(np.mean(np.square(law.sigma(g, span) / span))))
    steps = 3.0**0.5 * share * (levels.count - 1)
    if config.device.spacing != "even":
        steps *= levels.step / float(np.diff(levels.g).min())
    return float(np.clip(steps, FINEST, 0.25))


VALIDATED = 200
"""Test images that a validation reads, where the configuration leaves it open and there are more."""


def chosen_images(images: Dataset, config: RunConfig) -> Dataset:
    """Keep the first samples of each part, as many as the configuration asks for."""
    train, test = config.data.train, config.data.test
    for name, wanted, there in (
        ("data.train", train, len(images.x_train)),
        ("data.test", test, len(images.x_test)),
        ("validation.images", config.validation.images, test or len(images.x_test)),
    ):
        if wanted is not None and wanted > there:
            kept = " to test on" if name == "validation.images" else ""
            raise InputError(f"{name}: {wanted} images asked for, {images.name} has {there}{kept}")
    chosen = images.chosen(train, test)
    if not chosen.regression and (missing := set(chosen.y_test) - set(chosen.y_train)):
        raise InputError(
            f"data.train: a test sample has the label {min(missing)}, the first {train} samples to"
            " train on have not: train on more"
        )
    if config.training.patience is not None and chosen.x_validation is None:
        raise InputError(
            f"training.patience: {images.name} has no part to validate on: set data.validation_share,"
            " such as 0.1"
        )
    return chosen


def network_of(config: RunConfig, images: Dataset) -> Network:
    """Return the run's network, of the size that ``images`` need."""
    pixels, wanted = images.x_train.shape[1], config.network
    if wanted.layers:
        shape = images.shape if len(images.shape) != 2 else (*images.shape, 1)
        try:
            network = Network(written_layers(wanted.layers, Residual), shape)
        except InputError as error:
            raise InputError(f"network.layers: {error}") from error
        outputs = network.shapes[-1][0]
        if outputs != images.classes:
            what = "targets" if images.regression else "classes"
            raise InputError(
                f"network.layers: the last layer has {outputs} outputs, {images.name} has"
                f" {images.classes} {what}: end with 'dense {images.classes}'"
            )
        return network
    if wanted.kind == "mlp":
        return mlp(pixels, *wanted.hidden, images.classes)
    if len(images.shape) != 2 or images.shape[0] != images.shape[1] or images.classes > 10:
        raise InputError(
            f"network.kind: a lenet takes square grey images of ten classes, {images.name} has"
            f" {' × '.join(map(str, images.shape))} pixels and {images.classes} classes"
        )
    height, width = images.shape
    pool = AveragePool if wanted.pool == "average" else MaxPool
    try:
        return lenet(wanted.channels, height, pool)
    except InputError as error:
        raise InputError(
            f"network.kind: images of {height} × {width} pixels are too small for a lenet"
            f" ({error}); choose kind = 'mlp'"
        ) from error


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
    return Auditor(config.audit, engine) if audited(config) else None
