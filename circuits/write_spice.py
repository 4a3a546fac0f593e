"""Pulses on devices in their array, in ngspice: one transient per pulse.

Only devices that a pulse can move are dynamic (the active set); the others, whose state stays where
it is, are static elements, checked against the voltages that ngspice found for them. States are
kept here between pulses, so every pulse is a deck of its own and a failed one loses nothing.
"""

__all__ = ["WriteSpice"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..data.errors import EngineError, InputError, NonConvergence
from ..data.types import Array
from ..devices.device import Device
from ..devices.spice import TIGHT, dynamic_elements, number
from .cell import Selector, Transistor
from .frozen import FrozenLaw, frozen_law
from .pool import call
from .population import Population
from .schemes import Bias, bias, check_scheme
from .tile import Tile
from .worker import Job, Outcome, Step
from .write_array import ArrayPulse

FROZEN = 1e-5
"""Change of state during a pulse below which a device may be static; what it would have moved is
then added from the voltage it saw.
"""

STEPS = 60
"""Least number of time points of a pulse."""

LADDER = (f"{TIGHT} klu", TIGHT, f"{TIGHT} method=gear gmin=1e-15")


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
    """

    def __init__(
        self,
        tile: Tile,
        scheme: str,
        population: Population | None = None,
        *,
        full: bool = False,
        run: Callable[[Job], Outcome] = call,
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
        self.seconds = 0.0
        """CPU time that ngspice has taken so far [s]."""
        self.dynamic = 0
        """Dynamic devices of the last pulse."""
        self._run = run

    def pulse(
        self, x: Array, row: int, amplitude: Array, width: float, edge: float, pace: Array
    ) -> ArrayPulse:
        """Apply one pulse to cells of ``row``; see :class:`~.write_array.ArrayWriter`.

        Raises
        ------
        NonConvergence
            If ngspice finds no solution even with steps a tenth as long; the text names the cells.
        """
        lines = bias(self.scheme, self.tile.shape, row, amplitude)
        wave = _Wave.trapezoid(width, edge)
        present = np.repeat(lines.gates, self.tile.cols)
        active = present.copy() if self.full else present & self._movable(x, lines, wave)
        active[row * self.tile.cols + np.flatnonzero(amplitude)] = True
        for _ in range(3):
            result = self._simulate(x, lines, wave, present, active, pace, row, amplitude)
            crossed = present & ~active & (np.abs(result.drift) > FROZEN)
            if not crossed.any():
                break
            active = active | crossed
        self.dynamic = int(active.sum())
        return ArrayPulse(
            np.where(active, result.x, x.ravel() + result.drift).reshape(x.shape),
            result.energy.reshape(x.shape),
            result.source_energy,
        )

    def _movable(self, x: Array, lines: Bias, wave: "_Wave") -> NDArray[np.bool_]:
        """Return the devices that the line voltages alone would move, wires left out."""
        v = (lines.rows[:, None] - lines.cols).ravel()
        rate, _ = self.population.behaviour().rate(v, x.ravel(), slice(None))
        movable: NDArray[np.bool_] = np.abs(rate) * wave.times[-1] > FROZEN
        return movable

    def _simulate(
        self,
        x: Array,
        lines: Bias,
        wave: "_Wave",
        present: NDArray[np.bool_],
        active: NDArray[np.bool_],
        pace: Array,
        row: int,
        amplitude: Array,
    ) -> "_Simulated":
        deck = self._deck(x.ravel(), lines, wave, present, active, pace.ravel())
        names = [f"{i}_{j}" for i in range(self.tile.rows) for j in range(self.tile.cols)]
        inner = present if self.tile.cell.access is not None else np.zeros_like(present)
        vectors = ["time"]
        vectors += [f"v(w{name})" for name in names] + [f"v(b{name})" for name in names]
        vectors += [f"v(t{name})" for name, on in zip(names, inner, strict=True) if on]
        vectors += [f"v(x{name})" for name, on in zip(names, active, strict=True) if on]
        values = self._transient(deck, tuple(vectors), wave, row, amplitude)
        size = len(names)
        t, w, b = values[:, 0], values[:, 1 : 1 + size], values[:, 1 + size : 1 + 2 * size]
        end = b.copy()
        end[:, inner] = values[:, 1 + 2 * size : 1 + 2 * size + inner.sum()]
        states = np.broadcast_to(x.ravel(), w.shape).copy()
        states[:, active] = values[:, values.shape[1] - active.sum() :]
        v = np.where(present, w - end, 0.0)
        return self._integrated(
            t, v, states, active, pace.ravel(), self._power(t, w, b, lines, wave)
        )

    def _integrated(
        self,
        t: Array,
        v: Array,
        states: Array,
        active: NDArray[np.bool_],
        pace: Array,
        source: Array,
    ) -> "_Simulated":
        low, high = self.population.device.model.state_range
        states = np.clip(states, low, high)
        every = np.tile(np.arange(v.shape[1]), len(t))
        rate, i = self.population.behaviour().rate(v.ravel(), states.ravel(), every)
        energy = np.asarray(np.trapezoid(v * i.reshape(v.shape), t, axis=0))
        drift = np.where(active, 0.0, pace * np.trapezoid(rate.reshape(v.shape), t, axis=0))
        return _Simulated(states[-1], drift, energy, float(np.trapezoid(source, t)))

    def _transient(
        self, deck: str, vectors: tuple[str, ...], wave: "_Wave", row: int, amplitude: Array
    ) -> Array:
        said = ""
        for finer in (1.0, 0.1):
            longest = finer * wave.times[-1] / STEPS
            analysis = f"tran {number(longest)} {number(wave.times[-1])} 0 {number(longest)} uic"
            try:
                outcome = self._run(Job(deck, (Step(analysis, vectors),), LADDER))
            except NonConvergence as error:
                said = str(error)
                continue
            except EngineError as error:
                raise type(error)(f"{self._where(row, amplitude)}: {error}") from error
            self.seconds += outcome.seconds
            return outcome.values[0]
        raise NonConvergence(
            f"{self._where(row, amplitude)}: ngspice found no solution, not even with steps a tenth"
            f" as long; all states are as before the pulse\n{said}"
        )

    def _where(self, row: int, amplitude: Array) -> str:
        cells = ", ".join(f"({row}, {j}): {amplitude[j]:g} V" for j in np.flatnonzero(amplitude))
        return f"pulse on {cells}"

    def _power(self, t: Array, w: Array, b: Array, lines: Bias, wave: "_Wave") -> Array:
        """Return the power that all line drivers deliver [W], (points,)."""
        wires, shape = self.tile.wires(), self.tile.shape
        level = np.interp(t, wave.times, wave.levels)[:, None]
        rows, cols = level * lines.rows, level * lines.cols
        w, b = w.reshape(-1, *shape), b.reshape(-1, *shape)
        into_rows = wires.left * (rows - w[:, :, 0]) + wires.right * (rows - w[:, :, -1])
        into_cols = wires.bottom * (cols - b[:, -1]) + wires.top * (cols - b[:, 0])
        power: Array = (rows * into_rows).sum(axis=1) + (cols * into_cols).sum(axis=1)
        return power

    def _deck(
        self,
        x: Array,
        lines: Bias,
        wave: "_Wave",
        present: NDArray[np.bool_],
        active: NDArray[np.bool_],
        pace: Array,
    ) -> str:
        tile, wires = self.tile, self.tile.wires()
        rows, cols = tile.shape
        text = [f"memtwin write {rows}x{cols}, {self.population.device.model.name}, {self.scheme}"]
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
        if isinstance(tile.cell.access, Transistor):
            text += _transistor_model(tile.cell.access)
        for k in np.flatnonzero(present):
            name = f"{k // cols}_{k % cols}"
            printed = self._printed[k if self.population.parameters else 0]
            text += printed.lines(name, float(x[k]), float(pace[k]) if active[k] else None)
        return "\n".join([*text, ".end"])

    @cached_property
    def _printed(self) -> list["_Printed"]:
        """Templates of the cells: one for all of them, or one each if they differ."""
        population = self.population
        if not population.parameters:
            return [_Printed.of(population.device, self.tile)]
        devices = (
            replace(
                population.device,
                parameters={
                    **population.device.parameters,
                    **{name: float(values[k]) for name, values in population.parameters.items()},
                },
            )
            for k in range(population.count)
        )
        return [_Printed.of(device, self.tile) for device in devices]


@dataclass(frozen=True)
class _Simulated:
    """What came out of one transient, flat over the cells."""

    x: Array
    drift: Array
    """What static devices would have moved."""
    energy: Array
    source_energy: float


@dataclass(frozen=True)
class _Wave:
    """A trapezoid as a share of its amplitude."""

    times: Array
    levels: Array

    @classmethod
    def trapezoid(cls, width: float, edge: float) -> "_Wave":
        rise = edge * width
        return cls(
            np.array([0.0, rise, rise + width, 2.0 * rise + width]), np.array([0.0, 1.0, 1.0, 0.0])
        )


def _driver(tag: str, node: str, g: float, level: float, wave: _Wave) -> list[str]:
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


def _transistor_model(transistor: Transistor) -> list[str]:
    return [
        f"vgate gate 0 {number(transistor.v_gate)}",
        # is: no bulk diodes; w and l cancel.
        f".model pass nmos level=1 vto={number(transistor.v_threshold)} kp={number(transistor.k)}"
        f" lambda={number(transistor.channel)} gamma=0 phi=0.6 is=1e-30",
    ]


@dataclass(frozen=True)
class _Printed:
    """Netlist lines of a cell with ``@`` for its position."""

    moving: str
    capacitance: float
    resting: FrozenLaw
    start: str
    """Node where the static element begins, behind a series resistance."""
    end: str
    series: str
    access: str

    @classmethod
    def of(cls, device: Device, tile: Tile) -> "_Printed":
        end = "b@" if tile.cell.access is None else "t@"
        # Names are checked where they are printed; the position comes in afterwards.
        lines = dynamic_elements(device, "mqq", "wqq", end.replace("@", "qq"), "xqq", x0="{x0}")
        place = next(k for k, line in enumerate(lines) if line.startswith("Cmqq "))
        capacitance = float(lines[place].split()[3])
        lines[place] = "Cmqq xqq 0 {c} ic={x0}"
        start = "s@" if device.r_s > 0.0 else "w@"
        access = ""
        if isinstance(tile.cell.access, Transistor):
            access = "ma@ t@ gate b@ 0 pass w=1u l=1u"
        elif isinstance(tile.cell.access, Selector):
            s, v = tile.cell.access, "v(t@,b@)"
            over = (
                f"({v}*{v}-{number(s.v_threshold**2)})*{number(0.25 / (s.v_threshold * s.width))}"
            )
            half = number(0.5 * (s.g_on - s.g_off))
            access = f"bs@ t@ b@ i={v}*({number(s.g_off)}+{half}*(1+tanh({over})))"
        return cls(
            "\n".join(lines).replace("qq", "@"),
            capacitance,
            frozen_law(device, f"v({start},{end})"),
            start,
            end,
            f"rs@ w@ s@ {number(device.r_s)}" if device.r_s > 0.0 else "",
            access,
        )

    def lines(self, name: str, x: float, pace: float | None) -> list[str]:
        """Return the lines of the cell ``name``: dynamic with a ``pace``, static without."""
        if pace is not None:
            text = [
                self.moving.replace("{x0}", number(x)).replace(
                    "{c}", number(self.capacitance / pace)
                )
            ]
        else:
            constants = self.resting.constants(np.array([x]))[0]
            if self.resting.factor == f"v({self.start},{self.end})":
                # A law that is linear in v is a resistor, which costs a tenth of a B source.
                element = f"rm@ {self.start} {self.end} {number(1.0 / constants[0])}"
            else:
                law = self.resting.text % tuple(constants.tolist())
                element = f"bm@ {self.start} {self.end} i={law}"
            text = [self.series, element] if self.series else [element]
        if self.access:
            text.append(self.access)
        return [line.replace("@", name) for line in text]
