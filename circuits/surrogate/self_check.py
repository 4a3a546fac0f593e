"""How a surrogate watches itself: which vectors it checks, what came of it, and for which tiles the
line solver stands in.
"""

__all__ = ["SurrogateReport", "Watch"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array

CHECKED = 16
"""Vectors of one tile that a self-check takes at most, where there are other tiles to take."""

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
        self.out_of_range = self.by_fallback = self.refreshed = self.renewed = 0
        self._next = 0

    @property
    def estimate(self) -> Array:
        """Estimated error of every tile as it was read last, relative to its full scale."""
        return np.where(np.isnan(self.solved), self.closure, self.solved)

    def restart(self) -> None:
        """Begin the round anew, with all tiles trusted."""
        self.on_line[:] = False
        self._next = 0

    def turns(self, share: float, vectors: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield tiles, in turn, and which of their vectors to check, until ``share`` of all of a
        batch of ``vectors`` per tile is reached.
        """
        tiles = len(self.closure)
        budget = max(1, round(share * tiles * vectors))
        each = min(vectors, budget, max(CHECKED, budget // tiles))
        for _ in range(max(1, budget // each)):
            tile, self._next = self._next % tiles, self._next + 1
            yield tile, (self._next + np.arange(each) * (vectors // each)) % vectors

    def judge(self, tile: int, read: Array, solved: Array, *, largest: float, full: float) -> float:
        """Return, and keep, the estimated error of a tile from currents read and solved.

        ``largest`` is the largest current [A] of its batch, ``full`` that of its fullest column at
        full swing without wires.
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
            renewed=self.renewed,
        )
