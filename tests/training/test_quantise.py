"""Levels that lie unevenly: codes, weights and devices agree, and the update is right in weights."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.registry import make_engine
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.optim import Sgd
from memtwin.training.rules.quantise import (
    QUANTISERS,
    Coding,
    Nonuniform,
    Uniform,
    make_quantiser,
    pair,
    register_quantiser,
)
from memtwin.training.rules.rule import Start, Writes
from memtwin.training.rules.siamese import COMPENSATIONS, Siamese, SiameseOptions
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.devices import Devices

LOGARITHMIC = np.geomspace(5e-6, 50e-6, 16)
POWERS = np.array([0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]) * 45e-6 + 5e-6


@st.composite
def spaced(draw):
    """Levels with steps up to a hundred times as large as others."""
    steps = draw(st.lists(st.floats(1.0, 100.0), min_size=1, max_size=31))
    return 1e-6 * (1.0 + np.concatenate([[0.0], np.cumsum(steps)]))


def coding_of(g, clip=1.0):
    return Coding(make_quantiser("nonuniform", g), clip)


def weights_of(g, clip=1.0):
    """Weights of all codes, rising, straight from the conductances."""
    share = (g - g[0]) / (g[-1] - g[0])
    return clip * np.concatenate([-share[:0:-1], share])


@settings(deadline=None)
@given(spaced(), st.floats(0.01, 100.0), st.integers(0, 10**6))
def test_the_code_is_that_of_the_nearest_weight(g, clip, seed):
    coding, table = coding_of(g, clip), weights_of(g, clip)
    w = np.random.default_rng(seed).uniform(-1.3 * clip, 1.3 * clip, 300).astype(np.float32)
    chosen = table[coding.codes(w).astype(int) + coding.top]
    nearest = np.abs(w[:, None] - table).min(axis=1)
    np.testing.assert_allclose(np.abs(w - chosen), nearest, rtol=0.0, atol=1e-5 * clip)


@settings(deadline=None)
@given(spaced(), st.floats(0.01, 100.0), st.integers(0, 10**6))
def test_codes_come_back_and_rise(g, clip, seed):
    coding = coding_of(g, clip)
    codes = np.arange(-coding.top, coding.top + 1, dtype=np.float32)
    np.testing.assert_allclose(coding.weights(codes), weights_of(g, clip), atol=1e-5 * clip)
    np.testing.assert_array_equal(coding.codes(coding.weights(codes)), codes)
    np.testing.assert_array_equal(coding.quantiser.code(coding.quantiser.steps(codes)), codes)
    fractions = np.sort(
        np.random.default_rng(seed).uniform(-coding.top, coding.top, 200).astype(np.float32)
    )
    steps = coding.quantiser.steps(fractions)
    assert np.all(np.diff(steps) >= 0.0)
    np.testing.assert_allclose(coding.quantiser.code(steps), fractions, atol=1e-3)
    np.testing.assert_array_equal(coding.quantiser.steps(-fractions), -steps)
    assert np.all(np.diff(coding.codes(coding.weights(fractions))) >= 0.0)


def test_even_levels_are_the_same_either_way(rng):
    places = tuple(range(8))
    w = rng.uniform(-2.0, 2.0, 1000).astype(np.float32)
    even, free = Coding(Uniform(8), 1.4), Coding(Nonuniform(places), 1.4)
    np.testing.assert_array_equal(even.codes(w), free.codes(w))
    np.testing.assert_array_equal(even.weights(even.codes(w)), free.weights(free.codes(w)))


@settings(deadline=None, max_examples=60)
@given(spaced(), st.integers(0, 10**6), st.floats(0.0, 0.45), st.sampled_from([0.01, 0.3]))
def test_only_weights_beyond_the_local_threshold_are_written(g, seed, hysteresis, rate):
    rng = np.random.default_rng(seed)
    coding, table = coding_of(g), weights_of(g)
    start = Start(rng.uniform(-1, 1, (6, 5)).astype(np.float32), coding, Sgd((6, 5), 0.0))
    update = Siamese(start, SiameseOptions(hysteresis=hysteresis))
    held = update.codes.copy()
    update.step(rng.normal(size=(6, 5)).astype(np.float32), rate)
    at = held.astype(int) + coding.top
    # Halfway to the neighbour, and a share of that very step more.
    wide = np.concatenate([[np.inf], np.diff(table), [np.inf]])
    above = table[at] + (0.5 + hysteresis) * wide[at + 1]
    below = table[at] - (0.5 + hysteresis) * wide[at]
    left = (update.weights > above) | (update.weights < below)
    clear = np.minimum(np.abs(update.weights - above), np.abs(update.weights - below)) > 1e-4
    np.testing.assert_array_equal((update.codes != held)[clear], left[clear])
    moved = update.codes != held
    chosen = table[update.codes.astype(int) + coding.top]
    nearest = np.abs(update.weights[..., None] - table).min(axis=-1)
    np.testing.assert_allclose(np.abs(update.weights - chosen)[moved], nearest[moved], atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(spaced(), st.integers(0, 10**6), st.sampled_from(sorted(COMPENSATIONS)))
def test_devices_hold_the_codes_whatever_the_gradients(g, seed, compensation):
    rng = np.random.default_rng(seed)
    coding = coding_of(g, 1.4)
    start = Start(rng.normal(size=(5, 4)).astype(np.float32), coding, Sgd((5, 4), 0.0))
    update = Siamese(start, SiameseOptions(hysteresis=0.1, compensation=compensation, damping=0.1))
    level = np.zeros(2 * update.codes.size, np.float32)
    writes = update.first()
    for _ in range(6):
        np.testing.assert_array_equal(level[writes.device], writes.before)
        level[writes.device] = writes.level
        noise = 0.1 * rng.normal(size=len(writes))
        update.verify(writes, np.clip(writes.level + noise, 0, coding.top).astype(np.float32))
        writes = update.step(rng.normal(size=(5, 4)).astype(np.float32), 0.3)
    level[writes.device] = writes.level
    np.testing.assert_array_equal(level[0::2] - level[1::2], update.codes.ravel())
    assert np.minimum(level[0::2], level[1::2]).max() == 0.0


def test_write_errors_count_by_their_weight():
    """A fifth of the highest step is missing: more than all of the lowest one."""
    coding = coding_of(POWERS)
    for compensation in ("sd", "readback"):
        start = Start(np.full((1, 1), 0.9, np.float32), coding, Sgd((1, 1), 0.0))
        update = Siamese(start, SiameseOptions(compensation=compensation))
        writes = Writes(
            np.array([0]), np.array([4.0], np.float32), np.array([5.0], np.float32), weights=1
        )
        update.verify(writes, np.array([4.8], np.float32))
        if compensation == "sd":
            assert update._error.item() * coding.step == pytest.approx(0.1)
        else:
            assert update.weights.item() == pytest.approx(0.8)


@settings(deadline=None, max_examples=30)
@given(spaced(), st.integers(0, 10**6))
def test_errors_of_devices_are_shares_of_the_range(g, seed):
    rng = np.random.default_rng(seed)
    quantiser = make_quantiser(None, g)
    devices = Devices(
        (40, 50), low=g[0], high=g[-1], quantiser=quantiser, effects=Effects(programming=0.02),
        rng=rng,
    )  # fmt: skip
    index = np.arange(2000)
    level = rng.integers(0, len(g), 2000).astype(np.float32)
    found = devices.write(index, level, rng)
    held = devices.g.reshape(-1)
    # What verify reads find is where the conductance lies between its neighbours.
    np.testing.assert_allclose(np.interp(found, np.arange(len(g)), g), held, rtol=1e-4)
    np.testing.assert_allclose(devices.levels(index), found, atol=2e-2)
    error = (held - g[level.astype(int)]) / (g[-1] - g[0])
    inside = (level > 0) & (level < len(g) - 1)
    lowest = np.abs(error[level == 0])
    assert np.sqrt(np.mean(lowest**2)) == pytest.approx(0.02 / 2**0.5, rel=0.6)
    if inside.sum() > 500:
        assert np.abs(error[inside]).max() < 0.16  # eight deviations


def twin_of(g, engine=Ideal, effects=None, **options):
    tile = Tile(32, 32, levels=Cell.resistor(0.2).levels(g), r_row=1.0, r_col=1.0)
    crossbar = Crossbar(tile, effects or Effects(), MappingOptions(clip=5.0, **options))
    return build_twin(mlp(64, 32, 10), crossbar, engine)


OPTIONS = TrainOptions(epochs=4, batch=20, decay=0.9)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.mark.parametrize("engine", [Ideal, pytest.param(LineSolver, marks=pytest.mark.slow)])
def test_uneven_levels_train_as_well(digits, engine):
    costs = nominal_pricing(16)
    noise = np.linspace(1.0, 5.0, 40)  # deviations that grow with the conductance, as many do
    device = load_device("nbsto_32um").scaled(4.0)
    in_noise = device.levels(16, 0.2, g_min=5e-6, g_max=50e-6, noise=noise * 1e-8).g
    assert np.diff(in_noise).max() > 2.0 * np.diff(in_noise).min()
    even = train(twin_of(np.linspace(5e-6, 50e-6, 16), engine), digits, OPTIONS, costs).accuracy
    uneven = train(twin_of(in_noise, engine), digits, OPTIONS, costs).accuracy
    assert uneven > even - 0.01


@pytest.mark.parametrize("rule", ["siamese", "closed loop", "verify-first", "mixed precision"])
def test_every_rule_takes_uneven_levels_and_resumes(digits, tmp_path, rule):
    options = replace(OPTIONS, epochs=2, rule=rule, learning_rate=0.03)

    def trainer():
        return Trainer(twin_of(LOGARITHMIC), digits, options, nominal_pricing(16))

    whole, stopped = trainer(), trainer()
    for one in (whole, stopped):
        one.run_epoch()
    save_checkpoint(tmp_path / "run.h5", stopped)
    again = trainer()
    load_checkpoint(tmp_path / "run.h5", again)
    for one in (whole, again):
        assert one.run_epoch().test_accuracy > 0.8
    for k, matrix in enumerate(whole.twin.matrices):
        np.testing.assert_array_equal(matrix.devices.g, again.twin.matrices[k].devices.g)
        np.testing.assert_array_equal(whole.updates[k].weights, again.updates[k].weights)
        # Devices hold the weights, give or take the programming error.
        held, meant = matrix.weights(), whole.updates[k].coding.weights(whole.updates[k].codes)
        if rule != "mixed precision":
            assert np.sqrt(np.mean((held - meant) ** 2)) < 0.03 * matrix.clip
    other = Trainer(twin_of(POWERS), digits, options, nominal_pricing(6))
    with pytest.raises(InputError, match="another configuration"):
        load_checkpoint(tmp_path / "run.h5", other)


def test_failing_devices_of_uneven_levels_resume(digits, tmp_path):
    effects = Effects(stuck=0.02, reach=0.2, drift=0.01, relaxation=0.01, programming=0.02)
    options = replace(OPTIONS, epochs=2, scale="adaptive", compensation="sd")

    def trainer():
        surrogate = partial(make_engine, "surrogate")
        twin = twin_of(LOGARITHMIC, surrogate, effects)
        return Trainer(twin, digits, options, nominal_pricing(16, g_levels=LOGARITHMIC))

    whole, stopped, again = trainer(), trainer(), trainer()
    for one in (whole, stopped):
        one.run_epoch()
    save_checkpoint(tmp_path / "run.h5", stopped)
    load_checkpoint(tmp_path / "run.h5", again)
    mine, theirs = whole.run_epoch(), again.run_epoch()
    assert (mine.cost, mine.test_accuracy) == (theirs.cost, theirs.test_accuracy)
    matrix, update = whole.twin.matrices[0], whole.updates[0]
    reach = matrix.devices.attainable(matrix.placement.places, np.full(2 * 65 * 32, 15.0))
    high = update._limits.high
    # What was learned of a device is the highest whole level that it can be brought to, or less.
    assert np.all(high[high < 15.0] <= reach[high < 15.0] + 0.25)
    assert (high < 15.0).sum() > 20
    np.testing.assert_array_equal(matrix.devices.g, again.twin.matrices[0].devices.g)


@dataclass(frozen=True)
class Reluctant:
    """Codes that change only at three quarters of a step away from 0: small weights stay 0."""

    levels: int

    def code(self, steps):
        size = np.abs(steps)
        return (np.sign(steps) * np.where(size < 1.0, size**2.4, size)).astype(np.float32)

    def steps(self, code):
        size = np.abs(code)
        return (np.sign(code) * np.where(size < 1.0, size ** (1 / 2.4), size)).astype(np.float32)


def test_a_quantiser_of_ones_own(digits, monkeypatch):
    monkeypatch.setattr(QUANTISERS, "_known", dict(QUANTISERS._known))
    register_quantiser("reluctant", lambda places: Reluctant(len(places)))
    g = np.linspace(5e-6, 50e-6, 16)
    twin = twin_of(g, quantiser="reluctant")
    coding = twin.matrices[0].coding
    w = np.array([0.6, 0.7, 0.8, -0.7, 1.4, 1.6], np.float32) * np.float32(coding.step)
    assert coding.codes(w).tolist() == [0.0, 0.0, 1.0, -0.0, 1.0, 2.0]
    result = train(twin, digits, OPTIONS, nominal_pricing(16))
    assert result.accuracy > 0.8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_quantiser("uniform", LOGARITHMIC), "unequal steps .* 'nonuniform'"),
        (
            lambda: make_quantiser("unifrom", LOGARITHMIC),
            "did you mean 'uniform'.*register_quantis",
        ),
        (lambda: MappingOptions(quantiser="none"), "no quantiser 'none' .known: .*uniform"),
        (lambda: make_quantiser("shifted", LOGARITHMIC), "whole codes at the device's levels"),
        (lambda: Nonuniform((0.0, 0.5, 1.9)), "rise from 0 to 2 mean steps"),
        (lambda: Nonuniform((0.0,)), "at least 2 levels"),
        (
            lambda: register_quantiser("uniform", Uniform),
            "another quantiser 'uniform' already",
        ),
        (lambda: register_quantiser("three", 3), "expected a class or function"),
        (lambda: make_quantiser(None, [1e-6, 3e-6, 2e-6]), "rise from each to the next"),
    ],
)
def test_what_cannot_be_is_said(make, words):
    shifted = Nonuniform(tuple(np.arange(16.0)))
    register_quantiser("shifted", lambda places: shifted, replace=True)
    with pytest.raises(InputError, match=words):
        make()


def test_pairs_of_uneven_levels_add_up_to_the_weight(rng):
    coding = coding_of(LOGARITHMIC, 2.0)
    codes = rng.integers(-15, 16, 50).astype(np.float32)
    plus, minus = (LOGARITHMIC[level.astype(int)] for level in pair(codes))
    span = LOGARITHMIC[-1] - LOGARITHMIC[0]
    np.testing.assert_allclose(2.0 * (plus - minus) / span, coding.weights(codes), atol=1e-5)
