"""Where conductance levels lie between their ends."""

__all__ = ["V_READ", "Spacing", "spaced"]

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from ..data.errors import InputError, nearest
from ..data.types import Array

Spacing: TypeAlias = Literal["even", "logarithmic", "powers"]
"""Equal steps in conductance; equal ratios; or shares 0, 1/2^(L-2), .. 1/4, 1/2, 1 of the range."""
V_READ = 0.05
"""Read voltage where none is stated [V]."""


def spaced(
    count: int,
    g_min: float,
    g_max: float,
    *,
    noise: ArrayLike | None = None,
    spacing: Spacing = "even",
) -> Array:
    """Return ``count`` levels from ``g_min`` to ``g_max`` [S], rising; see
    :meth:`.device.Device.levels`.

    Parameters
    ----------
    count
        How many.
    g_min
        Lowest level [S].
    g_max
        Highest level [S].
    noise
        Standard deviation at conductances between, for a spacing that asks for it [S].
    spacing
        How levels lie.

    Raises
    ------
    InputError
        If the range is empty, or spacing and noise don't go together.
    """
    if count < 2:
        raise InputError(f"{count} levels asked for, expected at least 2")
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
    return g
