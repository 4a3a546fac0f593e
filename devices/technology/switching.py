"""What a SET pulse makes of a cell behind its transistor: kinetics in the logarithm of its conductance.

With u = ln(g_c/1 µS) of the cell alone,

    g_c v_c = i_d(v_wl, v_bl - v_c - i r_write)      the transistor limits the current
    du/dt = rate · 2 sinh(v_c/v_s)                   the filament grows (isothermal gap law), or
    du/dt = rate · (v_c/v_on - 1)^alpha              as VTEAM has it, above v_on
    1/g = 1/g_c + r_read                             a read goes through transistor and lines

While the lines are constant, the time from u_0 to u is an integral of known functions: no equation is stepped. Another
rate shifts the logarithm of time, another threshold the word line, so that one table serves any population. The table's
curves are traced along the transistor's voltage, from which v_c and g_c follow without solving for them.
"""

__all__ = ["CellLaw", "ModelLaw", "PowerLaw", "SetLaw", "SetTable", "tabulate"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..device import Device, load_device
from ..device_file import shipped_devices
from ..models import models
from .access import AccessTransistor

_MICRO = 1e-6
_STEP_WL = 0.03  # [V] between the table's word lines, the channel's smoothing
_NODES = 150  # along a curve
_U = np.linspace(-2.5, 10.0, 180)  # ln(g_c/µS): 0.08 µS to 22 mS
_COARSE, _FINER = 100, 6  # intervals of a model's voltage, and of its rate in each
_VOLTAGES = 257  # at which a model's current is asked
_BISECTIONS = 14  # between two of them: to a millionth of a volt
_NEVER = 300.0  # ln of a time that no pulse has, times the rate
_TIMES = 200  # logarithmic times of a table
_BEFORE, _AFTER = (
    16.0,
    14.0,
)  # ln of what is tabulated before and after the pulses: slow and fast cells


@dataclass(frozen=True)
class SetLaw:
    """A cell that SETs exponentially in its own voltage, behind a transistor.

    Attributes
    ----------
    transistor
        What limits its current.
    log10_rate
        Rate at no voltage, to the base 10 [1/s].
    v_s
        Voltage that speeds it up e-fold [V].
    r_read, r_write
        Resistance in series with the cell in a read, and with the transistor's drain in a write [ohm].
    """

    transistor: AccessTransistor
    log10_rate: float
    v_s: float
    r_read: float
    r_write: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no such cell."""
        if not (np.isfinite(self.log10_rate) and 0.0 < self.v_s < np.inf):
            raise InputError(
                f"SET law: log10_rate must be finite and v_s above 0 V, got {self.log10_rate!r} and"
                f" {self.v_s!r}"
            )
        _check_resistances(self.r_read, self.r_write)

    def inner(self, g: ArrayLike, r_read: ArrayLike | None = None) -> Array:
        """Return ln(g_c/µS) of cells that read g [S]; what reads less than nothing counts as 0.1 µS."""
        return _inner(g, self.r_read if r_read is None else r_read)

    def outer(self, u: ArrayLike, r_read: ArrayLike | None = None) -> Array:
        """Return what cells of ln(g_c/µS) = u read [S]."""
        return _outer(u, self.r_read if r_read is None else r_read)

    def curves(self, v_bl: Array, over: Array) -> tuple[Array, Array]:
        """Return states, and ln of the time times the rate until each, along the curve of every bit line and word line
        over the threshold, (lines, gates, nodes) each.
        """
        return _curves(self, v_bl, over)

    def ln_slow(self, v: Array) -> Array:
        """Return ln dt/du at the cell's voltages [V], times the rate."""
        x = v / self.v_s
        return np.asarray(-(x + np.log1p(-np.exp(-2.0 * x))))


@dataclass(frozen=True)
class PowerLaw:
    """A cell behind a transistor that SETs by a power of its overvoltage and not at all below, as VTEAM has it
    (10.1109/TCSII.2015.2433536).

    Attributes
    ----------
    transistor
        What limits its current.
    log10_rate
        Rate at twice ``v_on``, to the base 10 [1/s].
    v_on
        Voltage above which it moves [V].
    alpha
        The power.
    r_read, r_write
        As of :class:`SetLaw`.
    """

    transistor: AccessTransistor
    log10_rate: float
    v_on: float
    alpha: float
    r_read: float
    r_write: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no such cell."""
        if not (
            np.isfinite(self.log10_rate) and 0.0 < self.v_on < np.inf and 0.0 < self.alpha < 200.0
        ):
            raise InputError(
                "SET law: log10_rate must be finite, v_on above 0 V and alpha between 0 and 200, got"
                f" {self.log10_rate!r}, {self.v_on!r} and {self.alpha!r}"
            )
        _check_resistances(self.r_read, self.r_write)

    def inner(self, g: ArrayLike, r_read: ArrayLike | None = None) -> Array:
        """As :meth:`SetLaw.inner`."""
        return _inner(g, self.r_read if r_read is None else r_read)

    def outer(self, u: ArrayLike, r_read: ArrayLike | None = None) -> Array:
        """As :meth:`SetLaw.outer`."""
        return _outer(u, self.r_read if r_read is None else r_read)

    def curves(self, v_bl: Array, over: Array) -> tuple[Array, Array]:
        """As :meth:`SetLaw.curves`."""
        return _curves(self, v_bl, over)

    def ln_slow(self, v: Array) -> Array:
        """As :meth:`SetLaw.ln_slow`; at ``v_on`` and below beyond any pulse."""
        least = np.exp(-_NEVER / self.alpha)
        return np.asarray(-self.alpha * np.log(np.maximum(v / self.v_on - 1.0, least)))


def _check_resistances(r_read: float, r_write: float) -> None:
    for name, value in (("r_read", r_read), ("r_write", r_write)):
        if not 0.0 <= value < np.inf:
            raise InputError(f"SET law: {name} must be 0 ohm or more, got {value!r}")


@dataclass(frozen=True)
class ModelLaw:
    """A dynamic device of any model, behind a transistor.

    Attributes
    ----------
    transistor
        What limits its current.
    device
        A shipped device, the path of a device's file, or a model, with its defaults.
    v_read
        Voltage at which its conductance is meant [V].
    area
        Area relative to the device that its parameters describe.
    r_read, r_write
        As of :class:`SetLaw`.
    parameters
        Values that take the place of the device's own.
    """

    transistor: AccessTransistor
    device: str
    v_read: float
    area: float = 1.0
    r_read: float = 0.0
    r_write: float = 0.0
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a device that does not move, or whose conductance does not grow with its state."""
        if not (0.0 < self.v_read < np.inf and self.r_read >= 0.0 and self.r_write >= 0.0):
            raise InputError("SET law: v_read must be above 0 V, resistances 0 ohm or more")
        if not self.cell.dynamic:
            raise InputError(f"SET law: the device {self.device} has no dynamics")

    @property
    def log10_rate(self) -> float:
        """The rate is the model's own: times are counted in seconds."""
        return 0.0

    @cached_property
    def cell(self) -> Device:
        """The device."""
        base = device_or_model(self.device)
        told = {name: float(value) for name, value in self.parameters.items()}
        return replace(base, parameters={**base.parameters, **told}, area=self.area)

    def inner(self, g: ArrayLike, r_read: ArrayLike | None = None) -> Array:
        """As :meth:`SetLaw.inner`."""
        return _inner(g, self.r_read if r_read is None else r_read)

    def outer(self, u: ArrayLike, r_read: ArrayLike | None = None) -> Array:
        """As :meth:`SetLaw.outer`."""
        return _outer(u, self.r_read if r_read is None else r_read)

    def curves(self, v_bl: Array, over: Array) -> tuple[Array, Array]:
        """As :meth:`SetLaw.curves`."""
        x, u = evenly_read(self.cell, self.v_read, _FINER * _COARSE + 1)
        # The voltage is smooth in u; what the rate does at a window's edge is not.
        some = self._voltage(x[::_FINER], v_bl[..., None], over[..., None] + self.transistor.v_t)
        share = np.arange(_FINER) / _FINER
        between = some[..., :-1, None] + share * np.diff(some)[..., None]
        v = np.concatenate((between.reshape(*some.shape[:-1], -1), some[..., -1:]), axis=-1)
        rise = self.cell.didx(self.v_read, x) / self.cell.current(self.v_read, x)  # du/dx
        ln_slow = -np.log(np.maximum(self.cell.rate(v, x) * rise, 1e-290))
        states = np.broadcast_to(u, ln_slow.shape)
        return np.asarray(states), _accumulated(states, ln_slow)

    def _voltage(self, x: Array, v_bl: Array, gate: Array) -> Array:
        """Return the cell's voltage [V] in states x (nodes,), where its and the transistor's currents agree.

        The cell is asked on one grid of voltages for all lines and gates; between, ln(i/v) is linear in v.
        """
        v = np.linspace(0.0, float(v_bl.max()), _VOLTAGES)
        v[0] = 1e-6 * v[1]
        ln_g = np.log(np.maximum(self.cell.current(v[:, None], x) / v[:, None], 1e-30))
        node = np.arange(len(x))

        def surplus(volts: Array, current: Array) -> Array:
            left = np.maximum(v_bl - volts - current * self.r_write, 0.0)
            return np.asarray(self.transistor.current(gate, left) - current)

        below = np.zeros(np.broadcast(v_bl, gate, x).shape, np.intp)
        above = np.full_like(below, len(v) - 1)
        for _ in range(int(np.ceil(np.log2(len(v))))):
            at = (below + above) // 2
            more = surplus(v[at], np.exp(ln_g[at, node]) * v[at]) > 0.0
            below, above = np.where(more, at, below), np.where(more, above, at)
        start, end = v[below], v[above]
        base, climb = ln_g[below, node], ln_g[above, node] - ln_g[below, node]
        step = v[2] - v[1]
        for _ in range(_BISECTIONS):
            volts = 0.5 * (start + end)
            here = np.exp(base + climb * (volts - v[below]) / step) * volts
            more = surplus(volts, here) > 0.0
            start, end = np.where(more, volts, start), np.where(more, end, volts)
        return np.asarray(0.5 * (start + end))


def device_or_model(name: str) -> Device:
    """Return a shipped device, that of a file, or a model's defaults.

    Raises
    ------
    InputError
        If there is none of the name.
    """
    if name not in shipped_devices() and not Path(name).suffix and name in models:
        return Device(name, models[name])
    return load_device(name)


def evenly_read(device: Device, v_read: float, count: int) -> tuple[Array, Array]:
    """Return states of a device and ln(g/µS) at ``v_read`` [V] there, which lies evenly; (count,) each.

    Raises
    ------
    InputError
        If the state has no bounds, or the conductance does not grow with it.
    """
    low, high = device.model.state_range
    if not np.isfinite(high - low):
        raise InputError(f"SET law: the state of device {device.name} has no bounds")
    near = np.geomspace(1e-7, 0.5, 300)
    fine = low + (high - low) * np.concatenate((near, 1.0 - near[-2::-1]))
    g = device.conductance(fine, v_read)
    if not (np.isfinite(g).all() and (g > 0.0).all() and (np.diff(g) > 0.0).all()):
        raise InputError(
            f"SET law: the conductance of device {device.name} at {v_read:g} V does not grow with its state"
        )
    u = np.log(g / _MICRO)
    even = np.linspace(max(float(u[0]), _U[0]), min(float(u[-1]), _U[-1]), count)
    return np.interp(even, u, fine), even


CellLaw: TypeAlias = SetLaw | PowerLaw | ModelLaw
"""What a pulse on the word line makes of a cell."""


def _inner(g: ArrayLike, r_read: ArrayLike) -> Array:
    inverse = 1.0 / np.maximum(np.asarray(g, float), 0.1 * _MICRO)
    own = np.maximum(inverse - np.asarray(r_read, float), 0.02 * inverse)
    return np.asarray(-np.log(_MICRO * own))


def _outer(u: ArrayLike, r_read: ArrayLike) -> Array:
    return np.asarray(1.0 / (np.exp(-np.asarray(u, float)) / _MICRO + np.asarray(r_read, float)))


@dataclass(frozen=True, eq=False)
class SetTable:
    """Time against state of a :class:`SetLaw` at every word line, for one or more bit lines.

    Attributes
    ----------
    law
        What was tabulated.
    v_bl
        Bit lines [V], rising, shape (lines,).
    over
        Word lines less the threshold [V], evenly spaced, shape (gates,).
    ln_time
        ln of the time, times the rate, from the lowest state to u, shape (lines, gates, states).
    ln_time_grid
        Times, in the same terms, of ``u``, evenly spaced, shape (times,).
    u
        State that is reached by then, shape (lines, gates, times).
    """

    law: CellLaw
    v_bl: Array
    over: Array
    ln_time: Array = field(repr=False)
    ln_time_grid: Array = field(repr=False)
    u: Array = field(repr=False)

    @property
    def places(self) -> Mapping[float, int]:
        """Bit line [V] → its row."""
        return {round(float(v), 6): k for k, v in enumerate(self.v_bl)}

    def after(self, line: ArrayLike, v_wl: ArrayLike, ln_pulse: ArrayLike, u: ArrayLike) -> Array:
        """Return the state that pulses leave cells in; all arguments broadcast.

        Parameters
        ----------
        line
            Row of the bit line, see :attr:`places`.
        v_wl
            Word line, less what the cell's own threshold is above the law's [V].
        ln_pulse
            ln of width [s] times rate [1/s].
        u
            State before it.
        """
        line, u = np.asarray(line), np.asarray(u, float)
        place = (np.asarray(v_wl, float) - self.law.transistor.v_t - self.over[0]) / (
            self.over[1] - self.over[0]
        )
        gate, across = _cell(place, len(self.over))
        state, along = _cell((u - _U[0]) / (_U[1] - _U[0]), len(_U))
        before = _bilinear(self.ln_time, line, gate, across, state, along)
        reached = np.logaddexp(before, ln_pulse)
        step = self.ln_time_grid[1] - self.ln_time_grid[0]
        time, along = _cell((reached - self.ln_time_grid[0]) / step, len(self.ln_time_grid))
        after = _bilinear(self.u, line, gate, across, time, along)
        time, along = _cell((before - self.ln_time_grid[0]) / step, len(self.ln_time_grid))
        start = _bilinear(self.u, line, gate, across, time, along)
        # What the table misses of the start is taken off, so that a pulse of no length moves nothing; a long
        # one forgets where it began. A start that is passed in no time is not in the table.
        off = np.where(before > self.ln_time_grid[0], u - start, 0.0)
        off *= np.where(off < 0.0, np.exp(before - reached), 1.0)
        return np.asarray(np.maximum(after + off, u))


def tabulate(
    law: CellLaw,
    v_bl: Iterable[float],
    v_wl: tuple[float, float],
    pw: tuple[float, float],
    step: float = _STEP_WL,
) -> SetTable:
    """Tabulate a law.

    Parameters
    ----------
    law
        The cell and its transistor.
    v_bl
        Bit lines [V].
    v_wl
        Lowest and highest word line [V], with what cells' thresholds differ by.
    pw
        Shortest and longest pulse [s]; the table reaches further by what cells' rates differ by.
    step
        Between word lines [V].
    """
    lines = np.unique(np.asarray(list(v_bl), float))
    low, high = (end - law.transistor.v_t for end in v_wl)
    count = int(np.ceil((high - low) / step - 1e-9)) + 2
    over: Array = np.asarray(low + step * np.arange(count), float)
    u, ln_t = law.curves(lines[:, None], over[None, :])
    first, last = (float(np.log(end) + law.log10_rate * np.log(10.0)) for end in pw)
    grid = np.linspace(first - _BEFORE, last + _AFTER, _TIMES)
    shape = u.shape[:2]
    forward, back = np.empty((*shape, len(_U))), np.empty((*shape, _TIMES))
    for at in np.ndindex(*shape):
        forward[at] = _interp(_U, u[at], ln_t[at])
        back[at] = _interp(grid, ln_t[at], u[at])
    return SetTable(law, lines, over, forward, grid, back)


def _curves(law: SetLaw | PowerLaw, v_bl: Array, over: Array) -> tuple[Array, Array]:
    """Return states and ln(time · rate) along every curve, shape (lines, gates, nodes) each."""
    transistor = law.transistor
    # Close to where the bit line's whole voltage is the transistor's, v_c changes fastest with time,
    # and close to 0 the state does: nodes crowd at both ends.
    share = np.concatenate(
        (np.geomspace(1e-7, 0.02, _NODES // 3), np.linspace(0.0, 1.0, _NODES)[3:])
    )
    v_ds = v_bl[..., None] * share
    i = transistor.current(over[..., None] + transistor.v_t, v_ds)
    v_c = v_bl[..., None] - v_ds - i * law.r_write
    sound = (v_c > 1e-3 * v_bl[..., None]) & (i > 0.0)
    u = np.log(np.where(sound, i / np.where(sound, v_c, 1.0), np.nan) / _MICRO)
    return u, _accumulated(u, law.ln_slow(np.where(sound, v_c, np.nan)))


def _accumulated(u: Array, ln_slow: Array) -> Array:
    """Return ln of the time from the first node to each, of the shape of u and of ``ln_slow``, ln dt/du."""
    du, rise = np.diff(u), np.diff(ln_slow)
    # Between nodes ln(dt/du) is taken for linear in u.
    small = np.abs(rise) < 1e-6
    factor = np.where(small, 1.0, np.expm1(np.where(small, 1.0, rise)) / np.where(small, 1.0, rise))
    piece = np.log(np.maximum(du, 1e-300)) + ln_slow[..., :-1] + np.log(factor)
    begun = np.isfinite(piece) & (u[..., :-1] > _U[0] - 1.0)
    total = np.concatenate(
        (np.full_like(piece[..., :1], -np.inf), np.where(begun, piece, -np.inf)), axis=-1
    )
    return np.where(np.isfinite(u), np.logaddexp.accumulate(total, axis=-1), np.nan)


def _interp(at: Array, x: Array, y: Array) -> Array:
    """Interpolate through what is known; go on straight beyond the upper end, hold at the lower."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    keep = np.diff(np.maximum.accumulate(x), prepend=-np.inf) > 0.0
    x, y = x[keep], y[keep]
    if len(x) < 2:  # the transistor is off: no pulse moves anything
        return np.zeros(len(at))
    found = np.interp(at, x, y)
    beyond = at > x[-1]
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    return np.asarray(np.where(beyond, y[-1] + slope * (at - x[-1]), found))


def _cell(place: Array, count: int) -> tuple[np.ndarray, Array]:
    """Return the interval that a fractional place lies in, and where in it; ends hold."""
    place = np.clip(place, 0.0, count - 1.000001)
    index = place.astype(np.intp)
    return index, place - index


def _bilinear(
    table: Array, line: np.ndarray, gate: np.ndarray, across: Array, at: np.ndarray, along: Array
) -> Array:
    _, gates, points = table.shape
    flat = table.ravel()
    base = (line * gates + gate) * points + at
    low, high = flat[base], flat[base + points]
    low = low + along * (flat[base + 1] - low)
    high = high + along * (flat[base + points + 1] - high)
    return np.asarray(low + across * (high - low))
