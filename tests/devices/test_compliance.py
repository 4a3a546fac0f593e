"""A source with a current limit: numpy against ngspice, closed forms, and what a law demands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import call
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.fitting.model_response import respond
from memtwin.devices.models import models
from memtwin.devices.printing import ngspice as spice

DEVICES = {
    "yakopcic": Device(
        "y",
        models["yakopcic"],
        {"a_p": 1e-3, "a_n": 1e-3, "b_p": 2.0, "b_n": 2.0, "A_p": 1e4, "A_n": 1e3, "v_n": 0.4},
    ),
    "yakopcic r_s": Device(
        "y", models["yakopcic"], {"a_p": 1e-3, "a_n": 1e-3, "A_p": 1e4, "A_n": 1e3, "r_s": 50.0}
    ),
    "vteam": Device("v", models["vteam"], {"k_set": 1e4, "k_reset": 1e3, "r_s": 50.0}),
    "vteam_exp": Device("e", models["vteam_exp"], {"k_set": 1e4, "k_reset": 1e3}, area=2.0),
    "stanford": Device("s", models["stanford"], {"r_s": 100.0}),
    "mms": Device("m", models["mms"], {"r_s": 50.0}),
    "sinh": Device("h", models["sinh"], {"r_s": 1e3}),
}
T = np.linspace(0.0, 1.0, 401)
V = 1.6 * np.interp(T, [0.0, 0.25, 0.75, 1.0], [0.0, 1.0, -1.0, 0.0])


def through_ngspice(
    device: Device, limits: tuple[float, float], x0: float
) -> tuple[np.ndarray, ...]:
    """Times, currents and terminal voltages."""
    points = " ".join(f"{a!r} {b!r}" for a, b in zip(T.tolist(), V.tolist(), strict=True))
    deck = "\n".join(
        [
            "one device, one limit",
            f".options {spice.TIGHT}",
            spice.subcircuit(device, "cell", x0=x0),
            spice.limiter(positive=limits[0], negative=limits[1]),
            f"V1 a 0 PWL({points})",
            "X1 a b limiter",
            "X2 b 0 x cell",
            ".end",
        ]
    )
    step = T[-1] / 2000
    run = Step(f"tran {step} {T[-1]} 0 {step} uic", ("time", "i(v1)", "v(b)"))
    times, current, v = call(Job(deck, (run,))).values[0].T
    return times, -current, v


@pytest.mark.spice
@pytest.mark.parametrize("limit", [pytest.param(1e-4, marks=pytest.mark.slow), 5e-4])
@pytest.mark.parametrize("name", ["yakopcic", "yakopcic r_s", "vteam", "vteam_exp", "stanford"])
def test_ngspice_gives_the_same_current_under_a_limit(name: str, limit: float) -> None:
    device = DEVICES[name]
    times, i, v = through_ngspice(device, (limit, 0.1), 0.01)
    keep = np.concatenate([[True], np.diff(times) > 1e-9])
    times, i, v = times[keep], i[keep], v[keep]
    drive = np.interp(times, T, V)
    trace = device.simulate(times, drive, 0.01, compliance=np.where(drive >= 0.0, limit, 0.1))
    # a jump may come one step of the simulator early or late
    off = np.abs(i - trace.i) > 5e-3 * np.abs(trace.i).max()
    assert np.gradient(times)[off].sum() < 5e-3 * T[-1]
    held = trace.i > 0.999 * limit
    assert held.mean() > 0.1
    assert np.quantile(np.abs(i[held] / limit - 1.0), 0.99) < 1e-5  # of edges one sample
    assert np.median(np.abs(v - trace.v)[held]) < 5e-3 * V.max()


@pytest.mark.parametrize("name", DEVICES)
def test_a_limit_that_is_never_reached_changes_nothing(name: str) -> None:
    device = DEVICES[name]
    free = device.simulate(T, V, 0.2)
    held = device.simulate(T, V, 0.2, compliance=1e3)
    assert np.abs(held.i - free.i).max() < 2e-4 * np.abs(free.i).max()
    assert np.allclose(held.v, V, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(DEVICES)),
    exponents=st.tuples(st.floats(-6.0, -2.0), st.floats(-6.0, -2.0)),
    x0=st.floats(0.02, 0.98),
)
def test_voltage_as_asked_or_current_at_its_limit(name, exponents, x0) -> None:
    """Of either sign, at every sample, and never both less; the law holds at the terminals."""
    device = DEVICES[name]
    limit = np.where(V >= 0.0, *(10.0**e for e in exponents))
    trace = device.simulate(T[::8], V[::8], x0, compliance=limit[::8])
    at = np.abs(trace.i) >= limit[::8] * (1.0 - 1e-6)
    assert (np.abs(trace.i) <= limit[::8] * (1.0 + 1e-6)).all()
    assert np.allclose(trace.v[~at], V[::8][~at], rtol=1e-9, atol=1e-12)
    assert (np.abs(trace.v) <= np.abs(V[::8]) * (1.0 + 1e-9) + 1e-12).all()
    assert np.allclose(device.current(trace.v, trace.x), trace.i, rtol=1e-5, atol=1e-15)


def test_resistance_follows_the_limit() -> None:
    """A SET under a limit ends where the device is left with its (rounded) threshold: R i_c = v_p."""
    device = DEVICES["yakopcic"]
    limits = np.array([1e-4, 2e-4, 4e-4, 8e-4])
    t = np.linspace(0.0, 0.1, 201)
    v = np.full(201, 1.5)
    trace = device.simulate(t, v, np.full(4, 0.01), compliance=limits[:, None] * np.ones(201))
    resistance = trace.v[:, -1] / trace.i[:, -1]
    slope = np.polyfit(np.log(limits), np.log(resistance), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.05)
    assert np.allclose(trace.v[:, -1], device.parameters["v_p"], rtol=0.2)


def test_devices_side_by_side_are_the_same_as_alone() -> None:
    device = DEVICES["vteam"]
    limits = np.array([1e-4, 3e-4, np.inf])
    both = device.simulate(T, V, np.full(3, 0.01), compliance=limits[:, None] * np.ones(401))
    for k, limit in enumerate(limits):
        alone = device.simulate(T, V, 0.01, compliance=limit)
        assert np.abs(alone.i - both.i[k]).max() < 1e-3 * np.abs(alone.i).max()


@pytest.mark.parametrize("limit", [0.0, -1e-3, np.nan, np.ones(7)])
def test_what_is_no_limit_is_refused(limit) -> None:
    with pytest.raises(InputError, match="compliance"):
        DEVICES["vteam"].simulate(T, V, 0.1, compliance=limit)


@pytest.mark.parametrize("limit", [0.0, -1.0, np.inf, np.nan])
def test_a_netlist_refuses_it_too(limit) -> None:
    with pytest.raises(InputError, match="limit"):
        spice.limiter(positive=limit)


@pytest.mark.parametrize("limit", [pytest.param(1e-4, marks=pytest.mark.slow), 5e-4])
@pytest.mark.parametrize("name", ["yakopcic", "yakopcic r_s", "vteam", "vteam_exp", "stanford"])
def test_what_a_fit_computes_is_what_a_simulation_does(name: str, limit: float) -> None:
    """The states after a SET that jumps within one interval, and their slopes by every parameter."""
    device = DEVICES[name]
    limits = np.where(V >= 0.0, limit, np.inf)
    trace = device.simulate(T, V, 0.01, compliance=limits)

    def answer(values, wanted=()):
        p = {key: np.array([value]) for key, value in values.items()}
        start = np.array([0.01])
        own = limits / device.area
        return respond(device.model, T, V, p, start, wanted=wanted, substeps=2, limit=own)

    names = [row.name for row in device.model.parameters if not row.fixed][::2]
    found = answer(device.parameters, names)
    back = slice(110, 200)  # from the plateau down to 0 V, the LRS that the limit has made
    assert np.abs(found.x[back, 0] - trace.x[back]).max() < 0.02
    assert np.allclose(device.area * found.i[back, 0], trace.i[back], rtol=0.02, atol=1e-3 * limit)
    for k, key in enumerate(names):
        value = device.parameters[key]
        step = 1e-4 * (value if value else 1.0)
        ends = [answer({**device.parameters, key: value + sign * step}).i for sign in (1.0, -1.0)]
        by = (ends[0] - ends[1])[back, 0] / (2.0 * step)
        size = np.abs(by).max()
        if size * max(abs(value), 1e-3) > 1e-3 * limit:
            # Slopes only lead the search: after the jump they hold to about an eighth.
            assert np.abs(found.slopes[k, back, 0] - by).max() < 0.15 * size, key
