"""How good a fit is, in the figures that papers use, and which of its parameters the data know."""

__all__ = ["Quality", "information", "judge", "quality", "spread_of"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.measurement import Sweep
from ..data.types import Array
from .fit_loss import Loss, current_floor

_UNKNOWN = (
    1.0  # a standard error as large as the parameter (or of 1 in its logarithm) is no knowledge
)
_TIED = 0.995  # two parameters this correlated are one to the data


@dataclass(frozen=True)
class Quality:
    """Differences between model and measurement over one sweep, or over several together.

    Attributes
    ----------
    nrmse_percent
        Root mean square of the current's error, over the measured range [%].
    decades
        Root mean square of the error of asinh(i / 2 i0) / ln 10: decades of current, down to i0.
    relative_rms_percent
        Root mean square error over the root mean square current [%] (the figure of the VTEAM
        papers).
    sum_ratio_percent
        Sum of absolute errors over the sum of absolute modelled currents [%] (Tiotto et al. 2021).
    chi2
        Mean squared error over that of the error model 5 % + i0: 1 where the model fits as well as
        that.
    floor
        The i0 used [A].
    """

    nrmse_percent: float
    decades: float
    relative_rms_percent: float
    sum_ratio_percent: float
    chi2: float
    floor: float


def quality(i: Array, sweep: Sweep, loss: Loss) -> Quality:
    """Compare a modelled current [A], shape (points,), with a sweep, censored points left out."""
    floor = current_floor(sweep) if loss.floor is None else loss.floor
    model, measured = i[sweep.kept], sweep.i[sweep.kept]
    error = model - measured
    rms = float(np.sqrt(np.mean(error**2)))
    gap = (np.arcsinh(model / (2 * floor)) - np.arcsinh(measured / (2 * floor))) / np.log(10.0)
    sigma = loss.relative * np.abs(measured) + floor
    return Quality(
        100.0 * rms / float(np.ptp(measured)),
        float(np.sqrt(np.mean(gap**2))),
        100.0 * rms / float(np.sqrt(np.mean(measured**2))),
        100.0 * float(np.abs(error).sum() / max(np.abs(model).sum(), 1e-300)),
        float(np.mean((error / sigma) ** 2)),
        floor,
    )


def information(cost: float, rows: int, parameters: int) -> tuple[float, float]:
    """Return AIC and BIC of a least-squares fit of unknown noise, from half its sum of squares.

    Smaller is better; only differences between fits of the same residuals mean something.
    """
    size = rows * np.log(max(2.0 * cost / rows, 1e-300))
    return float(size + 2.0 * parameters), float(size + parameters * np.log(rows))


def spread_of(jacobian: Array, residual: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the covariance of the coordinates at a minimum, and which of them the data do not know
    at all.

    Parameters
    ----------
    jacobian
        dr/dz, shape (parameters, rows).
    residual
        Shape (rows,); its scatter sets the scale of the errors.

    Returns
    -------
    tuple
        Covariance, shape (parameters, parameters), infinite on the diagonal of unknown coordinates;
        and the mask of these, shape (parameters,).
    """
    count, rows = jacobian.shape
    size = np.sqrt((jacobian**2).sum(1))
    dead = size <= 1e-12 * size.max(initial=1e-300)
    unit = jacobian / np.where(dead, 1.0, size)[:, None]
    _, singular, directions = np.linalg.svd(unit.T, full_matrices=False)
    weak = singular <= 1e-6 * singular.max(initial=1e-300)
    unknown = dead | ((directions[weak] ** 2).sum(0) > 1e-2)
    strength = np.where(weak, np.inf, singular)
    covariance = (directions.T / strength**2) @ directions
    scale = np.where(dead, 1.0, size)
    noise = float(residual @ residual) / max(rows - count, 1)
    covariance = noise * covariance / (scale[:, None] * scale[None, :])
    covariance[unknown, unknown] = np.inf
    return covariance, unknown


def judge(
    names: tuple[str, ...], relative: Array, correlation: Array, at_bound: NDArray[np.bool_]
) -> dict[str, str]:
    """Name the parameters that the data do not pin down, each with the reason in words.

    Parameters
    ----------
    names
        Free parameters.
    relative
        Standard error over value (or of the logarithm), shape (parameters,).
    correlation
        Shape (parameters, parameters).
    at_bound
        Whether a parameter ended on a bound.
    """
    reasons: dict[str, str] = {}
    for k, name in enumerate(names):
        if at_bound[k]:
            reasons[name] = "ended on a bound"
        elif not np.isfinite(relative[k]):
            reasons[name] = "the data do not depend on it"
        elif relative[k] > _UNKNOWN:
            reasons[name] = f"its standard error is {100.0 * relative[k]:.0f} % of its value"
        else:
            partner = np.abs(np.where(np.arange(len(names)) == k, 0.0, correlation[k]))
            other = int(np.nanargmax(np.where(np.isfinite(partner), partner, 0.0)))
            if partner[other] > _TIED:
                reasons[name] = (
                    f"moves together with {names[other]} (correlation {correlation[k, other]:.3f})"
                )
    return reasons
