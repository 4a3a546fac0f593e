"""Tiles read in ngspice: the truth that the other engines stand in for."""

__all__ = ["Spice", "SpiceArray"]

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import EngineError, InputError
from ...data.types import Array, Progress
from ..array.fields import Fields, checked_held, fields_of, refuse_adrift
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances, checked_voltages, flat_stack
from ..osdi.choice import Devices, chosen
from ..osdi.compiler import compiler
from .cache import Cache
from .installed import features
from .job import Job, Outcome
from .netlist import Netlist, alterations, build, nodes
from .pool import MEMORY, TIMEOUT, Mode, Worker, map_jobs

CHUNK = 128
"""Most vectors per sweep: what one crash costs, and what one worker takes at a time."""


class Spice:
    """ngspice in worker processes.

    A batch is one ``.dc`` sweep per tile and chunk of vectors. A linear tile that gets more vectors
    than it has rows is swept through its unit vectors instead, and the batch is a matrix product.
    Every chunk starts from a freshly loaded deck, so that the results don't depend, to the last
    bit, on where and in which order the chunks run.

    Parameters
    ----------
    tile
        The tile that the stack consists of.
    workers
        Number of ngspice processes at a time, by default one per core.
    executor
        Where to run jobs instead of here: any ``concurrent.futures.Executor``, such as Dask's.
    timeout
        Time limit of one job [s].
    memory
        Memory that one job may take [byte].
    mode
        ``"library"``, ``"isolated"`` (a program per job) or the first that works.
    cache
        Folder in which results are kept.
    live
        Keep every tile of a stack loaded in a process of its own, and alter only the conductances
        that differ from those read last. Results then depend on the past within the tolerances
        (1e-7). Arrays of one engine share the processes.
    devices
        How nonlinear devices stand in the deck: ``"behavioural"`` (B-sources, which any ngspice
        reads), ``"compiled"`` (Verilog-A, for which it needs a compiler and ngspice 44), or
        ``"auto"``, compiled where that can be.
    """

    name = "spice"

    def __init__(
        self,
        tile: Tile,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        timeout: float = TIMEOUT,
        memory: float = MEMORY,
        mode: Mode = "auto",
        cache: str | Path | None = None,
        live: bool = False,
        devices: Devices = "auto",
    ) -> None:
        if live and (executor is not None or mode == "isolated" or cache is not None):
            raise InputError(
                "a live session runs in this machine's worker processes, without a cache"
            )
        self.tile = tile
        self.workers = workers
        self.executor = executor
        self.timeout = timeout
        self.memory = memory
        self.mode = mode
        self.sweeps_units = tile.cell.linear and tile.amplifier is None
        found = features()
        self.compiled = chosen(devices, tile.cell, mode=mode)
        self.cache = None
        if cache is not None:
            made_by = compiler() if self.compiled is not None else None
            words = [found.version, "klu" if found.klu else "sparse"]
            words += [made_by.version] if made_by is not None else []
            self.cache = Cache(Path(cache), " ".join(words))
        self.ladder = ladder(found.klu)
        self.live = live
        self.watch: Progress | None = None
        """Hears how many of a read's jobs or tiles are done, where the read itself is not told whom to tell."""
        self._sessions: list[_Session] = []

    @property
    def devices(self) -> str:
        """How nonlinear devices stand in its decks: ``"compiled"`` or ``"behavioural"``."""
        return "behavioural" if self.compiled is None else "compiled"

    def deck(
        self, g: Array, v: Array, *, held: Array | None = None, alterable: bool = False
    ) -> Netlist:
        """Return the deck that reads one tile of conductances ``g`` [S] with the vectors ``v`` [V].

        Parameters
        ----------
        g
            Conductances of one tile, (rows, cols) [S].
        v
            Row voltages, (vectors, rows) [V].
        held
            Potentials at which the bit lines are held, (vectors, cols) [V]; 0 V when left out.
        alterable
            Whether devices are written so that their conductance can be altered.
        """
        return build(self.tile, g, v, held=held, alterable=alterable, compiled=self.compiled)

    def program(self, g: ArrayLike) -> "SpiceArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        g = checked_conductances(self.tile, g)
        refuse_adrift(self.tile, g)
        if not self.tile.cell.linear:
            self.tile.cell.state(g)  # says so now if a device can't have its conductance
        return SpiceArray(self, g)

    def sessions(self, count: int) -> "list[_Session]":
        """Return the first ``count`` live sessions; all arrays share them, tile by tile."""
        while len(self._sessions) < count:
            self._sessions.append(_Session(self))
        return self._sessions[:count]

    def run(
        self, jobs: Iterable[Job], labels: Sequence[str], progress: Progress | None
    ) -> list[Outcome]:
        """Run ``jobs`` where the options say; ``labels`` name them in errors.

        Parameters
        ----------
        jobs
            Decks, what to run on them, and what to return.
        labels
            What to call jobs in messages.
        progress
            Called with how much is done, and of how much.
        """
        return map_jobs(
            jobs,
            labels=labels,
            workers=self.workers,
            executor=self.executor,
            timeout=self.timeout,
            memory=self.memory,
            mode=self.mode,
            cache=self.cache,
            progress=progress,
        )

    def close(self) -> None:
        """End the processes of a live session."""
        for session in self._sessions:
            session.close()

    def __enter__(self) -> "Spice":
        """Return the engine; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()


@dataclass(frozen=True, eq=False, repr=False)
class SpiceArray(Programmed[Spice]):
    """Tiles read in ngspice."""

    def read(self, v: ArrayLike, progress: Progress | None = None) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows); of a
        single tile also (cols,) for one vector, (rows,).
        """
        one = np.ndim(v) == 1
        batch = checked_voltages(self.tile, self.stack, v)
        i = self._currents(batch, progress or self.engine.watch)
        return i[0] if one else i

    def fields(
        self, v: ArrayLike, held: ArrayLike | None = None, *, progress: Progress | None = None
    ) -> Fields:
        """Return potentials and currents everywhere for ``v`` [V], in the shapes of a read, the bit
        lines at the potentials ``held`` [V], (..., batch, cols), or 0 V.

        Parameters
        ----------
        v
            Row voltages [V], (..., batch, rows).
        held
            Potentials of the bit lines [V], (..., batch, cols); 0 V by default.
        progress
            Called with vectors done and their number.
        """
        batch = checked_voltages(self.tile, self.stack, v)
        at_cols = checked_held(self.tile, batch, held)
        g, flat, lifted = flat_stack(self.g), flat_stack(batch), flat_stack(at_cols)
        decks = [
            self.engine.deck(g[t], flat[t], held=lifted[t] if lifted[t].any() else None)
            for t in range(len(g))
        ]
        w, b = nodes(self.tile)
        jobs = [_job(deck, self.engine.ladder, vectors=(*w, *b, *deck.sense)) for deck in decks]
        outcomes = self.engine.run(jobs, [self._label(t, 0) for t in range(len(g))], progress)
        tables = np.stack([np.concatenate(out.values)[: flat.shape[1]] for out in outcomes])
        shape, count = (*batch.shape[:-1], *self.tile.shape), len(w)
        at_w, at_b = (
            tables[..., :count].reshape(shape),
            tables[..., count : 2 * count].reshape(shape),
        )
        sensed = np.stack(
            [
                deck.currents(table[:, 2 * count :])
                for deck, table in zip(decks, tables, strict=True)
            ]
        ).reshape(*batch.shape[:-1], self.tile.cols)
        return fields_of(
            self.tile,
            batch,
            at_w,
            at_b,
            states=self.tile.cell.state(self.g),
            closed=self.g > 0.0,
            held=at_cols,
            sensed=sensed,
            one=np.ndim(v) == 1,
        )

    def _currents(self, v: Array, progress: Progress | None = None) -> Array:
        engine, tile = self.engine, self.tile
        g, batches = flat_stack(self.g), flat_stack(v)
        unit = engine.sweeps_units and (batches.shape[1] > tile.rows or engine.live)
        swept = np.broadcast_to(np.eye(tile.rows), (len(g), *(tile.rows,) * 2)) if unit else batches
        sensed = np.empty((*swept.shape[:2], tile.cols))
        if engine.live:
            for t, session in enumerate(engine.sessions(len(g))):
                sensed[t] = session.read(g[t], swept[t])
                if progress is not None:
                    progress(t + 1, len(g))
        else:
            # Equal vectors, as blank patches of images are, are read once.
            kept = [_distinct(vectors) for vectors in swept]
            places = [
                (t, first[part])
                for t, (first, _) in enumerate(kept)
                for part in _chunks(len(first))
            ]
            labels = [self._label(t, int(chosen[0])) for t, chosen in places]
            decks: list[Netlist] = []

            def jobs() -> Iterator[Job]:  # the first ones run while the others are written
                for t, chosen in places:
                    deck = engine.deck(g[t], swept[t, chosen])
                    decks.append(replace(deck, text=""))
                    yield _job(deck, engine.ladder)

            outcomes = engine.run(jobs(), labels, progress)
            for (t, chosen), deck, out in zip(places, decks, outcomes, strict=True):
                sensed[t, chosen] = deck.currents(np.concatenate(out.values))
            for t, (first, which) in enumerate(kept):
                sensed[t] = sensed[t, first[which]]
        currents: Array = np.matmul(batches, sensed) if unit else sensed
        return currents.reshape(*v.shape[:-1], tile.cols)

    def _label(self, t: int, first: int) -> str:
        place = tuple(int(k) for k in np.unravel_index(t, self.stack)) if self.stack else ()
        return f"tile {place} of the stack, vectors from {first}"


