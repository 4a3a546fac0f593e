"""Learn a device's pulse response with its spread, and ask what writing levels takes.

Needs the dataset crosssim-taox-ltp-ltd. Run: python examples/fit_pulses.py
"""

import numpy as np

from memtwin.data.catalogue import fetch
from memtwin.data.importers.arrays import read_ramps
from memtwin.devices.pulses.response import PulseResponse, fit_spread


def main() -> None:
    up, down = (
        fit_spread(read_ramps(fetch("crosssim-taox-ltp-ltd", f"{name}.csv")[0], v_read=0.1))
        for name in ("set", "reset")
    )
    for side, spread in (("up", up), ("down", down)):
        worst = max(one.nrmse_percent for one in spread.fits)
        print(
            f"{side:5} {spread.ramps} ramps, trends {spread.trend}, worst ramp {worst:.2f} % of"
            " its range"
        )
    levels = np.linspace(1.7e-3, 2.4e-3, 5)
    pulses, spread = PulseResponse(up, down).between(levels, np.random.default_rng(0))
    np.set_printoptions(precision=1, suppress=True)
    print("levels [mS]", 1e3 * levels)
    print("pulses from (row) to (column)\n", pulses)
    print("standard deviation where they land [uS]\n", 1e6 * spread)


if __name__ == "__main__":
    main()
