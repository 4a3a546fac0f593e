"""Properties that every compact model has, whatever its equations."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.model import SERIES, CompactModel, Parameter, symbols
from memtwin.devices.models import models
from memtwin.devices.models.mms import pulse_response
from memtwin.devices.series import Terminal, inner_voltage

DYNAMIC = [name for name in models if models[name].rate_expr is not None]
UNIPOLAR = ("pcm", "volatile")
"""Models to which a voltage's sign means nothing."""
SETS = [name for name in shipped_devices() if "drive_v" in load_device(name).meta]
V = np.linspace(-1.7, 1.7, 18)  # off 0, where slopes of two-branch models jump


def some_states(model: CompactModel) -> np.ndarray:
    scale = 1.0 if np.isfinite(model.state_range[1]) else 1e-4
    return scale * np.array([[0.07], [0.33], [0.62], [0.93]])


@pytest.mark.parametrize("r_s", [0.0, 70.0])
@pytest.mark.parametrize("name", models)
def test_derivatives_are_those_of_the_functions(name: str, r_s: float) -> None:
    model = models[name]
    p, x = {"r_s": r_s}, some_states(model)
    h = 1e-6 * x.max()
    # The explicit form adds terms that nearly cancel: differences of it have fewer digits.
    close = 1e-4 if name == "jart_explicit" else 2e-5

    def check(analytic: np.ndarray, upper: np.ndarray, lower: np.ndarray, step: float) -> None:
        numeric = (upper - lower) / (2 * step)
        # Kinks of windows fall between grid points; the rest is a difference's rounding.
        floor = 1e-9 * np.abs(upper).max() / step * 1e-4 + 1e-300
        np.testing.assert_allclose(
            analytic, numeric, rtol=close, atol=floor + 1e-8 * np.abs(numeric).max()
        )

    check(model.didv(V, x, p), model.current(V + 1e-6, x, p), model.current(V - 1e-6, x, p), 1e-6)
    check(model.didx(V, x, p), model.current(V, x + h, p), model.current(V, x - h, p), h)
    if model.rate_expr is not None:
        check(model.drdv(V, x, p), model.rate(V + 1e-6, x, p), model.rate(V - 1e-6, x, p), 1e-6)
        check(model.drdx(V, x, p), model.rate(V, x + h, p), model.rate(V, x - h, p), h)
    for row in model.parameters:
        value = row.default if row.name != "r_s" else 70.0
        step = 1e-6 * abs(value) or 1e-9
        up, down = p | {row.name: value + step}, p | {row.name: value - step}
        here = p | {row.name: value}
        check(
            model.didp(row.name, V, x, here),
            model.current(V, x, up),
            model.current(V, x, down),
            step,
        )
        if model.rate_expr is not None:
            check(
                model.drdp(row.name, V, x, here), model.rate(V, x, up), model.rate(V, x, down), step
            )


@pytest.mark.parametrize("name", models)
def test_is_passive_and_carries_nothing_at_rest(name: str) -> None:
    model = models[name]
    x = some_states(model)
    assert (model.current(0.0, x, {}) == 0.0).all()
    i = model.current(V, x, {})
    assert (i * V > 0).all()
    assert (model.didv(V, x, {}) >= 0).all()


@pytest.mark.parametrize("name", models)
@settings(max_examples=30, deadline=None)
@given(v=st.floats(-100.0, 100.0), share=st.floats(0.0, 1.0))
def test_any_voltage_gives_numbers(name: str, v: float, share: float) -> None:
    model = models[name]
    x = share * (1.0 if np.isfinite(model.state_range[1]) else 1e-4)
    assert np.isfinite(model.current(v, x, {})).all()
    assert np.isfinite(model.current(v, x, {"r_s": 100.0})).all()
    assert np.isfinite(model.didv(v, x, {})).all()
    if model.rate_expr is not None:
        for value in (model.rate(v, x, {}), model.drdx(v, x, {}), model.drdv(v, x, {})):
            assert np.isfinite(value).all()


