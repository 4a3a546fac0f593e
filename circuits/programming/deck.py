"""The deck of one pulse on an array: cells in their roles, wires, drivers that follow the pulse.

Nodes are named as in :mod:`.tile`, ``w{i}_{j}`` and ``b{i}_{j}``; a cell's state is the node
``x{i}_{j}``, the node between memristor and access device ``t{i}_{j}``.
"""

__all__ = ["CellText", "Role", "Wave", "cell_lines", "write_deck"]

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array
from ...devices.device import Device
from ...devices.printing.ngspice import dynamic_elements, number
from ..array.cell import Selector, Transistor
from ..array.tile import Tile
from ..ngspice.frozen_device import FrozenLaw, frozen_law
from .schemes import Bias


class Role(IntEnum):
    """What stands for a device in the deck."""

    ABSENT = 0
    """Nothing: its transistor is off."""
    LINEAR = 1
    """A resistor, for a static device that sees next to no voltage."""
    STATIC = 2
    """Its law at a state that does not move; a resistor as well if that law is linear."""
    DYNAMIC = 3
    """Its law and its state."""


@dataclass(frozen=True)
class Wave:
    """A trapezoid as a share of its amplitude."""

    times: Array
    levels: Array

    @classmethod
    def trapezoid(cls, width: float, edge: float) -> "Wave":
        """Return a pulse of ``width`` [s] with edges of ``edge`` widths each."""
        rise = edge * width
        return cls(
            np.array([0.0, rise, rise + width, 2.0 * rise + width]), np.array([0.0, 1.0, 1.0, 0.0])
        )

    @property
    def duration(self) -> float:
        """Whole length [s]."""
        return float(self.times[-1])

    @property
    def grid(self) -> Array:
        """Times at which what follows the pulse is worked out, odd in number in every part [s]."""
        a, b, c, d = self.times
        edge, flat = np.linspace(0.0, 1.0, 5), np.linspace(b, c, 9)
        return np.concatenate([a + edge[:-1] * (b - a), flat[:-1], c + edge * (d - c)])


@dataclass(frozen=True)
class CellText:
    """Netlist lines of a cell with ``@`` for its position."""

    moving: str
    """Dynamic device, with ``{x0}`` for its state, ``{c}`` for the capacitance that holds it, and
    ``{pace}`` for the factor of its speed.
    """
    capacitance: float
    resting: FrozenLaw
    start: str
    """Node where the static law begins, behind the series resistance."""
    end: str
    series: str
    access: str
    still: str = ""
    """Compiled device whose state stays, if cells are compiled, with ``{x0}`` for its state."""

    @classmethod
    def compiled(cls, device: Device, tile: Tile, differing: str) -> "CellText":
        """Print the cells of ``tile`` that hold ``device`` as instances of one compiled cell, from
        which they differ in the parameters ``name=value ...``.

        Parameters
        ----------
        device
            The device in every cell.
        tile
            The tile: its size, wires, periphery and cell.
        differing
            Parameters in which the instances differ, as ``name=value ...``.
        """
        start = "s@" if device.r_s > 0.0 else "w@"
        law = frozen_law(device, f"v({start},b@)")
        series = f"rs@ w@ s@ {number(device.r_s)}" if device.r_s > 0.0 else ""
        moving = f"n@ w@ b@ moving x0={{x0}} pace={{pace}} {differing}".rstrip()
        still = f"n@ w@ b@ cell x0={{x0}} {differing}".rstrip()
        return cls(moving, 1.0, law, start, "b@", series, _access(tile), still)

    @classmethod
    def of(cls, device: Device, tile: Tile) -> "CellText":
        """Print the cells of ``tile`` that hold ``device``."""
        end = "b@" if tile.cell.access is None else "t@"
        # Names are checked where they are printed; the position comes in afterwards.
        lines = dynamic_elements(device, "mqq", "wqq", end.replace("@", "qq"), "xqq", x0="{x0}")
        place = next(k for k, line in enumerate(lines) if line.startswith("Cmqq "))
        capacitance = float(lines[place].split()[3])
        lines[place] = "Cmqq xqq 0 {c} ic={x0}"
        start = "s@" if device.r_s > 0.0 else "w@"
        return cls(
            "\n".join(lines).replace("qq", "@"),
            capacitance,
            frozen_law(device, f"v({start},{end})"),
            start,
            end,
            f"rs@ w@ s@ {number(device.r_s)}" if device.r_s > 0.0 else "",
            _access(tile),
        )

    @property
    def linear(self) -> bool:
        """Whether the static law is a resistor's at any voltage."""
        return self.resting.factor == f"v({self.start},{self.end})"

    def lines(self, name: str, role: Role, x: float, pace: float, slope: float) -> list[str]:
        """Return the lines of the cell ``name`` in state ``x``; ``slope`` is the device's di/dv at
        0 V [S], ``pace`` the factor of its speed.

        Parameters
        ----------
        name
            Name of the cell.
        role
            What the cell does in this write.
        x
            State of the cell [0..1].
        pace
            Factor of its speed.
        slope
            Its di/dv at 0 V [S].
        """
        if role == Role.DYNAMIC:
            capacitance = number(self.capacitance / pace)
            text = [self.moving.replace("{x0}", number(x)).replace("{c}", capacitance)]
            text[0] = text[0].replace("{pace}", number(pace))
        elif self.still and (self.access or not (role == Role.LINEAR or self.linear)):
            text = [self.still.replace("{x0}", number(x))]
        elif role == Role.LINEAR:
            text = [f"rm@ w@ {self.end} {number(1.0 / slope)}"]
        else:
            constants = self.resting.constants(np.array([x]))[0].tolist()
            if self.linear:  # costs a tenth of a B source
                element = f"rm@ {self.start} {self.end} {number(1.0 / constants[0])}"
            else:
                end = self.resting.node or self.end
                element = f"bm@ {self.start} {end} i={self.resting.text % tuple(constants)}"
            text = [self.series, element] if self.series else [element]
        if self.access and not self.still:
            text.append(self.access)
        return [line.replace("@", name) for line in text]


