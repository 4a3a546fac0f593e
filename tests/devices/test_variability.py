from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from memtwin.data.catalogue import fetch
from memtwin.data.errors import InputError
from memtwin.data.importers.arrays import read_relaxation, read_table
from memtwin.data.measurement import Relaxation
from memtwin.devices.models import models
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.noise import ReadNoise, fit_read_noise
from memtwin.devices.spread.parameters import fit_parameters
from memtwin.devices.spread.pcm import PcmDrift, PcmProgramming, PcmReadNoise
from memtwin.devices.spread.programming import Programming
from memtwin.devices.spread.relaxation import fit_relaxation
from memtwin.devices.spread.stuck import Stuck
from memtwin.devices.spread.wear import Wear, fit_wear


def make_cells(rng, count=6000):
    """Student-t changes whose width grows with time and falls with conductance."""
    t = np.array([0.0, 0.1, 10.0, 1000.0])
    g = rng.uniform(10e-6, 100e-6, count)
    width = 1e-6 * (1.2 - g / 100e-6)
    z = rng.standard_t(3, count)
    change = np.stack(
        [np.zeros(count)]
        + [width * (1 + k) * (z + 0.3 * rng.standard_normal(count)) for k in range(3)]
    ).T
    return Relaxation("t3", t, g[:, None] + change, np.zeros(count, np.int64))


def test_relaxation_recovers_quantiles_between_and_at_known_times(rng):
    cells = make_cells(rng)
    spread = fit_relaxation(cells, states=8)
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    for g in (30e-6, 80e-6):
        fresh = make_cells(np.random.default_rng(1), 200_000)
        near = np.abs(fresh.g[:, 0] - g) < 2e-6
        for k in (1, 2, 3):
            truth = np.quantile(fresh.change[near, k], shares)
            model = spread.quantile(shares, g, float(fresh.t[k]))
            np.testing.assert_allclose(model, truth, atol=0.12 * np.ptp(truth))
        # half way in log time lies half way in width
        middle = np.ptp(spread.quantile(shares, g, 100.0))
        ends = [np.ptp(spread.quantile(shares, g, t)) for t in (10.0, 1000.0)]
        assert middle == pytest.approx(np.mean(ends), rel=0.05)


def test_one_cell_keeps_its_luck(rng):
    spread = fit_relaxation(make_cells(rng), states=4)
    drawn = spread.sample(np.full(4000, 50e-6), [0.0, 0.1, 1000.0], rng)
    np.testing.assert_allclose(drawn[0], 50e-6)
    assert np.corrcoef(stats.rankdata(drawn[1]), stats.rankdata(drawn[2]))[0, 1] > 0.7
    assert drawn[2].std() > drawn[1].std()
    assert drawn.min() >= 0


def test_too_few_cells_are_named(rng):
    with pytest.raises(InputError, match=r"t3: \d+ cells near .* ask for fewer states than 50"):
        fit_relaxation(make_cells(rng, 300), states=50)


@pytest.mark.data
def test_relaxation_bar_on_held_out_cells():
    """Quantiles 5 to 95 % within a tenth, at every time point, on the other half of the cells: of
    the conductance, and of the change by its span.
    """
    (path,) = fetch("rram-relaxation-3tech", "techB/relaxdata*")
    cells = read_relaxation(path, g_max=128e-6)
    half = np.random.default_rng(1).random(len(cells.level)) < 0.5
    seen = replace(cells, g=cells.g[half], level=cells.level[half])
    unseen = replace(cells, g=cells.g[~half], level=cells.level[~half])
    spread = fit_relaxation(seen)
    rng = np.random.default_rng(0)
    shares = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    for k in range(1, len(cells.t)):
        read = np.isfinite(unseen.g[:, k])
        start = np.tile(unseen.g[read, 0], 5)
        drawn = spread.sample(start, float(cells.t[k]), rng)
        ratio = np.quantile(drawn, shares) / np.quantile(unseen.g[read, k], shares)
        assert np.abs(ratio - 1.0).max() < 0.05
        model = np.quantile(drawn - start, shares)
        truth = np.quantile(unseen.change[read, k], shares)
        assert np.abs(model - truth).max() < 0.1 * np.ptp(truth)
    # growing and state-dependent, as published
    wide = [np.ptp(spread.quantile([0.05, 0.95], 40e-6, t)) for t in (0.01, 1.0, 1e4)]
    assert wide[0] < wide[1] < wide[2]
    assert np.ptp(spread.quantile([0.05, 0.95], 100e-6, 1e4)) < 0.2 * wide[2]


def test_pcm_statistics_as_published(rng):
    g = np.full(40_000, 10e-6)
    x = 0.4
    sigma = 1e-6 * (-1.1731 * x**2 + 1.9650 * x + 0.2635)
    assert PcmProgramming().sample(g, rng).std() == pytest.approx(sigma, rel=0.03)
    later = PcmDrift().sample(g, 20e3, rng)
    exponent = -np.log(later / g) / np.log(1000.0)
    assert exponent.mean() == pytest.approx(0.049, abs=0.002)
    assert (PcmDrift().sample(g, 20.0, rng) == g).all()
    late, early = (PcmReadNoise(t=t).sample(g, rng).std() for t in (1e3, 1.0))
    assert late > early


