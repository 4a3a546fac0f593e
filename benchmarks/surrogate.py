"""The surrogate and the line solver against ngspice: accuracy, honesty, speed.

    python benchmarks/surrogate.py [--sizes 32,64,128] [--quick] [--json] [--plot FILE]

Everything is compared with ngspice in the same run. Nothing is fitted to the tiles that are read,
except where a row says so: the device law comes from an ngspice sweep of single cells, resistances
are the stated ones. Times are CPU times of one thread on both sides (numpy's BLAS is held to one),
the best of several. Without KLU, ngspice takes 64 lines slowly and 128 hardly at all: leave out.

Circuits, patterns and vectors are drawn from SEED, which was used for nothing else.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib.util
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import table

from memtwin.circuits.amplifier import Amplifier
from memtwin.circuits.backends import torch_arrays
from memtwin.circuits.baselines import AlphaBeta, LinearTransfer
from memtwin.circuits.cell import Cell, Transistor
from memtwin.circuits.cell_deck import sweep_in_ngspice
from memtwin.circuits.characterise import Characterisation, Vectors, characterise
from memtwin.circuits.engine import Engine
from memtwin.circuits.ideal import Ideal
from memtwin.circuits.law import Law
from memtwin.circuits.law_fit import fit_law
from memtwin.circuits.line import LineSolver
from memtwin.circuits.netlist import Netlist, build
from memtwin.circuits.ngspice import features
from memtwin.circuits.patterns import FAMILIES, UNSEEN, pattern, vectors
from memtwin.circuits.pool import map_jobs
from memtwin.circuits.spice import ladder
from memtwin.circuits.surrogate import Surrogate
from memtwin.circuits.surrogate_fit import RESISTANCES, fit_surrogate
from memtwin.circuits.tile import Tile
from memtwin.circuits.worker import Job, Step
from memtwin.data.types import Array
from memtwin.devices.levels import Levels

SEED = 20261122
LEVELS = np.linspace(1e-6, 1e-4, 16)
FULL = 0.2
CELLS = {
    "linear": Cell.resistor(FULL),
    "sinh2": Cell.sinh(2.0, FULL),
    "sinh5": Cell.sinh(5.0, FULL),
    "state": Cell.sinh_state({}, FULL),
    "1T1R": Cell.sinh(2.0, FULL, access=Transistor()),
}
ENGINES = ("surrogate", "line", "alpha-beta", "transfer", "ideal")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    found: float
    bar: float
    unit: str
    below: bool = True
    note: str = ""

    def published(self) -> table.Row:
        holds = self.found <= self.bar if self.below else self.found >= self.bar
        bar = f"{'<=' if self.below else '>='} {self.bar:g}"
        return table.Row(self.what, self.found, self.unit, bar, holds, self.note)


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


def spice(decks: list[Netlist]) -> tuple[list[Array], list[float]]:
    """Return the currents of all decks and the CPU seconds that each took."""
    rungs = ladder(features().klu)
    jobs = [Job(deck.text, (Step(deck.analysis, deck.sense),), rungs) for deck in decks]
    done = map_jobs(jobs, timeout=3600.0)
    currents = [d.currents(o.values[0]) for d, o in zip(decks, done, strict=True)]
    return currents, [o.seconds for o in done]


def law_of(cell: Cell) -> Law:
    sweep, _ = sweep_in_ngspice(cell, np.linspace(LEVELS[0], LEVELS[-1], 31), (-0.2 * FULL, FULL))
    return fit_law(sweep)


def cpu(function: Callable[[], object], repeats: int = 7) -> float:
    """Return the CPU seconds of a call, the best of several."""
    function()
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        function()
        best = min(best, time.process_time() - began)
    return best


def errors(read: Array, truth: Array) -> tuple[float, float]:
    scale = float(np.abs(truth).max())
    off = 100.0 * (read - truth) / scale
    return float(np.sqrt(np.mean(off**2))), float(np.abs(off).max())


def rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


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
            surrogate = Surrogate(tile, law=law, check=1.0, bar=1e9)
            engines: dict[str, Engine] = {
                "surrogate": surrogate,
                "line": LineSolver(tile, law=law, tolerance=1e-6, dtype="float32"),
                "alpha-beta": AlphaBeta(tile),
                "transfer": LinearTransfer(tile),
                "ideal": Ideal(tile),
            }
            read = {}
            for key, engine in engines.items():
                engine.program(g)
                read[key] = engine.read(v)
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
        rows += [Row("LS, every set: NRMSE", a, 0.01, "%"), Row("LS, every set: max", b, 0.05, "%")]
        a, b = worst(inside, "surrogate")
        rows += [
            Row("LC, in-family, every set: NRMSE", a, 0.10, "%"),
            Row("LC, in-family, every set: max", b, 0.7, "%"),
            Row(
                "LC, in-family, rms over sets",
                rms([s.rms["surrogate"] for s in inside]),
                0.035,
                "%",
            ),
        ]
        a, b = worst(outside, "surrogate")
        rows += [
            Row("LC, unseen families, every set: NRMSE", a, 0.2, "%"),
            Row("LC, unseen families, every set: max", b, 1.0, "%"),
        ]
    if large:
        a, b = worst(large, "surrogate")
        rows += [Row("LC, 128: NRMSE", a, 0.3, "%"), Row("LC, 128: max", b, 1.5, "%")]
    curved = [s for s in sets if s.cell != "linear"]
    ratio = rms([s.rms["alpha-beta"] for s in curved]) / rms([s.rms["surrogate"] for s in curved])
    rows.append(Row("alpha-beta / LC, rms error, nonlinear devices", ratio, 20.0, "×", below=False))
    told = [s.estimate / s.rms["surrogate"] for s in sets if s.rms["surrogate"] > 0.01]
    if told:
        good = float(np.mean([0.5 <= t <= 2.0 for t in told]))
        rows += [
            Row("estimate / true error within 0.5 to 2", 100 * good, 90.0, "%", below=False,
                note=f"{len(told)} sets"),
            Row("estimate / true error, lowest", min(told), 0.5, "×", below=False,
                note=f"median {np.median(told):.2f}, highest {max(told):.2f}"),
        ]  # fmt: skip
    return rows


def ageing(size: int) -> Row:
    """50 rounds in which 1 % of the devices jump by up to 3 levels; the residual stays as it was."""
    rng = np.random.default_rng([SEED, 50])
    worst = 0.0
    for name in ("sinh5", "state", "1T1R"):
        tile = Tile(size, size, cell=CELLS[name])
        families = ("uniform", "mlp")
        g = np.stack([pattern(family, tile.shape, LEVELS, rng) for family in families])
        surrogate = Surrogate(tile, law=law_of(CELLS[name]), renew=1e9, check=0.0)
        surrogate.program(g)
        for _ in range(50):
            jump = rng.choice([-3, -2, -1, 1, 2, 3], g.shape) * (LEVELS[1] - LEVELS[0])
            moved = np.clip(g + jump, LEVELS[0], LEVELS[-1])
            g = np.where(rng.random(g.shape) < 0.01, moved, g)
            surrogate.program(g)
        v = np.stack([vectors(8, size, FULL, rng) for _ in families])
        currents, _ = spice([build(tile, a, b) for a, b in zip(g, v, strict=True)])
        read = surrogate.read(v)
        worst = max(worst, *(errors(r, c)[0] for r, c in zip(read, currents, strict=True)))
    return Row(f"LC, {size}, after 50 rounds of 1 % changes: NRMSE", worst, 0.1, "%")


def levels_of(cell: Cell) -> Levels:
    return Levels(cell.device, cell.v_read, LEVELS, cell.state(LEVELS))


def recovery(size: int) -> Row:
    """Resistances from 18 vectors, started 2x wrong."""
    tile = Tile(size, size, r_row=2.5, r_col=2.5, cell=CELLS["state"])
    record = characterise(tile, levels_of(tile.cell), vectors=18, held_out=3, seed=SEED)
    start = replace(tile, r_row=5.0, r_col=1.25, r_driver=200.0, r_sense=10.0)
    fitted = fit_surrogate(record, start=start, multipliers=False)
    off = [getattr(fitted.tile, name) / getattr(tile, name) - 1.0 for name in RESISTANCES]
    return Row(
        "resistances from 18 vectors, 2× wrong start", 100 * float(np.abs(off).max()), 0.1, "%"
    )


def foreign(tile: Tile, g: Array, v: Array, rng: np.random.Generator) -> Netlist:
    """Return a deck with transistors in the drivers and spread in the devices' curvature."""
    deck = build(tile, g, v)

    def bend(match: re.Match[str]) -> str:
        factor = 1.0 + rng.uniform(-0.1, 0.1)
        return f"i=({float(match[1]) / factor!r}*sinh(({float(match[2]) * factor!r}*"

    text = re.sub(r"i=\(([-\d.e]+)\*sinh\(\(([\d.]+)\*", bend, deck.text)
    text = re.sub(
        r"Bdl(\d+) 0 (\w+) i=(pwl\(.*\))\nRdl\d+ \w+ 0 (\S+)",
        r"bdl\1 vd\1 0 v=\4*\3\nmdl\1 vd\1 gdrive \2 0 drive w=1u l=1u",
        text,
    )
    assert "mdl0" in text
    assert "sinh((5.0*" not in text
    model = (
        "vgdrive gdrive 0 3\n.model drive nmos level=1 vto=0.5 kp=4.2e-3 lambda=0.02 gamma=0"
        " phi=0.6 is=1e-30\n"
    )
    return replace(deck, text=_before_end(text, model))


