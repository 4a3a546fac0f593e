"""Do stated intervals hold where residuals are correlated? Rows for fitting.py.

    python benchmarks/coverage.py            # 40 measurements; --sets N
    python benchmarks/coverage.py --devices  # three equal Nb:SrTiO3 devices, too

Loops of two known devices are given errors of 1 % that go on from point to point (an autoregression of first
order, 0.8), as drift, a model's own error and filters of instruments make them, and fitted from near the truth: the
question is not whether a search finds the minimum. An interval of 95 % should hold the true value in 95 % of the
cases, by the covariance with as many points as are independent, and by the block bootstrap. Parameters that a fit calls
unidentified do not count.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from parts.measured import LOSS, nbsto
from scipy.signal import lfilter
from scipy.stats import t as student
from table import Row, add_options, publish

from memtwin.data.measurement import Sweep
from memtwin.devices.device import Device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.models import models

NOISE, FOLLOWS = 0.01, 0.8
POINTS, DRAWS = 201, 100
T = np.linspace(0.0, 1.0, POINTS)
V = 1.2 * np.sin(2 * np.pi * T)
X0 = 0.3
CASES = {
    "vteam": (
        Device("d", models["vteam"], {"r_off": 1e4, "k_set": 1.0, "k_reset": 1.0}),
        ("a_set", "a_reset", "r_s"),
    ),
    "yakopcic": (
        Device(
            "d",
            models["yakopcic"],
            {"a_p": 1e-3, "a_n": 2e-3, "b_p": 3.0, "b_n": 2.0, "A_p": 6.0, "A_n": 6.0},
        ),
        ("alpha_p", "alpha_n", "x_p", "x_n", "r_s"),
    ),
}
EQUAL = ("015", "020", "025")  # the sweep to -2 V of three devices of 32 um


def correlated(rng: np.random.Generator) -> np.ndarray:
    """Return errors of unit variance that go on from point to point."""
    white = rng.standard_normal(POINTS + 100)
    return lfilter([np.sqrt(1.0 - FOLLOWS**2)], [1.0, -FOLLOWS], white)[100:]


def _measured(device: Device, held: tuple[str, ...], rng: np.random.Generator):
    clean = device.simulate(T, V, X0).i
    floor = 0.01 * NOISE * float(np.abs(clean).max())
    noise = (NOISE * np.abs(clean) + floor) * correlated(rng)
    free = [row.name for row in device.model.parameters if row.name not in held and not row.fixed]
    return fit(
        device.model,
        Sweep("loop", T, V, clean + noise, np.zeros(POINTS, bool)),
        fixed={key: device.parameters[key] for key in held},
        series=False,
        loss=Loss("error", relative=NOISE, floor=floor),
        start={**{key: device.parameters[key] for key in free}, "x0_1": X0},
        starts=1,
        candidates=1,
    )


def coverage_rows(sets: int = 40) -> Iterator[Row]:
    """Coverage of 95 % intervals on residuals that are correlated."""
    hits = {"covariance": 0, "block bootstrap": 0}
    counted, spent = 0, 0.0
    for device, held in CASES.values():
        for seed in range(sets):
            found = _measured(device, held, np.random.default_rng(seed))
            began = time.process_time()
            drawn = found.bootstrap(draws=DRAWS, kind="blocks", seed=seed)
            spent += time.process_time() - began
            left = max(found.estimate.effective_points - len(found.names), 2.0)
            reach = float(student.ppf(0.975, left))
            for name in found.names:
                if name in found.unidentified:
                    continue
                true = X0 if name == "x0_1" else device.parameters[name]
                low, high = drawn.interval(name)
                off = abs(found.estimate.values[name] - true)
                hits["covariance"] += off <= reach * found.stderr[name]
                hits["block bootstrap"] += low <= true <= high
                counted += 1
    note = f"{counted} parameters of {2 * sets} fits, errors with a correlation of {FOLLOWS}"
    for name, count in hits.items():
        share = 100.0 * count / counted
        yield Row(
            f"coverage of 95 % intervals, {name}", share, "%", "90 to 98", 90 <= share <= 98, note
        )
    yield Row(f"CPU time of {DRAWS} draws", spent / (2 * sets), "s", "", None)


def device_rows() -> Iterator[Row]:
    """Three equal Nb:SrTiO3 devices: what their parameters differ by, in stated errors."""
    held = {"x_p": 0.3, "x_n": 0.5, "alpha_p": 1.0, "alpha_n": 15.0, "v_p": 0.5}
    fits = [
        fit(models["yakopcic"], nbsto(32, number), fixed=held, loss=LOSS, starts=4)
        for number in EQUAL
    ]
    drawn = [one.bootstrap(draws=DRAWS, kind="blocks") for one in fits]
    names = [name for name in fits[0].names if name in fits[0].model.names]
    ratios = {}
    for name in names:
        values = np.array([one.parameters[name] for one in fits])
        stated = np.sqrt(np.mean([one.stderr[name] ** 2 for one in drawn]))
        ratios[name] = float(values.std(ddof=1) / stated)
    said = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items())
    middle = float(np.median(list(ratios.values())))
    yield Row("devices apart / stated error, median", middle, "x", "", None, said)


def main() -> int:
    """Print the rows; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Coverage of stated intervals.")
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--devices", action="store_true", help="equal devices, too")
    add_options(parser)
    arguments = parser.parse_args()

    def rows() -> Iterator[Row]:
        yield from coverage_rows(arguments.sets)
        if arguments.devices:
            yield from device_rows()

    return publish(rows(), "coverage", arguments)


if __name__ == "__main__":
    sys.exit(main())
