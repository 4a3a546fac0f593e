"""How a surrogate watches itself: which vectors it checks, what came of it, and for which tiles the
line solver stands in.
"""

__all__ = ["SurrogateReport", "Watch"]

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array

CHECKED = 16
"""Vectors that a self-check takes of a tile, or more where all tiles have their turn at once. A read
that is due fewer leaves them to the next ones.
"""

FAINT = 0.1
"""Errors are relative to a tile's largest current, or to this share of what its fullest column
would carry with all rows at full swing, whichever is more.
"""


@dataclass(frozen=True)
class SurrogateReport:
    """What a surrogate has done since an array, or the first one it was reprogrammed from, was programmed."""

    tiles: int
    reads: int
    vectors: int
    """Vectors read, counted per tile."""
    checked: int
    """Vectors that went through the self-check, counted per tile."""
    estimate: float
    """Estimated error of the currents that were returned, by whatever read them: root mean square
    over the tiles as each was checked or solved last, relative to its largest current.
    """
    estimate_worst: float
    """The same of the worst tile."""
    on_line_solver: int
    """Tiles that are read by the line solver because their estimate exceeded the bar."""
    out_of_range: int
    """Reads of single tiles that the line solver took, whole or for some vectors, because of their
    conductances or voltages.
    """
    by_fallback: int
    """Reads of single tiles that the fallback engine took."""
    refreshed: int
    """Refreshes of single tiles."""
    updated: int
    """Updates of single tiles by a few changed devices."""
    renewed: int
    """Exact linear solves of single tiles."""


class Watch:
    """Estimates, standings and counts of a stack of tiles."""

    def __init__(self, tiles: int) -> None:
        self.closure = np.full(tiles, np.nan)
        """Estimated error of the closure on every tile when it was checked last, relative to the
        tile's full scale.
        """
        self.solved = np.full(tiles, np.nan)
        """The same of the solver that took a tile's last read; not a number where none did."""
        self.on_line = np.zeros(tiles, bool)
        """Tiles whose estimate exceeded the bar."""
        self.reads = self.vectors = self.checked = 0
        self.out_of_range = self.by_fallback = self.refreshed = self.updated = self.renewed = 0
        self._next, self._due, self._fresh = 0, 0.0, 1

    def copy(self) -> "Watch":
        """Return one that goes on from here on its own."""
        after = copy(self)
        for name in ("closure", "solved", "on_line"):
            setattr(after, name, getattr(self, name).copy())
        return after

    @property
    def estimate(self) -> Array:
        """Estimated error of every tile as it was read last, relative to its full scale."""
        return np.where(np.isnan(self.solved), self.closure, self.solved)

    def turns(self, share: float, vectors: int) -> list[tuple[int, NDArray[np.intp]]]:
        """Return tiles, in turn, and which of their vectors to check now, so that of all batches of
        ``vectors`` per tile a ``share`` is checked: some of the first one, then as they are due.
        """
        tiles, chosen = len(self.closure), []
        self._due += share * tiles * vectors
        each = min(vectors, max(CHECKED, int(self._due) // tiles))
        turns = max(int(self._due) // each, self._fresh)
        self._due, self._fresh = self._due - turns * each, 0
        for _ in range(turns):
            tile, self._next = self._next % tiles, self._next + 1
            chosen.append((tile, (self._next + np.arange(each) * (vectors // each)) % vectors))
        return chosen

    def judge(self, tile: int, read: Array, solved: Array, *, largest: float, full: float) -> float:
        """Return, and keep, the estimated error of a tile from currents read and solved.

        ``largest`` is the largest current [A] of its batch, ``full`` that of its fullest column at
        full swing without wires.

        Parameters
        ----------
        tile
            Place of the tile in the stack.
        read
            Currents that were read, (vectors, cols) [A].
        solved
            The same currents, solved [A].
        largest
            Largest current of the batch [A].
        full
            Current of the fullest column at full swing without wires [A].
        """
        # Hardly driven tiles carry next to nothing, and add next to nothing to anybody's sums.
        scale = max(largest, FAINT * full) or 1.0
        self.closure[tile] = float(np.sqrt(np.mean((read - solved) ** 2))) / scale
        return float(self.closure[tile])

    def report(self) -> SurrogateReport:
        """Return what happened so far."""
        known = self.estimate[~np.isnan(self.estimate)]
        return SurrogateReport(
            tiles=len(self.closure),
            reads=self.reads,
            vectors=self.vectors,
            checked=self.checked,
            estimate=float(np.sqrt(np.mean(known**2))) if known.size else float("nan"),
            estimate_worst=float(known.max()) if known.size else float("nan"),
            on_line_solver=int(self.on_line.sum()),
            out_of_range=self.out_of_range,
            by_fallback=self.by_fallback,
            refreshed=self.refreshed,
            updated=self.updated,
            renewed=self.renewed,
        )
