"""Learn a device's pulse response with its spread, and ask what writing levels takes.

Needs the dataset crosssim-taox-ltp-ltd. Run: python examples/fit_pulses.py
"""

import numpy as np

from memtwin.data.catalogue import fetch
from memtwin.data.importers.arrays import read_ramps
from memtwin.devices.pulses.response import fit_response


def main() -> None:
    trains = [
        read_ramps(fetch("crosssim-taox-ltp-ltd", f"{name}.csv")[0], v_read=0.1)
        for name in ("set", "reset")
    ]
    response = fit_response(trains, name="TaOx")
    print(response)
    levels = np.linspace(1.7e-3, 2.4e-3, 5)
    pulses, spread = response.between(levels, np.random.default_rng(0))
    np.set_printoptions(precision=1, suppress=True)
    print("levels [mS]", 1e3 * levels)
    print("pulses from (row) to (column)\n", pulses)
    print("standard deviation where they land [uS]\n", 1e6 * spread)


if __name__ == "__main__":
    main()
