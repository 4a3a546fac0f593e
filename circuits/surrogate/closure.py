"""The line closure: what a tile with wires and nonlinear devices does, as a handful of matrices.

Every word line and every bit line is solved exactly (:mod:`.ladder`). What is approximated is how
they feel each other: the potential along bit line ``l`` is taken as a fixed profile times its
sensed current, ``b_kl = beta_kl I_l``. That closes the circuit with one matrix of (cols, cols) per
tile::

    I = v T + M I,   M_jl = sum_i (q g)_ij W_i[j, l] (g beta)_il

with ``W_i`` the inverse of word line ``i``, ``P`` its response to its driver, and ``q`` the share
of a current injected into a bit line that its sense input receives.

Devices that are not linear carry ``N(u, b)`` beside ``g u``, with ``u`` the voltage across the
device. The current that row ``i`` sends to column ``j`` because of it depends on ``v_i`` and on the
column currents alone. It is computed at a few row voltages (collocation), each word line solved
with its nonlinear devices, at a typical column current ``I0``; there also its first and second
derivative by the column current. Powers of ``v_i`` run through the nodes, so that a batch of
vectors is a few products of matrices::

    I' = v T + D + sum_p v^p A_p
    I  = I' + [(I' - I0) (s + v^2 S) + (I' - I0)^2 (v C)] R,   R = (I - M)^-T

Where what the bend moves, or how ``R`` differs from one where it takes nonlinear currents to the
columns, is too little to matter (:func:`left_out`), reads do without these products.

The law of the device enters only through values at the nodes, so transistors that feel ``b``, and
curvature that depends on the conductance, cost nothing more. ``D`` is what an exact linear solve
(:mod:`.transfer`) adds; it ages slowly while conductances change.

Voltages here are counted in units of the full swing and currents in siemens times that unit.
"""

__all__ = [
    "Closure",
    "Operating",
    "Stack",
    "apply",
    "close",
    "left_out",
    "operate",
    "read_and_slopes",
]

from typing import Any, NamedTuple

from ...data.types import Array
from ..lines.cell_law import KINK, Terms, beyond, evaluate
from ..lines.ladder import Field, Lines, Profiles, column_solve, line_profiles, row_solve
from .expansion import Expansion
from .updates import Workings

TINY = 1e-15
"""Conductance [S] that keeps columns without devices from dividing by zero."""


class Operating(NamedTuple):
    """A stack of tiles linearised at small signal; everything here is (tiles, rows, cols) but the
    last three.
    """

    rows: Profiles
    cols: Profiles
    p: Field
    """Word-line response to its driver."""
    q: Field
    """Share of a current into a bit line that is sensed."""
    beta: Field
    """Bit-line potential per sensed current [ohm]."""
    r: Any
    """``(I - M)^-T``, (tiles, cols, cols)."""
    t: Any
    """Transfer matrix of the closure [S], (tiles, rows, cols)."""
    full: Any
    """Sensed currents with all rows at full swing, (tiles, 1, cols)."""


class Stack(NamedTuple):
    """A polynomial of the row voltages: a matrix for each of its powers."""

    matrices: tuple[Any, ...]
    """One per power, the power 0 left out; (tiles, rows, cols)."""
    constant: Any
    """Its power 0, summed over the rows, (tiles, 1, cols), or ``None``."""


class Closure(NamedTuple):
    """What :func:`apply` needs of a stack of tiles."""

    value: Stack
    """``T + D`` and ``A_p``."""
    slope: Stack | None
    """``s`` and ``S``; ``None`` if the devices are linear."""
    bend: Stack | None
    """``C``; ``None`` if the devices are linear, or where it is left out."""
    r: Any
    """(tiles, cols, cols); ``None`` where it is left out."""
    load: Any
    """``I0``, (tiles, 1, cols)."""
    idle: Any = None
    """What idle rows send per column current where devices have a kink, (tiles, rows, cols)."""
    reach: Any = None
    """Row voltage up to which a row counts as idle, by and by less, at ``I0``; (tiles, 1, 1)."""
    workings: Workings | None = None
    """What changed devices are taken in by."""


