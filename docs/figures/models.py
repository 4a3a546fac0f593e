"""Draw the pictures of docs/models/ and write the tables of its pages.

    python docs/figures/models.py                # pictures, what models cost, tables
    python docs/figures/models.py --tables       # the tables alone; --check: says what differs
    python docs/figures/models.py stanford       # one page's picture

A page has the block ``<!-- model: NAME -->`` ... ``<!-- end of model -->`` for the table of a model's
parameters, what it costs and the works that it is from; each picture is one function here. What
models cost is measured here too and kept in docs/figures/model-costs.json.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from memtwin.data.files import write_figure
from memtwin.data.literature.references import cited
from memtwin.data.shown.pictures import BLUE, GREEN, INK, ORANGE, PINK, RED, SKY, beside
from memtwin.data.shown.quantities import quantity
from memtwin.devices.conduction.laws import LAWS
from memtwin.devices.device import Device, load_device
from memtwin.devices.dynamics.switches import simulate_switches
from memtwin.devices.model import CompactModel
from memtwin.devices.models import models
from memtwin.devices.models.mms import pulse_response
from memtwin.devices.pulses.published import published_responses
from memtwin.devices.pulses.response import load_response
from memtwin.devices.works import model_works

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "models"
IMAGES = ROOT / "docs" / "images" / "models"
COSTS = ROOT / "docs" / "figures" / "model-costs.json"
BLOCK = re.compile(r"(<!-- model: (\w+) -->\n).*?(<!-- end of model -->)", re.DOTALL)


def sine(device: Device, v: float, period: float, x0: float, cycles: int = 1, points: int = 801):
    """Return times, voltages and what the device does under a sine."""
    t = np.linspace(0.0, cycles * period, cycles * (points - 1) + 1)
    drive = v * np.sin(2 * np.pi * t / period)
    return t, drive, device.simulate(t, drive, x0)


def pair(title: str) -> tuple[Figure, list]:
    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure, list(figure.subplots(1, 2))


def labelled(axes, x: str, y: str, *, log: bool = False) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    if log:
        axes.set_yscale("log")


def vteam() -> Figure:
    """The pinched loop, and the closed form at constant voltage."""
    figure, (left, right) = pair("VTEAM, the set of the ASIC2 and MemTorch codes")
    device = load_device("vteam_asic2")
    period = float(device.meta["drive_period"])
    for times, colour in ((1, RED), (4, BLUE)):
        _, v, trace = sine(device, float(device.meta["drive_v"]), period / times, 0.1, 2)
        left.plot(v, 1e3 * trace.i, color=colour, label=quantity(times / period, "Hz"))
    labelled(left, "voltage [V]", "current [mA]")
    beside(left, 4)
    p = device.parameters
    rate = p["k_set"] * (0.3 / p["v_set"] - 1.0) ** p["a_set"]
    t = np.linspace(0.0, 3.0 / rate, 200)
    trace = device.simulate(t, np.full(200, 0.3), 0.0)
    right.plot(1e9 * t, trace.x, color=RED, label="simulated")
    right.plot(
        1e9 * t[::10], np.tanh(rate * t[::10]), "o", color=INK, ms=4, label="closed form, tanh"
    )
    labelled(right, "time at 0.3 V [ns]", "state")
    beside(right, 4)
    return figure


def yakopcic() -> Figure:
    """The chalcogenide device of Oblea et al. under 100 Hz: 3.42 mA at the peak."""
    figure, (left, right) = pair("Yakopcic 2013: device of Oblea et al., 0.45 V at 100 Hz")
    t, v, trace = sine(load_device("yakopcic_oblea"), 0.45, 0.01, 0.11, 3)
    left.plot(v, 1e3 * trace.i, color=RED)
    left.axhline(3.4226, color=INK, lw=0.8, ls=":", label="published peak, 3.4226 mA")
    labelled(left, "voltage [V]", "current [mA]")
    beside(left, 4)
    right.plot(1e3 * t, trace.x, color=BLUE)
    labelled(right, "time [ms]", "state")
    return figure


def yakopcic2020() -> Figure:
    """Nb:SrTiO3 of Tiotto et al.: two branches that rectify."""
    figure, (left, right) = pair("Yakopcic 2020: Nb:SrTiO3 of Tiotto et al. 2021")
    device = load_device("yakopcic2020_nbsto_tiotto")
    t = np.linspace(0.0, 60.0, 1201)
    v = np.interp(t, [0.0, 10.0, 40.0, 60.0], [0.0, 1.0, -2.0, 0.0])
    trace = device.simulate(t, v, 0.0)
    left.plot(v, np.abs(trace.i), color=RED)
    labelled(left, "voltage [V]", "|current| [A]", log=True)
    right.plot(t, trace.x, color=BLUE)
    labelled(right, "time [s]", "state")
    return figure


def stanford() -> Figure:
    """A DC loop of 1 s: published are SET at 1.4 V, where the field reaches F_min, RESET at -1.05 V."""
    figure, (left, right) = pair("Stanford-PKU, defaults of the published Verilog-A: a loop of 1 s")
    shipped = load_device("stanford_hfox")
    sharp = replace(shipped, parameters={**shipped.parameters, "smooth": 0.002})
    t = np.linspace(0.0, 1.0, 2001)
    v = np.interp(t, [0.0, 0.25, 0.75, 1.0], [0.0, 1.6, -1.6, 0.0])
    p = shipped.parameters
    for device, colour in ((shipped, BLUE), (sharp, RED)):
        trace = device.simulate(t, v, 0.0)
        text = f"smooth = {device.parameters['smooth']:g}"
        left.plot(v, np.abs(trace.i) + 1e-9, color=colour, label=text)
        right.plot(v, p["gap_max"] - trace.x * (p["gap_max"] - p["gap_min"]), color=colour)
    for at in (1.4, -1.05):
        left.axvline(at, color=INK, lw=0.8, ls=":")
    labelled(left, "voltage [V]", "|current| [A]", log=True)
    beside(left, 2)
    labelled(right, "voltage [V]", "gap [nm]")
    return figure


def mms() -> Figure:
    """Resistance at constant voltages, simulated and after equations 9 and 10."""
    figure, (left, right) = pair(
        "MMS, TiOx device 1 of Messaris et al.: resistance at constant voltage (dots: closed form)"
    )
    device = load_device("mms_tiox")
    p = device.parameters
    span = p["r_max"] - p["r_min"]
    t = np.linspace(0.0, 1.0, 201)
    for axes, start, volts in (
        (left, 5690.0, (1.6, 1.8, 2.0)),
        (right, 4660.0, (-1.6, -1.8, -2.0)),
    ):
        for v, colour in zip(volts, (BLUE, INK, RED), strict=True):
            x0 = (p["r_max"] - start) / span
            trace = device.simulate(t, np.full(t.size, v), x0)
            axes.plot(t, p["r_max"] - trace.x * span, color=colour, label=f"{v:g} V")
            exact = p["r_max"] - pulse_response(p, x0, v, t[::20]) * span
            axes.plot(t[::20], exact, "o", color=colour, ms=4)
        labelled(axes, "time [s]", "resistance [ohm]")
        beside(axes, 3)
    return figure


def knowm() -> Figure:
    """The mean of many metastable switches, and few of them one by one."""
    figure, (left, right) = pair(
        "Metastable switches: AgInSbTe device of Nugent and Molter, 100 Hz"
    )
    device = load_device("knowm_nugent")
    t, v, trace = sine(device, 0.5, 0.01, 0.2, 2)
    left.plot(v, 1e3 * trace.i, color=RED)
    labelled(left, "voltage [V]", "current [mA]")
    for count, colour in ((20, BLUE), (1000, INK)):
        rng = np.random.default_rng(0)
        some = simulate_switches(device, t, v, 0.2, switches=count, rng=rng)
        right.plot(1e3 * t, some.x, color=colour, lw=0.9, label=f"{count} switches")
    right.plot(1e3 * t, trace.x, color=RED, label="mean")
    labelled(right, "time [ms]", "share that is on")
    beside(right, 4)
    return figure


def drift() -> Figure:
    """The double loop of Strukov et al. 2008, which closes at ten times the frequency."""
    figure, (left, right) = pair("Linear ion drift: pinched loops, and windows")
    # Strukov et al., figure 2b: r_off/r_on = 160, and w_0 = 2 pi mu v_0/d² with v_0 = 1 V.
    device = Device("strukov", models["drift_joglekar"], {"r_on": 100.0, "r_off": 16e3, "p": 10.0})
    p = device.parameters
    period = p["d"] ** 2 / (p["mu"] * 1.0) * 500.0
    for times, colour in ((1, RED), (10, BLUE)):
        _, v, trace = sine(device, 1.0, period / times, 0.1, 2)
        left.plot(v, 1e3 * trace.i, color=colour, label=f"{times} ω")
    labelled(left, "voltage [V]", "current [mA]")
    beside(left, 4)
    x = np.linspace(0.0, 1.0, 201)
    for name, colour in (
        ("joglekar", RED),
        ("biolek", BLUE),
        ("prodromakis", INK),
        ("zha", GREEN),
    ):
        model = models[f"drift_{name}"]
        rate = model.rate(1.0, x, {"p": 2.0})
        plain = model.current(1.0, x, {}) * model.defaults["mu"] * model.defaults["r_on"]
        right.plot(x, rate / plain * model.defaults["d"] ** 2, color=colour, label=name)
    labelled(right, "state", "window, v > 0, p = 2")
    beside(right, 4)
    return figure


def static() -> Figure:
    """Read laws without dynamics."""
    figure, (left, right) = pair("Devices without dynamics")
    v, u = np.linspace(-1.0, 1.0, 201), np.linspace(-1.0, 1.0, 200)
    for name, colour in (("resistor", INK), ("sinh", RED)):
        left.plot(v, 1e6 * models[name].current(v, 1e-5, {}), color=colour, label=name)
    labelled(left, "voltage [V]", "current [µA]")
    beside(left, 4)
    for g, colour in ((1e-6, BLUE), (1e-5, INK), (1e-4, RED)):
        i = models["sinh_state"].current(u, g, {})
        right.plot(u, i / (g * u), color=colour, label=quantity(g, "S"))
    labelled(right, "voltage [V]", "sinh_state: current over g v")
    right.set_ylim(0.0, 10.0)
    beside(right, 3)
    return figure


def conduction() -> Figure:
    """All laws at 300 and 350 K, and Schottky's plot of barriers."""
    figure, (left, right) = pair("Conduction laws at 300 K (lines) and 350 K (dashed)")
    v = np.linspace(0.02, 2.0, 200)
    shades = (INK, RED, BLUE, GREEN, ORANGE, PINK, SKY)
    for name, colour in zip(LAWS, shades, strict=True):
        model = models[f"conduction_{name}"]
        reference = float(model.current(1.0, 1.0, {}))
        for kelvin, style in ((300.0, "-"), (350.0, "--")):
            i = model.current(v, 1.0, {"temperature": kelvin}) / reference
            label = name if kelvin == 300.0 else None
            left.plot(v, i, style, color=colour, lw=1.2, label=label)
    left.set_ylim(1e-4, 1e4)
    labelled(left, "voltage [V]", "current over that at 1 V and 300 K", log=True)
    beside(left, 3)
    inverse = np.linspace(2.2, 3.4, 50)
    for volts, colour in ((0.5, BLUE), (1.0, INK), (2.0, RED)):
        kelvin = 1e3 / inverse
        i = models["conduction_schottky"].current(volts, 1.0, {"temperature": kelvin})
        right.plot(inverse, i / kelvin**2, color=colour, label=f"{volts:g} V")
    labelled(right, "1000 K / T", "Schottky: current / T² [A/K²]", log=True)
    beside(right, 4)
    return figure


