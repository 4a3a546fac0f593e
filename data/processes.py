"""Child processes that end with their parent, whatever ends it.

A killed parent can clean up nothing. So every child asks the kernel to be killed with it where the
kernel offers that (Linux), and looks whose child it is a few times a second everywhere. The parent
says who it is when it starts the child: one that asked only after it had started might see the
process that inherited it.
"""

__all__ = ["bind", "bound", "memory", "process_pool", "start"]

import ctypes
import functools
import math
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from .errors import WorkerCrash

PERIOD = 0.25
"""Time between two looks at the parent [s]."""

STOPS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that interrupt a parent; a process half started would be left behind."""

BOUND = """
import ctypes, os, resource, sys
parent, memory = int(sys.argv[1]), int(sys.argv[2])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != parent:
    sys.exit(1)
if memory >= 0:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
os.execv(sys.argv[3], sys.argv[3:])
"""

Making: TypeAlias = "tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]"


def bind(parent: int, look: Callable[[], object] = lambda: None) -> None:
    """End this process when ``parent`` ends, the process id of who started it.

    Linux does so when the *thread* ends that started this process: see :func:`start`. ``look`` is
    called a few times a second, and may end the process for another reason.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            look()
            time.sleep(PERIOD)
        os._exit(1)

    threading.Thread(target=watch, name="memtwin-parent", daemon=True).start()


def bound(command: Sequence[str], memory: float) -> list[str]:
    """Return a command that runs the program ``command``, to end with the thread of this process
    that starts it, in an address space of at most ``memory`` [byte].
    """
    most = -1 if math.isinf(memory) else int(memory)
    launch = [sys.executable, "-I", "-S", "-c", BOUND, str(os.getpid()), str(most)]
    return [*launch, *command]


def start(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process (``subprocess.Popen``) that may be bound to this one and outlive the calling
    thread; Ctrl-C in the terminal does not reach it.
    """
    made: Future[subprocess.Popen[bytes]] = Future()
    _orders().put((lambda: subprocess.Popen(command, **options), made))
    return made.result()


@functools.cache
def _orders() -> "queue.SimpleQueue[Making]":
    """Return the way to a thread that lives as long as this process and starts others."""
    orders: queue.SimpleQueue[Making] = queue.SimpleQueue()
    threading.Thread(target=_serve, args=(orders,), name="memtwin-start", daemon=True).start()
    return orders


def _serve(orders: "queue.SimpleQueue[Making]") -> None:
    while True:
        make, made = orders.get()
        try:
            with _without("SIGINT"):
                made.set_result(make())
        except BaseException as error:
            made.set_exception(error)
        del make, made  # a process that nobody wants any more must not wait for the next order


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_orders.cache_clear)  # threads don't survive a fork


@contextmanager
def _without(*signals: str) -> Iterator[None]:
    """Keep signals from this thread while the block runs, and from processes that it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, each) for each in signals})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def process_pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield ``count`` processes for work in Python; when the block fails they end at once, and when
    this process dies they do too.

    Raises
    ------
    WorkerCrash
        If one of them dies.
    """
    # spawned: a forked child would inherit whatever threads this process runs
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_enlist, initargs=(os.getpid(), theirs)
    )
    try:
        with _without(*STOPS):
            for _ in range(count):  # one starts with every job that none is free for
                pool.submit(os.getpid)
        yield pool
        pool.shutdown()
    except BrokenProcessPool as error:
        raise WorkerCrash(
            "a worker process died in the middle of its work, perhaps for want of memory: use fewer"
            " workers"
        ) from error
    finally:
        ours.close()
        theirs.close()
        pool.shutdown(cancel_futures=True)


def _enlist(parent: int, lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    bind(parent)

    def hang() -> None:
        lifeline.poll(None)  # nothing is ever said: it ends
        os._exit(1)

    threading.Thread(target=hang, name="memtwin-lifeline", daemon=True).start()


def memory() -> tuple[float, float]:
    """Return the resident memory of this process, now and at most so far [byte]."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            found = dict(line.split(":", 1) for line in status)
        now, peak = (1024.0 * float(found[key].split()[0]) for key in ("VmRSS", "VmHWM"))
    except (OSError, KeyError):
        import resource  # not on Windows; on Linux its peak begins with that of the parent

        peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        now = peak = peak if sys.platform == "darwin" else 1024.0 * peak
    return now, peak
