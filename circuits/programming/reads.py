"""Verify reads of an array: cell by cell, or several rows at once in Hadamard patterns.

What an amplifier and its converter add to a current they add once per read, however many cells the
current comes from. Read in patterns, in each of which half of the rows are driven, every cell takes
part in half of the reads, so that ``n`` reads of a column give ``n`` conductances as a mean over
``(n + 1)**2 / (4 n)`` reads of each would: Hadamard transform optics (Harwit and Sloane 1979,
doi:10.1016/B978-0-12-330050-8.X5001-2), for conductances as in HARP (arXiv:2604.12420). Rows are driven
by 0 V or the read voltage, so that a pattern is a row of an S-matrix and no device is read backwards.
"""

__all__ = ["PATTERNS", "Seen", "VerifyReads", "pattern_matrix"]

from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from ...data.options import check_choice, check_number
from ...data.types import Array
from .population import Population
from .recipe import Indices, Recipe

PATTERNS = ("cell", "hadamard")


@cache
def pattern_matrix(rows: int) -> Array:
    """Return an S-matrix of the least prime order ``n = 4 t - 1`` that has ``rows`` columns, cut to
    those: 1 where a pattern drives a row, (n, rows).

    Its rows are the shifts of where the quadratic residues lie (Paley 1933, doi:10.1002/sapm1933121311).
    """
    n = max(rows, 3)
    while n % 4 != 3 or any(n % k == 0 for k in range(3, int(n**0.5) + 1, 2)):
        n += 1
    driven = np.zeros(n)
    driven[np.square(np.arange(n)) % n] = 1.0
    place = np.arange(n)
    whole: Array = driven[(place[:, None] + place) % n]
    return whole[:, :rows]


@dataclass(frozen=True)
class VerifyReads:
    """How the cells of an array are read while they are written."""

    pattern: Literal["cell", "hadamard"] = "cell"
    """A row after the other, or all rows of a block in Hadamard patterns."""
    noise: float = 0.0
    """What amplifier and converter add to a current: standard deviation [A]."""
    average: int = 1
    """Reads that a verify read is the mean of."""
    block: int = 131
    """Rows at most that share patterns."""

    def __post_init__(self) -> None:
        check_choice("verify reads", "pattern", self.pattern, PATTERNS)
        check_number("verify reads", noise=self.noise, at_least=0)
        check_number("verify reads", average=self.average, whole=True, at_least=1)
        check_number("verify reads", block=self.block, whole=True, at_least=2)

    def blocks(self, rows: int) -> list[range]:
        """Return the rows that are written between verify reads."""
        size = self.block if self.pattern == "hadamard" else 1
        return [range(k, min(k + size, rows)) for k in range(0, rows, size)]

    def deviation(self, target: Array, devices: float | Array, v_read: float) -> Array:
        """Return the largest standard deviation of what is read at conductances ``target`` [S], (rows,
        cols), of one block, relative to them; the devices' own noise is ``devices``, relative.

        Parameters
        ----------
        target
            Conductances, (rows, cols) [S].
        devices
            The devices' own noise, relative.
        v_read
            Voltage at which conductances are meant [V].
        """
        own, sense = np.square(devices * target), (self.noise / v_read) ** 2
        if self.pattern == "hadamard":
            n = len(pattern_matrix(len(target)))
            # Devices' own noise is shared out among a column's cells, unless few are left to read.
            own = np.maximum(own, 2.0 / (n + 1) * own.sum(axis=0))
            sense /= _gain(n)
        variance = own + sense
        size = np.abs(target)
        relative = np.sqrt(variance / self.average)
        return np.divide(relative, size, out=np.zeros(target.shape), where=size > 0.0)

    def read(
        self,
        population: Population,
        x: Array,
        place: Indices,
        on: Indices,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> "Seen":
        """Read some cells of one block: only their rows are driven, and only their columns sensed.

        Parameters
        ----------
        population
            The array's devices.
        x
            States of the block's cells, (rows, cols).
        place
            Their places in the population, (rows, cols).
        on
            Which of them, flattened, are asked for, (n,).
        recipe
            How writes go: pulses, reads, tolerance.
        rng
            What random numbers are drawn from.
        """
        v, law = recipe.v_read, population.spread.noise
        (rows, row), (cols, col) = (
            np.unique(each, return_inverse=True) for each in np.divmod(on, x.shape[1])
        )
        here = np.ix_(rows, cols)
        g = population.conductance(x[here].ravel(), v, place[here].ravel())
        driven, found, average = self._plan(len(rows), len(x))
        seen = np.broadcast_to(g.reshape(len(rows), -1), (average, len(driven), *x[here].shape))
        if law is not None:
            seen = law.sample(seen, rng)
        sums = np.einsum("kr,akrc->akc", driven, seen)
        energy = v**2 * float(np.einsum("kr,akrc->", driven, np.abs(seen)))
        if self.noise:
            sums += self.noise / abs(v) * rng.standard_normal(sums.shape)
        return Seen(
            (found @ sums.mean(axis=0))[row, col],
            energy * recipe.read_time,
            average * len(driven) * recipe.read_time,
            sums.size,
        )

    def _plan(self, rows: int, block: int) -> tuple[Array, Array, int]:
        """Return which rows are driven in which read, (reads, rows), what their currents are
        multiplied by, (rows, reads), and of how many such reads the mean is taken, so that few rows
        are read no more noisily than a whole block.
        """
        alone = np.eye(rows), np.eye(rows), self.average
        if self.pattern == "cell":
            return alone
        gain = _gain(len(pattern_matrix(block))) if self.noise else 1.0
        together = pattern_matrix(rows)
        n = len(together)
        most = int(np.ceil(self.average * gain / (_gain(n) if self.noise else 1.0) - 1e-9))
        single = int(np.ceil(self.average * gain - 1e-9))
        if rows * single <= n * most:
            return alone[0], alone[1], single
        return together, (2.0 / (n + 1)) * (2.0 * together.T - 1.0), most


class Seen(NamedTuple):
    """What a verify read of several cells came to."""

    g: Array
    """Conductances of the cells asked for [S], (n,)."""
    energy: float
    """In the devices [J]."""
    time: float
    """All columns at once [s]."""
    conversions: int
    """Currents that were sensed."""


def _gain(n: int) -> float:
    """Return how many reads of one cell are as quiet as ``n`` patterns."""
    return (n + 1) ** 2 / (4.0 * n)
