"""Conduction laws: how often the data's own law is found, and whether its parameters are right.

python benchmarks/conduction.py            # about 4 minutes of CPU
python benchmarks/conduction.py --seeds 5 --json
"""

import argparse
import sys
import time

import numpy as np
from table import Row, add_options, at_least, publish

from memtwin.devices.conduction.fit import compare_laws
from memtwin.devices.conduction.laws import LAWS
from memtwin.devices.conduction.points import ReadPoints
from memtwin.devices.models import models

V = np.linspace(0.05, 1.5, 30)
TEMPERATURES = (300.0, 325.0, 350.0, 375.0)


def reads(name: str, temperatures: tuple[float, ...], noise: float, seed: int) -> ReadPoints:
    """Return points of a law at its default parameters, with relative noise."""
    v = np.tile(V, len(temperatures))
    t = np.repeat(temperatures, len(V))
    i = models[f"conduction_{name}"].current(v, 1.0, {"temperature": t})
    # Tunnelling leaves nothing at small voltages that an instrument could see.
    seen = np.abs(i) > 1e-16
    rng = np.random.default_rng(seed)
    i = i * (1.0 + noise * rng.standard_normal(len(i)))
    curve = np.repeat(np.arange(len(temperatures)), len(V))
    names = tuple(f"{kelvin:g} K" for kelvin in temperatures)
    return ReadPoints(v[seen], i[seen], t[seen], curve[seen], names)


def rows(seeds: int):
    found, named, inside, errors, spent = 0, 0, 0, 0, time.process_time()
    for name in LAWS:
        truth = models[f"conduction_{name}"].defaults
        right = 0
        for seed in range(seeds):
            support = compare_laws(reads(name, TEMPERATURES, 0.01, seed), seed=seed)
            right += support.best.law.name == name
            named += support.decided and support.best.law.name == name
            if support.best.law.name == name:
                for key, error in support.best.stderr.items():
                    inside += abs(support.best.parameters[key] - truth[key]) <= 3.0 * error
                    errors += 1
        found += right
        yield at_least(f"{name}: the law is found", 100.0 * right / seeds, "%", 90.0)
    total = seeds * len(LAWS)
    spent = (time.process_time() - spent) / total
    yield at_least("all laws: found", 100.0 * found / total, "%", 95.0, f"{seeds} seeds each")
    yield Row("all laws: found and said to be supported", 100.0 * named / total, "%", "", None)
    yield at_least("parameters within 3 errors", 100.0 * inside / errors, "%", 90.0, "1 % noise")
    yield Row("one comparison of seven laws", spent, "s", "", None, "CPU time")
    wrong = 0
    for name in ("schottky", "poole_frenkel"):
        for seed in range(seeds):
            points = reads(name, (300.0,), 0.05, seed)
            points = points.only((points.v > 0.6) & (points.v < 1.2))
            support = compare_laws(points, ["schottky", "poole_frenkel", "sclc"], seed=seed)
            wrong += support.decided and support.best.law.name != name
    share = 100.0 * wrong / (2 * seeds)
    note = "one temperature, 0.6 to 1.2 V, 5 % noise: most are said to be alike"
    yield Row("few data: a wrong law is said to be supported", share, "%", "<= 5", share <= 5, note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="sets of noise for each law")
    add_options(parser)
    options = parser.parse_args()
    return publish(rows(options.seeds), "conduction", options)


if __name__ == "__main__":
    sys.exit(main())
