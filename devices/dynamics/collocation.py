"""The whole waveform at once: collocation for few devices with many samples.

Stepping through 600 samples costs 600 rounds of small numpy calls. For a handful of devices it is
cheaper to solve all steps together: x_{k+1} - x_k = h/6 (F_k + 4 F_m + F_{k+1}) with the midpoint
of the Hermite cubic (Lobatto IIIA, order 4, A-stable; the scheme of scipy's ``solve_bvp``), by
Newton over the whole waveform. The linear system is a recurrence, solved by doubling. The residual
of the cubic says where the mesh is too coarse.
"""

__all__ = ["collocate", "recurrence"]

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array

_Found: TypeAlias = tuple[Array, Array]  # states and rates at the mesh points

_ROUNDS = 8
_LARGEST = 16  # times the number of samples that the mesh may grow to
_GAUSS = 0.5 * (1.0 - (3.0 / 7.0) ** 0.5)  # where the residual is looked at


class Equation(Protocol):
    """What is integrated: F and its slopes, elementwise on (mesh, devices)."""

    bounds: tuple[float, float]

    def rate_and_slopes(self, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return F, dF/dx, dF/dv."""

    def fresh(self) -> "Equation":
        """Return the same system without a running guess."""


@dataclass(frozen=True)
class _Solver:
    """Newton's method and the residual on any mesh; one equation for each set of points, for their
    guesses.
    """

    ends: Equation
    middles: Equation
    early: Equation
    late: Equation
    rtol: float
    atol: float

    @staticmethod
    def of(system: Equation, rtol: float, atol: float) -> "_Solver":
        return _Solver(system.fresh(), system.fresh(), system.fresh(), system.fresh(), rtol, atol)

    def newton(self, mesh: Array, v: Array, x: Array, limit: int = 40) -> _Found | None:
        """Solve all steps together from the guess x; return states and rates at the mesh points."""
        low, high = self.ends.bounds
        h = np.diff(mesh)[:, None]
        v_m = 0.5 * (v[1:] + v[:-1])
        before = np.inf
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(limit):
                f, j, _ = self.ends.rate_and_slopes(v, x)
                f, j = np.broadcast_to(f, x.shape), np.broadcast_to(j, x.shape)
                x_m = 0.5 * (x[1:] + x[:-1]) + 0.125 * h * (f[:-1] - f[1:])
                f_m, j_m, _ = self.middles.rate_and_slopes(v_m, np.clip(x_m, low, high))
                miss = x[1:] - x[:-1] - h / 6.0 * (f[:-1] + 4.0 * f_m + f[1:])
                left = -1.0 - h / 6.0 * (j[:-1] + 4.0 * j_m * (0.5 + 0.125 * h * j[:-1]))
                right = 1.0 - h / 6.0 * (j[1:] + 4.0 * j_m * (0.5 - 0.125 * h * j[1:]))
                step = recurrence(-left / right, -miss / right)
                if not np.isfinite(step).all():
                    step = np.nan_to_num(step, nan=0.0, posinf=1.0, neginf=-1.0)
                moved = np.clip(x[1:] + step, low, high)
                size = float((np.abs(moved - x[1:]) / self._allowed(moved)).max())
                x = np.concatenate([x[:1], moved])
                if size < 0.03 or (size < 0.3 and size > 0.5 * before):
                    return x, np.broadcast_to(self.ends.rate_and_slopes(v, x)[0], x.shape)
                before = size
        return None

    def wrong(self, mesh: Array, v: Array, found: _Found) -> Array:
        """Return the residual of the cubic in every interval, times its length, relative to the
        tolerance.
        """
        x, f = found
        h = np.diff(mesh)[:, None]
        wrong = np.zeros(len(h))
        for part, s in ((self.early, _GAUSS), (self.late, 1.0 - _GAUSS)):
            inside, slope = _cubic(x, f, h, s)
            inside = np.clip(inside, *part.bounds)
            there = part.rate_and_slopes(v[:-1] + s * (v[1:] - v[:-1]), inside)[0]
            share = np.abs(slope - there) * h / self._allowed(inside)
            wrong = np.maximum(wrong, share.max(axis=1))
        return wrong

    def _allowed(self, x: Array) -> Array:
        return self.atol + self.rtol * np.abs(x)


def collocate(
    system: Equation, t: Array, waves: Array, x0: Array, rtol: float, atol: float
) -> Array | None:
    """Return the states (samples, devices) at times t under ``waves`` (samples, devices).

    ``None`` says that this waveform is better followed step by step.

    Parameters
    ----------
    system
        The rate of the states, and how it is solved.
    t
        Times of the samples, (samples,) [s].
    waves
        Voltages, (samples, devices) [V].
    x0
        States at the first sample, (devices,).
    rtol
        Relative tolerance of a step.
    atol
        Absolute tolerance of a step.
    """
    solver = _Solver.of(system, rtol, atol)
    mesh, v = t, waves
    x = np.broadcast_to(x0, waves.shape).copy()
    found = solver.newton(mesh, v, x)
    if found is None:
        guess = _causal(system, t, waves, x0)
        if guess is None:
            return None
        mesh, v, x = guess
        found = solver.newton(mesh, v, x)
    for _ in range(_ROUNDS):
        if found is None:
            return None
        wrong = solver.wrong(mesh, v, found)
        if (wrong <= 1.0).all():
            return found[0][np.searchsorted(mesh, t)]
        pieces = _pieces(wrong)
        if pieces.sum() > _LARGEST * len(t):
            return None
        finer = _split(mesh, pieces)
        x, v = _at(finer, mesh, found[0]), _at(finer, mesh, v)
        mesh = finer
        found = solver.newton(mesh, v, x)
    return None


def _causal(
    system: Equation, t: Array, waves: Array, x0: Array
) -> tuple[Array, Array, Array] | None:
    """Find a mesh and a rough solution window by window, where Newton fails on the whole.

    A window that can't be solved is made shorter, and its intervals are split where the rough
    solution's residual is large: that finds jumps.
    """
    solver = _Solver.of(system, 1e-2, 1e-4)
    mesh, v = t, waves
    x = np.empty((0, len(x0)))
    at, now, width = 0, x0, 32
    for _ in range(4 * len(t)):
        if at == len(mesh) - 1:
            return mesh, v, np.concatenate([x, now[None]])
        part = slice(at, min(at + width, len(mesh) - 1) + 1)
        guess = np.broadcast_to(now, v[part].shape).copy()
        found = solver.newton(mesh[part], v[part], guess, 12)
        pieces = np.ones(len(mesh) - 1, int)
        if found is None:
            if width > 1:
                width = max(1, width // 4)
                continue
            pieces[at] = 4
        else:
            pieces[part.start : part.stop - 1] = _pieces(solver.wrong(mesh[part], v[part], found))
        if (pieces == 1).all() and found is not None:
            x = np.concatenate([x, found[0][:-1]])
            now, at, width = found[0][-1], part.stop - 1, min(128, 2 * width)
            continue
        if pieces.sum() > _LARGEST * len(t) or np.diff(mesh)[at] < 1e-12 * (t[-1] - t[0]):
            return None
        finer = _split(mesh, pieces)
        mesh, v = finer, _at(finer, mesh, v)
    return None


def _pieces(wrong: Array) -> NDArray[np.intp]:
    """Into how many parts to cut intervals, from their residual of order 4."""
    pieces = np.clip(np.ceil((wrong / 0.3) ** 0.25), 1, 8).astype(int)
    return np.where(wrong <= 1.0, 1, np.maximum(pieces, 2))


def _at(finer: Array, mesh: Array, values: Array) -> Array:
    """Interpolate columns linearly from a mesh to a finer one."""
    return np.stack([np.interp(finer, mesh, column) for column in values.T], axis=1)


def recurrence(a: Array, b: Array) -> Array:
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
