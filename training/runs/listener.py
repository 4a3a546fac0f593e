"""Who hears what a job is doing, and how long its steps take."""

__all__ = ["Listener", "Silent", "Steps"]

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from ...data.types import Progress


class Listener(Protocol):
    """Hears what a job is doing."""

    def step(self, title: str) -> AbstractContextManager[Progress]:
        """Enter a step; what is yielded is called with its progress."""

    def say(self, sentence: str) -> None:
        """Hear what came out of a step."""


class Silent:
    """A listener that keeps quiet."""

    def step(self, title: str) -> AbstractContextManager[Progress]:
        """Ignore a step's progress."""
        return nullcontext(lambda done, total: None)

    def say(self, sentence: str) -> None:
        """Ignore what came out."""


class Steps:
    """The steps of one job, timed and told to a listener."""

    def __init__(self, listener: Listener | None = None) -> None:
        self.listener: Listener = listener or Silent()
        self.seconds: dict[str, float] = {}
        """Wall time of every step that has ended [s]."""

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Progress]:
        """Enter the step ``name``; what is yielded is called with its progress."""
        started = time.perf_counter()
        with self.listener.step(title) as progress:
            yield progress
        self.seconds[name] = time.perf_counter() - started

    def say(self, sentence: str) -> None:
        """Tell what came out of a step."""
        self.listener.say(sentence)
