"""A technology's cell with its transistor and resistances as one compiled element, for SET pulses in ngspice."""

__all__ = ["card", "set_module"]

import numpy as np

from ...devices.printing.ngspice import number
from ...devices.printing.verilog_a import STATE_DISCIPLINE
from ...devices.technology.switching import PowerLaw, SetLaw

_FASTER = {
    SetLaw: "drop = max(V(bl, n), 1e-9)/v_s; faster = drop + ln(1.0 - exp(-2.0*drop));",
    PowerLaw: "faster = alpha*ln(max(V(bl, n)/v_on - 1.0, exp(-500.0/alpha)));",
}
"""Logarithm of how much faster than its rate a filament grows, by the law."""

_TEXT = """\
`include "constants.vams"
`include "disciplines.vams"

{state}

module {name}(bl, wl, gnd);
  inout bl, wl, gnd;
  electrical bl, wl, gnd, n, d, s;
  memtwin_state u;
{parameters}
  real opened, over, span, drop, faster;

  analog begin
    opened = (V(wl, s) - v_t + eta*V(d, s))/smooth;
    over = smooth*(opened > 40.0 ? opened : ln(1.0 + exp(min(opened, 40.0))));
    span = min(V(d, s), over);
    {faster}
    I(bl, n) <+ 1e-6*exp(Potential(u))*V(bl, n);
    I(n, d) <+ V(n, d)/r_write;
    I(d, s) <+ k/(1.0 + theta*over)*span*(over - 0.5*span);
    I(s, gnd) <+ V(s, gnd)/r_source;
    Flow(u) <+ ddt(Potential(u));
    if ($abstime <= 0.0)
      Flow(u) <+ Potential(u) - u0;
    else
      Flow(u) <+ -fastest/(1.0 + exp(min(ln(fastest) - ln_rate - faster, 500.0)));
  end
endmodule
"""


def _values(law: SetLaw | PowerLaw, fastest: float) -> dict[str, float]:
    t = law.transistor
    own = {"v_on": law.v_on, "alpha": law.alpha} if isinstance(law, PowerLaw) else {"v_s": law.v_s}
    return own | {
        "v_t": t.v_t,
        "eta": t.eta,
        "theta": t.theta,
        "smooth": t.smooth,
        "k": t.k,
        "r_source": max(t.r_source, 1e-3),
        "r_write": max(law.r_write, 1e-3),
        "ln_rate": float(np.log(10.0) * law.log10_rate),
        "fastest": fastest,
        "u0": 0.0,
    }


def set_module(law: SetLaw | PowerLaw, fastest: float) -> str:
    """Return the Verilog-A text of cells of this kind of law; it is the same for all of its parameters.

    Parameters
    ----------
    law
        The cell and its transistor.
    fastest
        What the filament's rate is limited to [1/s].
    """
    return _TEXT.format(
        state=STATE_DISCIPLINE,
        name=_name(law),
        parameters="\n".join(f"  parameter real {key} = 1.0;" for key in _values(law, fastest)),
        faster=_FASTER[type(law)],
    )


def card(law: SetLaw | PowerLaw, g: float, fastest: float) -> str:
    """Return the ``.model`` line named ``cell`` of a cell that reads ``g`` [S] before its pulse.

    Parameters
    ----------
    law
        The cell and its transistor.
    g
        Conductance before the pulse [S].
    fastest
        What the filament's rate is limited to [1/s].
    """
    values = _values(law, fastest) | {"u0": float(law.inner(g))}
    given = " ".join(f"{key}={number(value)}" for key, value in values.items())
    return f".model cell {_name(law)} {given}"


def _name(law: SetLaw | PowerLaw) -> str:
    return f"memtwin_set_{'power' if isinstance(law, PowerLaw) else 'exponential'}"
