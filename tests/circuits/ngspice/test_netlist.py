import re
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.ngspice.frozen_device import frozen_law
from memtwin.circuits.ngspice.netlist import alterations, build, dissection, nodes
from memtwin.circuits.surrogate.cell_deck import cell_deck
from memtwin.cli.verbs.arrays.netlist import netlist as verb
from memtwin.data.errors import InputError, MemtwinError
from memtwin.devices.device import Device
from memtwin.devices.models import models

# By hand from the scheme in the module's docstring.
GOLDEN = """\
.title memtwin tile 2x2, resistor
.options reltol=1e-7 vntol=1e-9 abstol=1e-15 gmin=1e-15
.subckt array w0_0 w1_0 b1_0 b1_1
r0_0 w0_0 b0_0 131072.0
r0_1 w0_1 b0_1 65536.0
r1_0 w1_0 b1_0 32768.0
r1_1 w1_1 b1_1 16384.0
rw0_0 w0_0 w0_1 2.5
rw1_0 w1_0 w1_1 2.5
rb0_0 b0_0 b1_0 4.0
rb0_1 b0_1 b1_1 4.0

.ends array
Xa w0_0 w1_0 b1_0 b1_1 array
Vsel sel 0 0
Bdl0 0 w0_0 i=pwl(v(sel),0,0.001,1,0.0)
Rdl0 w0_0 0 100.0
Bdl1 0 w1_0 i=pwl(v(sel),0,0.002,1,0.001)
Rdl1 w1_0 0 100.0
Rsb0 b1_0 0 24.0
Rsb1 b1_1 0 24.0
.end
"""


def test_the_deck_of_two_by_two():
    tile = Tile(2, 2, r_row=2.5, r_col=4.0, r_driver=100.0, r_sense=20.0)
    deck = build(tile, [[2**-17, 2**-16], [2**-15, 2**-14]], [[0.1, 0.2], [0.0, 0.1]])
    assert deck.text == GOLDEN
    assert deck.analysis == "dc vsel 0 1 1"
    assert deck.sense == ("v(b1_0)", "v(b1_1)")
    np.testing.assert_allclose(deck.gains, 1 / 24.0)


def test_a_single_vector_is_an_operating_point_of_plain_sources():
    deck = build(Tile(2, 2), np.full((2, 2), 1e-5), [[0.1, 0.2]])
    assert deck.analysis == "op"
    assert "pwl" not in deck.text
    assert "Idl1 0 w1_0 0.002" in deck.text


def test_open_devices_are_left_out():
    g = np.full((3, 3), 1e-5)
    g[1, 2] = 0.0
    for cell in (Cell.resistor(), Cell.sinh(2.0, 0.2, access=Transistor())):
        text = build(Tile(3, 3, cell=cell), g, np.zeros((1, 3))).text
        assert not re.search(r"^[rbm]1_2 ", text, re.MULTILINE)
        assert len(re.findall(r"^[rb]\d_\d ", text, re.MULTILINE)) == 8


def test_the_state_is_folded_into_constants():
    device = Cell.sinh_state({"b_hrs": 5.0, "b_lrs": 1.0, "g_max": 1e-4}, 0.2).device
    law = frozen_law(device, "v(p,n)")
    assert law.text == "(%r*sinh((v(p,n)*%r)))"
    np.testing.assert_allclose(law.constants(np.array([5e-5])), [[5e-5 / 3.0, 3.0]])
    assert law.factor is None
    assert frozen_law(Cell.sinh(2.0, 0.2).device, "v(p,n)").factor == "sinh((2.0*v(p,n)))"


def pythonic(text):
    """C's ``(condition ? a : b)`` in Python's words."""

    def reach(at, step, ends):
        # Where the group around `at` ends, or a sign of `ends` stands in it.
        depth = 0
        while depth or text[at] not in ends:
            depth += step * ((text[at] == "(") - (text[at] == ")"))
            at += step
        return at

    while "?" in text:
        mark = text.rindex("?")
        start, colon = reach(mark - 1, -1, "("), reach(mark + 1, 1, ":")
        end = reach(colon + 1, 1, ")")
        condition, a, b = text[start + 1 : mark], text[mark + 1 : colon], text[colon + 1 : end]
        text = f"{text[: start + 1]}({a}) if ({condition}) else ({b}){text[end:]}"
    return text


@pytest.mark.parametrize(
    "name",
    [n for n in models if models[n].state_range[1] == 1.0 and models[n].inner_expr is None],
)
def test_a_folded_law_is_the_device_law(name):
    device = Device(name, models[name], {"r_s": 0.0}, area=3.0)
    law = frozen_law(device, "v(p,n)")
    x, v = np.array([0.0, 0.2, 0.9]), 0.17
    scope = {key: getattr(np, key) for key in ("sinh", "cosh", "exp", "tanh", "sqrt", "abs")}
    scope |= {"ln": np.log, "max": max, "min": min, "v": lambda *nodes: v, "p": 0, "n": 0}
    for row, truth in zip(law.constants(x), device.current(v, x), strict=True):
        text = pythonic((law.text % tuple(row.tolist())).replace("v(p,n)", f"({v!r})"))
        assert eval(text, {"__builtins__": {}}, scope) == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("access", [None, Transistor()])
