"""Dataclasses and named tuples as the tree of a record, and back, by the hints of their fields.

A field becomes the key of its name. ``None`` is left out, and is what a missing key stands for where the hint has it.
A tuple of numbers or of strings becomes a list, any other a mapping from 0, 1, 2, ...; an enumeration's member becomes
its name, a long text its bytes, which can be compressed. Where a field may hold one of several classes, a key ``kind``
tells which. A class that is kept in another way says so with :func:`register`.
"""

__all__ = ["FLAT", "UNSAVED", "pack", "register", "unaliased", "unpack"]

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import InputError

S = TypeVar("S")
T = TypeVar("T")

UNSAVED: Mapping[str, str] = {"record": "unsaved"}
"""``metadata`` of a dataclass's field that is no part of its record: it reads as its default."""
FLAT: Mapping[str, str] = {"record": "flat"}
"""``metadata`` of a field whose own fields lie beside those of the dataclass that it belongs to."""

_LONG = 1024
"""Characters above which a text is kept as bytes."""
_SAID = {str: "a string", bool: "true or false", int: "a whole number", float: "a number"}
_WRONG = object()
_forms: dict[Any, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {}


def register(
    kind: type[T], saved: type[S], to_saved: Callable[[T], S], of_saved: Callable[[S], T]
) -> None:
    """Have records keep what is of the class ``kind`` as something of the class ``saved``.

    Parameters
    ----------
    kind
        Class of what is kept.
    saved
        Class of what it is kept as.
    to_saved
        Turns the one into the other.
    of_saved
        Turns it back.
    """
    _forms[kind] = saved, to_saved, of_saved
    _fields.cache_clear()


def pack(value: Any, kind: Any = Any) -> Any:
    """Return ``value`` as nested mappings and lists of arrays, numbers and strings, for a record.

    Parameters
    ----------
    value
        A dataclass, a named tuple, or anything that one may hold.
    kind
        The hint to read it by again, where its type doesn't say that.

    Raises
    ------
    TypeError
        If it holds something that has no place in a record, or could not be read from one.
    """
    hints = _members(kind)
    if type(value) in _forms:
        return pack(_forms[type(value)][1](value))
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str) and str in hints and len(value) > _LONG:
        return np.frombuffer(value.encode(errors="backslashreplace"), np.uint8)
    if value is None or isinstance(value, (str, bool, int, float, np.ndarray)):
        return value
    if (fields := _fields(value.__class__)) is not None:
        return _pack_fields(value, fields, hints)
    if isinstance(value, Mapping):
        inner = _inner(hints, Mapping)[1:]
        rows = {str(key): pack(row, *inner) for key, row in value.items()}
        return {key: row for key, row in rows.items() if row is not None}
    if isinstance(value, (tuple, list)):
        inner = _inner(hints, Sequence)
        kinds = _each(inner, len(value))
        items = [pack(*pair) for pair in zip(value, kinds, strict=True)]
        if _even(items, kinds) and not (items == [] and any(map(_apart, inner))):
            return items
        if not any(item is None for item in items):
            return {str(k): item for k, item in enumerate(items)}
    raise TypeError(f"{value!r:.60} has no place in a record")


def unpack(kind: type[T], tree: Any) -> T:
    """Return the ``kind`` that :func:`pack` made ``tree`` of; keys that it does not know are left aside.

    Raises
    ------
    InputError
        If something is missing, or of another type than its hint says.
    """
    read: T = _unpack(kind, tree, "")
    return read


class _Field(NamedTuple):
    hint: Any
    default: bool
    flat: bool


@functools.cache
def _fields(kind: Any) -> Mapping[str, _Field] | None:
    """Return the fields of a dataclass or named tuple that a record has; ``None`` for other types."""
    if kind in _forms:
        return None
    if hasattr(kind, "_field_defaults"):
        hints, known = get_type_hints(kind), kind._field_defaults
        return {name: _Field(hints[name], name in known, False) for name in kind._fields}
    if not dataclasses.is_dataclass(kind):
        return None
    hints, none = get_type_hints(kind), dataclasses.MISSING
    return {
        row.name: _Field(
            hints[row.name],
            row.default is not none or row.default_factory is not none,
            row.metadata == FLAT,
        )
        for row in dataclasses.fields(kind)
        if row.init and row.metadata != UNSAVED
    }


