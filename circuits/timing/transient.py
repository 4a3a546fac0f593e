"""Reads in time in ngspice: one transient per vector, in worker processes."""

__all__ = ["Transients", "spice_timing"]

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from ...data.types import Array, Progress
from ..array.tile import Tile
from ..engines.nodal import Nodal
from ..ngspice.engine import ladder
from ..ngspice.installed import features
from ..ngspice.job import Job, Step
from ..ngspice.netlist import build, nodes
from ..ngspice.pool import map_jobs
from ..osdi.choice import Devices, chosen
from .result import ReadTiming
from .waveform import Figures, Scene, Traces, figures, timing


@dataclass(frozen=True)
class Transients:
    """How transients run."""

    workers: int | None = None
    """Number of ngspice processes at a time, by default one per core."""
    executor: Executor | None = None
    """Where to run jobs instead of here, such as Dask's."""
    devices: Devices = "auto"
    """How nonlinear devices stand in the decks."""
    timeout: float = 3600.0
    """Time limit of one vector [s]."""


def spice_timing(
    tile: Tile,
    g: Array,
    v: Array,
    duration: float,
    error: float,
    how: Transients | None = None,
    progress: Progress | None = None,
) -> ReadTiming:
    """Return how ``v`` [V], (batch, rows), are read off one tile of conductances ``g`` [S] over
    ``duration`` [s].

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    g
        Conductances, (rows, cols) [S].
    v
        Row voltages, (batch, rows) [V].
    duration
        How long the read is looked at [s].
    error
        Distance at which a column has settled, relative.
    how
        How ngspice integrates.
    progress
        Called with how much is done, and of how much.
    """
    how = how or Transients()
    compiled = chosen(how.devices, tile.cell)
    scene = Scene(tile, g)
    w, b = nodes(tile)
    jobs = []
    for one in v:
        deck = build(tile, g, one[None], compiled=compiled, duration=duration)
        step = Step(deck.analysis, ("time", *w, *b))
        jobs.append(Job(deck.text, (step,), ladder(features().klu), sources=deck.sources))
    outcomes = map_jobs(
        jobs,
        labels=[f"read in time, vector {k}" for k in range(len(v))],
        workers=how.workers,
        executor=how.executor,
        timeout=how.timeout,
        progress=progress,
    )
    ends = Nodal(tile).program(g).read(v)
    found = [
        _figures(scene, one, end, error, outcome.values[0])
        for one, end, outcome in zip(v, ends, outcomes, strict=True)
    ]
    return timing(found, error, duration, "spice")


def _figures(scene: Scene, v: Array, end: Array, error: float, values: Array) -> Figures:
    t, size = values[:, 0], scene.g.size
    w = values[:, 1 : 1 + size].reshape(-1, *scene.g.shape)
    b = values[:, 1 + size :].reshape(-1, *scene.g.shape)
    # A few points at a time: a cell law holds a dozen arrays of all that it is given.
    few = max(1, 200_000 // size)
    parts = [slice(k, k + few) for k in range(0, len(t), few)]
    devices = np.concatenate([scene.device_power(w[part], b[part]) for part in parts])
    segments = np.concatenate([scene.segment_power(w[part], b[part]) for part in parts])
    inside = (
        float(np.trapezoid(devices, t)),
        float(np.trapezoid(segments, t)),
        scene.stored(w[-1], b[-1]),
    )
    traces = Traces(t, w[:, :, 0], w[:, :, -1], b[:, -1], b[:, 0])
    return figures(scene, v, end, error, traces, inside)
