"""The surrogate and the line solver against ngspice: accuracy, honesty, speed.

    python benchmarks/surrogate.py [--sizes 32,64,128] [--quick] [--json] [--plot FILE]

Everything is compared with ngspice in the same run. Nothing is fitted to the tiles that are read,
except where a row says so: the device law comes from an ngspice sweep of single cells, resistances
are the stated ones. Times are CPU times of one thread on both sides (numpy's BLAS is held to one),
the best of several. Without KLU, ngspice takes 64 lines slowly and 128 hardly at all: leave out.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from parts.robustness import ageing, mismatch, recovery
from parts.speed import arrays, renewal, speed
from parts.tiles import CELLS, FULL, LEVELS, SEED, errors, law_of, rms, spice
from table import Row, add_options, at_least, at_most, publish

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engine import Engine
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.engines.linear import AlphaBeta, LinearTransfer
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.ngspice.installed import features
from memtwin.circuits.ngspice.netlist import build
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.circuits.surrogate.patterns import FAMILIES, UNSEEN, pattern, vectors
from memtwin.data.files import write_figure
from memtwin.data.types import Array

ENGINES = ("surrogate", "line", "alpha-beta", "transfer", "ideal")


@dataclass(frozen=True)
class Set:
    """One pattern of one circuit, read by ngspice and by the engines."""

    size: int
    cell: str
    r_wire: float
    family: str
    rms: dict[str, float]
    """NRMSE [%] by engine."""
    worst: dict[str, float]
    """Largest error [%] by engine."""
    estimate: float
    """Of the surrogate by itself [%]."""


def accuracy(size: int, shape: tuple[int, int], quick: bool) -> tuple[list[Set], dict[str, Array]]:
    """Read every device, wire and pattern in ngspice and in every engine."""
    wires = (1.0, 2.5, 5.0) if size <= 64 and not quick else (2.5,)
    rng = np.random.default_rng([SEED, size])
    families = FAMILIES + UNSEEN
    found, shown = [], {}
    for name, cell in CELLS.items():
        law = law_of(cell)
        for r_wire in wires if size <= 64 or name != "state" else (1.0, 2.5, 5.0):
            tile = Tile(*shape, r_wire, r_wire, cell=cell)
            g = np.stack([pattern(family, shape, LEVELS, rng) for family in families])
            v = np.stack([vectors(8 if size <= 64 else 5, shape[0], FULL, rng) for _ in families])
            currents, _ = spice([build(tile, a, b) for a, b in zip(g, v, strict=True)])
            surrogate = Surrogate(tile, law=law, check=1.0, bar=1e9).program(g)
            read = {"surrogate": surrogate.read(v)}
            engines: dict[str, Engine] = {
                "line": LineSolver(tile, law=law, tolerance=1e-6, dtype="float32"),
                "alpha-beta": AlphaBeta(tile),
                "transfer": LinearTransfer(tile),
                "ideal": Ideal(tile),
            }
            for key, engine in engines.items():
                read[key] = engine.program(g).read(v)
            for k, family in enumerate(families):
                pairs = {key: errors(read[key][k], currents[k]) for key in ENGINES}
                found.append(
                    Set(
                        size,
                        name,
                        r_wire,
                        family,
                        {key: pair[0] for key, pair in pairs.items()},
                        {key: pair[1] for key, pair in pairs.items()},
                        100.0 * float(surrogate.estimates[k]),
                    )
                )
            if name == "state" and r_wire == 2.5:
                seen = len(FAMILIES)
                shown = {key: np.concatenate(list(read[key][:seen])) for key in ENGINES}
                shown["spice"] = np.concatenate(currents[:seen])
            print(f"  {size}: {name}, {r_wire} ohm", file=sys.stderr, flush=True)
    return found, shown


def accuracy_rows(sets: list[Set]) -> list[Row]:
    rows = []
    small = [s for s in sets if s.size <= 64]
    inside = [s for s in small if s.family in FAMILIES]
    outside = [s for s in small if s.family in UNSEEN]
    large = [s for s in sets if s.size > 64]

    def worst(group: list[Set], engine: str) -> tuple[float, float]:
        return max(s.rms[engine] for s in group), max(s.worst[engine] for s in group)

    if small:
        a, b = worst(small, "line")
        rows += [
            at_most("LS, every set: NRMSE", a, "%", 0.01),
            at_most("LS, every set: max", b, "%", 0.05),
        ]
        a, b = worst(inside, "surrogate")
        rows += [
            at_most("LC, in-family, every set: NRMSE", a, "%", 0.10),
            at_most("LC, in-family, every set: max", b, "%", 0.7),
            at_most(
                "LC, in-family, rms over sets",
                rms([s.rms["surrogate"] for s in inside]),
                "%",
                0.035,
            ),
        ]
        a, b = worst(outside, "surrogate")
        rows += [
            at_most("LC, unseen families, every set: NRMSE", a, "%", 0.2),
            at_most("LC, unseen families, every set: max", b, "%", 1.0),
        ]
    if large:
        a, b = worst(large, "surrogate")
        rows += [at_most("LC, 128: NRMSE", a, "%", 0.3), at_most("LC, 128: max", b, "%", 1.5)]
    curved = [s for s in sets if s.cell != "linear"]
    ratio = rms([s.rms["alpha-beta"] for s in curved]) / rms([s.rms["surrogate"] for s in curved])
    rows.append(at_least("alpha-beta / LC, rms error, nonlinear devices", ratio, "×", 20.0))
    told = [s.estimate / s.rms["surrogate"] for s in sets if s.rms["surrogate"] > 0.01]
    if told:
        good = float(np.mean([0.5 <= t <= 2.0 for t in told]))
        rows += [
            at_least(
                "estimate / true error within 0.5 to 2", 100 * good, "%", 90.0, f"{len(told)} sets"
            ),
            at_least(
                "estimate / true error, lowest",
                min(told),
                "×",
                0.5,
                f"median {np.median(told):.2f}, highest {max(told):.2f}",
            ),
        ]
    return rows


def draw(shown: dict[str, Array], path: Path) -> None:
    from matplotlib.figure import Figure

    from memtwin.circuits.surrogate.plots import error_against_current, error_histogram

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = ("ideal", "alpha-beta", "surrogate", "line")
    error_against_current(left, shown["spice"], {name: shown[name] for name in names})
    error_histogram(right, shown["spice"], shown["surrogate"])
    write_figure(figure, path, dpi=140)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", default="32,64,128" if features().klu else "32")
    parser.add_argument("--quick", action="store_true", help="one wire resistance only")
    parser.add_argument("--skip-speed", action="store_true", help="accuracy only")
    add_options(parser)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    began = time.perf_counter()
    rows: list[Row] = []
    if max(sizes) >= 64 and not options.skip_speed:
        rows += speed(64) + renewal()
    sets: list[Set] = []
    for size in sizes:
        found, shown = accuracy(size, (size, size), options.quick)
        sets += found
        if options.plot and size == min(64, max(sizes)):
            draw(shown, options.plot)
    small = [size for size in sizes if size <= 64]
    rows = [
        *accuracy_rows(sets),
        *([ageing(max(small)), recovery(min(small)), *mismatch(small)] if small else []),
        *rows,
    ]
    missed = publish(rows, "surrogate", options)
    if options.json:
        return missed
    print("\n| NRMSE [%], rms over sets | " + " | ".join(ENGINES) + " |")
    print("|---|" + "---|" * len(ENGINES))
    for name in CELLS:
        group = [s for s in sets if s.cell == name]
        cells = (f"{rms([s.rms[engine] for s in group]):.3g}" for engine in ENGINES)
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n" + "\n".join(arrays(64 if max(sizes) >= 64 else max(sizes))))
    print(f"\n{time.perf_counter() - began:.0f} s")
    return missed


if __name__ == "__main__":
    sys.exit(main())
