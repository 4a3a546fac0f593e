"""The memristor twin: a network whose matrices sit on tiles."""

__all__ = ["MemristorTwin"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...circuits.array.tile import Tile
from ...data.errors import InputError
from ...data.types import Array32
from ...devices.spread.effects import Effects
from ..network import Network, Tape
from .matrix import EngineFactory, MappedMatrix, MappingOptions

CALIBRATION_VECTORS = 256
"""Vectors per matrix that a calibration reads; more gain nothing."""


class MemristorTwin:
    """A network whose matrices sit on tiles.

    Parameters
    ----------
    network
        Architecture.
    tile
        The largest tile; every matrix is cut into such tiles.
    engine
        Makes one engine per matrix, given its tile: ``Ideal``, ``fit.engine``, ``lambda tile:
        make_engine("line", tile)``.
    g_levels
        Conductance of every level at the cell's read voltage [S], (levels,), rising.
    v_read
        That voltage [V], if it is to be checked; ``tile.cell`` says it.
    clip
        Largest weight in standard deviations of a layer's initial weights.
    rng
        Draws what is fixed per device.
    """

    def __init__(
        self,
        network: Network,
        *,
        tile: Tile,
        engine: EngineFactory,
        g_levels: ArrayLike,
        v_read: float | None = None,
        clip: float = 8.0,
        effects: Effects | None = None,
        options: MappingOptions | None = None,
        rng: np.random.Generator,
    ) -> None:
        if not (np.isfinite(clip) and clip > 0.0):
            raise InputError(f"clip must be positive and finite, got {clip!r}")
        self.network, self.tile, self.levels = network, tile, len(np.asarray(g_levels))
        self.options = options or MappingOptions()
        self.effects = effects or Effects()
        self.matrices = [
            MappedMatrix(
                shape,
                tile=tile,
                engine=engine,
                g_levels=g_levels,
                v_read=v_read,
                clip=clip * deviation,
                effects=self.effects,
                options=self.options,
                rng=rng,
            )
            for shape, deviation in zip(network.matrices, network.deviations, strict=True)
        ]

    @property
    def devices(self) -> int:
        """Number of devices that hold weights."""
        return sum(matrix.placement.places.size for matrix in self.matrices)

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return sum(int(np.prod(matrix.placement.grid)) for matrix in self.matrices)

    def forward(
        self,
        x: Array32,
        rng: np.random.Generator | None,
        scales: Sequence[Array32 | None] | None = None,
    ) -> tuple[Array32, Tape]:
        """Return the outputs (n, classes) for images (n, ...), and the tape; ``scales`` multiply
        the columns of every matrix.
        """

        def product(k: int, a: Array32) -> Array32:
            y = self.matrices[k].multiply(a, rng)
            scale = None if scales is None else scales[k]
            return y if scale is None else y * scale

        return self.network.forward(x, product)

    def calibrate(self, x: Array32) -> None:
        """Calibrate the gains of all matrices, first to last, on images ``x``."""

        def product(k: int, a: Array32) -> Array32:
            self.matrices[k].calibrate(a[:CALIBRATION_VECTORS])
            return self.matrices[k].multiply(a, None)

        self.network.forward(x, product)

    def use(self, engine: EngineFactory) -> None:
        """Read through another engine from now on; devices, weights and gains stay as they are."""
        for matrix in self.matrices:
            matrix.use(engine)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {str(k): matrix.state() for k, matrix in enumerate(self.matrices)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        for k, matrix in enumerate(self.matrices):
            matrix.restore(state[str(k)])
