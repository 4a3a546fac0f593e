"""A tile, with its cell and device, as names and numbers for a record, and back."""

__all__ = ["ACCESS", "tile_from_tree", "tile_tree"]

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from ...data.errors import InputError, nearest
from ...devices.device import Device
from ...devices.models import MODELS
from .amplifier import Amplifier
from .cell import Access, Cell, Selector, Transistor
from .tile import Tile

ACCESS: dict[str, type[Transistor] | type[Selector]] = {
    "transistor": Transistor,
    "selector": Selector,
}
"""Access devices by their kind."""


def tile_tree(tile: Tile) -> dict[str, Any]:
    """Return everything that ``tile`` consists of as nested names, numbers and strings."""
    plain = {
        f.name: getattr(tile, f.name)
        for f in fields(tile)
        if f.name not in ("cell", "levels", "amplifier")
    }
    device = tile.cell.device
    tree: dict[str, Any] = plain | {
        "v_read": tile.cell.v_read,
        "device": {
            "name": device.name,
            "model": device.model.name,
            "area": device.area,
            "parameters": dict(device.parameters),
        },
    }
    if tile.cell.access is not None:
        tree["access"] = asdict(tile.cell.access)
    if tile.amplifier is not None:
        tree["amplifier"] = asdict(tile.amplifier)
    return tree


def tile_from_tree(tree: Mapping[str, Any]) -> Tile:
    """Return the tile that :func:`tile_tree` described.

    Raises
    ------
    InputError
        If something is missing or unknown.
    """
    try:
        rest = dict(tree)
        device, v_read = rest.pop("device"), rest.pop("v_read")
        if device["model"] not in MODELS:
            raise InputError(
                f"the record's device has the model {device['model']!r}"
                f"{nearest(device['model'], MODELS)}"
            )
        made = Device(
            name=device["name"],
            model=MODELS[device["model"]],
            parameters=device["parameters"],
            area=device["area"],
        )
        access: Access | None = None
        if "access" in rest:
            numbers = dict(rest.pop("access"))
            access = ACCESS[numbers.pop("kind")](**numbers)
        if "amplifier" in rest:
            rest["amplifier"] = Amplifier(**rest["amplifier"])
        return Tile(**rest, cell=Cell(made, v_read, access))
    except (KeyError, TypeError) as error:
        raise InputError(f"the record does not describe a tile: {error}") from error
