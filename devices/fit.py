"""Fit a compact model to measured sweeps: staged guesses, many starts, honest error bars.

A fit runs in four stages. Ranges for the parameters are read off the data; a seeded Latin hypercube
of candidates in these ranges is simulated at once; the best of them descend in lock step
(Levenberg-Marquardt with analytic derivatives, in chunks that an Executor may spread over
processes, with the same result for any number of workers); the winner is polished by lmfit, whose
covariance gives standard errors and correlations.
"""

__all__ = ["Fit", "fit"]

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.errors import FitError, InputError
from ..data.measurement import Sweep
from ..data.types import Array, Progress
from .device import Device
from .fit_checks import check_sweeps
from .fit_loss import Loss
from .fit_response import respond
from .fit_space import Prior, Space, make_space
from .fit_stages import FACE, draw_starts, excluded, polish, search, settle_substeps
from .fit_statistics import Quality, information, judge, quality, spread_of
from .model import SERIES, CompactModel

_ALIKE = 1.1  # cost, relative to the best, up to which another end is an alternative
_COARSEST, _FINEST = 8, 64  # integration steps per interval at most: in the search, and after it


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    model
        The model.
    sweeps
        The measurements.
    loss
        What was minimised.
    parameters
        Value of every parameter of the model.
    x0
        Initial state in each sweep.
    stderr
        Standard error of the free ones, initial states too, by name; infinite where the data do not
        know it. They assume independent residuals: where the model's own error dominates, they are
        too small.
    names
        Free parameters, in the order of ``correlation``.
    correlation
        Shape (parameters, parameters); NaN where a standard error is infinite.
    quality
        One entry per sweep.
    traces
        Modelled current [A] of each sweep at its samples.
    states
        Modelled state of each sweep at its samples.
    cost
        Half the sum of squared residuals.
    aic, bic
        Information criteria of that sum.
    starts
        Cost that each start reached, rising.
    unidentified
        Parameters that the data do not pin down, with the reason.
    converged
        Whether the search stopped by itself.
    message
        How it ended.
    warnings
        What is odd about data or result, one sentence each.
    seed, seconds
        Seed of the starts; time taken.
    bounds, priors
        Bounds and priors of the free parameters.
    substeps
        Integration steps per measured interval that the data's precision asked for.
    alternatives
        Parameters at which other starts ended with a cost within a tenth of the best one's, before
        the polish, best first: what these data hardly tell from the result. Not kept in records.
    """

    model: CompactModel
    sweeps: tuple[Sweep, ...]
    loss: Loss
    parameters: Mapping[str, float]
    x0: tuple[float, ...]
    stderr: Mapping[str, float]
    names: tuple[str, ...]
    correlation: Array
    quality: tuple[Quality, ...]
    traces: tuple[Array, ...]
    states: tuple[Array, ...]
    cost: float
    aic: float
    bic: float
    starts: Array
    unidentified: Mapping[str, str]
    converged: bool
    message: str
    warnings: tuple[str, ...]
    seed: int
    seconds: float
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    priors: Mapping[str, Prior] = field(default_factory=dict)
    substeps: int = 4
    alternatives: tuple[Mapping[str, float], ...] = ()

    def device(self, name: str, *, meta: Mapping[str, Any] | None = None) -> Device:
        """Return the fitted device, its provenance taken from the sweeps' ``meta``."""
        facts: dict[str, Any] = {}
        for key in ("device", "licence", "doi", "source", "area"):
            values = {sweep.meta[key] for sweep in self.sweeps if key in sweep.meta}
            if len(values) == 1:
                facts[key] = values.pop()
        facts["data"] = [sweep.name for sweep in self.sweeps]
        facts["data_sha256"] = [sweep.digest for sweep in self.sweeps]
        facts["nrmse_percent"] = [round(q.nrmse_percent, 4) for q in self.quality]
        facts["decades"] = [round(q.decades, 4) for q in self.quality]
        # What a programmer of the device must stay within, and what draws the fitted curve again.
        facts["v_min"] = float(min(sweep.v.min() for sweep in self.sweeps))
        facts["v_max"] = float(max(sweep.v.max() for sweep in self.sweeps))
        facts["t_step"] = float(max(np.median(np.diff(sweep.t)) for sweep in self.sweeps))
        facts["sweep_rate"] = float(
            np.median(np.concatenate([np.abs(np.diff(s.v)) / np.diff(s.t) for s in self.sweeps]))
        )
        facts["x0"] = [float(x0) for x0 in self.x0]
        facts["x_min"] = float(min(x.min() for x in self.states))
        facts["x_max"] = float(max(x.max() for x in self.states))
        if not self.converged:
            facts |= {"converged": False, "message": self.message}
        errors, reasons = (
            {n: value for n, value in known.items() if n in self.parameters}
            for known in (self.stderr, self.unidentified)
        )
        meta = {**facts, **(meta or {})}
        return Device(name, self.model, self.parameters, errors, meta=meta, unidentified=reasons)

    def save(self, path: str | Path) -> Path:
        """Write the fit as a record; see :func:`memtwin.devices.fit_record.save_fit`."""
        from .fit_record import save_fit

        return save_fit(self, path)

    def predict(self, sweep: Sweep, x0: float | None = None) -> Array:
        """Return the current that the fitted device carries through another sweep [A], shape
        (points,).

        Without ``x0`` the initial state is the one that suits the sweep best, the parameters kept.
        """
        p = {name: np.array([value]) for name, value in self.parameters.items()}
        tester = float(sweep.meta.get("r_tester", 0.0))
        p[SERIES.name] = p[SERIES.name] + tester
        if x0 is None:
            x0 = _best_state(self.model, p, sweep, self.loss)
        return respond(self.model, sweep.t, sweep.v, p, np.array([x0]), substeps=self.substeps).i[
            :, 0
        ]


