"""Which model describes a device: the one that predicts sweeps it has not seen."""

__all__ = ["CANDIDATES", "Comparison", "HeldOut", "all_models", "compare", "fit_best"]

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.errors import FitError, InputError, MemtwinError, nearest
from ...data.importers.sweeps import read_sweeps
from ...data.measurement import Sweep
from ...data.types import Array, Progress
from ..equations.model_file import load_model
from ..model import CompactModel
from ..models import models
from .fit import fit
from .loss import Loss
from .quality import quality, says_nothing
from .result import Fit
from .screen import LONGEST, ROUNDS, Tried, behind, brief
from .space import thinned_sweep
from .stages import compiled_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CANDIDATES = ("yakopcic", "yakopcic2020", "stanford", "mms", "knowm", "vteam", "vteam_exp")
"""Families of models that a comparison takes unless told otherwise."""

_WITHIN = 1.1  # times the best score on thinned sweeps: models that are judged again in full
_STARTS = 4  # that descend on thinned sweeps, from where the short searches ended
_BRIEF, _JUDGED, _FULL = 1, 4, 30
"""What a short search, a fit to thinned sweeps and one to whole sweeps take, in units of the first."""


@dataclass(frozen=True)
class HeldOut:
    """How well a fitted model foretells sweeps that it was not fitted to.

    Attributes
    ----------
    score
        Root mean square of the loss's residuals; smaller is better. With the hybrid loss its unit
        is one percent of the range, or a seventh of a decade. Where several fits describe the
        sweeps seen as well (:attr:`~memtwin.devices.fitting.parts.Course.ends`), that of the median one.
    nrmse_percent, decades
        The same fit's, see :class:`~memtwin.devices.fitting.quality.Quality`; over all points
        together.
    least, most
        Scores of the best and of the worst of these fits: far apart where the sweeps seen do not
        decide what the unseen ones will be.
    fits
        How many there are.
    """

    score: float
    nrmse_percent: float
    decades: float
    least: float
    most: float
    fits: int

    def __str__(self) -> str:
        """Return the errors in a line."""
        text = (
            f"score {self.score:.4g} ({self.nrmse_percent:.3g} % NRMSE, {self.decades:.3g} decades)"
        )
        if self.fits > 1:
            text += f" and {self.least:.3g} to {self.most:.3g} over {self.fits} fits alike"
        return text


