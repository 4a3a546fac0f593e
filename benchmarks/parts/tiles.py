"""What the surrogate's figures share: circuits, and what ngspice makes of them.

Circuits, patterns and vectors are drawn from SEED, which was used for nothing else.
"""

import numpy as np

from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.lines.cell_law import Law
from memtwin.circuits.lines.cell_law_fit import fit_law
from memtwin.circuits.ngspice.engine import ladder
from memtwin.circuits.ngspice.installed import features
from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.netlist import Netlist
from memtwin.circuits.ngspice.pool import map_jobs
from memtwin.circuits.surrogate.cell_deck import sweep_in_ngspice
from memtwin.data.types import Array

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


def errors(read: Array, truth: Array) -> tuple[float, float]:
    scale = float(np.abs(truth).max())
    off = 100.0 * (read - truth) / scale
    return float(np.sqrt(np.mean(off**2))), float(np.abs(off).max())


def rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
