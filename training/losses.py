"""What training makes small: of outputs and labels, the mean loss and its gradient by the outputs."""

__all__ = ["LOSSES", "Loss", "cross_entropy", "loss_of", "mean_square", "score_of", "score_text"]

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..data.errors import InputError, nearest
from ..data.types import Array32

Loss: TypeAlias = Callable[[Array32, NDArray[Any]], tuple[float, Array32]]


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


def mean_square(outputs: Array32, labels: NDArray[Any]) -> tuple[float, Array32]:
    """Return half the mean squared distance of (n, m) outputs to targets (n, m), or to 1 at the class
    and 0 elsewhere for classes (n,), and its gradient.
    """
    if labels.ndim == 1:
        targets = np.zeros_like(outputs)
        targets[np.arange(len(labels)), labels] = 1.0
    else:
        targets = labels
    gradient = outputs - targets
    loss = 0.5 * float(np.mean(np.sum(np.square(gradient), axis=1)))
    gradient *= np.float32(1.0 / len(labels))
    return loss, gradient


LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "mse": mean_square}
"""Losses by their names."""


def loss_of(name: str, *, regression: bool) -> Loss:
    """Return the loss called ``name``; ``auto`` is ``mse`` for a regression, else ``cross-entropy``.

    Raises
    ------
    InputError
        If there is none, or numbers are to be predicted by one that takes classes.
    """
    if name == "auto":
        name = "mse" if regression else "cross-entropy"
    if name not in LOSSES:
        raise InputError(f"training.loss: there is no {name!r}{nearest(name, LOSSES)}")
    if regression and name != "mse":
        raise InputError(f"training.loss: numbers are predicted with 'mse', not with {name!r}")
    return LOSSES[name]


def score_of(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of outputs (n, classes) whose largest is at the class (n,); for targets (n, m)
    the share of their variance that is explained, R², the mean over targets.
    """
    if labels.ndim == 1:
        return float(np.mean(outputs.argmax(axis=1) == labels))
    left = np.sum(np.square(labels - outputs, dtype=float), axis=0)
    spread = np.sum(np.square(labels - labels.mean(axis=0), dtype=float), axis=0)
    return float(np.mean(1.0 - left / np.maximum(spread, np.finfo(float).tiny)))


def score_text(score: float, *, regression: bool = False, digits: int = 2) -> str:
    """Say a share of right answers, or R².

    Parameters
    ----------
    score
        Share of right answers [0..1], or R².
    regression
        Whether numbers are predicted, not classes.
    digits
        Digits after the point, of a percentage.
    """
    return f"R² {score:.4f}" if regression else f"{100 * score:.{digits}f} %"
