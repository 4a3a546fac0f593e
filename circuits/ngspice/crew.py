"""Whoever works for one run, so that the run can be given up as a whole."""

__all__ = ["Cancelled", "Crew"]

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...data.errors import EngineError


class Cancelled(EngineError):
    """The run that a job belonged to was given up."""


class Crew:
    """The processes at work for one run.

    Giving up kills those that are at work and lets no other begin, and it touches none that has
    come back: a process that another run may use next is never killed.
    """

    def __init__(self) -> None:
        self._kills: list[Callable[[], None]] = []
        self._guard = threading.Lock()
        self.given_up = False

    @contextmanager
    def at_work(self, kill: Callable[[], None]) -> Iterator[None]:
        """Hold ``kill``, which ends what the block waits for, while the block runs.

        Raises
        ------
        Cancelled
            If the run was given up before.
        """
        with self._guard:
            if self.given_up:
                raise Cancelled("the job was cancelled, as the run it belongs to was given up")
            self._kills.append(kill)
        try:
            yield
        finally:
            with self._guard:
                self._kills.remove(kill)

    def give_up(self) -> None:
        """End what is at work; nothing is after a run that came to its end."""
        with self._guard:
            self.given_up = True
            for kill in self._kills:
                kill()
