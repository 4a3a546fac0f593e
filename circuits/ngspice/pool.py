"""Worker processes that load ngspice, and may die without taking the run along.

:func:`call` runs one job in a worker process of the calling process, and looks after that process:
a time limit, one new start after a crash, a hang or a lost ngspice, and a fresh process before
memory grows. It is an ordinary function of plain data, so any ``concurrent.futures.Executor`` can
spread it: threads here by default (the work is in the worker processes), or
``dask.distributed.Client.get_executor()`` on a cluster. Idle workers are kept for the next call.
"""

__all__ = ["Mode", "Worker", "WorkerDied", "WorkerHung", "call", "close_idle", "map_jobs"]

import atexit
import functools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from typing import IO, Literal, TypeAlias

from ...data.errors import EngineError, MemtwinError, WorkerCrash
from ...data.processes import start
from ...data.types import Progress
from . import program as isolated
from .cache import Cache
from .crew import Crew
from .job import Job, Outcome
from .verdict import Lost
from .worker import OVER_MEMORY, receive, send

TIMEOUT = 600.0
"""Time limit of a job [s]."""
JOBS_MAX = 500
"""Jobs after which a worker is replaced."""
MEMORY_WORN = 2e9
"""Resident memory after which a worker is replaced [byte]."""
MEMORY = 4e9
"""Resident memory that a job's process may take [byte]."""

Mode: TypeAlias = Literal["auto", "library", "isolated"]
"""Where ngspice runs: as a library in worker processes, or as a program for every job."""

START = "from memtwin.circuits.ngspice.worker import main; main({parent})"


class WorkerDied(WorkerCrash):
    """A worker process ended in the middle of a job."""


class WorkerHung(WorkerCrash):
    """A worker process did not answer within the time limit and was killed."""


class OutOfMemory(EngineError):
    """A job took more memory than it may; it would again."""

    @classmethod
    def at(cls, memory: float) -> "OutOfMemory":
        """Return the error for a job that may take ``memory`` [byte]."""
        return cls(
            f"ngspice was ended as its job took more than the {memory / 1e9:g} GB that it may:"
            " use fewer vectors or a smaller tile, or allow more (memory=..., or worker_memory in a"
            " configuration)"
        )


