"""A technology as the device of a run: what it leaves open in a configuration, its levels, its writes."""

__all__ = ["TOUCHING", "cell_table", "measured_laws", "recipe_of_cells", "stated_technology"]

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.surrogate.characterise import MARGIN
from ...circuits.technology.recipe import RampRecipe, Way
from ...circuits.technology.table import CellTable, load_cell_table, make_cell_table
from ...circuits.technology.write import Tables
from ...data.errors import InputError
from ...data.types import Progress
from ...devices.device import Levels
from ...devices.spread.effects import TABLE, TECHNOLOGY
from ...devices.spread.wear import WRITES_PER_CYCLE
from ...devices.technology.technology import Technology, digest_of, is_technology, load_technology

SECONDS = 1.0
"""From update to update, and from a write to the read that looks whether it holds, where nobody says."""

TOUCHING = 0.5
"""Half width of a band [level steps]: neighbouring levels touch."""

_LAWS = ("read", "stuck", "relaxation")


def stated_technology(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a configuration with what the technology ``name`` says where it leaves that open."""
    if not is_technology(name):
        return tree
    technology = load_technology(name)
    device, effects, training = (
        dict(tree.get(key) or {}) for key in ("device", "effects", "training")
    )
    if technology.reading is not None:
        device.setdefault("v_read", technology.reading.v_read)
    if technology.window is not None:
        device.setdefault("g_max", technology.window.g_max)
        if "on_off" not in device:
            device.setdefault("g_min", technology.window.g_min)
    count = device.get("levels", 16)
    if technology.fading is not None and isinstance(count, int) and count > 1:
        lost = np.flatnonzero(
            technology.fading.g_set <= (1.0 - 1.0 / count) * technology.fading.g_set[0]
        )
        cycles = technology.fading.cycles[lost[0] if lost.size else -1]
        device.setdefault("endurance", float(WRITES_PER_CYCLE * cycles))
    if device.get("pricing", "write-verify") == "write-verify":
        effects.setdefault("programming", TABLE)
    for law in _LAWS:
        if getattr(technology, law) is not None:
            effects.setdefault(law, TECHNOLOGY)
    stated = {**tree, "device": device, "effects": effects, "training": training}
    if technology.relaxation is not None:
        if effects["relaxation"] == TECHNOLOGY:
            training.setdefault("reverify", SECONDS)
        effects.setdefault("seconds", SECONDS)
        if technology.window is not None:
            beyond = technology.relaxation.g_limit[1] - technology.window.g_max
            share = beyond / (technology.window.g_max - technology.window.g_min)
            surrogate = dict(tree.get("surrogate") or {})
            surrogate.setdefault("margin", round(min(max(share, MARGIN), 1.0), 3))
            stated["surrogate"] = surrogate
    return stated


def measured_laws(technology: Technology, levels: Levels) -> dict[str, Any]:
    """Return the laws that stand for ``technology`` in effects; stuck cells read no more than the highest level, to
    which a tile's cells are characterised.
    """
    laws = {law: getattr(technology, law) for law in _LAWS}
    found = {law: value for law, value in laws.items() if value is not None}
    if (stuck := technology.stuck) is not None:
        high = stuck.g_high or float(levels.g[-1])
        found["stuck"] = replace(stuck, g_high=min(high, float(levels.g[-1])))
    return found


def recipe_of_cells(
    technology: Technology, levels: Levels, tolerance: float, way: Way
) -> RampRecipe:
    """Return how cells are written to ``levels``, at the bit line and with the pulses of the technology's window.

    Parameters
    ----------
    technology
        The process.
    levels
        The levels.
    tolerance
        Half width of the band [level steps], of the narrowest step.
    way
        How cells are written.
    """
    recipe = RampRecipe(tolerance * float(np.diff(levels.g).min()), way=way, v_read=levels.v_read)
    window = technology.window
    return recipe if window is None else replace(recipe, other=window.v_bl, pw=window.pw)


def cell_table(
    technology: Technology,
    levels: Levels,
    tolerance: float,
    way: Way,
    *,
    seed: int,
    path: str | Path | None = None,
    progress: Progress | None = None,
) -> CellTable:
    """Return what writes cost between ``levels``: the table at ``path``, made and kept there if need be.

    Parameters
    ----------
    technology
        The process.
    levels
        The levels.
    seed
        Of the cells that are drawn.
    path
        Record of the table; none is kept if ``None``.
    progress
        Called with pairs done and their number.
    tolerance
        Half width of the band [level steps], of the narrowest step.
    way
        How cells are written.

    Raises
    ------
    InputError
        If the table there is of another technology.
    """
    if path is not None and Path(path).exists():
        table = load_cell_table(path)
        if table.technology_digest != digest_of(technology):
            raise InputError(
                f"{path} was made for another technology than {technology.name} is now: its file has"
                " changed, or choose another folder"
            )
        if table.unread is None:  # of an earlier version
            table = table.with_unread(Tables(technology, table.recipe))
        return table
    recipe = recipe_of_cells(technology, levels, tolerance, way)
    table = make_cell_table(technology, levels, recipe, seed=seed, progress=progress)
    if path is not None:
        table.save(path)
    return table
