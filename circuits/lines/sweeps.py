"""Alternating line sweeps: the core of the line solver, one tile at a time.

All word lines are solved exactly with the bit lines held, then all bit lines with the word lines
held, and so on. Devices act as a fixed chord conductance, so that every line has one inverse for
all vectors, and a current ``N`` for the rest. After every sweep the line closure carries the change
of the column currents to where repeated sweeps would take it (a coarse correction, as in
multigrid), which at 128 lines nearly halves their number.

The inverses are kept as dense matrices: a product of matrices does ten times the arithmetic of
substitution along a tridiagonal line, and is still twice as fast.
"""

__all__ = ["Circuit", "Current", "Solution", "factor", "solve"]

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ..surrogate.closure import operate
from .ladder import Field, Lines

DIVERGED = 1e30
"""Error beyond which no sweep leads back."""

MARGIN = 1.25
"""By what the error left after the last steps may be underestimated."""

Current: TypeAlias = Callable[[Field, Field], Field]
"""``current(u, b)``: currents of devices at the voltages ``u`` with the bit lines at ``b``, all
(rows, cols, vectors), in the unit of voltage times siemens. What it returns may be overwritten by
its next call.
"""


class Circuit(NamedTuple):
    """A tile ready for sweeps."""

    lines: Lines
    g: Field
    """Chord conductances [S], (rows, cols, 1)."""
    p: Field
    """Word-line response to its driver, (rows, cols, 1)."""
    beta: Field
    """Bit-line potential per sensed current [ohm], (rows, cols, 1)."""
    row: Any
    """Inverses of the word lines [ohm], (rows, cols, cols)."""
    col: Any
    """Inverses of the bit lines [ohm], (cols, rows, rows)."""
    r: Any
    """``(I - M)^-1`` of the closure, (cols, cols)."""
    t: Any
    """Transposed transfer matrix of the closure [S], (cols, rows)."""


class Solution(NamedTuple):
    """Where the sweeps ended."""

    i: Any
    """Sensed currents, (cols, vectors)."""
    u: Field
    """Voltages across the devices, (rows, cols, vectors)."""
    b: Field
    """Bit-line potentials, (rows, cols, vectors)."""
    error: float
    """Estimated largest error left in the currents, relative to the largest current."""
    sweeps: int
    """How many there were."""


def factor(lines: Lines, g: Field) -> Circuit:
    """Return the circuit of a tile whose devices have the chord conductances ``g``, (rows, cols)."""
    xp = lines.xp
    point = operate(lines, g[None])
    return Circuit(
        lines,
        g[:, :, None],
        point.p[0][:, :, None],
        point.beta[0][:, :, None],
        _inverses(xp, *(profile[0] for profile in point.rows)),
        _inverses(xp, *(xp.swapaxes(profile[0], 0, 1) for profile in point.cols)),
        xp.swapaxes(point.r[0], 0, 1),
        xp.swapaxes(point.t[0], 0, 1),
    )


def _inverses(xp: Any, x: Any, y: Any) -> Any:
    """Return ``x[min(i, k)] y[max(i, k)]`` of every line; ``x`` and ``y`` are (lines, nodes)."""
    # x rises along a line and y falls, so the wanted element of each is the smaller one.
    full = xp.minimum(x[:, :, None], x[:, None, :])
    full *= xp.minimum(y[:, :, None], y[:, None, :])
    return full


