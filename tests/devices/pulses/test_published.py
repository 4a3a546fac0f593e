"""Published pulse responses: the figures of their sources come back, and they serve where measured ones do."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.data.literature.references import dois_in, find_reference
from memtwin.devices.pulses.presets import neurosim_cell
from memtwin.devices.pulses.published import published_facts, published_responses
from memtwin.devices.pulses.response import load_response, save_response
from memtwin.devices.pulses.steps import steps_of_response

ECRAM = {"ecram_li": (0.002, 1.1724, -0.8276, 0.1153, 0.5085),
         "ecram_mo": (2.8214e-4, 1.1714, -0.8286, 0.4152, 0.7342)}  # fmt: skip


@pytest.mark.parametrize("name", ECRAM)
def test_ecram_steps_are_linear_in_the_weight_as_fitted(name):
    dw, top, bottom, up, down = ECRAM[name]
    response = load_response(name)
    w = np.linspace(0.9 * bottom, 0.9 * top, 7)
    g = (w - bottom) / (top - bottom)
    risen, _ = response.step(g, 1)
    fallen, _ = response.step(g, -1)
    np.testing.assert_allclose(risen * (top - bottom), dw * (1 - up * w / top), rtol=2e-3)
    np.testing.assert_allclose(-fallen * (top - bottom), dw * (1 - down * w / bottom), rtol=2e-3)


def test_pcm_steps_fall_as_fitted():
    response = load_response("pcm_gst")
    w = np.array([0.05, 0.3, 0.8, 1.4, 1.9])
    risen, _ = response.step(w / 2.0, 1)
    # one pulse is a finite step, so that the rate is that of its middle
    middle = w + risen
    np.testing.assert_allclose(2.0 * risen, 0.01 * (1 + 27.235 * np.exp(-2.5 * middle)), rtol=0.06)
    assert response.down is None
    with pytest.raises(InputError, match="no ramp down"):
        steps_of_response(response)


def test_the_fefet_has_the_labels_and_the_range_that_are_tabulated():
    cell = neurosim_cell(load_response("fefet_hzo"))
    assert cell["NL_LTP"] == pytest.approx(1.75, abs=0.02)
    assert cell["NL_LTD"] == pytest.approx(1.46, abs=0.02)
    assert cell["maxConductance"] / cell["minConductance"] == pytest.approx(45.0, rel=1e-3)
    assert 1.0 / cell["maxConductance"] == pytest.approx(559.28e3, rel=1e-4)
    assert cell["maxNumLevelLTP"] == 32
    assert cell["sigmaCtoC"] == pytest.approx(0.005, rel=0.01)


@pytest.mark.parametrize("name", published_responses())
def test_each_names_its_works_and_is_kept_in_a_record(name, tmp_path):
    facts = published_facts(name)
    assert facts["name"] == name
    assert all(find_reference(doi).title for doi in dois_in(facts["doi"]))
    assert dois_in(facts["doi"])
    response = load_response(name)
    assert str(response)
    again = load_response(save_response(response, tmp_path / "r.h5"))
    n = np.linspace(0.0, response.up.pulses, 5)
    np.testing.assert_array_equal(again.up.mean(n), response.up.mean(n))
    np.testing.assert_array_equal(load_response(name).up.fits[3].values, response.up.fits[3].values)


def test_pulses_scatter_and_devices_differ_as_published():
    steps = steps_of_response(load_response("ecram_li"), count=64)
    # 30 % of 0.002 over the span of 2, from pulse to pulse; 10 % of the step over devices
    assert steps.c2c_fixed[0] == pytest.approx(0.0003, rel=0.15)
    middle = steps.up[:, steps.up.shape[1] // 2]
    assert np.std(middle) / np.mean(middle) == pytest.approx(0.1, abs=0.04)


def test_commands_take_them_by_name(tmp_path):
    runner = CliRunner()
    arguments = ["fit", "fefet_hzo", "--kind", "ramps", "--levels", "4", "--json"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["up"]["pulses"] == 32
    assert np.array(said["levels"]["pulses"]).shape == (4, 4)
    works = runner.invoke(app, ["models", "cite", "pcm_gst", "--json"])
    assert [one["key"] for one in json.loads(works.stdout)["works"]] == [
        "nandakumar2020", "rasch2021"
    ]  # fmt: skip
    with pytest.raises(InputError, match="did you mean 'ecram_li'"):
        load_response("ecram_l")