@dataclass(frozen=True)
class Comparison:
    """Several models, one measurement.

    Attributes
    ----------
    best
        The model of the smallest score, fitted to all sweeps; none where even that one foretells
        them no better than a resistor does.
    held_out
        For each model its errors on the sweeps held out, or, where there was only one sweep, on
        the part of it that the fit had not seen; the best first.
    failed
        Models that could not be fitted, with the reason.
    warning
        Why there is no best one; empty if there is.
    unseen
        The sweeps, or parts of them, that were held out.
    foretold
        For each model the currents that it foretold of these [A].
    passed_over
        Models that a short search left far behind, with by how much.
    """

    best: Fit | None
    held_out: Mapping[str, HeldOut]
    failed: Mapping[str, str]
    warning: str = ""
    unseen: tuple[Sweep, ...] = ()
    foretold: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)
    passed_over: Mapping[str, str] = field(default_factory=dict)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw what every model foretold of the sweeps that it had not seen; ``path`` is where to write it."""
        from ..fit_plots import comparison_page
        from ..plots import write

        return write(comparison_page(self), path)


def all_models() -> tuple[str, ...]:
    """Return the names of every registered model that switches, the families of :data:`CANDIDATES` first."""
    others = (
        name for name in models if name not in CANDIDATES and models[name].rate_expr is not None
    )
    return (*CANDIDATES, *others)


def fit_best(
    sweeps: Sweep | str | Path | Sequence[Sweep | str | Path],
    model: str | CompactModel | Sequence[str | CompactModel] = "auto",
    **settings: Any,
) -> Fit:
    """Fit one model to sweeps of a device, or the one of several that foretells best.

    Parameters
    ----------
    sweeps
        Measurements of one device, or the files that hold them, read by :func:`.sweeps.read_sweeps`.
    model
        A model, its name, or the path of its file; several of them to :func:`compare`; ``auto`` for all that
        switch, tried by a short search first.
    settings
        Further arguments of :func:`memtwin.devices.fitting.fit.fit`, such as ``starts``, ``fixed``,
        ``seed``; with several models also those of :func:`compare`.

    Returns
    -------
    Fit
        One set of parameters for all sweeps, with an initial state for each.

    Raises
    ------
    InputError
        If data or settings can't be used.
    FitError
        If no start leads anywhere, or no model describes the device better than a resistor.
    """
    rows = [sweeps] if isinstance(sweeps, Sweep | str | Path) else sweeps
    read = (read_sweeps(row) if isinstance(row, str | Path) else [row] for row in rows)
    given = list(chain.from_iterable(read))
    if model == "auto":
        model, settings = all_models(), {"screen": True, **settings}
    if isinstance(model, str | CompactModel):
        return fit(load_model(model), given, **settings)
    comparison = compare(model, given, **settings)
    if comparison.best is None:
        raise FitError(comparison.warning)
    return comparison.best


def compare(
    models: Sequence[str | CompactModel],
    sweeps: Sequence[Sweep],
    *,
    screen: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Comparison:
    """Fit every model to a part of the sweeps, score it on the others, and fit the best to all.

    With two sweeps or more, the last third (at least one) is held out. A single sweep is cut in two
    where it passes zero volts nearest to its middle, and each part predicts the other. Of a sweep
    held out a model may choose the initial state, and nothing else.

    A model is judged by the median of the fits that describe what was seen equally well: where
    thresholds trade against rates, which of them comes first is chance, and they may foretell very
    different things. It is judged by what was minimised, the loss, so that a choice is made by the same rule as
    a fit: the choice between a model that errs in the large currents and one that errs in the small
    ones is the choice of the loss. A best one whose score is no better than that of a resistor,
    told the conductance that suits each sweep held out, describes nothing, and none is chosen.

    Parameters
    ----------
    models
        Models; or their names, or paths of their files, as :func:`.model_file.load_model` takes them.
    sweeps
        Measurements of one device.
    screen
        For many models: whether they are first tried by short searches that grow longer while the models grow
        fewer (:mod:`.screen`). Those left are judged on thinned sweeps, and those within a tenth of the best
        again on whole ones.
    executor
        Where models are fitted side by side; default: here, one after the other.
    progress
        Called with (work done, all work), which falls as models are passed over: short searches, judgements, and
        the last fit, each by what it takes.
    settings
        Further arguments of :func:`memtwin.devices.fitting.fit.fit`; what they say of parameters that a
        model does not have is left out for that one.

    Raises
    ------
    InputError
        If there is no model, two have the same name, or none has a parameter of a name.
    FitError
        If no model can be fitted.
    """
    if not models:
        raise InputError("there is no model to compare")
    known = {"x0", *(f"x0_{k + 1}" for k in range(len(sweeps)))}
    chosen = {model.name: model for model in map(load_model, models)}
    if len(chosen) < len(models):
        raise InputError("two of the models to compare have the same name")
    known.update(*(model.names for model in chosen.values()))
    for key in ("fixed", "bounds", "priors", "start"):
        for name in settings.get(key) or {}:
            if name not in known:
                raise InputError(
                    f"no model compared has a parameter {name!r}{nearest(name, known)}"
                )
    folds = _folds(list(sweeps))
    rooms = _Tasks(executor, progress)
    if screen:
        passed_over, found = _tournament(chosen, folds, settings, rooms)
    else:
        passed_over = {}
        rooms.plan(_FULL * (len(chosen) + 1))
        work = {name: (_judge, model, folds, settings) for name, model in chosen.items()}
        found = rooms.all(work, _FULL)
    judged = {name: found[name] for name in chosen if name in found}  # in the order given
    scores = {name: result[0] for name, result in judged.items() if not isinstance(result, str)}
    foretold = {name: result[1] for name, result in judged.items() if not isinstance(result, str)}
    failed = {name: result for name, result in judged.items() if isinstance(result, str)}
    if not scores:
        raise FitError(f"no model could be fitted: {'; '.join(failed.values())}")
    ranked = dict(sorted(scores.items(), key=lambda item: item[1].score))
    best = next(iter(ranked))
    unseen = [sweep for _, part in folds for sweep in part]
    warning = _warning(best, ranked[best], unseen, settings.get("loss", "hybrid"))
    winner = (
        None
        if warning
        else fit(
            chosen[best],
            sweeps,
            executor=executor,
            progress=rooms.within(),
            **_known(chosen[best], settings),
        )
    )
    rooms.end()
    return Comparison(winner, ranked, failed, warning, tuple(unseen), foretold, passed_over)


class _Tasks:
    """Work of one kind for several models, here or side by side, with one count of what is done and
    what is still to come.
    """

    def __init__(self, executor: Executor | None, progress: Progress | None) -> None:
        self._executor, self._progress = executor, progress
        self._done = self._left = 0

    def plan(self, left: int) -> None:
        """Say what is left to do, the last fit included, in units of a short search."""
        self._left = left

    def all(self, work: Mapping[str, tuple[Any, ...]], size: int) -> dict[str, Any]:
        """Return what each call of this size gives, by name, in the order given whoever came first."""
        found: dict[str, Any] = {}
        if self._executor is None:
            for name, (function, *args) in work.items():
                found[name] = function(*args)
                self._step(size)
            return found
        jobs = {
            self._executor.submit(function, *args): name for name, (function, *args) in work.items()
        }
        for job in as_completed(jobs):
            found[jobs[job]] = job.result()
            self._step(size)
        return {name: found[name] for name in work}

    def within(self) -> Progress | None:
        """Return what a search calls with its steps done and in all, for most of what is left."""
        report = self._progress
        if report is None:
            return None
        return lambda done, steps: report(
            self._done + (self._left - 1) * done // max(steps, 1), self._done + self._left
        )

    def end(self) -> None:
        """Count all that was left."""
        self._step(self._left)

    def _step(self, size: int) -> None:
        self._done, self._left = self._done + size, self._left - size
        if self._progress is not None:
            self._progress(self._done, self._done + self._left)


def _tournament(
    chosen: Mapping[str, CompactModel],
    folds: list[tuple[list[Sweep], list[Sweep]]],
    settings: dict[str, Any],
    rooms: _Tasks,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return which models were passed over, with why, and how those left are judged: on thinned sweeps, and
    those near the best of them on whole ones.
    """
    seen = [sweep for part, _ in folds for sweep in part]
    left, tried = dict(chosen), dict[str, Tried]()
    passed_over: dict[str, str] = {}
    work: dict[str, tuple[Any, ...]]
    for k, of in enumerate(ROUNDS):
        coming = sum(min(one.least, len(left)) for one in ROUNDS[k:-1]) * _BRIEF
        judged = min(ROUNDS[-1].least, len(left)) * _JUDGED
        rooms.plan(len(left) * _BRIEF + coming + judged + _FULL)
        work = {
            name: (brief, model, seen, _known(model, settings), of, tried.get(name))
            for name, model in left.items()
        }
        tried = rooms.all(work, _BRIEF)
        ended = behind(tried, of)
        passed_over |= ended
        left = {name: model for name, model in left.items() if name not in ended}
    rooms.plan(len(left) * _JUDGED + _FULL)
    thin = [([thinned_sweep(sweep, LONGEST) for sweep in part], unseen) for part, unseen in folds]
    count = min(settings.get("starts", _STARTS), _STARTS)
    firsts = np.cumsum([0, *(len(part) for part, _ in folds)])
    begins = {
        name: [
            tried[name].of_sweeps(int(first), len(part))[:count]
            for first, (part, _) in zip(firsts, folds, strict=False)
        ]
        for name in left
    }
    work = {name: (_judge, model, thin, settings, begins[name]) for name, model in left.items()}
    found = rooms.all(work, _JUDGED)
    scores = {name: one[0].score for name, one in found.items() if not isinstance(one, str)}
    near = [name for name in scores if scores[name] <= _WITHIN * min(scores.values())]
    if len(near) > 1:
        rooms.plan(_FULL * (len(near) + 1))
        work = {name: (_judge, left[name], folds, settings) for name in near}
        found |= rooms.all(work, _FULL)
    return passed_over, found


