"""Models with an inner node: what solvers find, and what printings say."""

import numpy as np
import pytest
from scipy.special import lambertw

from memtwin.data.errors import InputError
from memtwin.devices.conduction.laws import with_state
from memtwin.devices.device import Device, load_device
from memtwin.devices.dynamics.gap_noise import GapNoise, simulate_with_gap_noise
from memtwin.devices.model import SERIES, CompactModel, Parameter, symbols
from memtwin.devices.models import models

V, W, X, I_S = symbols("V", "W", "X", "i_s")
ROW = Parameter("i_s", "A", 1e-6, 1e-12, 1.0, True, "current of the diode")


def diode() -> CompactModel:
    """A diode behind 1 kΩ: Lambert's function is its current."""
    from memtwin.devices.functions import limexp

    return CompactModel(
        "diode",
        "diode behind a resistor",
        (ROW, SERIES),
        (V - W) / 1000,
        None,
        inner_expr=I_S * (limexp(20 * W) - 1),
    )


@pytest.mark.parametrize("r_s", [0.0, 500.0])
def test_a_diode_behind_resistors_is_lamberts_function(r_s: float) -> None:
    v = np.array([1e-6, 1e-3, 0.1, 0.5, 1.0, 3.0])
    r, i_s, b = 1000.0 + r_s, 1e-6, 20.0
    exact = lambertw(r * i_s * b * np.exp(b * (v + r * i_s))).real / (r * b) - i_s
    found = diode().current(v, 0.5, {"r_s": r_s})
    np.testing.assert_allclose(found, exact, rtol=1e-8)
    slope = 1.0 / (r + 1.0 / (b * (exact + i_s)))
    np.testing.assert_allclose(diode().didv(v, 0.5, {"r_s": r_s}), slope, rtol=1e-7)


def test_declarations_are_checked() -> None:
    with pytest.raises(InputError, match="uses \\['W'\\]"):
        CompactModel("a", "a", (SERIES,), V - W, None)
    with pytest.raises(InputError, match="definitions belong to an inner node"):
        CompactModel("a", "a", (SERIES,), V, None, definitions=(("n", V),))


def test_other_conduction_laws_are_refused() -> None:
    with pytest.raises(InputError, match="moves by the voltage at its inner node"):
        with_state(models["memdiode"], "ohmic")


def test_a_current_limit_holds_for_an_inner_node() -> None:
    device = load_device("memdiode_oxidation")
    t = np.linspace(0.0, 1.0, 101)
    v = 2.0 * np.sin(2 * np.pi * t)
    free = device.simulate(t, v, 0.05)
    held = device.simulate(t, v, 0.05, compliance=5e-4)
    assert free.i.max() > 1e-3
    assert held.i.max() <= 5e-4 * (1 + 1e-6)
    assert held.i.max() == pytest.approx(5e-4)
    assert (held.v <= v + 1e-9).all() or (np.abs(held.v) <= np.abs(v) + 1e-9).all()


def test_memdiode_state_has_its_closed_form_at_constant_junction_voltage() -> None:
    device = Device("d", models["memdiode"], {"r_min": 1e-3, "r_max": 1e-3})
    p, v = device.parameters, 0.95
    t = np.linspace(0.0, 1.0, 40)
    x = device.simulate(t, np.full(40, v), 0.1).x
    speed = np.exp(p["eta_set"] * (v - p["v_set"]))
    np.testing.assert_allclose(x, 1 - 0.9 * np.exp(-speed * t), rtol=1e-3)


def test_a_volatile_switch_forgets_with_its_time_constant() -> None:
    device = load_device("volatile_diffusive")
    t = np.linspace(0.0, 5e-3, 30)
    x = device.simulate(t, np.zeros(30), 1.0).x
    tau = device.parameters["tau_off"]
    np.testing.assert_allclose(x, np.exp(-t / tau), rtol=1e-3)
    for sign in (1.0, -1.0):
        on = device.simulate(np.array([0.0, 1e-5]), np.full(2, 0.6 * sign), 0.0)
        assert on.x[-1] > 0.99


def test_pcm_crystallises_below_the_melting_point_and_melts_above() -> None:
    device = load_device("pcm_mushroom")
    t = np.array([0.0, 1e-9, 1e-6, 1.001e-6])
    shape = np.array([0.0, 1.0, 1.0, 0.0])
    for sign in (1.0, -1.0):
        assert device.simulate(t, 0.85 * sign * shape, 0.0).x[-1] > 0.99
        assert device.simulate(t, 1.4 * sign * shape, 1.0).x[-1] < 0.01
        assert device.simulate(t, 0.3 * sign * shape, 0.5).x[-1] == pytest.approx(0.5, abs=1e-6)
    hot = device.at(360.0)
    cold = device.rate(0.75, 0.5)
    assert hot.rate(0.75, 0.5) > cold > 0.0


def test_temperature_reaches_every_model_that_knows_one() -> None:
    known = {name for name in models if models[name].ambient}
    assert known >= {"stanford", "jart", "knowm", "pcm"}
    hot, cold = (load_device("stanford_hfox").at(t) for t in (350.0, 298.0))
    assert hot.temperature == 350.0
    # exp(-E_a/kT) and the sinh of the field over kT
    assert abs(hot.rate(1.3, 0.5)) > 2.0 * abs(cold.rate(1.3, 0.5))
    assert hot.digest != cold.digest
    jart = load_device("jart_bengel2020")
    # where the current hardly heats: exp(dW_A/k (1/293 K - 1/350 K)) is 6,000
    assert 1e3 < jart.at(350.0).rate(0.2, 0.1) / jart.rate(0.2, 0.1) < 1e4
    with pytest.raises(InputError, match="don't depend on a temperature"):
        load_device("vteam_asic2").at(300.0)
    with pytest.raises(InputError, match="above 0 K"):
        jart.at(-5.0)


def test_a_device_file_may_state_a_temperature(tmp_path) -> None:
    path = tmp_path / "warm.toml"
    path.write_text(
        'name = "warm"\nmodel = "stanford"\ntemperature = 350.0\n[parameters]\n', encoding="utf-8"
    )
    assert load_device(path).temperature == 350.0
    path.write_text(
        'name = "warm"\nmodel = "vteam"\ntemperature = 350.0\n[parameters]\n', encoding="utf-8"
    )
    with pytest.raises(InputError, match="has no temperature"):
        load_device(path)


def test_gap_noise_spreads_cycles_and_vanishes_with_delta_0() -> None:
    device = load_device("stanford_hfox")
    t = np.linspace(0.0, 0.4 / abs(float(device.rate(-1.2, 0.5))), 12)
    v = np.full((6, 12), -1.2)  # a RESET, which comes gradually
    quiet = simulate_with_gap_noise(
        device, t, v, 0.6, noise=GapNoise(0.0), rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(quiet.x, device.simulate(t, v, 0.6).x, atol=1e-5)
    loud = simulate_with_gap_noise(
        device, t, v, 0.6, noise=GapNoise(0.5), rng=np.random.default_rng(0)
    )
    assert quiet.x.std(axis=0).max() < 1e-12
    assert loud.x.std(axis=0).max() > 1e-3
    assert GapNoise().sigma(np.array(450.0)) == pytest.approx(0.01)
    with pytest.raises(InputError, match="gap noise is of stanford"):
        simulate_with_gap_noise(load_device("vteam_asic2"), t, v, 0.3, rng=np.random.default_rng(0))
