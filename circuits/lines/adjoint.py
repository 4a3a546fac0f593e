"""Gradients of a loss through the read of a tile, without automatic differentiation.

With ``d = dL/dI`` given, the adjoint potentials ``l`` are those of the tile linearised at its
operating point, drivers at 0 V and the sense inputs at ``d``. A current into the device ``(i, j)``,
from its word line to its bit line, then changes the loss by ``(l_b - l_w)_ij``, so that::

    dL/dg_ij = (l_b - l_w)_ij di/dg(u_ij, b_ij; g_ij),   dL/dv_i = (l_w)_i0 / r_driver

:func:`exact_gradients` solves both systems by line sweeps, vector by vector. :func:`closed_gradients`
puts the line closure in their place, ``u = P v - n I`` and ``l_b - l_w = q d~ - W (g q d~)`` with
``d~ = R d``; the sum over a batch is then a few products of matrices::

    dL/dg = sum_p c_p'(g) [q (E_p) - W (g q E_p)],   E_p = sum over the batch of u^p d~

to first order in ``I``.
"""

__all__ = ["checked_weights", "closed_gradients", "exact_gradients"]

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError, NonConvergence
from ...data.types import Array
from ..array.tile import Tile
from ..surrogate.closure import Closure, operate, read_and_slopes
from ..surrogate.expansion import Expansion
from .cell_law import Law, evaluate
from .chord import Response
from .ladder import Field, Lines, row_solve
from .sweeps import Circuit, solve

VECTORS = 100
"""Vectors solved at a time."""


def checked_weights(tile: Tile, voltages: tuple[int, ...], by_i: ArrayLike) -> Array:
    """Return ``by_i`` as a float array, (..., batch, cols), with one number per current of the read
    of ``voltages`` of that shape, one vector as a batch of one.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    voltages
        Shape of the voltages that were read.
    by_i
        Derivatives by the currents, (..., batch, cols).
    """
    by_i = np.asarray(by_i, float)
    expected = (*voltages[:-1], tile.cols)
    if by_i.shape != expected or not np.isfinite(by_i).all():
        raise InputError(
            f"expected finite derivatives by current of shape {expected}, got {by_i.shape}"
        )
    return by_i if len(voltages) > 1 else by_i[None]


def exact_gradients(
    circuit: Circuit,
    response: Response,
    v: Any,
    d: Any,
    *,
    tolerance: float,
    sweeps: int,
) -> tuple[Array, Array]:
    """Return ``dL/dg``, (rows, cols), and ``dL/dv``, (vectors, rows), of one tile.

    Parameters
    ----------
    circuit, response
        The tile and its devices.
    v
        Row voltages in units of the full swing, (vectors, rows).
    d
        ``dL/di``, (vectors, cols).
    tolerance, sweeps
        As for reading.

    Raises
    ------
    NonConvergence
        If the sweeps don't reach the tolerance.
    """
    lines = circuit.lines
    by_g = np.zeros(circuit.g.shape[:2])
    by_v = np.empty(v.shape)
    for k in range(0, len(v), VECTORS):
        part = slice(k, k + VECTORS)
        there = solve(circuit, v[part].T, response.rest, tolerance=tolerance, sweeps=sweeps)
        slope_u, slope_b = response.slopes(there.u, there.b)
        seen = d[part].T
        back = solve(
            circuit,
            np.zeros_like(v[part].T),
            lambda u, b, slope=slope_u: (slope - circuit.g) * u,  # type: ignore[misc]
            lift=lambda u, b, slope=slope_b: -slope * u,  # type: ignore[misc]
            inject=seen,
            start=lines.bottom[:, None] * seen,
            tolerance=tolerance,
            sweeps=sweeps,
        )
        error = max(there.error, back.error)
        if not error <= tolerance:
            raise NonConvergence(
                f"the adjoint came to {error:.1e} in {sweeps} sweeps, expected {tolerance:.1e}"
            )
        by_g -= (back.u * response.by_g(there.u, there.b)).sum(-1)
        word = back.u + back.b
        by_v[part] = (lines.left[:, None] * word[:, 0] + lines.right[:, None] * word[:, -1]).T
    return by_g, by_v


def closed_gradients(
    lines: Lines, law: Law, g: Field, closure: Closure, expansion: Expansion, v: Any, d: Any
) -> tuple[Any, Any]:
    """Return ``dL/dg``, (tiles, rows, cols), and ``dL/dv``, (tiles, vectors, rows).

    Parameters
    ----------
    lines, law, g
        Wires, device law and conductances [S] of the tiles.
    closure, expansion
        What reads them.
    v
        Row voltages in units of the full swing, (tiles, vectors, rows).
    d
        ``dL/di``, (tiles, vectors, cols).
    """
    xp = lines.xp
    i, by_v = read_and_slopes(closure, expansion, v, d, xp)
    terms = law.terms(g, xp)
    # The chord at half swing stands for the devices in lines and columns.
    chord = evaluate(terms, 0.5 + 0.0 * g, 0.0, by="u")
    point = operate(lines, chord)
    rows, q = point.rows, point.q
    b_full = point.beta * point.full
    load = (b_full - row_solve(lines, rows, chord * b_full)) / point.full
    seen = d @ xp.swapaxes(point.r, -1, -2)
    gq = chord * q
    x, y = rows
    total: Any = 0.0
    power, before = v, None
    for p in range(1, max(law.powers[0]) + 1):
        if p in law.powers[0]:
            slope = law.slope(g, xp)[0][p]
            e = point.p**p * _outer(xp, power, seen)
            back = point.p**p * row_solve(lines, rows, gq * _outer(xp, power, seen))
            lost = i * seen
            cross = p * point.p ** (p - 1) * load
            if before is None:
                e = e - cross * lost.sum(-2, keepdims=True)
                # sum_l W[j, l] (g q)_il of the products I_j d_l of all pairs of columns.
                pairs = _outer(xp, i, seen)
                back = back - cross * (
                    x * ((y * gq) @ xp.swapaxes(pairs * lines.upper, -1, -2))
                    + y * ((x * gq) @ xp.swapaxes(pairs * lines.lower, -1, -2))
                )
            else:
                e = e - cross * _outer(xp, before, lost)
            total = total + slope * (q * e - back)
        power, before = power * v, power
    return total, by_v


def _outer(xp: Any, a: Any, b: Any) -> Any:
    """Return the sum over the vectors of ``a_i b_j``."""
    return xp.swapaxes(a, -1, -2) @ b
