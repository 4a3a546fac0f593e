"""A SET pulse on one cell of a technology in ngspice: transistor, line resistance and a filament that grows.

Nodes: ``bl`` bit line, ``n`` between cell and write resistance, ``d`` drain, ``s`` source, ``wl`` word line, ``u`` the
cell's state ln(g_c/1 µS) as a voltage. The rate of the filament passes 1e30/s at full voltage, where no simulator
follows: it is limited to 1e10/s, which a cell has long been slower than when its pulse ends.
"""

__all__ = ["compiled_deck", "set_deck", "set_in_ngspice"]

from collections.abc import Sequence

import numpy as np

from ...data.types import Array
from ...devices.printing.ngspice import number
from ...devices.technology.switching import PowerLaw, SetLaw
from ..ngspice.job import Job, Step
from ..ngspice.pool import call
from ..osdi.choice import Devices, to_compile
from .set_module import card, set_module

FASTEST = 1e10
"""Rate that the filament's is limited to [1/s]."""

_CAPACITANCE = 1e-9  # [F] whose voltage is the state
_EDGE = 0.01  # of a pulse, up and down
_POINTS = 400
_SECONDS = 120.0  # that ngspice may take


def set_deck(law: SetLaw | PowerLaw, g: float, v_wl: float, v_bl: float, pw: float) -> str:
    """Return the deck of a pulse on the word line.

    Parameters
    ----------
    law
        The cell and its transistor.
    g
        What the cell reads before [S].
    v_wl, v_bl, pw
        Word line and bit line [V], and width of the pulse [s].
    """
    t, n = law.transistor, number
    opened = f"((v(wl,s)-{n(t.v_t)}+{n(t.eta)}*v(d,s))/{n(t.smooth)})"
    over = f"{n(t.smooth)}*({opened} > 40 ? {opened} : ln(1+exp({opened})))"
    if isinstance(law, PowerLaw):
        x = f"max(v(bl,n)/{n(law.v_on)}-1,{n(float(np.exp(-500.0 / law.alpha)))})"
        faster = f"{n(law.alpha)}*ln({x})"
    else:
        x = f"max(v(bl,n),1e-9)/{n(law.v_s)}"
        faster = f"{x}+ln(1-exp(-2*{x}))"
    slower = f"({n(np.log(FASTEST) - np.log(10.0) * law.log10_rate)}-({faster}))"
    rate = f"{n(FASTEST)}/(1+exp(min({slower},500)))"
    lines = [
        *_sources(v_wl, v_bl, pw),
        "bcell bl n i=1e-6*exp(v(u))*v(bl,n)",
        f"rw n d {n(max(law.r_write, 1e-3))}",
        f"bover over 0 v={over}",
        "bspan span 0 v=min(v(d,s),v(over))",
        f"rs s 0 {n(max(t.r_source, 1e-3))}",
        f"bt d s i={n(t.k)}/(1+{n(t.theta)}*v(over))*v(span)*(v(over)-0.5*v(span))",
        f"bu 0 u i={n(_CAPACITANCE)}*{rate}",
        f"cu u 0 {n(_CAPACITANCE)} ic={n(float(law.inner(g)))}",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def compiled_deck(law: SetLaw | PowerLaw, g: float, v_wl: float, v_bl: float, pw: float) -> str:
    """Return the deck of :func:`set_deck` with cell, transistor and resistances as one compiled element ``n1``.

    Parameters
    ----------
    law
        The cell with its transistor.
    g
        Conductance before the pulse [S].
    v_wl
        Word-line voltage [V].
    v_bl
        Bit-line voltage [V].
    pw
        Width of the pulse [s].
    """
    return "\n".join(
        [*_sources(v_wl, v_bl, pw), card(law, g, FASTEST), "n1 bl wl 0 cell", ".end\n"]
    )


def set_in_ngspice(
    law: SetLaw | PowerLaw,
    pulses: Sequence[tuple[float, float, float, float]],
    *,
    devices: Devices = "auto",
    seconds: float = _SECONDS,
) -> Array:
    """Return what cells read after SET pulses [S], (pulses,), each ``(g, v_wl, v_bl, pw)`` as of :func:`set_deck`.

    Parameters
    ----------
    law
        The cell with its transistor.
    pulses
        Conductance before [S], word- and bit-line voltage [V] and width [s] of each.
    devices
        Whether the cell is compiled, stands as B-sources, or is compiled where that can be.
    seconds
        What one transient may take before it is given up.

    Raises
    ------
    NonConvergence
        If ngspice gives one up.
    EngineMissing
        If there is no ngspice, or compiled devices are asked for and can't be had here.
    """
    source = set_module(law, FASTEST)
    compiled = to_compile(devices, lambda: source)
    node = "v(n1#u)" if compiled else "v(u)"
    found = []
    for g, v_wl, v_bl, pw in pulses:
        end = (1.0 + 2.0 * _EDGE) * pw
        analysis = f"tran {number(end / _POINTS)} {number(end)}"
        deck = (compiled_deck if compiled else set_deck)(law, g, v_wl, v_bl, pw)
        if not compiled:  # compiled cells start where their parameter says
            analysis += " uic"
        ladder = ("reltol=1e-4 abstol=1e-12 vntol=1e-7", "reltol=1e-3 method=gear")
        job = Job(deck, (Step(analysis, (node,)),), ladder, sources=(source,) if compiled else ())
        found.append(float(law.outer(call(job, seconds).values[0][-1, 0])))
    return np.array(found)


def _sources(v_wl: float, v_bl: float, pw: float) -> list[str]:
    n, edge = number, _EDGE * pw
    return [
        f"SET pulse of {n(pw)} s, word line {n(v_wl)} V, bit line {n(v_bl)} V",
        f"vbl bl 0 {n(v_bl)}",
        f"vwl wl 0 pwl(0 0 {n(edge)} {n(v_wl)} {n(edge + pw)} {n(v_wl)} {n(2 * edge + pw)} 0)",
    ]
