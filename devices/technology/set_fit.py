"""The SET law and its population, fitted to a pulse map.

First the law alone to the medians, then all parameters to medians, 10 and 90 % quantiles and switching probabilities of
every combination, each against its own bootstrap noise. Populations are drawn from one Sobol sequence, the same at
every step, so that the residuals are smooth in the parameters.
"""

__all__ = ["SetFit", "fit_set", "misses", "predict"]

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from ...data.errors import FitError, InputError
from ...data.types import Array, Progress
from .combinations import SHARES, Combinations, Outcome
from .forms import ExponentialForm, Form, PowerForm
from .model_form import model_forms
from .population import REACH, Spreads, shifted
from .switching import CellLaw, SetTable, tabulate

_POWERS = (3.0, 10.0)
"""Of which a power law takes the one that does better: what is a power and what a threshold, maps hardly tell."""
_SAMPLES = 64
_POOR = 1.5
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

    law: CellLaw
    spreads: Spreads
    error: Mapping[str, float]
    noise: Mapping[str, float]
    stderr: Mapping[str, float]
    cells: int
    combinations: int
    seconds: float

    @property
    def describes(self) -> bool:
        """Whether medians are met to their noise, or half more."""
        return self.error["median"] <= _POOR * self.noise["median"]


def fit_set(
    data: Combinations,
    *,
    law: str = "exponential",
    free: Sequence[str] = (),
    v_read: float = 0.2,
    progress: Progress | None = None,
) -> SetFit:
    """Fit the SET law and the population.

    Parameters
    ----------
    data
        Combinations of pulses, and what they did.
    law
        The cell's: ``exponential`` in its voltage, a ``power`` of what is above a threshold, or a model with dynamics:
        its name, that of a shipped device, or the path of a device's file.
    free
        Parameters of such a model that are searched; by default those that the speed of a SET depends on, and a read
        does not.
    v_read
        Voltage at which the map was read [V], for such a model.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If there are fewer combinations than parameters, the voltages do not say anything, or a model can't do what
        the map's cells do.
    FitError
        If no parameters describe the data.
    """
    began = time.process_time()
    forms = _forms(law, data, tuple(free), v_read)
    report = progress or (lambda done, total: None)
    report(0, 3)
    tried = [
        (_descend(partial(_rough, data=data, form=form), start, _ROUGH, 30), form)
        for form in forms
        for start in form.starts(data)
    ]
    rough, form = min(tried, key=lambda one: float(one[0].cost))
    report(1, 3)
    begin = np.concatenate((rough.x, form.spread_start))
    fine = _descend(partial(_residuals, data=data, form=form), begin, _FINE, 40)
    report(3, 3)
    found, spreads = form.law(fine.x), form.spreads(fine.x)
    foretold = predict(found, spreads, data, samples=256)
    error = misses(data, foretold)
    if not all(np.isfinite(list(error.values()))):
        raise FitError("the SET map: no parameters describe it")
    return SetFit(
        found,
        spreads,
        error,
        _noise(data),
        _stderr(fine, form),
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


def _forms(law: str, data: Combinations, free: tuple[str, ...], v_read: float) -> Sequence[Form]:
    """Return what is searched, each once for every beginning of its own."""
    known: dict[str, Sequence[Form]] = {
        "exponential": [ExponentialForm()],
        "power": [PowerForm(power) for power in _POWERS],
    }
    if law in known and free:
        raise InputError(
            f"free names parameters of a model, and the {law} law is searched as a whole: choose a model as the law"
        )
    few = known.get(law, known["exponential"])[0]
    _check(data, len(few.names) + len(few.spread_names))
    return known[law] if law in known else model_forms(law, data, free, v_read)


def _check(data: Combinations, need: int) -> None:
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


def _rough(x: Array, data: Combinations, form: Form) -> Array:
    law = form.law(x)
    gates = np.unique(data.v_wl)
    even = np.ptp(np.diff(gates)) < 1e-9 if len(gates) > 2 else True
    table = _table(law, Spreads(), data, float(gates[1] - gates[0]) if even else None)
    line = np.searchsorted(table.v_bl, data.v_bl)
    start = np.array([np.median(g) for g in data.g_before])
    left = shifted(table, np.zeros(4), np.zeros((4, 1)), line, start, data.v_wl, np.log(data.pw))
    miss = (left - data.measured.median) / np.maximum(data.noise.median, 1e-6)
    return np.concatenate((miss, form.prior(x)))


def _residuals(x: Array, data: Combinations, form: Form) -> Array:
    told = predict(form.law(x), form.spreads(x), data, samples=_SAMPLES)
    smallest = {"median": 1e-6, "low": 1e-6, "high": 1e-6, "switched": 0.03}
    parts = [
        (getattr(told, name) - getattr(data.measured, name))
        / np.maximum(getattr(data.noise, name), least)
        for name, least in smallest.items()
    ]
    return np.concatenate((*parts, form.prior(x)))


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


def _stderr(found: Any, form: Form) -> dict[str, float]:
    """Return standard errors of the parameters as the law has them."""
    jac, residual = found.jac, found.fun
    chi = float(residual @ residual) / max(len(residual) - len(found.x), 1)
    error = np.sqrt(np.maximum(np.diag(np.linalg.pinv(jac.T @ jac)) * chi, 0.0))
    names = (*form.names, *form.spread_names)
    rows = zip(names, form.scales(found.x), error, strict=True)
    return {name: float(scale * one) for name, scale, one in rows}