@pytest.mark.parametrize("name", [name for name in DYNAMIC if name not in UNIPOLAR])
def test_positive_voltage_sets_and_no_bound_holds_the_state(name: str) -> None:
    model = models[name]
    inside = np.array([0.1, 0.5, 0.9])
    assert (model.rate(1.5, inside, {}) >= 0).all()
    assert (model.rate(-1.5, inside, {}) <= 0).all()
    assert model.rate(1.5, 0.0, {}) > 0
    assert model.rate(-1.5, 1.0, {}) < 0


@pytest.mark.parametrize("name", DYNAMIC)
def test_states_outside_are_pulled_back_or_left(name: str) -> None:
    """A simulator that does not clip must not see the state run away."""
    model = models[name]
    edge = 1.0 if name.startswith("knowm") else 0.0  # knowm's ends depend on the voltage
    assert model.rate(1.5, 1.001, {}) <= 1e-2 * abs(model.rate(1.5, 0.5, {})) * (1 - edge)
    assert model.rate(-1.5, -0.001, {}) >= -1e-2 * abs(model.rate(-1.5, 0.5, {})) * (1 - edge)


@pytest.mark.parametrize("name", models)
def test_state_inverts_the_current(name: str) -> None:
    model = models[name]
    x = some_states(model)[:, 0]
    for p in ({}, {"r_s": 40.0}):
        for v in (0.2, -0.3):
            found = model.state(model.current(v, x, p), v, p)
            np.testing.assert_allclose(found, x, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    v=st.floats(-5, 5),
    x=st.floats(0, 1),
    r_s=st.floats(0, 1e5),
    b=st.floats(0.05, 25),
)
def test_series_resistance_takes_its_share(v: float, x: float, r_s: float, b: float) -> None:
    model, p = models["yakopcic"], {"b_p": b, "b_n": b, "a_p": 1e-3, "a_n": 1e-3}
    i = model.current(v, x, p | {"r_s": r_s})
    np.testing.assert_allclose(model.current(v - i * r_s, x, p), i, rtol=1e-7, atol=1e-18)


