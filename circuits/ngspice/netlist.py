"""A tile as an ngspice deck.

The array is a PySpice subcircuit ``array`` with the nodes ``w{i}_{j}`` and ``b{i}_{j}`` of
:mod:`.tile`, the elements ``r{i}_{j}`` or ``b{i}_{j}`` (devices), ``rw{i}_{j}``, ``rb{i}_{j}``
(wires), and where the cell has them ``m{i}_{j}`` (transistors), ``bs{i}_{j}`` (selectors),
``rs{i}_{j}`` (the devices' series resistance). Drivers and sense amplifiers are elements of the
circuit around it; the array is its element ``xa``, so that ngspice knows an inner node as
``xa.w3_1``.

A batch of K vectors is one sweep ``.dc vsel 0 K-1 1``: every driver is a current source
``pwl(v(sel), ...) / r_driver`` beside its resistance. (A single vector is an ``.op`` with constant
sources, which any SPICE can read.) Norton drivers and a sensed voltage instead
of a sensed branch leave a matrix with a dominant diagonal, which costs half the factorisation and
one Newton iteration less than voltage sources do; creating the nodes in nested-dissection order
saves another fifth of it with the SPARSE solver.
"""

__all__ = [
    "Netlist",
    "alterations",
    "build",
    "cell_lines",
    "dissection",
    "models",
    "nodes",
    "tolerances",
]

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PySpice.Spice.Netlist import Circuit, SubCircuit

from ...data.types import Array
from ...devices.printing.ngspice import number
from ..array.amplifier import Amplifier
from ..array.cell import Cell, Selector, Transistor
from ..array.fields import refuse_adrift
from ..array.tile import Tile
from ..engine import checked_conductances, checked_voltages
from ..osdi.cells import CompiledCell
from .frozen_device import FrozenLaw, frozen_law
from .job import Step

OPTIONS = "reltol=1e-7 vntol=1e-9 abstol=1e-15 gmin=1e-15"
"""Tolerances of every read; against an exact Newton solve they leave less than 4e-7 of full scale
(1e-6 at reltol=1e-6).
"""

COMPILED_OPTIONS = OPTIONS.replace("vntol=1e-9", "vntol=1e-12")
"""The same for compiled devices: ngspice does not hold their currents to a tolerance as it does those
of B-sources, and the voltages of sensed nodes are small.
"""

IN_TIME = "reltol=1e-6 vntol=1e-10 abstol=1e-12 gmin=1e-15 chgtol=1e-18 trtol=100"
"""Tolerances of a read in time. A charge of these wires is a millionth of what ngspice takes for none
unless told; against steps a tenth as long they leave 1e-4 of a settling time.
"""

POINTS = 200
"""Least number of time points of a read in time."""


@dataclass(frozen=True)
class Netlist:
    """A deck and how to run and read it."""

    text: str
    """The deck, with ``.end`` and without analyses."""
    analysis: str
    """Command that reads all vectors."""
    sense: tuple[str, ...]
    """Vectors to save: sensed voltages, column by column, end by end."""
    gains: Array
    """Sensed current per sensed voltage [S], (ends, cols)."""
    vectors: int
    """Number of input vectors."""
    offset: Array | None = None
    """Potentials at which the bit lines are held [V], (vectors, cols); 0 V if ``None``."""
    sources: tuple[str, ...] = ()
    """Verilog-A texts of its compiled devices."""
    apart: bool = False
    """Whether every vector is solved from the start, not from the solution of the one before."""

    def steps(self, vectors: tuple[str, ...] = (), alter: tuple[str, ...] = ()) -> tuple[Step, ...]:
        """Return the analyses that read all vectors, whose tables follow each other.

        Parameters
        ----------
        vectors
            What they return; the sensed voltages when empty.
        alter
            Commands to run before.
        """
        what = vectors or self.sense
        if not self.apart or self.vectors == 1:
            return (Step(self.analysis, what, alter),)
        chosen = [(*(alter if k == 0 else ()), f"alter vsel = {k}") for k in range(self.vectors)]
        return tuple(Step("op", what, commands) for commands in chosen)

    def currents(self, values: Array) -> Array:
        """Return the sensed currents [A], (vectors, cols), from what the analysis saved."""
        ends, cols = self.gains.shape
        sensed = values.reshape(-1, ends, cols)[: self.vectors]
        if self.offset is not None:
            sensed = sensed - self.offset[:, None, :]
        total: Array = np.einsum("kej,ej->kj", sensed, self.gains)
        return total

    def standalone(self) -> str:
        """Return the deck with its analysis and a table of sensed voltages, for ``ngspice -b``."""
        title, _, body = self.text.removesuffix(".end\n").partition("\n")
        notes = [
            f"* sensed current {j} of end {end} = {self.sense[end * self.gains.shape[1] + j]} * {gain!r} S"
            for end, row in enumerate(self.gains.tolist())
            for j, gain in enumerate(row)
        ]
        lines = [title, *notes, body.rstrip(), f".{self.analysis}"]
        if self.vectors > 1:  # an .op lists all nodes anyway
            lines.append(f".print dc {' '.join(self.sense)}")
        return "\n".join([*lines, ".end", ""])


