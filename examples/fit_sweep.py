"""Fit a measured current-voltage loop, keep the fit and the device, and draw it.

Needs the dataset nbsto-groningen-iv: a network on first use, or MEMTWIN_DATA. Run: python
examples/fit_sweep.py
"""

from pathlib import Path

from memtwin.data.catalogue import fetch
from memtwin.data.importers.sweeps import read_sweep
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.models import models

OUT = Path("runs/fit_sweep")


def main() -> None:
    (path,) = fetch("nbsto-groningen-iv", "*Radius 32 um/015*")
    sweep = read_sweep(path, meta={"area": 3.2e-9})
    # window parameters trade against each other in one loop: hold them, and the others are known
    held = {"x_p": 0.3, "x_n": 0.5, "alpha_p": 1.0, "alpha_n": 15.0, "v_p": 0.5}
    result = fit(models["yakopcic"], sweep, fixed=held, loss=Loss(floor=1e-9), starts=16)
    print(result)
    print(result.save(OUT / "fit.h5"))
    print(result.device("nbsto, my fit").save(OUT / "device.toml"))
    result.plot(OUT / "fit.png")


if __name__ == "__main__":
    main()
