"""VTEAM, the voltage-threshold adaptive memristor (Kvatinsky et al. 2015,
doi:10.1109/TCSII.2015.2433536).

The state is normalised and counts conduction: x = 1 in the LRS, and positive voltage sets.

    dx/dt =  k_set   ⟨v/v_set - 1⟩^a_set     f_set(x)      v >= 0
    dx/dt = -k_reset ⟨-v/v_reset - 1⟩^a_reset f_reset(x)   v < 0

⟨u⟩ is max(u, 0) with its kink rounded over ``smooth`` (a fraction of the threshold), which keeps
every power of it defined, and its slope continuous. Resistance: linear, R = r_off + (r_on - r_off)
x, or exponential, R = r_off (r_on/r_off)^x. Windows:

- biolek: f_set = 1 - x^2p, f_reset = 1 - (1-x)^2p (asymmetric: never sticks)
- asymmetric: f_set = tanh((1-x)/w), f_reset = tanh(x/w), flat inside and rounded at the bound it
  runs into (after Biolek et al. 2021, doi:10.1109/ACCESS.2021.3059241)
- kvatinsky: f_set = exp(-exp((x - (1-3w))/w)), f_reset = exp(-exp((3w - x)/w))
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import above, by_sign, inside, limexp, power
from ..model import SERIES, CompactModel, Parameter, symbols

_WINDOWS = {"biolek": "Biolek", "asymmetric": "asymmetric", "kvatinsky": "double-exponential"}

_TABLE = (
    Parameter("r_on", "ohm", 1e3, 1.0, 1e9, True, "resistance at x = 1"),
    Parameter("r_off", "ohm", 1e5, 1.0, 1e12, True, "resistance at x = 0"),
    Parameter("v_set", "V", 0.5, 0.01, 10.0, False, "SET threshold"),
    Parameter("v_reset", "V", 0.5, 0.01, 10.0, False, "RESET threshold (magnitude)"),
    Parameter("k_set", "1/s", 1e3, 1e-6, 1e12, True, "SET rate at twice the threshold"),
    Parameter("k_reset", "1/s", 1e3, 1e-6, 1e12, True, "RESET rate at twice the threshold"),
    Parameter("a_set", "1", 3.0, 1.0, 20.0, False, "power of the SET overdrive"),
    Parameter("a_reset", "1", 3.0, 1.0, 20.0, False, "power of the RESET overdrive"),
)
_P = Parameter("p", "1", 1.0, 1.0, 10.0, False, "sharpness of the window", True)
_W = Parameter("w", "1", 0.05, 0.005, 0.5, False, "width of the window's edge", True)
_SMOOTH = Parameter("smooth", "1", 0.02, 1e-3, 0.2, True, "rounding of the thresholds", True)


def declare(name: str) -> CompactModel:
    """Return the variant ``name``: ``vteam[_exp][_asymmetric|_kvatinsky]``."""
    _, *words = name.split("_")
    exponential = "exp" in words
    window = next((w for w in words if w in _WINDOWS), "biolek")
    v, x, r_on, r_off, smooth = symbols("V", "X", "r_on", "r_off", "smooth")
    v_set, v_reset, k_set, k_reset = symbols("v_set", "v_reset", "k_set", "k_reset")
    a_set, a_reset = symbols("a_set", "a_reset")
    f_set, f_reset = _window(window)
    # Clipped, because just above x = 1 the linear resistance falls to 0.
    current = (
        v / r_off * limexp(x * sp.log(r_off / r_on))
        if exponential
        else v / (r_off + (r_on - r_off) * inside(x))
    )
    overdrive = above(sp.Abs(v) / by_sign(v, v_set, v_reset) - 1, smooth)
    rate = by_sign(
        v,
        k_set * power(overdrive, a_set) * f_set,
        -k_reset * power(overdrive, a_reset) * f_reset,
    )
    shape = "exponential" if exponential else "linear"
    return CompactModel(
        name,
        f"VTEAM, {shape} resistance, {_WINDOWS[window]} window",
        (*_TABLE, _P if window == "biolek" else _W, _SMOOTH, SERIES),
        current,
        rate,
        doi="10.1109/TCSII.2015.2433536",
    )


def _window(name: str) -> tuple[sp.Expr, sp.Expr]:
    x, p, w = symbols("X", "p", "w")
    if name == "biolek":  # squared first: an even power of any base, also just outside [0, 1]
        return 1 - power(x**2, p), 1 - power((1 - x) ** 2, p)
    if name == "asymmetric":
        return sp.tanh((1 - x) / w), sp.tanh(x / w)
    return sp.exp(-limexp((x - 1) / w + 3)), sp.exp(-limexp(3 - x / w))