@pytest.mark.parametrize("name", ["jart", "vteam"])
def test_every_inner_node_is_told_where_its_search_begins(name, access):
    levels = Device(name, models[name]).levels(2, 0.2)
    cell = Cell.of(levels, access)
    g = np.array([[levels.g[0], 0.0], [levels.g[1], levels.g[1]]])
    array = build(Tile(2, 2, cell=cell), g, np.zeros((1, 2))).text
    alone = cell_deck(cell, levels.g, np.linspace(-0.1, 0.1, 3), np.array([0.05]))
    for text, held in ((array, "0.0"), (alone, "0.05")):
        # An inner node is where a source of current of its own name begins.
        inner = set(re.findall(r"^b(q\S+) \1 ", text, re.MULTILINE))
        told = re.findall(r"^\.nodeset v\((?:xa\.)?(\S+)\)=(\S+)$", text, re.MULTILINE)
        assert sorted(told) == sorted((node, held) for node in inner)
        assert bool(inner) == (name == "jart")


def test_node_names_give_the_position():
    w, b = nodes(Tile(3, 2))
    assert w == ("v(w0_0)", "v(xa.w0_1)", "v(w1_0)", "v(xa.w1_1)", "v(w2_0)", "v(xa.w2_1)")
    assert b[-2:] == ("v(b2_0)", "v(b2_1)")
    assert b[0] == "v(xa.b0_0)"


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (16, 16), (17, 9)])
def test_the_order_is_a_permutation(shape):
    assert sorted(dissection(*shape).tolist()) == list(range(shape[0] * shape[1]))


def test_alterations_name_the_elements_of_the_deck():
    g = np.full((2, 2), 1e-5)
    for cell in (Cell.resistor(), Cell.sinh(3.0, 0.2), Cell.sinh_state({}, 0.2)):
        tile = Tile(2, 2, cell=cell)
        text = build(tile, g, np.zeros((2, 2)), alterable=True).text
        for command in alterations(tile, [(1, 0)], np.array([2e-5])):
            element = re.match(r"alter ([a-z])\.xa\.(\S+)", command)
            assert element is not None
            assert re.search(rf"^{element[2]} ", text, re.MULTILINE | re.IGNORECASE)


def test_a_large_deck_is_written_quickly(rng):
    tile, g, v = Tile(128, 128), rng.uniform(1e-6, 1e-4, (128, 128)), np.zeros((2, 128))
    build(tile, g, v)
    began = time.process_time()
    build(tile, g, v)
    assert time.process_time() - began < 0.5  # 0.06 s on an idle machine


@pytest.mark.spice
@pytest.mark.skipif(shutil.which("ngspice") is None, reason="no ngspice program")
@pytest.mark.parametrize("vectors", [1, 3])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"cell": Cell.sinh(2.0, 0.2, access=Transistor()), "drive": "both"},
        {"cell": Cell.sinh(2.0, 0.2, access=Selector()), "sense": "both"},
        {"amplifier": Amplifier()},
    ],
)
def test_the_deck_runs_by_itself(tmp_path, rng, kind, vectors):
    tile = Tile(4, 3, **kind)
    g, v = rng.uniform(1e-6, 1e-4, (4, 3)), rng.uniform(0.05, 0.2, (vectors, 4))
    deck = build(tile, g, v)
    (tmp_path / "deck.cir").write_text(deck.standalone())
    ran = subprocess.run(
        ["ngspice", "-n", "-b", "deck.cir"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "error" not in ran.stderr.lower()
    if vectors == 1:
        rows = dict(re.findall(r"^\s*(\S+)\s+(-?[\d.]+e[+-]\d+)\s*$", ran.stdout, re.MULTILINE))
        sensed = [[float(rows[name[2:-1]]) for name in deck.sense]]
    else:
        # A wide table comes in pages of some columns each.
        lines = [line.split()[1:] for line in re.findall(r"^\d+\t(.+)$", ran.stdout, re.MULTILINE)]
        pages = [np.array(lines[k : k + vectors], float) for k in range(0, len(lines), vectors)]
        sensed = np.hstack(pages)
    expected = Nodal(tile).program(g).read(v)
    np.testing.assert_allclose(deck.currents(np.array(sensed)), expected, rtol=1e-5)


def test_the_verb_writes_a_deck_and_says_what_is_in_it(tmp_path, capsys):
    out = tmp_path / "tile.cir"
    (tmp_path / "g.csv").write_text(f"{2**-17},{2**-16}\n{2**-15},{2**-14}\n")
    (tmp_path / "v.csv").write_text("0.1,0.2\n0,0.1\n")
    summary = verb(
        out,
        rows=2,
        cols=2,
        device="resistor",
        r_col=4.0,
        conductances=tmp_path / "g.csv",
        voltages=tmp_path / "v.csv",
        json=True,
    )
    assert summary["vectors"] == 2
    assert "r0_1 w0_1 b0_1 65536.0" in out.read_text()
    assert capsys.readouterr().out.startswith("{")
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        verb(out, rows=2, cols=2, conductances=tmp_path / "nowhere.csv")
    (tmp_path / "g.csv").write_text("1e-5,what\n")
    with pytest.raises(InputError, match="no table of numbers"):
        verb(out, rows=2, cols=2, conductances=tmp_path / "g.csv")
    with pytest.raises(MemtwinError, match="can't write"):
        verb(tmp_path / "g.csv" / "folder.cir", rows=2, cols=2)


def test_a_name_cannot_add_lines_to_a_deck():
    model = replace(models["sinh"], name="evil\n.end\nv1 a 0 1")
    deck = build(
        Tile(2, 2, cell=Cell(Device("d", model), 0.2)), np.full((2, 2), 1e-5), np.zeros((1, 2))
    )
    assert deck.text.count("\n.end\n") == 1
    assert deck.text.splitlines()[0] == ".title memtwin tile 2x2, evil_.end_v1 a 0 1"