def fit(
    model: CompactModel,
    sweeps: Sweep | Sequence[Sweep],
    *,
    loss: Loss | str = "hybrid",
    fixed: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    priors: Mapping[str, Prior] | None = None,
    start: Mapping[str, float] | None = None,
    series: bool = True,
    starts: int = 32,
    candidates: int = 256,
    steps: int = 60,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit a model to one sweep, or one set of parameters to several sweeps together.

    Parameters
    ----------
    model
        The model, as in :data:`memtwin.devices.models.MODELS`.
    sweeps
        The measurements; each gets an initial state of its own.
    loss
        What to minimise: a :class:`~memtwin.devices.fit_loss.Loss` or its kind.
    fixed, free, bounds, priors, series
        See :func:`~memtwin.devices.fit_space.make_space`.
    start
        Values of one more start, besides those drawn.
    starts, candidates
        How many descend, and among how many simulated candidates they are chosen.
    steps
        Search steps that each start takes at most.
    seed
        Seed of the candidates.
    executor
        Where chunks of starts run; default: here, one after the other.
    progress
        Called with (done, total) search steps.

    Raises
    ------
    InputError
        If the data or the settings can't be used: too few points, no current, everything censored,
        a current against its voltage, a start outside its bounds, an unknown name.
    FitError
        If no start leads anywhere.
    """
    begin = time.perf_counter()
    given = (sweeps,) if isinstance(sweeps, Sweep) else tuple(sweeps)
    warnings = check_sweeps(given, dynamic=model.rate_expr is not None)
    loss = Loss(loss) if isinstance(loss, str) else loss
    if starts < 1 or candidates < starts:
        raise InputError(
            f"{starts} starts of {candidates} candidates: expected 1 or more of as many or more"
        )
    space = make_space(
        model, given, loss, fixed=fixed, free=free, bounds=bounds, priors=priors, series=series
    )
    warnings += excluded(space)
    points = draw_starts(space, start, starts, candidates, np.random.default_rng(seed))
    space = replace(space, substeps=settle_substeps(space, points[:4], 0.05, _COARSEST))
    descent = search(space, points, steps, executor, progress)
    best = int(np.argmin(descent.costs))
    if not np.isfinite(descent.costs[best]):
        raise FitError(f"{given[0].name}: no start of model {model.name} gives finite currents")
    # until integration errors move the sum of squares by less than a tenth of one point's noise
    share = 0.1 / max(len(space.sweeps[0].t), 1)
    fine = settle_substeps(space, descent.points[best : best + 1], share, _FINEST)
    space = replace(space, substeps=fine)
    z, message, polished = polish(space, descent.points[best])
    order = np.argsort(descent.costs, kind="stable")[1:]
    near = order[descent.costs[order] <= _ALIKE * descent.costs[best]]
    found = _finish(
        space,
        z,
        np.sort(descent.costs),
        bool(descent.converged[best]) or polished,
        message,
        warnings,
        seed,
        time.perf_counter() - begin,
    )
    others, _ = space.split(space.values(descent.points[near]))
    sets = [{name: float(value[k]) for name, value in others.items()} for k in range(len(near))]
    return replace(found, alternatives=tuple(sets))


def _finish(
    space: Space,
    z: Array,
    starts: Array,
    converged: bool,
    message: str,
    warnings: tuple[str, ...],
    seed: int,
    seconds: float,
) -> Fit:
    residual, jacobian = (a[..., 0] for a in space.residuals(z[None]))
    at_bound = (z < FACE) | (z > 1.0 - FACE)
    moving = ~at_bound
    covariance = np.full((len(z), len(z)), np.nan)
    covariance[np.ix_(moving, moving)], _ = spread_of(jacobian[moving], residual)
    deviation = np.sqrt(np.where(at_bound, np.inf, np.diag(covariance)))
    values, slopes = space.values(z), space.slopes(z)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / (deviation[:, None] * deviation[None, :])
        correlation[~np.isfinite(correlation)] = np.nan
        stderr = deviation * np.abs(slopes)
        relative = stderr / np.abs(values)
    np.fill_diagonal(correlation, 1.0)
    p, x0 = space.split(values[None])
    answers = [
        respond(
            space.model,
            sweep.t,
            sweep.v,
            {**p, SERIES.name: p[SERIES.name] + float(sweep.meta.get("r_tester", 0.0))},
            start,
            substeps=space.substeps,
        )
        for sweep, start in zip(space.sweeps, x0, strict=True)
    ]
    traces = tuple(answer.i[:, 0] for answer in answers)
    cost = 0.5 * float(residual @ residual)
    aic, bic = information(cost, len(residual), len(z))
    judged = tuple(quality(i, s, space.loss) for i, s in zip(traces, space.sweeps, strict=True))
    return Fit(
        model=space.model,
        sweeps=space.sweeps,
        loss=space.loss,
        parameters={name: float(value[0]) for name, value in p.items()},
        x0=tuple(float(start[0]) for start in x0),
        stderr=dict(zip(space.names, map(float, stderr), strict=True)),
        names=space.names,
        correlation=correlation,
        quality=judged,
        traces=traces,
        states=tuple(answer.x[:, 0] for answer in answers),
        cost=cost,
        aic=aic,
        bic=bic,
        starts=starts,
        unidentified=judge(space.names, relative, correlation, at_bound),
        converged=converged,
        message=" ".join(message.split()),
        warnings=warnings,
        seed=seed,
        seconds=seconds,
        bounds={
            name: (float(low), float(high))
            for name, low, high in zip(space.names, space.lower, space.upper, strict=True)
        },
        priors=dict(space.priors),
        substeps=space.substeps,
    )


def _best_state(model: CompactModel, p: dict[str, Array], sweep: Sweep, loss: Loss) -> float:
    """Return the initial state that suits a sweep best, by a fine scan on a logarithmic and a
    linear grid.
    """
    low, high = model.state_range
    high = high if np.isfinite(high) else 10.0
    scan = np.unique(np.concatenate([np.geomspace(1e-5, 1.0, 81), np.linspace(0.0, 1.0, 41)]))
    for _ in range(3):
        x0 = low + (high - low) * scan
        sets = {name: np.repeat(value, len(x0)) for name, value in p.items()}
        residual, _ = loss.residuals(respond(model, sweep.t, sweep.v, sets, x0).i, sweep)
        best = int(np.argmin((residual**2).sum(0)))
        scan = np.linspace(scan[max(best - 1, 0)], scan[min(best + 1, len(scan) - 1)], 21)
    return float(x0[best])
