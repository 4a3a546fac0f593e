"""The surrogate: a stack of tiles read by the line closure, with an eye on its own error.

Reprogramming refreshes the tiles that changed (half a millisecond each at 64 x 64), reading is a few
products of matrices. What keeps it honest:

- ranges: conductances and voltages outside those its device law was made for are never read by it;
- a self-check: some vectors of every read are taken further by line sweeps, which end on the
  cell's own equations, and the difference is the error estimate, kept for every tile;
- a policy: a tile whose estimate exceeds the bar, and what is out of range, is read by the line
  solver; where that doesn't converge, by the fallback, every node solved exactly by default.

:meth:`SurrogateArray.report` says what happened.
"""

__all__ = ["Surrogate", "SurrogateArray", "SurrogateReport"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ...data.errors import InputError, NonConvergence
from ...data.types import Array
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances, checked_voltages, flat_stack, same_stack
from ..lines.adjoint import checked_weights
from ..lines.cell_law import Law
from ..lines.fallback import Choice, LastResort
from ..lines.ladder import Lines
from ..lines.small_signal import sense_of
from ..lines.solver import LineArray, LineSolver
from ..ngspice.allocator import keep_freed_memory
from .expansion import Expansion, expansion_for, other_side
from .self_check import SurrogateReport, Watch
from .tables import Adopted, Blocks, Tables

NEGLIGIBLE = 1e-5
"""Misfit of a law that no column makes an error to speak of."""


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
        How far a tile's conductances may be from those that matrix was computed for, relative to
        their sum, before it is computed anew.
    refresh
        How far they may be from those its matrices were worked out for, the root mean square over its
        rows, before that is done anew; until then changed devices are taken into the matrices that are
        there, to first order. 0 works out every tile that changes.
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
    blocks
        How much of it is computed at a time; by default what suits a processor's cache.
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
        refresh: float = 0.05,
        check: float = 0.00025,
        bar: float = 0.005,
        fallback: Choice = "nodal",
        xp: Any = np,
        array: Callable[[Array], Any] | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"surrogate: dtype must be float32 or float64, got {dtype!r}")
        for name, value in (
            ("renew", renew),
            ("refresh", refresh),
            ("check", check),
            ("bar", bar),
        ):
            if not value >= 0.0:
                raise InputError(f"surrogate: {name} must be 0 or more, got {value!r}")
        plain(tile, "the engine surrogate")
        keep_freed_memory()
        self.tile, self.law, self.expansion = tile, law, expansion
        self.residual, self.renew, self.refresh = residual, renew, refresh
        self.check, self.bar = check, bar
        self.xp, self.array = xp, array or (lambda values: np.asarray(values, dtype))
        self.single, self.blocks = dtype == "float32", blocks or Blocks()
        self.sense = sense_of(tile)
        self.lines = Lines.of(self.sense.tile, self.array, xp)
        self.last_resort = LastResort("surrogate", tile, fallback)
        self.given = None if law is None else self.adopt(law, None)

    def program(self, g: ArrayLike) -> "SurrogateArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        g = checked_conductances(self.tile, g)
        flat = flat_stack(g)
        watch = Watch(len(flat))
        return SurrogateArray(self, g, watch, Tables(self, flat, watch))

    def adopt(self, law: Law, rows: tuple[float, float] | None) -> Adopted:
        """Return what comes with a law, for row voltages within ``rows`` [V], by default its own
        range.
        """
        expansion = self.expansion or expansion_for(law, rows)
        low, high = law.v_range
        if expansion.one_sided:
            bound = -other_side(law) * law.v_full
            low, high = (max(low, bound), high) if law.v_full > 0.0 else (low, min(high, bound))
        polish = law.residual_max > NEGLIGIBLE
        solver = self._line(law=law, polish=polish, tolerance=1e-5, dtype="float32")
        return Adopted(law, expansion, (low, high), solver)

    @cached_property
    def exact(self) -> LineSolver:
        """Solves by the cell's own equations."""
        return self._line(exact=True, tolerance=1e-6)

    def _line(self, **options: Any) -> LineSolver:
        return LineSolver(self.tile, fallback=None, **options)


