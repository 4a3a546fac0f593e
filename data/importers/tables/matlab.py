"""Variables of a MATLAB file as tables: vectors of one length are columns, a matrix has one per cycle."""

__all__ = ["is_matlab", "matlab_tables"]

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...types import Array

_NAMES = ("colheaders", "headers", "header", "labels", "names", "columns", "varnames")
_HDF5 = b"\x89HDF"


def is_matlab(path: Path, raw: bytes) -> bool:
    """Return whether a file is MATLAB's, of version 4, 5 or 7.3."""
    return raw[:6] == b"MATLAB" or (path.suffix.lower() == ".mat" and b"\0" in raw[:128])


def matlab_tables(path: Path, raw: bytes) -> list[tuple[str, list[list[str]]]]:
    """Return (name, rows of fields) of each table, the names of columns first where there are any.

    Arrays of the same length belong together, within one struct or at the top; a matrix beside
    vectors of its length has a column for each cycle.

    Raises
    ------
    InputError
        If there is no table of numbers.
    """
    variables = _version_73(raw) if raw[512:516] == _HDF5 else _older(raw)
    tables = [(name, table) for name, group in _groups("", variables) for table in _tables(group)]
    if not tables:
        raise InputError(
            f"{path} holds no arrays of numbers, as it is with tables and timetables of MATLAB: save"
            " time, voltage and current as vectors there, or as CSV (writetable)"
        )
    return tables if len(tables) > 1 else [("", tables[0][1])]


def _older(raw: bytes) -> dict[str, Any]:
    from scipy.io import loadmat

    found = loadmat(io.BytesIO(raw), squeeze_me=False, struct_as_record=True)
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _version_73(raw: bytes) -> dict[str, Any]:
    import h5py

    def read(group: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, item in group.items():
            if name.startswith("#"):
                continue
            if isinstance(item, h5py.Group):
                found[name] = read(item)
            elif item.attrs.get("MATLAB_class") == b"char":
                found[name] = np.array("".join(map(chr, np.ravel(item[()]))))
            elif item.dtype.kind in "fiu":
                found[name] = item[()].T  # stored by columns
        return found

    with h5py.File(io.BytesIO(raw), "r") as file:
        return read(file)


def _groups(name: str, variables: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the variables of each struct, and those that are in none."""
    own: dict[str, Any] = {}
    for key, value in variables.items():
        full = f"{name}.{key}" if name else key
        if isinstance(value, dict):
            yield from _groups(full, value)
        elif isinstance(value, np.ndarray) and value.dtype.names:
            for k, one in enumerate(np.ravel(value), start=1):
                label = full if value.size == 1 else f"{full}({k})"
                yield from _groups(label, {field: one[field] for field in value.dtype.names})
        elif (
            isinstance(value, np.ndarray) and value.dtype.kind == "O" and key.lower() not in _NAMES
        ):
            # a cell array has a cycle in each cell
            cells = {f"{key} {k}": one for k, one in enumerate(np.ravel(value), start=1)}
            if any(isinstance(one, np.ndarray) and one.dtype.names for one in cells.values()):
                yield from _groups(name, cells)
            else:
                own |= {k: one for k, one in cells.items() if isinstance(one, np.ndarray)}
        elif isinstance(value, np.ndarray):
            own[key] = value
    if own:
        yield name, own


def _tables(group: dict[str, Any]) -> Iterator[list[list[str]]]:
    """Yield the arrays of one group as tables, one for each length."""
    names = [
        text for key, value in group.items() if key.lower() in _NAMES for text in _texts(value)
    ]
    columns: dict[int, list[tuple[str, Array]]] = {}
    arrays = {
        key: np.squeeze(value) if 1 in value.shape else value
        for key, value in group.items()
        if value.dtype.kind in "fiub" and value.size > 1 and np.squeeze(value).ndim <= 2
    }
    lengths = [len(value) for value in arrays.values() if value.ndim == 1]
    for key, value in arrays.items():
        if value.ndim == 1:
            columns.setdefault(len(value), []).append((key, value))
            continue
        if (value.shape[1] in lengths and value.shape[0] not in lengths) or (
            not lengths and value.shape[0] < value.shape[1]
        ):
            value = value.T
        count = value.shape[1]
        if len(names) == count:
            labels = names
        elif len(arrays) == 1:
            labels = []  # a matrix alone: nothing says what its columns are
        else:
            labels = [f"{key} {k}" for k in range(1, count + 1)]
        pairs = list(zip(labels or [""] * count, value.T, strict=True))
        columns.setdefault(len(value), []).extend(pairs)
    for found in columns.values():
        if len(found[0][1]) < 2:
            continue
        header = [[label for label, _ in found]] if any(label for label, _ in found) else []
        rows = zip(*(map(float, values) for _, values in found), strict=True)
        yield header + [[repr(value) for value in row] for row in rows]


def _texts(value: Any) -> list[str]:
    """Return the texts of a cell array, or of a text."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return [text for one in np.ravel(value) for text in _texts(one)]
    return (
        [str(text).strip() for text in np.ravel(value)]
        if np.asarray(value).dtype.kind == "U"
        else []
    )
