"""``memtwin fit``: a compact model for measured sweeps."""

__all__ = ["find_files", "fit"]

import os
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...data.errors import FitError, InputError
from ..console import SEED, Json, bar, emit, note, picture
from ..intake import (
    Column,
    Compliance,
    Frequency,
    Magnitude,
    Offset,
    Polarity,
    RTester,
    SweepRate,
    read_options,
    say_periods,
)

if TYPE_CHECKING:
    from ...devices.fitting.compare import Comparison, HeldOut
    from ...devices.fitting.result import Alternative, Fit


def fit(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Sweeps: files, measurement records, or DATASET:PATTERN of the catalogue."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Compact model, by name or a model file (TOML); several, separated by commas, to"
            " compare; or 'auto'."
        ),
    ] = "yakopcic",
    loss: Annotated[str, typer.Option(help="linear, log, hybrid or error.")] = "hybrid",
    floor: Annotated[
        float | None, typer.Option(help="Current below which differences do not count [A].")
    ] = None,
    robust: Annotated[bool, typer.Option(help="Bend large residuals.")] = False,
    fix: Annotated[list[str] | None, typer.Option(help="NAME=VALUE to hold; repeatable.")] = None,
    bound: Annotated[list[str] | None, typer.Option(help="NAME=LOW:HIGH; repeatable.")] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(help="NAME=MEAN:SIGMA (sigma of ln where logarithmic); repeatable."),
    ] = None,
    start: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of one more start; repeatable.")
    ] = None,
    series: Annotated[bool, typer.Option(help="Fit a series resistance.")] = True,
    column: Column = None,
    sweep_rate: SweepRate = None,
    frequency: Frequency = None,
    compliance: Compliance = None,
    offset: Offset = None,
    polarity: Polarity = None,
    magnitude: Magnitude = False,
    r_tester: RTester = None,
    starts: Annotated[int, typer.Option(help="Starts that descend.")] = 32,
    candidates: Annotated[int, typer.Option(help="Candidates that they are chosen from.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the candidates.", **SEED)] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0: as many as cores.")] = 0,
    record: Annotated[Path | None, typer.Option(help="Where to keep the fit (HDF5).")] = None,
    device: Annotated[Path | None, typer.Option(help="Where to write the device (TOML).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the device.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the fit.", callback=picture)
    ] = None,
    keep_unconverged: Annotated[
        bool,
        typer.Option(
            "--keep-unconverged",
            help="Save a fit that did not converge too; record and device say so.",
        ),
    ] = False,
    json: Json = False,
) -> dict[str, Any]:
    """Fit a compact model to measured sweeps, with standard errors."""
    from ...devices.device import save_device, value_text
    from ...devices.equations.model_file import load_model
    from ...devices.fitting.compare import CANDIDATES, compare
    from ...devices.fitting.fit import fit as run
    from ...devices.fitting.loss import Loss
    from ...devices.fitting.result import save_fit
    from ...devices.fitting.space import Prior

    reading = read_options(
        column,
        magnitude,
        sweep_rate=sweep_rate,
        frequency=frequency,
        compliance=compliance,
        offset=offset,
        polarity=polarity,
        r_tester=r_tester,
    )
    sweeps, origin = _sweeps(data, reading)
    settings: dict[str, Any] = {
        "loss": Loss(loss, floor=floor, robust=robust),
        "fixed": {key: values[0] for key, values in _pairs(fix, 1, "--fix").items()},
        "bounds": {key: (low, high) for key, (low, high) in _pairs(bound, 2, "--bound").items()},
        "priors": {key: Prior(*values) for key, values in _pairs(prior, 2, "--prior").items()},
        "start": {key: values[0] for key, values in _pairs(start, 1, "--start").items()},
        "series": series,
        "starts": starts,
        "candidates": candidates,
        "seed": seed,
    }
    held_out: dict[str, Any] | None = None
    names = CANDIDATES if model == "auto" else tuple(model.split(","))
    models = [load_model(name) for name in names]
    with _pool(workers) as pool, bar(f"fitting {model}") as progress:
        if len(models) > 1:
            comparison = compare(models, sweeps, executor=pool, progress=progress, **settings)
            winner = comparison.best
            held_out = {
                key: asdict(errors) if json else _errors(errors)
                for key, errors in comparison.held_out.items()
            }
            for key, reason in comparison.failed.items():
                note(f"warning: {key} could not be fitted: {reason}")
            if winner is None:
                return _no_winner(comparison, held_out, record or device or plot, json)
            best = winner
        else:
            best = run(models[0], sweeps, executor=pool, progress=progress, **settings)
    if not best.converged:
        note(
            f"warning: the fit did not converge ({best.message}); try more starts or fix parameters"
        )
    for warning in best.warnings:
        note(f"warning: {warning}")
    for key, reason in best.unidentified.items():
        note(f"the data do not pin down {key}: {reason}")
    for other in best.alternatives:
        note(f"a fit that is as good: {_other(best, other)}")
    if record is not None:
        save_fit(best, record, keep_unconverged=keep_unconverged)
    label = name or Path(sweeps[0].name).stem
    asked = names[[found.name for found in models].index(best.model.name)]
    if device is not None:
        if not (best.converged or keep_unconverged):
            save_fit(best, device)  # says why, and writes nothing
        save_device(
            best.device(
                label, meta={**origin, "command": _command(data, asked, settings, column, reading)}
            ),
            device,
        )
    if plot is not None:
        from ...devices.plots import save_fit_figure

        save_fit_figure(best, plot)
    summary = {
        "model": best.model.name,
        "converged": best.converged,
        "message": best.message,
        "sweeps": [sweep.name for sweep in sweeps],
        "nrmse_percent": [quality.nrmse_percent for quality in best.quality],
        "decades": [quality.decades for quality in best.quality],
        "relative_rms_percent": [quality.relative_rms_percent for quality in best.quality],
        "aic": best.aic,
        "bic": best.bic,
        "parameters": {
            row.name: {
                "value": best.parameters[row.name],
                "stderr": best.stderr.get(row.name),
                "unit": row.unit,
                "fixed": row.name not in best.names,
                "unidentified": best.unidentified.get(row.name),
            }
            if json
            else value_text(
                best.parameters[row.name],
                best.stderr.get(row.name),
                best.unidentified.get(row.name),
                row.unit,
            )
            for row in best.model.parameters
        },
        "x0": list(best.x0),
        "unidentified": dict(best.unidentified),
        "effective_points": best.effective_points,
        "alternatives": [
            asdict(other) if json else _other(best, other) for other in best.alternatives
        ],
        "warnings": list(best.warnings),
        "held_out": held_out,
        "starts_cost": [float(best.starts[0]), float(best.starts[-1])],
        "seconds": best.seconds,
        "seed": seed,
        "record": record,
        "device": device,
    }
    emit(summary, as_json=json, title=f"{best.model.title}, fitted to {label}")
    return summary


