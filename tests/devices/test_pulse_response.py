import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from memtwin.data.catalogue import fetch
from memtwin.data.errors import InputError
from memtwin.data.importers.arrays import read_ramps, read_response
from memtwin.data.measurement import PulseTrain
from memtwin.devices.pulses.laws import LAWS
from memtwin.devices.pulses.ramp import fit_ramp, noise_floor
from memtwin.devices.pulses.ramp_spread import fit_spread
from memtwin.devices.pulses.response import (
    PulseResponse,
    fit_response,
    load_response,
    save_response,
)

P = 120
N = np.arange(P + 1.0)
TRUE = {
    "exponential": [1.0, 2.0, 2.5],
    "soft_bounds": [1.0, 2.2, 2.0],
    "exp_step": [1.0, 2.0, 4.0, 2.0],
    "power_step": [1.0, 2.0, 3.0, 1.8],
    "piecewise": [1.0, 2.0, 0.5, 0.8, 1.0, 0.6, 0.0, -0.5, -1.0],
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_come_back(name):
    law = LAWS[name]
    g = law.curve(N, np.array(TRUE[name]), P)
    result = fit_ramp(g, name)
    assert result.nrmse_percent < 0.02
    np.testing.assert_allclose(result.curve(N), g, atol=3e-4)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("soft_bounds", lambda g, p: p[2] * (p[1] - g)),
        (
            "exp_step",
            lambda g, p: (
                p[2] * (p[1] - p[0]) / p[3] * (1 - np.exp(p[3] * (g - p[1]) / (p[1] - p[0])))
            ),
        ),
        ("power_step", lambda g, p: p[2] * (p[1] - p[0]) * ((p[1] - g) / (p[1] - p[0])) ** p[3]),
    ],
)
def test_closed_forms_integrate_their_step(name, step):
    """An ODE solver is told the step law only."""
    p = np.array(TRUE[name])
    truth = solve_ivp(
        lambda n, g: step(g, p) / P, (0, P), p[:1], t_eval=N, rtol=1e-10, atol=1e-12
    ).y[0]
    np.testing.assert_allclose(LAWS[name].curve(N, p, P), truth, rtol=1e-8)


@given(st.floats(-20, 20))
@settings(max_examples=40, deadline=None)
def test_exponential_runs_from_start_to_stop(c):
    g = LAWS["exponential"].curve(N, np.array([1.0, 3.0, c]), P)
    assert g[0] == pytest.approx(1.0)
    assert g[-1] == pytest.approx(3.0)
    assert (np.diff(g) > -1e-12).all()


def make_train(rng, *, ramps=30, down=False, noise=2e-3, drift=0.0):
    ends = (2.0, 1.0) if down else (1.0, 2.0)
    g = [
        LAWS["exponential"].curve(
            N,
            np.array([*ends, 1.5])
            + rng.normal(0, [0.02, 0.02, 0.1])
            + drift * k * np.array([1, 1, 0]),
            P,
        )
        for k in range(ramps)
    ]
    return PulseTrain("synthetic", np.array(g) + noise * rng.standard_normal((ramps, P + 1)))


def test_spread_of_known_scatter(rng):
    spread = fit_spread(make_train(rng, ramps=60))
    np.testing.assert_allclose(np.sqrt(np.diag(spread.covariance)), [0.02, 0.02, 0.1], rtol=0.35)
    assert spread.noise == pytest.approx(2e-3, rel=0.1)
    np.testing.assert_allclose(spread.expected(0)[:2], [1.0, 2.0], atol=0.02)


def test_band_covers_new_ramps(rng):
    spread = fit_spread(make_train(rng, ramps=40, drift=5e-4))
    fresh = make_train(np.random.default_rng(5), ramps=80, drift=5e-4).g
    inside = []
    for k in range(40, 80):
        low, high = spread.band(N, k, rng, count=800)
        inside.append(np.mean((fresh[k] > low) & (fresh[k] < high)))
    assert 0.8 < np.mean(inside) < 0.99


def test_between_levels(rng):
    response = PulseResponse(fit_spread(make_train(rng)), fit_spread(make_train(rng, down=True)))
    levels = np.array([1.1, 1.4, 1.7, 1.9])
    pulses, spread = response.between(levels, rng)
    assert (np.diag(pulses) == 0).all()
    assert (np.diag(spread) == 0).all()
    # going up in two legs takes as many pulses as in one
    assert pulses[0, 3] == pytest.approx(pulses[0, 1] + pulses[1, 3], rel=1e-3)
    assert pulses[3, 0] == pytest.approx(pulses[3, 2] + pulses[2, 0], rel=1e-3)
    assert (pulses[~np.eye(4, dtype=bool)] > 1).all()
    assert (spread[~np.eye(4, dtype=bool)] >= response.up.noise * 0.9).all()
    # a law of known curvature: pulses up from 1.1 to 1.9
    c = 1.5
    exact = P / c * np.log((1 - 0.1 * -np.expm1(-c)) / (1 - 0.9 * -np.expm1(-c)))
    assert pulses[0, 3] == pytest.approx(exact, rel=0.05)


