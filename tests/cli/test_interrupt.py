"""Requests to end arrive, whatever they fall into, and disturb no cleaning up."""

import subprocess
import sys

import pytest

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
