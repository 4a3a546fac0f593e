"""The surrogate: a stack of tiles read by the line closure, with an eye on its own error.

Programming refreshes the tiles that changed (half a millisecond each at 64 x 64), reading is a few
products of matrices. What keeps it honest:

- ranges: conductances and voltages outside those its device law was made for are never read by it;
- a self-check: some vectors of every read are taken further by line sweeps, which end on the
  cell's own equations, and the difference is the error estimate, kept for every tile;
- a policy: a tile whose estimate exceeds the bar, and what is out of range, is read by the line
  solver; where that doesn't converge, by the fallback, every node solved exactly by default.

:meth:`Surrogate.report` says what happened.
"""

__all__ = ["Surrogate", "SurrogateReport"]

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import FitError, InputError, NonConvergence
from ...data.types import Array
from ..array.tile import Tile
from ..engine import checked_conductances, checked_voltages, flat_stack
from ..lines.adjoint import checked_weights, closed_gradients
from ..lines.cell_law import ROUNDING, Law, within
from ..lines.cell_law_fit import law_over
from ..lines.fallback import Choice, LastResort
from ..lines.ladder import Lines
from ..lines.small_signal import sense_of
from ..lines.solver import LineSolver
from ..lines.transfer import transfer
from ..ngspice.allocator import keep_freed_memory
from .closure import Closure, Expansion, apply, close, expansion_for, operate, other_side
from .self_check import SurrogateReport, Watch

REFRESHED, READ, VECTORS = 13, 4, 1000
"""Tiles refreshed and read at a time, and vectors of each: few enough to stay in the cache, enough
to hide the cost of a call, and not a power of two, which makes transposed copies collide there.
"""

NEGLIGIBLE = 1e-5
"""Misfit of a law that no column makes an error to speak of."""

Tiles: TypeAlias = NDArray[np.intp]
"""Which tiles of the stack."""


