"""Dynamic memdiode (Aguirre et al., Frontiers in Physics 9, 735021, 2021, doi:10.3389/fphy.2021.735021): a
diode-like current whose amplitude is a memory state.

    i = I_0(x) (exp(beta a(x) W) - exp(-(1 - beta) a(x) W)),   W = V - r(x) i
    dx/dt = (1 - x) exp(eta_set (W - v_set)) [1/s]        V >= 0
    dx/dt = -x exp(-eta_reset (W + v_reset)) [1/s]        V < 0

I_0, a and r run linearly from their values at x = 0 to those at x = 1; W is the potential behind the
resistance, the model's inner node. v_set and v_reset are where a state changes within a second; windows
are not needed, as each exponential ends where its share of the state does.
"""

__all__ = ["declare"]

from ..functions import by_sign, inside, limexp
from ..model import SERIES, CompactModel, Parameter, symbols

_TABLE = (
    Parameter("i_max", "A", 5e-3, 1e-12, 1.0, True, "current amplitude at x = 1"),
    Parameter("i_min", "A", 4e-5, 1e-15, 1.0, True, "current amplitude at x = 0"),
    Parameter("a_max", "1/V", 2.0, 0.01, 50.0, True, "exponent of the current at x = 1"),
    Parameter("a_min", "1/V", 2.0, 0.01, 50.0, True, "exponent of the current at x = 0"),
    Parameter("r_max", "ohm", 40.0, 1e-3, 1e6, True, "inner resistance at x = 1", True),
    Parameter("r_min", "ohm", 40.0, 1e-3, 1e6, True, "inner resistance at x = 0", True),
    Parameter("beta", "1", 0.5, 0.01, 0.99, False, "share of W in forward direction", True),
    Parameter("eta_set", "1/V", 19.0, 0.1, 200.0, True, "voltage dependence of SET"),
    Parameter("v_set", "V", 0.9, 0.01, 10.0, False, "voltage of SET within a second"),
    Parameter("eta_reset", "1/V", 10.0, 0.1, 200.0, True, "voltage dependence of RESET"),
    Parameter("v_reset", "V", 0.9, 0.01, 10.0, False, "voltage (magnitude) of RESET in a second"),
    SERIES,
)


def declare(name: str) -> CompactModel:
    """Return ``memdiode``."""
    v, w, x, i_max, i_min, a_max, a_min = symbols("V", "W", "X", "i_max", "i_min", "a_max", "a_min")
    r_max, r_min, beta = symbols("r_max", "r_min", "beta")
    eta_set, v_set, eta_reset, v_reset = symbols("eta_set", "v_set", "eta_reset", "v_reset")
    within = inside(x)
    a = a_min + (a_max - a_min) * within
    amplitude = i_min + (i_max - i_min) * within
    return CompactModel(
        name,
        "dynamic memdiode",
        _TABLE,
        (v - w) / (r_min + (r_max - r_min) * within),
        by_sign(
            v,
            (1 - x) * limexp(eta_set * (w - v_set)),
            -x * limexp(-eta_reset * (w + v_reset)),
        ),
        doi="10.3389/fphy.2021.735021",
        smooth=False,  # SET has another law than RESET
        inner_expr=amplitude * (limexp(beta * a * w) - limexp(-(1 - beta) * a * w)),
    )
