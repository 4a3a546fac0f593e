"""Do known parameters come back? Every dynamic model, a loop with 1 % noise, many seeds.

    python benchmarks/recovery.py                    # every model, 20 seeds
    python benchmarks/recovery.py stanford --seeds 5

A loop is fitted anew for every seed of its noise, from a start that lies 10 % off the truth in
every parameter: this asks whether standard errors are true, not whether a search finds the minimum.
Parameters that the fit itself calls unidentified do not count.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, publish

from memtwin.data.measurement import Sweep
from memtwin.devices.device import Device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.models import models

NOISE = 0.01
POINTS = 101


@dataclass(frozen=True)
class Case:
    """A device, a loop that shows its parameters, and which of them the loop can't show.

    Attributes
    ----------
    truth
        What differs from the model's defaults.
    held
        Parameters not fitted.
    high, low
        Peak voltages of the loop's two half sines [V].
    period
        Duration of the loop [s].
    x0
        State at its begin.
    """

    truth: Mapping[str, float] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    high: float = 1.2
    low: float = -1.2
    period: float = 1.0
    x0: float = 0.3


# A device that is itself a resistor hides a series resistance; one loop shows a rate, but not its
# power too; windows matter where the state goes.
_POWERS = ("a_set", "a_reset")
_VTEAM = Case({"r_off": 1e4, "k_set": 1.0, "k_reset": 1.0}, (*_POWERS, "r_s"))


def _vteam_exp(k: float) -> Case:
    return Case({"k_set": k, "k_reset": k, "r_s": 100.0}, _POWERS)


_DRIFT = Case({"mu": 4e-14}, ("r_s",), 1.0, -1.0, x0=0.2)
_DRIFT_LOW = Case({"mu": 2e-13}, ("r_s",), 1.0, -1.0, x0=0.2)  # windows no higher than 1/4
_WINDOWS = ("alpha_p", "alpha_n", "x_p", "x_n")
CASES: dict[str, Case] = {
    "drift_joglekar": _DRIFT,
    "drift_biolek": _DRIFT,
    "drift_prodromakis": _DRIFT_LOW,
    "drift_zha": _DRIFT_LOW,
    "vteam": _VTEAM,
    "vteam_asymmetric": Case({"k_set": 3.0, "k_reset": 3.0}, (*_POWERS, "r_s")),
    "vteam_kvatinsky": _VTEAM,
    "vteam_exp": _vteam_exp(3.0),
    "vteam_exp_asymmetric": _vteam_exp(2.0),
    "vteam_exp_kvatinsky": _vteam_exp(1.5),
    "yakopcic": Case(
        {"a_p": 1e-3, "a_n": 2e-3, "b_p": 3.0, "b_n": 2.0, "A_p": 6.0, "A_n": 6.0, "r_s": 50.0},
        _WINDOWS,
        x0=0.2,
    ),
    "yakopcic2020": Case(
        {
            "gmax_p": 1e-3,
            "gmax_n": 2e-3,
            "gmin_p": 1e-5,
            "gmin_n": 3e-5,
            "A_p": 6.0,
            "A_n": 6.0,
            "r_s": 50.0,
        },
        _WINDOWS,
        x0=0.2,
    ),
    # One loop shows gaps only in units of g_0, and rates at one temperature. The published device
    # switches in microseconds; the sweep is as fast.
    "stanford": Case(
        {"r_s": 100.0},
        ("e_a", "beta", "f_min", "g_0", "gap_min", "gap_max"),
        high=1.6,
        low=-1.75,
        period=1e-6,
    ),
    "mms": Case(
        {"r_s": 50.0},
        ("t_set", "t_reset", "s_set", "s_reset", "k_set", "k_reset"),
        high=2.0,
        low=-2.0,
        x0=0.5,
    ),
    # A loop shows the filament's size and its two ends, and not the physics of its contact.
    "jart": Case({}, ("dw_a", "r_tiox", "l_det", "n_max"), high=1.3, low=-1.4, x0=0.1),
    "jart_explicit": Case({}, ("dw_a", "l_det", "n_max"), high=1.3, low=-1.4, x0=0.1),
    "memdiode": Case({}, (), high=1.6, low=-1.6, x0=0.1),
    "pcm": Case(
        {}, ("tau_c", "tau_m", "t_c", "r_a", "r_c"), high=1.0, low=-1.2, period=1e-5, x0=0.1
    ),
    "volatile": Case({}, ("r_off",), high=0.6, low=-0.6, period=0.02, x0=0.05),
    "knowm": Case(
        {"tau": 0.05, "r_s": 20.0}, ("phi", "s_f", "s_r", "b_f", "b_r"), high=0.6, low=-0.6
    ),
}


@dataclass(frozen=True)
class Recovery:
    """What came back.

    Attributes
    ----------
    hits, counted
        Identifiable parameters within three standard errors, and in all, over all seeds.
    missed
        How often each missed.
    left_out
        How often each was called unidentified.
    converged
        Fits that converged.
    """

    hits: int
    counted: int
    missed: Mapping[str, int]
    left_out: Mapping[str, int]
    converged: int

    @property
    def share(self) -> float:
        """Hits in percent of what was counted."""
        return 100.0 * self.hits / max(self.counted, 1)


def recover(name: str, seeds: int) -> Recovery:
    """Fit loops of one device whose parameters are known."""
    case, model = CASES[name], models[name]
    truth = {**model.defaults, **case.truth}
    t = np.linspace(0.0, case.period, POINTS)
    wave = np.sin(2 * np.pi * t / case.period)
    v = np.where(wave > 0, case.high, -case.low) * wave
    clean = Device(name, model, truth).simulate(t, v, case.x0).i
    floor = 0.01 * NOISE * float(np.abs(clean).max())
    series = "r_s" not in case.held and truth["r_s"] > 0.0
    free = [
        row.name
        for row in model.parameters
        if row.name not in case.held and (not row.fixed or (row.name == "r_s" and series))
    ]
    bounds = {"r_s": (0.0, 10.0 * truth["r_s"])} if series else {}
    hits = counted = converged = 0
    missed: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        noise = (NOISE * np.abs(clean) + floor) * rng.standard_normal(POINTS)
        near = 1.0 + 0.1 * rng.uniform(-1.0, 1.0, len(free) + 1)
        start = {key: truth[key] * by for key, by in zip(free, near, strict=False)}
        start = {
            key: min(max(value, model.parameter(key).lower), model.parameter(key).upper)
            for key, value in start.items()
        }
        result = fit(
            model,
            Sweep(name, t, v, clean + noise, np.zeros(POINTS, bool)),
            fixed={key: truth[key] for key in case.held},
            bounds=bounds,
            series=series,
            loss=Loss("error", relative=NOISE, floor=floor),
            start={**start, "x0_1": case.x0 * near[-1]},
            starts=1,
            candidates=1,
        )
        converged += result.converged
        found = {**result.parameters, "x0_1": result.x0[0]}
        for key in result.names:
            if key in result.unidentified:
                left_out[key] = left_out.get(key, 0) + 1
                continue
            true = case.x0 if key == "x0_1" else truth[key]
            good = abs(found[key] - true) <= 3.0 * result.stderr[key]
            hits, counted = hits + good, counted + 1
            if not good:
                missed[key] = missed.get(key, 0) + 1
    return Recovery(hits, counted, missed, left_out, converged)


def recovery_row(name: str, seeds: int) -> Row:
    """Return the figure of one model."""
    found = recover(name, seeds)
    note = f"{found.counted / seeds:.1f} parameters, {found.converged} of {seeds} fits converged"
    for label, which in (("missed", found.missed), ("not identified", found.left_out)):
        if which:
            note += f"; {label}: " + ", ".join(f"{key} {count}" for key, count in which.items())
    holds = found.share >= 90 and found.counted >= 2 * seeds
    return Row(f"known parameters, {name}, {seeds} seeds", found.share, "%", ">= 90", holds, note)


def recovery_rows(names: tuple[str, ...] = tuple(CASES), seeds: int = 20) -> Iterator[Row]:
    """Yield one row per model."""
    for name in names:
        yield recovery_row(name, seeds)


def main() -> int:
    """Print the rows; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Recovery of known parameters.")
    parser.add_argument("models", nargs="*", help="models; default: all")
    parser.add_argument("--seeds", type=int, default=20)
    add_options(parser)
    arguments = parser.parse_args()
    rows = recovery_rows(tuple(arguments.models) or tuple(CASES), arguments.seeds)
    return publish(rows, "recovery", arguments)


if __name__ == "__main__":
    sys.exit(main())
