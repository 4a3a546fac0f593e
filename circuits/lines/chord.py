"""What the devices of one tile carry, split into a fixed chord conductance and the rest.

Line sweeps factor the chords into the lines once and iterate on the rest. A response comes from the
polynomials of a :class:`.law.Law`, or from the cell's own equations. Voltages are in units of the
full swing, fields are (rows, cols, vectors).
"""

__all__ = ["Response", "beyond_chords", "exact", "polynomial"]

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...data.types import Array
from ..array.cell import Cell
from .cell_law import Law, beyond, evaluate
from .ladder import Field
from .sweeps import Current


class Response(NamedTuple):
    """The devices of one tile."""

    chord: Field
    """Conductances that stand for the devices in the lines [S], (rows, cols)."""
    rest: Current
    """What the devices carry beyond their chords."""
    slopes: Callable[[Field, Field], tuple[Field, Field]]
    """Derivatives of the devices' current by ``u`` and by ``b`` [S]."""
    by_g: Callable[[Field, Field], Field]
    """Derivative of the devices' current by their conductance, in the unit of voltage."""


def polynomial(law: Law, g: Any, xp: Any) -> Response:
    """Return the response of devices with conductances ``g`` [S], (rows, cols), by ``law``.

    Parameters
    ----------
    law
        Polynomials that follow the cell.
    g
        Conductances, (..., rows, cols) [S].
    xp
        The module of array functions: numpy, or one that does as it does.
    """
    terms = law.terms(g[:, :, None], xp)
    low, high = (bound / law.v_full for bound in law.v_range)
    slopes = [evaluate(terms, xp.full_like(terms[0][1], u), 0.0, by="u") for u in (0.5, high, low)]
    chord = _chord(slopes[0], slopes[1:], xp)
    rest = beyond(terms, chord)
    rooms: dict[Any, list[Any]] = {}

    def carried(u: Field, b: Field) -> Field:
        if u.shape not in rooms:
            rooms[u.shape] = [xp.empty_like(u), xp.empty_like(u)]
        return evaluate(rest, u, b, room=rooms[u.shape])

    def by(u: Field, b: Field) -> tuple[Field, Field]:
        return evaluate(terms, u, b, by="u"), evaluate(terms, u, b, by="b") + 0.0 * u

    def by_g(u: Field, b: Field) -> Field:
        return evaluate(law.slope(g[:, :, None], xp), u, b)

    return Response(chord[:, :, 0], carried, by, by_g)


def beyond_chords(cell: Cell, g: Array, states: Array, v_full: float, chord: Field) -> Current:
    """Return what devices with conductances ``g`` [S] and the ``states`` that have them, (rows,
    cols), carry beyond given chords, by the cell's own equations.

    Parameters
    ----------
    cell
        What is at each crossing.
    g
        Conductances, (..., rows, cols) [S].
    states
        States of the cells [0..1].
    v_full
        Largest row voltage [V].
    chord
        Conductances that are taken off, (rows, cols) [S].
    """
    closed, x = (g > 0.0)[:, :, None], states[:, :, None]

    def rest(u: Field, b: Field) -> Field:
        at, lifted = v_full * np.asarray(u, float), v_full * np.asarray(b, float)
        i = cell.law(at, x, closed, lifted)[0]
        return (i / v_full - chord[:, :, None] * u).astype(chord.dtype)

    return rest


def exact(
    cell: Cell,
    g: Array,
    states: Array,
    v_full: float,
    dtype: Any,
    shares: tuple[float, float] = (0.0, 1.0),
) -> Response:
    """Return the response of devices with conductances ``g`` [S] and the ``states`` that have them,
    (rows, cols), by the cell's own equations; ``shares`` are the lowest and the highest row voltage
    in units of ``v_full``.

    Parameters
    ----------
    cell
        What is at each crossing.
    g
        Conductances, (..., rows, cols) [S].
    states
        States of the cells [0..1].
    v_full
        Largest row voltage [V].
    dtype
        Type of the numbers.
    shares
        Lowest and highest row voltage, in units of ``v_full``.
    """
    closed, x = (g > 0.0)[:, :, None], states[:, :, None]

    def law(u: Field, b: Field) -> tuple[Array, Array, Array]:
        return cell.law(v_full * np.asarray(u, float), x, closed, v_full * np.asarray(b, float))

    swing = np.linspace(min(shares[0], -0.2), max(shares[1], 1.0), 13)
    steps = [law(np.full(x.shape, u), np.zeros(x.shape))[1] for u in swing]
    chord = _chord(law(np.full(x.shape, 0.5), np.zeros(x.shape))[1], steps, np).astype(dtype)

    def by(u: Field, b: Field) -> tuple[Field, Field]:
        _, by_u, by_b = law(u, b)
        return by_u.astype(dtype), by_b.astype(dtype)

    def by_g(u: Field, b: Field) -> Field:
        step = 1e-5 * g[:, :, None]
        u, b = v_full * np.asarray(u, float), v_full * np.asarray(b, float)
        up, down = (cell.law(u, cell.state(g[:, :, None] + s), closed, b)[0] for s in (step, -step))
        safe = np.where(closed, 2.0 * step * v_full, 1.0)
        return ((up - down) / safe).astype(dtype)

    flat = chord[:, :, 0]
    return Response(flat, beyond_chords(cell, g, states, v_full, flat), by, by_g)


def _chord(half: Any, others: list[Any], xp: Any) -> Any:
    """Return the slope at half swing, or half the largest slope if that is more.

    With at least half the largest slope, the fixed point contracts whatever the wires.
    """
    chord = half
    for slope in others:
        chord = xp.maximum(chord, 0.5 * slope)
    return chord
