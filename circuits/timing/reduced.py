"""A tile's network on a few dozen unknowns in place of two per cell, for reads in time.

The potentials of all nodes are taken from the span of a few: the end state, and the moments of the
network's answer at three frequencies, from that of its slow lines to that of the edge, devices
taken as they are for small changes about the end. (At zero frequency moments all tell of the word
lines' slowest modes, which are much alike.) Projected on these, the network keeps its symmetry, and
with it its passivity (Odabasioglu et al. 1998, doi:10.1109/43.712097).
"""

__all__ = ["Reduced"]

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from ...data.types import Array
from ..engines.nodal import Net
from .waveform import Scene

MOMENTS = 6
"""Moments in the basis at each frequency."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """One tile, ready to be reduced to what a vector needs."""

    scene: Scene

    @cached_property
    def net(self) -> Net:
        """Wires, drivers and sense resistances; where there are amplifiers, their inputs count as
        ground.
        """
        return Net(replace(self.scene.tile, amplifier=None))

    @cached_property
    def capacitance(self) -> Any:
        """Matrix of the capacitances [F], in the order of the net's nodes."""
        c, net = self.scene.tile.capacitances(), self.net
        w, b = net.w, net.b
        between = [(w[:-1], w[1:], c.w_w), (b[:, :-1], b[:, 1:], c.b_b), (w, b, c.w_b)]
        pairs = [(w, w, c.w), (b, b, c.b)]
        for p, q, value in between:
            each = np.full(p.shape, value)
            pairs += [(p, p, each), (q, q, each), (p, q, -each), (q, p, -each)]
        return _matrix(pairs, net.size)

    def _factors(self, end: Array) -> list[Any]:
        """The conductances with the capacitances, factored at every frequency."""
        net, scene, rise = self.net, self.scene, self.scene.tile.edge.rise
        w, b = net.potentials(end)
        _, by_v, by_b = scene.tile.cell.law(w - b, scene.states, scene.g > 0.0, b)
        pairs = [(net.w, net.w, by_v), (net.b, net.b, by_v - by_b)]
        pairs += [(net.w, net.b, by_b - by_v), (net.b, net.w, -by_v)]
        static = (net.matrix + _matrix(pairs, net.size)).tocsc()
        # How late nodes are, the most of them, as Elmore has it: by the first moment.
        late = np.abs(_factor(static).solve(self.capacitance @ end))
        delay = float(late.max() / np.abs(end).max())
        slow, fast = 0.5 / max(delay, rise), 5.0 / min(delay, rise)
        # Elimination order knows of no couplings between lines beside each other.
        order = "MMD_AT_PLUS_A" if scene.tile.edge.coupling else "NATURAL"
        return [
            _factor((static + self.capacitance * shift).tocsc(), order)
            for shift in (slow, np.sqrt(slow * fast), fast)
        ]

    def basis(self, v: Array, end: Array) -> Array:
        """Return a basis, (nodes, m), in which the capacitances are the identity, for row voltages
        ``v`` [V] whose end state is ``end`` [V].
        """
        factors = self._factors(end)
        basis = np.empty((len(end), 1 + len(factors) * MOMENTS))
        count = 0

        def added(x: Any) -> Any:
            nonlocal count
            size = float(np.linalg.norm(x))
            new = x
            for _ in range(2):  # once leaves rounding errors, twice does not
                new = new - basis[:, :count] @ (basis[:, :count].T @ new)
            left = float(np.linalg.norm(new))
            if left <= 1e-10 * size:  # nothing new
                return new
            basis[:, count] = new / left
            count += 1
            return basis[:, count - 1]

        added(end)
        drive = self.net.injected(v[None])[0]
        for factor in factors:
            x: Any = factor.solve(drive)
            for _ in range(MOMENTS):
                x = factor.solve(self.capacitance @ added(x))
        kept: Any = basis[:, :count]
        scale = np.linalg.cholesky(kept.T @ (self.capacitance @ kept))
        found: Array = np.linalg.solve(scale, kept.T).T
        return found


def _matrix(pairs: list[tuple[Any, Any, Array]], size: int) -> Any:
    i, j, values = (
        np.concatenate([part.ravel() for part in column]) for column in zip(*pairs, strict=True)
    )
    return coo_matrix((values, (i, j)), shape=(size, size)).tocsc()


def _factor(matrix: Any, order: str = "NATURAL") -> Any:
    """Factor a matrix of symmetric pattern, in elimination order or in another."""
    return splu(
        matrix,
        permc_spec=order,
        diag_pivot_thresh=0.0,
        relax=8,
        panel_size=4,
        options={"SymmetricMode": True, "Equil": False},
    )
