"""Every engine on every kind of cell and shape, against a dense solve written here."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engine import ProgrammedArray
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.lines.cell_law_fit import law_over
from memtwin.circuits.registry import engine_names, make_engine
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.models import models

CELLS = {
    "resistor": Cell.resistor(),
    "sinh": Cell.sinh(5.0, 0.2),
    "sinh_state": Cell.sinh_state({}, 0.2),
    "series resistance": Cell(Device("d", models["sinh"], {"b": 3.0, "r_s": 500.0}), 0.2),
    "1T1R": Cell.sinh(2.0, 0.2, access=Transistor()),
    "1S1R": Cell.sinh(2.0, 0.2, access=Selector()),
}
SHAPES = ((1, 1), (1, 5), (6, 1), (3, 4), (9, 7))
KINDS = {
    "plain": {},
    "both": {"drive": "both", "sense": "both"},
    "spread": {"wire_spread": 0.2, "wire_seed": 5, "drive": "both"},
    "amplifier": {"amplifier": Amplifier(gain=500.0)},
}
# Exact engines agree to rounding on linear tiles and to their Newton tolerance on others; the closures are
# approximations, whose own tests hold them to much tighter figures inside their trust region.
TOLERANCE = {
    "nodal": (1e-9, 1e-9),
    "spice": (1e-9, 1e-6),
    "line": (1e-6, 1e-4),
    "surrogate": (1e-6, 2e-3),
}


def dense(tile, g, v):
    """Newton's method on the full dense nodal matrix: slow, plain, and sharing nothing but the
    device law.
    """
    m, n = tile.shape
    wires, amplifier = tile.wires(), tile.amplifier
    names = {}

    def node(*name):
        return names.setdefault(name, len(names))

    links = []
    for i, j in itertools.product(range(m), range(n)):
        w, b = node("w", i, j), node("b", i, j)
        if j + 1 < n:
            links.append((w, node("w", i, j + 1), wires.row[i, j]))
        if i + 1 < m:
            links.append((b, node("b", i + 1, j), wires.col[i, j]))
    ends = [("bottom", m - 1)] + ([("top", 0)] if tile.sense == "both" else [])
    grounds, inputs = [], []
    for name, i in ends:
        for j in range(n):
            conductance = getattr(wires, name)[j]
            if amplifier is None:
                grounds.append((node("b", i, j), conductance))
            else:
                inputs.append(node("s", name, j))
                links.append((node("b", i, j), inputs[-1], conductance))
    size = len(names)
    matrix = np.zeros((size, size))
    for p, q, c in links:
        matrix[p, p] += c
        matrix[q, q] += c
        matrix[p, q] -= c
        matrix[q, p] -= c
    for p, c in grounds:
        matrix[p, p] += c
    drive = np.zeros(size)
    for i in range(m):
        matrix[node("w", i, 0), node("w", i, 0)] += wires.left[i]
        matrix[node("w", i, n - 1), node("w", i, n - 1)] += wires.right[i]
        drive[node("w", i, 0)] += wires.left[i] * v[i]
        drive[node("w", i, n - 1)] += wires.right[i] * v[i]
    w = np.array([[node("w", i, j) for j in range(n)] for i in range(m)])
    b = np.array([[node("b", i, j) for j in range(n)] for i in range(m)])
    x, closed = tile.cell.state(g), g > 0
    u = np.zeros(size)
    for _ in range(200):
        i, didv, didb = tile.cell.law(u[w] - u[b], x, closed, u[b])
        residual, jacobian = matrix @ u - drive, matrix.copy()
        residual[w] += i
        residual[b] -= i
        jacobian[w, w] += didv
        jacobian[b, w] -= didv
        jacobian[w, b] += didb - didv
        jacobian[b, b] -= didb - didv
        for s in inputs:
            residual[s] += amplifier.current(u[s])
            jacobian[s, s] += amplifier.slope(u[s])
        change = np.linalg.solve(jacobian, residual)
        # Short steps: a steep selector throws a full step far away.
        u -= change * min(1.0, 0.02 / max(np.abs(change).max(), 1e-300))
        if np.abs(change).max() < 1e-13:
            break
    else:
        raise AssertionError("the reference did not converge")
    if amplifier is not None:
        return amplifier.reading(u[inputs]).reshape(-1, n).sum(axis=0)
    gains = np.array([c for _, c in grounds]).reshape(-1, n)
    at = np.array([p for p, _ in grounds]).reshape(-1, n)
    return (gains * u[at]).sum(axis=0)


@functools.cache
def problem(cell, shape, kind):
    rng = np.random.default_rng([shape[0], shape[1], len(cell), len(kind)])
    tile = Tile(*shape, r_row=3.0, r_col=2.0, cell=CELLS[cell], **KINDS[kind])
    g = np.exp(rng.uniform(np.log(5e-6), np.log(1e-4), (2, *shape)))
    v = rng.uniform(0.0, 0.2, (2, 3, shape[0]))
    truth = np.array([[dense(tile, g[t], v[t, k]) for k in range(3)] for t in range(2)])
    return tile, g, v, truth


def engines():
    spice = pytest.mark.spice
    for name in TOLERANCE:
        yield pytest.param(name, marks=[spice] if name == "spice" else [])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", list(engines()))
def test_matrix(name, cell, shape):
    tile, g, v, truth = problem(cell, shape, "plain")
    i = make_engine(name, tile).program(g).read(v)
    assert i.shape == truth.shape
    bar = TOLERANCE[name][0 if tile.cell.linear else 1]
    if (name, cell) == ("surrogate", "1S1R"):
        bar = 2e-2  # a threshold is no power series
    assert np.abs(i - truth).max() <= bar * np.abs(truth).max()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "plain"])
@pytest.mark.parametrize("cell", ["resistor", "sinh", "1T1R"])
@pytest.mark.parametrize("name", ["nodal", pytest.param("spice", marks=pytest.mark.spice)])
def test_two_sides_spread_and_amplifiers(name, cell, kind):
    tile, g, v, truth = problem(cell, (7, 5), kind)
    array = make_engine(name, tile).program(g)
    bar = TOLERANCE[name][0 if tile.cell.linear and kind != "amplifier" else 1]
    assert np.abs(array.read(v) - truth).max() <= bar * np.abs(truth).max()


@pytest.mark.parametrize("cell", ["resistor", "sinh", "1T1R"])
def test_open_devices(cell):
    tile, g, v, _ = problem(cell, (7, 5), "plain")
    g = g.copy()
    g[:, 2, 3] = g[:, :, 0] = 0.0
    i = Nodal(tile).program(g).read(v)
    truth = np.array([[dense(tile, g[t], v[t, k]) for k in range(3)] for t in range(2)])
    np.testing.assert_allclose(i, truth, atol=1e-9 * np.abs(truth).max())
    assert not i[..., 0].any()


@pytest.mark.parametrize("cell", ["resistor", "sinh"])
def test_without_wires_the_exact_solve_is_the_ideal_one(cell, rng):
    tile = Tile(6, 5, r_row=1e-3, r_col=1e-3, r_driver=1e-3, r_sense=1e-3, cell=CELLS[cell])
    g, v = rng.uniform(1e-6, 1e-4, (6, 5)), rng.uniform(-0.2, 0.2, (4, 6))
    results = [make_engine(name, tile).program(g).read(v) for name in ("ideal", "nodal")]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("cell", ["resistor", "sinh", "sinh_state"])
def test_ideal_tiles_read_by_their_law_as_by_their_devices(cell, rng):
    tile = Tile(6, 5, cell=CELLS[cell])
    g, v = rng.uniform(1e-6, 1e-4, (3, 6, 5)), rng.uniform(-0.2, 0.2, (3, 40, 6))
    law = law_over(tile.cell, g, v, None)
    exact, quick = Ideal(tile), Ideal(tile, law)
    for chosen in (g, 10.0 * g):
        # Ten times the conductance is out of the law's range, and read device by device.
        expected = exact.program(chosen).read(v)
        error = np.abs(quick.program(chosen).read(v) - expected).max() / np.abs(expected).max()
        assert error <= (max(law.residual_max, 1e-6) if chosen is g else 1e-12)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(-3, 3),
)
def test_linear_tiles_superpose_and_conserve_charge(shape, seed, scale):
    rng = np.random.default_rng(seed)
    tile = Tile(*shape, sense="both", drive="both")
    array = Nodal(tile).program(np.exp(rng.uniform(np.log(1e-7), np.log(1e-2), shape)))
    a, b = rng.uniform(-1, 1, (2, shape[0]))
    i = array.read(np.array([a, b, a + scale * b]))
    np.testing.assert_allclose(i[2], i[0] + scale * i[1], rtol=1e-9, atol=1e-12)
    fields = array.fields(a)
    np.testing.assert_allclose(fields.i.sum(axis=-2), fields.sensed, rtol=1e-8, atol=1e-13)
    assert np.all(fields.power >= -1e-18)


def test_fields_show_the_drop_along_the_wires(rng):
    tile = Tile(8, 8, r_row=20.0, r_col=20.0)
    fields = Nodal(tile).program(np.full((8, 8), 1e-4)).fields(np.full((1, 8), 0.2))
    assert fields.drop.shape == (1, 8, 8)
    assert np.all(np.diff(fields.w[0], axis=1) < 0.0)
    assert np.all(np.diff(fields.b[0], axis=0) < 0.0)
    assert fields.worst_drop[0] == pytest.approx(fields.drop[0, 0, -1])
    np.testing.assert_allclose(fields.row[0, :, 0], fields.i[0, :, 1:].sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("name", engine_names())
def test_wrong_shapes_and_numbers_are_refused_with_their_place(name):
    needs(name)
    engine = make_engine(name, Tile(3, 2))
    with pytest.raises(InputError, match=r"\(\.\.\., 3, 2\)"):
        engine.program(np.full((2, 3), 1e-5))
    for bad in (-1e-6, np.nan, np.inf):
        g = np.full((4, 3, 2), 1e-5)
        g[1, 2, 0] = bad
        with pytest.raises(InputError, match=r"\(1, 2, 0\)"):
            engine.program(g)
    array = engine.program(np.full((4, 3, 2), 1e-5))
    for shape in [(3,), (5, 3), (2, 5, 3), (4, 5, 2)]:
        with pytest.raises(InputError, match="shape"):
            array.read(np.zeros(shape))
    v = np.zeros((4, 5, 3))
    v[0, 1, 2] = np.nan
    with pytest.raises(InputError, match=r"\(0, 1, 2\)"):
        array.read(v)
    # One vector per tile, or a batch for one of them?
    with pytest.raises(
        InputError, match=r"\(4, batch, 3\) \(vectors .* single tiles\), got \(4, 3\)"
    ):
        array.read(np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"\(batch, 3\) or \(3,\), got \(2,\)"):
        engine.program(np.full((3, 2), 1e-5)).read(np.zeros(2))
    with pytest.raises(
        InputError, match=r"\(4, 3, 2\), as this array holds, got \(3, 2\): .*program"
    ):
        array.reprogram(np.full((3, 2), 1e-5))


def needs(name):
    if name == "spice":
        pytest.importorskip("PySpice")
        from memtwin.circuits.ngspice.installed import available

        if not available():
            pytest.skip("no ngspice")
    if name == "vacask":
        from memtwin.circuits.osdi.compiler import compiler
        from memtwin.circuits.vacask.engine import vacask

        if vacask() is None or compiler() is None:
            pytest.skip("no VACASK")


@pytest.mark.parametrize("cell", ["resistor", "sinh", "1T1R"])
@pytest.mark.parametrize("name", engine_names())
def test_one_vector_reads_as_a_batch_of_one(name, cell, rng):
    needs(name)
    tile = Tile(4, 3, cell=CELLS[cell])
    array = make_engine(name, tile).program(rng.uniform(1e-5, 1e-4, (4, 3)))
    v, d = 0.2 * rng.random(4), rng.normal(size=3)
    assert array.read(v).shape == (3,)
    np.testing.assert_array_equal(array.read(v), array.read(v[None])[0])
    if hasattr(array, "gradients"):
        (by_g, by_v), (all_g, all_v) = array.gradients(v, d), array.gradients(v[None], d[None])
        np.testing.assert_array_equal(by_g, all_g)
        np.testing.assert_array_equal(by_v, all_v[0])
    if hasattr(array, "fields"):
        one, batch = array.fields(v), array.fields(v[None])
        for part in ("v", "w", "b", "i", "sensed", "row", "col", "drop"):
            np.testing.assert_array_equal(getattr(one, part), getattr(batch, part)[0])
        assert one.worst_drop == batch.worst_drop[0]


@pytest.mark.parametrize("name", engine_names())
def test_arrays_of_one_engine_are_independent_and_stay_as_they_are(name, rng):
    needs(name)
    tile = Tile(6, 4, cell=CELLS["sinh"])
    engine = make_engine(name, tile)
    g, v = rng.uniform(5e-6, 1e-4, (3, 2, 6, 4)), 0.2 * rng.random((2, 5, 6))
    held = g.copy()
    first = engine.program(g[0])
    alone = first.read(v)
    second, other = first.reprogram(g[1]), engine.program(g[2, 0])
    bits = second.read(v), other.read(v[0])
    g[:] = 0.0  # what they hold is theirs
    for array, one, i in ((first, held[0], alone), (second, held[1], bits[0])):
        np.testing.assert_array_equal(array.g, one)
        np.testing.assert_allclose(array.read(v), i, rtol=1e-12)
    np.testing.assert_allclose(other.read(v[0]), bits[1], rtol=1e-12)
    np.testing.assert_allclose(second.read(v), engine.program(held[1]).read(v), rtol=1e-4)
    assert first.tile is second.tile is tile
    assert isinstance(first, ProgrammedArray)
    with pytest.raises(AttributeError):
        first.g = held[2]
    with pytest.raises(ValueError, match="read-only"):
        first.g[0, 0, 0] = 1e-5
    assert repr(first) == f"<{name} array: 2 tiles of 6 × 4>"
    assert repr(other) == f"<{name} array: tile of 6 × 4>"


@pytest.mark.parametrize("stack", [(), (2,), (0,), (2, 0)])
@pytest.mark.parametrize(
    "cell",
    [Cell.resistor(), Cell.sinh(5.0, 0.2), Cell.resistor(access=Selector(width=0.001))],
    ids=["linear", "sinh", "selector"],
)
@pytest.mark.parametrize("name", ["ideal", "surrogate", "line", "nodal"])
def test_an_empty_batch_or_stack_reads_as_empty_currents(name, cell, stack):
    array = make_engine(name, Tile(4, 3, cell=cell)).program(np.full((*stack, 4, 3), 1e-5))
    for batch in (0, 2) if 0 in stack else (0,):
        v = np.zeros((*stack, batch, 4))
        assert array.read(v).shape == (*stack, batch, 3)
        if hasattr(array, "gradients"):
            by_g, by_v = array.gradients(v, np.zeros((*stack, batch, 3)))
            assert by_g.shape == (*stack, 4, 3)
            assert by_v.shape == v.shape


@pytest.mark.spice
def test_an_empty_batch_in_ngspice():
    array = make_engine("spice", Tile(4, 3), workers=1).program(np.full((2, 4, 3), 1e-5))
    assert array.read(np.zeros((2, 0, 4))).shape == (2, 0, 3)


@pytest.mark.parametrize("name", ["ideal", "surrogate", "line", "nodal"])
def test_a_tile_of_open_devices_carries_nothing_and_can_be_programmed_later(name, rng):
    tile = Tile(4, 3, cell=Cell.sinh(5.0, 0.2))
    array = make_engine(name, tile).program(np.zeros((4, 3)))
    v = 0.2 * rng.random((2, 4))
    assert (array.read(v) == 0.0).all()
    g = rng.uniform(1e-5, 1e-4, (4, 3))
    expected = make_engine("nodal", tile).program(g).read(v)
    np.testing.assert_allclose(array.reprogram(g).read(v), expected, rtol=0.1)


def test_an_unknown_engine_is_named_with_the_nearest():
    with pytest.raises(InputError, match="spice"):
        make_engine("spcie", Tile(2, 2))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("ideal", "law"),
        ("nodal", "none"),
        ("line", "sweeps"),
        ("surrogate", "bar"),
        ("spice", "mode"),
    ],
)
def test_options_that_an_engine_does_not_take_are_refused(name, known):
    options = {"anything": 1, "law" if name == "spice" else "workers": None}
    for option, value in options.items():
        with pytest.raises(InputError) as caught:
            make_engine(name, Tile(2, 2), **{option: value})
        said = str(caught.value)
        assert said.startswith(f"the engine '{name}' has no option '{option}' (known: ")
        assert known in said
        assert "\n" not in said


def test_options_reach_their_engine():
    tile = Tile(2, 2)
    assert make_engine("line", tile, tolerance=1e-3).tolerance == 1e-3
    assert make_engine("surrogate", tile, bar=0.1, check=0.5).check == 0.5
    with pytest.raises(InputError, match="tolerance must be between 0 and 1"):
        make_engine("line", tile, tolerance=2.0)


def test_a_read_beyond_the_fitted_voltages_is_warned_of():
    device = Device("measured", models["sinh"], meta={"v_min": -1.0, "v_max": 0.3})
    array = Nodal(Tile(2, 2, cell=Cell(device, 0.2))).program(np.full((2, 2), 1e-5))
    array.read(np.full((1, 2), 0.3))
    with pytest.warns(RuntimeWarning, match=r"measured was fitted from -1 to 0\.3 V.* 0\.4 V"):
        array.read(np.array([[0.1, 0.4]]))
