"""A tile as a deck for other simulators: cells and tile are subcircuits, to be placed beside a periphery.

Every state that a device is in has a subcircuit of its own, of a memristor and its access device,
and every crossing is an instance of one; the tile is a subcircuit with a port per driven and per
sensed end. Around it stand ideal sources with their resistances, and sense resistances or amplifiers.
"""

__all__ = ["DIALECTS", "RUN_HERE", "hierarchical"]

import re

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError, nearest
from ...data.types import Array
from ...devices.printing.dialects import DIALECTS as SPICES
from ...devices.printing.dialects import Dialect
from ...devices.printing.ngspice import number, static_elements
from ..array.amplifier import Amplifier
from ..array.cell import Cell, Selector, Transistor
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import checked_conductances, checked_voltages
from ..osdi.cells import CompiledCell

DIALECTS = (*SPICES, "spectre")

RUN_HERE = ("ngspice",)
"""Dialects whose decks are run where this project is tested; the others are written by their manuals."""

_OPTIONS = {
    "ngspice": ".options reltol=1e-7 vntol=1e-9 abstol=1e-15 gmin=1e-15",
    "ltspice": ".options reltol=1e-7 vntol=1e-9 abstol=1e-15 gmin=1e-15",
    "xyce": ".options nonlin reltol=1e-9 abstol=1e-12\n.options device gmin=1e-15",
}


def hierarchical(tile: Tile, g: ArrayLike, v: ArrayLike, dialect: str = "ngspice") -> str:
    """Return the deck of one tile for one vector.

    Parameters
    ----------
    tile
        The array.
    g
        Conductances [S], (rows, cols); 0 leaves the device out.
    v
        Row voltages [V], (rows,) or (1, rows).
    dialect
        One of :data:`DIALECTS`. The deck for Spectre has its cells in a file ``cells.va`` beside it, whose text is
        :attr:`~..osdi.cells.CompiledCell.source`.

    Raises
    ------
    InputError
        If there is no such dialect, or more than one vector.
    """
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect {dialect!r}{nearest(dialect, DIALECTS)}")
    plain(tile, "a deck of subcircuits")
    g = checked_conductances(tile, g)
    batch = checked_voltages(tile, (), v)
    if len(batch) != 1:
        raise InputError(f"a deck of subcircuits reads one vector, got {len(batch)}")
    title = re.sub(r"[^A-Za-z0-9_. -]", "_", tile.cell.device.model.name)
    head = f"memtwin tile {tile.rows}x{tile.cols}, {title}, for {dialect}"
    note = "" if dialect in RUN_HERE else "written by the simulator's manual, not run in it"
    if dialect == "spectre":
        return _spectre(tile, g, batch[0], head, note)
    return _spice(tile, g, batch[0], SPICES[dialect], head, note)


def _spice(tile: Tile, g: Array, v: Array, to: Dialect, head: str, note: str) -> str:
    text = [f"* {head}", *([f"* {note}"] if note else []), _OPTIONS[to.name]]
    gate = isinstance(tile.cell.access, Transistor)
    values, which = np.unique(g, return_inverse=True)
    which = which.reshape(g.shape)
    for k, value in enumerate(values.tolist()):
        if value > 0.0:
            text += _cell(tile.cell, k, value, to)
    if isinstance(tile.cell.access, Transistor):
        t = tile.cell.access
        text.append(
            f".model pass nmos level=1 vto={number(t.v_threshold)} kp={number(t.k)}"
            f" lambda={number(t.channel)} gamma=0 phi=0.6 is=1e-30"
        )
    ports = [*_ports(tile), *(["gate"] if gate else [])]
    text.append(_wrapped(".subckt tile", ports))
    for i, j in np.argwhere(g > 0.0).tolist():
        gated = " gate" if gate else ""
        text.append(f"Xc{i}_{j} w{i}_{j} b{i}_{j}{gated} cell{which[i, j]}")
    text += [f"R{name} {a} {b} {number(r)}" for name, a, b, r in _segments(tile)]
    text += [".ends tile", _wrapped("Xtile", [*ports, "tile"])]
    if isinstance(tile.cell.access, Transistor):
        text.append(f"Vgate gate 0 {number(tile.cell.access.v_gate)}")
    for tag, node, i, r in _drivers(tile):
        text += [f"V{tag} in{tag} 0 {number(v[i])}", f"R{tag} in{tag} {node} {number(r)}"]
    sensed = []
    for tag, node, r in _senses(tile):
        if tile.amplifier is None:
            text.append(f"R{tag} {node} 0 {number(r)}")
            sensed.append((f"v({node})", 1.0 / r))
        else:
            text += _amplifier(tile.amplifier, tag, node, r, to)
            sensed.append((f"v(o{tag})", -1.0 / tile.amplifier.r_feedback))
    text += [f"* sensed current = {name} * {gain!r} S" for name, gain in sensed]
    if to.name == "xyce":
        first = next(iter(_drivers(tile)))
        level = number(v[first[2]])
        text += [
            f".dc V{first[0]} {level} {level} 1",
            ".print dc " + " ".join(name for name, _ in sensed),
        ]
    else:
        text.append(".op")
    return "\n".join([*text, ".end", ""])


