"""Learn how programmed cells spread with time, and sample an array of them.

Needs the dataset rram-relaxation-3tech. Run: python examples/fit_relaxation.py
"""

import numpy as np

from memtwin.data.catalogue import fetch
from memtwin.data.importers.arrays import read_relaxation
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.programming import Programming
from memtwin.devices.spread.relaxation import fit_relaxation


def main() -> None:
    (path,) = fetch("rram-relaxation-3tech", "techB/relaxdata*")
    cells = read_relaxation(path, g_max=128e-6)
    spread = fit_relaxation(cells)
    error = Programming(0.5, g_ref=1e-6)  # 0.5 uS, whatever the target
    array = Effects(programming=error, relaxation=spread, read=ReadNoise(0.01))
    times = [0.01, 1.0, 1e4]
    for level in (10e-6, 40e-6, 100e-6):
        read = array.sample(np.full(20_000, level), times, np.random.default_rng(0))
        widths = np.ptp(np.quantile(read, [0.05, 0.95], axis=1), axis=0)
        shown = ", ".join(
            f"{1e6 * w:.1f} uS at {t:g} s" for w, t in zip(widths, times, strict=True)
        )
        print(f"{1e6 * level:5.0f} uS: 90 % of the cells within {shown}")


if __name__ == "__main__":
    main()
