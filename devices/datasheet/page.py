"""The page: curves, parameters with their errors, spread, levels, and what it costs to write them.

Everything is computed when the page is written, from the device's own file or from the record of its fit; of the latter
it draws the measurements, too. What is simulated says so.
"""

__all__ = ["datasheet"]

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...data.errors import MemtwinError
from ...data.types import Array
from ..device import Device
from ..levels import V_READ
from ..pulses.open_loop import open_loop_costs
from .svg import Line, chart

if TYPE_CHECKING:
    from ..fitting.result import Fit

_CURRENT = ((1.0, "A"), (1e-3, "mA"), (1e-6, "µA"), (1e-9, "nA"), (1e-12, "pA"))
_POINTS = 600  # of a line that is drawn
_SIDES = 2  # drawn sweeps of a fit: the first and the last
_DRAWS = 200


class Spread(Protocol):
    """How devices of a kind differ: any law of parameters."""

    @property
    def names(self) -> Sequence[str]: ...
    def sample(self, count: int, rng: np.random.Generator, device: Device) -> dict[str, Array]: ...


def datasheet(
    source: "Device | Fit",
    *,
    name: str | None = None,
    levels: int = 8,
    v_read: float = V_READ,
    spread: Spread | None = None,
    seed: int = 0,
) -> str:
    """Return a page of HTML about a device.

    Parameters
    ----------
    source
        The device, or its fit.
    name
        What to call it; of a fit, by default, after its first sweep.
    levels
        How many levels the page tells of, at least 2.
    v_read
        Read voltage [V].
    spread
        How such devices differ, if that is known.
    seed
        Of the draws that show it.
    """
    fit = None if isinstance(source, Device) else source
    device = source if isinstance(source, Device) else source.device(name or source.sweeps[0].name)
    title = name or device.name
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(device.model.title)}'
        + (f", {_doi(device.model.doi)}" if device.model.doi else "")
        + "</p>",
        _caveats(device, fit),
        _section("Curves", _curves(device, fit)),
        _section("Parameters", _parameters(device, fit)),
        _section("Spread", _spread(device, spread, v_read, seed)),
        *_levels(device, levels, v_read),
        _section("Provenance", _provenance(device)),
    ]
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(filter(None, parts)))


def _doi(doi: str) -> str:
    return f'<a href="https://doi.org/{escape(doi)}">doi:{escape(doi)}</a>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _caveats(device: Device, fit: "Fit | None") -> str:
    said = [device.caveat] if device.caveat else []
    said += list(fit.warnings) if fit is not None else []
    if not said:
        return ""
    return f'<ul class="caveat">{"".join(f"<li>{escape(word)}</li>" for word in said)}</ul>'


def _curves(device: Device, fit: "Fit | None") -> str:
    """Return charts of the current on both axes, and of the state."""
    lines, states = _of_fit(fit) if fit is not None else _of_device(device)
    if not lines:
        return "<p>The file does not say between which voltages the device was measured.</p>"
    top = max(float(np.nanmax(np.abs(line.y))) for line in lines)
    size, unit = next(((s, u) for s, u in _CURRENT if top >= s), _CURRENT[-1])
    linear = [Line(line.x, line.y / size, line.kind, line.dots) for line in lines]
    log = [Line(line.x, _visible(line.y), line.kind, line.dots) for line in lines]
    charts = [
        chart(linear, "voltage [V]", f"current [{unit}]"),
        chart(log, "voltage [V]", "|current| [A]", log=True),
        chart(states, "share of the sweep [%]", "state x"),
    ]
    what = (
        "Measured (dots) and model (line)."
        if fit is not None
        else "Simulated, over the sweep of its fit."
    )
    figures = "".join(f"<figure>{one}</figure>" for one in charts)
    return f'<p>{what}</p><div class="charts">{figures}</div>'


def _of_fit(fit: "Fit") -> tuple[list[Line], list[Line]]:
    lines, states = [], []
    loops = [k for k, sweep in enumerate(fit.sweeps) if "pulses" not in sweep.meta]
    for k in sorted({*loops[:1], *loops[-1:]})[:_SIDES]:
        sweep, curve = fit.sweeps[k], fit.curves[k]
        kind = "model" if k == loops[0] else "second"
        few = _few(len(sweep.t))
        lines.append(
            Line(sweep.v[few], np.where(sweep.kept, sweep.i, np.nan)[few], "measured", True)
        )
        lines.append(Line(sweep.v[few], curve.i[few], kind))
        states.append(Line(np.linspace(0.0, 100.0, len(sweep.t))[few], curve.x[few], kind))
    return lines, states


