"""numpy against ngspice, for every model and every published set.

ngspice runs at :data:`memtwin.devices.printing.ngspice.TIGHT` with at most a thousandth of the waveform per
step; currents are compared at the time points nearest to the waveform's samples. Devices that run
away while they switch (Stanford without a series resistance, VTEAM behind one) need a finer
``reltol``: an error made before the jump grows by orders of magnitude in it.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import call
from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.models import models
from memtwin.devices.printing import ngspice as spice

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from parts.simulators import at_tight, off, waveform

RATES = {"k_set": 30.0, "k_reset": 30.0}
YAKOPCIC = {"a_p": 1e-3, "a_n": 1e-3, "A_p": 10.0, "A_n": 10.0, "r_s": 50.0}
# name -> model, parameters, amplitude [V], period [s], x0, largest |di|/imax, reltol
CASES: dict[str, tuple[Device, float, float, float, float, str]] = {
    "vteam": (Device("d", models["vteam"], RATES), 1.2, 1.0, 0.2, 1e-3, "1e-7"),
    "vteam r_s": (Device("d", models["vteam"], RATES | {"r_s": 1e3}), 1.2, 1.0, 0.2, 1e-3, "1e-8"),
    "vteam_asymmetric": (
        Device("d", models["vteam_asymmetric"], RATES),
        1.2,
        1.0,
        0.2,
        1e-3,
        "1e-7",
    ),
    "vteam_kvatinsky": (Device("d", models["vteam_kvatinsky"], RATES), 1.2, 1.0, 0.2, 1e-3, "1e-7"),
    "vteam_exp": (Device("d", models["vteam_exp"], RATES), 1.2, 1.0, 0.2, 1e-4, "1e-7"),
    "vteam_exp_asymmetric": (
        Device("d", models["vteam_exp_asymmetric"], RATES),
        1.2,
        1.0,
        0.2,
        1e-3,
        "1e-7",
    ),
    "vteam_exp_kvatinsky": (
        Device("d", models["vteam_exp_kvatinsky"], RATES | {"r_s": 500.0}),
        1.2,
        1.0,
        0.2,
        1e-3,
        "1e-7",
    ),
    "yakopcic": (Device("d", models["yakopcic"], YAKOPCIC), 1.2, 1.0, 0.2, 1e-4, "1e-7"),
    "yakopcic scaled": (
        Device("d", models["yakopcic"], YAKOPCIC, area=1e-3),
        1.2,
        1.0,
        0.2,
        1e-4,
        "1e-7",
    ),
    "drift_prodromakis": (Device("d", models["drift_prodromakis"]), 1.2, 1.0, 0.3, 1e-3, "1e-7"),
    "drift_zha": (Device("d", models["drift_zha"], {"r_s": 50.0}), 1.2, 1.0, 0.3, 1e-4, "1e-7"),
    "stanford r_s": (Device("d", models["stanford"], {"r_s": 5.0}), 1.5, 1.0, 0.3, 1e-3, "1e-8"),
    "knowm r_s": (Device("d", models["knowm"], {"r_s": 100.0}), 0.5, 0.01, 0.3, 1e-4, "1e-7"),
    "mms r_s": (Device("d", models["mms"], {"r_s": 500.0}), 2.0, 1.0, 0.3, 1e-4, "1e-7"),
}
LOOSE = {
    "drift_biolek_yakopcic": (1e-3, "1e-7"),
    "drift_joglekar_yakopcic": (1e-3, "1e-9"),
    "stanford_hfox": (1e-3, "1e-8"),
    "jart_bengel2020": (1e-3, "1e-8"),
    "jart_explicit_ntinas": (1e-3, "1e-8"),
    "memdiode_oxidation": (1e-3, "1e-7"),
    "pcm_mushroom": (1e-3, "1e-8"),
    "volatile_diffusive": (1e-3, "1e-7"),
    "stanford_maldonado": (1e-3, "1e-7"),
    "vteam_asic2": (1e-3, "1e-7"),
}
for name in shipped_devices():
    device = load_device(name)
    if "drive_v" in device.meta:
        drive = (device.meta[key] for key in ("drive_v", "drive_period", "x0"))
        CASES[name] = (device, *drive, *LOOSE.get(name, (1e-4, "1e-7")))
    else:  # fitted to slow sweeps, here with both polarities as far as the further one went
        CASES[name] = (
            device.scaled(1e-2),
            -float(device.meta.get("v_min", -1.0)),
            30.0,
            0.2,
            1e-4,
            "1e-7",
        )


LATE = {"jart_bengel2020": 3}
"""Printed steps by which an edge may be early or late, where it isn't one: JART's RESET runs away."""


def unhurried(names: Iterable[str]) -> list[object]:
    """Leave JART's transients, of a quarter of a minute each, to the slow tests."""
    slow = pytest.mark.slow
    return [pytest.param(n, marks=slow) if n.startswith("jart") else n for n in names]