def build(
    tile: Tile,
    g: ArrayLike,
    v: ArrayLike,
    *,
    held: Array | None = None,
    alterable: bool = False,
    compiled: CompiledCell | None = None,
    duration: float | None = None,
) -> Netlist:
    """Write the deck of one tile.

    Parameters
    ----------
    tile
        The array.
    g
        Conductances [S], (rows, cols); 0 leaves the device out.
    v
        Input vectors [V], (batch, rows).
    held
        Potentials at which the bit lines are held [V], (batch, cols); 0 V when left out.
    alterable
        Write nonlinear devices so that :func:`alterations` can change them in a loaded circuit: a
        state that is more than a factor becomes voltages ``vc{k}_{i}_{j}``, which costs about a
        fifth more time per vector. Resistors and compiled devices can always be altered.
    compiled
        The cell as a compiled device, if it is to be one; B-sources by default.
    duration
        How long one vector is read in time [s], with the tile's capacitances and edges; by default
        reads are static.
    """
    g = checked_conductances(tile, g)
    v = checked_voltages(tile, (), v)
    wires = tile.wires()
    # Names come from files: in the title nothing of one may look like a line of its own.
    model = re.sub(r"[^A-Za-z0-9_. -]", "_", tile.cell.device.model.name)
    circuit = Circuit(f"memtwin tile {tile.rows}x{tile.cols}, {model}")
    ports = _ports(tile, gated=compiled is None)
    array = SubCircuit("array", *ports)
    array.raw_spice = _array(tile, g, alterable, compiled) + _wires(tile)
    if duration is not None:
        array.raw_spice += _capacitors(tile)
    circuit.subcircuit(array)
    words = tolerances(compiled) if duration is None else IN_TIME
    starts = _starts(tile, g, compiled)
    circuit.raw_spice = f".options {words}\n{models(tile.cell, compiled)}{starts}"
    circuit.X("a", "array", *ports)
    if len(v) > 1:
        circuit.V("sel", "sel", circuit.gnd, 0)
    if isinstance(tile.cell.access, Transistor) and compiled is None:
        circuit.V("gate", "gate", circuit.gnd, tile.cell.access.v_gate)
    refuse_adrift(tile, g)

    def source(tag: str, node: str, conductance: float, volts: Array | None) -> None:
        """Join a node to a source, all vectors of it in one, or to ground."""
        currents = [] if volts is None else (volts * conductance).tolist()
        if len(currents) > 1:
            law = f"pwl(v(sel),{','.join(f'{k},{x!r}' for k, x in enumerate(currents))})"
            circuit.B(tag, circuit.gnd, node, current_expression=law)
        elif currents and duration is not None:
            edge = f"pwl(0 0 {tile.edge.rise!r} {currents[0]!r})"
            circuit.I(tag, circuit.gnd, node, edge)
        elif currents:
            circuit.I(tag, circuit.gnd, node, currents[0])
        circuit.R(tag, node, circuit.gnd, float(1.0 / conductance))

    for side, column, conductance in (("l", 0, wires.left), ("r", tile.cols - 1, wires.right)):
        drives = side == "l" or tile.drive == "both"
        for i in np.flatnonzero(conductance):
            volts = v[:, i] if drives else None
            source(f"d{side}{i}", f"w{i}_{column}", conductance[i], volts)
    sense, gains = [], []
    for side, row, conductance in (("b", tile.rows - 1, wires.bottom), ("t", 0, wires.top)):
        reads = side == "b" or tile.sense == "both"
        for j in range(tile.cols):
            node = f"b{row}_{j}"
            if tile.amplifier is not None:
                if reads:
                    _amplifier(
                        circuit, tile.amplifier, f"{side}{j}", node, float(1.0 / conductance[j])
                    )
                    sense.append(f"v(o{side}{j})")
                continue
            if conductance[j]:
                volts = held[:, j] if reads and held is not None else None
                source(f"s{side}{j}", node, conductance[j], volts)
            if reads:
                sense.append(f"v({node})")
        if reads:
            gains.append(
                conductance
                if tile.amplifier is None
                else np.full(tile.cols, -1.0 / tile.amplifier.r_feedback)
            )
    return Netlist(
        text=f"{circuit}.end\n",
        analysis=_analysis(len(v), duration),
        sense=tuple(sense),
        gains=np.array(gains),
        vectors=len(v),
        offset=held,
        sources=() if compiled is None else (compiled.source,),
        apart=bool(starts) and duration is None,
    )


