"""Verilog-A text: no compiler here, but its expressions are read back and compared with numpy."""

import math
import re

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.devices.functions import NUMPY
from memtwin.devices.models import MODELS
from memtwin.devices.verilog_a import module

PLACES = {"v": (-1.3, 0.7), "x": (0.3, 0.8)}


def evaluated(text: str, names: dict[str, float]) -> float:
    """Evaluate a Verilog-A expression by turning its ternaries into Python's."""
    while "?" in text:
        text = _ternary(text)
    scope = {f"{name}_": function for name, function in NUMPY.items()}
    scope |= {"exp": math.exp, "ln": math.log, "sqrt": math.sqrt, "pow": pow, "tanh": math.tanh}
    return float(
        eval(text, {"__builtins__": {}, "abs": abs, "min": min, "max": max}, scope | names)
    )


def _ternary(text: str) -> str:
    """Rewrite the first ``((c) ? a : b)`` of the text."""
    mark = text.index(" ? ")
    start, depth = mark, 0
    while True:  # back to the parenthesis that opens the ternary
        start -= 1
        depth += {")": 1, "(": -1}.get(text[start], 0)
        if depth < 0:
            break
    colon, end, depth = None, mark, 0
    while True:
        end += 1
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if text[end] == ":" and depth == 0:
            colon = end
        if depth < 0:
            break
    assert colon is not None
    condition, yes, no = text[start + 1 : mark], text[mark + 3 : colon], text[colon + 1 : end]
    return f"{text[:start]}(({yes.strip()}) if {condition} else ({no.strip()})){text[end + 1 :]}"


@pytest.mark.parametrize("name", MODELS)
def test_printed_equations_give_numpys_values(name: str) -> None:
    model = MODELS[name]
    text = module(model)
    found = dict(re.findall(r"parameter real (\w+) = ([^ ]+) from", text))
    values = {key: float(value) for key, value in found.items()}
    current = re.search(r"I\(m, n\) <\+ (.*);", text)
    rate = re.search(r"Flow\(state\) <\+ ddt\(x\) - (.*);", text)
    assert current is not None
    assert (rate is None) == (model.rate_expr is None)
    for v in PLACES["v"]:
        for x in PLACES["x"]:
            x = x if model.state_range[1] == 1.0 else 1e-4 * x
            names = values | {"v": v, "x": x, "area": 1.0}
            expected = float(model.current(v, x, {}))
            assert evaluated(current[1], names) == pytest.approx(expected, rel=1e-12)
            if rate is not None:
                expected = float(model.rate(v, x, {}))
                assert evaluated(rate[1], names) == pytest.approx(expected, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("name", MODELS)
def test_modules_are_whole(name: str) -> None:
    documented = module(MODELS[name])
    text = re.sub(r"//.*", "", documented).replace("(0.0:", "[0.0:").replace(":inf)", ":inf]")
    assert text.count("(") == text.count(")")
    assert len(re.findall(r"\bbegin\b", text)) == len(re.findall(r"\bend\b", text))
    assert text.count("endfunction") == text.count("analog function")
    assert f"module memtwin_{name}(p, n);" in text
    assert text.rstrip().endswith("endmodule")
    for row in MODELS[name].parameters:
        assert row.meaning in documented


def test_bad_module_names_are_refused() -> None:
    for name in ("2fast", "a-b", "module"):
        with pytest.raises(InputError, match="Verilog-A module"):
            module(MODELS["vteam"], name)


def test_a_devices_numbers_become_the_defaults() -> None:
    text = module(MODELS["vteam"], "mine", values={"r_on": 1234.5})
    assert "parameter real r_on = 1234.5 from" in text
    with pytest.raises(InputError, match="did you mean 'r_on'"):
        module(MODELS["vteam"], values={"ron": 1.0})


def test_numbers_are_reals() -> None:
    text = module(MODELS["vteam"])
    assert np.isclose(float(re.search(r"k_set = ([^ ]+)", text)[1]), 1e3)  # type: ignore[index]
    assert "1e-06" not in text.replace("1.0e-06", "")
