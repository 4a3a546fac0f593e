"""Devices, their files, and their levels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device, value_text
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.models import models


@pytest.mark.parametrize("name", shipped_devices())
def test_shipped_devices_load_and_have_levels(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    levels = device.levels(8, 0.1)
    np.testing.assert_allclose(device.conductance(levels.x, 0.1), levels.g, rtol=1e-8)
    assert (np.diff(levels.g) > 0).all()


def test_a_saved_device_comes_back_exactly(tmp_path: Path) -> None:
    meta = {
        "note": 'a "quoted"\nline',
        "v_max": np.float64(1.5),
        "files": ["a", "b"],
        "odd key": np.True_,
    }
    device = Device("mine", models["vteam"], {"r_on": 1 / 3}, {"r_on": 0.1}, np.float64(0.25), meta)
    again = load_device(device.save(tmp_path / "mine.toml"))
    assert again == device
    assert again.digest == device.digest


@given(st.floats(1e-6, 1e3))
def test_area_scales_all_currents(area: float) -> None:
    device = Device("d", models["yakopcic"], {"r_s": 30.0})
    scaled = device.scaled(area)
    assert scaled.r_s == pytest.approx(30.0 / area)
    for law in ("current", "didv", "didx"):
        one, many = getattr(device, law)(0.7, 0.4), getattr(scaled, law)(0.7, 0.4)
        np.testing.assert_allclose(many, area * one, rtol=1e-12)
    assert scaled.rate(0.7, 0.4) == device.rate(0.7, 0.4)
    np.testing.assert_allclose(scaled.state(device.conductance(0.4, 0.2) * area, 0.2), 0.4)


def test_conductances_out_of_reach_are_refused_with_the_range() -> None:
    device = Device("d", models["vteam"])
    with pytest.raises(InputError, match=r"reaches 1e-05 to 0\.001 S"):
        device.state([1e-4, 1e-2], 0.1)
    with pytest.raises(InputError, match="read voltage"):
        device.state(1e-4, 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "no valid TOML"),
        ("name = 'a'\nmodel = 'vteam'\narea = 'x'\n[parameters]", "area is 'x', expected a number"),
        ("name = 'a'\nmodel = 'vteam'\narea = true\n[parameters]", "area is True, expected a num"),
        ("name = 'a'\nmodel = 'vteam'\nparameters = 3", "parameters is 3, expected a table"),
        ("name = 'a'\nmodel = 3\n[parameters]", "model is 3, expected a string"),
        ("name = ['a']\nmodel = 'vteam'\n[parameters]", "expected a string"),
        ("name = 'a'\nmodel = 'vteam'\nmeta = 'x'\n[parameters]", "meta is 'x', expected a table"),
        (
            "name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = true",
            "r_on is True, expected a number",
        ),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = 1" + 400 * "0", "expected a number"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = {value = 1.0, stderr = 'x'}", "stderr"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = 0.0", "conductance .* is not finite"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = 1" + 5000 * "0", "4300 digits"),
        ("name = " + 5000 * "[", "nested too deep"),
        ("name = 'a'\nmodel = 'vteam'", "'parameters' is missing"),
        ("name = 'a'\nmodel = 'vteem'\n[parameters]", "did you mean 'vteam'"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nron = 1.0", "did you mean 'r_on'"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = 'x'", "expected a number"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = nan", "expected a number"),
        ("name = 'a'\nmodel = 'vteam'\n[parameters]\nr_s = -1.0", "0 or more"),
        ("name = 'a'\nmodel = 'vteam'\narea = 0.0\n[parameters]", "above 0"),
    ],
)
def test_bad_device_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_device(path)


def test_missing_devices_are_named() -> None:
    with pytest.raises(InputError, match="did you mean 'nbsto_32um'"):
        load_device("nbsto_32")
    with pytest.raises(InputError, match="no device file"):
        load_device("/nowhere/a.toml")


def test_levels_are_evenly_spaced_or_equally_noisy() -> None:
    device = Device("d", models["sinh"])
    even = device.levels(5, 0.2, g_min=1e-6, g_max=5e-6)
    np.testing.assert_allclose(even.g, [1e-6, 2e-6, 3e-6, 4e-6, 5e-6])
    assert even.step == pytest.approx(1e-6)
    noise = np.linspace(1e-7, 4e-7, 50)
    spaced = device.levels(5, 0.2, g_min=1e-6, g_max=4e-6, noise=noise)
    # Here the noise is g/10, so that equal distances in it are equal ratios.
    np.testing.assert_allclose(np.diff(np.log(spaced.g)), np.log(4) / 4, rtol=1e-3)

    ratios = device.levels(5, 0.2, g_min=1e-6, g_max=16e-6, spacing="logarithmic")
    np.testing.assert_allclose(ratios.g, [1e-6, 2e-6, 4e-6, 8e-6, 16e-6])
    halves = device.levels(5, 0.2, g_min=1e-6, g_max=9e-6, spacing="powers")
    np.testing.assert_allclose(halves.g, [1e-6, 2e-6, 3e-6, 5e-6, 9e-6])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 1}, "at least 2"),
        ({"spacing": "log"}, "no spacing of levels 'log'"),
        ({"spacing": "powers", "noise": [1e-7, 2e-7]}, "take no noise"),
        ({"g_min": 3e-6, "g_max": 2e-6}, "g_min < g_max"),
        ({"g_max": None}, "give g_min and g_max"),
        ({"noise": [1e-7, 0.0]}, "above 0"),
    ],
)
def test_bad_levels_are_refused(arguments: dict, words: str) -> None:
    keywords = {"count": 4, "g_min": 1e-6, "g_max": 2e-6} | arguments
    with pytest.raises(InputError, match=words):
        Device("d", models["sinh"]).levels(keywords.pop("count"), 0.1, **keywords)


def test_importing_devices_leaves_sympy_alone() -> None:
    import subprocess
    import sys

    code = "import sys, memtwin.devices.device, memtwin.devices.pulses.trapezoid; print('sympy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_what_a_fit_does_not_know_stays_with_the_device(tmp_path: Path) -> None:
    """An infinite standard error is no missing one: the parameter was fitted, not fixed."""
    device = Device(
        "mine",
        models["vteam"],
        {"r_on": 50.0, "k_set": 0.3},
        {"r_on": 0.1, "k_set": np.inf},
        meta={"converged": False},
        unidentified={"k_set": 'the "data" do not depend on it'},
    )
    again = load_device(device.save(tmp_path / "mine.toml"))
    assert again == device
    assert again.stderr["k_set"] == np.inf
    assert again.caveat == "its fit did not converge"
    assert not load_device("nbsto_32um").caveat


@given(
    st.dictionaries(
        st.sampled_from([row.name for row in models["yakopcic"].parameters]),
        st.one_of(st.floats(0.0, allow_nan=False), st.just(np.inf)),
    ),
    st.dictionaries(
        st.sampled_from([row.name for row in models["yakopcic"].parameters]), st.text(max_size=20)
    ),
)
def test_errors_and_reasons_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, stderr: dict, reasons: dict
) -> None:
    device = Device("d", models["yakopcic"], {}, stderr, unidentified=reasons)
    path = tmp_path_factory.mktemp("d") / "d.toml"
    assert load_device(device.save(path)) == device


def test_a_value_says_what_is_known_of_it() -> None:
    assert value_text(1.5, 0.1, None, "V") == "1.5 ± 0.1 V"
    assert value_text(1.5, None, None, "V") == "1.5 V (fixed)"
    assert value_text(1.5, np.inf, "ended on a bound") == "1.5 (unidentified)"
    assert value_text(2.443e-7, 8.7e-9, None, "A") == "244.3 ± 8.7 nA"
    assert value_text(321.317, 25.3, None, "1/s") == "321 ± 25 1/s"
    assert value_text(3.0, 512.0, None) == "3 ± 510"
    assert value_text(1.5, 0.1, "moves together with b") == "1.5 ± 0.1 (unidentified)"


@pytest.mark.parametrize("error", ["'x'", "nan", "-1.0"])
def test_standard_errors_that_are_none_are_refused(tmp_path: Path, error: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        f"name = 'a'\nmodel = 'vteam'\n[parameters]\nr_on = {{ value = 1.0, stderr = {error} }}"
    )
    with pytest.raises(InputError, match=r"r_on"):
        load_device(path)


@pytest.mark.parametrize("name", shipped_devices())
@pytest.mark.parametrize("area", [1.0, 0.0227])
def test_a_conductance_at_an_end_is_the_state_there(name: str, area: float) -> None:
    """Inverses find nothing, or a state outside, where rounding puts a current out of reach."""
    device = load_device(name).scaled(area)
    low, high = device.model.state_range
    for v in (0.05, -0.2):
        g = device.conductance(np.array([low, high]), v)
        found = device.state(np.array([[g[0], g[0] * (1 + 1e-12)], [g[1] * (1 - 1e-12), g[1]]]), v)
        np.testing.assert_array_equal(found, [[low, low], [high, high]])
        assert device.state(g[1], v) == high
        with pytest.raises(InputError, match="can't have a conductance"):
            device.state(g[1] * 1.001, v)
