"""Single cells in ngspice: their currents at every conductance, voltage and bit-line potential."""

__all__ = ["cell_deck", "sweep_in_ngspice"]

import numpy as np
from numpy.typing import ArrayLike

from ...data.types import Array
from ...devices.printing.ngspice import number
from ..array.cell import Cell, Transistor
from ..lines.cell_law_fit import CellSweep, sweep_grid
from ..ngspice.engine import ladder
from ..ngspice.frozen_device import FrozenLaw
from ..ngspice.installed import features
from ..ngspice.job import Job, Step
from ..ngspice.netlist import OPTIONS, cell_lines, models
from ..ngspice.pool import map_jobs
from ..osdi.cells import CompiledCell

OHM = 1e6
"""Transresistance that turns every current into a voltage to save [ohm]."""


def sweep_in_ngspice(
    cell: Cell,
    g: ArrayLike,
    v_range: tuple[float, float],
    *,
    voltages: int = 61,
    compiled: CompiledCell | None = None,
) -> tuple[CellSweep, str]:
    """Sweep single cells with conductances ``g`` [S] in one ngspice run; return it and its deck.

    Parameters
    ----------
    cell
        What is at each crossing.
    g
        Conductances, (n,) [S].
    v_range
        Lowest and highest voltage across a cell [V].
    voltages
        How many voltages.
    compiled
        The cell's compiled model; ``None`` for a behavioural one.
    """
    g = np.unique(np.asarray(g, float))
    v, b = sweep_grid(cell, v_range, voltages)
    deck = cell_deck(cell, g, v, b, compiled)
    saved = tuple(f"v(i{k}_{p})" for k in range(len(g)) for p in range(len(b)))
    step = Step(f"dc vsel 0 {len(v) - 1} 1", saved)
    sources = () if compiled is None else (compiled.source,)
    job = Job(deck, (step,), ladder(features().klu), sources=sources)
    (outcome,) = map_jobs([job], labels=["cell sweep"], workers=1)
    i = outcome.values[0].reshape(len(v), len(g), len(b)) / OHM
    return CellSweep(g, v, b, np.moveaxis(i, 0, 1)), deck


def cell_deck(
    cell: Cell, g: Array, v: Array, b: Array, compiled: CompiledCell | None = None
) -> str:
    """Return the deck: cell ``{k}_{p}`` has the conductance ``g[k]`` and its bit line at ``b[p]``.

    Parameters
    ----------
    cell
        What is at each crossing.
    g
        Conductances, (n,) [S].
    v
        Voltages across the cell, (voltages,) [V].
    b
        Potentials of the bit line [V].
    compiled
        The cell's compiled model; ``None`` for a behavioural one.
    """
    text, law = cell_lines(cell, compiled=compiled)
    constants = 1.0 / g[:, None] if law is None else law.constants(cell.state(g))
    series = cell.device.r_s > 0.0 and law is not None and compiled is None
    low, step = float(v[0]), float(v[1] - v[0])
    lines = [
        "memtwin cell sweep",
        f".options {OPTIONS}",
        models(cell, compiled).strip(),
        "vsel sel 0 0",
    ]
    if isinstance(cell.access, Transistor) and compiled is None:
        lines.append(f"vgate gate 0 {number(cell.access.v_gate)}")
    for k, values in enumerate(constants.tolist()):
        for p, potential in enumerate(b.tolist()):
            tag = f"{k}_{p}"
            lines.append((text % tuple(values)).replace("@", tag).rstrip())
            if series:
                lines.append(f"rs{tag} w{tag} s{tag} {number(cell.device.r_s)}")
            lines += [
                f"bw{tag} w{tag} 0 v={number(low + potential)}+{number(step)}*v(sel)",
                f"vb{tag} b{tag} 0 {number(potential)}",
                f"hi{tag} i{tag} 0 vb{tag} {number(OHM)}",
            ]
            if isinstance(law, FrozenLaw):
                lines.append(law.starts([tag], potential).rstrip())
    return "\n".join(line for line in lines if line) + "\n.end\n"
