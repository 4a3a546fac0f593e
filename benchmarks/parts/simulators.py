"""One device in a simulator beside numpy: as B-sources in ngspice at default and at tight options, and compiled."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import call
from memtwin.circuits.osdi.compiler import compiler, library_of
from memtwin.devices.device import Device, load_device
from memtwin.devices.printing import ngspice as spice
from memtwin.devices.printing.verilog_a import module

TIGHTER = {
    "drift_joglekar_yakopcic": "1e-9",
    "jart_bengel2020": "1e-9",
    "jart_explicit_ntinas": "1e-9",
    "pcm_mushroom": "1e-8",
    "stanford_hfox": "1e-8",
}
"""``reltol`` of devices that run away while they switch; 1e-7 for all others."""

TIGHTEST = dict.fromkeys(TIGHTER, "1e-9")
"""The same for compiled ones; 1e-6 for all others."""


def driven(name: str) -> tuple[Device, float, float, float]:
    """Return a shipped device, the peak of its sine [V], its period [s], and the state at its begin."""
    device = load_device(name)
    meta = device.meta
    if "drive_v" in meta:
        return device, float(meta["drive_v"]), float(meta["drive_period"]), float(meta["x0"])
    return device.scaled(1e-2), -float(meta.get("v_min", -1.0)), 30.0, 0.2


def at_defaults(name: str, points: int = 1000) -> tuple[float, float]:
    """Return the largest error of a sine without ``.options``, of the peak: as it is, and where edges
    may come a printed step early or late.
    """
    device, v, period, x0 = driven(name)
    step = period / points
    deck = "\n".join(
        [
            "one device",
            f"V1 a 0 SIN(0 {v!r} {1 / period!r})",
            f"X1 a 0 state cell x0={x0!r}",
            spice.subcircuit(device, "cell") + ".end",
        ]
    )
    run = Step(f"tran {step!r} {period!r} uic", ("time", "i(v1)"))
    times, current = call(Job(deck, (run,))).values[0].T
    t = np.union1d(times, np.linspace(0.0, period, 4001))
    trace = device.simulate(t, v * np.sin(2 * np.pi * t / period), x0)
    return tuple(off(trace.i, t, times, -current, late) for late in (0.0, step))  # type: ignore[return-value]


def off(i: np.ndarray, t: np.ndarray, times: np.ndarray, found: np.ndarray, late: float) -> float:
    """Return how far currents ``found`` at ``times`` are from i at t, of its peak, where edges may be
    early or ``late``.
    """
    first = np.searchsorted(t, times - late)
    last = np.searchsorted(t, times + late, side="right")
    spans = [i[a:b] for a, b in zip(first, last, strict=True)]
    low, high = np.array([(span.min(), span.max()) for span in spans]).T
    return float(np.maximum(low - found, found - high).max() / np.abs(i).max())


def tight(name: str, kind: str) -> float:
    """Return the largest error at tight options, of the peak, under a ``sine`` or ``pulses``."""
    device, peak, period, x0 = driven(name)
    t, v = waveform(kind, peak, period)
    return at_tight(device, t, v, x0, TIGHTER.get(name, "1e-7"))


def at_tight(device: Device, t: np.ndarray, v: np.ndarray, x0: float, reltol: str) -> float:
    """Return the largest error at tight options, of the peak, at the simulator's times nearest to t."""
    points = " ".join(f"{a!r} {b!r}" for a, b in zip(t.tolist(), v.tolist(), strict=True))
    deck = "\n".join(
        [
            "one device",
            f".options {spice.TIGHT.replace('reltol=1e-7', f'reltol={reltol}')}",
            spice.subcircuit(device, "cell", x0=x0),
            f"V1 a 0 PWL({points})",
            "X1 a 0 x cell",
            ".end",
        ]
    )
    limit = t[-1] / 1000
    step = Step(f"tran {limit} {t[-1]} 0 {limit} uic", ("time", "i(v1)"))
    times, current = call(Job(deck, (step,))).values[0].T
    near = np.unique(np.abs(times - t[:, None]).argmin(axis=1))
    times, current = times[near], -current[near]
    grid = np.union1d(t, times)
    trace = device.simulate(grid, np.interp(grid, t, v), x0, rtol=1e-7, atol=1e-10)
    expected = trace.i[np.searchsorted(grid, times)]
    return float(np.abs(current - expected).max() / np.abs(expected).max())


def waveform(kind: str, v: float, period: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times and voltages of a sine, a triangle, or three pulses of each polarity."""
    if kind == "sine":
        s = np.linspace(0.0, 1.0, 401)
        return s * period, v * np.sin(2 * np.pi * s)
    if kind == "triangle":
        s = np.linspace(0.0, 1.0, 201)
        return s * period, v * np.interp(s, [0, 0.25, 0.75, 1], [0, 1, -1, 0])
    steps, levels = [0.0], [0.0]
    for sign in (1, 1, 1, -1, -1, -1):
        steps += [0.06, *[0.1] * 6, 0.06, 0.24]
        levels += [sign] * 7 + [0.0] * 2
    t = np.cumsum(steps)
    return t / t[-1] * period, v * np.array(levels)


def compiled_runs() -> str:
    """Return why no compiled device can run here; empty if one can."""
    program = shutil.which("ngspice")
    if program is None:
        return "no program ngspice"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
    version = re.search(r"ngspice-(\d+)", said)
    if version is None or int(version[1]) < 44:
        return "the program ngspice is older than 44"
    return "" if compiler() is not None else "no Verilog-A compiler"


def compiled(name: str, late: float = 0.1) -> tuple[float, float]:
    """Return the largest error of a device compiled from its Verilog-A, of the peak, under a sine: as it is, and where
    edges may come a share ``late`` of a printed step early or late.
    """
    device, v, period, x0 = driven(name)
    library = library_of(module(device.model, "measured", values=device.parameters))
    step = period / 2000
    with tempfile.TemporaryDirectory() as folder:
        out, deck = Path(folder, "out.txt"), Path(folder, "deck.cir")
        deck.write_text(
            f"""compiled device
.control
pre_osdi {library}
set wr_singlescale
set numdgt=15
run
wrdata {out} i(v1)
.endc
.options reltol={TIGHTEST.get(name, "1e-6")} abstol=1e-15 vntol=1e-12 chgtol=1e-18 trtol=1
.model card measured x0={x0!r}
V1 a 0 SIN(0 {v!r} {1 / period!r})
N1 a 0 card area={device.area!r}
.tran {step!r} {period!r} 0 {step!r}
.end
""",
            encoding="utf-8",
        )
        subprocess.run(["ngspice", "-b", str(deck)], check=True, capture_output=True, timeout=300)
        times, current = np.loadtxt(out).T
    t = np.union1d(times, np.linspace(0.0, period, 20001))
    trace = device.simulate(t, v * np.sin(2 * np.pi * t / period), x0, rtol=1e-7, atol=1e-10)
    return tuple(off(trace.i, t, times, -current, early) for early in (0.0, late * step))  # type: ignore[return-value]
