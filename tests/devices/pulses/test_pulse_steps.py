import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.data.errors import InputError
from memtwin.data.measurement import PulseTrain
from memtwin.devices.device import load_device
from memtwin.devices.pulses.response import PulseResponse, fit_response
from memtwin.devices.pulses.steps import PulseSteps, steps_of_model, steps_of_response
from memtwin.devices.pulses.trapezoid import apply_pulse, choose_pulse
from memtwin.devices.window import choose_window

PULSES, LOW, HIGH = 100, 1e-6, 10e-6
C2C, READ = 3e-8, 2e-8  # what adds up with every pulse, and what only a read has [S]
UP, DOWN = 2.0, 3.0  # nonlinearities


def ramps(c: float, *, rising: bool, rng: np.random.Generator) -> np.ndarray:
    n = np.arange(PULSES + 1)
    share = np.expm1(-c * n / PULSES) / np.expm1(-c)
    g = LOW + (HIGH - LOW) * (share if rising else 1.0 - share)
    walked = np.cumsum(np.hstack([np.zeros((12, 1)), C2C * rng.standard_normal((12, PULSES))]), 1)
    return g + walked + READ * rng.standard_normal((12, PULSES + 1))


@pytest.fixture(scope="module")
def response() -> PulseResponse:
    rng = np.random.default_rng(0)
    both = (("up", UP, True), ("down", DOWN, False))
    return fit_response([PulseTrain(n, ramps(c, rising=r, rng=rng)) for n, c, r in both])


def test_steps_are_those_of_the_law_that_made_the_ramps(response: PulseResponse) -> None:
    steps = steps_of_response(response)
    share = np.linspace(0.0, 1.0, steps.up.shape[1])[8:-8]
    for table, c, passed in ((steps.up, UP, share), (steps.down, DOWN, 1.0 - share)):
        # g = (1 - e^(-cn/P)) / (1 - e^-c) has this step at the share that it has passed
        slope = c / PULSES * (1.0 / -np.expm1(-c) - passed)
        assert table.mean(0)[8:-8] == pytest.approx(slope, rel=0.2, abs=3e-4)
    assert steps.on_off == pytest.approx(HIGH / LOW, rel=0.25)


def test_what_adds_up_is_parted_from_what_reads_add(response: PulseResponse) -> None:
    steps = steps_of_response(response)
    assert steps.c2c_fixed == pytest.approx((C2C / (HIGH - LOW),) * 2, rel=0.2)


def test_a_response_needs_both_directions(response: PulseResponse) -> None:
    with pytest.raises(InputError, match="no ramp down was measured"):
        steps_of_response(PulseResponse(response.up, None))


def test_the_models_steps_are_its_pulses() -> None:
    levels = load_device("yakopcic_miao").levels(8, 0.05)
    steps = steps_of_model(levels)
    pulse = choose_pulse(levels.device, levels.x[0], levels.x[-1])
    x = apply_pulse(levels.device, levels.x, pulse.v, pulse.width).x
    moved = (levels.device.conductance(x, 0.05) - levels.g) / (levels.g[-1] - levels.g[0])
    share = (levels.g - levels.g[0]) / (levels.g[-1] - levels.g[0])
    found = steps.apply(share, np.ones(8, int), 0, None) - share
    assert found[:-1] == pytest.approx(np.minimum(moved, 1.0 - share)[:-1], rel=0.05, abs=1e-3)


def test_a_device_without_dynamics_has_no_steps_of_its_own() -> None:
    from memtwin.circuits.array.cell import Cell

    with pytest.raises(InputError, match="no dynamics"):
        steps_of_model(Cell.resistor(0.2).levels(np.linspace(1e-6, 2e-6, 4)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(-5, 5)), min_size=1, max_size=20),
    st.integers(0, 2**31),
)
def test_pulses_stay_in_the_range_and_go_their_way(
    given: list[tuple[float, int]], seed: int
) -> None:
    steps = PulseSteps(np.linspace(0.2, 0.01, 9)[None], np.linspace(0.01, 0.2, 9)[None])
    share, pulses = (np.array(column) for column in zip(*given, strict=True))
    found = steps.apply(share, pulses, 0, None)
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert (np.sign(found - np.float32(share)) * np.sign(pulses) >= 0).all()
    one = steps.apply(share, np.sign(pulses), 0, None)
    for k in range(1, 5):  # many pulses are single ones, one after the other
        on = np.abs(pulses) > k
        one[on] = steps.apply(one[on], np.sign(pulses)[on], 0, None)
    assert found == pytest.approx(one, abs=1e-6)
    noisy = PulseSteps(steps.up, steps.down, c2c=0.5)
    again = [noisy.apply(share, pulses, 0, np.random.default_rng(seed)).tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("name", ["knowm_nugent", "mms_tiox", "yakopcic2020_nbsto_tiotto"])
def test_a_window_ends_where_the_device_does(name: str) -> None:
    window = choose_window(load_device(name), 0.05)
    assert "times were wanted" in window.note
    assert window.device.state(window.g_min, 0.05) == pytest.approx(0.05, abs=1e-6)
    assert window.device.state(window.g_max, 0.05) == pytest.approx(0.95, abs=1e-6)


def test_a_window_that_is_reached_is_taken_as_asked_for() -> None:
    window = choose_window(load_device("yakopcic_miao"), 0.05, g_max=20e-6, on_off=5.0)
    assert window.note == ""
    assert (window.g_min, window.g_max) == pytest.approx((4e-6, 20e-6))
    shrunk = choose_window(load_device("yakopcic_miao"), 0.05, area=1.0, g_max=1.0)
    assert "where 1e+06 were asked for" in shrunk.note
    assert shrunk.g_max < 1.0


def test_a_device_of_one_conductance_spans_no_levels() -> None:
    same = load_device("drift_biolek2009")
    from dataclasses import replace

    one = replace(same, parameters={**same.parameters, "r_on": 100.0, "r_off": 100.0})
    with pytest.raises(InputError, match="can't span two levels"):
        choose_window(one, 0.05)
