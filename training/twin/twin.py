"""The memristor twin: a network whose matrices sit on tiles."""

__all__ = ["MemristorTwin"]

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ...circuits.array.tile import Tile
from ...data.types import Array32
from ...devices.spread.effects import Effects
from ..network import Network, Product, Tape
from .crossbar import Crossbar
from .matrix import EngineFactory, MappedMatrix

CALIBRATION_VECTORS = 256
"""Vectors per matrix that a calibration reads; more gain nothing."""

T = TypeVar("T")


class MemristorTwin:
    """A network whose matrices sit on tiles, but for those of digital layers.

    Parameters
    ----------
    network
        Architecture; what its layers say of their own place changes ``crossbar`` for them.
    crossbar
        What its matrices sit on: the largest tile with its levels, device errors, what is digital.
    engine
        Makes one engine per matrix, given its tile: ``Ideal``, ``fit.engine``, ``lambda tile:
        make_engine("line", tile)``.
    rng
        Draws what is fixed per device.

    Raises
    ------
    InputError
        If all layers are digital, or one asks for more than the crossbar has.
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
        self.scales: list[Array32 | None] | None = None
        """Digital factors of the columns, one of ``matrices`` each; ``None`` for none."""
        parts, shapes = crossbar.parts(network.placings), network.matrices
        self.mapped = tuple(number for number, part in enumerate(parts) if part is not None)
        """Which of the network's matrices sit on tiles: those of ``matrices``, in their order."""
        self.digital: dict[int, Array32] = {
            number: np.zeros(shapes[number], np.float32)
            for number, part in enumerate(parts)
            if part is None
        }
        """Weights of the network's other matrices, (rows, cols), by their number."""
        self._places = {number: k for k, number in enumerate(self.mapped)}
        self.matrices = [
            MappedMatrix(shape, part, engine, rng, clip=part.clip * deviation)
            for part, shape, deviation in zip(parts, shapes, network.deviations, strict=True)
            if part is not None
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
    def spare_devices(self) -> int:
        """Number of devices in spare columns, those that were replaced by them included."""
        return sum(matrix.placement.spare_devices for matrix in self.matrices)

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return sum(int(np.prod(matrix.placement.grid)) for matrix in self.matrices)

    def on_devices(self, each: Sequence[T]) -> list[T]:
        """Return of things that each matrix of the network has those of the matrices on tiles."""
        return [each[number] for number in self.mapped]

    def whole(self, weights: Sequence[Array32]) -> list[Array32]:
        """Return ``weights`` of the matrices on tiles and the digital ones, in the network's order."""
        found = dict(zip(self.mapped, weights, strict=True)) | self.digital
        return [found[number] for number in range(len(found))]

    def product(self, multiply: Product) -> Product:
        """Return what multiplies by every matrix of the network: ``multiply(k, a)`` by those on tiles,
        counted from 0, and numbers by the others.
        """

        def product(number: int, a: Array32) -> Array32:
            if number in self.digital:
                return a @ self.digital[number]
            return multiply(self._places[number], a)

        return product

    def forward(
        self,
        x: Array32,
        rng: np.random.Generator | None,
        draw: np.random.Generator | None = None,
    ) -> tuple[Array32, Tape]:
        """Return the outputs (n, classes) for images (n, ...), and the tape.

        Parameters
        ----------
        x
            Images, (n, ...).
        rng
            What random numbers are drawn from.
        draw
            Given while training: draws what drops out.
        """

        def multiply(k: int, a: Array32) -> Array32:
            y = self.matrices[k].multiply(a, rng)
            scale = None if self.scales is None else self.scales[k]
            return y if scale is None else y * scale

        return self.network.forward(x, self.product(multiply), self.norms, draw)

    def adjoint(self, number: int, a: Array32, error: Array32) -> tuple[Array32, Array32]:
        """Return the loss's derivatives by a matrix of the network and by its inputs ``a`` (n, rows),
        from those by its outputs, ``error`` (n, cols): through wires and devices where it is on tiles.

        Parameters
        ----------
        number
            Which of the network's matrices.
        a
            Its inputs, (n, rows).
        error
            Derivatives by its outputs, (n, cols).
        """
        if number in self.digital:
            return a.T @ error, error @ self.digital[number].T
        return self.matrices[self._places[number]].adjoint(a, error)

    def calibrate(self, x: Array32, meant: Sequence[Array32] | None = None) -> None:
        """Calibrate the gains of all matrices, first to last, on images ``x``; against the
        conductances that are ``meant``, one stack per matrix, or those that are there.
        """

        def multiply(k: int, a: Array32) -> Array32:
            held = None if meant is None else meant[k]
            self.matrices[k].calibrate(a[:CALIBRATION_VECTORS], held)
            return self.matrices[k].multiply(a, None)

        self.network.forward(x, self.product(multiply), self.norms)

    def use(self, engine: EngineFactory) -> None:
        """Read through another engine from now on; devices, weights and gains stay as they are."""
        for matrix in self.matrices:
            matrix.use(engine)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        state: dict[str, Any] = {str(k): one.state() for k, one in enumerate(self.matrices)}
        if self.norms:
            state["norms"] = {str(k): norm for k, norm in enumerate(self.norms)}
        if self.scales is not None:
            state["scales"] = {str(k): scale for k, scale in enumerate(self.scales)}
        if self.digital:
            state["digital"] = {str(k): w for k, w in self.digital.items()}
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        for k, matrix in enumerate(self.matrices):
            matrix.restore(state[str(k)])
        self.restore_digital(state)

    def restore_digital(self, state: Mapping[str, Any]) -> None:
        """Take what is not on devices from what :meth:`state` returned."""
        for k, norm in enumerate(self.norms):
            norm[...] = state["norms"][str(k)]
        for k, w in self.digital.items():
            w[...] = state["digital"][str(k)]
        if (scales := state.get("scales")) is not None:
            self.scales = [scales[str(k)] for k in range(len(self.matrices))]
