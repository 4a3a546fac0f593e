"""Records on disk: HDF5 files that are whole or not there at all.

A record is one HDF5 file of nested groups, arrays, numbers and strings, never pickles. Its root carries ``kind`` (what
it is), ``format`` (the layout's version) and ``memtwin`` (the version that wrote it). It is written to a temporary
file beside its destination and renamed into place, so that a full disk or a kill leaves the old record as it was.
"""

__all__ = ["digest", "read_record", "write_record", "write_text"]

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .errors import InputError, MemtwinError

Tree = Mapping[str, Any]
"""Nested mapping whose leaves are arrays, numbers, strings, booleans or ``None``."""


def write_record(path: str | Path, kind: str, tree: Tree, *, format: int = 1) -> Path:
    """Write ``tree`` as a record of ``kind`` at ``path``, atomically.

    Arrays become datasets (compressed when large); numbers, strings and booleans become attributes; ``None`` is left
    out; a list of strings becomes a string dataset.

    Raises
    ------
    MemtwinError
        If the file can't be written; an older record at ``path`` is then left untouched.
    """
    from .. import __version__

    path = Path(path)
    with _replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"kind": kind, "format": format, "memtwin": __version__})
        _write(file, tree)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write ``text`` (UTF-8) at ``path``, atomically, as :func:`write_record` does."""
    path = Path(path)
    with _replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that takes the place of ``path`` once the block has ended well."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as either
        raise MemtwinError(
            f"can't write {path}: {error}; what was there before is unchanged"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def read_record(path: str | Path, kind: str, *, format: int = 1) -> dict[str, Any]:
    """Read the record of ``kind`` at ``path`` into nested dictionaries of arrays, numbers and strings.

    Raises
    ------
    InputError
        If there is no such file, it is no HDF5 file, or it holds another kind or a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no {kind} record at {path}")
    try:
        with h5py.File(path, "r") as file:
            found, version = file.attrs.get("kind"), file.attrs.get("format", 0)
            if found != kind:
                raise InputError(
                    f"{path} holds a {found or 'foreign'} record, expected a {kind} record"
                )
            if version > format:
                raise InputError(
                    f"{path} has format {version}, this memtwin reads up to {format}: update memtwin"
                )
            tree = _read(file)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is not a readable HDF5 record: {error}") from error
    return tree


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


def _write(group: Any, tree: Tree) -> None:
    for key, value in tree.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            _write(group.create_group(key), value)
        elif isinstance(value, (str, bool, int, float, np.generic)):
            group.attrs[key] = value
        elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            group.create_dataset(
                key, data=list(value), dtype=h5py.string_dtype(), shape=(len(value),)
            )
        else:
            array = np.asarray(value)
            large = array.size > 1024
            group.create_dataset(
                key, data=array, **({"compression": "gzip", "shuffle": True} if large else {})
            )


def _read(group: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in group.attrs.items()
        if group.name != "/" or key != "kind"
    }
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            tree[key] = _read(item)
        elif h5py.check_string_dtype(item.dtype) is not None:
            tree[key] = [text.decode() if isinstance(text, bytes) else text for text in item[()]]
        else:
            tree[key] = item[()]
    return tree