def _before_end(text: str, lines: str) -> str:
    head, end = text.rsplit(".end\n", 1)
    return f"{head}{lines}.end\n{end}"


def mismatch(sizes: list[int]) -> list[Row]:
    """A circuit that the model does not know; four resistances are fitted to 18 of its vectors."""
    stated, fits, gains = [], [], []
    for size in sizes:
        rng = np.random.default_rng([SEED, 4, size])
        cell = CELLS["sinh5"]
        tile = Tile(size, size, cell=cell, amplifier=Amplifier(1e3, 200.0, 1.2), wire_spread=0.15)
        plain = replace(tile, amplifier=None, wire_spread=0.0)
        devices = int(rng.integers(1 << 30))

        def read(
            family: str,
            count: int,
            tile: Tile = tile,
            devices: int = devices,
            rng: np.random.Generator = rng,
        ) -> Vectors:
            g = pattern(family, tile.shape, LEVELS, rng)
            v = vectors(count, tile.rows, FULL, rng)
            # The same devices have the same curvature in every pattern.
            deck = foreign(tile, g, v, np.random.default_rng(devices))
            (i,), _ = spice([deck])
            return Vectors(family, g, v, i)

        sweep, _ = sweep_in_ngspice(cell, LEVELS, (-0.2 * FULL, FULL))
        record = Characterisation(
            plain, LEVELS, sweep, (read("uniform", 9), read("sparse", 9)), (), {}
        )
        fitted = fit_surrogate(record)
        for family in ("uniform", "mlp", "half", "on"):
            one = read(family, 8)
            pair = []
            for engine in (Surrogate(plain, law=fitted.law), fitted.engine()):
                engine.program(one.g)
                pair.append(errors(engine.read(one.v), one.i)[0])
            stated.append(pair[0])
            fits.append(pair[1])
            gains.append(pair[0] / pair[1])
    note = f"stated resistances: {max(stated):.2f} %; rms {rms(stated) / rms(fits):.1f}× better"
    return [Row("unknown circuit after the fit, worst NRMSE", max(fits), 0.45, "%", note=note)]


