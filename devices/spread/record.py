"""Laws in files and in configurations: what each subject knows, by the name of its kind.

Whoever asks for a law may be given a plain number, whose meaning is the asker's; a table with the
law's fields, ``kind`` among them where the subject has several; or the path of a record that
:func:`save_law` wrote.
"""

__all__ = ["LAWS", "Law", "Said", "law_of", "law_tree", "load_law", "said", "save_law", "saved"]

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np

from ...data.errors import InputError, nearest
from ...data.records.pack import unaliased
from ...data.records.store import reading, write_record
from ..cycles.autoregression import CycleLaw
from .drift import Drift
from .noise import ReadNoise
from .parameters import Lognormal, ParameterSpread
from .pcm import PcmDrift, PcmProgramming, PcmReadNoise
from .programming import Programming, ProgrammingQuantiles
from .pulse import PulseSpread
from .reach import Reach
from .relaxation import Jump, RelaxationQuantiles
from .stuck import Stuck
from .wear import Wear

Law: TypeAlias = Any
"""One of the classes in :data:`LAWS`."""

Said: TypeAlias = Any
"""A number, a path or a law, as :func:`said` returns it."""

KIND = "law"

LAWS: Mapping[str, Mapping[str, type[Any]]] = {
    "programming": {
        "power": Programming,
        "pcm": PcmProgramming,
        "cycles": CycleLaw,
        "quantiles": ProgrammingQuantiles,
    },
    "read": {"power": ReadNoise, "pcm": PcmReadNoise},
    "reach": {"lognormal": Reach},
    "relaxation": {"jump": Jump, "quantiles": RelaxationQuantiles},
    "drift": {"power": Drift, "pcm": PcmDrift},
    "stuck": {"shares": Stuck},
    "wear": {"weibull": Wear},
    "parameters": {"lognormal": Lognormal, "joint": ParameterSpread},
    "pulses": {"lognormal": PulseSpread, "cycles": CycleLaw},
}
"""Subject → kind → law; the first kind is the one where a table names none."""


def said(subject: str, value: Any, where: str) -> Said:
    """Return what was said for a law of ``subject``: a number as float, a path as string, a table
    as the law that it describes; a law as it is.

    Parameters
    ----------
    subject
        What the law is of.
    value
        The law, a number or a file's path.
    where
        What to call the place in messages.

    Raises
    ------
    InputError
        If it is none of these; ``where`` names the place.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, (str, PathLike)) and str(value):
        return str(value)
    if isinstance(value, Mapping):
        return law_of(subject, value, where)
    kinds = tuple(LAWS[subject].values())
    if isinstance(value, kinds):
        return value
    names = ", ".join(kind.__name__ for kind in kinds)
    raise InputError(f"{where}: expected a number, a path, a table or {names}, got {value!r:.80}")


def saved(subject: str, value: Said, where: str) -> Law:
    """Return the law that ``value`` is, or that it is the path of.

    Parameters
    ----------
    subject
        What the law is of.
    value
        The law, a number or a file's path.
    where
        What to call the place in messages.
    """
    if not isinstance(value, str):
        return value
    try:
        return load_law(value, subject)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def law_tree(law: Law, *, plain: bool = False) -> dict[str, Any]:
    """Return kind and fields of a law; ``plain`` turns arrays into lists, for JSON."""
    _, kind = _place(law)
    values = {item.name: getattr(law, item.name) for item in fields(law)}
    tree = {name: _told(value, plain) for name, value in values.items()}
    return {"kind": kind, **tree}


def law_of(subject: str, tree: Mapping[str, Any], where: str) -> Law:
    """Return the law of ``subject`` that a table describes; ``where`` names it in errors.

    Parameters
    ----------
    subject
        What the law is of.
    tree
        The table that describes it.
    where
        What to call the place in messages.
    """
    kinds = LAWS[subject]
    kind = tree.get("kind", next(iter(kinds)))
    if kind not in kinds:
        raise InputError(f"{where}: unknown kind {kind!r}{nearest(str(kind), kinds)}")
    law, values = kinds[kind], {name: value for name, value in tree.items() if name != "kind"}
    known = {item.name: item for item in fields(law)}
    for name in values:
        if name not in known:
            raise InputError(f"unknown key '{where}.{name}'{nearest(name, known)}")
    for name, item in known.items():
        if name not in values and item.default is MISSING:
            raise InputError(f"{where}: {name!r} is missing")
    hints = get_type_hints(law)
    return law(**{name: _typed(hints[name], v, f"{where}.{name}") for name, v in values.items()})


def save_law(law: Law, path: str | Path) -> Path:
    """Write a law as an HDF5 record."""
    subject, _ = _place(law)
    return write_record(path, KIND, {"subject": subject, "law": law_tree(law)})


def load_law(path: str | Path, subject: str | None = None) -> Law:
    """Read what :func:`save_law` wrote.

    Raises
    ------
    InputError
        If there is no such record, or its law is of another than the wanted ``subject``.
    """
    with reading(path, KIND) as tree:
        found = str(tree["subject"])
        law = law_of(found, tree["law"], str(path))
    if subject is not None and type(law) not in LAWS[subject].values():
        raise InputError(f"{path} holds a law of {found}, expected one of {subject}")
    return law


def _place(law: Law) -> tuple[str, str]:
    """Return subject and kind of a law."""
    for subject, kinds in LAWS.items():
        for kind, known in kinds.items():
            if type(law) is known:
                return subject, kind
    raise InputError(f"there is no law of the kind {type(law).__name__}")


def _told(value: Any, plain: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _told(one, plain) for key, one in value.items()}
    if isinstance(value, tuple):
        # Tuples of numbers are arrays on disk.
        value = list(value) if plain or isinstance(next(iter(value), ""), str) else np.array(value)
    return value.tolist() if plain and isinstance(value, np.ndarray) else value


def _typed(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as its field's type, or refuse it."""
    hint = unaliased(hint)
    kind, inside = get_origin(hint) or hint, get_args(hint)
    try:
        if kind in (Union, types.UnionType):
            return None if value is None else _typed(inside[0], value, where)
        if kind is np.ndarray:
            return np.asarray(value, get_args(inside[1])[0])
        if kind is tuple:
            return tuple(_typed(inside[0], one, where) for one in value)
        if issubclass(kind, Mapping):
            items = value.items()
            return {str(key): _typed(inside[1], one, f"{where}.{key}") for key, one in items}
        if kind is float and not isinstance(value, (bool, str)):
            return float(value)
        if kind is str and isinstance(value, str):
            return value
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError):
        pass
    raise InputError(f"{where}: can't be {value!r:.60}")
