"""What a fit consists of: what was asked, what the parameters are and how well they are known, the
curves, and how the search went; and all of that as the tree of a record.
"""

__all__ = [
    "Alternative",
    "Course",
    "Curve",
    "Estimate",
    "Parts",
    "Task",
    "alike",
    "from_tree",
    "to_tree",
]

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...data.errors import InputError
from ...data.measurement import Sweep
from ...data.store import build
from ...data.types import Array
from ..model import CompactModel
from ..models import MODELS
from .loss import Loss
from .quality import Quality
from .space import Prior

_COURSE = ("cost", "aic", "bic", "starts", "converged", "message", "seconds", "substeps")
_ALIKE = 1.01  # cost, relative to the best, up to which another end is an alternative


@dataclass(frozen=True)
class Task:
    """What was asked of a fit.

    Attributes
    ----------
    model
        The model.
    sweeps
        The measurements.
    loss
        What was minimised.
    bounds
        Bounds of the free parameters, initial states too.
    fixed
        Values that were held on request.
    priors
        Prior knowledge of free parameters.
    start
        Values of a start besides those drawn.
    starts, candidates, seed
        How many starts descended, among how many candidates they were chosen, drawn from which seed.
    """

    model: CompactModel
    sweeps: tuple[Sweep, ...]
    loss: Loss
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    priors: Mapping[str, Prior] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    starts: int = 32
    candidates: int = 256
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    """The parameters, and how well the data know them.

    Attributes
    ----------
    parameters
        Value of every parameter of the model.
    x0
        Initial state in each sweep.
    names
        Free parameters, in the order of ``correlation``.
    stderr
        Standard error of the free ones, initial states too, by name; infinite where the data do not
        know it. Their scale is the residuals' own, shared by ``effective_points`` instead of all
        points, since neighbouring residuals are alike where the model's own error dominates.
    correlation
        Shape (parameters, parameters); NaN where a standard error is infinite.
    unidentified
        Parameters that the data do not pin down, with the reason.
    effective_points
        How many independent residuals would know as much as these, see
        :func:`~memtwin.devices.fitting.quality.effective_points`.
    """

    parameters: Mapping[str, float]
    x0: tuple[float, ...]
    names: tuple[str, ...]
    stderr: Mapping[str, float]
    correlation: Array
    unidentified: Mapping[str, str]
    effective_points: float = np.nan

    @property
    def values(self) -> dict[str, float]:
        """Every parameter and every initial state ``x0_1``, ``x0_2``, ..., by name."""
        return {**self.parameters, **{f"x0_{k}": x0 for k, x0 in enumerate(self.x0, start=1)}}


@dataclass(frozen=True)
class Curve:
    """The fitted model in one sweep.

    Attributes
    ----------
    i
        Current at the sweep's samples [A], shape (points,).
    x
        State there, shape (points,).
    quality
        How far it is from the measurement.
    """

    i: Array
    x: Array
    quality: Quality


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
class Course:
    """How the search went.

    Attributes
    ----------
    cost
        Half the sum of squared residuals.
    aic, bic
        Information criteria of that sum.
    starts
        Cost that each start reached, rising.
    converged
        Whether the cost stopped changing.
    message
        How it ended.
    warnings
        What is odd about data or result, one sentence each.
    seconds
        Time taken.
    substeps
        Integration steps per measured interval that the data's precision asked for.
    ends
        Where other starts ended with a cost within a tenth of this one, best first, each once.
    """

    cost: float
    aic: float
    bic: float
    starts: Array
    converged: bool
    message: str
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    substeps: int = 4
    ends: tuple[Alternative, ...] = ()


def alike(cost: float, best: float) -> bool:
    """Return whether data that a fit describes at ``best`` hardly speak against one at ``cost``."""
    return cost <= _ALIKE * best


Parts: TypeAlias = tuple[Task, Estimate, tuple[Curve, ...], Course]


