"""The pictures of a report, one function each: axes and a run's record in, a caption out."""

__all__ = ["accuracy", "device_map", "errors", "iv", "levels", "surrogate", "wear", "writes"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ....data.measurement import Sweep


def surrogate(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw held-out currents, surrogate against ngspice."""
    from ....circuits.surrogate.plots import scatter

    part, summary = record["surrogate"], record["summary"]
    scatter(axes, part["spice"], part["predicted"], baseline=part["ideal"])
    return (
        f"{part['spice'].shape[0]} held-out vectors that the fit never saw, every column a point."
        f" NRMSE {summary['surrogate_nrmse_percent']:.4f} %, largest error"
        f" {summary['surrogate_max_error_percent']:.3f} % of full scale, which is each pattern's"
        " largest current in ngspice."
        f" The device law without wires is off by {summary['ideal_nrmse_percent']:.1f} %."
    )


def errors(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw the distribution of the surrogate's errors."""
    from ....circuits.surrogate.plots import error_histogram

    error_histogram(axes, record["surrogate"]["spice"], record["surrogate"]["predicted"])
    # The caption has the figures, relative to each pattern's full scale.
    axes.set_title("")
    return ""


def accuracy(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw test accuracy over the epochs."""
    from .. import plots

    epochs, summary = record["epochs"], record["summary"]
    plots.accuracy(
        axes,
        epochs["float_accuracy"],
        epochs["test_accuracy"],
        spice_accuracy=summary["spice_accuracy"],
        spice_images=summary["spice_images"],
        spice_interval=(summary["spice_accuracy_low"], summary["spice_accuracy_high"]),
        regression="score" in summary,
    )
    return (
        f"{'R²' if 'score' in summary else 'Test accuracy'} after every epoch; the memristor twin is"
        " read through the engine"
        f" {summary['training_engine']}{_after(summary)}."
    )


def _after(summary: Mapping[str, Any]) -> str:
    last = summary["final_engine"]
    return "" if last == summary["training_engine"] else f", after a failed audit {last}"


def writes(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw writes over the epochs, beside the closed loop's."""
    from .. import plots
    from ..record import config_of

    rule = config_of(record)["training"]["rule"]
    plots.writes(
        axes,
        record["epochs"]["writes"],
        record["epochs"]["closed_loop_writes"],
        label={"siamese": "Siamese"}.get(rule, rule) if isinstance(rule, str) else "baseline",
    )
    return (
        "Write operations per epoch, counted per device. The basic closed loop writes every device"
        " after every batch."
    )


def device_map(axes: "Axes", record: Mapping[str, Any], *, what: str, layer: str) -> str:
    """Draw conductances (``g``) or ``writes`` of the devices of one layer."""
    from ..plots import conductance_map, write_map

    draw = conductance_map if what == "g" else write_map
    draw(axes, record["layers"][layer][what], title=layer.replace("_", " "))
    return {
        "g": "Conductance of every device after the last epoch, programming error included.",
        "writes": "How often each device was written in training, its first programming left out.",
    }[what]


def wear(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw how many devices were written how often."""
    from ..plots import write_histogram

    write_histogram(axes, [layer["writes"] for layer in record["layers"].values()])
    return "Writes per device in training, all layers together, the first programming left out."


def iv(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw the fitted device through its sweep, over the measured one where that is cached."""
    from ....devices.plots import sweep_fit

    measured = _measured(record)
    v, i = _modelled(record, measured)
    sweep_fit(axes, v, i, measured=None if measured is None else (measured.v, measured.i))
    facts = record["device"]["provenance"]
    there = (
        "over the measured sweep"
        if measured is not None
        else "alone: the measured sweep is not in the data cache (set MEMTWIN_DATA)"
    )
    quality = (
        f" NRMSE {facts['nrmse_percent'][0]:.2f} %, {facts['decades'][0]:.3f} decades."
        if "decades" in facts
        else ""
    )
    return f"The fitted device at its measured area, {there}.{quality}"


def levels(axes: "Axes", record: Mapping[str, Any]) -> str:
    """Draw the read I-V of every level."""
    import numpy as np
    from matplotlib import colormaps

    part = record["levels"]
    g = 1e6 * part["g"]
    for i, shade in zip(part["i"], np.linspace(0.0, 0.9, len(g)), strict=True):
        axes.plot(part["v"], 1e6 * i, color=colormaps["viridis"](shade), lw=1.2)
    axes.set(xlabel="voltage [V]", ylabel="current [µA]", title=f"{len(g)} programmable levels")
    axes.grid(alpha=0.25)
    return (
        f"Read I–V of every level in the cell, {g.min():.3g} to {g.max():.3g} µS at"
        f" {part['v_read']:g} V. Curvature and all, this is what the circuit sees."
    )


def _measured(record: Mapping[str, Any]) -> "Sweep | None":
    """Return the sweep that the device was fitted to, if it lies in the cache; nothing is downloaded for a picture."""
    from ....data.catalogue import datasets
    from ....data.importers.sweeps import read_sweep

    facts = record["device"]["provenance"]
    dataset = datasets().get(facts.get("dataset", ""))
    if dataset is None or not facts.get("data"):
        return None
    paths = [dataset.path(file) for file in dataset.files if file.endswith(facts["data"][0])]
    return read_sweep(paths[0]) if paths and paths[0].is_file() else None


def _modelled(record: Mapping[str, Any], measured: "Sweep | None") -> tuple[Any, Any]:
    """Return voltage and current of the fitted device through the measured drive, or one like it."""
    import numpy as np

    from ....devices.device import Device
    from ....devices.equations.model_file import parse_model_text

    part = record["device"]
    facts = part["provenance"]
    model = parse_model_text(part["model"], "the record's device: model")
    device = Device(part["name"], model, part["parameters"])
    if measured is not None:
        t, v = measured.t, measured.v
    else:
        turns = np.array([0.0, facts.get("v_max", 1.0), facts.get("v_min", -1.0), 0.0])
        times = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(turns)))]) / facts.get(
            "sweep_rate", 1.0
        )
        t = np.linspace(0.0, times[-1], 601)
        v = np.interp(t, times, turns)
    trace = device.simulate(t, v, np.ravel(facts.get("x0", 0.5))[0])
    return trace.v, trace.i
