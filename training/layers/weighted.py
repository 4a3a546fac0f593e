"""Layers with weights: each is one matrix product of its unfolded inputs ``a`` (n, rows) and its
matrix (rows, cols), the last row of which is the bias, fed with ones; a convolution in groups is one
per group.
"""

__all__ = ["Conv2d", "Dense", "Shape"]

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ...data.errors import InputError
from ...data.options import check_number
from ...data.types import Array32

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """Fully connected layer."""

    outputs: int

    def __post_init__(self) -> None:
        check_number("dense", outputs=self.outputs, whole=True, at_least=1)

    @property
    def groups(self) -> int:
        """Number of matrices."""
        return 1

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
    groups: int = 1
    """Parts of the channels, each of which sees its own; as many as there are inputs: depthwise. Every
    group is a matrix of its own."""

    def __post_init__(self) -> None:
        check_number(
            "conv",
            channels=self.channels,
            kernel=self.kernel,
            stride=self.stride,
            groups=self.groups,
            whole=True,
            at_least=1,
        )
        check_number("conv", padding=self.padding, whole=True, at_least=0)

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
        if shape[2] % self.groups or self.channels % self.groups:
            raise InputError(
                f"{shape[2]} channels in and {self.channels} out can't be parted in"
                f" {self.groups} groups"
            )
        return (*sides, self.channels)

    def fan_in(self, shape: Shape) -> int:
        """Return how many inputs feed one output."""
        return self.kernel * self.kernel * shape[2] // self.groups

    def parts(self, x: Array32) -> list[Array32]:
        """Return the channels of ``x`` (n, height, width, channels) that each group sees."""
        return [np.ascontiguousarray(part) for part in np.split(x, self.groups, axis=3)]

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
        height, width, _ = self._sides((shape[0] + 2 * p, shape[1] + 2 * p))
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


def _with_ones(x: Array32) -> Array32:
    a = np.empty((len(x), x.shape[1] + 1), np.float32)
    a[:, :-1] = x
    a[:, -1] = 1.0
    return a