def jart() -> Figure:
    """SET time against voltage over nine decades, and a loop."""
    figure, (left, right) = pair("JART VCM v1b: the published set (positive voltage sets here)")
    device = load_device("jart_bengel2020")
    x = np.linspace(0.0, 0.5, 401)
    volts = np.linspace(0.5, 1.1, 25)
    rates = device.model.rate(volts[:, None], x, device.parameters)
    left.plot(volts, np.trapezoid(1.0 / rates, x, axis=1), color=RED)
    labelled(left, "voltage [V]", "time from HRS to x = 1/2 [s]", log=True)
    t = np.linspace(0.0, 4.0, 401)
    v = np.interp(t, [0.0, 1.0, 3.0, 4.0], [0.0, 1.5, -1.5, 0.0])
    trace = device.simulate(t, v, 0.0, rtol=1e-4, atol=1e-6)
    right.plot(v, np.abs(trace.i) + 1e-9, color=BLUE)
    labelled(right, "voltage [V]", "|current| [A]", log=True)
    return figure


def memdiode() -> Figure:
    """A loop of the oxidised cell, and its state."""
    figure, (left, right) = pair("Dynamic memdiode: oxidised cell of the public netlists")
    device = load_device("memdiode_oxidation")
    _, v, trace = sine(device, 2.2, 1.0, 0.05, 2, 401)
    left.plot(v, np.abs(trace.i) + 1e-9, color=RED)
    labelled(left, "voltage [V]", "|current| [A]", log=True)
    right.plot(v, trace.x, color=BLUE)
    labelled(right, "voltage [V]", "state")
    return figure