class Surrogate:
    """The line closure as an engine.

    Parameters
    ----------
    tile
        Any tile; wires with spread and lines driven or sensed at both ends are welcome.
    law
        Device law from a fit to ngspice; by default made from the cell's own equations over the
        conductances and voltages that come.
    dtype
        ``"float32"`` or ``"float64"``.
    expansion
        Where the nonlinear part is collocated; by default as the law and the voltages ask.
    residual
        Whether to add the exact linear transfer matrix.
    renew
        How far a tile's conductances may go, summed over all changes and relative to their sum,
        before that matrix is computed anew.
    check
        Share of all vectors that go through the self-check.
    bar
        Estimated error, relative to the tile's largest current, beyond which the line solver takes
        over.
    fallback
        What reads the tiles on which the line solver doesn't converge: an engine, which is
        programmed with one tile, or the name of one; ``None`` makes them an error.
    xp, array
        Array namespace, and what turns a numpy array into one of it (on a GPU, say); numpy by
        default. Namespaces that resemble numpy in names and arguments will do, such as torch's.
    """

    name = "surrogate"

    def __init__(
        self,
        tile: Tile,
        *,
        law: Law | None = None,
        dtype: str = "float32",
        expansion: Expansion | None = None,
        residual: bool = True,
        renew: float = 0.25,
        check: float = 0.002,
        bar: float = 0.005,
        fallback: Choice = "nodal",
        xp: Any = np,
        array: Callable[[Array], Any] | None = None,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"surrogate: dtype must be float32 or float64, got {dtype!r}")
        for name, value in (("renew", renew), ("check", check), ("bar", bar)):
            if not value >= 0.0:
                raise InputError(f"surrogate: {name} must be 0 or more, got {value!r}")
        keep_freed_memory()
        self.tile = tile
        self.law = law
        self.residual, self.renew, self.check, self.bar = residual, renew, check, bar
        self._last_resort = LastResort("surrogate", tile, fallback)
        self._own_law, self._expansion, self._hopeless = law is None, expansion, False
        self._xp = xp
        self._array = array or (lambda values: np.asarray(values, dtype))
        self._sense = sense_of(tile)
        self._lines = Lines.of(self._sense.tile, self._array, xp)
        self._stack: tuple[int, ...] | None = None
        self._g: Array = np.empty((0, *tile.shape))
        self._covered: Array | None = None
        self._rows: tuple[float, float] | None = None

    def program(self, g: ArrayLike) -> None:
        """Set the conductances ``g`` [S], (..., rows, cols); only changed tiles are refreshed."""
        g = checked_conductances(self.tile, g)
        flat = flat_stack(g)
        if self._stack != g.shape[:-2]:
            self._start(g.shape[:-2], len(flat))
            stale = np.arange(len(flat))
        else:
            stale = np.flatnonzero((flat != self._g).any((1, 2)))
            old, new = self._g[stale], flat[stale]
            self._age[stale] += np.abs(new - old).sum((1, 2)) / (old.sum((1, 2)) + 1e-300)
        self._g = flat
        if not self._cover(flat, np.array([[0.0, self.tile.cell.v_read]])):
            self._refresh(stale)

    def renew_residual(self) -> None:
        """Compute the exact linear transfer matrix of all tiles anew.

        What a surrogate returns depends, within its error, on when that was done last. Doing it at
        every checkpoint lets a resumed run repeat an uninterrupted one to the last bit; the
        self-check starts its round anew too.
        """
        if self._stack is None or self._hopeless:
            return
        self._watch.restart()
        self._age[:] = np.inf
        self._refresh(np.arange(len(self._g)))

    def read(self, v: ArrayLike) -> Array:
        """Return the currents [A], (..., batch, cols), for ``v`` [V], (..., batch, rows)."""
        if self._stack is None:
            raise InputError("program the surrogate before reading it")
        v = checked_voltages(self.tile, self._stack, v)
        batch = flat_stack(v)
        watch = self._watch
        watch.reads += 1
        watch.vectors += batch.shape[0] * batch.shape[1]
        watch.solved[:] = np.nan
        beyond = self._take_in(batch)
        strange = bool(beyond.any())
        out = self._apply(np.where(beyond[..., None], 0.0, batch) if strange else batch)
        outside = self._outside.copy()
        if not np.isfinite(out.sum()):
            outside |= ~np.isfinite(out).all((1, 2))
        if np.isfinite(self._sense.limit):
            outside |= np.abs(out).max((1, 2), initial=0.0) > self._sense.limit
        for k in np.flatnonzero(outside).tolist():
            out[k] = self._solve(self._exact, k, batch[k], None)
            watch.out_of_range += 1
        for k in np.flatnonzero(beyond.any(1) & ~outside).tolist() if strange else ():
            out[k, beyond[k]] = self._solve(self._exact, k, batch[k, beyond[k]], None)
            watch.out_of_range += 1
        for k in np.flatnonzero(watch.on_line & ~outside).tolist():
            within_reach = ~beyond[k]
            read = out[k, within_reach]
            if not read.size:
                continue
            solved = self._solve(self._solver, k, batch[k, within_reach], read)
            # With hysteresis, so that a tile at the bar doesn't change sides with every batch.
            watch.on_line[k] = self._judge(k, read, solved, out[k]) > 0.5 * self.bar
            out[k, within_reach] = solved
        if self.check and batch.size:
            self._self_check(batch, out, outside, beyond)
        return out.reshape((*v.shape[:-1], self.tile.cols))

    def gradients(self, v: ArrayLike, d: ArrayLike) -> tuple[Array, Array]:
        """Return ``dL/dg`` [per S], (..., rows, cols), and ``dL/dv`` [per V], (..., batch, rows).

        ``d`` is ``dL/di`` [per A], (..., batch, cols), at the read of ``v`` [V], (..., batch, rows).
        Closed form: the second is exact for what the surrogate reads, the first good to a few
        percent (:meth:`.line.LineSolver.gradients` gives both to its tolerance).
        """
        if self._stack is None:
            raise InputError("program the surrogate before asking for gradients")
        v = checked_voltages(self.tile, self._stack, v)
        d = checked_weights(self.tile, v, d)
        law, closure = self.law, self._closure
        batches, weights = flat_stack(v), flat_stack(d)
        if batches.size and (law is None or closure is None):
            raise InputError("this surrogate has no device law: take the line solver's gradients")
        by_g, by_v = np.zeros_like(self._g), np.zeros_like(batches)
        if law is None or not batches.size:
            return by_g.reshape((*self._stack, *self.tile.shape)), by_v.reshape(v.shape)
        for k in range(0, len(batches), READ):
            part = slice(k, k + READ)
            found = closed_gradients(
                self._lines,
                law,
                self._array(self._g[part]),
                _map(lambda whole: whole[part], closure),  # noqa: B023
                self.expansion,
                self._array(batches[part] / law.v_full),
                self._array(self._sense.gain * weights[part]),
            )
            by_g[part], by_v[part] = (self._numpy(a) for a in found)
        by_g *= law.v_full
        return by_g.reshape((*self._stack, *self.tile.shape)), by_v.reshape(v.shape)

    @property
    def estimates(self) -> Array:
        """Estimated error of every tile as it was read last, relative to its largest current,
        (...): what its last check found, or what the solver that read it reaches; not a number
        where it never was checked.
        """
        if self._stack is None:
            raise InputError("program the surrogate before asking for its estimates")
        return self._watch.estimate.reshape(self._stack)

    def report(self) -> SurrogateReport:
        """Return what happened since a stack of this shape was first programmed."""
        if self._stack is None:
            raise InputError("program the surrogate before asking for its report")
        return self._watch.report()

    # ---- state ---------------------------------------------------------------------------------

    def _start(self, stack: tuple[int, ...], tiles: int) -> None:
        self._stack = stack
        self._closure: Closure | None = None
        self._residual = self._array(np.zeros((tiles, *self.tile.shape)))
        self._age = np.full(tiles, np.inf)
        self._outside = np.zeros(tiles, bool)
        self._watch = Watch(tiles)
        if self._hopeless:
            self._outside[:] = True
        elif self.law is not None:
            self._adopt_law(self.law)

    def _cover(self, g: Array, v: Array) -> bool:
        """Make sure that a law of our own covers ``g`` and ``v``; return whether all tiles were
        refreshed with a new one.
        """
        if not self._own_law or self._hopeless:
            return self._hopeless
        if (
            self.law is not None
            and within(v, self._v_range)
            and (g is self._covered or self.law.covers_tiles(g).all())
        ):
            self._covered = g
            return False
        law = None
        with suppress(FitError):
            law = law_over(self.tile.cell, g, v, self.law)
        if law is None or law.residual_max > self.bar:
            # A selector, say: no polynomial follows it, and all tiles go to the line solver.
            self._hopeless, self.law, self._closure = True, None, None
            self._outside[:] = True
            self._exact = self._line(exact=True, tolerance=1e-6)
            return True
        low, high = self._rows or (0.0, 0.0)
        self._rows = min(low, float(v.min(initial=0.0))), max(high, float(v.max(initial=0.0)))
        self._adopt_law(law)
        self._covered = g
        self._closure = None
        self._age[:] = np.inf
        self._refresh(np.arange(len(self._g)))
        return True

    def _adopt_law(self, law: Law) -> None:
        self.law = law
        self.expansion = self._expansion or expansion_for(law, self._rows)
        low, high = law.v_range
        if self.expansion.one_sided:
            bound = -other_side(law) * law.v_full
            low, high = (max(low, bound), high) if law.v_full > 0.0 else (low, min(high, bound))
        self._v_range = low, high
        polish = law.residual_max > NEGLIGIBLE
        self._solver = self._line(law=law, polish=polish, tolerance=1e-5, dtype="float32")
        self._exact = self._line(exact=True, tolerance=1e-6)

    def _line(self, **options: Any) -> LineSolver:
        return LineSolver(self.tile, fallback=None, **options)

    def _refresh(self, stale: Tiles) -> None:
        with np.errstate(all="ignore"):  # curvature beyond all bounds is seen in what is read
            for k in range(0, len(stale), REFRESHED):
                self._refresh_block(stale[k : k + REFRESHED])

    def _refresh_block(self, block: Tiles) -> None:
        assert self.law is not None
        g, lines = self._g[block], self._lines
        if not self._own_law:
            self._outside[block] = ~self.law.covers_tiles(g) | (self.law.residual > self.bar)
        terms = self.law.terms(self._array(g), self._xp)
        point = operate(lines, terms[0][1])
        old = self._age[block] > self.renew
        if self.residual and old.any():
            due = block[old]
            exact = self._array(transfer(self._sense.tile, self.law.terms(self._g[due])[0][1]))
            self._residual[due] = exact - point.t[old]
            self._age[due] = 0.0
            self._watch.renewed += len(due)
        closure = close(lines, terms, point, self.expansion, self._residual[block])
        if self._closure is None:
            self._closure = _map(lambda part: self._empty(part), closure)
        _map(lambda whole, part: whole.__setitem__(block, part), self._closure, closure)
        self._watch.refreshed += len(block)

    def _empty(self, part: Any) -> Any:
        return self._xp.concatenate([part[:1]] * len(self._g))

    # ---- reading -------------------------------------------------------------------------------

    def _take_in(self, batch: Array) -> NDArray[np.bool_]:
        """Make sure that a law of our own covers what most vectors of a batch hold, and return which
        ones are beyond what the closure is made for, (tiles, vectors).
        """
        if self.law is None or within(batch, self._v_range):
            return np.zeros(batch.shape[:2], bool)
        if self._own_law:
            common = batch
            if self.expansion.one_sided:
                # A few vectors of the other sign are not worth an expansion that fits all others
                # less well.
                side = (other_side(self.law) + ROUNDING) * float(np.abs(batch).max())
                rare = min((batch > side).any(2), (batch < -side).any(2), key=np.count_nonzero)
                common = batch[~rare] if 2 * np.count_nonzero(rare) < rare.size else batch
            self._cover(self._g, common)
            if self.law is None:
                return np.zeros(batch.shape[:2], bool)
        return np.asarray(~within(batch, self._v_range, axis=2))

    def _apply(self, batch: Array) -> Array:
        shape = (*batch.shape[:2], self.tile.cols)
        if self.law is None or self._closure is None:
            return np.zeros(shape)
        out = np.empty(shape)
        with np.errstate(all="ignore"):
            for k in range(0, len(batch), READ):
                tiles = slice(k, k + READ)
                closure = _map(lambda whole: whole[tiles], self._closure)  # noqa: B023
                for b in range(0, batch.shape[1], VECTORS):
                    part = tiles, slice(b, b + VECTORS)
                    v = self._array(batch[part] * (1.0 / self.law.v_full))
                    i = self._numpy(apply(closure, self.expansion, v, self._xp))
                    np.multiply(i, self.law.v_full * self._sense.gain, out=out[part])
        return out

    @staticmethod
    def _numpy(values: Any) -> Any:
        return values if isinstance(values, np.ndarray) else np.asarray(values.cpu())

    def _solve(self, solver: LineSolver, k: int, v: Array, start: Array | None) -> Array:
        """Return the currents of tile ``k`` by ``solver`` or the fallback."""
        try:
            solved = solver.solve(self._g[k], v, start=start, place=f" of tile {k}")
            self._watch.solved[k] = solver.tolerance
        except NonConvergence as failure:
            solved = self._last_resort.read(self._g[k], v, failure)
            self._watch.solved[k] = 0.0
            self._watch.by_fallback += 1
        return solved

    def _self_check(
        self,
        batch: Array,
        out: Array,
        outside: NDArray[np.bool_],
        beyond: NDArray[np.bool_],
    ) -> None:
        """Take some vectors of some tiles, in turn, further by line sweeps."""
        watch = self._watch
        for k, pick in watch.turns(self.check, batch.shape[1]):
            pick = pick[~beyond[k, pick]]
            if outside[k] or watch.on_line[k] or not len(pick):
                continue
            try:
                solved = self._solver.solve(self._g[k], batch[k, pick], start=out[k, pick])
                over = self._judge(k, out[k, pick], solved, out[k]) > self.bar
            except NonConvergence:
                over = True
            watch.checked += len(pick)
            if over:
                watch.on_line[k] = True
                here = ~beyond[k]
                out[k, here] = self._solve(self._solver, k, batch[k, here], out[k, here])

    def _judge(self, k: int, read: Array, solved: Array, whole: Array) -> float:
        assert self.law is not None
        return self._watch.judge(
            k,
            read,
            solved,
            largest=float(np.abs(whole).max()),
            full=float(self._g[k].sum(axis=0).max()) * abs(self.law.v_full),
        )


def _map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply ``function`` to every array of nested tuples of arrays."""
    if first is None:
        return None
    if isinstance(first, tuple):
        parts = (_map(function, *part) for part in zip(first, *others, strict=True))
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return function(first, *others)
