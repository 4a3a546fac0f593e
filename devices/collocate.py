"""The whole waveform at once: collocation for few devices with many samples.

Stepping through 600 samples costs 600 rounds of small numpy calls. For a handful of devices it is
cheaper to solve all steps together: x_{k+1} - x_k = h/6 (F_k + 4 F_m + F_{k+1}) with the midpoint
of the Hermite cubic (Lobatto IIIA, order 4, A-stable; the scheme of scipy's ``solve_bvp``), by
Newton over the whole waveform. The linear system is a recurrence, solved by doubling. The residual
of the cubic says where the mesh is too coarse.
"""

__all__ = ["collocate"]

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.types import Array

_ROUNDS = 8
_NEWTON = 40
_LARGEST = 16  # times the number of samples that the mesh may grow to
_GAUSS = 0.5 * (1.0 - (3.0 / 7.0) ** 0.5)  # where the residual is looked at


class Equation(Protocol):
    """What is integrated: F and its slopes, elementwise on (mesh, devices)."""

    bounds: tuple[float, float]

    def rate_and_slopes(self, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return F, dF/dx, dF/dv."""

    def fresh(self) -> "Equation":
        """Return the same system without a running guess."""


def collocate(
    system: Equation, t: Array, waves: Array, x0: Array, rtol: float, atol: float
) -> Array | None:
    """Return the states (samples, devices) at times t under ``waves`` (samples, devices).

    ``None`` says that this waveform is better followed step by step.
    """
    ends, middles, quarters, others = (system.fresh() for _ in range(4))
    mesh, v = t, waves
    x = np.broadcast_to(x0, waves.shape).copy()
    for _ in range(_ROUNDS):
        h = np.diff(mesh)[:, None]
        v_m = 0.5 * (v[1:] + v[:-1])
        solved = _newton(ends, middles, h, v, v_m, x, rtol, atol)
        if solved is None:
            return None
        x, f = solved
        wrong = np.zeros(len(h))
        for part, s in ((quarters, _GAUSS), (others, 1.0 - _GAUSS)):
            inside, slope = _cubic(x, f, h, s)
            inside = np.clip(inside, *system.bounds)
            there = part.rate_and_slopes(v[:-1] + s * (v[1:] - v[:-1]), inside)[0]
            share = np.abs(slope - there) * h / (atol + rtol * np.abs(inside))
            wrong = np.maximum(wrong, share.max(axis=1))
        if (wrong <= 1.0).all():
            return x[np.searchsorted(mesh, t)]
        pieces = np.clip(np.ceil((wrong / 0.3) ** 0.25), 1, 8).astype(int)
        pieces[wrong <= 1.0] = 1
        if pieces.sum() > _LARGEST * len(t):
            return None
        finer = _split(mesh, pieces)
        x = np.stack([np.interp(finer, mesh, column) for column in x.T], axis=1)
        v = np.stack([np.interp(finer, mesh, column) for column in v.T], axis=1)
        mesh = finer
    return None


def _newton(
    ends: Equation,
    middles: Equation,
    h: Array,
    v: Array,
    v_m: Array,
    x: Array,
    rtol: float,
    atol: float,
) -> tuple[Array, Array] | None:
    """Solve all steps together from the guess x; return states and rates at the mesh points."""
    low, high = ends.bounds
    before = np.inf
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_NEWTON):
            f, j, _ = ends.rate_and_slopes(v, x)
            f, j = np.broadcast_to(f, x.shape), np.broadcast_to(j, x.shape)
            x_m = 0.5 * (x[1:] + x[:-1]) + 0.125 * h * (f[:-1] - f[1:])
            f_m, j_m, _ = middles.rate_and_slopes(v_m, np.clip(x_m, low, high))
            miss = x[1:] - x[:-1] - h / 6.0 * (f[:-1] + 4.0 * f_m + f[1:])
            left = -1.0 - h / 6.0 * (j[:-1] + 4.0 * j_m * (0.5 + 0.125 * h * j[:-1]))
            right = 1.0 - h / 6.0 * (j[1:] + 4.0 * j_m * (0.5 - 0.125 * h * j[1:]))
            step = _recurrence(-left / right, -miss / right)
            if not np.isfinite(step).all():
                step = np.nan_to_num(step, nan=0.0, posinf=1.0, neginf=-1.0)
            moved = np.clip(x[1:] + step, low, high)
            size = float((np.abs(moved - x[1:]) / (atol + rtol * np.abs(moved))).max())
            x = np.concatenate([x[:1], moved])
            if size < 0.03 or (size < 0.3 and size > 0.5 * before):
                return x, np.broadcast_to(ends.rate_and_slopes(v, x)[0], x.shape)
            before = size
    return None


def _recurrence(a: Array, b: Array) -> Array:
    """Return y with y[k] = a[k] y[k-1] + b[k] and y[-1] = 0, along the first axis, by doubling."""
    a, b = a.copy(), b.copy()
    stride = 1
    while stride < len(b):
        b[stride:] += a[stride:] * b[:-stride].copy()
        a[stride:] *= a[:-stride].copy()
        stride *= 2
    return b


def _cubic(x: Array, f: Array, h: Array, s: float) -> tuple[Array, Array]:
    """Value and slope of the Hermite cubic at the fraction s of every interval."""
    rise = (x[1:] - x[:-1]) / h
    c = 3.0 * rise - 2.0 * f[:-1] - f[1:]
    d = f[:-1] + f[1:] - 2.0 * rise
    value = x[:-1] + h * s * (f[:-1] + s * (c + s * d))
    return value, f[:-1] + s * (2.0 * c + 3.0 * s * d)


def _split(mesh: Array, pieces: NDArray[np.intp]) -> Array:
    """Cut interval k of the mesh into ``pieces[k]`` equal parts; old points stay exactly as they
    are.
    """
    start = np.repeat(mesh[:-1], pieces)
    first = np.concatenate([[0], np.cumsum(pieces)[:-1]])
    part = np.arange(pieces.sum()) - np.repeat(first, pieces)
    fine = start + part * np.repeat(np.diff(mesh) / pieces, pieces)
    return np.concatenate([fine, mesh[-1:]])