def pcm() -> Figure:
    """Resistance after one pulse against its height: crystallised, then molten."""
    figure, (left, right) = pair("Phase-change memory: one pulse of 100 ns and 1 µs")
    device = load_device("pcm_mushroom")
    volts = np.linspace(0.3, 1.6, 80)
    for span, colour in ((1e-7, BLUE), (1e-6, RED)):
        t = np.array([0.0, 0.02, 1.0, 1.02]) * span
        wave = volts[:, None] * np.array([0.0, 1.0, 1.0, 0.0])
        for start, style in ((0.0, "-"), (1.0, "--")):
            x = device.simulate(t, wave, start).x[:, -1]
            label = f"{quantity(span, 's')}, {'from LRS' if start else 'from HRS'}"
            left.plot(volts, 0.05 / device.current(0.05, x), style, color=colour, label=label)
    labelled(left, "pulse height [V]", "resistance at 50 mV [ohm]", log=True)
    beside(left, 2)
    v = np.linspace(0.0, 1.2, 200)
    for x, colour in ((0.0, BLUE), (0.5, INK), (1.0, RED)):
        right.plot(v, device.current(v, x) + 1e-10, color=colour, label=f"x = {x:g}")
    labelled(right, "voltage [V]", "current [A]", log=True)
    beside(right, 4)
    return figure


