"""Pulses on devices in their array: wires, drivers and neighbours, in vectorised numpy.

At every instant the voltages of all nodes follow from Kirchhoff's law with the devices' present
states (quasi-static: no charge is stored on the lines); the states of all devices, selected or not,
move with the voltage that reaches each of them. A cell's transistor adds one inner node, which is
eliminated from the Newton system cell by cell.
"""

__all__ = ["ArrayPulse", "ArrayWriter", "Network", "WriteArray"]

from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...data.errors import InputError, NonConvergence
from ...data.types import Array
from ..array.tile import Tile
from ..engines.nodal import Net
from .integrate import integrate
from .population import Behaviour, Indices, Population
from .schemes import bias, check_scheme

NEWTON_STEPS = 60

SETTLED = 1e-11
"""Newton step at which a network counts as solved, relative to the largest line voltage."""


class ArrayPulse(NamedTuple):
    """What a pulse on an array did."""

    x: Array
    """States after it, (rows, cols)."""
    energy: Array
    """Energy taken by each memristor [J], (rows, cols)."""
    source_energy: float
    """Energy delivered by all line drivers [J]."""


class ArrayWriter(Protocol):
    """Something that can pulse the cells of an array: :class:`WriteArray`, or ngspice."""

    @property
    def tile(self) -> Tile:
        """The array."""

    @property
    def scheme(self) -> str:
        """How its lines are biased."""

    @property
    def population(self) -> Population:
        """Its devices in row-major order."""

    def pulse(
        self, x: Array, row: int, amplitude: Array, width: float, edge: float, pace: Array
    ) -> ArrayPulse:
        """Apply one pulse to cells of ``row``.

        Parameters
        ----------
        x
            States before, (rows, cols).
        row, amplitude
            The row, and the voltage for each of its cells [V], (cols,); 0: not written.
        width
            Length of the flat part [s].
        edge
            Rise and fall time, each, as a share of the width.
        pace
            Factor of each device's speed during this pulse, (rows, cols).
        """


class WriteArray:
    """A tile that is written in numpy.

    Parameters
    ----------
    tile
        The array; while it is written, its bit lines end in drivers with the sense resistance.
    scheme
        One of :data:`~.schemes.SCHEMES`.
    population
        The devices in row-major order, if they differ; by default all are the cell's device.
    rtol
        Relative tolerance of the states per step.
    """

    def __init__(
        self,
        tile: Tile,
        scheme: str,
        population: Population | None = None,
        *,
        rtol: float = 1e-7,
    ) -> None:
        check_scheme(tile, scheme)
        count = tile.rows * tile.cols
        self.tile, self.scheme, self.rtol = tile, scheme, rtol
        # While it is written there are drivers where the read has amplifiers.
        self._net = Net(replace(tile, amplifier=None))
        self.population = population or Population(tile.cell.device, count)
        if self.population.count != count:
            raise InputError(
                f"expected {count} devices for a {tile.rows}x{tile.cols} tile, got"
                f" {self.population.count}"
            )

    def pulse(
        self, x: Array, row: int, amplitude: Array, width: float, edge: float, pace: Array
    ) -> ArrayPulse:
        """Apply one pulse to cells of ``row``; see :class:`ArrayWriter`.

        Parameters
        ----------
        x
            States before, (rows, cols).
        row
            Row that is written.
        amplitude
            Voltage for each of its cells [V], (cols,); 0: not written.
        width
            Length of the flat part [s].
        edge
            Rise and fall time, each, as a share of the width.
        pace
            Factor of each device's speed during this pulse, (rows, cols).
        """
        lines = bias(self.scheme, self.tile.shape, row, amplitude)
        # Cells whose transistors are off carry no current and stay as they are.
        cells = np.flatnonzero(np.repeat(lines.gates, self.tile.cols))
        size = len(cells)
        network = Network(self._net, self.population.behaviour(cells), cells)
        pace = pace.ravel()[cells]
        low, high = self.population.device.model.state_range
        y = np.concatenate([x.ravel()[cells], np.zeros(size + 1)])[None]
        for begins, ends, share in ((0.0, 1.0, edge), (1.0, 1.0, 1.0), (1.0, 0.0, edge)):
            time = share * width

            def motion(which: Indices, tau: Array, y: Array) -> Array:
                scale = begins + (ends - begins) * float(tau[0])  # noqa: B023
                state = np.clip(y[0, :size], low, high)
                at = network.solve(scale * lines.rows, scale * lines.cols, state)
                return time * np.concatenate([pace * at.rate, at.power, [at.source]])[None]  # noqa: B023

            y = integrate(motion, y, controlled=size, rtol=self.rtol)
            y[0, :size] = np.clip(y[0, :size], low, high)
        after, energy = x.ravel().copy(), np.zeros(x.size)
        after[cells], energy[cells] = y[0, :size], y[0, size:-1]
        return ArrayPulse(after.reshape(x.shape), energy.reshape(x.shape), float(y[0, -1]))


