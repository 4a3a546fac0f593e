"""A recipe from the device's own rates: pulses gentle enough to hit a level, strong enough to end.

How far a short pulse moves a device, ``|dg/dt| width``, follows from its model at every amplitude.
The width is chosen so that a pulse at about two thirds of the allowed voltage moves the quickest
level by the tolerance; the first rung moves it by a third of the tolerance, and each rung by a
given factor more.
"""

__all__ = ["VoltageRange", "design_recipe", "fitted_range"]

from typing import NamedTuple

import numpy as np

from ..data.errors import InputError
from ..data.types import Array
from ..devices.device import Device
from ..devices.levels import Levels
from .recipe import Ramp, Recipe

GRID = 400
"""Amplitudes tried per polarity."""


class VoltageRange(NamedTuple):
    """Voltages that a device may see."""

    low: float
    """Most negative, RESET [V]."""
    high: float
    """Most positive, SET [V]."""
    source: str
    """Where these limits come from."""


def fitted_range(device: Device) -> VoltageRange | None:
    """Return the voltages that the device was fitted on, if its provenance says so."""
    low, high = device.meta.get("v_min"), device.meta.get("v_max")
    if low is None or high is None:
        return None
    return VoltageRange(float(low), float(high), "the device's fit")


def design_recipe(
    levels: Levels,
    *,
    tolerance: float = 0.25,
    limits: VoltageRange | None = None,
    width: float | None = None,
    factor: float = 1.3,
    reach: float = 0.65,
    margin: float = 1.0,
    read_time: float | None = None,
    max_pulses: int = 200,
) -> Recipe:
    """Return a recipe that writes between any two of ``levels``.

    Parameters
    ----------
    levels
        Levels to reach; their device gives the rates.
    tolerance
        Accepted distance from a level, in steps between levels.
    limits
        Voltages that are never exceeded; by default those of the device's fit.
    width
        Flat part of every pulse [s]; by default each polarity's own, from its rates.
    factor
        How much further each rung moves a device than the one before.
    reach
        Share of the limit at which a pulse of the default width moves the tolerance.
    margin
        How much faster than the nominal device the fastest one is: the first rung is as much
        gentler.
    read_time
        Duration of a verify read [s]; by default a tenth of the shorter pulse.
    max_pulses
        Pulses after which a device is given up.

    Raises
    ------
    InputError
        If the device has no dynamics, no limits are known, or it does not switch within them.
    """
    device = levels.device
    if not device.dynamic:
        raise InputError(
            f"device {device.name}: model {device.model.name} has no dynamics, it can't be"
            " programmed by pulses"
        )
    limits = limits or fitted_range(device)
    if limits is None:
        raise InputError(
            f"device {device.name} does not say on which voltages it was fitted: give the limits"
        )
    if not (np.isfinite(limits.low) and np.isfinite(limits.high) and limits.low < 0 < limits.high):
        raise InputError(
            f"voltage limits must enclose 0 V, got {limits.low!r} to {limits.high!r} V"
        )
    if not 0.0 < tolerance < 0.5:
        raise InputError(f"tolerance must be between 0 and 0.5 level steps, got {tolerance!r}")
    band = tolerance * float(np.diff(levels.g).min())
    up, down = (
        _ramp(levels, end, band, width, factor, reach, margin) for end in (limits.high, limits.low)
    )
    shortest = min(up.width, down.width)
    return Recipe(
        up,
        down,
        band,
        v_read=levels.v_read,
        read_time=read_time or 0.1 * shortest,
        max_pulses=max_pulses,
    )


def _ramp(
    levels: Levels,
    end: float,
    band: float,
    width: float | None,
    factor: float,
    reach: float,
    margin: float,
) -> Ramp:
    amplitude = np.linspace(0.0, end, GRID + 1)[1:]
    speed = np.maximum.accumulate(_speed(levels, amplitude))
    kind = "SET" if end > 0 else "RESET"
    if speed[-1] <= 0.0:
        raise InputError(f"device {levels.device.name} does not {kind} at {end:g} V")
    if width is None:
        fast = float(np.interp(reach * abs(end), np.abs(amplitude), speed))
        if fast <= 1e-9 * speed[-1]:  # a threshold above that share of the limit
            fast = float(np.sqrt(speed[speed > 0][0] * speed[-1]))
        width = _rounded(band / fast)
    moves = speed * width

    def at(move: float) -> float:
        """Return the amplitude [V] at which a pulse moves the quickest level by ``move`` [S]."""
        return float(amplitude[min(int(np.searchsorted(moves, move)), GRID - 1)])

    start, far = at(band / (3.0 * margin)), at(4.0 * band)
    rungs = np.log(12.0 * margin) / np.log(factor)
    step = (far - start) / rungs
    if step == 0.0:  # between two grid points, or already at the limit
        step = (end - start) / 10.0
    return Ramp(start, float(step), end, width)


def _speed(levels: Levels, amplitude: Array) -> Array:
    """Return the largest ``|dg/dt|`` [S/s] over the levels at each amplitude."""
    device = levels.device
    slope = device.didx(levels.v_read, levels.x) / levels.v_read
    rate = device.rate(amplitude[:, None], levels.x)
    rate = np.where(rate * amplitude[:, None] > 0.0, rate, 0.0)
    fastest: Array = np.abs(rate * slope).max(axis=1)
    return fastest


def _rounded(value: float) -> float:
    """Return ``value`` with two significant digits."""
    return float(f"{value:.1e}")
