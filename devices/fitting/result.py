"""What a fit hands back: a :class:`Fit` prints and draws itself, is a device, and can be kept."""

__all__ = ["Fit", "load_fit", "require_converged", "save_fit"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.errors import FitError, InputError
from ...data.measurement import Sweep
from ...data.records.store import pack, reading, unpack, write_record
from ...data.types import Array, Progress
from ..device import Device
from ..dynamics.walk import Trail
from ..model import CompactModel
from . import report
from .errors.bootstrap import Bootstrap, Kind, bootstrap
from .errors.profile import Profile, profile
from .loss import Loss
from .model_response import at_once, respond_to
from .parts import Alternative, Course, Curve, Estimate, Task, alike, of_format_1
from .quality import Quality
from .space import thinned_sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FORMAT = 2
_SCANNED = 200  # points of a sweep in the first scan of its initial state


@dataclass(frozen=True, repr=False)
class Fit:
    """A fitted model; ``print(fit)`` tells what one wants to know first.

    Attributes
    ----------
    task
        What was asked.
    estimate
        The parameters and what is known of them.
    curves
        The model in each sweep, and how good it is there.
    course
        How the search went.
    """

    task: Task
    estimate: Estimate
    curves: tuple[Curve, ...]
    course: Course

    def __repr__(self) -> str:
        """Return one line."""
        return report.line(self)

    def __str__(self) -> str:
        """Return the report."""
        return report.text(self)

    def _repr_html_(self) -> str:
        return report.html(self)

    @property
    def model(self) -> CompactModel:
        """The model."""
        return self.task.model

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The measurements."""
        return self.task.sweeps

    @property
    def loss(self) -> Loss:
        """What was minimised."""
        return self.task.loss

    @property
    def parameters(self) -> Mapping[str, float]:
        """Value of every parameter of the model, in its unit."""
        return self.estimate.parameters

    @property
    def stderr(self) -> Mapping[str, float]:
        """Standard error of the free parameters, in their units, and initial states, by name; infinite
        where the data do not know it.
        """
        return self.estimate.stderr

    @property
    def x0(self) -> tuple[float, ...]:
        """Initial state in each sweep, as the model counts it."""
        return self.estimate.x0

    @property
    def names(self) -> tuple[str, ...]:
        """Free parameters, initial states last."""
        return self.estimate.names

    @property
    def unidentified(self) -> Mapping[str, str]:
        """Parameters that the data do not pin down, with the reason."""
        return self.estimate.unidentified

    @property
    def quality(self) -> tuple[Quality, ...]:
        """How good the fit is, sweep by sweep."""
        return tuple(curve.quality for curve in self.curves)

    @property
    def cost(self) -> float:
        """Half the sum of squared residuals."""
        return self.course.cost

    @property
    def converged(self) -> bool:
        """Whether the cost stopped changing."""
        return self.course.converged

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about data or result, one sentence each."""
        return self.course.warnings

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Ends of other starts within 1 % of the cost: the data do not tell them from the result."""
        return tuple(end for end in self.course.ends if alike(end.cost, self.cost))

    @property
    def variants(self) -> tuple["Fit", ...]:
        """The fit, and what it would be with the parameters of each other end."""
        others = (
            replace(self, estimate=replace(self.estimate, parameters=end.parameters))
            for end in self.course.ends
        )
        return self, *others

    def apart(self, other: Alternative) -> str:
        """Return how much worse another end is, and the parameters that differ by more than 1 %."""
        return report.alternative(self, other)

    def summary(self) -> dict[str, Any]:
        """Return what is worth keeping of it beside the curves, as plain mappings, lists and numbers."""
        return report.summary(self)

    def command(
        self, data: Sequence[str], options: Sequence[str] = (), *, model: str | None = None
    ) -> str:
        """Return the command line that makes this fit again.

        Parameters
        ----------
        data
            The sweeps as ``memtwin fit`` takes them.
        options
            How they are read, as further words of the line.
        model
            What the model is called there, such as the file that declares it; by default its name.
        """
        return report.command(self, data, options, model or self.model.name)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the fit on one page: all sweeps, their residuals, states, correlations, starts.

        Parameters
        ----------
        path
            Where to write the picture; the suffix names its format. ``None`` for nowhere.

        Raises
        ------
        InputError
            If the suffix is no format of a picture.
        """
        from ..fit_plots import fit_page
        from ..plots import write

        return write(fit_page(self), path)

    def device(self, name: str, *, meta: Mapping[str, Any] | None = None) -> Device:
        """Return the fitted device, with its standard errors, and its provenance taken from the sweeps'
        ``meta``.

        Parameters
        ----------
        name
            What to call it.
        meta
            Further facts of its provenance, which come before those found.
        """
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
        loops = [sweep for sweep in self.sweeps if not sweep.pulsed]
        if loops:
            facts["t_step"] = float(max(np.median(np.diff(sweep.t)) for sweep in loops))
            rates = [np.abs(np.diff(sweep.v)) / np.diff(sweep.t) for sweep in loops]
            facts["sweep_rate"] = float(np.median(np.concatenate(rates)))
        sides = [
            [float(s.limit[sign * s.v > 0.0].min(initial=np.inf)) for sign in (1.0, -1.0)]
            for s in self.sweeps
        ]
        if np.isfinite(sides).any() and all(pair == sides[0] for pair in sides):
            facts["compliance"] = sides[0]
        facts["x0"] = [float(x0) for x0 in self.x0]
        facts["x_min"] = float(min(curve.x.min() for curve in self.curves))
        facts["x_max"] = float(max(curve.x.max() for curve in self.curves))
        if not any("dataset" in sweep.meta for sweep in self.sweeps):  # those are in the catalogue
            facts |= _kept(self.sweeps[0])
        if not self.converged:
            facts |= {"converged": False, "message": self.course.message}
        errors = {n: error for n, error in self.stderr.items() if n in self.parameters}
        reasons = {n: reason for n, reason in self.unidentified.items() if n in self.parameters}
        meta = {**facts, **(meta or {})}
        return Device(name, self.model, self.parameters, errors, meta=meta, unidentified=reasons)

    def save(self, path: str | Path, *, keep_unconverged: bool = False) -> Path:
        """Write the fit as a record (HDF5) at ``path``, and return that; see :func:`save_fit`.

        Raises
        ------
        FitError
            If the fit did not converge and ``keep_unconverged`` is not given.
        """
        return save_fit(self, path, keep_unconverged=keep_unconverged)

    def profile(
        self,
        name: str,
        *,
        span: tuple[float, float] | None = None,
        points: int = 21,
        confidence: float = 0.95,
    ) -> Profile:
        """Hold one parameter at many values, refit the others, and read its confidence interval off
        the cost; see :func:`~memtwin.devices.fitting.errors.profile.profile`.

        Parameters
        ----------
        name
            The parameter.
        span
            Lowest and highest value to try, in the parameter's unit; by default four standard errors about
            the best one, or as far as the interval goes.
        points
            Values at which the others are refitted.
        confidence
            Level of the interval [0..1].

        Raises
        ------
        InputError
            If the parameter is not free in this fit.
        """
        return profile(self, name, span=span, points=points, confidence=confidence)

    def bootstrap(
        self,
        *,
        draws: int = 200,
        kind: Kind = "auto",
        length: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Bootstrap:
        """Refit measurements that might have been, of resampled sweeps or blocks of residuals; see
        :func:`~memtwin.devices.fitting.errors.bootstrap.bootstrap`.

        Parameters
        ----------
        draws
            How many measurements to draw, at least 20.
        kind
            What is drawn: whole sweeps (``cycles``), ``blocks`` of residuals, or what the number of sweeps
            calls for (``auto``).
        length
            Points in a block, by default as the residuals' correlation asks.
        seed
            Seed of every random draw.
        progress
            Called with how much is done, and of how much.

        Raises
        ------
        InputError
            If there are too few draws, or one sweep for ``cycles``.
        FitError
            If hardly any draw descends to an end.
        """
        return bootstrap(self, draws=draws, kind=kind, length=length, seed=seed, progress=progress)

    def with_errors(self, drawn: Bootstrap) -> "Fit":
        """Return the same fit with the standard errors and correlations of its bootstrap."""
        estimate = replace(
            self.estimate,
            stderr=drawn.stderr,
            correlation=drawn.correlation,
            errors=f"bootstrap of {drawn.kind}",
            intervals=drawn.intervals(),
        )
        return replace(self, estimate=estimate)

    def predict(self, sweep: Sweep, x0: float | None = None) -> Array:
        """Return the current that the fitted device carries through another sweep [A], shape
        (points,).

        Parameters
        ----------
        sweep
            What drives it: its times [s] and voltages [V].
        x0
            State at the start; by default the one that suits the sweep's own current best, the
            parameters kept.
        """
        p = {name: np.array([value]) for name, value in self.parameters.items()}
        if x0 is None:
            x0 = _best_state(self.model, p, sweep, self.loss)
        start = np.array([x0])
        (answer,) = respond_to([sweep], self.model, p, [start], substeps=self.course.substeps)
        return answer.i[:, 0]


def _best_state(model: CompactModel, p: dict[str, Array], sweep: Sweep, loss: Loss) -> float:
    """Return the initial state that suits a sweep best, by a fine scan on a logarithmic and a
    linear grid.
    """
    low, high = model.state_range
    high = high if np.isfinite(high) else 10.0
    scan = np.unique(np.concatenate([np.geomspace(1e-5, 1.0, 81), np.linspace(0.0, 1.0, 41)]))
    trail = Trail() if at_once(model, [sweep]) else None
    for whole in (False, True, True):
        driven = sweep if whole else thinned_sweep(sweep, _SCANNED)
        x0 = low + (high - low) * scan
        sets = {name: np.repeat(value, len(x0)) for name, value in p.items()}
        near = trail.near(scan[:, None]) if trail is not None else None
        (answer,) = respond_to([driven], model, sets, [x0], near=near)
        if trail is not None and answer.walk is not None:
            trail.keep(scan[:, None], answer.walk)
        residual, _ = loss.residuals(answer.i, driven)
        best = int(np.argmin((residual**2).sum(0)))
        scan = np.linspace(scan[max(best - 1, 0)], scan[min(best + 1, len(scan) - 1)], 21)
    return float(x0[best])


def require_converged(fit: Fit) -> None:
    """Refuse a fit that did not converge: nobody should take it for a good one unawares.

    Raises
    ------
    FitError
        If the fit did not converge.
    """
    if not fit.converged:
        raise FitError(
            f"the fit of {fit.model.name} to {fit.sweeps[0].name} did not converge"
            f" ({fit.course.message}) and is not saved; give it more starts, fix what the data do not"
            " know, or keep it as it is with --keep-unconverged (keep_unconverged of save_fit)"
        )


def save_fit(fit: Fit, path: str | Path, *, keep_unconverged: bool = False) -> Path:
    """Write a fit as a record.

    Parameters
    ----------
    fit, path
        What to write, and where.
    keep_unconverged
        Whether to write one that did not converge; the record says so.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    FitError
        If the fit did not converge: it is not kept as a good one unless asked for.
    """
    if not keep_unconverged:
        require_converged(fit)
    about = {
        "equations": "; ".join(
            [f"i = {fit.model.current_expr}; dx/dt = {fit.model.rate_expr}", *fit.model.inside]
        ),
        "units": {row.name: row.unit for row in fit.model.parameters},
        "sha256": [sweep.digest for sweep in fit.sweeps],
    }
    return write_record(path, "fit", pack(fit) | about, format=FORMAT)


def load_fit(path: str | Path) -> Fit:
    """Read what :func:`save_fit` wrote.

    Raises
    ------
    InputError
        If it is no fit record, its data are damaged, or its model is unknown.
    """
    with reading(path, "fit", format=FORMAT) as tree:
        tree = tree if tree.get("format") == FORMAT else of_format_1(tree)
        fit = unpack(Fit, tree)
        for sweep, hash in zip(fit.sweeps, tree["sha256"], strict=True):
            if sweep.digest != hash:
                raise InputError(f"{path} is damaged: sweep {sweep.name} does not have its hash")
        return fit


def _kept(sweep: Sweep, most: int = 300) -> dict[str, list[float]]:
    """Return a measured curve with as few points as a picture needs, to travel with the device."""
    every = np.linspace(0, len(sweep.t) - 1, min(most, len(sweep.t)))
    ends = [np.argmin(sweep.v), np.argmax(sweep.v)]
    places = np.unique(np.concatenate([np.rint(every), ends]).astype(int))
    return {
        f"measured_{key}": [float(f"{x:.9g}") for x in getattr(sweep, key)[places]] for key in "tvi"
    }
