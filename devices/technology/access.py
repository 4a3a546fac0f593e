"""The transistor that a cell sits behind: level 1 with drain-induced barrier lowering and mobility degradation.

    ov = s ln(1 + exp((v_gs - v_t + eta v_ds)/s)),    v = min(v_ds, ov)
    i = k/(1 + theta ov) · v (ov - v/2)

``ov`` is the overdrive, smoothed over ``s`` so that the current has a tail below threshold.
"""

__all__ = ["AccessTransistor"]

from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.records.pack import UNSAVED
from ...data.types import Array

_BISECTIONS = 40  # of the current: to 1e-12 of the largest


@dataclass(frozen=True)
class AccessTransistor:
    """An n-channel transistor in series with a cell, its source at the grounded line.

    Attributes
    ----------
    k
        Transconductance parameter [A/V²].
    v_t
        Threshold [V].
    eta
        Drain-induced barrier lowering: loss of threshold per drain voltage.
    theta
        Mobility degradation [1/V].
    smooth
        Voltage over which the channel opens [V].
    r_source
        Between its source and the grounded end of the line [ohm]: of the array that it sits in, and so no part of a
        technology's file. Voltages are against that end.
    """

    k: float
    v_t: float
    eta: float = 0.0
    theta: float = 0.0
    smooth: float = 0.03
    r_source: float = field(default=0.0, metadata=UNSAVED)

    def __post_init__(self) -> None:
        """Refuse what is no transistor."""
        for item in fields(self):
            value = getattr(self, item.name)
            least = 0.0 if item.name in ("eta", "theta", "r_source") else -np.inf
            positive = item.name in ("k", "smooth")
            if not np.isfinite(value) or value < least or (positive and value <= 0.0):
                bound = "above 0" if positive else "0 or more" if least == 0.0 else "finite"
                raise InputError(f"access transistor: {item.name} must be {bound}, got {value!r}")

    def current(self, v_gs: ArrayLike, v_ds: ArrayLike) -> Array:
        """Return the drain current [A] at gate and drain voltages against the grounded end [V]; they broadcast."""
        if self.r_source > 0.0:
            return self._behind_source(v_gs, v_ds)
        v_ds = np.asarray(v_ds, float)
        raised = np.asarray(v_gs, float) - self.v_t + self.eta * v_ds
        over = self.smooth * np.logaddexp(0.0, raised / self.smooth)
        v = np.minimum(v_ds, over)
        return np.asarray(self.k / (1.0 + self.theta * over) * v * (over - 0.5 * v))

    def _behind_source(self, v_gs: ArrayLike, v_ds: ArrayLike) -> Array:
        """Return the current that lifts the source just as far as it lets through, by bisection."""
        bare = replace(self, r_source=0.0)
        v_gs, v_ds = (np.asarray(v, float) for v in (v_gs, v_ds))
        most = np.minimum(bare.current(v_gs, v_ds), v_ds / self.r_source)
        low, high = np.zeros_like(most), most
        for _ in range(_BISECTIONS):
            i = 0.5 * (low + high)
            lifted = i * self.r_source
            more = bare.current(v_gs - lifted, v_ds - lifted) > i
            low, high = np.where(more, i, low), np.where(more, high, i)
        return np.asarray(0.5 * (low + high))
