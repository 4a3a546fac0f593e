"""One-pulse maps and write-verify logs of chips, from a tester's files and from tables with a header.

A table with a header has the columns of :class:`~memtwin.data.chip.PulseMap` or
:class:`~memtwin.data.chip.WriteLog`, in any order, each with its unit in brackets behind the name (``pw [ns]``,
``g_after [uS]``), SI without. Resistances, as ``r_before`` or ``r_high``, do as well as conductances. Later reads of a
write log are columns that name their delay: ``g at 1 s``.
"""

__all__ = ["kind_of_header", "read_pulse_map", "read_write_log"]

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..chip import PULSE_MAP_UNITS, WRITE_LOG_UNITS, PulseMap, WriteLog
from ..errors import InputError, nearest
from ..types import Array, Meta
from .arrays import read_table
from .tables.containers import read_bytes
from .tables.rows import decode
from .units import parse_unit, si_factor

_ALIASES: Mapping[str, str] = {
    "address": "cell",
    "addr": "cell",
    "cell_id": "cell",
    "device": "cell",
    "operation": "op",
    "polarity": "op",
    "width": "pw",
    "pulse_width": "pw",
    "t_pulse": "pw",
    "vwl": "v_wl",
    "v_word": "v_wl",
    "vbl": "v_bl",
    "v_bit": "v_bl",
    "vsl": "v_sl",
    "v_source": "v_sl",
    "g_pre": "g_before",
    "g_post": "g_after",
    "r_pre": "r_before",
    "r_post": "r_after",
}
_INVERSE = {
    "r_before": "g_before",
    "r_after": "g_after",
    "r_low": "g_high",
    "r_high": "g_low",
    "r_written": "g_written",
    "r_erased": "g_erased",
    "r_erased_low": "g_erased_high",
}
_LARGEST = {"S": 0.1, "s": 10.0}  # medians above it are numbers of another unit
_HEAD = re.compile(r"^(?P<name>[^(\[]*?)\s*(?:[(\[]\s*(?P<unit>[^)\]]*?)\s*[)\]])?$")
_LATER = re.compile(r"^(?P<what>[gr])\s*(?:at|@)\s*(?P<delay>[\d.eE+-]+)\s*(?P<unit>[a-zµ]+)$")
_COMMENTS = ("#", "%", "//")
_MISSING = frozenset({"", "nan", "na", "n/a", "-"})


def kind_of_header(head: bytes) -> str | None:
    """Return ``pulse_map`` or ``write_log`` where the first line of a file has the columns of one, else ``None``."""
    lines = (line.strip() for line in head.decode("utf-8", "ignore").splitlines())
    first = next((line for line in lines if line and not line.startswith(_COMMENTS)), "")
    names = set()
    for text in re.split(r"[\t;,]", first):
        found = _HEAD.match(text.strip().strip('"'))
        key = (found["name"] if found else text).strip().lower().replace(" ", "_")
        key = _ALIASES.get(key, key)
        names.add(_INVERSE.get(key, key))
    if {"cell", "pw", "v_wl", "g_before", "g_after"} <= names:
        return "pulse_map"
    return "write_log" if {"cell", "g_low", "g_high", "g_written"} <= names else None


def read_pulse_map(
    path: str | Path,
    *,
    reset: bool | None = None,
    name: str | None = None,
    meta: Meta | None = None,
) -> PulseMap:
    """Read what one pulse did to each of many cells.

    Parameters
    ----------
    path
        A table with a header; its column ``op`` says ``set`` or ``reset``, a line voltage that it lacks is 0 V. Or,
        without a header, address, width [s], word line [V], driven line [V], resistance before and after [ohm].
    reset
        Whether the pulses are RESETs, where no column says that; default: as the file's name says.
    name, meta
        Name and further facts to keep.

    Raises
    ------
    InputError
        If a column is missing or no number, or nothing says whether the pulses are SETs or RESETs.
    """
    path = Path(path)
    rows = _rows(path)
    facts = {"file": path.name, "pulsed_line": "wl", **(meta or {})}
    label = name or path.stem
    if _plain(rows[0][1]):
        table = read_table(path, "one_pulse")
        said = _operation(path, reset)
        driven, rest = table["v_drive"], np.zeros(len(table))
        return PulseMap(
            label,
            _cells(path, table["address"]),
            np.full(len(table), said),
            table["width"],
            table["v_word"],
            rest if said else driven,
            driven if said else rest,
            _inverse(path, table["r_before"]),
            _inverse(path, table["r_after"]),
            facts,
        )
    known = _Columns(path, rows, ("cell", "op", *PULSE_MAP_UNITS), PULSE_MAP_UNITS)
    for key in ("g_before", "g_after", "pw"):
        known.check_unit(key)
    if "op" in known:
        words = [word.strip().lower() for word in known.text("op")]
        for line, word in zip(known.lines, words, strict=True):
            if word not in ("set", "reset"):
                raise InputError(f"{path}, line {line}: op is {word!r}, expected set or reset")
        resets = np.array([word == "reset" for word in words])
    else:
        resets = np.full(known.rows, _operation(path, reset))
    lines = {key: known.get(key, np.zeros(known.rows)) for key in ("v_bl", "v_sl")}
    return PulseMap(
        label,
        _cells(path, known["cell"]),
        resets,
        known["pw"],
        known["v_wl"],
        **lines,
        g_before=known["g_before"],
        g_after=known["g_after"],
        meta=facts,
    )


