"""Pulses and what a write costs."""

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.models import models
from memtwin.devices.models.mms import pulse_response
from memtwin.devices.pulses.open_loop import open_loop_costs
from memtwin.devices.pulses.trapezoid import (
    Pulse,
    apply_pulse,
    choose_pulse,
    travel_time,
)


def device() -> Device:
    p = {"a_p": 1e-3, "a_n": 1e-3, "A_p": 1e4, "A_n": 1e4, "r_s": 50.0}
    return Device("test", models["yakopcic"], p)


def test_a_pulse_does_what_its_waveform_does() -> None:
    d = device()
    pulse = Pulse(1.1, 2e-5, 1e-6)
    t = np.linspace(0.0, 2.2e-5, 2201)
    v = 1.1 * np.interp(t, [0, 1e-6, 2.1e-5, 2.2e-5], [0, 1, 1, 0])
    expected = d.simulate(t, v, [0.1, 0.5, 0.9], rtol=1e-9)
    found = apply_pulse(d, [0.1, 0.5, 0.9], pulse.v, pulse.width, edge=pulse.edge)
    np.testing.assert_allclose(found.x, expected.x[:, -1], atol=1e-6)
    np.testing.assert_allclose(found.energy, expected.energy, rtol=2e-3)
    np.testing.assert_allclose(found.peak, expected.i.max(axis=1), rtol=1e-3)


def test_amplitudes_and_parameters_may_differ_between_devices() -> None:
    d, v = device(), np.array([1.0, -1.0, 0.3])
    many = apply_pulse(d, 0.5, v, 1e-5, parameters={"A_p": [1e4, 1e4, 2e4]})
    assert many.x[0] > 0.5 > many.x[1]
    assert many.x[2] == pytest.approx(0.5, abs=1e-9)


def test_travel_time_is_that_of_the_closed_form() -> None:
    d = load_device("mms_tiox")
    for v, start in ((1.5, 0.4), (-1.6, 0.6)):
        end = float(pulse_response(d.parameters, start, v, 0.05))
        assert travel_time(d, start, end, v) == pytest.approx(0.05, rel=1e-4)
    assert travel_time(d, 0.4, 0.1, 1.5) == float("inf")


@pytest.mark.parametrize("count", [20, 80])
def test_about_as_many_pulses_as_asked_for_cross_the_range(count: int) -> None:
    levels = device().levels(5, 0.2)
    found = open_loop_costs(levels, count=count)
    assert found.costs.pulses[0, -1] == pytest.approx(count, rel=0.25)
    assert found.costs.pulses[-1, 0] == pytest.approx(count, rel=0.25)
    assert found.set_pulse.v > 0 > found.reset_pulse.v
    assert "SET" in found.source


def test_cost_table_is_that_of_the_simulated_staircases() -> None:
    levels = device().levels(6, 0.2)
    found = open_loop_costs(levels, count=40)
    assert (np.diag(found.costs.pulses) == 0).all()
    assert (np.diag(found.costs.energy) == 0).all()
    off = ~np.eye(6, dtype=bool)
    assert (found.costs.pulses[off] >= 1).all()
    assert (found.costs.energy[off] > 0).all()
    # Farther targets cost more.
    assert (np.diff(found.costs.pulses[0]) >= 0).all()
    assert (np.diff(found.costs.energy[0]) > 0).all()
    assert (np.diff(found.costs.pulses[-1]) <= 0).all()
    # The pulses, given one by one, end where the table says.
    x, energy = levels.x[1], 0.0
    for _ in range(int(found.costs.pulses[1, 4])):
        step = apply_pulse(levels.device, x, found.set_pulse.v, found.set_pulse.width)
        x, energy = step.x, energy + step.energy
    assert found.costs.energy[1, 4] == pytest.approx(energy, rel=1e-3)
    reached = levels.device.conductance(x, 0.2) - levels.g[4]
    assert found.miss[1, 4] == pytest.approx(reached, abs=1e-3 * levels.step)
    assert found.costs.time[1, 4] == found.costs.pulses[1, 4] * found.set_pulse.period


def test_fitted_voltages_are_used_where_they_are_known() -> None:
    d = Device("test", models["yakopcic"], device().parameters, meta={"v_max": 0.9, "v_min": -1.3})
    assert choose_pulse(d, 0.1, 0.9).v == 0.9
    assert choose_pulse(d, 0.9, 0.1).v == -1.3
    assert choose_pulse(d, 0.1, 0.9, width=1e-3).width == 1e-3


def test_impossible_writes_are_refused_with_the_reason() -> None:
    static = Device("s", models["sinh"]).levels(4, 0.2, g_min=1e-6, g_max=1e-5)
    with pytest.raises(InputError, match="no dynamics"):
        open_loop_costs(static)
    with pytest.raises(InputError, match="wrong sign"):
        choose_pulse(device(), 0.1, 0.9, v=-1.0)
    with pytest.raises(InputError, match="can't SET"):
        choose_pulse(load_device("mms_tiox"), 0.1, 0.99, v=0.5)
    with pytest.raises(InputError, match="longer width"):
        choose_pulse(device(), 0.1, 0.9, width=1e-12)
    levels = device().levels(4, 0.2)
    with pytest.raises(InputError, match="do not reach"):
        open_loop_costs(levels, set_pulse=Pulse(0.2, 1e-6, 1e-7), limit=5)
    with pytest.raises(InputError, match="above 0"):
        apply_pulse(device(), 0.5, 1.0, 0.0)
