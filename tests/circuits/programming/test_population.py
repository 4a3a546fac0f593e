"""Pulses on many devices, against the devices room's own integrator."""

import numpy as np
import pytest

from memtwin.circuits.programming.population import Population, Spread, spread_from_fit
from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.models import models

VTEAM = Device("vteam", models["vteam"], {"k_set": 1e6, "k_reset": 1e6})
YAKOPCIC = Device(
    "yakopcic", models["yakopcic"], {"a_p": 1e-4, "a_n": 1e-4, "A_p": 1e5, "A_n": 1e5, "r_s": 500.0}
)


@pytest.mark.parametrize("device", [VTEAM, YAKOPCIC], ids=lambda device: device.name)
@pytest.mark.parametrize("v", [1.1, -1.1])
def test_state_and_energy_agree_with_a_simulated_waveform(device, v):
    x = np.linspace(0.1, 0.9, 5)
    width, edge = 2e-6, 0.05
    pulsed = Population(device, 5).pulse(x, v, width, edge, rtol=1e-8)
    t = np.concatenate(
        [
            np.linspace(0, edge, 200),
            np.linspace(edge, 1 + edge, 2001)[1:],
            np.linspace(1 + edge, 1 + 2 * edge, 200)[1:],
        ]
    )
    shape = np.interp(t, [0, edge, 1 + edge, 1 + 2 * edge], [0, 1, 1, 0])
    trace = device.simulate(width * t, v * shape, x, rtol=1e-9)
    assert np.abs(pulsed.x - x).max() > 0.005
    assert pulsed.x == pytest.approx(trace.x[:, -1], rel=1e-6, abs=1e-7)
    assert pulsed.energy == pytest.approx(trace.energy, rel=1e-4)


def test_each_device_has_its_own_pulse_and_parameters():
    rng = np.random.default_rng(1)
    population = Population.sample(VTEAM, 6, Spread({"k_set": 0.3, "v_set": 0.05}), rng)
    v, width = np.array([0.0, 0.7, 0.9, 1.1, -0.9, -1.1]), np.geomspace(1e-7, 3e-6, 6)
    together = population.pulse(np.full(6, 0.4), v, width, 0.02)
    for k in range(6):
        which = np.array([k])
        alone = population.pulse(np.full(1, 0.4), v[k], width[k], 0.02, which=which)
        assert together.x[k] == pytest.approx(alone.x[0], rel=1e-5)
    assert together.x[0] == pytest.approx(0.4, rel=1e-9)
    assert together.energy[0] == 0.0


def test_energy_scales_with_area_and_the_state_does_not_care():
    small, large = (Population(YAKOPCIC.scaled(a), 1) for a in (0.1, 1.0))
    a, b = (p.pulse(np.array([0.5]), 1.0, 1e-6, 0.02) for p in (small, large))
    assert a.x == pytest.approx(b.x, rel=1e-9)
    assert 10 * a.energy == pytest.approx(b.energy, rel=1e-9)


def test_cycle_to_cycle_spread_is_a_spread_of_speed():
    n = 4000
    population = Population(VTEAM, n, spread=Spread(c2c=0.2))
    x0 = np.full(n, 0.4)
    calm = population.pulse(x0, 1.0, 1e-8, 0.02).x - x0
    moved = population.pulse(x0, 1.0, 1e-8, 0.02, np.random.default_rng(0)).x - x0
    assert np.ptp(calm) < 1e-12
    assert np.log(moved / calm[0]).std() == pytest.approx(0.2, rel=0.05)
    assert np.median(moved) == pytest.approx(calm[0], rel=0.02)


def test_reads_are_noisy_around_the_true_conductance():
    population = Population(VTEAM, 5000, spread=Spread(read=0.01))
    x = np.full(5000, 0.5)
    true = VTEAM.conductance(0.5, 0.2)
    g = population.read(x, 0.2, np.random.default_rng(0))
    assert g.mean() == pytest.approx(float(true), rel=1e-3)
    assert g.std() / true == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("device", [VTEAM, YAKOPCIC], ids=lambda device: device.name)
def test_states_invert_conductances_and_stop_at_the_ends(device):
    rng = np.random.default_rng(2)
    name = "r_on" if device is VTEAM else "a_p"
    population = Population.sample(device, 50, Spread({name: 0.1}), rng)
    g = population.conductance(rng.uniform(0.05, 0.95, 50), 0.2)
    assert population.conductance(population.states(g, 0.2), 0.2) == pytest.approx(g, rel=1e-9)
    assert (population.states(1e3 * g, 0.2) == 1.0).all()
    assert (population.states(0.0 * g, 0.2) == 0.0).all()


def test_the_fit_gives_a_spread():
    device = load_device("nbsto_32um")
    spread = spread_from_fit(device, c2c=0.1)
    assert set(spread.d2d) <= set(device.stderr)
    assert "r_s" not in spread.d2d
    assert spread.d2d["A_p"] == pytest.approx(device.stderr["A_p"] / device.parameters["A_p"])


def test_what_cannot_be_pulsed_is_refused():
    with pytest.raises(InputError, match="no dynamics"):
        Population(Device("r", models["resistor"]), 3)
    with pytest.raises(InputError, match="expected 3 values of k_set"):
        Population(VTEAM, 3, {"k_set": np.ones(2)})
    with pytest.raises(InputError, match="no parameter 'k_sett'"):
        Population.sample(VTEAM, 3, Spread({"k_sett": 0.1}), np.random.default_rng(0))
    with pytest.raises(InputError, match="c2c must be"):
        Spread(c2c=-0.1)


@pytest.mark.slow
def test_pulses_on_a_device_with_an_inner_node_are_its_own():
    device = load_device("jart_bengel2020").scaled(0.02)
    t = 1e-6 * np.concatenate((np.linspace(0.0, 0.1, 40), [0.6], np.linspace(1.1, 1.2, 40)))
    v = -0.6 * np.interp(1e6 * t, [0.0, 0.1, 1.1, 1.2], [0.0, 1.0, 1.0, 0.0])
    trace = device.simulate(t, v, 0.947)
    pulsed = Population(device, 1).pulse(np.array([0.947]), -0.6, 1e-6, 0.1)
    assert pulsed.x[0] == pytest.approx(float(trace.x[-1]), abs=1e-7)
    assert pulsed.energy[0] == pytest.approx(float(np.trapezoid(trace.i * v, t)), rel=2e-3)
