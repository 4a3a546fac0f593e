"""JART VCM v1b with its current in explicit form (Ntinas et al., SMACD 2023,
doi:10.1109/SMACD58065.2023.10192107): no inner node, and a small fraction of the cost.

The current is a fit to solutions of the implicit equations, in the logarithm L = ln(N/N_0) of the
concentration (N_0 = 0.004e26/m3), the voltage and both lengths that vary from device to device:

    i = p1 (p2 (exp((L - p3)/p4) - 1) + L - p3) + p5/(p6 + p7 (p8 exp(L - p9))^-p10)^(1/p11)

with p1 ... p11 functions of the voltage whose coefficients are linear, some quadratic, in
d_r = (r_det - 45 nm)/4.5 nm and d_l = (l_det - 0.4 nm)/0.04 nm. Coefficients are those of the published
code beside the paper. The rate is that of :mod:`.jart`, with temperature and field from this current.

The fit holds for the published set alone: what else it depends on is not a parameter here. The current
does not know the ambient temperature, the rate does.
"""

__all__ = ["declare"]

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp

from ..functions import by_sign, inside, limexp
from ..model import SERIES, CompactModel, Parameter, symbols
from .jart import TABLE, hopping

_OWN = (
    "n_max",
    "n_min",
    "n_plug",
    "r_det",
    "l_det",
    "r_th",
    "th_reset",
    "t_0",
    "dw_a",
    "a",
    "nu_0",
)
_SPANS = {
    "n_max": (18.0, 22.0),
    "n_min": (0.004, 0.25),
    "r_det": (40.5, 49.5),
    "l_det": (0.36, 0.44),
}
"""Ranges of the published form."""
_HELD = {row.name: row.default for row in TABLE if row.name not in _OWN}
_TABLE: tuple[Parameter, ...] = (
    *(
        replace(
            row,
            lower=_SPANS.get(row.name, (row.lower, 0))[0],
            upper=_SPANS.get(row.name, (0, row.upper))[1],
        )
        for row in TABLE
        if row.name in _OWN
    ),
    SERIES,
)
_N_0 = 0.004  # concentration that L is counted from [1e26/m3]
_RADIUS, _LENGTH, _SHARE = 45.0, 0.4, 0.1
_ELEMENTARY = 1.602176634e-19
_FAR = 3.0  # voltage beyond which the fit is not asked [V]
_LEAST = 0.1  # of p8
# coefficient: its value, and by d_r, d_r², d_l, d_l d_r, d_l d_r²
_SET = {
    "p1": (
        (1.1830, -6.2246e-2, 0, 1.1419e-1),
        (-2.7034e-3, -1.8077e-4, 0, -2.0831e-4),
        (-4.5379e-6, 1.7313e-4, 0, -8.9677e-5),
        (9.9115e-1, 5.7155e-3, 0, -2.3237e-2),
        (4.4093e-1, -9.7198e-4, 0, -1.8507e-3),
    ),
    "p2": ((-2.5955e3,),),
    "p3": ((6.8845, 1.2536e-1, 0, 2.5983e-1), (-5.8995e-1, 6.5498e-2, 0, 8.5666e-2)),
    "p4": ((2.5890e3,), (-2.9537, 8.2522e-2, 0, -7.2255e-2), (-5.4031e-1,)),
    "p5": ((6.4705e-4, 1.5169e-5, 0, 1.3260e-6), (5.1529e-5, 6.7042e-7, 1.0756e-6)),
    "p7": ((1.1708e-1, 4.8662e-4, 0, 3.7351e-3),),
    "p9": (
        (3.9052, -5.4723e-1, 0, 3.6802e-2),
        (9.6130,),
        (-4.5637e-1,),
        (1.4310, 3.6000e-1),
    ),
    "p10": ((4.6925e-1,), (3.4731, 1.1444e-2), (-1.1871,), (5.6947e-1,)),
    "p11": ((1.0667e1, 3.6290e-1), (1.2812e-1,), (7.4414e-1,), (4.2381e-1,)),
}
_RESET = {
    "p5": ((1.3769e-3, 2.3087e-4, 0, 1.3293e-7), (8.1819e-2,)),
    "p6": ((1.9687e-1, 2.6129e-2), (-2.1833e-2,)),
    "p7": (
        (-9.7606e1, -7.4338e-1, 1.1713e-1, 2.4377),
        (7.8250,),
        (9.9296e1, 6.9547e-1, -1.3724e-1, -2.3728, -9.0456e-3, -1.2221e-3),
        (7.1092e-2,),
    ),
    "p8": ((1.1713e-1, 0, 0, -3.8320e-3), (8.1370e-2,)),
    "p10": ((9.7733e-1, 0, 0, 5.9623e-5), (3.5214e-2,), (1.2856e-2,)),
    "p11": ((9.4207e-1, 0, 0, -6.7239e-4), (3.8953e-2,), (2.3436e-2,)),
}


