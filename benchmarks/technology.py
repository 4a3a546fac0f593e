"""What a technology's fit describes of the 1T1R array's data, with its bars.

    python benchmarks/technology.py                  # a table
    python benchmarks/technology.py --json           # one JSON object
    python benchmarks/technology.py --only set       # some of them
    python benchmarks/technology.py --only training cnn    # 11 and 15 CPU minutes; wires 7, models 6
    python benchmarks/technology.py --characterisation 64.h5   # keep, or take, the tile that ngspice has read

Needs the measured data (MEMTWIN_DATA). Seconds are CPU seconds of one process.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, at_least, at_most, publish

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.technology.recipe import RampRecipe
from memtwin.circuits.technology.set_pulse import set_in_ngspice
from memtwin.circuits.technology.table import make_cell_table
from memtwin.circuits.technology.tile import way_along_lines, write_tile
from memtwin.circuits.technology.write import Tables, write
from memtwin.data.catalogue import fetch
from memtwin.data.importers.readers import read_measurement
from memtwin.data.measurement import Relaxation
from memtwin.devices.spread.relaxation import fit_relaxation
from memtwin.devices.technology.combinations import Combinations, Outcome, combine
from memtwin.devices.technology.fit import hold_out
from memtwin.devices.technology.landing import check_log, dead_cells, fit_landing
from memtwin.devices.technology.learn import relaxation_of_logs
from memtwin.devices.technology.population import Cells, Spreads, draw_cells, set_pulse
from memtwin.devices.technology.reading import fit_read_law
from memtwin.devices.technology.reset import fit_reset
from memtwin.devices.technology.set_fit import SetFit, fit_set, misses, predict
from memtwin.devices.technology.switching import tabulate
from memtwin.devices.technology.technology import load_technology
from memtwin.training.runs.build import write_costs
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import train_float
from memtwin.training.trainer.results import TrainResult

MAPS, LOGS = "stanford-1t1r-switching-kinetics", "stanford-1t1r-write-verify"
OTHER = "ni-rram-1t1r-endurance-retention"


def read(dataset: str, pattern: str) -> list:
    return [
        one for path in fetch(dataset, pattern) for one in read_measurement(path, dataset=dataset)
    ]


@cache
def sets() -> Combinations:
    return combine(read(MAPS, "set_sweep.tsv")[0])


@cache
def fitted() -> SetFit:
    return fit_set(sets())


def set_rows() -> Iterator[Row]:
    data, found = sets(), fitted()
    told = predict(found.law, found.spreads, data)
    every = misses(data, told)
    noise = found.noise["median"]
    yield at_most(
        "SET map, medians of all combinations, RMS",
        1e6 * every["median"],
        "uS",
        3.5,
        f"{every['median'] / noise:.2f} of the medians' sampling noise",
    )
    strong = data.v_bl >= 1.5
    part = misses(data.only(strong), Outcome(*(column[strong] for column in told)))
    yield at_most("SET map, 10 % quantiles, bit line from 1.5 V", 1e6 * part["low"], "uS", 6.5)
    yield at_most("SET map, 90 % quantiles, bit line from 1.5 V", 1e6 * part["high"], "uS", 5.0)
    yield at_most("P(switch), by combination", every["switched"], "", 0.055)
    yield at_most("P(switch), pooled over widths", every["pooled"], "", 0.04)
    yield at_most("fit of the SET map", found.seconds, "s", 60.0)
    bars = {"every second word line": 3.5, "two bit lines": 4.0, "widths but every third": 3.5}
    for row in hold_out(data):
        bar = bars[row.name]
        yield at_most(f"held out: {row.name}, medians", 1e6 * row.error["median"], "uS", bar)
    few = np.isin(data.v_bl, (1.0, 2.0)) & (data.pw == 1e-7)
    small = fit_set(data.only(few))
    rest = data.only(~few)
    error = misses(rest, predict(small.law, small.spreads, rest))
    yield at_most(
        f"trained on {few.sum()} of {len(data)} combinations, medians",
        1e6 * error["median"],
        "uS",
        5.0,
    )


def other_rows() -> Iterator[Row]:
    """Another chip's SETs at 1.3 and 3.0 V, 1 us, nothing fitted to it."""
    table = read(OTHER, "100cyc*")[0]
    sound = (table["r_reset"] > 1.0 / 60e-6) & (table["r_set"] > 0.0)
    measured = 1.0 / table["r_set"][sound]
    found = fitted()
    technology = load_technology("rram_1t1r")
    rng = np.random.default_rng(0)
    start = technology.cycled.level.sample(100_000, rng)
    law_table = technology.table([3.0], (1.3, 1.3), (1e-6, 1e-6))
    spreads = Spreads(*found.spreads.sizes, technology.spreads.device_share)
    left = set_pulse(law_table, spreads, draw_cells(100_000, rng), start, 1.3, 3.0, 1e-6, rng)
    told = left + 2e-6 * rng.standard_normal(len(left))
    off = 1e6 * float(np.median(told) - np.median(measured))
    sizes = float(np.std(told)), float(np.std(measured))
    note = f"{1e6 * np.median(told):.1f} for {1e6 * np.median(measured):.1f} uS"
    yield at_most("another chip, no fit: median, off by", abs(off), "uS", 4.0, note)
    note = f"{1e6 * sizes[0]:.1f} for {1e6 * sizes[1]:.1f} uS"
    share = 100.0 * abs(sizes[0] / sizes[1] - 1.0)
    yield at_most("another chip, no fit: standard deviation, off by", share, "%", 25.0, note)