def _pack_fields(value: Any, fields: Mapping[str, _Field], hints: Sequence[Any]) -> dict[str, Any]:
    kind, classes = type(value), [hint for hint in hints if _fields(hint) is not None]
    if kind not in classes and Any not in hints:
        raise TypeError(f"a {kind.__name__} could not be read again as {hints}")
    tree: dict[str, Any] = {}
    for name, field in fields.items():
        part = pack(getattr(value, name), field.hint)
        tree |= part if field.flat else {} if part is None else {name: part}
    if _tagged(hints) and tree.setdefault("kind", _tag(kind)) != _tag(kind):
        raise TypeError(f"the kind of a {kind.__name__} is told by its field of that name")
    return tree


def _unpack(hint: Any, value: Any, at: str) -> Any:
    hints = _members(hint)
    if len(hints) > 1:
        return _unpack_either(hints, value, at)
    kind = get_origin(hints[0]) or hints[0]
    if kind in _forms:
        saved, _, of_saved = _forms[kind]
        return of_saved(_unpack(saved, value, at))
    if (fields := _fields(kind)) is not None:
        read = _unpack_fields(kind, fields, value, at) if isinstance(value, Mapping) else _WRONG
    elif isinstance(kind, type) and issubclass(kind, (Mapping, Sequence)) and kind is not str:
        read = _unpack_inner(kind, get_args(hints[0]), value, at)
    else:
        read = _unpack_leaf(kind, hints[0], value)
    if read is _WRONG:
        raise _wrong(_said(hints[0]), at, value)
    return read


def _unpack_either(hints: Sequence[Any], value: Any, at: str) -> Any:
    """Return ``value`` read as the one of several hints that it fits."""
    classes = {_tag(hint): hint for hint in hints if _fields(hint) is not None}
    if classes and isinstance(value, Mapping):
        kind = value.get("kind") if _tagged(hints) else next(iter(classes))
        if isinstance(kind, str) and kind in classes:
            return _unpack(classes[kind], value, at)
        hints = [hint for hint in hints if _is_mapping(hint)]
        if not hints:
            raise _wrong(f"one of {', '.join(map(repr, classes))}", _inside(at, "kind"), kind)
    for hint in sorted(hints, key=lambda hint: hint is not type(value)):
        with contextlib.suppress(InputError):
            return _unpack(hint, value, at)
    raise _wrong(" or ".join(map(_said, hints)), at, value)


def _unpack_fields(
    kind: Any, fields: Mapping[str, _Field], tree: Mapping[str, Any], at: str
) -> Any:
    values = {}
    for name, (hint, default, flat) in fields.items():
        part = tree if flat else tree.get(name)
        if part is not None:
            values[name] = _unpack(hint, part, at if flat else _inside(at, name))
        elif NoneType in get_args(hint) or (hint is Any and not default):
            values[name] = None
        elif not default:
            raise InputError(f"{_inside(at, name)} is missing")
    return kind(**values)


def _unpack_inner(kind: Any, hints: tuple[Any, ...], value: Any, at: str) -> Any:
    """Return a mapping or sequence, its keys and items of the types ``hints``."""
    if issubclass(kind, Mapping):
        if not isinstance(value, Mapping):
            return _WRONG
        key, row = hints or (str, Any)
        names = {name: int(name) if key is int else name for name in value}
        return {names[k]: _unpack(row, part, _inside(at, k)) for k, part in value.items()}
    if isinstance(value, Mapping) and all(str(key).isdecimal() for key in value):
        value = [value[key] for key in sorted(value, key=int)]
    elif isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or len(kinds := _each(hints, len(value))) != len(value):
        return _WRONG
    pairs = enumerate(zip(kinds, value, strict=True))
    read = [_unpack(hint, item, _inside(at, k)) for k, (hint, item) in pairs]
    return tuple(read) if kind is tuple else read


