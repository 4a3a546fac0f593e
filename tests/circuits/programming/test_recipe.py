"""Ramps and the write-verify loop on devices simple enough to reason about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.programming.recipe import Loop, Ramp, Reach, Recipe, Status
from memtwin.data.errors import InputError

UP = Ramp(0.5, 0.1, 1.5, 1e-6)
DOWN = Ramp(-0.5, -0.1, -1.5, 1e-6)


def recipe(**changes):
    return Recipe(UP, DOWN, **{"tolerance": 1e-6, **changes})


def run(controller, g, response, reads=1000):
    """Drive the loop with ``response(amplitude, width) -> change`` of the conductances ``g``."""
    for _ in range(reads):
        controller.observe(g[controller.running])
        on, amplitude, width = controller.following()
        if not on.size:
            break
        g[on] += response(amplitude, width)
    return g


def test_amplitude_grows_first_then_width():
    ramp = Ramp(1.0, 0.5, 2.0, 1e-6, growth=2.0, width_max=5e-6)
    k = np.arange(ramp.rungs + 3)
    assert ramp.rungs == 6
    assert ramp.amplitude(k).tolist() == [1.0, 1.5, *[2.0] * 7]
    assert ramp.duration(k) == pytest.approx([1e-6] * 3 + [2e-6, 4e-6] + [5e-6] * 4)


def test_fixed_and_width_only_ramps():
    assert Ramp(1.0, 0.0, 1.0, 1e-6).rungs == 1
    widths = Ramp(-1.0, 0.0, -1.0, 1e-6, growth=3.0, width_max=9e-6)
    assert widths.rungs == 3
    assert widths.duration([0, 1, 2, 9]) == pytest.approx([1e-6, 3e-6, 9e-6, 9e-6])
    assert widths.amplitude(2) == -1.0


@given(
    start=st.floats(0.1, 1.0),
    rungs=st.integers(1, 40),
    growth=st.floats(1.0, 2.0),
    sign=st.sampled_from([-1, 1]),
)
def test_ramps_never_leave_their_limits(start, rungs, growth, sign):
    ramp = Ramp(sign * start, sign * 0.05, sign * 1.5, 1e-6, growth, 1e-4)
    k = np.arange(rungs)
    amplitude, width = ramp.amplitude(k), ramp.duration(k)
    assert (np.abs(amplitude) <= 1.5).all()
    assert (width <= 1e-4).all()
    assert (np.diff(np.abs(amplitude)) >= 0).all()
    assert (np.diff(width) >= 0).all()
    assert (np.sign(amplitude) == ramp.polarity).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 0.0},
        {"start": np.nan},
        {"step": -0.1},
        {"stop": 0.2},
        {"stop": -1.0},
        {"width": 0.0},
        {"growth": 0.5},
        {"growth": 2.0},
    ],
)
def test_ramps_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="ramp"):
        Ramp(**{"start": 0.5, "step": 0.1, "stop": 1.0, "width": 1e-6, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"tolerance": 0.0}, {"v_read": 0.0}, {"max_pulses": 0}, {"edge": -1.0}]
)
def test_recipes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="recipe"):
        recipe(**wrong)


def test_polarities_may_not_be_swapped():
    with pytest.raises(InputError, match="SET pulses must be positive"):
        Recipe(DOWN, UP, 1e-6)


def test_a_device_at_its_target_costs_one_read():
    controller = Loop(recipe(), np.array([1e-5]))
    run(controller, np.array([1.05e-5]), None)
    assert controller.status.tolist() == [Status.REACHED]
    assert controller.pulses.sum() == 0
    assert controller.reads.tolist() == [1]


@settings(deadline=None, max_examples=40)
@given(
    gain=st.floats(2e-6, 3e-5),
    steepness=st.floats(0.5, 6.0),
    goal=st.floats(2e-6, 9e-5),
    begin=st.floats(2e-6, 9e-5),
)
def test_a_monotonic_device_is_always_written(gain, steepness, goal, begin):
    # Moves per pulse from far below the tolerance to far above it.
    controller = Loop(recipe(max_pulses=2000), np.array([goal]))
    g = run(
        controller,
        np.array([begin]),
        lambda v, w: gain * np.sign(v) * np.expm1(steepness * (np.abs(v) - 0.45)) * 0.05,
        5000,
    )
    assert controller.status[0] == Status.REACHED
    assert abs(g[0] - goal) <= 1e-6


def test_a_dead_device_is_stuck_after_the_ramp_and_some_patience():
    controller = Loop(recipe(), np.array([1e-5]))
    run(controller, np.array([5e-5]), lambda v, w: 0.0)
    assert controller.status.tolist() == [Status.STUCK]
    assert UP.rungs < controller.pulses[0].sum() <= UP.rungs + recipe().patience + 1
    assert controller.pulses[0, 1] == 0


def test_a_slow_device_is_exhausted_not_stuck():
    controller = Loop(recipe(max_pulses=30), np.array([9e-5]))
    run(controller, np.array([1e-5]), lambda v, w: 5e-7)
    assert controller.status.tolist() == [Status.EXHAUSTED]
    assert controller.pulses.sum() == 30


def test_an_overshoot_is_answered_by_gentler_pulses():
    controller = Loop(recipe(), np.array([5e-5]))
    seen = []

    def response(v, w):
        seen.append(float(v[0]))
        return np.sign(v) * 4e-5 * np.exp(14.0 * (np.abs(v) - 1.2))

    g = run(controller, np.array([1e-5]), response)
    assert abs(g[0] - 5e-5) <= 1e-6
    assert min(seen) < 0.0 < max(seen)


def test_read_noise_narrows_the_band():
    target = np.array([1e-5])
    strict = Loop(recipe(), target, read_noise=0.02)
    strict.observe(np.array([1.06e-5]))
    assert strict.status.tolist() == [Status.RUNNING]


def known(factor=1.3, quiet=(10, 10)):
    """A recipe for devices of which every rung moves the conductance by ``factor`` more."""
    moves = [[3e-7 * factor**k] * 2 for k in range(UP.rungs)]
    return recipe(reach=Reach((0.0, 1e-3), moves, moves, quiet))


def respond(pace):
    """Return devices that move ``pace`` times as far as the recipe thinks."""

    def response(amplitude, width):
        rung = np.rint((np.abs(amplitude) - 0.5) / 0.1)
        return np.sign(amplitude) * pace * 3e-7 * 1.3**rung

    return response


def test_a_device_that_moves_as_expected_takes_the_pulses_that_the_distance_asks_for():
    far = 1.001 * 3e-7 * 1.3**8
    controller = Loop(known(), np.array([5e-4 + far, 5e-4 - far]))
    g = run(controller, np.full(2, 5e-4), respond(1.0))
    assert controller.pulses.tolist() == [[0, 1], [1, 0]]
    assert np.abs(g - controller.target).max() < 2e-3 * far


@pytest.mark.parametrize("pace", [0.2, 0.5, 2.0, 4.0])
def test_the_pace_of_a_device_is_learned(pace):
    target = 5e-4 + np.linspace(-4e-5, 4e-5, 9)
    target[4] += 5e-6
    wise, blind = Loop(known(), target), Loop(recipe(), target)
    for controller in (wise, blind):
        g = run(controller, np.full(9, 5e-4), respond(pace))
        assert (controller.status == Status.REACHED).all()
        assert np.abs(g - target).max() <= 1e-6
    assert wise.pulses.sum() < blind.pulses.sum()


def test_pulses_stay_quiet_where_these_get_anywhere():
    for quiet, allowed in ((6, 6), (0, UP.rungs - 1)):
        # The first rung alone moves less than the tolerance, so that stronger ones are let through.
        controller = Loop(known(quiet=(quiet, quiet)), np.array([7e-4]))
        controller.observe(np.array([5e-4]))
        _, amplitude, _ = controller.following()
        assert round((amplitude[0] - 0.5) / 0.1) == min(allowed, UP.rungs - 1)


def test_devices_that_do_not_move_are_given_up_as_stuck_in_both_ways():
    for chosen in (known(), recipe()):
        controller = Loop(chosen, np.array([5e-4]))
        run(controller, np.array([4e-4]), respond(0.0))
        assert controller.status[0] == Status.STUCK


@pytest.mark.parametrize(
    "wrong",
    [
        ((0.0,), [[1.0]], [[1.0]]),
        ((0.0, 1.0), [[1.0]], [[1.0, 2.0]]),
        ((1.0, 1.0), [[1, 1]], [[1, 1]]),
    ],
)
def test_reaches_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="reach"):
        Reach(*wrong, (0, 0))