def _job(
    deck: Netlist, rungs: tuple[str, ...], vectors: tuple[str, ...] = (), keep: bool = False
) -> Job:
    """Return the job that runs a deck and returns ``vectors``, by default what it senses."""
    return Job(deck.text, deck.steps(vectors), rungs, keep, deck.sources)


def _distinct(v: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where each different vector of ``v`` (vectors, rows) stands first, in order, and which
    of these every vector equals.
    """
    _, first, which = np.unique(v, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[which.reshape(-1)]


def _chunks(vectors: int) -> list[slice]:
    """Return equal parts of a batch; they depend on nothing else, so that results don't either."""
    count = -(-vectors // CHUNK)
    edges = [k * vectors // count for k in range(count + 1)] if count else []
    return [slice(a, b) for a, b in pairwise(edges)]


class _Session:
    """One tile that stays loaded in a worker process."""

    def __init__(self, engine: Spice) -> None:
        self._engine, tile = engine, engine.tile
        self._worker: Worker | None = None
        self._deck: Netlist | None = None
        self._g = np.zeros(tile.shape)
        self._v = np.zeros((0, tile.rows))

    def read(self, g: Array, v: Array) -> Array:
        """Return the currents, altering what changed if the same vectors are loaded, else loading
        anew.
        """
        same = self._worker is not None and not self._worker.worn and np.array_equal(v, self._v)
        if same and self._deck is not None and np.array_equal(g > 0.0, self._g > 0.0):
            changed = np.argwhere(g != self._g)
            values = g[tuple(changed.T)]
            engine = self._engine
            alter = alterations(engine.tile, map(tuple, changed), values, engine.compiled)
            job = Job("", self._deck.steps(alter=alter), keep=True)
            try:
                return self._done(g, v, self._deck, job)
            except EngineError:
                self.close()  # once more, from a fresh process and deck
        if self._worker is None or self._worker.worn:
            self.close()
            self._worker = Worker()
        deck = self._engine.deck(g, v, alterable=True)
        return self._done(g, v, deck, _job(deck, self._engine.ladder, keep=True))

    def _done(self, g: Array, v: Array, deck: Netlist, job: Job) -> Array:
        assert self._worker is not None
        try:
            outcome = self._worker.run(job, self._engine.timeout, self._engine.memory)
        except BaseException:
            self.close()
            raise
        self._deck, self._g, self._v = deck, g.copy(), v.copy()
        return deck.currents(np.concatenate(outcome.values))

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
        self._worker = self._deck = None


def ladder(klu: bool) -> tuple[str, ...]:
    """Return the ``.options`` to try in turn: the fast solver, the tolerant one, then small steps
    from zero.
    """
    rungs = ("sparse", "sparse itl1=500 itl2=200 gminsteps=20 srcsteps=20 gmin=1e-12 reltol=1e-5")
    return ("klu", *rungs) if klu else rungs
