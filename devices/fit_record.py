"""Fits on disk: one HDF5 record each, with the data that were fitted and their hashes."""

__all__ = ["load_fit", "save_fit"]

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data.errors import FitError, InputError
from ..data.measurement import Sweep
from ..data.store import build, reading, write_record
from .fit_loss import Loss
from .fit_result import Alternative, Fit
from .fit_space import Prior
from .fit_statistics import Quality
from .models import MODELS

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
        "model": fit.model.name,
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
            model=MODELS[tree["model"]],
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