def declare(name: str) -> CompactModel:
    """Return ``jart_explicit``."""
    v, x = symbols("V", "X")
    s = {key: sp.Float(value) for key, value in _HELD.items()}
    s |= dict(zip(_OWN, symbols(*_OWN), strict=True))
    decades = sp.log(s["n_max"] / s["n_min"])
    n = s["n_min"] * sp.exp(inside(x) * decades)
    near = sp.Min(sp.Max(v, sp.Float(-_FAR)), sp.Float(_FAR))
    size = (s["r_det"] - sp.Float(_RADIUS)) / sp.Float(_SHARE * _RADIUS)
    span = (s["l_det"] - sp.Float(_LENGTH)) / sp.Float(_SHARE * _LENGTH)
    level = sp.log(n / sp.Float(_N_0))
    current = by_sign(v, _in_set(near, level, size, span), _in_reset(near, level, size, span))
    area = sp.Float(sp.pi) * (s["r_det"] * sp.Float(1e-9)) ** 2
    r_disc = (
        s["l_det"]
        * sp.Float(1e-9)
        / (n * s["z_vo"] * sp.Float(_ELEMENTARY * 1e26) * s["mu_n"] * area)
    )
    lines = s["r_tiox"] + s["r_0"] * (1 + s["r_0"] * s["alpha_line"] * s["r_th_line"] * current**2)
    across = v - current * lines
    heat = s["r_th"] * (_RADIUS / s["r_det"]) ** 2 * by_sign(v, sp.Integer(1), s["th_reset"])
    field = by_sign(v, current * r_disc / s["l_det"], across / s["l_cell"]) * sp.Float(1e9)
    hop = s["z_vo"] * s["a"] * sp.Float(1e-9) / (sp.Float(sp.pi) * s["dw_a"])
    warmth, tilt = symbols("warmth", "tilt")
    rate = _put(
        hopping(s, n, decades), {warmth: heat * current * across / s["t_0"], tilt: hop * field}
    )
    return CompactModel(
        name,
        "JART VCM v1b, explicit current",
        _TABLE,
        current,
        rate,
        doi="10.1109/SMACD58065.2023.10192107",
        smooth=False,  # each polarity has a law of its own
    )


def _put(expr: sp.Expr, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Put expressions in the place of symbols, without asking of large ones which is larger."""
    if expr in values:
        return values[expr]
    if not expr.args:
        return expr
    args = [_put(each, values) for each in expr.args]
    if isinstance(expr, sp.Max | sp.Min):
        return expr.func(*args, evaluate=False)
    return expr.func(*args)


def _values(
    rows: dict[str, tuple[tuple[float, ...], ...]], size: sp.Expr, span: sp.Expr
) -> dict[str, list[sp.Expr]]:
    powers = (1, size, size**2, span, span * size, span * size**2)
    return {
        name: [sum(sp.Float(c) * p for c, p in zip(row, powers, strict=False) if c) for row in each]
        for name, each in rows.items()
    }


def _in_set(v: sp.Expr, level: sp.Expr, size: sp.Expr, span: sp.Expr) -> sp.Expr:
    """Return the current at v >= 0, where the published voltage and current are below 0."""
    u, p = -v, _values(_SET, size, span)
    first = (
        p["p1"][0] * (p["p1"][1] * u + p["p1"][2] * u**2) / (1 + p["p1"][3] * u + p["p1"][4] * u**2)
    )
    (second,), (third, by_u) = p["p2"], p["p3"]
    over = level - (third + by_u * u)
    fourth = p["p4"][0] - p["p4"][1] * sp.exp(-p["p4"][2] * u)
    half = over / fourth / 2
    # exp(y) - 1 of a small y, to all its digits: most of it is taken away again.
    gentle = first * (2 * second * sp.exp(half) * sp.sinh(half) + over)
    fifth = p["p5"][0] * u + p["p5"][1] * u**2
    ninth, tenth, inverse = (_step(p[key], u) for key in ("p9", "p10", "p11"))
    steep = fifth * (1 + p["p7"][0] * limexp(-tenth * (level - ninth))) ** (-inverse)
    return -(gentle + steep)


def _in_reset(v: sp.Expr, level: sp.Expr, size: sp.Expr, span: sp.Expr) -> sp.Expr:
    """Return the current at v < 0, where the published voltage and current are above 0."""
    u, p = -v, _values(_RESET, size, span)
    fifth = p["p5"][0] * (1 - sp.exp(-p["p5"][1] * u))
    sixth = p["p6"][0] + p["p6"][1] * u
    seventh = p["p7"][0] + p["p7"][1] * u + p["p7"][2] * sp.exp(-p["p7"][3] * u)
    # Never below that at v < 0; at v > 0, where some simulators compute it in vain, it has a logarithm.
    eighth = sp.Max(p["p8"][0] + p["p8"][1] * u, sp.Float(_LEAST))
    tenth, eleventh = (row[0] + row[1] * u + row[2] * u**2 for row in (p["p10"], p["p11"]))
    return -fifth * (sixth + seventh * limexp(-tenth * (level + sp.log(eighth)))) ** (-1 / eleventh)


def _step(row: list[sp.Expr], u: sp.Expr) -> sp.Expr:
    """Return a coefficient that goes from one value to another about a voltage."""
    start, end, middle, width = row
    return start + (end - start) / (1 + sp.exp((u - middle) / width))
