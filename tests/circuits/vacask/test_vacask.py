"""VACASK against the exact solve of all nodes, and what happens when it fails."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.osdi.compiler import compiler
from memtwin.circuits.vacask.engine import Vacask, vacask
from memtwin.data.errors import EngineError, EngineMissing, NonConvergence

needs_vacask = pytest.mark.skipif(vacask() is None or compiler() is None, reason="no VACASK")

TILES = {
    "linear": Tile(6, 5),
    "sinh": Tile(6, 5, cell=Cell.sinh(5.0, 0.2), drive="both", sense="both", wire_spread=0.2),
    "1T1R": Tile(6, 5, cell=Cell.sinh(2.0, 0.2, access=Transistor())),
    "1S1R": Tile(6, 5, cell=Cell.sinh(2.0, 0.2, access=Selector(width=0.05))),
    "amplifier": Tile(6, 5, cell=Cell.sinh(4.0, 0.2), amplifier=Amplifier(2e3, 300.0, 0.5)),
}


@needs_vacask
@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
def test_it_reads_what_the_exact_solve_reads(tile: Tile) -> None:
    rng = np.random.default_rng(0)
    g = rng.uniform(5e-6, 1e-4, (2, 6, 5))
    g[0, 2, 3] = 0.0
    v = rng.uniform(0.0 if tile.cell.access else -0.2, 0.2, (2, 4, 6))
    done: list[tuple[int, int]] = []
    found = Vacask(tile, workers=2).program(g).read(v, lambda k, n: done.append((k, n)))
    truth = Nodal(tile).program(g).read(v)
    assert np.abs(found - truth).max() < 1e-9 * np.abs(truth).max()
    assert done[-1] == (2, 2)


@needs_vacask
@pytest.mark.parametrize("wrong", ["exits", "hangs", "says nothing"])
def test_a_program_that_fails_is_an_error_with_its_place(wrong: str, tmp_path: Path) -> None:
    script = {"exits": "echo no memory; exit 3", "hangs": "exec sleep 60", "says nothing": "exit 0"}
    program = tmp_path / "vacask"
    program.write_text(f"#!/bin/sh\n{script[wrong]}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    engine = Vacask(Tile(2, 2), timeout=1.0)
    engine.executable = os.fspath(program)
    kind = NonConvergence if wrong == "says nothing" else EngineError
    with pytest.raises(kind, match="tile 0 of the stack, vectors from 0: VACASK"):
        engine.program(np.full((2, 2), 1e-5)).read(np.full(2, 0.1))


def test_without_it_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memtwin.circuits.vacask.engine.vacask", lambda: None)
    with pytest.raises(EngineMissing, match="memtwin\\[osdi\\]"):
        Vacask(Tile(2, 2))
