"""Linear ion drift (Strukov et al. 2008, doi:10.1038/nature06932) with four windows.

    v = (r_on x + r_off (1 - x)) i,    dx/dt = (mu r_on / d²) i f(x)

- joglekar:    f = 1 - (2x - 1)^2p (doi:10.1088/0143-0807/30/4/001)
- biolek:      f = 1 - (x - step(-i))^2p (Radioengineering 18(2), 210, 2009)
- prodromakis: f = j (1 - ((x - 1/2)² + 3/4)^p) (doi:10.1109/TED.2011.2158004)
- zha:         f = j (1 - ((x - step(-i))²/4 + 3/4)^p) (doi:10.1109/TCSII.2015.2505959)

The windows of Joglekar and Prodromakis are 0 at both bounds whatever the sign of i, so that a
state once there never leaves. A share ``release`` of Biolek's window lets go of it; 0 gives the
published form. A state outside [0, 1] counts as at its bound. The model has no threshold and
describes few real devices: it serves as a baseline and for teaching.
"""

__all__ = ["declare"]

import sympy as sp

from ..functions import by_sign, homing, inside, power
from ..model import SERIES, CompactModel, Parameter, symbols

_TABLE = (
    Parameter("r_on", "ohm", 100.0, 1.0, 1e9, True, "resistance at x = 1"),
    Parameter("r_off", "ohm", 16e3, 1.0, 1e12, True, "resistance at x = 0"),
    Parameter("mu", "m2/(V s)", 1e-14, 1e-20, 1e-6, True, "mobility of the dopants"),
    Parameter("d", "m", 10e-9, 1e-10, 1e-6, True, "thickness of the film", True),
    Parameter("p", "1", 1.0, 1.0, 20.0, False, "sharpness of the window", True),
)
_SCALE = Parameter("j", "1", 1.0, 0.01, 10.0, False, "height of the window", True)
_WORKS = {
    "joglekar": " 10.1088/0143-0807/30/4/001",
    "biolek": "",
    "prodromakis": " 10.1109/TED.2011.2158004",
    "zha": " 10.1109/TCSII.2015.2505959",
}
_RELEASE = Parameter("release", "1", 1e-3, 0.0, 1.0, False, "share that can leave the bounds", True)


def declare(name: str) -> CompactModel:
    """Return ``drift_joglekar``, ``drift_biolek``, ``drift_prodromakis`` or ``drift_zha``."""
    window = name.removeprefix("drift_")
    v, x, r_on, r_off, mu, d = symbols("V", "X", "r_on", "r_off", "mu", "d")
    extra = {
        "joglekar": (_RELEASE,),
        "biolek": (),
        "prodromakis": (_SCALE, _RELEASE),
        "zha": (_SCALE,),
    }[window]
    current = v / (r_off + (r_on - r_off) * inside(x))
    return CompactModel(
        name,
        f"linear ion drift, {window.capitalize()} window",
        (*_TABLE, *extra, SERIES),
        current,
        mu * r_on / d**2 * current * _window(window),
        doi="10.1038/nature06932" + _WORKS[window],
        smooth=False,  # the leaving direction of the window changes at v = 0
    )


def _window(name: str) -> sp.Expr:
    v, x, p, j, release = symbols("V", "X", "p", "j", "release")
    # Just above x = 1 the resistance would reach 0, and symmetric windows would push outwards.
    u = inside(x)
    ahead = by_sign(v, u, 1 - u)  # distance covered on the way to the bound that i points to
    biolek = 1 - power(ahead**2, p)
    if name == "biolek":
        return biolek
    if name == "zha":
        return j * (1 - power(ahead**2 / 4 + sp.Rational(3, 4), p))
    published = {
        "joglekar": 1 - power((2 * u - 1) ** 2, p),
        "prodromakis": j * (1 - power((u - sp.Rational(1, 2)) ** 2 + sp.Rational(3, 4), p)),
    }[name]
    return (1 - release) * published + (release + homing(x)) * biolek
