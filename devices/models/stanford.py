"""Stanford-PKU RRAM (Jiang et al., IEEE TED 63, 1884, 2016, doi:10.1109/TED.2016.2545412).

The state is the gap between filament and electrode, here from ``gap_max`` (x = 0) to ``gap_min``
(x = 1) [nm]:

    i = i_0 exp(-gap/g_0) sinh(v/v_0)
    dgap/dt = -nu exp(-E_a/kT) sinh(gamma (a_0/t_ox) q v/kT),  gamma = gamma_0 - beta (gap/1 nm)^alpha
    T = T_0 + v i R_th,   no motion while gamma v/t_ox < F_min

Written from the paper's equations. Where published code clips, this declaration is smooth: the gap
slows down as tanh over the last part ``w`` of its range, F_min is a logistic step of relative
width ``smooth``, exponentials are limited, gamma does not change sign, and a state outside [0, 1]
counts as at its bound.
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import by_sign, homing, inside, limexp, limsinh, logistic, power
from ..model import SERIES, CompactModel, Parameter, symbols

_KB = 8.617333262e-5  # [eV/K]

_TABLE = (
    Parameter("i_0", "A", 1e-3, 1e-12, 10.0, True, "current scale"),
    Parameter("g_0", "nm", 0.25, 0.01, 2.0, True, "decay length of the current with the gap"),
    Parameter("v_0", "V", 0.25, 0.05, 5.0, True, "voltage scale of the current"),
    Parameter("nu", "m/s", 10.0, 1e-6, 1e9, True, "attempt velocity of the gap"),
    Parameter("e_a", "eV", 0.6, 0.1, 2.5, False, "activation energy"),
    Parameter("gamma_0", "1", 16.0, 0.1, 50.0, False, "field enhancement at no gap"),
    Parameter("beta", "1", 0.8, 0.0, 50.0, False, "loss of enhancement per cubed nm of gap"),
    Parameter("alpha", "1", 3.0, 1.0, 6.0, False, "power of the gap in that loss", True),
    Parameter("a_0", "nm", 0.25, 0.05, 1.0, False, "hopping distance", True),
    Parameter("t_ox", "nm", 12.0, 0.5, 50.0, False, "oxide thickness", True),
    Parameter("r_th", "K/W", 2.1e3, 0.0, 1e7, False, "thermal resistance", True),
    Parameter("t_0", "K", 298.0, 200.0, 500.0, False, "ambient temperature", True),
    Parameter("f_min", "V/nm", 1.4, 0.0, 5.0, False, "enhanced field below which nothing moves"),
    Parameter("gap_min", "nm", 0.2, 0.0, 2.0, False, "smallest gap, x = 1"),
    Parameter("gap_max", "nm", 1.7, 0.05, 5.0, False, "largest gap, x = 0"),
    Parameter("w", "1", 0.05, 0.005, 0.5, False, "part of the range in which motion fades", True),
    Parameter("smooth", "1", 0.02, 1e-3, 0.2, True, "rounding of the field threshold", True),
    SERIES,
)


def declare(name: str) -> CompactModel:
    """Return ``stanford``."""
    v, x, i_0, g_0, v_0, nu, e_a = symbols("V", "X", "i_0", "g_0", "v_0", "nu", "e_a")
    gamma_0, beta, a_0, t_ox, r_th, t_0 = symbols("gamma_0", "beta", "a_0", "t_ox", "r_th", "t_0")
    f_min, gap_min, gap_max, w, smooth = symbols("f_min", "gap_min", "gap_max", "w", "smooth")
    (alpha,) = symbols("alpha")
    within = inside(x)
    gap = gap_max - within * (gap_max - gap_min)
    current = i_0 * limexp(-gap / g_0) * limsinh(v / v_0)
    thermal = sp.Float(_KB) * (t_0 + r_th * v * current)  # kT/q [V]
    gamma = sp.Max(gamma_0 - beta * power(gap, alpha), 0)
    # The offset keeps the step defined, and open, where f_min is 0.
    gate = logistic((gamma * sp.Abs(v) / t_ox - f_min) / (smooth * (f_min + sp.Float(0.01))))
    speed = (1 + homing(x)) * nu * sp.Float(1e9) / (gap_max - gap_min)
    window = by_sign(v, sp.tanh((1 - within) / w), sp.tanh(within / w))
    rate = (
        speed * sp.exp(-e_a / thermal) * limsinh(gamma * a_0 / t_ox * v / thermal) * gate * window
    )
    return CompactModel(
        name, "Stanford-PKU RRAM", _TABLE, current, rate, doi="10.1109/TED.2016.2545412"
    )
