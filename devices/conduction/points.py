"""What a fit of conduction laws takes: currents at voltages and temperatures, read without switching."""

__all__ = ["ReadPoints", "is_curve", "points_of", "temperature_in"]

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError, too_few
from ...data.measurement import Measurement, Sweep, Table
from ...data.types import Array

LEAST = 8
"""Points below which there is no law to see."""
_KELVIN = re.compile(r"(?<![0-9A-Za-z.])(\d{2,3}(?:\.\d+)?) ?K(?![A-Za-z0-9])")


@dataclass(frozen=True)
class ReadPoints:
    """Points of one or more curves.

    Attributes
    ----------
    v, i, temperature
        Voltage [V], current [A] and temperature [K] of each, shape (points,).
    curve
        Which curve each is of, shape (points,).
    names
        The curves.
    """

    v: Array
    i: Array
    temperature: Array
    curve: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what no law could be seen in."""
        sizes = {np.shape(part) for part in (self.v, self.i, self.temperature, self.curve)}
        if len(sizes) != 1:
            raise InputError(f"read points: expected columns of equal length, got {sorted(sizes)}")
        if len(self.v) < LEAST:
            raise InputError(f"{too_few(len(self.v), 'point')} for a law, expected {LEAST} or more")
        for name in ("v", "i", "temperature"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"read points: {name} is not finite everywhere")
        if not (self.temperature > 0.0).all():
            raise InputError("read points: temperatures are in kelvin, above 0")
        if np.ptp(np.abs(self.v)) == 0.0:
            raise InputError("read points: all are at one voltage, where every law fits")

    @property
    def temperatures(self) -> Array:
        """The temperatures, rising, those within 1 K of each other once [K]."""
        found: list[float] = []
        for value in np.unique(self.temperature):
            if not found or value - found[-1] > 1.0:
                found.append(float(value))
        return np.array(found)

    def only(self, where: NDArray[np.bool_]) -> "ReadPoints":
        """Return some of the points."""
        return ReadPoints(
            self.v[where], self.i[where], self.temperature[where], self.curve[where], self.names
        )


def temperature_in(name: str) -> float | None:
    """Return the temperature that a file's name says [K], as in ``hrs_350K.csv``."""
    found = _KELVIN.search(name.replace("_", " "))
    return float(found[1]) if found else None


def points_of(
    measurements: Sequence[Measurement],
    temperatures: Sequence[float] | None = None,
    *,
    window: tuple[float, float] | None = None,
) -> ReadPoints:
    """Return the points of sweeps, or of tables with columns v, i and perhaps temperature.

    Parameters
    ----------
    measurements
        Sweeps that switch nothing, or tables.
    temperatures
        Of each [K]; else what it says itself: a column, ``temperature`` of its meta, or its name.
    window
        Voltages to use, lowest and highest [V]; all of them by default.

    Raises
    ------
    InputError
        If a temperature is missing, or too few points remain.
    """
    if temperatures is not None and len(temperatures) != len(measurements):
        raise InputError(
            f"{len(measurements)} curves and {len(temperatures)} temperatures: expected one for each"
        )
    parts = []
    for k, measured in enumerate(measurements):
        told = None if temperatures is None else temperatures[k]
        v, i, t = _columns(measured, told)
        # 0 V says nothing of a law that is odd, but something of the instrument's offset.
        kept = np.abs(v) > 1e-6
        if window is not None:
            kept &= (v >= window[0]) & (v <= window[1])
        parts.append((v[kept], i[kept], t[kept], np.full(int(kept.sum()), k)))
    if not parts:
        raise InputError("there are no curves to fit")
    v, i, t, curve = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ReadPoints(v, i, t, curve, tuple(measured.name for measured in measurements))


def is_curve(table: Table) -> bool:
    """Return whether a table has voltages and currents and no time of a sweep."""
    timed = any(table.units[name] == "s" for name in table.columns) or "time" in table.columns
    return not timed and all(_named(table, names) is not None for names in (_V, _I))


_V, _I = ("v", "voltage", "v_read"), ("i", "current", "i_read")
_T = ("temperature", "temp", "t", "t_k")


def _named(table: Table, names: tuple[str, ...]) -> Array | None:
    return next((table[name] for name in names if name in table.columns), None)


def _columns(measured: Measurement, told: float | None) -> tuple[Array, Array, Array]:
    own = None
    if isinstance(measured, Sweep):
        v, i = measured.v[measured.kept], measured.i[measured.kept]
    elif isinstance(measured, Table) and is_curve(measured):
        found_v, found_i, own = (_named(measured, names) for names in (_V, _I, _T))
        assert found_v is not None
        assert found_i is not None
        v, i = found_v, found_i
    else:
        raise InputError(f"{measured.name}: expected a sweep, or a table with columns v and i")
    if own is not None and told is None:
        return v, i, np.asarray(own, float)
    known = told if told is not None else measured.meta.get("temperature")
    if known is None:
        known = temperature_in(measured.name)
    if known is None:
        raise InputError(
            f"{measured.name}: at which temperature was it read? Say so by --temperature, or in the"
            " file's name, as in hrs_350K.csv"
        )
    return v, i, np.full(len(v), float(known))