def test_read_noise_comes_back(rng):
    g = np.geomspace(1e-6, 1e-4, 12)
    truth = ReadNoise(0.02, 0.6, 1e-5)
    traces = g[:, None] + truth.sigma(g)[:, None] * rng.standard_normal((12, 4000))
    found = fit_read_noise(traces, g_ref=1e-5)
    assert found.scale == pytest.approx(0.02, rel=0.03)
    assert found.power == pytest.approx(0.6, abs=0.02)
    with pytest.raises(InputError, match="3 reads per cell are too few"):
        fit_read_noise(np.ones((2, 3)))
    with pytest.raises(InputError, match="hold no noise"):
        fit_read_noise(np.ones((2, 30)))


@pytest.mark.data
def test_read_noise_of_a_measured_cell():
    (path,) = fetch("ni-rram-1t1r-endurance-retention", "ret1.csv")
    noise = fit_read_noise(read_table(path, "retention")["g"][None])
    assert noise.g_ref == pytest.approx(93e-6, rel=0.02)
    assert 0.002 < noise.scale < 0.02


def test_weibull_comes_back(rng):
    life = Wear(1e6, 1.7).sample((3000,), rng)
    end = 1.2e6
    found = fit_wear(np.minimum(life, end), life < end)
    assert found.writes == pytest.approx(1e6, rel=0.06)
    assert found.shape == pytest.approx(1.7, rel=0.06)
    with pytest.raises(InputError, match="1 failure is too few"):
        fit_wear([1.0, 2.0, 3.0], [True, False, False])


def test_an_array_of_real_devices(rng):
    array = Effects(
        programming=Programming(0.5, g_ref=1e-6),
        read=ReadNoise(0.01),
        stuck=Stuck(0.03, high=1 / 3, g_low=1e-6, g_high=1e-4),
        wear=1e4,
        relaxation=fit_relaxation(make_cells(rng), states=4),
    )
    g = np.full((200, 200), 50e-6)
    read = array.sample(g, [0.0, 10.0, 1000.0], rng)
    assert read.shape == (3, 200, 200)
    assert np.mean(np.abs(read[0] - 1e-6) < 0.2e-6) == pytest.approx(0.02, abs=0.004)
    assert np.median(read[0]) == pytest.approx(50e-6, rel=0.02)
    assert read[2].std() > read[0].std()
    assert array.sample(g, 10.0, rng).shape == g.shape
    np.testing.assert_array_equal(
        array.sample(g, 10.0, np.random.default_rng(1)),
        array.sample(g, 10.0, np.random.default_rng(1)),
    )
    mixed = np.where(np.arange(200) % 2, 50e-6, 20e-6) * np.ones((200, 1))
    plain = Effects(programming=0.0, read=0.0, wear=Wear(1e4, 5.0))
    assert (plain.sample(mixed, 0.0, rng) == mixed).all()
    assert np.mean(plain.sample(mixed, 0.0, rng, writes=1e6) == mixed) == pytest.approx(
        0.5, abs=0.05
    )


def test_pcm_cells_drift_with_one_exponent_each(rng):
    array = Effects(programming=0.0, read=0.0, drift=PcmDrift())
    read = array.sample(np.full(2000, 10e-6), [20.0, 2e3, 2e5], rng)
    first, second = np.log(read[1] / read[0]), np.log(read[2] / read[0])
    np.testing.assert_allclose(second, 2 * first, rtol=1e-9, atol=1e-12)


def test_impossible_probabilities_and_targets(rng):
    with pytest.raises(InputError, match="the last two together at most 1"):
        Stuck(0.7, 0.7, 0.7)
    with pytest.raises(InputError, match="finite and 0 S or more"):
        Effects().sample([-1.0], 0.0, rng)


def fake_fit(parameters, unidentified=()):
    return SimpleNamespace(
        model=models["yakopcic"],
        parameters=models["yakopcic"].defaults | parameters,
        unidentified=dict.fromkeys(unidentified, "test"),
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_sampled_parameters_keep_their_bounds(seed):
    rng = np.random.default_rng(seed)
    fits = [
        fake_fit({"b_p": b, "a_p": a})
        for b, a in zip(rng.uniform(1, 24.9, 5), 10 ** rng.uniform(-9, 0.9, 5), strict=True)
    ]
    drawn = fit_parameters(fits).sample(500, rng)
    for name in ("a_p", "b_p"):
        row = models["yakopcic"].parameter(name)
        assert (drawn[name] >= row.lower).all()
        assert (drawn[name] <= row.upper).all()
    assert set(drawn) == set(models["yakopcic"].names)
    assert np.ptp(drawn["v_p"]) == 0


def test_correlated_parameters_stay_correlated(rng):
    z = rng.standard_normal((200, 2)) @ np.array([[1.0, 0.9], [0.0, 0.4]])
    fits = [fake_fit({"b_p": 5 + 0.1 * a, "b_n": 4 + 0.1 * b}, ("A_p",)) for a, b in z]
    drawn = fit_parameters(fits).sample(4000, rng)
    assert np.corrcoef(drawn["b_p"], drawn["b_n"])[0, 1] == pytest.approx(
        np.corrcoef(z.T)[0, 1], abs=0.05
    )
    assert drawn["b_p"].std() == pytest.approx(0.1, rel=0.1)
    assert np.ptp(drawn["A_p"]) == 0
    with pytest.raises(InputError, match="2 fits are too few"):
        fit_parameters(fits[:2])