def _of_device(device: Device) -> tuple[list[Line], list[Line]]:
    ends = [device.meta.get(key) for key in ("v_max", "v_min")]
    turns = [float(end) for end in ends if isinstance(end, int | float) and end]
    if not turns or not device.dynamic:
        return [], []
    path = np.array([0.0, *turns, 0.0])
    rate = float(device.meta.get("sweep_rate", 1.0))
    knots = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(path)))]) / rate
    t = np.linspace(0.0, knots[-1], _POINTS)
    v = np.interp(t, knots, path)
    known = device.meta.get("x0")
    x0 = float(known[0]) if isinstance(known, list | tuple) and known else 0.1
    limits = device.meta.get("compliance")
    held = np.where(v >= 0.0, *map(float, limits)) if isinstance(limits, list | tuple) else None
    trace = device.simulate(t, v, x0, compliance=held)
    share = np.linspace(0.0, 100.0, len(t))
    return [Line(trace.v, trace.i)], [Line(share, trace.x)]


def _parameters(device: Device, fit: "Fit | None") -> str:
    intervals = {} if fit is None else fit.estimate.intervals
    rows = []
    for row in device.model.parameters:
        error = device.stderr.get(row.name)
        known = "held" if error is None else ("± ?" if not np.isfinite(error) else f"± {error:.2g}")
        if row.name in intervals:
            low, high = intervals[row.name]
            known += f"; 95 % within {low:.4g} and {high:.4g}"
        reason = device.unidentified.get(row.name, "")
        rows.append(
            [
                f"<code>{escape(row.name)}</code>",
                f"{device.parameters[row.name]:.5g}",
                escape("" if row.unit == "1" else row.unit),
                escape(known),
                escape(row.meaning)
                + (f'<br><em class="vague">{escape(reason)}</em>' if reason else ""),
            ]
        )
    how = "" if fit is None else f" Errors by {escape(fit.estimate.errors)}."
    good = _goodness(device)
    return f"<p>{good}{how}</p>" + _table(("", "value", "unit", "error", "meaning"), rows)


def _goodness(device: Device) -> str:
    percent, decades = device.meta.get("nrmse_percent"), device.meta.get("decades")
    if not isinstance(percent, list | tuple) or not percent:
        return "How well it describes a measurement is not kept in its file."
    said = f"The fit is off by {max(map(float, percent)):.3g} % of the range (NRMSE, worst sweep)"
    if isinstance(decades, list | tuple) and decades:
        said += f" and {max(map(float, decades)):.2g} decades"
    return said + "."


def _spread(device: Device, spread: Spread | None, v_read: float, seed: int) -> str:
    if spread is None:
        return (
            "<p>One device was fitted; how others differ is not known here. <code>memtwin spread learn"
            " --kind parameters</code> learns it from sweeps of several, and <code>--spread</code> adds"
            " it.</p>"
        )
    drawn = spread.sample(_DRAWS, np.random.default_rng(seed), device)
    rows = []
    for name in spread.names:
        low, middle, high = np.quantile(drawn[name], (0.05, 0.5, 0.95))
        unit = device.model.parameter(name).unit
        cells = [f"{value:.4g}" for value in (low, middle, high)]
        rows.append([f"<code>{escape(name)}</code>", *cells, escape("" if unit == "1" else unit)])
    head = ("", "5 %", "median", "95 %", "unit")
    return f"<p>Of {_DRAWS} drawn devices:</p>" + _table(head, rows)


def _levels(device: Device, count: int, v_read: float) -> list[str]:
    """Return the sections on levels and on writes."""
    try:
        seen = _seen(device)
        low, high = (
            (None, None) if seen is None else (float(device.conductance(x, v_read)) for x in seen)
        )
        levels = device.levels(count, v_read, g_min=low, g_max=high)
    except MemtwinError as error:
        return [_section("Levels", f"<p>{escape(str(error))}</p>")]
    g = levels.g
    rows = [
        [str(k), f"{1e6 * one:.4g}", f"{1e-3 / one:.4g}", f"{x:.4g}"]
        for k, (one, x) in enumerate(zip(g, levels.x, strict=True))
    ]
    v = np.linspace(0.0, v_read, 33)
    curves = [Line(v, 1e6 * device.current(v, x), "level") for x in levels.x]
    between = (
        "5 and at 95 % of the state"
        if seen is None
        else f"the states {seen[0]:.3g} and {seen[1]:.3g}, which the fitted sweeps went through"
    )
    body = (
        f"<p>{count} conductances, even between those at {between}, read at {v_read:g} V.</p>"
        f'<div class="charts"><figure>{chart(curves, "voltage [V]", "current [µA]")}</figure></div>'
        + _table(("level", "µS", "kΩ", "state"), rows)
    )
    return [_section("Levels", body), _section("Writing", _writes(levels))]


