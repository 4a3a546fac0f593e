"""JART VCM v1b (Cüppers et al., APL Mater. 7, 091105, 2019, doi:10.1063/1.5108654; Bengel et al., IEEE
TCAS-I 67, 4618, 2020, doi:10.1109/TCSI.2020.3018502): filamentary valence change in HfO2/TiOx.

The state is the concentration N of oxygen vacancies in the disc between Schottky contact and plug, here
ln(N/N_min)/ln(N_max/N_min), so that x = 1 is the LRS. The paper's device sets at negative voltage; here V
is turned, so that positive V sets.

    V = W + I (R_disc + R_plug + R_TiOx + R_0 (1 + alpha R_0 R_th,line I²)),   R_disc = l/(z e N mu A)
    SET, V >= 0    I = A A* T/k sqrt(pi W_00 e (W + phi/cosh²(W_00/kT))) exp(-e phi/W_0) (exp(e W/eps') - 1)
    RESET, V < 0   I = A A* T² exp(-e phi/kT) (1 - exp(-e W/kT))
    phi = max(phi_Bn0 - (e³ z N (phi_Bn0 - phi_n + W)/(8 pi² eps_phiB³))^(1/4), 0)
    W_00 = e hbar/2 sqrt(z N/(m eps_s)),  W_0 = W_00 coth(W_00/kT),  eps' = W_00/(W_00/kT - tanh(W_00/kT))
    T = T_0 + R_th I (voltage over contact, disc and plug), 0.27 of R_th in RESET
    dN/dt = c a nu_0 (exp(-dW_min/kT) - exp(-dW_max/kT)) F/l,   c = (N_plug + N)/2
    dW = dW_A (sqrt(1 - g²) ∓ g pi/2 + g asin g),   g = z a E/(pi dW_A)
    E = V_disc/l in SET, (voltage over contact, disc and plug)/l_cell in RESET
    F = 1 - (N/N_max)^10 in SET, 1 - (N_min/N)^10 in RESET

W is the voltage over the contact, the potential of the model's inner node: the current is the one at
which the contact, at the temperature that this current makes, carries what the resistances let through.
Kinks (where phi reaches 0, and where the contact is flat) are rounded over ``smooth`` [V].
"""

__all__ = ["TABLE", "declare", "hopping"]

import math
from collections.abc import Mapping

import sympy as sp

from ..functions import above, by_sign, homing, inside, limexp, limsinh
from ..model import SERIES, CompactModel, Parameter, symbols

_E, _K, _HBAR = 1.602176634e-19, 1.380649e-23, 1.054571817e-34
_EPS_0, _MASS = 8.8541878128e-12, 9.1093837015e-31
_VACANCIES = 1e26  # unit of concentrations [1/m3]

