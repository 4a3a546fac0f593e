"""Compact models printed for ngspice, and in the dialects of LTspice and Xyce.

Every function takes ``dialect``, a name or a :class:`.dialects.Dialect`: a deck in another one is made of the same
lines. A deck includes what :func:`subcircuit` prints and has, for each device, a line
``X1 a b s1 memristor x0=0.2``, s1 a node of its own that shows the state, and ``.tran ... uic`` (LTspice, ngspice and
Xyce read all of this alike); or it has the lines of :func:`dynamic_elements` or :func:`static_elements`, flat, where it
needs names and nodes of its own choice. What is printed for ngspice is run by the tests, for the others it is read by
their documented rules of expressions and compared with numpy.

Facts of the simulator that the printing respects: ``limit()`` returns 0 and ``min()`` takes two
arguments only; a negative base under ``**`` is taken by its magnitude, so odd powers are written
as products; a ternary evaluates one branch only; the state is the voltage of a capacitor, 0 to 1
V, charged by a current source.
"""

__all__ = [
    "TIGHT",
    "dynamic_elements",
    "expression",
    "frozen_subcircuit",
    "limiter",
    "number",
    "static_current",
    "static_elements",
    "subcircuit",
]

import re
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.printing.precedence import PRECEDENCE, precedence

from ...data.errors import InputError
from ..functions import LIMIT, branches, limexp, logistic, softplus
from ..model import symbols
from .dialects import NGSPICE, Dialect, find_dialect
from .operators import Described, OperatorPrinter

TIGHT = "abstol=1e-15 vntol=1e-9 chgtol=1e-18 trtol=1 reltol=1e-7"
"""ngspice ``.options`` at which transients of these models are accurate to about 1e-5."""

_CAPACITANCE = 1e-6
_NAME = re.compile(r"[A-Za-z0-9_.#]+\Z")


def number(value: float) -> str:
    """Return a number as ngspice reads it back exactly."""
    return repr(float(value))


class _SpicePrinter(OperatorPrinter):
    def __init__(self, names: dict[str, str], guarded: bool, dialect: Dialect) -> None:
        super().__init__({"full_prec": True})
        self._names = names
        self._guarded = guarded
        self._dialect = dialect

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self._names[expr.name]

    def _print_Float(self, expr: sp.Float) -> str:
        return number(expr)

    def _print_Rational(self, expr: sp.Rational) -> str:
        return number(float(expr))

    def _print_Integer(self, expr: sp.Integer) -> str:
        return str(int(expr))

    def _print_Exp1(self, expr: sp.Expr) -> str:
        return number(float(expr))

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.args
        text = self.parenthesize(base, PRECEDENCE["Atom"], strict=False)
        if exponent.is_Integer and abs(int(exponent)) <= 4:
            product = "*".join([text] * abs(int(exponent)))
            return f"({product})" if exponent > 0 else f"(1/({product}))"
        if exponent.is_Integer and exponent % 2:
            even = self._print(sp.Integer(exponent - 1))
            return f"({text}*{text}**({even}))"
        if exponent == sp.Rational(1, 2):
            return f"sqrt({self._print(base)})"
        return f"({text}**({self._print(exponent)}))"

    def _print_exp(self, expr: sp.Expr) -> str:
        return f"exp({self._print(expr.args[0])})"

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *guarded, (last, _) = expr.args
        text = self._print(last)
        for value, condition in reversed(guarded):
            text = self._choice(self._print(condition), self._print(value), text)
        return str(text)

    def _choice(self, condition: str, then: str, otherwise: str) -> str:
        return self._dialect.choice.format(c=condition, a=then, b=otherwise)

    def _print_And(self, expr: sp.And) -> str:
        return self._joined(self._dialect.both, expr)

    def _print_Or(self, expr: sp.Or) -> str:
        return self._joined(self._dialect.either, expr)

    def _print_limexp(self, expr: sp.Expr) -> str:
        text = self._print(expr.args[0])
        # Beyond the limit Newton's iterations only pass through: a constant is enough, and cheaper.
        return f"exp(min({text}, {LIMIT}))" if self._guarded else f"exp({text})"

    def _print_limsinh(self, expr: sp.Expr) -> str:
        text = self._print(expr.args[0])
        return f"sinh(max(min({text}, {LIMIT}), -{LIMIT}))" if self._guarded else f"sinh({text})"

    def _print_softplus(self, expr: sp.Expr) -> str:
        text = self._print(expr.args[0])
        # an if() computes both branches: the exponential must stay finite in the one not taken
        grown = text if self._dialect is NGSPICE else f"min({text}, 40)"
        return self._choice(f"{text} > 40", text, f"ln(1 + exp({grown}))")

    def _print_logistic(self, expr: sp.Expr) -> str:
        return f"(0.5 + 0.5*tanh(0.5*({self._print(expr.args[0])})))"

    def _print_power(self, expr: sp.Expr) -> str:
        base, exponent = expr.args
        text = self._print(base)
        if not _never_negative(base):  # ngspice would take the power of its magnitude
            text = f"max({text}, 0)"
        return f"({text})" if exponent == 1 else f"(({text})**({self._print(exponent)}))"

    def _print_Mul(self, expr: sp.Mul) -> str:
        text = "*".join(self.parenthesize(arg, precedence(expr), strict=False) for arg in expr.args)
        return f"({text})"


