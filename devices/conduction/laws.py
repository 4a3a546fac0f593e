"""Laws of conduction through films and interfaces, with temperature.

============================  ====================================================================
``ohmic``                     g_0 A(e_a) v
``sinh``                      i_0 A(e_a) sinh(v/v_0 · 300 K/T): hopping between sites
``schottky``                  i_0 (T/300 K)² A(phi) e^(β √|v|/kT) (1 - e^(-q|v|/kT))
``poole_frenkel``             g_0 A(phi) v e^(2β √|v|/kT)
``fowler_nordheim``           i_1 v|v| e^(-v_b (1/|v| - 1 V⁻¹)) u/sin u,  u = 3π v_b kT/(2 phi |v|)
``sclc``                      i_1 |v|^(T_t/T + 1) v_c^(T_t (1/300 K - 1/T)): an exponential of traps
``tat``                       i_0 A(e_a) e^(-v_t (1/|v| - 1 V⁻¹)): tunnelling by way of traps
============================  ====================================================================

All are odd in v. A(e) = e^(-(e/k)(1/T - 1/300 K)), so that scales are those at 300 K, and energies say
how currents change with temperature and nothing else. β = √(1.44 V nm/eps_d), eps_d the optical
permittivity times the thickness. Equations: Chiu 2014, doi:10.1155/2014/578168; the thermal factor of
field emission: Murphy and Good 1956, doi:10.1103/PhysRev.102.1464; it is held at u = 2, where that
regime ends; traps: Mark and Helfrich 1962, doi:10.1063/1.1728487.

√|v| and |v| are of √(v² + (1 µV)²), so that slopes exist at 0 V.
"""

__all__ = [
    "LAWS",
    "REFERENCE",
    "TEMPERATURE",
    "ConductionLaw",
    "find_law",
    "law_model",
    "with_state",
]

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy as sp

from ...data.errors import InputError, nearest
from ..functions import above, limexp, limsinh
from ..model import SERIES, CompactModel, Parameter, symbols

K_B = 8.617333262e-5
"""Boltzmann's constant [eV/K]."""
IMAGE = 1.4399645
"""q/(4π ε_0) [V nm]: lowers a barrier by the square root of field times this."""
REFERENCE = 300.0
"""Where scales are what they say [K]."""
TEMPERATURE = Parameter("temperature", "K", 300.0, 100.0, 700.0, False, "temperature", True)

_CHIU = "10.1155/2014/578168"


@dataclass(frozen=True)
class ConductionLaw:
    """One law.

    Attributes
    ----------
    name, title
        Its key in :data:`LAWS`, and its name in words.
    parameters
        Its table, without the temperature.
    current
        Current [A] in the symbols ``V``, ``temperature`` and the parameters.
    thermal
        The parameter that only a change of temperature shows.
    doi
        Where it is from, several separated by spaces.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    current: sp.Expr
    thermal: str
    doi: str = _CHIU

    @property
    def scale(self) -> str:
        """The parameter that the current is proportional to."""
        return self.parameters[0].name

    def suffixed(self, suffix: str) -> "ConductionLaw":
        """Return the same with every parameter's name followed by ``suffix``."""
        names = {row.name: f"{row.name}{suffix}" for row in self.parameters}
        old, new = symbols(*names), symbols(*names.values())
        return replace(
            self,
            parameters=tuple(replace(row, name=names[row.name]) for row in self.parameters),
            current=self.current.xreplace(dict(zip(old, new, strict=True))),
            thermal=names[self.thermal],
        )


def _scale(name: str, unit: str, meaning: str) -> Parameter:
    default, low = {"g_0": (1e-5, 1e-18), "i_0": (1e-8, 1e-24), "i_1": (1e-6, 1e-24)}[name]
    return Parameter(name, unit, default, low, 1e3, True, meaning)


_E_A = Parameter("e_a", "eV", 0.1, -0.3, 2.0, False, "activation energy")
_PHI = Parameter("phi", "eV", 0.6, 0.0, 3.0, False, "barrier at zero field")
_EPS_D = Parameter(
    "eps_d", "nm", 30.0, 0.5, 2000.0, True, "optical permittivity (relative) times thickness"
)


