"""What a device is exported to for simulators that aren't here: read by their documented rules, held to numpy.

A printed expression of LTspice or Xyce is evaluated as their help pages say: ``if(c, a, b)`` computes both branches,
``**`` is a power, ``&`` or ``&&`` a conjunction, and names know no case.
"""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.models import models
from memtwin.devices.printing.ngspice import limiter

OTHERS = ("ltspice", "xyce")
_READ = {
    "if": lambda c, a, b: np.where(c, a, b),
    "min": np.minimum,
    "max": np.maximum,
    "exp": np.exp,
    "ln": np.log,
    "sinh": np.sinh,
    "tanh": np.tanh,
    "asin": np.arcsin,
    "abs": np.abs,
    "sqrt": np.sqrt,
}


def _sources(text):
    """Return the expressions of the B sources, by element."""
    found = {}
    for line in text.splitlines():
        if line.startswith("B"):
            element, _, _, law = line.split(" ", 3)
            kind, expression = law.split("=", 1)
            assert kind in "IV"
            found[element] = expression
    return found


def _value(expression, dialect, v, x):
    """Evaluate as the dialect's help says."""
    if dialect == "xyce":
        assert expression[0] == "{"
        assert expression[-1] == "}"
        assert "{" not in expression[1:]
        expression = expression[1:-1]
        expression = expression.replace("&&", " and_ ")
    else:
        assert "&&" not in expression
        assert "||" not in expression
    assert "?" not in expression
    text = re.sub(r"\bif\(", "if_(", expression.lower())
    text = re.sub(r"v\((\w+),n\)", "volts", text)
    text = re.sub(r"v\((q|x)\)", "state", text)
    names = {("if_" if name == "if" else name): f for name, f in _READ.items()}
    return eval(text, {"__builtins__": {}}, {**names, "volts": v, "state": x})


def _cases():
    devices = [load_device(name) for name in ("nbsto_32um", "stanford_hfox", "vteam_asic2")]
    devices += [load_device("mms_tiox"), load_device("knowm_nugent")]
    return devices + [Device(name, models[name]) for name in models if _alone(models[name])]


def _alone(model):
    """Whether expressions of v and the state say all: not of an inner node."""
    return model.rate_expr is not None and model.inner_expr is None


@pytest.mark.parametrize("device", _cases(), ids=lambda device: device.name)
def test_other_dialects_say_what_numpy_does(device):
    flat = Device("d", device.model, {**device.parameters, "r_s": 0.0}, area=2.0)
    v, x = (a.ravel() for a in np.meshgrid(np.linspace(-1.5, 1.5, 31), np.linspace(0, 1, 11)))
    for dialect in OTHERS:
        sources = _sources(flat.export(to=dialect))
        for element, expected in (("Bm", flat.current(v, x)), ("Bxm", 1e-6 * flat.rate(v, x))):
            got = np.broadcast_to(_value(sources[element], dialect, v, x), v.shape)
            scale = np.abs(expected).max()
            np.testing.assert_allclose(got / scale, expected / scale, atol=1e-9)


@pytest.mark.parametrize("dialect", OTHERS)
def test_a_frozen_state_is_the_read_law(dialect):
    flat = Device("d", models["yakopcic"], {"r_s": 0.0})
    v = np.linspace(-1.5, 1.5, 31)
    law = _sources(flat.export(to=dialect, state=0.3))["Bm"]
    np.testing.assert_allclose(_value(law, dialect, v, 0.3), flat.current(v, 0.3), rtol=1e-9)


@pytest.mark.parametrize("dialect", ["ngspice", *OTHERS])
def test_a_limiter_takes_what_is_beyond(dialect):
    text = limiter("cap", positive=1e-3, negative=0.1, dialect=dialect)
    assert text.splitlines()[1] == ".subckt cap a b params: i_p=0.001 i_n=0.1"
    law = _sources(text)["Bl"].replace("{", "").replace("}", "").lower().replace("i(vi)", "amps")
    for amps, volts in ((2e-3, 1e6), (5e-4, 0.0), (-0.05, 0.0), (-0.2, -1e6)):
        names = {"min": min, "max": max, "amps": amps, "i_p": 1e-3, "i_n": 0.1}
        assert eval(law, {"__builtins__": {}}, names) == pytest.approx(volts)


def test_json_reads_back_as_the_same_device(tmp_path):
    device = load_device("nbsto_32um")
    unsure = Device(
        "unsure",
        device.model,
        device.parameters,
        {"v_p": np.inf, "v_n": 0.1},
        meta={"compliance": [1e-3, float("inf")], "x0": [0.1]},
        unidentified={"v_p": "the data do not depend on it"},
    )
    for one in (device, unsure, load_device("stanford_hfox").scaled(0.5)):
        path = tmp_path / "d.json"
        text = one.export(path, to="json")
        tree = json.loads(text)
        assert tree["equations"]["current [A]"] == str(one.model.current_expr)
        back = load_device(path)
        assert back.digest == one.digest
        assert (back.stderr, back.unidentified) == (one.stderr, one.unidentified)


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-30, 1e30), st.floats(0.0, 1e5))
def test_json_keeps_every_number(scale, r_s):
    from memtwin.devices.device_file import device_json

    device = Device("d", models["yakopcic"], {"a_p": scale, "r_s": r_s})
    rows = json.loads(device_json(device))["parameters"]
    assert rows["a_p"]["value"] == scale
    assert rows["r_s"]["value"] == r_s


def test_refusals_name_what_there_is(tmp_path):
    device = load_device("nbsto_32um")
    with pytest.raises(InputError, match="did you mean 'ltspice'"):
        device.export(to="ltspic")
    with pytest.raises(InputError, match="frozen state"):
        device.export(to="json", state=0.5)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="can't be read as JSON"):
        load_device(tmp_path / "broken.json")
