"""The conductance levels a device is programmed to."""

__all__ = ["V_READ", "Levels", "Spacing", "make_levels"]

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from ..data.errors import InputError, nearest
from ..data.types import Array
from .device import Device

Spacing: TypeAlias = Literal["even", "logarithmic", "powers"]
"""Equal steps in conductance; equal ratios; or shares 0, 1/2^(L-2), .. 1/4, 1/2, 1 of the range."""
V_READ = 0.05
"""Read voltage where none is stated [V]."""


@dataclass(frozen=True)
class Levels:
    """L conductance levels of one device at a read voltage.

    Attributes
    ----------
    device
        The device; its law at state ``x[k]`` is the read I-V law of level k.
    v_read
        Read voltage [V] at which the conductances hold.
    g
        Conductances i/v, rising, (L,) [S].
    x
        States of the same levels, (L,).
    """

    device: Device
    v_read: float
    g: Array
    x: Array

    @property
    def count(self) -> int:
        """Number of levels L."""
        return len(self.g)

    @property
    def step(self) -> float:
        """Mean distance between neighbouring levels [S]."""
        return float(self.g[-1] - self.g[0]) / (self.count - 1)


def make_levels(
    device: Device,
    count: int,
    v_read: float,
    *,
    g_min: float | None = None,
    g_max: float | None = None,
    noise: Array | None = None,
    spacing: Spacing = "even",
) -> Levels:
    """Choose ``count`` levels between ``g_min`` and ``g_max`` [S].

    Parameters
    ----------
    device
        Whose levels.
    count
        How many, at least 2.
    v_read
        Read voltage [V].
    g_min, g_max
        Ends of the range [S]; by default the device's conductance at x = 0.05 and x = 0.95,
        because the last part of either way takes very long in most devices.
    noise
        Standard deviation of the conductance [S] on an even grid of conductances from ``g_min`` to
        ``g_max``, shape (n,): levels are then equally many deviations apart; without it they are
        equally far apart in conductance.
    spacing
        How levels lie where no ``noise`` is given.

    Raises
    ------
    InputError
        If the range is empty, or the device can't reach it.
    """
    if count < 2:
        raise InputError(f"{count} levels asked for, expected at least 2")
    low, high = device.model.state_range
    if np.isinf(high) and (g_min is None or g_max is None):
        raise InputError(
            f"model {device.model.name} has no bounds of its own: give g_min and g_max"
        )
    margin = 0.05 * (high - low) if np.isfinite(high) else 0.0
    g_min = float(device.conductance(low + margin, v_read)) if g_min is None else g_min
    g_max = float(device.conductance(high - margin, v_read)) if g_max is None else g_max
    if not 0 <= g_min < g_max:
        raise InputError(
            f"levels from {g_min:.4g} to {g_max:.4g} S asked for, expected 0 <= g_min < g_max"
        )
    if spacing not in get_args(Spacing):
        raise InputError(
            f"there is no spacing of levels {spacing!r}{nearest(spacing, get_args(Spacing))}"
        )
    if spacing != "even" and (noise is not None or g_min <= 0.0):
        raise InputError(
            f"levels with spacing {spacing!r} need a lowest level above 0 S, and take no noise"
        )
    g = np.linspace(g_min, g_max, count)
    if spacing == "logarithmic":
        g = np.geomspace(g_min, g_max, count)
    elif spacing == "powers":
        g[1:] = g_min + (g_max - g_min) * 2.0 ** np.arange(2.0 - count, 1.0)
    if noise is not None:
        noise = np.asarray(noise, float)
        if noise.ndim != 1 or noise.size < 2 or not (noise > 0).all():
            raise InputError("noise must be two or more deviations above 0 S, one per grid point")
        grid = np.linspace(g_min, g_max, noise.size)
        steps = np.diff(grid) * 0.5 * (1 / noise[1:] + 1 / noise[:-1])
        passed = np.concatenate([[0.0], np.cumsum(steps)])
        g = np.interp(np.linspace(0.0, passed[-1], count), passed, grid)
    return Levels(device, v_read, g, device.state(g, v_read))
