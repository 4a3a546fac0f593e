"""Devices made of switches."""

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.dynamics.switches import simulate_switches
from memtwin.devices.models import models

T = np.linspace(0.0, 2e-3, 81)
V = 0.35 * np.sin(2 * np.pi * 500 * T)


@pytest.mark.parametrize("r_s", [0.0, 100.0])
def test_many_switches_follow_the_deterministic_model(rng: np.random.Generator, r_s: float) -> None:
    device = Device("d", models["knowm"], {"r_s": r_s}, area=0.5)
    expected = device.simulate(T, V, 0.4)
    found = simulate_switches(device, T, V, np.full(50, 0.4), switches=20_000, rng=rng)
    np.testing.assert_allclose(found.x.mean(axis=0), expected.x, atol=3e-3)
    np.testing.assert_allclose(
        found.i.mean(axis=0), expected.i, atol=5e-3 * np.abs(expected.i).max()
    )


def test_spread_falls_with_the_root_of_their_number(rng: np.random.Generator) -> None:
    device = Device("d", models["knowm"])
    t, v = np.array([0.0, 1e-4, 2e-4]), np.full(3, 0.27)
    spread = [
        simulate_switches(device, t, v, np.full(3000, 0.5), switches=n, rng=rng).x[:, -1].std()
        for n in (16, 1600)
    ]
    assert spread[0] / spread[1] == pytest.approx(10.0, rel=0.1)
    # Independent switches are binomial.
    level = float(device.simulate(t, v, 0.5).x[-1])
    assert spread[0] <= 1.1 * np.sqrt(level * (1 - level) / 16)


def test_states_are_whole_switches_and_seeded() -> None:
    device = Device("d", models["knowm"])
    one, two = (
        simulate_switches(device, T, V, 0.5, switches=10, rng=np.random.default_rng(3))
        for _ in "ab"
    )
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_allclose(one.x * 10, np.rint(one.x * 10))


def test_other_models_have_none(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="only knowm"):
        simulate_switches(Device("d", models["vteam"]), T, V, 0.5, switches=5, rng=rng)
    with pytest.raises(InputError, match="at least 1"):
        simulate_switches(Device("d", models["knowm"]), T, V, 0.5, switches=0, rng=rng)
    with pytest.raises(InputError, match="expected rising t"):
        simulate_switches(Device("d", models["knowm"]), T, V[:3], 0.5, switches=5, rng=rng)
