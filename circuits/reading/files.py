"""Tables of numbers in files: conductances and voltages in, currents out."""

__all__ = ["TABLES", "check_output", "read_table", "write_read"]

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import InputError
from ...data.files import replacing
from ...data.types import Array
from .read import TileRead

TABLES = (".csv", ".npy", ".npz", ".json")
"""Endings of what :func:`write_read` writes."""


def read_table(path: str | Path, what: str = "numbers") -> Array:
    """Return the numbers of a CSV or NumPy file (``.npy``), (lines, columns).

    Raises
    ------
    InputError
        If it can't be read, or holds anything but finite numbers; ``what`` names them.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            table = np.load(path, allow_pickle=False)
        else:
            separator = None if path.suffix.lower() in (".txt", ".dat") else ","
            separator = "\t" if path.suffix.lower() == ".tsv" else separator
            table = np.loadtxt(path, delimiter=separator, ndmin=2)
    except OSError as error:
        raise InputError(f"there is no readable file {path}") from error
    except (ValueError, EOFError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is no table of numbers: {reason}") from error
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu":
        raise InputError(f"{path} holds no real numbers, expected {what}")
    if table.ndim not in (1, 2) or not table.size:
        raise InputError(
            f"{path} holds an array of shape {table.shape}, expected a table of {what}"
        )
    table = np.atleast_2d(np.asarray(table, float))
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        line, column = (int(k) for k in bad[0])
        raise InputError(
            f"{path}, line {line}, column {column} (from 0): expected {what}, got"
            f" {float(table[line, column])!r}"
        )
    return table


def check_output(path: str | Path) -> str:
    """Return the ending of a path that :func:`write_read` is to write, or say which there are."""
    kind = Path(path).suffix.lower()
    if kind not in TABLES:
        raise InputError(f"{path}: expected a name that ends in {', '.join(TABLES)}")
    return kind


def write_read(path: str | Path, found: TileRead) -> Path:
    """Write what a tile answered at ``path``, whole or not at all: the sensed currents [A], (batch,
    lines), as CSV or ``.npy``; as ``.npz`` or JSON with all that is known beside them.

    Raises
    ------
    InputError
        If the path's ending says nothing of these.
    """
    path, kind = Path(path), check_output(path)
    everything: dict[str, Array] = {
        "i": found.i,
        "g": found.g,
        "v_rows": found.v_rows,
        "v_cols": found.v_cols,
    }
    if found.fields is not None and found.i_inputs is not None:
        inside = found.fields
        everything |= {
            "i_inputs": found.i_inputs,
            "power": inside.supplied,
            "cell_power": inside.power,
            "cell_current": inside.i,
            "drop": inside.drop,
            "w": inside.w,
            "b": inside.b,
        }
    with replacing(path) as file:
        if kind == ".json":
            tree = {name: _plain(values) for name, values in everything.items()}
            text = json.dumps({"engine": found.engine, "inputs": found.inputs, **tree})
            file.write((text + "\n").encode())
        elif kind == ".csv":
            title = "sensed currents [A], one vector per line, one line of the tile per column"
            np.savetxt(file, found.i, delimiter=",", fmt="%.9g", header=title)
        elif kind == ".npy":
            np.save(file, found.i)
        else:
            np.savez(file, **everything)  # type: ignore[arg-type]  # by name
    return path


def _plain(values: Any) -> Any:
    """Return numbers as lists; what is none becomes ``None``."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list):
        return [_plain(one) for one in values]
    return values if np.isfinite(values) else None