def volatile() -> Figure:
    """On above the threshold, off again by itself."""
    figure, (left, right) = pair("Volatile threshold switch")
    device = load_device("volatile_diffusive")
    _, v, trace = sine(device, 0.6, 0.05, 0.0)
    left.plot(v, np.abs(trace.i) + 1e-13, color=RED)
    labelled(left, "voltage [V]", "|current| [A]", log=True)
    t = np.linspace(0.0, 0.01, 501)
    pulse = np.where((t > 1e-3) & (t < 2e-3), 0.6, 0.0)
    trace = device.simulate(t, pulse, 0.0)
    right.plot(1e3 * t, trace.x, color=BLUE, label="state")
    right.plot(1e3 * t, pulse, color=INK, lw=0.8, ls=":", label="voltage [V]")
    labelled(right, "time [ms]", "")
    beside(right, 4)
    return figure


def pulses() -> Figure:
    """Published responses, up and down, with what devices and pulses scatter."""
    figure = Figure(figsize=(9.5, 3.0), layout="constrained")
    figure.suptitle(
        "Published responses to identical pulses: means, and 90 % of ramps", fontsize=10
    )
    for axes, name in zip(figure.subplots(1, 4), published_responses(), strict=True):
        response = load_response(name)
        scale = 1e6 if response.unit == "S" else 1.0
        for side, colour in zip(response.sides.values(), (RED, BLUE), strict=False):
            n = np.linspace(0.0, side.pulses, 60)
            low, high = side.band(n, 0, np.random.default_rng(0), count=400)
            axes.fill_between(n, scale * low, scale * high, color=colour, alpha=0.25, lw=0)
            axes.plot(n, scale * side.mean(n), color=colour, lw=1.2)
        labelled(axes, "pulses", "conductance " + ("[µS]" if response.unit == "S" else "[share]"))
        axes.set_title(name, fontsize=9)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    each.__name__: each
    for each in (
        vteam,
        yakopcic,
        yakopcic2020,
        stanford,
        mms,
        knowm,
        drift,
        static,
        conduction,
        jart,
        memdiode,
        pcm,
        volatile,
        pulses,
    )
}


