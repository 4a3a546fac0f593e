"""The line solver: the tile's own equations solved to a stated tolerance, without SPICE.

It serves every topology a tile can have (drivers and sense amplifiers at both ends, spread of the
wires, transistors, selectors), is the surrogate's fallback, and certifies it.
"""

__all__ = ["LineArray", "LineSolver"]

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import FitError, InputError, NonConvergence
from ...data.types import Array
from ..array.fields import Fields, checked_held, fields_of, refuse_adrift
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances, checked_voltages, flat_stack, same_stack
from ..ngspice.allocator import keep_freed_memory
from .adjoint import checked_weights, exact_gradients
from .cell_law import Law
from .cell_law_fit import TOLERANCE, law_over
from .chord import Response, beyond_chords, exact, polynomial
from .fallback import Choice, LastResort
from .inside import inside
from .ladder import Lines
from .small_signal import sense_of
from .sweeps import Circuit, Current, factor, solve

VECTORS = 100
"""Vectors solved at a time: enough to hide the cost of calls, few enough for the cache."""

FINE = 1e-10
"""Tolerance of potentials: what a word line takes up is a small difference of them."""

SINGLE = 1e-6
"""What single precision reaches."""

COHERENT = 10.0
"""By how much a law's misfit, as a share of the sweep's largest current, may grow in a column of
weaker devices, as a share of that column's current.
"""

FOLLOWS = 1e-3
"""Misfit of a law, as a share of the sweep's largest current, up to which sweeps by the law lead to
where the cell's own equations can end them.
"""


class LineSolver:
    """Alternating exact solves of word and bit lines.

    Parameters
    ----------
    tile
        Any tile.
    law
        Polynomials of the cell's current, as a surrogate has them; they are then the cell, except
        where they don't cover what comes. By default they are fitted to the cell's own equations
        over the conductances and voltages that come, and carry the sweeps to where the equations
        themselves end them.
    exact
        Use the cell's own equations in every sweep.
    polish
        Whether sweeps by a law end on the cell's own equations; by default unless a law is given.
    tolerance
        Largest error of a sensed current, relative to the largest one of its tile and batch; by
        default 1e-7, and 1e-6 in single precision.
    sweeps
        How many sweeps may be taken to get there.
    dtype
        ``"float64"`` or ``"float32"``; the latter reaches no better than 1e-6.
    fallback
        What reads the vectors on which the sweeps don't converge: an engine, or the name of one;
        ``None`` makes them an error.

    Raises
    ------
    NonConvergence
        When an array is read, if neither the sweeps nor the fallback reach the tolerance.
    """

    name = "line"

    def __init__(
        self,
        tile: Tile,
        *,
        law: Law | None = None,
        exact: bool = False,
        polish: bool | None = None,
        tolerance: float | None = None,
        sweeps: int = 200,
        dtype: str = "float64",
        fallback: Choice = "nodal",
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"line solver: dtype must be float32 or float64, got {dtype!r}")
        least = SINGLE if dtype == "float32" else 0.0
        tolerance = max(1e-7, least) if tolerance is None else tolerance
        if not 0.0 < tolerance < 1.0:
            raise InputError(f"line solver: tolerance must be between 0 and 1, got {tolerance!r}")
        if tolerance < least:
            raise InputError(
                f"line solver: single precision reaches no tolerance below {least:g}, got"
                f" {tolerance:g}: take dtype float64"
            )
        keep_freed_memory()
        self.tile, self.tolerance, self.sweeps = tile, tolerance, sweeps
        self.law, self.exact = law, exact
        self.polish = law is None if polish is None else polish
        self.dtype = np.dtype(dtype)
        self.sense = sense_of(tile)
        self.lines = Lines.of(self.sense.tile, self.numbers, np)
        self.last_resort = LastResort("line", tile, fallback)

    def program(self, g: ArrayLike) -> "LineArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        g = checked_conductances(self.tile, g)
        refuse_adrift(self.tile, g)
        return LineArray(self, g)

    def numbers(self, values: ArrayLike) -> Any:
        """Return ``values`` in the solver's precision."""
        return np.asarray(values, self.dtype)


