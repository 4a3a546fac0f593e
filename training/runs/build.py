"""What a configuration stands for: tile with levels, crossbar, write costs, images, network."""

__all__ = [
    "VALIDATED",
    "ambient_of",
    "auditor_of",
    "bench_tile",
    "chosen_images",
    "crossbar_of",
    "device_of",
    "drawn",
    "effects_of",
    "engines_of",
    "levels_of",
    "network_of",
    "pulses_of",
    "recipe_of",
    "tile_of",
    "window_of",
    "write_costs",
    "write_note",
    "write_spread",
    "write_tolerance",
]

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.array.cell import Cell
from ...circuits.array.tile import Layout, Tile
from ...circuits.programming.design import design_recipe, limits_of
from ...circuits.programming.fractional_moves import make_vain
from ...circuits.programming.population import Spread, spread_from_fit
from ...circuits.programming.recipe import GUARD, Recipe
from ...circuits.programming.table import load_table, make_table
from ...circuits.technology.table import CellTable
from ...data.dataset import Dataset
from ...data.errors import InputError
from ...data.types import Array, Progress
from ...devices.cycles.autoregression import CycleLaw
from ...devices.device import Device, Levels, load_device
from ...devices.models import models
from ...devices.pulses.nominal import nominal_pricing
from ...devices.pulses.open_loop import open_loop_costs
from ...devices.pulses.pricing import LevelPricing
from ...devices.pulses.response import load_response
from ...devices.pulses.steps import KINDS, PulseSteps, steps_of_model, steps_of_response
from ...devices.pulses.trapezoid import Pulse, choose_pulse
from ...devices.spread.effects import TABLE, TECHNOLOGY, Effects
from ...devices.spread.record import saved
from ...devices.technology.technology import is_technology, load_technology
from ...devices.window import Window, choose_window
from ..layers.digital import AveragePool, MaxPool
from ..layers.written import written_layers
from ..network import Network, Residual, lenet, mlp
from ..trainer.audit import Auditor
from ..twin.crossbar import Crossbar
from ..twin.matrix import EngineFactory
from .chip import TOUCHING, cell_table, measured_laws
from .config import RunConfig

BYTES_PER_WEIGHT = 150
"""What a weight takes in training: two devices with their sums in the ledger, float weight, gradient
and optimiser [byte]."""

WIDEST = 0.45
"""Widest band of write-verify [level steps], where reads are noisy."""

FINEST = 0.02
"""Narrowest band of write-verify [level steps], where no programming error is asked for."""


def window_of(config: RunConfig) -> Window:
    """Return the configured device at its area, and the ends of its levels."""
    wanted = config.device
    if is_technology(wanted.name):
        return _cell_window(config)
    ratio = wanted.on_off
    if ratio is None and wanted.g_min is None and wanted.response not in (None, "model"):
        ratio = steps_of_response(load_response(str(wanted.response)), count=1).on_off
    return choose_window(
        device_of(config),
        wanted.v_read,
        area=wanted.area,
        g_max=wanted.g_max,
        g_min=wanted.g_min,
        on_off=ratio,
    )


def levels_of(config: RunConfig) -> Levels:
    """Return the levels of the configured device, see :func:`window_of`."""
    wanted = config.device
    window = window_of(config)
    return window.device.levels(
        wanted.levels,
        wanted.v_read,
        g_min=window.g_min,
        g_max=window.g_max,
        spacing=wanted.spacing,
    )


def _cell_window(config: RunConfig) -> Window:
    """Return what a read meets of a technology's cells, and the ends of their levels."""
    wanted = config.device
    if wanted.area is not None:
        raise InputError(
            f"device.area: cells of the technology {wanted.name} have the size that they were measured at"
        )
    if config.tile.access is not None:
        raise InputError(
            f"tile.access: cells of the technology {wanted.name} were measured with their transistors: leave it out"
        )
    g_max = wanted.g_max
    g_min = wanted.g_min or (g_max and g_max / (wanted.on_off or 10.0))
    if g_min is None or g_max is None:
        raise InputError(
            f"device: the technology {wanted.name} says nothing of a window of levels: give g_min and g_max"
        )
    return Window(device_of(config), g_min, g_max)