def reset_rows() -> Iterator[Row]:
    measured = read(MAPS, "reset_sweep.tsv")[0]
    found = fit_reset(measured)
    yield at_most(
        "RESET map, P by combination, all of them",
        found.error["switched"],
        "",
        0.04,
        f"binomial noise {found.noise['switched']:.3f}",
    )
    kept = measured.only((measured.v_sl >= 2.5) & (measured.g_before > 60e-6))
    table = np.round(np.stack((kept.pw, kept.v_wl, kept.v_sl)), 12)
    _, which = np.unique(table, axis=1, return_inverse=True)
    which = which.reshape(-1)
    count = np.bincount(which)
    p = found.law.probability(kept.g_before, kept.v_wl, kept.v_sl, kept.pw)
    mean = np.bincount(which, p) / count
    miss = np.bincount(which, kept.g_after < 60e-6) / count - mean
    noise = float(np.sqrt(np.mean(mean * (1.0 - mean) / count)))
    yield at_most(
        "RESET map, P by combination, source line from 2.5 V",
        float(np.sqrt(np.mean(miss**2))),
        "",
        0.04,
        f"binomial noise {noise:.3f}",
    )
    yield Row("RESET map, rise of cells that stay", 1e6 * found.error["rise"], "uS", "", None)


def landing_rows() -> Iterator[Row]:
    logs = read(LOGS, "*scheme_test*")
    worst, where = 0.0, ""
    for campaign in ("Nov", "Dec6", "Dec10"):
        law = fit_landing([log for log in logs if campaign not in log.name])
        rows = check_log(law, [log for log in logs if campaign in log.name])
        for row in rows:
            off = abs(row.predicted_percent - row.measured_percent)
            if row.ln_width >= 0.004 and off > worst:
                worst, where = off, f"{campaign}, ln width {row.ln_width:.4f}"
    yield at_most(
        "writes in band, one campaign from the others, worst", worst, "points", 3.0, where
    )
    late = [log for log in logs if "July" in log.name or "Aug" in log.name]
    dead = sum(int(dead_cells(log).sum()) for log in late) / sum(map(len, late))
    yield Row("writes to dead cells in the five latest logs", 100.0 * dead, "%", "", None)


def relaxation_rows() -> Iterator[Row]:
    """Learn from the even cells, compare the odd ones' core and tails by level."""
    logs = read(LOGS, "*scheme_test*")
    cells = relaxation_of_logs(logs)
    address = np.concatenate([log.cell[log.success] for log in logs])
    even = address % 2 == 0
    learn = Relaxation("even", cells.t, cells.g[even], cells.level[even])
    law = fit_relaxation(learn, states=10)
    rng = np.random.default_rng(1)
    odd = cells.g[~even]
    ratios: dict[str, list[float]] = {"core": [], "1 to 99 %": []}
    for low, high in ((20, 60), (60, 80), (80, 100), (100, 115), (115, 130)):
        group = odd[(odd[:, 0] >= low * 1e-6) & (odd[:, 0] < high * 1e-6)]
        for k, t in enumerate(cells.t[1:], start=1):
            there = np.isfinite(group[:, k])
            if there.sum() < 400:
                continue
            first = group[there, 0]
            change = group[there, k] - first
            many = np.repeat(first, 20)
            told = law.sample(many, float(t), rng) - many
            for name, ends in (("core", (0.16, 0.84)), ("1 to 99 %", (0.01, 0.99))):
                got, said = (float(np.ptp(np.quantile(x, ends))) for x in (change, told))
                ratios[name].append(100.0 * abs(said / got - 1.0))
    for name, found in ratios.items():
        note = f"worst {max(found):.0f} % of {len(found)} levels and times"
        yield at_most(
            f"relaxation, held-out cells: {name}, RMS",
            float(np.sqrt(np.mean(np.square(found)))),
            "%",
            15.0,
            note,
        )


