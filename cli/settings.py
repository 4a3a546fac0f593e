"""The configuration, as the verbs take it that work on one device or one tile: a preset or a file,
changes of its keys, and shorthands for some of them. What is not given is as configured.
"""

__all__ = ["DeviceKeys", "Source", "Temperature", "TileKeys"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .console import SEED, note

if TYPE_CHECKING:
    from ..training.runs.config import RunConfig


Temperature = Annotated[
    float | None, typer.Option(help="Ambient temperature [K]; else the device's own.")
]


@dataclass(frozen=True)
class DeviceKeys:
    """Shorthands for keys of ``[device]``."""

    area: Annotated[
        float | None, typer.Option(help="Area, in areas of the fitted device; else by --g-max.")
    ] = None
    v_read: Annotated[
        float | None, typer.Option(help="Voltage at which conductances are meant [V].")
    ] = None
    temperature: Temperature = None
    levels: Annotated[int | None, typer.Option(help="Conductance levels.")] = None
    g_min: Annotated[float | None, typer.Option(help="Lowest level [S].")] = None
    g_max: Annotated[float | None, typer.Option(help="Highest level [S].")] = None

    def given(self) -> dict[str, Any]:
        """Return all keys with their values, ``None`` where an option is absent."""
        return {f"device.{name}": value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class TileKeys:
    """Shorthands for keys of ``[tile]``."""

    rows: Annotated[int | None, typer.Option(help="Word lines.")] = None
    cols: Annotated[int | None, typer.Option(help="Bit lines.")] = None
    r_row: Annotated[float | None, typer.Option(help="Word line per segment [ohm].")] = None
    r_col: Annotated[float | None, typer.Option(help="Bit line per segment [ohm].")] = None
    r_driver: Annotated[float | None, typer.Option(help="Word-line driver [ohm].")] = None
    r_sense: Annotated[
        float | None, typer.Option(help="Sense input, or bit-line driver [ohm].")
    ] = None
    access: Annotated[
        Literal["transistor", "selector"] | None,
        typer.Option(help="What is in series with each device."),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return all keys with their values, ``None`` where an option is absent."""
        keys = {f"tile.{name}": value for name, value in asdict(self).items()}
        return keys | {"tile.access.kind": keys.pop("tile.access")}


@dataclass(frozen=True)
class Source:
    """Where the configuration comes from."""

    config: Annotated[
        str, typer.Option(help="Device, levels and tile: a preset, or a configuration file (TOML).")
    ] = "demo"
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. tile.drive=both."),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seed of all that is drawn.", **SEED)] = None

    def read(self, *given: Mapping[str, Any]) -> "RunConfig":
        """Return the configuration with the keys in ``given``, where they are not ``None``; say where
        the levels that it asks for end before.
        """
        from ..training.runs.build import window_of
        from ..training.runs.config import load_config

        keys = {"seed": self.seed}
        for part in given:
            keys |= part
        config = load_config(self.config, self.change or (), keys)
        if reason := window_of(config).note:
            note(f"warning: {reason}")
        return config
