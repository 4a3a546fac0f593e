"""Draw the pictures of docs/gallery.md: one for every function of memtwin.devices.plots.

The sweep is synthetic; ramps, cells and tables are public datasets (BSD-3-Clause, MIT). Run: python
examples/gallery.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from memtwin.data.catalogue import fetch
from memtwin.data.files import write_figure
from memtwin.data.importers.arrays import read_ramps, read_relaxation, read_table
from memtwin.data.measurement import Sweep
from memtwin.devices import plots
from memtwin.devices.device import Device, load_device
from memtwin.devices.fitting.errors.profile import profile
from memtwin.devices.fitting.fit import fit
from memtwin.devices.models import models
from memtwin.devices.pulses.ramp_spread import fit_spread
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.programming import Programming

OUT = Path("docs/images")
HELD = {"x_p": 0.3, "x_n": 0.3, "alpha_p": 1.0, "alpha_n": 1.0}


def synthetic() -> Sweep:
    """A loop of a device with known parameters and 2 % noise."""
    truth = {"a_p": 2e-5, "a_n": 3e-5, "b_p": 4.0, "b_n": 3.0, "A_p": 3.0, "A_n": 1.0, "r_s": 300.0}
    t = np.linspace(0.0, 20.0, 301)
    v = 1.2 * np.sin(2 * np.pi * t / 20.0)
    i = Device("d", models["yakopcic"], truth).simulate(t, v, 0.2).i
    rng = np.random.default_rng(0)
    noise = (0.02 * np.abs(i) + 2e-9) * rng.standard_normal(len(t))
    return Sweep("synthetic device, 2 % noise", t, v, i + noise, np.zeros(len(t), bool))


def save(figure: Figure, name: str) -> None:
    print(write_figure(figure, OUT / name, dpi=110))


def draw_fit() -> None:
    measured = synthetic()
    print(plots.save_measurement_figure(measured, OUT / "sweep.png"))
    result = fit(models["yakopcic"], measured, fixed=HELD, starts=16)
    result.plot(OUT / "fit.png")
    print(OUT / "fit.png")

    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, 3).flat
    plots.sweep(next(grid), measured)
    curve = result.curves[0]
    plots.sweep_fit(next(grid), measured.v, curve.i, measured=(measured.v, measured.i))
    plots.residuals(next(grid), measured, curve.i)
    plots.state(next(grid), measured.t, curve.x, measured.v)
    plots.starts(next(grid), result.course.starts)
    plots.correlation(next(grid), result.names, result.estimate.correlation)
    save(figure, "parts.png")

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 3), ("r_s", "b_p", "A_p"), strict=True):
        plots.profile_likelihood(axes, profile(result, name, points=15, steps=20))
    save(figure, "profiles.png")


def draw_data() -> None:
    train = read_ramps(fetch("crosssim-taox-ltp-ltd", "set.csv")[0], v_read=0.1)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plots.pulse_ramps(left, train)
    plots.ramp_band(right, fit_spread(train.ramps(0, 30)), 34)
    for ramp in train.g[30:]:
        right.plot(1e6 * ramp, color="black", lw=0.6, alpha=0.6)
    right.set_title("ramps 30 to 38, band learnt from 0 to 29", pad=22)
    save(figure, "ramps.png")

    cells = read_relaxation(fetch("rram-relaxation-3tech", "techB/relax*")[0], g_max=128e-6)
    figure = Figure(figsize=(6, 4), layout="constrained")
    plots.relaxation(figure.subplots(), cells)
    save(figure, "relaxation.png")

    name = "stanford-1t1r-switching-kinetics"
    pulses = read_table(fetch(name, "set_sweep*")[0], "one_pulse")
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    plots.table(figure.subplots(), pulses)
    save(figure, "table.png")


def draw_levels() -> None:
    levels = load_device("nbsto_32um").levels(16, 0.2)
    rng = np.random.default_rng(0)
    array = Effects(programming=Programming(0.02, g_ref=levels.step), read=ReadNoise(0.01))
    targets = np.repeat(levels.g[::5], 2000)
    own = Programming(0.03, power=1.0).sample(targets, rng)  # what each device takes them for
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plots.level_curves(left, levels)
    plots.array_spread(right, targets, array.sample(own, 1.0, rng))
    save(figure, "levels.png")


def main() -> None:
    draw_fit()
    draw_data()
    draw_levels()


if __name__ == "__main__":
    main()
