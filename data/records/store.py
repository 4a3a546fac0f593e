"""Records on disk: HDF5 files that are whole, or not there at all.

A record is one HDF5 file of nested groups, arrays, numbers and strings, never pickles. Its root carries ``kind`` (what
it is), ``format`` (the layout's version) and ``memtwin`` (the version that wrote it). Before HDF5's own bytes, in what
that calls the user block, stands their hash: a record that was damaged, or changed by hand, is refused before HDF5
looks at it. What carries no hash is read with care: see :mod:`.hdf5`.
"""

__all__ = ["digest", "kind_of", "pack", "read_record", "reading", "unpack", "write_record"]

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import InputError, MemtwinError, Unregistered
from ..files import Partial, printable, replacing
from .hdf5 import Tree, Unfailing, read_tree, write_tree
from .pack import pack, unpack

_BLOCK = 512
"""Bytes of the user block."""
_HEAD = b"memtwin record, sha256 of what follows byte 512: %s\n"
_PIECE = 1 << 20


def write_record(path: str | Path, kind: str, tree: Tree, *, format: int = 1) -> Path:
    """Write ``tree`` as a record of ``kind`` at ``path``, whole or not at all.

    Arrays become datasets (compressed when large); numbers, strings and booleans become attributes; ``None`` is left
    out; a list of strings becomes a string dataset.

    Parameters
    ----------
    path
        Where to write it.
    kind
        Kind of the record.
    tree
        What to keep, as nested mappings.
    format
        Version of the kind's layout.

    Raises
    ------
    MemtwinError
        If the file can't be written; an older record at ``path`` is then left untouched.
    """
    from ... import __version__

    facts = {"kind": kind, "format": format, "memtwin": __version__}
    with replacing(path) as file:
        disk = Unfailing(file.fileno())
        try:
            with h5py.File(disk, "w", userblock_size=_BLOCK) as root:
                write_tree(root, {**tree, **facts}, disk)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            disk.check()
            raise MemtwinError(
                f"can't write {path}: its content has no place in HDF5: {error}"
            ) from error
        disk.check()
        os.pwrite(file.fileno(), (_HEAD % _hash(file)).ljust(_BLOCK, b"\0"), 0)
    return Path(path)


@contextmanager
def reading(path: str | Path, kind: str, *, format: int = 1) -> Iterator[dict[str, Any]]:
    """Read a record, as :func:`read_record` does, to be taken apart in the block; what goes wrong there, a key that is
    missing or a value of another type, makes it a damaged one.

    Parameters
    ----------
    path
        Where the file is.
    kind
        Kind of the record.
    format
        Version of the kind's layout.

    Raises
    ------
    InputError
        As :func:`read_record`, and if the block fails.
    """
    tree = read_record(path, kind, format=format)
    with _sound(path):
        yield tree


def read_record(path: str | Path, kind: str, *, format: int = 1) -> dict[str, Any]:
    """Read the record of ``kind`` at ``path`` into nested dictionaries of arrays, numbers and strings.

    Parameters
    ----------
    path
        Where the file is.
    kind
        Kind of the record.
    format
        Version of the kind's layout.

    Raises
    ------
    InputError
        If there is no such file, it is no HDF5 file or a damaged one, or it holds another kind or a newer format.
    """
    tree = _tree(Path(path), kind)
    found, version = tree.pop("kind", None), tree.get("format", 0)
    if found != kind:
        raise InputError(f"{path} holds a {found or 'foreign'} record, expected a {kind} record")
    if not isinstance(version, int) or version > format:
        raise InputError(
            f"{path} has format {version}, this memtwin reads up to {format}: update memtwin"
        )
    return tree


def kind_of(path: str | Path) -> str:
    """Return the kind of the record at ``path``, ``""`` where it says none.

    Raises
    ------
    InputError
        If there is no such file, or it is no record.
    """
    return str(_tree(Path(path), "memtwin").get("kind", ""))


def _tree(path: Path, what: str) -> dict[str, Any]:
    """Return all of a file of HDF5; ``what`` it should hold is said where it isn't there."""
    try:
        if not path.is_file():
            raise InputError(f"there is no {what} record at {path}")
        with path.open("rb") as file:
            _compare(file, path)
            with _sound(path), h5py.File(file, "r") as root:
                return dict(read_tree(root, path.stat().st_size))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"can't read {printable(str(path))}: {error}") from error


@contextmanager
def _sound(path: str | Path) -> Iterator[None]:
    """Make whatever the block stumbles over the record's damage: HDF5 and Python report one in a dozen ways."""
    try:
        yield
    except Unregistered as error:  # nothing is wrong with the record
        raise Unregistered(f"{path}: {error}") from error
    except MemtwinError as error:
        if isinstance(error, InputError) and str(path) not in str(error):
            raise InputError(f"{path} is damaged: {error}") from error
        raise
    except Exception as error:
        raise InputError(f"{path} is damaged: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing" if len(error.args) == 1 else str(error)
    return " ".join(str(error).split()) or type(error).__name__


def _compare(file: Partial, path: Path) -> None:
    """Refuse a record whose bytes do not have the hash that stands before them."""
    head = os.pread(file.fileno(), _BLOCK, 0).rstrip(b"\0")
    mark, _, hash = head.partition(b": ")
    if mark == _HEAD.partition(b": ")[0] and hash.strip() != _hash(file):
        raise InputError(
            f"{path} is damaged: its bytes are not those that memtwin wrote; take it from a copy, or make it anew"
        )


def _hash(file: Partial) -> bytes:
    hasher, at = hashlib.sha256(), _BLOCK
    while piece := os.pread(file.fileno(), _PIECE, at):
        hasher.update(piece)
        at += len(piece)
    return hasher.hexdigest().encode()


def digest(*parts: Any) -> str:
    """Return a sha256 hex digest of arrays, strings, numbers, bytes and nested mappings or sequences of them."""
    hasher = hashlib.sha256()
    for part in parts:
        _feed(hasher, part)
    return hasher.hexdigest()


def _feed(hasher: Any, part: Any) -> None:
    if isinstance(part, np.ndarray):
        hasher.update(f"a{part.dtype.str}{part.shape}".encode())
        hasher.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, bytes):
        hasher.update(b"b%d:" % len(part) + part)
    elif isinstance(part, Mapping):
        hasher.update(b"m%d:" % len(part))
        for key in sorted(part):
            _feed(hasher, key)
            _feed(hasher, part[key])
    elif isinstance(part, (list, tuple)):
        hasher.update(b"l%d:" % len(part))
        for item in part:
            _feed(hasher, item)
    else:
        text = repr(part.item() if isinstance(part, np.generic) else part).encode()
        hasher.update(b"s%d:" % len(text) + text)
