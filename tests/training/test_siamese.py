"""The Siamese update: which devices it writes, what compensation keeps, and its state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.data.errors import InputError
from memtwin.training.rules.optim import Adam, Sgd, make_optimiser, schedule
from memtwin.training.rules.quantise import Coding, Uniform, pair
from memtwin.training.rules.rule import Start
from memtwin.training.rules.siamese import COMPENSATIONS, Siamese, SiameseOptions

CODING = Coding(Uniform(8), clip=1.4)


def siamese(weights, *, digital_rows=0, **options):
    weights = np.asarray(weights, np.float32)
    start = Start(weights, CODING, Sgd(weights.shape, 0.0), digital_rows)
    return Siamese(start, SiameseOptions(**options))


def levels_after(update, all_writes):
    """Play writes back onto devices, as the array does."""
    level = np.zeros(2 * update.codes.size, np.float32)
    for writes in all_writes:
        np.testing.assert_array_equal(level[writes.device], writes.before)
        assert len(np.unique(writes.device)) == len(writes)
        level[writes.device] = writes.level
    return level


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.0, 0.8), st.sampled_from(sorted(COMPENSATIONS)))
def test_devices_hold_the_codes_whatever_the_gradients(seed, hysteresis, compensation):
    rng = np.random.default_rng(seed)
    update = siamese(
        rng.normal(size=(5, 4)), hysteresis=hysteresis, compensation=compensation, damping=0.1
    )
    played = [update.first()]
    for _ in range(6):
        writes = update.step(rng.normal(size=(5, 4)).astype(np.float32), 0.3)
        update.verify(writes, writes.level + 0.1 * rng.normal(size=len(writes)).astype(np.float32))
        played.append(writes)
    level = levels_after(update, played).reshape(-1, 2)
    np.testing.assert_array_equal(level[:, 0] - level[:, 1], update.codes.ravel())
    assert level.min(axis=1).max() == 0.0, "one device of a pair rests at the lowest level"
    assert level.min() >= 0
    assert level.max() <= CODING.top


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 0.4))
def test_only_weights_beyond_the_threshold_are_written(seed, hysteresis):
    rng = np.random.default_rng(seed)
    update = siamese(rng.uniform(-1, 1, size=(6, 3)), hysteresis=hysteresis)
    codes = update.codes.copy()
    writes = update.step(rng.normal(size=(6, 3)).astype(np.float32), 0.2)
    distance = np.abs(update.weights / CODING.step - codes)
    np.testing.assert_array_equal(update.codes != codes, distance > 0.5 + hysteresis)
    assert writes.weights == np.count_nonzero(update.codes != codes)


def test_carry_adds_up_gradients_that_are_each_below_half_a_step():
    update = siamese(np.zeros((1, 1)))
    small = np.full((1, 1), -0.2 * CODING.step, np.float32)
    written = [len(update.step(small, 1.0)) for _ in range(5)]
    assert written == [0, 0, 1, 0, 0]
    none = siamese(np.zeros((1, 1)), compensation="none")
    assert sum(len(none.step(small, 1.0)) for _ in range(5)) == 0


def test_accumulation_moves_by_the_mean_gradient(rng):
    gradients = rng.normal(size=(4, 3, 3)).astype(np.float32)
    one, four = siamese(np.zeros((3, 3))), siamese(np.zeros((3, 3)), accumulate=4)
    one.step(gradients.mean(axis=0), 0.1)
    results = [four.step(gradient, 0.1) for gradient in gradients]
    assert results[:3] == [None] * 3
    np.testing.assert_allclose(four.weights, one.weights, atol=1e-7)


def test_write_error_feedback_aims_at_what_was_missed():
    update = siamese(np.zeros((1, 1)), compensation="sd")
    writes = update.step(np.full((1, 1), -0.6 * CODING.step, np.float32), 1.0)
    assert writes.level.tolist() == [1.0]
    # The device fell short by 0.6 level: the missing part counts at the next update.
    update.verify(writes, np.array([0.4], np.float32))
    writes = update.step(np.full((1, 1), -0.4 * CODING.step, np.float32), 1.0)
    assert writes.level.tolist() == [2.0]


def test_readback_takes_the_error_into_the_weight():
    update = siamese(np.zeros((1, 1)), compensation="readback")
    writes = update.step(np.full((1, 1), 0.6 * CODING.step, np.float32), 1.0)
    assert writes.device.tolist() == [1]
    update.verify(writes, np.array([1.2], np.float32))
    assert update.weights.item() == pytest.approx(-0.8 * CODING.step)


def test_scale_matches_the_columns_by_least_squares(rng):
    update = siamese(rng.normal(size=(20, 3)) * 0.3, compensation="scale")
    held = CODING.weights(update.codes)
    for j, scale in enumerate(update.column_scale()):
        best = np.linalg.lstsq(held[:, [j]], update.weights[:, j], rcond=None)[0]
        assert scale == pytest.approx(best.item(), rel=1e-4)


def test_a_device_at_its_write_limit_is_left_alone():
    update = siamese(np.zeros((1, 1)), write_limit=2)
    step = np.full((1, 1), -CODING.step, np.float32)
    assert [len(update.step(step, 1.0)) for _ in range(4)] == [1, 1, 0, 0]
    assert update.codes.item() == 2.0


def test_a_digital_bias_moves_without_writes():
    update = siamese(np.zeros((3, 2)), digital_rows=1)
    assert update.codes.shape == (2, 2)
    gradient = np.zeros((3, 2), np.float32)
    gradient[-1] = 1.0
    assert len(update.step(gradient, 0.5)) == 0
    np.testing.assert_allclose(update.weights[-1], -0.5)


@pytest.mark.parametrize("compensation", COMPENSATIONS)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_restored_state_continues_alike(compensation, optimiser, rng):
    def make():
        options = SiameseOptions(accumulate=2, compensation=compensation, write_limit=5)
        return Siamese(Start(start, CODING, make_optimiser(optimiser, start.shape)), options)

    def play(update, gradients):
        for gradient in gradients:
            writes = update.step(gradient, 0.05)
            if writes is not None:
                update.verify(writes, writes.level * np.float32(0.9))

    start = rng.normal(size=(4, 4)).astype(np.float32)
    gradients = rng.normal(size=(11, 4, 4)).astype(np.float32)
    whole, first, second = make(), make(), make()
    play(whole, gradients)
    play(first, gradients[:5])
    second.restore(first.state())
    play(second, gradients[5:])
    np.testing.assert_array_equal(whole.weights, second.weights)
    np.testing.assert_array_equal(whole.codes, second.codes)


@given(st.integers(2, 64), st.floats(0.01, 100.0))
def test_quantiser_is_the_nearest_code_and_keeps_codes(levels, clip):
    quantiser = Coding(Uniform(levels), clip)
    codes = np.arange(-(levels - 1), levels, dtype=np.float32)
    np.testing.assert_array_equal(quantiser.codes(quantiser.weights(codes)), codes)
    weights = np.linspace(-1.2 * clip, 1.2 * clip, 101, dtype=np.float32)
    inside = np.clip(weights, -clip, clip)
    error = np.abs(quantiser.weights(quantiser.codes(weights)) - inside)
    assert error.max() <= 0.5001 * quantiser.step
    plus, minus = pair(codes)
    np.testing.assert_array_equal(plus - minus, codes)


def test_adam_moves_by_the_rate_at_first():
    adam = Adam((2,), 0.9)
    np.testing.assert_allclose(
        adam.move(np.array([3.0, -0.01], np.float32), 0.1), [0.1, -0.1], rtol=1e-3
    )


def test_schedules():
    assert schedule("exponential", 0.1, 0.8, 2, 10) == pytest.approx(0.064)
    assert schedule("constant", 0.1, 0.8, 2, 10) == 0.1
    assert schedule("cosine", 0.1, 0.8, 5, 10) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Uniform(1), "at least 2 levels"),
        (lambda: Coding(Uniform(4), float("nan")), "positive and finite"),
        (lambda: SiameseOptions(compensation="carri"), "did you mean 'carry'"),
        (lambda: SiameseOptions(hysteresis=-1.0), "hysteresis"),
        (
            lambda: SiameseOptions(accumulate=0),
            "training: accumulate must be a whole number, at least 1, got 0",
        ),
        (lambda: make_optimiser("sdg", (2, 2)), "did you mean 'sgd'"),
        (lambda: schedule("cosin", 0.1, 0.8, 0, 1), "did you mean 'cosine'"),
    ],
)
def test_bad_options_are_said(make, words):
    with pytest.raises(InputError, match=words):
        make()
