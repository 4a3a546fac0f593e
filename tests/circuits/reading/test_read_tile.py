"""A tile at hand: engines agree wherever lines differ, float or are held, and energy is conserved."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.terminals import Terminals
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.reading.files import read_table, write_read
from memtwin.circuits.reading.picture import draw_read
from memtwin.circuits.reading.read import read_tile
from memtwin.circuits.registry import make_engine
from memtwin.data.errors import InputError

V = 0.2
CELLS = {
    "resistor": Cell.resistor(V),
    "sinh": Cell.sinh(5.0, V),
    "1T1R": Cell.sinh(2.0, V, access=Transistor()),
    "1S1R": Cell.sinh(2.0, V, access=Selector()),
}
TERMINALS = {
    "plain": None,
    "per line": Terminals(
        r_row=(2.0, 9.0, 30.0, 2.0, 5.0),
        r_col=(1.0, 4.0, 2.0, 50.0),
        r_driver=(100.0, 5.0, 1e3, 80.0, 90.0),
        r_sense=(20.0, 1.0, 5e3, 20.0),
    ),
    "far ends": Terminals(end_rows=(50.0, np.inf, 1e4, 2e3, 200.0), end_cols=300.0),
    "sneak": Terminals(open_rows=(1, 2, 4), open_cols=(0, 1, 3)),
    "all columns open but the far end of none": Terminals(open_rows=(0,), open_cols=(0, 1, 2, 3)),
}


def conductances(shape=(5, 4), seed=0):
    return np.random.default_rng(seed).uniform(2e-6, 2e-4, shape)


READS = [
    *(("resistor", name, way) for name in TERMINALS for way in ("rows", "cols")),
    ("sinh", "per line", "cols"),
    ("sinh", "sneak", "rows"),
    ("1T1R", "far ends", "cols"),
    ("1T1R", "sneak", "rows"),
    ("1S1R", "far ends", "rows"),
]


@pytest.mark.spice
@pytest.mark.parametrize(("cell", "terminals", "inputs"), READS)
def test_engines_agree_with_ngspice(cell, terminals, inputs):
    tile = Tile(5, 4, cell=CELLS[cell], terminals=TERMINALS[terminals])
    g = conductances()
    count, other = (5, 4) if inputs == "rows" else (4, 5)
    rng = np.random.default_rng(1)
    v, held = rng.uniform(0.0, V, (3, count)), rng.uniform(0.0, 0.5 * V, other)
    reads = {
        name: read_tile(tile, g, v, inputs=inputs, held=held, engine=name)
        for name in ("spice", "nodal", "line")
    }
    truth = reads["spice"]
    full = np.abs(truth.fields.i).max()
    for name in ("nodal", "line"):
        found = reads[name]
        # Currents at the ends are differences of potentials: ngspice keeps those to its vntol.
        np.testing.assert_allclose(found.i, truth.i, atol=3e-6 * full * count)
        np.testing.assert_allclose(found.i_inputs, truth.i_inputs, atol=3e-6 * full * count)
        np.testing.assert_allclose(found.fields.w, truth.fields.w, atol=1e-6 * V)
        np.testing.assert_allclose(found.fields.b, truth.fields.b, atol=1e-6 * V)
        np.testing.assert_allclose(found.power, truth.power, rtol=1e-5, atol=1e-6 * full * V)
        np.testing.assert_allclose(found.worst_drop, truth.worst_drop, rtol=1e-5, atol=1e-6 * V)


def test_sneak_path_of_four_devices_is_three_in_series():
    tile = Tile(
        2,
        2,
        r_row=1e-3,
        r_col=1e-3,
        r_driver=1e-3,
        r_sense=1e-3,
        terminals=Terminals(open_rows=(1,), open_cols=(1,)),
    )
    g = np.array([[2e-6, 5e-5], [8e-5, 1e-5]])
    sneak = 1.0 / (1.0 / g[0, 1] + 1.0 / g[1, 1] + 1.0 / g[1, 0])
    for engine in ("nodal", "line"):
        found = read_tile(tile, g, [V, 0.0], engine=engine)
        assert found.i[0, 0] == pytest.approx(V * (g[0, 0] + sneak), rel=1e-6)
        assert found.i[0, 1] == 0.0


def test_half_select_leaves_half_the_voltage_at_the_others():
    g = conductances()
    v, held = np.full(5, V / 2), np.full(4, V / 2)
    v[2], held[1] = V, 0.0
    found = read_tile(Tile(5, 4, 1e-3, 1e-3, 1e-3, 1e-3), g, v, held=held)
    expected = np.zeros((5, 4))
    expected[2], expected[:, 1], expected[2, 1] = V / 2, V / 2, V
    np.testing.assert_allclose(found.fields.applied[0], expected, atol=1e-15)
    np.testing.assert_allclose(found.fields.w - found.fields.b, expected[None], atol=1e-5 * V)
    ideal = (v @ g) - held * g.sum(axis=0)
    np.testing.assert_allclose(found.i[0], ideal, rtol=1e-3)


kinds = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 5),
        "cols": st.integers(1, 5),
        "drive": st.sampled_from(["left", "both"]),
        "sense": st.sampled_from(["bottom", "both"]),
        "seed": st.integers(0, 99),
    }
)


@settings(max_examples=30, deadline=None)
@given(kind=kinds, data=st.data())
def test_reads_are_reciprocal_and_conserve_charge_and_energy(kind, data):
    m, n = kind["rows"], kind["cols"]
    rng = np.random.default_rng(kind["seed"])
    some = (
        st.sets(st.integers(0, m - 1), max_size=m - 1),
        st.sets(st.integers(0, n - 1), max_size=n - 1),
    )
    terminals = Terminals(
        r_row=tuple(rng.uniform(1.0, 100.0, m)),
        r_sense=tuple(rng.uniform(1.0, 100.0, n)),
        open_rows=tuple(data.draw(some[0])),
        open_cols=tuple(data.draw(some[1])),
    )
    tile = Tile(m, n, drive=kind["drive"], sense=kind["sense"], terminals=terminals)
    g = rng.uniform(1e-6, 1e-3, (m, n))
    there = read_tile(tile, g, np.eye(m))
    back = read_tile(tile, g, np.eye(n), inputs="cols")
    np.testing.assert_allclose(there.i, back.i.T, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(
        there.i.sum(axis=1), there.i_inputs.sum(axis=1), rtol=1e-6, atol=1e-13
    )
    assert (there.power >= there.cell_power * (1.0 - 1e-6) - 1e-15).all()
    line = read_tile(tile, g, np.eye(m), engine="line")
    np.testing.assert_allclose(line.i, there.i, rtol=1e-6, atol=1e-6 * np.abs(there.i).max())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engine": "ideal", "terminals": TERMINALS["sneak"]}, "the engine ideal takes all lines"),
        (
            {"engine": "surrogate", "terminals": TERMINALS["sneak"]},
            "the engine surrogate takes all",
        ),
        ({"engine": "ideal", "inputs": "cols", "v": np.ones(4)}, "at 0 V: read inputs at columns"),
        ({"engine": "ideal", "held": np.ones(4)}, "at 0 V: read inputs at columns and held"),
        ({"v": np.ones(3)}, r"shape \(batch, 5\), one per row, got"),
        ({"held": np.ones(3)}, "one potential per bit line"),
        ({"inputs": "columns"}, "there is no lines called 'columns'"),
        ({"g": np.ones((2, 5, 4))}, "of one tile"),
        ({"held": np.full(4, 0.1), "amplifier": Amplifier()}, "amplifiers hold their bit lines"),
        ({"v": np.full(5, np.nan)}, "voltage at"),
    ],
)
def test_a_read_that_cannot_be_is_one_sentence(change, words):
    layout = {key: change.pop(key) for key in ("terminals", "amplifier") if key in change}
    tile = Tile(5, 4, **layout)
    with pytest.raises(InputError, match=words):
        read_tile(**{"tile": tile, "g": conductances(), "v": np.ones(5), **change})


@pytest.mark.parametrize(
    ("terminals", "words"),
    [
        ({"r_row": (1.0, 2.0)}, "r_row has 2 numbers for 5 word lines"),
        ({"open_cols": (4,)}, "there is no bit line 4 in open_cols"),
        ({"open_rows": (-1,)}, "numbers of lines, counted from 0"),
        ({"r_sense": 0.0}, "r_sense must be from 0.001 to 1e"),
        ({"r_driver": (1.0, 1.0, 1.0, 1.0, np.inf)}, "r_driver must be from"),
    ],
)
def test_terminals_are_checked(terminals, words):
    with pytest.raises(InputError, match=words):
        Tile(5, 4, terminals=Terminals(**terminals))


def test_a_line_adrift_is_refused_by_every_engine():
    tile = Tile(3, 3, terminals=Terminals(open_rows=(1,), open_cols=(2,)))
    g = np.full((3, 3), 1e-5)
    g[1, :2] = g[0, 2] = g[2, 2] = 0.0
    for engine in ("nodal", "line", "spice"):
        with pytest.raises(InputError, match="word line 1 is open and no conducting device"):
            read_tile(tile, g, np.ones(3), engine=engine)


def test_files_hold_what_was_read(tmp_path):
    np.save(tmp_path / "g.npy", conductances())
    np.savetxt(tmp_path / "v.csv", np.full((2, 5), 0.1), delimiter=",")
    found = read_tile(
        Tile(5, 4, terminals=TERMINALS["sneak"]),
        read_table(tmp_path / "g.npy"),
        read_table(tmp_path / "v.csv"),
    )
    np.testing.assert_allclose(
        read_table(write_read(tmp_path / "i.csv", found)), found.i, rtol=1e-8
    )
    np.testing.assert_array_equal(read_table(write_read(tmp_path / "i.npy", found)), found.i)
    with np.load(write_read(tmp_path / "all.npz", found)) as kept:
        np.testing.assert_array_equal(kept["drop"], found.fields.drop)
    tree = json.loads(write_read(tmp_path / "all.json", found).read_text())
    assert tree["drop"][0][1][0] is None  # an open line
    assert tree["power"] == found.power.tolist()
    draw_read(found, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000
    with pytest.raises(InputError, match=r"ends in \.csv"):
        write_read(tmp_path / "i.xls", found)
    (tmp_path / "bad.csv").write_text("1,2\n3,x\n")
    with pytest.raises(InputError, match=r"bad\.csv is no table of numbers"):
        read_table(tmp_path / "bad.csv")


def test_plain_tiles_read_as_engines_do():
    tile, g, v = Tile(5, 4), conductances(), np.full((2, 5), 0.1)
    for engine in ("ideal", "surrogate", "nodal"):
        found = read_tile(tile, g, v, engine=engine)
        np.testing.assert_allclose(
            found.i, make_engine(engine, tile).program(g).read(v), rtol=1e-12
        )
    assert found.power is not None
    assert read_tile(tile, g, v, engine="ideal").power is None
