"""Requests to end arrive, whatever they fall into, and disturb no cleaning up."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app

HEAD = """
import os, signal, time
from memtwin.cli.interrupt import interruptible
number = signal.{name}
# As a shell starts a program; this one may have been started by nohup.
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
def ask():
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass
"""
SWALLOWED = """
class Finaliser:
    def __del__(self):
        ask()
try:
    with interruptible():
        Finaliser()  # what is raised in there is ignored
        while True:
            time.sleep(0.01)
except KeyboardInterrupt:
    print("ended")
"""
CLEANING = """
from memtwin.cli import interrupt
interrupt.AGAIN = 0.05
try:
    with interruptible():
        try:
            ask()
        finally:
            for _ in range(40):
                time.sleep(0.01)
            print("cleaned")
except KeyboardInterrupt:
    print("ended")
"""
IGNORED = """
signal.signal(number, signal.SIG_IGN)
with interruptible():
    ask()
    print("went on")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("code", "said"),
    [(SWALLOWED, "ended\n"), (CLEANING, "cleaned\nended\n"), (IGNORED, "went on\n")],
    ids=["swallowed", "cleaning", "ignored"],
)
def test_requests(code, said, name):
    ran = subprocess.run(
        [sys.executable, "-c", HEAD.format(name=name) + code], capture_output=True, text=True
    )
    assert ran.stdout == said, ran.stderr
    assert ran.returncode == 0


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "place", "said"),
    [
        (
            ["data", "get", "mnist"],
            "memtwin.data.catalogue.fetch",
            "0 of 4 files are in",
        ),
        (
            ["fit", "s.csv", "--device", "d.toml"],
            "memtwin.devices.fitting.fit.fit",
            "nothing is left half-written; the same command begins anew",
        ),
        (
            ["program", "table", "nbsto_32um"],
            "memtwin.circuits.programming.table.make_table",
            "the same command begins anew",
        ),
        (
            ["train", "demo", "--set", "training.engine=ideal", "--set", "audit.every=0"],
            "memtwin.training.runs.run._Job._train",
            "holds the write table; continue with: memtwin train --resume",
        ),
        (
            ["run", "demo", "--set", "training.engine=ideal"],
            "memtwin.training.runs.run._Job._train_float",
            "the same command begins anew",
        ),
    ],
)
def test_an_interrupted_verb_says_what_is_there(words, place, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path / "data"))
    t = np.linspace(0.0, 1.0, 20)
    rows = "\n".join(f"{a},{np.sin(6 * a)},{1e-4 * np.sin(6 * a)}" for a in t)
    (tmp_path / "s.csv").write_text(f"t,v,i\n{rows}\n")
    monkeypatch.setattr(place, stopped)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 130
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert line.startswith("error: interrupted; ")
    assert said in line
    assert "Traceback" not in done.output
