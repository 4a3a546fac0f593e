"""Every shipped device in ngspice beside numpy, and JART's kinetics, explicit form and speed.

    cd benchmarks && python -m parts.models            # all of it
    python -m parts.models jart_bengel2020             # some devices
    python -m parts.models --part kinetics             # defaults, tight, compiled, kinetics or speed

Errors are the largest ones of the current in parts of its peak. Compiled devices need a program ngspice 44
and a Verilog-A compiler, and are left out where there are none. Known parameters from noise are in
``benchmarks/recovery.py``.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from parts.simulators import at_defaults, compiled, compiled_runs, driven, tight
from table import Row, add_options, at_least, at_most, publish

from memtwin.data.errors import MemtwinError
from memtwin.devices.device import load_device
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.dynamics.cycles import JART_WALK, simulate_cycles

PARTS = ("defaults", "tight", "compiled", "kinetics", "speed")


def default_rows(names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        raw, shifted = at_defaults(name)
        note = f"as it is: {raw:.2g}; here edges may come a printed step of 1,000 early or late"
        yield at_most(f"{name}: ngspice at default options", shifted, "", 1e-2, note)


def tight_rows(names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        for kind in ("sine", "pulses"):
            yield at_most(f"{name}: ngspice at tight options, {kind}", tight(name, kind), "", 1e-3)


def compiled_rows(names: Sequence[str]) -> Iterator[Row]:
    reason = compiled_runs()
    for name in names:
        title = f"{name}: compiled (OSDI), sine"
        if reason:
            yield Row(title, float("nan"), "", "<= 0.0001", None, reason)
        else:
            raw, shifted = compiled(name)
            note = f"as it is: {raw:.2g}; here edges may come 1/20,000 of the period early or late"
            yield at_most(title, shifted, "", 1e-4, note)


def kinetics_rows() -> Iterator[Row]:
    """Yield what JART's published set takes to SET, from its rates, and the explicit form beside it."""
    x = np.linspace(0.0, 0.5, 401)
    volts = np.linspace(0.5, 1.1, 25)
    times = {}
    for name in ("jart_bengel2020", "jart_explicit_ntinas"):
        device = load_device(name)
        rates = device.model.rate(volts[:, None], x, device.parameters)
        times[name] = np.trapezoid(1.0 / rates, x, axis=1)
    took = times["jart_bengel2020"]
    span = float(np.log10(took[0] / took[-1]))
    ends = f"{took[0]:.2g} s at {volts[0]:g} V, {took[-1]:.2g} s at {volts[-1]:g} V"
    yield at_least("JART: SET time from HRS to x = 1/2, 0.5 to 1.1 V", span, "decades", 6.0, ends)
    ratio = times["jart_explicit_ntinas"] / took
    worst = float(np.exp(np.abs(np.log(ratio)).max()))
    yield at_most(
        "JART: SET times, published explicit form against the implicit equations", worst, "x", 2.0,
        "other people's solutions of the same equations; no measured curve is in the catalogue",
    )  # fmt: skip


def speed_rows(count: int) -> Iterator[Row]:
    t = np.linspace(0.0, 4.0, 201)
    v = np.interp(t, [0.0, 1.0, 3.0, 4.0], [0.0, 1.5, -1.5, 0.0])
    for name, bar in (("jart_bengel2020", 30.0), ("jart_explicit_ntinas", None)):
        device = load_device(name)

        def loops(many: int, device=device):  # type: ignore[no-untyped-def]
            rng = np.random.default_rng(1)
            return simulate_cycles(device, t, v, 0.0, cycles=1, walk=JART_WALK, count=many, rng=rng)

        loops(60)  # compiles
        began = time.process_time()
        loops(count)
        spent = time.process_time() - began
        title = f"{name}: {count:,} devices over one SET and RESET sweep, CPU"
        note = "201 samples, each with its own radius, length and concentrations, rtol 1e-4"
        yield (
            Row(title, spent, "s", "", None, note)
            if bar is None
            else at_most(title, spent, "s", bar * count / 10_000, note)
        )


def rows(names: Sequence[str], parts: Sequence[str], count: int) -> Iterator[Row]:
    dynamic = [name for name in names if driven(name)[0].dynamic]
    makers = {
        "defaults": lambda: default_rows(dynamic),
        "tight": lambda: tight_rows(dynamic),
        "compiled": lambda: compiled_rows(dynamic),
        "kinetics": kinetics_rows,
        "speed": lambda: speed_rows(count),
    }
    for part in parts:
        try:
            yield from makers[part]()
        except MemtwinError as error:
            yield Row(f"{part}: the rest", float("nan"), "", "measured", False, str(error))


def main() -> int:
    """Print the rows; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("devices", nargs="*", help="shipped devices; default: all")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--count", type=int, default=10_000, help="devices of the speed row")
    add_options(parser)
    options = parser.parse_args()
    names = tuple(options.devices) or tuple(shipped_devices())
    return publish(rows(names, options.part or PARTS, options.count), "models", options)


if __name__ == "__main__":
    sys.exit(main())
