"""The memristor twin: a network whose matrices sit on tiles."""

__all__ = ["MemristorTwin"]

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...circuits.array.tile import Tile
from ...data.types import Array32
from ...devices.spread.effects import Effects
from ..network import Network, Tape
from .crossbar import Crossbar
from .matrix import EngineFactory, MappedMatrix

CALIBRATION_VECTORS = 256
"""Vectors per matrix that a calibration reads; more gain nothing."""


class MemristorTwin:
    """A network whose matrices sit on tiles.

    Parameters
    ----------
    network
        Architecture.
    crossbar
        What its matrices sit on: the largest tile with its levels, device errors, what is digital.
    engine
        Makes one engine per matrix, given its tile: ``Ideal``, ``fit.engine``, ``lambda tile:
        make_engine("line", tile)``.
    rng
        Draws what is fixed per device.
    """

    def __init__(
        self,
        network: Network,
        crossbar: Crossbar,
        engine: EngineFactory,
        rng: np.random.Generator,
    ) -> None:
        self.network, self.crossbar = network, crossbar
        self.norms = network.states()
        """Digital states of the normalisations."""
        self.start: list[Array32] | None = None
        """Float matrices that a training starts from; ``None`` for new ones from its seed."""
        self.matrices = [
            MappedMatrix(shape, crossbar, engine, rng, clip=crossbar.mapping.clip * deviation)
            for shape, deviation in zip(network.matrices, network.deviations, strict=True)
        ]

    @property
    def tile(self) -> Tile:
        """The largest tile."""
        return self.crossbar.tile

    @property
    def effects(self) -> Effects:
        """Errors of the devices."""
        return self.crossbar.effects

    @property
    def levels(self) -> int:
        """Number of conductance levels of a device."""
        return self.crossbar.levels.count

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
        draw: np.random.Generator | None = None,
    ) -> tuple[Array32, Tape]:
        """Return the outputs (n, classes) for images (n, ...), and the tape; ``scales`` multiply
        the columns of every matrix, ``draw`` is given while training, for what drops out.

        Parameters
        ----------
        x
            Images, (n, ...).
        rng
            What random numbers are drawn from.
        scales
            Digital factors of the columns, a matrix each; ``None`` for none.
        draw
            Given while training: draws what drops out.
        """

        def product(k: int, a: Array32) -> Array32:
            y = self.matrices[k].multiply(a, rng)
            scale = None if scales is None else scales[k]
            return y if scale is None else y * scale

        return self.network.forward(x, product, self.norms, draw)

    def calibrate(self, x: Array32, meant: Sequence[Array32] | None = None) -> None:
        """Calibrate the gains of all matrices, first to last, on images ``x``; against the
        conductances that are ``meant``, one stack per matrix, or those that are there.
        """

        def product(k: int, a: Array32) -> Array32:
            held = None if meant is None else meant[k]
            self.matrices[k].calibrate(a[:CALIBRATION_VECTORS], held)
            return self.matrices[k].multiply(a, None)

        self.network.forward(x, product, self.norms)

    def use(self, engine: EngineFactory) -> None:
        """Read through another engine from now on; devices, weights and gains stay as they are."""
        for matrix in self.matrices:
            matrix.use(engine)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        state = {str(k): matrix.state() for k, matrix in enumerate(self.matrices)}
        norms = {str(k): norm for k, norm in enumerate(self.norms)}
        return state | {"norms": norms} if norms else state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        for k, matrix in enumerate(self.matrices):
            matrix.restore(state[str(k)])
        for k, norm in enumerate(self.norms):
            norm[...] = state["norms"][str(k)]
