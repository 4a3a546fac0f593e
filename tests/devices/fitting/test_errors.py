"""Errors that hold: residuals that are correlated, a bootstrap of blocks and of cycles."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import t

from memtwin.data.errors import InputError
from memtwin.data.measurement import Sweep
from memtwin.devices.device import Device
from memtwin.devices.fitting.errors.correlated import correlated, sandwich
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.fitting.result import load_fit
from memtwin.devices.models import models


def follows(rng, count, rho):
    white = rng.standard_normal(count + 400)
    return lfilter([np.sqrt(1.0 - rho**2)], [1.0, -rho], white)[400:]


def columns(points, count):
    """Return smooth and sharp derivatives, as those of a loop that switches."""
    x = np.linspace(0.0, 1.0, points)
    wide = [np.cos(np.pi * k * x) for k in range(count // 2)]
    sharp = [np.exp(-(((x - k / count) / 0.05) ** 2)) for k in range(1, count - count // 2 + 1)]
    return np.array(wide + sharp)


@pytest.mark.parametrize(("points", "rho"), [(121, 0.8), (300, 0.9), (200, 0.0)])
def test_intervals_hold_what_they_say_on_correlated_errors(points, rho):
    """Linear least squares, whose true parameters are zero: 95 % intervals hold them, over runs."""
    rng = np.random.default_rng(0)
    slopes = columns(points, 8)
    held, found = 0, []
    for _ in range(60):
        errors = follows(rng, points, rho)
        best, *_ = np.linalg.lstsq(slopes.T, errors, rcond=None)
        left = errors - slopes.T @ best
        how = correlated([left[None]], [slopes[:, None, :]])
        covariance = sandwich(slopes, [slopes[:, None, :]], np.zeros((8, 0)), how)
        reach = t.ppf(0.975, max(how.points - 8, 2.0)) * np.sqrt(np.diag(covariance))
        held += int((np.abs(best) <= reach).sum())
        found.append(how.rho)
    assert np.mean(found) == pytest.approx(rho, abs=0.08)
    assert 0.88 <= held / (60 * 8) <= 0.99


DEVICE = Device("d", models["vteam"], {"r_off": 1e4, "k_set": 1.0, "k_reset": 1.0})
HELD = ("a_set", "a_reset", "r_s")
T = np.linspace(0.0, 1.0, 81)
V = 1.2 * np.sin(2 * np.pi * T)


def fitted(count=1, *, rho=0.0, spread=0.0, seed=0, **held):
    rng = np.random.default_rng(seed)
    sweeps = []
    for k in range(count):
        own = {"r_off": DEVICE.parameters["r_off"] * np.exp(spread * rng.standard_normal())}
        i = DEVICE.simulate(T, V, 0.3, parameters=own).i
        noise = 0.01 * np.abs(i) + 1e-6
        sweeps.append(
            Sweep(f"s{k}", T, V, i + noise * follows(rng, len(T), rho), np.zeros(81, bool))
        )
    free = [r.name for r in DEVICE.model.parameters if r.name not in HELD and not r.fixed]
    return fit(
        DEVICE.model,
        sweeps,
        fixed={name: DEVICE.parameters[name] for name in HELD} | held,
        series=False,
        loss=Loss("error", relative=0.01, floor=1e-6),
        start={name: DEVICE.parameters[name] for name in free},
        starts=1,
        candidates=1,
    )


def test_blocks_say_what_the_covariance_says_where_errors_are_small(tmp_path):
    found = fitted(rho=0.5)
    drawn = found.bootstrap(draws=100)
    assert drawn.kind == "blocks"
    for name in ("r_off", "v_reset"):
        assert drawn.stderr[name] == pytest.approx(found.stderr[name], rel=0.5)
        low, high = drawn.interval(name)
        assert low < found.parameters[name] < high
    again = found.bootstrap(draws=100)
    np.testing.assert_array_equal(drawn.values, again.values)
    kept = found.with_errors(drawn)
    assert "errors by bootstrap of blocks" in str(kept)
    kept.save(tmp_path / "f.h5", keep_unconverged=True)
    loaded = load_fit(tmp_path / "f.h5")
    assert loaded.estimate.intervals["r_off"] == drawn.interval("r_off")
    assert loaded.summary()["errors"] == "bootstrap of blocks"


@pytest.mark.slow
def test_cycles_see_what_differs_between_cycles():
    """A resistance that differs by 10 % from cycle to cycle, noise of 1 %: one fit of them all knows nothing of it.

    The initial state is held: left free, each cycle's own takes up what its resistance differs by.
    """
    found = fitted(count=8, spread=0.1, seed=3, x0=0.3)
    drawn = found.bootstrap(draws=40)
    assert drawn.kind == "cycles"
    expected = 0.1 * DEVICE.parameters["r_off"] / np.sqrt(8)
    assert 0.4 * expected < drawn.stderr["r_off"] < 3.0 * expected


def test_what_can_not_be_drawn_is_refused():
    found = fitted()
    with pytest.raises(InputError, match="20 or more"):
        found.bootstrap(draws=5)
    with pytest.raises(InputError, match="take blocks"):
        found.bootstrap(kind="cycles")
