"""Which model describes a device: the one that predicts sweeps it has not seen."""

__all__ = ["CANDIDATES", "Comparison", "compare"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.errors import FitError, InputError, MemtwinError
from ..data.measurement import Sweep
from ..data.types import Progress
from .fit import Fit, fit
from .models import MODELS

CANDIDATES = ("yakopcic", "yakopcic2020", "vteam", "vteam_exp")
"""Models that ``auto`` compares unless told otherwise."""


@dataclass(frozen=True)
class Comparison:
    """Several models, one measurement.

    Attributes
    ----------
    best
        The winner, fitted to all sweeps.
    scores
        For each model its score: root mean square of the loss's residuals on sweeps held out, or,
        where there was only one sweep, on its second part. Smaller is better.
    failed
        Models that could not be fitted, with the reason.
    """

    best: Fit
    scores: Mapping[str, float]
    failed: Mapping[str, str]


def compare(
    models: Sequence[str],
    sweeps: Sequence[Sweep],
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> Comparison:
    """Fit every model to a part of the sweeps, score it on the others, and fit the best to all.

    With two sweeps or more, the last third (at least one) is held out. A single sweep is cut in two
    where it passes zero volts nearest to its middle, and each part predicts the other.

    Parameters
    ----------
    models
        Names, as in :data:`memtwin.devices.models.MODELS`.
    sweeps
        Measurements of one device.
    progress
        Called with (models done, models).
    settings
        Further arguments of :func:`memtwin.devices.fit.fit`.

    Raises
    ------
    FitError
        If no model can be fitted.
    """
    if not models:
        raise InputError("there is no model to compare")
    folds = _folds(list(sweeps))
    scores: dict[str, float] = {}
    failed: dict[str, str] = {}
    for done, name in enumerate(models, start=1):
        try:
            scores[name] = _score(name, folds, settings)
        except MemtwinError as error:
            failed[name] = str(error)
        if progress is not None:
            progress(done, len(models) + 1)
    if not scores:
        raise FitError(f"no model could be fitted: {'; '.join(failed.values())}")
    best = min(scores, key=lambda name: scores[name])
    winner = fit(MODELS[best], sweeps, **_known(best, settings))
    if progress is not None:
        progress(len(models) + 1, len(models) + 1)
    return Comparison(winner, scores, failed)


def _score(
    name: str, folds: list[tuple[list[Sweep], list[Sweep]]], settings: dict[str, Any]
) -> float:
    squares, rows = 0.0, 0
    for seen, unseen in folds:
        fitted = fit(MODELS[name], seen, **_known(name, settings))
        for sweep in unseen:
            residual, _ = fitted.loss.residuals(fitted.predict(sweep)[:, None], sweep)
            squares += float((residual**2).sum())
            rows += len(residual)
    return float(np.sqrt(squares / rows))


def _known(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with only those named parameters that this model has."""
    names = {*MODELS[name].names, "x0"}
    chosen = dict(settings)
    for key in ("fixed", "bounds", "priors"):
        chosen[key] = {n: v for n, v in (settings.get(key) or {}).items() if n in names}
    return chosen


def _folds(sweeps: list[Sweep]) -> list[tuple[list[Sweep], list[Sweep]]]:
    if len(sweeps) > 1:
        held = max(len(sweeps) // 3, 1)
        return [(sweeps[:-held], sweeps[-held:])]
    (sweep,) = sweeps
    middle = len(sweep.v) / 2
    crossings = np.flatnonzero(np.diff(np.sign(sweep.v)) != 0) + 1
    crossings = crossings[(crossings >= 16) & (crossings <= len(sweep.v) - 16)]
    cut = int(crossings[np.argmin(np.abs(crossings - middle))]) if len(crossings) else int(middle)
    first, second = (_part(sweep, part) for part in (slice(None, cut), slice(cut, None)))
    return [([first], [second]), ([second], [first])]


def _part(sweep: Sweep, part: slice) -> Sweep:
    return Sweep(
        sweep.name, sweep.t[part], sweep.v[part], sweep.i[part], sweep.censored[part], sweep.meta
    )
