"""``memtwin fit``: a compact model for measured sweeps, or a pulse law for measured ramps."""

__all__ = ["fit"]

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ....data.errors import FitError, InputError, nearest
from ...conduction import Conduction, fit_conduction
from ...console import SEED, bar, emit, note, show
from ...groups import grouped
from ...intake import read_files, reading_words, takes_reading
from ...job import Dask, executor_at
from ...ramps import Kept, Ramps, fit_ramps

if TYPE_CHECKING:
    from ....devices.fitting.compare import Comparison
    from ....devices.fitting.result import Fit

Data = Annotated[
    list[str],
    typer.Argument(
        help="Sweeps or ramps: files, measurement records, or DATASET:PATTERN of the catalogue."
    ),
]
Kind = Annotated[
    Literal["sweep", "pulses", "ramps", "response", "conduction"],
    typer.Option(
        help="What the files hold: sweeps, records of pulses and reads (found out, too), conductances by pulse (see"
        " data import), or currents that were read without switching, for conduction laws."
    ),
]
Model = Annotated[
    str, typer.Option(help="Compact model; several, separated by commas, to compare; or 'auto'.")
]
LossKind = Annotated[str, typer.Option("--loss", help="linear, log, hybrid or error.")]
Floor = Annotated[
    float | None, typer.Option(help="Current below which differences do not count [A].")
]
Robust = Annotated[bool, typer.Option(help="Bend large residuals.")]
Fix = Annotated[list[str] | None, typer.Option(help="NAME=VALUE to hold; repeatable.")]
Bound = Annotated[list[str] | None, typer.Option(help="NAME=LOW:HIGH; repeatable.")]
Priors = Annotated[
    list[str] | None,
    typer.Option("--prior", help="NAME=MEAN:SIGMA (sigma of ln where logarithmic); repeatable."),
]
Start = Annotated[list[str] | None, typer.Option(help="NAME=VALUE of one more start; repeatable.")]
Series = Annotated[bool, typer.Option(help="Fit a series resistance.")]
Starts = Annotated[int, typer.Option(help="Starts that descend.")]
Candidates = Annotated[int, typer.Option(help="Candidates that they are chosen from.")]
Seed = Annotated[int, typer.Option(help="Seed of the candidates.", **SEED)]
Errors = Annotated[
    Literal["covariance", "bootstrap"],
    typer.Option(
        help="Standard errors by the covariance at the minimum, or by refitting resampled cycles"
        " (8 sweeps or more) or blocks of residuals."
    ),
]
Draws = Annotated[int, typer.Option(help="Draws of the bootstrap.", min=20)]
Workers = Annotated[int, typer.Option(help="Processes; 0: as many as cores.")]


@dataclass(frozen=True)
class Named:
    """What is said of single parameters."""

    fix: Fix = None
    bound: Bound = None
    prior: Priors = None
    start: Start = None
    series: Series = True

    def options(self) -> dict[str, list[str] | None]:
        """Return what was given by option."""
        return {
            "--fix": self.fix,
            "--bound": self.bound,
            "--prior": self.prior,
            "--start": self.start,
        }


@dataclass(frozen=True)
class Weights:
    """What is minimised."""

    loss: LossKind = "hybrid"
    floor: Floor = None
    robust: Robust = False


@dataclass(frozen=True)
class Search:
    """How long is searched, and where."""

    starts: Starts = 8
    candidates: Candidates = 256
    seed: Seed = 0
    workers: Workers = 0
    errors: Errors = "covariance"
    draws: Draws = 200
    dask: Dask = None