@pytest.mark.spice
@pytest.mark.parametrize(
    "kind", ["sine", pytest.param("triangle", marks=pytest.mark.slow), "pulses"]
)
@pytest.mark.parametrize("name", unhurried(CASES))
def test_ngspice_gives_the_same_current(name: str, kind: str) -> None:
    device, amplitude, period, x0, bar, reltol = CASES[name]
    t, v = waveform(kind, amplitude, period)
    error = at_tight(device, t, v, x0, reltol)
    assert error <= bar


@pytest.mark.spice
@pytest.mark.parametrize("points", [1000, 2000])
@pytest.mark.parametrize("name", unhurried(shipped_devices()))
def test_default_options_keep_a_sine_in_range_and_within_a_percent(name: str, points: int) -> None:
    """No ``.options``: edges may come a printed step early or late, no more."""
    device, amplitude, period, x0, *_ = CASES[name]
    step = period / points
    late = LATE.get(name, 1) * step
    deck = "\n".join(
        [
            "one device",
            f"V1 a 0 SIN(0 {amplitude!r} {1 / period!r})",
            f"X1 a 0 state cell x0={x0!r}",
            spice.subcircuit(device, "cell") + ".end",
        ]
    )
    run = Step(f"tran {step!r} {period!r} uic", ("time", "i(v1)", "v(state)"))
    times, current, x = call(Job(deck, (run,))).values[0].T
    t = np.union1d(times, np.linspace(0.0, period, 8001))
    trace = device.simulate(t, amplitude * np.sin(2 * np.pi * t / period), x0)
    error = off(trace.i, t, times, -current, late)
    assert error < 0.01
    assert x.min() > -1e-3
    assert x.max() < 1.001


@pytest.mark.spice
@pytest.mark.parametrize("name", models)
def test_frozen_devices_read_the_same(name: str) -> None:
    """Static lines, with the state as a number and as a parameter, and the series resistance."""
    device = Device("d", models[name], {"r_s": 200.0}, area=0.5)
    x = 0.4 if np.isfinite(device.model.state_range[1]) else 3e-4
    # From 0 V outwards: where a contact has several solutions, the one that begins there holds.
    v = np.linspace(0.0, 0.6, 7)
    v = np.concatenate([v, -v])
    lines = [
        "static",
        ".options reltol=1e-9 abstol=1e-18 vntol=1e-12",
        f".param x={x!r}",
        "V1 a 0 0",
        "E2 b 0 a 0 1",
        *spice.static_elements(device, "1", "a", "0", x),
        *spice.static_elements(device, "2", "b", "0", "{x}", guarded=True),
        ".end",
    ]
    steps = [Step(f"dc v1 0 {way}0.6 {way}0.1", ("i(v1)", "e2#branch")) for way in ("", "-")]
    found = call(Job("\n".join(lines), tuple(steps))).values
    one, two = -np.concatenate([part.T for part in found], axis=1)
    expected = device.current(v, x)
    np.testing.assert_allclose(one, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(two, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_names_that_reach_a_netlist_are_checked() -> None:
    device = Device("evil\n.end", models["vteam"])
    with pytest.raises(InputError, match="name in a netlist"):
        spice.subcircuit(device, "a b")
    with pytest.raises(InputError, match="expression in a netlist"):
        spice.static_current(device, "v(a)", "1;quit")
    assert "\n.end\n" not in spice.subcircuit(device, "cell")


def test_a_subcircuits_text_can_be_followed_by_more() -> None:
    text = spice.subcircuit(Device("d", models["vteam"]), "cell")
    assert text.endswith("\n.ends cell\n")


@pytest.mark.spice
def test_a_subcircuits_third_pin_shows_the_state() -> None:
    cell = spice.subcircuit(load_device("yakopcic_oblea"), "cell", x0=0.5)
    deck = f"pins\nV1 a 0 0\nX1 a 0 one cell\nX2 a 0 two cell x0=0.2\n{cell}.end"
    step = Step("tran 1m 10m uic", ("v(one)", "v(two)"))
    np.testing.assert_allclose(call(Job(deck, (step,))).values[0][-1], [0.5, 0.2], rtol=1e-6)


def test_static_models_have_no_dynamic_subcircuit() -> None:
    with pytest.raises(InputError, match="no dynamics"):
        spice.subcircuit(Device("d", models["sinh"]))


def test_text_of_a_small_device() -> None:
    device = Device("d", models["sinh"], {"b": 2.0, "r_s": 5.0}, area=2.0)
    assert spice.static_elements(device, "7", "w", "b", 1e-4) == [
        "Rs7 w 7s 2.5",
        "B7 7s b I=(1.0*0.0001*sinh((2*v(7s,b))))",
    ]
    assert spice.static_elements(Device("r", models["resistor"]), "7", "w", "b", 1e-4) == [
        "R7 w b 10000.0"
    ]
