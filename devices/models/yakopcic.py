"""The generalised memristor model of Yakopcic et al., in its 2013 and its 2020 form.

    2013   i = a_p x sinh(b_p v)  (v >= 0),   a_n x sinh(b_n v)  (v < 0)
           (doi:10.1109/LED.2011.2163292, doi:10.1109/TCAD.2013.2252057; there with one b)
    2020   i = h_max(v) x + h_min(v) (1 - x),   h = g sinh(b v) with g and b per polarity
           (doi:10.1109/TCAD.2019.2912946)

    dx/dt =  A_p (e^v - e^v_p) f_p(x)       v > v_p
    dx/dt = -A_n (e^-v - e^v_n) f_n(x)      v < -v_n

    f_p = exp(-α_p (x - x_p)) (1 - x)/(1 - x_p)             x >= x_p, else 1
    f_n = exp(α_n (x + x_n - 1)) x/(1 - x_n)                x <= 1 - x_n, else 1

The step in slope at the thresholds is rounded over the fraction ``smooth`` of e^v_p - 1; the
windows are written with max(x - x_p, 0), which has the same values as the published two pieces and
no second branch to overflow.
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import above, by_sign, limexp, limsinh
from ..model import SERIES, CompactModel, Parameter, symbols

_DYNAMICS = (
    Parameter("v_p", "V", 0.5, 0.01, 5.0, False, "SET threshold"),
    Parameter("v_n", "V", 0.5, 0.01, 5.0, False, "RESET threshold (magnitude)"),
    Parameter("A_p", "1/s", 100.0, 1e-6, 1e12, True, "SET rate per unit of e^v - e^v_p"),
    Parameter("A_n", "1/s", 100.0, 1e-6, 1e12, True, "RESET rate per unit of e^-v - e^v_n"),
    Parameter("alpha_p", "1", 1.0, 0.0, 20.0, False, "decay of the SET rate beyond x_p"),
    Parameter("alpha_n", "1", 1.0, 0.0, 20.0, False, "decay of the RESET rate below 1 - x_n"),
    Parameter("x_p", "1", 0.3, 0.0, 0.95, False, "state above which SET slows down"),
    Parameter("x_n", "1", 0.3, 0.0, 0.95, False, "1 - state below which RESET slows down"),
    Parameter("smooth", "1", 0.02, 1e-3, 0.2, True, "rounding of the thresholds", True),
    SERIES,
)
_FORM_2013 = (
    Parameter("a_p", "A", 0.1, 1e-15, 10.0, True, "current scale, v >= 0"),
    Parameter("a_n", "A", 0.1, 1e-15, 10.0, True, "current scale, v < 0"),
    Parameter("b_p", "1/V", 1.0, 0.01, 25.0, True, "curvature, v >= 0"),
    Parameter("b_n", "1/V", 1.0, 0.01, 25.0, True, "curvature, v < 0"),
)
_FORM_2020 = (
    Parameter("gmax_p", "A", 1e-4, 1e-15, 10.0, True, "current scale at x = 1, v >= 0"),
    Parameter("gmax_n", "A", 1e-4, 1e-15, 10.0, True, "current scale at x = 1, v < 0"),
    Parameter("bmax_p", "1/V", 3.0, 0.01, 25.0, True, "curvature at x = 1, v >= 0"),
    Parameter("bmax_n", "1/V", 3.0, 0.01, 25.0, True, "curvature at x = 1, v < 0"),
    Parameter("gmin_p", "A", 1e-6, 1e-18, 10.0, True, "current scale at x = 0, v >= 0"),
    Parameter("gmin_n", "A", 1e-6, 1e-18, 10.0, True, "current scale at x = 0, v < 0"),
    Parameter("bmin_p", "1/V", 3.0, 0.01, 25.0, True, "curvature at x = 0, v >= 0"),
    Parameter("bmin_n", "1/V", 3.0, 0.01, 25.0, True, "curvature at x = 0, v < 0"),
)


def declare(name: str) -> CompactModel:
    """Return ``yakopcic`` (2013 form) or ``yakopcic2020``."""
    v, x = symbols("V", "X")
    if name == "yakopcic":
        return CompactModel(
            name,
            "generalised Yakopcic, 2013 form",
            (*_FORM_2013, *_DYNAMICS),
            _branch(v, "a", "b") * x,
            _rate(v, x),
            doi="10.1109/TCAD.2013.2252057",
        )
    return CompactModel(
        name,
        "generalised Yakopcic, 2020 two-branch form",
        (*_FORM_2020, *_DYNAMICS),
        _branch(v, "gmax", "bmax") * x + _branch(v, "gmin", "bmin") * (1 - x),
        _rate(v, x),
        doi="10.1109/TCAD.2019.2912946 10.1109/TCAD.2013.2252057",
    )


def _branch(v: sp.Symbol, scale: str, curvature: str) -> sp.Expr:
    positive, negative, b_p, b_n = symbols(
        f"{scale}_p", f"{scale}_n", f"{curvature}_p", f"{curvature}_n"
    )
    return by_sign(v, positive, negative) * limsinh(by_sign(v, b_p, b_n) * v)


def _rate(v: sp.Symbol, x: sp.Symbol) -> sp.Expr:
    """Both polarities in one expression of ``|v|``, so that numpy computes exponentials once."""
    v_p, v_n, a_p, a_n, smooth = symbols("v_p", "v_n", "A_p", "A_n", "smooth")
    alpha_p, alpha_n, x_p, x_n = symbols("alpha_p", "alpha_n", "x_p", "x_n")
    span = by_sign(v, sp.exp(v_p) - 1, sp.exp(v_n) - 1)
    overdrive = span * above((limexp(sp.Abs(v)) - 1) / span - 1, smooth)
    beyond = sp.Max(by_sign(v, x - x_p, 1 - x_n - x), 0)
    window = sp.exp(-by_sign(v, alpha_p, alpha_n) * beyond)
    window *= 1 - beyond / by_sign(v, 1 - x_p, 1 - x_n)
    return by_sign(v, a_p, -a_n) * overdrive * window