def _seen(device: Device) -> tuple[float, float] | None:
    """Return the lowest and the highest state that a device was fitted in, if they are apart: beyond them
    a level is a guess, as above the LRS that a current limit left.
    """
    low, high = (float(device.meta.get(key, np.nan)) for key in ("x_min", "x_max"))
    return (low, high) if np.isfinite(device.model.state_range[1]) and high > low else None


def _writes(levels: Any) -> str:
    try:
        loop = open_loop_costs(levels)
    except MemtwinError as error:
        return f"<p>{escape(str(error))}</p>"
    top = levels.count - 1
    rows = []
    for way, pulse, (a, b) in (
        ("SET", loop.set_pulse, (0, top)),
        ("RESET", loop.reset_pulse, (top, 0)),
    ):
        costs = loop.costs
        near = [(k, k + 1) for k in range(top)] if b else [(k + 1, k) for k in range(top)]
        steps = [float(costs.pulses[pair]) for pair in near]
        rows.append(
            [
                way,
                f"{pulse.v:.3g} V, {_time(pulse.width)}",
                f"{costs.pulses[a, b]:.0f}",
                f"{min(steps):.0f} to {max(steps):.0f}",
                _energy(float(costs.energy[a, b])),
                _time(float(costs.time[a, b])),
            ]
        )
    worst = 1e6 * float(np.nanmax(np.abs(loop.miss)))
    head = ("", "pulse", "pulses, all levels", "pulses, one level", "energy, all", "time, all")
    return (
        f"<p>Simulated: identical pulses, without reading in between; a write lands within {worst:.2g}"
        " µS of its level.</p>" + _table(head, rows)
    )


def _provenance(device: Device) -> str:
    said = (
        "device",
        "stack",
        "source",
        "doi",
        "licence",
        "data",
        "data_sha256",
        "command",
        "nrmse_percent",
    )
    rows = [
        [
            escape(key),
            escape(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)),
        ]
        for key in said
        if (value := device.meta.get(key))
    ]
    rows.append(["digest", escape(device.digest)])
    return _table(("", ""), rows, kind="facts")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    lines = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="wide"><table class="{kind}">{lines}<tbody>{body}</tbody></table></div>'


def _few(points: int) -> Array:
    return np.unique(np.linspace(0, points - 1, min(points, _POINTS)).round().astype(int))


def _visible(i: Array) -> Array:
    size = np.abs(i)
    return np.where(size > 1e-9 * np.nanmax(size), size, np.nan)


def _time(seconds: float) -> str:
    return _prefixed(seconds, "s")


def _energy(joules: float) -> str:
    return _prefixed(joules, "J")


def _prefixed(value: float, unit: str) -> str:
    for size, prefix in (
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
        (1e-12, "p"),
        (1e-15, "f"),
    ):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b2733;--dim:#5b6773;--grid:#e3e7eb;--model:#d55e00;--second:#0072b2;
--measured:#7c8894;--panel:#f6f7f8}
@media(prefers-color-scheme:dark){:root{--bg:#14191e;--fg:#e4e8ec;--dim:#9aa5b0;--grid:#2b343d;--model:#f0806a;
--second:#6cc0de;--measured:#8d99a5;--panel:#1c2329}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:70rem;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;
overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem;border-bottom:1px solid var(--grid)}
a{color:var(--second)}.lead,.vague,footer{color:var(--dim)}
.caveat{border-left:4px solid var(--model);background:var(--panel);padding:.5rem 1.6rem}
.charts{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(19rem,100%),1fr))}
figure{margin:0;background:var(--panel);border-radius:6px;padding:.3rem}
svg{display:block;width:100%;height:auto}
svg text{font:10px system-ui,sans-serif;fill:var(--dim)}svg .axis{fill:var(--fg);font-size:11px}
.mid{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--grid);stroke-width:1}
.line{fill:none;stroke-width:1.5;stroke-linejoin:round}.dots{fill:none;stroke-width:2.6;stroke-linecap:round;opacity:.7}
.model{stroke:var(--model)}.second{stroke:var(--second)}.measured{stroke:var(--measured)}
.level{stroke:var(--second);stroke-width:1}
.wide{overflow-x:auto;overflow-wrap:normal}td:not(:last-child),th{white-space:nowrap}.facts td{overflow-wrap:anywhere}
table{border-collapse:collapse;font-size:.9rem;min-width:min(100%,20rem)}
td,th{padding:.25rem .6rem;text-align:left;border-bottom:1px solid var(--grid);vertical-align:top}
th{color:var(--dim);font-weight:600}td:nth-child(2){font-variant-numeric:tabular-nums}
code{font-size:.95em}
@media print{body{max-width:none}section{break-inside:avoid}}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: datasheet</title>
<style>{style}</style>
</head>
<body>
{body}
<footer><p>Written by memtwin.</p></footer>
</body>
</html>
"""
