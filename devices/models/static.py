"""Devices without dynamics: the laws that circuit tests are made of.

``resistor``    i = x v, where x is the conductance itself [S]
``sinh``        i = x sinh(b v) / b, x the conductance at small signal [S]
``sinh_state``  i = x sinh(b v) / b with b falling from b_hrs to b_lrs as x grows from 0 to g_max:
                a filament becomes ohmic as it grows
``sinh_decay``  the same with b = b_hrs exp(-x/g_bend)
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import inside, limsinh
from ..model import SERIES, CompactModel, Parameter, symbols

_LEAST = 1e-3
"""Of the curvature that is left of a cell that has become ohmic; a law must not divide by 0."""

_B = Parameter("b", "1/V", 2.0, 0.01, 50.0, True, "curvature of the I-V law")


def declare(name: str) -> CompactModel:
    """Return the model ``name``."""
    return {
        "resistor": _resistor,
        "sinh": _sinh,
        "sinh_state": _sinh_state,
        "sinh_decay": _sinh_decay,
    }[name]()


def _resistor() -> CompactModel:
    v, x = symbols("V", "X")
    return CompactModel(
        "resistor", "ohmic resistor", (SERIES,), x * v, None, state_range=(0.0, float("inf"))
    )


def _sinh() -> CompactModel:
    v, x, b = symbols("V", "X", "b")
    return CompactModel(
        "sinh",
        "sinh conduction",
        (_B, SERIES),
        x * limsinh(b * v) / b,
        None,
        state_range=(0.0, float("inf")),
    )


def _sinh_state() -> CompactModel:
    v, x, b_hrs, b_lrs, g_max = symbols("V", "X", "b_hrs", "b_lrs", "g_max")
    # Clipped, because far above g_max (or below 0) b would change sign.
    b = b_hrs + (b_lrs - b_hrs) * inside(x / g_max)
    table = (
        Parameter("b_hrs", "1/V", 5.0, 0.01, 50.0, True, "curvature at zero conductance"),
        Parameter("b_lrs", "1/V", 1.0, 0.01, 50.0, True, "curvature at g_max"),
        Parameter("g_max", "S", 1e-4, 1e-9, 1.0, True, "conductance at which b = b_lrs"),
        SERIES,
    )
    return CompactModel(
        "sinh_state",
        "sinh conduction with state-dependent curvature",
        table,
        x * limsinh(b * v) / b,
        None,
        state_range=(0.0, float("inf")),
    )


def _sinh_decay() -> CompactModel:
    v, x, b_hrs, g_bend = symbols("V", "X", "b_hrs", "g_bend")
    b = b_hrs * (sp.exp(-x / g_bend) + _LEAST)
    table = (
        Parameter("b_hrs", "1/V", 5.0, 0.01, 50.0, True, "curvature at zero conductance"),
        Parameter("g_bend", "S", 5e-5, 1e-9, 1.0, True, "conductance at which b has fallen to 1/e"),
        SERIES,
    )
    return CompactModel(
        "sinh_decay",
        "sinh conduction that becomes ohmic",
        table,
        x * limsinh(b * v) / b,
        None,
        state_range=(0.0, float("inf")),
    )
