"""Laws of non-ideality: closed forms, what fits give back, records and tables of configurations."""

import json
from dataclasses import fields

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.data.measurement import Relaxation, Table
from memtwin.devices.cycles.autoregression import CycleLaw
from memtwin.devices.device import Device
from memtwin.devices.models import models
from memtwin.devices.spread.drift import Drift, fit_drift
from memtwin.devices.spread.effects import Effects, Laws
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.parameters import Lognormal, ParameterSpread
from memtwin.devices.spread.pcm import PcmDrift, PcmProgramming, PcmReadNoise
from memtwin.devices.spread.programming import Programming, ProgrammingQuantiles, fit_programming
from memtwin.devices.spread.pulse import PulseSpread
from memtwin.devices.spread.reach import Reach
from memtwin.devices.spread.record import LAWS, law_of, law_tree, load_law, said, save_law
from memtwin.devices.spread.relaxation import Jump, RelaxationQuantiles
from memtwin.devices.spread.stuck import Stuck
from memtwin.devices.spread.wear import Wear, failures

QUANTILES = RelaxationQuantiles(
    g=np.array([1e-6, 1e-4]),
    t=np.array([1.0, 100.0]),
    z=np.array([-1.0, 0.0, 1.0]),
    change=1e-6 * np.array([[[-2, 0, 1], [-4, 0, 2]], [[-1, 0, 1], [-2, -1, 2]]], float),
    correlation=np.array([[1.0, 0.6], [0.6, 1.0]]),
    g_limit=(0.0, 2e-4),
)
JOINT = ParameterSpread(
    "vteam",
    ("k_set",),
    np.array([0.2]),
    np.array([[0.01]]),
    np.array([[1e-3, 1e9]]),
    np.array([True]),
    {"r_on": 1e3},
)
CYCLES = CycleLaw(
    ("r_hrs", "v_set"),
    np.array([True, False]),
    np.array([12.0, 0.8, -1.0, -3.0]),
    0.1 * np.eye(4),
    np.stack([np.linspace(-4.0, 4.0, 9)] * 2),
    np.array([[[0.5, 0.1], [0.0, 0.3]]]),
    np.array([[0.8, 0.0], [0.2, 0.9]]),
)
EXAMPLES = {
    "programming": [
        Programming(0.02, 0.5, 1e-5),
        PcmProgramming(2e-5),
        CYCLES,
        ProgrammingQuantiles(np.array([1e-5, 1e-4]), 1e-6 * np.array([[-2.0, 0, 1], [-4, 0, 3]])),
    ],
    "read": [ReadNoise(0.01), PcmReadNoise(t=3.0)],
    "reach": [Reach(0.1)],
    "relaxation": [Jump(0.02), QUANTILES],
    "drift": [Drift(0.05, 2.0, 0.01), PcmDrift(t_0=10.0)],
    "stuck": [Stuck(0.1, 0.2, 0.3, g_high=1e-3)],
    "wear": [Wear(1e5, 1.5)],
    "parameters": [Lognormal({"k_set": 0.1, "v_set": 0.02}), JOINT],
    "pulses": [PulseSpread(0.04), CYCLES],
}


def test_every_law_is_tried():
    assert {s: [type(law) for law in laws] for s, laws in EXAMPLES.items()} == {
        subject: list(kinds.values()) for subject, kinds in LAWS.items()
    }
    assert set(Laws._fields) <= LAWS.keys()


@pytest.mark.parametrize("law", [law for laws in EXAMPLES.values() for law in laws], ids=repr)
def test_a_law_comes_back_from_its_record_and_its_table(law, tmp_path):
    subject = next(name for name, laws in EXAMPLES.items() if law in laws)
    text = json.loads(json.dumps(law_tree(law, plain=True)))
    for again in (
        load_law(save_law(law, tmp_path / "law.h5"), subject),
        law_of(subject, text, "here"),
    ):
        assert type(again) is type(law)
        for item in fields(law):
            mine, theirs = getattr(law, item.name), getattr(again, item.name)
            np.testing.assert_array_equal(mine, theirs)
            assert np.asarray(mine).dtype == np.asarray(theirs).dtype
    if not any(isinstance(getattr(law, item.name), np.ndarray) for item in fields(law)):
        assert again == law


def test_a_record_of_another_subject_is_refused(tmp_path):
    path = save_law(Wear(1e5), tmp_path / "wear.h5")
    with pytest.raises(InputError, match=r"wear.h5 holds a law of wear, expected one of read"):
        load_law(path, "read")
    with pytest.raises(InputError, match=r"effects.read: .*holds a law of wear"):
        assert Effects(read=str(path)).laws
    with pytest.raises(InputError, match="there is no law record at"):
        assert Effects(read="nowhere.h5").laws
    with pytest.raises(InputError, match="no law of the kind dict"):
        save_law({}, path)