@dataclass
class Known:
    """What an array has found out about its devices so far."""

    law: Law | None = None
    """A law of its own, over all that has come."""
    states: dict[int, Array] = field(default_factory=dict)
    """States of its tiles' devices."""


@dataclass(frozen=True, eq=False, repr=False)
class LineArray(Programmed[LineSolver]):
    """Tiles solved line by line."""

    _known: Known = field(default_factory=Known)

    def reprogram(self, g: ArrayLike) -> "LineArray":
        """Return the array that holds ``g`` [S], of this one's shape."""
        g = checked_conductances(self.tile, same_stack(self.g, g))
        return LineArray(self.engine, g, Known(self._known.law))

    def fields(self, v: ArrayLike, held: ArrayLike | None = None) -> Fields:
        """Return potentials and currents everywhere for ``v`` [V], in the shapes of a read, the bit
        lines at the potentials ``held`` [V], (..., batch, cols), or 0 V: by the cell's own equations,
        to the solver's tolerance of the sensed currents or better.
        """
        engine, tile = self.engine, self.tile
        batch = checked_voltages(tile, self.stack, v)
        at_cols = checked_held(tile, batch, held)
        if tile.amplifier is not None:
            raise InputError(
                "the line solver takes amplifiers at small signal and knows no potentials behind them:"
                " take the engine nodal or spice"
            )
        flat = flat_stack(batch)
        w, b = (np.empty((*flat.shape[:2], *tile.shape)) for _ in range(2))
        for k, (g, one, lifted) in enumerate(
            zip(flat_stack(self.g), flat, flat_stack(at_cols), strict=True)
        ):
            states = self._state(k)
            try:
                w[k], b[k] = inside(
                    tile,
                    g,
                    states,
                    one,
                    lifted,
                    tolerance=min(engine.tolerance, FINE),
                    sweeps=engine.sweeps,
                )
            except NonConvergence as failure:
                w[k], b[k] = engine.last_resort.inside(g, one, lifted, failure)
        shape = (*batch.shape[:-1], *tile.shape)
        return fields_of(
            tile,
            batch,
            w.reshape(shape),
            b.reshape(shape),
            states=np.reshape([self._state(k) for k in range(len(flat))], self.g.shape),
            closed=self.g > 0.0,
            held=at_cols,
            one=np.ndim(v) == 1,
        )

    def _currents(self, v: Array) -> Array:
        if self.tile.terminals is not None:
            return self.fields(v).sensed
        out = np.zeros((*v.shape[:-1], self.tile.cols))
        if v.any():
            batches, flat = flat_stack(v), flat_stack(out)
            for k in range(len(batches)):
                flat[k] = self.solve(k, batches[k], place=f" of tile {k}" * (len(batches) > 1))
        return out

    def solve(self, k: int, v: Array, *, start: Array | None = None, place: str = "") -> Array:
        """Return the currents [A], (batch, cols), of tile ``k``, counted through the stack, at the
        checked row voltages ``v`` [V], (batch, rows).

        ``start`` are currents to start from; ``place`` names the tile in errors.

        Parameters
        ----------
        k
            Place of the tile in the stack.
        v
            Row voltages, (..., batch, rows) [V].
        start
            Currents of the cells to start from [A].
        place
            What to call the tile in messages.
        """
        engine, g = self.engine, flat_stack(self.g)[k]
        with np.errstate(all="ignore"):  # sweeps that run away are told by their error
            response, truth, full = self._response(k, v, polish=engine.polish)
            circuit = factor(engine.lines, response.chord)
        out = np.empty((len(v), self.tile.cols))
        for at in range(0, len(v), VECTORS):
            part = slice(at, at + VECTORS)
            near = None if start is None else start[part]
            try:
                out[part] = self._sweep(circuit, response, truth, full, v[part], near, place)
            except NonConvergence as failure:
                out[part] = engine.last_resort.read(g, v[part], failure)
        return out

    def _sweep(
        self,
        circuit: Circuit,
        response: Response,
        truth: Current | None,
        full: float,
        v: Array,
        start: Array | None,
        place: str,
    ) -> Array:
        engine = self.engine
        scale = full * engine.sense.gain
        with np.errstate(all="ignore"):
            solution = solve(
                circuit,
                engine.numbers(v.T / full),
                response.rest,
                truth=truth,
                tolerance=engine.tolerance,
                sweeps=engine.sweeps,
                start=None if start is None else engine.numbers(start.T / scale),
            )
        if not solution.error <= engine.tolerance:
            raise NonConvergence(
                f"the line solver came to {solution.error:.1e} of full scale{place} in"
                f" {solution.sweeps} sweeps, expected {engine.tolerance:.1e}: allow more sweeps, or"
                " give it a fallback, nodal or spice"
            )
        out: Array = scale * solution.i.T
        largest = float(np.abs(out).max(initial=0.0))
        if largest > engine.sense.limit:
            raise NonConvergence(
                f"amplifiers{place} saturate: they read up to {engine.sense.limit:.3g} A in"
                f" proportion, and {largest:.3g} A are sensed; give the solver a fallback, nodal"
                " or spice"
            )
        return out

    def gradients(self, v: ArrayLike, by_i: ArrayLike) -> tuple[Array, Array]:
        """Return ``dL/dg`` [per S], (..., rows, cols), and ``dL/dv`` [per V], of ``v``'s shape.

        ``by_i`` is ``dL/di`` [per A], (..., batch, cols), at the read of ``v`` [V], (..., batch,
        rows), or (cols,) at (rows,); the adjoint is solved to the solver's tolerance.
        """
        shape, engine = np.shape(v), self.engine
        plain(self.tile, "a gradient through the array")
        v = checked_voltages(self.tile, self.stack, v)
        batches, weights = flat_stack(v), flat_stack(checked_weights(self.tile, shape, by_i))
        by_g, by_v = np.zeros(flat_stack(self.g).shape), np.zeros_like(batches)
        for k in range(len(by_g) if v.size else 0):
            with np.errstate(all="ignore"):
                response, _, full = self._response(k, batches[k], polish=False)
                by_g[k], by_v[k] = exact_gradients(
                    factor(engine.lines, response.chord),
                    response,
                    engine.numbers(batches[k] / full),
                    engine.numbers(engine.sense.gain * weights[k]),
                    tolerance=engine.tolerance,
                    sweeps=engine.sweeps,
                )
            by_g[k] *= full
        return by_g.reshape(self.g.shape), by_v.reshape(shape)

    def _response(
        self, k: int, v: Array, *, polish: bool
    ) -> tuple[Response, Current | None, float]:
        """Return the devices of tile ``k`` for the sweeps, what they end on, and the full swing
        [V].
        """
        engine, cell, g = self.engine, self.tile.cell, flat_stack(self.g)[k]
        law = None if engine.exact else self._covering(g, v, FOLLOWS if polish else 2.0 * TOLERANCE)
        if law is None:
            low, high = float(v.min(initial=0.0)), float(v.max(initial=0.0))
            full = max(low, high, key=abs) or 1.0
            shares = (low / full, high / full)
            bounds = min(shares), max(shares)
            return exact(cell, g, self._state(k), full, engine.dtype, bounds), None, full
        response = polynomial(law, engine.numbers(g), np)
        truth = None
        if polish and COHERENT * law.residual_max > engine.tolerance:
            truth = beyond_chords(cell, g, self._state(k), law.v_full, response.chord)
        return response, truth, law.v_full

    def _state(self, k: int) -> Array:
        """Return the states of tile ``k``'s devices, (rows, cols); most reads don't ask for them."""
        states = self._known.states
        if k not in states:
            states[k] = self.tile.cell.state(flat_stack(self.g)[k])
        return states[k]

    def _covering(self, g: Array, v: Array, misfit: float) -> Law | None:
        """Return a law for these conductances and voltages that follows the cell to ``misfit``, or
        ``None`` if there is none.
        """
        given, known = self.engine.law, self._known
        if given is not None:
            return given if given.covers(g, v) else None
        try:
            known.law = law_over(self.tile.cell, g, v, known.law)
        except FitError:
            return None
        good = known.law.residual_max <= max(misfit, 0.1 * self.engine.tolerance)
        return known.law if good else None
