"""Which importer reads which file: measurements by dataset, and any file by its kind or what it looks like.

A kind is an importer's name. Those here read what they are told to; one that was registered, or that an installed
package offers, is asked first whether a file is its own.
"""

__all__ = ["IMPORTERS", "Importer", "read_measurement", "register_importer"]

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..chip import PulseMap, WriteLog
from ..errors import InputError, MemtwinError
from ..measurement import Measurement, PulseTrain, Relaxation, Sweep, Table, load_measurement
from ..registry import Registry, text_of
from ..types import Meta
from .arrays import (
    LAYOUTS,
    read_event_log,
    read_noise_traces,
    read_ramps,
    read_relaxation,
    read_response,
    read_table,
)
from .chip import kind_of_header, read_pulse_map, read_write_log
from .delimited import read_blocks
from .named import read_named
from .pulsed.records import is_pulse_record, read_pulse_records
from .sweeps import read_sweeps

_READ_LOG = {"address": "1", "r": "ohm", "g": "S", "i": "A", "v": "V"}

_SWEEP_OPTIONS = frozenset(
    {
        *("columns", "units", "sweep_rate", "frequency", "compliance"),
        *("offset", "polarity", "magnitude", "r_tester", "shunt", "sheet", "decimal"),
    }
)
_PULSE_OPTIONS = frozenset(
    ("columns", "units", "v_read", "pulse_width", "polarity", "r_tester", "sheet", "decimal")
)
_RAMP_OPTIONS = frozenset(("columns", "units", "v_read", "sheet", "decimal"))


_HEAD = 4096
_KINDS_OF_DATA = (Sweep, PulseTrain, Relaxation, Table, PulseMap, WriteLog)


class Importer(Protocol):
    """What reads one kind of file; :func:`register_importer` puts it to use."""

    @property
    def name(self) -> str:
        """The kind of file, as ``--kind`` names it."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file is of this kind, by its name or by its first 4096 bytes (unpacked if gzipped)."""

    def read(self, path: Path) -> Measurement | Sequence[Measurement]:
        """Return what the file holds; further parameters are options, such as ``columns`` or ``v_read``."""


@dataclass(frozen=True)
class _Reader:
    """How to read one kind of file, and which options that takes."""

    reads: Callable[..., list[Measurement]]
    options: frozenset[str] = frozenset()
    name: str = ""

    def matches(self, path: Path, head: bytes) -> bool:
        return False

    def read(self, path: Path, meta: Meta | None = None, **options: Any) -> list[Measurement]:
        return self.reads(path, meta or {}, **options)


def _ramp_columns(
    columns: Mapping[str, Any] | None = None,
    units: Mapping[str, str] | None = None,
    v_read: float | None = None,
    **others: Any,
) -> dict[str, Any]:
    wrong = sorted({*(columns or {}), *(units or {})} - {"g"})
    if wrong:
        raise InputError(f"ramps have columns g, not {wrong[0]}: give them as g=NAME:UNIT")
    return {
        "columns": (columns or {}).get("g"),
        "unit": (units or {}).get("g"),
        "v_read": v_read,
        **others,
    }


def _pulses(path: Path, meta: Meta, **options: Any) -> list[Measurement]:
    wrong = sorted(set(options.get("columns", {})) - {"v", "w", "g", "i"})
    if wrong:
        raise InputError(f"a record of pulses has columns v, w and g or i, not {wrong[0]}")
    return list(read_pulse_records(path, meta=meta, **options))


def _is_record(path: Path, options: Mapping[str, Any]) -> bool:
    """Return whether a file that is taken for sweeps speaks of pulses and reads instead."""
    if set(options) - _PULSE_OPTIONS:
        return False
    if "pulse_width" in options or "w" in options.get("columns", {}):
        return True
    if "columns" in options and "v_read" not in options:
        return False
    try:
        return all(
            is_pulse_record(block)
            for block in read_blocks(
                path, sheet=options.get("sheet"), decimal=options.get("decimal")
            )
        )
    except InputError:
        return False  # the reader of sweeps says why


def _sweeps(path: Path, meta: Meta, **options: Any) -> list[Measurement]:
    if _is_record(path, options):
        return _pulses(path, meta, **options)
    _refuse_options(path, options, _SWEEP_OPTIONS, "a current-voltage sweep")
    wrong = sorted(set(options.get("columns", {})) - {"t", "v", "i", "cycle", "status"})
    if wrong:
        raise InputError(
            f"a sweep has columns t, v, i, cycle and status, not {wrong[0]}; or give its --kind"
        )
    area = meta.get("area")
    given = None if area is None else float(area)
    return list(read_sweeps(path, meta=meta, area=given, **options))


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


def _pulse_map(path: Path, meta: Meta) -> list[Measurement]:
    return [read_pulse_map(path, meta=meta)]


def _known_map(path: Path, meta: Meta) -> list[Measurement]:
    # their drivers and settings: reads at 0.2 V; a pulse that does nothing shows their noise
    about = {"v_read": 0.2, "v_wl_read": 2.5, "read_noise": 2e-6}
    return [read_pulse_map(path, meta={**about, **meta})]


def _write_log(path: Path, meta: Meta) -> list[Measurement]:
    return [read_write_log(path, meta=meta)]


def _known_log(path: Path, meta: Meta) -> list[Measurement]:
    chip = path.name.partition("scheme")[0]  # 13scheme_test_...
    return [read_write_log(path, meta={"chip": chip, "attempts_max": 100, **meta})]


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


def _named(path: Path, meta: Meta, **options: Any) -> list[Measurement]:
    return [read_named(path, meta=meta, **options)]


