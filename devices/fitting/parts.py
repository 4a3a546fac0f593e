"""What a fit consists of: what was asked, what the parameters are and how well they are known, the
curves, and how the search went.
"""

__all__ = [
    "Alternative",
    "Course",
    "Curve",
    "Estimate",
    "Task",
    "alike",
    "of_format_1",
]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...data.measurement import Sweep
from ...data.records.store import unpack
from ...data.types import Array
from ..model import CompactModel
from .loss import Loss
from .quality import Quality
from .space import Prior

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
        know it. Their scale is the residuals' own, whose correlation from point to point is part of it, see
        :mod:`~memtwin.devices.fitting.errors.correlated`.
    correlation
        Shape (parameters, parameters); NaN where a standard error is infinite.
    unidentified
        Parameters that the data do not pin down, with the reason.
    effective_points
        How many independent residuals would know as much as these.
    errors
        Where standard errors and correlations come from: ``covariance``, or a bootstrap of cycles or blocks.
    intervals
        95 % intervals of that bootstrap, by name.
    """

    parameters: Mapping[str, float]
    x0: tuple[float, ...]
    names: tuple[str, ...]
    stderr: Mapping[str, float]
    correlation: Array
    unidentified: Mapping[str, str]
    effective_points: float = np.nan
    errors: str = "covariance"
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

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


def of_format_1(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of a fit whose record has the curves with the sweeps, and all else beside."""
    rows = [tree["sweeps"][key] for key in sorted(tree["sweeps"])]
    fixed = tree.get("fixed")
    if fixed is None:  # no list was kept: what is held though the table lets it free
        known = tree["parameters"]
        fixed = {
            row.name: known[row.name]
            for row in unpack(CompactModel, tree["model"]).parameters
            if row.name not in tree["names"] and (not row.fixed or known[row.name] != row.default)
        }
    return {
        "task": {**tree, "sweeps": rows, "fixed": fixed, "starts": len(tree["starts"])},
        "estimate": {**tree, "x0": [row["x0"] for row in rows]},
        "curves": [{**row, "i": row["i_model"], "x": row["x_model"]} for row in rows],
        "course": tree,
        "sha256": [row["sha256"] for row in rows],
    }
