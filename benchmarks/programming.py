"""Writing in ngspice against the vectorised writer, and what write-verify reaches, with their bars.

    python benchmarks/programming.py                     # a table
    python benchmarks/programming.py --json              # one JSON object
    python benchmarks/programming.py --only agreement    # some of them
    python benchmarks/programming.py --plot tile.png     # and a picture of the tile that was written

Devices: a VTEAM device with thresholds at 1 V, and the shipped Nb:SrTiO3 device (Yakopcic with series
resistance) at a thousandth of its area, which a tile's wires can write. Times are CPU seconds.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from parts.selective import selective
from table import Row, add_options, at_least, at_most, publish

from memtwin.circuits.array.cell import Access, Cell, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.ngspice.engine import Spice
from memtwin.circuits.programming.array import ArrayOutcome, ArrayStep, program_array, replay
from memtwin.circuits.programming.array_ngspice import WriteSpice
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.design import VoltageRange, design_recipe
from memtwin.circuits.programming.plots import array_map
from memtwin.circuits.programming.population import Population, spread_from_fit
from memtwin.circuits.programming.reads import VerifyReads
from memtwin.circuits.programming.verify import write
from memtwin.data.dataset import load_data
from memtwin.data.files import write_figure
from memtwin.devices.device import Device, Levels, load_device
from memtwin.devices.models import models
from memtwin.training.network import mlp
from memtwin.training.rules.quantise import Coding, Uniform, pair
from memtwin.training.trainer.loop import train_float
from memtwin.training.trainer.options import TrainOptions

V_READ, EDGE = 0.2, 0.04
SCHEMES: dict[str, tuple[str, Access | None]] = {
    "1R": ("half", None),
    "1T1R": ("gate", Transistor(v_gate=4.0)),
}


def devices() -> dict[str, tuple[Device, float, float, float]]:
    """Return devices with a SET and a RESET amplitude [V] and a width [s]."""
    vteam = {"r_on": 1e4, "r_off": 1e5, "v_set": 1.0, "v_reset": 1.0, "k_set": 1e7, "k_reset": 1e7}
    return {
        "VTEAM": (Device("vteam", models["vteam"], vteam), 1.7, -1.7, 1e-7),
        "Yakopcic": (load_device("nbsto_32um").scaled(1e-3), 0.95, -1.95, 0.3),
    }


def sequence(n: int, count: int, up: float, down: float, width: float) -> list[ArrayStep]:
    """Return pulses of both polarities on random rows, several cells at a time."""
    rng = np.random.default_rng(5)
    steps = []
    for k in range(count):
        chosen = rng.random(n) < 0.3
        chosen[rng.integers(n)] = True
        peak = down if k % 2 else up
        amplitude = np.where(chosen, peak * rng.uniform(0.85, 1.0, n), 0.0)
        steps.append(ArrayStep(int(rng.integers(n)), amplitude, width, np.ones((n, n)), None))
    return steps


def agreement() -> Iterator[Row]:
    for n, count in ((16, 8), (32, 3)):
        for name in devices():
            for kind in SCHEMES:
                yield from agreement_of(n, count, name, kind)


def agreement_of(n: int, count: int, name: str, kind: str) -> Iterator[Row]:
    device, up, down, width = devices()[name]
    scheme, access = SCHEMES[kind]
    x = np.random.default_rng(0).uniform(0.1, 0.8, (n, n))
    tile = Tile(n, n, cell=Cell(device, V_READ, access))
    steps = sequence(n, count, up, down, width)
    exact = replay(WriteArray(tile, scheme), x, steps, EDGE)
    states, energies = [], []
    for one, two in zip(exact, replay(WriteSpice(tile, scheme), x, steps, EDGE), strict=True):
        g, h = (device.conductance(done.x, V_READ) for done in (one, two))
        states += [np.abs(two.x / one.x - 1.0).max(), np.abs(h / g - 1.0).max()]
        energies.append(abs(two.energy.sum() / one.energy.sum() - 1.0))
        energies.append(abs(two.source_energy / one.source_energy - 1.0))
    worst, energy = float(max(states)), float(max(energies))
    moved = float(np.abs(one.x - x).max())
    label = f"{n}x{n} {kind} {name}"
    yield at_most(
        f"{label}: x and g after each of {count} pulses",
        worst,
        "",
        2e-4,
        f"largest change of a state {moved:.2f}",
    )
    yield at_most(f"{label}: energy, device and source side", 100 * energy, "%", 1)


def active() -> Iterator[Row]:
    for n in (16, 32):
        for name, (device, up, _, width) in devices().items():
            tile = Tile(n, n, cell=Cell(device, V_READ))
            x = np.random.default_rng(0).uniform(0.1, 0.8, (n, n))
            amplitude = np.zeros(n)
            amplitude[n // 2] = up
            ours, full = WriteSpice(tile, "half"), WriteSpice(tile, "half", full=True)
            one, two = (
                writer.pulse(x, n // 3, amplitude, width, EDGE, np.ones((n, n)))
                for writer in (ours, full)
            )
            worst = float(np.abs(one.x / two.x - 1.0).max())
            label = f"{n}x{n} 1R {name}: active set against full transient"
            yield at_most(label, worst, "", 2e-4, f"{ours.dynamic} dynamic")
            ratio = full.seconds / ours.seconds
            bar = n < 32 or ratio >= 4.0
            yield Row(f"{label}, speed", ratio, "x", ">= 4" if n >= 32 else "", bar)
            yield Row(
                f"{n}x{n} 1R {name}: one pulse in ngspice",
                ours.seconds,
                "s",
                "<= 0.5" if n >= 32 else "",
                n < 32 or ours.seconds <= 0.5,
            )


@cache
def levels(device_name: str, count: int = 16) -> Levels:
    device = load_device(device_name)
    low, high = device.conductance([device.meta["x_min"], device.meta["x_max"]], V_READ)
    return device.levels(count, V_READ, g_min=low, g_max=high)


def population() -> Iterator[Row]:
    n = 10_000
    grid = levels("nbsto_32um")
    recipe = design_recipe(grid, margin=1.2)
    rng = np.random.default_rng(0)
    spread = spread_from_fit(grid.device, c2c=0.05, read=0.003)
    a, b = rng.integers(0, grid.count, (2, n))
    devices = Population.sample(grid.device, n, spread, rng)
    x = devices.states(grid.g[a], V_READ)
    began = time.process_time()
    outcome = write(devices, x, grid.g[b], recipe, rng)
    seconds = time.process_time() - began
    figures = outcome.summary()
    yield at_least(
        f"{n} devices, 16 levels, within 1/4 step, nbsto_32um",
        100 * outcome.success,
        "%",
        99.5,
        f"{figures['pulses_mean']:.1f} pulses, {figures['time_mean_seconds']:.2g} s and"
        f" {figures['energy_mean_joule']:.2g} J per write;"
        f" {figures['out_of_own_range']:.0f} targets beyond their device",
    )
    yield at_most(f"{n} devices written once, one thread", seconds, "s", 20)


def trained_levels(count: int) -> np.ndarray:
    """Return a 16 x 16 block of levels: 16 hidden units' weights to 8 digits, as column pairs."""
    options = TrainOptions(epochs=5, learning_rate=0.1)
    last = train_float(mlp(64, 32, 10), load_data("digits"), options).weights[-1][:16, :8]
    codes = Coding(Uniform(count), 0.6 * float(np.abs(last).max())).codes(last)
    block = np.empty((16, 16), int)
    block[:, 0::2], block[:, 1::2] = pair(codes)
    return block


