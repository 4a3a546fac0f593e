"""Processes in Python that end with their parent, however it ends."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from memtwin.data.errors import WorkerCrash
from memtwin.data.processes import bound, memory, process_pool

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc")

POOL = """
import sys, time
from memtwin.data.processes import process_pool
with process_pool(2) as pool:
    if sys.argv[1] == "at work":
        for job in [pool.submit(abs, k) for k in range(8)]:
            job.result()
        jobs = [pool.submit(time.sleep, 3600) for _ in range(6)]
    print(*pool._processes, flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("when", ["at work", "starting"])
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_a_killed_parent(way, when, ended):
    parent = subprocess.Popen([sys.executable, "-c", POOL, when], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(way)
    assert all(map(ended, pids))
    assert parent.stdout.read() == ""  # nobody holds it any more
    parent.communicate()


def test_a_failing_block_waits_for_no_work(ended):
    jobs, pids = [], []

    def interrupted():
        with process_pool(2) as pool:
            jobs.extend(pool.submit(time.sleep, 3600) for _ in range(6))
            pids.extend(pool._processes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 2
    assert all(map(ended, pids))
    assert all(job.done() for job in jobs)


def test_work_that_is_done_comes_back(ended):
    with process_pool(2) as pool:
        assert list(pool.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
        pids = list(pool._processes)
    assert all(map(ended, pids))


def test_a_process_that_dies_is_one_sentence():
    with pytest.raises(WorkerCrash, match="use fewer workers"), process_pool(2) as pool:
        pool.submit(os._exit, 1).result()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's help")
def test_a_bound_program_ends_with_its_parent(ended):
    program = [
        sys.executable,
        "-c",
        "import os,time;print(os.getpid(),flush=True);time.sleep(3600)",
    ]
    code = f"import subprocess; from memtwin.data.processes import bound;subprocess.run(bound({program!r}, 1e9))"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    assert ended(child)
    parent.communicate()


def test_a_bound_program_gets_no_more_memory():
    program = [sys.executable, "-c", "bytes(10**9)"]
    ran = subprocess.run(bound(program, 5e8), capture_output=True, text=True)
    assert "MemoryError" in ran.stderr
    assert subprocess.run(bound(program, np.inf), capture_output=True).returncode == 0


def test_memory_is_this_process_own():
    before = memory()[0]
    held = np.ones(25_000_000)
    now, peak = memory()
    assert 1.5e8 < now - before < 2.5e8
    assert peak >= now
    assert held.size


def children(pid):
    """Return the processes whose parent is ``pid``."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat, open(f"/proc/{name}/cmdline") as line:
                if stat.read().rpartition(")")[2].split()[1] == str(pid):
                    found.append((int(name), line.read()))
        except OSError:
            continue
    return found


@needs_proc
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_fit_that_is_ended_takes_its_workers_along(way, ended, tmp_path):
    v = 1.5 * np.sin(np.linspace(0, 4 * np.pi, 400))
    t = np.linspace(0, 2, 400)
    np.savetxt(
        tmp_path / "s.csv",
        np.stack([t, v, 1e-3 * v], 1),
        delimiter=",",
        header="t,v,i",
        comments="",
    )
    command = ["fit", str(tmp_path / "s.csv"), "--workers", "2", "--starts", "2000"]
    parent = subprocess.Popen(
        [sys.executable, "-m", "memtwin", *command, "--candidates", "2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workers = []
    while len(workers) < 2 and parent.poll() is None:
        time.sleep(0.05)
        workers = [pid for pid, line in children(parent.pid) if "spawn_main" in line]
    parent.send_signal(way)
    assert all(map(ended, workers))
    out, said = parent.communicate()
    assert out == ""
    assert len(workers) == 2, said
    if way != signal.SIGKILL:
        assert parent.returncode == 128 + way
        assert re.search("error: interrupted", said)
        assert "Traceback" not in said
