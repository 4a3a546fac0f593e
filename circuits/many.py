"""Independent pieces of work, side by side: here, in processes, or wherever an executor runs them.

What comes back stands in the order of what was asked, so that nothing depends on how many work at
it. Every piece has to bring its own seed.
"""

__all__ = ["each"]

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from ..data.errors import InputError, WorkerCrash
from ..data.processes import process_pool
from ..data.types import Progress

RETRIES = 3
"""How often processes are started anew after one of them has died."""

T = TypeVar("T")
R = TypeVar("R")


def each(
    work: Callable[[T], R],
    pieces: Sequence[T],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    done: Callable[[int, R], None] | None = None,
) -> list[R]:
    """Return ``work(piece)`` for each of ``pieces``, in their order.

    Parameters
    ----------
    pieces
        What is worked on, one after the other or at once.
    work
        A function of a module; it and the pieces have to be picklable where they go elsewhere.
    workers
        Processes; with 1, or a single piece, all is done here.
    executor
        Where to work instead, such as Dask's.
    progress
        Called with (pieces done, pieces).
    done
        Called here with place and result of every piece as it comes.

    Raises
    ------
    WorkerCrash
        If processes die again and again. One that dies costs what it was at: that is done again.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    found: dict[int, R] = {}

    def take(place: int, result: R) -> None:
        found[place] = result
        if done is not None:
            done(place, result)
        if progress is not None:
            progress(len(found), len(pieces))

    if executor is None and (workers == 1 or len(pieces) < 2):
        for place, piece in enumerate(pieces):
            take(place, work(piece))
        return [found[k] for k in range(len(pieces))]
    for attempt in range(RETRIES + 1):
        left = [k for k in range(len(pieces)) if k not in found]
        if not left:
            break
        try:
            with _there(executor, min(workers, len(left))) as pool:
                waiting: dict[Future[R], int] = {pool.submit(work, pieces[k]): k for k in left}
                try:
                    for future in as_completed(waiting):
                        take(waiting[future], future.result())
                except BaseException:
                    for future in waiting:
                        future.cancel()
                    raise
        except WorkerCrash:
            if attempt == RETRIES:
                raise
    return [found[k] for k in range(len(pieces))]


@contextmanager
def _there(executor: Executor | None, count: int) -> Iterator[Any]:
    """Yield where to work: the executor, which belongs to another, or ``count`` new processes."""
    if executor is not None:
        yield executor
        return
    with process_pool(count) as pool:
        yield pool
