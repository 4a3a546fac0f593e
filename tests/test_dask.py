"""Jobs on a real Dask cluster of processes, one of which is killed in the middle."""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from memtwin.circuits.cell import Cell
from memtwin.circuits.cluster import dask_executor
from memtwin.circuits.spice import Spice
from memtwin.circuits.tile import Tile
from memtwin.data.errors import EngineError

distributed = pytest.importorskip("distributed", reason="needs memtwin[dask]")

# Dask's own cluster leaves sockets to the garbage collector when a worker is killed.
pytestmark = [pytest.mark.spice, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            yield cluster


def test_a_killed_node_costs_nothing(cluster, rng):
    tile = Tile(12, 12, cell=Cell.sinh(4.0))
    g = np.exp(rng.uniform(np.log(5e-6), np.log(1e-4), (40, 12, 12)))
    v = rng.uniform(0, 0.2, (40, 30, 12))
    here = Spice(tile, workers=1)
    here.program(g)
    truth = here.read(v)
    with dask_executor(cluster.scheduler_address) as executor:
        there = Spice(tile, executor=executor)
        there.program(g)
        assert np.array_equal(there.read(v[:, :2]), here.read(v[:, :2]))
        victim = next(iter(cluster.workers.values())).pid

        def kill():
            time.sleep(0.3)
            os.kill(victim, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        i = there.read(v)
        thread.join()
    assert np.array_equal(i, truth)


def test_an_absent_scheduler_is_one_sentence():
    with (
        pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9"),
        dask_executor("tcp://127.0.0.1:9", timeout=0.5),
    ):
        pass
