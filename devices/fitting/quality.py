"""How good a fit is, in the figures that papers use, and which of its parameters the data know."""

__all__ = [
    "Quality",
    "information",
    "judge",
    "quality",
    "resistor_score",
    "says_nothing",
    "spread_of",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.measurement import Sweep
from ...data.types import Array
from .loss import Loss, current_floor

_UNKNOWN = (
    1.0  # a standard error as large as the parameter (or of 1 in its logarithm) is no knowledge
)
_TIED = 0.995  # two parameters this correlated are one to the data
_COVERED = 3.0  # standard errors within which an equally good fit agrees
_ROUNDING = 0.01  # relative difference of two ends of one minimum
_CLOSE = 5.0  # NRMSE [%] that describes a sweep, even one that a resistor describes better


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
    """Compare a modelled current [A], shape (points,), with a sweep, censored points left out.

    Parameters
    ----------
    i
        Modelled current, (points,) [A].
    sweep
        The measured sweep.
    loss
        How residuals are weighed.
    """
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

    Parameters
    ----------
    cost
        Half the sum of squared residuals.
    rows
        Number of residuals.
    parameters
        Number of free parameters.
    """
    size = rows * np.log(max(2.0 * cost / rows, 1e-300))
    return float(size + 2.0 * parameters), float(size + parameters * np.log(rows))


def resistor_score(sweeps: Sequence[Sweep], loss: Loss) -> float:
    """Return the root mean square residual of the best single resistor of each sweep: what a model
    has to undercut to say anything about them.
    """
    total, rows = 0.0, 0
    for sweep in sweeps:
        v, i = sweep.v[sweep.kept], sweep.i[sweep.kept]
        far = np.abs(v) > 0.05 * np.abs(v).max()
        g = np.unique(np.quantile((i / np.where(far, v, 1.0))[far], np.linspace(0.0, 1.0, 65)))
        g = np.append(g, float(v @ i) / float(v @ v))
        residual, _ = loss.residuals(sweep.v[:, None] * g, sweep)
        total += float((residual**2).sum(0).min())
        rows += len(residual)
    return float(np.sqrt(total / rows))


def says_nothing(score: float, nrmse_percent: float, sweeps: Sequence[Sweep], loss: Loss) -> bool:
    """Return whether a model with this root mean square residual describes the sweeps no better
    than a resistor does, and not well either.

    Parameters
    ----------
    score
        Root mean square residual of the model.
    nrmse_percent
        Its error, in percent of the range of the currents.
    sweeps
        Measured sweeps.
    loss
        How residuals are weighed.
    """
    return nrmse_percent > _CLOSE and score >= resistor_score(sweeps, loss)


def spread_of(
    jacobian: Array, residual: Array, points: float | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the covariance of the coordinates at a minimum, and which of them the data do not know
    at all.

    Parameters
    ----------
    jacobian
        dr/dz, shape (parameters, rows).
    residual
        Shape (rows,); its scatter sets the scale of the errors.
    points
        How many of the rows are independent; default: all.

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
    noise = float(residual @ residual) / max((points or rows) - count, 1.0)
    covariance = noise * covariance / (scale[:, None] * scale[None, :])
    covariance[unknown, unknown] = np.inf
    return covariance, unknown


def judge(
    names: tuple[str, ...],
    relative: Array,
    correlation: Array,
    bounds: Mapping[str, str],
    rivals: Array,
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
    bounds
        What to say of those that ended on a bound.
    rivals
        Values of equally good fits over this one's, shape (fits, parameters).
    """
    reasons: dict[str, str] = {}
    for k, name in enumerate(names):
        apart = np.abs(rivals[:, k] - 1.0)
        if name in bounds:
            reasons[name] = bounds[name]
        elif not np.isfinite(relative[k]):
            others = [names[j] for j in np.flatnonzero(~np.isfinite(relative)) if j != k]
            reasons[name] = "the data do not depend on it" + (
                f", or only on what it and {', '.join(others)} make together" if others else ""
            )
        elif relative[k] > _UNKNOWN:
            reasons[name] = f"its standard error is {100.0 * relative[k]:.0f} % of its value"
        elif len(apart) and apart.max() > _COVERED * relative[k] + _ROUNDING:
            other = rivals[int(np.argmax(apart)), k]
            reasons[name] = f"a fit as good has {other:.3g} times its value"
        else:
            partner = np.abs(np.where(np.arange(len(names)) == k, 0.0, correlation[k]))
            other = int(np.nanargmax(np.where(np.isfinite(partner), partner, 0.0)))
            if partner[other] > _TIED:
                reasons[name] = (
                    f"moves together with {names[other]} (correlation {correlation[k, other]:.3f})"
                )
    return reasons