def device_of(config: RunConfig) -> Device:
    """Return the configured device as its file has it, at the configured temperature.

    Raises
    ------
    InputError
        If there is no such device, or a temperature of which nothing depends.
    """
    name, temperature = config.device.name, config.device.temperature
    if is_technology(name):
        device = load_technology(name).device()
    else:
        device = Device(name, models[name]) if name == "resistor" else load_device(name)
    if temperature is None:
        return device
    if not device.model.ambient and config.effects.activation > 0.0:
        return device  # it grows old with the temperature, and conducts alike
    return device.at(temperature)


def ambient_of(config: RunConfig) -> float | None:
    """Return the temperature at which the configured device is [K]; ``None`` where nothing says."""
    if config.device.temperature is not None:
        return config.device.temperature
    return device_of(config).temperature


def tile_of(config: RunConfig) -> Tile:
    """Return the configured tile with its levels, the scaled device in every cell, or a resistor if
    that is wanted.
    """
    levels, access = levels_of(config), config.tile.access
    linear = config.device.linear
    cell = Cell.resistor(levels.v_read, access) if linear else Cell.of(levels, access)
    return Tile(**_layout(config), cell=cell, levels=levels)


def bench_tile(config: RunConfig, g_max: float | None = None) -> Tile:
    """Return the configured tile without levels, for conductances that are at hand: a device whose
    area or highest level isn't stated is scaled such that it reaches ``g_max`` [S].
    """
    wanted = config.device
    if g_max and wanted.area is None and wanted.g_max is None:
        config = config.model_copy(update={"device": wanted.model_copy(update={"g_max": g_max})})
    if wanted.linear or wanted.name == "resistor":
        cell = Cell.resistor(wanted.v_read, config.tile.access)
    else:
        cell = Cell(window_of(config).device, wanted.v_read, config.tile.access)
    return Tile(**_layout(config), cell=cell)


def _layout(config: RunConfig) -> dict[str, Any]:
    return {item.name: getattr(config.tile, item.name) for item in fields(Layout)}


def drawn(tile: Tile, seed: int) -> Array:
    """Return conductances [S], (rows, cols), each one of the tile's levels, at random."""
    assert tile.levels is not None
    rng = np.random.default_rng(seed)
    g: Array = tile.levels.g[rng.integers(0, tile.levels.count, tile.shape)]
    return g


def crossbar_of(config: RunConfig) -> Crossbar:
    """Return what the matrices of the run's twin sit on."""
    tile = tile_of(config)
    assert tile.levels is not None
    effects = effects_of(config, tile.levels)
    return Crossbar(tile, effects, config.mapping, pulses_of(config, tile.levels))


def effects_of(config: RunConfig, levels: Levels) -> Effects:
    """Return what happens to the run's devices, with the laws that stand for a technology and the
    temperature that they are at; what a table of writes stands for is left open.

    Raises
    ------
    InputError
        If an activation energy is given, and nothing here changes devices with the seconds.
    """
    effects, name = config.effects, config.device.name
    if is_technology(name):
        effects = effects.resolved(TECHNOLOGY, measured_laws(load_technology(name), levels))
    now = config.device.temperature
    return effects.at(levels.device.temperature if now is None else now)


def pulses_of(config: RunConfig, levels: Levels) -> PulseSteps | None:
    """Return what single pulses do to the run's devices; ``None`` where no rule needs to know.

    Raises
    ------
    InputError
        If the record of ramps is none, or the device's model has no dynamics.
    """
    wanted, pulsed = config.device.response, config.training.rule == "pulsed"
    if wanted is not None and wanted != "model":
        return steps_of_response(load_response(wanted), seed=config.seed)
    if wanted is None and not pulsed:
        return None
    spread = write_spread(config, levels.device)
    rng = np.random.default_rng((config.seed, KINDS))
    parameters = spread.parameters.sample(KINDS, rng, levels.device)
    up, down = _identical(config, levels)
    if isinstance(spread.pulses, CycleLaw):
        raise InputError(
            "device.c2c: what single pulses do is told with a number or a spread of pulses, not with a law of"
            " cycles; effects.programming takes that"
        )
    c2c = 0.0 if spread.pulses is None else float(spread.pulses.sigma)
    return steps_of_model(levels, parameters, c2c=c2c, set_pulse=up, reset_pulse=down)


