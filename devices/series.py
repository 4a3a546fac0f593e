"""The voltage behind a series resistor.

A device of law f in series with r_s carries i = f(u, x) where u = v - r_s i. For a passive,
non-decreasing f the residual u + r_s f(u) - v grows with u and changes sign between 0 and v, so
Newton's step is taken inside a bracket that shrinks at every evaluation; where it would leave the
bracket, or has stopped to shrink (along an exponential each moves u by the same 1/b), the bracket
is halved instead.
"""

__all__ = ["inner_voltage"]

from collections.abc import Callable

import numpy as np

from ..data.errors import NonConvergence
from ..data.types import Array

_STEPS = 120
_PATIENCE = 8  # steps after which Newton's have to halve each time


def inner_voltage(
    law: Callable[[Array], tuple[Array, Array]],
    v: Array,
    r_s: Array,
    *,
    start: Array | None = None,
    tolerance: float = 1e-13,
) -> tuple[Array, Array, Array]:
    """Solve u + r_s f(u) = v for every device at once.

    Parameters
    ----------
    law
        u [V] -> (f [A], df/du [S]), both of v's shape.
    v
        Terminal voltage [V], any shape.
    r_s
        Series resistance [ohm], same shape as v.
    start
        First guess of u [V]; without it, v.
    tolerance
        Newton step at which a device counts as solved, relative to ``|v|`` (plus 1e-16 V).

    Returns
    -------
    tuple
        u [V], f(u) [A], df/du [S], each of v's shape.

    Raises
    ------
    NonConvergence
        If the law is so irregular that 120 bracketed steps do not settle.
    """
    low, high = np.minimum(v, 0.0), np.maximum(v, 0.0)
    u = v if start is None else np.minimum(np.maximum(start, low), high)
    limit = tolerance * np.abs(v) + 1e-16
    closed = 4.0 * np.finfo(float).eps * np.abs(v)
    before = np.full(np.shape(v), np.inf)
    for k in range(_STEPS):
        current, slope = law(u)
        residual = u + r_s * current - v
        step = residual / (1.0 + r_s * slope)
        following = u - step
        # a bracket that has closed is as near as rounding in the law lets it come
        done = (np.abs(step) <= limit) | (high - low <= closed)
        if done.all():
            return following, current - slope * step, slope
        low = np.where(residual < 0, u, low)
        high = np.where(residual > 0, u, high)
        inside = (following >= low) & (following <= high)
        if k >= _PATIENCE:
            inside &= np.abs(step) <= 0.5 * before
        before = np.abs(step)
        u = np.where(done, u, np.where(inside, following, 0.5 * (low + high)))
    raise NonConvergence(
        f"no current found through r_s at {int(np.sum(~done))} of {done.size} points after"
        f" {_STEPS} steps; the model's current must not fall with voltage"
    )
