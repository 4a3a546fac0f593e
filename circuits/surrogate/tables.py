"""The matrices by which a surrogate reads a stack of tiles: worked out when they are asked for, and
only for tiles whose conductances changed.
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
from ...data.types import Array
from ..lines.adjoint import closed_gradients
from ..lines.cell_law import ROUNDING, Law, within
from ..lines.cell_law_fit import law_over
from ..lines.solver import LineSolver
from ..lines.transfer import transfer
from .closure import Closure, Expansion, apply, close, operate, other_side
from .self_check import Watch

if TYPE_CHECKING:
    from .engine import Surrogate

REFRESHED, READ, VECTORS = 13, 4, 1000
"""Tiles refreshed and read at a time, and vectors of each: few enough to stay in the cache, enough
to hide the cost of a call, and not a power of two, which makes transposed copies collide there.
"""

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
        self._residual = engine.array(np.zeros(g.shape))
        self._age = np.full(len(g), np.inf)
        self._rows: tuple[float, float] | None = None
        self._covered: Array | None = None
        self._refreshed(np.arange(len(g)))

    def moved(self, g: Array, watch: Watch) -> "Tables":
        """Return the tables for other conductances ``g`` [S] of the same stack.

        The matrices themselves are handed on, so that there is one set of them at a time; what
        these tables read later is worked out anew, to the same bits.
        """
        after = copy.copy(self)
        after.g, after.watch = g, watch
        after.outside, after._age = self.outside.copy(), self._age.copy()
        changed = np.flatnonzero((g != self.g).any((1, 2)))
        old, new = self.g[changed], g[changed]
        after._age[changed] += np.abs(new - old).sum((1, 2)) / (old.sum((1, 2)) + 1e-300)
        self._closure = None
        after._refreshed(changed if after._closure is not None else np.arange(len(g)))
        return after

    def take_in(self, batch: Array) -> NDArray[np.bool_]:
        """Make sure that a law of the engine's own covers what most vectors of ``batch`` [V],
        (tiles, vectors, rows), hold, and return which ones are beyond what the closure is made for,
        (tiles, vectors).
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

    def read(self, batch: Array) -> Array:
        """Return the currents [A], (tiles, vectors, cols), by the closure; 0 where there is none."""
        engine, adopted, whole = self.engine, self.adopted, self.closure()
        shape = (*batch.shape[:2], engine.tile.cols)
        if adopted is None or whole is None:
            return np.zeros(shape)
        out = np.empty(shape)
        with np.errstate(all="ignore"):
            for k in range(0, len(batch), READ):
                tiles = slice(k, k + READ)
                closure = _map(lambda part: part[tiles], whole)  # noqa: B023
                for b in range(0, batch.shape[1], VECTORS):
                    part = tiles, slice(b, b + VECTORS)
                    v = engine.array(batch[part] * (1.0 / adopted.law.v_full))
                    i = _numpy(apply(closure, adopted.expansion, v, engine.xp))
                    np.multiply(i, adopted.law.v_full * engine.sense.gain, out=out[part])
        return out

    def gradients(self, batch: Array, weights: Array) -> tuple[Array, Array] | None:
        """Return a loss's derivatives [1/S] and [1/V] by all conductances and by ``batch`` [V] from
        ``weights``, those by current [1/A]; ``None`` where there is no closure.
        """
        engine, adopted, whole = self.engine, self.adopted, self.closure()
        if adopted is None or whole is None:
            return None
        law, by_g, by_v = adopted.law, np.zeros(self.g.shape), np.zeros_like(batch)
        for k in range(0, len(batch), READ):
            part = slice(k, k + READ)
            found = closed_gradients(
                engine.lines,
                law,
                engine.array(self.g[part]),
                _map(lambda one: one[part], whole),  # noqa: B023
                adopted.expansion,
                engine.array(batch[part] / law.v_full),
                engine.array(engine.sense.gain * weights[part]),
            )
            by_g[part], by_v[part] = (_numpy(a) for a in found)
        by_g *= law.v_full
        return by_g, by_v

    def closure(self) -> Closure | None:
        """Return the closure of all tiles, worked out again if it was handed on."""
        if self._closure is None and self.adopted is not None:
            self._refresh(np.arange(len(self.g)))
        return self._closure

    def _refreshed(self, stale: Tiles) -> None:
        """Work out the tiles that are ``stale``, or all of them under a new law."""
        if not self._cover(np.array([[0.0, self.engine.tile.cell.v_read]])):
            self._refresh(stale)

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
        self._age[:] = np.inf
        self._refresh(np.arange(len(g)))
        return True

    def _refresh(self, stale: Tiles) -> None:
        if self.engine.residual and (self._age[stale] > self.engine.renew).any():
            # Tables that these came from hold the same array.
            self._residual = self.engine.xp.concatenate([self._residual])
        with np.errstate(all="ignore"):  # curvature beyond all bounds is seen in what is read
            for k in range(0, len(stale), REFRESHED):
                self._refresh_block(stale[k : k + REFRESHED])

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
            exact = engine.array(transfer(engine.sense.tile, law.terms(self.g[due])[0][1]))
            self._residual[due] = exact - point.t[old]
            self._age[due] = 0.0
            self.watch.renewed += len(due)
        closure = close(lines, terms, point, adopted.expansion, self._residual[block])
        if self._closure is None:
            self._closure = _map(lambda part: self._empty(part), closure)
        _map(lambda whole, part: whole.__setitem__(block, part), self._closure, closure)
        self.watch.refreshed += len(block)

    def _empty(self, part: Any) -> Any:
        return self.engine.xp.concatenate([part[:1]] * len(self.g))


def _numpy(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else np.asarray(values.cpu())


def _map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply ``function`` to every array of nested tuples of arrays."""
    if first is None:
        return None
    if isinstance(first, tuple):
        parts = (_map(function, *part) for part in zip(first, *others, strict=True))
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return function(first, *others)
