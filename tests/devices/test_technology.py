"""Technologies: the table against the differential equation, fits of data that are known, round trips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from memtwin.data.chip import PulseMap, WriteLog
from memtwin.data.errors import InputError
from memtwin.devices.technology.access import AccessTransistor
from memtwin.devices.technology.combinations import combine
from memtwin.devices.technology.landing import check_log, dead_cells, fit_landing
from memtwin.devices.technology.population import Spreads, draw_cells, set_pulse
from memtwin.devices.technology.reset import LogNormal, ResetLaw, fit_reset
from memtwin.devices.technology.set_fit import fit_set
from memtwin.devices.technology.switching import PowerLaw, SetLaw, tabulate
from memtwin.devices.technology.technology import (
    Technology,
    load_technology,
    shipped_technologies,
    technology_text,
)

LAW = SetLaw(AccessTransistor(1.6e-3, 0.56, 0.1, 0.78), -18.4, 0.018, 5.2e3, 470.0)
POWER = PowerLaw(AccessTransistor(1.65e-3, 0.565, 0.107, 0.79), 13.33, 0.859, 10.0, 5.15e3, 460.0)
SPREADS = Spreads(0.06, 1.4, 200.0, 0.05)


def by_equation(law, g, v_wl, v_bl, pw):
    """Integrate du/dt, the cell's voltage from the series circuit at every step."""

    def rate(_, u):
        g_c = 1e-6 * np.exp(u[0])

        def surplus(v):
            left = v_bl - v - g_c * v * law.r_write
            return law.transistor.current(v_wl, max(left, 0.0)) - g_c * v

        v_c = brentq(surplus, 0.0, v_bl, xtol=1e-13)
        if isinstance(law, PowerLaw):
            return [10.0**law.log10_rate * max(v_c / law.v_on - 1.0, 0.0) ** law.alpha]
        return [10.0**law.log10_rate * 2.0 * np.sinh(v_c / law.v_s)]

    found = solve_ivp(rate, (0.0, pw), [float(law.inner(g))], method="LSODA", rtol=1e-8, atol=1e-8)
    return float(law.outer(found.y[0, -1]))


@pytest.mark.parametrize(
    ("v_wl", "v_bl", "pw"),
    [(0.7, 2.0, 1e-7), (1.0, 2.0, 2e-8), (1.3, 1.5, 2e-7), (2.5, 3.0, 1e-6), (1.5, 1.1, 1e-6)],
)
@pytest.mark.parametrize("law", [LAW, POWER], ids=["exponential", "power"])
def test_the_table_is_the_equation(law, v_wl, v_bl, pw):
    table = tabulate(law, [v_bl], (0.5, 3.4), (2e-8, 2e-6))
    u = table.after(0, v_wl, np.log(pw) + np.log(10.0) * law.log10_rate, law.inner(1e-5))
    truth = by_equation(law, 1e-5, v_wl, v_bl, pw)
    assert abs(law.outer(u) - truth) < max(0.1e-6, 0.015 * (truth - 1e-5))


@settings(max_examples=30)
@given(st.floats(0.5, 3.4), st.floats(1e-6, 1.6e-4), st.floats(-8.0, -5.7))
def test_pulses_only_lift_and_longer_ones_more(v_wl, g, decade):
    table = tabulate(LAW, [2.0], (0.5, 3.4), (2e-8, 2e-6), 0.2)
    u = LAW.inner(g)
    rate = np.log(10.0) * LAW.log10_rate
    short, long = (table.after(0, v_wl, rate + np.log(10.0) * d, u) for d in (decade, decade + 0.3))
    assert u <= short <= long + 1e-9


@given(st.floats(1e-6, 1.8e-4))
def test_what_is_read_is_what_is_there(g):
    assert LAW.outer(LAW.inner(g)) == pytest.approx(g, rel=1e-9)


def made_up(law, spreads, rng, cells=24):
    """Draw a map from a law that is known."""
    lines, gates, widths = (0.5, 1.0, 1.5, 2.0, 3.0), np.arange(0.5, 3.0, 0.2), (2e-8, 1e-6)
    table = tabulate(law, lines, (0.5 - 0.3, 3.3), (2e-8, 1e-6))
    rows = []
    for v_bl in lines:
        for v_wl in gates:
            for pw in widths:
                g = 8e-6 * 10 ** (0.1 * rng.standard_normal(cells))
                left = set_pulse(table, spreads, draw_cells(cells, rng), g, v_wl, v_bl, pw, rng)
                said = np.broadcast_to([[pw], [v_wl], [v_bl], [0.0]], (4, cells))
                rows.append(np.vstack((said, g, left + 1e-6 * rng.standard_normal(cells))))
    pw, v_wl, v_bl, v_sl, before, after = np.concatenate(rows, axis=1)
    number = np.arange(len(pw))
    about = {"read_noise": 1e-6}
    return PulseMap("made up", number, number < 0, pw, v_wl, v_bl, v_sl, before, after, about)


