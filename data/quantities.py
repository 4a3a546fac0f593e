"""Numbers with SI units as people read them: ``0.0387`` joules are ``38.7 mJ``."""

__all__ = ["prefix", "quantity"]

import math

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def prefix(largest: float) -> tuple[float, str]:
    """Return the factor and the name of the SI prefix that suits numbers up to ``largest``."""
    if not (math.isfinite(largest) and largest):
        return 1.0, ""
    power = 3 * math.floor(math.log10(abs(largest)) / 3 + 1e-9)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**power, _PREFIXES[power]


def quantity(value: float, unit: str, digits: int = 4) -> str:
    """Return ``value`` [SI] with its unit and a prefix that suits it, to so many significant digits."""
    rounded = float(f"{value:.{digits}g}")  # 999.97 mJ are 1 J
    factor, name = prefix(rounded)
    return f"{rounded / factor:.{digits}g} {name}{unit}"