def _declared() -> dict[str, ConductionLaw]:
    v, t = symbols("V", "temperature")
    size = sp.sqrt(v**2 + sp.Float(1e-12))
    thermal = sp.Float(K_B) * t  # [eV]
    apart = (1 / sp.Float(REFERENCE) - 1 / t) / sp.Float(K_B)

    def activated(energy: sp.Symbol) -> sp.Expr:
        return limexp(energy * apart)

    g_0, i_0, i_1, e_a, phi, eps_d = symbols("g_0", "i_0", "i_1", "e_a", "phi", "eps_d")
    v_0, v_b, v_t, v_c, t_t = symbols("v_0", "v_b", "v_t", "v_c", "t_t")
    lowered = sp.sqrt(sp.Float(IMAGE) / eps_d) * sp.sqrt(size) / thermal
    u = sp.Float(1.5) * sp.pi.evalf() * v_b * thermal / (phi * size)
    held = u - above(u - 2, sp.Float(0.05))
    found = (
        ConductionLaw(
            "ohmic",
            "ohmic, thermally activated",
            (_scale("g_0", "S", "conductance at 300 K"), _E_A),
            g_0 * activated(e_a) * v,
            "e_a",
        ),
        ConductionLaw(
            "sinh",
            "hopping (sinh)",
            (
                _scale("i_0", "A", "current scale at 300 K"),
                Parameter("v_0", "V", 0.3, 0.01, 20.0, True, "voltage scale at 300 K"),
                _E_A,
            ),
            i_0 * activated(e_a) * limsinh(v / v_0 * sp.Float(REFERENCE) / t),
            "e_a",
        ),
        ConductionLaw(
            "schottky",
            "Schottky emission",
            (_scale("i_0", "A", "saturation current at 300 K"), _EPS_D, _PHI),
            i_0
            * (t / sp.Float(REFERENCE)) ** 2
            * activated(phi)
            * limexp(lowered)
            * (1 - sp.exp(-size / thermal))
            * v
            / size,
            "phi",
        ),
        ConductionLaw(
            "poole_frenkel",
            "Poole-Frenkel emission",
            (_scale("g_0", "S", "conductance at 300 K and zero field"), _EPS_D, _PHI),
            g_0 * activated(phi) * v * limexp(2 * lowered),
            "phi",
        ),
        ConductionLaw(
            "fowler_nordheim",
            "Fowler-Nordheim tunnelling",
            (
                _scale("i_1", "A", "current at 1 V without the thermal factor"),
                Parameter(
                    "v_b", "V", 6.0, 0.2, 2000.0, True, "field of the barrier times thickness"
                ),
                replace(_PHI, default=1.0, lower=0.1, meaning="barrier"),
            ),
            i_1 * v * size * limexp(v_b * (1 - 1 / size)) * _over_sine(held),
            "phi",
            f"{_CHIU} 10.1103/PhysRev.102.1464",
        ),
        ConductionLaw(
            "sclc",
            "space charge with an exponential of traps",
            (
                _scale("i_1", "A", "current at 1 V and 300 K"),
                Parameter("t_t", "K", 600.0, 150.0, 6000.0, True, "temperature of the traps"),
                Parameter(
                    "v_c", "V", 10.0, 0.1, 1e4, True, "voltage at which no temperature counts"
                ),
            ),
            i_1 * v * limexp(t_t / t * sp.log(size) + t_t * apart * sp.Float(K_B) * sp.log(v_c)),
            "v_c",
            f"{_CHIU} 10.1063/1.1728487",
        ),
        ConductionLaw(
            "tat",
            "trap-assisted tunnelling",
            (
                _scale("i_0", "A", "current at 1 V and 300 K"),
                Parameter("v_t", "V", 2.0, 0.01, 500.0, True, "field of the traps times thickness"),
                replace(_E_A, upper=1.0),
            ),
            i_0 * activated(e_a) * v / size * limexp(v_t * (1 - 1 / size)),
            "e_a",
        ),
    )
    return {law.name: law for law in found}


