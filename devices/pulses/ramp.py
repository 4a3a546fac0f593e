"""Fit a pulse law to one ramp, and tell its error from the noise of the data."""

__all__ = ["PulseFit", "find_law", "fit_ramp", "inverse", "noise_floor"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...data.errors import FitError, InputError, nearest
from ...data.types import Array
from .laws import LAWS, PulseLaw

if TYPE_CHECKING:
    import lmfit

_FEW = 12  # pulses below which a ramp has no shape to fit


@dataclass(frozen=True)
class PulseFit:
    """One law, fitted to one ramp.

    Attributes
    ----------
    law
        The law.
    values, stderr
        Its parameters and their standard errors, shape (parameters,); infinite where unknown.
    pulses
        P, the number of pulses that the ramp was fitted over.
    nrmse_percent
        Root mean square error over the ramp's range [%].
    floor_percent
        Noise floor of the data, see :func:`noise_floor` [%].
    residual
        Model minus measurement, shape (pulses + 1,).
    """

    law: PulseLaw
    values: Array
    stderr: Array
    pulses: int
    nrmse_percent: float
    floor_percent: float
    residual: Array

    def curve(self, n: Array) -> Array:
        """Return the conductance after n pulses, of n's shape."""
        return self.law.curve(np.asarray(n, float), self.values, self.pulses)


def fit_ramp(g: Array, law: str | PulseLaw = "exponential") -> PulseFit:
    """Fit a law to one ramp of conductances, shape (pulses + 1,), the first read before the first
    pulse.

    Raises
    ------
    InputError
        If the law is unknown, or the ramp is too short, not finite or constant.
    FitError
        If no start converges.
    """
    import lmfit

    law = find_law(law)
    g = np.asarray(g, float)
    if len(g) < _FEW or not np.isfinite(g).all():
        raise InputError(f"a ramp needs {_FEW} finite conductances or more, got {len(g)}")
    span = float(np.ptp(g))
    if span <= 0.0:
        raise InputError("the ramp is constant: there is no response to fit")
    pulses = len(g) - 1
    n = np.arange(len(g), dtype=float)
    bounds = law.bounds(g, pulses)
    best = None
    for start in law.guess(g, pulses):
        parameters = lmfit.Parameters()
        for name, value, (low, high) in zip(law.names, start, bounds, strict=True):
            margin = 1e-6 * (high - low)
            parameters.add(
                name, value=float(np.clip(value, low + margin, high - margin)), min=low, max=high
            )

        def residual(at: "lmfit.Parameters") -> Array:
            return (law.curve(n, np.array([at[x].value for x in law.names]), pulses) - g) / span

        result = lmfit.minimize(residual, parameters, method="leastsq", max_nfev=400)
        if np.isfinite(result.chisqr) and (best is None or result.chisqr < best.chisqr):
            best = result
    if best is None:
        raise FitError(f"law {law.name} fits no start of the ramp")
    values = np.array([best.params[name].value for name in law.names])
    errors = np.array([_error(best.params[name].stderr) for name in law.names])
    gap = law.curve(n, values, pulses) - g
    return PulseFit(
        law,
        values,
        errors,
        pulses,
        100.0 * float(np.sqrt(np.mean(gap**2))) / span,
        noise_floor(g),
        gap,
    )


def noise_floor(g: Array) -> float:
    """Return the scatter of a ramp about its own smooth course, over its range [%].

    The course is a local parabola over a tenth of the ramp; the degrees of freedom it takes are
    given back.
    """
    from scipy.signal import savgol_filter

    window = max(len(g) // 10 | 1, 5)
    smooth = savgol_filter(g, window, 2)
    # the weight that a local parabola gives its own middle point
    own = float(savgol_filter(np.eye(1, window, window // 2)[0], window, 2)[window // 2])
    return 100.0 * float(np.sqrt(np.mean((g - smooth) ** 2) / max(1.0 - own, 0.1)) / np.ptp(g))


def find_law(law: str | PulseLaw) -> PulseLaw:
    """Return a law by its name, or the law itself."""
    if isinstance(law, PulseLaw):
        return law
    if law not in LAWS:
        raise InputError(f"unknown pulse law {law!r}{nearest(law, LAWS)}")
    return LAWS[law]


def _error(value: float | None) -> float:
    return float("inf") if value is None or not np.isfinite(value) else float(value)


def inverse(n: Array, curve: Array, g: Array, *, clip: bool = False) -> Array:
    """Return n where a monotonic curve is g; NaN outside it, or its end with ``clip``.

    Parameters
    ----------
    n
        Pulses at which the curve is known, (points,).
    curve
        The curve there, (points,).
    g
        Values to look up.
    clip
        Whether what lies outside gets the curve's end.
    """
    way = 1.0 if curve[-1] >= curve[0] else -1.0
    rising = np.maximum.accumulate(way * curve)
    place = np.interp(way * g, rising, n)
    if clip:
        return np.asarray(place)
    slack = 1e-9 * (rising[-1] - rising[0])
    outside = (way * g < rising[0] - slack) | (way * g > rising[-1] + slack)
    return np.where(outside, np.nan, place)