def write_deck(
    tile: Tile,
    cells: Sequence[CellText],
    roles: NDArray[np.int8],
    x: Array,
    pace: Array,
    slope: Array,
    lines: Bias,
    wave: Wave,
    cards: str = "",
) -> str:
    """Write the deck of a pulse.

    Parameters
    ----------
    tile
        The array.
    cells
        Text of every cell in row-major order, or one for all of them.
    roles
        A :class:`Role` per cell, (cells,).
    x, pace, slope
        State, factor of the speed, and di/dv at 0 V [S] of every device, (cells,) each.
    lines
        Line voltages at the flat part.
    wave
        The pulse.
    cards
        ``.model`` lines of compiled cells, which have their access device in them.
    """
    rows, cols = tile.shape
    text = [f"memtwin write {rows}x{cols}, {tile.cell.device.model.name}"]
    text += _wires_and_drivers(tile, lines, wave)
    text += cell_lines(tile, cells, roles, np.flatnonzero(roles), (x, pace), slope, cards)
    return "\n".join([*text, ".end"])


def cell_lines(
    tile: Tile,
    cells: Sequence[CellText],
    roles: NDArray[np.int8],
    which: NDArray[np.intp],
    moved: tuple[Array, Array],
    slope: Array,
    cards: str = "",
) -> list[str]:
    """Return the lines of the cells ``which``, flat indices, and of the models that they refer to;
    ``moved`` are the states and factors of the speed of all devices, the rest as in
    :func:`write_deck`.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    cells
        Texts of the cells.
    roles
        What each cell does.
    which
        Flat indices of the cells wanted.
    moved
        States, and factors of the speed, of all devices.
    slope
        Their di/dv at 0 V [S].
    cards
        Cards that go with the models.
    """
    text, (x, pace) = [], moved
    if cards:
        text.append(cards.rstrip())
    elif isinstance(tile.cell.access, Transistor):
        t = tile.cell.access
        text.append(f"vgate gate 0 {number(t.v_gate)}")
        # is: no bulk diodes; w and l cancel.
        text.append(
            f".model pass nmos level=1 vto={number(t.v_threshold)} kp={number(t.k)}"
            f" lambda={number(t.channel)} gamma=0 phi=0.6 is=1e-30"
        )
    for k in which:
        cell = cells[int(k) if len(cells) > 1 else 0]
        name = f"{k // tile.cols}_{k % tile.cols}"
        text += cell.lines(name, Role(roles[k]), float(x[k]), float(pace[k]), float(slope[k]))
    return text


def _wires_and_drivers(tile: Tile, lines: Bias, wave: Wave) -> list[str]:
    rows, cols = tile.shape
    wires = tile.wires()
    text = []
    for i in range(rows):
        for end, j, g in (("l", 0, wires.left[i]), ("r", cols - 1, wires.right[i])):
            text += _driver(f"{end}{i}", f"w{i}_{j}", g, lines.rows[i], wave)
        text += [
            f"rw{i}_{j} w{i}_{j} w{i}_{j + 1} {number(1.0 / wires.row[i, j])}"
            for j in range(cols - 1)
        ]
    for j in range(cols):
        for end, i, g in (("b", rows - 1, wires.bottom[j]), ("t", 0, wires.top[j])):
            text += _driver(f"{end}{j}", f"b{i}_{j}", g, lines.cols[j], wave)
        text += [
            f"rb{i}_{j} b{i}_{j} b{i + 1}_{j} {number(1.0 / wires.col[i, j])}"
            for i in range(rows - 1)
        ]
    return text


def _driver(tag: str, node: str, g: float, level: float, wave: Wave) -> list[str]:
    """Return a Norton driver, which spares the matrix two unknowns."""
    if g == 0.0:
        return []
    lines = [f"rd{tag} {node} 0 {number(1.0 / g)}"]
    if level != 0.0:
        points = " ".join(
            f"{number(t)} {number(g * level * share)}"
            for t, share in zip(wave.times, wave.levels, strict=True)
        )
        lines.append(f"id{tag} 0 {node} pwl({points})")
    return lines


def _access(tile: Tile) -> str:
    if isinstance(tile.cell.access, Transistor):
        return "ma@ t@ gate b@ 0 pass w=1u l=1u"
    if isinstance(tile.cell.access, Selector):
        s, v = tile.cell.access, "v(t@,b@)"
        over = f"({v}*{v}-{number(s.v_threshold**2)})*{number(0.25 / (s.v_threshold * s.width))}"
        half = number(0.5 * (s.g_on - s.g_off))
        return f"bs@ t@ b@ i={v}*({number(s.g_off)}+{half}*(1+tanh({over})))"
    return ""
