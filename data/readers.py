"""Which importer reads which file: measurements by dataset, and any file by what it looks like."""

__all__ = ["read_measurement"]

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from .array_importers import (
    LAYOUTS,
    read_event_log,
    read_noise_traces,
    read_ramps,
    read_relaxation,
    read_response,
    read_table,
)
from .errors import InputError
from .importers import read_sweep
from .measurement import Measurement, Meta, Table, load_measurement

_READ_LOG = {"address": "1", "r": "ohm", "g": "S", "i": "A", "v": "V"}


def _tables(layout: str | Mapping[str, str]) -> Callable[..., list[Measurement]]:
    def read(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
        return [read_table(path, layout, meta=meta)]

    return read


def _sweeps(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
    return [read_sweep(path, sweep_rate=sweep_rate, meta=meta)]


def _crosssim(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
    return [read_ramps(path, v_read=0.1, meta=meta)]


def _response(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
    return list(read_response(path, meta=meta))


def _events(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
    return [read_event_log(path, meta=meta)]


def _relaxation(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
    full_scale = {"techA": 240e-6, "techB": 128e-6, "techC": 40e-6}  # their settings.json
    return [read_relaxation(path, g_max=full_scale.get(path.parent.name), meta=meta)]


def _noise(path: Path, meta: Meta, sweep_rate: float | None) -> list[Measurement]:
    traces = read_noise_traces(path)
    columns = {f"g_{k}": row for k, row in enumerate(traces, start=1)}
    columns["t"] = np.arange(traces.shape[1]) / 400.0  # reads per second, their settings.json
    units = {name: "s" if name == "t" else "S" for name in columns}
    return [Table(path.stem, columns, units, {"file": path.name, **meta})]


_READERS: tuple[tuple[str, str, Callable[..., list[Measurement]]], ...] = (
    ("nbsto-groningen-iv", "*.csv", _sweeps),
    ("crosssim-taox-ltp-ltd", "*.csv", _crosssim),
    ("aihwkit-gong-rram-ltp-ltd", "*.csv", _response),
    ("stanford-1t1r-switching-kinetics", "endurance_log*", _events),
    ("stanford-1t1r-switching-kinetics", "endurance_slow*", _tables("cycles")),
    ("stanford-1t1r-switching-kinetics", "*et_sweep*", _tables("one_pulse")),
    ("stanford-1t1r-switching-kinetics", "read_voltage_sweep*", _tables("read_sweep")),
    ("stanford-1t1r-switching-kinetics", "*.tsv", _tables("resistance")),
    ("rram-relaxation-3tech", "*relaxdata*", _relaxation),
    ("rram-relaxation-3tech", "*bake*", _tables("bake")),
    ("rram-relaxation-3tech", "*tsdata*", _noise),
    ("ni-rram-1t1r-endurance-retention", "100cyc*", _tables("endurance")),
    ("ni-rram-1t1r-endurance-retention", "1us_endurance*", _tables("endurance")),
    ("ni-rram-1t1r-endurance-retention", "ret1*", _tables("retention")),
    ("ni-rram-1t1r-endurance-retention", "read_multivolt*", _tables("read_multivolt")),
    ("ni-rram-1t1r-endurance-retention", "read*.csv", _tables(_READ_LOG)),
    ("ni-rram-1t1r-endurance-retention", "*.tsv", _tables("resistance")),
)


def read_measurement(
    path: str | Path,
    *,
    dataset: str | None = None,
    kind: str | None = None,
    meta: Meta | None = None,
    v_read: float | None = None,
    **options: Any,
) -> list[Measurement]:
    """Read a file of a known dataset, a measurement record, or a file of a stated kind.

    Parameters
    ----------
    path
        The file.
    dataset
        Its dataset in the catalogue, if it has one; that also says how to read it.
    kind
        Else: ``sweep`` (the default), ``ramps``, ``response``, ``relaxation``, ``log``, or a table
        layout.
    meta
        Facts to keep with it.
    v_read
        Read voltage of ``ramps`` [V].
    options
        Further arguments of :func:`~memtwin.data.importers.read_sweep`.

    Returns
    -------
    list
        Its measurements, usually one.
    """
    path, facts = Path(path), dict(meta or {})
    if path.suffix in (".h5", ".hdf5"):
        return [load_measurement(path)]
    if dataset is not None and kind is None:
        for name, pattern, reader in _READERS:
            if name == dataset and fnmatchcase(path.name, pattern):
                return reader(path, facts, options.get("sweep_rate"))
        raise InputError(f"{path.name} of dataset {dataset} holds no measurement")
    if kind in (None, "sweep"):
        return [read_sweep(path, meta=facts, **options)]
    if kind == "ramps":
        if v_read is None:
            raise InputError(f"{path}: give the read voltage, so that currents become conductances")
        return [read_ramps(path, v_read=v_read, meta=facts)]
    if kind == "response":
        return _response(path, facts, None)
    if kind == "relaxation":
        return [read_relaxation(path, meta=facts)]
    if kind == "log":
        return _events(path, facts, None)
    if kind in LAYOUTS:
        return [read_table(path, str(kind), meta=facts)]
    known = ("sweep", "ramps", "response", "relaxation", "log", *LAYOUTS)
    raise InputError(f"unknown kind of measurement {kind!r} (known: {', '.join(known)})")
