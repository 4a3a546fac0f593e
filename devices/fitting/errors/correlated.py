"""Residuals that go on from point to point: how strongly, and what that leaves of the parameters' certainty.

Drift, filters and a model's own error make neighbouring residuals alike. They are taken for autoregressions of first
order, u_t = ρ u_(t-1) + e_t, one ρ for all sweeps. Residuals of a fit are less correlated than the errors that they
come from, as the parameters have taken the slowest part of these; the restricted likelihood (REML: Patterson and
Thompson 1971, doi:10.1093/biomet/58.3.545) is that of what parameters can't take, and so is not misled:

    -2 ln L(ρ) = ln|V| + ln|J'V⁻¹J| + (n - p) ln S(ρ),   S the sum of squares that is left of the whitened residuals.

A fit minimises the plain sum of squares all the same; its covariance is then (J'J)⁻¹ J'VJ (J'J)⁻¹. The two residuals
that ``hybrid`` has of one point come from one error: V has their covariance, too.
"""

__all__ = ["Correlated", "autoregression", "correlated", "sandwich", "whitened"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....data.types import Array

_RHO = np.concatenate([np.linspace(0.0, 0.9, 19), np.linspace(0.92, 0.99, 8)])
_WEAK = 1e-6  # of the largest singular value: a direction that the data don't know


@dataclass(frozen=True)
class Correlated:
    """How residuals are correlated.

    Attributes
    ----------
    rho
        Correlation of neighbours, from 0.
    covariance
        Of the residuals of one point, shape (residuals of a point, residuals of a point): what parameters have taken is
        given back.
    points
        How many independent residuals would know as much.
    """

    rho: float
    covariance: Array
    points: float


def correlated(residuals: Sequence[Array], jacobians: Sequence[Array]) -> Correlated:
    """Return how residuals are correlated.

    Parameters
    ----------
    residuals
        One array per sweep, (residuals of a point, points), in order of time.
    jacobians
        Their derivatives, (parameters, residuals of a point, points) each.
    """
    rows = sum(part.size for part in residuals)
    losses = [_restricted(residuals, jacobians, float(rho)) for rho in _RHO]
    best = int(np.argmin([loss for loss, _ in losses]))
    low, high = _RHO[max(best - 1, 0)], _RHO[min(best + 1, len(_RHO) - 1)]
    near = np.linspace(low, high, 9)
    fine = [_restricted(residuals, jacobians, float(rho)) for rho in near]
    k = int(np.argmin([loss for loss, _ in fine]))
    rho, variance = float(near[k]), fine[k][1] / max(1.0 - near[k] ** 2, 1e-9)
    moments = sum(part @ part.T for part in residuals) / max(sum(p.shape[1] for p in residuals), 1)
    mean = float(np.trace(moments)) / len(moments)
    moments = moments * (variance / mean if mean > 0.0 else 1.0)
    points = max(rows / len(moments) * (1.0 - rho) / (1.0 + rho), 1.0)
    return Correlated(rho, moments, points)


def _restricted(
    residuals: Sequence[Array], jacobians: Sequence[Array], rho: float
) -> tuple[float, float]:
    """Return -2 ln of the restricted likelihood, and the variance of the innovations."""
    r = np.concatenate([whitened(part, rho).ravel() for part in residuals])
    j = np.concatenate(
        [
            whitened(part, rho).reshape(len(part), part.shape[1] * part.shape[2])
            for part in jacobians
        ],
        1,
    )
    series = sum(len(part) for part in residuals)
    size = np.sqrt((j**2).sum(1))
    live = size > 1e-12 * size.max(initial=1e-300)
    u, singular, _ = np.linalg.svd((j[live] / size[live, None]).T, full_matrices=False)
    known = singular > _WEAK * singular.max(initial=1e-300)
    left = r - u[:, known] @ (u[:, known].T @ r)
    free = max(len(r) - int(known.sum()), 1)
    square = max(float(left @ left), 1e-300)
    volume = 2.0 * (np.log(singular[known]).sum() + np.log(size[live]).sum())
    return float(-series * np.log(1.0 - rho**2) + volume + free * np.log(square)), square / free


def whitened(values: Array, rho: float) -> Array:
    """Return the innovations of autoregressions along the last axis, the first scaled to their variance."""
    out = values.copy()
    out[..., 1:] -= rho * values[..., :-1]
    out[..., 0] *= np.sqrt(1.0 - rho**2)
    return out


def sandwich(jacobian: Array, jacobians: Sequence[Array], rest: Array, found: Correlated) -> Array:
    """Return the covariance of the coordinates at a minimum of the plain sum of squares.

    Parameters
    ----------
    jacobian
        Of all residuals, (parameters, rows), none of them dead.
    jacobians
        Of each sweep's, as for :func:`correlated`.
    rest
        Of those that belong to no sweep, (parameters, rows): priors.
    found
        How residuals are correlated.
    """
    size = np.sqrt((jacobian**2).sum(1))
    unit = jacobian / size[:, None]
    _, singular, directions = np.linalg.svd(unit.T, full_matrices=False)
    strength = np.where(singular > _WEAK * singular.max(initial=1e-300), singular, np.inf)
    bread = (directions.T / strength**2) @ directions
    meat = np.zeros_like(bread)
    for part in jacobians:
        scaled = part / size[:, None, None]
        spread = np.einsum("ab,pbt->pat", found.covariance, _coloured(scaled, found.rho))
        meat += np.einsum("pat,qat->pq", scaled, spread)
    others = rest / size[:, None]
    meat += others @ others.T * float(np.trace(found.covariance)) / len(found.covariance)
    covariance = bread @ (0.5 * (meat + meat.T)) @ bread
    return np.asarray(covariance / (size[:, None] * size[None, :]))


def _coloured(values: Array, rho: float) -> Array:
    """Return R x along the last axis, R the correlation matrix of an autoregression."""
    forth = autoregression(values, rho)
    back = autoregression(values[..., ::-1], rho)[..., ::-1]
    return np.asarray(forth + back - values)


def autoregression(values: Array, rho: float) -> Array:
    """Return y along the last axis, y[n] = rho y[n - 1] + values[n] from y = 0 on."""
    # Loaded when it is needed: it takes half a second, and a device is loaded without it.
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], [1.0, -rho], values, axis=-1))
