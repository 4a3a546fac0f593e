"""The pictures of a report, one function each: axes and a run's record in, what was drawn out."""

__all__ = [
    "accuracy",
    "device",
    "device_map",
    "errors",
    "iv",
    "levels",
    "measured_curve",
    "surrogate",
    "technology_of",
    "wear",
    "writes",
]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....data.shown.quantities import saved
from ..overview.summary import config_of, score_of_summary
from .figures import Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ....data.types import Array
    from ....devices.technology.technology import Technology

RULES = {"siamese": "Siamese"}

CELLS = 400
"""Cells of a technology that are drawn for its picture."""


def surrogate(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw held-out currents, surrogate against ngspice."""
    from ....circuits.surrogate.plots import scatter

    part, summary = record["surrogate"], record["summary"]
    scatter(axes, part["spice"], part["predicted"], baseline=part["ideal"])
    vectors = part["spice"].shape[0]
    return Panel(
        "Column currents: surrogate against ngspice",
        f"Scatter of {part['spice'].size} column currents; those of the surrogate lie on the diagonal.",
        {
            "current in ngspice [A]": part["spice"].ravel(),
            "surrogate [A]": part["predicted"].ravel(),
            "device law without wires [A]": part["ideal"].ravel(),
        },
        f"{vectors} held-out vectors that the fit never saw, every column a point. NRMSE"
        f" {summary['surrogate_nrmse_percent']:.2g} %, largest error"
        f" {summary['surrogate_max_error_percent']:.2g} % of full scale, which is each pattern's"
        f" largest current in ngspice. Without wires the device law is off by"
        f" {summary['ideal_nrmse_percent']:.2g} %.",
    )


def errors(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw the distribution of the surrogate's errors."""
    from ....circuits.surrogate.plots import error_histogram

    part = record["surrogate"]
    error_histogram(axes, part["spice"], part["predicted"])
    largest = float(np.abs(part["spice"]).max()) or 1.0
    off = 100.0 * (part["predicted"] - part["spice"]).ravel() / largest
    return Panel(
        "Errors of the surrogate",
        f"Histogram of {off.size} errors, on a logarithmic axis, about zero.",
        {"error [% of the largest current]": off},
        "Over the largest current of all vectors; the figures beside are over each pattern's own.",
    )


def accuracy(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw test accuracy over the epochs."""
    from .. import plots

    epochs, summary = record["epochs"], record["summary"]
    regression = summary["score"] == "r2"
    plots.accuracy(
        axes,
        epochs["float_accuracy"],
        epochs["test_accuracy"],
        spice_accuracy=score_of_summary(summary, "spice"),
        spice_images=summary["spice_images"],
        spice_interval=(
            score_of_summary(summary, "spice", "low"),
            score_of_summary(summary, "spice", "high"),
        ),
        spice_engine=summary["validation_engine"],
        regression=regression,
    )
    scale, unit = (1.0, "R²") if regression else (100.0, "test accuracy [%]")
    columns = {
        "epoch": np.arange(1, len(epochs["test_accuracy"]) + 1),
        f"memristor twin: {unit}": scale * epochs["test_accuracy"],
        f"float network: {unit}": scale * epochs["float_accuracy"],
    }
    names = list(columns)
    return Panel(
        "R² over epochs" if regression else "Accuracy over epochs",
        f"Lines over all epochs, {len(epochs['test_accuracy'])}: the memristor twin ends at"
        f" {columns[names[1]][-1]:.4g}, the float network at {columns[names[2]][-1]:.4g}.",
        columns,
        f"On all test samples after every epoch; the memristor twin is read through the engine"
        f" {summary['training_engine']}{_after(summary)}.",
        (Series("memristor twin", "epoch", names[1]), Series("float network", "epoch", names[2])),
    )


def _after(summary: Mapping[str, Any]) -> str:
    last = summary["final_engine"]
    return "" if last == summary["training_engine"] else f", after a failed audit {last}"


def writes(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw writes over the epochs, beside the closed loop's."""
    from .. import plots

    rule, epochs = config_of(record)["training"]["rule"], record["epochs"]
    label = RULES.get(rule, rule) if isinstance(rule, str) else "baseline"
    plots.writes(axes, epochs["writes"], epochs["closed_loop_writes"], label=label)
    columns = {
        "epoch": np.arange(1, len(epochs["writes"]) + 1),
        f"{label}: device writes": np.rint(epochs["writes"]).astype(int),
        "basic closed loop: device writes": np.rint(epochs["closed_loop_writes"]).astype(int),
    }
    names = list(columns)
    removed = 100.0 * (1.0 - epochs["writes"] / epochs["closed_loop_writes"])
    first, last = (saved(float(removed[k]), "fewer") for k in (0, -1))
    return Panel(
        "Device writes per epoch",
        f"Bars on a logarithmic axis: {first} writes than the closed loop's in the first epoch,"
        f" {last} in the last.",
        columns,
        f"Counted per device: {first} than the basic closed loop in the first epoch,"
        f" {last} in the last. That loop writes every device after every batch.",
        (Series(label, "epoch", names[1]), Series("basic closed loop", "epoch", names[2])),
    )


def device_map(axes: "Axes", record: Mapping[str, Any], *, what: str, layer: str) -> Panel:
    """Draw conductances (``g``) or ``writes`` of the devices of one layer.

    Parameters
    ----------
    axes
        Where to draw.
    record
        A run's record.
    what
        ``g`` for conductances, or ``writes``.
    layer
        Name of the layer in the record.
    """
    from ..plots import conductance_map, write_map

    values, name = record["layers"][layer][what], layer.replace("_", " ")
    (conductance_map if what == "g" else write_map)(axes, values, title=name)
    rows, cols = values.shape
    if what == "g":
        title, text = f"Conductances, {name}", "after the last epoch, programming error included."
        shown, label = values, "conductance [S]"
    else:
        never = 100.0 * float(np.mean(values == 0))
        title, text = (
            f"Writes, {name}",
            f"in training, the first programming left out; {never:.0f} % never (grey).",
        )
        shown, label = np.rint(values).astype(int), "writes"
    return Panel(
        title,
        f"Map of {rows} word lines by {cols} bit lines.",
        {label: shown},
        f"Every device of {rows} word lines × {cols} bit lines, {text}",
        (Series(label, label, label),),
    )


def wear(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw how many devices were written how often."""
    from ..plots import write_histogram

    counts = [layer["writes"] for layer in record["layers"].values()]
    write_histogram(axes, counts)
    flat = np.concatenate([np.ravel(one) for one in counts]).astype(int)
    times, devices = np.unique(flat, return_counts=True)
    return Panel(
        "How often devices were written",
        f"Histogram of {flat.size} devices; {100 * np.mean(flat == 0):.0f} % were never written, the most"
        f" written one {flat.max()} times.",
        {"writes of a device": times, "devices": devices},
        f"All layers together; {100 * np.mean(flat == 0):.0f} % of {flat.size:,} devices were never written.",
    )


def device(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw how the run's devices are set: a fitted one in its sweep, cells of a technology by their word line."""
    technology, remark = technology_of(record)
    return iv(axes, record) if technology is None else _cells(axes, record, technology, remark)


def technology_of(record: Mapping[str, Any]) -> "tuple[Technology | None, str]":
    """Return the technology of a run, and what to say of where it is from; ``None`` where its device is none.

    A record that keeps none, of an older memtwin, has the one that its configuration names, as it is today.
    """
    from ....data.records.store import unpack
    from ....devices.technology.technology import Technology, is_technology, load_technology

    if "technology" in record:
        return unpack(Technology, record["technology"]), ""
    name = config_of(record)["device"]["name"]
    if not is_technology(name):
        return None, ""
    return load_technology(name), " The record keeps none of its laws: they are those of today."


def _cells(axes: "Axes", record: Mapping[str, Any], technology: "Technology", remark: str) -> Panel:
    """Draw what one SET pulse leaves of a technology's cells, over the word line's voltage."""
    from ....data.shown.pictures import beside, shades
    from ....devices.technology.population import draw_cells
    from ....devices.technology.technology import Window

    g = record["levels"]["g"]
    window = technology.window or Window(float(g[0]), float(g[-1]))
    gates, lines = np.linspace(0.5, 2.5, 41), window.v_bl * np.array([0.75, 1.0, 1.5])
    table = technology.table(lines, (gates[0], gates[-1]), (window.pw, window.pw))
    columns = {"word line [V]": gates}
    rng = np.random.default_rng(0)
    for v_bl, shade in zip(lines, shades(len(lines)), strict=True):
        cells = draw_cells((CELLS, 1), rng)
        left = technology.set_pulse(
            table, cells, np.full((CELLS, len(gates)), g[0]), gates, v_bl, window.pw, rng
        )
        low, middle, high = 1e6 * np.quantile(left, (0.1, 0.5, 0.9), axis=0)
        axes.plot(gates, middle, color=shade, label=f"bit line {v_bl:g} V")
        axes.fill_between(gates, low, high, color=shade, alpha=0.25, lw=0)
        columns |= {
            f"{v_bl:g} V, {share} [µS]": values
            for share, values in (("median", middle), ("10 %", low), ("90 %", high))
        }
    axes.set(xlabel="word line [V]", ylabel="conductance after one pulse [µS]")
    axes.grid(alpha=0.25)
    beside(axes, len(lines))
    pulse = f"one SET pulse of {1e9 * window.pw:g} ns from {1e6 * g[0]:.3g} µS"
    return Panel(
        "How a pulse sets the cells",
        f"Conductance after {pulse} over the word line's voltage, for {len(lines)} voltages of the bit line.",
        columns,
        f"Median and 10 to 90 % of {CELLS} cells drawn from the technology {technology.name}, after {pulse}: the"
        f" word line limits the current, and so the level.{remark}",
        tuple(Series(f"{v_bl:g} V", "word line [V]", f"{v_bl:g} V, median [µS]") for v_bl in lines),
    )


def iv(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw the fitted device through its sweep, over the measured one where there is one."""
    from ....devices.plots import sweep_fit

    measured, where = measured_curve(record)
    v, i = _modelled(record, measured)
    sweep_fit(axes, v, i, measured=None if measured is None else measured[1:])
    columns = {"voltage, model [V]": v, "current, model [A]": i}
    size = {"|current|, model [A]": np.abs(i)}
    series = [Series("model", "voltage, model [V]", "|current|, model [A]")]
    if measured is not None:
        columns |= {"voltage, measured [V]": measured[1], "current, measured [A]": measured[2]}
        size |= {"|current|, measured [A]": np.abs(measured[2])}
        series.append(Series("measured", "voltage, measured [V]", "|current|, measured [A]"))
    facts = record["device"]["provenance"]
    quality = (
        f" NRMSE {facts['nrmse_percent'][0]:.2f} %, {facts['decades'][0]:.3f} decades."
        if "decades" in facts
        else ""
    )
    return Panel(
        "The device in its sweep",
        f"Size of the current on a logarithmic axis over {v.min():.3g} to {v.max():.3g} V, the model {where}.",
        columns | size,
        f"The fitted device at its measured area, {where}.{quality}",
        tuple(series),
    )


def levels(axes: "Axes", record: Mapping[str, Any]) -> Panel:
    """Draw the read I-V of every level."""
    from ....data.shown.pictures import level_scale, shades

    part = record["levels"]
    g = 1e6 * part["g"]
    for i, shade in zip(part["i"], shades(len(g)), strict=True):
        axes.plot(1e3 * part["v"], 1e6 * i, color=shade, lw=1.2)
    level_scale(axes, float(g[0]), float(g[-1]), "conductance of the level [µS]")
    axes.set(xlabel="voltage [mV]", ylabel="current [µA]")
    axes.grid(alpha=0.25)
    named = [f"level {k + 1}: current [µA]" for k in range(len(g))]
    columns = {"voltage [mV]": 1e3 * part["v"]}
    columns |= {name: 1e6 * i for name, i in zip(named, part["i"], strict=True)}
    return Panel(
        f"{len(g)} programmable levels",
        f"{len(g)} curves from the origin, from {g.min():.3g} to {g.max():.3g} microsiemens.",
        columns,
        f"Read I–V of every level in the cell, {g.min():.3g} to {g.max():.3g} µS at"
        f" {1e3 * part['v_read']:g} mV: what the circuit sees, curvature and all.",
        tuple(
            Series(f"{value:.3g} µS", "voltage [mV]", name)
            for value, name in zip(g, named, strict=True)
        ),
    )


def measured_curve(
    record: Mapping[str, Any],
) -> "tuple[tuple[Array, Array, Array] | None, str]":
    """Return time [s], voltage [V] and current [A] of the sweep that the device was fitted to, or
    ``None``, and what to say of it.

    A device of one's own brings its curve along; that of a public dataset is looked up in the data
    cache. Nothing is downloaded for a picture.
    """
    from ....data.catalogue import datasets
    from ....data.importers.sweeps import read_sweep

    facts = record["device"]["provenance"]
    if "measured_v" in facts:
        t, v, i = (np.asarray(facts[f"measured_{key}"], float) for key in "tvi")
        return (t, v, i), "over the measured sweep"
    dataset = datasets().get(facts.get("dataset", ""))
    if dataset is None or not facts.get("data"):
        return None, "alone: its file names no measured sweep"
    paths = [dataset.path(file) for file in dataset.files if file.endswith(facts["data"][0])]
    if not paths or not paths[0].is_file():
        return None, "alone: the measured sweep is not in the data cache (set MEMTWIN_DATA)"
    sweep = read_sweep(paths[0])
    return (sweep.t, sweep.v, sweep.i), "over the measured sweep"


def _modelled(
    record: Mapping[str, Any], measured: "tuple[Array, Array, Array] | None"
) -> "tuple[Array, Array]":
    """Return voltage and current of the fitted device through the measured drive, or one like it."""
    from ....devices.device import Device
    from ....devices.equations.model_file import parse_model_text

    part = record["device"]
    facts = part["provenance"]
    model = parse_model_text(part["model"], "the record's device: model")
    device = Device(part["name"], model, part["parameters"])
    if measured is not None:
        t, v, _ = measured
    else:
        turns = np.array([0.0, facts.get("v_max", 1.0), facts.get("v_min", -1.0), 0.0])
        times = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(turns)))]) / facts.get(
            "sweep_rate", 1.0
        )
        t = np.linspace(0.0, times[-1], 601)
        v = np.interp(t, times, turns)
    trace = device.simulate(t, v, np.ravel(facts.get("x0", 0.5))[0])
    return trace.v, trace.i
