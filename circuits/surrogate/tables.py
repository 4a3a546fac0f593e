"""The matrices by which a surrogate reads a stack of tiles: worked out when they are asked for, and
only for tiles whose conductances changed: a few changed devices are taken into the matrices that are
there (:mod:`.updates`), and once they add up, a tile's matrices are worked out anew.
"""

__all__ = ["Adopted", "Tables"]

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...data.errors import FitError
from ...data.types import Array, Array32
from ..lines.adjoint import closed_gradients
from ..lines.cell_law import ROUNDING, Law, within
from ..lines.cell_law_fit import law_over
from ..lines.solver import LineSolver
from ..lines.transfer import transfer
from .closure import Closure, apply, close, left_out, operate
from .expansion import Expansion, other_side
from .residual import SMALL, residual
from .self_check import Watch
from .updates import Changed, on_host, update

if TYPE_CHECKING:
    from .engine import Surrogate

SLIGHT = 0.02
"""Share of the bar that what a read leaves out may be off by."""
SHORT = 50
"""Least number of vectors that are read at a time."""


@dataclass(frozen=True)
class Blocks:
    """How much is computed at a time, as suits what computes: by default few enough numbers to stay in a
    processor's cache, enough to hide the cost of a call.
    """

    refreshed: int = 13
    """Tiles that are worked out together."""
    read: int = 4
    """Tiles that are read together."""
    elements: int = 60_000
    """Voltages of a block that is read."""


LARGE = Blocks(refreshed=512, read=4096, elements=32_000_000)
"""For devices with a memory of their own: a read is one block, and one transfer each way, until its voltages
take 128 MB.
"""

NEARLY = 0.8
"""Share of the way to being worked out anew at which tiles are so together with one that is due."""

LONGEST = 64
"""Steps of a history that is not looked through for what tiles worked out anew leave of it."""

Tiles: TypeAlias = NDArray[np.intp]
"""Which tiles of the stack."""


@dataclass(frozen=True)
class Adopted:
    """A device law, and what comes with it."""

    law: Law
    expansion: Expansion
    v_range: tuple[float, float]
    """Row voltages [V] that the closure is made for."""
    solver: LineSolver
    """Solves by the same law."""


