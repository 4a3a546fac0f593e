"""Which model describes a device: the one that predicts sweeps it has not seen."""

__all__ = ["CANDIDATES", "Comparison", "HeldOut", "all_models", "compare", "fit_best"]

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, field, replace
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
from .search import descend
from .space import make_space, thinned
from .stages import draw_starts, settle_substeps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CANDIDATES = ("yakopcic", "yakopcic2020", "stanford", "mms", "knowm", "vteam", "vteam_exp")
"""Families of models that a comparison takes unless told otherwise."""

_TRIED, _TRY_STEPS = 16, 15  # starts of a short search, and their steps
_FAR = 2.5  # times the best score, after a short search
_LEAST_JUDGED = 5  # models that are fitted in full in any case


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
        Whether models are first tried by a short search, and only those fitted in full that came near the best:
        for many models.
    executor
        Where models are fitted side by side; default: here, one after the other.
    progress
        Called with (tasks done, tasks): short searches, full judgements, and the last fit.
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
    seen = [sweep for part, _ in folds for sweep in part]
    rooms = _Tasks(executor, progress, len(chosen) * (2 if screen else 1) + 1)
    passed_over: dict[str, str] = {}
    if screen:
        tried = rooms.all({name: (_try, model, seen, settings) for name, model in chosen.items()})
        near = _near(tried)
        passed_over = {name: why for name, why in near.items() if why}
        chosen = {name: model for name, model in chosen.items() if not near[name]}
        rooms.skip(len(passed_over))
    found = rooms.all({name: (_judge, model, folds, settings) for name, model in chosen.items()})
    judged = {name: found[name] for name in chosen}  # in the order given, whoever came first
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
        else fit(chosen[best], sweeps, executor=executor, **_known(chosen[best], settings))
    )
    rooms.step()
    return Comparison(winner, ranked, failed, warning, tuple(unseen), foretold, passed_over)


class _Tasks:
    """Work of one kind for several models, here or side by side, with one count of what is done."""

    def __init__(self, executor: Executor | None, progress: Progress | None, total: int) -> None:
        self._executor, self._progress = executor, progress
        self._done, self._total = 0, total

    def all(self, work: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        """Return what each call gives, by name, in the order given whoever came first."""
        found: dict[str, Any] = {}
        if self._executor is None:
            for name, (function, *args) in work.items():
                found[name] = function(*args)
                self.step()
            return found
        jobs = {
            self._executor.submit(function, *args): name for name, (function, *args) in work.items()
        }
        for job in as_completed(jobs):
            found[jobs[job]] = job.result()
            self.step()
        return {name: found[name] for name in work}

    def skip(self, count: int) -> None:
        """Leave out tasks that need not be done."""
        self._total -= count

    def step(self) -> None:
        """Count one task."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _try(model: CompactModel, seen: list[Sweep], settings: dict[str, Any]) -> float:
    """Return the score that a short search on thinned sweeps reaches; infinite where it leads nowhere."""
    known = _known(model, settings)
    loss = known.get("loss", "hybrid")
    loss = Loss(loss) if isinstance(loss, str) else loss
    shape = {
        key: known[key] for key in ("fixed", "bounds", "priors", "series", "free") if key in known
    }
    try:
        space = thinned(make_space(model, seen, loss, **shape))
        rng = np.random.default_rng(known.get("seed", 0))
        points = draw_starts(space, None, _TRIED, 8 * _TRIED, rng)
        space = replace(space, substeps=settle_substeps(space, points[:4], 0.05, 8))
        costs = descend(space.residuals, points, steps=_TRY_STEPS).costs
        rows = len(space.residuals(points[:1], False)[0])
    except MemtwinError:
        return float("inf")
    return float(np.sqrt(2.0 * costs.min() / rows))


def _near(scores: Mapping[str, float]) -> dict[str, str]:
    """Return for each model why it is passed over, empty where it is not: of many, those far behind the best."""
    ranked = sorted(scores, key=lambda name: scores[name])
    best = scores[ranked[0]]
    reasons = {}
    for place, name in enumerate(ranked):
        behind = scores[name] > _FAR * best and place >= _LEAST_JUDGED
        lost = not np.isfinite(scores[name]) and place > 0
        reasons[name] = (
            f"a short search came to {scores[name]:.3g}, the best model's to {best:.3g}"
            if behind or lost
            else ""
        )
    return {name: reasons[name] for name in scores}


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
    model: CompactModel, folds: list[tuple[list[Sweep], list[Sweep]]], settings: dict[str, Any]
) -> tuple[HeldOut, tuple[Array, ...]] | str:
    """Return a model's errors on what it has not seen with the currents that it foretells there, or why it could not be
    fitted.
    """
    rows = 0
    totals = np.zeros(5)  # sums of squares: median, NRMSE and decades of it, least, most
    fits = 1
    foretold: list[Array] = []
    try:
        for seen, unseen in folds:
            fitted = fit(model, seen, **_known(model, settings))
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
