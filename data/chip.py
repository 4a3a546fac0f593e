"""What a chip's tester measures on its cells behind their transistors: one-pulse maps and write-verify logs."""

__all__ = ["PULSE_MAP_UNITS", "WRITE_LOG_UNITS", "PulseMap", "WriteLog"]

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .records.store import digest
from .types import Array, Meta

PULSE_MAP_UNITS: Mapping[str, str] = {
    "pw": "s",
    "v_wl": "V",
    "v_bl": "V",
    "v_sl": "V",
    "g_before": "S",
    "g_after": "S",
}
WRITE_LOG_UNITS: Mapping[str, str] = {
    "g_low": "S",
    "g_high": "S",
    "g_written": "S",
    "duration": "s",
    "g_erased": "S",
    "g_erased_high": "S",
    "delay": "s",
    "g": "S",
}


@dataclass(frozen=True, eq=False)
class PulseMap:
    """What one pulse did to each of many cells.

    Attributes
    ----------
    name
        What to call it.
    cell
        The cells, whole numbers, shape (pulses,).
    reset
        Whether the pulse was a RESET; else a SET, shape (pulses,).
    pw
        Width of the pulse [s], shape (pulses,).
    v_wl, v_bl, v_sl
        Voltages of word, bit and source line in the pulse [V], shape (pulses,) each.
    g_before, g_after
        Conductance as read through transistor and lines, before and after [S], shape (pulses,).
    meta
        What else is known: ``v_read`` and ``v_wl_read`` [V], ``read_noise`` [S], standard deviation
        of one read; ``pulsed_line``; ``selection``, which cells are here.
    """

    name: str
    cell: NDArray[np.int64]
    reset: NDArray[np.bool_]
    pw: Array
    v_wl: Array
    v_bl: Array
    v_sl: Array
    g_before: Array
    g_after: Array
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse columns that do not fit each other, gaps, and widths that are none."""
        _columns(self, ("cell", "reset", *PULSE_MAP_UNITS), tuple(PULSE_MAP_UNITS), "pulse")
        if not len(self.cell):
            raise InputError(f"{self.name}: a pulse map needs at least one pulse")
        if (self.pw <= 0.0).any():
            at = int((self.pw <= 0.0).argmax())
            raise InputError(
                f"{self.name}: the width of pulse {at + 1} is {self.pw[at]:g} s, expected more than 0"
            )

    def __len__(self) -> int:
        """Return the number of pulses."""
        return len(self.cell)

    def only(self, which: ArrayLike, name: str | None = None) -> "PulseMap":
        """Return some of the pulses, by a mask or by their positions."""
        chosen = np.asarray(which)
        parts = {key: getattr(self, key)[chosen] for key in ("cell", "reset", *PULSE_MAP_UNITS)}
        return PulseMap(name or self.name, **parts, meta=self.meta)

    @property
    def digest(self) -> str:
        """Hash of the numbers."""
        return digest({key: getattr(self, key) for key in ("cell", "reset", *PULSE_MAP_UNITS)})


@dataclass(frozen=True, eq=False)
class WriteLog:
    """Writes of a chip's cells to bands of conductance, and later reads of them.

    Attributes
    ----------
    name
        What to call it.
    cell
        Which cell was written, whole numbers, shape (writes,).
    g_low, g_high
        The band [S], shape (writes,) each.
    g_written
        What write-verify left [S], shape (writes,).
    duration
        How long the write took [s], NaN where it was not logged, shape (writes,).
    g_erased
        What the RESET ramp before the write left [S], NaN where there was none, shape (writes,).
    g_erased_high
        The edge at which that ramp stops [S], shape (writes,).
    write
        Which write each later read belongs to, counted from 0, shape (reads,).
    delay
        Time of the read after the write [s], shape (reads,).
    g
        What was read [S], shape (reads,).
    meta
        What else is known: ``chip``; ``attempts_max``, rounds after which a write is given up.
    """

    name: str
    cell: NDArray[np.int64]
    g_low: Array
    g_high: Array
    g_written: Array
    duration: Array
    g_erased: Array
    g_erased_high: Array
    write: NDArray[np.int64]
    delay: Array
    g: Array
    meta: Meta = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse columns that do not fit each other, bands that are none, and reads of no write."""
        _columns(self, _WRITES, ("g_low", "g_high", "g_written"), "write")
        _columns(self, ("write", "delay", "g"), ("delay", "g"), "read")
        if not len(self.cell):
            raise InputError(f"{self.name}: a write log needs at least one write")
        wrong = ~((self.g_low >= 0.0) & (self.g_high > self.g_low))
        if wrong.any():
            at = int(wrong.argmax())
            raise InputError(
                f"{self.name}: the band of write {at + 1} goes from {1e6 * self.g_low[at]:g} to"
                f" {1e6 * self.g_high[at]:g} µS, expected it to rise from 0 or more"
            )
        if len(self.write) and not 0 <= self.write.min() <= self.write.max() < len(self.cell):
            raise InputError(f"{self.name}: a later read belongs to a write that is not there")

    def __len__(self) -> int:
        """Return the number of writes."""
        return len(self.cell)

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether each write ended inside of its band, shape (writes,)."""
        return (self.g_written >= self.g_low) & (self.g_written <= self.g_high)

    @property
    def ln_width(self) -> Array:
        """Width of each band, ln(high/low), infinite from 0 S, shape (writes,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.g_high) - np.log(self.g_low))

    @property
    def digest(self) -> str:
        """Hash of the numbers."""
        names = [item.name for item in fields(self) if item.name not in ("name", "meta")]
        return digest({key: getattr(self, key) for key in names})


_WRITES = ("cell", "g_low", "g_high", "g_written", "duration", "g_erased", "g_erased_high")


def _columns(
    measured: PulseMap | WriteLog, names: tuple[str, ...], whole: tuple[str, ...], what: str
) -> None:
    """Refuse columns of unequal length, and numbers that are missing where they may not be."""
    size = np.shape(getattr(measured, names[0]))
    for name in names:
        if np.shape(getattr(measured, name)) != size or len(size) != 1:
            raise InputError(
                f"{measured.name}: {name} has shape {np.shape(getattr(measured, name))}, expected"
                f" {size}, one for each {what}"
            )
    for name in whole:
        wrong = ~np.isfinite(getattr(measured, name))
        if wrong.any():
            raise InputError(
                f"{measured.name}: {name} of {what} {int(wrong.argmax()) + 1} is no finite number: leave out rows that"
                " were not read"
            )
