"""Units as people write them: one table of spellings and prefixes.

:func:`parse_unit` reads ``mA``, ``µA``, ``kΩ``, ``Volts``, ``microseconds`` ... into the SI unit and
the factor to it; :func:`si_factor` does so where only one SI unit makes sense.
"""

__all__ = ["DENSITY", "Unit", "parse_unit", "plain_symbols", "si_factor"]

import re
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Unit:
    """A unit: the SI unit of its dimension, and how many of these it is."""

    si: str
    factor: float = 1.0


DENSITY = "A/m2"
"""SI unit of a current density."""

_SYMBOLS = {"V": "V", "v": "V", "A": "A", "a": "A", "s": "s", "S": "S", "Ω": "ohm", "Hz": "Hz"}
_WORDS = {
    "s": ("sec", "secs", "second", "seconds", "sekunde", "sekunden", "秒"),
    "V": ("volt", "volts"),
    "A": ("amp", "amps", "ampere", "amperes"),
    "ohm": ("ohm", "ohms"),
    "S": ("siemens", "mho"),
    "Hz": ("hz", "hertz"),
}
_SPELLED = {word: si for si, words in _WORDS.items() for word in words}
_WHOLE = {
    "min": Unit("s", 60.0),
    "minutes": Unit("s", 60.0),
    "msec": Unit("s", 1e-3),
    "usec": Unit("s", 1e-6),
    "h": Unit("s", 3600.0),
    "hours": Unit("s", 3600.0),
    "K": Unit("K"),
    "°C": Unit("degC"),
    "degC": Unit("degC"),
    "W": Unit("W"),
    "mW": Unit("W", 1e-3),
    "uW": Unit("W", 1e-6),
}
_PREFIX = {
    "": 1.0,
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "femto": 1e-15,
    "pico": 1e-12,
    "nano": 1e-9,
    "micro": 1e-6,
    "milli": 1e-3,
    "kilo": 1e3,
    "mega": 1e6,
    "giga": 1e9,
}
# in capitals MA, MV, MS stand for milli as well as for mega, which no device here needs
_NO_MEGA = ("V", "A", "s", "S")
_ALIKE = str.maketrans({"µ": "u", "μ": "u", "\N{OHM SIGN}": "Ω", "ω": "Ω", "\xa0": " "})


_POWER = re.compile(r"(?:10\^?|1[eE])\(?([-+\u2212]?\d+|⁻?[⁰¹²³⁴-⁹]+)\)?[·*x×]?(\D.*)")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻\u2212", "0123456789--")
_LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
_PER_AREA = re.compile(
    r"(.*A)(?:[/*·.]?(cm|mm|um|nm|m))(?:\^?\(?[-\u2212]?2\)?|⁻?²)", re.IGNORECASE
)


def plain_symbols(text: str) -> str:
    """Return text with one sign for each of micro and ohm, of which Unicode has two."""
    return text.translate(_ALIKE)


def parse_unit(text: str) -> Unit | None:
    """Return the unit that a text is, or None."""
    word = re.sub(r"\s+|\.$", "", plain_symbols(text))
    if word in _WHOLE:
        return _WHOLE[word]
    power = _POWER.fullmatch(word)
    if power:
        of = parse_unit(power.group(2))
        exponent = int(power.group(1).translate(_RAISED))
        return None if of is None or abs(exponent) > 15 else Unit(of.si, of.factor * 10.0**exponent)
    per_area = _PER_AREA.fullmatch(word)
    if per_area:
        # megaamperes are no device's current, but a density
        current = Unit("A", 1e6) if per_area.group(1) == "MA" else parse_unit(per_area.group(1))
        length = _LENGTHS.get(per_area.group(2))
        if current is None or current.si != "A" or length is None:
            return None
        return Unit(DENSITY, current.factor / length**2)
    for prefix, factor in _PREFIX.items():
        # a prefix spelled out may have a capital, as at the start of a heading
        head = word[: len(prefix)]
        if head != prefix and (len(prefix) == 1 or head.lower() != prefix):
            continue
        rest = word[len(prefix) :]
        si = _SYMBOLS.get(rest) or _SPELLED.get(rest.lower())
        if si is None or (factor > 1e3 and si in _NO_MEGA) or (prefix == "K" and si != "ohm"):
            continue
        return Unit(si, factor)
    return None


def si_factor(given: str, unit: str, where: str) -> float:
    """Return the factor from the unit ``given`` (such as ``mV``) to the SI unit ``unit`` (such as
    ``V``).

    Parameters
    ----------
    given
        Unit to come from, such as ``mV``.
    unit
        SI unit to go to, such as ``V``.
    where
        What to call the place in messages.

    Raises
    ------
    InputError
        If it is none of that dimension; ``where`` begins the sentence.
    """
    found = parse_unit(given)
    if found is None or found.si != unit:
        raise InputError(
            f"{where}: {given!r} can't be the unit here, expected {unit} with a prefix, such as"
            f" m{unit}"
        )
    return found.factor
