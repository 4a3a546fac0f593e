"""Nested names and values in HDF5: written to a disk that may fail, read from a file that may be hostile.

What :func:`write_tree` writes is little of what HDF5 can hold: groups, arrays of numbers, lists of strings; numbers and
strings as attributes. :func:`read_tree` accepts just that: no links but the one that names an object, nothing that
lies in another file, no types, filters or sizes of which nothing good can come.
"""

__all__ = ["Tree", "Unfailing", "read_tree", "write_tree"]

import io
import os
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np

from ..errors import InputError
from ..files import printable

Tree: TypeAlias = Mapping[str, Any]
"""Nested mapping whose leaves are arrays, numbers, strings, booleans or ``None``."""

_COMPRESSED = 1024
"""Elements above which an array is compressed."""
_SLAB = 1 << 24
"""Bytes of an array that are written between two looks at the disk."""

_DEPTH, _OBJECTS = 16, 100_000
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_ROOM, _INFLATION = 1 << 32, 20
"""Bytes that any record may unfold to, and times its own size that a large one may."""
_ATTRIBUTE = 1 << 16
"""Bytes of an attribute at most, the text that it may point to left out."""
_RATIO, _BLOCK = 1100, 4096
"""What deflate makes of zeros at best, and bytes that are not worth a question."""


class Unfailing(io.RawIOBase):
    """A file for HDF5 to write to. HDF5 crashes the process when a write fails, so none does here: the first error is
    kept for :meth:`check`, and what comes after it is held in memory, until HDF5 has closed.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._at = 0
        self._error: OSError | None = None
        self._held: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        start = 0 if whence == os.SEEK_SET else self._at if whence == os.SEEK_CUR else self._size()
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return the place in the file."""
        return self._at

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what was written."""
        into = memoryview(buffer).cast("B")
        into[:] = os.pread(self._handle, len(into), self._at).ljust(len(into), b"\0")
        for at, piece in self._held:
            low, high = max(at, self._at), min(at + len(piece), self._at + len(into))
            if low < high:
                into[low - self._at : high - self._at] = piece[low - at : high - at]
        return len(into)

    def write(self, buffer: Any) -> int:
        """Write, on disk as long as that goes well."""
        data = memoryview(buffer).cast("B")
        done = 0
        while done < len(data):
            try:
                self.check()
                done += os.pwrite(self._handle, data[done:], self._at + done)
            except OSError as error:
                self._error = error
                self._held.append((self._at + done, bytes(data[done:])))
                break
        self._at += len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        size = self._at if size is None else size
        try:
            os.ftruncate(self._handle, size)
        except OSError as error:
            self._error = self._error or error
        return size

    def _size(self) -> int:
        held = max((at + len(piece) for at, piece in self._held), default=0)
        return max(os.fstat(self._handle).st_size, held)


def write_tree(group: Any, tree: Tree, disk: Unfailing) -> None:
    """Write ``tree`` into an HDF5 group of a file on ``disk``, and stop where that fails.

    Parameters
    ----------
    group
        Group of an open HDF5 file.
    tree
        What to keep, as nested mappings.
    disk
        What the file lies on; says when writing has failed.
    """
    for name, value in tree.items():
        disk.check()
        key = _key(name)
        if value is None:
            continue
        if isinstance(value, Mapping):
            write_tree(group.create_group(key), value, disk)
        elif isinstance(value, str):
            group.attrs[key] = printable(value)
        elif isinstance(value, (bool, int, float, np.generic)):
            group.attrs[key] = value
        elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            texts = [printable(item) for item in value]
            group.create_dataset(key, data=texts, dtype=h5py.string_dtype(), shape=(len(texts),))
        else:
            _write_array(group, key, np.asarray(value), disk)


def _write_array(group: Any, key: str, array: np.ndarray[Any, Any], disk: Unfailing) -> None:
    if array.size <= _COMPRESSED:
        group.create_dataset(key, data=array)
        return
    dataset = group.create_dataset(
        key, shape=array.shape, dtype=array.dtype, compression="gzip", shuffle=True
    )
    chunk = dataset.chunks[0]
    rows = max(1, _SLAB // (chunk * array[0].nbytes)) * chunk
    for start in range(0, len(array), rows):
        dataset[start : start + rows] = array[start : start + rows]
        disk.check()


def read_tree(root: Any, size: int) -> dict[str, Any]:
    """Return what an HDF5 file of ``size`` bytes holds, as nested dictionaries.

    Raises
    ------
    InputError
        If it holds something that :func:`write_tree` does not write.
    """
    return _Reader(max(_ROOM, _INFLATION * size)).group(root, 0)


class _Reader:
    """Reads a tree once: whatever is met twice, or without end, is refused."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._seen: set[int] = set()

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        self._meet(group)
        if depth > _DEPTH:
            raise InputError(f"its groups are nested more than {_DEPTH} deep")
        tree = {_name(key): self._attribute(group, key) for key in group.attrs}
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise InputError(f"{key!r} is a link to somewhere else")
            item = group[key]
            if isinstance(item, h5py.Group):
                tree[_name(key)] = self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._meet(item)
                tree[_name(key)] = self._dataset(item)
            else:
                raise InputError(f"{key!r} is neither a group nor an array")
        return tree

    def _meet(self, item: Any) -> None:
        address = h5py.h5o.get_info(item.id).addr
        if address in self._seen:
            raise InputError(f"{item.name!r} has a second name")
        self._seen.add(address)
        if len(self._seen) > _OBJECTS:
            raise InputError(f"it holds more than {_OBJECTS} objects")

    def _attribute(self, group: Any, key: str) -> Any:
        found = group.attrs.get_id(key)
        text = h5py.check_string_dtype(found.dtype) is not None
        if found.shape != () or not (text or _is_number(found.dtype)):
            raise InputError(f"{key!r} is neither a number nor a string")
        if found.dtype.itemsize > _ATTRIBUTE:
            raise InputError(f"{key!r} is larger than an attribute can be")
        value = group.attrs[key]
        if not text:
            return value.item() if isinstance(value, np.generic) else value
        value = value.decode() if isinstance(value, bytes) else value
        value.encode()  # h5py smuggles bytes that are no UTF-8 through as surrogates
        return value

    def _dataset(self, item: Any) -> Any:
        made = item.id.get_create_plist()
        filters = {made.get_filter(k)[0] for k in range(made.get_nfilters())}
        if item.is_virtual or made.get_external_count() or not filters <= _FILTERS:
            raise InputError(f"{item.name!r} is stored in a way in which no record is")
        self._room -= item.nbytes
        if self._room < 0 or item.nbytes > _RATIO * item.id.get_storage_size() + _BLOCK:
            raise InputError("it would unfold to more than can be right")
        if h5py.check_string_dtype(item.dtype) is not None:
            if item.ndim != 1:
                raise InputError(f"{item.name!r} is no list of strings")
            return [text.decode() if isinstance(text, bytes) else text for text in item[()]]
        if not _is_number(item.dtype):
            raise InputError(f"{item.name!r} holds neither numbers nor strings")
        return item[()]


def _is_number(dtype: Any) -> bool:
    return dtype is not None and dtype.kind in "biuf"


def _key(name: str) -> str:
    """Return a name as one that HDF5 takes for a single step: a slash, or a lone dot, would be a path to it."""
    escaped = printable(str(name)).replace("%", "%25").replace("/", "%2F")
    return "%" if not escaped else "%2E" if escaped == "." else escaped


def _name(key: str) -> str:
    key.encode()  # as above
    return "" if key == "%" else re.sub("%(25|2F|2E)", lambda m: chr(int(m[1], 16)), key)
