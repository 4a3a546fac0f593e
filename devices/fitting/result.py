"""What a fit hands back: the parameters, how well they are known, and what else would do."""

__all__ = ["Alternative", "Fit", "alike", "load_fit", "save_fit"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import FitError, InputError
from ...data.measurement import Sweep
from ...data.store import pack, reading, unpack, write_record
from ...data.types import Array
from ..device import Device
from ..model import SERIES, CompactModel
from .loss import Loss
from .model_response import respond
from .quality import Quality
from .space import Prior

_ALIKE = 1.01  # cost, relative to the best, up to which another end is an alternative


@dataclass(frozen=True)
class Alternative:
    """Where another start ended.

    Attributes
    ----------
    parameters
        Value of every parameter of the model.
    x0
        Initial state in each sweep.
    cost
        Half the sum of squared residuals.
    """

    parameters: Mapping[str, float]
    x0: tuple[float, ...]
    cost: float


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
        know it. Their scale is the residuals' own, shared by ``effective_points`` instead of all
        points, since neighbouring residuals are alike where the model's own error dominates.
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
        Whether the cost stopped changing.
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
    effective_points
        How many independent residuals would know as much as these, see
        :func:`~memtwin.devices.fitting.quality.effective_points`.
    ends
        Where other starts ended with a cost within a tenth of this one, best first, each once.
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
    effective_points: float = np.nan
    ends: tuple[Alternative, ...] = ()

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Ends of other starts within 1 % of the cost: the data do not tell them from the result."""
        return tuple(end for end in self.ends if alike(end.cost, self.cost))

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
        errors = {n: error for n, error in self.stderr.items() if n in self.parameters}
        reasons = {n: reason for n, reason in self.unidentified.items() if n in self.parameters}
        meta = {**facts, **(meta or {})}
        return Device(name, self.model, self.parameters, errors, meta=meta, unidentified=reasons)

    def save(self, path: str | Path) -> Path:
        """Write the fit as a record; see :func:`save_fit`."""
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


def alike(cost: float, best: float) -> bool:
    """Return whether data that a fit describes at ``best`` hardly speak against one at ``cost``."""
    return cost <= _ALIKE * best


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


_OF_A_SWEEP = {"x0": "x0", "quality": "quality", "traces": "i_model", "states": "x_model"}
"""Fields of a fit that a record has with each sweep, and their names there."""


def save_fit(fit: Fit, path: str | Path, *, keep_unconverged: bool = False) -> Path:
    """Write a fit as a record.

    Parameters
    ----------
    fit, path
        What to write, and where.
    keep_unconverged
        Whether to write one that did not converge; the record says so.

    Raises
    ------
    FitError
        If the fit did not converge: it is not kept as a good one unless asked for.
    """
    if not (fit.converged or keep_unconverged):
        raise FitError(
            f"the fit of {fit.model.name} to {fit.sweeps[0].name} did not converge"
            f" ({fit.message}) and is not"
            " saved; give it more starts, fix what the data do not know, or keep it as it is with"
            " --keep-unconverged (keep_unconverged of save_fit)"
        )
    about = {
        "equations": f"i = {fit.model.current_expr}; dx/dt = {fit.model.rate_expr}",
        "units": {row.name: row.unit for row in fit.model.parameters},
    }
    tree = pack(fit)
    rows = {f"{k + 1:03d}": tree["sweeps"][str(k)] for k in range(len(fit.sweeps))}
    for name, key in _OF_A_SWEEP.items():
        parts = tree.pop(name)
        for k, row in enumerate(rows.values()):
            row[key] = parts[k if isinstance(parts, list) else str(k)]
    for row, sweep in zip(rows.values(), fit.sweeps, strict=True):
        row["sha256"] = sweep.digest
    tree |= {"sweeps": rows}
    return write_record(path, "fit", tree | about)


def load_fit(path: str | Path) -> Fit:
    """Read what :func:`save_fit` wrote.

    Raises
    ------
    InputError
        If it is no fit record, its data are damaged, or its model is unknown.
    """
    with reading(path, "fit") as tree:
        rows = [tree["sweeps"][key] for key in sorted(tree["sweeps"], key=int)]
        tree |= {name: [row[key] for row in rows] for name, key in _OF_A_SWEEP.items()}
        fit = unpack(Fit, tree)
        for sweep, row in zip(fit.sweeps, rows, strict=True):
            if sweep.digest != row["sha256"]:
                raise InputError(f"{path} is damaged: sweep {sweep.name} does not have its hash")
        return fit
