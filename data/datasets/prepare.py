"""What is done to samples and labels before a network sees them: parts, scale, numbers for classes.

All of it is worked out on the part to train on alone, and can be done to new samples later.
"""

__all__ = ["Scale", "Scaling", "Targets", "split"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..types import Array, Array32
from .raw import Values

Scale: TypeAlias = Literal["auto", "none", "unit", "standard"]
Missing: TypeAlias = Literal["refuse", "drop"]
Task: TypeAlias = Literal["auto", "classes", "regression"]


@dataclass(frozen=True)
class Scaling:
    """``(x - mean) / deviation``, per feature, per channel, or one for all.

    Attributes
    ----------
    kind
        ``none``, ``unit`` (the range of the type, or of the part to train on, becomes 0..1) or
        ``standard`` (mean 0 and deviation 1 over the part to train on).
    mean, deviation
        Broadcast against one sample.
    """

    kind: str
    mean: Array
    deviation: Array

    @classmethod
    def of(cls, x: Values, kind: Scale) -> "Scaling":
        """Return the scaling of samples ``x`` (n, ...); ``auto`` is ``none`` for what lies in 0..1,
        ``unit`` for bytes and for images without a sign, and ``standard`` else.
        """
        zero, one = np.zeros(1), np.ones(1)
        if kind == "auto" and x.dtype != np.uint8:
            low, high = float(x.min()), float(x.max())
            if low >= 0.0 and high > 1.0 and (x.ndim > 2 or _pixels(x, high)):
                top = 255.0 if BRIGHT <= high <= 255.0 else high
                return cls("unit", zero, np.array([top]))
            kind = "none" if low >= 0.0 and high <= 1.0 else "standard"
        elif kind == "auto":
            kind = "unit"
        if kind == "none":
            return cls(kind, zero, one)
        if kind == "unit":
            low, high = (0.0, 255.0) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
            return cls(kind, np.array([low]), np.array([high - low or 1.0]))
        over: tuple[int, ...] = (0,) if x.ndim == 2 else (0, 1, 2)
        mean = x.mean(axis=over, dtype=float)
        deviation = x.std(axis=over, dtype=float)
        # What is the same everywhere says nothing: it becomes 0, but for rounding.
        deviation = np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
        return cls(kind, np.atleast_1d(mean), np.atleast_1d(deviation))

    def apply(self, x: Values) -> Array32:
        """Return samples (n, ...) in the network's scale, float32, of the same shape."""
        if self.kind == "none":
            return np.asarray(x, np.float32)
        if self.kind == "unit" and self.mean[0] == 0.0:
            flat = x.astype(np.float32)
            flat /= np.float32(self.deviation[0])
            return flat
        return np.asarray((x - self.mean) / self.deviation, np.float32)


@dataclass(frozen=True)
class Targets:
    """What outputs stand for: classes by their names, or numbers by their scale.

    Attributes
    ----------
    names
        Names of the classes, in the order of the outputs; empty for regression.
    mean, deviation
        Of every target, (targets,), over the part to train on; for regression.
    """

    names: tuple[str, ...] = ()
    mean: Array | None = None
    deviation: Array | None = None

    @property
    def task(self) -> str:
        """``classes`` or ``regression``."""
        return "classes" if self.mean is None else "regression"

    @classmethod
    def of(cls, y: Values, task: Task, where: str, names: Sequence[str] = ()) -> "Targets":
        """Return what labels ``y`` of the part to train on stand for.

        Parameters
        ----------
        y
            Labels, (n,), or targets, (n, targets), of the part to train on.
        task
            Whether classes are learnt or numbers.
        where
            What to call the place in messages.
        names
            Names of the classes, or of the targets, where they are known.

        Raises
        ------
        InputError
            If there is one class only, nearly as many classes as samples, or targets that are no
            numbers or all the same.
        """
        if task == "auto":
            whole = y.dtype.kind not in "f" or bool(np.all(y == np.rint(y)))
            task = "classes" if y.ndim == 1 and whole else "regression"
            kinds = len(np.unique(y)) if task == "classes" and not names else 0
            if kinds == len(y) > 10 and y.dtype.kind in "OSU":
                raise InputError(
                    f"{where}: every one of {kinds} samples has a label of its own: nothing to learn from"
                )
            if y.dtype.kind in "iuf" and kinds > max(10, len(y) // 5):
                raise InputError(
                    f"{where}: {kinds} different labels on {len(y)} samples: say"
                    " task = 'regression' if they are numbers to predict, or 'classes'"
                )
        if task == "classes":
            if y.ndim != 1:
                raise InputError(f"{where}: classes must be one column, got {y.shape}")
            if y.dtype.kind == "f" and not np.isfinite(y).all():
                raise InputError(f"{where}: labels must not be missing (NaN)")
            found = tuple(names) or tuple(_words(np.unique(y)))
            if len(found) < 2:
                raise InputError(
                    f"{where}: there is only one class, {found[0]!r}: nothing to tell apart"
                )
            return cls(found)
        if y.dtype.kind not in "biuf":
            raise InputError(
                f"{where}: targets of a regression must be numbers, got {str(y.flat[0])!r}"
            )
        columns = y.reshape(len(y), -1).astype(float)
        if not np.isfinite(columns).all():
            raise InputError(f"{where}: targets must not be missing (NaN)")
        mean, deviation = columns.mean(axis=0), columns.std(axis=0)
        if not np.all(deviation > 0.0):
            raise InputError(f"{where}: the target is {mean[deviation.argmin()]:g} everywhere")
        return cls((), mean, deviation)

    def apply(self, y: Values, where: str) -> NDArray[Any]:
        """Return classes as int64 (n,), or scaled targets as float32 (n, targets).

        Raises
        ------
        InputError
            If a label is none of the classes.
        """
        if self.mean is not None:
            assert self.deviation is not None
            columns = y.reshape(len(y), -1).astype(float)
            if columns.shape[1] != len(self.mean) or not np.isfinite(columns).all():
                raise InputError(f"{where}: expected {len(self.mean)} finite targets per sample")
            return np.asarray((columns - self.mean) / self.deviation, np.float32)
        words = _words(y)
        place = {name: k for k, name in enumerate(self.names)}
        if strange := sorted(set(words) - place.keys()):
            raise InputError(
                f"{where}: the label {strange[0]!r} is in no sample of the part to train on"
            )
        return np.array([place[word] for word in words], np.int64)

    def said(self, outputs: Array32) -> NDArray[Any]:
        """Return what outputs (n, ...) of a network say: names of classes (n,), or numbers in the
        targets' own unit, (n,) or (n, targets).
        """
        if self.mean is None:
            return np.asarray(np.array(self.names)[outputs.argmax(axis=1)])
        assert self.deviation is not None
        numbers = outputs * self.deviation + self.mean
        return np.asarray(numbers[:, 0] if numbers.shape[1] == 1 else numbers)


BRIGHT = 128.0
"""What the brightest pixel of images that go to 255 surely reaches."""

PIXELS = 64
"""Fewest features that are taken for pixels."""


def _pixels(x: Values, high: float) -> bool:
    """Return whether vectors without a sign look like pixels, 0 to 255, whatever their type."""
    return x.shape[1] >= PIXELS and BRIGHT <= high <= 255.0 and bool(np.all(x == np.rint(x)))


def split(
    labels: NDArray[Any], shares: Sequence[float], seed: int, *, by_class: bool
) -> list[NDArray[np.int64]]:
    """Return the places of the samples of each part, in their order: what is left, then one part per
    share of ``shares``; every class is shared out alike where ``by_class`` says so.

    Parameters
    ----------
    labels
        Labels of all samples, (n,).
    shares
        Share of the samples [0..1] for each part but the first.
    seed
        Seed of every random draw.
    by_class
        Whether every class is shared out alike.
    """
    rng = np.random.default_rng([seed, 14])
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    groups = np.unique(labels) if by_class else [None]
    for group in groups:
        places = np.arange(len(labels)) if group is None else np.flatnonzero(labels == group)
        places = rng.permutation(places)
        ends = np.rint(np.cumsum([0.0, *shares]) * len(places)).astype(int)
        for k in range(len(shares)):
            parts[k + 1].append(places[ends[k] : ends[k + 1]])
        parts[0].append(places[ends[-1] :])
    return [np.sort(np.concatenate(part)).astype(np.int64) for part in parts]


def _words(y: Values) -> list[str]:
    """Return labels as text, whole numbers without a point."""
    if y.dtype.kind == "f" and np.all(y == np.rint(y)):
        y = y.astype(np.int64)
    if y.dtype.kind == "b":
        y = y.astype(np.int64)
    return [str(one) for one in y.tolist()]