_SWEEP = _Reader(_sweeps, _SWEEP_OPTIONS | {"v_read", "pulse_width"})
_KINDS: Mapping[str, _Reader] = {
    **{layout: _table(layout) for layout in LAYOUTS},
    "sweep": _SWEEP,
    "pulses": _Reader(_pulses, _PULSE_OPTIONS),
    "ramps": _Reader(_ramps, _RAMP_OPTIONS),
    "response": _Reader(_response, _RAMP_OPTIONS),
    "relaxation": _Reader(_relaxation),
    "table": _Reader(_named, frozenset({"sheet"})),
    "log": _Reader(_events),
    "pulse_map": _Reader(_pulse_map),
    "write_log": _Reader(_write_log),
}


def _checked(name: str, importer: Any) -> Importer:
    if not all(callable(getattr(importer, method, None)) for method in ("matches", "read")):
        raise InputError(
            f"the importer {name!r} is {importer!r:.60}, expected an object with the methods"
            " matches(path, head) and read(path)"
        )
    taken: Importer = importer
    return taken


IMPORTERS: Registry[Importer] = Registry(
    "kind of measurement",
    how="register its importer with register_importer(IMPORTER) of memtwin.data.importers.readers",
    shipped={name: partial(replace, reader, name=name) for name, reader in _KINDS.items()},
    group="memtwin.importers",
    check=_checked,
)
"""Importers by name; packages offer theirs by entry points of the group ``memtwin.importers``."""


def register_importer(importer: Importer, *, replace: bool = False) -> Importer:
    """Let an importer read its kind of file, wherever a measurement is read; return it.

    Raises
    ------
    InputError
        If another importer has its name, unless ``replace`` is given; or a method is missing.
    """
    return IMPORTERS.add(str(getattr(importer, "name", "")), importer, replace=replace)


_DATASETS: tuple[tuple[str, str, _Reader], ...] = (
    ("nbsto-groningen-iv", "*.csv", _SWEEP),
    ("crosssim-taox-ltp-ltd", "*.csv", _Reader(_crosssim)),
    ("aihwkit-gong-rram-ltp-ltd", "*.csv", _KINDS["response"]),
    ("stanford-1t1r-switching-kinetics", "endurance_log*", _KINDS["log"]),
    ("stanford-1t1r-switching-kinetics", "endurance_slow*", _table("cycles")),
    ("stanford-1t1r-switching-kinetics", "*et_sweep*", _Reader(_known_map)),
    ("stanford-1t1r-switching-kinetics", "read_voltage_sweep*", _table("read_sweep")),
    ("stanford-1t1r-switching-kinetics", "*.tsv", _table("resistance")),
    ("stanford-1t1r-write-verify", "*scheme_test*", _Reader(_known_log)),
    ("stanford-1t1r-write-verify", "*dead*.csv", _table("dead")),
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
        Else: ``sweep``, ``pulses``, ``ramps``, ``response``, ``relaxation``, ``log``, ``pulse_map``,
        ``write_log``, a table layout, or the name of a registered importer. Default: that of the importer that
        says that the file is its own, ``pulse_map`` and ``write_log`` where the header has their columns, ``pulses``
        where its names speak of amplitudes, widths and reads, else ``sweep``.
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
    if "area" in given:
        facts["area"] = given.pop("area")  # a fact of any measurement, whatever its reader asks for
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
        return reader.read(path, facts, **given)
    kind = kind or _kind_of(path)
    importer = IMPORTERS[kind]
    _refuse_options(path, given, _options(importer), f"the kind {kind}")
    if isinstance(importer, _Reader):
        return importer.read(path, facts, **given)
    return _imported(importer, path, facts, given)


def _kind_of(path: Path) -> str:
    """Return the name of the one importer that says that the file is its own, else what its header looks like."""
    asked = [name for name in IMPORTERS if not isinstance(IMPORTERS[name], _Reader)]
    head = _head(path)
    found = []
    for name in asked:
        try:
            if IMPORTERS[name].matches(path, head):
                found.append(name)
        except Exception as error:
            raise InputError(
                f"{path}: the importer {name!r} can't say whether it reads it ({text_of(error)});"
                " give the kind"
            ) from error
    if len(found) > 1:
        raise InputError(
            f"{path}: the importers {' and '.join(map(repr, found))} both read it; give the kind"
        )
    return found[0] if found else kind_of_header(head) or "sweep"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                head = packed.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"can't read {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    return head


def _options(importer: Importer) -> frozenset[str]:
    """Return the options that an importer takes: what its ``read`` has by keyword."""
    if isinstance(importer, _Reader):
        return importer.options
    _, *others = signature(importer.read).parameters.values()
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return frozenset(each.name for each in others if each.kind in by_name)


def _imported(
    importer: Importer, path: Path, facts: Meta, given: Mapping[str, Any]
) -> list[Measurement]:
    """Return what a registered importer reads, with what else is known of the file."""
    try:
        found = importer.read(path, **given)
    except MemtwinError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: the importer {importer.name!r} can't read it: {text_of(error)}"
        ) from error
    several = [found] if isinstance(found, _KINDS_OF_DATA) else list(found or ())
    if not several or not all(isinstance(one, _KINDS_OF_DATA) for one in several):
        raise InputError(
            f"{path}: the importer {importer.name!r} gave {found!r:.60}, expected a Sweep, PulseTrain,"
            " Relaxation, Table, PulseMap or WriteLog"
        )
    known = {"file": path.name, **facts}
    return [replace(one, meta={**one.meta, **known}) for one in several]


def _refuse_options(
    path: Path, given: Mapping[str, Any], allowed: frozenset[str], what: str
) -> None:
    for name in sorted(set(given) - allowed):
        raise InputError(f"{path}: {name.replace('_', ' ')} does not apply to {what}")
