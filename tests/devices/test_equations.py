"""Models typed as text: the same as models in Python, and nothing else than equations."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import call
from memtwin.data.errors import InputError
from memtwin.data.files import parse_toml
from memtwin.devices.compile import vectorised
from memtwin.devices.device import Device, load_device
from memtwin.devices.equations.grammar import parse
from memtwin.devices.equations.model_file import (
    load_model,
    model_text,
    parse_model,
    parse_model_text,
    save_model,
)
from memtwin.devices.equations.vocabulary import FUNCTIONS
from memtwin.devices.functions import branches
from memtwin.devices.model import SERIES, CompactModel, Parameter, symbols
from memtwin.devices.models import models
from memtwin.devices.printing import ngspice
from memtwin.devices.printing.verilog_a import module

VTEAM = """
name = "typed_vteam"
title = "VTEAM, linear resistance, Biolek window"
doi = "10.1109/TCSII.2015.2433536"
current = "v/(r_off + (r_on - r_off)*inside(x))"
rate = '''
where(v >= 0,
      k_set*power(overdrive, a_set)*(1 - power(x**2, p)),
      -k_reset*power(overdrive, a_reset)*(1 - power((1 - x)**2, p)))
'''

[definitions]
overdrive = "above(abs(v)/where(v >= 0, v_set, v_reset) - 1, smooth)"

[parameters]
r_on = { unit = "ohm", default = 1e3, bounds = [1, 1e9], log = true, meaning = "resistance at x = 1" }
r_off = { unit = "ohm", default = 1e5, bounds = [1, 1e12], log = true, meaning = "resistance at x = 0" }
v_set = { unit = "V", default = 0.5, bounds = [0.01, 10], meaning = "SET threshold" }
v_reset = { unit = "V", default = 0.5, bounds = [0.01, 10], meaning = "RESET threshold (magnitude)" }
k_set = { unit = "1/s", default = 1e3, bounds = [1e-6, 1e12], log = true, meaning = "SET rate at twice the threshold" }
k_reset = { unit = "1/s", default = 1e3, bounds = [1e-6, 1e12], log = true, meaning = "RESET rate at twice the threshold" }
a_set = { unit = "1", default = 3, bounds = [1, 20], meaning = "power of the SET overdrive" }
a_reset = { unit = "1", default = 3, bounds = [1, 20], meaning = "power of the RESET overdrive" }
p = { unit = "1", default = 1, bounds = [1, 10], fixed = true, meaning = "sharpness of the window" }
smooth = { unit = "1", default = 0.02, bounds = [1e-3, 0.2], log = true, fixed = true, meaning = "rounding of the thresholds" }
"""  # noqa: E501

YAKOPCIC = """
name = "typed_yakopcic"
title = "generalised Yakopcic, 2013 form"
doi = "10.1109/TCAD.2013.2252057"
current = "where(v >= 0, a_p, a_n)*limsinh(where(v >= 0, b_p, b_n)*v)*x"
rate = "where(v >= 0, A_p, -A_n)*overdrive*window"

[definitions]
span = "where(v >= 0, exp(v_p) - 1, exp(v_n) - 1)"
overdrive = "span*above((limexp(abs(v)) - 1)/span - 1, smooth)"
beyond = "max(where(v >= 0, x - x_p, 1 - x_n - x), 0)"
decay = "exp(-where(v >= 0, alpha_p, alpha_n)*beyond)"
window = "decay*(1 - beyond/where(v >= 0, 1 - x_p, 1 - x_n))"

