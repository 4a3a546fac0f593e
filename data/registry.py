"""Open tables: a name stands for what memtwin has, what a program registered, or what an installed package offers.

A package offers something by an entry point whose name is the thing's own::

    [project.entry-points."memtwin.models"]
    mine = "my_package:mine"

Entry points are looked up when the table is listed or has no such name, and loaded when theirs is asked for.
"""

__all__ = ["Registry", "text_of"]

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from .errors import InputError, Unregistered, nearest

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Things of one kind by name.

    Parameters
    ----------
    what
        The kind in words, as in "there is no *engine* 'x'".
    how
        How one is registered, the end of that sentence.
    shipped
        What memtwin has itself: names, and functions that make it when it is first asked for.
    group
        Entry points by which packages offer theirs.
    check
        Called with a name and what is to stand for it; returns that, or says what is wrong with it.
    """

    def __init__(
        self,
        what: str,
        *,
        how: str,
        shipped: Mapping[str, Callable[[], T]],
        group: str,
        check: Callable[[str, Any], T],
    ) -> None:
        self._what, self._how, self._group = what, how, group
        self._shipped, self._check = dict(shipped), check
        self._made: dict[str, T] = {}
        self._known: dict[str, T] = {}  # loaded or registered; comes first
        self._loading: set[str] = set()

    def shipped(self, name: str) -> T | None:
        """Return what memtwin itself has by that name, whatever was registered; None if nothing."""
        if name in self._shipped and name not in self._made:
            self._made[name] = self._shipped[name]()
        return self._made.get(name)

    def add(self, name: str, thing: T, *, replace: bool = False) -> T:
        """Let ``name`` stand for ``thing``, and return it.

        Parameters
        ----------
        name
            Name under which it is found.
        thing
            What is registered.
        replace
            Whether it may take the place of another one of that name.

        Raises
        ------
        InputError
            If it is no such thing, or the name stands for another one and ``replace`` is not given.
        """
        thing = self._check(name, thing)
        taken = not replace and name not in self._loading and name in self
        if taken and self[name] != thing:
            raise InputError(
                f"there is another {self._what} {name!r} already: give yours a name of its own, or"
                " register it with replace=True"
            )
        self._known[name] = thing
        return thing

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            made = self.shipped(name)
            if made is not None:
                return made
            if name not in self._offers:
                raise Unregistered(
                    f"there is no {self._what} {name!r}{nearest(str(name), self)}; {self._how}"
                )
            self._known[name] = self._load(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._shipped, **self._known, **self._offers})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._shipped or name in self._offers

    def __repr__(self) -> str:
        return f"<{self._what}s: {', '.join(self)}>"

    @cached_property
    def _offers(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for offer in entry_points(group=self._group):
            if offer not in found.setdefault(offer.name, []):
                found[offer.name].append(offer)
        return found

    def _load(self, name: str) -> T:
        first, *others = self._offers[name]
        packages = [offer.dist.name if offer.dist else offer.value for offer in (first, *others)]
        if others:
            raise InputError(
                f"the {self._what} {name!r} is offered by {' and by '.join(packages)}: uninstall one"
            )
        self._loading.add(name)
        try:
            return self._check(name, first.load())
        except Exception as error:  # a package's import may fail in any way
            raise InputError(
                f"the {self._what} {name!r} of the package {packages[0]} can't be loaded:"
                f" {text_of(error)}"
            ) from error
        finally:
            self._loading.discard(name)


def text_of(error: Exception) -> str:
    """Return what an error of code that is not memtwin's says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
