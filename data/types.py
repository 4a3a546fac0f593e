"""Names that every room uses."""

__all__ = ["Array", "Array32", "Progress"]

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

Array32: TypeAlias = NDArray[np.float32]
"""Single precision, where memory bandwidth sets the speed."""

Progress: TypeAlias = Callable[[int, int], None]
"""``progress(done, total)``: long work calls it now and then; the command line draws a bar from it."""
