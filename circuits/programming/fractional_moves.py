"""What small moves cost: by fractions of a level step, from anywhere, as rules with continuous targets make them.

A move is one closed-loop write of one device. It takes at least one pulse, the gentlest of its
polarity, even where the first verify read finds the device within the tolerance: a rule that skips
such writes has to read the device first, which is a rule of its own.
"""

__all__ = ["LevelMoves", "Moves", "make_moves", "make_vain"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError
from ...data.types import Array
from ...devices.device import Levels
from ...devices.pulses.costs import Costs
from .population import Population
from .recipe import Indices, Loop, Recipe, interval
from .verify import write

POSITIONS = 9
"""Conductances that moves start from, equally spaced over the range of the levels."""

BANDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Distances of the moves, in half widths of the accepted band."""


@dataclass(frozen=True)
class Moves:
    """Mean costs of moves up (first) and down (second), (2, positions, distances)."""

    start: Array
    """Conductances that moves start from [S], rising, (positions,)."""
    distance: Array
    """How far they go [S], rising from 0, (distances,)."""
    pulses: Array
    pulses_up: Array
    """Of these, towards higher conductances: those that overshoot need some of the other way."""
    reads: Array
    energy: Array
    """Of the pulses [J]."""
    time: Array
    """Of the pulses [s]."""

    def __post_init__(self) -> None:
        shape = (2, len(self.start), len(self.distance))
        for name, values in self.costs._asdict().items():
            if np.shape(values) != shape:
                raise InputError(f"moves: expected {name} of shape {shape}, got {np.shape(values)}")

    @property
    def costs(self) -> Costs:
        """The means, (2, positions, distances) each."""
        return Costs.held_by(self)

    def of(self, before: Array, after: Array) -> Costs:
        """Return the costs of moves between conductances [S], (n,), interpolated; energy and time
        without the verify reads.

        A move beyond the largest distance is made of several.
        """
        way = (after < before).astype(np.intp)
        far = np.abs(after - before) / self.distance[-1]
        parts = np.maximum(np.ceil(far), 1.0)
        middle = before + 0.5 * (after - before) * (parts > 1.0)
        at, rest = interval(self.start, middle)
        to, share = interval(self.distance / self.distance[-1], far / parts)
        width = len(self.distance)
        corner = (way * len(self.start) + at) * width + to
        corners = [
            (corner, parts * (1.0 - rest) * (1.0 - share)),
            (corner + 1, parts * (1.0 - rest) * share),
            (corner + width, parts * rest * (1.0 - share)),
            (corner + width + 1, parts * rest * share),
        ]

        def interpolated(table: Array) -> Array:
            values = np.ravel(table)
            return np.asarray(sum(values.take(place) * weight for place, weight in corners))

        return self.costs.each(interpolated)


@dataclass(frozen=True)
class LevelMoves:
    """Moves between levels, fractional ones included: a law of :class:`~.costs.Pricing`."""

    moves: Moves
    g: Array
    """Conductance of every level [S], (L,)."""

    def of(self, before: Array, after: Array) -> Costs:
        """Return what moves from levels ``before`` to ``after`` cost, (n,) each; energy and time
        without the verify reads.
        """
        levels = np.arange(len(self.g))
        return self.moves.of(*(np.interp(level, levels, self.g) for level in (before, after)))


def make_moves(
    levels: Levels,
    recipe: Recipe,
    sample: Callable[[int, np.random.Generator], Population],
    *,
    samples: int,
    rng: np.random.Generator,
) -> Moves:
    """Write sampled devices by small distances and return what that cost on average.

    Parameters
    ----------
    levels
        Their lowest and highest conductance bound the moves.
    recipe
        Pulses and tolerance.
    sample
        Draws a population of as many devices.
    samples
        Devices per move.
    rng
        What random numbers are drawn from.
    """
    low, high = float(levels.g[0]), float(levels.g[-1])
    start = np.linspace(low, high, POSITIONS)
    distance = recipe.tolerance * np.array(BANDS)
    shape = (2, len(start), len(distance), samples)
    begin = np.broadcast_to(start[:, None, None], shape).reshape(-1)
    sign = np.broadcast_to(np.array([1.0, -1.0])[:, None, None, None], shape).reshape(-1)
    by = np.broadcast_to(distance[:, None], shape).reshape(-1)
    target = np.clip(begin + sign * by, low, high)
    population = sample(len(begin), rng)
    x = population.states(begin, levels.v_read)
    outcome = write(population, x, target, recipe, rng)
    pulses = outcome.pulses.astype(float)
    energy, reads = outcome.pulse_energy.copy(), outcome.reads.astype(float)
    time = outcome.time - reads * recipe.read_time
    still = np.flatnonzero(pulses.sum(axis=1) == 0)
    ramps = (recipe.set, recipe.reset)
    amplitude, width = (
        np.where(sign[still] > 0, *(getattr(ramp, name) for ramp in ramps))
        for name in ("start", "width")
    )
    energy[still] = population.pulse(x[still], amplitude, width, recipe.edge, rng, still).energy
    time[still] = recipe.duration(width)
    pulses[still, (sign[still] > 0).astype(int)] += 1.0
    reads[still] += 1.0
    sums = Costs(pulses.sum(axis=1), pulses[:, 1], reads, energy, time)
    return Moves(start, distance, *sums.each(lambda a: a.reshape(shape).mean(axis=-1)))


def make_vain(levels: Levels, recipe: Recipe) -> Moves:
    """Return what the controller spends on nominal devices that don't move before it gives them up:
    the way up the ramp, and its patience with the last rung.

    Distances are those between the conductance that a device is stuck at and the one it is told to
    go to. A target within the tolerance costs as one just beyond; it is never tried.
    """
    low, high = float(levels.g[0]), float(levels.g[-1])
    start = np.linspace(low, high, POSITIONS)
    near = 1.001 * recipe.tolerance
    distance = np.concatenate(
        [[0.0], np.geomspace(near, max(high - low, 2.0 * near), 2 * POSITIONS)]
    )
    shape = (2, len(start), len(distance))
    g = np.broadcast_to(start[:, None], shape).reshape(-1)
    sign = np.broadcast_to(np.array([1.0, -1.0])[:, None, None], shape).reshape(-1)
    by = np.broadcast_to(np.maximum(distance, near), shape).reshape(-1)
    frozen = Population(levels.device, g.size)
    x = frozen.states(g, levels.v_read)
    energy, time = np.zeros(g.size), np.zeros(g.size)
    loop = Loop(recipe, g + sign * by)
    loop.observe(g)
    while len(loop.running):
        on, amplitude, width = loop.following()
        # Both edges together last as long as one of twice their share.
        power = _mean_power(frozen, x, on, amplitude)
        energy[on] += width * (power[0] + 2.0 * recipe.edge * power[1])
        time[on] += recipe.duration(width)
        loop.observe(g[loop.running])
    pulses, reads = loop.pulses.astype(float), loop.reads.astype(float)
    sums = Costs(pulses.sum(axis=1), pulses[:, 1], reads, energy, time)
    return Moves(start, distance, *sums.each(lambda a: a.reshape(shape)))


def _mean_power(
    devices: Population, x: Array, on: Indices, amplitude: Array
) -> tuple[Array, Array]:
    """Return the power [W] of devices ``on`` at ``amplitude`` [V], and on average over an edge."""
    behaviour, state = devices.behaviour(on), x[on]

    def power(share: float) -> Array:
        v = share * amplitude
        return v * behaviour.current(v, state, slice(None))[0]

    nodes, weights = np.polynomial.legendre.leggauss(8)
    edge = sum(0.5 * w * power(0.5 * (1.0 + u)) for u, w in zip(nodes, weights, strict=True))
    return power(1.0), np.asarray(edge)