def tile(plot: Path | None = None) -> Iterator[Row]:
    vteam, fitted = (device for device, *_ in devices().values())
    yield from tile_of(vteam, VoltageRange(-1.9, 1.9, "benchmark"), None)
    yield from tile_of(fitted, None, plot)


def tile_of(device: Device, limits: VoltageRange | None, plot: Path | None) -> Iterator[Row]:
    low, high = device.conductance([0.08, 0.8], V_READ)
    grid = device.levels(16, V_READ, g_min=low, g_max=high)
    recipe = design_recipe(grid, limits=limits)
    tile = Tile(16, 16, cell=Cell(device, V_READ))
    target = grid.g[trained_levels(16)]
    spice = WriteSpice(tile, "half")
    predicted, achieved = (
        program_array(writer, grid.x[0], target, recipe, np.random.default_rng(0), passes=2)
        for writer in (WriteArray(tile, "half"), spice)
    )
    pulses = int(achieved.pulses.sum())
    yield at_least(
        f"16x16 trained pattern in ngspice, {device.name}: cells within 1/4 step",
        100 * achieved.success,
        "%",
        99.5,
        f"{pulses} cell pulses, {spice.seconds:.0f} s of ngspice, {achieved.passes} passes",
    )
    error = float(np.abs(achieved.error).max() / grid.step)
    yield at_most("  worst error of a cell, in level steps", error, "", 0.25)
    apart = float(np.abs(achieved.g / predicted.g - 1.0).max())
    same = np.array_equal(achieved.pulses, predicted.pulses)
    yield at_most(
        "  conductances, ngspice against vectorised",
        apart,
        "",
        1e-3,
        f"pulse counts {'equal' if same else 'differ'}",
    )
    energy = abs(achieved.source_energy / predicted.source_energy - 1.0)
    yield at_most("  energy of the whole write", 100 * energy, "%", 1)
    disturb = float(np.abs(achieved.disturb).max() / grid.step)
    yield Row("  largest half-select disturb, in level steps", disturb, "", "", None, "V/2 scheme")
    v = np.random.default_rng(1).uniform(0.0, V_READ, (20, 16))
    engines = (Spice(tile), achieved.g), (Nodal(tile), predicted.g), (Nodal(tile), achieved.target)
    currents = [engine.program(g).read(v) for engine, g in engines]
    full = np.abs(currents[1]).max()
    off, wrong = (float(np.abs(currents[0] - other).max() / full) for other in currents[1:])
    yield at_most("  read back: ngspice against vectorised", off, "of max", 1e-3)
    yield Row("  read back: against the targets", wrong, "of max", "", None)
    if plot is not None:
        draw(plot, grid, predicted, achieved)


