"""Profile likelihood: how much worse the best fit gets when one parameter is held away from its
value.
"""

__all__ = ["Profile", "profile"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtri

from ....data.errors import InputError, nearest
from ....data.types import Array
from ..search import descend
from .space import space_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..result import Fit


@dataclass(frozen=True)
class Profile:
    """One parameter's profile.

    Attributes
    ----------
    name
        The parameter.
    values
        Where it was held, rising, shape (points,).
    costs
        Half the sum of squares with the others refitted, shape (points,).
    limit
        Cost at which the parameter lies on the edge of its confidence interval.
    interval
        That interval; an end is infinite where the cost does not reach the limit within the values
        tried.
    confidence
        Its probability.
    unit
        Unit of the parameter, ``"1"`` for a pure number.
    """

    name: str
    values: Array
    costs: Array
    limit: float
    interval: tuple[float, float]
    confidence: float
    unit: str = "1"

    def __str__(self) -> str:
        """Return the interval in a line."""
        low, high = self.interval
        return f"{self.name}: {low:.4g} to {high:.4g} with {self.confidence:.0%}"

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the profile; ``path`` is where to write the picture."""
        from ...plots import profile_page, write

        return write(profile_page(self), path)


def profile(
    fit: "Fit",
    name: str,
    *,
    span: tuple[float, float] | None = None,
    points: int = 21,
    confidence: float = 0.95,
    steps: int = 40,
) -> Profile:
    """Hold one parameter at many values, refit all others, and read its confidence interval off the
    cost.

    Unlike a standard error this sees asymmetry, bounds and ridges. All values descend together.

    Parameters
    ----------
    fit
        The fit.
    name
        A free parameter of it, ``x0_1`` and the like among them.
    span
        Range to try; default: four standard errors, or a factor of ten, about the value, and up to
        sixteen where the interval is wider than that.
    points
        How many values.
    confidence
        Probability of the interval.
    steps
        Search steps per value.

    Raises
    ------
    InputError
        If the parameter is not free in this fit.
    """
    if name not in fit.names:
        raise InputError(f"{name!r} is not free in this fit{nearest(name, fit.names)}")
    space, best = space_of(fit)
    column = space.names.index(name)
    value, log = best[column], bool(space.log[column])
    along = space.along()

    def held(z: Array, differentiate: bool) -> tuple[Array, Array]:
        residual, slopes = along(z, differentiate)
        if differentiate:
            slopes[column] = 0.0  # no slope, no step
        return residual, slopes

    centre = space.residuals(space.points(best)[None], False)[0]
    for errors in (4.0, 8.0, 16.0):
        low, high = span or _span(value, fit.stderr[name], errors, log)
        low, high = max(low, space.lower[column]), min(high, space.upper[column])
        if not low < high:
            raise InputError(f"the span of {name} is {low:g} to {high:g}, expected a rising pair")
        grid = np.geomspace(low, high, points) if log else np.linspace(low, high, points)
        starts = np.tile(best, (points, 1))
        starts[:, column] = grid
        costs = descend(held, space.points(starts), steps=steps, bent=False).costs
        lowest = min(0.5 * float((centre**2).sum()), float(costs.min()))
        noise = 2.0 * lowest / max(fit.estimate.effective_points - len(best), 1.0)
        limit = lowest + 0.5 * noise * float(chdtri(1, 1.0 - confidence))
        interval = _interval(grid, costs, limit)
        if span is not None or np.isfinite(interval).all() or not np.isfinite(fit.stderr[name]):
            break
    units = {row.name: row.unit for row in fit.model.parameters}
    return Profile(name, grid, costs, limit, interval, confidence, units.get(name, "1"))


def _span(value: float, error: float, errors: float, log: bool) -> tuple[float, float]:
    if log:
        factor = np.exp(min(errors * error / value, np.log(10.0))) if np.isfinite(error) else 10.0
        return float(value / factor), float(value * factor)
    width = errors * error if np.isfinite(error) else max(abs(value), 1.0)
    return value - width, value + width


def _interval(values: Array, costs: Array, limit: float) -> tuple[float, float]:
    """Return where the costs cross the limit on either side of their minimum."""
    best = int(np.argmin(costs))
    low, high = -np.inf, np.inf
    for k in range(best, 0, -1):
        if costs[k - 1] >= limit > costs[k]:
            low = float(np.interp(limit, [costs[k], costs[k - 1]], [values[k], values[k - 1]]))
            break
    for k in range(best, len(values) - 1):
        if costs[k + 1] >= limit > costs[k]:
            high = float(np.interp(limit, [costs[k], costs[k + 1]], [values[k], values[k + 1]]))
            break
    return low, high
