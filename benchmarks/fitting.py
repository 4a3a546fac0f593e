"""Speed and accuracy of what the device toolkit does, as rows with their bars.

    python benchmarks/fitting.py             # a table
    python benchmarks/fitting.py --json      # one JSON object
    python benchmarks/fitting.py --thorough  # known parameters over 20 seeds instead of 3

Fits to measured data need the datasets (``MEMTWIN_DATA``, or a network). Times of simulations are
CPU seconds of one process (``time.process_time``); ratios compare work done in the same run, on the
same machine. Equal work means equal accuracy: each row says the largest error of the state against
a reference at tolerance 1e-10.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import sympy as sp
from limited import limited_rows
from parts.measured import (
    held_out_rows,
    published_rows,
    pulse_rows,
    relaxation_rows,
    sweep_rows,
    workers,
)
from recovery import CASES, recovery_row
from scipy.integrate import solve_ivp
from search import search_rows
from table import Row, add_options, at_most, publish

from memtwin.data.errors import MemtwinError
from memtwin.devices.device import Device, load_device
from memtwin.devices.functions import LIMIT
from memtwin.devices.model import symbols
from memtwin.devices.models import models
from memtwin.devices.pulses.trapezoid import apply_pulse, choose_pulse


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


# Devices that switch within a sweep of 1 s; parameters vary by 5 % from device to device.
SWEEPS: dict[str, tuple[Device, float]] = {
    "vteam": (Device("vteam", models["vteam"], {"k_set": 30.0, "k_reset": 30.0}), 1.2),
    "yakopcic": (
        Device(
            "yakopcic", models["yakopcic"], {"a_p": 1e-3, "a_n": 1e-3, "A_p": 10.0, "A_n": 10.0}
        ),
        1.2,
    ),
    "knowm": (Device("knowm", models["knowm"], {"tau": 0.05}), 0.5),
    "mms": (load_device("mms_tiox"), 2.0),
}


def _scalar_rate(device: Device, values: dict[str, float]) -> Callable[[float, float], float]:
    """The rate as plain Python on floats, the fastest right-hand side that scipy can be given."""
    own = {
        "limexp": lambda u: math.exp(min(u, LIMIT)) * (1 + max(u - LIMIT, 0)),
        "limsinh": lambda u: math.sinh(min(max(u, -LIMIT), LIMIT)),
        "softplus": lambda u: max(u, 0.0) + math.log1p(math.exp(-min(abs(u), LIMIT))),
        "logistic": lambda u: 0.5 * (1 + math.tanh(0.5 * u)),
        "power": lambda u, a: max(u, 0.0) ** a,
    }
    numbers = {symbols(name)[0]: value for name, value in values.items() if name != "r_s"}
    expr = device.model.rate_expr.xreplace(numbers)
    function: Callable[[float, float], float] = sp.lambdify(
        symbols("V", "X"), expr, modules=[own, "math"], cse=True
    )
    return function


def _lsoda(
    device: Device, values: dict[str, float], t: np.ndarray, v: np.ndarray, rtol: float
) -> np.ndarray:
    rate = _scalar_rate(device, values)
    times, volts = t.tolist(), v.tolist()
    spacing = times[1]

    def f(s: float, x: np.ndarray) -> list[float]:
        k = min(int(s / spacing), len(times) - 2)
        u = volts[k] + (volts[k + 1] - volts[k]) * (s / spacing - k)
        return [rate(u, min(max(float(x[0]), 0.0), 1.0))]

    solved = solve_ivp(
        f,
        (t[0], t[-1]),
        [0.3],
        method="LSODA",
        t_eval=t,
        rtol=rtol,
        atol=rtol * 1e-3,
        max_step=t[-1] / 100,
    )
    return np.clip(solved.y[0], 0.0, 1.0)


def simulation_rows(*, devices: int = 1000, samples: int = 600, compared: int = 3) -> Iterator[Row]:
    """Vectorised simulation against scipy's LSODA, and a pulse train over many devices."""
    rng = np.random.default_rng(1)
    t = np.linspace(0.0, 1.0, samples)
    for name, (device, amplitude) in SWEEPS.items():
        v = amplitude * np.sin(2 * np.pi * t)
        free = [row.name for row in device.model.parameters if not row.fixed]
        spread = {
            key: device.parameters[key] * rng.normal(1.0, 0.05, devices).clip(0.8, 1.2)
            for key in free
        }
        device.simulate(t[:20], v[:20], 0.3)  # compiled outside the clock
        ours, trace = _seconds(
            lambda d=device, v=v, p=spread: d.simulate(t, v, np.full(devices, 0.3), parameters=p)
        )
        theirs, worst, worst_lsoda = 0.0, 0.0, 0.0
        for k in range(compared):
            values = {
                **device.parameters,
                **{key: float(value[k]) for key, value in spread.items()},
            }
            exact = device.simulate(t, v, 0.3, parameters=values, rtol=1e-10, atol=1e-13).x
            seconds, x = _seconds(lambda d=device, v=v, p=values: _lsoda(d, p, t, v, 1e-7))
            theirs += seconds
            worst = max(worst, float(np.abs(trace.x[k] - exact).max()))
            worst_lsoda = max(worst_lsoda, float(np.abs(x - exact).max()))
        ratio = (theirs / compared) / (ours / devices)
        note = (
            f"{1e6 * ours / devices:.0f} us per device against {1e3 * theirs / compared:.1f} ms;"
            f" largest error of the state {worst:.1e} against {worst_lsoda:.1e}"
        )
        ok = ratio >= 20 and worst <= max(worst_lsoda, 1e-5)
        yield Row(f"LSODA / simulate, {name}, {devices} devices", ratio, "x", ">= 20", ok, note)
    yield from _pulse_rows()