def _never_negative(expr: sp.Expr) -> bool:
    if expr.is_Mul:
        return all(map(_never_negative, expr.args))
    return bool(expr.is_extended_nonnegative) or isinstance(expr, softplus | limexp | logistic)


def expression(
    expr: sp.Expr,
    names: dict[str, str],
    *,
    guarded: bool = False,
    dialect: str | Dialect = NGSPICE,
) -> str:
    """Return the text of ``expr``; ``names`` gives the text of every symbol.

    Parameters
    ----------
    expr
        What to print.
    names
        Text of every symbol.
    guarded
        Whether exponentials are limited, so that no iteration overflows.
    dialect
        The simulator's way of writing things.
    """
    return str(_SpicePrinter(names, guarded, find_dialect(dialect)).doprint(expr))


def _text(
    device: Described,
    expr: sp.Expr,
    v: str,
    x: str,
    *,
    guarded: bool,
    scale: float = 1.0,
    dialect: str | Dialect = NGSPICE,
    inner: Mapping[str, str] | None = None,
) -> str:
    """Print ``scale`` times an expression with the device's numbers in it; ``inner`` has the texts of
    the inner node's potential and of the definitions.
    """
    dialect = find_dialect(dialect)
    guarded = guarded or dialect is not NGSPICE  # others compute the branch not taken, too
    values: dict[Any, Any] = {}
    for name in device.model.names[:-1]:
        value = device.parameters[name]
        whole = value.is_integer() and abs(value) < 1e6
        values[symbols(name)[0]] = sp.Integer(int(value)) if whole else sp.Float(value)
    (voltage,) = symbols("V")
    factor = sp.Float(scale) if scale != 1.0 else sp.Integer(1)
    # One ternary for the whole, not one for each parameter: ngspice computes one branch only.
    positive, negative = (factor * part for part in branches(expr.xreplace(values), voltage))
    if positive != negative:
        positive = sp.Piecewise((positive, voltage >= 0), (negative, True))
    names = {"V": v, "X": x, **(inner or {})}
    return expression(positive, names, guarded=guarded, dialect=dialect)


def static_current(
    device: Described,
    v: str,
    x: str | float,
    *,
    guarded: bool = False,
    dialect: str | Dialect = NGSPICE,
) -> str:
    """Return the B-source expression of the current at a frozen state.

    Parameters
    ----------
    device
        The device; its numbers are written into the expression.
    v
        ngspice text of the voltage across it, behind its series resistance: ``v(a,b)``.
    x
        State: a number, or ngspice text (``v(x1)``, ``{x}``) so that it can be altered in a loaded
        circuit.
    guarded
        Limit arguments of exponentials to ±80: needed only where Newton may stray to such voltages.
    dialect
        Whose expression.

    Notes
    -----
    Where ``device.r_s`` is not 0 the voltage must be taken behind a resistor of that value;
    :func:`static_elements` writes both.
    """
    state = number(x) if isinstance(x, int | float) else _checked_expression(x)
    return _text(
        device,
        device.model.current_expr,
        _checked_expression(v),
        state,
        guarded=guarded,
        scale=device.area,
        dialect=dialect,
    )


