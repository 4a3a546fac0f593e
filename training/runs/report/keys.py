"""Keys of a configuration as the page shows them: in the units that their descriptions name."""

__all__ = ["UNITS", "configuration_rows", "flat", "told", "words"]

from collections.abc import Mapping, Sequence
from typing import Any

from ....data.shown.quantities import quantity

_NAMES = {
    "%": ("surrogate.bar_percent", "audit.bar_percent"),
    "1/V": ("tile.access.channel",),
    "A/V²": ("tile.access.k",),
    "B": ("worker_memory",),
    "F": tuple(
        f"tile.parasitics.{name}" for name in ("c_row", "c_col", "c_cell", "c_driver", "c_sense")
    ),
    "F/m": ("tile.parasitics.c_length",),
    "J": ("hardware.adc_energy", "hardware.dac_energy"),
    "K": ("device.temperature", "effects.learnt_at", "effects.temperature"),
    "S": ("device.g_max", "device.g_min", "tile.access.g_on", "tile.access.g_off"),
    "V": (
        *(f"device.{name}" for name in ("v_read", "v_set", "v_reset")),
        *(f"tile.access.{name}" for name in ("v_gate", "v_threshold", "width")),
        "tile.amplifier.v_max",
    ),
    "eV": ("effects.activation",),
    "m": ("tile.parasitics.pitch", "hardware.wire_pitch"),
    "m²": ("hardware.adc_area", "hardware.dac_area", "hardware.cell_area"),
    "s": (
        *("device.width", "effects.seconds", "training.reverify", "tile.parasitics.rise"),
        *("hardware.read_time", "hardware.adc_time"),
    ),
    "Ω": (
        *(f"tile.{name}" for name in ("r_row", "r_col", "r_driver", "r_sense")),
        *(f"tile.terminals.{name}" for name in ("r_row", "r_col", "r_driver", "r_sense")),
        *(f"tile.terminals.{name}" for name in ("end_rows", "end_cols")),
        "tile.amplifier.r_feedback",
    ),
}

UNITS = {name: unit for unit, names in _NAMES.items() for name in names}
"""Units of the keys that have one."""

_PLAIN = ("%", "1/V", "A/V²", "F/m", "K", "eV", "m²")
"""Units that take no prefix."""


def configuration_rows(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return keys of a configuration with their values as text, in their units."""
    return [(name, told(name, value)) for name, value in flat(config).items()]


def told(name: str, value: Any) -> str:
    """Return the value of a key as text, in the key's unit."""
    unit = UNITS.get(name)
    if unit is None or isinstance(value, str) or value is None:
        return words(value)
    if isinstance(value, Sequence):
        return ", ".join(told(name, one) for one in value) or "–"
    return f"{value:.6g} {unit}" if unit in _PLAIN else quantity(value, unit, 6)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested sections under dotted names."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def words(value: Any) -> str:
    """Return a value of a configuration as the page shows it; ``–`` for nothing."""
    if value is None or (isinstance(value, list) and not value):
        return "–"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(words, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if abs(value) >= 1e4 and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
