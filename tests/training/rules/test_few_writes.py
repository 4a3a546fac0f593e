"""Rules that write few weights per update: the budgeted and the patient Siamese update, and EaPU."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.budgeted import Budgeted, BudgetedOptions
from memtwin.training.rules.eapu import Eapu, EapuOptions
from memtwin.training.rules.optim import Sgd, make_optimiser
from memtwin.training.rules.patient import Patient, PatientOptions
from memtwin.training.rules.quantise import Coding, Nonuniform, Uniform
from memtwin.training.rules.rule import Start
from memtwin.training.rules.siamese import Siamese, SiameseOptions
from memtwin.training.runs.config import load_config
from memtwin.training.trainer.checkpoint import load_checkpoint, save_checkpoint
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

EVEN = Coding(Uniform(8), clip=1.4)
UNEVEN = Coding(Nonuniform((0.0, 0.5, 1.2, 2.4, 3.1, 4.6, 5.9, 7.0)), clip=1.4)


def start_at(weights, coding=EVEN, *, momentum=0.0, optimiser="sgd", seed=0):
    weights = np.asarray(weights, np.float32)
    made = make_optimiser(optimiser, weights.shape, momentum)
    return Start(weights, coding, made, rng=np.random.default_rng(seed))


def exact(rule, writes):
    """Let devices do as they are told."""
    if writes is not None:
        rule.verify(writes, writes.level)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([EVEN, UNEVEN]),
    st.floats(0.01, 0.5),
    st.integers(1, 12),
    st.floats(0.0, 4.0),
    st.floats(0.8, 3.0),
    st.sampled_from([None, 2]),
)
def test_never_more_than_the_budget_and_never_out_of_reach(
    seed, coding, budget, least, fade, reach, write_limit
):
    rng = np.random.default_rng(seed)
    options = BudgetedOptions(
        budget=budget, least=least, fade=fade, reach=reach, write_limit=write_limit
    )
    rule = Budgeted(start_at(rng.normal(size=(9, 7)), coding, momentum=0.5), options)
    level = np.zeros(2 * rule.codes.size, np.float32)
    first = rule.first()
    level[first.device] = first.level
    for rate in (0.5, 0.4, 0.2, 0.2, 0.05):
        codes = rule.codes.copy()
        writes = rule.step(rng.normal(size=(9, 7)).astype(np.float32), rate)
        exact(rule, writes)
        np.testing.assert_array_equal(level[writes.device], writes.before)
        level[writes.device] = writes.level
        changed = np.count_nonzero(rule.codes != codes)
        most = max(1, int(max(budget * codes.size, least) * (rate / 0.5) ** fade))
        assert writes.weights == changed <= most == rule.room(rate)
        away = np.abs(rule.weights - coding.weights(rule.codes))
        assert away.max() <= reach * coding.step * (1 + 1e-5)
    held = (level[::2] - level[1::2]).reshape(rule.codes.shape)
    np.testing.assert_array_equal(held, rule.codes)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.0, 0.4))
def test_a_budget_for_all_within_reach_is_the_siamese_update(seed, hysteresis):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(6, 5)) * 0.4
    free = Budgeted(
        start_at(weights), BudgetedOptions(budget=1.0, fade=0.0, reach=50.0, hysteresis=hysteresis)
    )
    plain = Siamese(start_at(weights), SiameseOptions(hysteresis=hysteresis))
    for _ in range(5):
        gradient = rng.normal(size=(6, 5)).astype(np.float32)
        for rule in (free, plain):
            exact(rule, rule.step(gradient, 0.2))
        np.testing.assert_array_equal(free.codes, plain.codes)
        np.testing.assert_array_equal(free.weights, plain.weights)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_the_furthest_go_first_and_all_arrive_within_the_band(seed, least):
    """Once gradients end, devices come to within half a step of the float weights."""
    rng = np.random.default_rng(seed)
    rule = Budgeted(
        start_at(np.zeros((5, 4))), BudgetedOptions(budget=1e-6, least=least, reach=3.0)
    )
    gradient = rng.normal(size=(5, 4)).astype(np.float32)
    away = np.abs(-gradient * 0.2 / EVEN.step)
    away = np.minimum(away, 3.0)
    writes = rule.step(gradient, 0.2)
    written = np.unique(writes.device >> 1)
    waiting = np.setdiff1d(np.flatnonzero(away.ravel() > 0.5), written)
    if len(waiting):
        assert len(written) == least
        assert away.ravel()[written].min() >= away.ravel()[waiting].max() - 1e-3
    for _ in range(20):
        exact(rule, rule.step(np.zeros_like(gradient), 0.2))
    assert np.abs(rule.weights / EVEN.step - rule.codes).max() <= 0.5 + 1e-4


def test_worn_weights_do_not_stand_in_the_way_of_others():
    rule = Budgeted(
        start_at(np.zeros((1, 2))), BudgetedOptions(budget=1e-6, least=1, write_limit=1, fade=0.0)
    )
    first = np.array([[-1.2 * EVEN.step, -0.6 * EVEN.step]], np.float32)
    assert rule.step(first, 1.0).device.tolist() == [0]
    # The first one is worn, and furthest from its level again.
    assert rule.step(first * [[1.0, 0.0]], 1.0).device.tolist() == [2]


def test_rescaling_is_free_of_the_budget(rng):
    rule = Budgeted(
        start_at(rng.normal(size=(20, 10)) * 0.4), BudgetedOptions(budget=0.01, least=1)
    )
    rule.step(np.zeros((20, 10), np.float32), 0.1)
    writes = rule.rescale(2.8)
    assert writes.weights > 20
    assert np.abs(rule.weights / rule.coding.step - rule.codes).max() <= 0.5 + 1e-4
    assert rule.step(rng.normal(size=(20, 10)).astype(np.float32), 0.1).weights <= 2


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Budgeted, BudgetedOptions(budget=0.1, least=1, accumulate=2, write_limit=4)),
        (Eapu, EapuOptions(ratio=8.0)),
        (Patient, PatientOptions(hysteresis=0.5, rise=8)),
    ],
)
def test_restored_state_continues_alike(kind, options, optimiser, rng):
    weights = rng.normal(size=(6, 5)) * 0.3
    gradients = rng.normal(size=(12, 6, 5)).astype(np.float32)
    rates = np.linspace(0.2, 0.05, 12)

    def make():
        rule = kind(start_at(weights, momentum=0.9, optimiser=optimiser), options)
        rule.verify(rule.first(), rule.first().level)
        return rule

    def play(rule, span):
        # A trainer renews the generator with every epoch.
        rule._rng = np.random.default_rng(span.start)
        for k in range(span.start, span.stop):
            writes = rule.step(gradients[k], float(rates[k]))
            if writes is not None:
                rule.verify(writes, writes.level * np.float32(0.95))

    whole, first, second = make(), make(), make()
    play(whole, slice(0, 5))
    play(whole, slice(5, 12))
    play(first, slice(0, 5))
    second.restore(first.state())
    play(second, slice(5, 12))
    np.testing.assert_array_equal(whole.weights, second.weights)
    np.testing.assert_array_equal(whole.codes, second.codes)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([EVEN, UNEVEN]),
    st.floats(0.0, 2.0),
    st.floats(0.0, 3.0),
    st.integers(0, 6),
)
def test_patience_ends_where_the_hysteresis_of_the_rate_does(
    seed, coding, hysteresis, narrow, rise
):
    rng = np.random.default_rng(seed)
    options = PatientOptions(hysteresis=hysteresis, narrow=narrow, rise=rise)
    rule = Patient(start_at(rng.normal(size=(9, 7)) * 0.4, coding, momentum=0.5), options)
    exact(rule, rule.first())
    for rate in (0.5, 0.5, 0.4, 0.2, 0.05):
        before, codes = rule.weights.copy(), rule.codes.copy()
        exact(rule, rule.step(rng.normal(size=(9, 7)).astype(np.float32), rate))
        assert rule.hysteresis(rate) == pytest.approx(hysteresis * (rate / 0.5) ** narrow)
        code = coding.quantiser.code(rule.weights / np.float32(coding.step))
        moved = rule.codes != codes
        # What was written is at its own level, what was not has not left its band.
        assert np.abs(code - rule.codes)[moved].max(initial=0.0) <= 0.5 + 1e-4
        assert np.abs(code - rule.codes).max() <= 0.5 + rule.hysteresis(rate) + 1e-4
        assert (before != rule.weights).any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.0, 0.4))
def test_patience_without_any_is_the_siamese_update(seed, hysteresis):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(6, 5)) * 0.4
    patient = Patient(start_at(weights), PatientOptions(hysteresis=hysteresis, narrow=0.0, rise=0))
    plain = Siamese(start_at(weights), SiameseOptions(hysteresis=hysteresis))
    for rate in (0.2, 0.2, 0.1, 0.1, 0.05):
        gradient = rng.normal(size=(6, 5)).astype(np.float32)
        for rule in (patient, plain):
            exact(rule, rule.step(gradient, rate))
        np.testing.assert_array_equal(patient.codes, plain.codes)
        np.testing.assert_array_equal(patient.weights, plain.weights)


def test_rates_rise_over_updates_not_over_batches_that_are_gathered():
    rule = Patient(start_at(np.zeros((1, 1))), PatientOptions(hysteresis=9.0, rise=4, accumulate=2))
    moved = []
    for _ in range(12):
        before = float(rule.weights[0, 0])
        rule.step(np.full((1, 1), -0.01, np.float32), 1.0)
        moved.append(float(rule.weights[0, 0]) - before)
    np.testing.assert_allclose(moved[1::2], np.array([1, 2, 3, 4, 4, 4]) * 0.0025, rtol=1e-4)
    assert moved[::2] == [0.0] * 6


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(-0.9, 0.9))
def test_eapu_keeps_the_mean_change(seed, share):
    """As many weights as give a mean: each changes by the least change or not at all."""
    rule = Eapu(start_at(np.zeros((200, 100)), seed=seed), EapuOptions(noise=0.02, ratio=5.0))
    least = 0.1 * EVEN.clip
    exact(rule, rule.first())
    writes = rule.step(np.full((200, 100), -share * least, np.float32), 1.0)
    exact(rule, writes)
    changed = rule.weights[rule.weights != 0.0]
    np.testing.assert_allclose(changed, np.sign(share) * least, rtol=1e-5)
    assert writes.weights == changed.size
    sigma = np.sqrt(max(abs(share) * (1 - abs(share)), 1e-4) / 20000)
    assert abs(changed.size / 20000 - abs(share)) < 5 * sigma


def test_eapu_writes_larger_changes_as_they_are_and_learns_from_the_verify_read():
    rule = Eapu(start_at(np.zeros((1, 2))), EapuOptions(noise=0.01, ratio=5.0))
    exact(rule, rule.first())
    writes = rule.step(np.array([[-0.7, 0.35]], np.float32), 1.0)
    assert writes.device.tolist() == [0, 3]
    np.testing.assert_allclose(writes.level, [3.5, 1.75], rtol=1e-5)
    rule.verify(writes, np.array([3.0, 2.0], np.float32))
    np.testing.assert_allclose(rule.weights, [[0.6, -0.4]], rtol=1e-5)
    # A change of sign touches both devices.
    writes = rule.step(np.array([[0.8, 0.0]], np.float32), 1.0)
    assert (writes.device.tolist(), writes.weights) == ([0, 1], 1)
    np.testing.assert_allclose(writes.level, [0.0, 1.0], atol=1e-5)


def test_options_are_reached_from_configurations():
    config = load_config(
        "mlp",
        ["training.rule=budgeted", "training.rule_options.reach=3", "training.hysteresis=0.2"],
    )
    assert config.training.of_rule == BudgetedOptions(reach=3.0, hysteresis=0.2)
    config = load_config("mlp", ["training.rule=eapu", "training.rule_options.ratio=4"])
    assert config.training.of_rule == EapuOptions(ratio=4.0)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (BudgetedOptions(), {"budget": 0.0}, "budget must be above 0 and at most 1, got 0.0"),
        (BudgetedOptions(), {"reach": 0.5}, "no weight would ever be written, reach = 0.5"),
        (BudgetedOptions(), {"least": 1.5}, "least must be a whole number"),
        (PatientOptions(), {"narrow": -1.0}, "narrow must be at least 0"),
        (PatientOptions(), {"rise": 1.5}, "rise must be a whole number"),
        (EapuOptions(), {"ratio": 200.0}, "at most the whole range of 1, got 2"),
        (EapuOptions(), {"noise": float("nan")}, "noise must be above 0"),
    ],
)
def test_bad_options_are_one_sentence(kind, change, words):
    with pytest.raises(InputError, match=words):
        replace(kind, **change)


def test_momentum_does_not_wind_up():
    """A weight that is pushed for long, and not written, comes back as soon as the push turns."""
    rule = Budgeted(
        Start(np.zeros((1, 2), np.float32), EVEN, Sgd((1, 2), 0.0)),
        BudgetedOptions(budget=1e-6, least=1, fade=0.0, reach=1.0, write_limit=None),
    )
    push = np.array([[-9.0, -0.4]], np.float32) * np.float32(EVEN.step)
    for _ in range(6):
        rule.step(push, 1.0)
    waiting = rule.weights[0, 1] / EVEN.step - rule.codes[0, 1]
    assert waiting <= 1.0 + 1e-5


TILE = Tile(32, 32, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))


def trainer_by(rule, **options):
    crossbar = Crossbar(TILE, Effects(), MappingOptions(clip=5.0))
    chosen = TrainOptions(epochs=4, batch=20, decay=0.8, rule=rule, rule_options=options)
    twin = build_twin(mlp(64, 32, 10), crossbar, Ideal)
    return Trainer(twin, load_data("digits"), chosen, nominal_pricing(16), seed=3)


@pytest.mark.parametrize("rule", ["budgeted", "eapu", "patient"])
def test_a_training_that_was_broken_off_goes_on_bit_for_bit(tmp_path, rule):
    whole, broken, resumed = (trainer_by(rule) for _ in range(3))
    for _ in range(3):
        whole.run_epoch()
    broken.run_epoch()
    save_checkpoint(tmp_path / "c.h5", broken)
    load_checkpoint(tmp_path / "c.h5", resumed)
    for _ in range(2):
        resumed.run_epoch()
    for one, other in zip(whole.updates, resumed.updates, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        np.testing.assert_array_equal(one.codes, other.codes)
    assert [each.cost for each in whole.records] == [each.cost for each in resumed.records]


def test_a_training_keeps_its_budget_and_learns():
    found = trainer_by("budgeted", least=8)
    batches = -(-len(found.images.x_train) // 20)
    for epoch in range(4):
        record = found.run_epoch()
        room = sum(update.room(0.1 * 0.8**epoch) for update in found.updates)
        assert 0 < record.cost.weights <= room * batches
    assert record.test_accuracy > 0.85
