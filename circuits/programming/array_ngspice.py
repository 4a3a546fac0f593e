"""Pulses on devices in their array, in ngspice: one transient per pulse.

Only devices that a pulse can move are dynamic (the active set). The others, whose states stay where
they are, are static elements; those that see no voltage but what the wires leave over are
resistors. Both choices are checked against the voltages that ngspice then found, and the pulse is
run again where one does not hold. States are kept here between pulses, so every pulse is a deck of
its own and a failed one loses nothing.
"""

__all__ = ["WriteSpice"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...data.errors import EngineError, InputError, NonConvergence
from ...data.types import Array
from ...devices.device import Device
from ...devices.printing.ngspice import TIGHT, number
from ..array.tile import Tile
from ..engines.multiport import Multiport
from ..engines.nodal import Net
from ..ngspice.job import Job, Outcome, Step
from ..ngspice.pool import call
from ..osdi.choice import Devices, chosen
from .array_numpy import ArrayPulse, Network
from .deck import CellText, Role, Wave, cell_lines, write_deck
from .population import Population
from .schemes import Bias, bias, check_scheme

FROZEN = 1e-4
"""Change of state during a pulse below which a device may be static. What it would have moved is
added from the voltage that it saw, so that an error of the square of this remains.
"""

STRAY = 2e-6
"""Voltage that devices taken for linear may cause by their true current, all of it through the
longest line, as a share of the amplitude.
"""

PORTS = 96
"""Most nodes of moving cells between which the rest of a tile is worked out beforehand."""

BESIDE = 2e-5
"""What resting devices may carry beside what the reduction's sources say, all of it through the longest
line, as a share of the amplitude; a tenth of it remains after the next run, which is not made.
"""

ROUNDS = 5
"""Runs after which such a reduction is given up."""

POINTS = 60
"""Least number of time points of a pulse."""

LADDER = (f"{TIGHT} klu", TIGHT, f"{TIGHT} method=gear gmin=1e-15")

Roles = NDArray[np.int8]


class WriteSpice:
    """A tile that is written in ngspice.

    Parameters
    ----------
    tile
        The array; while it is written, its bit lines end in drivers with the sense resistance.
    scheme
        One of :data:`~.schemes.SCHEMES`.
    population
        The devices in row-major order, if they differ; by default all are the cell's device.
    full
        Make every device dynamic, whatever the pulse can do to it.
    run
        Runs a job; by default in a worker process.
    devices
        How devices stand in the deck, see :class:`~.ngspice.engine.Spice`.

    Raises
    ------
    InputError
        If there is no such scheme, devices have no dynamics, or they are too many or too few.
    """

    def __init__(
        self,
        tile: Tile,
        scheme: str,
        population: Population | None = None,
        *,
        full: bool = False,
        run: Callable[[Job], Outcome] = call,
        devices: Devices = "auto",
    ) -> None:
        check_scheme(tile, scheme)
        count = tile.rows * tile.cols
        self.tile, self.scheme, self.full = tile, scheme, full
        self.population = population or Population(tile.cell.device, count)
        if self.population.count != count:
            raise InputError(
                f"expected {count} devices for a {tile.rows}x{tile.cols} tile, got"
                f" {self.population.count}"
            )
        device = self.population.device
        if device.model.rate_expr is None:
            raise InputError(
                f"model {device.model.name} has no dynamics: no pulse can write its devices"
            )
        if "r_s" in self.population.parameters:  # there is one in the cell if any device has it
            highest = float(self.population.parameters["r_s"].max())
            device = replace(device, parameters={**device.parameters, "r_s": highest})
        self.compiled = chosen(devices, replace(tile.cell, device=device), moving=True)
        self.seconds = 0.0
        """CPU time that ngspice has taken so far [s]."""
        self.dynamic = 0
        """Dynamic devices of the last pulse."""
        self._run = run

    @property
    def devices(self) -> str:
        """How devices stand in its decks: ``"compiled"`` or ``"behavioural"``."""
        return "behavioural" if self.compiled is None else "compiled"

    def pulse(
        self, x: Array, row: int, amplitude: Array, width: float, edge: float, pace: Array
    ) -> ArrayPulse:
        """Apply one pulse to cells of ``row``; see :class:`~.write_array.ArrayWriter`.

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

        Raises
        ------
        NonConvergence
            If ngspice finds no solution even with steps a tenth as long; the text names the cells.
        """
        cells = ", ".join(f"({row}, {j}): {amplitude[j]:g} V" for j in np.flatnonzero(amplitude))
        applied = _Applied(
            bias(self.scheme, self.tile.shape, row, amplitude),
            Wave.trapezoid(width, edge),
            x.ravel(),
            pace.ravel(),
            f"pulse on {cells}",
        )
        roles = self._roles(applied)
        roles[row * self.tile.cols + np.flatnonzero(amplitude)] = Role.DYNAMIC
        while True:
            result = self._reduced(applied, roles) or self._simulate(applied, roles)
            crossed = (np.abs(result.drift) > FROZEN) & (roles != Role.DYNAMIC)
            strays = result.stray > STRAY * float(np.abs(amplitude).max())
            if not crossed.any() and not strays:
                break
            # Each round leaves fewer devices to take for something simpler.
            roles[crossed] = Role.DYNAMIC
            if strays:
                roles[roles == Role.LINEAR] = Role.STATIC
        self.dynamic = int((roles == Role.DYNAMIC).sum())
        return ArrayPulse(
            (result.x + result.drift).reshape(x.shape),
            result.energy.reshape(x.shape),
            result.source_energy,
        )

    def _roles(self, applied: "_Applied") -> Roles:
        """Return what the line voltages alone, wires left out, allow every device to be."""
        lines = applied.lines
        present = np.repeat(lines.gates, self.tile.cols)
        if self.full:
            return np.where(present, Role.DYNAMIC, Role.ABSENT).astype(np.int8)
        v = (lines.rows[:, None] - lines.cols).ravel()
        rate, _ = self.population.behaviour().rate(v, applied.x, slice(None))
        moves = np.abs(rate) * applied.wave.duration > FROZEN
        unbiased = np.abs(v) < 1e-9
        # An access device would have to be linear too; and a compiled device costs little more than
        # a resistor, less than finding out that it can't be one.
        if self.tile.cell.access is not None or self.compiled is not None:
            unbiased[:] = False
        return np.select(
            [~present, moves, unbiased], [Role.ABSENT, Role.DYNAMIC, Role.LINEAR], Role.STATIC
        ).astype(np.int8)

    def _simulate(self, applied: "_Applied", roles: Roles) -> "_Simulated":
        """Run a pulse and read off what the devices and the drivers did."""
        tile, lines, wave = self.tile, applied.lines, applied.wave
        behaviour = self.population.behaviour()
        _, slope = behaviour.current(np.zeros(len(roles)), applied.x, slice(None))
        cards = "" if self.compiled is None else self.compiled.cards
        deck = write_deck(
            tile, self._cells, roles, applied.x, applied.pace, slope, lines, wave, cards
        )
        names = [f"{i}_{j}" for i in range(tile.rows) for j in range(tile.cols)]
        present, active = roles != Role.ABSENT, roles == Role.DYNAMIC
        gated = present if tile.cell.access is not None else np.zeros_like(present)
        vectors = [f"v({line}{name})" for line in "wb" for name in names]
        inner, state = ("v(t{})", "v(x{})") if not cards else ("v(n{}#t)", "v(n{}#state)")
        vectors += [inner.format(name) for name, on in zip(names, gated, strict=True) if on]
        vectors += [state.format(name) for name, on in zip(names, active, strict=True) if on]
        values = self._transient(deck, ("time", *vectors), wave, applied.cells)
        size = len(names)
        t, w, b, end, moving = np.split(
            values, np.cumsum([1, size, size, int(gated.sum())]), axis=1
        )
        t = t[:, 0]
        bottom = b.copy()
        bottom[:, gated] = end
        v = np.where(present, w - bottom, 0.0)
        low, high = self.population.device.model.state_range
        states = np.broadcast_to(applied.x, v.shape).copy()
        states[:, active] = np.clip(moving, low, high)
        every = np.tile(np.arange(size), len(t))
        rate, i = (
            flat.reshape(v.shape) for flat in behaviour.rate(v.ravel(), states.ravel(), every)
        )
        drift = applied.pace * np.trapezoid(rate, t, axis=0)
        linear = roles == Role.LINEAR
        beside = np.abs(i[:, linear] - slope[linear] * v[:, linear]).max(axis=0, initial=0.0)
        power = _source_power(tile, lines, np.interp(t, wave.times, wave.levels), w, b)
        return _Simulated(
            states[-1],
            np.where(active, 0.0, drift),
            np.asarray(np.trapezoid(v * i, t, axis=0)),
            float(np.trapezoid(power, t)),
            float(beside.sum()) * _longest_line(tile),
        )

    @cached_property
    def _net(self) -> Net:
        # While it is written there are drivers where the read has amplifiers.
        return Net(replace(self.tile, amplifier=None))

    def _reduced(self, applied: "_Applied", roles: Roles) -> "_Simulated | None":
        """Run a pulse on the moving cells alone, the rest of the tile a network between their nodes;
        ``None`` if they are too many, or the sources of that network don't settle.
        """
        tile, lines, wave, net = self.tile, applied.lines, applied.wave, self._net
        gated = tile.cell.access is not None
        present, active = roles != Role.ABSENT, roles == Role.DYNAMIC
        kept = np.flatnonzero(present if gated else active)
        if self.full or not 0 < 2 * len(kept) <= PORTS:
            return None
        rest = np.flatnonzero(present & ~active) if not gated else np.zeros(0, np.intp)
        resting, x_rest = self.population.behaviour(rest), applied.x[rest]
        at_w, at_b = net.w.ravel(), net.b.ravel()
        t = wave.grid
        levels = np.interp(t, wave.times, wave.levels)
        # With all states as they begin, the network's voltages follow from the level alone.
        every = np.flatnonzero(present)
        network = Network(net, self.population.behaviour(every), every)
        by_level = {0.0: np.zeros(net.size)}
        for level in sorted(set(levels.tolist()) - {0.0}):
            network.solve(level * lines.rows, level * lines.cols, applied.x[every])
            by_level[level] = top = network.potentials
        u = np.array([by_level[level] for level in levels.tolist()])
        slope = np.zeros(len(roles))
        slope[rest] = resting.current((top[at_w] - top[at_b])[rest], x_rest, slice(None))[1]
        port = Multiport(net, kept, slope)
        supply = net.injected(lines.rows[None])[0]
        np.add.at(supply, net.end_nodes, net.end_gains * lines.cols)
        many, states = np.tile(np.arange(len(rest)), len(t)), np.tile(x_rest, len(t))

        def of_rest(u: Array) -> tuple[Array, Array, Array]:
            v = (u[:, at_w] - u[:, at_b])[:, rest]
            rate, i = resting.rate(v.ravel(), states, many)
            return v, rate.reshape(v.shape), i.reshape(v.shape)

        v, _, i = of_rest(u)
        beside = np.zeros((len(t), len(roles)))
        limit = BESIDE * float(np.abs(np.concatenate([lines.rows, lines.cols])).max())
        for _ in range(ROUNDS):
            beside[:, rest] = i - slope[rest] * v
            opened = port.open(levels[:, None] * supply, beside)
            ran = self._on_ports(applied, roles, port, t, opened)
            into = (ran.ports - _between(ran.t, t, opened[:, port.ports])) @ port.admittance
            u = opened + np.stack([np.interp(t, ran.t, j) for j in into.T], axis=1) @ port.reach.T
            v, rate, i = of_rest(u)
            off = np.abs(i - slope[rest] * v - beside[:, rest]).max(axis=0, initial=0.0)
            stray = float(off.sum()) * _longest_line(tile)
            if stray <= limit:
                break
        else:
            return None
        drift, energy, x = np.zeros(len(roles)), np.zeros(len(roles)), applied.x.copy()
        drift[rest] = applied.pace[rest] * _simpson(rate, t)
        energy[rest] = _simpson(v * i, t)
        low, high = self.population.device.model.state_range
        moving = np.tile(applied.x[kept], (len(ran.t), 1))
        moving[:, active[kept]] = np.clip(ran.states, low, high)
        half = len(kept)
        across = ran.ports[:, :half] - (ran.inner if gated else ran.ports[:, half:])
        each = np.tile(np.arange(half), len(ran.t))
        behaviour = self.population.behaviour(kept)
        rate, i = (
            flat.reshape(across.shape)
            for flat in behaviour.rate(across.ravel(), moving.ravel(), each)
        )
        energy[kept] = np.trapezoid(across * i, ran.t, axis=0)
        still = ~active[kept]
        moved = np.asarray(np.trapezoid(rate, ran.t, axis=0))
        drift[kept[still]] = (applied.pace[kept] * moved)[still]
        x[kept] = moving[-1]
        # Only the ends of lines matter for what the drivers deliver.
        w, b = np.zeros((2, len(ran.t), *tile.shape))
        for all_nodes, nodes, cut in (
            (w, net.w, np.s_[:, [0, -1]]), (b, net.b, np.s_[[0, -1], :])
        ):  # fmt: skip
            ends = nodes[cut]
            found = _between(ran.t, t, opened[:, ends.ravel()]) + into @ port.reach[ends.ravel()].T
            all_nodes[(slice(None), *cut)] = found.reshape(-1, *ends.shape)
        power = _source_power(tile, lines, np.interp(ran.t, wave.times, wave.levels), w, b)
        return _Simulated(x, drift, energy, float(np.trapezoid(power, ran.t)), 0.0)

    def _on_ports(
        self, applied: "_Applied", roles: Roles, port: Multiport, t: Array, opened: Array
    ) -> "_OnPorts":
        """Run a pulse on the kept cells of ``port``, its open voltages given at the times ``t``."""
        cols, gated = self.tile.cols, self.tile.cell.access is not None
        names = [f"{k // cols}_{k % cols}" for k in port.kept]
        nodes = [f"{line}{name}" for line in "wb" for name in names]
        cards = "" if self.compiled is None else self.compiled.cards
        text = [f"memtwin write {self.tile.rows}x{cols}, {len(names)} cells"]
        text += port.lines(nodes, t, opened[:, port.ports])
        zeros = np.zeros(len(roles))
        moved = applied.x, applied.pace
        text += cell_lines(self.tile, self._cells, roles, port.kept, moved, zeros, cards)
        deck = "\n".join([*text, ".end"])
        inner, state = ("v(t{})", "v(x{})") if not cards else ("v(n{}#t)", "v(n{}#state)")
        moving = [
            name for name, k in zip(names, port.kept, strict=True) if roles[k] == Role.DYNAMIC
        ]
        vectors = [f"v({node})" for node in nodes]
        vectors += [inner.format(name) for name in names if gated]
        vectors += [state.format(name) for name in moving]
        values = self._transient(deck, ("time", *vectors), applied.wave, applied.cells)
        split = np.cumsum([1, len(nodes), len(names) if gated else 0])
        times, ports, inside, states = np.split(values, split, axis=1)
        return _OnPorts(times[:, 0], ports, inside, states)

    def _transient(self, deck: str, vectors: tuple[str, ...], wave: Wave, cells: str) -> Array:
        said = ""
        for finer in (1.0, 0.1):
            longest = number(finer * wave.duration / POINTS)
            analysis = f"tran {longest} {number(wave.duration)} 0 {longest}"
            sources: tuple[str, ...] = ()
            if self.compiled is None:  # compiled devices start where their parameter says
                analysis += " uic"
            else:
                sources = (self.compiled.source,)
            try:
                outcome = self._run(Job(deck, (Step(analysis, vectors),), LADDER, sources=sources))
            except NonConvergence as error:
                said = str(error)
                continue
            except EngineError as error:
                raise type(error)(f"{cells}: {error}") from error
            self.seconds += outcome.seconds
            return outcome.values[0]
        raise NonConvergence(
            f"{cells}: ngspice found no solution, not even with steps a tenth as long; all states"
            f" are as before the pulse\n{said}"
        )

    @cached_property
    def _cells(self) -> list[CellText]:
        """Text of the cells: one for all of them, or one each if they differ."""
        population = self.population
        values = {name: v.tolist() for name, v in population.parameters.items()}
        if not values:
            return [self._text(population.device, {})]
        return [
            self._text(population.device, {name: v[k] for name, v in values.items()})
            for k in range(population.count)
        ]

    def _text(self, device: Device, own: dict[str, float]) -> CellText:
        """Return the text of a cell whose device differs from ``device`` by its ``own`` parameters."""
        differs = replace(device, parameters={**device.parameters, **own}) if own else device
        if self.compiled is None:
            return CellText.of(differs, self.tile)
        return CellText.compiled(differs, self.tile, self.compiled.differing(own))


@dataclass(frozen=True)
class _Applied:
    """A pulse and the devices that it meets, flat over the cells."""

    lines: Bias
    wave: Wave
    x: Array
    pace: Array
    cells: str
    """The selected cells, for messages."""


@dataclass(frozen=True)
class _OnPorts:
    """What a transient of the kept cells alone gave, over its own times."""

    t: Array
    ports: Array
    """Potentials of word lines, then bit lines, at the kept cells, (points, ports)."""
    inner: Array
    """Nodes between memristor and access device, (points, kept), where there are any."""
    states: Array
    """States of the moving devices, (points, moving)."""


@dataclass(frozen=True)
class _Simulated:
    """What came out of one transient, flat over the cells."""

    x: Array
    drift: Array
    """What devices that were not dynamic would have moved."""
    energy: Array
    source_energy: float
    stray: float
    """Voltage that the devices taken for linear may have caused [V]."""


def _between(t: Array, grid: Array, values: Array) -> Array:
    """Return ``values`` (grid, n) at the times ``t``, along straight lines, as sources have them."""
    k = np.clip(np.searchsorted(grid, t, side="right") - 1, 0, len(grid) - 2)
    share = ((t - grid[k]) / (grid[k + 1] - grid[k]))[:, None]
    found: Array = values[k] + share * (values[k + 1] - values[k])
    return found


def _simpson(values: Array, t: Array) -> Array:
    """Return the integrals of ``values`` (times, n) over pairs of equal steps."""
    step = (t[2::2] - t[:-2:2])[:, None] / 6.0
    total: Array = (step * (values[:-2:2] + 4.0 * values[1::2] + values[2::2])).sum(axis=0)
    return total


def _source_power(tile: Tile, lines: Bias, level: Array, w: Array, b: Array) -> Array:
    """Return the power that all line drivers deliver [W], (points,)."""
    wires = tile.wires()
    rows, cols = level[:, None] * lines.rows, level[:, None] * lines.cols
    w, b = w.reshape(-1, *tile.shape), b.reshape(-1, *tile.shape)
    into_rows = wires.left * (rows - w[:, :, 0]) + wires.right * (rows - w[:, :, -1])
    into_cols = wires.bottom * (cols - b[:, -1]) + wires.top * (cols - b[:, 0])
    power: Array = (rows * into_rows).sum(axis=1) + (cols * into_cols).sum(axis=1)
    return power


def _longest_line(tile: Tile) -> float:
    """Return the resistance [ohm] from the far corner to its drivers."""
    row = tile.r_driver + tile.cols * tile.r_row
    return row + tile.r_sense + tile.rows * tile.r_col
