"""What readers give: samples and labels as they were found, before anything is done to them."""

__all__ = ["Raw", "of_mapping", "of_pair"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Values = NDArray[Any]

PAIRS = (("x", "y"), ("data", "target"), ("images", "labels"))
"""Names under which samples and labels of one part are looked for, without ``_train`` and the like."""

PARTS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True)
class Raw:
    """Parts of a data set: samples (n, ...) and what is to be said of each, (n,) or (n, targets)."""

    name: str
    train: tuple[Values, Values]
    """The part to train on; all there is, where no other part was found."""
    validation: tuple[Values, Values] | None = None
    test: tuple[Values, Values] | None = None
    names: tuple[str, ...] = ()
    """Names of the classes, where labels are numbers that count them."""
    notes: tuple[str, ...] = ()
    """What was read otherwise than it stands there, a sentence each."""


def of_pair(x: Any, y: Any, where: str) -> tuple[Values, Values]:
    """Return samples and labels as arrays of the same length.

    Parameters
    ----------
    x
        Samples, (n, ...).
    y
        Labels, (n,), or targets, (n, targets).
    where
        What to call the place in messages.

    Raises
    ------
    InputError
        If they are no arrays of numbers, their lengths differ, or samples hold no number each.
    """
    try:
        samples, labels = np.asarray(x), np.asarray(y)
    except ValueError as error:
        raise InputError(f"{where}: samples differ in their shapes: {error}") from error
    if samples.dtype.kind not in "biuf":
        raise InputError(f"{where}: samples hold {samples.dtype}, expected numbers")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "O":
        for place, one in enumerate(labels.ravel()):
            if one is None or one != one:
                raise InputError(f"{where}: label {place} is {one}: labels must not be missing")
        labels = np.asarray([str(one) for one in labels.ravel()]).reshape(labels.shape)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if samples.ndim < 2 or 0 in samples.shape[1:] or labels.ndim not in (1, 2):
        raise InputError(
            f"{where}: expected samples (n, features) or images (n, height, width[, channels]) and"
            f" labels (n,), got {samples.shape} and {labels.shape}"
        )
    if len(samples) != len(labels):
        raise InputError(f"{where}: {len(samples)} samples but {len(labels)} labels")
    return samples, labels


def of_mapping(arrays: Mapping[str, Any], name: str) -> Raw:
    """Return the parts that named arrays hold: ``x`` and ``y``, or ``x_train``, ``y_train``,
    ``x_test``, ``y_test`` and perhaps ``x_val``, ``y_val``; ``data`` and ``target``, or ``images``
    and ``labels``, stand for ``x`` and ``y``.

    Raises
    ------
    InputError
        If there are none, or a part has samples but no labels.
    """
    found = {key.lower(): key for key in arrays}
    for x, y in PAIRS:
        parts = {part: _part(arrays, found, x, y, endings, name) for part, endings in PARTS.items()}
        if parts["train"] is None:
            parts["train"] = _part(arrays, found, x, y, ("",), name)
        if parts["train"] is not None:
            return Raw(name, parts["train"], parts["validation"], parts["test"])
    raise InputError(
        f"{name} holds {', '.join(map(repr, arrays)) or 'nothing'}, expected x and y, or x_train,"
        " y_train, x_test and y_test"
    )


def _part(
    arrays: Mapping[str, Any],
    found: Mapping[str, str],
    x: str,
    y: str,
    endings: tuple[str, ...],
    name: str,
) -> tuple[Values, Values] | None:
    for ending in endings:
        samples, labels = (f"{part}_{ending}" if ending else part for part in (x, y))
        if samples in found:
            if labels not in found:
                raise InputError(f"{name} holds {found[samples]!r} but no {labels!r} to go with it")
            return of_pair(arrays[found[samples]], arrays[found[labels]], name)
    return None
