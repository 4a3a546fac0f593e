"""Fit a law to a sweep of single cells, from ngspice or from the cell's own equations."""

__all__ = ["TOLERANCE", "CellSweep", "fit_law", "law_over", "sweep_cell", "sweep_grid"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from ...data.errors import FitError, InputError
from ...data.types import Array
from ..array.cell import Cell, Transistor
from .cell_law import KINK, Law, centred

TOLERANCE = 1e-6
"""Largest residual that the fit asks for, as a share of the sweep's largest current."""

BASES = ((1, 3), (1, 3, 5), (1, 3, 5, 7), (1, 2, 3, 4, 5), (1, 3, 5, 7, 9), tuple(range(1, 10)))
"""Powers of ``u`` that are tried, cheapest first."""

BELOW = (1, 2, 3, 4, 5)
"""Powers of ``u`` that a kink may add below zero."""

DEGREE_MAX = 8
"""Highest power of ``g``."""


@dataclass(frozen=True)
class CellSweep:
    """Currents of single cells at every conductance, voltage and bit-line potential."""

    g: Array
    """Programmed conductances [S], (levels,), rising."""
    v: Array
    """Voltages from word to bit line [V], (voltages,), rising."""
    b: Array
    """Bit-line potentials [V], (potentials,), from 0."""
    i: Array
    """Currents [A], (levels, voltages, potentials)."""

    def __post_init__(self) -> None:
        shape = (len(self.g), len(self.v), len(self.b))
        if self.i.shape != shape:
            raise InputError(f"cell sweep: expected currents of shape {shape}, got {self.i.shape}")
        if not np.isfinite(self.i).all():
            raise InputError("cell sweep: currents must be finite numbers")


def law_over(cell: Cell, g: Array, v: Array, known: Law | None = None) -> Law:
    """Return a law made from the cell's own equations that covers the conductances ``g`` [S] and
    the row voltages ``v`` [V]: ``known``, or a new one over both ranges.

    Parameters
    ----------
    cell
        What is at each crossing.
    g
        Conductances, (..., rows, cols) [S].
    v
        Row voltages, (..., batch, rows) [V].
    known
        A law that may already cover them.
    """
    closed = g[g > 0.0]
    spans = [(float(closed.min()), float(closed.max()))] if closed.size else []
    near, far = float(v.min(initial=0.0)), float(v.max(initial=0.0))
    if known is not None:
        if known.covers(g, v):
            return known
        # A law of open devices alone knows of no conductance.
        spans += [known.g_range] if known.g_range[1] > 0.0 else []
        near, far = min(near, known.v_range[0]), max(far, known.v_range[1])
    span = cell.v_read if near == far == 0.0 else max(near, far, key=abs)
    # Bit lines lift the devices of idle rows a little to the other side.
    near, far = min(near, span, -0.1 * span), max(far, span, -0.1 * span)
    low = min((span[0] for span in spans), default=0.0)
    high = max((span[1] for span in spans), default=0.0)
    return fit_law(sweep_cell(cell, np.linspace(low, high, 17), (near, far)))


def sweep_cell(
    cell: Cell, g: Array, v_range: tuple[float, float], *, voltages: int = 61
) -> CellSweep:
    """Return the sweep of a cell by its own equations, without ngspice.

    Parameters
    ----------
    cell
        What is at each crossing.
    g
        Conductances, (n,) [S].
    v_range
        Lowest and highest voltage across a cell [V].
    voltages
        How many voltages.
    """
    g = np.unique(np.asarray(g, float))
    v, b = sweep_grid(cell, v_range, voltages)
    i = cell.current(v[None, :, None], g[:, None, None], b[None, None, :])
    return CellSweep(g, v, b, i)


def sweep_grid(cell: Cell, v_range: tuple[float, float], voltages: int = 61) -> tuple[Array, Array]:
    """Return the voltages and the bit-line potentials [V] at which a cell is swept.

    Potentials beyond 0 V matter only to a transistor, and reach about a third of the swing in a
    tile that is worth reading.

    Parameters
    ----------
    cell
        What is at each crossing.
    v_range
        Lowest and highest voltage across a cell [V].
    voltages
        How many voltages.
    """
    low, high = v_range
    if not low <= 0.0 <= high or low == high:
        raise InputError(f"a cell is swept over a range that holds 0 V, got {v_range}")
    feels = isinstance(cell.access, Transistor)
    b = max(v_range, key=abs) * (np.array([0.0, 0.1, 0.2, 0.35]) if feels else np.zeros(1))
    return np.linspace(low, high, voltages), b


def fit_law(sweep: CellSweep, inner: tuple[float, float] | None = None) -> Law:
    """Fit the cheapest polynomials that follow a sweep to a millionth of its largest current.

    ``inner`` are the conductances [S] that matter most; those beyond it weigh a hundredth.

    Raises
    ------
    FitError
        If even the richest ones miss it by more than 2 %: a threshold selector, say.
    """
    best = _fit(sweep, inner, {0: (1,)}, 1 if len(sweep.g) > 1 else 0)
    for plan in _plans(sweep):
        least, idle = np.inf, 0
        for degree in range(min(DEGREE_MAX, len(sweep.g) - 1) + 1):
            law = _fit(sweep, inner, plan, degree)
            if law.residual_max < 0.7 * best.residual_max:
                best = law
            if best.residual_max <= TOLERANCE:
                return best
            # Once the misfit is that of the powers of u, more powers of g don't help; one more alone may not either.
            idle = idle + 1 if degree > 1 and law.residual_max > 0.95 * least else 0
            if idle == 2:
                break
            least = min(least, law.residual_max)
    if best.residual_max > 0.02:
        raise FitError(
            f"no polynomial follows the cell's current: the best misses it by "
            f"{100 * best.residual_max:.2g} % of full scale; read such cells with the line solver"
        )
    return best


def _plans(sweep: CellSweep) -> Iterator[dict[int, tuple[int, ...]]]:
    """Yield the powers to try, cheapest first, those with a kink last."""
    full = sweep.v[np.abs(sweep.v).argmax()]
    both = bool((sweep.v / full < 0.0).any())
    for kink in (False, True) if both else (False,):
        for powers in ((1,), *BASES):
            plan = {0: powers}
            if len(sweep.b) > 1:
                plan |= {1: powers[:4], 2: powers[:2]}
            yield plan | {KINK: BELOW} if kink else plan


def _fit(
    sweep: CellSweep,
    inner: tuple[float, float] | None,
    plan: dict[int, tuple[int, ...]],
    degree: int,
) -> Law:
    """Fit all levels, voltages and potentials by weighted least squares."""
    g, v, b = sweep.g, sweep.v, sweep.b
    low, high, full = float(g[0]), float(g[-1]), float(v[np.abs(v).argmax()])
    middle, half = centred((low, high))
    t = chebyshev.chebvander((g - middle) / half, degree)
    u, at = v[:, None] / full, b / full
    columns = np.array(
        [
            np.minimum(u, 0.0) ** p * at**0 if k == KINK else u**p * at**k
            for k, powers in plan.items()
            for p in powers
        ]
    ).reshape(-1, v.size * b.size)
    # Between the error that counts in a sum of currents and the one relative to each level.
    largest = np.abs(sweep.i).max((1, 2))
    weight = 1.0 / np.sqrt(np.maximum(largest, 1e-12 * largest.max() + 1e-300))
    near = np.ones(len(g), bool) if inner is None else (g >= inner[0]) & (g <= inner[1])
    weight = np.where(near, weight, 0.01 * weight)
    flat = sweep.i.reshape(len(g), -1)
    # The weight is one of levels alone, so the fit falls apart into one in g and one in u and b.
    solution = np.linalg.pinv(weight[:, None] * t) @ (weight[:, None] * flat) @ _pinv(columns)
    misfit = ((t @ solution @ columns - flat) / (np.abs(flat).max() + 1e-300))[near]
    monomial = np.array(
        [np.pad(chebyshev.cheb2poly(c), (0, degree + 1))[: degree + 1] for c in solution.T]
    )
    coefficients, start = {}, 0
    for k, ps in plan.items():
        coefficients[k] = monomial[start : start + len(ps)]
        start += len(ps)
    return Law(
        powers=plan,
        coefficients=coefficients,
        v_full=full,
        g_range=(low, high),
        v_range=(float(v[0]), float(v[-1])),
        residual=float(np.sqrt(np.mean(misfit**2))),
        residual_max=float(np.abs(misfit).max()),
    )


def _pinv(columns: Array) -> Array:
    """Return the pseudo-inverse of rows of very different norm."""
    norm = np.linalg.norm(columns, axis=1, keepdims=True)
    inverse: Array = np.linalg.pinv(columns / norm, rcond=1e-13) / norm.T
    return inverse