def _over_sine(u: sp.Expr) -> sp.Expr:
    """Return u/sin(u) up to u = 2 to 2e-6, in functions that every printing knows: Euler's product, two factors
    as they are and the logarithms of the others in powers of (u/π)².
    """
    s = u**2 / sp.Float(9.869604401089358)
    rest = s * (sp.Float(0.3949340668) + s * (sp.Float(0.0099116169) + s * sp.Float(0.00057269)))
    return sp.exp(rest) / ((1 - s) * (1 - s / 4))


LAWS: Mapping[str, ConductionLaw] = _declared()
"""Every law by its name."""


def find_law(law: str | ConductionLaw) -> ConductionLaw:
    """Return a law by its name, or the law itself.

    Raises
    ------
    InputError
        If there is no such law.
    """
    if isinstance(law, ConductionLaw):
        return law
    if law not in LAWS:
        raise InputError(f"there is no conduction law {law!r}{nearest(law, LAWS)}")
    return LAWS[law]


def law_model(law: str | ConductionLaw) -> CompactModel:
    """Return a law as a model without dynamics, ``conduction_NAME``: its state is the share that conducts, 0 to 1."""
    found = find_law(law)
    return CompactModel(
        f"conduction_{found.name}",
        f"{found.title}, read law",
        (*found.parameters, TEMPERATURE, SERIES),
        symbols("X")[0] * found.current,
        None,
        doi=found.doi,
    )


def with_state(
    model: CompactModel, lrs: str | ConductionLaw, hrs: str | ConductionLaw | None = None
) -> CompactModel:
    """Return ``model`` with another static part: i = x i_lrs(v, T) + (1 - x) i_hrs(v, T), its rate as it was.

    A rate in which the current stands (by its heat, or as what moves the state) has the new one there. The
    laws' parameters end in ``_lrs`` and ``_hrs``; the temperature is the model's own, if it has one, or
    ``temperature``.

    Parameters
    ----------
    model
        What moves the state.
    lrs, hrs
        Laws at x = 1 and x = 0, by name; without ``hrs`` both are of the same kind.

    Raises
    ------
    InputError
        If there is no such law, the model's state is no share from 0 to 1, or it moves by what is at an
        inner node.
    """
    if model.inner_expr is not None:
        raise InputError(
            f"model {model.name}: its state moves by the voltage at its inner node, which another law"
            " does not have"
        )
    if model.state_range != (0.0, 1.0):
        raise InputError(
            f"model {model.name}: its state is no share from 0 to 1, which laws could be mixed by"
        )
    on, off = (find_law(one) for one in (lrs, lrs if hrs is None else hrs))
    name = f"{model.name}_{on.name}_{off.name}"
    title = f"{model.title}; read by {on.title} (LRS) and {off.title} (HRS)"
    works = " ".join(dict.fromkeys(f"{model.doi} {on.doi} {off.doi}".split()))
    on, off = on.suffixed("_lrs"), off.suffixed("_hrs")
    x, own = symbols("X", TEMPERATURE.name)
    ambient = next(
        (p for p in model.parameters if p.unit == "K" and p.name in _AMBIENT), TEMPERATURE
    )
    current = x * on.current + (1 - x) * off.current
    current = current.xreplace({own: symbols(ambient.name)[0]})
    rate = model.rate_expr
    if rate is not None:
        rate = rate.subs(model.current_expr, current)
    used = set() if rate is None else {str(s) for s in rate.free_symbols}
    laws = {row.name for row in (*on.parameters, *off.parameters, ambient)}
    kept = [row for row in model.parameters[:-1] if row.name in used and row.name not in laws]
    table = (*on.parameters, *off.parameters, *kept, ambient, SERIES)
    return CompactModel(name, title, table, current, rate, doi=works, smooth=model.smooth)


_AMBIENT = ("temperature", "t_0")
