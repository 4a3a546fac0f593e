"""Workers that crash, hang, get lost or don't converge, and what becomes of their jobs."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from memtwin.circuits.ngspice import pool
from memtwin.circuits.ngspice.cache import Cache
from memtwin.circuits.ngspice.crew import Crew
from memtwin.circuits.ngspice.installed import program_available
from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.pool import OutOfMemory, WorkerDied, WorkerHung, call, map_jobs
from memtwin.circuits.ngspice.verdict import Lost
from memtwin.data.errors import EngineError, MemtwinError, NonConvergence

pytestmark = pytest.mark.spice
needs_program = pytest.mark.skipif(shutil.which("ngspice") is None, reason="no ngspice program")

SWEEP = Step("dc v1 0 1 0.25", ("i(v1)", "v(b)"))


def divider(r=1000.0, **options):
    return Job(f"divider\nv1 a 0 1\nr1 a b {r!r}\nr2 b 0 1000\n.end\n", (SWEEP,), **options)


def current(r):
    return -np.linspace(0, 1, 5) / (1000.0 + r)


# A long transient, to be interrupted.
ENDLESS = Job(
    "endless\nv1 a 0 sin(0 1 1e6)\nr1 a b 1k\nc1 b 0 1n\n.end\n",
    (Step("tran 1n 100 0 1n", ("v(b)",)),),
)
# Half a gigabyte at once, and then no end.
HUNGRY = Job(
    ENDLESS.deck,
    (
        Step("op", ("v(b)",)),
        Step("tran 1n 100 0 1n", ("v(b)",), ("setplot const", "let large = vector(60000000)")),
    ),
)
DIVERGING = Job(
    "diverging\ni1 0 a 1\nb1 a 0 i=ln(v(a)-5)*1e3\nc1 a 0 1n\n.end\n", (Step("op", ("v(a)",)),)
)


@pytest.fixture(params=["library", pytest.param("isolated", marks=needs_program)])
def mode(request):
    return request.param


def test_a_job_with_alterations(mode):
    job = Job(
        divider().deck,
        (SWEEP, Step("", (), ("alter r1 = 3000",)), SWEEP, Step("op", ("v(b)", "v(a)"))),
    )
    out = call(job, 60.0, mode)
    np.testing.assert_allclose(out.values[0][:, 0], current(1000.0), atol=1e-15)
    assert out.values[1].size == 0
    np.testing.assert_allclose(out.values[2][:, 0], current(3000.0), atol=1e-15)
    np.testing.assert_allclose(out.values[3], [[0.25, 1.0]], rtol=1e-9)


def test_both_modes_return_the_same_numbers():
    if not program_available():
        pytest.skip("no ngspice program")
    assert np.array_equal(
        call(divider(), 60.0).values[0], call(divider(), 60.0, "isolated").values[0]
    )


@pytest.mark.parametrize(
    ("deck", "words"),
    [
        ("bad\nv1 a 0 1\nx1 a 0 nosuch\n.end\n", "nosuch"),
        ("bad\nv1 a 0 1\nb1 a 0 i=foo(v(a))\n.end\n", "foo"),
        ("bad\nv1 a 0 nan\nr1 a 0 1\n.end\n", "failed"),
        ("bad\nv1 a 0 1\nv2 a 0 2\nr1 a 0 1\n.end\n", "no operating point"),
    ],
)
def test_a_bad_deck_is_an_error_and_never_the_deck_before(mode, deck, words):
    call(divider(), 60.0, mode)
    with pytest.raises(EngineError, match=words) as caught:
        call(Job(deck, (Step("op", ("v(a)",)),)), 60.0, mode)
    assert not isinstance(caught.value, WorkerDied)
    out = call(divider(5000.0), 60.0, mode)
    np.testing.assert_allclose(out.values[0][:, 0], current(5000.0), atol=1e-15)


def test_a_missing_vector_is_an_error(mode):
    with pytest.raises(EngineError):
        call(Job(divider().deck, (Step("op", ("v(nowhere)",)),)), 60.0, mode)


def test_failing_to_converge_has_its_own_type_and_log(mode):
    with pytest.raises(NonConvergence, match="out of range for ln"):
        call(DIVERGING, 60.0, mode)


def test_the_ladder_is_climbed(mode):
    # One Newton iteration without any stepping can't solve a nonlinear deck; the second rung can.
    deck = "steep\nv1 a 0 2\nr1 a b 1k\nb1 b 0 i=1e-9*exp(min(v(b)*20,200))\n.end\n"
    job = Job(deck, (Step("op", ("v(b)",)),), ladder=("itl1=1 itl6=1 gminsteps=0 srcsteps=0", ""))
    out = call(job, 60.0, mode)
    v = out.values[0][0, 0]
    assert (2.0 - v) / 1e3 == pytest.approx(1e-9 * np.exp(20 * v), rel=1e-2)


def test_a_hanging_job_is_killed_and_named(mode):
    with pytest.raises(WorkerHung, match="tried once more"):
        call(ENDLESS, 1.0, mode)
    np.testing.assert_allclose(
        call(divider(), 60.0, mode).values[0][:, 0], current(1000.0), atol=1e-15
    )


def test_a_lost_ngspice_has_its_own_type():
    with pytest.raises(Lost, match="xx"):
        call(Job("lost\nv1 a 0 1\nr1 a 0 {xx}\n.end\n", (Step("op", ("v(a)",)),)), 60.0)
    np.testing.assert_allclose(call(divider(), 60.0).values[0][:, 0], current(1000.0), atol=1e-15)


@pytest.fixture
def spawned(monkeypatch, ended):
    """Process ids of all workers started during a test, beginning with none idle."""
    pool.close_idle()
    pids = []
    start = pool.Worker.__init__

    def recorded(self):
        start(self)
        pids.append(self.pid)

    monkeypatch.setattr(pool.Worker, "__init__", recorded)
    yield pids
    pool.close_idle()
    assert all(map(ended, pids))


@pytest.fixture
def sabotage(monkeypatch):
    """Send a signal to the worker of chosen jobs, the first time that each is tried."""
    victims = {}
    run = pool.Worker.run

    def sabotaged(self, job, timeout, memory):
        number = victims.pop(job.deck, None)
        if number is not None:
            os.kill(self.pid, number)
            return run(self, job, 0.5 if number == signal.SIGSTOP else timeout, memory)
        return run(self, job, timeout, memory)

    monkeypatch.setattr(pool.Worker, "run", sabotaged)
    return victims


@pytest.mark.parametrize(
    ("count", "share"),
    [(40, 0.2), pytest.param(400, 0.05, marks=pytest.mark.slow, id="five_percent_of_400")],
)
def test_failures_of_every_kind_lose_no_result(spawned, sabotage, count, share):
    rng = np.random.default_rng(7)
    r = rng.uniform(1e2, 1e4, count)
    jobs = [divider(x) for x in r.tolist()]
    chosen = rng.permutation(count)[: round(count * share)]
    for k, which in enumerate(chosen):
        ways = (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, None)
        way = ways[k % len(ways)]
        if way is None:  # a first rung that can't converge
            deck = jobs[which].deck.replace(".end", "b1 a 0 i=1e-30*exp(min(20*v(b),200))\n.end")
            rungs = ("itl1=1 itl2=1 itl6=1 gminsteps=0 srcsteps=0", "")
            jobs[which] = Job(deck, (SWEEP,), rungs)
        else:
            sabotage[jobs[which].deck] = way
    outcomes = map_jobs(jobs, workers=2, timeout=60.0)
    assert not sabotage
    for x, out in zip(r, outcomes, strict=True):
        np.testing.assert_allclose(out.values[0][:, 0], current(x), rtol=1e-6, atol=1e-12)


def test_a_worker_that_always_dies_is_given_up(spawned, monkeypatch):
    run = pool.Worker.run

    def doomed(self, *arguments):
        os.kill(self.pid, signal.SIGSEGV)
        return run(self, *arguments)

    monkeypatch.setattr(pool.Worker, "run", doomed)
    with pytest.raises(WorkerDied, match="SIGSEGV"):
        map_jobs([divider()], workers=1)
    assert len(spawned) == 2


def test_workers_are_recycled(spawned, monkeypatch):
    monkeypatch.setattr(pool, "JOBS_MAX", 3)
    for _ in range(7):
        call(divider(), 60.0)
    assert len(spawned) == 3


def test_workers_are_shared_and_results_do_not_depend_on_their_number(spawned):
    jobs = [divider(float(r)) for r in range(100, 112)]
    one = map_jobs(jobs, workers=1)
    assert len(spawned) == 1
    two = map_jobs(jobs, workers=2)
    with ThreadPoolExecutor(3) as executor:
        three = map_jobs(jobs, executor=executor)
    for a, b, c in zip(one, two, three, strict=True):
        assert np.array_equal(a.values[0], b.values[0])
        assert np.array_equal(a.values[0], c.values[0])


def given_up_once(event, job):
    """Yield a job, wait until it is so far, and be interrupted."""
    yield job
    assert event.wait(600.0)
    raise KeyboardInterrupt


def test_giving_up_a_run_whose_worker_has_answered_does_not_reach_the_next_run(
    spawned, monkeypatch
):
    answered = threading.Event()
    run = pool.Worker.run

    def late(self, *arguments):
        outcome = run(self, *arguments)
        answered.set()
        self._process.wait(600.0)  # until the run is given up
        return outcome

    with monkeypatch.context() as patched:
        patched.setattr(pool.Worker, "run", late)
        with pytest.raises(KeyboardInterrupt):
            map_jobs(given_up_once(answered, divider()), workers=1)
    np.testing.assert_allclose(call(divider(), 60.0).values[0][:, 0], current(1000.0), atol=1e-15)


def test_a_job_that_is_about_to_begin_is_given_up_too(spawned, monkeypatch):
    begun, given_up, ran = threading.Event(), threading.Event(), []
    borrow, shutdown = pool.borrow, ThreadPoolExecutor.shutdown

    def late():
        begun.set()
        assert given_up.wait(600.0)
        return borrow()

    def awaited(self, *arguments, **options):
        given_up.set()
        shutdown(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(pool, "borrow", late)
        patched.setattr(ThreadPoolExecutor, "shutdown", awaited)
        patched.setattr(pool.Worker, "run", lambda *_: ran.append("it ran"))
        with pytest.raises(KeyboardInterrupt):
            map_jobs(given_up_once(begun, ENDLESS), workers=1)
    assert not ran
    assert call(divider(), 60.0).rung == 0


def test_a_worker_that_died_idle_is_not_lent(spawned):
    call(divider(), 60.0)
    os.kill(spawned[0], signal.SIGKILL)
    pool._idle[0]._process.wait()
    worker = pool.borrow()
    assert worker.pid != spawned[0]
    worker.close()


def test_ctrl_c_ends_the_run_and_its_workers(mode, spawned, monkeypatch):
    at_work = threading.Semaphore(0)
    enter = Crew.at_work

    def seen(self, kill):
        at_work.release()
        return enter(self, kill)

    def interrupt():
        for _ in range(2):
            assert at_work.acquire(timeout=600.0)
        os.kill(os.getpid(), signal.SIGINT)
        # One that comes while Python ends an object is lost there: a person would press again.
        while not ended.wait(20.0):
            os.kill(os.getpid(), signal.SIGINT)

    ended = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(Crew, "at_work", seen)
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):  # and not WorkerHung, a long time later
            map_jobs([ENDLESS] * 4, workers=2, timeout=3600.0, mode=mode)
        ended.set()
        thread.join()
    assert call(divider(), 60.0, mode).rung == 0


def test_the_first_failure_is_raised_with_its_label():
    jobs = [divider(), DIVERGING, divider()]
    with pytest.raises(NonConvergence, match="tile 1: "):
        map_jobs(jobs, labels=["tile 0", "tile 1", "tile 2"], workers=1)


def test_progress_counts_to_the_end():
    seen = []
    map_jobs([divider()] * 3, workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_cache_spares_the_work_and_a_changed_deck_misses(tmp_path, spawned):
    cache = Cache(tmp_path, "39 sparse")
    jobs = [divider(500.0), divider(600.0)]
    first = map_jobs(jobs, cache=cache, workers=1)
    pool.close_idle()
    spawned.clear()
    again = map_jobs(jobs, cache=cache)
    assert not spawned
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.values[0], b.values[0])
    assert cache.get(divider(500.1)) is None
    assert cache.get(Job(jobs[0].deck, jobs[0].steps, ("reltol=1e-9",))) is None
    assert Cache(tmp_path, "44.2 klu").get(jobs[0]) is None
    record = next(tmp_path.rglob("*.h5"))
    record.write_bytes(b"cut short")
    assert sum(cache.get(job) is None for job in jobs) == 1


def test_a_result_that_was_damaged_on_disk_is_made_again(tmp_path):
    cache = Cache(tmp_path, "39 sparse")
    (first,) = map_jobs([divider()], cache=cache)
    (file,) = tmp_path.rglob("*.h5")
    with h5py.File(file, "r+") as record:
        record["step0"][2, 0] *= 1.01
    assert cache.get(divider()) is None
    (again,) = map_jobs([divider()], cache=cache)
    assert np.array_equal(again.values[0], first.values[0])
    assert np.array_equal(cache.get(divider()).values[0], first.values[0])


def test_two_processes_share_a_cache(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from memtwin.circuits.ngspice.cache import Cache\n"
        "from memtwin.circuits.ngspice.pool import map_jobs\n"
        "from memtwin.circuits.ngspice.job import Job, Step\n"
        f"jobs = [Job({divider().deck!r}.replace('1000.0', str(r)), ({SWEEP!r},))"
        " for r in range(100, 120)]\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        f"done = map_jobs(jobs, workers=2, cache=Cache(Path({str(tmp_path)!r}), '39'))\n"
        "print([out.values[0].tolist() for out in done])\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in both]
    assert found[0] == found[1]
    for r, values in zip(range(100, 120), found[0], strict=True):
        np.testing.assert_allclose(np.array(values)[:, 0], current(r), atol=1e-12)
    assert len(list(tmp_path.rglob("*.h5"))) == 20
    assert not list(tmp_path.rglob("*.part"))


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MemtwinError, match="can't write"):
        map_jobs([divider()], cache=Cache(tmp_path / "file", "39"), workers=1)


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_parent(way, ended, tmp_path):
    code = (
        "import sys\n"
        "from memtwin.circuits.ngspice.pool import Worker\n"
        "from memtwin.circuits.ngspice.job import Job, Step\n"
        "worker = Worker()\n"
        "print(worker.pid, flush=True)\n"
        f"worker.run(Job({ENDLESS.deck!r}, (Step({ENDLESS.steps[0].analysis!r}, ('v(b)',)),)))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path)
    child = int(parent.stdout.readline())
    parent.send_signal(way)
    assert ended(child)
    assert parent.stdout.read() == b""
    parent.communicate()


def test_a_worker_whose_parent_died_before_it_looked_ends():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = pool.START.format(parent=gone.pid)
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert worker.wait(600.0) == 1
    worker.communicate()


def test_an_idle_worker_outlives_the_thread_that_started_it(spawned):
    for _ in range(3):
        thread = threading.Thread(target=call, args=(divider(), 60.0))
        thread.start()
        thread.join()
    assert len(spawned) == 1


def test_a_job_that_takes_too_much_memory_is_ended_and_says_so(mode, spawned):
    with pytest.raises(OutOfMemory, match=r"more than the 0\.4 GB.*worker_memory") as caught:
        map_jobs([HUNGRY], mode=mode, memory=0.4e9, timeout=3600.0)
    assert "tried once more" not in str(caught.value)
    assert len(spawned) <= 1
    np.testing.assert_allclose(
        call(divider(), 60.0, mode, memory=0.5e9).values[0][:, 0], current(1000.0), atol=1e-15
    )


def home_is(folder):
    """Return a command that runs another with ``folder`` as home, also for who asks the password
    file; or just the other where that can't be changed.
    """
    entry = pwd.getpwuid(os.getuid())
    here = f"{entry.pw_name}:x:{entry.pw_uid}:{entry.pw_gid}::{folder}:/bin/sh\n"
    (folder / "passwd").write_text(here)
    script = f'mount --bind {folder}/passwd /etc/passwd && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh"]
    try:
        able = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        able = False
    return command if able else []


@pytest.mark.parametrize("place", ["home", "folder", "variables"])
@pytest.mark.parametrize(
    "text",
    [
        "option rshunt=1e5",
        "alias dc echo",
        "quit",
        "set ngbehavior=lt\nset num_threads=7\nset filetype=ascii",
    ],
)
def test_start_up_files_do_not_change_what_a_deck_means(mode, text, place, tmp_path):
    hostile, empty = tmp_path / "hostile", tmp_path / "empty"
    for folder in (hostile, empty):
        folder.mkdir()
    for name in (".spiceinit", "spice.rc", "spinit"):
        (hostile / name).write_text(f"* hostile\n{text}\n")
    (hostile / "scripts").symlink_to(hostile)
    home = hostile if place == "home" else empty
    changed = {"HOME": str(home), "USERPROFILE": str(home)}
    if place == "variables":
        names = ("SPICE_LIB_DIR", "SPICE_SCRIPTS", "SPICE_USERINIT_DIR")
        changed |= {"SPICE_ASCIIRAWFILE": "1", **dict.fromkeys(names, str(hostile))}
    cube = "b1 d 0 v=v(a)*v(a)**2\nr3 d 0 1k\n.end\n"
    deck = divider().deck.replace(".end\n", cube)
    step = Step("dc v1 -1 1 0.5", ("v(b)", "v(d)"))
    code = (
        "from memtwin.circuits.ngspice.pool import call\n"
        "from memtwin.circuits.ngspice.job import Job, Step\n"
        f"print(call(Job({deck!r}, ({step!r},)), 60.0, {mode!r}).values[0].tolist())\n"
    )
    ran = subprocess.run(
        [*home_is(home), sys.executable, "-c", code],
        cwd=hostile if place == "folder" else empty,
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    v = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(json.loads(ran.stdout), np.stack([v / 2, v**3], 1), atol=1e-9)