@pytest.mark.parametrize("b", [1.0, 40.0])
@pytest.mark.parametrize("r_s", [1.0, 1e6])
def test_steep_laws_behind_a_resistor_take_few_steps(b: float, r_s: float) -> None:
    """Newton's method alone goes down an exponential by 1/b a step, and never ends in the rounding
    of e^bu - 1 near 0.
    """
    v = np.array([-10.0, -1e-6, 0.0, 1e-6, 1e-3, 10.0])
    steps = []

    def law(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        steps.append(1)
        grown = np.exp(b * np.minimum(u, 80.0 / b)) * (1.0 + np.maximum(b * u - 80.0, 0.0))
        return grown - 1.0, b * np.exp(b * np.minimum(u, 80.0 / b))

    u, i, _ = inner_voltage(law, v, np.full(6, r_s))
    np.testing.assert_allclose(u + r_s * i, v, rtol=1e-9, atol=1e-9)
    assert len(steps) < 60


@pytest.mark.parametrize("r_s", [0.0, 300.0])
def test_a_terminal_obeys_kirchhoff_however_it_is_asked(
    r_s: float, rng: np.random.Generator
) -> None:
    """Warm or cold, all devices or some: v = u + r_s i, and slopes are those of finite differences."""
    device = load_device("yakopcic_oblea")
    model, p = device.model, {**device.parameters, "r_s": r_s}
    args = [np.full(7, p[name]) for name in model.names]
    v, x = rng.uniform(-1.0, 1.0, 7), rng.uniform(0.1, 0.9, 7)
    devices = Terminal(model, args)
    u, i, *_ = devices.solve(v, x)
    np.testing.assert_allclose(u + r_s * i, v, rtol=1e-10)
    np.testing.assert_allclose(i, model.compiled("current")(u, x, *args[:-1]), rtol=1e-10)
    rate, current = devices.rate_and_current(v, x)
    h = 1e-6
    by_v = (devices.current(v + h, x) - devices.current(v - h, x)) / (2.0 * h)
    np.testing.assert_allclose(devices.current_and_slope(v, x)[1], by_v, rtol=1e-5)
    f, f_x, f_v = devices.rate_and_slopes(v, x)
    np.testing.assert_allclose(f, rate, rtol=1e-9, atol=1e-9 * np.abs(f).max())
    by_x = (devices.rate(v, x + h) - devices.rate(v, x - h)) / (2.0 * h)
    np.testing.assert_allclose(f_x, by_x, rtol=1e-4, atol=1e-6 * np.abs(f_x).max())
    by_v = (devices.rate(v + h, x) - devices.rate(v - h, x)) / (2.0 * h)
    np.testing.assert_allclose(f_v, by_v, rtol=1e-4, atol=1e-6 * np.abs(f_v).max())
    some = np.array([1, 4])
    part = devices.only(some)
    np.testing.assert_allclose(
        part.rate_and_current(v[some], x[some])[1], current[some], rtol=1e-10
    )
    walker = Terminal(model, args)
    for step in np.linspace(0.1, 1.0, 10):
        u, rate, slope = walker.walk(float(step), x)
    np.testing.assert_allclose(rate, devices.rate(np.ones(7), x), rtol=1e-6)
    np.testing.assert_allclose(slope, devices.rate_and_slopes(np.ones(7), x)[1], rtol=1e-4)
    assert (u < 1.0).all() == (r_s > 0.0)


@pytest.mark.parametrize("name", SETS)
def test_published_sets_say_where_they_are_from(name: str) -> None:
    device = load_device(name)
    assert device.meta["source"]
    # Biolek's and other windows are not of the paper whose drift they bound.
    assert ("doi" in device.meta) != ("no_doi" in device.meta)
    reference = str(device.meta.get("doi") or device.meta["no_doi"])
    assert reference.startswith("10.") == ("doi" in device.meta)
    assert reference != "10.1038/nature06932"
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    row = next(line for line in page.split("\n") if line.startswith(f"| `{name}` |"))
    assert reference in row
    for row in device.model.parameters:
        assert row.lower <= device.parameters[row.name] <= row.upper, row.name


def test_parameters_broadcast_with_voltage_and_state() -> None:
    model = models["vteam"]
    r_on = np.array([1e3, 2e3, 3e3])
    i = model.current(V[:, None], 0.4, {"r_on": r_on})
    assert i.shape == (18, 3)
    np.testing.assert_array_equal(i[:, 1], model.current(V, 0.4, {"r_on": 2e3}))


def test_models_travel_between_processes() -> None:
    model = models["yakopcic"]
    expected = model.current(0.5, 0.3, {})
    assert pickle.loads(pickle.dumps(model)).current(0.5, 0.3, {}) == expected


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'yakopcic'"):
        models["yakopcik"]
    with pytest.raises(InputError, match="did you mean 'r_off'"):
        models["vteam"].current(0.1, 0.5, {"roff": 1.0})


def test_a_declaration_must_explain_its_symbols() -> None:
    v, x, g = symbols("V", "X", "g")
    with pytest.raises(InputError, match="'h'"):
        CompactModel("mine", "mine", (SERIES,), v * x * symbols("h")[0], None)
    row = Parameter("g", "S", 1.0, 0.0, 2.0, False, "conductance")
    model = CompactModel("mine", "mine", (row, SERIES), v * x * g, None)
    assert model.current(2.0, 0.5, {"g": 3.0}) == 3.0
    with pytest.raises(InputError, match="no dynamics"):
        model.rate(1.0, 0.5, {})


def test_oblea_set_has_its_published_current() -> None:
    """3.42 mA at 0.45 V, 100 Hz (Yakopcic et al. 2013), although the threshold's kink is rounded."""

    t = np.linspace(0.0, 0.02, 801)
    trace = load_device("yakopcic_oblea").simulate(t, 0.45 * np.sin(2 * np.pi * 100 * t), 0.11)
    assert trace.i.max() == pytest.approx(3.4226e-3, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "v", "window"),
    [("mms_tiox", 1.4, (4.66e3, 5.69e3)), ("mms_tiox2", 0.8, (10.35e3, 16.71e3))],
)
def test_mms_sets_reach_their_published_resistance_windows(
    name: str, v: float, window: tuple[float, float]
) -> None:
    """Ends of the runs r(v) of the two TiOx devices of Messaris et al. 2018."""
    device = load_device(name)
    p = device.parameters
    ends = []
    for amplitude in (v, -v):
        x = float(pulse_response(p, 0.5, amplitude, 1e4))
        ends.append(p["r_max"] - x * (p["r_max"] - p["r_min"]))
    assert ends == pytest.approx(window, rel=2e-3)
