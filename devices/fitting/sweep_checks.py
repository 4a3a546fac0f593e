"""What to say about sweeps before they are fitted."""

__all__ = ["check_sweeps", "loop_area", "set_sense"]

from collections.abc import Sequence

import numpy as np

from ...data.errors import InputError
from ...data.measurement import Sweep
from .loss import current_floor

_AGAINST = (
    0.3  # share of the points whose current flows against the voltage, above which a sign is wrong
)
_FLAT = 0.02  # decades between the branches below which a loop is none


def check_sweeps(sweeps: Sequence[Sweep], *, dynamic: bool) -> tuple[str, ...]:
    """Refuse sweeps that no model can be fitted to, and return a warning for each that hardly can.

    Raises
    ------
    InputError
        If there is no sweep, or one has no voltage, no current, only censored points, or currents
        against its voltage.
    """
    if not sweeps:
        raise InputError("there is no sweep to fit")
    warnings = []
    for sweep in sweeps:
        v, i = sweep.v[sweep.kept], sweep.i[sweep.kept]
        if not len(i):
            raise InputError(
                f"{sweep.name}: every point is censored; give a higher compliance or range, or"
                " measure again"
            )
        if np.ptp(sweep.v) == 0.0:
            raise InputError(f"{sweep.name}: the voltage does not change, there is nothing to fit")
        if np.ptp(i) <= 1e-12 * max(abs(float(i.max())), abs(float(i.min())), 1e-300):
            raise InputError(
                f"{sweep.name}: the current is constant; check the current column and its unit"
            )
        if sweep.pulsed:
            continue
        large = np.abs(i) > 3.0 * current_floor(sweep)
        if large.any() and float(np.mean((v * i)[large] < 0.0)) > _AGAINST:
            raise InputError(
                f"{sweep.name}: the current flows against the voltage; turn the sign of one of"
                " the two columns"
            )
        if dynamic and loop_area(sweep) < _FLAT:
            warnings.append(
                f"{sweep.name}: the device does not switch in this sweep (its branches coincide),"
                " so that nothing is"
                " known of thresholds and rates; use a larger voltage, or fix them"
            )
        elif dynamic and set_sense(sweep) < -_FLAT:
            warnings.append(
                f"{sweep.name}: the device seems to SET at negative voltage, and models SET at"
                " positive one; read it with polarity -1"
            )
        share = float(np.mean(~sweep.counted))
        if share > 0.3:
            warnings.append(
                f"{sweep.name}: {100 * share:.0f} % of the points are censored and left out"
            )
    return tuple(warnings)


def loop_area(sweep: Sweep) -> float:
    """Return how far a sweep's branches lie apart: mean spread of log10|i| at equal voltage."""
    v, i = sweep.v[sweep.kept], sweep.i[sweep.kept]
    size = np.log10(np.maximum(np.abs(i), 10.0 * current_floor(sweep)))
    turns = np.flatnonzero(np.diff(np.sign(np.diff(v)[np.diff(v) != 0.0])) != 0.0) + 1
    grid = np.linspace(v.min(), v.max(), 101)
    grid = grid[np.abs(grid) > 0.05 * np.abs(v).max()]  # a logarithm is steep about 0 V
    curves = []
    for branch in np.split(np.arange(len(v)), turns):
        if len(branch) < 3:
            continue
        order = branch[np.argsort(v[branch], kind="stable")]
        inside = (grid >= v[order[0]]) & (grid <= v[order[-1]])
        curves.append(np.where(inside, np.interp(grid, v[order], size[order]), np.nan))
    table = np.array(curves).reshape(-1, len(grid))
    shared = np.isfinite(table).sum(0) >= 2
    if not shared.any():
        return 0.0
    return float(np.mean(np.nanmax(table[:, shared], 0) - np.nanmin(table[:, shared], 0)))


def set_sense(sweep: Sweep) -> float:
    """Return by how many decades the current has grown, at equal voltage, from the way out to the
    way back on the positive side, less the same on the negative side.

    Above 0 for a device that SETs at positive voltage; 0 where the sweep does not say.
    """
    v, size = sweep.v, np.log10(np.maximum(np.abs(sweep.i), 10.0 * current_floor(sweep)))
    grown = 0.0
    for sign in (1.0, -1.0):
        there = (sign * v > 0.05 * np.abs(v).max()) & sweep.kept
        if there.sum() < 8:
            continue
        peak = int(np.flatnonzero(there)[np.argmax(sign * v[there])])
        out, back = np.arange(len(v)) <= peak, np.arange(len(v)) >= peak
        lines = []
        grid = np.linspace(0.2, 0.9, 15) * sign * v[peak]
        for part in (out & there, back & there):
            order = np.argsort(sign * v[part], kind="stable")
            if part.sum() < 4 or (sign * v[part]).min() > grid[0]:
                break
            lines.append(np.interp(grid, (sign * v[part])[order], size[part][order]))
        if len(lines) == 2:
            grown += sign * float(np.mean(lines[1] - lines[0]))
    return grown
