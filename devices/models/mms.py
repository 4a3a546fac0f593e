"""Data-driven ReRAM model (Messaris et al., IEEE TCAD 37, 3151, 2018,
doi:10.1109/TCAD.2018.2791468).

The state is the resistance R, here from ``r_max`` (x = 0) to ``r_min`` (x = 1), which runs towards
a voltage-dependent end and stops there. With v > 0 for SET (the paper's TiOx devices have the
opposite sign):

    i = (a/R) sinh(b v)
    dR/dt = -A_set   (e^(t_set v) - 1)    (e^(k_set (R - r(v))) - 1)      v > 0, R > r(v) = r_set +
    s_set v dR/dt =  A_reset (e^(t_reset |v|) - 1)(e^(k_reset (r(v) - R)) - 1)    v < 0, R < r(v) =
    r_reset + s_reset |v|

At constant voltage this has a closed solution: :func:`pulse_response`.
"""

__all__ = ["declare", "pulse_response"]

from collections.abc import Mapping

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..functions import LIMIT, by_sign, inside, limexp, limsinh
from ..model import SERIES, CompactModel, Parameter, symbols

_TABLE = (
    Parameter("a_p", "V", 0.24, 1e-3, 10.0, True, "current scale, v >= 0 (times R)"),
    Parameter("a_n", "V", 0.24, 1e-3, 10.0, True, "current scale, v < 0 (times R)"),
    Parameter("b_p", "1/V", 2.81, 0.01, 25.0, True, "curvature, v >= 0"),
    Parameter("b_n", "1/V", 2.81, 0.01, 25.0, True, "curvature, v < 0"),
    Parameter("A_set", "ohm/s", 79.03, 1e-9, 1e12, True, "SET rate"),
    Parameter("A_reset", "ohm/s", 0.12, 1e-9, 1e12, True, "RESET rate"),
    Parameter("t_set", "1/V", 1.12, 0.01, 20.0, False, "voltage dependence of the SET rate"),
    Parameter("t_reset", "1/V", 0.59, 0.01, 20.0, False, "voltage dependence of the RESET rate"),
    Parameter("k_set", "1/ohm", 9.43e-3, 1e-9, 1.0, True, "how the SET rate fades towards its end"),
    Parameter("k_reset", "1/ohm", 8.1e-3, 1e-9, 1.0, True, "the same for RESET"),
    Parameter("r_set", "ohm", 5193.0, -1e9, 1e9, False, "end of SET at 0 V"),
    Parameter("s_set", "ohm/V", -378.0, -1e9, 1e9, False, "its change with v"),
    Parameter("r_reset", "ohm", 3085.0, -1e9, 1e9, False, "end of RESET at 0 V"),
    Parameter("s_reset", "ohm/V", 1862.0, -1e9, 1e9, False, "its change with |v|"),
    Parameter("r_min", "ohm", 4300.0, 1.0, 1e12, True, "resistance at x = 1", True),
    Parameter("r_max", "ohm", 7000.0, 1.0, 1e12, True, "resistance at x = 0", True),
    SERIES,
)


def declare(name: str) -> CompactModel:
    """Return ``mms``."""
    v, x, a_p, a_n, b_p, b_n = symbols("V", "X", "a_p", "a_n", "b_p", "b_n")
    r_min, r_max = symbols("r_min", "r_max")
    span = r_max - r_min
    r = r_max - inside(x) * span
    a, t, k, end, slope = (by_sign(v, *symbols(f"{w}_set", f"{w}_reset")) for w in "Atkrs")
    target = sp.Min(sp.Max(end + slope * sp.Abs(v), r_min), r_max)
    left = sp.Max(by_sign(v, 1, -1) * (r - target), 0)
    speed = a * (limexp(t * sp.Abs(v)) - 1) * (limexp(k * left) - 1)
    rate = by_sign(v, 1, -1) * speed / span
    return CompactModel(
        name,
        "data-driven ReRAM (MMS)",
        _TABLE,
        by_sign(v, a_p, a_n) / r * limsinh(by_sign(v, b_p, b_n) * v),
        rate,
        doi="10.1109/TCAD.2018.2791468",
    )


def pulse_response(
    p: Mapping[str, ArrayLike], x: ArrayLike, v: ArrayLike, duration: ArrayLike
) -> Array:
    """Return the state after ``duration`` [s] at the constant voltage v [V], in closed form.

    With y the distance to the end r(v), dy/dt = -c (e^(ky) - 1) has the solution
    1 - e^(-ky) = (1 - e^(-k y_0)) e^(-k c t). All arguments broadcast; no series resistance.

    Parameters
    ----------
    p
        Parameters by name, SI, numbers or arrays that broadcast.
    x
        State [0..1], an array that broadcasts.
    v
        Voltage [V], an array that broadcasts.
    duration
        How long the voltage stands [s].

    Raises
    ------
    InputError
        If ``p`` has a series resistance, through which the voltage is not constant.
    """
    q = {row.name: np.asarray(p.get(row.name, row.default), float) for row in _TABLE}
    if np.any(q["r_s"]):
        raise InputError("the closed pulse response of MMS holds without series resistance only")
    v, span = np.asarray(v, float), q["r_max"] - q["r_min"]
    r = q["r_max"] - np.asarray(x, float) * span
    rising = v >= 0
    a, t, k, end, slope = (
        np.where(rising, q[f"{letter}_set"], q[f"{letter}_reset"]) for letter in "Atkrs"
    )
    sign = np.where(rising, 1.0, -1.0)
    target = np.clip(end + slope * np.abs(v), q["r_min"], q["r_max"])
    y = np.maximum(sign * (r - target), 0.0)
    c = a * np.expm1(np.minimum(t * np.abs(v), LIMIT))
    left = -np.expm1(-k * y) * np.exp(-np.minimum(k * c * np.asarray(duration, float), 700.0))
    moved = sign * (y + np.log1p(-left) / k)
    return np.asarray(np.clip((q["r_max"] - (r - moved)) / span, 0.0, 1.0), float)