def speed(size: int, tiles: int = 16, batch: int = 100) -> list[Row]:
    """CPU times of the state-dependent sinh at 64 lines, and ngspice's beside them."""
    cell = CELLS["state"]
    tile = Tile(size, size, cell=cell)
    rng = np.random.default_rng([SEED, 5])
    law = law_of(cell)
    g = rng.choice(LEVELS, (2, tiles, size, size))
    v = FULL * rng.random((tiles, batch, size))
    surrogate = Surrogate(tile, law=law, check=0.0, renew=1e9)
    surrogate.program(g[0])
    turn = iter(range(1 << 30))
    refresh = cpu(lambda: surrogate.program(g[next(turn) % 2])) / tiles
    apply = cpu(lambda: surrogate.read(v)) / (tiles * batch)

    def both() -> None:
        surrogate.program(g[next(turn) % 2])
        surrogate.read(v)

    together = cpu(both) / (tiles * batch)
    solver = LineSolver(tile, law=law, tolerance=1e-4, dtype="float32")
    line = cpu(lambda: solver.solve(g[0, 0], v[0]), 4) / batch
    few, many = 2, 12
    decks = [build(tile, g[0, 0], v[0, :k]) for k in (few, many)]
    seconds = [min(spice([deck])[1][0] for _ in range(3)) for deck in decks]
    per_vector = (seconds[1] - seconds[0]) / (many - few)
    kind = "KLU" if features().klu else "SPARSE"
    note = f"ngspice {features().version} with {kind}: {1e3 * per_vector:.3g} ms per vector"
    name = f"{size}×{size}"
    return [
        Row(f"apply, {name}, batch {batch}", 1e6 * apply, 1.2, "µs per vector and tile"),
        Row("ngspice / apply", per_vector / apply, 30_000, "×", below=False, note=note),
        Row(f"refresh, {tiles} tiles of {name}", 1e3 * refresh, 0.8, "ms per tile"),
        Row("ngspice / all refreshed for every batch", per_vector / together, 4_000, "×",
            below=False, note=note),
        Row(f"LS, {name}, to 1e-4", 1e6 * line, 160.0, "µs per vector",
            note=f"{per_vector / line:.0f}× ngspice"),
    ]  # fmt: skip


