"""Write-verify of a whole array, row after row, with the neighbours' disturb watched.

The controller is the same as for single devices; what differs is that a pulse is put on lines, so
that all cells of a row which need one of the same polarity and width get it together, each at its
own amplitude, and that it reaches cells it was not meant for.
"""

__all__ = ["ArrayOutcome", "ArrayStep", "program_array", "replay"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.records.pack import UNSAVED
from ...data.records.store import pack, write_record
from ...data.types import Array, Progress
from ...devices.cycles.autoregression import CycleLaw
from .array_numpy import ArrayPulse, ArrayWriter
from .reads import VerifyReads
from .recipe import Indices, Loop, Recipe, Status
from .verify import check_targets, planned_writes

KIND = "written-tile"

CELL_BY_CELL = VerifyReads()


class ArrayStep(NamedTuple):
    """One pulse of a write, and what it did."""

    row: int
    amplitude: Array
    """Amplitude at each cell of the row [V], (cols,); 0: not written."""
    width: float
    """Length of its flat part [s]."""
    pace: Array
    """Speed of each device during it, (rows, cols)."""
    done: ArrayPulse


@dataclass(frozen=True)
class ArrayOutcome:
    """What writing an array came to; arrays are (rows, cols) unless said."""

    target: Array
    """Conductance asked for [S]."""
    x: Array
    """States in the end."""
    g: Array
    """True conductances in the end [S]."""
    status: NDArray[np.int8]
    """A :class:`~.recipe.Status` per cell, from the last pass."""
    pulses: NDArray[np.int64]
    """RESET and SET pulses meant for each cell, (rows, cols, 2)."""
    reads: NDArray[np.int64]
    """Verify reads."""
    energy: Array
    """Energy that all pulses brought into each memristor, half-selected ones included [J]."""
    source_energy: float
    """Energy that the line drivers delivered [J]."""
    read_energy: float
    """Energy of the verify reads [J]."""
    time: float
    """Duration: pulses one after another, the verify reads of a row together [s]."""
    disturb: Array
    """Sum of the changes that pulses for other cells made [S]."""
    passes: int
    """Passes over the rows, the last one without a pulse if all cells were reached."""
    read_time: float = 0.0
    """Of the time, that of verify reads [s]."""
    conversions: int = 0
    """Currents that verify reads sensed."""
    steps: tuple[ArrayStep, ...] = field(default=(), metadata=UNSAVED)
    """Every pulse, if asked for; no part of a record."""

    @property
    def success(self) -> float:
        """Share of the cells that are within the tolerance."""
        return float(np.mean(self.status == Status.REACHED))

    @property
    def error(self) -> Array:
        """True conductance minus target [S]."""
        return self.g - self.target

    def summary(self) -> dict[str, Any]:
        """Return the figures that a report shows."""
        return {
            "cells": self.g.size,
            "success_percent": 100.0 * self.success,
            "error_max_siemens": float(np.abs(self.error).max()),
            "disturb_max_siemens": float(np.abs(self.disturb).max()),
            "pulses": int(self.pulses.sum()),
            "reads": int(self.reads.sum()),
            "passes": self.passes,
            "device_energy_joule": float(self.energy.sum()),
            "source_energy_joule": self.source_energy,
            "read_energy_joule": self.read_energy,
            "time_seconds": self.time,
            "read_time_seconds": self.read_time,
            "conversions": self.conversions,
            "failed_cells": [
                [int(i), int(j)] for i, j in np.argwhere(self.status != Status.REACHED)
            ],
        }

    def save(self, path: str | Path, **facts: str | float) -> Path:
        """Write the outcome as an HDF5 record, with ``facts`` about how it came about."""
        return write_record(path, KIND, pack(self) | {"facts": facts})


def program_array(
    writer: ArrayWriter,
    x: ArrayLike,
    target: ArrayLike,
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    parallel: bool = True,
    passes: int = 3,
    reads: VerifyReads = CELL_BY_CELL,
    verified: ArrayLike | None = None,
    keep_steps: bool = False,
    progress: Progress | None = None,
) -> ArrayOutcome:
    """Write every cell of an array to its target.

    Parameters
    ----------
    writer
        Applies the pulses: :class:`~.write_array.WriteArray`, or
        :class:`~.write_spice.WriteSpice`.
    x
        States before, (rows, cols) or a number.
    target
        Conductances to reach at ``recipe.v_read`` [S], (rows, cols).
    recipe
        Pulses, tolerance and limits.
    rng
        Draws cycle-to-cycle spread and read noise.
    parallel
        Pulse the cells of a row together; otherwise one cell at a time.
    passes
        Passes over all rows at most: a later one corrects what later writes disturbed.
    reads
        How cells are read, and what the read adds to a current.
    verified
        Which cells are read after every pulse, (rows, cols) of booleans; the others get the pulses that the
        nominal device would need, first and unread, and their status says what we, not the circuit, know of
        them. By default all.
    keep_steps
        Keep every pulse and the states after it.
    progress
        Called with rows done and their number, over all passes allowed.
    """
    rows, cols = writer.tile.shape
    population = writer.population
    states = np.array(np.broadcast_to(np.asarray(x, float), (rows, cols)))
    target = np.array(target, float)
    if target.shape != (rows, cols):
        raise InputError(f"expected targets of shape ({rows}, {cols}), got {target.shape}")
    if passes < 1:
        raise InputError(f"passes must be at least 1, got {passes}")
    planned = ~np.broadcast_to(
        np.asarray(True if verified is None else verified, bool), (rows, cols)
    )
    spread = population.spread
    blocks, own = reads.blocks(rows), np.broadcast_to(spread.noise_at(target), target.shape)
    noise = np.concatenate(
        [
            reads.deviation(target[part], own[part], recipe.v_read)
            for part in (slice(block.start, block.stop) for block in blocks)
        ]
    )
    check_targets(population.device, target, recipe, noise)
    paces = spread.pulses
    if isinstance(paces, CycleLaw):
        raise InputError(
            "spread.c2c: a law of cycles acts on each device's own voltage, which lines of an array share;"
            " give a number, or the law to a write table"
        )
    totals = _Totals(rows, cols)
    place = np.arange(rows * cols).reshape(rows, cols)

    def verify(block: range, loops: list[Loop]) -> None:
        here = slice(block.start, block.stop)
        on = np.concatenate([k * cols + loop.running for k, loop in enumerate(loops)])
        if not len(on):
            return
        seen = reads.read(population, states[here], place[here], on, recipe, rng)
        totals.read_energy += seen.energy
        totals.time += seen.time
        totals.read_time += seen.time
        totals.conversions += seen.conversions
        ends = np.cumsum([len(loop.running) for loop in loops])
        for loop, part in zip(loops, np.split(seen.g, ends[:-1]), strict=True):
            if len(part):
                loop.observe(part)

    def pulse(row: int, amplitude: Array, width: float) -> None:
        nonlocal states
        pace = np.ones((rows, cols))
        if paces is not None:
            pace = paces.sample((rows, cols), rng)
        done = writer.pulse(states, row, amplitude, width, recipe.edge, pace)
        moved = population.conductance(done.x.ravel(), recipe.v_read)
        moved -= population.conductance(states.ravel(), recipe.v_read)
        totals.add(row, amplitude, done, moved.reshape(rows, cols))
        totals.time += float(recipe.duration(width))
        states = done.x
        if keep_steps:
            totals.steps.append(ArrayStep(row, amplitude, width, pace, done))

    for k in np.flatnonzero(planned.any(axis=1)).tolist():
        on = np.flatnonzero(planned[k])
        plan = planned_writes(population.device, states[k, on], target[k, on], recipe).history
        assert plan is not None
        for amplitudes, widths in zip(plan.amplitude[1:], plan.width[1:], strict=True):
            still = np.flatnonzero(widths > 0.0)
            totals.pulses[k, on[still], (amplitudes[still] > 0.0).astype(int)] += 1
            for amplitude, width in _pulses(
                on[still], amplitudes[still], widths[still], cols, parallel
            ):
                pulse(k, amplitude, width)

    made = 0
    for made in range(1, passes + 1):
        before = totals.count
        for block in blocks:
            loops = [Loop(recipe, target[row], noise[row]) for row in block]
            for row, loop in zip(block, loops, strict=True):
                loop.status[planned[row]] = Status.REACHED
            verify(block, loops)
            while any(len(loop.running) for loop in loops):
                for row, loop in zip(block, loops, strict=True):
                    if not len(loop.running):
                        continue
                    for amplitude, width in _pulses(*loop.following(), cols, parallel):
                        pulse(row, amplitude, width)
                verify(block, loops)
            for row, loop in zip(block, loops, strict=True):
                totals.settle(row, loop)
            if progress is not None:
                progress((made - 1) * rows + block.stop, passes * rows)
        if totals.count == before:
            break
    if progress is not None:
        progress(passes * rows, passes * rows)
    g = population.conductance(states.ravel(), recipe.v_read).reshape(rows, cols)
    missed = planned & (np.abs(g - target) > recipe.tolerance)
    totals.status[missed] = Status.EXHAUSTED
    return ArrayOutcome(
        target=target,
        x=states,
        g=g,
        status=totals.status,
        pulses=totals.pulses,
        reads=totals.reads,
        energy=totals.energy,
        source_energy=totals.source_energy,
        read_energy=totals.read_energy,
        time=totals.time,
        disturb=totals.disturb,
        passes=made,
        read_time=totals.read_time,
        conversions=totals.conversions,
        steps=tuple(totals.steps),
    )


def replay(
    writer: ArrayWriter, x: ArrayLike, steps: Iterable[ArrayStep], edge: float
) -> Iterator[ArrayPulse]:
    """Apply the pulses of ``steps`` once more, on another writer and from its own states; yields
    what each did.

    Parameters
    ----------
    writer
        What the pulses are applied to.
    x
        States to begin with, (rows, cols) [0..1].
    steps
        The steps whose pulses are applied.
    edge
        Rise and fall time, each, as a share of the width.
    """
    x = np.array(x, float)
    for step in steps:
        done = writer.pulse(x, step.row, step.amplitude, step.width, edge, step.pace)
        x = done.x
        yield done


def _pulses(
    on: Indices, amplitude: Array, width: Array, cols: int, parallel: bool
) -> Iterator[tuple[Array, float]]:
    """Group the pulses that cells of a row ask for into those that their lines can give at once."""
    groups = (
        [
            np.flatnonzero((np.sign(amplitude) == s) & (width == w))
            for s, w in _kinds(amplitude, width)
        ]
        if parallel
        else [np.array([k]) for k in range(len(on))]
    )
    for group in groups:
        levels = np.zeros(cols)
        levels[on[group]] = amplitude[group]
        yield levels, float(width[group[0]])


def _kinds(amplitude: Array, width: Array) -> list[tuple[float, float]]:
    return sorted(set(zip(np.sign(amplitude).tolist(), width.tolist(), strict=True)))


class _Totals:
    """Running sums over an array's write."""

    def __init__(self, rows: int, cols: int) -> None:
        self.status = np.zeros((rows, cols), np.int8)
        self.pulses = np.zeros((rows, cols, 2), np.int64)
        self.reads = np.zeros((rows, cols), np.int64)
        self.energy, self.disturb = np.zeros((rows, cols)), np.zeros((rows, cols))
        self.source_energy = self.read_energy = self.read_time = self.time = 0.0
        self.count = self.conversions = 0
        self.steps: list[ArrayStep] = []

    def add(self, row: int, amplitude: Array, done: ArrayPulse, moved: Array) -> None:
        self.count += 1
        self.energy += done.energy
        self.source_energy += done.source_energy
        moved[row, amplitude != 0.0] = 0.0
        self.disturb += moved

    def settle(self, row: int, loop: Loop) -> None:
        self.status[row] = loop.status
        self.pulses[row] += loop.pulses
        self.reads[row] += loop.reads