def test_one_pulse_up_and_down(rng):
    response = PulseResponse(fit_spread(make_train(rng)), fit_spread(make_train(rng, down=True)))
    up, _ = response.step(np.array([1.2, 1.8]), 1)
    down, _ = response.step(np.array([1.2, 1.8]), -1)
    assert (up > 0).all()
    assert (down < 0).all()
    assert up[0] > up[1]  # saturates upward
    assert down[0] > down[1]  # and downward
    with pytest.raises(InputError, match=r"goes up \(1\) or down"):
        response.step(np.array([1.2]), 0)


def test_a_response_comes_back_prints_and_draws_itself(rng, tmp_path):
    trains = [make_train(rng, down=True), make_train(rng)]
    response = fit_response(trains, name="mine")
    assert set(response.sides) == {"up", "down"}
    assert response.up.mean(N)[-1] > response.up.mean(N)[0]
    back = load_response(save_response(response, tmp_path / "r.h5"))
    levels = back.levels(4)
    assert 0.98 < levels[0] < levels[-1] < 2.02
    for one, other in zip(
        response.between(levels, np.random.default_rng(0)),
        back.between(levels, np.random.default_rng(0)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert str(back) == str(response)
    assert "up: 30 ramps of 120 pulses" in str(back)
    assert len(response.plot(tmp_path / "r.png").axes) == 3
    with pytest.raises(InputError, match="its ramps go up, and so do those before it"):
        fit_response([trains[1], trains[1]])


def test_one_direction_and_few_ramps_say_what_they_can(rng):
    few = PulseTrain("few", make_train(rng, ramps=2).g)
    response = fit_response([few])
    assert response.down is None
    assert (response.up.covariance == 0.0).all()
    pulses, _ = response.between(response.levels(3), rng)
    assert np.isfinite(pulses[np.triu_indices(3)]).all()
    assert np.isnan(pulses[np.tril_indices(3, -1)]).all()
    with pytest.raises(InputError, match="no ramp down is known"):
        response.step(np.array([1.2]), -1)


def test_noise_floor_of_known_noise(rng):
    smooth = LAWS["exponential"].curve(np.arange(1001.0), np.array([0.0, 1.0, 2.0]), 1000)
    noisy = smooth + 0.02 * rng.standard_normal(1001)
    assert noise_floor(noisy) == pytest.approx(100 * 0.02 / np.ptp(noisy), rel=0.05)
    assert noise_floor(smooth) < 0.01


def test_bad_ramps():
    with pytest.raises(InputError, match="needs 12 finite"):
        fit_ramp(np.ones(3))
    with pytest.raises(InputError, match="constant"):
        fit_ramp(np.ones(30))
    with pytest.raises(InputError, match="unknown pulse law 'exp'"):
        fit_ramp(np.arange(30.0), "exp")
    with pytest.raises(InputError, match="2 ramps are too few"):
        fit_spread(PulseTrain("p", np.tile(np.arange(30.0), (2, 1))))


@pytest.mark.data
@pytest.mark.parametrize("name", ["set", "reset"])
def test_crosssim_bars(name, rng):
    (path,) = fetch("crosssim-taox-ltp-ltd", f"{name}.csv")
    train = read_ramps(path, v_read=0.1)
    assert fit_ramp(train.mean).nrmse_percent < 0.6
    spread = fit_spread(train.ramps(0, 30))
    assert max(one.nrmse_percent for one in spread.fits) < 1.0
    n = np.arange(spread.pulses + 1.0)
    inside = []
    for k in range(30, 39):
        low, high = spread.band(n, k, rng)
        inside.append(np.mean((train.g[k, : len(n)] > low) & (train.g[k, : len(n)] < high)))
    assert 0.85 <= np.mean(inside) <= 0.95


@pytest.mark.data
def test_gong_bar():
    (path,) = fetch("aihwkit-gong-rram-ltp-ltd")
    for train in read_response(path):
        result = fit_ramp(train.g[0], "exp_step")
        assert result.nrmse_percent < 1.35 * result.floor_percent
