"""Verify reads in patterns: what they find, and how noisy that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.programming.array import program_array
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.design import design_recipe
from memtwin.circuits.programming.population import Population, Spread
from memtwin.circuits.programming.reads import VerifyReads, pattern_matrix
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device


@given(st.integers(1, 140))
def test_patterns_form_an_s_matrix(rows):
    s = pattern_matrix(rows)
    n = len(s)
    assert s.shape == (n, rows)
    assert n % 4 == 3
    # Any two rows of cells are driven together in a quarter of the patterns.
    assert np.array_equal(s.T @ s, (n + 1) / 4 * (np.eye(rows) + 1.0))


@pytest.fixture(scope="module")
def levels():
    return load_device("nbsto_32um").scaled(1e-3).levels(8, 0.2)


def block(levels, rows, cols, spread=None):
    rng = np.random.default_rng(3)
    population = Population(levels.device, rows * cols, spread=spread or Spread())
    x = rng.choice(levels.x, (rows, cols))
    g = population.conductance(x.ravel(), levels.v_read).reshape(rows, cols)
    return population, x, np.arange(rows * cols).reshape(rows, cols), g


@pytest.mark.parametrize("pattern", ["cell", "hadamard"])
def test_without_noise_reads_are_the_conductances(levels, pattern):
    population, x, place, g = block(levels, 9, 4)
    on = np.arange(36) if pattern == "hadamard" else np.array([1, 2])
    recipe = design_recipe(levels)
    reads = VerifyReads(pattern, average=2)
    seen = reads.read(population, x, place, on, recipe, np.random.default_rng(0))
    np.testing.assert_allclose(seen.g, g.ravel()[on], rtol=1e-12)
    assert seen.conversions == (2 * 9 * 4 if pattern == "hadamard" else 2 * 2)
    assert seen.time == pytest.approx(2 * recipe.read_time * (9 if pattern == "hadamard" else 1))
    driven = 2 * recipe.v_read**2 * recipe.read_time * g.ravel()[on].sum()
    assert seen.energy == pytest.approx(driven)


@pytest.mark.parametrize("on", [[5], [0, 5, 30], list(range(20))])
def test_few_cells_are_read_no_more_noisily_than_the_block(levels, on):
    population, x, place, g = block(levels, 67, 4)
    reads, recipe, rng = (
        VerifyReads("hadamard", 1e-9),
        design_recipe(levels),
        np.random.default_rng(2),
    )
    seen = [reads.read(population, x, place, np.array(on), recipe, rng) for _ in range(600)]
    bound = (reads.deviation(g, 0.0, recipe.v_read) * g).ravel()[on]
    assert np.all(np.std([one.g for one in seen], 0) < 1.15 * bound)
    assert seen[0].conversions <= 67 * len({place % 4 for place in on})


@pytest.mark.parametrize("pattern", ["cell", "hadamard"])
@pytest.mark.parametrize(("noise", "device"), [(2e-10, 0.0), (0.0, 0.05), (2e-10, 0.05)])
def test_the_deviation_is_the_one_foretold(levels, pattern, noise, device):
    population, x, place, g = block(levels, 8, 3, Spread(read=device))
    reads, recipe = VerifyReads(pattern, noise, average=2), design_recipe(levels)
    rng, on = np.random.default_rng(1), np.arange(g.size)
    found = [reads.read(population, x, place, on, recipe, rng).g for _ in range(600)]
    foretold = reads.deviation(g, device, recipe.v_read) * g
    # 600 reads: a deviation of a deviation of 2.9 %, so 5 of them.
    share = np.std(found, 0).reshape(g.shape) / foretold
    assert share.max() < 1.15
    if pattern == "cell" or not device:
        assert share.min() > 0.85
    standard = foretold.ravel() / 600**0.5
    assert np.all(np.abs(np.mean(found, 0) - g.ravel()) < 5.0 * standard)


def test_patterns_make_the_amplifier_quieter_by_the_root_of_a_quarter_of_them(levels):
    _, _, _, g = block(levels, 67, 2)
    cell, pattern = (
        VerifyReads(kind, 1e-9).deviation(g, 0.0, 0.2) for kind in ("cell", "hadamard")
    )
    np.testing.assert_allclose(cell / pattern, 68 / (4 * 67) ** 0.5, rtol=1e-12)


def test_an_array_is_written_through_noise_that_single_reads_drown_in(levels):
    tile = Tile(7, 2, levels=levels)
    recipe = design_recipe(levels)
    target = np.random.default_rng(0).choice(levels.g, (7, 2))
    noise = 0.25 * recipe.tolerance * levels.v_read
    writer = WriteArray(tile, "half", rtol=1e-4)

    def written(pattern):
        rng = np.random.default_rng(1)
        reads = VerifyReads(pattern, noise)
        return program_array(writer, levels.x[0], target, recipe, rng, reads=reads)

    with pytest.raises(InputError, match="drowns in the read noise"):
        written("cell")
    outcome = written("hadamard")
    assert outcome.success == 1.0
    assert np.abs(outcome.error).max() <= recipe.tolerance


def test_rows_are_cut_into_blocks():
    assert VerifyReads().blocks(3) == [range(1), range(1, 2), range(2, 3)]
    assert VerifyReads("hadamard", block=2).blocks(5) == [range(2), range(2, 4), range(4, 5)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pattern": "hadamar"}, "did you mean 'hadamard'"),
        ({"noise": -1.0}, "noise must be"),
        ({"average": 0}, "average must be"),
        ({"block": 1}, "block must be"),
    ],
)
def test_wrong_options_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        VerifyReads(**wrong)
