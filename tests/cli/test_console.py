"""What a verb prints and how it ends."""

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import typer

from memtwin.cli import console
from memtwin.data.errors import FitError, InputError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("column 'I' is missing in a.csv"), 2, "error: column 'I' is missing in a.csv"),
        (FitError("did not converge"), 1, "error: did not converge"),
        (
            KeyboardInterrupt(),
            130,
            "error: interrupted; nothing is left half-written; the same command begins anew",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.h5"),
            1,
            "error: a.h5: No space left on device",
        ),
        (MemoryError(), 1, "error: out of memory"),
    ],
)
def test_errors_end_a_verb_with_one_sentence(capsys, error, code, words):
    def job() -> None:
        raise error

    with pytest.raises(typer.Exit) as stop:
        console.verb(job)()
    out, err = capsys.readouterr()
    assert stop.value.exit_code == code
    assert out == ""
    assert err.startswith(words)
    assert err.count("\n") == 1


def test_a_bug_is_one_sentence_with_its_trace_in_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def job() -> None:
        raise KeyError("caf\udce9\nsecond line")

    with pytest.raises(typer.Exit) as stop:
        console.verb(job)()
    out, err = capsys.readouterr()
    assert (stop.value.exit_code, out) == (console.BUG, "")
    assert err.count("\n") == 1
    (trace,) = tmp_path.iterdir()
    assert str(trace) in err
    assert "in job\n" in trace.read_text()


def test_ctrl_c_while_the_command_loads_gives_no_traceback(tmp_path):
    """A module that all of the command line needs stops, and says so, so that the moment is a certain one."""
    (tmp_path / "typer.py").write_text(
        "import sys, time\nprint('loading', flush=True)\ntry:\n    time.sleep(60)\nexcept ValueError:\n    pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "import memtwin.__main__ as m; m.main()", "info"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "error: interrupted before anything was begun\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_show_is_written_out(tmp_path, encoding):
    name = os.fsencode(tmp_path) + b"/caf\xe9 \xc2\xb5 $x_{$.csv"
    t = np.linspace(0.0, 4.0, 41)
    v = np.sin(1.57 * t)
    rows = "".join(f"{a},{b},{c}\n" for a, b, c in zip(t, v, 1e-5 * np.sinh(3 * v), strict=True))
    with open(name, "w") as file:
        file.write("t,v,i\n" + rows)
    ran = subprocess.run(
        [sys.executable, "-m", "memtwin", "data", "show", name, "--plot", b"a\xe9.png"],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        cwd=tmp_path,
        capture_output=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert rb"caf\udce9" in ran.stdout
    assert (b"\\xb5" if encoding == "ascii" else b"\xb5") in ran.stdout
    assert os.path.exists(os.fsencode(tmp_path) + b"/a\xe9.png")


def test_json_is_one_object_with_null_for_what_is_no_number(capsys):
    console.emit(
        {"a": np.float64("nan"), "b": np.arange(2), "c": {"d": np.int64(3)}, "e": None},
        as_json=True,
    )
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": None, "b": [0, 1], "c": {"d": 3}, "e": None}
    assert out.count("\n") == 1
    assert err == ""


def test_brackets_are_shown_as_they_are(capsys):
    console.emit({"unit": "current [A]"}, as_json=False)
    console.note("voltage [V]")
    out, err = capsys.readouterr()
    assert "current [A]" in out
    assert "voltage [V]" in err


def test_a_figure_is_shown_with_its_unit_and_told_to_programs_in_si(capsys):
    summary = {"energy_mean_joule": 0.0386971, "set_volt": [0.5075, 0.99999], "seconds": 3.0}
    console.emit(summary, as_json=False)
    shown = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [(name, said.strip()) for name, said in shown] == [
        ("energy_mean", "38.7 mJ"),
        ("set", "507.5 mV, 1 V"),
        ("seconds", "3 s"),
    ]
    console.emit(summary, as_json=True)
    assert json.loads(capsys.readouterr().out) == summary


def test_bars_go_to_stderr(capsys):
    with console.bar("counting") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capsys.readouterr().out == ""


def test_without_a_terminal_long_work_tells_a_line_a_minute(capsys, monkeypatch):
    now = iter([0.0, 30.0, 61.0, 90.0, 121.5])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with console.bar("reading") as progress:
        for done in (50, 60, 100, 110, 150):
            progress(done, 1000)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "reading: 100 of 1,000, about 18 min left",
        "reading: 150 of 1,000, about 17 min left",
    ]