@takes_reading
@grouped
def fit(
    data: Data,
    weights: Weights,
    named: Named,
    search: Search,
    ramps: Ramps,
    conduction: Conduction,
    kept: Kept,
    kind: Kind = "sweep",
    model: Model = "yakopcic",
    reading: Any = None,
) -> dict[str, Any]:
    """Fit a compact model to measured sweeps, a pulse law to ramps, or conduction laws to reads."""
    if kind == "conduction":
        _refuse("conduction laws", {**named.options(), **ramps.written()})
        return fit_conduction(data, reading, conduction, kept, weights.floor, search.seed)
    _refuse("anything but --kind conduction", conduction.options())
    if kind in ("ramps", "response"):
        belonging = {"--device": kept.device, "--profile": kept.profile, "--floor": weights.floor}
        _refuse("ramps", {**named.options(), **belonging})
        return fit_ramps(data, kind, reading, ramps, kept, search.seed)
    _refuse("sweeps, only to --kind ramps", ramps.written())
    settings = _settings(named, weights, search)
    sweeps, origin = read_files(data, kind, reading)
    best, comparison = _best(model, sweeps, search, settings, kept.profile or ())
    if comparison is not None and comparison.held_out and kept.plot is not None:
        comparison.plot(kept.plot.with_stem(f"{kept.plot.stem}_held_out"))
    if best is None:
        return _no_winner(comparison, kept.record or kept.device, kept.json)
    if search.errors == "bootstrap":
        with bar("drawing measurements that might have been") as progress:
            drawn = best.bootstrap(draws=search.draws, seed=search.seed, progress=progress)
        best = best.with_errors(drawn)
    label = kept.name or Path(sweeps[0].name).stem
    words = reading_words(reading)
    meta = {**origin, "command": best.command(data, words, model=_asked(model, best))}
    _keep(best, kept, label, meta)
    more: dict[str, Any] = {"record": kept.record, "device": kept.device}
    more["profiles"] = _draw(best, kept.profile, kept.plot, kept.json)
    return _say(best, {**more, "held_out": _held_out(comparison, kept.json)}, kept.json, label)


