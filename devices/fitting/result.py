"""What a fit hands back: the parameters, how well they are known, and what else would do."""

__all__ = ["Alternative", "Fit", "alike", "load_fit", "save_fit"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import FitError, InputError
from ...data.measurement import Sweep
from ...data.store import build, reading, write_record
from ...data.types import Array
from ..device import Device
from ..equations.model_file import model_text, parse_model_text
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


_PLAIN = (
    "cost",
    "aic",
    "bic",
    "converged",
    "message",
    "seed",
    "seconds",
    "substeps",
    "effective_points",
)


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
    tree: dict[str, Any] = {name: getattr(fit, name) for name in _PLAIN}
    tree |= {
        "model": model_text(fit.model),
        "equations": f"i = {fit.model.current_expr}; dx/dt = {fit.model.rate_expr}",
        "loss": {name: value for name, value in asdict(fit.loss).items() if value is not None},
        "names": list(fit.names),
        "parameters": dict(fit.parameters),
        "units": {row.name: row.unit for row in fit.model.parameters},
        "stderr": dict(fit.stderr),
        "unidentified": dict(fit.unidentified),
        "warnings": list(fit.warnings),
        "correlation": fit.correlation,
        "bounds": {name: np.array(pair) for name, pair in fit.bounds.items()},
        "priors": {name: asdict(prior) for name, prior in fit.priors.items()},
        "starts": fit.starts,
        "ends": {
            f"{k:03d}": {**asdict(end), "x0": np.array(end.x0)} for k, end in enumerate(fit.ends, 1)
        },
        "sweeps": {
            f"{k:03d}": {
                "name": sweep.name,
                "sha256": sweep.digest,
                "t": sweep.t,
                "v": sweep.v,
                "i": sweep.i,
                "censored": sweep.censored,
                "meta": dict(sweep.meta),
                "i_model": trace,
                "x_model": state,
                "x0": x0,
                "quality": asdict(quality),
            }
            for k, (sweep, trace, state, x0, quality) in enumerate(
                zip(fit.sweeps, fit.traces, fit.states, fit.x0, fit.quality, strict=True), start=1
            )
        },
    }
    return write_record(path, "fit", tree)


def load_fit(path: str | Path) -> Fit:
    """Read what :func:`save_fit` wrote.

    Raises
    ------
    InputError
        If it is no fit record, its data are damaged, or its model is unknown.
    """
    with reading(path, "fit") as tree:
        rows = [tree["sweeps"][key] for key in sorted(tree["sweeps"])]
        sweeps = []
        for row in rows:
            meta = row.get("meta", {})
            sweep = build(
                Sweep,
                {key: row[key] for key in ("name", "t", "v", "i", "censored")} | {"meta": meta},
            )
            if sweep.digest != row["sha256"]:
                raise InputError(f"{path} is damaged: sweep {sweep.name} does not have its hash")
            sweeps.append(sweep)
        return Fit(
            model=parse_model_text(tree["model"], f"{path}: model"),
            sweeps=tuple(sweeps),
            loss=build(Loss, {item.name: tree["loss"].get(item.name) for item in fields(Loss)}),
            parameters=tree["parameters"],
            x0=tuple(float(row["x0"]) for row in rows),
            stderr=tree["stderr"],
            names=tuple(tree["names"]),
            correlation=tree["correlation"],
            quality=tuple(build(Quality, row["quality"]) for row in rows),
            traces=tuple(np.asarray(row["i_model"]) for row in rows),
            states=tuple(np.asarray(row["x_model"]) for row in rows),
            starts=tree["starts"],
            unidentified=tree["unidentified"],
            warnings=tuple(tree["warnings"]),
            bounds={
                name: (float(low), float(high)) for name, (low, high) in tree["bounds"].items()
            },
            priors={name: build(Prior, prior) for name, prior in tree["priors"].items()},
            ends=tuple(
                build(Alternative, end | {"x0": tuple(end["x0"].tolist())})
                for _, end in sorted(tree.get("ends", {}).items())
            ),
            # a record of an earlier version does not know the effective points
            **{name: tree[name] for name in _PLAIN if name in tree},
        )
