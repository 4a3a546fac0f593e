"""Requests to end a command: Ctrl-C, SIGTERM, and the end of the terminal."""

__all__ = ["exit_code", "interruptible", "keeping"]

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 1.0
"""Time after which a request that nothing came of is made again [s]."""

_asked: list[int] = []
_waiting: list[threading.Timer] = []


def exit_code() -> int:
    """Return the exit code of a command that was asked to end, and ask it no more: 128 and the signal's number, as
    shells have it; 130 for Ctrl-C.
    """
    _rest()
    return 128 + (_asked[-1] if _asked else signal.SIGINT)


@contextmanager
def keeping(left: Callable[[], str]) -> Iterator[None]:
    """Let an interrupt of the block say what ``left`` returns then: what is there, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or left()) from stop


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a polite request to end raise KeyboardInterrupt in the block, as Ctrl-C does, until it arrives.

    What a signal raises is lost where it falls into a finaliser, or into C code that asks for an
    attribute: nobody hears of it then, and the work would go on to its end.
    """
    usual = {
        "SIGINT": signal.default_int_handler,
        "SIGTERM": signal.SIG_DFL,
        "SIGHUP": signal.SIG_DFL,
    }
    numbers = [getattr(signal, name) for name in usual if hasattr(signal, name)]
    # One that is ignored, as under nohup, stays so.
    taken = {n: before for n in numbers if (before := signal.getsignal(n)) == usual[n.name]}

    def interrupt(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        _rest()
        timer = threading.Timer(AGAIN, _ask, (number,))
        timer.daemon = True
        _waiting.append(timer)
        timer.start()
        if not _ending():
            raise KeyboardInterrupt

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, before in taken.items():
            signal.signal(number, before)
        _rest()


def _rest() -> None:
    """Ask no more."""
    while _waiting:
        _waiting.pop().cancel()


def _ask(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # wakes the main thread wherever it waits
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _ending() -> bool:
    """Return whether an interrupt is on its way out: what is cleaned up then is left in peace."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
