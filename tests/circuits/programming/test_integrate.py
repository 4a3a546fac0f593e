"""The stepper against closed forms."""

import numpy as np
import pytest

from memtwin.circuits.programming.integrate import integrate
from memtwin.data.errors import NonConvergence


def test_problems_of_very_different_speed_are_each_exact():
    speed = np.array([1e-6, 0.3, 20.0, 900.0])
    end = integrate(
        lambda which, tau, y: -speed[which, None] * y, np.ones((4, 1)), controlled=1, rtol=1e-8
    )
    assert np.allclose(end[:, 0], np.exp(-speed), rtol=1e-6, atol=1e-9)


def test_every_problem_has_its_own_clock():
    offset = np.array([0.0, 1.0])
    end = integrate(
        lambda which, tau, y: np.cos(6.0 * (tau + offset[which]))[:, None],
        np.zeros((2, 1)),
        controlled=1,
        rtol=1e-9,
    )
    exact = (np.sin(6.0 * (1.0 + offset)) - np.sin(6.0 * offset)) / 6.0
    assert np.allclose(end[:, 0], exact, atol=1e-8)


def test_an_uncontrolled_integral_follows():
    # y1 = ∫ y0^2 with y0 = exp(-3 tau)
    end = integrate(
        lambda which, tau, y: np.stack([-3.0 * y[:, 0], y[:, 0] ** 2], axis=1),
        np.array([[1.0, 0.0]]),
        controlled=1,
    )
    assert end[0, 1] == pytest.approx((1.0 - np.exp(-6.0)) / 6.0, rel=1e-5)


@pytest.mark.parametrize(("coarse", "fine"), [(1e-4, 1e-8)])
def test_a_smaller_tolerance_gives_a_smaller_error(coarse, fine):
    def error(rtol):
        end = integrate(
            lambda w, tau, y: y * np.cos(5.0 * tau)[:, None],
            np.ones((1, 1)),
            controlled=1,
            rtol=rtol,
            atol=0.0,
        )
        return abs(end[0, 0] - np.exp(np.sin(5.0) / 5.0))

    assert error(fine) < 1e-7 < 1e-3
    assert error(fine) <= error(coarse) < 1e-3


def test_what_moves_too_fast_is_refused_and_named():
    speed = np.array([1.0, 1e13])
    with pytest.raises(NonConvergence, match="problem 1"):
        integrate(lambda which, tau, y: -speed[which, None] * y, np.ones((2, 1)), controlled=1)
