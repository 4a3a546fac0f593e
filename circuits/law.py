"""The current of a cell as a polynomial: what a sweep of single cells teaches the surrogate.

``i(u, b; g) = sum_kp c_kp(g) b^k u^p`` with ``u`` the voltage from word line to bit line and ``b``
the bit line's potential, which only a transistor feels. Every coefficient is itself a polynomial of
the programmed conductance ``g``, since programming errors make conductances continuous. The ranges
that were swept travel with the law: outside them it is not to be trusted.
"""

__all__ = [
    "CellSweep",
    "Law",
    "Terms",
    "beyond",
    "evaluate",
    "fit_law",
    "law_over",
    "sweep_cell",
    "sweep_grid",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from ..data.errors import FitError, InputError
from ..data.types import Array
from .cell import Cell, Transistor

TOLERANCE = 1e-6
"""Largest residual that the fit asks for, as a share of the sweep's largest current."""

BASES = ((1, 3), (1, 3, 5), (1, 3, 5, 7), (1, 2, 3, 4, 5), (1, 3, 5, 7, 9), tuple(range(1, 10)))
"""Powers of ``u`` that are tried, cheapest first."""

DEGREE_MAX = 8
"""Highest power of ``g``."""


ROUNDING = 1e-6
"""Relative distance beyond a range that is taken for rounding: callers may work in float32."""


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


@dataclass(frozen=True)
class Law:
    """A cell's current as polynomials of ``u``, ``b`` and ``g``."""

    powers: Mapping[int, tuple[int, ...]]
    """Powers of ``u`` for every power of ``b``."""
    coefficients: Mapping[int, Array]
    """For every power of ``b``: (powers of ``u``, powers of ``t``) in A, where ``t`` runs from -1
    to 1 over :attr:`g_range`, and ``u`` and ``b`` are counted in units of :attr:`v_full`.
    """
    v_full: float
    """Full swing, with its sign [V]."""
    g_range: tuple[float, float]
    """Conductances that were swept [S]."""
    v_range: tuple[float, float]
    """Voltages that were swept [V]."""
    residual: float
    """Root mean square misfit where it matters, as a share of the sweep's largest current."""
    residual_max: float
    """Largest misfit where it matters, as a share of the sweep's largest current."""

    @property
    def linear(self) -> bool:
        """Whether the current is proportional to the voltage."""
        return self.powers == {0: (1,)}

    @property
    def odd(self) -> bool:
        """Whether the current changes its sign with the voltage."""
        return all(p % 2 for p in self.powers[0]) and set(self.powers) == {0}

    def covers(self, g: Array, v: Array) -> bool:
        """Return whether conductances ``g`` [S] and row voltages ``v`` [V] are within its ranges."""
        return bool(self.covers_tiles(g[None])[0] and self.covers_batches(v[None])[0])

    def covers_tiles(self, g: Array) -> NDArray[np.bool_]:
        """Return which tiles have conductances within its range; ``g`` is (tiles, ...)."""
        low, high = self.g_range
        slack = ROUNDING * high
        g = g.reshape(len(g), -1)
        inside = np.asarray((g.min(1) >= low - slack) & (g.max(1) <= high + slack))
        if not inside.all():
            # Open devices are none of its business.
            fits = (g <= 0.0) | ((g >= low - slack) & (g <= high + slack))
            inside = np.asarray(fits.all(1))
        return inside

    def covers_batches(self, v: Array) -> NDArray[np.bool_]:
        """Return which tiles get row voltages within its range; ``v`` is (tiles, ...)."""
        low, high = self.v_range
        slack = ROUNDING * (high - low)
        v = v.reshape(len(v), -1)
        inside = (v.min(1, initial=0.0) >= low - slack) & (v.max(1, initial=0.0) <= high + slack)
        return np.asarray(inside)

    def tree(self) -> dict[str, Any]:
        """Return the law as nested numbers and arrays for a record."""
        return {
            "v_full": self.v_full,
            "g_range": np.array(self.g_range),
            "v_range": np.array(self.v_range),
            "residual": self.residual,
            "residual_max": self.residual_max,
            "terms": {
                str(k): {"powers": np.array(powers), "coefficients": self.coefficients[k]}
                for k, powers in self.powers.items()
            },
        }

    @classmethod
    def of_tree(cls, tree: Mapping[str, Any]) -> "Law":
        """Return the law that :meth:`tree` described."""
        terms = {int(k): row for k, row in tree["terms"].items()}
        return cls(
            powers={k: tuple(row["powers"].tolist()) for k, row in sorted(terms.items())},
            coefficients={k: row["coefficients"] for k, row in sorted(terms.items())},
            v_full=tree["v_full"],
            g_range=(float(tree["g_range"][0]), float(tree["g_range"][1])),
            v_range=(float(tree["v_range"][0]), float(tree["v_range"][1])),
            residual=tree["residual"],
            residual_max=tree["residual_max"],
        )

    def terms(self, g: Any, xp: Any = np) -> "Terms":
        """Return the coefficients of devices with conductances ``g`` [S], in siemens.

        ``g`` may be an array of any namespace ``xp``; open devices (``g = 0``) get zeros.
        """
        low, high = self.g_range
        half = 0.5 * (high - low) or high
        t = (g - 0.5 * (low + high)) * (1.0 / half)
        opened = g <= 0.0
        mask = bool(opened.any())
        terms: Terms = {}
        for k, powers in self.powers.items():
            row = {}
            for p, polynomial in zip(powers, self.coefficients[k], strict=True):
                value = _horner([float(c) / self.v_full for c in polynomial], t)
                row[p] = xp.where(opened, xp.zeros_like(value), value) if mask else value
            terms[k] = row
        return terms

    def slope(self, g: Any, xp: Any = np) -> "Terms":
        """Return the derivatives of :meth:`terms` by ``g``."""
        low, high = self.g_range
        half = 0.5 * (high - low) or high
        t = (g - 0.5 * (low + high)) * (1.0 / half)
        return {
            k: {
                p: _horner([j * float(c) / (self.v_full * half) for j, c in enumerate(row)][1:], t)
                for p, row in zip(powers, self.coefficients[k], strict=True)
            }
            for k, powers in self.powers.items()
        }

    def current(self, u: Any, g: Any, b: Any = 0.0) -> Array:
        """Return the current [A] at ``u`` and ``b`` [V] of devices with conductance ``g`` [S]."""
        u, g, b = np.broadcast_arrays(*(np.asarray(a, float) for a in (u, g, b)))
        i: Array = evaluate(self.terms(g), u / self.v_full, b / self.v_full) * self.v_full
        return i


Terms: TypeAlias = dict[int, dict[int, Any]]
"""``terms[k][p]``: coefficient of ``b^k u^p``, one per device, in siemens; ``u`` and ``b`` in units
of the full swing.
"""


def beyond(terms: Terms, g: Any = None) -> Terms:
    """Return the terms of what devices carry beyond a conductance ``g`` [S], by default their
    small-signal conductance.
    """
    rest = {k: dict(row) for k, row in terms.items()}
    if g is None:
        del rest[0][1]
    else:
        rest[0][1] = rest[0][1] - g
    return {k: row for k, row in rest.items() if row}


def evaluate(
    terms: Terms, u: Any, b: Any, *, by: str = "", room: Sequence[Any] | None = None
) -> Any:
    """Return the current, in siemens times the unit of ``u``, or a derivative of it.

    ``by`` is ``""`` for the current itself, ``"u"`` or ``"b"`` for its first derivatives, ``"uu"``
    for half the second one; 0.0 where no term contributes. ``room`` are two arrays like ``u`` to
    compute in and return; new ones are made without.
    """
    total: Any = 0.0
    for k, row in terms.items():
        if by == "u":
            row = {p - 1: p * c if p > 1 else c for p, c in row.items()}
        elif by == "uu":
            row = {p - 2: 0.5 * p * (p - 1) * c for p, c in row.items() if p > 1}
        if not row or (by == "b" and k == 0):
            continue
        value = _powers(row, u, room if k == 0 else None)
        if by == "b":
            value *= float(k)
        for _ in range(k - 1 if by == "b" else k):
            value *= b
        total = total + value if k else value
    return total


def law_over(cell: Cell, g: Array, v: Array, known: Law | None = None) -> Law:
    """Return a law made from the cell's own equations that covers the conductances ``g`` [S] and
    the row voltages ``v`` [V]: ``known``, or a new one over both ranges.
    """
    closed = g[g > 0.0]
    low, high = (float(closed.min()), float(closed.max())) if closed.size else (0.0, 0.0)
    near, far = float(v.min(initial=0.0)), float(v.max(initial=0.0))
    if known is not None:
        if known.covers(g, v):
            return known
        low, high = min(low, known.g_range[0]), max(high, known.g_range[1])
        near, far = min(near, known.v_range[0]), max(far, known.v_range[1])
    span = cell.v_read if near == far == 0.0 else max(near, far, key=abs)
    # Bit lines lift the devices of idle rows a little to the other side.
    near, far = min(near, span, -0.1 * span), max(far, span, -0.1 * span)
    return fit_law(sweep_cell(cell, np.linspace(low, high, 17), (near, far)))


def sweep_cell(
    cell: Cell, g: Array, v_range: tuple[float, float], *, voltages: int = 61
) -> CellSweep:
    """Return the sweep of a cell by its own equations, without ngspice."""
    g = np.unique(np.asarray(g, float))
    v, b = sweep_grid(cell, v_range, voltages)
    i = cell.current(v[None, :, None], g[:, None, None], b[None, None, :])
    return CellSweep(g, v, b, i)


def sweep_grid(cell: Cell, v_range: tuple[float, float], voltages: int = 61) -> tuple[Array, Array]:
    """Return the voltages and the bit-line potentials [V] at which a cell is swept.

    Potentials beyond 0 V matter only to a transistor, and reach about a third of the swing in a
    tile that is worth reading.
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
    best = _fit(sweep, inner, (1,), 1 if len(sweep.g) > 1 else 0)
    for powers in ((1,), *BASES):
        last = np.inf
        for degree in range(min(DEGREE_MAX, len(sweep.g) - 1) + 1):
            law = _fit(sweep, inner, powers, degree)
            if law.residual_max < 0.7 * best.residual_max:
                best = law
            if best.residual_max <= TOLERANCE:
                return best
            # Once the misfit is that of the powers of u, more powers of g don't help.
            if degree > 1 and law.residual_max > 0.95 * last:
                break
            last = law.residual_max
    if best.residual_max > 0.02:
        raise FitError(
            f"no polynomial follows the cell's current: the best misses it by "
            f"{100 * best.residual_max:.2g} % of full scale; read such cells with the line solver"
        )
    return best


def _fit(
    sweep: CellSweep, inner: tuple[float, float] | None, powers: tuple[int, ...], degree: int
) -> Law:
    """Fit all levels, voltages and potentials by weighted least squares."""
    g, v, b = sweep.g, sweep.v, sweep.b
    low, high, full = float(g[0]), float(g[-1]), float(v[np.abs(v).argmax()])
    half = 0.5 * (high - low) or high
    t = chebyshev.chebvander((g - 0.5 * (low + high)) / half, degree)
    plan = {0: powers}
    if len(b) > 1:
        plan |= {1: powers[:4], 2: powers[:2]}
    columns = np.array(
        [(v[:, None] / full) ** p * (b / full) ** k for k, ps in plan.items() for p in ps]
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


def _horner(coefficients: list[float], t: Any) -> Any:
    value = coefficients[-1] + 0.0 * t
    for c in coefficients[-2::-1]:
        value *= t
        value += c
    return value


def _powers(row: Mapping[int, Any], u: Any, room: Sequence[Any] | None = None) -> Any:
    """Return ``sum_p row[p] u^p`` as a new array, by Horner's rule in ``u`` or, better, ``u^2``."""
    top, low = max(row), min(row)
    if top == low:
        return row[top] * u**top
    step = 2 if all((top - p) % 2 == 0 for p in row) else 1
    if room is None:
        factor = u * u if step == 2 else u
        value = row[top] * factor
    else:
        value, factor = room[0], room[1] if step == 2 else u
        if step == 2:
            factor[...] = u
            factor *= u
        value[...] = factor
        value *= row[top]
    for p in range(top - step, low - 1, -step):
        if p in row:
            value += row[p]
        if p > low:
            value *= factor
    for _ in range(low):
        value *= u
    return value