def static_elements(
    device: Described,
    tag: str,
    p: str,
    n: str,
    x: str | float,
    *,
    guarded: bool = False,
    dialect: str | Dialect = NGSPICE,
) -> list[str]:
    """Return netlist lines of the device at a frozen state between nodes ``p`` and ``n``.

    One B source; with a series resistance also a resistor and the node ``{tag}s`` between them.
    ``tag`` makes element and node names unique; x is a number or ngspice text.

    Parameters
    ----------
    device
        The device.
    tag
        What the elements' names end in.
    p
        Name of the positive node.
    n
        Name of the negative node.
    x
        Name or value of the state.
    guarded
        Whether exponentials are limited, so that no iteration overflows.
    dialect
        The simulator's way of writing things.
    """
    _check_names(tag, p, n)
    if device.model.name == "resistor" and isinstance(x, int | float) and x > 0:
        return [f"R{tag} {p} {n} {number(1 / (device.area * x) + device.r_s)}"]
    lines, inner = _series(device, tag, p)
    if device.model.inner_expr is not None:
        state = number(x) if isinstance(x, int | float) else _checked_expression(x)
        return [*lines, *_noded_elements(device, tag, (inner, n), state, find_dialect(dialect))[0]]
    law = static_current(device, f"v({inner},{n})", x, guarded=guarded, dialect=dialect)
    return [*lines, f"B{tag} {inner} {n} {find_dialect(dialect).source('I', law)}"]


def dynamic_elements(
    device: Described,
    tag: str,
    p: str,
    n: str,
    x: str,
    *,
    x0: str | float,
    dialect: str | Dialect = NGSPICE,
) -> list[str]:
    """Return netlist lines of the device with its state as the voltage of node ``x``.

    The state's capacitor is ``C{tag}`` with ``ic={x0}``: run ``.tran ... uic``, and alter ``ic``
    to start elsewhere.

    Parameters
    ----------
    device
        The device.
    tag
        What the elements' names end in.
    p
        Name of the positive node.
    n
        Name of the negative node.
    x
        Name of the node that holds the state.
    x0
        State at the start [0..1].
    dialect
        The simulator's way of writing things.
    """
    _check_names(tag, p, n, x)
    rate = device.model.rate_expr
    if rate is None:
        raise InputError(f"model {device.model.name} has no dynamics: its state never changes")
    lines, inner = _series(device, tag, p)
    v, state = f"v({inner},{n})", f"v({x})"
    dialect = find_dialect(dialect)
    if device.model.inner_expr is None:
        names: Mapping[str, str] = {}
        current = static_current(device, v, state, guarded=True, dialect=dialect)
        elements = [f"B{tag} {inner} {n} {dialect.source('I', current)}"]
    else:
        elements, names = _noded_elements(device, tag, (inner, n), state, dialect)
    charge = _text(
        device, rate, v, state, guarded=True, scale=_CAPACITANCE, dialect=dialect, inner=names
    )
    start = number(x0) if isinstance(x0, int | float) else _checked_expression(x0)
    return [
        *lines,
        *elements,
        f"Bx{tag} 0 {x} {dialect.source('I', charge)}",
        f"C{tag} {x} 0 {number(_CAPACITANCE)} ic={start}",
        f"Rx{tag} {x} 0 1e15",
    ]


def _noded_elements(
    device: Described, tag: str, ends: tuple[str, str], state: str, dialect: Dialect
) -> tuple[list[str], Mapping[str, str]]:
    """Return the lines of a device with an inner node ``{tag}w``, and the texts of that node's potential
    and of the definitions, which are the voltages of nodes of their own.
    """
    model, (p, n) = device.model, ends
    assert model.inner_expr is not None
    node, v = f"{tag}w", f"v({p},{n})"
    names = {"W": f"v({node},{n})"}
    lines = []
    for k, (name, expr) in enumerate(model.definitions):
        text = _text(device, expr, v, state, guarded=True, dialect=dialect, inner=names)
        lines.append(f"B{tag}d{k} {tag}d{k} 0 {dialect.source('V', text)}")
        names[name] = f"v({tag}d{k})"
    for letter, start, end, expr in (
        ("", p, node, model.current_expr),
        ("w", node, n, model.inner_expr),
    ):
        text = _text(
            device,
            expr,
            v,
            state,
            guarded=True,
            scale=device.area,
            dialect=dialect,
            inner=names,
        )
        lines.append(f"B{tag}{letter} {start} {end} {dialect.source('I', text)}")
    return lines, names


