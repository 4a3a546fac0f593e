"""A threshold switch that forgets: on above a threshold of either sign, off again without voltage.

    i = v (x/r_on + (1 - x)/r_off)
    dx/dt = (1 - x)/tau_on P((|v| - v_on)/v_w) - x/tau_off P((v_hold - |v|)/v_w),   P(u) = 1/(1 + e^-u)

This is the phenomenology of diffusive memristors (Wang et al., Nature Materials 16, 101, 2017,
doi:10.1038/nmat4756) as a metastable switch for each direction: filaments grow in ``tau_on`` above
``v_on`` and dissolve in ``tau_off`` below ``v_hold``; between the two the state stays. Both polarities do
the same. The equations are this package's own.
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import inside, logistic
from ..model import SERIES, CompactModel, Parameter, symbols

_TABLE = (
    Parameter("r_on", "ohm", 1e4, 1.0, 1e9, True, "resistance at x = 1"),
    Parameter("r_off", "ohm", 1e9, 1.0, 1e15, True, "resistance at x = 0"),
    Parameter("v_on", "V", 0.4, 0.01, 10.0, False, "voltage (magnitude) that switches on"),
    Parameter("v_hold", "V", 0.1, 0.0, 10.0, False, "voltage (magnitude) below which it goes off"),
    Parameter("v_w", "V", 0.01, 1e-3, 1.0, True, "width of both thresholds"),
    Parameter("tau_on", "s", 1e-6, 1e-12, 1e3, True, "time constant of switching on"),
    Parameter("tau_off", "s", 1e-3, 1e-12, 1e6, True, "time constant of relaxing"),
    SERIES,
)


def declare(name: str) -> CompactModel:
    """Return ``volatile``."""
    v, x, r_on, r_off, v_on = symbols("V", "X", "r_on", "r_off", "v_on")
    v_hold, v_w, tau_on, tau_off = symbols("v_hold", "v_w", "tau_on", "tau_off")
    within = inside(x)
    grown = logistic((sp.Abs(v) - v_on) / v_w) / tau_on
    dissolved = logistic((v_hold - sp.Abs(v)) / v_w) / tau_off
    return CompactModel(
        name,
        "volatile threshold switch",
        _TABLE,
        v * (within / r_on + (1 - within) / r_off),
        (1 - x) * grown - x * dissolved,
        doi="10.1038/nmat4756",
        notes="either polarity switches on; without voltage it goes off",
    )
