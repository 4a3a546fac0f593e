"""What a pulse does to a device, and which pulse moves it as far as it should.

A pulse rises and falls over ``edge`` and stays at its amplitude for ``width``. :func:`apply_pulse`
gives one to any number of devices, under the device's own dynamics.
"""

__all__ = ["Pulse", "Pulsed", "apply_pulse", "choose_pulse", "travel_time"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..device import Device

_PLATEAU = 16  # intervals in which the energy of a plateau is summed
_EDGE = 4
_EDGE_SHARE = 0.05  # of the width, where no edge is given
_WIDTHS = tuple(10.0**n for n in range(-6, 2))  # [s]
_SEARCH = (0.02, 5.0)  # amplitudes that a search may choose from [V]


@dataclass(frozen=True)
class Pulse:
    """A trapezoidal voltage pulse: ``edge`` up, ``width`` at ``v``, ``edge`` down, ``rest`` at 0
    V.
    """

    v: float
    width: float
    edge: float
    rest: float = 0.0

    @property
    def period(self) -> float:
        """Time from one pulse's start to the next one's [s]."""
        return self.width + 2 * self.edge + self.rest

    def waveform(self) -> tuple[Array, Array]:
        """Return times [s] and voltages [V], fine enough to sum the energy."""
        t, shape = _waveform(self.width, self.edge)
        return t, self.v * shape


class Pulsed(NamedTuple):
    """What a pulse did to devices, (devices,) each."""

    x: Array
    """State after it."""
    energy: Array
    """Energy taken by each [J]."""
    peak: Array | None = None
    """Largest current magnitude [A], where it was followed."""


def apply_pulse(
    device: Device,
    x: ArrayLike,
    v: ArrayLike,
    width: float,
    *,
    edge: float | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    rtol: float = 1e-6,
) -> Pulsed:
    """Give one pulse to any number of devices at once.

    Parameters
    ----------
    device
        The device, or the mean of many.
    x
        States before, any shape.
    v
        Amplitudes at the devices' terminals [V], broadcasting against x.
    width
        Time at the amplitude [s].
    edge
        Rise and fall time [s]; 5 % of the width by default.
    parameters
        Parameters that differ between devices, broadcasting against x.
    rtol
        Relative tolerance on the state.
    """
    t, shape = _waveform(width, _EDGE_SHARE * width if edge is None else edge)
    amplitude = np.asarray(v, float)
    trace = device.simulate(t, amplitude[..., None] * shape, x, parameters=parameters, rtol=rtol)
    return Pulsed(trace.x[..., -1], trace.energy, np.abs(trace.i).max(axis=-1))


def travel_time(device: Device, start: float, end: float, v: float) -> float:
    """Return the time [s] from state ``start`` to ``end`` at the constant voltage v [V]; inf if it
    never gets there.

    Parameters
    ----------
    device
        The device.
    start
        State to begin at [0..1].
    end
        State to reach [0..1].
    v
        The voltage that stands [V].
    """
    x = start + (end - start) * _grid()
    speed = device.rate(v, x) * np.sign(end - start)
    if (speed <= 0).any():
        return float("inf")
    return float(np.trapezoid(1.0 / speed, np.abs(x - start)))


def choose_pulse(
    device: Device,
    start: float,
    end: float,
    *,
    count: int = 64,
    v: float | None = None,
    width: float | None = None,
) -> Pulse:
    """Choose a pulse of which about ``count`` take the device from state ``start`` to ``end``.

    Where ``v`` [V] is given the width follows; where ``width`` [s] is given (and no v) the
    amplitude does. Where neither is, the amplitude is the largest that the device was fitted at
    (``v_max`` and ``v_min`` in its ``meta``), or, where that is not known, the least that does it
    with pulses of 1 µs, or of the first decade of widths above that at which 5 V suffice.

    Parameters
    ----------
    device
        The device.
    start
        State to begin at [0..1].
    end
        State to reach [0..1].
    count
        Pulses from the one state to the other, about.
    v
        Amplitude [V], if it is given.
    width
        Width [s], if it is given.

    Raises
    ------
    InputError
        If no pulse in reach moves the device that way.
    """
    sign = 1.0 if end > start else -1.0
    verb = "SET" if sign > 0 else "RESET"
    if v is None and width is None:
        known = device.meta.get("v_max" if sign > 0 else "v_min")
        v = float(known) if known is not None else None
    if v is not None:
        if v * sign <= 0:
            raise InputError(f"a {verb} pulse of {v} V has the wrong sign")
        total = travel_time(device, start, end, v)
        if not np.isfinite(total):
            raise InputError(f"device {device.name}: {v} V can't {verb} it over its levels")
        width = total / count if width is None else width
    else:
        widths = _WIDTHS if width is None else (width,)
        found = ((w, _amplitude(device, start, end, sign, count * w)) for w in widths)
        width, v = next(((w, a) for w, a in found if a is not None), (widths[-1], None))
        if v is None:
            raise InputError(
                f"device {device.name}: no voltage up to {_SEARCH[1]:g} V can {verb} it over its"
                f" levels in {count} pulses of {width:.3g} s; give a longer width"
            )
    return Pulse(v, width, _EDGE_SHARE * width, width)


def _amplitude(device: Device, start: float, end: float, sign: float, total: float) -> float | None:
    low, high = _SEARCH
    if travel_time(device, start, end, sign * high) > total:
        return None
    for _ in range(60):
        middle = (low * high) ** 0.5
        if travel_time(device, start, end, sign * middle) > total:
            low = middle
        else:
            high = middle
    return sign * high


def _grid() -> Array:
    """Points from 0 to 1, dense at both ends, where states move slowest."""
    return 0.5 * (1.0 - np.cos(np.pi * np.linspace(0.0, 1.0, 2001)))


def _waveform(width: float, edge: float) -> tuple[Array, Array]:
    """Times and unit amplitudes of a trapezoid."""
    if not (width > 0 and edge > 0):
        raise InputError(f"a pulse of {width} s with edges of {edge} s; expected both above 0")
    up, flat = np.linspace(0.0, 1.0, _EDGE + 1), np.linspace(0.0, 1.0, _PLATEAU + 1)
    t = np.concatenate([edge * up, edge + width * flat[1:], edge + width + edge * up[1:]])
    return t, np.concatenate([up, np.ones(_PLATEAU), 1.0 - up[1:]])