def subcircuit(
    device: Described,
    name: str = "memristor",
    *,
    x0: float = 0.5,
    dialect: str | Dialect = NGSPICE,
) -> str:
    """Return ``.subckt name p n x params: x0=...`` of the device with dynamics, as text.

    Pins: p, n the terminals; x shows the state as a voltage from 0 to 1 V. It is an output, so
    every instance needs a node of its own there: ``X1 a 0 s1 memristor x0=0.2``. The state is held
    by the capacitor ``Cm`` on the inner node q, which coarse time steps may throw past its bounds;
    the laws then read the bound, and so does x.

    Parameters
    ----------
    device
        The device.
    name
        Name of the subcircuit.
    x0
        State at the start [0..1].
    dialect
        The simulator's way of writing things.
    """
    _check_names(name)
    dialect = find_dialect(dialect)
    body = dynamic_elements(device, "m", "p", "n", "q", x0="{x0}", dialect=dialect)
    body.append(f"Bm_x x 0 {dialect.source('V', 'min(max(v(q), 0), 1)')}")
    title = "; ".join(
        filter(None, (f"* {_comment(device.model.title)}", _comment(device.name), device.caveat))
    )
    head = f".subckt {name} p n x params: x0={number(x0)}"
    return "\n".join([title, head, *body, f".ends {name}", ""])


def frozen_subcircuit(
    device: Described,
    name: str = "memristor",
    *,
    x: float = 0.5,
    dialect: str | Dialect = NGSPICE,
) -> str:
    """Return ``.subckt name p n`` of the device at a frozen state, as text: what a read sees.

    Parameters
    ----------
    device
        The device.
    name
        Name of the subcircuit.
    x
        State at which it is frozen [0..1].
    dialect
        The simulator's way of writing things.
    """
    _check_names(name)
    low, high = device.model.state_range
    if not low <= x <= high:
        raise InputError(f"the state is {x:g}, expected {low:g} to {high:g}")
    title = "; ".join(
        filter(
            None,
            (
                f"* {_comment(device.model.title)}",
                _comment(device.name),
                f"x = {x:g}",
                device.caveat,
            ),
        )
    )
    body = static_elements(device, "m", "p", "n", x, dialect=dialect)
    return "\n".join([title, f".subckt {name} p n", *body, f".ends {name}", ""])


def limiter(
    name: str = "limiter",
    *,
    positive: float,
    negative: float | None = None,
    dialect: str | Dialect = NGSPICE,
) -> str:
    """Return ``.subckt name a b params: i_p=... i_n=...``, as text: put between a voltage source at a and
    a device at b, it makes of them a source with a current limit.

    Parameters
    ----------
    name
        What to call it.
    positive, negative
        Limits of the current from a to b, and from b to a [A]; by default the same.
    dialect
        Whose subcircuit.

    Raises
    ------
    InputError
        If a limit is not above 0, or ``name`` can't be a name in a netlist.

    Notes
    -----
    It takes the voltage by which the device would be too large: 1 V for each 1e-6 of the limit that the
    current is beyond it. As a voltage that the current controls it converges where a current source
    beside a diode does not: from either side Newton's steps go down the device's own, convex law.
    """
    _check_names(name)
    limits = (positive, positive if negative is None else negative)
    for limit in limits:
        if not 0.0 < limit < float("inf"):
            raise InputError(f"a current limit is a number above 0 A, got {limit:g}")
    i_p, i_n = map(number, limits)
    beyond = "1e6*(max(i(Vi)/{i_p} - 1, 0) - max(-i(Vi)/{i_n} - 1, 0))"
    return "\n".join(
        [
            "* current limit in series with a source",
            f".subckt {name} a b params: i_p={i_p} i_n={i_n}",
            "Vi a c 0",
            f"Bl c b {find_dialect(dialect).source('V', beyond)}",
            f".ends {name}",
            "",
        ]
    )


def _series(device: Described, tag: str, p: str) -> tuple[list[str], str]:
    if device.r_s == 0:
        return [], p
    return [f"Rs{tag} {p} {tag}s {number(device.r_s)}"], f"{tag}s"


def _check_names(*names: str) -> None:
    for name in names:
        if not _NAME.match(name):
            raise InputError(
                f"{name!r} can't be a name in a netlist: use letters, digits and _ . #"
            )


def _checked_expression(text: str) -> str:
    if not re.match(r"[A-Za-z0-9_.#(),{}+\-*/ ]+\Z", text):
        raise InputError(f"{text!r} can't be an expression in a netlist")
    return text


def _comment(text: str) -> str:
    return re.sub(r"[^ -~]", " ", text)