def _unpack_leaf(kind: Any, hint: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if kind is Literal:
        fits = any(type(one) is type(value) and one == value for one in get_args(hint))
        return value if fits else _WRONG
    if issubclass(kind, Enum):
        fits = isinstance(value, str) and value in kind.__members__
        return kind[value] if fits else _WRONG
    if kind is np.ndarray:
        array, wanted = np.asarray(value), _dtype(hint)
        fits = array.dtype.kind in "biuf" and np.can_cast(array.dtype, wanted, "same_kind")
        return array if fits else _WRONG
    if kind is str and isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes().decode()
    if kind not in _SAID:
        raise TypeError(f"no {kind} can be read from a record")
    return value if isinstance(value, (int, float) if kind is float else kind) else _WRONG


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows, ``None`` left out."""
    hint = unaliased(hint)
    if get_origin(hint) in (Union, UnionType):
        return tuple(unaliased(one) for one in get_args(hint) if one is not NoneType)
    return (hint,)


def unaliased(hint: Any) -> Any:
    """Return what a name given by a ``type`` statement stands for, as numpy's ``NDArray`` is from 2.5 on."""
    origin = get_origin(hint) or hint
    if type(origin).__name__ != "TypeAliasType":  # of typing from Python 3.12 on
        return hint
    return unaliased(origin.__value__[get_args(hint)] if get_args(hint) else origin.__value__)


def _inner(hints: Sequence[Any], kind: type) -> tuple[Any, ...]:
    """Return the hints of what a container holds, from that of several which is of its ``kind``."""
    for hint in hints:
        if isinstance(origin := get_origin(hint), type) and issubclass(origin, kind):
            return get_args(hint)
    return ()


def _each(hints: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Return the hint of every item of a sequence."""
    return hints if len(hints) > 1 and hints[1] is not ... else (hints or (Any,))[:1] * count


def _even(items: Sequence[Any], kinds: Sequence[Any]) -> bool:
    """Return whether items are all strings, or numbers of one type that make an array."""
    found = set(map(type, _leaves(items)))
    if found == {str}:
        return all(isinstance(item, str) for item in items)
    alike = len(found) < 2 or (found == {int, float} and len(set(kinds)) == 1)
    if not (alike and found <= {bool, int, float}):
        return False
    try:
        return bool(np.shape(items))
    except ValueError:
        return False


def _apart(hint: Any) -> bool:
    """Return whether values of a type never make a list."""
    return get_origin(unaliased(hint)) is np.ndarray or _fields(hint) is not None


def _leaves(item: Any) -> Iterator[Any]:
    if isinstance(item, list):
        for one in item:
            yield from _leaves(one)
    else:
        yield item


def _dtype(hint: Any) -> Any:
    """Return what an array is asked to hold; numbers of any type where that is not said."""
    hint = unaliased(hint)
    wanted = get_args(get_args(hint)[1])[0] if get_args(hint) else Any
    return np.float64 if wanted is Any else wanted


def _is_mapping(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _tagged(hints: Sequence[Any]) -> bool:
    """Return whether ``kind`` has to tell which of several hints a group of names is meant by."""
    return sum(_fields(hint) is not None or _is_mapping(hint) for hint in hints) > 1


def _tag(kind: Any) -> str:
    """Return what tells a class from others that a field may hold: its own ``kind``, or its name."""
    own = (_fields(kind) or {}).get("kind")
    tags = get_args(own.hint) if own and get_origin(own.hint) is Literal else ()
    return str(tags[0]) if tags else kind.__name__.lower()


def _inside(at: str, name: Any) -> str:
    return f"{at}.{name}" if at else str(name)


def _said(hint: Any) -> str:
    """Return what a hint asks for, in words."""
    hint = unaliased(hint)
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Literal or issubclass(kind, Enum):
        return f"one of {', '.join(map(repr, inner or kind.__members__))}"
    if kind is np.ndarray:
        return f"an array of {_dtype(hint).__name__}"
    if _fields(kind) is not None:
        return f"the parts of a {kind.__name__}"
    if kind is tuple and inner and ... not in inner:
        return f"{len(inner)} values"
    return _SAID.get(kind) or ("named values" if issubclass(kind, Mapping) else "a list")


def _wrong(wanted: str, at: str, value: Any) -> InputError:
    if isinstance(value, np.ndarray):
        shown = f"an array of {value.dtype} of shape {value.shape}"
    else:
        shown = "nothing" if value is None else f"{value!r:.60}"
    return InputError(f"expected {wanted} at {at or 'its root'}, got {shown}")
