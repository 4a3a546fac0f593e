"""How long a newcomer waits: the help, the version, the main job on embedded defaults.

    python benchmarks/first_minute.py [--json] [--save]

Seconds of the processor are summed over the command and its children, so that other work on the
machine counts little; the
waiting time is told beside them, and is held to its bar where the machine is idle.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

from table import Row, add_options, at_most, publish

from memtwin.circuits.ngspice.installed import features

CORES = 2
"""Cores on which the main job is held to its bar."""

HELP, WITH_KLU, WITHOUT = 0.3, 20.0, 30.0
"""Bars [s]."""


def spent(*words: str, cwd: str | None = None) -> tuple[float, float]:
    """Return the processor's and the waiting time of a command [s]."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "memtwin", *words], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return busy, time.perf_counter() - began


def rows() -> list[Row]:
    """Measure."""
    found = []
    for words in (["--help"], ["--version"], ["run", "--help"], ["info"]):
        busy, waited = min(spent(*words) for _ in range(5))
        name, note = f"memtwin {' '.join(words)}", f"{waited:.2f} s waited; best of 5"
        if words[0].startswith("--"):
            found.append(at_most(name, busy, "s of CPU", HELP, note))
        else:
            found.append(Row(name, busy, "s of CPU", "", None, note))
    klu = features().klu
    bar = WITH_KLU if klu else WITHOUT
    with tempfile.TemporaryDirectory() as home:
        busy, waited = spent("run", "demo", cwd=home)
        again, _ = spent("report", "runs/demo-0", cwd=home)
    solver = "with KLU" if klu else "without KLU"
    idle = os.getloadavg()[0] < 0.5 + CORES
    note = f"{busy:.1f} s of CPU, {os.cpu_count()} cores, {solver}"
    if idle:
        found.append(at_most("memtwin run demo", waited, "s", bar, note))
    else:
        note += "; other work on the machine: not held to the bar"
        found.append(Row("memtwin run demo", waited, "s", f"<= {bar:g}", None, note))
    found.append(at_most("of the CPU, per core", busy / CORES, "s", bar, "a bound from below"))
    found.append(Row("memtwin report", again, "s of CPU", "", None, "drawing the page anew"))
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    options = parser.parse_args()
    return publish(rows(), "first_minute", options)


if __name__ == "__main__":
    sys.exit(main())