def solve(
    circuit: Circuit,
    v: Any,
    rest: Current,
    *,
    tolerance: float,
    sweeps: int,
    start: Any = None,
    inject: Any = None,
    apart: bool = False,
    lift: Current | None = None,
    truth: Current | None = None,
) -> Solution:
    """Sweep until the sensed currents are known to ``tolerance``, or ``sweeps`` times.

    Parameters
    ----------
    circuit
        From :func:`factor`.
    v
        Row voltages, (rows, vectors).
    rest
        What the devices carry beyond their chords.
    tolerance
        Error to reach in the sensed currents, relative to the largest one.
    sweeps
        Give up after as many; the solution's ``error`` then exceeds ``tolerance``.
    start
        Sensed currents to start from, (cols, vectors); by default those of the linear closure.
    inject
        Potentials of the sense inputs, (cols, vectors); 0 V when left out.
    apart
        Count sensed currents against those potentials; without it, what the inputs send into the
        bit lines themselves is part of them.
    lift
        What the devices send into their bit lines beyond what they take from their word lines; only
        an adjoint has such.
    truth
        What ``rest`` approximates, where that costs more. It is asked once the sweeps have
        converged, they go on with the difference added, and end where asking again changes nothing.
    """
    lines, g, beta = circuit.lines, circuit.g, circuit.beta
    xp = lines.xp
    bottom, top = lines.bottom[:, None], lines.top[:, None]
    drive = circuit.p * v[:, None]
    sensed = circuit.t @ v if start is None else start
    # Buffers for the whole solve: fresh pages cost as much as the arithmetic on them.
    w, u, part = (xp.empty_like(drive + 0.0 * g) for _ in range(3))
    flow = xp.multiply(g * beta, sensed, out=xp.empty_like(w))
    turned = xp.empty_like(w).reshape((w.shape[1], w.shape[0], -1))
    b = xp.swapaxes(turned, 0, 1)
    xp.multiply(beta, sensed, out=b)
    last, error, rates, slow, off = None, 1.0, (0.1, 0.1), 0.1, None
    for sweep in range(1, sweeps + 1):
        xp.matmul(circuit.row, flow, out=w)
        w += drive
        xp.subtract(w, b, out=u)
        beyond = rest(u, b) if off is None else rest(u, b) + off
        w *= g
        w += beyond
        if lift is not None:
            w += lift(u, b)
        if inject is not None:
            w[-1] += bottom * inject
            if lines.sensed_top:
                w[0] += top * inject
        xp.matmul(circuit.col, xp.swapaxes(w, 0, 1), out=turned)
        found = bottom * b[-1] + top * b[0] if lines.sensed_top else bottom * b[-1]
        if apart:
            found = found - (bottom + top if lines.sensed_top else bottom) * inject
        change = found - sensed
        extra = circuit.r @ change - change
        xp.multiply(beta, extra, out=part)
        b += part
        before, sensed = sensed, found + extra
        step = _relative(sensed - before, sensed)
        # Sweeps converge geometrically: what is left follows from the last steps. Two must agree,
        # since near rounding, or while several modes decay, one step may be small by chance; only
        # the first ratio is rather one of the start.
        first = last is None
        if last is not None:
            rates = rates[1] if sweep > 3 else 0.1, min(max(step / last, 0.1), 0.95)
        rate = max(*rates, slow)
        left = MARGIN * rate / (1.0 - rate)
        error, last = left * step, step or 1e-300
        if not error < DIVERGED:
            return Solution(sensed, u, b, float("inf"), sweep)
        if error <= tolerance and not first:
            if truth is None:
                break
            beyond = truth(u, b)
            new = beyond - rest(u, b)
            shift = _sensed(circuit, new if off is None else new - off)
            sensed, off, last, slow = sensed + shift, new, None, max(rates)
            xp.multiply(beta, shift, out=part)
            b += part
            error = max(error, left * _relative(shift, sensed))
            if error <= tolerance:
                break
        xp.multiply(g, b, out=flow)
        flow -= beyond
    return Solution(sensed, u, b, error, sweep)


def _sensed(circuit: Circuit, current: Field) -> Any:
    """Return what the columns sense of currents that the devices carry more, to first order."""
    lines, xp = circuit.lines, circuit.lines.xp
    sent = current - circuit.g * xp.matmul(circuit.row, current)
    b = xp.matmul(circuit.col, xp.swapaxes(sent, 0, 1))
    found = lines.bottom[:, None] * b[:, -1]
    if lines.sensed_top:
        found = found + lines.top[:, None] * b[:, 0]
    return circuit.r @ found


def _relative(change: Any, sensed: Any) -> float:
    """Return the largest change of a current, relative to the largest current."""
    return float(abs(change).max()) / (float(abs(sensed).max()) or 1.0)
