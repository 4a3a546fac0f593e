"""Names that every room uses."""

__all__ = ["Array", "Array32", "Meta", "Progress"]

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

Array32: TypeAlias = NDArray[np.float32]
"""Single precision, where memory bandwidth sets the speed."""

Progress: TypeAlias = Callable[[int, int], None]
"""``progress(done, total)``: long work calls it now and then; the command line draws a bar from it."""

Meta: TypeAlias = Mapping[str, str | float]
"""What is known of a measurement: strings, or numbers in SI units."""
