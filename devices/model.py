"""A compact model: symbolic equations declared once, evaluated here as vectorised numpy.

A model is a current i(V, X; p) [A], a state rate dX/dt(V, X; p) [1/s], and a table of parameters.
V is the voltage across the device behind its series resistance ``r_s`` (a parameter of every
model), X the state, 1 in the LRS, and positive V moves X up. From the same expressions
:mod:`memtwin.devices.printing.ngspice` and :mod:`memtwin.devices.printing.verilog_a` print simulator text.

A model may have an *inner node* between two elements in series, where no formula gives the current at
once: its ``inner_expr`` is the current of the element behind that node, ``current_expr`` of the one in
front of it, and W [V], the potential of the node, is where the two are equal
(:mod:`memtwin.devices.inner`). Whatever is evaluated here is then taken at that W, slopes included.

All methods take the *terminal* voltage v; where r_s > 0 they solve i = f(v - r_s i, x) and carry
the derivatives through it by the implicit function theorem.
"""

__all__ = ["SERIES", "CompactModel", "Parameter", "symbols"]

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..data.display import as_html, as_text
from ..data.errors import InputError, nearest
from ..data.types import Array
from .series import Terminal, full

if TYPE_CHECKING:
    import sympy as sp

    from .compile import Numeric


_LONG = 1000  # operations of a law whose slopes are taken step by step
_AMBIENT = ("t_0", "temperature")
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?")
_STATE = re.compile(r"x\d+")
_TAKEN = frozenset(("V", "W", "X", "v", "x", "numpy"))


@dataclass(frozen=True)
class Parameter:
    """One row of a model's parameter table.

    Raises
    ------
    InputError
        If the name can't be one in equations and netlists, the bounds are not finite or the lower one
        is not below the upper one, or the default lies outside of them.
    """

    name: str
    """What equations call it."""
    unit: str
    """Its unit, ``"1"`` for a pure number."""
    default: float
    """Its value where none is given."""
    lower: float
    """Least value that a fit tries."""
    upper: float
    """Largest value that a fit tries."""
    log: bool
    """Whether a fit searches on a logarithmic scale; ``lower`` must then be above 0."""
    meaning: str
    """What it is, in words."""
    fixed: bool = False
    """Whether it is no fit parameter unless asked for, such as a temperature or a smoothing width."""

    def __post_init__(self) -> None:
        """Refuse bounds that no fit can use, and names that equations or printings use themselves."""
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN or _STATE.fullmatch(self.name):
            raise InputError(
                f"{self.name!r:.60} can't be the name of a parameter: expected letters, digits and _,"
                " a letter first and no _ last, and not v, x, x0, x1, ..."
            )
        if not (isfinite(self.lower) and isfinite(self.upper) and self.lower < self.upper):
            raise InputError(
                f"parameter {self.name}: its bounds are {self.lower} and {self.upper}, expected two"
                " numbers, the lower one first"
            )
        if not self.lower <= self.default <= self.upper:
            raise InputError(
                f"parameter {self.name}: its default is {self.default}, expected a number from"
                f" {self.lower} to {self.upper}, its bounds"
            )
        if self.log and self.lower <= 0:
            raise InputError(
                f"parameter {self.name}: a logarithmic scale can't begin at {self.lower}, expected a"
                " lower bound above 0"
            )


SERIES = Parameter(
    "r_s",
    "ohm",
    0.0,
    0.0,
    1e6,
    False,
    "series resistance of electrodes and wiring; 0 for none",
    True,
)