def operate(lines: Lines, g: Field) -> Operating:
    """Linearise a stack of tiles whose devices have the conductances ``g`` [S]."""
    xp = lines.xp
    rows, cols = line_profiles(lines, g)
    p = lines.left[:, None] * rows.y
    if lines.driven_right:
        p = p + lines.right[:, None] * rows.x * rows.y[..., -1:]
    q = lines.bottom * cols.x * cols.y[..., -1:, :]
    if lines.sensed_top:
        q = q + lines.top * cols.y
    driven = g * p
    b = column_solve(lines, cols, driven)
    # The column's current to ground is what flows in: q shares it out, so this is I without M.
    beta = b / ((q * driven).sum(-2, keepdims=True) + TINY)
    qg, gb = q * g, g * beta
    x, y = rows
    m = (
        xp.swapaxes(qg * x, -1, -2) @ (y * gb) * lines.upper
        + xp.swapaxes(qg * y, -1, -2) @ (x * gb) * lines.lower
    )
    r = xp.swapaxes(xp.linalg.inv(lines.eye - m), -1, -2)
    t = (p * qg) @ r
    return Operating(rows, cols, p, q, beta, r, t, t.sum(-2, keepdims=True) + TINY)


def close(
    lines: Lines, terms: Terms, point: Operating, expansion: Expansion, residual: Any = 0.0
) -> Closure:
    """Return the matrices that read a stack of tiles.

    ``residual`` is what the exact linear transfer matrix adds to the closure's, ``D`` above.

    Parameters
    ----------
    lines
        Ladders of word and bit lines.
    terms
        Coefficients of the polynomials.
    point
        Where the cells operate.
    expansion
        Where the nonlinear part is collocated.
    residual
        What the exact linear matrix adds to the closure's.
    """
    g, q, transfer = terms[0][1], point.q, point.t + residual
    rest = beyond(terms)
    workings = Workings(
        *point.rows, point.p, q, point.beta, q * g, g * point.beta, point.full, transfer
    )
    if not rest:
        matrices = Stack((transfer,), None)
        return Closure(matrices, None, None, point.r, 0.0 * point.full, workings=workings)
    full, b_full = point.full, point.beta * point.full
    # By how much the column currents at full swing lower the voltage across every device.
    shift = b_full - row_solve(lines, point.rows, g * b_full)
    b = expansion.load * b_full
    values, slopes, bends, across = [], [], [], []
    drop: Any = 0.0
    last = 0.0
    for node in expansion.nodes:
        base = node * point.p - expansion.load * shift
        # The drop that nonlinear currents make along the word line: the last node's, scaled with
        # the cube of the voltage, then one step of the fixed point.
        u = base - drop * (node / last) ** 3 if node * last > 0.0 else base
        drop, last = row_solve(lines, point.rows, evaluate(rest, u, b)), node
        u = base - drop
        n = evaluate(rest, u, b) - g * drop
        # The same for a growth of all column currents in the proportions of full swing.
        across.append(u)
        n_u, n_b = evaluate(rest, u, b, by="u"), evaluate(rest, u, b, by="b") * b_full
        extra = row_solve(lines, point.rows, n_b - n_u * shift)
        du = -shift - extra
        dn = n_b + n_u * du - g * extra
        values.append(q * n)
        slopes.append(q * dn / full)
        bends.append(q * evaluate(rest, u, b, by="uu") * (du / full) ** 2)
    idle, reach, sunk = None, None, None
    if KINK in rest and expansion.load:
        # The devices of idle rows sit below zero by what the columns lift them, out of the nodes'
        # sight, and there they follow the other branch: lines with its conductance say how far.
        kink, below = {KINK: rest[KINK]}, -expansion.load * shift
        other = g + evaluate(kink, below, 0.0, by="u")
        rows, _ = line_profiles(lines, other)
        sunk = expansion.load * (row_solve(lines, rows, other * b_full) - b_full)
        sent = evaluate(kink, sunk, 0.0)
        sent = sent - g * row_solve(lines, point.rows, sent)
        idle = q * sent / (expansion.load * full)
        ratio = -below / (point.p + TINY)
        reach = ratio.sum(-1, keepdims=True).sum(-2, keepdims=True) / (g.shape[-1] * g.shape[-2])
        reach = reach + TINY
    for_value, for_slope, for_bend = expansion.weights()
    value = [part @ point.r for part in _combine(for_value, values)]
    value[0] = value[0] + transfer
    return Closure(
        _stack(expansion.value, value),
        _stack(expansion.slope, _combine(for_slope, slopes)),
        _stack(expansion.bend, _combine(for_bend, bends)),
        point.r,
        expansion.load * full,
        idle,
        reach,
        workings._replace(shift=shift, u=tuple(across), sunk=sunk),
    )


