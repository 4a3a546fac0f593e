"""Conduction laws: against their closed forms, composed with a state, and told apart by data."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.data.measurement import Sweep, Table
from memtwin.devices.conduction.fit import compare_laws
from memtwin.devices.conduction.laws import LAWS, find_law, with_state
from memtwin.devices.conduction.points import ReadPoints, points_of, temperature_in
from memtwin.devices.device import Device, load_device
from memtwin.devices.equations.model_file import load_model, model_text, parse_model_text
from memtwin.devices.models import models

Q, K, H, M = constants.e, constants.k, constants.h, constants.m_e
EPS0 = constants.epsilon_0


def law(name, v, t=300.0, **p):
    return models[f"conduction_{name}"].current(v, 1.0, {**p, "temperature": t})


def reads(name, temperatures, noise=0.01, seed=0, v=None, **p):
    """Points of a law with relative noise."""
    v = np.linspace(0.05, 1.5, 40) if v is None else v
    t = np.repeat(np.asarray(temperatures, float), len(v))
    curve = np.repeat(np.arange(len(temperatures)), len(v))
    every = np.tile(v, len(temperatures))
    rng = np.random.default_rng(seed)
    i = law(name, every, t, **p) * (1.0 + noise * rng.standard_normal(len(every)))
    return ReadPoints(every, i, t, curve, tuple(f"{x:g} K" for x in temperatures))


def test_schottky_is_richardson_s_emission_over_a_lowered_barrier():
    # A A* T² exp(-(phi - sqrt(q³ v/(4 pi eps d)))/kT), at bias where nothing comes back
    phi, eps, d, area, v = 0.7, 4.0, 6e-9, 1e-12, 2.0
    richardson = 4 * np.pi * Q * M * K**2 / H**3
    for t in (280.0, 300.0, 360.0):
        lowering = np.sqrt(Q * v / (4 * np.pi * EPS0 * eps * d))  # [V]
        exact = area * richardson * t**2 * np.exp(-Q * (phi - lowering) / (K * t))
        i_0 = area * richardson * 300.0**2 * np.exp(-Q * phi / (K * 300.0))
        got = law("schottky", v, t, i_0=i_0, phi=phi, eps_d=eps * d * 1e9)
        assert got == pytest.approx(exact, rel=1e-5)


def test_poole_frenkel_lowers_twice_as_much_as_schottky():
    slope = {}
    for name in ("schottky", "poole_frenkel"):
        v = np.array([1.0, 2.0])
        i = law(name, v, eps_d=40.0) / (v if name == "poole_frenkel" else 1.0)
        slope[name] = np.diff(np.log(i))[0] / np.diff(np.sqrt(v))[0]
    exact = np.sqrt(Q / (4 * np.pi * EPS0 * 40e-9)) * Q / (K * 300.0)
    assert slope["schottky"] == pytest.approx(exact, rel=1e-5)
    assert slope["poole_frenkel"] == pytest.approx(2 * exact, rel=1e-5)


def test_fowler_nordheim_has_its_slope_and_its_thermal_factor():
    phi, d = 1.2, 4e-9
    v_b = 8 * np.pi * np.sqrt(2 * M) * (Q * phi) ** 1.5 * d / (3 * Q * H)
    v = np.array([3.0, 4.0])
    i = law("fowler_nordheim", v, 1e-3 + 100.0, v_b=v_b, phi=phi)  # cold: u is small
    c = 2 * np.sqrt(2 * M * Q * phi) * d / (constants.hbar * v)  # [1/eV]
    u = np.pi * c * K * 100.001 / Q
    plot = np.log(i / v**2 / (u / np.sin(u)))
    assert np.diff(plot)[0] / np.diff(1.0 / v)[0] == pytest.approx(-v_b, rel=1e-4)
    assert v_b == pytest.approx(6.83 * phi**1.5 * 4.0, rel=1e-3)


def test_space_charge_is_a_power_whose_curves_meet():
    t_t, v_c = 900.0, 5.0
    for t in (300.0, 450.0):
        v = np.array([0.5, 1.0])
        i = law("sclc", v, t, t_t=t_t, v_c=v_c)
        assert np.log2(i[1] / i[0]) == pytest.approx(t_t / t + 1.0, rel=1e-6)
    assert law("sclc", v_c, 300.0, t_t=t_t, v_c=v_c) == pytest.approx(
        law("sclc", v_c, 400.0, t_t=t_t, v_c=v_c)
    )


@pytest.mark.parametrize(("name", "energy"), [("ohmic", "e_a"), ("sinh", "e_a"), ("tat", "e_a")])
def test_energies_are_slopes_over_1_by_kt(name, energy):
    v = 1.0 if name != "sinh" else 1e-6
    t = np.array([300.0, 400.0])
    i = law(name, v, t, **{energy: 0.25}) * (t / 300.0 if name == "sinh" else 1.0)
    assert np.diff(np.log(i))[0] / np.diff(1.0 / t)[0] == pytest.approx(-0.25 * Q / K, rel=1e-4)


@given(
    st.sampled_from(sorted(LAWS)),
    st.floats(-5.0, 5.0),
    st.floats(150.0, 600.0),
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_laws_are_odd_passive_and_finite(name, v, t, shares):
    found = find_law(name)
    p = {}
    for row, share in zip(found.parameters, shares, strict=False):
        low, high = row.lower, row.upper
        p[row.name] = low * (high / low) ** share if row.log else low + share * (high - low)
    model = models[f"conduction_{name}"]
    i, back = (model.current(x, 1.0, {**p, "temperature": t}) for x in (v, -v))
    slope = model.didv(v, 1.0, {**p, "temperature": t})
    assert np.isfinite([i, slope]).all()
    assert i == pytest.approx(-back, rel=1e-9, abs=0.0)
    assert i * v >= 0.0
    assert slope >= 0.0


def test_a_static_part_leaves_the_dynamics_as_they_are():
    base, mixed = models["yakopcic"], load_model("yakopcic+ohmic/schottky")
    x, v = np.linspace(0.05, 0.95, 7), 0.8
    np.testing.assert_allclose(mixed.rate(v, x, {}), base.rate(v, x, {}), rtol=1e-12)
    p = {"g_0_lrs": 3e-4, "i_0_hrs": 2e-9, "temperature": 330.0}
    on, off = law("ohmic", v, 330.0, g_0=3e-4), law("schottky", v, 330.0, i_0=2e-9)
    np.testing.assert_allclose(mixed.current(v, x, p), x * on + (1 - x) * off, rtol=1e-12)
    assert not {"a_p", "b_p"} & set(mixed.names)
    i = mixed.current(v, x, p)
    np.testing.assert_allclose(mixed.state(i, v, p), x, rtol=1e-9)


def test_the_heat_of_the_new_current_moves_the_state():
    mixed = load_model("stanford+sinh")
    assert "t_0" in mixed.names
    assert "temperature" not in mixed.names
    assert not {"i_0", "g_0", "v_0"} & set(mixed.names)
    p = {"i_0_lrs": 1e-3, "i_0_hrs": 1e-3, "v_0_lrs": 0.5, "v_0_hrs": 0.5}
    hot = mixed.rate(1.0, 0.5, {**p, "r_th": 5e4})
    i = float(mixed.current(1.0, 0.5, p))
    ambient = mixed.rate(1.0, 0.5, {**p, "r_th": 0.0, "t_0": 298.0 + 5e4 * i})
    # heat raises the rate by the temperature that i v makes; the current itself follows the ambient
    assert hot == pytest.approx(ambient, rel=1e-9)
    drift = load_model("drift_biolek+ohmic")
    ratio = drift.rate(0.5, 0.3, {"g_0_lrs": 2e-5, "g_0_hrs": 2e-5}) / drift.rate(
        0.5, 0.3, {"g_0_lrs": 1e-5, "g_0_hrs": 1e-5}
    )
    assert ratio == pytest.approx(2.0)


def test_a_composed_model_is_kept_in_a_file(tmp_path):
    mixed = load_model("vteam+tat/poole_frenkel")
    again = parse_model_text(model_text(mixed, "model").replace("[model]\n", "").replace(
        "[model.parameters]", "[parameters]"), "text")  # fmt: skip
    v = np.linspace(-1.0, 1.0, 9)
    np.testing.assert_allclose(again.current(v, 0.4, {}), mixed.current(v, 0.4, {}), rtol=1e-12)
    Device("d", mixed).save(tmp_path / "d.toml")
    kept = load_device(tmp_path / "d.toml")
    np.testing.assert_allclose(kept.rate(v, 0.4), mixed.rate(v, 0.4, {}), rtol=1e-9)


def test_what_can_not_be_composed_is_refused():
    with pytest.raises(InputError, match="no share from 0 to 1"):
        with_state(models["sinh"], "ohmic")
    with pytest.raises(InputError, match="did you mean 'schottky'"):
        load_model("vteam+schotky")


@pytest.mark.parametrize("name", ["schottky", "poole_frenkel", "ohmic"])
def test_temperatures_tell_the_law_and_its_parameters(name):
    support = compare_laws(reads(name, (300, 330, 370)), ["ohmic", "sinh", "schottky",
                                                            "poole_frenkel"])  # fmt: skip
    assert support.best.law.name == name
    assert support.decided, support.verdict
    defaults = models[f"conduction_{name}"].defaults
    for key, error in support.best.stderr.items():
        assert abs(support.best.parameters[key] - defaults[key]) < 4.0 * error
    assert support.held_out == "each temperature by the others"
    assert support.best.decades == pytest.approx(0.01 / np.log(10), rel=0.2)


def test_few_volts_at_one_temperature_tell_nothing_apart():
    v = np.linspace(0.4, 0.5, 12)
    support = compare_laws(
        reads("poole_frenkel", (300,), noise=0.02, v=v), ["schottky", "poole_frenkel", "sclc"]
    )
    assert len(support.alike) > 1
    assert not support.decided
    assert "do not tell" in support.verdict
    assert "more temperatures" in support.verdict
    assert support.best.unidentified[support.best.law.thermal] == "read at one temperature"


def test_a_thickness_says_what_the_parameters_mean():
    points = reads("schottky", (300, 350), eps_d=30.0)
    support = compare_laws(points, ["schottky", "poole_frenkel"], thickness=6e-9)
    by_name = {one.law.name: one for one in support.fits}
    assert "permittivity 5" in by_name["schottky"].remarks[0]
    assert (
        "no dielectric" in by_name["poole_frenkel"].remarks[0]
        or support.best.law.name == "schottky"
    )
    with pytest.raises(InputError, match="thickness"):
        compare_laws(points, thickness=6.0)


def test_points_come_from_sweeps_tables_and_names():
    v = np.linspace(0.0, 1.0, 21)
    t = np.arange(21.0)
    sweep = Sweep("hrs_350K", t, v, 1e-5 * v, np.zeros(21, bool))
    assert points_of([sweep]).temperatures.tolist() == [350.0]
    assert points_of([sweep], [300.0], window=(0.2, 0.8)).v.min() >= 0.2
    columns = {"v": v, "i": 1e-5 * v, "temp": np.full(21, 400.0)}
    table = Table("many", columns, {"v": "V", "i": "A", "temp": "K"})
    assert points_of([table]).temperatures.tolist() == [400.0]
    with pytest.raises(InputError, match="at which temperature"):
        points_of([Sweep("hrs", t, v, v, np.zeros(21, bool))])
    assert temperature_in("a 77K") == 77.0
    assert temperature_in("5kOhm_K2400") is None


def test_the_command_fits_tells_and_keeps_a_device(tmp_path):
    points = reads("poole_frenkel", (300, 340, 380))
    rows = np.c_[points.v, 1e6 * points.i, points.temperature - 273.15]
    path = tmp_path / "reads.csv"
    np.savetxt(path, rows, delimiter=",", header="V [V],I [uA],temperature [degC]", comments="")
    arguments = ["fit", str(path), "--kind", "conduction", "--laws", "schottky,poole_frenkel",
                 "--device", str(tmp_path / "pf.toml"), "--plot", str(tmp_path / "pf.png")]  # fmt: skip
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["best"] == "poole_frenkel"
    assert said["decided"]
    assert said["temperatures"] == pytest.approx([300.0, 340.0, 380.0])
    kept = load_device(tmp_path / "pf.toml")
    assert kept.current(1.0, 1.0) == pytest.approx(law("poole_frenkel", 1.0), rel=0.05)
    assert (tmp_path / "pf.png").stat().st_size > 10_000
    shown = CliRunner().invoke(app, arguments)
    assert "the points support poole_frenkel" in " ".join(shown.stdout.split())
    refused = CliRunner().invoke(app, ["fit", str(path), "--kind", "conduction", "--laws", "om"])
    assert refused.exit_code == 2
    assert "no conduction law 'om'" in " ".join(refused.stderr.split())