class _Operating(NamedTuple):
    """A solved network."""

    rate: Array
    """dx/dt of every device [1/s]."""
    power: Array
    """Power taken by every memristor [W]."""
    source: float
    """Power delivered by the drivers [W]."""


class Network:
    """Node voltages of a tile by Newton's method, each solve starting from the one before.

    Only the devices ``cells`` conduct; all arrays over devices have their order.
    """

    def __init__(self, net: Net, behaviour: Behaviour, cells: Indices) -> None:
        self._net, self._behaviour, self._cells = net, behaviour, cells
        self._access = net.tile.cell.access
        self._w, self._b = net.w.ravel()[cells], net.b.ravel()[cells]
        self._u = np.zeros(self._net.size)
        self._y = np.zeros(self._w.size)
        self._factor: Any = None

    def solve(self, rows: Array, cols: Array, x: Array) -> _Operating:
        """Return rates and powers for driver voltages ``rows`` and ``cols`` [V] and states ``x``.

        Parameters
        ----------
        rows
            Driver voltages of the word lines [V], (rows,).
        cols
            Driver voltages of the bit lines [V], (cols,).
        x
            States of the cells whose gates are open, (cells,).
        """
        net = self._net
        supply = net.injected(rows[None])[0]
        np.add.at(supply, net.end_nodes, net.end_gains * cols)
        scale = max(float(np.abs(rows).max()), float(np.abs(cols).max()))
        moved = np.inf
        for _ in range(NEWTON_STEPS):
            i, by_w, by_b = self._currents(x)
            residual = net.matrix @ self._u - supply
            residual[self._w] += i
            residual[self._b] -= i
            if self._factor is None:
                self._factor = net.factor(self._full(by_w), self._full(by_b), np.zeros(0))
            before, moved = moved, self._step(-self._factor.solve(residual))
            # With wires of almost no resistance rounding keeps the step above SETTLED.
            rounded = moved <= 1e3 * SETTLED * scale and moved > 0.5 * before
            if moved <= SETTLED * scale + 1e-15 or rounded:
                return self._operating(rows, cols, x)
            if np.isfinite(before) and moved > 0.05 * before:
                self._factor = None  # stale: the next step takes the conductances of its own point
        tile = net.tile
        raise NonConvergence(
            f"the write network of {tile.rows}x{tile.cols} cells did not settle: its last Newton"
            f" step was {moved:.2g} V"
        )

    @property
    def potentials(self) -> Array:
        """Potentials of all nodes [V] at the last solve, (nodes,)."""
        return self._u

    def _currents(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the cells' currents, linearised with its inner node eliminated, and its
        derivatives by the voltages of its word and bit line.
        """
        w, b = self._u[self._w], self._u[self._b]
        everyone = slice(None)
        if self._access is None:
            i, slope = self._behaviour.current(w - b, x, everyone)
            return i, slope, -slope
        i, slope = self._behaviour.current(w - b - self._y, x, everyone)
        i_a, (by_y, by_b) = self._access.current(self._y, b), self._access.slopes(self._y, b)
        excess, total = i_a - i, slope + by_y
        share = np.divide(slope, total, out=np.zeros_like(total), where=total > 0.0)
        self._local = (excess, total, slope, by_b)
        return i + share * excess, share * by_y, share * (by_b - by_y)

    def _full(self, values: Array) -> Array:
        """Spread values of the cells that are on over all cells."""
        spread = np.zeros(self._net.w.size)
        spread[self._cells] = values
        return spread

    def _step(self, step: Array) -> float:
        """Take a Newton step and return its largest part [V]."""
        self._u = self._u + step
        if self._access is not None:
            # The inner node follows from the same linearised balance, cell by cell.
            excess, total, slope, by_b = self._local
            w, b = step[self._w], step[self._b]
            moved = slope * (w - b) - by_b * b - excess
            self._y = self._y + np.divide(moved, total, out=np.zeros_like(total), where=total > 0.0)
        return float(np.abs(step).max(initial=0.0))

    def _operating(self, rows: Array, cols: Array, x: Array) -> _Operating:
        v = self._u[self._w] - self._u[self._b]
        if self._access is not None:
            v = v - self._y
        rate, i = self._behaviour.rate(v, x, slice(None))
        return _Operating(rate, v * i, self._source(rows, cols))

    def _source(self, rows: Array, cols: Array) -> float:
        net, wires = self._net, self._net.wires
        w = self._u[net.w]
        into_rows = wires.left * (rows - w[:, 0]) + wires.right * (rows - w[:, -1])
        into_cols = (net.end_gains * (cols - self._u[net.end_nodes])).sum(axis=0)
        return float(rows @ into_rows + cols @ into_cols)
