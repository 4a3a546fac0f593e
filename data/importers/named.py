"""Tables whose columns have names of their own: one table, every column in SI units."""

__all__ = ["read_named"]

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..measurement import Table
from ..types import Array, Meta
from .delimited import read_block
from .headings import Heading

_KELVIN_AT_0 = 273.15


def read_named(
    path: str | Path,
    *,
    sheet: str | int | None = None,
    name: str | None = None,
    meta: Meta | None = None,
) -> Table:
    """Read a table by its header: ``R_HRS [kohm]`` becomes the column ``r_hrs`` in ohm, ``T (degC)`` the
    column ``t`` in K.

    Columns that hold text, such as a device's label, become the number of the label in the order of
    appearance.

    Parameters
    ----------
    path
        The file; gzipped is fine.
    sheet
        See :func:`~memtwin.data.importers.delimited.read_blocks`.
    name, meta
        Name and further facts to keep.

    Raises
    ------
    InputError
        If there is no header, a column has no name, or two have the same.
    """
    block = read_block(path, sheet=sheet)
    if not block.headings:
        raise InputError(f"{path} has no header, expected a name for every column")
    columns: dict[str, Array] = {}
    units: dict[str, str] = {}
    for k, heading in enumerate(block.headings):
        key = _key(heading.text)
        if not key:
            raise InputError(f"{path}: column {k + 1} has no name")
        if key in columns:
            raise InputError(f"{path} has two columns {key!r}")
        values = _values(
            block.values[:, k], [block.text.get((r, k)) for r in range(len(block.lines))]
        )
        columns[key], units[key] = _si(values, heading)
    return Table(name or block.path.stem, columns, units, {"file": block.path.name, **(meta or {})})


def _key(text: str) -> str:
    plain = re.split(r"[\[(/]", text, maxsplit=1)[0]
    return re.sub(r"\W+", "_", plain.strip().lower()).strip("_")


def _values(numbers: Array, text: list[str | None]) -> Array:
    labels = [word for word in text if word]
    if not labels or np.isfinite(numbers).any():
        return numbers
    order = {word: k for k, word in enumerate(dict.fromkeys(labels))}
    return np.array([order.get(word or "", np.nan) for word in text], float)


def _si(values: Array, heading: Heading) -> tuple[Array, str]:
    unit = heading.unit
    if unit is None:
        return values, "1"
    if unit.si == "degC":
        return values + _KELVIN_AT_0, "K"
    return values * unit.factor, unit.si
