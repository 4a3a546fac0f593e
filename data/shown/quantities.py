"""Numbers with SI units as people read them: ``0.0387`` joules are ``38.7 mJ``."""

__all__ = [
    "duration",
    "figure",
    "measured",
    "percent",
    "prefix",
    "quantity",
    "saved",
    "seconds_of",
    "split_unit",
]

import math
import re
from typing import Any

from ..errors import InputError

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}

PREFIXED = ("A", "S", "V", "W", "J", "Hz", "s", "ohm", "Ω")
"""Units that parameters are told in with a prefix."""

UNITS = {
    "ampere": "A",
    "hertz": "Hz",
    "joule": "J",
    "ohm": "Ω",
    "percent": "%",
    "seconds": "s",
    "siemens": "S",
    "square_metre": "m²",
    "volt": "V",
    "watt": "W",
}
"""Units in which names of figures end, and their symbols."""


def prefix(largest: float) -> tuple[float, str]:
    """Return the factor and the name of the SI prefix that suits numbers up to ``largest``."""
    if not (math.isfinite(largest) and largest):
        return 1.0, ""
    power = 3 * math.floor(math.log10(abs(largest)) / 3 + 1e-9)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**power, _PREFIXES[power]


def quantity(value: float, unit: str, digits: int = 4) -> str:
    """Return ``value`` [SI] with its unit and a prefix that suits it, to so many significant digits.

    Parameters
    ----------
    value
        The number, in SI units.
    unit
        Symbol of the unit.
    digits
        Significant digits.
    """
    rounded = float(f"{value:.{digits}g}")  # 999.97 mJ are 1 J
    factor, name = prefix(rounded)
    return f"{rounded / factor:.{max(digits, 3)}g} {name}{unit}"  # 170, not 1.7e+02


def measured(value: float, error: float | None, unit: str) -> tuple[str, str]:
    """Return a value and its unit as people read them, to the digits that its standard error leaves:
    ``("244.3 ± 8.7", "nA")``. A very small or large one in a plain SI unit gets a prefix.

    Parameters
    ----------
    value, error
        In ``unit``; the error may be ``None`` or infinite, where it isn't known.
    unit
        Symbol of the unit, ``"1"`` for a pure number.
    """
    if value and unit in PREFIXED and not 1e-2 <= abs(value) < 1e4:
        factor, name = prefix(value)
        value, unit = value / factor, name + unit
        error = None if error is None else error / factor
    unit = re.sub("ohm$", "Ω", unit)
    if error is None or not (math.isfinite(error) and error > 0.0):
        return f"{value:.5g}", unit
    place = math.floor(math.log10(error)) - 1
    if value:
        place = min(place, math.floor(math.log10(abs(value))))
    rounded = float(f"{error:.2g}")
    return f"{round(value, -place):.10g} ± {rounded:.10g}", unit


def percent(value: float) -> str:
    """Return a number of percent as people read it: to a hundredth, and small ones to two digits."""
    places = f"{value:.2f}" if not value or abs(value) >= 0.1 else f"{value:.2g}"
    return f"{places} %"


def saved(value: float, word: str = "") -> str:
    """Return a share that was saved [percent], with the ``word`` for that: ``99.41 % less``; what was
    lost instead is ``13 % more``.
    """
    if value < 0.0:
        return f"{percent(-value)} more"
    return f"{percent(value)} {word}".rstrip()


def duration(seconds: float, digits: int = 4) -> str:
    """Return a time: with a prefix below two minutes, then in minutes, hours or days.

    Parameters
    ----------
    seconds
        The time [s].
    digits
        Significant digits of a time below two minutes.
    """
    if not math.isfinite(seconds) or abs(seconds) < 120.0:
        return quantity(seconds, "s", digits)
    minutes = round(seconds / 60.0)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{seconds / 86400.0:,.1f} d"


def split_unit(name: str) -> tuple[str, str | None]:
    """Return a figure's name without the unit that it ends in, and that unit's name."""
    for unit in UNITS:
        if name.endswith(f"_{unit}") or name == unit:
            return name.removesuffix(unit).removesuffix("_"), unit
    return name, None


def figure(name: str, value: Any) -> str:
    """Return the figure called ``name`` as people read it, in the unit that its name ends in."""
    _, unit = split_unit(name)
    if isinstance(value, (list, tuple)) and value:
        return ", ".join(figure(name, one) for one in value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _words(value)
    if not math.isfinite(value):
        return "–"
    if unit == "percent":
        return percent(value)
    if unit == "seconds":
        return duration(value)
    if unit is not None:
        return quantity(float(value), UNITS[unit])
    whole = isinstance(value, int) or abs(value) >= 1000.0
    return f"{round(value):,}" if whole else f"{value:.4g}"


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "items"):
        return ", ".join(f"{name} {figure(str(name), item)}" for name, item in value.items())
    return "–" if value is None or (isinstance(value, (list, tuple)) and not value) else str(value)


_TIMES = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0,
    "d": 86400.0, "w": 604800.0, "y": 31557600.0,
}  # fmt: skip


def seconds_of(text: str, what: str = "time") -> float:
    """Return the seconds that a time such as ``30d``, ``12 h``, ``90s`` or ``1e6`` says.

    Raises
    ------
    InputError
        If it says none; ``what`` names it.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*([a-zµ]*)\s*", text)
    if found is None or found[2] not in _TIMES:
        units = ", ".join(name for name in _TIMES if name)
        raise InputError(f"{what}: expected a time such as 90s, 12h or 30d ({units}), got {text!r}")
    return float(found[1]) * _TIMES[found[2]]