@pytest.mark.parametrize(
    ("subject", "value", "sentence"),
    [
        ("read", {"scale": 0.1, "pwr": 1}, r"unknown key 'x.pwr' \(did you mean 'power'"),
        ("read", {"power": 1.0}, "x: 'scale' is missing"),
        ("read", {"scale": "much"}, "x.scale: can't be 'much'"),
        ("read", {"scale": True}, "x.scale: can't be True"),
        ("drift", {"kind": "pmc"}, r"x: unknown kind 'pmc' \(did you mean 'pcm'"),
        ("parameters", {"sigma": {"k_set": "x"}}, "x.sigma.k_set: can't be 'x'"),
        ("relaxation", {"kind": "quantiles", "g": [[1], [1, 2]]}, "'t' is missing"),
        ("wear", [1, 2], "x: expected a number, a path, a table or Wear"),
        ("wear", True, "x: expected a number"),
        ("wear", Reach(0.1), "x: expected a number"),
    ],
)
def test_what_is_no_law_gets_one_sentence(subject, value, sentence):
    with pytest.raises(InputError, match=sentence):
        said(subject, value, "x")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Programming(-0.1),
        lambda: Programming(0.1, g_ref=0.0),
        lambda: Reach(np.nan),
        lambda: Stuck(0.1, high=0.6, opened=0.6),
        lambda: Stuck(0.1, g_low=-1.0),
        lambda: Drift(-0.1),
        lambda: Drift(0.1, t_0=0.0),
        lambda: Wear(0.0),
        lambda: PulseSpread(3.0),
        lambda: Lognormal({"k": -0.1}),
        lambda: RelaxationQuantiles(*(np.zeros(2),) * 3, np.zeros((2, 2)), np.eye(2), (0.0, 1.0)),
        lambda: ParameterSpread(
            "vteam", ("a",), np.zeros(2), np.eye(1), np.eye(2), np.ones(1, bool), {}
        ),
        lambda: Effects(seconds=0.0),
        lambda: Effects(wear=-1.0),
        lambda: Effects(stuck_high=2.0),
        lambda: Effects.of({"stuck_high": "x"}),
        lambda: Effects.of({"stuck_high": None}),
        lambda: Effects.of([1]),
    ],
)
def test_impossible_laws_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()


@pytest.mark.parametrize(
    ("law", "sigma"),
    [
        (Programming(0.02), 0.02 * 5e-5),
        (Programming(0.5, g_ref=1e-6), 5e-7),
        (ReadNoise(0.02), 0.02 * 2e-5),
        (ReadNoise(0.02, 0.5, 5e-6), 0.02 * 5e-6 * 4**0.5),
        (Jump(0.01, 2.0, 1e-5), 0.01 * 1e-5 * 2**2),
        (Programming(0.01, -1.0, 1e-5), 0.01 * 1e-5 / 2),
    ],
)
def test_a_deviation_is_a_power_law_of_the_conductance(law, sigma, rng):
    assert law.sigma(2e-5, 5e-5) == pytest.approx(sigma)
    drawn = law.sample(np.full(40_000, 2e-5), rng, 5e-5)
    assert drawn.std() == pytest.approx(sigma, rel=0.02)
    assert drawn.mean() == pytest.approx(2e-5, abs=4 * sigma / 200)
    share = law.share(5e-5)
    assert share is None or share == pytest.approx(sigma / 5e-5)


def test_a_share_of_the_range_needs_the_range(rng):
    assert Programming(0.0).sample(1e-5, rng) == 1e-5
    with pytest.raises(InputError, match="share of the levels' range"):
        Programming(0.1).sample(1e-5, rng)
    with pytest.raises(InputError, match="share of the levels' range"):
        Effects().sample([1e-5], 0.0, rng)
    with pytest.raises(InputError, match="reach is a share"):
        Effects(programming=0.0, read=0.0, reach=0.1).sample([1e-5], 0.0, rng)


def test_programming_error_comes_back(rng):
    target = np.repeat(np.geomspace(1e-6, 1e-4, 9), 2000)
    law = Programming(0.03, 0.4, 1e-5)
    found = fit_programming(target, law.sample(target, rng))
    assert found.sigma(2e-5) == pytest.approx(law.sigma(2e-5), rel=0.03)
    assert found.power == pytest.approx(0.4, abs=0.02)
    with pytest.raises(InputError, match="at most 1 writes to one target"):
        fit_programming([1.0, 2.0], [1.0, 2.0])


