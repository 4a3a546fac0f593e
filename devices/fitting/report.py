"""A fit in words: one line, a page, a table for notebooks, a summary for programs, and the command that
makes it again.
"""

__all__ = ["alternative", "command", "html", "line", "summary", "text"]

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import value_text
from ..model import SERIES
from .parts import Alternative
from .space import default_bounds

if TYPE_CHECKING:
    from .result import Fit

_TIED = 0.9  # correlation from which the page names a pair
_NAME = 48  # characters of a sweep's name
_PAIRS = 6  # that it names at most


def line(fit: "Fit") -> str:
    """Return a fit in one line."""
    worst = max(fit.quality, key=lambda quality: quality.nrmse_percent)
    more = f" and {len(fit.sweeps) - 1} more" if len(fit.sweeps) > 1 else ""
    end = "converged" if fit.converged else "not converged"
    return (
        f"<Fit of {fit.model.name} to {_short(fit.sweeps[0].name)}{more}: {worst.nrmse_percent:.2f} % NRMSE,"
        f" {worst.decades:.3f} decades, {len(fit.names)} free parameters, {end}>"
    )


def text(fit: "Fit") -> str:
    """Return a fit on a page: model, quality, parameters, correlations, and what is odd."""
    course, loss = fit.course, fit.loss
    lines = [f"Fit of {fit.model.name} ({fit.model.title}), {loss.kind} loss"]
    for sweep, quality in zip(fit.sweeps, fit.quality, strict=True):
        lines.append(
            f"    {_short(sweep.name)}: {quality.nrmse_percent:.3g} % NRMSE, {quality.decades:.3g} decades"
            f" (down to {quality.floor:.2g} A), {int(sweep.kept.sum())} points"
        )
    lines.append(
        f"    {'converged' if fit.converged else 'NOT CONVERGED'}: {course.message.rstrip('.')};"
        f" {len(course.starts)} start{'s' if len(course.starts) > 1 else ''},"
        f" cost {course.cost:.5g} to {course.starts[-1]:.3g}, {course.seconds:.1f} s"
    )
    lines.append(
        f"    AIC {course.aic:.5g}, BIC {course.bic:.5g},"
        f" {fit.estimate.effective_points:.4g} independent residuals"
    )
    how = fit.estimate.errors
    said = "Parameters" if how == "covariance" else f"Parameters, errors by {how}"
    lines += [said, *_parameters(fit)]
    if pairs := _correlations(fit):
        lines.append(f"Correlations beyond {_TIED:g}")
        lines += [f"    {one}, {other}: {value:+.3f}" for one, other, value in pairs[:_PAIRS]]
        if len(pairs) > _PAIRS:
            lines.append(f"    and {len(pairs) - _PAIRS} more")
    notes = [*fit.warnings, *(f"a fit as good: {alternative(fit, a)}" for a in fit.alternatives)]
    return "\n".join([*lines, *(["Warnings"] if notes else []), *(f"    {note}" for note in notes)])


def html(fit: "Fit") -> str:
    """Return a fit as a table for notebooks."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(_value(fit, name))}</td>"
        f"<td>{escape(fit.unidentified.get(name, ''))}</td></tr>"
        for name in fit.estimate.values
    )
    notes = "".join(f"<li>{escape(warning)}</li>" for warning in fit.warnings)
    return (
        f"<p>{escape(line(fit)[1:-1])}</p><table><tr><th>parameter</th><th>value</th>"
        f"<th>not pinned down</th></tr>{rows}</table>{f'<ul>{notes}</ul>' if notes else ''}"
    )


def summary(fit: "Fit") -> dict[str, Any]:
    """Return a fit's results without its curves."""
    course = fit.course
    return {
        "model": fit.model.name,
        "converged": fit.converged,
        "message": course.message,
        "sweeps": [sweep.name for sweep in fit.sweeps],
        "nrmse_percent": [quality.nrmse_percent for quality in fit.quality],
        "decades": [quality.decades for quality in fit.quality],
        "relative_rms_percent": [quality.relative_rms_percent for quality in fit.quality],
        "aic": course.aic,
        "bic": course.bic,
        "parameters": {
            row.name: {
                "value": fit.parameters[row.name],
                "stderr": fit.stderr.get(row.name),
                "interval": fit.estimate.intervals.get(row.name),
                "unit": row.unit,
                "fixed": row.name not in fit.names,
                "unidentified": fit.unidentified.get(row.name),
            }
            for row in fit.model.parameters
        },
        "x0": list(fit.x0),
        "unidentified": dict(fit.unidentified),
        "errors": fit.estimate.errors,
        "effective_points": fit.estimate.effective_points,
        "alternatives": [asdict(other) for other in fit.alternatives],
        "warnings": list(fit.warnings),
        "starts_cost": [float(course.starts[0]), float(course.starts[-1])],
        "seconds": course.seconds,
        "seed": fit.task.seed,
    }


