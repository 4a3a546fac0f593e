"""What small moves cost: by fractions of a level step, from anywhere, as rules with continuous targets make them.

A move is one closed-loop write of one device. It takes at least one pulse, the gentlest of its
polarity, even where the first verify read finds the device within the tolerance: a rule that skips
such writes has to read the device first, which is a rule of its own.
"""

__all__ = ["Moves", "make_moves"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.errors import InputError
from ..data.types import Array
from ..devices.levels import Levels
from .population import Population
from .programming import write
from .recipe import Recipe, interval

POSITIONS = 9
"""Conductances that moves start from, equally spaced over the range of the levels."""

BANDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Distances of the moves, in half widths of the accepted band."""


class MoveCost(NamedTuple):
    """Costs of single moves, all arrays alike."""

    pulses: Array
    reads: Array
    energy: Array
    """Of the pulses [J]."""
    time: Array
    """Of the pulses [s]."""


@dataclass(frozen=True)
class Moves:
    """Mean costs of moves up (first) and down (second), (2, positions, distances)."""

    start: Array
    """Conductances that moves start from [S], rising, (positions,)."""
    distance: Array
    """How far they go [S], rising from 0, (distances,)."""
    pulses: Array
    reads: Array
    energy: Array
    """Of the pulses [J]."""
    time: Array
    """Of the pulses [s]."""

    def __post_init__(self) -> None:
        shape = (2, len(self.start), len(self.distance))
        for name in ("pulses", "reads", "energy", "time"):
            if np.shape(getattr(self, name)) != shape:
                raise InputError(
                    f"moves: expected {name} of shape {shape}, got {np.shape(getattr(self, name))}"
                )

    def of(self, before: Array, after: Array) -> MoveCost:
        """Return the costs of moves between conductances [S], (n,), interpolated.

        A move beyond the largest distance is made of several.
        """
        way = (after < before).astype(np.intp)
        far = np.abs(after - before) / self.distance[-1]
        parts = np.maximum(np.ceil(far), 1.0)
        middle = before + 0.5 * (after - before) * (parts > 1.0)
        at, rest = interval(self.start, middle)
        to, share = interval(self.distance / self.distance[-1], far / parts)
        found = []
        for table in (self.pulses, self.reads, self.energy, self.time):
            low = table[way, at, to] * (1.0 - share) + table[way, at, to + 1] * share
            high = table[way, at + 1, to] * (1.0 - share) + table[way, at + 1, to + 1] * share
            found.append(parts * (low * (1.0 - rest) + high * rest))
        return MoveCost(*found)


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
    pulses = outcome.pulses.sum(axis=1).astype(float)
    energy, reads = outcome.pulse_energy.copy(), outcome.reads.astype(float)
    time = outcome.time - reads * recipe.read_time
    still = np.flatnonzero(pulses == 0)
    ramps = (recipe.set, recipe.reset)
    amplitude, width = (
        np.where(sign[still] > 0, *(getattr(ramp, name) for ramp in ramps))
        for name in ("start", "width")
    )
    energy[still] = population.pulse(x[still], amplitude, width, recipe.edge, rng, still).energy
    time[still] = recipe.duration(width)
    pulses[still] += 1.0
    reads[still] += 1.0
    means = (a.reshape(shape).mean(axis=-1) for a in (pulses, reads, energy, time))
    return Moves(start, distance, *means)
