"""The current that a column holds, in A: as it is, as a logarithm, a density, a resistance, a shunt's voltage."""

__all__ = ["read_current", "unit_name"]

import re

import numpy as np

from ..errors import InputError
from ..types import Array
from .delimited import Block
from .headings import SI
from .units import DENSITY, Unit, parse_unit

_SCALED = re.compile(r"(log10|log|lg|ln)\s*\(?\s*([^()]*?)\s*\)?", re.IGNORECASE)
_PREFIXES = {1.0: "", 1e-3: "m", 1e-6: "u", 1e-9: "n", 1e-12: "p", 1e-15: "f", 1e3: "k", 1e6: "M"}
_HELD = {
    "A": "current",
    DENSITY: "density",
    "ohm": "resistance",
    "S": "conductance",
    "V": "voltage",
}


def unit_name(unit: Unit) -> str:
    """Return a unit as one writes it."""
    prefix = next(
        (text for factor, text in _PREFIXES.items() if np.isclose(factor, unit.factor)), None
    )
    return f"{unit.factor:g} {unit.si}" if prefix is None else prefix + unit.si


def read_current(
    block: Block,
    index: int,
    v: Array,
    given: str | None = None,
    *,
    magnitude: bool = False,
    shunt: float | None = None,
    area: float | None = None,
) -> tuple[Array, str]:
    """Return a column as current, and what it was taken for.

    Parameters
    ----------
    block, index
        The column.
    v
        Voltage [V], shape (rows,), which gives a resistance its current.
    given
        Unit of the numbers: ``mA``, ``log10(A)``, ``A/cm2``, ``kohm`` ... Default: by the name.
    magnitude
        Whether magnitudes are wanted; they are refused otherwise.
    shunt
        Resistor across which a voltage stands for the current [ohm].
    area
        Area of the device [m²], for a current density.

    Returns
    -------
    tuple
        Current [A], NaN where none was measured, shape (rows,); and words such as ``current in mA``.

    Raises
    ------
    InputError
        If the unit contradicts the name, or what the conversion needs is not given.
    """
    heading, where = block.heading(index), block.where(index)
    scaled = _SCALED.fullmatch(given) if given else None
    scale = scaled.group(1).lower().replace("lg", "log10") if scaled else heading.scale
    scale = "log10" if scaled and scale == "log" else scale
    if scaled:
        given = scaled.group(2) or None
    if (heading.magnitude or scaled) and not magnitude:
        raise InputError(
            f"{where}: this is the magnitude of the current, which says nothing of its sign: give it"
            " the sign of the voltage (--magnitude)"
        )
    if scale == "log":
        raise InputError(
            f"{where}: the logarithm may be decimal or natural: say which (--unit 'i=log10(A)' or"
            " --unit 'i=ln(A)')"
        )
    unit, quantity = _meant(block, index, given, shunt is not None)
    values = block.numbers([index])[:, 0]
    words = f"{quantity} in {unit_name(unit)}"
    if scale:
        return (10.0 if scale == "log10" else np.e) ** values * unit.factor, f"{scale} of {words}"
    values = values * unit.factor
    if magnitude and quantity == "current":
        words = f"magnitude of the {words}, with the sign of the voltage"
    if quantity == "density":
        if area is None:
            raise InputError(
                f"{where}: {heading.unclear or _written(heading.text)!r} can't be the unit here, expected A: this is a"
                " current density, give the device's area in m² (--area)"
            )
        return values * area, f"current {words}, over {area:g} m²"
    if quantity == "voltage":
        return values / float(shunt or np.nan), f"{words} across {shunt:g} ohm"
    with np.errstate(divide="ignore", invalid="ignore"):
        if quantity == "resistance":
            i = np.where(v == 0.0, 0.0, v / values)
            return np.where(
                np.isfinite(values) & np.isfinite(i), i, np.nan
            ), f"{words}, current = v/R"
    return (values * v, f"{words}, current = G·v") if quantity == "conductance" else (values, words)


def _meant(block: Block, index: int, given: str | None, shunt: bool) -> tuple[Unit, str]:
    """Return the unit of a column of currents, and the quantity that it is one of."""
    heading, where = block.heading(index), block.where(index)
    found = parse_unit(given) if given else heading.unit
    by_name = (
        heading.quantity if heading.quantity in ("density", "resistance", "conductance") else None
    )
    quantity = by_name or "current"
    if found is not None and found.si in _HELD:
        quantity = _HELD[found.si]
    if shunt:
        if quantity != "voltage" and (found is not None or heading.quantity != "voltage"):
            if found is None and heading.quantity is None:
                return Unit("V"), "voltage"
            raise InputError(
                f"{where}: this is a {quantity}, not the voltage across a shunt: leave out --shunt, or"
                " name the shunt's column (--column i=NAME)"
            )
        return found or Unit("V"), "voltage"
    if quantity == "voltage":
        quantity = "current"  # refused below, by the name's own unit
    if given and heading.unit is not None and found is not None and heading.unit.si != found.si:
        heading.factor(_HELD.get(found.si, "current"), given, where)  # raises: it says another
    if quantity == "density" and (found is not None or not heading.unclear):
        if found is None:
            raise InputError(
                f"{where}: a current density needs its unit, as in --unit i=A/cm2, and the device's"
                " area in m² (--area)"
            )
        return found, quantity
    return Unit(SI[quantity], heading.factor(quantity, given, where)), quantity


def _written(name: str) -> str:
    """Return the unit in a name, as it is written there."""
    found = re.search(r"[(\[{]([^()\[\]{}]*)[)\]}]\s*$|/\s*(.+)$", name)
    return next((text for text in found.groups() if text), name) if found else name