def command(fit: "Fit", data: Sequence[str], options: Sequence[str], name: str) -> str:
    """Return the command line of a fit; see :meth:`~memtwin.devices.fitting.result.Fit.command`.

    Parameters
    ----------
    fit
        The fit.
    data
        Files or datasets that were fitted.
    options
        Options that said how to read them.
    name
        What to call it.
    """
    task, model = fit.task, fit.model
    words = ["memtwin fit", *(f"'{item}'" for item in data), f"--model {name}", *options]
    words.append(f"--loss {task.loss.kind}")
    words += [f"--floor {task.loss.floor:g}"] if task.loss.floor is not None else []
    words += ["--robust"] if task.loss.robust else []
    words += [f"--fix {name}={_number(value)}" for name, value in task.fixed.items()]
    words += [
        f"--bound {name}={_number(low)}:{_number(high)}"
        for name, (low, high) in task.bounds.items()
        if (low, high) != default_bounds(model, name)
    ]
    words += [f"--start {name}={_number(value)}" for name, value in task.start.items()]
    words += [
        f"--prior {name}={_number(prior.mean)}:{_number(prior.sigma)}"
        for name, prior in task.priors.items()
    ]
    words += [] if SERIES.name in {*fit.names, *task.fixed} else ["--no-series"]
    words += [f"--{key} {getattr(task, key)}" for key in ("starts", "candidates", "seed")]
    return " ".join(words)


def alternative(fit: "Fit", other: Alternative) -> str:
    """Return how much worse another end is, and the parameters that differ by more than 1 %."""
    theirs = {**other.parameters, **{f"x0_{k}": x0 for k, x0 in enumerate(other.x0, start=1)}}
    values = ", ".join(
        f"{name} = {theirs[name]:.4g}"
        for name, own in fit.estimate.values.items()
        if abs(theirs[name] - own) > 0.01 * abs(own)
    )
    return f"cost {100.0 * (other.cost / fit.cost - 1.0):+.2g} % at {values}"


def _parameters(fit: "Fit") -> list[str]:
    width = max(map(len, fit.names), default=0)
    lines = []
    for name in fit.names:
        value, error = fit.estimate.values[name], fit.stderr[name]
        said = _value(fit, name)
        if np.isfinite(error) and value:
            said += f" ({100.0 * error / abs(value):.2g} %)"
        if name in fit.estimate.intervals:
            low, high = fit.estimate.intervals[name]
            said += f", 95 % within {low:.4g} and {high:.4g}"
        if name in fit.unidentified:
            said += f": {fit.unidentified[name]}"
        lines.append(f"    {name:{width}}  {said}")
    held = [
        f"{row.name} = {fit.parameters[row.name]:.5g}{'' if row.unit == '1' else f' {row.unit}'}"
        for row in fit.model.parameters
        if row.name not in fit.names
    ]
    return lines + ([f"    fixed: {', '.join(held)}"] if held else [])


def _value(fit: "Fit", name: str) -> str:
    unit = "1" if name.startswith("x0_") else fit.model.parameter(name).unit
    value, error = fit.estimate.values[name], fit.stderr.get(name)
    return value_text(value, error, fit.unidentified.get(name), unit)


def _correlations(fit: "Fit") -> list[tuple[str, str, float]]:
    """Return the pairs of parameters that move together, the closest first."""
    found = [
        (one, other, float(fit.estimate.correlation[k, m]))
        for k, one in enumerate(fit.names)
        for m, other in enumerate(fit.names[:k])
        if abs(fit.estimate.correlation[k, m]) > _TIED
    ]
    return sorted(found, key=lambda pair: -abs(pair[2]))


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _number(value: float) -> str:
    """Return a number that reads back as itself, as short as may be."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
