"""The SET law and its population, fitted to a pulse map.

First the law alone to the medians, then all parameters to medians, 10 and 90 % quantiles and switching probabilities of
every combination, each against its own bootstrap noise. Populations are drawn from one Sobol sequence, the same at
every step, so that the residuals are smooth in the parameters.
"""

__all__ = ["LawName", "SetFit", "fit_set", "predict"]

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from ...data.errors import FitError, InputError
from ...data.options import check_choice
from ...data.types import Array, Progress
from .access import AccessTransistor
from .combinations import SHARES, Combinations, Outcome
from .population import REACH, Spreads, shifted
from .switching import CellLaw, PowerLaw, SetLaw, SetTable, tabulate

LawName: TypeAlias = Literal["exponential", "power"]

_NAMES = ("k", "v_t", "theta", "eta", "r_write", "r_read", "v_cell", "v_s")
_SPREADS = ("s_v_t", "s_v_cell", "s_r_read", "s_u")
"""What is searched: in place of the rate and its spread the voltage of a cell at which it acts within
100 ns, which the data tell apart from ``v_s``."""
_POWERS = (3.0, 10.0)
"""Of which a power law takes the one that does better: what is a power and what a threshold, maps hardly tell."""
_PULSE = 1e-7  # [s]
_SAMPLES = 64
_ROUGH, _FINE = 1e-3, 1e-2  # steps of differences, in the scaled parameters


@dataclass(frozen=True)
class SetFit:
    """A fitted SET law with its population.

    Attributes
    ----------
    law, spreads
        What was fitted.
    error
        Root mean square of what the fit misses, over all combinations: ``median``, ``low``, ``high`` [S],
        ``switched``; and of the switching probability pooled over widths, ``pooled``.
    noise
        The data's own noise, from cells drawn anew, in the same terms.
    stderr
        Standard error of each parameter, from the residuals' curvature.
    cells, combinations
        How many were fitted.
    seconds
        CPU time.
    """

    law: SetLaw | PowerLaw
    spreads: Spreads
    error: Mapping[str, float]
    noise: Mapping[str, float]
    stderr: Mapping[str, float]
    cells: int
    combinations: int
    seconds: float


def fit_set(
    data: Combinations, *, law: LawName = "exponential", progress: Progress | None = None
) -> SetFit:
    """Fit the SET law and the population.

    Parameters
    ----------
    data
        Combinations of pulses, and what they did.
    law
        The cell's: exponential in its voltage, or a power of what is above a threshold.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If there are fewer combinations than parameters, or the voltages do not say anything.
    FitError
        If no parameters describe the data.
    """
    began = time.process_time()
    check_choice("technology fit", "law", law, get_args(LawName))
    _check(data)
    report = progress or (lambda done, total: None)
    report(0, 3)
    powers: tuple[float | None, ...] = (None,) if law == "exponential" else _POWERS
    tried = [
        (_descend(partial(_rough, data=data, power=power), start, _ROUGH, 30), power)
        for start in _guesses(data)
        for power in powers
    ]
    rough, power = min(tried, key=lambda one: float(one[0].cost))
    report(1, 3)
    begin = np.concatenate((rough.x, [0.07, 0.06, 0.2, 0.06]))
    fine = _descend(partial(_residuals, data=data, power=power), begin, _FINE, 40)
    report(3, 3)
    found, spreads = _law(fine.x, power), _spreads(fine.x)
    foretold = predict(found, spreads, data, samples=256)
    error = misses(data, foretold)
    if not all(np.isfinite(list(error.values()))):
        raise FitError("the SET map: no parameters describe it")
    return SetFit(
        found,
        spreads,
        error,
        _noise(data),
        _stderr(fine, found),
        int(data.count.sum()),
        len(data),
        time.process_time() - began,
    )


def predict(law: CellLaw, spreads: Spreads, data: Combinations, *, samples: int = 256) -> Outcome:
    """Return what the law says of the combinations, from their cells' start values.

    Parameters
    ----------
    law
        The SET law.
    spreads
        How cells differ.
    data
        Combinations of pulses, and their cells' start values.
    samples
        Cells that are drawn per combination.
    """
    before, after, noise = _population(law, spreads, data, samples)
    read = after + data.read_noise * noise
    low, median, high = np.quantile(read, SHARES, axis=1)
    width = max(data.read_noise, 1e-8)
    switched = ndtr((after - before - data.moved) / width).mean(1)
    return Outcome(median, low, high, switched)


