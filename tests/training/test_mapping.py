"""Matrices on tiles: where devices sit, what they compute, their effects, calibration."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal, IdealArray
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.registry import make_engine
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.quantise import Uniform, pair
from memtwin.training.rules.rule import Writes
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.devices import Devices
from memtwin.training.twin.matrix import MappedMatrix
from memtwin.training.twin.placement import Placement
from memtwin.training.twin.twin import MemristorTwin

EXACT = Effects(programming=0.0, read=0.0)
LEVELS = np.linspace(5e-6, 50e-6, 8)


def with_levels(tile):
    return replace(tile, levels=tile.cell.levels(LEVELS))


def matrix_of(codes, rng, *, tile=None, effects=EXACT, **options):
    tile = tile or Tile(8, 6, cell=Cell.resistor(0.2))
    rows = len(codes) + (options.get("bias") == "digital")
    tile = tile if tile.levels is not None else with_levels(tile)
    crossbar = Crossbar(tile, effects, MappingOptions(**options))
    matrix = MappedMatrix((rows, codes.shape[1]), crossbar, Ideal, rng, clip=1.4)
    level = np.stack(pair(codes.ravel()), axis=-1).ravel()
    matrix.write(Writes(np.arange(level.size), np.zeros_like(level), level, codes.size), rng)
    return matrix


def random_codes(rng, rows, cols):
    return rng.integers(-7, 8, (rows, cols)).astype(np.float32)


@settings(deadline=None, max_examples=50)
@given(*[st.integers(1, 30)] * 4)
def test_every_device_has_a_place_of_its_own(rows, cols, tile_rows, pairs):
    placement = Placement(rows, cols, tile_rows, 2 * pairs)
    assert placement.places.size == 2 * rows * cols
    assert len(np.unique(placement.places)) == placement.places.size
    assert placement.places.max() < np.prod(placement.shape)
    plus, minus = placement.places[0::2], placement.places[1::2]
    np.testing.assert_array_equal(minus, plus + 1)
    assert not np.any(plus % 2), "plus devices sit in even columns"


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 12), st.integers(0, 10**6))
def test_ideal_tiles_multiply_by_the_weights(rows, cols, seed):
    rng = np.random.default_rng(seed)
    codes = random_codes(rng, rows, cols)
    matrix = matrix_of(codes, rng)
    a = rng.random((5, rows), np.float32) * 3.0
    np.testing.assert_allclose(matrix.multiply(a, None), a @ (codes * 0.2), atol=2e-4)
    np.testing.assert_allclose(matrix.weights(), codes * 0.2, atol=1e-5)


def test_negative_inputs_and_vectors_of_zeros(rng):
    codes = random_codes(rng, 9, 4)
    a = rng.standard_normal((4, 9), np.float32)
    a[2] = 0.0
    found = matrix_of(codes, rng).multiply(a, None)
    np.testing.assert_allclose(found, a @ (codes * 0.2), atol=1e-4)


def test_digital_bias_is_added_exactly(rng):
    codes = random_codes(rng, 8, 3)
    matrix = matrix_of(codes, rng, bias="digital")
    matrix.bias[...] = [1.0, -2.0, 0.5]
    a = np.ones((2, 9), np.float32)
    np.testing.assert_allclose(
        matrix.multiply(a, None), a[:, :8] @ (codes * 0.2) + matrix.bias, atol=1e-4
    )


def test_read_noise_has_the_stated_deviation(rng):
    codes = random_codes(rng, 16, 200)
    matrix = matrix_of(codes, rng, effects=Effects(programming=0.0, read=0.02))
    a = rng.random((40, 16), np.float32)
    noise = matrix.multiply(a, rng) - matrix.multiply(a, None)
    # clip * read * sqrt(2 devices) * |a|
    expected = 1.4 * 0.02 * np.sqrt(2.0) * np.linalg.norm(a, axis=1)
    np.testing.assert_allclose(noise.std(axis=1), expected, rtol=0.2)
    assert noise.std() == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.03)


def test_converters_quantise_inputs_and_currents(rng):
    codes = random_codes(rng, 8, 3)
    a = rng.random((50, 8), np.float32)
    a[:, 0] = 1.0
    exact = matrix_of(codes, rng).multiply(a, None)
    errors = []
    for bits in (4, 8, 12):
        matrix = matrix_of(codes, rng, dac_bits=bits, adc_bits=bits, gain="none")
        matrix.calibrate(a)
        errors.append(np.abs(matrix.multiply(a, None) - exact).max())
    assert errors[0] > 4 * errors[1] > 16 * errors[2] > 0.0
    coarse = matrix_of(codes, rng, dac_bits=1)
    np.testing.assert_allclose(coarse.multiply(a, None), np.rint(a) @ (codes * 0.2), atol=1e-4)


@pytest.mark.parametrize("read", [0.0, 0.02])
def test_bits_one_after_the_other_add_up_to_the_input(read, rng):
    codes = random_codes(rng, 8, 60)
    tile = Tile(8, 8, cell=Cell.sinh(25.0, 0.2))  # curvature plays no part at full voltage
    effects = Effects(programming=0.0, read=read)
    matrix = matrix_of(codes, rng, tile=tile, effects=effects, drive="bits", dac_bits=6)
    a = np.rint(63 * rng.standard_normal((50, 8))).astype(np.float32)
    a[:, 0] = 63 * 3
    a = np.clip(a, -63 * 3, 63 * 3) / 3
    # Whole 63rds of the largest input are driven exactly.
    a = np.rint(a).astype(np.float32)
    exact = a @ (codes * 0.2)
    noise = matrix.multiply(a, rng if read else None) - exact
    if not read:
        assert np.abs(noise).max() < 2e-4 * np.abs(exact).max()
    else:
        # The slices' noises are independent: they add up to less than that of one analog read.
        analog = 1.4 * read * np.sqrt(2.0) * np.linalg.norm(a, axis=1)
        assert 0.4 < np.mean(noise.std(axis=1) / analog) < 1.0


@pytest.mark.parametrize("b", [5.0, 25.0])
def test_the_drive_undoes_the_curvature_of_devices(b, rng):
    codes = random_codes(rng, 8, 3)
    a = rng.standard_normal((20, 8), np.float32)
    exact = a @ (codes * 0.2)
    errors = {}
    for drive in ("linear", "device"):
        tile = Tile(8, 6, cell=Cell.sinh(b, 0.2))
        matrix = matrix_of(codes, rng, tile=tile, drive=drive)
        errors[drive] = np.abs(matrix.multiply(a, None) - exact).max() / np.abs(exact).max()
    assert errors["device"] < 2e-3 < 0.05 < errors["linear"]


class Attenuated(Ideal):
    """Every column loses its own share of the current, as wires do to first order."""

    def program(self, g):
        loss = np.repeat(np.linspace(0.9, 0.6, self.tile.cols // 2), 2)

        class Array(IdealArray):
            def read(self, v):
                return super().read(v) * loss

        return Array(self, super().program(g).g)


@pytest.mark.parametrize(("gain", "within"), [("matrix", 0.3), ("column", 1e-4), ("tile", 1e-4)])
def test_calibration_gives_back_what_columns_lose(gain, within, rng):
    tile = Tile(8, 6, cell=Cell.resistor(0.2))
    codes = random_codes(rng, 20, 5)
    matrix = matrix_of(codes, rng, tile=tile, gain=gain)
    matrix.use(Attenuated)
    a = rng.random((64, 20), np.float32)
    exact = a @ (codes * 0.2)
    before = np.abs(matrix.multiply(a, None) - exact).max()
    matrix.calibrate(a)
    after = np.abs(matrix.multiply(a, None) - exact).max()
    assert after <= within * np.abs(exact).max()
    assert after < before


def devices(effects, rng, size=20_000):
    return Devices(
        (size // 100, 100), low=1e-6, high=9e-6, quantiser=Uniform(9), effects=effects, rng=rng
    )


def test_programming_error_is_persistent_and_of_the_stated_size(rng):
    held = devices(Effects(programming=0.02), rng)
    index = np.arange(20_000)
    target = np.full(20_000, 4.0, np.float32)
    measured = held.write(index, target, rng)
    np.testing.assert_allclose(held.levels(index), measured, atol=1e-4)
    assert np.std(measured - target) == pytest.approx(0.02 * 8, rel=0.05)
    assert held.write(index, np.full(20_000, 8.0, np.float32), rng).max() <= 8.0


def test_stuck_devices_do_not_move(rng):
    held = devices(Effects(programming=0.0, stuck=0.1, stuck_high=0.25), rng)
    index = np.arange(20_000)
    measured = held.write(index, np.full(20_000, 4.0, np.float32), rng)
    stuck = measured != 4.0
    assert stuck.mean() == pytest.approx(0.1, rel=0.1)
    assert np.mean(measured[stuck] > 4.0) == pytest.approx(0.25, rel=0.15)
    np.testing.assert_allclose(held.levels(index)[stuck], measured[stuck])


def test_relaxation_comes_after_the_verify_read(rng):
    held = devices(Effects(programming=0.0, relaxation=0.05), rng)
    index = np.arange(20_000)
    measured = held.write(index, np.full(20_000, 4.0, np.float32), rng)
    np.testing.assert_array_equal(measured, 4.0)
    assert np.std(held.levels(index)) == pytest.approx(0.05 * 8, rel=0.05)


def test_reach_limits_a_device_for_good(rng):
    held = devices(Effects(programming=0.0, reach=0.2), rng)
    index = np.arange(20_000)
    first = held.write(index, np.full(20_000, 8.0, np.float32), rng)
    assert 0.4 < np.mean(first < 8.0) < 0.6
    np.testing.assert_array_equal(held.write(index, np.full(20_000, 8.0, np.float32), rng), first)


def test_drift_grows_with_age_and_a_write_ends_it(rng):
    held = devices(Effects(programming=0.0, drift=0.05), rng)
    index = np.arange(20_000)
    held.write(index, np.full(20_000, 8.0, np.float32), rng, now=0)
    assert held.age(1000)
    np.testing.assert_allclose(held.g, 9e-6 * 1001.0**-0.05, rtol=1e-5)
    held.write(index, np.full(20_000, 8.0, np.float32), rng, now=1000)
    held.age(1000)
    np.testing.assert_allclose(held.g, 9e-6, rtol=1e-5)
    assert not devices(EXACT, rng).age(1000)


def test_twin_counts_devices_and_tiles(rng):
    tile = Tile(64, 64, levels=Cell.resistor(0.2).levels(LEVELS))
    twin = MemristorTwin(mlp(784, 100, 10), Crossbar(tile), Ideal, rng)
    assert twin.devices == 159_020
    assert twin.tiles == 13 * 4 + 2


@pytest.mark.parametrize("v_read", [0.05, 0.2, 0.4, -0.3])
@pytest.mark.parametrize("drive", ["device", "linear"])
def test_the_largest_input_is_driven_at_the_voltage_of_the_cell(v_read, drive, rng):
    seen = []

    class WatchedArray(IdealArray):
        def read(self, v):
            seen.append(v)
            return super().read(v)

    class Watched(Ideal):
        def program(self, g):
            return WatchedArray(self, super().program(g).g)

    cell = Cell.sinh(10.0, v_read) if drive == "device" else Cell.resistor(v_read)
    codes = random_codes(rng, 8, 3)
    matrix = matrix_of(codes, rng, tile=Tile(8, 6, cell=cell), drive=drive)
    matrix.use(Watched)
    a = rng.random((20, 8), np.float32)
    np.testing.assert_allclose(matrix.multiply(a, None), a @ (codes * 0.2), atol=2e-3)
    assert max(seen[0].min(), seen[0].max(), key=abs) == pytest.approx(v_read)
    assert matrix.v_read == matrix.drive.v_read == v_read


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_another_read_voltage_than_the_cells_is_refused(cell, asked):
    levels = Cell.sinh(5.0, asked).levels(LEVELS)
    if abs(asked / cell - 1.0) < 1e-9:
        return
    with pytest.raises(
        InputError, match=re.escape(f"{cell:g} V, its levels at v_read = {asked:g} V")
    ):
        Tile(4, 4, cell=Cell.sinh(5.0, cell), levels=levels)


def test_a_crossbar_needs_levels_and_pairs_of_columns():
    with pytest.raises(InputError, match=r"needs a tile with conductance levels .* levels=device"):
        Crossbar(Tile(4, 4))
    with pytest.raises(InputError, match=r"cols must be even, .* got 5"):
        Crossbar(with_levels(Tile(4, 5)))


def test_a_tile_with_levels_has_their_device_in_its_cells():
    cell = Cell.sinh(5.0, 0.3)
    tile = Tile(4, 4, levels=cell.levels(LEVELS))
    assert tile.cell == cell
    # What devices are programmed to makes no other tile.
    assert tile == Tile(4, 4, cell=cell)


def test_a_matrix_without_weights_is_not_read(rng):
    crossbar = Crossbar(Tile(4, 4, levels=Cell.resistor(0.2).levels(LEVELS)))
    twin = MemristorTwin(mlp(4, 2), crossbar, Ideal, rng)
    with pytest.raises(InputError, match="hold no weights yet"):
        twin.forward(np.ones((1, 4), np.float32), None)
    twin.matrices[0].state()


def test_vectors_of_zeros_leave_the_range_of_the_adc(rng):
    matrix = matrix_of(random_codes(rng, 8, 3), rng, adc_bits=6)
    before = matrix.adc
    matrix.calibrate(np.zeros((3, 8), np.float32))
    assert matrix.adc == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rng: Placement(3, 3, 4, 5), "even number"),
        (lambda rng: Effects(read=-0.1), "read must be from 0 to 1"),
        (lambda rng: MappingOptions(adc_bits=0), "adc_bits"),
        (lambda rng: MappingOptions(clip=-1.0), "mapping: clip must be above 0"),
        (lambda rng: MappingOptions(clip=np.inf), "mapping: clip must be above 0"),
        (lambda rng: MappingOptions(gain="colum"), "did you mean 'column'"),
        (lambda rng: MappingOptions(drive="bits"), "need dac_bits"),
    ],
)
def test_bad_options_are_said(make, words, rng):
    with pytest.raises(InputError, match=words):
        make(rng)


@pytest.mark.parametrize("g", [[1e-6], [1e-6, 1e-6, 4e-6], [2e-6, 1e-6], [1e-6, np.nan]])
def test_levels_must_rise(g, rng):
    tile = Tile(4, 4, levels=Cell.resistor(0.2).levels(g))
    with pytest.raises(InputError, match="conductance levels"):
        MemristorTwin(mlp(3, 2), Crossbar(tile), Ideal, rng)


def exact_lines(tile):
    return LineSolver(tile, dtype="float64", tolerance=1e-9)


@pytest.mark.parametrize("gain", ["matrix", "tile"])
@pytest.mark.parametrize("cell", [Cell.resistor(0.2), Cell.sinh(8.0, 0.2)], ids=["linear", "sinh"])
def test_gradients_through_the_array_are_those_of_finite_differences(cell, gain, rng):
    tile = Tile(8, 6, r_row=20.0, r_col=20.0, cell=cell)
    codes = random_codes(rng, 11, 4)
    matrix = matrix_of(codes, rng, tile=tile, gain=gain)
    matrix.use(exact_lines)
    a = rng.random((5, 11), np.float32)
    a[:, 10] = 2.0  # the largest input sets the scale, which counts as given
    matrix.calibrate(a)
    error = rng.standard_normal((5, 4)).astype(np.float32)
    by_w, by_a = matrix.adjoint(a, error)
    step = 0.02
    for row in (0, 9):
        ends = []
        for sign in (1, -1):
            moved = a.copy()
            moved[:, row] += sign * step
            ends.append((matrix.multiply(moved, None) * error).sum(axis=1))
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), by_a[:, row], atol=0.03)
    places = matrix.placement.places.reshape(11, 4, 2)
    flat = matrix.devices.g.reshape(-1)
    half = 0.5 * 7 * float(matrix.devices.step) / matrix.clip
    for row, col in ((0, 0), (10, 3)):
        ends = []
        for sign in (1, -1):
            flat[places[row, col]] += np.float32(sign * step * half) * np.array([1, -1], np.float32)
            matrix.use(exact_lines)
            ends.append(float((matrix.multiply(a, None) * error).sum()))
            flat[places[row, col]] -= np.float32(sign * step * half) * np.array([1, -1], np.float32)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(by_w[row, col], rel=0.03, abs=0.02)


def test_gradients_through_an_array_that_has_none_are_refused(rng):
    matrix = matrix_of(random_codes(rng, 4, 2), rng)
    with pytest.raises(InputError, match="line or surrogate"):
        matrix.adjoint(np.ones((1, 4), np.float32), np.ones((1, 2), np.float32))


@pytest.mark.parametrize("drive", ["device", "bits"])
@pytest.mark.parametrize("signed", ["two phases", "offset"])
def test_inputs_of_either_sign_on_devices_that_conduct_one_way(signed, drive, rng):
    tile = Tile(8, 6, levels=load_device("nbsto_32um").scaled(10).levels(8, v_read=0.05))
    codes = random_codes(rng, 8, 3)
    bits = {"dac_bits": 10} if drive == "bits" else {}
    a = rng.standard_normal((40, 8)).astype(np.float32)
    a[:, 0] = 3.0
    made = {
        name: matrix_of(codes, rng, tile=tile, drive=drive, signed=name, **bits)
        for name in (signed, "bipolar")
    }
    exact = a @ made[signed].weights()
    error = {name: np.abs(one.multiply(a, None) - exact).max() for name, one in made.items()}
    assert error[signed] < 0.02 * np.abs(exact).max() < error["bipolar"]
    assert matrix_of(codes, rng, tile=tile, drive=drive, **bits).drive.signed == "two phases"


def test_what_an_offset_costs_in_read_noise(rng):
    codes = random_codes(rng, 16, 200)
    a = rng.standard_normal((60, 16)).astype(np.float32)
    a = np.clip(a, -2.0, 2.0)
    a[:, 0] = 2.0
    noise = {}
    for signed in ("two phases", "offset", "bipolar"):
        matrix = matrix_of(codes, rng, effects=Effects(programming=0.0, read=0.02), signed=signed)
        noise[signed] = (matrix.multiply(a, rng) - matrix.multiply(a, None)).std()
        np.testing.assert_allclose(matrix.multiply(a, None), a @ (codes * 0.2), atol=1e-3)
    assert noise["two phases"] == pytest.approx(noise["bipolar"], rel=0.1)
    ratio = np.sqrt(np.mean(np.sum((a + 2.0) ** 2, axis=1)) / np.mean(np.sum(a**2, axis=1)))
    assert noise["offset"] / noise["two phases"] == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize("signed", ["two phases", "offset", "bipolar"])
def test_gradients_through_inputs_of_either_sign(signed, rng):
    codes = random_codes(rng, 6, 3)
    matrix = matrix_of(codes, rng, tile=Tile(8, 6, cell=Cell.sinh(2.0, 0.2)), signed=signed)
    matrix.use(partial(make_engine, "line"))
    a = rng.standard_normal((4, 6)).astype(np.float32)
    a[:, 0] = 3.0
    error = rng.standard_normal((4, 3)).astype(np.float32)
    by_w, by_a = matrix.adjoint(a, error)
    np.testing.assert_allclose(by_w, a.T @ error, rtol=0.05, atol=0.05)
    step = np.zeros_like(a)
    step[:, 3] = 0.02
    ends = [np.sum(matrix.multiply(a + sign * step, None) * error) for sign in (1, -1)]
    assert (ends[0] - ends[1]) / 0.04 == pytest.approx(by_a[:, 3].sum(), rel=0.05, abs=0.02)
