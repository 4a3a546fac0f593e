import numpy as np
import pytest

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.differential import Differential
from memtwin.circuits.engines.faults import Faults, Faulty
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.engines.nodal import Nodal
from memtwin.data.errors import InputError


def test_faults_have_their_shares(rng):
    faults = Faults.draw((400, 400), rng, opened=0.02, low=0.05, high=0.01, g_low=1e-6, g_high=1e-4)
    stuck = faults.g[faults.where]
    assert np.mean(faults.where) == pytest.approx(0.08, rel=0.05)
    assert np.mean(stuck == 0.0) == pytest.approx(0.25, rel=0.1)
    assert np.mean(stuck == 1e-4) == pytest.approx(0.125, rel=0.1)


def test_only_faulty_devices_refuse(rng):
    tile = Tile(5, 4)
    g, v = rng.uniform(1e-6, 1e-4, (5, 4)), rng.uniform(0, 0.2, (3, 5))
    where = np.zeros((5, 4), bool)
    where[1, 2] = where[4, 0] = True
    faults = Faults(where, np.where(where, 3e-5, np.nan) * np.array([0, 1, 1, 1]))
    engine = Faulty(Nodal(tile), faults)
    array = engine.program(g)
    held = g.copy()
    held[1, 2], held[4, 0] = 3e-5, 0.0
    expected = Nodal(tile).program(held).read(v)
    assert engine.name == "nodal"
    assert engine.tile is array.tile is tile
    np.testing.assert_array_equal(array.g, held)
    np.testing.assert_array_equal(array.read(v), expected)
    # And whatever is programmed next.
    again = array.reprogram(2.0 * g)
    assert again.g[1, 2] == 3e-5
    np.testing.assert_array_equal(again.reprogram(g).read(v[0]), array.read(v[:1])[0])
    assert faults.apply(g)[0, 0] == g[0, 0]


def test_bad_fault_maps_are_refused(rng):
    where = np.ones((2, 2), bool)
    with pytest.raises(InputError, match="shape"):
        Faults(where, np.zeros((2, 3)))
    with pytest.raises(InputError, match="stuck"):
        Faults(where, np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="shares"):
        Faults.draw((2, 2), rng, opened=0.9, low=0.2)
    with pytest.raises(InputError, match="shape"):
        Faults(where, np.zeros((2, 2))).apply(np.zeros((3, 2)))


@pytest.mark.parametrize("layout", ["columns", "tiles"])
@pytest.mark.parametrize("stack", [(), (2,)])
def test_pairs_subtract_in_both_layouts(layout, stack, rng):
    plus, minus = rng.uniform(1e-6, 1e-4, (2, *stack, 5, 3))
    v = rng.uniform(0, 0.2, (*stack, 4, 5))
    engine = Differential(Ideal(Tile(5, 6 if layout == "columns" else 3)), layout)
    pairs = engine.program(plus, minus)
    np.testing.assert_allclose(pairs.read(v), v @ (plus - minus), atol=1e-18)
    np.testing.assert_allclose(pairs.reprogram(minus, plus).read(v), -pairs.read(v), atol=1e-18)
    if not stack:
        np.testing.assert_allclose(pairs.read(v[0]), v[0] @ (plus - minus), atol=1e-18)


def test_pairs_need_even_columns_and_equal_shapes():
    with pytest.raises(InputError, match="pairs"):
        Differential(Ideal(Tile(5, 5)))
    with pytest.raises(InputError, match="layout"):
        Differential(Ideal(Tile(5, 4)), "rows")
    with pytest.raises(InputError, match="equal shape"):
        Differential(Ideal(Tile(5, 4))).program(np.zeros((5, 2)), np.zeros((5, 3)))