def _analysis(vectors: int, duration: float | None) -> str:
    if duration is not None:
        return f"tran {number(duration / POINTS)} {number(duration)} 0 {number(duration / POINTS)}"
    return f"dc vsel 0 {vectors - 1} 1" if vectors > 1 else "op"


def tolerances(compiled: CompiledCell | None) -> str:
    """Return the words of a line of ``.options`` for reads of these cells."""
    return OPTIONS if compiled is None else COMPILED_OPTIONS


def nodes(tile: Tile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return ngspice's names of the potentials at all cells, word lines and bit lines, row by row."""
    ports = set(_ports(tile))

    def names(line: str) -> tuple[str, ...]:
        local = [f"{line}{i}_{j}" for i in range(tile.rows) for j in range(tile.cols)]
        return tuple(f"v({name})" if name in ports else f"v(xa.{name})" for name in local)

    return names("w"), names("b")


def _amplifier(circuit: Circuit, amplifier: Amplifier, tag: str, node: str, through: float) -> None:
    law = f"-{amplifier.v_max!r}*tanh({amplifier.gain / amplifier.v_max!r}*v(s{tag}))"
    circuit.R(f"s{tag}", node, f"s{tag}", through)
    circuit.R(f"f{tag}", f"s{tag}", f"o{tag}", amplifier.r_feedback)
    circuit.B(f"o{tag}", f"o{tag}", circuit.gnd, voltage_expression=law)


def _ports(tile: Tile, *, gated: bool = True) -> list[str]:
    wires = tile.wires()
    columns = (0, tile.cols - 1) if wires.right.any() else (0,)
    rows = (tile.rows - 1, 0) if wires.top.any() else (tile.rows - 1,)
    names = [f"w{i}_{j}" for j in columns for i in range(tile.rows)]
    names += [f"b{i}_{j}" for i in rows for j in range(tile.cols)]
    if gated and isinstance(tile.cell.access, Transistor):
        names.append("gate")
    return list(dict.fromkeys(names))


def models(cell: Cell, compiled: CompiledCell | None = None) -> str:
    """Return the ``.model`` lines that the elements of ``cell`` refer to."""
    if compiled is not None:
        return compiled.card
    if not isinstance(cell.access, Transistor):
        return ""
    # is: no bulk diodes; w and l cancel.
    return (
        f".model pass nmos level=1 vto={number(cell.access.v_threshold)} kp={number(cell.access.k)}"
        f" lambda={number(cell.access.channel)} gamma=0 phi=0.6 is=1e-30\n"
    )


def _array(tile: Tile, g: Array, alterable: bool, compiled: CompiledCell | None) -> str:
    """Return the lines of all cells, filled into a text that is made once per kind of cell."""
    lines, law = cell_lines(tile.cell, alterable, compiled)
    order, texts = _texts(tile.shape, lines)
    closed = g.ravel()[order] > 0.0
    g = g.ravel()[order][closed]
    values = 1.0 / g[:, None] if law is None else law.constants(tile.cell.state(g))
    text = "".join(compress(texts, closed)) % tuple(values.ravel().tolist())
    if isinstance(law, FrozenLaw) and tile.cell.device.r_s > 0.0:
        # After all others: SPARSE then factors a fifth faster than with each beside its device.
        _, series = _texts(tile.shape, f"rs@ w@ s@ {number(tile.cell.device.r_s)}\n")
        text += "".join(compress(series, closed))
    return text


def _starts(tile: Tile, g: Array, compiled: CompiledCell | None) -> str:
    """Return the lines that say where the search for inner nodes begins. Compiled devices see to it
    themselves.
    """
    _, law = cell_lines(tile.cell, compiled=compiled)
    if not isinstance(law, FrozenLaw):
        return ""
    places = zip(*np.nonzero(g > 0.0), strict=True)
    return law.starts((f"{i}_{j}" for i, j in places), within="xa.")


def cell_lines(
    cell: Cell, alterable: bool = False, compiled: CompiledCell | None = None
) -> tuple[str, FrozenLaw | CompiledCell | None]:
    """Return the lines of one cell, with ``@`` for its position and ``%r`` for constants, and what
    has those: the law of B-sources, or the compiled device; a resistor needs neither.

    Parameters
    ----------
    cell
        What is at each crossing.
    alterable
        Whether devices are written so that their conductance can be altered.
    compiled
        The cell's compiled model; ``None`` for a behavioural one.
    """
    if compiled is not None:
        return compiled.line, compiled
    if cell.linear:
        return "r@ w@ b@ %r\n", None
    start = "s@" if cell.device.r_s > 0.0 else "w@"
    end = "b@" if cell.access is None else "t@"
    law = frozen_law(cell.device, f"v({start},{end})")
    ends = f"{start} {law.node or end}"
    lines = []
    if alterable and law.factor is not None:
        lines.append(f"b@ {ends} i={law.factor} m=%r")
    elif alterable:
        count = law.text.count("%r")
        lines.append(f"b@ {ends} i={law.text % tuple(f'v(c{k}_@)' for k in range(count))}")
        lines += [f"vc{k}_@ c{k}_@ 0 %r" for k in range(count)]
    else:
        lines.append(f"b@ {ends} i={law.text}")
    if isinstance(cell.access, Transistor):
        lines.append("m@ t@ gate b@ 0 pass w=1u l=1u")
    elif isinstance(cell.access, Selector):
        s, v = cell.access, "v(t@,b@)"
        over = f"({v}*{v}-{number(s.v_threshold**2)})*{number(0.25 / (s.v_threshold * s.width))}"
        half = number(0.5 * (s.g_on - s.g_off))
        lines.append(f"bs@ t@ b@ i={v}*({number(s.g_off)}+{half}*(1+tanh({over})))")
    return "\n".join(lines) + "\n", law


@functools.lru_cache(maxsize=8)
def _texts(shape: tuple[int, int], lines: str) -> tuple[Any, tuple[str, ...]]:
    order = dissection(*shape)
    places = zip(*np.unravel_index(order, shape), strict=True)
    return order, tuple(lines.replace("@", f"{i}_{j}") for i, j in places)


def alterations(
    tile: Tile,
    places: Iterable[tuple[int, int]],
    g: Array,
    compiled: CompiledCell | None = None,
) -> tuple[str, ...]:
    """Return the commands that give the devices at ``places`` their conductances ``g`` [S], all
    above 0, in a loaded deck that was built to be altered.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    places
        Rows and columns of devices.
    g
        Their conductances, (n,) [S].
    compiled
        The cell's compiled model; ``None`` for a behavioural one.
    """
    _, law = cell_lines(tile.cell, True, compiled)
    tags = [f"{i}_{j}" for i, j in places]
    if isinstance(law, CompiledCell):
        states = tile.cell.state(g).tolist()
        return tuple(f"alter n.xa.n{tag} x0 = {x!r}" for tag, x in zip(tags, states, strict=True))
    if law is None:
        return tuple(
            f"alter r.xa.r{tag} = {1.0 / value!r}"
            for tag, value in zip(tags, g.tolist(), strict=True)
        )
    constants = law.constants(tile.cell.state(g)).tolist()
    if law.factor is not None:
        return tuple(
            f"alter b.xa.b{tag} m = {c!r}" for tag, (c,) in zip(tags, constants, strict=True)
        )
    return tuple(
        f"alter v.xa.vc{k}_{tag} dc = {c!r}"
        for tag, row in zip(tags, constants, strict=True)
        for k, c in enumerate(row)
    )


def _capacitors(tile: Tile) -> str:
    """Return the capacitors of a tile, to ground, between neighbouring lines and across cells."""
    m, n = tile.shape
    c = tile.capacitances()
    text = []
    for i in range(m):
        for j in range(n):
            tag = f"{i}_{j}"
            text.append(f"cw{tag} w{tag} 0 {number(c.w[i, j])}")
            text.append(f"cb{tag} b{tag} 0 {number(c.b[i, j])}")
            if c.w_b > 0.0:
                text.append(f"cc{tag} w{tag} b{tag} {number(c.w_b)}")
            if c.w_w > 0.0 and i + 1 < m:
                text.append(f"cx{tag} w{tag} w{i + 1}_{j} {number(c.w_w)}")
            if c.b_b > 0.0 and j + 1 < n:
                text.append(f"cy{tag} b{tag} b{i}_{j + 1} {number(c.b_b)}")
    return "\n".join([line for line in text if not line.endswith(" 0.0")]) + "\n"


def _wires(tile: Tile) -> str:
    if tile.uniform:
        return (
            _wire_template(tile.shape)
            .replace("%row", number(tile.r_row))
            .replace("%col", number(tile.r_col))
        )
    wires = tile.wires()
    text = _wire_template(tile.shape).replace("%row", "%r").replace("%col", "%r")
    return text % tuple(np.concatenate([1.0 / wires.row.ravel(), 1.0 / wires.col.ravel()]).tolist())


@functools.lru_cache(maxsize=8)
def _wire_template(shape: tuple[int, int]) -> str:
    m, n = shape
    rows = [f"rw{i}_{j} w{i}_{j} w{i}_{j + 1} %row\n" for i in range(m) for j in range(n - 1)]
    cols = [f"rb{i}_{j} b{i}_{j} b{i + 1}_{j} %col\n" for i in range(m - 1) for j in range(n)]
    return "".join(rows + cols)


@functools.lru_cache(maxsize=8)
def dissection(rows: int, cols: int) -> Any:
    """Return the flat indices of a grid in nested-dissection order (George 1973,
    doi:10.1137/0710032).
    """

    def part(r0: int, r1: int, c0: int, c1: int) -> list[int]:
        if (r1 - r0) * (c1 - c0) <= 4:
            return [i * cols + j for i in range(r0, r1) for j in range(c0, c1)]
        if r1 - r0 >= c1 - c0:
            mid = (r0 + r1) // 2
            halves = part(r0, mid, c0, c1) + part(mid + 1, r1, c0, c1)
            return halves + [mid * cols + j for j in range(c0, c1)]
        mid = (c0 + c1) // 2
        halves = part(r0, r1, c0, mid) + part(r0, r1, mid + 1, c1)
        return halves + [i * cols + mid for i in range(r0, r1)]

    return np.array(part(0, rows, 0, cols))
