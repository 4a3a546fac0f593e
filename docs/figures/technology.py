"""Draw the pictures of docs/technology.md from the measured data: python docs/figures/technology.py

Needs the measured data (MEMTWIN_DATA). The first draws the shipped technology over the map that it was fitted to, the
second what foretells write-verify over what was measured.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memtwin.circuits.technology.recipe import RampRecipe
from memtwin.circuits.technology.table import make_cell_table
from memtwin.data.catalogue import fetch
from memtwin.data.files import write_figure
from memtwin.data.importers.readers import read_measurement
from memtwin.data.shown.pictures import beside, shades
from memtwin.devices.technology.fit import fit_technology
from memtwin.devices.technology.landing import check_log, fit_landing
from memtwin.devices.technology.learn import relaxation_of_logs
from memtwin.devices.technology.plots import save_fit_figure
from memtwin.devices.technology.technology import load_technology

IMAGES = Path(__file__).resolve().parents[1] / "images"
MAPS, LOGS = "stanford-1t1r-switching-kinetics", "stanford-1t1r-write-verify"
CAMPAIGNS = ("Nov", "Dec6", "Dec10")


def read(dataset: str, pattern: str) -> list:
    """Return all measurements of a dataset whose files match."""
    paths = fetch(dataset, pattern)
    return [one for path in paths for one in read_measurement(path, dataset=dataset)]


def pulses(axes: Axes) -> None:
    """Draw pulses of a write by its target, as many as half, 90 and 99 % of the cells take."""
    technology = load_technology("rram_1t1r")
    levels = technology.device().levels(16, 0.2, g_min=1e-5, g_max=1.3e-4)
    table = make_cell_table(technology, levels, RampRecipe(4e-6))
    moved = ~np.eye(16, dtype=bool)
    shares = (0.5, 0.9, 0.99)
    found = np.array(
        [np.quantile(table.pulses[moved[:, b], b], shares) for b in range(levels.count)]
    )
    for share, values, shade in zip(shares, found.T, shades(3), strict=True):
        axes.plot(1e6 * levels.g, values, "o-", ms=3, color=shade, label=f"{100 * share:g} %")
    axes.set(xlabel="target [µS]", ylabel="pulses of a write to ±4 µS", ylim=(0, None))
    beside(axes, 3)


def landings(axes: Axes) -> None:
    """Draw which share of writes ends in its band, each campaign foretold from the others."""
    logs = read(LOGS, "*scheme_test*")
    for campaign, shade in zip(CAMPAIGNS, shades(3), strict=True):
        law = fit_landing([log for log in logs if campaign not in log.name])
        rows = check_log(law, [log for log in logs if campaign in log.name])
        width = [100.0 * np.expm1(row.ln_width) for row in rows]
        axes.semilogx(
            width, [row.measured_percent for row in rows], "o", ms=4, color=shade, label=campaign
        )
        axes.semilogx(width, [row.predicted_percent for row in rows], "-", lw=1.2, color=shade)
    axes.set(xlabel="upper over lower edge of the band [%]", ylabel="writes in band [%]")
    axes.set_xticks([0.3, 1.0, 3.0, 10.0], ["0.3", "1", "3", "10"])
    axes.minorticks_off()
    beside(axes, 3)


def relaxing(axes: Axes) -> None:
    """Draw how far cells have moved later, and the law."""
    law, rng = load_technology("rram_1t1r").relaxation, np.random.default_rng(0)
    cells = relaxation_of_logs(read(LOGS, "*scheme_test*"))
    bands = ((20, 60), (60, 80), (80, 100), (100, 130))
    for (low, high), shade in zip(bands, shades(len(bands)), strict=True):
        group = cells.g[(cells.g[:, 0] >= low * 1e-6) & (cells.g[:, 0] < high * 1e-6)]
        ends = np.nanquantile(group[:, 1:] - group[:, :1], (0.16, 0.84), axis=0)
        axes.semilogx(
            cells.t[1:],
            0.5e6 * np.ptp(ends, axis=0),
            "o",
            ms=4,
            color=shade,
            label=f"{low}–{high} µS",
        )
        first = np.repeat(group[:, 0], 10)
        told = law.sample(first, law.t, rng) - first
        ends = np.quantile(told, (0.16, 0.84), axis=1)
        axes.semilogx(law.t, 0.5e6 * np.ptp(ends, axis=0), "-", lw=1.2, color=shade)
    axes.set(xlabel="time after the write [s]", ylabel="half of 16 to 84 % of the change [µS]")
    beside(axes, 2)


def main() -> int:
    maps = read(MAPS, "set_sweep.tsv")
    fitted = fit_technology("rram_1t1r", maps)
    print(save_fit_figure(maps, fitted, IMAGES / "technology_set.png", below=25e-6, moved=15e-6))
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, draw in zip(figure.subplots(1, 3), (pulses, landings, relaxing), strict=True):
        draw(axes)
        axes.grid(alpha=0.25)
    print(write_figure(figure, IMAGES / "technology_writes.png", dpi=110))
    return 0


if __name__ == "__main__":
    sys.exit(main())
