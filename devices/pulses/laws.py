"""How a conductance answers identical pulses: the closed-form laws of the synaptic-device
literature.

Each law says what the conductance is after n pulses of a ramp that starts at ``start``; it is the
integral of a step that depends on the conductance alone, so that it can be entered at any point of
the ramp.

===============  ===========================================  ================================
law              conductance after n pulses, Δ = bound-start  step per pulse
===============  ===========================================  ================================
``exponential``  start + (stop-start) (1-e^(-cn/P))/(1-e^-c)  linear in g (NeuroSim)
``soft_bounds``  bound - Δ e^(-rn)                            r (bound - g)
``exp_step``     bound - (Δ/k) ln(1 + (e^k - 1) e^(-rn))      (rΔ/k)(1 - e^(k(g - bound)/Δ))
``power_step``   bound - Δ (1 + (γ - 1) r n)^(-1/(γ - 1))     rΔ ((bound - g)/Δ)^γ
``piecewise``    inverse of n(g) = ∫ dg / step(g)             linear between nodes
===============  ===========================================  ================================

exponential: Chen, Peng, Yu, TCAD 37, 3067 (2018), doi:10.1109/TCAD.2018.2789723; the others as in
the IBM analog hardware acceleration kit, Rasch et al., AICAS 2021,
doi:10.1109/AICAS51828.2021.9458494. P is the length of the ramp, n is counted in units of P where
a rate r stands.
"""

