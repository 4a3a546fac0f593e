"""What ngspice says about a cell and a tile: all that a surrogate is fitted to and judged by."""

__all__ = [
    "Characterisation",
    "CharacteriseOptions",
    "Vectors",
    "characterise",
    "load_characterisation",
]

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import InputError
from ...data.options import check_number
from ...data.records.store import digest, pack, reading, unpack, write_record
from ...data.types import Array, Progress
from ...devices.device import Levels
from ..array.terminals import plain
from ..array.tile import Tile
from ..lines.cell_law_fit import CellSweep
from ..ngspice import netlist
from ..ngspice.engine import Spice
from ..ngspice.installed import features
from ..ngspice.pool import MEMORY
from ..osdi.choice import Devices
from .cell_deck import sweep_in_ngspice
from .patterns import pattern
from .patterns import vectors as row_voltages

KIND, FORMAT = "characterisation", 2

MARGIN = 0.1
"""Share of the levels' range by which programming errors go beyond it."""

FITTED, HELD_OUT = ("uniform", "sparse"), ("uniform", "mlp", "binary")
"""Families of the patterns that are fitted, of different density, and of those that judge."""


@dataclass(frozen=True)
class Vectors:
    """A tile read in ngspice."""

    family: str
    """Family of its conductance pattern."""
    g: Array
    """Conductances [S], (rows, cols)."""
    v: Array
    """Row voltages [V], (vectors, rows)."""
    i: Array
    """Sensed currents [A], (vectors, cols)."""


@dataclass(frozen=True)
class Characterisation:
    """The record of one characterisation."""

    tile: Tile
    """The tile that was read."""
    levels: Array
    """Conductance levels [S], (L,)."""
    sweep: CellSweep
    """Currents of single cells against voltage, at many conductances."""
    fitted: tuple[Vectors, ...]
    """For the fit."""
    held_out: tuple[Vectors, ...]
    """For the judgement; no fit sees them."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Seed, tolerances, ngspice's version, seconds, digests of the decks."""
    decks: dict[str, str] = field(default_factory=dict)
    """The decks themselves."""

    @property
    def digest(self) -> str:
        """Hash of everything that a fit depends on."""
        parts = [pack(self.tile), self.levels, self.sweep.g, self.sweep.v, self.sweep.i]
        for one in self.fitted + self.held_out:
            parts += [one.g, one.v, one.i]
        return digest(*parts)

    def save(self, path: str | Path) -> Path:
        """Write the record to ``path`` (HDF5)."""
        return write_record(path, KIND, pack(self), format=FORMAT)


def load_characterisation(path: str | Path) -> Characterisation:
    """Read the record at ``path``.

    Raises
    ------
    InputError
        If it is no characterisation, or an incomplete one.
    """
    with reading(path, KIND, format=FORMAT) as tree:
        return unpack(Characterisation, tree)


@dataclass(frozen=True)
class CharacteriseOptions:
    """What is read in ngspice."""

    vectors: int = 18
    """Tile vectors for the fit, over two patterns of different density; rounded up to share evenly."""
    held_out: int = 18
    """Tile vectors for the judgement, over three other patterns; rounded up too."""
    bipolar: bool = False
    """Whether row voltages of both signs will come."""
    margin: float = MARGIN
    """Share of the levels' range by which devices may be beyond its ends and still be read by the law."""

    def __post_init__(self) -> None:
        check_number("surrogate", vectors=self.vectors, whole=True, at_least=len(FITTED))
        check_number("surrogate", held_out=self.held_out, whole=True, at_least=len(HELD_OUT))
        check_number("surrogate", margin=self.margin, at_least=0, at_most=1)


def characterise(
    tile: Tile,
    options: CharacteriseOptions | None = None,
    *,
    seed: int = 0,
    workers: int | None = None,
    memory: float = MEMORY,
    devices: Devices = "auto",
    progress: Progress | None = None,
) -> Characterisation:
    """Sweep single cells and read some vectors of whole tiles in ngspice.

    Parameters
    ----------
    tile
        The tile, with the levels that its devices will be programmed to; its cell's read voltage is
        the full swing.
    options
        What is read.
    seed
        Seed of patterns and vectors.
    workers
        ngspice processes, by default one per core.
    memory
        Memory that each of them may take [byte].
    devices
        How nonlinear devices stand in the decks, see :class:`~.ngspice.engine.Spice`.
    progress
        Called with how much is done, and of how much.

    Returns
    -------
    Characterisation
        What was read, in :class:`CellSweep` and :class:`Vectors`, with the decks.

    Raises
    ------
    InputError
        If the tile has no levels, or lines with terminals of their own.
    EngineError
        If ngspice is missing, or fails.
    """
    options, levels = options or CharacteriseOptions(), tile.levels
    if levels is None:
        raise InputError("a characterisation needs a tile with levels: Tile(..., levels=...)")
    plain(tile, "a characterisation")
    bipolar = options.bipolar
    began = time.perf_counter()
    rng = np.random.default_rng([seed, 0x5EED])
    total = 1 + len(FITTED) + len(HELD_OUT)
    full = tile.cell.v_read
    ends = (-full, full) if bipolar else (-0.2 * full, full)
    spice = Spice(tile, workers=workers, memory=memory, devices=devices)
    sweep, deck = sweep_in_ngspice(
        tile.cell, _between(levels, options.margin), (min(ends), max(ends)), compiled=spice.compiled
    )
    decks = {"cells": deck}
    if progress is not None:
        progress(1, total)
    groups = []
    done = 1
    for families, count in ((FITTED, options.vectors), (HELD_OUT, options.held_out)):
        g = np.stack([pattern(family, tile.shape, levels.g, rng) for family in families])
        many = -(-count // len(families))
        v = np.stack([row_voltages(many, tile.rows, full, rng, bipolar=bipolar) for _ in families])
        i = spice.program(g).read(v, progress=_shifted(progress, done, total))
        groups.append(tuple(map(Vectors, families, g, v, i)))
        for one in groups[-1]:
            decks[f"tile{done}"] = spice.deck(one.g, one.v).text
            done += 1
    found = features()
    meta = {
        "seed": seed,
        "bipolar": bipolar,
        "options": netlist.tolerances(spice.compiled),
        "ngspice": found.version,
        "klu": found.klu,
        "devices": spice.devices,
        "seconds": time.perf_counter() - began,
    }
    return Characterisation(tile, levels.g, sweep, groups[0], groups[1], meta, decks)


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    return None if progress is None else lambda k, _: progress(done + k, total)


def _between(levels: Levels, share: float) -> Array:
    """Return the levels, as many again between them, and a ``share`` of their range beyond both ends where the device
    goes there, since programming has its error.
    """
    low, high = float(levels.g[0]), float(levels.g[-1])
    ends = np.sort(
        levels.device.conductance(np.array(levels.device.model.state_range), levels.v_read)
    )
    margin, least = share * (high - low), (0.1 if share <= MARGIN else 1e-3) * low
    low, high = max(low - margin, float(ends[0]), least), min(high + margin, float(ends[1]))
    return np.linspace(low, high, max(2 * levels.count, 17))
