"""Open tables: a name, and what it stands for.

What ships is in the table from the start; a user's own comes in by ``register``, or from an
installed package that names it in the table's group of entry points::

    [project.entry-points."memtwin.rules"]
    mine = "mypackage.rules:MINE"
"""

__all__ = ["Registry"]

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from .errors import InputError, nearest

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]*(?<! )")
"""Names stand in configurations and in the names of files."""


class Registry(Generic[T]):
    """Entries by name; ``name in table``, ``table[name]``, and iteration over the names.

    Parameters
    ----------
    what
        What an entry is, for errors: ``update rule``.
    group
        Entry points of installed packages under which entries are looked for on a miss.
    how
        How one is registered, for errors: ``register_rule(name, factory)``.
    entries
        Those that ship, in the order in which they are shown: the entry, or ``"module:object"``,
        which is imported when it is asked for.
    package
        What such modules are relative to.
    """

    def __init__(
        self,
        what: str,
        *,
        group: str,
        how: str,
        entries: Mapping[str, T | str],
        package: str | None = None,
    ) -> None:
        self.what, self.group, self.how, self._package = what, group, how, package
        self._shipped, self._own = dict(entries), dict[str, T | str]()

    def register(self, name: str, entry: T | str) -> None:
        """Add ``entry`` under ``name``, in place of one of one's own that had it.

        Raises
        ------
        InputError
            If the name can't be one, or is that of an entry that ships.
        """
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise InputError(
                f"no {self.what} can be called {name!r}: expected letters, digits, spaces and _ . + -"
            )
        if name in self._shipped:
            raise InputError(f"the {self.what} {name!r} comes with memtwin: choose another name")
        self._own[name] = entry

    def names(self) -> tuple[str, ...]:
        """Return all names: those that ship, one's own, and those of installed packages."""
        return tuple(dict.fromkeys((*self._shipped, *self._own, *self._installed())))

    def check(self, name: str) -> str:
        """Return ``name`` if there is such an entry.

        Raises
        ------
        InputError
            If there is none; the names that there are, and how to register one, are said.
        """
        if name not in self:
            raise InputError(
                f"there is no {self.what} {name!r}{nearest(name, self.names())}; one's own is added"
                f" by {self.how}, or by a package's entry point in {self.group!r}"
            )
        return name

    def __contains__(self, name: object) -> bool:
        return name in self._shipped or name in self._own or name in self._installed()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __getitem__(self, name: str) -> T:
        """Return the entry called ``name``, imported if need be."""
        self.check(name)
        table = self._shipped if name in self._shipped else self._own
        found = table[name] if name in table else self._load(name)
        if isinstance(found, str):
            found = table[name] = self._imported(name, found)
        return found

    def _installed(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def _load(self, name: str) -> T:
        point = self._installed()[name]
        try:
            found: T = point.load()
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"the {self.what} {name!r} can't be imported from {point.value}: {error}"
            ) from error
        self._own[name] = found
        return found

    def _imported(self, name: str, place: str) -> T:
        module, _, attribute = place.partition(":")
        try:
            found: T = getattr(import_module(module, self._package), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"the {self.what} {name!r} can't be imported from {place}: {error}"
            ) from error
        return found
