"""Jobs on a real Dask cluster of processes, one of which is killed in the middle."""

import os
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.ngspice.cache import Cache
from memtwin.circuits.ngspice.cluster import dask_executor
from memtwin.circuits.ngspice.engine import Spice
from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import map_jobs
from memtwin.data.errors import EngineError

distributed = pytest.importorskip("distributed", reason="needs memtwin[dask]")

# Dask's own cluster leaves sockets to the garbage collector when a worker is killed.
pytestmark = [pytest.mark.spice, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            yield cluster


@pytest.mark.slow
def test_a_killed_node_costs_nothing(cluster, rng):
    tile = Tile(12, 12, cell=Cell.sinh(4.0, 0.2))
    g = np.exp(rng.uniform(np.log(5e-6), np.log(1e-4), (40, 12, 12)))
    v = rng.uniform(0, 0.2, (40, 30, 12))
    here = Spice(tile, workers=1).program(g)
    truth = here.read(v)
    with dask_executor(cluster.scheduler_address) as executor:
        there = Spice(tile, executor=executor).program(g)
        assert np.array_equal(there.read(v[:, :2]), here.read(v[:, :2]))
        victim = next(iter(cluster.workers.values())).pid

        def kill(done, total):  # in the middle: some are done, others not
            if done == total // 4:
                os.kill(victim, signal.SIGKILL)

        i = there.read(v, progress=kill)
    assert np.array_equal(i, truth)


@pytest.fixture
def scheduler():
    """A scheduler that can be killed, with one node: its process and its address."""
    command = [sys.executable, "-m"]
    process = subprocess.Popen(
        [*command, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
         "--no-dashboard"],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    address = next(line.split()[-1] for line in process.stderr if "Scheduler at:" in line)
    node = subprocess.Popen(
        [*command, "distributed.cli.dask_worker", address, "--no-dashboard", "--nthreads", "1",
         "--no-nanny"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    drain = threading.Thread(target=process.stderr.read)
    drain.start()
    yield process, address
    for each in (process, node):
        each.kill()
        each.wait()
    drain.join()
    process.stderr.close()


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_a_scheduler_that_goes_away_fails_the_work_and_loses_no_result(
    way, scheduler, tmp_path, capfd
):
    process, address = scheduler
    cache = Cache(tmp_path, "39")
    deck = "divider\nv1 a 0 1\nr1 a b 1000\nr2 b 0 1000\n.end\n"
    jobs = [
        Job(deck, (Step("op", ("v(b)",)),)),
        Job(deck, (Step("tran 1n 100", ("v(b)",)),)),  # ends never
    ]

    def kill(done, total):
        process.send_signal(way)

    def work():
        with dask_executor(address, timeout=3.0) as executor:
            map_jobs(jobs, executor=executor, cache=cache, progress=kill)

    with pytest.raises(EngineError, match=f"{address} went away"):
        work()
    assert cache.get(jobs[0]).values[0] == 0.5
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9", "nonsense", "", "http://127.0.0.1:9"]
)
def test_an_absent_scheduler_is_one_sentence(address, capfd):
    with (
        pytest.raises(EngineError, match=r"^no Dask scheduler answers at [^\n]*$") as caught,
        dask_executor(address, timeout=0.5),
    ):
        pass
    assert address in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_job_that_fails_on_the_cluster_keeps_its_own_error(scheduler):
    bad = Job("bad\nv1 a 0 1\nx1 a 0 nosuch\n.end\n", (Step("op", ("v(a)",)),))
    with dask_executor(scheduler[1]) as executor, pytest.raises(EngineError, match="nosuch"):
        map_jobs([bad], executor=executor)
