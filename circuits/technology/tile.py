"""A tile of a technology's cells, each written through its own way along the lines.

Cells are written one after another: a word line opens its row, the row's line has the bit line's voltage, the column's
line is the grounded source, and all other transistors are off. What is drawn through a cell then meets the resistance
from there to the ends of its own lines alone.
"""

__all__ = ["WrittenCells", "way_along_lines", "write_tile"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.records.store import pack, write_record
from ...data.types import Array, Progress
from ...devices.technology.population import Cells, draw_cells
from ..array.terminals import plain
from ..array.tile import Tile
from .write import Tables, Written, write

KIND = "written-cells"


@dataclass(frozen=True, eq=False)
class WrittenCells:
    """What writing a tile came to; arrays are (rows, cols).

    Attributes
    ----------
    target
        Conductance asked for [S].
    g
        True conductance, as the last pass left it [S].
    later
        The same ``seconds`` after that [S].
    reached
        Whether the last verify read was in the band; the others were given up.
    stuck
        Cells that no write moves.
    sets, resets, reads
        Pulses and verify reads of each cell, over all passes.
    energy, energy_high
        Of pulses and verify reads, both ends of the bracket [J].
    read_energy
        Share of the verify reads [J].
    time
        One cell after the other [s].
    tolerance
        Half width of the bands [S].
    seconds
        Between passes, and after the last one [s]; 0 where no relaxation is known.
    passes
        Passes over all cells that were made.
    """

    target: Array
    g: Array
    later: Array
    reached: NDArray[np.bool_]
    stuck: NDArray[np.bool_]
    sets: Array
    resets: Array
    reads: Array
    energy: Array
    energy_high: Array
    read_energy: Array
    time: Array
    tolerance: float
    seconds: float
    passes: int

    @property
    def error(self) -> Array:
        """True conductance minus target [S]."""
        return self.g - self.target

    @property
    def success(self) -> float:
        """Share of the cells that are within the tolerance."""
        return float(np.mean(self.reached))

    def summary(self) -> dict[str, Any]:
        """Return the figures that a report shows."""
        sound = ~self.stuck
        error = self.error[sound]
        held = np.abs(self.later - self.target) <= self.tolerance
        pulses = self.sets + self.resets
        return {
            "cells": self.g.size,
            "success_percent": 100.0 * self.success,
            "stuck_cells": int(self.stuck.sum()),
            "given_up": int((~self.reached).sum()),
            "given_up_of_sound": int((sound & ~self.reached).sum()),
            "error_rms_siemens": float(np.sqrt(np.mean(error**2))) if error.size else 0.0,
            "error_max_siemens": float(np.abs(self.error).max()),
            **(
                {
                    "in_band_later_percent": 100.0 * float(np.mean(held)),
                    "later_seconds": self.seconds,
                }
                if self.seconds > 0.0
                else {}
            ),
            "sets": int(self.sets.sum()),
            "resets": int(self.resets.sum()),
            "pulses": int(pulses.sum()),
            **{
                f"pulses_p{100 * share:g}": float(np.quantile(pulses, share))
                for share in (0.5, 0.9, 0.99)
            },
            "reads": int(self.reads.sum()),
            "passes": self.passes,
            "energy_joule": float(self.energy.sum()),
            "energy_high_joule": float(self.energy_high.sum()),
            "read_energy_joule": float(self.read_energy.sum()),
            "time_seconds": float(self.time.sum()),
            "failed_cells": [[int(i), int(j)] for i, j in np.argwhere(~self.reached)],
        }

    def save(self, path: str | Path, **facts: str | float) -> Path:
        """Write the outcome as an HDF5 record, with ``facts`` about how it came about."""
        return write_record(path, KIND, pack(self) | {"facts": facts})


def way_along_lines(tile: Tile) -> tuple[Array, Array]:
    """Return the resistance that the current of one cell meets along its row to the drivers, and along its column to
    the grounded ends [ohm], (rows, cols) each.
    """
    wires = tile.wires()
    rows = _to_ends(wires.row, wires.left, wires.right)
    cols = _to_ends(wires.col.T, wires.top, wires.bottom).T
    return rows, cols


def _to_ends(segments: Array, first: Array, last: Array) -> Array:
    """Return the resistance from each node of lines (lines, nodes) to both of their ends in parallel [ohm], of the
    conductances of the segments (lines, nodes - 1) and of the ends (lines,); an end of 0 S is open.
    """
    inner = np.cumsum(1.0 / segments, axis=1)
    inner = np.concatenate((np.zeros((len(first), 1)), inner), axis=1)
    with np.errstate(divide="ignore"):
        there = 1.0 / first[:, None] + inner
        back = 1.0 / last[:, None] + inner[:, -1:] - inner
    return np.asarray(1.0 / (1.0 / there + 1.0 / back))


def write_tile(
    tables: Tables,
    tile: Tile,
    target: ArrayLike,
    rng: np.random.Generator,
    *,
    passes: int = 1,
    seconds: float = 1.0,
    progress: Progress | None = None,
) -> WrittenCells:
    """Write every cell of a tile to its target, from the lowest level.

    Lines take part of a SET's voltages. RESETs are those of cycled cells, whose dependence on the voltage was not
    measured; verify reads are of the cell itself.

    Parameters
    ----------
    tables
        Technology and recipe.
    tile
        Its levels and wires.
    target
        Conductances to reach [S], (rows, cols).
    rng
        Draws the cells, stuck ones among them, and whatever differs from pulse to pulse.
    passes
        A later one reads all cells again, ``seconds`` after the one before, and writes those that have left their band;
        one alone where no relaxation is known.
    seconds
        Between passes, and from the last to the look at what has relaxed [s].
    progress
        Called with passes done and their number.

    Raises
    ------
    InputError
        If a target is out of reach, or the technology lacks what the recipe needs.
    """
    plain(tile, "programming by pulses")
    technology, recipe, shape = tables.technology, tables.recipe, tile.shape
    goal = np.array(target, float)
    _check(goal, shape, float(tables.nominal[-1]), technology.name)
    if passes < 1:
        raise InputError(f"passes must be at least 1, got {passes}")
    assert tile.levels is not None
    low, high = float(tile.levels.g[0]), float(tile.levels.g[-1])
    count, goal = goal.size, goal.reshape(-1)
    cells = Cells(
        draw_cells(count, rng).z, np.stack([r.reshape(-1) for r in way_along_lines(tile)])
    )
    fixed = np.full(count, np.nan)
    if technology.stuck is not None:
        fixed = technology.stuck.sample(count, rng, low=low, high=high)
    stuck = ~np.isnan(fixed)
    g = np.where(stuck, fixed, low)
    law = technology.relaxation
    fresh, written = g.copy(), np.zeros(count, int)
    luck = np.zeros((0 if law is None else law.lucks, count))

    def relaxed(after: int) -> Array:
        """Return what cells hold ``seconds`` after a pass."""
        if law is None:
            return g
        age = seconds * (1.0 + after - written)
        return np.where(stuck, fixed, law.later(fresh, age, luck))

    sums: list[Written] = []
    made = 0
    for made in range(1, (1 if law is None else passes) + 1):
        if made > 1:
            g = relaxed(made - 1)
        done = write(tables, cells, g, goal, rng, stuck=stuck)
        moved = (done.sets + done.resets > 0.0) | (made == 1)
        sums.append(done)
        fresh, written = np.where(moved, done.g, fresh), np.where(moved, made, written)
        luck = np.where(moved, rng.standard_normal(luck.shape), luck)
        g = done.g
        if progress is not None:
            progress(made, passes)
        if not moved.any():
            break

    def total(name: str) -> Array:
        return np.asarray(sum(getattr(one, name) for one in sums)).reshape(shape)

    names = ("sets", "resets", "reads", "energy", "energy_high", "read_energy", "time")
    return WrittenCells(
        goal.reshape(shape),
        g.reshape(shape),
        relaxed(made).reshape(shape),
        sums[-1].reached.reshape(shape),
        stuck.reshape(shape),
        **{name: total(name) for name in names},
        tolerance=recipe.tolerance,
        seconds=0.0 if law is None else seconds,
        passes=made,
    )


def _check(target: Array, shape: tuple[int, int], most: float, name: str) -> None:
    """Refuse targets that are none, or that the median cell does not reach."""
    if target.shape != shape:
        raise InputError(f"expected targets of shape {shape}, got {target.shape}")
    for wrong, why in (
        (~np.isfinite(target), "expected a conductance in S"),
        (target < 0.0, "expected a conductance in S, 0 or more"),
        (
            target > most,
            f"but the median cell of {name} reaches {most:.4g} S at the end of the ramp",
        ),
    ):
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise InputError(f"target ({i}, {j}) is {target[i, j]:.4g} S, {why}")
