"""Models as the SET law of a map: what they are asked, where a fit begins, and which are refused."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.data.chip import PulseMap
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.technology.access import AccessTransistor
from memtwin.devices.technology.combinations import combine
from memtwin.devices.technology.model_form import model_forms
from memtwin.devices.technology.population import Spreads, draw_cells, set_pulse
from memtwin.devices.technology.set_fit import fit_set
from memtwin.devices.technology.switching import ModelLaw, SetLaw, tabulate
from memtwin.devices.technology.technology import (
    Technology,
    digest_of,
    load_technology,
    technology_text,
)

TRANSISTOR = AccessTransistor(1.6e-3, 0.56, 0.1, 0.78)


def made_up(law, cells=12, seed=0):
    """Draw a map from a law that is known."""
    rng = np.random.default_rng(seed)
    lines, gates, widths = (0.5, 1.0, 1.5, 2.0, 3.0), np.arange(0.5, 3.0, 0.4), (2e-8, 1e-6)
    table = tabulate(law, lines, (0.2, 3.3), (2e-8, 1e-6))
    rows = []
    for v_bl in lines:
        for v_wl in gates:
            for pw in widths:
                g = 8e-6 * 10 ** (0.1 * rng.standard_normal(cells))
                spreads = Spreads(0.03, 0.3, 100.0, 0.03)
                left = set_pulse(table, spreads, draw_cells(cells, rng), g, v_wl, v_bl, pw, rng)
                said = np.broadcast_to([[pw], [v_wl], [v_bl], [0.0]], (4, cells))
                rows.append(np.vstack((said, g, left)))
    pw, v_wl, v_bl, v_sl, before, after = np.concatenate(rows, axis=1)
    number = np.arange(len(pw))
    return PulseMap("made up", number, number < 0, pw, v_wl, v_bl, v_sl, before, after)


@pytest.fixture(scope="module")
def data():
    return combine(made_up(SetLaw(TRANSISTOR, -18.4, 0.018, 5.2e3, 470.0)))


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("vteam", ("v_set", "k_set", "a_set")),
        ("yakopcic", ("v_p", "A_p", "alpha_p", "x_p")),
        ("stanford_hfox", ("nu", "e_a", "gamma_0", "beta", "f_min")),
    ],
)
def test_a_fit_begins_with_a_cell_that_sets_in_time(data, name, free):
    for form in model_forms(name, data, (), 0.2):
        assert form.own == free
        cell = form.law(form.starts(data)[0]).cell
        low, high = cell.conductance(np.array([1e-5, 0.999]), 0.2)
        assert low < 1.3e-5
        assert high > 3.0 * data.measured.median.max()
        start = float(cell.state(max(1e-5, 1.01 * float(low)), 0.2))
        t = np.linspace(0.0, 1e-5, 2)
        end = cell.simulate(t, np.full(2, 1.02 * form.v_cell), start).x[-1]
        held = cell.simulate(1e-3 * t, np.full(2, 0.5 * form.v_cell), start).x[-1]
        assert cell.conductance(end, 0.2) > 2e-5  # from 10 µS, within 100 times what is meant
        assert cell.conductance(held, 0.2) < 1.5e-5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sinh", "no dynamics"),
        ("volatile", "forgets its state"),
        ("mms", "spans a factor of"),
        ("pcm", "more than a year"),
        ("yakopcik", "did you mean 'yakopcic'"),
        ("nothing.toml", "nothing.toml"),
    ],
)
def test_what_can_not_be_the_law_is_refused_in_a_sentence(data, name, said):
    with pytest.raises(InputError, match=said) as refused:
        fit_set(data, law=name)
    assert "\n" not in str(refused.value)


def test_parameters_are_named_by_who_asks(data):
    (form, _) = model_forms("vteam", data, ("k_set", "p"), 0.2)
    assert form.own == ("k_set", "p")
    with pytest.raises(InputError, match="no parameter 'k_sett'"):
        model_forms("vteam", data, ("k_sett",), 0.2)
    with pytest.raises(InputError, match="searched as a whole"):
        fit_set(data, law="power", free=("alpha",))


@pytest.mark.slow
def test_a_model_that_made_the_map_describes_it():
    law = ModelLaw(
        TRANSISTOR, "vteam", 0.2, 1.0, 4e3, 400.0,
        {"r_on": 300.0, "r_off": 2e5, "v_set": 0.9, "k_set": 3e9, "a_set": 4.0},
    )  # fmt: skip
    found = fit_set(combine(made_up(law, 20)), law="vteam")
    assert found.describes
    assert found.law.transistor.v_t == pytest.approx(law.transistor.v_t, abs=0.05)
    assert found.law.r_read == pytest.approx(law.r_read, rel=0.15)


def test_a_fitted_model_needs_no_file_and_survives_its_own(data, tmp_path):
    form = model_forms("stanford_hfox", data, (), 0.2)[0]
    law = form.law(form.starts(data)[0])
    path = tmp_path / "mine.toml"
    path.write_text(technology_text(Technology("mine", law)), encoding="utf-8")
    again = load_technology(path).set
    assert again.parameters == pytest.approx(dict(law.parameters), rel=1e-6)
    assert technology_text(load_technology(path)) == path.read_text(encoding="utf-8")


def test_a_device_in_a_file_is_found_beside_it_and_part_of_the_digest(tmp_path):
    device = load_device("stanford_hfox")
    device.save(tmp_path / "cell.toml")
    law = ModelLaw(TRANSISTOR, str(tmp_path / "cell.toml"), 0.1)
    text = technology_text(Technology("mine", law)).replace(
        str(tmp_path / "cell.toml"), "cell.toml"
    )
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    before = digest_of(load_technology(tmp_path / "mine.toml"))
    assert before == digest_of(load_technology(tmp_path / "mine.toml"))
    changed = replace(device, parameters={**device.parameters, "nu": 2.0 * device.parameters["nu"]})
    changed.save(tmp_path / "cell.toml")
    assert digest_of(load_technology(tmp_path / "mine.toml")) != before
