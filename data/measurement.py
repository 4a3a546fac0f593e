"""Measured data of one device or array, in SI units, and the one HDF5 layout that keeps all of it.

- :class:`Sweep`: a current-voltage curve over time;
- :class:`PulseTrain`: conductance after each pulse of one or more ramps;
- :class:`Relaxation`: conductance of many cells read again and again after programming;
- :class:`Table`: named columns of equal length, for what an array tester writes;
- :class:`~.chip.PulseMap` and :class:`~.chip.WriteLog`: what one pulse does to each of many cells,
  and what write-verify left in them.

Each carries ``meta``: what is known about device and measurement (``device``, ``area``,
``licence``, ``doi``, ``source``, ``file`` ...), strings or numbers in SI units.
"""

__all__ = [
    "Measurement",
    "PulseTrain",
    "Relaxation",
    "Sweep",
    "Table",
    "load_measurement",
    "save_measurement",
]

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .chip import PULSE_MAP_UNITS, WRITE_LOG_UNITS, PulseMap, WriteLog
from .errors import InputError, too_few
from .limits import source_limit
from .records.store import digest, pack, reading, unpack, write_record
from .types import Array, Meta

_QUICKEST, _FARTHEST = 1e-18, 1e12
"""Shortest time step [s] and largest number, in SI units, that a sweep may hold."""
_AT_LIMIT = 0.9  # of the limit: a censored current is at it
_MIN_POINTS = 8  # fewer points than parameters of any model


@dataclass(frozen=True)
class Sweep:
    """A current-voltage curve of one device, driven by a voltage that changes in time.

    Attributes
    ----------
    name
        What to call it in messages and plots, usually the file's name.
    t
        Time [s], strictly increasing, shape (points,).
    v
        Voltage across the device and whatever is in series with it [V], shape (points,). Positive
        drives toward the low-resistance state; an importer turns the sign where a device is wired
        the other way.
    i
        Current [A], shape (points,).
    censored
        True where the current is a limit of the instrument (compliance, range) and not of the
        device, shape (points,).
    meta
        What else is known; ``r_tester`` [ohm] is a known resistor in series, ``area`` [m²],
        ``compliance`` [A] the current limit of the source.
    """

    name: str
    t: Array
    v: Array
    i: Array
    censored: NDArray[np.bool_]
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no model could be fitted to, naming the point."""
        size = np.shape(self.t)
        for name in ("v", "i", "censored"):
            if np.shape(getattr(self, name)) != size or len(size) != 1:
                raise InputError(
                    f"{self.name}: {name} has shape {np.shape(getattr(self, name))}, expected"
                    f" {size}"
                )
        if size[0] < _MIN_POINTS:
            raise InputError(
                f"{self.name}: {too_few(size[0], 'point')} for a"
                f" sweep, expected at least {_MIN_POINTS}"
            )
        for name in ("t", "v", "i"):
            wrong = ~np.isfinite(getattr(self, name))
            if wrong.any():
                raise InputError(
                    f"{self.name}: {name} is not finite at point {int(wrong.argmax()) + 1}"
                )
            far = np.abs(getattr(self, name)) > _FARTHEST
            if far.any():
                raise InputError(
                    f"{self.name}: {name} is {getattr(self, name)[far][0]:g} at point"
                    f" {int(far.argmax()) + 1}, beyond what any instrument gives"
                )
        back = np.diff(self.t) <= 0.0
        if back.any():
            point = int(back.argmax()) + 2
            raise InputError(
                f"{self.name}: time does not increase at point {point}"
                f" ({self.t[point - 2]:g} s, then {self.t[point - 1]:g} s); sort the file, or"
                " give a sweep rate (--sweep-rate)"
            )
        quick = np.diff(self.t) < _QUICKEST
        if quick.any():
            raise InputError(
                f"{self.name}: {np.diff(self.t)[quick][0]:g} s pass before point"
                f" {int(quick.argmax()) + 2}, expected at least {_QUICKEST:g} s; give a lower sweep"
                " rate or frequency"
            )

    @property
    def digest(self) -> str:
        """Hash of the numbers that a fit depends on."""
        return digest(self.t, self.v, self.i, self.censored)

    @property
    def pulsed(self) -> bool:
        """Whether it is a record of pulses: the current is known where it was read, see
        :mod:`~memtwin.data.importers.pulsed.records`.
        """
        return "pulses" in self.meta

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Where the current is the device's own, shape (points,)."""
        return ~self.censored

    @cached_property
    def limit(self) -> Array:
        """Largest current that the source lets pass [A], infinite where there is none, shape (points,);
        see :func:`~memtwin.data.limits.source_limit`.
        """
        return source_limit(self.v, self.i, self.censored, self.meta)

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """Where the source was at its limit: the device would have carried at least that, shape
        (points,).
        """
        return self.censored & (np.abs(self.i) >= _AT_LIMIT * self.limit)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Where the sweep says something of the device, be it only that it carries no less, shape
        (points,).
        """
        return self.kept | self.held


@dataclass(frozen=True)
class PulseTrain:
    """Conductance after each identical pulse, for one or more ramps of one device.

    Attributes
    ----------
    name
        What to call it.
    g
        Conductance read after pulse 0, 1, 2, ..., shape (ramps, pulses); shorter ramps end in NaN.
    unit
        ``S``, or ``1`` for a conductance that its publishers normalised.
    meta
        What else is known: ``v_read`` [V], ``pulse_width`` [s], ``pulse_voltage`` [V] ...
    """

    name: str
    g: Array
    unit: str = "S"
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse gaps inside a ramp, and ramps too short to have a shape."""
        if self.g.ndim != 2 or not self.g.size:
            raise InputError(
                f"{self.name}: expected ramps of shape (ramps, pulses), got {self.g.shape}"
            )
        if self.unit not in ("S", "1"):
            raise InputError(
                f"{self.name}: unit {self.unit!r} is no unit of conductance, expected 'S' or '1'"
            )
        for ramp, (values, count) in enumerate(zip(self.g, self.lengths, strict=True), start=1):
            if not np.isfinite(values[:count]).all():
                raise InputError(f"{self.name}: ramp {ramp} has a gap before its end")
            if count < _MIN_POINTS:
                raise InputError(
                    f"{self.name}: ramp {ramp} has {count} pulses, expected at least {_MIN_POINTS}"
                )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of reads in each ramp, shape (ramps,)."""
        there = np.isfinite(self.g)
        return np.where(there.any(1), self.g.shape[1] - there[:, ::-1].argmax(1), 0).astype(
            np.int64
        )

    @property
    def mean(self) -> Array:
        """Mean ramp over as many pulses as every ramp has, shape (pulses,)."""
        return np.asarray(self.g[:, : self.lengths.min()].mean(0))

    def ramps(self, start: int, stop: int) -> "PulseTrain":
        """Return ramps ``start`` to ``stop`` (excluded), counted from 0."""
        return PulseTrain(f"{self.name}[{start}:{stop}]", self.g[start:stop], self.unit, self.meta)

    @property
    def digest(self) -> str:
        """Hash of the numbers."""
        return digest(self.g, self.unit)


@dataclass(frozen=True)
class Relaxation:
    """Conductance of many cells, read at set times after each was programmed.

    Attributes
    ----------
    name
        What to call it.
    t
        Time of each read after programming [s], strictly increasing, shape (times,). The first is
        the reference.
    g
        Conductance [S], shape (cells, times); NaN where a cell was not read.
    level
        Programmed level of each cell, shape (cells,).
    meta
        What else is known; ``g_max`` [S] is the technology's full scale.
    """

    name: str
    t: Array
    g: Array
    level: NDArray[np.int64]
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse times that do not increase and cells without a first read."""
        if self.g.ndim != 2 or self.g.shape != (len(self.level), len(self.t)):
            raise InputError(
                f"{self.name}: g has shape {self.g.shape}, expected (cells, times) ="
                f" ({len(self.level)}, {len(self.t)})"
            )
        if not (np.isfinite(self.t).all() and (np.diff(self.t) > 0).all()):
            raise InputError(f"{self.name}: read times must be finite and increase")
        if np.isinf(self.g).any():
            raise InputError(f"{self.name}: conductances must be finite, or missing (NaN)")
        if not np.isfinite(self.g[:, 0]).all():
            raise InputError(f"{self.name}: every cell needs a first read")

    @property
    def change(self) -> Array:
        """Conductance minus the first read [S], shape (cells, times)."""
        return np.asarray(self.g - self.g[:, :1])

    @property
    def digest(self) -> str:
        """Hash of the numbers."""
        return digest(self.t, self.g, self.level)