def to_tree(
    task: Task, known: Estimate, curves: tuple[Curve, ...], course: Course
) -> dict[str, Any]:
    """Return what a record of the kind ``fit`` holds."""
    tree: dict[str, Any] = {name: getattr(course, name) for name in _COURSE}
    tree |= {
        "model": task.model.name,
        "equations": f"i = {task.model.current_expr}; dx/dt = {task.model.rate_expr}",
        "loss": {name: value for name, value in asdict(task.loss).items() if value is not None},
        "bounds": {name: np.array(pair) for name, pair in task.bounds.items()},
        "fixed": dict(task.fixed),
        "priors": {name: asdict(prior) for name, prior in task.priors.items()},
        "start": dict(task.start),
        "candidates": task.candidates,
        "seed": task.seed,
        "names": list(known.names),
        "parameters": dict(known.parameters),
        "units": {row.name: row.unit for row in task.model.parameters},
        "stderr": dict(known.stderr),
        "unidentified": dict(known.unidentified),
        "correlation": known.correlation,
        "effective_points": known.effective_points,
        "warnings": list(course.warnings),
        "ends": {
            f"{k:03d}": {**asdict(end), "x0": np.array(end.x0)}
            for k, end in enumerate(course.ends, 1)
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
                "i_model": curve.i,
                "x_model": curve.x,
                "x0": x0,
                "quality": asdict(curve.quality),
            }
            for k, (sweep, curve, x0) in enumerate(
                zip(task.sweeps, curves, known.x0, strict=True), start=1
            )
        },
    }
    return tree


def from_tree(tree: Mapping[str, Any], path: str | Path) -> Parts:
    """Return what :func:`to_tree` was given; ``path`` is where the tree was read."""
    rows = [tree["sweeps"][key] for key in sorted(tree["sweeps"])]
    curves = tuple(
        Curve(
            np.asarray(row["i_model"]),
            np.asarray(row["x_model"]),
            build(Quality, row["quality"]),
        )
        for row in rows
    )
    ends = [end for _, end in sorted(tree.get("ends", {}).items())]
    course = {
        **{name: tree[name] for name in _COURSE if name in tree},
        "warnings": tuple(tree["warnings"]),
        "ends": tuple(build(Alternative, {**end, "x0": tuple(end["x0"].tolist())}) for end in ends),
    }
    return (
        _task(tree, tuple(_sweep(path, row) for row in rows)),
        Estimate(
            tree["parameters"],
            tuple(float(row["x0"]) for row in rows),
            tuple(tree["names"]),
            tree["stderr"],
            tree["correlation"],
            tree["unidentified"],
            # a record of an earlier version does not know the effective points
            tree.get("effective_points", np.nan),
        ),
        curves,
        build(Course, course),
    )


def _task(tree: Mapping[str, Any], sweeps: tuple[Sweep, ...]) -> Task:
    model = MODELS[tree["model"]]
    fixed = tree.get("fixed")
    if fixed is None:  # an earlier version kept no list: what is held though the table lets it free
        fixed = {
            row.name: tree["parameters"][row.name]
            for row in model.parameters
            if row.name not in tree["names"]
            and (not row.fixed or tree["parameters"][row.name] != row.default)
        }
    return Task(
        model,
        sweeps,
        build(Loss, {item.name: tree["loss"].get(item.name) for item in fields(Loss)}),
        {name: (float(low), float(high)) for name, (low, high) in tree["bounds"].items()},
        fixed,
        {name: build(Prior, prior) for name, prior in tree["priors"].items()},
        tree.get("start", {}),
        len(tree["starts"]),
        tree.get("candidates", Task.candidates),
        tree["seed"],
    )


def _sweep(path: str | Path, row: Mapping[str, Any]) -> Sweep:
    values = {key: row[key] for key in ("name", "t", "v", "i", "censored")}
    sweep = build(Sweep, values | {"meta": row.get("meta", {})})
    if sweep.digest != row["sha256"]:
        raise InputError(f"{path} is damaged: sweep {sweep.name} does not have its hash")
    return sweep
