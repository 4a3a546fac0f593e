"""Generated cycles against those that they were learnt from, and how fast they come.

python benchmarks/cycles.py            # about 1 minute; the measured cell needs the datasets
"""

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
from table import Row, add_options, at_least, at_most, publish

from memtwin.data.catalogue import fetch
from memtwin.data.errors import MemtwinError
from memtwin.data.importers.arrays import read_table
from memtwin.data.measurement import Sweep
from memtwin.devices.cycles.autoregression import fit_cycles
from memtwin.devices.cycles.features import (
    CycleFeatures,
    features_of_sweeps,
    features_of_tables,
)
from memtwin.devices.device import load_device

CYCLES = 1000


def loops(seed: int = 0) -> CycleFeatures:
    """Return the features of 1,000 simulated loops of one device whose parameters wander from cycle to cycle: an
    independent source, since nothing in it is an autoregression of features.
    """
    rng = np.random.default_rng(seed)
    device = load_device("yakopcic_oblea")
    wander = np.zeros((CYCLES, 4))
    for n in range(1, CYCLES):
        wander[n] = 0.7 * wander[n - 1] + np.sqrt(1 - 0.49) * rng.standard_normal(4)
    scale = np.exp(0.08 * wander + 0.05 * wander[:, [1, 2, 3, 0]])
    p = device.parameters
    values = {
        "a_p": p["a_p"] * scale[:, 0],
        "a_n": p["a_n"] * scale[:, 0],
        "v_p": p["v_p"] * scale[:, 1],
        "v_n": p["v_n"] * scale[:, 2],
        "A_n": p["A_n"] * scale[:, 3],
    }
    t = np.linspace(0.0, 0.02, 801)
    drive = 0.45 * np.sin(2 * np.pi * t / 0.01)
    shape = (CYCLES, len(t))
    trace = device.simulate(t, np.broadcast_to(drive, shape), 0.11, parameters=values)
    last = slice(400, None)  # the first period forgets the state at the start
    v = np.tile(np.append(drive[last][:-1], 0.0), CYCLES)
    i = np.concatenate([np.append(row[last][:-1], 0.0) for row in trace.i])
    everywhere = np.zeros(len(v), bool)
    sweep = Sweep("loops", np.arange(len(v)) * 1e-5, v, i, everywhere)
    return features_of_sweeps([sweep], v_read=0.05)


def statistics(values: np.ndarray, names: tuple[str, ...]) -> list[np.ndarray]:
    """Return mean, deviation, lag-1 and cross-correlation; of resistances those of their logarithm."""
    x = values.astype(float).copy()
    logs = [k for k, name in enumerate(names) if name.startswith("r_")]
    x[:, logs] = np.log(x[:, logs])
    y = (x - x.mean(0)) / x.std(0)
    return [x.mean(0), x.std(0), np.mean(y[1:] * y[:-1], 0), y.T @ y / len(y)]


def compared(cycles: CycleFeatures, label: str, runs: int) -> Iterator[Row]:
    """Yield how far the statistics of generated cycles are off, over many cells as long as the source."""
    law = fit_cycles(cycles)
    theirs = statistics(cycles.values, cycles.names)
    drawn = law.draw(runs, len(cycles.values), np.random.default_rng(1))
    every = [statistics(drawn[:, k], cycles.names) for k in range(runs)]
    mine = [np.mean([one[k] for one in every], 0) for k in range(4)]
    scatter = [np.std([one[k] for one in every], 0) for k in range(4)]
    d = len(cycles.names)
    note = f"{len(cycles.values)} cycles, {d} features, order {len(law.lags)}, {runs} cells drawn"
    for k, what in enumerate(("mean", "standard deviation", "lag-1 correlation")):
        off = 100.0 * float(np.max(np.abs(mine[k] / theirs[k] - 1.0)))
        yield at_most(f"{label}: {what}, worst feature off by", off, "%", 10.0, note)
    pairs = np.triu_indices(d, 1)
    gap = np.abs(mine[3] - theirs[3])[pairs]
    # A correlation of 0.02 has no 10 %: what a source as long as this leaves open counts too.
    allowed = np.maximum(0.1 * np.abs(theirs[3][pairs]), scatter[3][pairs])
    worst = float(np.max(gap / allowed))
    yield at_most(
        f"{label}: cross-correlations, worst pair", 10.0 * worst, "%", 10.0,
        "of the correlation, or of one standard error of it where that is larger, times 10 %",
    )  # fmt: skip


def speed(cycles: CycleFeatures) -> Iterator[Row]:
    for order in (None, 10):
        law = fit_cycles(cycles, order=order)
        rng = np.random.default_rng(0)
        cells = law.cells(1_000_000, rng)
        cells.cycle(rng)
        began = time.process_time()
        for _ in range(3):
            cells.cycle(rng)
        rate = 3e6 / (time.process_time() - began)
        what = f"order {len(law.lags)}" + ("" if order is None else ", as published")
        yield at_least(
            f"1,000,000 cells, {len(law.names)} features, {what}: updates",
            rate,
            "/s",
            1e6,
            "CPU time, one core",
        )


def rows() -> Iterator[Row]:
    simulated = loops()
    yield from compared(simulated, "simulated loops", 100)
    yield from speed(simulated)
    try:
        path = fetch("ni-rram-1t1r-endurance-retention", "1us_endurance.tsv")[0]
    except MemtwinError as error:
        yield Row("measured cell", float("nan"), "", "<= 10", None, str(error))
        return
    measured = features_of_tables([read_table(path, "endurance")])
    yield from compared(measured, "measured 1T1R cell", 20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    options = parser.parse_args()
    return publish(rows(), "cycles", options)


if __name__ == "__main__":
    sys.exit(main())