def write_costs(
    config: RunConfig,
    levels: Levels,
    progress: Progress | None = None,
    *,
    path: str | Path | None = None,
) -> LevelPricing:
    """Return what writes of the run's device cost, from where ``device.pricing`` says.

    A table of write-verify loops is taken from ``path`` if it is there, else made and kept there.

    Parameters
    ----------
    config
        The configuration.
    levels
        Levels of the devices.
    progress
        Called with how much is done, and of how much.
    path
        Where the table is kept, and taken from.

    Raises
    ------
    InputError
        If the device's dynamics don't allow such a price.
    """
    wanted = config.device.pricing
    if is_technology(config.device.name) and wanted == "write-verify":
        return _cell_table(config, levels, progress, path).pricing()
    if wanted == "nominal":
        return nominal_pricing(levels.count, g_levels=levels.g)
    if not levels.device.dynamic:
        raise InputError(
            f"device.pricing: device {levels.device.name} has no dynamics"
            f" ({levels.device.model.name}), so that pulses on it have no price: choose 'nominal'"
        )
    if config.device.write_table is not None:
        return _ready_table(config, levels, path)
    if wanted == "open loop":
        up, down = _identical(config, levels)
        return open_loop_costs(levels, set_pulse=up, reset_pulse=down).pricing()
    spread = write_spread(config, levels.device)
    if path is not None and Path(path).exists():
        table = load_table(path)
        if table.spread.tree() != spread.tree():
            raise InputError(
                f"{path} was made for devices that differ otherwise than [device] says: a law's file"
                " has changed, or choose another folder"
            )
        return table.pricing(make_vain(levels, table.recipe))
    recipe = recipe_of(config, levels)
    table = make_table(levels, recipe, spread, seed=config.seed, progress=progress)
    if path is not None:
        table.save(path)
    return table.pricing(make_vain(levels, recipe))


def recipe_of(config: RunConfig, levels: Levels) -> Recipe:
    """Return the write-verify loop of the run's device, within the voltages that it may see."""
    wanted = config.device
    limits = limits_of(levels.device, wanted.v_set, wanted.v_reset, key="device")
    tolerance = write_tolerance(config, levels)
    return design_recipe(levels, tolerance=tolerance, limits=limits, width=wanted.width)


def _identical(config: RunConfig, levels: Levels) -> tuple[Pulse | None, Pulse | None]:
    """Return the SET and RESET pulses that ``[device]`` says; ``None`` for one of which nothing is
    said.
    """
    wanted, device = config.device, levels.device
    low, high = levels.x[0], levels.x[-1]
    up, down = (
        None
        if v is None and wanted.width is None
        else choose_pulse(device, start, end, v=v, width=wanted.width)
        for v, start, end in ((wanted.v_set, low, high), (wanted.v_reset, high, low))
    )
    return up, down


def _ready_table(config: RunConfig, levels: Levels, kept: str | Path | None) -> LevelPricing:
    """Return what a table that is there already says, and keep it with the run."""
    kept = None if kept is None else Path(kept)
    path = kept if kept is not None and kept.exists() else Path(str(config.device.write_table))
    table = load_table(path)
    for what, same in (
        ("device", table.device_digest == levels.device.digest),
        ("read voltage", table.recipe.v_read == levels.v_read),
        ("levels", table.g.shape == levels.g.shape and np.allclose(table.g, levels.g, rtol=1e-6)),
    ):
        if not same:
            raise InputError(
                f"device.write_table: {path} is of another {what} than [device] says: make one with"
                " memtwin program table and this configuration"
            )
    if kept is not None and kept != path:
        table.save(kept)
    return table.pricing(make_vain(levels, table.recipe))


def _cell_table(
    config: RunConfig, levels: Levels, progress: Progress | None, path: str | Path | None
) -> CellTable:
    wanted = config.device
    return cell_table(
        load_technology(wanted.name),
        levels,
        wanted.tolerance or TOUCHING,
        wanted.way,
        seed=config.seed,
        path=path,
        progress=progress,
    )


