"""Generalised metastable switch (Nugent and Molter 2014, doi:10.1371/journal.pone.0085175).

A device is a collection of switches, x of which are on. In a time much longer than tau,

    dx/dt = (1/tau) [(1 - x) P((v - v_on)/v_T) - x P(-(v + v_off)/v_T)],   P(u) = 1/(1 + e^-u),
    v_T = kT/q i = phi v (x/r_on + (1 - x)/r_off) + (1 - phi) (s_f (e^(b_f v) - 1) - s_r (e^(-b_r
    v) - 1))

x stays in [0, 1] by itself: no window, and nothing to stick to. The Schottky terms are written
with -1, which is the published form where s_f = s_r, and carries no current at 0 V where it is
not. The stochastic form of the same device, with a finite number of switches, is in
:mod:`memtwin.devices.dynamics.switches`.
"""

__all__ = ["declare", "probabilities"]

import sympy as sp

from ..functions import limexp, logistic
from ..model import SERIES, CompactModel, Parameter, symbols

_KB = 8.617333262e-5  # [eV/K]

_TABLE = (
    Parameter("r_on", "ohm", 500.0, 1.0, 1e9, True, "resistance with all switches on"),
    Parameter("r_off", "ohm", 1500.0, 1.0, 1e12, True, "resistance with all switches off"),
    Parameter("v_on", "V", 0.27, 0.0, 5.0, False, "voltage that turns switches on"),
    Parameter("v_off", "V", 0.27, 0.0, 5.0, False, "voltage (magnitude) that turns them off"),
    Parameter("tau", "s", 1e-4, 1e-12, 1e3, True, "time constant of the switches"),
    Parameter("temperature", "K", 298.5, 200.0, 500.0, False, "temperature", True),
    Parameter("phi", "1", 0.8, 0.0, 1.0, False, "share of the memristive current"),
    Parameter("s_f", "A", 8e-4, 0.0, 1.0, False, "Schottky current, forward"),
    Parameter("s_r", "A", 8e-4, 0.0, 1.0, False, "Schottky current, reverse"),
    Parameter("b_f", "1/V", 4.0, 0.0, 40.0, False, "Schottky exponent, forward"),
    Parameter("b_r", "1/V", 4.0, 0.0, 40.0, False, "Schottky exponent, reverse"),
    SERIES,
)


def declare(name: str) -> CompactModel:
    """Return ``knowm``."""
    v, x, r_on, r_off, tau, phi = symbols("V", "X", "r_on", "r_off", "tau", "phi")
    s_f, s_r, b_f, b_r = symbols("s_f", "s_r", "b_f", "b_r")
    on, off = probabilities(v)
    schottky = s_f * (limexp(b_f * v) - 1) - s_r * (limexp(-b_r * v) - 1)
    return CompactModel(
        name,
        "generalised metastable switch (Knowm)",
        _TABLE,
        phi * v * (x / r_on + (1 - x) / r_off) + (1 - phi) * schottky,
        ((1 - x) * on - x * off) / tau,
        doi="10.1371/journal.pone.0085175",
    )


def probabilities(v: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """Return the probabilities per tau of turning on and of turning off."""
    v_on, v_off, temperature = symbols("v_on", "v_off", "temperature")
    v_t = sp.Float(_KB) * temperature
    return logistic((v - v_on) / v_t), logistic(-(v + v_off) / v_t)
