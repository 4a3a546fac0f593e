"""Networks as data: layers, and one forward and one backward pass that both twins share.

Every layer with weights is one matrix product ``a @ w`` of its unfolded inputs ``a`` (n, rows) and
its matrix ``w`` (rows, cols), the last row of which is the bias, fed with ones. Who computes the
product is the caller's choice: the float twin multiplies, the memristor twin reads its tiles. All
else (rectifiers, pools, im2col) is digital and the same for both. Images lie as (n, height, width,
channels) or (n, features), float32.
"""

__all__ = [
    "Adjoint",
    "AveragePool",
    "Conv2d",
    "Dense",
    "Layer",
    "MaxPool",
    "Network",
    "Product",
    "Relu",
    "Tape",
    "cross_entropy",
    "lenet",
    "mlp",
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..data.errors import InputError
from ..data.types import Array32

Shape: TypeAlias = tuple[int, ...]

Product: TypeAlias = Callable[[int, Array32], Array32]
"""``product(k, a)``: multiply (n, rows) inputs by the k-th matrix, giving (n, cols)."""

Adjoint: TypeAlias = Callable[[int, Array32, Array32], tuple[Array32, Array32]]
"""``adjoint(k, a, error)``: the loss's derivatives by the k-th matrix and by its inputs ``a`` (n, rows),
from those by its outputs (n, cols)."""

Tape: TypeAlias = list[Any]
"""What the backward pass needs of a forward pass, one entry per layer."""


@dataclass(frozen=True)
class Dense:
    """Fully connected layer."""

    outputs: int

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return (self.outputs,)

    def fan_in(self, shape: Shape) -> int:
        """Return how many inputs feed one output."""
        return int(np.prod(shape))

    def unfold(self, x: Array32) -> Array32:
        """Return the inputs as vectors (n, fan_in + 1), ones for the bias appended."""
        return _with_ones(x.reshape(len(x), -1))

    def fold(self, a: Array32, shape: Shape) -> Array32:
        """Return the gradient of the inputs (n, *shape) from that of the vectors (n, fan_in)."""
        return a.reshape(-1, *shape)


@dataclass(frozen=True)
class Conv2d:
    """Convolution over (height, width, channels), as one matrix product per image position
    (im2col).
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        if len(shape) != 3:
            raise InputError(f"a convolution needs inputs (height, width, channels), got {shape}")
        sides = tuple(
            (side + 2 * self.padding - self.kernel) // self.stride + 1 for side in shape[:2]
        )
        if min(sides) < 1:
            raise InputError(
                f"a {self.kernel}x{self.kernel} kernel does not fit into inputs of {shape}"
            )
        return (*sides, self.channels)

    def fan_in(self, shape: Shape) -> int:
        """Return how many inputs feed one output."""
        return self.kernel * self.kernel * shape[2]

    def unfold(self, x: Array32) -> Array32:
        """Return patches as vectors (n * positions, fan_in + 1), ones for the bias appended."""
        if self.padding:
            p = self.padding
            x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
        n, (height, width, _) = len(x), self._sides(x.shape[1:])
        # Runs of kernel * channels lie together in NHWC, so that the copy below moves whole runs.
        windows = np.lib.stride_tricks.as_strided(
            x,
            (n, height, width, self.kernel, self.kernel * x.shape[3]),
            (
                x.strides[0],
                x.strides[1] * self.stride,
                x.strides[2] * self.stride,
                x.strides[1],
                x.strides[3],
            ),
            writeable=False,
        )
        a = np.empty((n, height, width, self.kernel * self.kernel * x.shape[3] + 1), np.float32)
        a[..., :-1].reshape(windows.shape)[...] = windows
        a[..., -1] = 1.0
        return a.reshape(n * height * width, -1)

    def fold(self, a: Array32, shape: Shape) -> Array32:
        """Return the gradient of the inputs (n, *shape): the sum over the patches of each."""
        p, s, k = self.padding, self.stride, self.kernel
        height, width, _ = self.output(shape)
        # One copy brings each offset's patches together, so that whole image rows are added.
        patches = a.reshape(-1, height, width, k, k, shape[2]).transpose(3, 4, 0, 1, 2, 5).copy()
        x = np.zeros((patches.shape[2], shape[0] + 2 * p, shape[1] + 2 * p, shape[2]), np.float32)
        for i in range(k):
            for j in range(k):
                x[:, i : i + s * height : s, j : j + s * width : s] += patches[i, j]
        return x[:, p : p + shape[0], p : p + shape[1]] if p else x

    def _sides(self, shape: Shape) -> Shape:
        return (
            (shape[0] - self.kernel) // self.stride + 1,
            (shape[1] - self.kernel) // self.stride + 1,
            self.channels,
        )


@dataclass(frozen=True)
class Relu:
    """Rectifier."""

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return shape

    def forward(self, x: Array32) -> tuple[Array32, Any]:
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

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return _pooled(shape, self.size)

    def forward(self, x: Array32) -> tuple[Array32, Any]:
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

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return _pooled(shape, self.size)

    def forward(self, x: Array32) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs."""
        y: Array32 = sum(_blocks(x, self.size)) * np.float32(1.0 / self.size**2)  # type: ignore[assignment]
        return y, x.shape

    def backward(self, error: Array32, kept: Any) -> Array32:
        """Return the gradient of the inputs."""
        result = np.zeros(kept, np.float32)
        for target in _blocks(result, self.size):
            np.multiply(error, np.float32(1.0 / self.size**2), out=target)
        return result


Layer: TypeAlias = Dense | Conv2d | Relu | MaxPool | AveragePool


@dataclass(frozen=True)
class Network:
    """Layers in order, and the shape of one input image, e.g. ``(784,)`` or ``(28, 28, 1)``."""

    layers: Sequence[Layer]
    shape: Shape
    shapes: tuple[Shape, ...] = field(init=False, repr=False, compare=False)
    """Shape of one input of every layer, then that of the output."""

    def __post_init__(self) -> None:
        shapes = [self.shape]
        for layer in self.layers:
            shapes.append(layer.output(shapes[-1]))
        if (
            not any(isinstance(layer, Dense | Conv2d) for layer in self.layers)
            or len(shapes[-1]) != 1
        ):
            raise InputError(
                f"a network must end in a vector of classes and hold weights, got {self.layers}"
            )
        if min(min(shape) for shape in shapes) < 1:
            raise InputError(f"every layer needs at least one output, got {self.layers}")
        object.__setattr__(self, "shapes", tuple(shapes))

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(rows, cols) of every matrix, the bias row included."""
        return tuple(
            (layer.fan_in(shape) + 1, layer.output(shape)[-1])
            for layer, shape in zip(self.layers, self.shapes, strict=False)
            if isinstance(layer, Dense | Conv2d)
        )

    @property
    def deviations(self) -> tuple[float, ...]:
        """Standard deviation of the initial weights: sqrt(2 / fan_in) before rectifiers (He),
        sqrt(1 / fan_in) at the end.
        """
        last = len(self.matrices) - 1
        return tuple(
            ((1 if k == last else 2) / (rows - 1)) ** 0.5
            for k, (rows, _) in enumerate(self.matrices)
        )

    @property
    def weights(self) -> int:
        """Number of weights, biases included."""
        return sum(rows * cols for rows, cols in self.matrices)

    def initial(self, rng: np.random.Generator) -> list[Array32]:
        """Return random matrices with zero biases."""
        result = []
        for (rows, cols), deviation in zip(self.matrices, self.deviations, strict=True):
            w = rng.standard_normal((rows, cols), np.float32) * np.float32(deviation)
            w[-1] = 0.0
            result.append(w)
        return result

    def forward(self, x: Array32, product: Product) -> tuple[Array32, Tape]:
        """Return the outputs (n, classes) for images (n, ...) and the tape that :meth:`backward`
        plays back.
        """
        n, k, tape = len(x), 0, []
        x = x.reshape(n, *self.shape)
        for layer, shape in zip(self.layers, self.shapes[1:], strict=True):
            if isinstance(layer, Dense | Conv2d):
                a = layer.unfold(x)
                x = product(k, a).reshape(n, *shape)
                kept: Any = a
                k += 1
            else:
                x, kept = layer.forward(x)
            tape.append(kept)
        return x, tape

    def inputs(self, tape: Tape) -> list[Array32]:
        """Return the unfolded inputs (n, rows) of every matrix, as the tape holds them."""
        return [
            kept
            for layer, kept in zip(self.layers, tape, strict=True)
            if isinstance(layer, Dense | Conv2d)
        ]

    def backward(
        self,
        tape: Tape,
        error: Array32,
        weights: Sequence[Array32],
        adjoint: Adjoint | None = None,
    ) -> list[Array32]:
        """Return dloss/dw of every matrix from dloss/doutput (n, classes), propagated through
        ``weights``, or by ``adjoint`` if that is given.
        """
        k, gradients = len(weights), []
        for layer, shape, kept in zip(
            reversed(self.layers), reversed(self.shapes[:-1]), reversed(tape), strict=True
        ):
            if isinstance(layer, Dense | Conv2d):
                k -= 1
                error = error.reshape(len(kept), -1)
                if adjoint is not None:
                    gradient, inputs = adjoint(k, kept, error)
                    gradients.append(gradient)
                    error = layer.fold(np.ascontiguousarray(inputs[:, :-1]), shape)
                    continue
                gradients.append(kept.T @ error)
                if k == 0:
                    break
                error = layer.fold(error @ weights[k][:-1].T, shape)
            else:
                error = layer.backward(error, kept)
        return gradients[::-1]


def mlp(*sizes: int) -> Network:
    """Return the network of dense layers with rectifiers between them: ``mlp(784, 100, 10)``."""
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(f"an MLP needs at least input and output sizes, all positive, got {sizes}")
    layers: list[Layer] = []
    for size in sizes[1:]:
        layers += [Dense(size), Relu()]
    return Network(tuple(layers[:-1]), (sizes[0],))


def lenet(
    channels: int = 6, side: int = 28, pool: type[MaxPool | AveragePool] = MaxPool
) -> Network:
    """Return a LeNet-like network for square images: two 5x5 convolutions with ``channels`` and
    16 outputs, each rectified and pooled, then 84 and 10 outputs; 25,010 weights by default
    (LeCun et al., Proc. IEEE 86 (1998) 2278, doi:10.1109/5.726791).
    """
    return Network(
        (
            Conv2d(channels, 5),
            Relu(),
            pool(2),
            Conv2d(16, 5),
            Relu(),
            pool(2),
            Dense(84),
            Relu(),
            Dense(10),
        ),
        (side, side, 1),
    )


def cross_entropy(outputs: Array32, labels: NDArray[np.int64]) -> tuple[float, Array32]:
    """Return the mean softmax cross-entropy of (n, classes) outputs and its gradient."""
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    # float32 exp underflows quietly below -87; nothing is lost there.
    gradient = np.exp(np.maximum(shifted, np.float32(-80.0)))
    total = gradient.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(np.mean(np.log(total[:, 0]) - shifted[rows, labels]))
    gradient /= total
    gradient[rows, labels] -= 1.0
    gradient *= np.float32(1.0 / len(labels))
    return loss, gradient


def _with_ones(x: Array32) -> Array32:
    a = np.empty((len(x), x.shape[1] + 1), np.float32)
    a[:, :-1] = x
    a[:, -1] = 1.0
    return a


def _pooled(shape: Shape, size: int) -> Shape:
    if len(shape) != 3:
        raise InputError(f"a pool needs inputs (height, width, channels), got {shape}")
    return (shape[0] // size, shape[1] // size, shape[2])


def _blocks(x: Array32, size: int) -> list[Array32]:
    """Return the size**2 strided slices that together hold every element of every block once."""
    height, width = x.shape[1] // size * size, x.shape[2] // size * size
    return [x[:, i:height:size, j:width:size] for i in range(size) for j in range(size)]