class Tables:
    """The closure of every tile of a stack.

    Parameters
    ----------
    engine
        Its options.
    g
        Conductances [S], (tiles, rows, cols).
    watch
        Counts what is worked out.
    """

    def __init__(self, engine: "Surrogate", g: Array, watch: Watch) -> None:
        self.engine, self.g, self.watch = engine, g, watch
        self.adopted = engine.given
        """The law in force; ``None`` where no polynomial follows the cell."""
        self.outside = np.zeros(len(g), bool)
        """Tiles whose conductances the law doesn't cover."""
        self._closure: Closure | None = None
        self._parts: Any = None
        """Views of a closure, the closure itself, and for how many tiles side by side they are."""
        self._history: tuple[Changed, ...] = ()
        """What was taken in, in order."""
        self._longest = LONGEST
        self._since = np.zeros(len(g), int)
        """How many of those there were when each tile was worked out last."""
        self._worked: Array32 = np.zeros(g.shape, np.float32)
        self._exact = self._worked
        """Conductances [S] for which every tile was worked out last, and its residual was."""
        self._off = np.zeros(g.shape[:2]), np.full(g.shape[:2], np.inf)
        """How far its conductances are from each of these, summed up over its rows [S]."""
        self._drift, self._age = np.zeros(len(g)), np.full(len(g), np.inf)
        """The same of a tile, relative to the sum of its conductances as they changed last."""
        self._needed = np.ones((len(g), 2), bool)
        """Whether reads of every tile need the bend, and what ``R`` makes of nonlinear currents."""
        self._residual = engine.array(np.zeros(g.shape))
        self._rows: tuple[float, float] | None = None
        self._covered: Array | None = None
        self._refreshed(np.arange(len(g)))

    def moved(self, g: Array, watch: Watch) -> "Tables":
        """Return the tables for other conductances ``g`` [S] of the same stack.

        The matrices themselves are handed on, so that there is one set of them at a time; what
        these tables read later is worked out anew, to the same bits.
        """
        self.closure()
        after = copy.copy(self)
        after.g, after.watch = g, watch
        after.outside, after._since = self.outside.copy(), self._since.copy()
        changed = Changed.between(self.g, g)
        worked, exact = self._off
        after._off = worked + changed.moves(self._worked), exact + changed.moves(self._exact)
        total, (worked, exact) = g.sum((1, 2)) + 1e-300, after._off
        # What is left out grows with the square of how far a row went: as much change in few rows
        # counts for more.
        after._drift = np.sqrt(g.shape[1] * np.square(worked).sum(1)) / total
        after._age = exact.sum(1) / total
        self._closure = self._parts = None
        after._follow(changed)
        return after

    def take_in(self, batch: Array) -> NDArray[np.bool_]:
        """Make sure that a law of the engine's own covers what most vectors of ``batch`` [V],
        (..., vectors, rows), hold, and return which ones are beyond what the closure is made for,
        (..., vectors).
        """
        adopted = self.adopted
        if adopted is None or within(batch, adopted.v_range):
            return np.zeros(batch.shape[:2], bool)
        if self.engine.law is None:
            common = batch
            if adopted.expansion.one_sided:
                # A few vectors of the other sign are not worth an expansion that fits all others
                # less well.
                side = (other_side(adopted.law) + ROUNDING) * float(np.abs(batch).max())
                rare = min((batch > side).any(2), (batch < -side).any(2), key=np.count_nonzero)
                common = batch[~rare] if 2 * np.count_nonzero(rare) < rare.size else batch
            self._cover(common)
            adopted = self.adopted
            if adopted is None:
                return np.zeros(batch.shape[:2], bool)
        return np.asarray(~within(batch, adopted.v_range, axis=2))

    def read(self, batch: Array, alike: int = 1) -> Array:
        """Return the currents [A], (tiles, vectors, cols), by the closure; 0 where there is none.

        ``batch`` [V], (tiles / alike, vectors, rows), goes to ``alike`` neighbouring tiles each.
        """
        engine, adopted = self.engine, self.adopted
        count, vectors = batch.shape[:2]
        out = np.zeros((count, alike, vectors, engine.tile.cols), batch.dtype)
        if adopted is not None and batch.size:
            unit, gain = 1.0 / adopted.law.v_full, adopted.law.v_full * engine.sense.gain
            together, side, blocks = self._blocks(alike)
            stride = max(
                SHORT, engine.blocks.elements // (together * side * max(engine.tile.shape))
            )
            # Without voltages there are no currents: pixels are often dark, and the last tile is seldom filled.
            on = batch != 0.0
            drives, rows = on.any(2), on.any(1)
            with np.errstate(all="ignore"):
                for k in range(0, count, together):
                    group = batch[k : k + together]
                    driven = np.flatnonzero(drives[k : k + together].any(0))
                    last = rows.shape[1] - int(rows[k : k + together].any(0)[::-1].argmax())
                    for b in range(0, len(driven), stride):
                        some: Any = driven[b : b + stride]
                        if len(driven) == vectors:
                            some = slice(b, b + stride)
                        v = engine.array(group[:, None, some, :last] * unit)
                        for a in range(0, alike, side):
                            i = apply(blocks[k, a], adopted.expansion, v, engine.xp)
                            tiles = slice(k, k + together), slice(a, a + side)
                            out[(*tiles, some)] = on_host(i) * gain
        return out.reshape((count * alike, *out.shape[2:]))

    def _blocks(self, alike: int) -> tuple[int, int, dict[tuple[int, int], Closure]]:
        """Return how many groups of ``alike`` tiles are read at a time, how many tiles of each, and
        the closures of these blocks by where they begin.
        """
        whole = self.closure()
        if self._parts is None or self._parts[0] is not whole or self._parts[1] != alike:
            most, count = self.engine.blocks.read, len(self.g) // alike
            together, side = min(max(1, most // alike), max(count, 1)), min(most, alike)
            assert whole is not None
            shaped = _map(
                lambda part: part.reshape((count, alike, *part.shape[1:])),
                whole._replace(workings=None),
            )
            needed, blocks = self._needed.reshape((count, alike, 2)), {}
            for k in range(0, count, together):
                for a in range(0, alike, side):
                    here = slice(k, k + together), slice(a, a + side)
                    block = _map(lambda part: part[here], shaped)  # noqa: B023
                    bend, back = np.any(needed[here], axis=(0, 1))
                    blocks[k, a] = block._replace(
                        bend=block.bend if bend else None, r=block.r if back else None
                    )
            self._parts = whole, alike, (together, side, blocks)
        parts: tuple[int, int, dict[tuple[int, int], Closure]] = self._parts[2]
        return parts

    def gradients(self, batch: Array, weights: Array) -> tuple[Array, Array] | None:
        """Return a loss's derivatives [1/S] and [1/V] by all conductances and by ``batch`` [V] from
        ``weights``, those by current [1/A]; ``None`` where there is no closure.
        """
        engine, adopted, whole = self.engine, self.adopted, self.closure()
        if adopted is None or whole is None:
            return None
        law, by_g, by_v = adopted.law, np.zeros(self.g.shape), np.zeros_like(batch)
        most = engine.blocks.read
        for k in range(0, len(batch), most):
            part = slice(k, k + most)
            found = closed_gradients(
                engine.lines,
                law,
                engine.array(self.g[part]),
                _map(lambda one: one[part], whole),  # noqa: B023
                adopted.expansion,
                engine.array(batch[part] / law.v_full),
                engine.array(engine.sense.gain * weights[part]),
            )
            by_g[part], by_v[part] = (on_host(a) for a in found)
        by_g *= law.v_full
        return by_g, by_v

    def closure(self) -> Closure | None:
        """Return the closure of all tiles, worked out again if it was handed on."""
        if self._closure is None and self.adopted is not None:
            self._replay()
        return self._closure

    def _follow(self, changed: Changed) -> None:
        """Work out the tiles that went too far, and take in what changed in the others."""
        engine, moved = self.engine, np.zeros(len(self.g), bool)
        moved[changed.tiles] = True
        far = (self._drift > engine.refresh) | (self._age > engine.renew) | self.outside
        if engine.law is not None:
            far[changed.tile[~engine.law.covers_tiles(changed.after)]] = True
        stale = moved & far
        if stale.any():
            # Some more tiles cost little beside the first one.
            stale |= self._drift > NEARLY * engine.refresh
        few = changed.of(moved & ~stale)
        if self._refreshed(np.flatnonzero(stale)) or not len(few.tile):
            return
        self._history = (*self._history, few)
        if len(self._history) > self._longest:
            self._history = tuple(step for step in self._steps() if len(step.tile))
            self._since, self._longest = 0 * self._since, max(LONGEST, 2 * len(self._history))
        self._update(few)
        self.watch.updated += len(few.tiles)

    def _update(self, few: Changed) -> None:
        engine, adopted = self.engine, self.adopted
        assert adopted is not None
        with np.errstate(all="ignore"):
            update(self._closure, few, adopted.law, adopted.expansion, engine.xp, engine.array)

    def _replay(self) -> None:
        """Work all tiles out the way they came to be, which gives the same bits."""
        now, steps, worked = self.g, self._steps(), self._worked
        since, drift, off = self._since.copy(), self._drift.copy(), self._off[0].copy()
        self.g = now.copy()
        for few in reversed(steps):
            few.undo(self.g)
        self._refresh(np.arange(len(now)))
        for few in steps:
            if len(few.tile):
                self._update(few)
        self.g, self._worked = now, worked
        self._since, self._drift, self._off = since, drift, (off, self._off[1])

    def _steps(self) -> list[Changed]:
        """Return what was taken in since the tiles it is in were worked out, in order."""
        return [few.of(self._since <= k) for k, few in enumerate(self._history)]

    def _refreshed(self, stale: Tiles) -> bool:
        """Work out the tiles that are ``stale``, or all of them under another law; return whether
        there is one, or none at all.
        """
        if self._cover(np.array([[0.0, self.engine.tile.cell.v_read]])):
            return True
        self._refresh(stale)
        return False

    def _cover(self, v: Array) -> bool:
        """Make sure that a law of the engine's own covers the conductances and ``v``; return whether
        there was nothing left to refresh thereafter.
        """
        engine, g, adopted = self.engine, self.g, self.adopted
        if engine.law is not None:
            return False
        if adopted is None and self._covered is not None:
            self._covered = g
            return True
        if (
            adopted is not None
            and within(v, adopted.v_range)
            and (g is self._covered or adopted.law.covers_tiles(g).all())
        ):
            self._covered = g
            return False
        law = None
        with suppress(FitError):
            law = law_over(engine.tile.cell, g, v, None if adopted is None else adopted.law)
        self._covered, self._closure = g, None
        if law is None or law.residual_max > engine.bar:
            # A selector, say: no polynomial follows it, and all tiles go to the line solver.
            self.adopted = None
            self.outside[:] = True
            return True
        low, high = self._rows or (0.0, 0.0)
        self._rows = min(low, float(v.min(initial=0.0))), max(high, float(v.max(initial=0.0)))
        self.adopted = engine.adopt(law, self._rows)
        self._age[:] = self._off[1][:] = np.inf
        self._refresh(np.arange(len(g)))
        return True

    def _refresh(self, stale: Tiles) -> None:
        self._since[stale] = len(self._history)
        self._drift[stale] = self._off[0][stale] = 0.0
        # Tables that these came from hold the same arrays.
        if len(stale):
            self._worked = self._worked.copy()
            self._worked[stale] = self.g[stale]
        if self.engine.residual and (self._age[stale] > self.engine.renew).any():
            self._residual = self.engine.xp.concatenate([self._residual])
            self._exact = self._exact.copy()
        with np.errstate(all="ignore"):  # curvature beyond all bounds is seen in what is read
            most = self.engine.blocks.refreshed
            for k in range(0, len(stale), most):
                self._refresh_block(stale[k : k + most])

    def _refresh_block(self, block: Tiles) -> None:
        engine, adopted = self.engine, self.adopted
        assert adopted is not None
        g, lines, law = self.g[block], engine.lines, adopted.law
        if engine.law is not None:
            self.outside[block] = ~law.covers_tiles(g) | (law.residual > engine.bar)
        terms = law.terms(engine.array(g), engine.xp)
        point = operate(lines, terms[0][1])
        old = self._age[block] > engine.renew
        if engine.residual and old.any():
            due = block[old]
            of_due = _map(lambda part: part[old], point)
            if engine.single:
                found, shares = residual(lines, terms[0][1][old], of_due)
                short = np.flatnonzero(~(np.array(shares) <= SMALL)).tolist()
            else:  # one sweep is not as exact as double precision asks for
                found, short = 0.0 * of_due.t, list(range(len(due)))
            for k in short:
                exact = transfer(engine.sense.tile, law.terms(self.g[due[k]])[0][1])
                found[k] = engine.array(exact) - of_due.t[k]
            self._residual[due] = found
            self._exact[due] = self.g[due]
            self._age[due] = self._off[1][due] = 0.0
            self.watch.renewed += len(due)
        closure = close(lines, terms, point, adopted.expansion, self._residual[block])
        if self._closure is None:
            self._closure = _map(lambda part: self._empty(part), closure)
        _map(lambda whole, part: whole.__setitem__(block, part), self._closure, closure)
        self._judge(block, closure)
        self.watch.refreshed += len(block)

    def _judge(self, block: Tiles, closure: Closure) -> None:
        """See what reads of the tiles of a block can leave out."""
        assert self.adopted is not None
        if not self.engine.single:
            return
        off = left_out(closure, self.adopted.expansion, self.engine.lines)
        if off is None:
            return
        needed = ~(np.stack([on_host(each) for each in off], -1) <= SLIGHT * self.engine.bar)
        if (needed != self._needed[block]).any():
            self._needed, self._parts = self._needed.copy(), None
            self._needed[block] = needed

    def _empty(self, part: Any) -> Any:
        return self.engine.xp.concatenate([part[:1]] * len(self.g))


def _map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply ``function`` to every array of nested tuples of arrays."""
    if first is None:
        return None
    if isinstance(first, tuple):
        parts = (_map(function, *part) for part in zip(first, *others, strict=True))
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return function(first, *others)
