"""Races find the basin that descents from chance starts miss."""

import numpy as np

from memtwin.data.measurement import Sweep
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.fitting.search import descend, latin_hypercube, race
from memtwin.devices.fitting.space import make_space, thinned
from memtwin.devices.models import models


def rugged(z: np.ndarray, differentiate: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rastrigin's function as residuals: 3^4 minima in the cube, one of them at 0.4 with cost 0."""
    u = 3.0 * (z - 0.4)
    residual = np.concatenate([u, 2.0 * np.sin(np.pi * u)], axis=1).T
    eye = np.eye(z.shape[1])
    own = 3.0 * eye[:, :, None] * np.ones(len(z))
    wave = 2.0 * np.pi * np.cos(np.pi * u).T * own
    return residual, np.concatenate([own, wave], axis=1) if differentiate else np.empty((0, 0, 0))


def test_a_race_ends_in_the_best_basin_more_often_than_chance() -> None:
    raced = chance = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = latin_hypercube(32, 4, rng)
        alone = descend(rugged, drawn[:8], steps=60).costs
        ends = race(rugged, drawn, (np.zeros(4), np.ones(4)), 8, rng)
        chance += int((alone < 1e-6).sum())
        raced += int((descend(rugged, ends, steps=60).costs < 1e-6).sum())
    assert raced >= 4 * max(chance, 1)
    assert raced >= 0.6 * 80


def test_thinning_keeps_turns_and_the_ends_of_plateaus() -> None:
    t = np.linspace(0.0, 1.0, 2001)
    v = np.interp(t, [0.0, 0.313, 0.7317, 1.0], [0.0, 1.0, -1.0, 0.0])
    i = np.minimum(1e-3 * v**3, 2e-4)
    sweep = Sweep("s", t, v, i, i >= 2e-4, {"compliance": 2e-4})
    space = make_space(models["sinh"], [sweep], Loss("hybrid"))
    (thin,) = thinned(space).sweeps
    assert len(thin.t) < 120
    assert thin.v.max() == v.max()
    assert thin.v.min() == v.min()
    assert thin.t[thin.held][[0, -1]].tolist() == t[sweep.held][[0, -1]].tolist()
    assert thinned(make_space(models["sinh"], [thin], Loss("hybrid"))).sweeps[0] is thin


def sills(z: np.ndarray, differentiate: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rosenbrock's valley, in the floor of which the way down rises by half over a fifth of every 0.05."""
    x, y = 4.0 * z.T - 2.0
    left = np.mod((1.0 - x) / 0.05, 1.0)
    rises = left < 0.2
    floor = 1.0 - x + 0.05 * np.where(rises, -1.5 * left, 0.375 * (left - 1.0))
    slope = 1.0 + np.where(rises, -1.5, 0.375)
    by_z = [[-20.0 * x, -slope], [np.full_like(x, 10.0), np.zeros_like(x)]]
    return np.stack([10.0 * (y - x**2), floor]), 4.0 * np.array(by_z)


def test_steps_that_may_climb_leave_no_descent_before_a_sill() -> None:
    drawn = latin_hypercube(24, 2, np.random.default_rng(0))
    held = descend(sills, drawn, steps=84, bent=False).costs
    climbed = descend(sills, drawn, steps=84, bent=False, uphill=True)
    assert (held > 0.1).sum() >= 4
    assert (climbed.costs < 1e-2).all()
    # the least point on the way, not the last one
    np.testing.assert_array_equal(
        0.5 * (sills(climbed.points, False)[0] ** 2).sum(0), climbed.costs
    )
    again = descend(sills, drawn, steps=14, bent=False, uphill=True)
    for _ in range(7):
        again = descend(sills, again, steps=10, bent=False, uphill=True)
    np.testing.assert_array_equal(again.points, climbed.points)
