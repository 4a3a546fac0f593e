"""Layers without weights, computed digitally, the same for both twins.

``forward(x, draw)`` returns the outputs and what ``backward(error, kept)`` needs; ``draw`` is given
while training, for what is random then.
"""

__all__ = ["AveragePool", "Dropout", "Flatten", "MaxPool", "Relu", "Sigmoid", "Tanh"]

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...data.errors import InputError
from ...data.options import check_number
from ...data.types import Array32
from .weighted import Shape

Draw: TypeAlias = np.random.Generator | None


@dataclass(frozen=True)
class Relu:
    """Rectifier."""

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return shape

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        y = np.maximum(x, np.float32(0.0))
        return y, y

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        result: Array32 = error * (kept > 0.0)
        return result


@dataclass(frozen=True)
class MaxPool:
    """Largest of every ``size`` x ``size`` block; a remainder at the right and lower edge is left
    out.
    """

    size: int = 2

    def __post_init__(self) -> None:
        check_number("pool", size=self.size, whole=True, at_least=1)

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return _pooled(shape, self.size)

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        blocks = list(_blocks(x, self.size))
        y = blocks[0]
        for block in blocks[1:]:
            y = np.maximum(y, block)
        return y, (x, y)

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs: all of it to the first largest of a block."""
        x, y = kept
        result: Array32 = np.zeros_like(x)
        free = np.ones(y.shape, bool)
        for source, target in zip(_blocks(x, self.size), _blocks(result, self.size), strict=True):
            first = free & (source == y)
            np.multiply(error, first, out=target)
            free &= ~first
        return result


@dataclass(frozen=True)
class AveragePool:
    """Mean of every ``size`` x ``size`` block; a remainder at right and bottom is left out."""

    size: int = 2

    def __post_init__(self) -> None:
        check_number("pool", size=self.size, whole=True, at_least=1)

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return _pooled(shape, self.size)

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        y: Array32 = sum(_blocks(x, self.size)) * np.float32(1.0 / self.size**2)  # type: ignore[assignment]
        return y, x.shape

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        result = np.zeros(kept, np.float32)
        for target in _blocks(result, self.size):
            np.multiply(error, np.float32(1.0 / self.size**2), out=target)
        return result


@dataclass(frozen=True)
class Tanh:
    """Hyperbolic tangent: what follows gets signed inputs."""

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return shape

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        y = np.tanh(x)
        return y, y

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        result: Array32 = error * (np.float32(1.0) - kept * kept)
        return result


@dataclass(frozen=True)
class Sigmoid:
    """Logistic function, 0..1."""

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return shape

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        y = np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * x))  # never overflows
        return y, y

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        result: Array32 = error * kept * (np.float32(1.0) - kept)
        return result


@dataclass(frozen=True)
class Flatten:
    """All numbers of a sample as one vector, channels fastest; a dense layer does so by itself."""

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return (int(np.prod(shape)),)

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        return x.reshape(len(x), -1), x.shape

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        return error.reshape(kept)


@dataclass(frozen=True)
class Dropout:
    """While training, a ``share`` of the inputs is 0 and the others larger by as much (Srivastava et
    al., JMLR 15 (2014) 1929).
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        check_number("dropout", share=self.share, at_least=0, below=1)

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return shape

    def forward(self, x: Array32, draw: Draw = None) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        if draw is None or self.share == 0.0:
            return x, None
        kept = draw.random(x.shape, np.float32) >= np.float32(self.share)
        mask = kept.astype(np.float32) / np.float32(1.0 - self.share)
        return x * mask, mask

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        return error if kept is None else error * kept


def _pooled(shape: Shape, size: int) -> Shape:
    if len(shape) != 3:
        raise InputError(f"a pool needs inputs (height, width, channels), got {shape}")
    if min(shape[:2]) < size:
        raise InputError(f"blocks of {size}x{size} do not fit into inputs of {shape}")
    return (shape[0] // size, shape[1] // size, shape[2])


def _blocks(x: Array32, size: int) -> list[Array32]:
    """Return the size**2 strided slices that together hold every element of every block once."""
    height, width = x.shape[1] // size * size, x.shape[2] // size * size
    return [x[:, i:height:size, j:width:size] for i in range(size) for j in range(size)]