@dataclass(frozen=True)
class Table:
    """Columns of numbers of equal length, each with a unit, as array testers write them.

    Attributes
    ----------
    name
        What to call it.
    columns
        Column name -> numbers, shape (rows,).
    units
        Column name -> unit (``1`` for a bare number).
    meta
        What else is known.
    """

    name: str
    columns: Mapping[str, Array]
    units: Mapping[str, str]
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse ragged columns and missing units."""
        sizes = {np.shape(column) for column in self.columns.values()}
        if len(sizes) != 1 or len(next(iter(sizes))) != 1:
            raise InputError(
                f"{self.name}: columns must be 1-D and of equal length, got {sorted(sizes)}"
            )
        if set(self.columns) != set(self.units):
            raise InputError(f"{self.name}: every column needs a unit")

    def __getitem__(self, column: str) -> Array:
        """Return one column."""
        return self.columns[column]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))

    @property
    def digest(self) -> str:
        """Hash of the numbers."""
        return digest(dict(self.columns))


Measurement: TypeAlias = Sweep | PulseTrain | Relaxation | Table | PulseMap | WriteLog

_TYPES: Mapping[str, type[Any]] = {
    "sweep": Sweep,
    "pulses": PulseTrain,
    "relaxation": Relaxation,
    "table": Table,
    "pulse_map": PulseMap,
    "write_log": WriteLog,
}
_UNITS: Mapping[str, Mapping[str, str]] = {
    "sweep": {"t": "s", "v": "V", "i": "A"},
    "pulses": {},
    "relaxation": {"t": "s", "g": "S"},
    "table": {},
    "pulse_map": PULSE_MAP_UNITS,
    "write_log": WRITE_LOG_UNITS,
}


def save_measurement(measurement: Measurement, path: str | Path) -> Path:
    """Write a measurement as an HDF5 record that says its units and, in ``meta``, its provenance
    and licence.
    """
    kind = next(name for name, cls in _TYPES.items() if isinstance(measurement, cls))
    about = {"type": kind, "digest": measurement.digest, "si_units": dict(_UNITS[kind])}
    return write_record(path, "measurement", pack(measurement) | about)


def load_measurement(path: str | Path) -> Measurement:
    """Read what :func:`save_measurement` wrote.

    Raises
    ------
    InputError
        If the record is damaged: its numbers no longer have the hash that was stored with them.
    """
    with reading(path, "measurement") as tree:
        cls = _TYPES.get(str(tree.get("type")))
        if cls is None:
            raise InputError(f"{path} holds a measurement of unknown type {tree.get('type')!r}")
        measurement: Measurement = unpack(cls, tree)
        same = measurement.digest == tree["digest"]
    if not same:
        raise InputError(f"{path} is damaged: its numbers do not have the hash stored with them")
    return measurement