@dataclass(frozen=True)
class CompactModel:
    """Equations and parameter table of one memristor model.

    Models are equal where all that they declare is.

    Attributes
    ----------
    name, title
        Key of the model, and its name in words.
    parameters
        The table; the last row is always :data:`SERIES`.
    current_expr
        Current [A] in the symbols ``V`` [V], ``X`` and the parameters.
    rate_expr
        dX/dt [1/s] in the same symbols, or ``None`` for a device without dynamics.
    doi
        Where the equations come from, several separated by spaces; empty for our own.
    state_range
        Values that X can take; (0, 1) but for the plain resistor, whose X is a conductance.
    smooth
        Whether current and rate have continuous slopes (thresholds without kinks).
    notes
        What else one should know.
    inner_expr
        Current [A] from the inner node on, in the same symbols and ``W``, its potential [V]; it grows
        with W, and the current to the node, ``current_expr``, falls. ``None`` without such a node.
    definitions
        Intermediate results by name, each in the same symbols and those before it, that the equations
        may use: simulators get a variable or a node each, where a formula written out would fill pages.
        Only models with an inner node have them.

    Raises
    ------
    InputError
        If a parameter comes twice, the last is not :data:`SERIES`, or an equation uses a symbol that the
        table does not have.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    current_expr: "sp.Expr"
    rate_expr: "sp.Expr | None"
    doi: str = ""
    state_range: tuple[float, float] = (0.0, 1.0)
    smooth: bool = True
    notes: str = ""
    inner_expr: "sp.Expr | None" = None
    definitions: "tuple[tuple[str, sp.Expr], ...]" = ()
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a declaration with symbols that the table does not explain."""
        if not self.parameters or self.parameters[-1] != SERIES:
            raise InputError(f"model {self.name}: the last parameter must be SERIES")
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice:
            raise InputError(f"model {self.name} has two parameters {twice[0]!r}")
        known = {"V", "X"} | {p.name for p in self.parameters[:-1]}
        known |= set() if self.inner_expr is None else {"W"}
        if self.definitions and self.inner_expr is None:
            raise InputError(f"model {self.name}: definitions belong to an inner node")
        equations = [*self.definitions, ("current", self.current_expr), ("rate", self.rate_expr)]
        for label, expr in [*equations, ("inner current", self.inner_expr)]:
            free = set() if expr is None else {str(s) for s in expr.free_symbols}
            if free - known:
                raise InputError(
                    f"model {self.name}: its {label} uses {sorted(free - known)},"
                    " not in its parameter table"
                )
            if label in dict(self.definitions):
                known.add(label)

    def __repr__(self) -> str:
        return f"<CompactModel {self.name}: {self.title}>"

    def __str__(self) -> str:
        return as_text(f"{self.name}: {self.title}", self._rows())

    def _repr_html_(self) -> str:
        return as_html(f"{self.name}: {self.title}", self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        rows = [(name, str(expr)) for name, expr in self.definitions]
        rows.append(("i(V, X)", f"{self.current_expr} A"))
        if self.inner_expr is not None:
            rows.append(("i(W, X)", f"{self.inner_expr} A"))
        if self.rate_expr is not None:
            rows.append(("dX/dt", f"{self.rate_expr} 1/s"))
        rows += [
            (
                row.name,
                f"{row.default:.4g} {row.unit if row.unit != '1' else ''}".rstrip()
                + f": {row.meaning}",
            )
            for row in self.parameters
        ]
        return [*rows, ("doi", self.doi)] if self.doi else rows

    def __getstate__(self) -> dict[str, Any]:
        """Leave compiled functions behind: another process makes its own."""
        return {f.name: {} if f.name == "_cache" else getattr(self, f.name) for f in fields(self)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names in the order of the table."""
        return tuple(p.name for p in self.parameters)

    @cached_property
    def defaults(self) -> dict[str, float]:
        """Default value of every parameter."""
        return {p.name: p.default for p in self.parameters}

    @property
    def inside(self) -> tuple[str, ...]:
        """What goes on at the inner node, as text; empty without one."""
        if self.inner_expr is None:
            return ()
        return (str(self.inner_expr), *(f"{name} = {expr}" for name, expr in self.definitions))

    @cached_property
    def affine(self) -> bool:
        """Whether the current (behind r_s) is affine in the state."""
        import sympy as sp

        if self.inner_expr is not None:
            return False
        slope = sp.diff(self.current_expr, sp.Symbol("X", real=True))
        return not slope.has(sp.Symbol("X", real=True))

    @cached_property
    def ambient(self) -> str:
        """Name of the parameter that is the ambient temperature [K]; empty without one."""
        found = [row.name for row in self.parameters if row.name in _AMBIENT and row.unit == "K"]
        return found[0] if found else ""

    def parameter(self, name: str) -> Parameter:
        """Return one row of the table.

        Raises
        ------
        InputError
            If the model has no such parameter; the nearest name is suggested.
        """
        for row in self.parameters:
            if row.name == name:
                return row
        raise InputError(f"model {self.name} has no parameter {name!r}{nearest(name, self.names)}")

    def complete(self, p: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Return every parameter as an array, defaults where ``p`` has none.

        Raises
        ------
        InputError
            If ``p`` has a name that the model has not.
        """
        for name in p:
            self.parameter(name)
        return {r.name: np.asarray(p.get(r.name, r.default), float) for r in self.parameters}

    def compiled(self, quantity: str, wrt: str = "") -> "Numeric":
        """Return the numpy function of V, X and the parameters (by position, without r_s), made on
        first use.

        ``quantity`` is ``current`` or ``rate``; ``wrt`` is empty, ``V``, ``X`` or a parameter's
        name. Behind r_s.
        """
        return self.compiled_many((quantity, wrt))

    def compiled_many(self, *wanted: tuple[str, str]) -> "Numeric":
        """Return one numpy function that yields a tuple of quantities, sharing their common
        subexpressions.
        """
        if wanted not in self._cache:
            from .compile import vectorised

            if self.inner_expr is not None:
                from .inner import Noded

                self._cache[wanted] = Noded(self, wanted)
                noded: Numeric = self._cache[wanted]
                return noded
            inputs = symbols("V", "X", *self.names[:-1])
            if self._long and any(wrt for _, wrt in wanted):
                self._cache[wanted] = self._by_steps(inputs, wanted)
            else:
                expressions = [self._expression(quantity, wrt) for quantity, wrt in wanted]
                self._cache[wanted] = vectorised(
                    inputs, expressions[0] if len(wanted) == 1 else tuple(expressions)
                )
        compiled: Numeric = self._cache[wanted]
        return compiled

    def current(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return the current [A] at terminal voltage v [V] and state x; all arguments broadcast.

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        return self._solve(v, x, p).i

    def didv(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return di/dv [S] at constant state.

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        return self.current_and_didv(v, x, p)[1]

    def current_and_didv(
        self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]
    ) -> tuple[Array, Array]:
        """Return the current [A] and di/dv [S] at constant state.

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        s = self._solve(v, x, p)
        return s.i, s.slope * s.gain

    def didx(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return di/dx [A] at constant terminal voltage.

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        s = self._solve(v, x, p)
        return s.of(self.compiled("current", "X")) * s.gain

    def didp(self, name: str, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return the current's derivative with respect to parameter ``name`` [A per its unit].

        Parameters
        ----------
        name
            Which parameter.
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        self.parameter(name)
        s = self._solve(v, x, p)
        if name == SERIES.name:
            return -s.slope * s.gain * s.i
        return s.of(self.compiled("current", name)) * s.gain

    def rate(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return dx/dt [1/s].

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        return self._solve(v, x, p).of(self.compiled("rate"))

    def drdv(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return the rate's derivative with respect to the terminal voltage [1/(V s)].

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        s = self._solve(v, x, p)
        return s.of(self.compiled("rate", "V")) * s.gain

    def drdx(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return the rate's derivative with respect to the state [1/s] at constant terminal
        voltage.

        Parameters
        ----------
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        s = self._solve(v, x, p)
        drop = s.r_s * s.of(self.compiled("current", "X")) * s.gain
        return s.of(self.compiled("rate", "X")) - s.of(self.compiled("rate", "V")) * drop

    def drdp(self, name: str, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return the rate's derivative with respect to parameter ``name`` [1/s per its unit].

        Parameters
        ----------
        name
            Which parameter.
        v
            Voltage [V], an array that broadcasts.
        x
            State [0..1], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        self.parameter(name)
        s = self._solve(v, x, p)
        inner = s.of(self.compiled("rate", "V"))
        if name == SERIES.name:
            return -inner * s.gain * s.i
        drop = s.r_s * s.of(self.compiled("current", name)) * s.gain
        return s.of(self.compiled("rate", name)) - inner * drop

    def state(self, i: ArrayLike, v: ArrayLike, p: Mapping[str, ArrayLike]) -> Array:
        """Return the state at which the device carries i [A] at v [V]: exact where the model is
        affine in x.

        No bounds are enforced here for affine models; for others x is searched within
        ``state_range``, and NaN marks a current that no state in it gives.

        Parameters
        ----------
        i
            Current [A], an array that broadcasts.
        v
            Voltage [V], an array that broadcasts.
        p
            Parameters by name, SI, numbers or arrays that broadcast.
        """
        values = self.complete(p)
        i, v, *rest = np.broadcast_arrays(
            np.asarray(i, float), np.asarray(v, float), *values.values()
        )
        u = v - rest[-1] * i
        args = rest[:-1]
        law = self.compiled("current")
        if self.affine:
            at_zero = law(u, np.zeros(u.shape), *args)
            return np.asarray((i - at_zero) / (law(u, np.ones(u.shape), *args) - at_zero), float)
        low, high = (np.full(u.shape, end) for end in self.state_range)
        if np.isinf(self.state_range[1]):
            # Such states are small-signal conductances: no law here grows slower than its tangent.
            high = np.divide(i, u, out=np.zeros(u.shape), where=u != 0)
        with np.errstate(invalid="ignore"):
            below, over = law(u, low, *args) - i, law(u, high, *args) - i
            outside = below * over > 0
            for _ in range(60):
                middle = 0.5 * (low + high)
                same = (law(u, middle, *args) - i) * below > 0
                low, high = np.where(same, middle, low), np.where(same, high, middle)
        return np.where(outside, np.nan, 0.5 * (low + high))

    def _expression(self, quantity: str, wrt: str) -> "sp.Expr":
        expr = self.current_expr if quantity == "current" else self.rate_expr
        if expr is None:
            raise InputError(f"model {self.name} has no dynamics: its state never changes")
        return expr.diff(symbols(wrt)[0]) if wrt else expr

    @cached_property
    def _long(self) -> bool:
        """Whether slopes are taken step by step: those of a long law fill many pages, and take minutes."""
        laws = (expr for expr in (self.current_expr, self.rate_expr) if expr is not None)
        return sum(int(expr.count_ops()) for expr in laws) > _LONG

    def _by_steps(
        self, inputs: "list[sp.Symbol]", wanted: tuple[tuple[str, str], ...]
    ) -> "Numeric":
        from .tape import Tape

        laws = {quantity: self._expression(quantity, "") for quantity, _ in wanted}
        tape = Tape.of(laws, [])
        found = [
            tape.slope(tape.outputs[quantity], symbols(wrt)[0]) if wrt else tape.outputs[quantity]
            for quantity, wrt in wanted
        ]
        return tape.function(inputs, found if len(wanted) > 1 else found[0])

    def _solve(self, v: ArrayLike, x: ArrayLike, p: Mapping[str, ArrayLike]) -> "_Solution":
        values = self.complete(p)
        v, x, *args = np.broadcast_arrays(
            np.asarray(v, float), np.asarray(x, float), *values.values()
        )
        inner = Terminal(self, args).solve(v, x)
        return _Solution(x, args[:-1], args[-1], inner.u, inner.i, inner.slope)


@dataclass(frozen=True)
class _Solution:
    """Everything known behind the series resistance at one set of points."""

    x: Array
    args: list[Array]
    r_s: Array
    u: Array
    i: Array
    slope: Array

    @property
    def gain(self) -> Array:
        """du/dv, the share of a voltage change that reaches the device."""
        return 1.0 / (1.0 + self.r_s * self.slope)

    def of(self, function: "Numeric") -> Array:
        return full(function(self.u, self.x, *self.args), self.u.shape)


def symbols(*names: str) -> list["sp.Symbol"]:
    """Return the real SymPy symbols that declarations use: V, X and parameter names."""
    import sympy as sp

    return [sp.Symbol(name, real=True) for name in names]