__all__ = ["LAWS", "PulseLaw"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ...data.types import Array

_NODES = 8  # where the piecewise law has a step of its own
_TINY = 1e-6


@dataclass(frozen=True)
class PulseLaw:
    """One law.

    Attributes
    ----------
    name
        Its key in :data:`LAWS`.
    names
        Its parameters; the first is always ``start``, in the unit of the conductance.
    curve
        (n of any shape, parameters, P) -> conductance after n pulses.
    guess
        (measured ramp, P) -> starting points for a fit, each a list of parameters.
    bounds
        (measured ramp, P) -> bounds (low, high) of each parameter.
    """

    name: str
    names: tuple[str, ...]
    curve: Callable[[Array, Array, int], Array]
    guess: Callable[[Array, int], list[list[float]]]
    bounds: Callable[[Array, int], list[tuple[float, float]]]


def _exponential(n: Array, p: Array, pulses: int) -> Array:
    start, stop, c = p
    return np.asarray(start + (stop - start) * _fraction(n / pulses, c))


def _fraction(share: Array, c: float) -> Array:
    """Return (1 - e^(-c s))/(1 - e^-c), s itself at c = 0."""
    if abs(c) < _TINY:
        return np.asarray(share * (1.0 + 0.5 * c * (1.0 - share)))
    return np.asarray(np.expm1(-c * share) / np.expm1(-c))


def _soft_bounds(n: Array, p: Array, pulses: int) -> Array:
    start, bound, r = p
    return np.asarray(bound + (start - bound) * np.exp(-r * n / pulses))


def _exp_step(n: Array, p: Array, pulses: int) -> Array:
    start, bound, r, k = p
    rise = bound - start
    if abs(k) < _TINY:
        return _soft_bounds(n, p[:3], pulses)
    return np.asarray(bound - rise / k * np.log1p(np.expm1(k) * np.exp(-r * n / pulses)))


def _power_step(n: Array, p: Array, pulses: int) -> Array:
    start, bound, r, gamma = p
    rise = bound - start
    over = gamma - 1.0
    if abs(over) < _TINY:
        return _soft_bounds(n, p[:3], pulses)
    inside = np.maximum(1.0 + over * r * n / pulses, 0.0)
    with np.errstate(divide="ignore"):
        left = np.where(inside > 0.0, np.exp(-np.log(np.maximum(inside, 1e-300)) / over), 0.0)
    return np.asarray(bound - rise * np.minimum(left, 1e6))


def _piecewise(n: Array, p: Array, pulses: int) -> Array:
    start, stop, *others = p
    slopes = [0.0, *others]  # logarithms of the steps; only their ratios matter
    # the steps at the nodes set the shape, start and stop the scale: pulses passed up to each node
    fine = np.linspace(0.0, 1.0, 20 * (len(slopes) - 1) + 1)
    speed = np.exp(np.interp(fine, np.linspace(0.0, 1.0, len(slopes)), slopes))
    passed = np.concatenate(
        [[0.0], np.cumsum(np.diff(fine) * 0.5 * (1 / speed[1:] + 1 / speed[:-1]))]
    )
    share = np.interp(n / pulses, passed / passed[-1], fine)
    beyond = np.maximum(n / pulses - 1.0, 0.0) * passed[-1] * speed[-1]
    return np.asarray(start + (stop - start) * (share + beyond))


def _ends(g: Array) -> tuple[float, float, float]:
    """Return first and last value of a ramp, each from a few points, and its span."""
    few = max(len(g) // 40, 1)
    return float(np.mean(g[:few])), float(np.mean(g[-few:])), float(np.ptp(g))


def _shape_guess(*shapes: list[float]) -> Callable[[Array, int], list[list[float]]]:
    def guess(g: Array, pulses: int) -> list[list[float]]:
        first, last, _ = _ends(g)
        return [[first, last, *shape] for shape in shapes]

    return guess


def _bound_guess(*shapes: list[float]) -> Callable[[Array, int], list[list[float]]]:
    def guess(g: Array, pulses: int) -> list[list[float]]:
        first, last, _ = _ends(g)
        return [
            [first, first + far * (last - first), *shape] for far in (1.02, 1.5) for shape in shapes
        ]

    return guess


def _shape_bounds(
    *limits: tuple[float, float],
) -> Callable[[Array, int], list[tuple[float, float]]]:
    def bounds(g: Array, pulses: int) -> list[tuple[float, float]]:
        first, last, span = _ends(g)
        return [
            (first - 0.6 * span, first + 0.6 * span),
            (last - 0.6 * span, last + 0.6 * span),
            *limits,
        ]

    return bounds


def _far_bounds(*limits: tuple[float, float]) -> Callable[[Array, int], list[tuple[float, float]]]:
    def bounds(g: Array, pulses: int) -> list[tuple[float, float]]:
        first, last, span = _ends(g)
        rise = last - first
        edge = (first + 0.6 * rise, first + 20.0 * rise)
        return [(first - 0.6 * span, first + 0.4 * span), (min(edge), max(edge)), *limits]

    return bounds


LAWS: Mapping[str, PulseLaw] = {
    law.name: law
    for law in (
        PulseLaw(
            "exponential",
            ("start", "stop", "c"),
            _exponential,
            _shape_guess([1.0], [5.0], [-2.0]),
            _shape_bounds((-30.0, 200.0)),
        ),
        PulseLaw(
            "soft_bounds",
            ("start", "bound", "r"),
            _soft_bounds,
            _bound_guess([1.0], [6.0]),
            _far_bounds((1e-3, 500.0)),
        ),
        PulseLaw(
            "exp_step",
            ("start", "bound", "r", "k"),
            _exp_step,
            _bound_guess([2.0, 0.5], [6.0, -3.0], [20.0, 6.0], [2.0, -3.0]),
            _far_bounds((1e-3, 500.0), (-30.0, 60.0)),
        ),
        PulseLaw(
            "power_step",
            ("start", "bound", "r", "gamma"),
            _power_step,
            _bound_guess([1.0, 0.5], [6.0, 2.0], [20.0, 3.0]),
            _far_bounds((1e-3, 5e3), (0.02, 12.0)),
        ),
        PulseLaw(
            "piecewise",
            ("start", "stop", *(f"s{k}" for k in range(1, _NODES))),
            _piecewise,
            _shape_guess([0.0] * (_NODES - 1), list(np.linspace(0.0, -3.0, _NODES)[1:])),
            _shape_bounds(*[(-6.0, 6.0)] * (_NODES - 1)),
        ),
    )
}
"""Every law by its name."""
