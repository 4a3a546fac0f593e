"""Compact models printed as Verilog-A.

The text follows Verilog-AMS LRM 2.4: a module with two terminals and the state as the potential of an internal node
of a discipline of its own, ``ddt`` for its rate, analog functions for the limited exponentials, and the parameter
table with its ranges. It is generated from the same equations as the numpy and ngspice printings; tests compile every
model with OpenVAF and compare transients in ngspice with numpy.

A parameter keeps its name unless Verilog-A reserves it (``release_``, ``p_``). Simulators read names without regard to
case, so that two which differ in nothing else get another each: Yakopcic's ``a_p`` and ``A_p`` are ``a_p_lower`` and
``a_p_upper``. All are parameters of the instance, whose defaults a ``.model`` card sets for a whole tile.
"""

__all__ = ["STATE_DISCIPLINE", "InSeries", "instance_names", "module"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.printing.precedence import PRECEDENCE

from ...data.errors import InputError
from ..functions import LIMIT
from ..model import CompactModel, Parameter
from .operators import OperatorPrinter

# Verilog-AMS LRM 2.4, annex B and the mathematical functions of 4.3.
_KEYWORDS = frozenset(
    """
    above abs absdelay absdelta abstol access acos acosh ac_stim aliasparam always analog analysis
    and asin asinh assert assign atan atan2 atanh automatic begin branch buf bufif0 bufif1 case
    casex casez ceil cell cmos config connect connectmodule connectrules continuous cos cosh cross
    ddt ddt_nature ddx deassign default defparam design disable discipline discrete domain
    driver_update edge else end endcase endconfig endconnectrules enddiscipline endfunction
    endgenerate endmodule endnature endparamset endprimitive endspecify endtable endtask event
    exclude exp expm1 final_step flicker_noise floor flow for force forever fork from function
    generate genvar ground highz0 highz1 hypot idt idt_nature idtmod if ifnone incdir include inf
    initial initial_step inout input instance integer join laplace_nd laplace_np laplace_zd
    laplace_zp large last_crossing liblist library limexp ln ln1p localparam log macromodule max
    medium merged min module nand nature negedge net_resolution nmos noise_table noise_table_log
    nor noshowcancelled not notif0 notif1 or output parameter paramset pmos posedge potential pow
    primitive pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent rcmos real
    realtime reg release repeat resolveto rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled
    signed sin sinh slew small specify specparam split sqrt string strong0 strong1 supply0 supply1
    table tan tanh task time timer tran tranif0 tranif1 transition tri tri0 tri1 triand trior
    trireg units unsigned use uwire vectored wait wand weak0 weak1 while white_noise wire wor wreal
    xnor xor zi_nd zi_np zi_zd zi_zp
    """.split()  # noqa: SIM905
)
_LEAP = 0.003
"""Voltage at an inner node from which on steps of a solver below 0 grow as a logarithm [V]."""
_TAKEN = _KEYWORDS | {"area", "m", "n", "p", "pace", "state", "t", "v", "x", "x0", "y"}

_FUNCTIONS = f"""\
  analog function real limexp_;
    input u; real u;
    limexp_ = u < {LIMIT} ? exp(u) : exp({LIMIT})*(1.0 + u - {LIMIT});
  endfunction
  analog function real limsinh_;
    input u; real u; real c;
    begin
      c = min(max(u, -{LIMIT}), {LIMIT});
      limsinh_ = sinh(c) + cosh({LIMIT})*(u - c);
    end
  endfunction
  analog function real softplus_;
    input u; real u;
    softplus_ = max(u, 0.0) + ln(1.0 + exp(-min(abs(u), {LIMIT})));
  endfunction
  analog function real logistic_;
    input u; real u;
    logistic_ = 0.5*(1.0 + tanh(0.5*u));
  endfunction
  analog function real power_;
    input u, a; real u, a;
    power_ = pow(max(u, 0.0), a);
  endfunction
"""


class _Printer(OperatorPrinter):
    def __init__(self, names: dict[str, str]) -> None:
        super().__init__({"full_prec": True})
        self._names = names

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self._names[expr.name]

    def _print_Float(self, expr: sp.Float) -> str:
        return _real(float(expr))

    def _print_Integer(self, expr: sp.Integer) -> str:
        return _real(float(expr))  # integers would divide as integers

    def _print_Rational(self, expr: sp.Rational) -> str:
        return _real(float(expr))

    def _print_Half(self, expr: sp.Expr) -> str:
        return "0.5"

    def _print_One(self, expr: sp.Expr) -> str:
        return "1.0"

    def _print_NegativeOne(self, expr: sp.Expr) -> str:
        return "-1.0"

    def _print_Zero(self, expr: sp.Expr) -> str:
        return "0.0"

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.args
        text = self.parenthesize(base, PRECEDENCE["Atom"], strict=False)
        if (exponent.is_Integer and 1 < abs(int(exponent)) <= 4) or exponent == -1:
            product = "*".join([text] * abs(int(exponent)))
            return f"({product})" if exponent > 0 else f"(1.0/({product}))"
        if exponent == sp.Rational(1, 2):
            return f"sqrt({self._print(base)})"
        return f"pow({self._print(base)}, {self._print(exponent)})"

    def _print_Mul(self, expr: sp.Mul) -> str:
        factors = (self.parenthesize(a, PRECEDENCE["Pow"], strict=False) for a in expr.args)
        return f"({'*'.join(factors)})"

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *guarded, (last, _) = expr.args
        text = self._print(last)
        for value, condition in reversed(guarded):
            text = f"(({self._print(condition)}) ? {self._print(value)} : {text})"
        return str(text)

    def _own(self, expr: sp.Expr) -> str:
        arguments = ", ".join(self._print(argument) for argument in expr.args)
        return f"{type(expr).__name__}_({arguments})"

    _print_limexp = _print_limsinh = _print_softplus = _print_logistic = _print_power = _own


@dataclass(frozen=True)
class InSeries:
    """What a cell's module has between the memristor, which ends at the inner node ``t``, and the terminal ``n``."""

    parameters: Mapping[str, float]
    """Its own, which must begin with ``access_``, and their defaults."""
    current: Sequence[str]
    """Lines that let the current from ``t`` to ``n`` flow, written with the voltage ``y`` between the two."""


def module(
    model: CompactModel,
    name: str | None = None,
    *,
    values: Mapping[str, float] | None = None,
    area: float = 1.0,
    bounded: bool = True,
    frozen: bool = False,
    resistive: bool | None = None,
    series: InSeries | None = None,
) -> str:
    """Return a Verilog-A module of the model, ``name(p, n)``, with every parameter and its range.

    ``values`` (a device's parameters) replace the model's defaults. The state is held at the parameter ``x0`` at time
    0, so that an operating point is a read of that state and a transient starts from it (without ``uic``); a static
    model has it as its state. The module's ``area``, by default this one, scales the current as
    :class:`.device.Device` does, and ``pace`` the speed of the state.

    Parameters
    ----------
    model
        The equations.
    name
        The module's name; ``memtwin_`` and the model's when absent.
    values, area
        Defaults of the parameters.
    bounded
        Whether parameters have their ranges; without them any device of the model can be an instance.
    frozen
        Whether the state stays at ``x0`` for good, as while an array is read.
    resistive
        Whether there is a series resistance; where it isn't said, the parameter decides in the simulator.
    series
        What else sits in the cell.

    Raises
    ------
    InputError
        If ``name`` can't be a module's name, or ``values`` has an unknown parameter.
    """
    given = {key: float(value) for key, value in model.complete(values or {}).items()}
    name = f"memtwin_{model.name}" if name is None else name
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in _KEYWORDS:
        raise InputError(f"{name!r} can't be the name of a Verilog-A module")
    own = instance_names(model)
    dynamic = model.rate_expr is not None and not frozen
    end = "n" if series is None else "t"
    noded = model.inner_expr is not None
    own |= {"W": "w_inner"} | {key: f"{key}_inner" for key, _ in model.definitions}
    printer = _Printer({**own, "V": "v", "X": "x"})
    lines = [
        f"// {model.title}" + (f", doi:{model.doi}" if model.doi else ""),
        "// x = 1 is the low-resistance state; positive V(p, n) sets.",
        '`include "constants.vams"',
        '`include "disciplines.vams"',
        "",
    ]
    if dynamic:
        lines += [STATE_DISCIPLINE, ""]
    begin = "p" if resistive is False else "m"
    lines += [f"module {name}(p, n);", "  inout p, n;", "  electrical p, n;"]
    # A node that comes to nothing gives its name in ngspice to the next one: m is the last.
    if dynamic:
        lines.append("  memtwin_state state;")
    middle = ["w_node"] if noded else []
    lines += [f"  electrical {node};" for node in (end, *middle, begin) if node not in "pn"]
    lines += [
        _declaration(row, own[row.name], given[row.name], bounded) for row in model.parameters
    ]
    lines += [
        _parameter("area", area, "(0.0:inf)", "[1] area relative to the described device"),
        _start(model.state_range[1]),
    ]
    if dynamic:
        lines.append(_parameter("pace", 1.0, "[0.0:inf)", "[1] factor of the state's speed"))
    if series is not None:
        lines += [f"  parameter real {key} = {_real(x)};" for key, x in series.parameters.items()]
    lines += [
        f"  real {', '.join(['v', 'x', *_locals(model), *(['y'] if series else [])])};",
        "",
        _FUNCTIONS,
        "  analog begin",
        f"    v = V({begin}, {end});",
        f"    x = {'Potential(state)' if dynamic else 'x0'};",
    ]
    if noded:
        # Of several solutions the one nearest to 0 holds: a search that leaps below 0 would find another.
        lines.append(f'    w_inner = -$limit(V({end}, w_node), "pnjlim", {_LEAP}, {_LEAP});')
        lines += [f"    {own[key]} = {printer.doprint(e)};" for key, e in model.definitions]
    into = "w_node" if noded else end
    lines.append(f"    I({begin}, {into}) <+ area*({printer.doprint(model.current_expr)});")
    if noded:
        lines.append(f"    I(w_node, {end}) <+ area*({printer.doprint(model.inner_expr)});")
    if resistive is None:
        lines.append(f"    if ({own['r_s']} > 0.0)")
    if resistive is not False:
        lines.append(f"    I(p, m) <+ area*V(p, m)/{own['r_s']};")
    if resistive is None:
        lines.append("    else V(p, m) <+ 0.0;")
    if series is not None:
        lines += ["    y = V(t, n);", *(f"    {line}" for line in series.current)]
    if dynamic:
        rate = printer.doprint(model.rate_expr)
        lines += [
            # A derivative under a condition would cost another unknown per device.
            "    Flow(state) <+ ddt(x);",
            "    if ($abstime <= 0.0)",
            "      Flow(state) <+ x - x0;",
            "    else",
            f"      Flow(state) <+ -pace*({rate});",
        ]
    return "\n".join([*lines, "  end", "endmodule", ""])


def _locals(model: CompactModel) -> list[str]:
    """Return the variables that a model with an inner node needs."""
    inner = [] if model.inner_expr is None else ["w_inner"]
    return inner + [f"{key}_inner" for key, _ in model.definitions]


STATE_DISCIPLINE = """\
`ifndef MEMTWIN_STATE
`define MEMTWIN_STATE
nature Memtwin_state_value
  units = "1"; access = Potential; abstol = 1e-9;
endnature
nature Memtwin_state_rate
  units = "1/s"; access = Flow; abstol = 1e-12;
endnature
discipline memtwin_state
  potential Memtwin_state_value; flow Memtwin_state_rate;
enddiscipline
`endif"""
"""Declares the nodes whose potential is a state; a file may have it more than once."""


def _declaration(row: Parameter, name: str, value: float, bounded: bool) -> str:
    # The bounds are a fit's; a device that was given other values keeps them.
    bounds = f"[{_real(min(row.lower, value))}:{_real(max(row.upper, value))}]"
    return _parameter(name, value, bounds if bounded else "", f"[{row.unit}] {row.meaning}")


def _start(high: float) -> str:
    start = 0.5 if high == 1.0 else 1e-4
    bounds = f"[0.0:{_real(high)}" + ("]" if high == 1.0 else ")")
    return _parameter("x0", start, bounds, "state at the start")


def _parameter(name: str, value: float, bounds: str, meaning: str) -> str:
    within = f" from {bounds}" if bounds else ""
    return f'  (* type="instance" *) parameter real {name} = {_real(value)}{within};  // {meaning}'


def instance_names(model: CompactModel) -> dict[str, str]:
    """Return the names in Verilog-A of the model's parameters: none reserved, none equal but for case."""
    names = model.names
    folded = [name.lower() for name in names]
    own = {}
    for name, low in zip(names, folded, strict=True):
        if folded.count(low) > 1:
            own[name] = f"{low}_{'lower' if name == low else 'upper'}"
        else:
            own[name] = f"{name}_" if low in _TAKEN or low.startswith("access_") else name
    return own


def _real(value: float) -> str:
    if value == float("inf"):
        return "inf"
    text = repr(float(value))
    return text if "e" not in text or "." in text else text.replace("e", ".0e")
