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
from ..ngspice.job import Job, Outcome, Step
from ..ngspice.pool import call
from ..osdi.choice import Devices, chosen
from .array_numpy import ArrayPulse
from .deck import CellText, Role, Wave, write_deck
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
            result = self._simulate(applied, roles)
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
class _Simulated:
    """What came out of one transient, flat over the cells."""

    x: Array
    drift: Array
    """What devices that were not dynamic would have moved."""
    energy: Array
    source_energy: float
    stray: float
    """Voltage that the devices taken for linear may have caused [V]."""


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
