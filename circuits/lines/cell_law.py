"""The current of a cell as a polynomial: what the surrogate knows about devices.

``i(u, b; g) = sum_kp c_kp(g) b^k u^p`` with ``u`` the voltage from word line to bit line and ``b``
the bit line's potential, which only a transistor feels; for devices that rectify, another
polynomial is added where ``u`` is below zero. Every coefficient is itself a polynomial of
the programmed conductance ``g``, since programming errors make conductances continuous. The ranges
that were swept travel with the law: outside them it is not to be trusted.
"""

__all__ = ["KINK", "ROUNDING", "Law", "Terms", "beyond", "centred", "evaluate", "within"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array

ROUNDING = 1e-6
"""Relative distance beyond a range that is taken for rounding: callers may work in float32."""


@dataclass(frozen=True)
class Law:
    """A cell's current as polynomials of ``u``, ``b`` and ``g``."""

    powers: Mapping[int, tuple[int, ...]]
    """Powers of ``u`` for every power of ``b``, and for :data:`KINK`."""
    coefficients: Mapping[int, Array]
    """For each of those: (powers of ``u``, powers of ``t``) in A, where ``t`` runs from -1
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

    def __post_init__(self) -> None:
        # Sums of floats depend on their order: one order, wherever the terms come from.
        for name in ("powers", "coefficients"):
            rows = getattr(self, name)
            order = sorted(rows, key=lambda k: (k == KINK, k))
            object.__setattr__(self, name, {k: rows[k] for k in order})

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
        return bool(self.covers_tiles(g[None])[0] and self.covers_voltages(v))

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

    def covers_voltages(self, v: Array) -> bool:
        """Return whether all row voltages ``v`` [V] are within its range."""
        return bool(within(v, self.v_range))

    def terms(self, g: Any, xp: Any = np) -> "Terms":
        """Return the coefficients of devices with conductances ``g`` [S], in siemens.

        ``g`` may be an array of any namespace ``xp``; open devices (``g = 0``) get zeros.
        """
        middle, half = centred(self.g_range)
        t = (g - middle) * (1.0 / half)
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
        middle, half = centred(self.g_range)
        t = (g - middle) * (1.0 / half)
        return {
            k: {
                p: _horner([j * float(c) / (self.v_full * half) for j, c in enumerate(row)][1:], t)
                for p, row in zip(powers, self.coefficients[k], strict=True)
            }
            for k, powers in self.powers.items()
        }

    def current(self, u: Any, g: Any, b: Any = 0.0) -> Array:
        """Return the current [A] at ``u`` and ``b`` [V] of devices with conductance ``g`` [S].

        Parameters
        ----------
        u
            Voltage across the cell, in an array that broadcasts [V].
        g
            Conductances, (..., rows, cols) [S].
        b
            Potential of the bit line, where the law depends on it [V].
        """
        u, g, b = np.broadcast_arrays(*(np.asarray(a, float) for a in (u, g, b)))
        i: Array = evaluate(self.terms(g), u / self.v_full, b / self.v_full) * self.v_full
        return i


KINK = -1
"""Key, beside the powers of ``b``, of what is added where ``u`` is below zero."""

Terms: TypeAlias = dict[int, dict[int, Any]]
"""``terms[k][p]``: coefficient of ``b^k u^p``, one per device, in siemens; ``u`` and ``b`` in units
of the full swing.
"""


def within(v: Array, bounds: tuple[float, float], axis: int | None = None) -> Any:
    """Return whether all of ``v`` [V], or all along an axis of it, are within ``bounds``.

    Parameters
    ----------
    v
        Voltages [V].
    bounds
        Lowest and highest voltage [V].
    axis
        Axis along which all must be within; by default all of them.
    """
    low, high = bounds
    slack = ROUNDING * (high - low)
    return (v.min(axis, initial=0.0) >= low - slack) & (v.max(axis, initial=0.0) <= high + slack)


def centred(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the middle of ``bounds`` and half their distance, or something to divide by."""
    low, high = bounds
    return 0.5 * (low + high), 0.5 * (high - low) or high or 1.0


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

    Parameters
    ----------
    terms
        Coefficients of the polynomials.
    u
        Voltage across the cells, in the unit of the terms.
    b
        Potential of the bit line, in the unit of the terms.
    by
        Which derivative: ``""``, ``"u"``, ``"b"`` or ``"uu"``.
    room
        Two arrays like ``u`` to compute in.
    """
    total: Any = None
    for k, given in terms.items():
        if k == KINK:
            if by == "b":
                continue
            value = _below(given, u, by)
        else:
            row = _derivative(given, by)
            if not row or (by == "b" and k == 0):
                continue
            value = _powers(row, u, room if k == 0 else None)
            if by == "b":
                value *= float(k)
            for _ in range(k - 1 if by == "b" else k):
                value *= b
        total = value if total is None else total + value
    return 0.0 if total is None else total


def _derivative(row: Mapping[int, Any], by: str) -> Mapping[int, Any]:
    """Return the coefficients of the derivative by ``u``, or of half the second one."""
    if by == "u":
        return {p - 1: p * c if p > 1 else c for p, c in row.items()}
    if by == "uu":
        return {p - 2: 0.5 * p * (p - 1) * c for p, c in row.items() if p > 1}
    return row


def _below(row: Mapping[int, Any], u: Any, by: str) -> Any:
    """Return what the kink adds, or a derivative of it."""
    lower = 0.5 * (u - abs(u))
    if not (lower < 0.0).any():
        return 0.0 * lower
    if not by:
        return _powers(row, lower)
    row = _derivative(row, by)
    return _powers(row, lower) * (u < 0.0) if row else 0.0


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
