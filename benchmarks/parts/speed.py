"""How fast the surrogate and the line solver are beside ngspice. Rows of ``surrogate.py``.

Times are CPU times of one thread on both sides, the best of several. What travels from machine to
machine is a ratio: reads are held to one float32 product of the same shape, work on lines to one
banded LAPACK solve of all word lines of a tile.
"""

import importlib.util
import time
from collections.abc import Callable
from itertools import cycle

import numpy as np
from parts.tiles import CELLS, FULL, LEVELS, SEED, law_of, spice
from scipy.linalg import solveh_banded
from table import Row, at_least, at_most

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engine import ProgrammedArray
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.lines.transfer import column_after_column, transfer
from memtwin.circuits.ngspice.installed import features
from memtwin.circuits.ngspice.netlist import build
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.circuits.surrogate.torch_arrays import torch_arrays


def cpu(function: Callable[[], object], repeats: int = 7) -> float:
    """Return the CPU seconds of a call, the best of several."""
    function()
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        function()
        best = min(best, time.process_time() - began)
    return best


def changing(array: ProgrammedArray, g: np.ndarray) -> Callable[[], ProgrammedArray]:
    """Return what gives ``array`` each of the conductances ``g`` in turn, each time starting from
    the last.
    """
    held, turn = [array], cycle(g)

    def change() -> ProgrammedArray:
        held[0] = held[0].reprogram(next(turn))
        return held[0]

    return change


def line_solve(g: np.ndarray, r: float, v: np.ndarray) -> Callable[[], object]:
    """Return what solves all word lines of a tile for one vector at once: a tridiagonal system."""
    rows, cols = g.shape
    between = np.full((rows, cols), 1.0 / r)
    between[:, 0] = 0.0  # no segment joins two lines
    diagonal = g + 1.0 / r + between
    bands = np.stack([-between.ravel(), diagonal.ravel()])
    current = np.zeros((rows, cols))
    current[:, 0] = v / r
    return lambda: solveh_banded(bands, current.ravel(), check_finite=False)


def speed(size: int, tiles: int = 16, batch: int = 100) -> list[Row]:
    """CPU times of the state-dependent sinh at 64 lines, and ngspice's beside them."""
    cell = CELLS["state"]
    tile = Tile(size, size, cell=cell)
    rng = np.random.default_rng([SEED, 5])
    law = law_of(cell)
    g = rng.choice(LEVELS, (2, tiles, size, size))
    v = FULL * rng.random((tiles, batch, size))
    array = Surrogate(tile, law=law, check=0.0, renew=1e9).program(g[0])
    changed = changing(array, g)
    refresh = cpu(changed) / tiles
    apply = cpu(lambda: array.read(v)) / (tiles * batch)
    together = cpu(lambda: changed().read(v)) / (tiles * batch)
    solved = LineSolver(tile, law=law, tolerance=1e-4, dtype="float32").program(g[0, 0])
    line = cpu(lambda: solved.read(v[0]), 4) / batch
    few, many = 2, 12
    decks = [build(tile, g[0, 0], v[0, :k]) for k in (few, many)]
    seconds = [min(spice([deck])[1][0] for _ in range(3)) for deck in decks]
    per_vector = (seconds[1] - seconds[0]) / (many - few)
    kind = "KLU" if features().klu else "SPARSE"
    note = f"ngspice {features().version} with {kind}: {1e3 * per_vector:.3g} ms per vector"
    left, right = v.astype(np.float32), g[0].astype(np.float32)
    product = cpu(lambda: left @ right, 50) / (tiles * batch)
    lines = cpu(line_solve(g[0, 0], tile.r_row, v[0, 0]), 50)
    name = f"{size}×{size}"
    return [
        at_most(
            f"read, {name}, batch {batch} / a float32 product",
            apply / product,
            "×",
            16.0,
            f"{1e6 * apply:.3g} µs per vector and tile",
        ),
        at_least("ngspice / read", per_vector / apply, "×", 30_000, note),
        at_most(
            f"refresh, {tiles} tiles of {name} / a banded solve each",
            refresh / lines,
            "×",
            16.0,
            f"{1e3 * refresh:.3g} ms per tile",
        ),
        at_least(
            "ngspice / all refreshed for every batch", per_vector / together, "×", 4_000, note
        ),
        at_most(
            f"line solver, {name}, to 1e-4 / a banded solve per vector",
            line / lines,
            "×",
            4.0,
            f"{1e6 * line:.3g} µs per vector, {per_vector / line:.0f}× ngspice",
        ),
    ]


def renewal() -> list[Row]:
    """CPU times per device of the exact linear transfer matrix, small tiles and large ones."""
    rng, each, column = np.random.default_rng([SEED, 7]), {}, {}
    for size, tiles in ((32, 16), (64, 4), (128, 1), (256, 1)):
        tile, g = Tile(size, size), rng.choice(LEVELS, (tiles, size, size))
        each[size] = cpu(lambda: transfer(tile, g), 3) / g.size  # noqa: B023
        column[size] = cpu(lambda: column_after_column(tile, g), 2) / g.size  # noqa: B023
    note = (
        ", ".join(f"{1e6 * seconds:.3g}" for seconds in each.values()) + " µs with 32 to 256 lines"
    )
    return [
        at_most(
            "exact transfer matrix, per device: slowest / fastest size",
            max(each.values()) / min(each.values()),
            "×",
            1.5,
            note,
        ),
        Row(
            "the same, 256×256: column after column / now",
            column[256] / each[256],
            "×",
            "",
            None,
            f"{1e6 * column[256]:.3g} µs",
        ),
    ]


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
        array = surrogate.program(g[0])
        times = []
        for work in (changing(array, g), lambda: array.read(v)):  # noqa: B023
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
