"""Ladders, transfer matrices and the closure against dense and sparse solves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.terminals import Terminals
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.lines.dissection import CELLS, dissected, divisible
from memtwin.circuits.lines.ladder import Lines, column_solve, line_profiles, row_solve
from memtwin.circuits.lines.transfer import column_after_column, transfer
from memtwin.circuits.surrogate.closure import operate
from memtwin.circuits.surrogate.residual import SMALL, residual

TILES = [
    Tile(7, 9),
    Tile(9, 7, drive="both"),
    Tile(6, 6, sense="both", r_sense=300.0),
    Tile(8, 5, r_row=10.0, r_col=0.5, drive="both", sense="both", wire_spread=0.15),
    Tile(1, 4),
    Tile(4, 1),
    Tile(1, 1),
]


def lines_of(tile: Tile, dtype: str = "float64") -> Lines:
    return Lines.of(tile, lambda a: np.asarray(a, dtype), np)


def word_line(tile: Tile, g: np.ndarray, i: int) -> np.ndarray:
    wires = tile.wires()
    matrix = np.diag(g[i])
    for j in range(tile.cols - 1):
        matrix[j : j + 2, j : j + 2] += wires.row[i, j] * np.array([[1, -1], [-1, 1]])
    matrix[0, 0] += wires.left[i]
    matrix[-1, -1] += wires.right[i]
    return matrix


def bit_line(tile: Tile, g: np.ndarray, j: int) -> np.ndarray:
    wires = tile.wires()
    matrix = np.diag(g[:, j])
    for i in range(tile.rows - 1):
        matrix[i : i + 2, i : i + 2] += wires.col[i, j] * np.array([[1, -1], [-1, 1]])
    matrix[0, 0] += wires.top[j]
    matrix[-1, -1] += wires.bottom[j]
    return matrix


@pytest.mark.parametrize("tile", TILES)
def test_lines_are_solved_as_a_dense_solver_does(tile: Tile, rng: np.random.Generator) -> None:
    g = rng.uniform(1e-6, 1e-3, (2, *tile.shape))
    f = rng.normal(size=g.shape)
    lines = lines_of(tile)
    rows, cols = line_profiles(lines, g)
    w, b = row_solve(lines, rows, f), column_solve(lines, cols, f)
    for i in range(tile.rows):
        expected = np.linalg.solve(word_line(tile, g[1], i), f[1, i])
        np.testing.assert_allclose(w[1, i], expected, rtol=1e-11)
    for j in range(tile.cols):
        expected = np.linalg.solve(bit_line(tile, g[1], j), f[1, :, j])
        np.testing.assert_allclose(b[1, :, j], expected, rtol=1e-9)


def test_float32_keeps_small_devices_beside_thick_wires(rng: np.random.Generator) -> None:
    # A pivot of 0.4 S would swallow four of the seven digits of a device of 1 uS.
    tile = Tile(64, 64, r_row=1.0, r_col=1.0)
    g, f = rng.uniform(1e-7, 1e-6, (1, 64, 64)), rng.random((1, 64, 64))
    solved = []
    for dtype in ("float32", "float64"):
        lines = lines_of(tile, dtype)
        _, cols = line_profiles(lines, g.astype(dtype))
        solved.append(column_solve(lines, cols, f.astype(dtype)))
    np.testing.assert_allclose(solved[0], solved[1], rtol=5e-6)


@pytest.mark.parametrize("tile", TILES)
def test_transfer_equals_the_nodal_solve(tile: Tile, rng: np.random.Generator) -> None:
    g = rng.uniform(1e-6, 1e-3, (3, *tile.shape))
    g[0, 0, 0] = 0.0
    nodal = Nodal(tile).program(g)
    unit = np.broadcast_to(np.eye(tile.rows), (3, tile.rows, tile.rows))
    np.testing.assert_allclose(transfer(tile, g), nodal.read(unit), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize(
    "tile",
    [
        Tile(8, 12),
        Tile(20, 16, r_row=10.0, r_col=0.5, drive="both", sense="both", wire_spread=0.15),
        Tile(1, 4),
        Tile(64, 96, r_sense=300.0, sense="both"),
        Tile(64, 96, drive="both"),
        Tile(48, 112),
        Tile(8, 5),
    ],
)
def test_dissection_equals_column_after_column(tile: Tile, rng: np.random.Generator) -> None:
    assert divisible(tile.shape)
    assert not divisible((tile.rows, 11))
    g = rng.uniform(1e-6, 1e-3, (2, *tile.shape))
    g[0] *= rng.random(tile.shape) < 0.9
    g[1, :, 0] = 0.0
    assert np.abs(dissected(tile, g) - column_after_column(tile, g)).max() < 1e-11 * g.max()


def test_parts_of_a_tile_with_ends_at_ground_equal_the_nodal_solve(
    rng: np.random.Generator,
) -> None:
    tile = Tile(96, 96, terminals=Terminals(end_rows=50.0, end_cols=80.0), wire_spread=0.15)
    g = rng.uniform(1e-6, 1e-3, (1, *tile.shape))
    assert g.size > CELLS
    found = Nodal(tile).program(g).read(np.eye(96)[None])
    np.testing.assert_allclose(dissected(tile, g), found, rtol=1e-9, atol=1e-18)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(2, 12),
    cols=st.integers(2, 12),
    r_row=st.floats(0.01, 50.0),
    r_col=st.floats(0.01, 50.0),
    r_driver=st.floats(0.1, 1e3),
    r_sense=st.floats(0.1, 1e3),
    seed=st.integers(0, 1 << 30),
)
def test_closure_is_near_the_exact_matrix_and_passive(
    rows: int, cols: int, r_row: float, r_col: float, r_driver: float, r_sense: float, seed: int
) -> None:
    tile = Tile(rows, cols, r_row, r_col, r_driver, r_sense)
    g = np.random.default_rng(seed).uniform(1e-6, 1e-4, (1, rows, cols))
    point = operate(lines_of(tile), g)
    exact = transfer(tile, g)
    assert np.abs(point.t - exact).max() < 0.03 * exact.max()
    # Wires only take current away, and the shares are shares.
    assert (exact >= 0.0).all()
    assert (exact.sum(-2) <= g.sum(-2) * (1 + 1e-12)).all()
    assert ((point.q > 0.0) & (point.q <= 1.0 + 1e-12)).all()
    assert ((point.p > 0.0) & (point.p <= 1.0 + 1e-12)).all()


def test_no_wires_is_the_conductance_matrix(rng: np.random.Generator) -> None:
    tile = Tile(16, 12, r_row=1e-3, r_col=1e-3, r_driver=1e-3, r_sense=1e-3)
    g = rng.uniform(1e-6, 1e-4, tile.shape)
    np.testing.assert_allclose(transfer(tile, g), g, rtol=1e-4)


@pytest.mark.parametrize(
    "tile",
    [
        Tile(64, 64),
        Tile(24, 10, r_row=5.0, r_col=5.0, drive="both", sense="both"),
        Tile(9, 31, r_row=10.0, wire_spread=0.3),
    ],
)
def test_one_sweep_from_the_closure_finds_what_an_elimination_does(
    tile: Tile, rng: np.random.Generator
) -> None:
    g = rng.uniform(1e-6, 2e-5, (2, *tile.shape))
    lines = lines_of(tile)
    point = operate(lines, g)
    exact = transfer(tile, g)
    found, shares = residual(lines, g, point)
    assert max(shares) < SMALL
    assert np.abs(point.t + found - exact).max() < 1e-5 * exact.max()
    # It is worth it: the closure alone is far from that.
    assert np.abs(point.t - exact).max() > 20 * np.abs(point.t + found - exact).max()