def arrays(size: int, tiles: int = 16, batch: int = 100) -> list[str]:
    """Wall times of the same reads on the other arrays that are here."""
    if importlib.util.find_spec("torch") is None:
        return ["torch is not installed"]
    import torch

    torch.set_num_threads(1)
    cell = CELLS["state"]
    tile, law = Tile(size, size, cell=cell), law_of(cell)
    rng = np.random.default_rng([SEED, 6])
    g = rng.choice(LEVELS, (2, tiles, size, size))
    v = FULL * rng.random((tiles, batch, size))
    lines = []
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        surrogate = Surrogate(tile, law=law, check=0.0, renew=1e9, **torch_arrays(device))
        surrogate.program(g[0])
        times = []
        turn = iter(range(1 << 30))
        for work in (lambda: surrogate.program(g[next(turn) % 2]), lambda: surrogate.read(v)):  # noqa: B023
            work()
            spent = []
            for _ in range(7):
                began = time.perf_counter()
                work()
                spent.append(time.perf_counter() - began)
            times.append(min(spent))
        lines.append(
            f"torch {torch.__version__} on {device}, {size}×{size}: refresh"
            f" {1e3 * times[0] / tiles:.3g} ms per tile, read {1e6 * times[1] / tiles / batch:.3g} µs"
            " per vector and tile, wall time"
        )
    return lines


def draw(shown: dict[str, Array], path: Path) -> None:
    from matplotlib.figure import Figure

    from memtwin.circuits.plots import error_against_current, error_histogram

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = ("ideal", "alpha-beta", "surrogate", "line")
    error_against_current(left, shown["spice"], {name: shown[name] for name in names})
    error_histogram(right, shown["spice"], shown["surrogate"])
    figure.savefig(path, dpi=140)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", default="32,64,128" if features().klu else "32")
    parser.add_argument("--quick", action="store_true", help="one wire resistance only")
    parser.add_argument("--skip-speed", action="store_true", help="accuracy only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    began = time.perf_counter()
    rows: list[Row] = []
    if max(sizes) >= 64 and not options.skip_speed:
        rows += speed(64)
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
    missed = table.publish((row.published() for row in rows), as_json=options.json)
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
