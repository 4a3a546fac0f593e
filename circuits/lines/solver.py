"""The line solver: the tile's own equations solved to a stated tolerance, without SPICE.

It serves every topology a tile can have (drivers and sense amplifiers at both ends, spread of the
wires, transistors, selectors), is the surrogate's fallback, and certifies it.
"""

__all__ = ["LineSolver"]

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import FitError, InputError, NonConvergence
from ...data.types import Array
from ..array.tile import Tile
from ..engine import checked_conductances, checked_voltages, flat_stack
from ..ngspice.allocator import keep_freed_memory
from .adjoint import checked_weights, exact_gradients
from .cell_law import Law
from .cell_law_fit import TOLERANCE, law_over
from .chord import Response, beyond_chords, exact, polynomial
from .fallback import Choice, LastResort
from .ladder import Lines
from .small_signal import sense_of
from .sweeps import Circuit, Current, factor, solve

VECTORS = 100
"""Vectors solved at a time: enough to hide the cost of calls, few enough for the cache."""

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
        From :meth:`read`, if neither the sweeps nor the fallback reach the tolerance.
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
        self._given, self._law, self._exact = law is not None, law, exact
        self._polish = law is None if polish is None else polish
        self._dtype = np.dtype(dtype)
        self._sense = sense_of(tile)
        self._lines = Lines.of(self._sense.tile, self._array, np)
        self._last_resort = LastResort("line", tile, fallback)
        self._g: Array | None = None

    def program(self, g: ArrayLike) -> None:
        """Set the conductances ``g`` [S], (..., rows, cols)."""
        self._g = checked_conductances(self.tile, g)

    def read(self, v: ArrayLike) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows)."""
        if self._g is None:
            raise InputError("program the line solver before reading it")
        v = checked_voltages(self.tile, self._g.shape[:-2], v)
        out = np.zeros((*v.shape[:-1], self.tile.cols))
        if v.any():
            tiles, batches, flat = (flat_stack(a) for a in (self._g, v, out))
            for k, g in enumerate(tiles):
                flat[k] = self.solve(g, batches[k], place=f" of tile {k}" * (len(tiles) > 1))
        return out

    def solve(self, g: Array, v: Array, *, start: Array | None = None, place: str = "") -> Array:
        """Return the currents [A], (batch, cols), of one tile with conductances ``g`` [S] at the
        row voltages ``v`` [V], (batch, rows).

        ``start`` are currents to start from; ``place`` names the tile in errors.
        """
        with np.errstate(all="ignore"):  # sweeps that run away are told by their error
            response, truth, full = self._response(g, v, polish=self._polish)
            circuit = factor(self._lines, response.chord)
        out = np.empty((len(v), self.tile.cols))
        for k in range(0, len(v), VECTORS):
            part = slice(k, k + VECTORS)
            near = None if start is None else start[part]
            try:
                out[part] = self._sweep(circuit, response, truth, full, v[part], near, place)
            except NonConvergence as failure:
                out[part] = self._last_resort.read(g, v[part], failure)
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
        scale = full * self._sense.gain
        with np.errstate(all="ignore"):
            solution = solve(
                circuit,
                self._array(v.T / full),
                response.rest,
                truth=truth,
                tolerance=self.tolerance,
                sweeps=self.sweeps,
                start=None if start is None else self._array(start.T / scale),
            )
        if not solution.error <= self.tolerance:
            raise NonConvergence(
                f"the line solver came to {solution.error:.1e} of full scale{place} in"
                f" {solution.sweeps} sweeps, expected {self.tolerance:.1e}: allow more sweeps, or"
                " give it a fallback, nodal or spice"
            )
        out: Array = scale * solution.i.T
        largest = float(np.abs(out).max(initial=0.0))
        if largest > self._sense.limit:
            raise NonConvergence(
                f"amplifiers{place} saturate: they read up to {self._sense.limit:.3g} A in"
                f" proportion, and {largest:.3g} A are sensed; give the solver a fallback, nodal"
                " or spice"
            )
        return out

    def gradients(self, v: ArrayLike, d: ArrayLike) -> tuple[Array, Array]:
        """Return ``dL/dg`` [per S], (..., rows, cols), and ``dL/dv`` [per V], (..., batch, rows).

        ``d`` is ``dL/di`` [per A], (..., batch, cols), at the read of ``v`` [V], (..., batch, rows);
        the adjoint is solved to the solver's tolerance.
        """
        if self._g is None:
            raise InputError("program the line solver before asking for gradients")
        v = checked_voltages(self.tile, self._g.shape[:-2], v)
        d = checked_weights(self.tile, v, d)
        tiles, batches, weights = (flat_stack(a) for a in (self._g, v, d))
        by_g, by_v = np.zeros_like(tiles), np.zeros_like(batches)
        for k, g in enumerate(tiles if v.size else ()):
            with np.errstate(all="ignore"):
                response, _, full = self._response(g, batches[k], polish=False)
                by_g[k], by_v[k] = exact_gradients(
                    factor(self._lines, response.chord),
                    response,
                    self._array(batches[k] / full),
                    self._array(self._sense.gain * weights[k]),
                    tolerance=self.tolerance,
                    sweeps=self.sweeps,
                )
            by_g[k] *= full
        return by_g.reshape(self._g.shape), by_v.reshape(v.shape)

    def _response(
        self, g: Array, v: Array, *, polish: bool
    ) -> tuple[Response, Current | None, float]:
        """Return the devices for the sweeps, what they end on, and the full swing [V]."""
        law = None if self._exact else self._covering(g, v, FOLLOWS if polish else 2.0 * TOLERANCE)
        if law is None:
            low, high = float(v.min(initial=0.0)), float(v.max(initial=0.0))
            full = max(low, high, key=abs) or 1.0
            shares = (low / full, high / full)
            bounds = min(shares), max(shares)
            return exact(self.tile.cell, g, full, self._dtype, bounds), None, full
        response = polynomial(law, self._array(g), np)
        truth = None
        if polish and COHERENT * law.residual_max > self.tolerance:
            truth = beyond_chords(self.tile.cell, g, law.v_full, response.chord)
        return response, truth, law.v_full

    def _covering(self, g: Array, v: Array, misfit: float) -> Law | None:
        """Return a law for these conductances and voltages that follows the cell to ``misfit``, or
        ``None`` if there is none.
        """
        if self._given:
            assert self._law is not None
            return self._law if self._law.covers(g, v) else None
        try:
            self._law = law_over(self.tile.cell, g, v, self._law)
        except FitError:
            return None
        return self._law if self._law.residual_max <= max(misfit, 0.1 * self.tolerance) else None

    def _array(self, values: ArrayLike) -> Any:
        return np.asarray(values, self._dtype)
