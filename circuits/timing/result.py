"""What a read in time comes to: settling, energy, crosstalk."""

__all__ = ["Energies", "ReadTiming", "settled_at"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.types import Array


@dataclass(frozen=True)
class Energies:
    """Where the energy of a read goes [J], (batch,) each."""

    drivers: Array
    """What the drivers' sources deliver, the integral of v i over all lines and ends."""
    devices: Array
    """What cells take up, with their access devices."""
    wires: Array
    """What the rest of the lines takes up: segments, drivers' outputs, sense resistances."""
    amplifier: Array
    """What feedback resistances take up; what an amplifier takes for itself is not known here. Zeros without."""
    supplied: Array
    """What of that comes from amplifiers' outputs rather than from bit lines."""
    stored: Array
    """What is in the capacitances at the end."""

    @property
    def balance(self) -> Array:
        """What of the delivered energy is not accounted for, as a share; a check of the integrals."""
        given = self.drivers + self.supplied
        spent = self.devices + self.wires + self.amplifier + self.stored
        scale = np.maximum(np.abs(given), np.finfo(float).tiny)
        share: Array = (given - spent) / scale
        return share


@dataclass(frozen=True)
class ReadTiming:
    """How one tile is read in time, vector by vector, from all drivers at 0 V."""

    error: float
    """What settling means: the sensed current stays within this share of the largest end current of its vector."""
    settling: Array
    """Time from the beginning of the edge until each column is settled [s], (batch, cols)."""
    duration: float
    """How long the read was looked at [s]: energies are over this time."""
    energy: Energies
    """Energies over the duration."""
    power: Array
    """What the drivers deliver in the end [W], (batch,): a read that is longer by t takes t times this more."""
    current: Array
    """Sensed currents in the end [A], (batch, cols)."""
    overshoot: Array
    """How far a sensed current goes beyond where it begins and ends, as a share of the largest end current of its
    vector, (batch, cols): what other lines couple into a column."""
    quiet: Array
    """Largest voltage of word lines whose driver stays at 0 V, at their far end, beyond their end value, as a share
    of the largest row voltage, (batch,); 0 where all are driven."""
    engine: str
    """``"estimate"``, or ``"spice"``."""

    @property
    def slowest(self) -> Array:
        """Settling time of each vector's slowest column [s], (batch,)."""
        last: Array = self.settling.max(axis=-1)
        return last

    def summary(self) -> dict[str, Any]:
        """Return the figures that a report shows."""
        return {
            "engine": self.engine,
            "vectors": len(self.settling),
            "settling_error_percent": 100.0 * self.error,
            "settling_seconds": float(self.slowest.max()),
            "settling_median_seconds": float(np.median(self.slowest)),
            "duration_seconds": self.duration,
            "energy_joule": float(self.energy.drivers.mean()),
            "device_energy_joule": float(self.energy.devices.mean()),
            "wire_energy_joule": float(self.energy.wires.mean()),
            "amplifier_energy_joule": float(self.energy.amplifier.mean()),
            "stored_joule": float(self.energy.stored.mean()),
            "power_watt": float(self.power.mean()),
            "overshoot_percent": 100.0 * float(self.overshoot.max(initial=0.0)),
            "quiet_line_percent": 100.0 * float(self.quiet.max(initial=0.0)),
        }


def settled_at(t: ArrayLike, i: ArrayLike, end: ArrayLike, band: float) -> Array:
    """Return when each current comes within ``band`` [A] of its ``end`` [A] for good.

    Parameters
    ----------
    t
        Times [s], (points,).
    i
        Currents [A], (points, cols).
    end
        Where they go, (cols,).
    band
        How close is settled [A].

    Returns
    -------
    Array
        Times [s], (cols,), straight lines between points; infinite where a current is not there at the last point.
    """
    t, off = np.asarray(t, float), np.abs(np.asarray(i, float) - np.asarray(end, float))
    outside = off > band
    last = len(t) - 1 - np.argmax(outside[::-1], axis=0)
    never, always = outside[-1], ~outside.any(axis=0)
    k = np.minimum(last, len(t) - 2)
    cols = np.arange(off.shape[1])
    a, b = off[k, cols], off[k + 1, cols]
    with np.errstate(over="ignore"):  # of two currents that are all but equal
        share = np.divide(a - band, a - b, out=np.zeros_like(a), where=a != b)
    found = t[k] + np.clip(share, 0.0, 1.0) * (t[k + 1] - t[k])
    result: Array = np.where(never, np.inf, np.where(always, 0.0, found))
    return result
