"""Where to look for a model's parameters, read off the sweeps themselves.

Stages, each feeding the next: the series resistance from the slope at the largest currents; then,
on the voltage that is left for the device, scale and curvature of each polarity's conducting and
blocking branch; thresholds, rates and resistances from the sweep's extent in voltage, time and
conductance. The result is a range per parameter in which starts are drawn; bounds stay the model's
own, or the user's.
"""

__all__ = ["Range", "guess_ranges"]

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ...data.measurement import Sweep
from ...data.types import Array
from ..model import SERIES, CompactModel, Parameter

Range: TypeAlias = tuple[float, float]


def guess_ranges(
    model: CompactModel, sweeps: Sequence[Sweep], fixed: Mapping[str, float] | None = None
) -> dict[str, Range]:
    """Return (low, high) for every parameter and for ``x0``, in the parameter's own unit.

    ``fixed`` holds values that the fit will not change.

    Parameters
    ----------
    model
        The compact model.
    sweeps
        Measured sweeps.
    fixed
        Parameters that are held, with their values.
    """
    v = np.concatenate([sweep.v[sweep.kept] for sweep in sweeps])
    i = np.concatenate([sweep.i[sweep.kept] for sweep in sweeps])
    duration = float(np.median([sweep.t[-1] - sweep.t[0] for sweep in sweeps]))
    reach = max(float(np.abs(sweep.v).max()) for sweep in sweeps)
    r_s = _series([sweep for sweep in sweeps if not sweep.pulsed])
    ranges = {row.name: _by_unit(row, v, i, duration, reach) for row in model.parameters}
    if not r_s:  # reads of pulses show none: up to that of the best read
        most = np.abs(v[i != 0.0] / i[i != 0.0]).min(initial=np.inf)
        r_s = float(most) / 1.3 if np.isfinite(most) and sweeps[0].pulsed else r_s
    ranges[SERIES.name] = (0.0, 1.3 * r_s)
    for sign, suffix in ((1.0, "_p"), (-1.0, "_n")):
        branch = _branches(sign * (v - 0.8 * r_s * i), sign * i)
        if branch is None:
            continue
        (high_scale, high_b), (low_scale, low_b) = branch
        for scale, curvature, value, b in (
            ("a", "b", high_scale, high_b),
            ("gmax", "bmax", high_scale, high_b),
            ("gmin", "bmin", low_scale, low_b),
        ):
            if scale + suffix in ranges:
                # the measured branch is a lower limit of the scale: its state may be far from 1
                lift = 30.0 if scale != "gmin" else 1.0
                ranges[scale + suffix] = (0.3 * value, 3.0 * lift * value)
                ranges[curvature + suffix] = (0.7 * b, 1.5 * b)
    if {"r_min", "r_max", "s_set", "a_p"} <= ranges.keys():
        _resistance_as_state({**model.defaults, **(fixed or {})}, ranges, duration)
    # a current proportional to x spans decades of it; any other hardly sees x below a few percent
    top = float(np.abs(v).max())
    proportional = float(model.current(top, model.state_range[0], model.defaults)) == 0.0
    ranges["x0"] = (1e-3 if proportional else 0.02, 1.0)
    return {name: _inside(model, name, span) for name, span in ranges.items()}


def _resistance_as_state(
    values: Mapping[str, float], ranges: dict[str, Range], duration: float
) -> None:
    """Adapt the ranges to a model whose state is a resistance R between ``r_min`` and ``r_max``.

    Its current is a/R sinh(b v), so that a is the measured scale times R; the ends that R runs to
    lie between its limits, and its rates are a share of their distance per sweep.
    """
    low, high = values["r_min"], values["r_max"]
    for name in ("a_p", "a_n"):
        scale = ranges[name][0] / 0.3  # of the upper branch, see guess_ranges
        ranges[name] = (0.5 * low * scale, 1.5 * high * scale)
    for name in ("set", "reset"):
        ranges[f"r_{name}"] = (low - 0.5 * (high - low), high + 0.5 * (high - low))
        ranges[f"s_{name}"] = (-0.5 * (high - low), high - low)
        ranges[f"k_{name}"] = (0.3 / (high - low), 50.0 / (high - low))
        ranges[f"A_{name}"] = (1e-5 * (high - low) / duration, 30.0 * (high - low) / duration)
    for name in ("r_min", "r_max"):
        ranges[name] = (0.8 * values[name], 1.25 * values[name])


def _series(sweeps: Sequence[Sweep]) -> float:
    """Return the smallest dv/di over a tenth of a volt or five points: the device in series
    conducts at best that.
    """
    best = np.inf
    for sweep in sweeps:
        width = max(len(sweep.v) // 60, 2)
        rise_v, rise_i = sweep.v[width:] - sweep.v[:-width], sweep.i[width:] - sweep.i[:-width]
        fine = sweep.kept[width:] & sweep.kept[:-width] & (rise_v * rise_i > 0.0)
        fine &= np.abs(rise_i) > 0.01 * np.ptp(sweep.i) / 60.0
        if fine.any():
            best = min(best, float(np.percentile(rise_v[fine] / rise_i[fine], 2.0)))
    return best if np.isfinite(best) else 0.0


def _branches(u: Array, i: Array) -> tuple[Range, Range] | None:
    """Return scale and curvature of scale·sinh(b u) along the upper and the lower edge of a
    polarity's currents.
    """
    inside = (u > 0.0) & (i > 0.0)
    if inside.sum() < 8:
        return None
    u, i = u[inside], i[inside]
    top = float(i.max())
    span = (i < 0.3 * top) & (i > 1e-6 * top) & (u > 0.05 * u.max())
    if span.sum() < 8:
        span = np.ones(len(u), bool)
    u, i = u[span], np.log(i[span])
    slope, start = np.polyfit(u, i, 1)
    above = i > start + slope * u
    edges = []
    for part in (above, ~above):
        b, log_scale = np.polyfit(u[part], i[part], 1) if part.sum() >= 4 else (slope, start)
        b = max(float(b), 0.1)
        edges.append((2.0 * float(np.exp(min(log_scale, 50.0))), b))
    return edges[0], edges[1]


def _by_unit(row: Parameter, v: Array, i: Array, duration: float, reach: float) -> Range:
    """Return a range that the unit and the sweeps' extent suggest; else a decade or the bounds
    about the default.
    """
    if row.unit == "V":
        return 0.02 * reach, 0.9 * reach
    if row.unit == "A":
        top = float(np.abs(i).max())
        return 1e-6 * top, 10.0 * top
    if row.unit == "1/V":
        return 0.2 / reach, 30.0 / reach
    if row.unit == "1/s":
        return 0.03 / duration, 3e3 / duration
    if row.unit == "ohm":
        large = np.abs(v) > 0.2 * float(np.abs(v).max())
        with np.errstate(divide="ignore"):
            r = np.abs(v[large] / i[large])
        r = r[np.isfinite(r) & (r > 0.0)]
        if r.size:
            return 0.3 * float(r.min()), 3.0 * float(r.max())
    if row.log:
        return 0.1 * row.default, 10.0 * row.default
    return row.lower, row.upper


def _inside(model: CompactModel, name: str, span: Range) -> Range:
    if name == "x0":
        return span
    row = model.parameter(name)
    low, high = (min(max(end, row.lower), row.upper) for end in span)
    return (low, high) if low < high else (row.lower, row.upper)
