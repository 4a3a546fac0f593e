"""Figures of a read from its voltages over time, whatever simulated them."""

__all__ = ["Figures", "Scene", "Traces", "figures", "sense_input", "sensed", "timing"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...data.errors import NonConvergence
from ...data.types import Array
from ..array.amplifier import Amplifier
from ..array.tile import Tile, Wires
from .result import Energies, ReadTiming, settled_at


class Figures(NamedTuple):
    """Figures of one vector; see :class:`~.result.ReadTiming` and its energies."""

    settling: Array
    current: Array
    overshoot: Array
    quiet: float
    power: float
    drivers: float
    devices: float
    wires: float
    amplifier: float
    supplied: float
    stored: float


@dataclass(frozen=True, eq=False)
class Traces:
    """Potentials [V] over time at the ends of lines, (points, lines) each."""

    t: Array
    """Times [s], (points,)."""
    left: Array
    """First nodes of word lines."""
    right: Array
    """Last nodes of word lines."""
    bottom: Array
    """Last nodes of bit lines."""
    top: Array
    """First nodes of bit lines."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One tile with its conductances, as reads in time see it."""

    tile: Tile
    g: Array
    """Conductances [S], (rows, cols)."""

    @cached_property
    def states(self) -> Array:
        """States of the devices, (rows, cols)."""
        return self.tile.cell.state(self.g)

    @cached_property
    def wires(self) -> Wires:
        """Conductances of all segments [S]."""
        return self.tile.wires()

    def currents(self, w: Array, b: Array) -> Array:
        """Return the currents of all cells [A] at potentials (..., rows, cols)."""
        return self.tile.cell.law(w - b, self.states, self.g > 0.0, b)[0]

    def device_power(self, w: Array, b: Array) -> Array:
        """Return what all cells take up [W], (...), at potentials (..., rows, cols)."""
        power: Array = ((w - b) * self.currents(w, b)).sum(axis=(-2, -1))
        return power

    def segment_power(self, w: Array, b: Array) -> Array:
        """Return what the segments of all lines take up [W], (...), at potentials (..., rows, cols)."""
        wires = self.wires
        rows = (np.diff(w, axis=-1) ** 2 * wires.row).sum(axis=(-2, -1))
        cols = (np.diff(b, axis=-2) ** 2 * wires.col).sum(axis=(-2, -1))
        power: Array = rows + cols
        return power

    def stored(self, w: Array, b: Array) -> float:
        """Return the energy in the capacitances [J] at potentials (rows, cols)."""
        c = self.tile.capacitances()
        total = (c.w * w**2).sum() + (c.b * b**2).sum() + c.w_b * ((w - b) ** 2).sum()
        total += c.w_w * (np.diff(w, axis=0) ** 2).sum() + c.b_b * (np.diff(b, axis=1) ** 2).sum()
        return 0.5 * float(total)


def sense_input(amplifier: Amplifier, gain: Array, b: Array) -> Array:
    """Return the potential of amplifiers' inputs behind conductances ``gain`` [S] from ``b`` [V].

    The current into an input rises with it and is 0 at 0 V, so that it lies between 0 and ``b``.

    Parameters
    ----------
    amplifier
        The sense amplifier.
    gain
        Conductances in front of the inputs [S].
    b
        Potentials in front of these [V].
    """
    low, high = np.minimum(b, 0.0), np.maximum(b, 0.0)
    s = b * gain / (gain + amplifier.slope(0.0))
    for _ in range(100):
        excess = amplifier.current(s) - gain * (b - s)
        low, high = np.where(excess < 0.0, s, low), np.where(excess > 0.0, s, high)
        new = s - excess / (amplifier.slope(s) + gain)
        new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        moved = np.abs(new - s)
        s = new
        if np.all(moved <= 1e-18 + 1e-13 * np.abs(s)):
            break
    return s


def sensed(scene: Scene, bottom: Array, top: Array) -> Array:
    """Return the sensed currents [A] for potentials (..., cols) at the ends of bit lines.

    Parameters
    ----------
    scene
        What is read.
    bottom
        Potentials at the lower ends of bit lines, (..., cols) [V].
    top
        Potentials at the upper ends, (..., cols) [V].
    """
    wires, amplifier = scene.wires, scene.tile.amplifier
    total = np.zeros(bottom.shape)
    for gain, b in ((wires.bottom, bottom), (wires.top, top)):
        if amplifier is None:
            total = total + gain * b
        elif gain.any():
            total = total + amplifier.reading(sense_input(amplifier, gain, b))
    return total


def figures(
    scene: Scene, v: Array, end: Array, error: float, traces: Traces, inside: Sequence[float]
) -> Figures:
    """Return the figures of one vector.

    Parameters
    ----------
    scene
        What was read.
    v
        Row voltages [V], (rows,).
    end
        Sensed currents in the end [A], (cols,).
    error
        What settling means, see :class:`~.result.ReadTiming`.
    traces
        Potentials at the ends of lines.
    inside
        Energies [J] in cells, in segments of lines, and in capacitances at the end.
    """
    tile, wires, t = scene.tile, scene.wires, traces.t
    i = sensed(scene, traces.bottom, traces.top)
    ramp = np.clip(t / tile.edge.rise, 0.0, 1.0)[:, None] * v
    left, right = ramp - traces.left, ramp - traces.right
    delivered = (ramp * (wires.left * left + wires.right * right)).sum(axis=1)
    lost = (wires.left * left**2 + wires.right * right**2).sum(axis=1)
    feedback, supplied = np.zeros(len(t)), np.zeros(len(t))
    for gain, b in ((wires.bottom, traces.bottom), (wires.top, traces.top)):
        if tile.amplifier is None or not gain.any():
            lost = lost + (gain * b**2).sum(axis=1)
            continue
        s = sense_input(tile.amplifier, gain, b)
        out, into = tile.amplifier.output(s), tile.amplifier.current(s)
        lost = lost + (gain * (b - s) ** 2).sum(axis=1)
        feedback = feedback + ((s - out) * into).sum(axis=1)
        supplied = supplied - (out * into).sum(axis=1)
    largest = float(np.abs(end).max())
    beyond = np.maximum(i - np.maximum(end, 0.0), np.minimum(end, 0.0) - i).max(axis=0)
    still, top = v == 0.0, float(np.abs(v).max())
    # Driven from both ends, a word line is farthest from its drivers near its middle; the ends do as a figure.
    risen = np.abs(traces.right[:, still])
    quiet = float((risen - risen[-1]).max()) / top if still.any() and top > 0.0 else 0.0
    return Figures(
        settling=settled_at(t, i, end, error * largest),
        current=end,
        overshoot=np.maximum(beyond, 0.0) / (largest or 1.0),
        quiet=max(quiet, 0.0),
        power=float(delivered[-1]),
        drivers=float(np.trapezoid(delivered, t)),
        devices=inside[0],
        wires=inside[1] + float(np.trapezoid(lost, t)),
        amplifier=float(np.trapezoid(feedback, t)),
        supplied=float(np.trapezoid(supplied, t)),
        stored=inside[2],
    )


def timing(found: Sequence[Figures], error: float, duration: float, engine: str) -> ReadTiming:
    """Return the figures of all vectors as one.

    Parameters
    ----------
    found
        Figures of every vector.
    error
        Distance at which a column has settled, relative.
    duration
        How long the read was looked at [s].
    engine
        The engine that said so.

    Raises
    ------
    NonConvergence
        If a column is not settled at the end.
    """
    columns = {name: np.array([getattr(one, name) for one in found]) for name in Figures._fields}
    late = ~np.isfinite(columns["settling"])
    if late.any():
        k, j = (int(x) for x in np.argwhere(late)[0])
        raise NonConvergence(
            f"vector {k}: column {j} is not within {100 * error:g} % of its end after"
            f" {duration:.3g} s: give a longer duration"
        )
    names = ("drivers", "devices", "wires", "amplifier", "supplied", "stored")
    energy = Energies(**{name: columns.pop(name) for name in names})
    return ReadTiming(error=error, duration=duration, energy=energy, engine=engine, **columns)