@dataclass(frozen=True, eq=False, repr=False)
class SurrogateArray(Programmed[Surrogate]):
    """Tiles read by the line closure.

    Reads watch their own error: which vectors are checked, and which tiles the line solver reads,
    depends on the reads before.
    """

    _watch: Watch
    _tables: Tables

    def reprogram(self, g: ArrayLike) -> "SurrogateArray":
        """Return the array that holds ``g`` [S], of this one's shape; only tiles that changed are
        refreshed.

        It takes over this array's matrices, and goes on with its estimates and counts. Reading this
        one again refreshes all of its tiles, once, and gives the same as before.
        """
        g = checked_conductances(self.tile, same_stack(self.g, g))
        watch = self._watch.copy()
        return SurrogateArray(self.engine, g, watch, self._tables.moved(flat_stack(g), watch))

    @property
    def law(self) -> Law | None:
        """The device law in force; ``None`` where no polynomial follows the cell."""
        adopted = self._tables.adopted
        return None if adopted is None else adopted.law

    @property
    def expansion(self) -> Expansion | None:
        """Where the nonlinear part is collocated; ``None`` where there is no law."""
        adopted = self._tables.adopted
        return None if adopted is None else adopted.expansion

    def _precision(self, v: ArrayLike) -> DTypeLike:
        single = self.engine.single and getattr(v, "dtype", None) == np.float32
        return np.float32 if single else float

    def _currents(self, v: Array) -> Array:
        batch, alike = _once(v)
        watch, tables, sense = self._watch, self._tables, self.engine.sense
        watch.reads += 1
        watch.vectors += alike * batch.shape[0] * batch.shape[1]
        watch.solved[:] = np.nan
        beyond = tables.take_in(batch)
        strange = bool(beyond.any())
        out = tables.read(np.where(beyond[..., None], 0.0, batch) if strange else batch, alike)
        batches = [vectors for vectors in batch for _ in range(alike)]
        beyond = beyond.repeat(alike, 0)
        outside = tables.outside.copy()
        if not np.isfinite(out.sum()):
            outside |= ~np.isfinite(out).all((1, 2))
        if np.isfinite(sense.limit):
            outside |= np.abs(out).max((1, 2), initial=0.0) > sense.limit
        for k in np.flatnonzero(outside).tolist():
            out[k] = self._solve(self._exact, k, batches[k], None)
            watch.out_of_range += 1
        for k in np.flatnonzero(beyond.any(1) & ~outside).tolist() if strange else ():
            out[k, beyond[k]] = self._solve(self._exact, k, batches[k][beyond[k]], None)
            watch.out_of_range += 1
        for k in np.flatnonzero(watch.on_line & ~outside).tolist():
            within_reach = ~beyond[k]
            read = out[k, within_reach]
            if not read.size:
                continue
            solved = self._solve(self._by_law(), k, batches[k][within_reach], read)
            # With hysteresis, so that a tile at the bar doesn't change sides with every batch.
            watch.on_line[k] = self._judge(k, read, solved, out[k]) > 0.5 * self.engine.bar
            out[k, within_reach] = solved
        if self.engine.check and batch.size:
            self._self_check(batches, out, outside, beyond)
        return out.reshape((*v.shape[:-1], self.tile.cols))

    def gradients(self, v: ArrayLike, by_i: ArrayLike) -> tuple[Array, Array]:
        """Return ``dL/dg`` [per S], (..., rows, cols), and ``dL/dv`` [per V], of ``v``'s shape.

        ``by_i`` is ``dL/di`` [per A], (..., batch, cols), at the read of ``v`` [V], (..., batch,
        rows), or (cols,) at (rows,). Closed form: the second is exact for what the surrogate reads,
        the first good to a few percent (:meth:`.lines.solver.LineArray.gradients` gives both to its
        tolerance).
        """
        shape = np.shape(v)
        batch = flat_stack(checked_voltages(self.tile, self.stack, v))
        weights = flat_stack(checked_weights(self.tile, shape, by_i))
        if not batch.size:
            return np.zeros(self.g.shape), np.zeros(shape)
        found = self._tables.gradients(batch, weights)
        if found is None:
            raise InputError("this surrogate has no device law: take the line solver's gradients")
        by_g, by_v = found
        return by_g.reshape(self.g.shape), by_v.reshape(shape)

    @property
    def estimates(self) -> Array:
        """Estimated error of every tile as it was read last, relative to its largest current,
        (...): what its last check found, or what the solver that read it reaches; not a number
        where it never was checked.
        """
        return self._watch.estimate.reshape(self.stack)

    def report(self) -> SurrogateReport:
        """Return what happened since this array, or the first one that it was reprogrammed from, was
        programmed.
        """
        return self._watch.report()

    @cached_property
    def _exact(self) -> LineArray:
        return LineArray(self.engine.exact, self.g)

    def _by_law(self) -> LineArray:
        assert self._tables.adopted is not None
        return LineArray(self._tables.adopted.solver, self.g)

    def _solve(self, tiles: LineArray, k: int, v: Array, start: Array | None) -> Array:
        """Return the currents of tile ``k`` by the line solver or the fallback."""
        try:
            solved = tiles.solve(k, v, start=start, place=f" of tile {k}")
            self._watch.solved[k] = tiles.engine.tolerance
        except NonConvergence as failure:
            solved = self.engine.last_resort.read(flat_stack(self.g)[k], v, failure)
            self._watch.solved[k] = 0.0
            self._watch.by_fallback += 1
        return solved

    def _self_check(
        self,
        batches: list[Array],
        out: Array,
        outside: NDArray[np.bool_],
        beyond: NDArray[np.bool_],
    ) -> None:
        """Take some vectors of some tiles, in turn, further by line sweeps."""
        watch = self._watch
        for k, pick in watch.turns(self.engine.check, out.shape[1]):
            pick = pick[~beyond[k, pick]]
            if outside[k] or watch.on_line[k] or not len(pick):
                continue
            tiles = self._by_law()
            try:
                solved = tiles.solve(k, batches[k][pick], start=out[k, pick])
                over = self._judge(k, out[k, pick], solved, out[k]) > self.engine.bar
            except NonConvergence:
                over = True
            watch.checked += len(pick)
            if over:
                watch.on_line[k] = True
                here = ~beyond[k]
                out[k, here] = self._solve(tiles, k, batches[k][here], out[k, here])

    def _judge(self, k: int, read: Array, solved: Array, whole: Array) -> float:
        assert self.law is not None
        return self._watch.judge(
            k,
            read,
            solved,
            largest=float(np.abs(whole).max()),
            full=float(flat_stack(self.g)[k].sum(axis=0).max()) * abs(self.law.v_full),
        )


def _once(v: Array) -> tuple[Array, int]:
    """Return voltages, (..., batch, rows), as (groups, batch, rows), and how many neighbouring tiles
    each of those serves: tiles side by side are given the same ones by broadcasting.
    """
    alike = 1
    while v.ndim > 2 and v.size and v.strides[-3] == 0:
        alike *= v.shape[-3]
        v = v[..., 0, :, :]
    return flat_stack(v), alike