def _cell(cell: Cell, k: int, value: float, to: Dialect) -> list[str]:
    """Return the subcircuit of a cell of conductance ``value`` [S]."""
    gate = " gate" if isinstance(cell.access, Transistor) else ""
    end = "n" if cell.access is None else "t"
    lines = [f".subckt cell{k} p n{gate}"]
    if cell.linear:
        lines.append(f"Rm p n {number(1.0 / value)}")
    else:
        x = float(cell.state(np.array([value]))[0])
        lines += static_elements(cell.device, "m", "p", end, x, dialect=to)
    if isinstance(cell.access, Transistor):
        lines.append("Ma t gate n 0 pass w=1u l=1u")
    elif isinstance(cell.access, Selector):
        s, y = cell.access, "v(t,n)"
        over = f"({y}*{y}-{number(s.v_threshold**2)})*{number(0.25 / (s.v_threshold * s.width))}"
        half = number(0.5 * (s.g_on - s.g_off))
        law = to.source("I", f"{y}*({number(s.g_off)}+{half}*(1+tanh({over})))")
        lines.append(f"Bs t n {law}")
    return [*lines, f".ends cell{k}"]


def _amplifier(amplifier: Amplifier, tag: str, node: str, r: float, to: Dialect) -> list[str]:
    law = f"-{number(amplifier.v_max)}*tanh({number(amplifier.gain / amplifier.v_max)}*v(s{tag}))"
    return [
        f"R{tag} {node} s{tag} {number(r)}",
        f"Rf{tag} s{tag} o{tag} {number(amplifier.r_feedback)}",
        f"B{tag} o{tag} 0 {to.source('V', law)}",
    ]


def _spectre(tile: Tile, g: Array, v: Array, head: str, note: str) -> str:
    text = [f"// {head}", f"// {note}", "simulator lang=spectre"]
    cell = None if tile.cell.linear else CompiledCell(tile.cell)
    states = tile.cell.state(g)
    if cell is not None:
        _, name, kind, given = cell.card.split(maxsplit=3)
        text += ['ahdl_include "cells.va"', f"model {name} {kind} {given.strip()}"]
    ports = _ports(tile)
    text.append(f"subckt tile ({' '.join(ports)})")
    for i, j in np.argwhere(g > 0.0).tolist():
        what = (
            f"resistor r={number(1.0 / g[i, j])}"
            if cell is None
            else f"cell x0={number(states[i, j])}"
        )
        text.append(f"c{i}_{j} (w{i}_{j} b{i}_{j}) {what}")
    text += [f"r{name} ({a} {b}) resistor r={number(r)}" for name, a, b, r in _segments(tile)]
    text += ["ends tile", f"xtile ({' '.join(ports)}) tile"]
    for tag, node, i, r in _drivers(tile):
        text.append(f"v{tag} (in{tag} 0) vsource dc={number(v[i])}")
        text.append(f"r{tag} (in{tag} {node}) resistor r={number(r)}")
    saved = []
    for tag, node, r in _senses(tile):
        if tile.amplifier is not None:
            raise InputError("decks for Spectre have no amplifiers: place the tile beside your own")
        text.append(f"r{tag} ({node} 0) resistor r={number(r)}")
        text.append(f"// sensed current = {node} * {1.0 / r!r} S")
        saved.append(node)
    text += [f"save {' '.join(saved)}", "read dc reltol=1e-7", ""]
    return "\n".join(text)


def _ports(tile: Tile) -> list[str]:
    nodes = [node for _, node, _, _ in _drivers(tile)] + [node for _, node, _ in _senses(tile)]
    return list(dict.fromkeys(nodes))


def _drivers(tile: Tile) -> list[tuple[str, str, int, float]]:
    """Return tag, node, row and resistance of every driver."""
    wires, found = tile.wires(), []
    for side, column, conductance in (("l", 0, wires.left), ("r", tile.cols - 1, wires.right)):
        for i in np.flatnonzero(conductance).tolist():
            found.append((f"d{side}{i}", f"w{i}_{column}", i, float(1.0 / conductance[i])))
    return found


def _senses(tile: Tile) -> list[tuple[str, str, float]]:
    """Return tag, node and resistance of every sensed end."""
    wires, found = tile.wires(), []
    for side, row, conductance in (("b", tile.rows - 1, wires.bottom), ("t", 0, wires.top)):
        for j in np.flatnonzero(conductance).tolist():
            found.append((f"s{side}{j}", f"b{row}_{j}", float(1.0 / conductance[j])))
    return found


def _segments(tile: Tile) -> list[tuple[str, str, str, float]]:
    """Return name, nodes and resistance of every segment of a wire."""
    wires, (m, n) = tile.wires(), tile.shape
    rows = [
        (f"w{i}_{j}", f"w{i}_{j}", f"w{i}_{j + 1}", float(1.0 / wires.row[i, j]))
        for i in range(m)
        for j in range(n - 1)
    ]
    cols = [
        (f"b{i}_{j}", f"b{i}_{j}", f"b{i + 1}_{j}", float(1.0 / wires.col[i, j]))
        for i in range(m - 1)
        for j in range(n)
    ]
    return rows + cols


def _wrapped(start: str, words: list[str], most: int = 20) -> str:
    """Return a line of many words, continued as SPICE does it."""
    lines = [words[k : k + most] for k in range(0, len(words), most)]
    return "\n+ ".join([f"{start} {' '.join(lines[0])}", *(" ".join(line) for line in lines[1:])])
