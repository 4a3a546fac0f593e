"""What a configuration stands for: levels, tile, write costs, images and options."""

__all__ = [
    "cell_levels",
    "cell_tile",
    "chosen_images",
    "train_options",
    "write_costs",
    "write_tolerance",
]

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..circuits.cell import Cell
from ..circuits.population import spread_from_fit
from ..circuits.recipe_design import design_recipe
from ..circuits.tile import Tile
from ..circuits.write_table import load_table, make_table
from ..data.errors import InputError
from ..data.images import ImageSet
from ..data.types import Progress
from ..devices.device import load_device
from ..devices.levels import Levels, make_levels
from .config import RunConfig
from .ledger import WriteCosts
from .siamese import SiameseOptions
from .trainer import TrainOptions

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
    )


def cell_tile(config: RunConfig, levels: Levels) -> Tile:
    """Return the run's tile, the scaled device in every cell."""
    return Tile(**config.tile.model_dump(), cell=Cell(levels.device, levels.v_read))


def write_costs(
    config: RunConfig,
    levels: Levels,
    progress: Progress | None = None,
    *,
    path: Path | None = None,
) -> WriteCosts:
    """Return what writes of the run's device cost, from write-verify loops on its own dynamics.

    The table is taken from ``path`` if it is there, else made and kept there.
    """
    if path is not None and path.exists():
        return WriteCosts.of_table(load_table(path))
    spread = spread_from_fit(
        levels.device, c2c=config.device.pulse_spread, read=config.device.verify_noise
    )
    recipe = design_recipe(levels, tolerance=write_tolerance(config))
    table = make_table(levels, recipe, spread, seed=config.seed, progress=progress)
    if path is not None:
        table.save(path)
    return WriteCosts.of_table(table)


def write_tolerance(config: RunConfig) -> float:
    """Return the half width of the band that write-verify accepts, in level steps.

    What it leaves is about uniform in the band, so that the band follows from the programming error
    that training reckons with, however many levels there are; it ends at a quarter step.
    """
    steps = 3.0**0.5 * config.effects.programming * (config.device.levels - 1)
    return float(np.clip(steps, FINEST, 0.25))


def chosen_images(images: ImageSet, config: RunConfig) -> ImageSet:
    """Keep the first images of each part, as many as the configuration asks for."""
    train, test = config.images.train, config.images.test
    for name, wanted, there in (
        ("train", train, len(images.x_train)),
        ("test", test, len(images.x_test)),
    ):
        if wanted is not None and wanted > there:
            raise InputError(f"images.{name}: {wanted} images asked for, {images.name} has {there}")
    return replace(
        images,
        x_train=images.x_train[:train],
        y_train=images.y_train[:train],
        x_test=images.x_test[:test],
        y_test=images.y_test[:test],
    )


def train_options(config: RunConfig) -> TrainOptions:
    """Return the options of the run's training."""
    wanted = config.training
    return TrainOptions(
        epochs=wanted.epochs,
        batch=wanted.batch,
        learning_rate=wanted.learning_rate,
        momentum=wanted.momentum,
        decay=wanted.decay,
        siamese=SiameseOptions(
            accumulate=wanted.accumulate,
            hysteresis=wanted.hysteresis,
            compensation=wanted.compensation,
        ),
        seed=config.seed,
    )