@pytest.mark.slow
@pytest.mark.parametrize(
    "law",
    [LAW, SetLaw(AccessTransistor(8e-4, 0.8, 0.05, 0.5), -16.0, 0.025, 3e3, 1e3)],
)
def test_a_fit_finds_the_law_that_made_the_data(law, rng):
    data = combine(made_up(law, SPREADS, rng))
    found = fit_set(data)
    assert found.error["median"] < 1.3 * found.noise["median"]
    assert abs(found.law.transistor.v_t - law.transistor.v_t) < 0.05
    assert found.law.r_read == pytest.approx(law.r_read, rel=0.1)
    assert found.spreads.v_t == pytest.approx(SPREADS.v_t, rel=0.3)


def test_a_map_that_says_too_little_is_refused(rng):
    measured = made_up(LAW, SPREADS, rng, 6)
    with pytest.raises(InputError, match="one bit line"):
        fit_set(combine(measured.only(measured.v_bl == 2.0)))
    with pytest.raises(InputError, match="switches half"):
        fit_set(combine(measured, moved=1.0))
    with pytest.raises(InputError, match="0 SET pulses began below"):
        combine(measured, below=1e-9)


def test_resets_are_found_by_maximum_likelihood(rng):
    law = ResetLaw(-0.5, 5.0, 6.0, 0.8, 8.0, 2.7, 3.0, 1.0e-4, LogNormal(3e-5, 0.1))
    count = 20_000
    g = 1e-4 + 6e-6 * rng.standard_normal(count)
    v_wl, v_sl = rng.choice([2.4, 2.6, 2.8, 3.0], count), rng.choice([2.5, 3.0], count)
    pw = rng.choice([4e-7, 1e-6, 2e-6], count)
    after = law.pulse(g, v_wl, v_sl, pw, rng)
    number = np.arange(count)
    made = PulseMap("r", number, number >= 0, pw, v_wl, np.zeros(count), v_sl, g, after)
    found = fit_reset(made)
    assert found.error["switched"] < 1.5 * found.noise["switched"]
    for name in ("width", "line", "start"):
        assert getattr(found.law, name) == pytest.approx(getattr(law, name), rel=0.2)
    assert found.law.level.g == pytest.approx(3e-5, rel=0.02)


def writes(rng, rounds=100, dead=0.1):
    """Draw a log whose landings are exponential in their overshoot."""
    cells, each = 300, 10
    cell = np.repeat(np.arange(cells), each)
    width = rng.choice([0.002, 0.006, 0.02], len(cell))
    beyond = rng.exponential(0.15, len(cell))
    good = rng.random(len(cell)) < 1.0 - np.exp(-width / 0.15) ** rounds
    good &= ~(cell < dead * cells)
    low = np.full(len(cell), 1e-4)
    high = low * np.exp(width)
    written = np.where(good, 0.5 * (low + high), 0.9 * low)
    erased = np.full(len(cell), 3e-5)
    nothing = np.zeros(0)
    return WriteLog(
        *("w", cell, low, high, written, np.full(len(cell), 1.0)),
        *(erased * np.exp(-beyond), erased, nothing.astype(np.int64), nothing, nothing),
        {"attempts_max": rounds},
    )


def test_landings_foretell_another_chips_writes(rng):
    law = fit_landing([writes(rng)])
    log = writes(rng, dead=0.2)
    assert dead_cells(log).mean() == pytest.approx(0.2, abs=0.01)
    rows = check_log(law, [log])
    assert sum(row.writes for row in rows) == len(log)
    for row in rows:
        spread = np.sqrt(0.25 / row.writes + 0.25 / 700) if row.ln_width < 0.004 else 0.0
        assert abs(row.predicted_percent - row.measured_percent) < 3.0 + 300.0 * spread


def test_what_ships_reads_and_survives_its_file(tmp_path):
    assert "rram_1t1r" in shipped_technologies()
    for name in shipped_technologies():
        technology = load_technology(name)
        text = technology_text(technology)
        path = tmp_path / "copy.toml"
        path.write_text(text, encoding="utf-8")
        assert technology_text(load_technology(path)) == text


def test_a_device_without_statistics_is_a_technology(tmp_path):
    path = tmp_path / "plain.toml"
    path.write_text(technology_text(Technology("plain", LAW)), encoding="utf-8")
    again = load_technology(path)
    assert again.set == LAW
    assert again.reset is None
    path.write_text(path.read_text().replace("r_read = 5200.0\n", ""), encoding="utf-8")
    with pytest.raises(InputError, match=r"set\.r_read is missing"):
        load_technology(path)


def test_energies_are_a_bracket_that_grows_with_time():
    technology = load_technology("rram_1t1r")
    g = np.array([3.3e-5, 8.9e-5, 1.43e-4])
    low, high = technology.energy(g, np.array([0.7, 1.0, 1.5]), 2.0, 1e-7)
    assert (low <= high).all()
    np.testing.assert_allclose(
        technology.energy(g, 1.0, 2.0, 2e-7)[0], 2 * technology.energy(g, 1.0, 2.0, 1e-7)[0]
    )
    assert 5e-12 < low[0] < 1e-11  # 7 to 8 pJ at 33 uS, 100 ns
