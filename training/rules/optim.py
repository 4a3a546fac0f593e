"""Optimisers and learning-rate schedules for the float twin; each keeps its own state and says by
how much weights move.
"""

__all__ = ["Adam", "Optimiser", "Sgd", "make_optimiser", "schedule"]

from typing import Any, Protocol

import numpy as np

from ...data.errors import InputError, nearest
from ...data.types import Array32


class Optimiser(Protocol):
    """What the update rules need: one instance serves one matrix."""

    def move(self, gradient: Array32, rate: float) -> Array32:
        """Return what to subtract from the weights; the array is the optimiser's own until the next
        call.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        ...


class Sgd:
    """Gradient descent with momentum: ``v <- momentum v + gradient``, moved by ``rate v``."""

    def __init__(self, shape: tuple[int, ...], momentum: float = 0.9) -> None:
        if not 0.0 <= momentum < 1.0:
            raise InputError(f"momentum must be from 0 to below 1, got {momentum!r}")
        self.momentum = momentum
        self.velocity = np.zeros(shape, np.float32)
        self._move = np.empty(shape, np.float32)

    def move(self, gradient: Array32, rate: float) -> Array32:
        """Return what to subtract from the weights."""
        self.velocity *= np.float32(self.momentum)
        self.velocity += gradient
        return np.multiply(self.velocity, np.float32(rate), out=self._move)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"velocity": self.velocity.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.velocity[...] = state["velocity"]


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

    def __init__(
        self,
        shape: tuple[int, ...],
        momentum: float = 0.9,
        *,
        second: float = 0.999,
        floor: float = 1e-8,
    ) -> None:
        if not (0.0 <= momentum < 1.0 and 0.0 <= second < 1.0):
            raise InputError(
                f"Adam's decay rates must be from 0 to below 1, got {momentum!r} and {second!r}"
            )
        self.momentum, self.second, self.floor = momentum, second, floor
        self.mean = np.zeros(shape, np.float32)
        self.square = np.zeros(shape, np.float32)
        self.steps = 0

    def move(self, gradient: Array32, rate: float) -> Array32:
        """Return what to subtract from the weights."""
        self.steps += 1
        self.mean += np.float32(1.0 - self.momentum) * (gradient - self.mean)
        self.square += np.float32(1.0 - self.second) * (gradient * gradient - self.square)
        scale = rate * (1.0 - self.second**self.steps) ** 0.5 / (1.0 - self.momentum**self.steps)
        move: Array32 = np.sqrt(self.square)
        move += np.float32(self.floor)
        np.divide(self.mean, move, out=move)
        move *= np.float32(scale)
        return move

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"mean": self.mean.copy(), "square": self.square.copy(), "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.mean[...], self.square[...] = state["mean"], state["square"]
        self.steps = int(state["steps"])


def make_optimiser(name: str, shape: tuple[int, ...], momentum: float = 0.9) -> Optimiser:
    """Return the optimiser called ``sgd`` or ``adam`` for a matrix of ``shape``.

    Parameters
    ----------
    name
        ``sgd`` or ``adam``.
    shape
        Shape of the matrix.
    momentum
        Share of the last step that is kept [0..1].
    """
    if name == "sgd":
        return Sgd(shape, momentum)
    if name == "adam":
        return Adam(shape, momentum)
    raise InputError(f"there is no optimiser {name!r}{nearest(name, ['sgd', 'adam'])}")


def schedule(name: str, rate: float, decay: float, epoch: int, epochs: int) -> float:
    """Return the learning rate of ``epoch``, counted from 0: ``exponential`` (times ``decay`` per
    epoch), ``cosine`` or ``constant``.

    Parameters
    ----------
    name
        ``exponential``, ``cosine`` or ``constant``.
    rate
        Learning rate of the first epoch.
    decay
        Factor per epoch of ``exponential``.
    epoch
        The epoch, counted from 0.
    epochs
        Number of epochs.
    """
    if name == "exponential":
        return float(rate * decay**epoch)
    if name == "cosine":
        return float(0.5 * rate * (1.0 + np.cos(np.pi * epoch / epochs)))
    if name == "constant":
        return rate
    raise InputError(
        f"there is no schedule {name!r}{nearest(name, ['exponential', 'cosine', 'constant'])}"
    )
