"""ngspice jobs on a Dask cluster.

Every node needs memtwin and ngspice. A node's process starts its own ngspice workers, so that a
crash of ngspice costs the node nothing, and Dask sends the jobs of a lost node to the others. Dask
would wait for a lost scheduler; here its jobs fail within seconds, so that the run can be resumed.
"""

__all__ = ["dask_executor"]

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from ...data.errors import EngineError, EngineMissing, MemtwinError

PERIOD = 1.0
"""Time between two questions to the scheduler [s]."""
PATIENCE = 8.0
"""Time in which the scheduler has to answer [s]."""

T = TypeVar("T")


@contextmanager
def dask_executor(address: str, *, timeout: float = PATIENCE) -> Iterator[Executor]:
    """Yield an executor on the Dask scheduler at ``address``, such as ``tcp://10.0.0.5:8786``.

    Its jobs fail with an :class:`EngineError` when the scheduler goes away or does not answer
    within ``timeout``.

    Raises
    ------
    EngineMissing
        If Dask is not installed.
    EngineError
        If no scheduler answers within ``timeout`` [s].
    """
    try:
        import distributed
    except ImportError as error:
        raise EngineMissing(
            "a Dask cluster needs the extra: pip install 'memtwin[dask]'"
        ) from error
    with _quiet("distributed"):
        try:
            client: Any = distributed.Client(address, timeout=timeout, set_as_default=False)
        except Exception as error:  # by what answers there instead, it is of any type
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise EngineError(f"no Dask scheduler answers at {address}: {reason}") from error
        executor = _Remote(client, address, timeout)
        try:
            if not client.nthreads():
                text = f"the Dask scheduler at {address} has no workers: jobs wait until it has"
                warnings.warn(text, RuntimeWarning, stacklevel=3)
            yield executor
        finally:
            executor.shutdown()
            try:
                client.close(timeout=1.0)
            except Exception:  # the scheduler does not answer: nor would it later
                client.status = "closed"


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library from logging what is raised here as one sentence."""
    known = [logging.getLogger(each) for each in logging.root.manager.loggerDict]
    loggers = [each for each in known if each.name.split(".")[0] == name and not each.disabled]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in loggers:
            logger.disabled = False


class _Remote(Executor):
    """Dask's executor, whose jobs fail when the scheduler has gone."""

    def __init__(self, client: Any, address: str, timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._inner: Executor = client.get_executor(pure=False)
        self._lost = f"the Dask scheduler at {address} went away in the middle of the work"
        self._waiting: set[Future[Any]] = set()
        self._guard = threading.Lock()
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="memtwin-dask", daemon=True).start()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Send a job to the cluster."""
        with self._guard:
            if self._over.is_set():
                raise EngineError(self._lost)
            ours: Future[T] = Future()
            self._waiting.add(ours)
        theirs = self._inner.submit(function, *args, **kwargs)
        theirs.add_done_callback(lambda _: self._came(theirs, ours))
        ours.add_done_callback(lambda _: ours.cancelled() and theirs.cancel())
        return ours

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs, and fail those that are not done."""
        with self._guard:
            self._over.set()
            waiting, self._waiting = self._waiting, set()
        for ours in waiting:
            _settle(ours, error=EngineError(self._lost))

    def _came(self, theirs: "Future[Any]", ours: "Future[Any]") -> None:
        with self._guard:
            self._waiting.discard(ours)
        if theirs.cancelled():
            _settle(ours, error=EngineError(self._lost))
            return
        error = theirs.exception()
        if error is None:
            _settle(ours, theirs.result())
        elif isinstance(error, MemtwinError):
            _settle(ours, error=error)
        else:
            _settle(ours, error=EngineError(f"the Dask cluster: {type(error).__name__}: {error}"))

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            try:
                self._client.sync(self._client.scheduler.identity, callback_timeout=self._timeout)
            except Exception:
                self.shutdown()


def _settle(future: "Future[Any]", value: Any = None, error: Exception | None = None) -> None:
    with suppress(InvalidStateError):  # it was cancelled, or settled before
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
