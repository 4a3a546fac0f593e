"""A tile's network on a few dozen unknowns in place of two per cell, for reads in time.

The potentials of all nodes are taken from the span of a few: the end state, and what follows from it
by ``G^-1 C`` again and again, the moments of the network's answer, at zero frequency and at one of
the edge's order. Projected on these, the network keeps its symmetry, and with it its passivity
(Odabasioglu et al. 1998, doi:10.1109/43.712097).
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

MOMENTS = 8
"""Moments in the basis at each of the two frequencies."""


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

    @cached_property
    def _factors(self) -> tuple[Any, Any]:
        """The conductances, devices' at the read voltage, factored, alone and with the capacitances
        at a frequency of the edge's order.
        """
        g, net = self.scene.g, self.net
        pairs = [(net.w, net.w, g), (net.b, net.b, g), (net.w, net.b, -g), (net.b, net.w, -g)]
        static = (net.matrix + _matrix(pairs, net.size)).tocsc()
        shifted = static + self.capacitance * (2.0 / self.scene.tile.edge.rise)
        return _factor(static), _factor(shifted.tocsc())

    def basis(self, v: Array, end: Array) -> Array:
        """Return a basis, (nodes, m), in which the capacitances are the identity, for row voltages
        ``v`` [V] whose end state is ``end`` [V].
        """
        basis = np.empty((len(end), 1 + len(self._factors) * MOMENTS))
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
        for factor in self._factors:
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


def _factor(matrix: Any) -> Any:
    """Factor a symmetric matrix that is in elimination order."""
    return splu(
        matrix,
        permc_spec="NATURAL",
        diag_pivot_thresh=0.0,
        relax=8,
        panel_size=4,
        options={"SymmetricMode": True, "Equil": False},
    )