def _warning(name: str, best: HeldOut, unseen: list[Sweep], loss: Loss | str) -> str:
    loss = Loss(loss) if isinstance(loss, str) else loss
    if not says_nothing(best.score, best.nrmse_percent, unseen, loss):
        return ""
    return (
        f"{unseen[0].name}: no model foretells it better than a resistor does, the best is {name} with"
        f" {best.nrmse_percent:.3g} % NRMSE and {best.decades:.2g} decades; check data and polarity,"
        " take other models, or fit one by its name"
    )


def _judge(
    model: CompactModel,
    folds: list[tuple[list[Sweep], list[Sweep]]],
    settings: dict[str, Any],
    begins: Sequence[Array] | None = None,
) -> tuple[HeldOut, tuple[Array, ...]] | str:
    """Return a model's errors on what it has not seen with the currents that it foretells there, or why it could not be
    fitted.
    """
    rows = 0
    totals = np.zeros(5)  # sums of squares: median, NRMSE and decades of it, least, most
    fits = 1
    foretold: list[Array] = []
    try:
        for k, (seen, unseen) in enumerate(folds):
            known = _known(model, settings) | ({} if begins is None else {"begin": begins[k]})
            fitted = fit(compiled_once(model), seen, **known)
            errors = np.array([_errors(variant, unseen) for variant in fitted.variants])
            order = np.argsort(errors[:, 0], kind="stable")
            median = fitted.variants[int(order[len(order) // 2])]
            foretold += [median.predict(sweep) for sweep in unseen]
            errors = errors[order]
            totals += [*errors[len(errors) // 2, :3], errors[0, 0], errors[-1, 0]]
            rows += int(errors[0, 3])
            fits = max(fits, len(errors))
    except MemtwinError as error:
        return str(error)
    kept = sum(int(sweep.kept.sum()) for _, unseen in folds for sweep in unseen)
    score, least, most = np.sqrt(totals[[0, 3, 4]] / rows)
    percent, decades = np.sqrt(totals[1:3] / kept)
    held_out = HeldOut(
        float(score), float(percent), float(decades), float(least), float(most), fits
    )
    return held_out, tuple(foretold)


def _errors(fitted: Fit, unseen: list[Sweep]) -> Array:
    """Return sums of squares over sweeps: residuals, NRMSE and decades; and the residuals' count."""
    total = np.zeros(4)
    for sweep in unseen:
        i = fitted.predict(sweep)
        residual, _ = fitted.loss.residuals(i[:, None], sweep)
        of, kept = quality(i, sweep, fitted.loss), int(sweep.kept.sum())
        squares = (kept * of.nrmse_percent**2, kept * of.decades**2)
        total += [float((residual**2).sum()), *squares, len(residual)]
    return total


def _known(model: CompactModel, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with only those named parameters that this model has."""
    names = {*model.names, "x0"}
    chosen = dict(settings)
    for key in ("fixed", "bounds", "priors", "start"):
        chosen[key] = {n: v for n, v in (settings.get(key) or {}).items() if n in names}
    return chosen


def _folds(sweeps: list[Sweep]) -> list[tuple[list[Sweep], list[Sweep]]]:
    if len(sweeps) > 1:
        held = max(len(sweeps) // 3, 1)
        return [(sweeps[:-held], sweeps[-held:])]
    (sweep,) = sweeps
    middle = len(sweep.v) / 2
    if sweep.pulsed:
        cut = 3 * (len(sweep.v) // 6) + 1
        first, second = (_part(sweep, part) for part in (slice(None, cut), slice(cut - 1, None)))
        return [([first], [second]), ([second], [first])]
    crossings = np.flatnonzero(np.diff(np.sign(sweep.v)) != 0) + 1
    crossings = crossings[(crossings >= 16) & (crossings <= len(sweep.v) - 16)]
    cut = int(crossings[np.argmin(np.abs(crossings - middle))]) if len(crossings) else int(middle)
    first, second = (_part(sweep, part) for part in (slice(None, cut), slice(cut, None)))
    return [([first], [second]), ([second], [first])]


def _part(sweep: Sweep, part: slice) -> Sweep:
    return Sweep(
        sweep.name, sweep.t[part], sweep.v[part], sweep.i[part], sweep.censored[part], sweep.meta
    )