def verify() -> Iterator[Row]:
    """Compare verify reads in Hadamard patterns with means of as quiet reads, cell by cell."""
    device, up, down, _ = devices()["VTEAM"]
    low, high = device.conductance([0.08, 0.8], V_READ)
    grid = device.levels(16, V_READ, g_min=low, g_max=high)
    recipe = design_recipe(grid, limits=VoltageRange(down, up, "benchmark"))
    tile = Tile(31, 16, cell=Cell(device, V_READ))
    target = np.random.default_rng(0).choice(grid.g, (31, 16))
    noise = 0.25 * recipe.tolerance * V_READ
    patterns = VerifyReads("hadamard", noise)
    gain = float(patterns.deviation(target, 0.0, V_READ)[0, 0] * target[0, 0] * V_READ / noise)
    cells = VerifyReads("cell", noise, average=round(1.0 / gain**2))
    plain, ours = (
        program_array(
            WriteArray(tile, "half", rtol=1e-5),
            grid.x[0],
            target,
            recipe,
            np.random.default_rng(1),
            reads=reads,
            passes=1,
        )
        for reads in (cells, patterns)
    )
    label = f"31x16 vteam, amplifier noise of {0.25:g} tolerances"
    yield at_least(f"{label}: cells within 1/4 step, Hadamard", 100 * ours.success, "%", 99.5)
    yield Row("  the same, mean of single-cell reads", 100 * plain.success, "%", "", None)
    for name, one, two in (
        ("time of verify reads [s]", plain.read_time, ours.read_time),
        ("currents sensed", plain.conversions, ours.conversions),
        ("energy of verify reads [J]", plain.read_energy, ours.read_energy),
    ):
        note = f"{one:.3g} and {two:.3g}, {cells.average} reads per verify read cell by cell"
        yield Row(f"  {name}, cell by cell / Hadamard", one / two, "x", "", None, note)
    for name, outcome in (("cell by cell", plain), ("Hadamard", ours)):
        error = float(np.sqrt(np.mean((outcome.error / grid.step) ** 2)))
        yield Row(f"  error, {name}, in level steps (rms)", error, "", "", None)


def draw(path: Path, grid: Levels, predicted: ArrayOutcome, achieved: ArrayOutcome) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 7.0), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    array_map(panels[0], 1e9 * achieved.target, title="target", label="conductance [nS]")
    array_map(panels[1], 1e9 * achieved.g, title="written in ngspice", label="conductance [nS]")
    error = achieved.error / grid.step
    array_map(panels[2], error, title="error", label="level steps", signed=True)
    apart = 1e6 * (achieved.g / predicted.g - 1.0)
    title = "ngspice against vectorised"
    array_map(panels[3], apart, title=title, label="parts per million", signed=True)
    write_figure(figure, path, dpi=150)


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "agreement": agreement,
    "active": active,
    "population": population,
    "tile": tile,
    "verify": verify,
    "selective": selective,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS), help="which rows")
    parser.add_argument("--plot", type=Path, help="draw the tile that was written")
    chosen = parser.parse_args()
    found = (
        row
        for name in chosen.only
        for row in (tile(chosen.plot) if name == "tile" else ROWS[name]())
    )
    return publish(found, "programming", chosen)


if __name__ == "__main__":
    sys.exit(main())
