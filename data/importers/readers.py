"""Which importer reads which file: measurements by dataset, and any file by what it looks like."""

__all__ = ["read_measurement"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..measurement import Measurement, Meta, Table, load_measurement
from .arrays import (
    LAYOUTS,
    read_event_log,
    read_noise_traces,
    read_ramps,
    read_relaxation,
    read_response,
    read_table,
)
from .sweeps import read_sweeps

_READ_LOG = {"address": "1", "r": "ohm", "g": "S", "i": "A", "v": "V"}

_SWEEP_OPTIONS = frozenset(
    {
        *("columns", "units", "sweep_rate", "frequency", "compliance"),
        *("offset", "polarity", "magnitude", "r_tester"),
    }
)
_RAMP_OPTIONS = frozenset(("columns", "units", "v_read"))


@dataclass(frozen=True)
class _Reader:
    """How to read one kind of file, and which options that takes."""

    read: Callable[..., list[Measurement]]
    options: frozenset[str] = frozenset()


def _ramp_columns(
    columns: Mapping[str, Any] | None = None,
    units: Mapping[str, str] | None = None,
    v_read: float | None = None,
) -> dict[str, Any]:
    wrong = sorted({*(columns or {}), *(units or {})} - {"g"})
    if wrong:
        raise InputError(f"ramps have columns g, not {wrong[0]}: give them as g=NAME:UNIT")
    return {"columns": (columns or {}).get("g"), "unit": (units or {}).get("g"), "v_read": v_read}


def _sweeps(path: Path, meta: Meta, **options: Any) -> list[Measurement]:
    wrong = sorted(set(options.get("columns", {})) - {"t", "v", "i"})
    if wrong:
        raise InputError(f"a sweep has columns t, v and i, not {wrong[0]}; or give its --kind")
    return list(read_sweeps(path, meta=meta, **options))


def _ramps(path: Path, meta: Meta, **options: Any) -> list[Measurement]:
    return [read_ramps(path, meta=meta, **_ramp_columns(**options))]


def _crosssim(path: Path, meta: Meta) -> list[Measurement]:
    return [read_ramps(path, v_read=0.1, meta=meta)]


def _response(path: Path, meta: Meta, **options: Any) -> list[Measurement]:
    return list(read_response(path, meta=meta, **_ramp_columns(**options)))


def _events(path: Path, meta: Meta) -> list[Measurement]:
    return [read_event_log(path, meta=meta)]


def _relaxation(path: Path, meta: Meta) -> list[Measurement]:
    return [read_relaxation(path, meta=meta)]


def _known_relaxation(path: Path, meta: Meta) -> list[Measurement]:
    full_scale = {"techA": 240e-6, "techB": 128e-6, "techC": 40e-6}  # their settings.json
    return [read_relaxation(path, g_max=full_scale.get(path.parent.name), meta=meta)]


def _noise(path: Path, meta: Meta) -> list[Measurement]:
    traces = read_noise_traces(path)
    columns = {f"g_{k}": row for k, row in enumerate(traces, start=1)}
    columns["t"] = np.arange(traces.shape[1]) / 400.0  # reads per second, their settings.json
    units = {name: "s" if name == "t" else "S" for name in columns}
    return [Table(path.stem, columns, units, {"file": path.name, **meta})]


def _table(layout: str | Mapping[str, str]) -> _Reader:
    def read(path: Path, meta: Meta) -> list[Measurement]:
        return [read_table(path, layout, meta=meta)]

    return _Reader(read)


_SWEEP = _Reader(_sweeps, _SWEEP_OPTIONS)
_KINDS: Mapping[str, _Reader] = {
    **{layout: _table(layout) for layout in LAYOUTS},
    "sweep": _SWEEP,
    "ramps": _Reader(_ramps, _RAMP_OPTIONS),
    "response": _Reader(_response, _RAMP_OPTIONS),
    "relaxation": _Reader(_relaxation),
    "log": _Reader(_events),
}
_DATASETS: tuple[tuple[str, str, _Reader], ...] = (
    ("nbsto-groningen-iv", "*.csv", _SWEEP),
    ("crosssim-taox-ltp-ltd", "*.csv", _Reader(_crosssim)),
    ("aihwkit-gong-rram-ltp-ltd", "*.csv", _KINDS["response"]),
    ("stanford-1t1r-switching-kinetics", "endurance_log*", _KINDS["log"]),
    ("stanford-1t1r-switching-kinetics", "endurance_slow*", _table("cycles")),
    ("stanford-1t1r-switching-kinetics", "*et_sweep*", _table("one_pulse")),
    ("stanford-1t1r-switching-kinetics", "read_voltage_sweep*", _table("read_sweep")),
    ("stanford-1t1r-switching-kinetics", "*.tsv", _table("resistance")),
    ("rram-relaxation-3tech", "*relaxdata*", _Reader(_known_relaxation)),
    ("rram-relaxation-3tech", "*bake*", _table("bake")),
    ("rram-relaxation-3tech", "*tsdata*", _Reader(_noise)),
    ("ni-rram-1t1r-endurance-retention", "100cyc*", _table("endurance")),
    ("ni-rram-1t1r-endurance-retention", "1us_endurance*", _table("endurance")),
    ("ni-rram-1t1r-endurance-retention", "ret1*", _table("retention")),
    ("ni-rram-1t1r-endurance-retention", "read_multivolt*", _table("read_multivolt")),
    ("ni-rram-1t1r-endurance-retention", "read*.csv", _table(_READ_LOG)),
    ("ni-rram-1t1r-endurance-retention", "*.tsv", _table("resistance")),
)


def read_measurement(
    path: str | Path,
    *,
    dataset: str | None = None,
    kind: str | None = None,
    meta: Meta | None = None,
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
    options
        Further arguments of :func:`~memtwin.data.importers.sweeps.read_sweeps`; of ramps and responses:
        ``v_read`` [V], ``columns`` and ``units``, both with the key ``g``. None is as not given.

    Returns
    -------
    list
        Its measurements, usually one.

    Raises
    ------
    InputError
        If it can't be read as that, or an option does not apply.
    """
    path, facts = Path(path), dict(meta or {})
    given = {name: value for name, value in options.items() if value is not None}
    if path.suffix in (".h5", ".hdf5"):
        _refuse_options(path, given, frozenset(), "a measurement record")
        return [load_measurement(path)]
    if dataset is not None and kind is None:
        reader = next(
            (
                reader
                for name, pattern, reader in _DATASETS
                if name == dataset and fnmatchcase(path.name, pattern)
            ),
            None,
        )
        if reader is None:
            raise InputError(f"{path.name} of dataset {dataset} holds no measurement")
        _refuse_options(path, given, reader.options, f"a file of {dataset}")
    else:
        reader = _KINDS.get(kind or "sweep")
        if reader is None:
            raise InputError(
                f"unknown kind of measurement {kind!r} (known: {', '.join(sorted(_KINDS))})"
            )
        _refuse_options(path, given, reader.options, f"the kind {kind or 'sweep'}")
    return reader.read(path, facts, **given)


def _refuse_options(
    path: Path, given: Mapping[str, Any], allowed: frozenset[str], what: str
) -> None:
    for name in sorted(set(given) - allowed):
        raise InputError(f"{path}: {name.replace('_', ' ')} does not apply to {what}")