TABLE = (
    Parameter("n_max", "1e26/m3", 20.0, 1.0, 100.0, True, "concentration at x = 1"),
    Parameter("n_min", "1e26/m3", 0.008, 1e-4, 1.0, True, "concentration at x = 0"),
    Parameter("n_plug", "1e26/m3", 20.0, 1.0, 100.0, True, "concentration in the plug", True),
    Parameter("r_det", "nm", 45.0, 5.0, 100.0, True, "radius of the filament"),
    Parameter("l_det", "nm", 0.4, 0.1, 5.0, True, "length of the disc"),
    Parameter("l_cell", "nm", 3.0, 2.0, 10.0, True, "length of disc and plug", True),
    Parameter("r_tiox", "ohm", 650.0, 0.0, 1e5, False, "resistance of the TiOx layer"),
    Parameter("r_0", "ohm", 719.2437, 0.0, 1e5, False, "resistance of the lines at t_0", True),
    Parameter("alpha_line", "1/K", 3.92e-3, 0.0, 0.1, False, "its temperature coefficient", True),
    Parameter("r_th_line", "K/W", 90471.47, 0.0, 1e7, False, "its thermal resistance", True),
    Parameter("r_th", "K/W", 1.572e7, 1e4, 1e9, True, "thermal resistance, radius 45 nm", True),
    Parameter("th_reset", "1", 0.27, 0.01, 1.0, False, "share of it in RESET", True),
    Parameter("t_0", "K", 293.0, 200.0, 500.0, False, "ambient temperature", True),
    Parameter("dw_a", "eV", 1.35, 0.5, 2.0, False, "activation energy of hopping"),
    Parameter("a", "nm", 0.25, 0.05, 1.0, False, "hopping distance", True),
    Parameter("nu_0", "1/s", 2e13, 1e9, 1e16, True, "attempt frequency", True),
    Parameter("mu_n", "m2/(V s)", 4e-6, 1e-8, 1e-3, True, "electron mobility", True),
    Parameter("phi_bn0", "eV", 0.18, 0.05, 1.0, False, "Schottky barrier", True),
    Parameter("phi_n", "eV", 0.1, 0.0, 0.5, False, "conduction band above the Fermi level", True),
    Parameter("eps_s", "1", 17.0, 1.0, 100.0, False, "static permittivity", True),
    Parameter("eps_phib", "1", 5.5, 1.0, 100.0, False, "permittivity of barrier lowering", True),
    Parameter("a_star", "A/(m2 K2)", 6.01e5, 1e3, 1e7, True, "Richardson constant", True),
    Parameter("z_vo", "1", 2.0, 1.0, 4.0, False, "charge of a vacancy", True),
    Parameter("smooth", "V", 1e-3, 1e-5, 0.05, True, "rounding of the contact's kinks", True),
    SERIES,
)
_TINY = 1e-12  # keeps roots off 0, where they have no slope [V]
_FAR = sp.Integer(10)  # [V]
_STEEPEST = 0.99  # field at which a hop has no barrier left, in parts
_MELTED = 30.0  # times t_0: a temperature rise that no solution has, only a solver on its way
_RADIUS = 45.0  # at which r_th is stated [nm]


def declare(name: str) -> CompactModel:
    """Return ``jart``."""
    v, w, x = symbols("V", "W", "X")
    s = dict(zip((row.name for row in TABLE), symbols(*(row.name for row in TABLE)), strict=True))
    decades = sp.log(s["n_max"] / s["n_min"])
    n = s["n_min"] * sp.exp(inside(x) * decades)
    charge = s["z_vo"] * n * sp.Float(_VACANCIES)
    area = sp.Float(sp.pi) * (s["r_det"] * sp.Float(1e-9)) ** 2
    ohmic = s["z_vo"] * sp.Float(_E * _VACANCIES) * s["mu_n"] * area
    r_disc = s["l_det"] * sp.Float(1e-9) / (n * ohmic)
    r_plug = (s["l_cell"] - s["l_det"]) * sp.Float(1e-9) / (s["n_plug"] * ohmic)
    # The lines heat as I²: V - W = b I + c I³, whose one real solution this is.
    b = r_disc + r_plug + s["r_tiox"] + s["r_0"]
    c = s["r_0"] ** 2 * s["alpha_line"] * s["r_th_line"] + sp.Float(1.0)
    arm = sp.sqrt(b / (3 * c))
    # Newton's method runs away along a cube root: far beyond any device's voltage it is a straight line.
    drop = sp.Min(sp.Max(v - w, -_FAR), _FAR)
    current = 2 * arm * sp.sinh(sp.asinh(3 * drop / (2 * b * arm)) / 3) + (v - w - drop) / b
    across = w + current * (r_disc + r_plug)  # contact, disc and plug [V]
    heat = s["r_th"] * (_RADIUS / s["r_det"]) ** 2 * by_sign(v, sp.Integer(1), s["th_reset"])
    field = by_sign(v, current * r_disc / s["l_det"], across / s["l_cell"]) * sp.Float(1e9)
    hop = s["z_vo"] * s["a"] * sp.Float(1e-9) / (sp.Float(math.pi) * s["dw_a"])
    return CompactModel(
        name,
        "JART VCM v1b",
        TABLE,
        current,
        hopping(s, n, decades),
        doi="10.1063/1.5108654",
        smooth=False,  # contact and field have another law for each polarity
        inner_expr=_contact(s, charge, area),
        # Each is harmless at 0, where a simulator's nodes begin, and is bounded where it is used.
        definitions=(
            ("warmth", heat * current * across / s["t_0"]),
            ("barrier", _barrier(s, charge)),
            ("tilt", hop * field),
        ),
    )


