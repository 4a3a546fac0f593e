import numpy as np
import pytest

from memtwin.circuits.array.tile import Tile
from memtwin.data.errors import InputError


@pytest.mark.parametrize("name", ["r_row", "r_col", "r_driver", "r_sense"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e-12, 1e12, "2.5"])
def test_an_absurd_resistance_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=name):
        Tile(4, 4, **{name: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0}, "rows"),
        ({"cols": 2.5}, "cols"),
        ({"rows": 5000}, "rows"),
        ({"drive": "right"}, "drive"),
        ({"sense": "left"}, "sense"),
        ({"wire_spread": -0.1}, "wire_spread"),
        ({"wire_spread": float("nan")}, "wire_spread"),
    ],
)
def test_an_impossible_tile_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        Tile(**{"rows": 4, "cols": 4, **change})


def test_uniform_segments_are_what_was_asked_for():
    wires = Tile(3, 4, r_row=2.0, r_col=4.0, r_driver=100.0, r_sense=16.0).wires()
    assert wires.row.shape == (3, 3)
    assert wires.col.shape == (2, 4)
    np.testing.assert_allclose(wires.row, 0.5)
    np.testing.assert_allclose(wires.col, 0.25)
    np.testing.assert_allclose(wires.left, 0.01)
    np.testing.assert_allclose(wires.bottom, 0.05)
    assert not wires.right.any()
    assert not wires.top.any()


def test_both_ends_are_alike():
    wires = Tile(3, 4, drive="both", sense="both").wires()
    np.testing.assert_array_equal(wires.left, wires.right)
    np.testing.assert_array_equal(wires.bottom, wires.top)


def test_spread_has_its_size_and_comes_from_its_seed():
    tile = Tile(200, 200, r_row=2.5, wire_spread=0.15, wire_seed=3)
    r = 1.0 / tile.wires().row
    assert np.std(r) / np.mean(r) == pytest.approx(0.15, rel=0.02)
    assert np.median(r) == pytest.approx(2.5, rel=0.01)
    np.testing.assert_array_equal(tile.wires().row, tile.wires().row)
    assert not np.array_equal(r, 1.0 / Tile(200, 200, wire_spread=0.15, wire_seed=4).wires().row)