def write_spread(config: RunConfig, device: Device) -> Spread:
    """Return how the run's devices differ where they are written."""
    wanted = config.device
    c2c, read = (
        saved(subject, getattr(wanted, name), f"device.{name}")
        for subject, name in (("pulses", "c2c"), ("read", "verify_noise"))
    )
    if wanted.d2d is None:
        return spread_from_fit(device, c2c=c2c, read=read)
    d2d = saved("parameters", wanted.d2d, "device.d2d")
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
    if config.device.tolerance is not None:
        return config.device.tolerance
    if config.effects.programming == TABLE:
        return 0.25
    span = float(levels.g[-1] - levels.g[0])
    law = config.effects.laws.programming
    share = law.share(span)
    if share is None:
        g = np.linspace(levels.g[0], levels.g[-1], levels.count)
        share = float(np.sqrt(np.mean(np.square(law.sigma(g, span) / span))))
    steps = 3.0**0.5 * share * (levels.count - 1)
    if config.device.spacing != "even":
        steps *= levels.step / float(np.diff(levels.g).min())
    told_apart = _readable(config, levels)
    if told_apart > WIDEST:
        fewer = int((levels.count - 1) * WIDEST / told_apart) + 1
        hint = f"device.levels = {fewer} or less, or a" if fewer >= 2 else "A"
        raise InputError(
            f"device {levels.device.name} can't be verified to {levels.count} levels from"
            f" {1e6 * levels.g[0]:.4g} to {1e6 * levels.g[-1]:.4g} µS: reads that are off by"
            f" {100 * _read_noise(config, levels):.2g} % don't tell them apart. {hint} smaller"
            " device.verify_noise would"
        )
    return max(float(np.clip(steps, FINEST, 0.25)), told_apart)


def write_note(config: RunConfig, levels: Levels) -> str:
    """Say where verify reads are too noisy for the band that write-verify would have; else nothing.

    Raises
    ------
    InputError
        If the levels can't be told apart at all, or it isn't known between which voltages to write.
    """
    wanted = config.device
    if wanted.pricing != "write-verify" or wanted.write_table is not None:
        return ""
    if is_technology(wanted.name):  # whose bands are as wide as they are
        return ""
    if not levels.device.dynamic:
        return ""
    limits_of(levels.device, config.device.v_set, config.device.v_reset, key="device")
    band = write_tolerance(config, levels)
    if band <= 0.25:
        return ""
    share = band / 3.0**0.5 / (levels.count - 1)
    return (
        f"levels lie so close that a verify read accepts {band:.2f} steps about each: training would"
        f" reckon with that by effects.programming = {share:.2g}"
    )


def _readable(config: RunConfig, levels: Levels) -> float:
    """Return the narrowest band that verify reads can tell [level steps]."""
    noise = _read_noise(config, levels) * float(levels.g[-1])
    return 1.0001 * 2.0 * GUARD * noise / float(np.diff(levels.g).min())


def _read_noise(config: RunConfig, levels: Levels) -> float:
    """Return how noisy a verify read of the highest level is, relative to it."""
    noise = write_spread(config, levels.device).noise_at(levels.g[-1:])
    return float(np.max(noise))


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
    if config.training.batch > len(chosen.x_train):
        raise InputError(
            f"training.batch: {config.training.batch} samples in a batch, {images.name} has"
            f" {len(chosen.x_train)} to train on: choose {len(chosen.x_train)} or less"
        )
    if config.training.patience is not None and chosen.x_validation is None:
        raise InputError(
            f"training.patience: {images.name} has no part to validate on: set data.validation_share,"
            " such as 0.1"
        )
    return chosen


def network_of(config: RunConfig, images: Dataset) -> Network:
    """Return the run's network, of the size that ``images`` need.

    Raises
    ------
    InputError
        If layers and data don't fit each other, or there is no memory for so many weights.
    """
    network = _network(config, images)
    needed, there = BYTES_PER_WEIGHT * network.weights, memory()
    if needed > there:
        raise InputError(
            f"network: {network.weights:,} weights take about {needed / 1e9:.0f} GB to train, this machine has"
            f" {there / 1e9:.0f} GB: choose smaller layers, or fewer inputs than {images.x_train.shape[1]:,}"
            " (data.leave_out, data.shape)"
        )
    return network


def memory() -> float:
    """Return the memory of this machine [byte]; infinite where it doesn't say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _network(config: RunConfig, images: Dataset) -> Network:
    pixels, wanted = images.x_train.shape[1], config.network
    if wanted.modules:
        raise InputError(
            "network.modules is for a torch model (mt.pytorch.configured): here layers say in"
            " network.layers where they are, such as {layer = 'dense 10', levels = 4}"
        )
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
