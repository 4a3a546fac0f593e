"""Studies and comparisons on a Dask cluster of processes, one of which is killed in the middle."""

import os
import signal
import warnings

import numpy as np
import pytest

from memtwin.circuits.many import each
from memtwin.circuits.ngspice.cluster import dask_executor
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.runs.compare import compare
from memtwin.training.runs.config import load_config
from memtwin.training.runs.run import run as do_run
from memtwin.training.runs.setup import set_up
from memtwin.training.studies.montecarlo import montecarlo
from memtwin.training.studies.study import opened_run
from memtwin.training.studies.trained import Condition

SMALL = [
    "images.train=200",
    "images.test=120",
    "device.levels=4",
    "device.linear=true",
    "device.pricing=open loop",
    "network.hidden=[8]",
    "tile.rows=16",
    "tile.cols=16",
    "training.engine=ideal",
    "training.epochs=2",
    "training.batch=20",
    "validation.engine=ideal",
    "audit.every=0",
]


def square(k):
    return k * k


def die_once(path):
    """Die where ``path`` isn't there yet."""
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return os.path.basename(path)


def test_work_comes_back_in_order_and_is_told():
    told, took = [], []
    found = each(
        square,
        range(5),
        progress=lambda done, total: told.append((done, total)),
        done=lambda place, result: took.append((place, result)),
    )
    assert found == [0, 1, 4, 9, 16]
    assert told == [(k, 5) for k in range(1, 6)]
    assert took == list(enumerate(found))
    with pytest.raises(InputError, match="workers must be at least 1"):
        each(square, [1], workers=0)


@pytest.mark.slow
def test_a_process_that_dies_costs_what_it_was_at(tmp_path):
    paths = [str(tmp_path / name) for name in "abc"]
    (tmp_path / "a").touch()
    (tmp_path / "c").touch()
    assert each(die_once, paths, workers=2) == ["a", "b", "c"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask leaves sockets to the garbage collector
def test_a_cluster_with_a_killed_node_gives_the_same(tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs memtwin[dask]")
    do_run(load_config("nbsto", SMALL), tmp_path / "run")
    setup = set_up(load_config("nbsto", SMALL), surrogate=False)
    rough = Condition((("effects.programming", 0.1),))
    with opened_run(tmp_path / "run") as study:
        here = montecarlo(study.trained, 12, rough)
        ours = compare(setup, nominal_pricing(4), ["siamese"], [0, 1])
        with (
            warnings.catch_warnings(),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            dask_executor(cluster.scheduler_address) as executor,
        ):
            victims = [one.pid for one in cluster.workers.values()]

            def kill(done, total):
                if done == 4 and victims:
                    os.kill(victims.pop(), signal.SIGKILL)

            there = montecarlo(study.trained, 12, rough, executor=executor, progress=kill)
            theirs = compare(
                setup, nominal_pricing(4), ["siamese"], [0, 1], executor=executor, folder=tmp_path
            )
    assert len(victims) == 1
    np.testing.assert_array_equal(here.drawn.outputs, there.drawn.outputs)
    assert ours.summary() == theirs.summary()
    assert (tmp_path / "siamese-1.h5").exists()
