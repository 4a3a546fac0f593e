"""Layers with weights: each is one matrix product of its unfolded inputs ``a`` (n, rows) and its
matrix (rows, cols), the last row of which is the bias, fed with ones; a convolution in groups is one
per group.
"""

__all__ = ["Conv2d", "Dense", "Placing", "Shape"]

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np

from ...data.errors import InputError
from ...data.options import check_number
from ...data.types import Array32

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Placing:
    """Where the weights of one layer are, as far as that is not where those of all others are."""

    digital: bool = False
    """Numbers beside the arrays instead of devices: exact, and without device writes."""
    levels: int | None = None
    """Conductance levels of its devices, spread over those that the device has."""
    clip: float | None = None
    """Largest weight, in standard deviations of the layer's initial weights."""
    tile: int | tuple[int, int] | None = None
    """Lines of its largest tile, as many rows as columns, or (rows, columns)."""

    def __post_init__(self) -> None:
        """Refuse what can't be, or says nothing."""
        if isinstance(self.tile, list):
            object.__setattr__(self, "tile", tuple(self.tile))
        if not isinstance(self.digital, bool):
            raise InputError(f"digital must be true or false, got {self.digital!r}")
        said = [item.name for item in fields(self) if item.name != "digital" and self.value(item)]
        if self.digital and said:
            raise InputError(f"a digital layer has no devices: leave {said[0]} out")
        check_number("layer", levels=self.levels, whole=True, optional=True, at_least=2)
        check_number("layer", clip=self.clip, optional=True, above=0)
        if self.tile is not None:
            rows, cols = self.lines
            check_number("layer", **{"tile's rows": rows}, whole=True, at_least=1)
            check_number("layer", **{"tile's columns": cols}, whole=True, at_least=2)
            if cols % 2:
                raise InputError(
                    f"tile: columns must be even, for differential column pairs, got {cols}"
                )

    def value(self, item: Any) -> Any:
        """Return what a field holds, where that is not its default."""
        held = getattr(self, item.name)
        return None if held == item.default else held

    @property
    def lines(self) -> tuple[Any, Any]:
        """Rows and columns of the largest tile, where that is said."""
        if isinstance(self.tile, tuple):
            if len(self.tile) != 2:
                raise InputError(f"tile: expected lines, or [rows, columns], got {list(self.tile)}")
            return self.tile
        return self.tile, self.tile

    def __str__(self) -> str:
        """Say what is said: ``levels=4, tile=32``."""
        return ", ".join(
            f"{item.name}={self.value(item)}"
            for item in fields(self)
            if self.value(item) is not None
        )


COMMON = Placing()


def _said(layer: Any) -> str:
    """Return a layer as its class would be called; where it is placed as all others, that is not said."""
    options = [f"{f.name}={getattr(layer, f.name)!r}" for f in fields(layer) if f.name != "placing"]
    options += [str(layer.placing)] if layer.placing != COMMON else []
    return f"{type(layer).__name__}({', '.join(options)})"


@dataclass(frozen=True)
class Dense:
    """Fully connected layer."""

    outputs: int
    placing: Placing = COMMON
    """Where its weights are."""

    def __post_init__(self) -> None:
        check_number("dense", outputs=self.outputs, whole=True, at_least=1)

    def __repr__(self) -> str:
        return _said(self)

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
    placing: Placing = COMMON
    """Where its weights are."""

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

    def __repr__(self) -> str:
        return _said(self)

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
