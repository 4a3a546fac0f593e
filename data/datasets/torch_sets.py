"""Data sets as torch and torchvision have them: anything with a length whose items are a sample and
its label. torch itself isn't needed to read them.
"""

__all__ = ["is_torch_set", "read_torch_set"]

from typing import Any

import numpy as np

from ..errors import InputError
from .raw import Values, of_pair


def is_torch_set(thing: Any) -> bool:
    """Return whether ``thing`` can be asked for its length and its items."""
    return (
        hasattr(thing, "__len__") and hasattr(thing, "__getitem__") and not hasattr(thing, "keys")
    )


def read_torch_set(thing: Any, where: str) -> tuple[Values, Values]:
    """Return all samples and labels; tensors of (channels, height, width) become (height, width,
    channels).

    Raises
    ------
    InputError
        If an item is no pair, or samples differ in their shape.
    """
    samples, labels = [], []
    for k in range(len(thing)):
        item = thing[k]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(f"{where}: item {k} is no pair of a sample and its label")
        sample = np.asarray(item[0])
        if sample.ndim == 3 and hasattr(item[0], "detach"):
            sample = np.moveaxis(sample, 0, -1)
        samples.append(sample)
        labels.append(np.asarray(item[1]))
    if len({one.shape for one in samples}) > 1:
        raise InputError(f"{where}: samples differ in their shapes")
    return of_pair(np.array(samples), np.array(labels), where)