def test_drift_comes_back(rng):
    t = np.array([0.0, 1.0, 10.0, 100.0, 1000.0])
    truth = Drift(0.06, 1.0, 0.01)
    g = truth.sample(np.full(3000, 5e-5), t, rng).T
    g[5, 2] = np.nan
    found = fit_drift(Relaxation("r", t, g, np.zeros(3000, np.int64)))
    assert (found.exponent, found.spread) == (
        pytest.approx(0.06, abs=1e-3),
        pytest.approx(0.01, rel=0.05),
    )
    assert found.t_0 == 1.0
    with pytest.raises(InputError, match="r: 2 cells that conduct"):
        fit_drift(Relaxation("r", t, g[:2], np.zeros(2, np.int64)))


def test_drift_is_its_closed_form(rng):
    g = np.array([1e-5, 4e-5])
    np.testing.assert_allclose(Drift(0.1).sample(g, 9, rng), g * 10**-0.1)
    np.testing.assert_allclose(Drift(0.1, 3.0).sample(g, [0, 6], rng), [g, g * 3**-0.1])


def test_cells_fail_where_their_window_closes_for_good():
    cycle = np.tile([1.0, 10.0, 100.0], 3)
    table = Table(
        "t",
        {
            "address": np.repeat([4.0, 5.0, 6.0], 3),
            "r_set": np.full(9, 1e3),
            "r_reset": 1e3 * np.array([9, 1, 9, 9, 9, 1, 1, 1, 1.0]),
            "cycle": cycle,
        },
        {"address": "1", "r_set": "ohm", "r_reset": "ohm", "cycle": "1"},
    )
    writes, failed = failures(table)
    np.testing.assert_array_equal(writes, [200, 200, 2])
    np.testing.assert_array_equal(failed, [False, True, True])
    with pytest.raises(InputError, match=r"t: .*, here cycle, r_reset, r_set are missing"):
        failures(Table("t", {"address": cycle}, {"address": "1"}))


def test_aged_cells_follow_the_quantiles_of_their_law(rng):
    g = np.full(60_000, 1e-4)
    luck = rng.standard_normal((2, g.size))
    for age, share in ((1.0, 0.0), (100.0, 1.0), (10.0, 0.5)):
        later = QUANTILES.later(g, age, luck)
        # between the known times, half way in log time, changes of one z lie half way
        low, middle, high = np.array([-1, 0, 1]) + share * np.array([-1, -1, 1])
        found = 1e6 * (np.quantile(later, [0.1587, 0.5, 0.8413]) - 1e-4)
        np.testing.assert_allclose(found, [low, middle, high], atol=0.06)
    np.testing.assert_array_equal(QUANTILES.later(g, 0.0, luck), g)
    ages = np.where(np.arange(g.size) % 2, 1.0, 100.0)
    mixed = QUANTILES.later(g, ages, luck)
    for age in (1.0, 100.0):
        np.testing.assert_array_equal(
            mixed[ages == age], QUANTILES.later(g, age, luck)[ages == age]
        )


def test_a_measured_spread_is_for_devices_of_its_model(rng):
    device = Device("d", models["yakopcic"], models["yakopcic"].defaults)
    with pytest.raises(InputError, match="learnt with the model vteam, device d is of yakopcic"):
        JOINT.sample(3, rng, device)


def test_numbers_mean_laws_in_shares_of_the_range():
    laws = Effects(0.02, 0.01, 0.1, 0.03, 0.05, 0.1, 0.2, 1e4).laws
    assert laws == Laws(
        Programming(0.02),
        ReadNoise(0.01, power=0.0),
        Reach(0.1),
        Jump(0.03),
        Drift(0.05),
        Stuck(0.1, 0.2),
        Wear(1e4),
    )
    off = Effects(programming=0.0, read=0.0).laws
    assert off == Laws(Programming(0.0), *[None] * 6)


def test_effects_come_back_from_their_table(tmp_path):
    path = save_law(ReadNoise(0.02, 0.3, 1e-5), tmp_path / "noise.h5")
    mine = Effects(
        programming=Programming(0.02, 1.0), read=str(path), drift=Drift(0.05, 1.0), seconds=0.5
    )
    again = Effects.of(json.loads(json.dumps(mine.tree())))
    assert again == mine
    assert mine.tree()["read"] == str(path)
    assert mine.identity()["read"] == law_tree(ReadNoise(0.02, 0.3, 1e-5))
    # What is not said is not told, so that older trainings are still the same ones.
    assert Effects().tree().keys() == {
        "programming", "read", "reach", "relaxation", "drift", "stuck", "stuck_high",
    }  # fmt: skip
    assert Effects().identity() == Effects().tree()
