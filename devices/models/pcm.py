"""Phase-change memory: the share of a cell that is crystalline, moved by the heat of the current.

    i = v (x/r_c + (1 - x)/r_a sinh(v/v_a)/(v/v_a)) + v/r_on P((|v| - v_th0 - (v_th - v_th0) (1 - x))/v_w)
    T = t_0 + r_th v i
    dx/dt = (1 - x)/tau_c exp(-((T - t_c)/w_c)²) - x/tau_m P((T - t_m)/w_m),   P(u) = 1/(1 + e^-u)

Below the threshold, which grows with the amorphous share, the amorphous part carries a sinh-like
(Poole-Frenkel) current; above it the cell is on, whatever its phase, and heats. Between glass and melting
temperature the amorphous part crystallises, fastest at ``t_c``; above ``t_m`` it melts, and is amorphous
as soon as it is cold: cooling takes no time here, so that a pulse's end is a quench. Heat knows no
polarity: what counts is the magnitude, SET pulses are the lower ones and RESET pulses the higher ones. Read, a
cell drifts as in :class:`memtwin.devices.spread.pcm.PcmDrift`.

After the review of Le Gallo and Sebastian (J. Phys. D 53, 213002, 2020, doi:10.1088/1361-6463/ab7794); the
smooth forms are this package's own.
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import inside, limsinh, logistic
from ..model import SERIES, CompactModel, Parameter, symbols

_TABLE = (
    Parameter("r_c", "ohm", 4e4, 1e2, 1e8, True, "resistance of the crystalline cell"),
    Parameter("r_a", "ohm", 4e6, 1e3, 1e12, True, "resistance of the amorphous cell at 0 V"),
    Parameter("v_a", "V", 0.2, 0.02, 5.0, True, "voltage scale of the amorphous current"),
    Parameter("r_on", "ohm", 4e3, 1e2, 1e6, True, "resistance above the threshold"),
    Parameter("v_th", "V", 0.7, 0.05, 10.0, False, "threshold of the amorphous cell"),
    Parameter("v_th0", "V", 0.4, 0.0, 10.0, False, "threshold of the crystalline cell"),
    Parameter("v_w", "V", 0.03, 1e-3, 1.0, True, "width of the threshold", True),
    Parameter("r_th", "K/W", 2.1e6, 1e3, 1e9, True, "thermal resistance"),
    Parameter("t_0", "K", 300.0, 200.0, 500.0, False, "ambient temperature", True),
    Parameter("t_c", "K", 720.0, 400.0, 1200.0, False, "temperature of fastest crystallisation"),
    Parameter("w_c", "K", 80.0, 5.0, 500.0, True, "its width", True),
    Parameter("tau_c", "s", 1e-7, 1e-12, 1e3, True, "shortest time constant of crystallisation"),
    Parameter("t_m", "K", 877.0, 400.0, 2000.0, False, "melting temperature", True),
    Parameter("w_m", "K", 10.0, 0.5, 200.0, True, "width of melting", True),
    Parameter("tau_m", "s", 1e-8, 1e-12, 1e3, True, "time constant of melting"),
    SERIES,
)


def declare(name: str) -> CompactModel:
    """Return ``pcm``."""
    v, x, r_c, r_a, v_a, r_on, r_th = symbols("V", "X", "r_c", "r_a", "v_a", "r_on", "r_th")
    v_th, v_th0, v_w, t_0, t_c, w_c = symbols("v_th", "v_th0", "v_w", "t_0", "t_c", "w_c")
    tau_c, t_m, w_m, tau_m = symbols("tau_c", "t_m", "w_m", "tau_m")
    within = inside(x)
    amorphous = 1 - within
    on = logistic((sp.Abs(v) - v_th0 - (v_th - v_th0) * amorphous) / v_w)
    current = v * (within / r_c + on / r_on) + amorphous * v_a / r_a * limsinh(v / v_a)
    # Hotter than this nothing is left to melt; a square of more would overflow.
    t = sp.Min(t_0 + r_th * v * current, sp.Float(1e5))
    crystallising = sp.exp(-(((t - t_c) / w_c) ** 2)) / tau_c
    return CompactModel(
        name,
        "phase-change memory",
        _TABLE,
        current,
        (1 - x) * crystallising - x * logistic((t - t_m) / w_m) / tau_m,
        doi="10.1088/1361-6463/ab7794",
        notes="heat knows no polarity: lower pulses of either sign set, higher ones reset",
    )
