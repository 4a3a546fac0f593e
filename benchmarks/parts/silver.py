"""Silver/chalcogenide loops behind 5 kOhm: what Yakopcic's form of 2020 describes, and at how many speeds at once.

    cd benchmarks; python -m parts.silver    # 1, 10, 100 Hz and 1 kHz, and three of them together

Measurements of self-directed channels are not in the catalogue; the loops are made by the metastable switch
(``knowm``), of another equation than the fitted one, with assumed resistances of 13 and 460 kOhm, 0.8 V behind 5 kOhm
and noise of 0.5 % of the largest current.
"""

import argparse
import os
import sys
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, publish

from memtwin.data.measurement import Sweep
from memtwin.devices.device import Device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.models import models

FREQUENCIES = (1.0, 10.0, 100.0, 1000.0)
TOGETHER = (10.0, 100.0, 1000.0)
R_TESTER, PEAK, NOISE, POINTS = 5e3, 0.8, 0.005, 101
DEVICE = Device(
    "channel",
    models["knowm"],
    {
        "r_on": 13e3,
        "r_off": 460e3,
        "v_on": 0.2,
        "v_off": 0.1,
        "tau": 1e-4,
        "phi": 1.0,
        "r_s": R_TESTER,
    },
)


def loop(frequency: float) -> Sweep:
    """Return the second period at one frequency, when the loop has closed."""
    t = np.linspace(0.0, 2.0 / frequency, 2 * POINTS - 1)
    v = PEAK * np.sin(2 * np.pi * frequency * t)
    i = DEVICE.simulate(t, v, 0.1).i[POINTS - 1 :]
    rng = np.random.default_rng(int(frequency))
    noise = NOISE * np.abs(i).max() * rng.standard_normal(POINTS)
    meta = {"r_tester": R_TESTER}
    return Sweep(
        f"{frequency:g} Hz", t[:POINTS], v[POINTS - 1 :], i + noise, np.zeros(POINTS, bool), meta
    )


def silver_rows(frequencies: tuple[float, ...] = FREQUENCIES, joint: bool = True) -> Iterator[Row]:
    """Silver/chalcogenide loops, synthetic: Yakopcic 2020 at each frequency, and at three together."""
    model = models["yakopcic2020"]
    for frequency in frequencies:
        found = fit(model, loop(frequency), loss="linear", series=False, starts=4, candidates=128)
        value = found.quality[0].nrmse_percent
        yield Row(f"Yakopcic 2020, {frequency:g} Hz, NRMSE", value, "%", "< 1", value < 1.0)
    if joint:
        sweeps = [loop(frequency) for frequency in TOGETHER]
        found = fit(model, sweeps, loss="linear", series=False, starts=4, candidates=128)
        worst = max(one.nrmse_percent for one in found.quality)
        warned = any("one by one" in text for text in found.warnings)
        note = "the fit warns" if warned else "no warning"
        holds = worst < 2.0 or warned
        yield Row(
            "Yakopcic 2020, three frequencies, worst NRMSE",
            worst,
            "%",
            "< 2, or warned",
            holds,
            note,
        )


def main() -> int:
    """Print the rows; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Silver/chalcogenide loops.")
    parser.add_argument("--frequencies", type=float, nargs="*", default=list(FREQUENCIES))
    parser.add_argument("--no-joint", action="store_true")
    add_options(parser)
    arguments = parser.parse_args()
    rows = silver_rows(tuple(arguments.frequencies), not arguments.no_joint)
    return publish(rows, "silver", arguments)


if __name__ == "__main__":
    sys.exit(main())