def find_files(data: str) -> tuple[list[Path], dict[str, str | float]]:
    """Return the files that one argument means, and what the catalogue knows of them."""
    from ...data.catalogue import datasets, fetch

    dataset, _, pattern = data.partition(":")
    if dataset in datasets() and not Path(data).exists():
        entry = datasets()[dataset]
        facts: dict[str, str | float] = {
            "dataset": dataset,
            "device": entry.device,
            "licence": entry.licence,
            "doi": entry.doi,
            "source": entry.source,
        }
        return fetch(dataset, pattern or "*"), facts
    if not Path(data).is_file():
        raise InputError(f"there is no file {data}, and no dataset of that name in the catalogue")
    return [Path(data)], {}


def _sweeps(data: list[str], reading: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    from ...data.importers.readers import read_measurement
    from ...data.measurement import Sweep

    sweeps: list[Any] = []
    origin: dict[str, Any] = {}
    for item in data:
        paths, facts = find_files(item)
        origin |= facts
        for path in paths:
            found = read_measurement(path, meta=facts, **reading)
            if not all(isinstance(measured, Sweep) for measured in found):
                raise InputError(f"{path} holds no current-voltage sweep")
            sweeps += found
    say_periods(sweeps)
    return sweeps, origin


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


def _pool(workers: int) -> "AbstractContextManager[Executor | None]":
    """Return processes for the search, or None where one core has to do."""
    from ...data.processes import process_pool

    if workers < 0:
        raise InputError(f"workers must be 0 or more, got {workers}")
    count = workers or os.cpu_count() or 1
    return nullcontext() if count == 1 else process_pool(count)


def _command(
    data: list[str],
    model: str,
    settings: dict[str, Any],
    column: list[str] | None,
    reading: dict[str, Any],
) -> str:
    """Return the command line that makes this fit again."""
    words = ["memtwin fit", *(f"'{item}'" for item in data), f"--model {model}"]
    words += [f"--column '{item}'" for item in column or []]
    words += [
        f"--{key.replace('_', '-')} {value}"
        for key, value in reading.items()
        if key not in ("columns", "units", "magnitude")
    ]
    words += ["--magnitude"] if "magnitude" in reading else []
    loss = settings["loss"]
    words += [f"--loss {loss.kind}"]
    words += [f"--floor {loss.floor:g}"] if loss.floor is not None else []
    words += ["--robust"] if loss.robust else []
    words += [f"--fix {key}={value:g}" for key, value in settings["fixed"].items()]
    words += [f"--bound {key}={low:g}:{high:g}" for key, (low, high) in settings["bounds"].items()]
    words += [f"--start {key}={value:g}" for key, value in settings["start"].items()]
    words += [f"--prior {key}={p.mean:g}:{p.sigma:g}" for key, p in settings["priors"].items()]
    words += [] if settings["series"] else ["--no-series"]
    words += [f"--{key} {settings[key]}" for key in ("starts", "candidates", "seed")]
    return " ".join(words)


def _errors(held_out: "HeldOut") -> str:
    text = (
        f"score {held_out.score:.4g} ({held_out.nrmse_percent:.3g} % NRMSE,"
        f" {held_out.decades:.3g} decades)"
    )
    if held_out.fits > 1:
        text += f" and {held_out.least:.3g} to {held_out.most:.3g} over {held_out.fits} fits alike"
    return text


def _other(best: "Fit", other: "Alternative") -> str:
    """Return how much worse an alternative is, and the parameters that differ by more than 1 %."""
    pairs = [
        *((name, best.parameters[name], value) for name, value in other.parameters.items()),
        *((f"x0_{k}", *pair) for k, pair in enumerate(zip(best.x0, other.x0, strict=True), 1)),
    ]
    values = ", ".join(
        f"{name} = {value:.4g}" for name, own, value in pairs if abs(value - own) > 0.01 * abs(own)
    )
    return f"cost {100.0 * (other.cost / best.cost - 1.0):+.2g} % at {values}"


def _no_winner(
    comparison: "Comparison", held_out: dict[str, Any] | None, wanted: Path | None, json: bool
) -> dict[str, Any]:
    """Say that no model describes the data; nothing that was ``wanted`` is written."""
    if wanted is not None:
        raise FitError(f"{comparison.warning}; {wanted} is not written")
    note(f"warning: {comparison.warning}")
    summary = {"model": None, "warnings": [comparison.warning], "held_out": held_out}
    emit(summary, as_json=json, title="no model describes the data")
    return summary
