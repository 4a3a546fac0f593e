"""``memtwin simulate`` and ``memtwin export``: what a device does, and its text for simulators."""

__all__ = ["export", "simulate"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ....data.errors import InputError
from ... import complete
from ...console import SEED, Json, bar, emit, finite, note, picture, voltage
from ...groups import grouped
from ...settings import Temperature

if TYPE_CHECKING:
    from ....data.types import Array
    from ....devices.device import Device
    from ....devices.dynamics.cycles import BoundedWalk
    from ....devices.dynamics.simulate import Trace

Which = Annotated[
    str,
    typer.Argument(
        help="Shipped device, a device's TOML file, or the record of a fit (.h5).",
        autocompletion=complete.devices,
    ),
]
Area = Annotated[float, typer.Option(help="Area of the device, in areas of the fitted one.")]
Corners = Annotated[
    str | None,
    typer.Option(
        help="Voltages that a triangular sweep from 0 V runs to, as 1,-2 [V]; by default those of"
        " the device's fit."
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(help="|dv/dt| of the sweep [V/s]; by default that of the fit.", callback=finite),
]
Cycles = Annotated[int, typer.Option(help="How often the sweep runs.", min=1)]
Points = Annotated[int, typer.Option(help="Samples of one sweep.", min=3)]
Waveform = Annotated[
    Path | None, typer.Option(help="CSV of times [s] and voltages [V] instead of a sweep.")
]
Pulses = Annotated[
    int,
    typer.Option(help="Instead of a sweep: so many SET pulses, then as many RESET pulses.", min=0),
]
SetPulse = Annotated[
    str | None,
    typer.Option("--set", help="SET pulse as V:WIDTH [V, s]; by default one that suits --pulses."),
]
ResetPulse = Annotated[
    str | None, typer.Option("--reset", help="RESET pulse as V:WIDTH [V, s]; likewise.")
]
ReadAt = Annotated[
    float | None,
    typer.Option(
        "--v-read", help="Read voltage between pulses [V]; 0.05 if not given.", callback=voltage
    ),
]
Start = Annotated[
    float | None, typer.Option(help="State at the start; by default that of the fit, or 0.1.")
]
Devices = Annotated[
    int, typer.Option(help="With --walk: devices that differ, each from cycle to cycle too.", min=1)
]
Walk = Annotated[
    str | None,
    typer.Option(
        help="How parameters differ and walk: 'jart' for that of JART's variable form, or a TOML file"
        " with step and bounds."
    ),
]
Switches = Annotated[
    int,
    typer.Option(
        help="Of a knowm device: so many switches that turn by chance; 0: the mean.", min=0
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the switches, or of the walk.", **SEED)]
Compliance = Annotated[
    str | None,
    typer.Option(
        help="Current limit of the source [A], as 5e-4, or as 5e-4,0.1 for positive and negative"
        " currents; inf: none. By default that of the device's fit."
    ),
]
Csv = Annotated[Path | None, typer.Option(help="Where to write the samples.")]
Plot = Annotated[Path | None, typer.Option(help="Where to draw them.", callback=picture)]


@dataclass(frozen=True)
class Source:
    """What drives the device."""

    sweep: Corners = None
    sweep_rate: Rate = None
    cycles: Cycles = 1
    points: Points = 401
    waveform: Waveform = None
    compliance: Compliance = None
    switches: Switches = 0
    walk: Walk = None
    devices: Devices = 1
    seed: Seed = 0


@dataclass(frozen=True)
class Pulsing:
    """Pulses instead."""

    pulses: Pulses = 0
    set_pulse: SetPulse = None
    reset_pulse: ResetPulse = None
    v_read: ReadAt = None


@dataclass(frozen=True)
class Output:
    """What is written and printed."""

    csv: Csv = None
    plot: Plot = None
    json: Json = False


@grouped
def simulate(
    device: Which,
    source: Source,
    pulsing: Pulsing,
    output: Output,
    x0: Start = None,
    area: Area = 1.0,
    temperature: Temperature = None,
) -> dict[str, Any]:
    """Drive a device with a sweep, a waveform or pulses, and say what it does."""
    chosen = _placed(_load(device).scaled(area), temperature)
    start = _start(chosen, x0)
    if source.devices > 1 and source.walk is None:
        raise InputError("--devices applies to --walk, which says how they differ")
    if pulsing.pulses:
        for name in ("sweep", "sweep_rate", "waveform", "compliance", "switches", "walk"):
            if getattr(source, name):
                raise InputError(f"--{name.replace('_', '-')} does not apply to --pulses")
        columns, summary = _pulsed(chosen, pulsing, start, output.plot)
    else:
        if pulsing.set_pulse or pulsing.reset_pulse:
            raise InputError("--set and --reset apply to --pulses N only")
        driven = _driven if source.walk is None else _walked
        columns, summary = driven(chosen, source, start, output.plot)
    if output.csv is not None:
        _write(columns, output.csv)
    if chosen.caveat:
        note(f"warning: device {chosen.name}: {chosen.caveat}")
    summary = {"device": chosen.name, "x0": start, **summary}
    summary |= {"csv": output.csv, "plot": output.plot}
    emit(summary, as_json=output.json, title=f"{chosen.model.title}: {chosen.name}")
    return summary


def export(
    device: Annotated[
        str,
        typer.Argument(
            help="A device: shipped, a TOML file, or a fit's record (.h5); or the folder of a finished run.",
            autocompletion=complete.devices,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="File to write; without it, stdout. For a run a new folder, NAME-numpy here when absent."
        ),
    ] = None,
    to: Annotated[
        Literal["ngspice", "verilog-a", "ltspice", "xyce", "toml", "json", "numpy"] | None,
        typer.Option(
            help="A subcircuit of a simulator (ngspice when absent), a module with its parameters, or memtwin's"
            " own file; a run's network goes to numpy.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of the subcircuit, module or device.")
    ] = "memristor",
    x0: Annotated[
        float,
        typer.Option(help="State at the start of a subcircuit; an instance may have its own."),
    ] = 0.5,
    state: Annotated[
        float | None,
        typer.Option(help="Freeze the state here: the read law alone, as a subcircuit."),
    ] = None,
    area: Area = 1.0,
    temperature: Temperature = None,
    json: Json = False,
) -> dict[str, Any]:
    """Print a device for other simulators, or as a device file; write a run's network for numpy alone."""
    if Path(device).is_dir() or Path(device).name == "run.h5":
        if temperature is not None:
            raise InputError("--temperature applies to a device, not to a run's network")
        return _run_exported(Path(device), out, to, json)
    if to == "numpy":
        raise InputError(
            f"--to numpy writes the network of a finished run, {device!r} is no run's folder"
        )
    to = to or "ngspice"
    chosen = _placed(_load(device).scaled(area), temperature)
    low, high = chosen.model.state_range
    if not low <= x0 <= high:
        raise InputError(f"--x0 is {x0:g}, expected {low:g} to {high:g}")
    text = chosen.export(out, to=to, name=name, x0=x0, state=state)
    if chosen.caveat:
        note(f"warning: device {chosen.name}: {chosen.caveat}")
    summary = {"device": chosen.name, "format": to, "file": out}
    if json or out is not None:
        emit({**summary, **({} if out else {"text": text})}, as_json=json, title="exported")
    else:
        typer.echo(text, nl=False)
    return {**summary, "text": text}


def _run_exported(run: Path, out: Path | None, to: str | None, json: bool) -> dict[str, Any]:
    """Write a run's network as a folder."""
    from ....training.export.stored import export_run

    if to not in (None, "numpy"):
        raise InputError(f"--to {to} is for devices: a run's network goes to numpy")
    name = (run.parent if run.suffix else run).resolve().name
    folder = export_run(run, out or Path(f"{name}-numpy"))
    files = sorted(path.name for path in folder.iterdir())
    summary = {"run": str(run), "format": "numpy", "folder": str(folder), "files": files}
    emit(summary, as_json=json, title="exported")
    return summary


def _load(name: str) -> "Device":
    from ....devices.device import load_device
    from ....devices.fitting.result import load_fit
    from ....devices.technology.technology import check_device

    check_device(name)
    return load_fit(name).device(Path(name).stem) if name.endswith(".h5") else load_device(name)


def _placed(device: "Device", temperature: float | None) -> "Device":
    return device if temperature is None else device.at(temperature)


def _walk(device: "Device", wanted: str) -> "BoundedWalk":
    from ....data.files import read_toml
    from ....devices.dynamics.cycles import JART_WALK, BoundedWalk

    walk = JART_WALK if wanted == "jart" else BoundedWalk.of(read_toml(Path(wanted)), wanted)
    for name in walk.bounds:
        device.model.parameter(name)
    return walk


def _walked(
    device: "Device", source: Source, x0: float, plot: Path | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the samples of devices that differ and walk, and what to say of their loops."""
    import numpy as np

    from ....devices.dynamics.cycles import simulate_cycles
    from ....devices.plots import cycles_page, write

    for name in ("compliance", "switches"):
        if getattr(source, name):
            raise InputError(f"--{name} does not apply to --walk")
    walk = _walk(device, str(source.walk))
    if source.waveform is not None:
        t, v = _waveform(source.waveform)
    else:
        t, v = _sweep(device, source.sweep, source.sweep_rate, 1, source.points)
    rng = np.random.default_rng(source.seed)
    count = source.devices
    with bar(f"{count} devices, {source.cycles} cycles") as progress:
        traces = simulate_cycles(
            device,
            *(t, v, x0),
            cycles=source.cycles,
            walk=walk,
            count=count,
            rng=rng,
            progress=progress,
        )
    if plot is not None:
        write(cycles_page(traces), plot)
    i, x = (np.stack([getattr(one, name) for one in traces]) for name in ("i", "x"))
    summary: dict[str, Any] = {
        "devices": count,
        "cycles": source.cycles,
        "seconds": float(t[-1] - t[0]) * source.cycles,
        "v_range_volt": [float(v.min()), float(v.max())],
    }
    for name, ends in (("i_max", i.max(axis=2)), ("i_min", i.min(axis=2))):
        summary[f"{name}_ampere"] = float(ends.mean())
        if count > 1:
            summary[f"{name}_between_devices_ampere"] = float(ends.mean(axis=0).std(ddof=1))
        if source.cycles > 1:
            summary[f"{name}_between_cycles_ampere"] = float(
                np.sqrt(ends.var(axis=0, ddof=1).mean())
            )
    at = np.indices(i.shape)
    columns = {
        "cycle": at[0].reshape(-1),
        "device": at[1].reshape(-1),
        "t [s]": np.broadcast_to(t, i.shape).reshape(-1),
        "v [V]": np.broadcast_to(v, i.shape).reshape(-1),
        "i [A]": i.reshape(-1),
        "x": x.reshape(-1),
    }
    return columns, summary


def _start(device: "Device", x0: float | None) -> float:
    low, high = device.model.state_range
    if x0 is None:
        known = device.meta.get("x0")
        x0 = float(known[0]) if isinstance(known, list | tuple) and known else 0.1
    if not low <= x0 <= high:
        raise InputError(f"--x0 is {x0:g}, expected {low:g} to {high:g}")
    return x0


def _sweep(
    device: "Device", corners: str | None, rate: float | None, cycles: int, points: int
) -> "tuple[Array, Array]":
    """Return times and voltages of triangles from 0 V through the corners and back."""
    import numpy as np

    if corners is None:
        ends = [device.meta.get("v_max"), device.meta.get("v_min")]
        turns = [float(end) for end in ends if end is not None and float(end) != 0.0]
    else:
        try:
            turns = [float(word) for word in corners.split(",")]
        except ValueError:
            turns = []
    if not turns or not np.isfinite(turns).all():
        raise InputError(
            f"device {device.name} does not say between which voltages it was measured: give"
            " --sweep, as 1,-1"
            if corners is None
            else f"--sweep {corners!r}: expected voltages, as 1,-2"
        )
    rate = float(device.meta.get("sweep_rate", 1.0)) if rate is None else rate
    if rate <= 0.0:
        raise InputError(f"--sweep-rate is {rate:g} V/s, expected more than 0")
    path = np.array([0.0, *turns * cycles, 0.0])
    path = path[np.concatenate([[True], np.diff(path) != 0.0])]
    knots = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(path)))]) / rate
    if len(knots) < 2:
        raise InputError("the sweep stays at 0 V; give voltages other than 0")
    shares = np.diff(knots) / knots[-1]
    counts = np.maximum(np.rint(shares * cycles * (points - 1)), 1).astype(int)
    legs = [np.linspace(0.0, 1.0, n + 1)[1:] + k for k, n in enumerate(counts)]
    at = np.concatenate([[0.0], *legs])
    places = np.arange(len(knots))
    return np.interp(at, places, knots), np.interp(at, places, path)


def _waveform(path: Path) -> "tuple[Array, Array]":
    from ....circuits.reading.files import read_table

    table = read_table(path)
    if table.shape[1] != 2:
        raise InputError(
            f"{path} has {table.shape[1]} columns, expected times [s] and voltages [V]"
        )
    return table[:, 0], table[:, 1]


def _driven(
    device: "Device", source: Source, x0: float, plot: Path | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the samples under a waveform, and what to say of them."""
    import numpy as np

    from ....devices.dynamics.switches import simulate_switches
    from ....devices.plots import trace_page, write

    if source.waveform is not None:
        t, v = _waveform(source.waveform)
    else:
        t, v = _sweep(device, source.sweep, source.sweep_rate, source.cycles, source.points)
    shipped = source.sweep is None and source.waveform is None
    limits = _limits(device, source.compliance, by_default=shipped)
    trace: Trace
    if source.switches and limits is not None:
        raise InputError("--compliance does not apply to --switches")
    if source.switches:
        rng = np.random.default_rng(source.seed)
        trace = simulate_switches(device, t, v, x0, switches=source.switches, rng=rng)
    else:
        held = None if limits is None else np.where(v >= 0.0, *limits)
        trace = device.simulate(t, v, x0, compliance=held)
    if plot is not None:
        write(trace_page(trace), plot)
    summary = {
        "seconds": float(t[-1] - t[0]),
        "v_range_volt": [float(v.min()), float(v.max())],
        "i_range_ampere": [float(trace.i.min()), float(trace.i.max())],
        "x_range": [float(trace.x.min()), float(trace.x.max())],
        "x_end": float(trace.x[-1]),
        "energy_joule": float(trace.energy),
    }
    columns = {"t [s]": t, "v [V]": trace.v, "i [A]": trace.i, "x": trace.x}
    if limits is not None:
        columns["drive [V]"] = v
        below = np.abs(trace.v) < np.abs(v) * (1.0 - 1e-6)
        summary |= {
            "compliance_ampere": list(limits),
            "held_percent": 100.0 * float(np.mean(below)),
        }
    return columns, summary


def _limits(device: "Device", text: str | None, *, by_default: bool) -> tuple[float, float] | None:
    """Return the source's limits of positive and of negative currents [A], None where it has none."""
    if text is None:
        known = device.meta.get("compliance") if by_default else None
        limits = [float(value) for value in known] if isinstance(known, list | tuple) else []
    else:
        try:
            limits = [float(word) for word in text.split(",")]
        except ValueError:
            limits = []
        if len(limits) not in (1, 2) or not all(limit > 0.0 for limit in limits):
            raise InputError(
                f"--compliance {text!r}: expected a current above 0 A, as 5e-4, or two, for positive"
                " and negative currents, as 5e-4,0.1"
            )
    if not limits or min(limits) == float("inf"):
        return None
    return limits[0], limits[-1]


def _pulsed(
    device: "Device", pulsing: Pulsing, x0: float, plot: Path | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return conductances after each SET and RESET pulse, and what to say of them."""
    import numpy as np
    from matplotlib.figure import Figure

    from ....data.measurement import PulseTrain
    from ....devices.levels import V_READ
    from ....devices.plots import pulse_ramps, write
    from ....devices.pulses.trapezoid import apply_pulse, choose_pulse

    count = pulsing.pulses
    x, states, energies, volts, said = x0, [x0], [0.0], [0.0], {}
    for way, given, (start, end) in (
        ("set", pulsing.set_pulse, (x0, 0.95)),
        ("reset", pulsing.reset_pulse, (0.95, x0)),
    ):
        v, width = _pulse(given, way) if given else (None, None)
        if v is None or width is None:
            pulse = choose_pulse(device, start, end, count=count)
            v, width = pulse.v, pulse.width
        said[way] = {"height_volt": v, "width_seconds": width}
        for _ in range(count):
            done = apply_pulse(device, x, v, width)
            x = float(done.x)
            states.append(x)
            energies.append(float(done.energy))
            volts.append(v)
    v_read = V_READ if pulsing.v_read is None else pulsing.v_read
    g = device.conductance(np.array(states), v_read)
    if plot is not None:
        figure = Figure(figsize=(6.5, 4.5), layout="constrained")
        ramps = np.stack([g[: count + 1], g[count:]])
        pulse_ramps(figure.subplots(), PulseTrain(device.name, ramps))
        write(figure, plot)
    columns = {"pulse": np.arange(len(g)), "v [V]": np.array(volts), "g [S]": g}
    columns |= {"x": np.array(states), "energy [J]": np.array(energies)}
    ends = {
        f"g_{k}_siemens": float(g[at]) for k, at in (("start", 0), ("set", count), ("reset", -1))
    }
    return columns, {"pulses": count, **said, **ends, "energy_joule": float(np.sum(energies))}


def _pulse(text: str, way: str) -> tuple[float, float]:
    try:
        v, width = (float(word) for word in text.split(":"))
    except ValueError:
        raise InputError(f"--{way} {text!r}: expected V:WIDTH, as 1.2:1e-6") from None
    if not width > 0.0 or (v > 0.0) != (way == "set") or v == 0.0:
        raise InputError(
            f"--{way} {text!r}: expected a width above 0 s and a"
            f" {'positive' if way == 'set' else 'negative'} voltage"
        )
    return v, width


def _write(columns: Mapping[str, Any], path: Path) -> None:
    from ....data.files import write_csv

    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    write_csv(path, columns, rows)
