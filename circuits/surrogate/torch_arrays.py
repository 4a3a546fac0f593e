"""Arrays that the numeric core can run on beside numpy's.

:mod:`.ladder`, :mod:`.closure`, :mod:`.gradients` and :mod:`.sweeps` take their functions from a
namespace ``xp`` that resembles numpy. Torch's does; CuPy's is numpy's own.
"""

__all__ = ["torch_arrays"]

from typing import Any, Literal, TypedDict

import numpy as np

from ...data.errors import InputError
from .tables import LARGE, Blocks


class Arrays(TypedDict):
    """Options of :class:`.surrogate.Surrogate` that choose the arrays it computes with."""

    xp: Any
    array: Any
    dtype: str
    blocks: Blocks


def torch_arrays(device: str = "cpu", dtype: Literal["float32", "float64"] = "float32") -> Arrays:
    """Return what makes a surrogate compute with torch: ``Surrogate(tile, **torch_arrays("cuda"))``.

    Raises
    ------
    InputError
        If torch is not installed, or has no such device.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError("torch is not installed: pip install 'memtwin[torch]'") from error
    kind = {"float32": torch.float32, "float64": torch.float64}[dtype]
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"torch has no device {device!r} here: {error}") from error

    def array(values: Any) -> Any:
        return torch.as_tensor(
            np.require(values, requirements=["C", "W"]), dtype=kind, device=device
        )

    blocks = Blocks() if torch.device(device).type == "cpu" else LARGE
    return {"xp": torch, "array": array, "dtype": dtype, "blocks": blocks}
