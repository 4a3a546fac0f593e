"""Whether a search succeeds, and what it takes: rows for fitting.py.

    python benchmarks/search.py           # four measured sweeps; --thorough: all of -2 V, three seeds

A descent succeeded if its cost ends within 1 % of the best that any seed of that sweep reached. What it takes
is the CPU time of a default fit in one process, against scipy's ``least_squares`` on the same equation (LSODA
on plain Python floats, numerical derivatives, the same bounds, scales, loss and starts). That is stopped after
``_EVALUATIONS`` evaluations, and as many good ends as our fit found are taken to cost as many such descents,
as if each of them succeeded and no longer descent were needed: the ratio is a lower limit.
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
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares
from table import Row, add_options, at_least, at_most, publish

from memtwin.data.measurement import Sweep
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.space import Space, make_space
from memtwin.devices.fitting.stages import draw_starts
from memtwin.devices.models import models

SETS = ((32, "015"), (100, "003"), (32, "020"), (100, "006"))
MORE = ((32, "025"), (32, "030"), (100, "009"), (100, "012"))
MODEL = models["yakopcic"]
_EVALUATIONS = 12
_GOOD = 1.01


def plain_residuals(space: Space, sweep: Sweep, z: np.ndarray) -> np.ndarray:
    """Return the residuals of one point as anybody would compute them."""
    p, (x0,) = space.split(space.values(z[None]))
    values = {name: value[0] for name, value in p.items()}

    def rate(t: float, x: np.ndarray) -> np.ndarray:
        v = np.interp(t, sweep.t, sweep.v)
        return MODEL.rate(v, np.clip(x, 0.0, 1.0), values)

    solved = solve_ivp(
        rate,
        (sweep.t[0], sweep.t[-1]),
        x0,
        method="LSODA",
        t_eval=sweep.t,
        rtol=1e-4,
        atol=1e-7,
        max_step=float(sweep.t[-1] - sweep.t[0]) / 100.0,
    )
    x = np.full(len(sweep.t), solved.y[0, -1])
    x[: solved.y.shape[1]] = solved.y[0]
    i = MODEL.current(sweep.v, np.clip(x, 0.0, 1.0), values)
    return space.loss.residuals(i[:, None], sweep)[0][:, 0]


def plain_seconds(sweep: Sweep) -> tuple[float, float]:
    """Return the CPU time and the cost of one stopped descent of scipy's."""
    space = make_space(MODEL, [sweep], LOSS)
    start = draw_starts(space, None, 1, 64, np.random.default_rng(0))[0]
    began = time.process_time()
    found = least_squares(
        lambda z: plain_residuals(space, sweep, z),
        np.clip(start, 1e-6, 1.0 - 1e-6),
        bounds=(0.0, 1.0),
        max_nfev=_EVALUATIONS,
    )
    return time.process_time() - began, float(found.cost)


def search_rows(
    sets: tuple[tuple[int, str], ...] = SETS, seeds: int = 1, plain: bool = True
) -> Iterator[Row]:
    """Share of descents that succeed on measured sweeps, and CPU time against plain scipy."""
    good = total = 0
    slowest, first = 0.0, (0.0, 0)
    for radius, number in sets:
        sweep = nbsto(radius, number)
        found = []
        for seed in range(seeds):
            began = time.process_time()
            found.append(fit(MODEL, sweep, loss=LOSS, seed=seed))
            spent = time.process_time() - began
            slowest = max(slowest, spent)
        best = min(one.cost for one in found)
        here = sum(int((one.course.starts <= _GOOD * best).sum()) for one in found)
        count = sum(len(one.course.starts) for one in found)
        good, total = good + here, total + count
        first = first if first[1] else (spent, here // seeds)
        label = f"Nb:SrTiO3 {radius} um {number}"
        percent = found[0].quality[0].nrmse_percent
        note = (
            f"cost {best:.1f}, NRMSE {percent:.2f} %; {len(sweep.t)} points, {spent:.1f} s of CPU"
        )
        yield Row(
            f"descents within 1 % of the best, {label}", 100 * here / count, "%", "", None, note
        )
    yield at_least("descents within 1 % of the best, all", 100 * good / total, "%", 80)
    yield at_most("CPU time of a default fit, slowest", slowest, "s", 10)
    if plain:
        sweep = nbsto(*sets[0])
        seconds, cost = plain_seconds(sweep)
        ratio = seconds * max(first[1], 1) / first[0]
        note = (
            f"{seconds:.1f} s for {_EVALUATIONS} evaluations, which came to a cost of {cost:.0f};"
            f" {first[0]:.1f} s for {first[1]} good ends"
        )
        yield at_least("plain least_squares / default fit, good ends alike", ratio, "x", 10, note)


def main() -> int:
    """Print the rows; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Success and cost of the search.")
    parser.add_argument("--thorough", action="store_true", help="eight sweeps, three seeds")
    add_options(parser)
    arguments = parser.parse_args()
    rows = search_rows(SETS + MORE, 3) if arguments.thorough else search_rows()
    return publish(rows, "search", arguments)


if __name__ == "__main__":
    sys.exit(main())