def sampling_rows() -> Iterator[Row]:
    technology = load_technology("rram_1t1r")
    table = technology.table([2.0], (0.5, 3.4), (1e-7, 1e-7))
    rng = np.random.default_rng(0)
    cells = draw_cells(10_000, rng)
    g = technology.cycled.level.sample(10_000, rng)
    gates = rng.uniform(0.6, 2.0, 10_000)
    began, pulses = time.process_time(), 0
    while time.process_time() - began < 2.0:
        technology.set_pulse(table, cells, g, gates, 2.0, 1e-7, rng)
        pulses += len(g)
    yield at_least("SET pulses", pulses / (time.process_time() - began) / 1e6, "M/s", 1.0)


PUBLISHED = {
    "middle": ((107.4, 117.5), 27.1, (19, 60, 131)),
    "upper": ((166.4, 173.3), 28.9, (20, 64, 132)),
}
"""ISPP on a chip of another technology (10.1109/TED.2021.3097975, its files): band [uS], mean and median/90/99 % of
SET and RESET pulses per write, the RESET that every write begins with not counted."""
SCALE = 0.72
"""Largest conductance of this array over that of the published one, by which bands are scaled."""


def trace_rows() -> Iterator[Row]:
    """ISPP as published, simulated blind: nothing is fitted to the traces."""
    technology = load_technology("rram_1t1r")
    worst, shapes, notes = 1.0, [], []
    for name, (band, mean, quantiles) in PUBLISHED.items():
        low, high = (SCALE * 1e-6 * edge for edge in band)
        recipe = RampRecipe(
            0.5 * (high - low), way="ramp", step=0.06, pw=2e-7, other=2.5, erase_first=True,
            verify_noise=3.5e-7, resets_max=200,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        done = write(
            Tables(technology, recipe), draw_cells(4000, rng), 6e-6, 0.5 * (low + high), rng
        )
        pulses = done.sets + done.resets - 1.0
        told = float(pulses.mean())
        worst = max(worst, told / mean, mean / told)
        at = np.quantile(pulses, (0.5, 0.9, 0.99))
        shapes.append(float(at[2] / at[0]))
        notes.append(
            f"{name} band {told:.1f} ({'/'.join(f'{x:.0f}' for x in at)}) for {mean:g}"
            f" ({'/'.join(map(str, quantiles))})"
        )
    yield at_most("ISPP blind, mean pulses, off by a factor", worst, "", 3.0, "; ".join(notes))
    yield at_most("ISPP blind, 99 % over median, largest", max(shapes), "", 10.0, "7 published")
    yield at_least("ISPP blind, 99 % over median, smallest", min(shapes), "", 3.0)


def write_rows() -> Iterator[Row]:
    """The table of a training: its seconds, and what writes take."""
    technology = load_technology("rram_1t1r")
    levels = technology.device().levels(16, 0.2, g_min=1e-5, g_max=1.3e-4)
    began = time.process_time()
    table = make_cell_table(technology, levels, RampRecipe(4e-6), samples=1024)
    yield at_most("table of 16 levels, 1,024 cells a pair", time.process_time() - began, "s", 60.0)
    told = table.summary()
    yield Row("pulses of a write, mean", told["pulses_mean"], "", "", None)
    for share in (50, 90, 99):
        yield Row(f"pulses of a write, {share} %", told[f"pulses_p{share}"], "", "", None)
    for end in ("", "_high"):
        name = f"energy of a write, {'high' if end else 'low'} end of the bracket"
        yield Row(name, 1e9 * told[f"energy{end}_joule_mean"], "nJ", "", None)
    yield Row(
        "time of a write, verify reads of 1 us", 1e6 * told["time_seconds_mean"], "us", "", None
    )
    yield at_most("writes given up, cells that can be written", told["failing_percent"], "%", 0.5)


def spice_rows() -> Iterator[Row]:
    """Six SET pulses from 20 ns to 1 us in ngspice, transistor and all, against the table."""
    law = load_technology("rram_1t1r").set
    pulses = [
        (8e-6, 0.7, 2.0, 2e-8), (8e-6, 0.9, 2.0, 1e-7), (8e-6, 1.2, 3.0, 1e-6),
        (8e-6, 1.5, 1.5, 1e-7), (8e-6, 2.5, 3.0, 2e-8), (6e-5, 1.0, 2.5, 2e-7),
    ]  # fmt: skip
    told = []
    for g, v_wl, v_bl, pw in pulses:
        table = tabulate(law, [v_bl], (v_wl, v_wl + 0.1), (pw, pw))
        ln_pulse = np.log(pw) + np.log(10.0) * law.log10_rate
        told.append(float(law.outer(table.after(0, v_wl, ln_pulse, law.inner(g)))))
    off = 1e6 * float(np.abs(set_in_ngspice(law, pulses) - told).max())
    yield at_most("six SET pulses, ngspice against the table, worst", off, "uS", 1.0)
    tables = Tables(load_technology("rram_1t1r"), RampRecipe(4e-6), (300.0, 200.0))
    worst, gates = 0.0, np.array([0.9, 1.2, 2.0, 3.0])
    rung = np.rint((gates - tables.recipe.start) / tables.recipe.step).astype(int)
    for way in ((300.0, 200.0), (150.0, 100.0), (100.0, 200.0)):
        cells = Cells(np.zeros((4, len(gates))), np.repeat(np.array(way)[:, None], len(gates), 1))
        told = tables.pulse(cells, np.full(len(gates), 8e-6), rung, None)
        transistor = replace(law.transistor, r_source=way[1])
        behind = replace(law, transistor=transistor, r_write=law.r_write + way[0])
        found = set_in_ngspice(behind, [(8e-6, float(gate), 2.0, 1e-7) for gate in gates])
        worst = max(worst, 1e6 * float(np.abs(found - told).max()))
    yield at_most("twelve SET pulses through lines, ngspice against tables", worst, "uS", 1.0)


def tile_rows() -> Iterator[Row]:
    """A tile of 64 lines with its wires, written cell by cell: what it takes, and what holds."""
    technology = load_technology("rram_1t1r")
    levels = technology.device().levels(16, 0.2, g_min=1e-5, g_max=1.3e-4)
    tile = Tile(64, 64, levels=levels)
    most = [float(way.max()) for way in way_along_lines(tile)]
    rng = np.random.default_rng(0)
    goal = levels.g[rng.integers(0, 16, tile.shape)]
    for passes in (1, 3):
        began = time.process_time()
        tables = Tables(technology, RampRecipe(4e-6), (most[0], most[1]))
        told = write_tile(tables, tile, goal, np.random.default_rng(1), passes=passes).summary()
        spent = time.process_time() - began
        name = f"tile of 64×64, {passes} pass{'es' if passes > 1 else ''}"
        share = 100.0 * told["given_up_of_sound"] / (told["cells"] - told["stuck_cells"])
        yield at_most(f"{name}: cells given up that can be written", share, "%", 0.5)
        yield Row(f"{name}: in band 1 s later", told["in_band_later_percent"], "%", "", None)
        note = f"to {1e6 * told['energy_high_joule']:.2g} uJ"
        yield Row(f"{name}: low end", 1e6 * told["energy_joule"], "uJ", "", None, note)
        yield Row(f"{name}: one cell after the other", 1e3 * told["time_seconds"], "ms", "", None)
        yield Row(f"{name}: CPU", spent, "s", "", None)


def reading_rows() -> Iterator[Row]:
    found = fit_read_law(read(MAPS, "read_voltage_sweep.tsv")[0], 0.2)
    for g, error in zip(found.g, found.error_percent, strict=True):
        yield Row(f"read I-V of cells around {1e6 * g:.0f} uS, RMS", error, "% of full", "", None)


def trainings(epochs: int, seeds: int) -> Iterator[TrainResult]:
    """Train MNIST, 784-128-10 on tiles of 64 lines, with all effects of the technology on."""
    setup, costs = None, None
    for seed in range(seeds):
        config = load_config("mlp", [*TRAINING, f"seed={seed}"])
        kept = Kept.characterisation
        setup = set_up(config, characterisation=kept) if setup is None else setup.seeded(seed)
        costs = costs or write_costs(config, setup.levels)
        options = replace(setup.config.training, epochs=epochs)
        chosen = replace(setup, config=setup.config.model_copy(update={"training": options}))
        yield chosen.priced(costs).train(chosen.priced(costs).twin(), costs)


def cost_rows() -> Iterator[Row]:
    """What the first epoch's writes cost, beside those of a closed loop."""
    first = next(trainings(1, 1)).records[0]
    for name, cost in (("first epoch", first.cost), ("closed loop", first.closed_loop)):
        note = (
            f"to {1e3 * cost.energy_high:.2g} mJ; {cost.time:.3g} s one after the other,"
            f" {cost.time / DRIVERS:.2g} s with {DRIVERS} drivers"
        )
        yield Row(f"MNIST: {name}, writes", cost.writes, "", "", None)
        yield Row(f"MNIST: {name}, low end", 1e3 * cost.energy, "mJ", "", None, note)


def training_rows() -> Iterator[Row]:
    """The whole training over three seeds: minutes each; ask for it by name."""
    accuracy = [100.0 * result.accuracy for result in trainings(6, 3)]
    note = ", ".join(f"{one:.2f}" for one in accuracy)
    yield at_least(
        "MNIST, all effects, re-verify, mean of 3 seeds", np.mean(accuracy), "%", 97.6, note
    )


def cnn_rows() -> Iterator[Row]:
    """LeNet with all effects, of linear devices without wires, beside its float network: a quarter of an hour."""
    accuracy, goal, costs = [], [], None
    for seed in range(3):
        setup = set_up(load_config("cnn", [*CNN, f"seed={seed}"]), surrogate=False)
        costs = costs or write_costs(setup.config, setup.levels)
        found = setup.priced(costs).train(setup.priced(costs).twin(), costs)
        accuracy.append(100.0 * found.accuracy)
        options = setup.config.training
        trained = train_float(setup.network, setup.images, options, seed=seed)
        goal.append(100.0 * trained.accuracies[-1])
    note = "; ".join(f"{one:.2f} for {two:.2f}" for one, two in zip(accuracy, goal, strict=True))
    behind = float(np.mean(goal) - np.mean(accuracy))
    yield Row("MNIST, LeNet, mean of 3 seeds", float(np.mean(accuracy)), "%", "", None, note)
    yield at_most("MNIST, LeNet, behind the float network", behind, "points", 0.3)


def wires_rows() -> Iterator[Row]:
    """The same with the technology's own reads, through wires by the surrogate, one seed: seven minutes."""
    config = load_config("cnn", [*LENET, "seed=0"])
    setup = set_up(config, characterisation=Kept.characterisation)
    costs = write_costs(setup.config, setup.levels)
    found = setup.priced(costs).train(setup.priced(costs).twin(), costs)
    goal = train_float(setup.network, setup.images, setup.config.training, seed=0).accuracies[-1]
    note = f"{100.0 * found.accuracy:.2f} for {100.0 * goal:.2f} %, seed 0"
    behind = 100.0 * (goal - found.accuracy)
    yield at_most(
        "MNIST, LeNet through wires, behind the float network", behind, "points", 0.3, note
    )


def model_rows() -> Iterator[Row]:
    """Models as the SET law of the map: a minute or two each; ask for them by name."""
    for law in MODELS:
        found = fit_set(sets(), law=law)
        note = f"P(switch) {found.error['switched']:.3f}, pooled {found.error['pooled']:.3f};"
        note += f" {found.seconds:.0f} s"
        yield at_most(
            f"SET map by {law}, medians, RMS", 1e6 * found.error["median"], "uS", 3.5, note
        )


MODELS = ("vteam", "yakopcic", "stanford_hfox", "jart_explicit")
LENET = [
    "device.name=rram_1t1r", "training.epochs=5", "training.decay=0.6", "mapping.clip=3",
    "audit.every=0",
]  # fmt: skip
CNN = [*LENET, "training.engine=ideal", "device.linear=true"]
TRAINING = [
    "device.name=rram_1t1r", "training.epochs=6", "training.decay=0.6", "mapping.clip=6", "audit.every=0"
]  # fmt: skip
DRIVERS = 32

PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "set": set_rows,
    "other": other_rows,
    "reset": reset_rows,
    "landing": landing_rows,
    "relaxation": relaxation_rows,
    "sampling": sampling_rows,
    "reading": reading_rows,
    "writes": write_rows,
    "traces": trace_rows,
    "spice": spice_rows,
    "tile": tile_rows,
    "cost": cost_rows,
    "training": training_rows,
    "cnn": cnn_rows,
    "wires": wires_rows,
    "models": model_rows,
}
LONG = {"training", "cnn", "wires", "models"}
"""Parts of many minutes, made only where they are asked for."""


class Kept:
    """What parts share that the command line says."""

    characterisation: str | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=[name for name in PARTS if name not in LONG]
    )
    parser.add_argument(
        "--characterisation", help="record of the trainings' tile in ngspice, made there if need be"
    )
    add_options(parser)
    options = parser.parse_args()
    Kept.characterisation = options.characterisation
    rows = (row for name in options.only for row in PARTS[name]())
    return publish(rows, "technology", options)


if __name__ == "__main__":
    sys.exit(main())
