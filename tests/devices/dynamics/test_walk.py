"""All steps of a walk at once, against the same steps one after the other."""

import numpy as np
import pytest

from memtwin.devices.dynamics.walk import (
    Trail,
    Walk,
    all_at_once,
    held_recurrence,
    step_through,
)
from memtwin.devices.models import models
from memtwin.devices.series import Terminal

SINE = np.sin(np.linspace(0.0, 2.0 * np.pi, 121))
SETS = 5


def devices(name, spread, rng, r_s):
    model = models[name]
    args = [
        np.full(SETS, row.default)
        if row.fixed
        else np.clip(row.default * np.exp(spread * rng.standard_normal(SETS)), row.lower, row.upper)
        for row in model.parameters
    ]
    args[-1] = np.full(SETS, r_s)
    return Terminal(model, args)


@pytest.mark.parametrize("name", ["vteam", "yakopcic", "mms", "stanford", "knowm"])
@pytest.mark.parametrize("r_s", [0.0, 500.0])
def test_all_at_once_takes_the_steps_that_are_taken_one_after_the_other(name, r_s):
    """From each state that it found the next step leads to the next one."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        t = np.linspace(0.0, 10.0 ** rng.uniform(-6.0, 2.0), len(SINE))
        v, x0 = rng.uniform(0.2, 2.5) * SINE, rng.uniform(0.05, 0.95, SETS)
        there = devices(name, 0.1, np.random.default_rng(seed), r_s)
        with np.errstate(all="ignore"):
            # The guess is that of other devices, on other times.
            guess = step_through(devices(name, 0.3, rng, r_s), t[::3], v[::3], x0, None)
            found = all_at_once(there.fresh(), t, v, x0, guess)
            next_ones = np.array(
                [
                    step_through(there.fresh(), t[k : k + 2], v[k : k + 2], found.x[k], None).x[1]
                    for k in range(len(t) - 1)
                ]
            )
            truth = step_through(there.fresh(), t, v, x0, None)
        # Within what one step leaves open: its voltage is settled to 1e-5, which a jump magnifies.
        np.testing.assert_allclose(found.x[1:], next_ones, atol=1e-3)
        # Jumps within a sample magnify that once more, at most.
        assert np.abs(found.x - truth.x).max() < 0.02


def test_a_guess_from_nowhere_is_corrected():
    t, v, x0 = np.linspace(0.0, 1.0, len(SINE)), 1.5 * SINE, np.full(SETS, 0.3)
    there = devices("yakopcic", 0.1, np.random.default_rng(1), 200.0)
    truth = step_through(there.fresh(), t, v, x0, None)
    wild = np.random.default_rng(2).uniform(0.0, 1.0, (len(t), SETS))
    guess = Walk(t, wild, np.zeros((len(t) - 1, SETS)), truth.ohms)
    np.testing.assert_allclose(all_at_once(there, t, v, x0, guess).x, truth.x, atol=1e-6)


def test_a_trail_gives_the_nearest_walk_of_every_sweep():
    """Two sweeps of three points: columns are sweep by sweep."""
    trail, t = Trail(), np.linspace(0.0, 1.0, 4)
    assert trail.near(np.zeros((1, 2))) is None
    points = np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]])
    x = np.tile(np.arange(6.0), (4, 1))
    trail.keep(points, Walk(t, x, x[1:], x[1:]))
    near = trail.near(np.array([[0.85, 0.95], [0.2, 0.1]]))
    assert near is not None
    np.testing.assert_array_equal(near.x[0], [2.0, 0.0, 5.0, 3.0])
    finer = np.linspace(0.0, 1.0, 9)
    states, inner = near.at(finer)
    assert states.shape == (9, 4)
    assert inner.shape == (8, 4)
    np.testing.assert_allclose(states[:, 0], 2.0)


def test_moves_are_those_of_the_recurrence_that_bounds_hold(rng):
    """Along a path that touches its bounds, as one step after the other has it."""
    grow = np.exp(rng.normal(0.0, 2.0, (200, 4)))
    push = rng.normal(0.0, 0.2, grow.shape)
    low, high = -rng.random(grow.shape), rng.random(grow.shape)
    low[:, 3], high[:, 3], grow[:, 3] = -np.inf, np.inf, 0.9  # a state without bounds
    y, expected = np.zeros(4), []
    for k in range(len(grow)):
        y = np.minimum(np.maximum(grow[k] * y + push[k], low[k]), high[k])
        expected.append(y)
    np.testing.assert_allclose(held_recurrence(grow, push, low, high), expected, atol=1e-9)


def test_states_that_rest_on_a_bound_leave_it_together():
    """A guess at the bound all the way, and a truth beside it: a few rounds, not one for every interval."""
    t, v, x0 = np.linspace(0.0, 1.0, len(SINE)), 1e-3 * SINE, np.full(SETS, 0.4)
    there = devices("yakopcic", 0.1, np.random.default_rng(1), 0.0)
    zero = np.zeros((len(t), SETS))
    guess = Walk(t, zero, zero[1:], zero[1:])
    asked, approach = [], there.approach

    def counted(*args):
        asked.append(1)
        return approach(*args)

    there.approach = counted
    found = all_at_once(there, t, v, x0, guess)
    np.testing.assert_allclose(found.x, x0 + zero, atol=1e-6)
    assert len(asked) < 10