def left_out(closure: Closure, expansion: Expansion, lines: Lines) -> tuple[Any, Any] | None:
    """Return how far a current of a tile can be off, relative to the largest at full swing, if a read
    leaves out the bend, and if it takes ``R`` as one where nonlinear currents go to the columns, (tiles,) each;
    ``None`` if the devices are linear.

    Parameters
    ----------
    closure
        The wires, in closed form.
    expansion
        Where the nonlinear part is collocated.
    lines
        Ladders of word and bit lines.
    """
    if closure.slope is None or closure.bend is None:
        return None
    full = abs(closure.workings.full)  # type: ignore[union-attr]
    change = max(expansion.load, 1.0 - expansion.load) * full
    bend = _most(closure.bend) * change * change
    sent = _most(closure.slope) * change + bend
    if closure.idle is not None:
        sent = sent + abs(closure.idle).sum(-2, keepdims=True) * full
    back = sent @ abs(closure.r - lines.eye)
    most = lines.xp.amax
    largest = most(full, (-1, -2))
    return most(bend, (-1, -2)) / largest, most(back, (-1, -2)) / largest


def _most(stack: Stack) -> Any:
    """Return the largest magnitudes of a polynomial at full swing, (tiles, 1, cols)."""
    total: Any = 0.0 if stack.constant is None else abs(stack.constant)
    for matrix in stack.matrices:
        total = total + abs(matrix).sum(-2, keepdims=True)
    return total


def apply(closure: Closure, expansion: Expansion, v: Any, xp: Any) -> Any:
    """Return the sensed currents, (tiles, batch, cols), for row voltages ``v``, (tiles, batch,
    rows).

    Parameters
    ----------
    closure
        The wires, in closed form.
    expansion
        Where the nonlinear part is collocated.
    v
        Row voltages, (..., batch, rows), in units of the full swing; of the first rows only, where the others are at 0.
    xp
        The module of array functions: numpy, or one that does as it does.
    """
    if closure.slope is None:
        return v @ closure.value.matrices[0][..., : v.shape[-1], :]
    powers = {1: v}
    first = _product(closure.value, expansion.value, powers)
    change = first - closure.load
    turn = _product(closure.slope, expansion.slope, powers)
    if closure.bend is not None:
        bend = _product(closure.bend, expansion.bend, powers)
        bend *= change
        turn += bend
    turn *= change
    if closure.idle is None:
        first += turn if closure.r is None else turn @ closure.r
        return first
    rows = v.shape[-1]
    idle = _idleness(closure, v, first, xp)[0] @ closure.idle[..., :rows, :]
    if rows < closure.idle.shape[-2]:
        idle += closure.idle[..., rows:, :].sum(-2, keepdims=True)
    # Idle rows take from the currents that there are with them, so twice.
    i = first * idle
    i += turn
    i += first
    i *= idle
    i += turn
    first += i if closure.r is None else i @ closure.r
    return first


