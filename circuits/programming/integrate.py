"""Many small initial-value problems at once, each with its own step.

The pair of Dormand & Prince, J. Comp. Appl. Math. 6 (1980) 19, doi:10.1016/0771-050X(80)90013-3,
order 5 with an error estimate of order 4. A thousand devices under a pulse are a thousand problems
with one component each; an array with wires is one problem with many, because its devices feel
each other.
"""

__all__ = ["Motion", "integrate"]

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...data.errors import NonConvergence
from ...data.types import Array

Motion: TypeAlias = Callable[[NDArray[np.intp], Array, Array], Array]
"""``motion(which, tau, y) -> dy/dtau``: rates of the problems ``which`` (m,) at their own times
``tau`` (m,) and values ``y`` (m, components).
"""

_C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0)
_A = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
_B = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

SMALLEST_STEP = 1e-10
"""Share of the span below which a step means that the problem can't be integrated."""


def integrate(
    motion: Motion,
    y: Array,
    *,
    controlled: int,
    rtol: float = 1e-7,
    atol: float = 1e-9,
) -> Array:
    """Carry every problem from ``tau`` = 0 to 1.

    Parameters
    ----------
    motion
        Rates with respect to ``tau``; called with the problems that are still under way.
    y
        Initial values, (problems, components).
    controlled
        Number of leading components whose error sets the step; the others, integrals over the
        motion such as an energy, follow with the same accuracy.
    rtol, atol
        Largest error of a step, relative to the value and absolute.

    Returns
    -------
    Array
        Values at ``tau`` = 1, (problems, components).

    Raises
    ------
    NonConvergence
        If a step falls below 1e-10 of the span.
    """
    y = np.array(y, float)
    result = y.copy()
    which = np.arange(len(y))
    tau = np.zeros(len(y))
    first = motion(which, tau, y)
    # A first step that moves no controlled component by more than about a hundredth of its range.
    speed = np.abs(first[:, :controlled]).max(axis=1, initial=0.0)
    h = np.minimum(1.0, 0.01 / np.maximum(speed, 0.01))
    while which.size:
        h = np.minimum(h, 1.0 - tau)
        k = [first]
        for c, row in zip(_C[1:], _A[1:], strict=True):
            k.append(motion(which, tau + c * h, y + h[:, None] * _weighted(row, k)))
        new = y + h[:, None] * _weighted(_B, k)
        k.append(motion(which, tau + h, new))
        error = h[:, None] * _weighted(_E, k)[:, :controlled]
        scale = atol + rtol * np.maximum(np.abs(y), np.abs(new))[:, :controlled]
        ratio = np.abs(error / scale).max(axis=1, initial=0.0)
        accepted = ratio <= 1.0
        ended = accepted & (tau + h >= 1.0 - 1e-12)
        result[which[ended]] = new[ended]
        tau = np.where(accepted, tau + h, tau)
        y = np.where(accepted[:, None], new, y)
        first = np.where(accepted[:, None], k[-1], first)
        h = h * np.clip(0.9 * np.maximum(ratio, 1e-10) ** -0.2, 0.2, 5.0)
        going = ~ended
        which, tau, y, first, h = which[going], tau[going], y[going], first[going], h[going]
        if np.any(~(h >= SMALLEST_STEP)):
            raise NonConvergence(
                f"problem {int(which[np.argmin(h)])}: its state moves too fast to be integrated;"
                " use a shorter pulse or a smaller amplitude"
            )
    return result


def _weighted(weights: tuple[float, ...], k: list[Array]) -> Array:
    total = weights[0] * k[0]
    for weight, values in zip(weights[1:], k[1:], strict=True):
        if weight:
            total = total + weight * values
    return total
