"""Decks of subcircuits: run in ngspice against the exact solve; in other dialects, what their manuals ask for."""

import re

import numpy as np
import pytest

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.exports.deck import DIALECTS, hierarchical
from memtwin.circuits.ngspice.installed import available
from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import call
from memtwin.data.errors import InputError

TILES = {
    "linear": Tile(4, 3),
    "sinh": Tile(4, 3, cell=Cell.sinh(5.0, 0.2), drive="both", sense="both", wire_spread=0.2),
    "1T1R": Tile(4, 3, cell=Cell.sinh(2.0, 0.2, access=Transistor())),
    "1S1R": Tile(4, 3, cell=Cell.sinh(2.0, 0.2, access=Selector(width=0.05))),
    "amplifier": Tile(4, 3, cell=Cell.sinh(4.0, 0.2), amplifier=Amplifier(2e3, 300.0, 0.5)),
}
RNG = np.random.default_rng(0)
G = RNG.uniform(5e-6, 1e-4, (4, 3))
G[1, 1] = 0.0
V = 0.2 * RNG.random(4)


@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
def test_ngspice_reads_what_the_exact_solve_reads(tile: Tile) -> None:
    if not available():
        pytest.skip("no ngspice")
    text = hierarchical(tile, G, V)
    gains = re.findall(r"\* sensed current = (v\(\w+\)) \* (\S+) S", text)
    step = Step("op", tuple(name for name, _ in gains))
    values = call(Job(text.replace(".op\n", ""), (step,))).values[0][0]
    i = values * [float(gain) for _, gain in gains]
    found = np.reshape(i, (-1, tile.cols)).sum(axis=0)
    truth = Nodal(tile).program(G).read(V)
    assert np.abs(found - truth).max() < 1e-6 * np.abs(truth).max()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", [kind for kind in TILES if kind != "amplifier"])
def test_every_dialect_has_the_whole_tile(dialect: str, kind: str) -> None:
    tile = TILES[kind]
    text = hierarchical(tile, G, V, dialect)
    crossings = re.findall(r"^(?:Xc|c)(\d+)_(\d+) ", text, re.MULTILINE)
    assert len(crossings) == np.count_nonzero(G)
    wires = re.findall(r"^[Rr][wb]\d+_\d+ ", text, re.MULTILINE)
    assert len(wires) == 4 * 2 + 3 * 3
    assert ("not run" in text) == (dialect != "ngspice")
    for line in text.splitlines():
        if dialect == "xyce" and line.startswith("B"):
            assert re.search(r"[IV]=\{.*\}$", line), line


def test_what_is_no_dialect_or_more_than_one_vector_is_refused() -> None:
    with pytest.raises(InputError, match="unknown dialect 'hspicey'"):
        hierarchical(TILES["linear"], G, V, "hspicey")
    with pytest.raises(InputError, match="one vector, got 2"):
        hierarchical(TILES["linear"], G, np.stack([V, V]))
    with pytest.raises(InputError, match="no amplifiers"):
        hierarchical(TILES["amplifier"], G, V, "spectre")