class Worker:
    """The parent's end of one worker process."""

    def __init__(self) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = start(
            [sys.executable, "-P", "-W", "ignore", "-c", START.format(parent=os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
        )
        self.pid = self._process.pid
        self._jobs = 0
        self._memory = 0.0

    @property
    def worn(self) -> bool:
        """Whether it is time to replace this process."""
        return self._jobs >= JOBS_MAX or self._memory > MEMORY_WORN

    def run(self, job: Job, timeout: float = TIMEOUT, memory: float = MEMORY) -> Outcome:
        """Run ``job``; after any exception but a rejected or diverging job the process is gone.

        Parameters
        ----------
        job
            A deck, what to run on it, and what to return.
        timeout
            Time that a job may take [s].
        memory
            Memory that a process may take [bytes].
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            send(self._process.stdin, (job, memory))
            answer = receive(self._process.stdout)
        except (EOFError, OSError) as error:
            if expired.is_set():
                text = f"ngspice did not answer within {timeout:g} s and was killed"
                raise WorkerHung(text) from error
            if self._process.wait() == OVER_MEMORY:
                raise OutOfMemory.at(memory) from error
            raise WorkerDied(f"the ngspice process {self._epitaph()}") from error
        finally:
            timer.cancel()
        self._jobs += 1
        if isinstance(answer, Outcome):
            self._memory = answer.memory
            return answer
        assert isinstance(answer, MemtwinError)
        raise answer

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process, perhaps while another thread waits for it in :meth:`run`."""
        self._process.kill()

    def close(self) -> None:
        """End the process; it holds nothing worth saving."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # unsent bytes for a process that has gone
        self._process.wait()

    def _epitaph(self) -> str:
        status = self._process.wait()
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 500))
        last = self._said.read().decode("utf8", "replace").strip()
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"died ({name}){': ' + last if last else ''}"


_idle: list[Worker] = []
_guard = threading.Lock()
if hasattr(os, "register_at_fork"):
    # The parent's workers are not the child's, and another thread may hold the guard meanwhile.
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release)
    os.register_at_fork(after_in_child=_guard.release)
    os.register_at_fork(after_in_child=_idle.clear)


def borrow() -> Worker:
    """Take an idle worker, or start one."""
    while True:
        with _guard:
            worker = _idle.pop() if _idle else None
        if worker is None:
            return Worker()
        if worker.alive:
            return worker
        worker.close()


def give_back(worker: Worker) -> None:
    """Keep a healthy worker for the next :func:`borrow`."""
    if worker.worn:
        worker.close()
        return
    with _guard:
        _idle.append(worker)


@atexit.register
def close_idle() -> None:
    """End the idle workers of this process."""
    with _guard:
        idle, _idle[:] = list(_idle), []
    for worker in idle:
        worker.close()


def call(
    job: Job,
    timeout: float = TIMEOUT,
    mode: Mode = "auto",
    crew: Crew | None = None,
    memory: float = MEMORY,
) -> Outcome:
    """Run one job in a worker process of this process, or (``mode``) in an ``ngspice -b``.

    ``crew`` holds the process while it is at work, so that others can give it up; it may take
    ``memory`` [byte].

    Parameters
    ----------
    job
        A deck, what to run on it, and what to return.
    timeout
        Time that a job may take [s].
    mode
        How ngspice is run: in the worker's own process, or as a program.
    crew
        The worker processes that end together.
    memory
        Memory that a process may take [bytes].

    Raises
    ------
    WorkerHung, WorkerDied, Lost
        If the worker hangs, dies, or loses its ngspice, and a second one does too.
    OutOfMemory
        If the job takes more memory.
    Cancelled
        If the crew was given up.
    NonConvergence, EngineError
        As :func:`.worker.run`.
    """
    crew = Crew() if crew is None else crew
    isolate = mode == "isolated" or (mode == "auto" and not _has_library())

    def once() -> Outcome:
        return (_isolated if isolate else _in_worker)(job, timeout, crew, memory)

    try:
        return once()
    except (WorkerCrash, Lost):
        try:
            return once()
        except (WorkerCrash, Lost) as error:
            raise type(error)(f"{error} (and so it did when tried once more)") from error


def _in_worker(job: Job, timeout: float, crew: Crew, memory: float) -> Outcome:
    worker = borrow()
    usable = True  # before the job, and after one that was done, rejected or did not converge
    try:
        with crew.at_work(worker.kill):
            usable = False
            try:
                outcome = worker.run(job, timeout, memory)
                usable = True
                return outcome
            except EngineError as error:
                usable = not isinstance(error, (WorkerCrash, Lost, OutOfMemory))
                raise
    finally:  # after Ctrl-C the worker is in the middle of something
        if usable and not crew.given_up:
            give_back(worker)
        else:
            worker.close()


def _isolated(job: Job, timeout: float, crew: Crew, memory: float) -> Outcome:
    try:
        return isolated.run(job, timeout, crew, memory)
    except TimeoutError as error:
        raise WorkerHung(str(error)) from error
    except MemoryError as error:
        raise OutOfMemory.at(memory) from error
    except ChildProcessError as error:
        raise WorkerDied(str(error)) from error


@functools.cache
def _has_library() -> bool:
    from .installed import features

    return bool(features().library)


def map_jobs(
    jobs: Iterable[Job],
    *,
    labels: Sequence[str] = (),
    workers: int | None = None,
    executor: Executor | None = None,
    timeout: float = TIMEOUT,
    mode: Mode = "auto",
    memory: float = MEMORY,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run ``jobs``, at most ``workers`` at a time (by default one per core), and return outcomes in
    their order.

    ``executor`` runs them elsewhere instead: anything with ``submit``. Jobs are taken, and perhaps
    made, while the first ones run. Results that ``cache`` holds are taken from there, new ones are
    put there as they come. The first failure, or Ctrl-C, ends the rest and is raised, a failure
    with its job's label before it.

    Parameters
    ----------
    jobs
        Decks, what to run on them, and what to return; taken as they are needed.
    labels
        What to call jobs in messages.
    workers
        Processes at work at once, by default one per core.
    executor
        Where jobs run, by default in processes of its own here.
    timeout
        Time that a job may take [s].
    mode
        How ngspice is run: in the worker's own process, or as a program.
    memory
        Memory that a process may take [bytes].
    cache
        Where results are kept, and taken from.
    progress
        Called with how much is done, and of how much.
    """
    outcomes: dict[int, Outcome] = {}
    futures: dict[Future[Outcome], int] = {}
    uncached: dict[int, Job] = {}
    crew = Crew()
    with ExitStack() as stack:
        if executor is None:
            count = max(1, workers or os.cpu_count() or 1)
            here = stack.enter_context(ThreadPoolExecutor(count, "memtwin-spice"))
            submit: Callable[..., Future[Outcome]] = partial(here.submit, partial(call, crew=crew))
        else:
            submit = partial(executor.submit, call)  # type: ignore[call-arg]
        stack.callback(_abandon, futures, crew)
        for k, job in enumerate(jobs):
            hit = None if cache is None else cache.get(job)
            if hit is not None:
                outcomes[k] = hit
                continue
            if cache is not None:
                uncached[k] = job
            futures[submit(job, timeout, mode, memory=memory)] = k
        total = len(outcomes) + len(futures)
        if progress is not None and outcomes:
            progress(len(outcomes), total)
        for future in as_completed(futures):
            k = futures[future]
            try:
                outcomes[k] = future.result()
            except EngineError as error:
                if not labels:
                    raise
                raise type(error)(f"{labels[k]}: {error}") from error
            if cache is not None:
                cache.put(uncached.pop(k), outcomes[k])
            if progress is not None:
                progress(len(outcomes), total)
    return [outcomes[k] for k in range(total)]


def _abandon(futures: dict[Future[Outcome], int], crew: Crew) -> None:
    """Give up what still waits or runs."""
    for future in futures:
        future.cancel()
    crew.give_up()
