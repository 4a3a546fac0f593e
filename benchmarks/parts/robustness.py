"""The surrogate where its assumptions wear thin: stale residuals, wrong resistances, a circuit that
it does not know. Rows of ``surrogate.py``.
"""

import re
from dataclasses import replace

import numpy as np
from parts.tiles import CELLS, FULL, LEVELS, SEED, errors, law_of, rms, spice
from table import Row, at_most

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.ngspice.netlist import Netlist, build
from memtwin.circuits.surrogate.cell_deck import sweep_in_ngspice
from memtwin.circuits.surrogate.characterise import (
    Characterisation,
    CharacteriseOptions,
    Vectors,
    characterise,
)
from memtwin.circuits.surrogate.engine import Surrogate
from memtwin.circuits.surrogate.fit import RESISTANCES, fit_surrogate
from memtwin.circuits.surrogate.patterns import pattern, vectors
from memtwin.data.types import Array


def ageing(size: int) -> Row:
    """50 rounds in which 1 % of the devices jump by up to 3 levels; the residual stays as it was."""
    rng = np.random.default_rng([SEED, 50])
    worst = 0.0
    for name in ("sinh5", "state", "1T1R"):
        tile = Tile(size, size, cell=CELLS[name])
        families = ("uniform", "mlp")
        g = np.stack([pattern(family, tile.shape, LEVELS, rng) for family in families])
        surrogate = Surrogate(tile, law=law_of(CELLS[name]), renew=1e9, check=0.0).program(g)
        for _ in range(50):
            jump = rng.choice([-3, -2, -1, 1, 2, 3], g.shape) * (LEVELS[1] - LEVELS[0])
            moved = np.clip(g + jump, LEVELS[0], LEVELS[-1])
            g = np.where(rng.random(g.shape) < 0.01, moved, g)
            surrogate = surrogate.reprogram(g)
        v = np.stack([vectors(8, size, FULL, rng) for _ in families])
        currents, _ = spice([build(tile, a, b) for a, b in zip(g, v, strict=True)])
        read = surrogate.read(v)
        worst = max(worst, *(errors(r, c)[0] for r, c in zip(read, currents, strict=True)))
    return at_most(f"LC, {size}, after 50 rounds of 1 % changes: NRMSE", worst, "%", 0.1)


def recovery(size: int) -> Row:
    """Resistances from 18 vectors, started 2x wrong."""
    tile = Tile(size, size, r_row=2.5, r_col=2.5, cell=CELLS["state"])
    record = characterise(
        replace(tile, levels=tile.cell.levels(LEVELS)), CharacteriseOptions(18, 3), seed=SEED
    )
    start = replace(tile, r_row=5.0, r_col=1.25, r_driver=200.0, r_sense=10.0)
    fitted = fit_surrogate(record, start=start, multipliers=False)
    off = [getattr(fitted.tile, name) / getattr(tile, name) - 1.0 for name in RESISTANCES]
    return at_most(
        "resistances from 18 vectors, 2× wrong start", 100 * float(np.abs(off).max()), "%", 0.1
    )


def foreign(tile: Tile, g: Array, v: Array, rng: np.random.Generator) -> Netlist:
    """Return a deck with transistors in the drivers and spread in the devices' curvature."""
    deck = build(tile, g, v)

    def bend(match: re.Match[str]) -> str:
        factor = 1.0 + rng.uniform(-0.1, 0.1)
        return f"i=({float(match[1]) / factor!r}*sinh(({float(match[2]) * factor!r}*"

    text = re.sub(r"i=\(([-\d.e]+)\*sinh\(\(([\d.]+)\*", bend, deck.text)
    text = re.sub(
        r"Bdl(\d+) 0 (\w+) i=(pwl\(.*\))\nRdl\d+ \w+ 0 (\S+)",
        r"bdl\1 vd\1 0 v=\4*\3\nmdl\1 vd\1 gdrive \2 0 drive w=1u l=1u",
        text,
    )
    assert "mdl0" in text
    assert "sinh((5.0*" not in text
    model = (
        "vgdrive gdrive 0 3\n.model drive nmos level=1 vto=0.5 kp=4.2e-3 lambda=0.02 gamma=0"
        " phi=0.6 is=1e-30\n"
    )
    return replace(deck, text=_before_end(text, model))


def _before_end(text: str, lines: str) -> str:
    head, end = text.rsplit(".end\n", 1)
    return f"{head}{lines}.end\n{end}"


def mismatch(sizes: list[int]) -> list[Row]:
    """A circuit that the model does not know; four resistances are fitted to 18 of its vectors."""
    stated, fits, gains = [], [], []
    for size in sizes:
        rng = np.random.default_rng([SEED, 4, size])
        cell = CELLS["sinh5"]
        tile = Tile(size, size, cell=cell, amplifier=Amplifier(1e3, 200.0, 1.2), wire_spread=0.15)
        plain = replace(tile, amplifier=None, wire_spread=0.0)
        devices = int(rng.integers(1 << 30))

        def read(
            family: str,
            count: int,
            tile: Tile = tile,
            devices: int = devices,
            rng: np.random.Generator = rng,
        ) -> Vectors:
            g = pattern(family, tile.shape, LEVELS, rng)
            v = vectors(count, tile.rows, FULL, rng)
            # The same devices have the same curvature in every pattern.
            deck = foreign(tile, g, v, np.random.default_rng(devices))
            (i,), _ = spice([deck])
            return Vectors(family, g, v, i)

        sweep, _ = sweep_in_ngspice(cell, LEVELS, (-0.2 * FULL, FULL))
        record = Characterisation(
            plain, LEVELS, sweep, (read("uniform", 9), read("sparse", 9)), (), {}
        )
        fitted = fit_surrogate(record)
        for family in ("uniform", "mlp", "half", "on"):
            one = read(family, 8)
            pair = []
            for engine in (Surrogate(plain, law=fitted.law), fitted.engine()):
                pair.append(errors(engine.program(one.g).read(one.v), one.i)[0])
            stated.append(pair[0])
            fits.append(pair[1])
            gains.append(pair[0] / pair[1])
    note = f"stated resistances: {max(stated):.2f} %; rms {rms(stated) / rms(fits):.1f}× better"
    return [at_most("unknown circuit after the fit, worst NRMSE", max(fits), "%", 0.45, note)]
