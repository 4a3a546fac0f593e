"""The line solver: the tile's own equations solved to a stated tolerance, without SPICE.

It serves every topology a tile can have (drivers and sense amplifiers at both ends, spread of the
wires, transistors, selectors), is the surrogate's fallback, and certifies it.
"""

__all__ = ["LineSolver"]

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..data.errors import FitError, InputError, NonConvergence
from ..data.types import Array
from .engine import checked_conductances, checked_voltages
from .gradients import checked_weights, exact_gradients
from .ladder import Lines
from .law import Law
from .law_fit import TOLERANCE, law_over
from .memory import keep_freed_memory
from .response import Response, exact, polynomial
from .sense import sense_of
from .sweeps import factor, solve
from .tile import Tile

VECTORS = 100
"""Vectors solved at a time: enough to hide the cost of calls, few enough for the cache."""


class LineSolver:
    """Alternating exact solves of word and bit lines.

    Parameters
    ----------
    tile
        Any tile.
    law
        Polynomials of the cell's current, as a surrogate has them; by default they are fitted to
        the cell's own equations over the conductances and voltages that come. Where they don't
        cover what comes, or no polynomial follows the cell to ``tolerance``, its own equations are
        used in every sweep.
    exact
        Always use the cell's own equations.
    tolerance
        Largest error of a sensed current, relative to the largest one of its tile and batch.
    sweeps
        How many sweeps may be taken to get there.
    dtype
        ``"float64"`` or ``"float32"``; the latter stops at about 5e-7.

    Raises
    ------
    NonConvergence
        From :meth:`read`, if the sweeps don't reach the tolerance.
    """

    name = "line"

    def __init__(
        self,
        tile: Tile,
        *,
        law: Law | None = None,
        exact: bool = False,
        tolerance: float = 1e-7,
        sweeps: int = 200,
        dtype: str = "float64",
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"line solver: dtype must be float32 or float64, got {dtype!r}")
        if not 0.0 < tolerance < 1.0:
            raise InputError(f"line solver: tolerance must be between 0 and 1, got {tolerance!r}")
        keep_freed_memory()
        self.tile = tile
        self.tolerance = tolerance if dtype == "float64" else max(tolerance, 1e-6)
        self.sweeps = sweeps
        self._given, self._law, self._exact = law is not None, law, exact
        self._dtype = np.dtype(dtype)
        self._sense = sense_of(tile)
        self._lines = Lines.of(self._sense.tile, self._array, np)
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
            tiles = self._g.reshape((-1, *self.tile.shape))
            batches = v.reshape((-1, *v.shape[-2:]))
            flat = out.reshape((-1, *out.shape[-2:]))
            for k, g in enumerate(tiles):
                flat[k] = self.solve(g, batches[k], place=f" of tile {k}" * (len(tiles) > 1))
        return out

    def solve(self, g: Array, v: Array, *, start: Array | None = None, place: str = "") -> Array:
        """Return the currents [A], (batch, cols), of one tile with conductances ``g`` [S] at the
        row voltages ``v`` [V], (batch, rows).

        ``start`` are currents to start from; ``place`` names the tile in errors.
        """
        full = float(v.flat[np.abs(v).argmax()]) or 1.0
        response, full = self._response(g, v, full)
        gain = self._sense.gain
        circuit = factor(self._lines, response.chord)
        out = np.empty((len(v), self.tile.cols))
        for k in range(0, len(v), VECTORS):
            part = slice(k, k + VECTORS)
            solution = solve(
                circuit,
                self._array(v[part].T / full),
                response.rest,
                tolerance=self.tolerance,
                sweeps=self.sweeps,
                start=None if start is None else self._array(start[part].T / (full * gain)),
            )
            if not solution.error <= self.tolerance:
                raise NonConvergence(
                    f"the line solver came to {solution.error:.1e} of full scale{place} in "
                    f"{solution.sweeps} sweeps, expected {self.tolerance:.1e}: allow more sweeps, "
                    f"or read this tile with ngspice"
                )
            out[part] = full * gain * solution.i.T
        if np.abs(out).max(initial=0.0) > self._sense.limit:
            raise NonConvergence(
                f"amplifiers{place} saturate: they read up to {self._sense.limit:.3g} A in"
                f" proportion, and {np.abs(out).max():.3g} A are sensed; read this tile with ngspice"
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
        batches, weights = (a.reshape((-1, *a.shape[-2:])) for a in (v, d))
        tiles = self._g.reshape((-1, *self.tile.shape))
        by_g, by_v = np.empty_like(tiles), np.empty_like(batches)
        for k, g in enumerate(tiles):
            full = float(batches[k].flat[np.abs(batches[k]).argmax()]) or 1.0
            response, full = self._response(g, batches[k], full)
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

    def _response(self, g: Array, v: Array, full: float) -> tuple[Response, float]:
        law = None if self._exact else self._covering(g, v)
        if law is None:
            return exact(self.tile.cell, g, full, self._dtype), full
        return polynomial(law, self._array(g), np), law.v_full

    def _covering(self, g: Array, v: Array) -> Law | None:
        """Return a law for these conductances and voltages, or ``None`` if there is none."""
        if self._given:
            assert self._law is not None
            return self._law if self._law.covers(g, v) else None
        try:
            self._law = law_over(self.tile.cell, g, v, self._law)
        except FitError:
            return None
        good = self._law.residual_max <= max(self.tolerance, 2.0 * TOLERANCE)
        return self._law if good else None

    def _array(self, values: ArrayLike) -> Any:
        return np.asarray(values, self._dtype)
