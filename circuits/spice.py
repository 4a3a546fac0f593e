"""Tiles read in ngspice: the truth that the other engines stand in for."""

__all__ = ["Spice"]

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import ArrayLike

from ..data.errors import InputError
from ..data.types import Array, Progress
from .engine import checked_conductances, checked_voltages
from .netlist import Netlist, build
from .ngspice import features
from .pool import TIMEOUT, map_jobs
from .tile import Tile
from .worker import Job, Step

CHUNK = 256
"""Vectors per sweep; bounds what a crash costs and keeps all workers busy."""


class Spice:
    """ngspice in worker processes.

    Parameters
    ----------
    tile
        The tile that the stack consists of.
    workers
        Number of ngspice processes at a time, by default one per core. The results don't depend on
        it.
    executor
        Where to run jobs instead of here: any ``concurrent.futures.Executor``, such as Dask's.
    timeout
        Time limit of one job [s].
    """

    name = "spice"

    def __init__(
        self,
        tile: Tile,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.tile = tile
        self.workers = workers
        self.executor = executor
        self.timeout = timeout
        self._g: Array | None = None

    def program(self, g: ArrayLike) -> None:
        """Set the conductances ``g`` [S], (..., rows, cols)."""
        self._g = checked_conductances(self.tile, g)
        self.tile.cell.state(self._g.ravel()[:0])

    def read(self, v: ArrayLike, progress: Progress | None = None) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows)."""
        if self._g is None:
            raise InputError("program the spice engine before reading it")
        v = checked_voltages(self.tile, self._g.shape[:-2], v)
        g, flat = self._g.reshape(-1, *self.tile.shape), v.reshape(-1, *v.shape[-2:])
        batch = v.shape[-2]
        # A linear tile is known from its unit vectors; that pays once there are more vectors than
        # rows.
        unit = self.tile.cell.linear and batch > self.tile.rows
        decks = [
            (t, k, build(self.tile, g[t], part))
            for t in range(len(g))
            for k, part in _chunks(np.eye(self.tile.rows) if unit else flat[t])
        ]
        places = [(t, k) for t, k, _ in decks]
        currents = self._run([deck for _, _, deck in decks], places, progress)
        sensed = np.empty((len(g), self.tile.rows if unit else batch, self.tile.cols))
        for (t, k, _), part in zip(decks, currents, strict=True):
            sensed[t, k : k + len(part)] = part
        out = np.matmul(flat, sensed) if unit else sensed
        return out.reshape(*v.shape[:-1], self.tile.cols)

    def _run(
        self, decks: Sequence[Netlist], places: Sequence[tuple[int, int]], progress: Progress | None
    ) -> list[Array]:
        ladder = ladder_of(features().klu)
        jobs = [Job(deck.text, (Step(deck.analysis, deck.sense),), ladder) for deck in decks]
        outcomes = map_jobs(
            jobs,
            workers=self.workers,
            executor=self.executor,
            timeout=self.timeout,
            progress=progress,
        )
        return [deck.currents(out.values[0]) for deck, out in zip(decks, outcomes, strict=True)]


def _chunks(v: Array) -> Iterator[tuple[int, Array]]:
    for k in range(0, len(v), CHUNK):
        yield k, v[k : k + CHUNK]


def ladder_of(klu: bool) -> tuple[str, ...]:
    """Return the ``.options`` to try in turn: the fast solver, the tolerant one, then small steps
    from zero.
    """
    rungs = ("sparse", "sparse itl1=500 itl2=200 gminsteps=20 srcsteps=20 gmin=1e-12 reltol=1e-5")
    return ("klu", *rungs) if klu else rungs