def read_and_slopes(
    closure: Closure, expansion: Expansion, v: Any, d: Any, xp: Any
) -> tuple[Any, Any]:
    """Return what :func:`apply` returns, and the derivative by ``v`` of its sum weighted by ``d``.

    Parameters
    ----------
    closure
        The wires, in closed form.
    expansion
        Where the nonlinear part is collocated.
    v
        Row voltages, (..., batch, rows), in units of the full swing.
    d
        Weights of the currents, (..., batch, cols).
    xp
        The module of array functions: numpy, or one that does as it does.
    """
    if closure.slope is None or closure.bend is None:
        matrix = closure.value.matrices[0]
        return v @ matrix, d @ xp.swapaxes(matrix, -1, -2)
    powers = {1: v}
    first = _product(closure.value, expansion.value, powers)
    change = first - closure.load
    slope = _product(closure.slope, expansion.slope, powers)
    bend = _product(closure.bend, expansion.bend, powers)
    turn = change * (slope + change * bend)
    flipped = xp.swapaxes(closure.r, -1, -2)
    back = d @ flipped
    by_turn, by_first, by_idle = back, d, None
    i = first + turn @ closure.r
    if closure.idle is not None:
        share, reach = _idleness(closure, v, first, xp)
        idle = share @ closure.idle
        before = i + (first * idle) @ closure.r
        i = i + (before * idle) @ closure.r
        inner = (back * idle) @ flipped
        by_turn = back + inner
        by_first = d + back * idle + inner * idle
        by_idle = back * before + inner * first
    by_slope = by_turn * change
    by_v: Any = 0.0
    for stack, exponents, weight in (
        (closure.value, expansion.value, by_first + by_turn * (slope + 2.0 * change * bend)),
        (closure.slope, expansion.slope, by_slope),
        (closure.bend, expansion.bend, by_slope * change),
    ):
        matrices = iter(stack.matrices)
        for p in exponents:
            if p:
                part = weight @ xp.swapaxes(next(matrices), -1, -2)
                by_v = by_v + (p * v ** (p - 1) * part if p > 1 else part)
    if by_idle is not None:
        part = by_idle @ xp.swapaxes(closure.idle, -1, -2)
        by_v = by_v - part * (v < reach) * (v >= 0.0) / reach
    return i, by_v


def _idleness(closure: Closure, v: Any, first: Any, xp: Any) -> tuple[Any, Any]:
    """Return 1 for idle rows, 0 for those above the reach, and what lies between between; and the
    reach of every vector, which grows with its currents.
    """
    # The mean of all currents, each relative to that of the expansion.
    weights = 1.0 / ((closure.load + TINY) * first.shape[-1])
    reach = closure.reach * (abs(first) @ xp.swapaxes(weights, -1, -2)) + TINY
    share = v * (-1.0 / reach)
    share += 1.0
    return xp.clip(share, 0.0, 1.0, out=share), reach


def _power(powers: dict[int, Any], p: int) -> Any:
    # A function within the other that calls itself would keep the arrays until cycles are collected.
    if p not in powers:
        powers[p] = _power(powers, p // 2) * _power(powers, p - p // 2)
    return powers[p]


def _product(stack: Stack, powers: tuple[int, ...], of: dict[int, Any]) -> Any:
    matrices = iter(stack.matrices)
    total: Any = None
    for p in powers:
        if p:
            part = _power(of, p) @ next(matrices)[..., : of[1].shape[-1], :]
            if total is None:
                total = part
            else:
                total += part
    if stack.constant is not None:
        total = stack.constant if total is None else total + stack.constant
    return total


def _combine(weights: Array, parts: list[Any]) -> list[Any]:
    """Return coefficients from values at the nodes."""
    combined = []
    for row in weights.tolist():
        total = row[0] * parts[0]
        for weight, part in zip(row[1:], parts[1:], strict=True):
            total += weight * part
        combined.append(total)
    return combined


def _stack(powers: tuple[int, ...], parts: list[Any]) -> Stack:
    constant = parts[0].sum(-2, keepdims=True) if powers[0] == 0 else None
    return Stack(tuple(parts[1:] if powers[0] == 0 else parts), constant)