def misses(data: Combinations, foretold: Outcome) -> dict[str, float]:
    """Return root mean squares of what a prediction misses; see :attr:`SetFit.error`."""
    found = {
        name: _rms(getattr(foretold, name) - getattr(data.measured, name))
        for name in Outcome._fields
    }
    found["pooled"] = _rms(_pooled(data, foretold.switched) - _pooled(data, data.measured.switched))
    return found


def _noise(data: Combinations) -> dict[str, float]:
    return {name: _rms(getattr(data.noise, name)) for name in Outcome._fields}


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _pooled(data: Combinations, share: Array) -> Array:
    """Return shares by word and bit line, over all widths, weighted by cells."""
    _, which = np.unique(np.stack((data.v_wl, data.v_bl)), axis=1, return_inverse=True)
    which = which.reshape(-1)
    return np.asarray(np.bincount(which, share * data.count) / np.bincount(which, data.count))


def _check(data: Combinations) -> None:
    need = len(_NAMES) + len(_SPREADS)
    if len(data) < need:
        raise InputError(
            f"{len(data)} combinations of widths and voltages are too few for {need} parameters,"
            f" expected {need} or more"
        )
    for name, what in (("v_wl", "word line"), ("v_bl", "bit line")):
        if len(np.unique(getattr(data, name))) < 2:
            raise InputError(
                f"the map has one {what} voltage only: the transistor can't be told from the cell"
            )
    if not data.measured.switched.max() > 0.5:
        raise InputError("no combination of the map switches half of its cells")


def _guesses(data: Combinations) -> list[Array]:
    """Return where the search begins, from the map's edges."""
    median, switched = data.measured.median, data.measured.switched
    top = float(np.quantile(median, 0.99))
    high = data.v_bl == data.v_bl.max()
    on = data.v_wl[high & (median > 0.3 * top)]
    v_t = float(on.min()) - 0.3 if len(on) else float(data.v_wl.min())
    wide = data.v_wl >= np.quantile(data.v_wl, 0.6)
    lines = [v for v in np.unique(data.v_bl) if switched[wide & (data.v_bl == v)].mean() > 0.5]
    quiet = [v for v in np.unique(data.v_bl) if not lines or v < lines[0]]
    last = quiet[-1] if quiet else 0.5 * float(data.v_bl.min())
    first = lines[0] if lines else float(data.v_bl.max())
    # The cell's own voltage lies between the last bit line that does nothing and the first that does.
    cells = (last + share * (first - last) for share in (0.1, 0.4))
    rest = (0.7, 0.1, 0.5, np.log(0.9 / top))
    return [np.array([np.log(1e-3), v_t, *rest, v, np.log(0.02 * v)]) for v in cells]


def _prior(x: Array) -> Array:
    """Return how unlike other transistors and cells these are, which decides only where data don't:
    mobility degradation, barrier lowering, write resistance [kohm], and the cell's v_s.
    """
    usual = (np.array([0.7, 0.1, 0.5]), np.array([0.5, 0.1, 1.0]))
    steep = (x[7] - np.log(0.02 * max(float(x[6]), 0.05))) / 0.7
    return np.append((x[2:5] - usual[0]) / usual[1], steep)


def _law(x: Array, power: float | None) -> SetLaw | PowerLaw:
    """Return the law of parameters; a power law is as steep as the exponential one would be where it acts."""
    transistor = AccessTransistor(
        float(np.exp(x[0])), float(x[1]), abs(float(x[3])), abs(float(x[2]))
    )
    v_cell, v_s = float(x[6]), float(np.exp(x[7]))
    r_read, r_write = float(np.exp(x[5])), 1e3 * abs(float(x[4]))
    if power is None:
        rate = -np.log10(_PULSE) - v_cell / (v_s * np.log(10.0))
        return SetLaw(transistor, float(rate), v_s, r_read, r_write)
    v_on = max(v_cell - power * v_s, 0.02 * abs(v_cell), 1e-3)
    over = max(v_cell / v_on - 1.0, 1e-6)
    rate = -np.log10(_PULSE) - power * np.log10(over)
    return PowerLaw(transistor, float(rate), v_on, power, r_read, r_write)


