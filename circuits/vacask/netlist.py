"""A tile as a VACASK netlist: the same elements, names and compiled cells as in ngspice's decks.

A batch is one sweep of the circuit's parameter ``k``, which picks the current of every driver from a
table of its own.
"""

__all__ = ["TITLE", "amplifier_source", "write"]

from collections.abc import Callable
from pathlib import Path

from ...data.types import Array
from ...devices.printing.ngspice import number
from ..array.tile import Tile
from ..osdi.cells import CompiledCell

TITLE = "memtwin"

OPTIONS = 'reltol=1e-9 abstol=1e-15 vntol=1e-12 nr_residualcheck=0 rawfile="binary"'
"""Tolerances of a read; between two solutions that are as close, residuals need no check of their own."""


def amplifier_source() -> str:
    """Return the Verilog-A text of an amplifier's output."""
    return """`include "disciplines.vams"
module memtwin_amplifier(s, o);
  inout s, o;
  electrical s, o;
  (* type="instance" *) parameter real gain = 1e4 from (0:inf);
  (* type="instance" *) parameter real v_max = 1.2 from (0:inf);
  analog V(o) <+ -v_max*tanh(gain/v_max*V(s));
endmodule
"""


def write(tile: Tile, g: Array, v: Array, library: Callable[[str], Path]) -> tuple[str, list[str]]:
    """Return the netlist that reads one tile, and the sensed nodes, column by column, end by end.

    Parameters
    ----------
    tile
        The array.
    g
        Conductances [S], (rows, cols); 0 leaves the device out.
    v
        Row voltages [V], (batch, rows).
    library
        Gives the library compiled from a Verilog-A text.
    """
    wires, (m, n) = tile.wires(), tile.shape
    text = [TITLE, "ground 0", 'load "resistor.osdi"']
    models = ["model r resistor", "model i isource"]
    if tile.cell.linear:
        cells = [f"n@ (w@ b@) r r={number(1.0 / x) if x > 0.0 else 0}" for x in g.ravel()]
    else:
        cell = CompiledCell(tile.cell)
        text.append(f'load "{library(cell.source)}"')
        _, name, kind, given = cell.card.split(maxsplit=3)
        models.append(f"model {name} {kind} ({given.strip()})")
        cells = [f"n@ (w@ b@) {name} x0={number(x)}" for x in tile.cell.state(g).ravel()]
    if tile.amplifier is not None:
        text.append(f'load "{library(amplifier_source())}"')
        models.append("model a memtwin_amplifier")
    text += models
    for k, (line, each) in enumerate(zip(cells, g.ravel(), strict=True)):
        if each > 0.0:
            text.append(line.replace("@", f"{k // n}_{k % n}"))
    for i in range(m):
        for j in range(n - 1):
            text.append(f"rw{i}_{j} (w{i}_{j} w{i}_{j + 1}) r r={number(1.0 / wires.row[i, j])}")
    for i in range(m - 1):
        for j in range(n):
            text.append(f"rb{i}_{j} (b{i}_{j} b{i + 1}_{j}) r r={number(1.0 / wires.col[i, j])}")
    text.append("parameters k=0")
    for side, column, conductance in (("l", 0, wires.left), ("r", n - 1, wires.right)):
        for i in range(m):
            if conductance[i] > 0.0:
                table = ", ".join(number(x) for x in v[:, i] * conductance[i])
                text.append(f"parameters t{side}{i}=[{table}]")
                text.append(f"rd{side}{i} (w{i}_{column} 0) r r={number(1.0 / conductance[i])}")
                text.append(f"id{side}{i} (0 w{i}_{column}) i dc=t{side}{i}[k]")
    sense = []
    for side, row, conductance in (("b", m - 1, wires.bottom), ("t", 0, wires.top)):
        if not conductance.any():
            continue
        for j in range(n):
            node, through = f"b{row}_{j}", number(1.0 / conductance[j])
            if tile.amplifier is None:
                text.append(f"rs{side}{j} ({node} 0) r r={through}")
                sense.append(node)
                continue
            a = tile.amplifier
            text.append(f"rs{side}{j} ({node} s{side}{j}) r r={through}")
            text.append(f"rf{side}{j} (s{side}{j} o{side}{j}) r r={number(a.r_feedback)}")
            given = f"gain={number(a.gain)} v_max={number(a.v_max)}"
            text.append(f"a{side}{j} (s{side}{j} o{side}{j}) a {given}")
            sense.append(f"o{side}{j}")
    text += ["control", f"  options {OPTIONS}", f"  save {' '.join(f'v({x})' for x in sense)}"]
    values = ", ".join(map(str, range(len(v))))
    text.append(f'  sweep s instance="__topinst__" parameter="k" values=[{values}]')
    text += ["    analysis read op", "endc", ""]
    return "\n".join(text), sense