def _pulse_rows(devices: int = 20_000, pulses: int = 20) -> list[Row]:
    device = load_device("nbsto_32um")
    pulse = choose_pulse(device, 0.1, 0.9, count=64)
    rng = np.random.default_rng(2)
    spread = {"v_n": device.parameters["v_n"] * rng.normal(1.0, 0.03, devices)}
    apply_pulse(device, [0.1, 0.2], pulse.v, pulse.width)

    def train() -> None:
        x = np.full(devices, 0.1)
        for _ in range(pulses):
            x = apply_pulse(device, x, pulse.v, pulse.width, parameters=spread).x

    seconds, _ = _seconds(train)
    note = f"{device.name}, yakopcic with r_s; {1e6 * seconds / devices / pulses:.2f} us per pulse and device"
    return [at_most(f"{devices} devices, {pulses} pulses", seconds, "s", 20, note)]


def measured_rows() -> Iterator[Row]:
    """Fits to measured devices; what can't be had without the datasets is said in one row."""
    parts = (sweep_rows, search_rows, held_out_rows, pulse_rows, relaxation_rows)
    for part in parts:
        try:
            yield from part()
        except MemtwinError as error:
            yield Row(part.__doc__ or "", math.nan, "", "", None, f"not measured: {error}")


def known_rows(pool: Executor, seeds: int) -> Iterator[Row]:
    """Recovery of known parameters, every dynamic model."""
    yield from pool.map(partial(recovery_row, seeds=seeds), CASES)


def main() -> int:
    """Print the rows; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Figures of the device toolkit.")
    add_options(parser)
    parser.add_argument("--thorough", action="store_true", help="20 seeds instead of 3")
    arguments = parser.parse_args()

    def rows() -> Iterator[Row]:
        yield from measured_rows()
        yield from published_rows()
        yield from simulation_rows()
        yield from limited_rows(20 if arguments.thorough else 2)
        with workers() as pool:
            yield from known_rows(pool, 20 if arguments.thorough else 3)

    return publish(rows(), "fitting", arguments)


if __name__ == "__main__":
    sys.exit(main())
