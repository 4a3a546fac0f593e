"""Checks of options: one sentence that names the section, the key, what is expected, and what came."""

__all__ = ["check_choice", "check_number", "check_registered"]

from collections.abc import Iterable, Mapping
from math import inf, nan
from numbers import Integral, Real
from typing import Any

from .errors import InputError, nearest


def check_number(
    section: str,
    *,
    at_least: float = -inf,
    above: float = -inf,
    at_most: float = inf,
    below: float = inf,
    whole: bool = False,
    optional: bool = False,
    **values: Any,
) -> None:
    """Refuse ``values``, by their keys in ``section``, that are not finite numbers between the bounds.

    Parameters
    ----------
    whole
        Whether they must be whole numbers.
    optional
        Whether ``None`` passes.
    section
        Section of the configuration that messages name.
    at_least
        Lower bound that may be reached.
    above
        Lower bound that may not.
    at_most
        Upper bound that may be reached.
    below
        Upper bound that may not.
    **values
        The numbers, by the keys that messages name.
    """
    kind = Integral if whole else Real
    for key, value in values.items():
        if value is None and optional:
            continue
        number: Any = value if isinstance(value, kind) else nan
        if abs(number) < inf and at_least <= number <= at_most and above < number < below:
            continue
        bounds = (
            (at_least, "at least"), (above, "above"), (at_most, "at most"), (below, "below"),
        )  # fmt: skip
        span = " and ".join(f"{words} {bound:g}" for bound, words in bounds if abs(bound) < inf)
        wanted = "a whole number, " * whole + span or "a finite number"
        raise InputError(f"{section}: {key} must be {wanted}, got {value!r:.60}")


def check_choice(section: str, key: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a value of ``key`` in ``section`` that is none of the ``known``.

    Parameters
    ----------
    section
        Section of the configuration that messages name.
    key
        Option that messages name.
    value
        What was given.
    known
        What there is to choose from.
    """
    names = list(known)
    if value not in names:
        hint = nearest(str(value), names)
        raise InputError(f"{section}: there is no {key} {value!r:.60}{hint}")


def check_registered(section: str, key: str, value: str, table: Mapping[str, Any]) -> None:
    """Refuse a value of ``key`` in ``section`` that an open table doesn't know, in the table's words.

    Parameters
    ----------
    section
        Section of the configuration that messages name.
    key
        Option that messages name.
    value
        What was given.
    table
        The open table that it must be in.
    """
    if value not in table:
        try:
            table[value]
        except InputError as error:
            raise type(error)(f"{section}.{key}: {error}") from error
