import numpy as np
import pytest

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.differential import Differential
from memtwin.circuits.engines.faults import Faulty
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.engines.nodal import Nodal
from memtwin.data.errors import InputError
from memtwin.devices.spread.stuck import Stuck, held


def test_faults_have_their_shares(rng):
    faults = Stuck(0.08, high=0.125, opened=0.25).sample((400, 400), rng, low=1e-6, high=1e-4)
    stuck = faults[~np.isnan(faults)]
    assert stuck.size / faults.size == pytest.approx(0.08, rel=0.05)
    assert np.mean(stuck == 0.0) == pytest.approx(0.25, rel=0.1)
    assert np.mean(stuck == 1e-4) == pytest.approx(0.125, rel=0.1)


def test_only_faulty_devices_refuse(rng):
    tile = Tile(5, 4)
    g, v = rng.uniform(1e-6, 1e-4, (5, 4)), rng.uniform(0, 0.2, (3, 5))
    stuck = np.full((5, 4), np.nan)
    stuck[1, 2], stuck[4, 0] = 3e-5, 0.0
    engine = Faulty(Nodal(tile), stuck)
    array = engine.program(g)
    left = g.copy()
    left[1, 2], left[4, 0] = 3e-5, 0.0
    expected = Nodal(tile).program(left).read(v)
    assert engine.name == "nodal"
    assert engine.tile is array.tile is tile
    np.testing.assert_array_equal(array.g, left)
    np.testing.assert_array_equal(array.read(v), expected)
    # And whatever is programmed next.
    again = array.reprogram(2.0 * g)
    assert again.g[1, 2] == 3e-5
    np.testing.assert_array_equal(again.reprogram(g).read(v[0]), array.read(v[:1])[0])


def test_bad_fault_maps_are_refused(rng):
    with pytest.raises(InputError, match="shape"):
        held(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(InputError, match="0 S or more"):
        held(np.full((2, 2), -1e-6), np.zeros((2, 2)))
    with pytest.raises(InputError, match="from 0 to 1"):
        Stuck(1.2)
    with pytest.raises(InputError, match="g_low and g_high"):
        Stuck(0.1).sample((2, 2), rng)


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
