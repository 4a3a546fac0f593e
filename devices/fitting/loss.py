"""What a fit minimises: how far a modelled current is from the measured one.

==========  ====================================================================================
``linear``  the difference, in percent of the measured range: fits the large currents
``log``     the difference of asinh(i / 2 i0), in tenths of a decade: fits all decades down to i0
``hybrid``  both, stacked: for a device written at milliamperes and read at microamperes
``error``   the difference over σ = relative · abs(i) + floor: an instrument's error model
==========  ====================================================================================

``robust`` bends any of them beyond ``bend`` units, as soft-L1 does, so that a few bad points can't
pull the fit.
"""

__all__ = ["LOSSES", "Loss", "current_floor"]

from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError, nearest
from ...data.measurement import Sweep
from ...data.types import Array

LOSSES = ("linear", "log", "hybrid", "error")

_PERCENT = 0.01  # a residual of 1: one percent of the range ...
_TENTH = 0.1 * np.log(10.0)  # ... or a tenth of a decade


@dataclass(frozen=True)
class Loss:
    """A loss and its settings.

    Attributes
    ----------
    kind
        One of :data:`LOSSES`.
    floor
        Current below which differences stop to count: i0 of ``log`` and ``hybrid``, the constant
        part of ``error`` [A]. None: from each sweep's noise, see :func:`current_floor`.
    relative
        Relative part of ``error``.
    decades
        Weight of the logarithmic half of ``hybrid``: at 0.7, a seventh of a decade counts as much
        as one percent of the range.
    robust
        Whether to bend large residuals.
    bend
        Where they bend, in residual units.
    """

    kind: str = "hybrid"
    floor: float | None = None
    relative: float = 0.05
    decades: float = 0.7
    robust: bool = False
    bend: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.kind not in LOSSES:
            raise InputError(f"unknown loss {self.kind!r}{nearest(self.kind, LOSSES)}")
        for name in ("floor", "relative", "decades", "bend"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise InputError(f"the loss's {name} must be positive, got {value:g}")

    def residuals(self, i: Array, sweep: Sweep) -> tuple[Array, Array]:
        """Return residuals and their derivative by the current [1/A].

        Parameters
        ----------
        i
            Modelled current at every sample [A], shape (points, sets).
        sweep
            The measurement. Where its source was at its limit, what the device carries below the limit
            counts, and nothing above it; other censored points do not count.

        Returns
        -------
        tuple
            Residuals and derivatives, each of shape (rows, sets): one row per point that counts, two
            for ``hybrid``.
        """
        span = np.ptp(sweep.i[sweep.kept])
        held = sweep.held[sweep.counted]
        i, measured = i[sweep.counted], sweep.i[sweep.counted][:, None]
        beyond = np.zeros(i.shape, bool)
        if held.any():
            limit = sweep.limit[sweep.counted][:, None]
            level = np.copysign(np.minimum(np.abs(measured), limit), measured)
            beyond = held[:, None] & (i * np.sign(level) >= np.abs(level))
            measured = np.where(held[:, None], level, measured)
            i = np.where(beyond, measured, i)
        floor = current_floor(sweep) if self.floor is None else self.floor
        if self.kind == "error":
            parts = [_difference(i, measured, self.relative * np.abs(measured) + floor)]
        else:
            parts = []
            if self.kind in ("linear", "hybrid"):
                parts.append(_difference(i, measured, np.full_like(measured, _PERCENT * span)))
            if self.kind in ("log", "hybrid"):
                weight = self.decades if self.kind == "hybrid" else 1.0
                parts.append(_decades(i, measured, floor, weight / _TENTH))
        residual = np.concatenate([part[0] for part in parts])
        slope = np.concatenate([np.where(beyond, 0.0, part[1]) for part in parts])
        return self._bent(residual, slope) if self.robust else (residual, slope)

    def _bent(self, residual: Array, slope: Array) -> tuple[Array, Array]:
        # r -> sign(r) bend sqrt(2 (sqrt(1 + (r/bend)²) - 1)): its square is the soft-L1 loss
        scaled = residual / self.bend
        root = np.sqrt(1.0 + scaled**2)
        # 2 (root - 1) = 2 s² / (root + 1) without cancellation
        factor = np.sqrt(2.0 / (root + 1.0))
        return residual * factor, slope / (root * factor)


def current_floor(sweep: Sweep) -> float:
    """Return the current below which a sweep holds more noise than signal [A].

    Ten times the scatter of neighbouring points where the voltage is lowest, but no less than 3e-8
    of the largest current. Of a record of pulses, a tenth of the smallest current that was read.
    """
    if sweep.pulsed:
        read = np.abs(sweep.i[sweep.kept])
        return max(0.1 * float(np.min(read[read > 0.0], initial=np.inf)), 3e-8 * float(read.max()))
    rest = np.argsort(np.abs(sweep.v[1:-1]), kind="stable")[: max(len(sweep.v) // 20, 5)]
    scatter = float(np.median(np.abs(np.diff(sweep.i, 2))[rest]) / np.sqrt(6.0))
    return max(10.0 * scatter, 3e-8 * float(np.abs(sweep.i).max()))


def _difference(i: Array, measured: Array, sigma: Array) -> tuple[Array, Array]:
    return (i - measured) / sigma, np.broadcast_to(1.0 / sigma, i.shape)


def _decades(i: Array, measured: Array, floor: float, weight: float) -> tuple[Array, Array]:
    double = 2.0 * floor
    residual = weight * (np.arcsinh(i / double) - np.arcsinh(measured / double))
    return residual, weight / np.hypot(i, double)