def _refuse(what: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value:
            raise InputError(f"{name} does not apply to {what}")


def _settings(named: Named, weights: Weights, search: Search) -> dict[str, Any]:
    """Return the arguments of a fit."""
    from ....devices.fitting.loss import Loss
    from ....devices.fitting.space import Prior

    counts = {"--fix": 1, "--bound": 2, "--prior": 2, "--start": 1}
    given = named.options()
    fix, bound, prior, start = (_pairs(given[o], counts[o], o) for o in counts)
    return {
        "loss": Loss(weights.loss, floor=weights.floor, robust=weights.robust),
        "fixed": {key: values[0] for key, values in fix.items()},
        "bounds": {key: (low, high) for key, (low, high) in bound.items()},
        "priors": {key: Prior(*values) for key, values in prior.items()},
        "start": {key: values[0] for key, values in start.items()},
        "series": named.series,
        "starts": search.starts,
        "candidates": search.candidates,
        "seed": search.seed,
    }


def _best(
    model: str,
    sweeps: list[Any],
    search: Search,
    settings: dict[str, Any],
    profiled: Sequence[str],
) -> "tuple[Fit | None, Comparison | None]":
    """Fit the model, or compare several and fit the one that foretells best."""
    from ....data.measurement import Sweep
    from ....devices.equations.model_file import load_model
    from ....devices.fitting.compare import all_models, compare
    from ....devices.fitting.fit import fit as run

    for measured in sweeps:
        if not isinstance(measured, Sweep):
            raise InputError(f"{measured.name} holds no current-voltage sweep")
    names = all_models() if model == "auto" else tuple(model.split(","))
    models = [load_model(name) for name in names]
    known = {parameter.name for each in models for parameter in each.parameters}
    for name in profiled:
        if name not in known and not name.startswith("x0"):
            raise InputError(f"--profile {name}: there is no such parameter{nearest(name, known)}")
    with _pool(search) as pool, bar(f"fitting {model}") as progress:
        if len(models) == 1:
            found = run(models[0], sweeps, executor=pool, progress=progress, **settings)
            return found, None
        screen = model == "auto"
        comparison = compare(
            models, sweeps, screen=screen, executor=pool, progress=progress, **settings
        )
    for key, reason in comparison.passed_over.items():
        note(f"{key} was passed over: {reason}")
    for key, reason in comparison.failed.items():
        note(f"warning: {key} could not be fitted: {reason}")
    return comparison.best, comparison


def _asked(model: str, best: "Fit") -> str:
    """Return how the best one's model was asked for: a file's path rather than the name in it."""
    from ....devices.equations.model_file import load_model

    names = [] if model == "auto" else model.split(",")
    asked = (name for name in names if load_model(name).name == best.model.name)
    return next(asked, best.model.name)


def _keep(best: "Fit", kept: Kept, label: str, meta: Mapping[str, Any]) -> None:
    """Write what was asked for; nothing of a fit that did not converge, unless it is wanted."""
    from ....devices.fitting.result import require_converged

    if not kept.keep_unconverged and (kept.record or kept.device):
        require_converged(best)
    if kept.record is not None:
        best.save(kept.record, keep_unconverged=kept.keep_unconverged)
    if kept.device is not None:
        best.device(label, meta=meta).save(kept.device)


def _draw(
    best: "Fit", names: list[str] | None, plot: Path | None, json: bool
) -> dict[str, Any] | None:
    """Draw the fit, and read the intervals of parameters off their profiles, drawn beside it."""
    if plot is not None:
        best.plot(plot)
    found: dict[str, Any] = {}
    for name in names or []:
        curve = best.profile(name)
        if plot is not None:
            curve.plot(plot.with_stem(f"{plot.stem}_{name}"))
        low, high = curve.interval
        shown = {"low": low, "high": high, "confidence": curve.confidence}
        found[name] = shown if json else str(curve)
    return found or None


def _held_out(comparison: "Comparison | None", json: bool) -> dict[str, Any] | None:
    if comparison is None:
        return None
    return {
        key: asdict(errors) if json else str(errors) for key, errors in comparison.held_out.items()
    }


def _say(best: "Fit", more: dict[str, Any], json: bool, label: str) -> dict[str, Any]:
    """Print the fit and what was written of it."""
    summary = {**best.summary(), **more}
    if not json:
        show(str(best))
        said = {key: value for key, value in more.items() if value is not None}
        if said:
            emit(said, as_json=False)
        return summary
    if not best.converged:
        note(
            f"warning: the fit did not converge ({best.course.message}); try more starts or fix"
            " parameters"
        )
    for warning in best.warnings:
        note(f"warning: {warning}")
    for key, reason in best.unidentified.items():
        note(f"the data do not pin down {key}: {reason}")
    for other in best.alternatives:
        note(f"a fit that is as good: {best.apart(other)}")
    emit(summary, as_json=True, title=f"{best.model.title}, fitted to {label}")
    return summary


def _pairs(items: list[str] | None, count: int, option: str) -> dict[str, tuple[float, ...]]:
    pairs = {}
    for item in items or []:
        key, _, text = item.partition("=")
        try:
            values = tuple(float(word) for word in text.split(":"))
        except ValueError:
            values = ()
        if len(values) != count:
            form = "NAME=VALUE" if count == 1 else "NAME=NUMBER:NUMBER"
            raise InputError(f"{option} {item!r}: expected {form}")
        pairs[key.strip()] = values
    return pairs


def _pool(search: Search) -> "AbstractContextManager[Executor | None]":
    """Return processes or a cluster for the search, or None where one core has to do."""
    if search.dask is not None:
        return executor_at(search.dask)
    workers = search.workers
    from ....data.processes import process_pool

    if workers < 0:
        raise InputError(f"workers must be 0 or more, got {workers}")
    count = workers or os.cpu_count() or 1
    return nullcontext() if count == 1 else process_pool(count)


def _no_winner(comparison: "Comparison | None", wanted: Path | None, json: bool) -> dict[str, Any]:
    """Say that no model describes the data; nothing that was ``wanted`` is written."""
    assert comparison is not None
    if wanted is not None:
        raise FitError(f"{comparison.warning}; {wanted} is not written")
    note(f"warning: {comparison.warning}")
    summary = {
        "model": None,
        "warnings": [comparison.warning],
        "held_out": _held_out(comparison, json),
    }
    emit(summary, as_json=json, title="no model describes the data")
    return summary
