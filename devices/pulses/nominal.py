"""Prices of writes for devices of which no pulse was measured."""

__all__ = ["nominal_pricing"]

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from .costs import Read, verified
from .pricing import LevelPricing, uneven_places

READ = Read(energy=2e-12, time=50e-9)


def nominal_pricing(
    levels: int,
    *,
    pulses: int = 100,
    nonlinearity: float = 2.0,
    pulse_energy: float = 20e-12,
    pulse_time: float = 100e-9,
    read: Read = READ,
    g_levels: ArrayLike | None = None,
) -> LevelPricing:
    """Return a stand-in for devices without pulse data: ``g(n) = (1 - exp(-a n / N)) / (1 -
    exp(-a))``, down mirrored.

    It says so in its source; for a fitted device use that device's own pulse response.

    Parameters
    ----------
    levels
        Number of levels.
    pulses
        Pulses N from the lowest level to the highest.
    nonlinearity
        The a of the law above.
    pulse_energy, pulse_time
        Energy [J] and duration [s] of one pulse.
    read
        What one verify read costs.
    g_levels
        Where the levels lie [S], (levels,), if not evenly.
    """
    places = None if g_levels is None else uneven_places(g_levels)
    if places is not None and places.shape != (levels,):
        raise InputError(f"write costs: expected {levels} g_levels, got {places.shape}")
    share = np.linspace(0.0, 1.0, levels) if places is None else places / (levels - 1)
    up, down = (
        -np.log1p(-part * -np.expm1(-nonlinearity)) * pulses / nonlinearity
        for part in (share, share[::-1] if places is None else 1.0 - share)
    )
    rise = np.maximum(up[None, :] - up[:, None], 0.0)
    fall = np.maximum(down[None, :] - down[:, None], 0.0)
    count = np.ceil(rise + fall - 1e-9)
    source = (
        f"no device data: nominal exponential pulse response of {pulses} pulses,"
        f" nonlinearity {nonlinearity:g}"
    )
    costs = verified(count, count * pulse_energy, count * pulse_time)
    return LevelPricing(costs, read, source, places=places)
