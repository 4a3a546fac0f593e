"""Batch normalisation, kept digital: its factors are numbers beside the array, not devices.

S. Ioffe and C. Szegedy, Proc. ICML (2015) 448, arXiv:1502.03167.
"""

__all__ = ["BatchNorm"]

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.options import check_number
from ...data.types import Array32
from .weighted import Shape

FLOOR = np.float32(1e-5)
"""Added to variances, so that a constant can be divided by its deviation."""


@dataclass(frozen=True)
class BatchNorm:
    """Mean 0 and deviation 1 over batch (and image), then a factor and an offset that are trained.

    Its ``state`` (4, channels) holds factor, offset, and the running mean and variance, by which
    samples are normalised outside of training.
    """

    momentum: float = 0.1
    """Share of a batch in the running mean and variance."""

    def __post_init__(self) -> None:
        check_number("batch_norm", momentum=self.momentum, above=0, at_most=1)

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        return shape

    def initial(self, shape: Shape) -> Array32:
        """Return the state for inputs of ``shape`` before training."""
        one, zero = np.ones(shape[-1], np.float32), np.zeros(shape[-1], np.float32)
        return np.stack([one, zero, zero, one])

    def forward(self, x: Array32, state: Array32, training: bool) -> tuple[Array32, Any]:
        """Return the outputs, and what :meth:`backward` needs; the running figures move on in training.

        Parameters
        ----------
        x
            Inputs, (n, ...).
        state
            Running figures of the layer.
        training
            Whether they move on.
        """
        if training:
            axes = tuple(range(x.ndim - 1))
            mean, variance = x.mean(axis=axes), x.var(axis=axes)
            share = np.float32(self.momentum)
            state[2] += share * (mean - state[2])
            state[3] += share * (variance - state[3])
        else:
            mean, variance = state[2], state[3]
        inverse = np.float32(1.0) / np.sqrt(variance + FLOOR)
        normal = (x - mean) * inverse
        return normal * state[0] + state[1], (normal, state[0] * inverse, training)

    def backward(self, error: Array32, kept: Any) -> tuple[Array32, Array32]:
        """Return the gradients of the inputs, and of factor and offset, (2, channels)."""
        normal, slope, training = kept
        axes = tuple(range(error.ndim - 1))
        by_factor, by_offset = (error * normal).sum(axis=axes), error.sum(axis=axes)
        inputs = error * slope
        if training:
            count = np.float32(error.size // error.shape[-1])
            inputs = slope * (error - (by_offset + normal * by_factor) / count)
        return inputs, np.stack([by_factor, by_offset])