def costs(name: str) -> dict[str, float]:
    """Return CPU time of a simulated sweep of 600 samples: of each of 1,000 devices, and of one."""
    device = next(
        (one for one in map(load_device, _shipped()) if one.model.name == name),
        Device(name, models[name]),
    )
    v = float(device.meta.get("drive_v", device.meta.get("v_max", 1.0)))
    period = float(device.meta.get("drive_period", 1.0))
    t = np.linspace(0.0, period, 600)
    drive = v * np.sin(2 * np.pi * t / period)
    device.simulate(t, drive, 0.1)  # compiles
    found = {}
    for count in (1, 1000):
        began = time.process_time()
        device.simulate(t, np.broadcast_to(drive, (count, 600)), np.full(count, 0.1))
        found[str(count)] = 1e3 * (time.process_time() - began) / count
    return found


def _shipped() -> list[str]:
    from memtwin.devices.device_file import shipped_devices

    return shipped_devices()


def table(name: str, spent: dict[str, dict[str, float]]) -> str:
    """Return a model's parameters, costs and works as Markdown."""
    model: CompactModel = models[name]
    lines = ["| parameter | unit | default | bounds | meaning |", "|---|---|---|---|---|"]
    for row in model.parameters:
        kind = ", ".join(w for w, on in (("log", row.log), ("fixed", row.fixed)) if on)
        bounds = f"{row.lower:g} to {row.upper:g}" + (f" ({kind})" if kind else "")
        meaning = row.meaning.replace("|", "\\|")
        lines.append(f"| `{row.name}` | {row.unit} | {row.default:.6g} | {bounds} | {meaning} |")
    if name in spent:
        one, many = spent[name]["1"], spent[name]["1000"]
        lines += [
            "",
            f"A sweep of 600 samples takes {one:.2g} ms of CPU for one device and {many:.2g} ms for each"
            " of 1,000 that march together (numpy, one core, equations compiled before).",
        ]
    works = cited(model_works(model))
    lines += ["", *(f"- {one.reference.text}" for one in works)] if works else []
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """Return a page with its tables written anew."""
    spent = json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.is_file() else {}
    return BLOCK.sub(lambda found: found[1] + table(found[2], spent) + found[3], text)


def paged() -> list[str]:
    """Return the models that have a block on some page."""
    return [
        found[2]
        for page in sorted(PAGES.glob("*.md"))
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", help=f"some of {', '.join(PICTURES)}; default: all")
    parser.add_argument("--tables", action="store_true", help="write the tables alone")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; 1 if a page is behind"
    )
    options = parser.parse_args()
    if not (options.tables or options.check):
        IMAGES.mkdir(parents=True, exist_ok=True)
        for name in options.pictures or PICTURES:
            print(write_figure(PICTURES[name](), IMAGES / f"{name}.png", dpi=110), flush=True)
        known = json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.is_file() else {}
        for name in paged():
            if models[name].rate_expr is not None and (not options.pictures or name not in known):
                known[name] = costs(name)
                print(f"{name}: {known[name]}", flush=True)
        COSTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    behind = []
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = filled(text)
        if fresh != text:
            behind.append(page.name)
            if not options.check:
                page.write_text(fresh, encoding="utf-8")
    print("behind: " + ", ".join(behind) if behind else "all pages are as the models say")
    return int(options.check and bool(behind))


if __name__ == "__main__":
    sys.exit(main())