def _barrier(s: Mapping[str, sp.Symbol], charge: sp.Expr) -> sp.Expr:
    """Return the Schottky barrier that the field at the contact has left [eV]."""
    (w,) = symbols("W")
    strength = charge * sp.Float(_E**3 / (8 * math.pi**2 * _EPS_0**3)) / s["eps_phib"] ** 3  # [V³]
    flat = above(s["phi_bn0"] - s["phi_n"] + w, s["smooth"]) + sp.Float(_TINY)
    left = s["phi_bn0"] - sp.sqrt(sp.sqrt(strength * flat))
    return (left + sp.sqrt(left**2 + s["smooth"] ** 2)) / 2


def _thermal(s: Mapping[str, sp.Symbol]) -> sp.Expr:
    """Return kT/e at the device's own temperature [V]."""
    (warmth,) = symbols("warmth")
    return sp.Float(_K / _E) * s["t_0"] * (1 + sp.Min(sp.Max(warmth, 0), sp.Float(_MELTED)))


def _contact(s: Mapping[str, sp.Symbol], charge: sp.Expr, area: sp.Expr) -> sp.Expr:
    """Return the current through the Schottky contact at W [A]."""
    v, w, barrier = symbols("V", "W", "barrier")
    phi, thermal = sp.Max(barrier, 0), _thermal(s)
    e_00 = sp.Float(_HBAR / 2 / math.sqrt(_MASS * _EPS_0)) * sp.sqrt(charge / s["eps_s"])  # [V]
    y = e_00 / thermal
    e_0, e_1 = e_00 / sp.tanh(y), e_00 / (y - sp.tanh(y))
    emitted = area * s["a_star"] * (sp.Float(_E / _K) * thermal) ** 2
    depth = sp.Min(sp.Max(w, 0), _FAR) + phi / sp.cosh(y) ** 2 + sp.Float(_TINY)
    tunnelled = emitted * sp.sqrt(sp.Float(math.pi) * e_00 * depth) / thermal * sp.exp(-phi / e_0)
    return by_sign(
        v,
        tunnelled * (limexp(w / e_1) - 1),
        emitted * sp.exp(-phi / thermal) * (1 - limexp(-w / thermal)),
    )


def hopping(s: Mapping[str, sp.Symbol], n: sp.Expr, decades: sp.Expr) -> sp.Expr:
    """Return dx/dt of hops over barriers that the field tilts, in the symbols ``tilt`` (field in parts
    of that at which no barrier is left) and ``warmth`` (rise of the temperature in parts of ``t_0``).

    Parameters
    ----------
    s
        Symbols of the parameters, by name.
    n
        Concentration of vacancies in the disc [1e26/m3].
    decades
        Logarithm of its largest over its lowest value.
    """
    v, x, tilt = symbols("V", "X", "tilt")
    thermal = _thermal(s)
    g = sp.Min(sp.Max(tilt, sp.Float(-_STEEPEST)), sp.Float(_STEEPEST))
    height = s["dw_a"] * (sp.sqrt(1 - g**2) + g * sp.asin(g))
    hops = 2 * sp.exp(-height / thermal) * limsinh(sp.Float(math.pi / 2) * s["dw_a"] * g / thermal)
    ahead = by_sign(v, 1 - inside(x), inside(x))
    # A SET within a simulator's step overshoots by a quarter of the range: what drives the state out drives it back
    # from there, or a RESET would begin late.
    beyond = by_sign(v, sp.Max(x - 1, 0), sp.Max(-x, 0))
    end = (1 + homing(x)) * (1 - sp.exp(-10 * decades * ahead) - beyond)
    supply = (s["n_plug"] + n) / 2 * s["a"] / s["l_det"] * s["nu_0"]
    return supply * hops * end / (n * decades)