def read_write_log(
    path: str | Path, *, name: str | None = None, meta: Meta | None = None
) -> WriteLog:
    """Read what write-verify left in a chip's cells, and later reads of them.

    Parameters
    ----------
    path
        A table with a header; of its columns only ``cell``, ``g_low``, ``g_high`` and ``g_written`` are needed. Or the
        rows of a tester: ``Init``, ``Write`` and ``Read``, each with the lower and upper edge [ohm], address, time [s],
        resistance [ohm] and conductance [S]; ``Init`` is the RESET ramp before a write, which stops above its lower
        edge. Reads of cells that were not written before in the file are left out.
    name, meta
        Name and further facts to keep.

    Raises
    ------
    InputError
        If a row or a column is broken or missing.
    """
    path = Path(path)
    rows = _rows(path)
    facts = {"file": path.name, **(meta or {})}
    label = name or path.stem
    if rows[0][1][0] in ("Init", "Write", "Read"):
        return _log_of_rows(path, rows, label, facts)
    known = _Columns(path, rows, ("cell", *WRITE_LOG_UNITS), WRITE_LOG_UNITS)
    known.check_unit("g_written")
    missing = np.full(known.rows, np.nan)
    later = known.later()
    delays = np.array([delay for delay, _ in later])
    values = np.array([g for _, g in later]).reshape(len(later), known.rows)
    read, write = np.nonzero(np.isfinite(values))
    return WriteLog(
        label,
        _cells(path, known["cell"]),
        known["g_low"],
        known["g_high"],
        known["g_written"],
        known.get("duration", missing),
        known.get("g_erased", missing),
        known.get("g_erased_high", missing),
        write.astype(np.int64),
        delays[read],
        values[read, write],
        facts,
    )


def _log_of_rows(
    path: Path, rows: Sequence[tuple[int, list[str]]], label: str, facts: Meta
) -> WriteLog:
    """Return the log that a tester's rows tell, one by one."""
    erased: dict[int, tuple[float, float, float]] = {}
    last: dict[int, int] = {}
    writes: list[tuple[float, ...]] = []
    times: list[float] = []
    reads: list[tuple[int, float, float]] = []
    for line, words in rows:
        if len(words) != 7 or words[0] not in ("Init", "Write", "Read"):
            raise InputError(
                f"{path}, line {line}: expected Init, Write or Read and six numbers, got"
                f" {' '.join(words)!r:.60}"
            )
        try:
            low, high, address, at, r = map(float, words[1:6])
        except ValueError as error:
            raise InputError(f"{path}, line {line}: a number is broken ({error})") from None
        cell, g = int(address), 1.0 / r if r else np.nan
        if words[0] == "Read":
            if cell in last:
                reads.append((last[cell], at - times[last[cell]], g))
            continue
        if not 0.0 < low < high:
            raise InputError(
                f"{path}, line {line}: the edges are {low:g} and {high:g} ohm, expected them to rise"
                " from above 0"
            )
        if words[0] == "Init":
            erased[cell] = (at, g, 1.0 / low)
            continue
        since, left, edge = erased.pop(cell, (np.nan, np.nan, np.nan))
        last[cell] = len(writes)
        writes.append((cell, 1.0 / high, 1.0 / low, g, at - since, left, edge))
        times.append(at)
    if not writes:
        raise InputError(f"{path} holds no Write row")
    cells, *columns = np.array(writes).T.copy()
    low_edge, high_edge, written, duration, left, edge = columns
    number, delay, later = np.array(reads).reshape(-1, 3).T.copy()
    return WriteLog(
        label,
        cells.astype(np.int64),
        low_edge,
        high_edge,
        written,
        duration,
        left,
        edge,
        number.astype(np.int64),
        delay,
        later,
        facts,
    )