[parameters]
"""
YAKOPCIC += "\n".join(
    f"{row.name} = {{ unit = '{row.unit}', default = {row.default}, bounds = [{row.lower}, {row.upper}],"
    f" log = {str(row.log).lower()}, fixed = {str(row.fixed).lower()}, meaning = '{row.meaning}' }}"
    for row in models["yakopcic"].parameters[:-1]
)

TYPED = {"vteam": VTEAM, "yakopcic": YAKOPCIC}
V, X = symbols("V", "X")
NAMES = {"v": V, "x": X}


def read(text: str):
    return parse(text, NAMES, "text").expr


def read_or_refused(load, *arguments):
    """Return what ``load`` gives and no sentence, or nothing and why it is refused."""
    try:
        return load(*arguments), ""
    except InputError as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("name", TYPED)
def test_typed_equations_are_those_declared_in_python(name: str) -> None:
    typed, own = parse_model(parse_toml(TYPED[name], name), name), models[name]
    assert typed == replace(own, name=typed.name)
    v, x = np.linspace(-1.7, 1.7, 35), np.linspace(0.0, 1.0, 11)[:, None]
    for p in ({}, {"r_s": 300.0, own.names[0]: 1.5 * own.parameters[0].default}):
        np.testing.assert_array_equal(typed.current(v, x, p), own.current(v, x, p))
        np.testing.assert_array_equal(typed.rate(v, x, p), own.rate(v, x, p))
        np.testing.assert_array_equal(typed.drdx(v, x, p), own.drdx(v, x, p))
    cells = [ngspice.subcircuit(Device("d", each, {"r_s": 20.0})) for each in (typed, own)]
    assert cells[0] == cells[1]
    assert module(typed, "mine") == module(own, "mine")


@pytest.mark.parametrize(
    "name",
    # The explicit form of JART's current is longer than an equation in a file may be.
    [n for n in models if models[n].inner_expr is None and n != "jart_explicit"],
)
def test_every_model_is_the_same_once_written_and_read(name: str, tmp_path: Path) -> None:
    mine = replace(models[name], name="mine")
    again = load_model(save_model(mine, tmp_path / "mine.toml"))
    assert again == mine
    assert str(again.rate_expr) == str(mine.rate_expr)  # what a device's digest is made of
    assert module(again) == module(mine)
    assert parse_model_text(model_text(mine), "text") == mine
    assert model_text(models[name]) == name


ARITHMETIC = {
    "1 + 2*3 - 4/8": 6.5,
    "-2**2": -4.0,
    "2**-1": 0.5,
    "2**3**2": 512.0,
    "--3": 3.0,
    "2 - -3": 5.0,
    "6/3/2": 1.0,
    "1 - 2 - 3": -4.0,
    ".5e1 + 5.": 10.0,
    "2\n *(1\t+ 1)": 4.0,
    "where(2 > 1, 5, 6)": 5.0,
    "where(1 > 2, 5, 3 <= 3, 7, 6)": 7.0,
    "sign(-3) + sign(0) + max(1, 2, 3) - min(1, 2)": 1.0,
    "power(-1, 2) + above(1, 1e-9)": 1.0,
    "inside(7) + homing(2) + abs(-1)": 302.0,
}


@pytest.mark.parametrize(("text", "value"), ARITHMETIC.items())
def test_arithmetic_is_the_usual_one(text: str, value: float) -> None:
    assert float(read(text)) == pytest.approx(value, rel=1e-12)


PLAIN = {name: getattr(math, name) for name in ("exp", "log", "sqrt", "sinh", "cosh", "tanh")} | {
    "abs": abs,
    "min": min,
    "max": max,
    "where": lambda c, a, b: a if c else b,
}


def expressions() -> st.SearchStrategy[str]:
    """Equations that Python reads in the same way."""
    leaves = st.one_of(
        st.sampled_from(["v", "x", "1", "2", "0.5", "3.25"]),
        st.floats(0.01, 9.0).map(lambda f: f"{f:.3g}"),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
            st.builds("{} {} {}".format, inner, st.sampled_from("+-*/"), inner),
            st.builds("-{}".format, inner),
            st.builds("({})**{}".format, inner, st.sampled_from(["2", "3", "-1", "-2", "2.0"])),
            st.builds("{}({})".format, st.sampled_from([*sorted(PLAIN)[:3], "tanh"]), inner),
            st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
            st.builds("where({} >= {}, {}, {})".format, inner, inner, inner, inner),
        ),
        max_leaves=12,
    )


@settings(max_examples=150, deadline=None)
@given(text=expressions(), v=st.floats(-2, 2), x=st.floats(0.01, 0.99))
def test_equations_compute_what_python_computes(text: str, v: float, x: float) -> None:
    try:
        expected = eval(text, {"__builtins__": {}, **PLAIN, "v": v, "x": x})
        size = sum(abs(float(word)) for word in (expected, v, x))
    except (ArithmeticError, ValueError):
        return
    formula, refusal = read_or_refused(parse, text, NAMES, "text")
    if refusal:  # what Python need not compute for this v and x, or what no printing holds
        assert re.search("no finite real number|exponent|too large|a condition can't", refusal)
        return
    with np.errstate(all="ignore"):
        found = float(vectorised([V, X], formula.expr)(np.float64(v), np.float64(x)))
    if np.isfinite(found) and size < 1e6:
        # Sums may cancel, and comparisons of equal terms fall to either side, after rearrangement.
        near = {float(eval(text, {"__builtins__": {}, **PLAIN, "v": v + d, "x": x + e}))
                for d in (-1e-9, 0.0, 1e-9) for e in (-1e-9, 0.0, 1e-9)
                if _finite(text, v + d, x + e)}  # fmt: skip
        spread = max(near) - min(near)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 + 2 * spread)


def _finite(text: str, v: float, x: float) -> bool:
    try:
        return math.isfinite(eval(text, {"__builtins__": {}, **PLAIN, "v": v, "x": x}))
    except (ArithmeticError, ValueError):
        return False


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", (1, 1), "the equation ends"),
        ("v +", (1, 4), "the equation ends"),
        ("v v", (1, 3), "'v' is not expected here"),
        ("v\n + é", (2, 4), "'é' has no place"),
        ("v^2", (1, 2), "a power is \\*\\*"),
        ("v.real", (1, 2), "'.real' has no place"),
        ("v[0]", (1, 2), "no place"),
        ("1.5.real", (1, 1), "no place"),
        ("0x10", (1, 1), "no place"),
        ("1_000", (1, 1), "no place"),
        ("2 'a'", (1, 3), "no place"),
        ("lambda: 1", (1, 7), "no place"),
        ("x if v else 1", (1, 3), "'if' is not expected"),
        ("f(v)", (1, 1), "'f' is no function"),
        ("__import__(v)", (1, 1), "is no function"),
        ("eval(v)", (1, 1), "is no function"),
        ("sin(v)", (1, 1), "did you mean 'sinh'"),
        ("w*v", (1, 1), "'w' is no name here"),
        ("sinh", (1, 1), "needs its arguments"),
        ("v(x)", (1, 1), "is a name, no function"),
        ("sinh(v, x)", (1, 1), "takes one argument, got 2"),
        ("max(v)", (1, 1), "takes two to eight arguments"),
        ("sinh(v", (1, 7), "expected '\\)', the equation ends"),
        ("where(v, 1, 2)", (1, 8), "expected a comparison"),
        ("where(v > 0, 1)", (1, 1), "takes conditions and values by turns"),
        ("where(v > 0, 1, x > 0)", (1, 1), "no last value"),
        ("v < x", (1, 3), "not expected here"),
        ("sign(sign(v))", (1, 1), "sign.. can't have where"),
        ("where(sign(v) > x, 1, 2)", (1, 7), "a condition can't have where"),
        ("max(v, x > 1)", (1, 10), "expected '\\)', found '>'"),
        ("where(0 < v < 1, 1, 2)", (1, 13), "expected '\\)', found '<'"),
        ("9**9**9", (1, 1), "an exponent is 3.8742e\\+08, above 64"),
        ("(x**64)**64", (1, 1), "an exponent of this is above 64"),
        ("((2*x)**64)**64", (1, 1), "too large"),
        ("((((2*x + 1)**64)**64)**64)**64", (1, 3), "exponent"),
        ("1e400", (1, 1), "too large"),
        ("9" * 400, (1, 1), "too large"),
        ("1/0", (1, 3), "no finite real number"),
        ("1/(x - x)", (1, 3), "no finite real number"),
        ("(-8)**(1/3)", (1, 1), "no finite real number"),
        ("sqrt(-x**2)", (1, 1), "no finite real number"),
        ("log(0)", (1, 1), "no finite real number"),
        ("exp(exp(exp(9)))", (1, 5), "no finite real number"),
        ("(" * 100 + "v" + ")" * 100, (1, 41), "nested more than 40 deep"),
        ("v" + "**x" * 100, (1, 121), "nested more than 40 deep"),
    ],
)  # fmt: skip
def test_what_is_no_equation_is_refused_with_its_place(
    text: str, place: tuple[int, int], words: str
) -> None:
    line, column = place
    with pytest.raises(
        InputError, match=f"^text, line {line}, column {column}: .*{words}.*; allowed are numbers"
    ):
        read(text)


def test_large_texts_and_those_that_grow_are_refused() -> None:
    with pytest.raises(InputError, match="10001 characters, expected at most 10000"):
        read("v" * 10_001)
    with pytest.raises(InputError, match="more than 4000 parts"):
        read("v" + "+sinh(v)*x*v/x" * 700)
    tree = parse_toml(VTEAM, "text")
    doubling = {f"d{k}": f"sinh(d{k - 1})*d{k - 1}" if k else "v" for k in range(40)}
    with pytest.raises(InputError, match=r"definitions\.d\d+, line 1, .*more than 4000 parts"):
        parse_model(tree | {"definitions": doubling}, "text")
    deep = {f"d{k}": f"sinh(d{k - 1})" if k else "v" for k in range(190)}
    with pytest.raises(InputError, match=r"definitions\.d\d+, line 1, .*more than 60 levels"):
        parse_model(tree | {"definitions": deep}, "text")


PIECES = [
    "v", "x", "+", "-", "*", "/", "**", "(", ")", ",", "<", "<=", ">", ">=", "==", "1", "0", "2.5", "1e300", "64", "-1",
    "__class__", ".", "[", "]", "'", '"', "lambda", ":", "eval", "import", "os", "=", ":=", "{", "}", "\\", "#", "\n",
    "\0", "µ", "²", "½", "if", "else", "for", "in", "not", "and", "0x1", "1j", "@", ";", "~", "%", "//", "!",
    *(f"{name}(" for name in FUNCTIONS),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=24).map("".join)))
@example("max(" * 30 + "v" + ", x)" * 30)
@example("**".join(["9"] * 30))
@example("1" + "/(x-x+1)" * 100)
@example("abs(" * 30 + "limsinh(v)" + ")" * 30)
@example("where(abs(v) > max(x, v), " * 20 + "v" + ", x)" * 20)
def test_any_text_is_an_equation_or_refused_and_never_run(text: str) -> None:
    def forbidden(*args: object, **keywords: object) -> None:
        raise AssertionError("text was run")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("eval", "exec", "compile"):
            patch.setattr(f"builtins.{name}", forbidden)
        formula, refusal = read_or_refused(parse, text, NAMES, "text")
    assert refusal.startswith("text") or formula.expr.free_symbols <= {V, X}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.sampled_from(["current", "rate", "title", "state", "parameters", "definitions", "doi"]),
    st.one_of(st.none(), st.text(max_size=8), st.integers(), st.lists(st.floats(), max_size=3)),
)
def test_any_model_table_is_a_model_or_refused(text: str, key: str, other: object) -> None:
    tree = parse_toml(VTEAM, "text")
    for changed in (text, other, {"a": text}, {"a": {"unit": text, "default": other}}):
        _, refusal = read_or_refused(parse_model, tree | {key: changed}, "text")
        assert "\n" not in refusal


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("current = 3", "current is 3, expected a string"),
        ("rte = 'x'", "no key 'rte' .did you mean 'rate'"),
        ("name = 'a b'", "name is 'a b', expected letters"),
        ("name = 'vteam'\ncurrent = 'v'", "memtwin has another model 'vteam' of its own"),
        ("title = \"x\\n.control\\nshell ls\"", "title is .* expected one line"),
        ("state = [0, 2]", r"state is \[0.0, 2.0\], expected \[0, 1\]"),
        ("state = [0, inf]", "or .0, inf. of a model without a rate"),
        ("parameters.r_s = { unit = 'ohm', default = 0, bounds = [0, 1] }", "every model has this"),
        ("parameters.q = 3", "parameters.q is 3, expected { unit"),
        ("parameters.q = { unit = 'V', default = 3 }", "'bounds' is missing"),
        ("parameters.q = { unit = 'V', default = 3, bounds = [0, 1] }", "default is 3.0, expected a"),
        ("parameters.q = { unit = 'V', default = 0, bounds = [0, nan] }", "bounds are 0.0 and nan"),
        ("parameters.q = { unit = 'V', default = 0, bounds = [0, 1], log = true }", "logarithmic"),
        ("parameters.q = { unit = \"V\\n\", default = 0, bounds = [0, 1] }", "expected one line"),
        ("parameters.x0 = { unit = 'V', default = 0, bounds = [0, 1] }", "'x0' can't be the name"),
        ("parameters.sinh = { unit = 'V', default = 0, bounds = [0, 1] }", "name of a function"),
        ("definitions.sinh = '1'", "name of a function"),
        ("definitions.p = 'v'", "definitions.p: expected a new name"),
        ("definitions.d = 3", "definitions.d is 3, expected an equation"),
        ("definitions.d = 'late'\ndefinitions.late = 'v'", "definitions.d, line 1, column 1: 'late'"),
        ("rate = '(sign(v - 1)*x)**x'", "rate has no finite slope in"),
        ("rate = '''\nv +\n  k'''", "rate, line 2, column 3: 'k' is no name"),
    ],
)  # fmt: skip
def test_bad_model_files_are_refused(tmp_path: Path, line: str, words: str) -> None:
    tree = parse_toml(VTEAM, "text")
    for key, value in parse_toml(line, "line").items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    with pytest.raises(InputError, match=words):
        parse_model(tree, "bad.toml")


def test_a_file_of_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"no model file .*nowhere\.toml"):
        load_model("nowhere.toml")
    with pytest.raises(InputError, match=r"models\.register\(MODEL\), or give the path of its"):
        load_model("nowhere")


def test_a_device_takes_its_equations_along(tmp_path: Path) -> None:
    typed = parse_model(parse_toml(YAKOPCIC, "text"), "text")
    device = Device("mine", typed, {"a_p": 0.2, "r_s": 5.0}, area=0.5, meta={"v_max": 1.0})
    path = device.save(tmp_path / "device.toml")
    assert "model =" not in path.read_text()
    again = load_device(path)
    assert again == device
    assert again.digest == device.digest
    t = np.linspace(0.0, 1.0, 101)
    traces = [each.simulate(t, np.sin(6 * t), 0.3).i for each in (device, again)]
    np.testing.assert_array_equal(*traces)


def test_a_device_names_a_model_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "typed.toml").write_text(VTEAM)
    path = tmp_path / "device.toml"
    path.write_text("name = 'd'\nmodel = 'models/typed.toml'\n[parameters]\nr_on = 500.0")
    device = load_device(path)
    assert device.model.name == "typed_vteam"
    assert load_device(device.save(tmp_path / "whole.toml")) == device
    path.write_text("name = 'd'\nmodel = 'elsewhere.toml'\n[parameters]")
    with pytest.raises(InputError, match=r"no model file .*elsewhere\.toml"):
        load_device(path)


def test_static_models_need_no_rate(tmp_path: Path) -> None:
    text = "name = 'tunnel'\ncurrent = 'x*sinh(b*v)/b'\nstate = [0, inf]\n[parameters]\n"
    text += "b = { unit = '1/V', default = 2.0, bounds = [0.01, 50], log = true }"
    (tmp_path / "tunnel.toml").write_text(text)
    device = Device("t", load_model(tmp_path / "tunnel.toml"), {"b": 3.0})
    assert not device.dynamic
    np.testing.assert_allclose(device.current(0.5, 1e-4), 1e-4 * np.sinh(1.5) / 3.0, rtol=1e-14)
    np.testing.assert_allclose(device.state(1e-5, 0.2), 1e-5 * 0.6 / np.sinh(0.6), rtol=1e-9)
    assert load_device(device.save(tmp_path / "device.toml")) == device


def test_polarities_of_several_branches_are_told_apart() -> None:
    """ngspice gets one expression for each sign of the voltage."""
    expr = read("where(v >= 0, 1, x > 0.5, 2, 3)*abs(v) + where(v < 0, 5, 7) + where(x > 1, v, 0)")
    for sign, side in zip((1, -1), branches(expr, V), strict=True):
        for v in sign * np.array([0.1, 2.0]):
            for x in (0.2, 0.7, 1.5):
                point = {V: v, X: x}
                assert float(side.subs(point)) == pytest.approx(float(expr.subs(point)))


@pytest.mark.parametrize(
    "text",
    [
        "v*(2*x)**(1/3)",  # SymPy takes the root of 2, which is computed when it is read again
        "v*softplus(x/(x + x))",  # cancels to a constant
        "v*above(x, x)",
        "v + limexp(sign(x))",
        "v*where(x > 0.1, 63, 3)**64",  # beyond whole numbers of 64 bits
        "v*abs(v/x - 1)*abs(log(x))",  # as far as SymPy knows, no real numbers
    ],
)
def test_what_sympy_rewrites_is_saved_as_it_is_used(text: str, tmp_path: Path) -> None:
    model = parse_model({"name": "odd", "current": text, "rate": text}, "odd")
    assert load_model(save_model(model, tmp_path / "odd.toml")) == model
    values = {"v": 0.3, "x": 0.4, "softplus": lambda u: math.log1p(math.exp(u))} | PLAIN
    values |= {
        "above": lambda u, s: s * math.log1p(math.exp(u / s)),
        "limexp": math.exp,
        "sign": np.sign,
    }
    expected = eval(text, {"__builtins__": {}, **values})
    np.testing.assert_allclose(
        model.current(np.array([0.3]), np.array([0.4]), {}), expected, rtol=1e-12
    )
    assert np.isfinite([model.didv(0.3, 0.4, {}), model.drdx(0.3, 0.4, {})]).all()


def test_equations_without_text_keep_their_name_only(tmp_path: Path) -> None:
    import sympy as sp

    wave = CompactModel("wave", "wave", (SERIES,), X * sp.sin(V), None)
    assert model_text(wave) == "wave"
    with pytest.raises(InputError, match="model wave has equations that can't be written as text"):
        save_model(wave, tmp_path / "wave.toml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a-b"}, "can't be the name of a parameter"),
        ({"name": "x1"}, "can't be the name of a parameter"),  # a common subexpression's
        ({"lower": 2.0}, "default is 1.0, expected a number from 2.0 to 3.0"),
        ({"upper": np.inf}, "bounds are 0.5 and inf"),
        ({"lower": -1.0}, "a logarithmic scale can't begin at -1.0"),
    ],
)
def test_parameters_that_no_fit_can_use_are_refused(changes: dict, words: str) -> None:
    row = Parameter("g", "S", 1.0, 0.5, 3.0, True, "conductance")
    with pytest.raises(InputError, match=words):
        replace(row, **changes)


IN_USE = {
    "exp": "exp(0.3*v) - 1",
    "log": "log(1 + x**2) + log(2)*v",
    "sqrt": "v*sqrt(x)/sqrt(1 + x)",
    "sinh": "sinh(2*v)*x",
    "cosh": "cosh(v) - 1",
    "tanh": "tanh(3*v)",
    "abs": "v*abs(v - x)",
    "sign": "sign(v - 0.05)*x",
    "min": "min(v, x, 0.2)",
    "max": "max(v, -x, -0.3, v*x)",
    "where": "where(v > 0.25, 2, v > 0.05, 2, v < -0.25, v, x < 0.1, 7, -v*v)",
    "limexp": "limexp(v) - limexp(0)",
    "limsinh": "limsinh(v*x)",
    "softplus": "softplus(5*v - x) - softplus(-x)",
    "logistic": "v*logistic(4*v)",
    "power": "power(v, 2.5) - power(-v, x + 1)",
    "above": "above(v, 0.05)",
    "inside": "v*inside(3*x - 0.1)*inside(2*v)",
    "homing": "v*homing(4*x)",
}


@pytest.mark.spice
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_the_same_in_ngspice(name: str) -> None:
    tree = {"name": "typed", "current": f"1e-3*(({IN_USE[name]}) + v)"}
    device = Device("d", parse_model(tree, "typed"))
    lines = [
        "one function",
        ".options reltol=1e-9 abstol=1e-18 vntol=1e-12",
        "V1 a 0 0",
        *ngspice.static_elements(device, "1", "a", "0", 0.4),
        ".end",
    ]
    step = Step("dc v1 -0.62 0.62 0.04", ("v(a)", "i(v1)"))
    v, i = call(Job("\n".join(lines), (step,))).values[0].T
    expected = device.current(v, 0.4)
    np.testing.assert_allclose(-i, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    assert re.search(r"I\(m, n\) <\+ area\*\(.*\);\n", module(device.model))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_derivatives(name: str) -> None:
    model = parse_model({"name": "typed", "current": IN_USE[name], "rate": IN_USE[name]}, "typed")
    v, x, h = np.linspace(-0.61, 0.63, 11), 0.4, 1e-6
    slope = (model.current(v + h, x, {}) - model.current(v - h, x, {})) / (2 * h)
    np.testing.assert_allclose(model.didv(v, x, {}), slope, rtol=1e-6, atol=1e-8)
    slope = (model.rate(v, x + h, {}) - model.rate(v, x - h, {})) / (2 * h)
    np.testing.assert_allclose(model.drdx(v, x, {}), slope, rtol=1e-6, atol=1e-8)