def _spreads(x: Array) -> Spreads:
    v_t, v_cell, r_read, u = (abs(float(one)) for one in x[8:12])
    return Spreads(v_t, v_cell / float(np.exp(x[7]) * np.log(10.0)), 1e3 * r_read, u)


def _descend(residuals: Callable[[Array], Array], start: Array, step: float, most: int) -> Any:
    return least_squares(
        residuals,
        start,
        loss="soft_l1",
        x_scale="jac",
        diff_step=step,
        max_nfev=most,
        xtol=1e-4,
        ftol=1e-4,
    )


def _table(
    law: CellLaw, spreads: Spreads, data: Combinations, step: float | None = None
) -> SetTable:
    reach = REACH * spreads.v_t
    ends = (float(data.v_wl.min()) - reach, float(data.v_wl.max()) + reach)
    pulses = (float(data.pw.min()), float(data.pw.max()))
    more = {} if step is None else {"step": step}
    return tabulate(law, data.v_bl, ends, pulses, **more)


def _rough(x: Array, data: Combinations, power: float | None) -> Array:
    law = _law(x, power)
    gates = np.unique(data.v_wl)
    even = np.ptp(np.diff(gates)) < 1e-9 if len(gates) > 2 else True
    table = _table(law, Spreads(), data, float(gates[1] - gates[0]) if even else None)
    line = np.searchsorted(table.v_bl, data.v_bl)
    start = np.array([np.median(g) for g in data.g_before])
    left = shifted(table, np.zeros(4), np.zeros((4, 1)), line, start, data.v_wl, np.log(data.pw))
    miss = (left - data.measured.median) / np.maximum(data.noise.median, 1e-6)
    return np.concatenate((miss, _prior(x)))


def _residuals(x: Array, data: Combinations, power: float | None) -> Array:
    told = predict(_law(x, power), _spreads(x), data, samples=_SAMPLES)
    smallest = {"median": 1e-6, "low": 1e-6, "high": 1e-6, "switched": 0.03}
    parts = [
        (getattr(told, name) - getattr(data.measured, name))
        / np.maximum(getattr(data.noise, name), least)
        for name, least in smallest.items()
    ]
    return np.concatenate((*parts, _prior(x)))


def _population(
    law: CellLaw, spreads: Spreads, data: Combinations, samples: int
) -> tuple[Array, Array, Array]:
    """Return conductances before and after, (combinations, samples), and normal numbers for the read's noise."""
    z = _sobol(samples)
    table = _table(law, spreads, data)
    line = np.searchsorted(table.v_bl, data.v_bl)[:, None]
    before = data.starts(ndtr(z[5]))
    after = shifted(
        table,
        spreads.sizes,
        z[:4, None, :],
        line,
        before,
        data.v_wl[:, None],
        np.log(data.pw)[:, None],
    )
    return before, after, z[4]


def _sobol(samples: int) -> Array:
    """Return normal numbers (6, samples) that fill their space evenly."""
    draws = qmc.Sobol(6, scramble=True, seed=7).random(samples)
    return np.asarray(ndtri(np.clip(draws, 1e-6, 1.0 - 1e-6)).T)


def _stderr(found: Any, law: SetLaw | PowerLaw) -> dict[str, float]:
    """Return standard errors of the parameters as the law has them."""
    jac, residual = found.jac, found.fun
    chi = float(residual @ residual) / max(len(residual) - len(found.x), 1)
    error = np.sqrt(np.maximum(np.diag(np.linalg.pinv(jac.T @ jac)) * chi, 0.0))
    x, v_s = found.x, float(np.exp(found.x[7]))
    scale = [law.transistor.k, 1.0, 1.0, 1.0, 1e3, law.r_read, 1.0, v_s, 1.0, 1.0, 1e3, 1.0]
    return {
        name: float(s * e)
        for name, s, e in zip((*_NAMES, *_SPREADS), scale[: len(x)], error, strict=True)
    }