class _Columns(Mapping[str, Array]):
    """The columns of a table with a header, by the names of a schema."""

    def __init__(
        self,
        path: Path,
        rows: Sequence[tuple[int, list[str]]],
        names: Sequence[str],
        units: Mapping[str, str],
    ) -> None:
        self._path, self._units = path, units
        (_, header), *body = rows
        if not body:
            raise InputError(f"{path} has a header and no rows")
        self.lines = [line for line, _ in body]
        for line, words in body:
            if len(words) != len(header):
                raise InputError(
                    f"{path}, line {line}: {len(words)} fields, expected {len(header)} as in the header"
                )
        self._body = [words for _, words in body]
        self._place: dict[str, tuple[int, str, bool]] = {}
        self._later: list[tuple[float, int, str]] = []
        for place, text in enumerate(header):
            found = _HEAD.match(text.strip())
            plain, unit = (found["name"], found["unit"] or "") if found else (text, "")
            key = plain.strip().lower().replace(" ", "_")
            later = _LATER.match(plain.strip().lower())
            if later:
                second = si_factor(later["unit"], "s", f"{path}, {text}")
                default = "S" if later["what"] == "g" else "ohm"
                self._later.append((float(later["delay"]) * second, place, unit or default))
                continue
            key = _ALIASES.get(key, key)
            meant = _INVERSE.get(key, key)
            if meant in self._place:
                raise InputError(f"{path}: two columns say {meant}")
            self._place[meant] = (place, unit, meant != key)
        for name in names:
            optional = name in ("op", "v_bl", "v_sl", "duration", "delay", "g")
            if name not in self._place and not optional and not name.startswith("g_erased"):
                raise InputError(
                    f"{path}: there is no column {name}{nearest(name, list(self._place))}; expected"
                    f" {', '.join(names)}"
                )

    def __contains__(self, name: object) -> bool:
        return name in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._body)

    def text(self, name: str) -> list[str]:
        """Return a column as it is written."""
        return [words[self._place[name][0]] for words in self._body]

    def __getitem__(self, name: str) -> Array:
        """Return a column in SI units; NaN where a field is empty."""
        place, unit, inverse = self._place[name]
        wanted = self._units.get(name, "1")
        wanted = "ohm" if inverse else wanted
        factor = 1.0
        if unit and wanted != "1":
            factor = si_factor(unit, wanted, f"{self._path}, {name}")
        values = self._numbers(place) * factor
        return _inverse(self._path, values) if inverse else values

    def check_unit(self, name: str) -> None:
        """Refuse a column without a unit whose numbers are no cell's in SI units, as 7.2 for microsiemens."""
        place, unit, inverse = self._place[name]
        values = self._numbers(place)
        seen = values[np.isfinite(values) & (values > 0.0)]
        if unit or not seen.size:
            return
        middle = float(np.median(1.0 / seen if inverse else seen))
        si = self._units[name]
        if middle > _LARGEST[si]:
            raise InputError(
                f"{self._path}: the median of {name} is {middle:.3g} {si}, no cell's: say the column's unit in"
                f" brackets, as {'pw [ns]' if si == 's' else f'{name} [uS]'}"
            )

    def later(self) -> list[tuple[float, Array]]:
        """Return the delay [s] of each later read, and what was read [S]."""
        found = []
        for delay, place, unit in self._later:
            known = parse_unit(unit)
            if known is None or known.si not in ("S", "ohm"):
                raise InputError(
                    f"{self._path}: {unit!r} is no unit of a conductance or resistance"
                )
            values = self._numbers(place) * known.factor
            found.append((delay, values if known.si == "S" else _inverse(self._path, values)))
        return found

    def _numbers(self, place: int) -> Array:
        values = np.full(len(self._body), np.nan)
        for k, words in enumerate(self._body):
            word = words[place].strip()
            try:
                values[k] = float(word)
            except ValueError:
                if word.lower() not in _MISSING:
                    raise InputError(
                        f"{self._path}, line {self.lines[k]}, column {place + 1}: expected a number,"
                        f" got {word!r:.40}"
                    ) from None
        return values


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return line number and fields of every line that is no comment."""
    lines = decode(read_bytes(path), str(path)).splitlines()
    kept = [(k, line) for k, line in enumerate(lines, start=1) if line.strip()]
    kept = [(k, line) for k, line in kept if not line.lstrip().startswith(_COMMENTS)]
    if not kept:
        raise InputError(f"{path} is empty")
    separator = next((sign for sign in "\t;," if sign in kept[0][1]), None)
    split: Callable[[str], Any] = (
        str.split
        if separator is None
        else lambda line: next(csv.reader([line], delimiter=separator))
    )
    return [(k, [word.strip() for word in split(line)]) for k, line in kept]


def _plain(words: Sequence[str]) -> bool:
    try:
        return all(np.isfinite(float(word)) or True for word in words)
    except ValueError:
        return False


def _operation(path: Path, reset: bool | None) -> bool:
    if reset is not None:
        return reset
    words = re.split(r"[^a-z]+", path.stem.lower())
    for word, said in (("reset", True), ("set", False)):
        if word in words:
            return said
    raise InputError(
        f"{path}: nothing says whether these are SET or RESET pulses: add a column op, or say set or"
        " reset in the file's name"
    )


def _cells(path: Path, values: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    wrong = ~(np.isfinite(values) & (values == np.round(values)))
    if wrong.any():
        raise InputError(f"{path}: row {int(wrong.argmax()) + 1} names no cell by a whole number")
    return values.astype(np.int64)


def _inverse(path: Path, r: Array) -> Array:
    """Return conductances of resistances; an offset of the tester may turn their sign, but none is 0."""
    if (r == 0.0).any():
        raise InputError(f"{path}: the resistance of row {int((r == 0.0).argmax()) + 1} is 0 ohm")
    return np.asarray(1.0 / r)
