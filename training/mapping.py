"""Matrices on stacks of tiles: the memristor twin.

A matrix (rows, cols) is cut into tiles of ``tile.rows`` inputs and ``tile.cols / 2`` outputs; one
that needs less gets a smaller tile. Weight ``(i, j)`` is a pair of devices in neighbouring columns
of one tile, plus in the even and minus in the odd one, so that both see nearly the same wires. Row
blocks are read by different tiles and their differences ``I+ - I-`` added digitally. Inputs are
scaled per vector, digitally, so that the largest is the read voltage; unused rows are held at 0 V
and unused devices at the lowest level.
"""

__all__ = ["MappedMatrix", "MappingOptions", "MemristorTwin"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..circuits.cell import Cell
from ..circuits.engine import Engine
from ..circuits.tile import Tile
from ..data.errors import InputError
from ..data.types import Array, Array32
from .effects import Devices, Effects
from .network import Network, Tape
from .placement import Placement
from .rules import Writes

EngineFactory: TypeAlias = Callable[[Tile], Engine]
"""Makes the engine of one matrix, for a tile no larger than the twin's."""


@dataclass(frozen=True)
class MappingOptions:
    """What is digital around the tiles."""

    bias: Literal["device", "digital"] = "device"
    """Biases as one more row of devices, or added digitally."""
    gain: Literal["none", "matrix", "column", "tile"] = "matrix"
    """Calibrated digital factor against wire drops and nonlinear devices: none, one per matrix, per
    output, or per output and tile.
    """
    drive: Literal["linear", "device"] = "device"
    """Input voltages in proportion to the inputs, or such that a device of middle conductance
    carries a current in proportion to them: the DAC undoes the curvature of the device law."""
    dac_bits: int | None = None
    """Resolution of the input voltages; ``None`` for analog."""
    adc_bits: int | None = None
    """Resolution of the column currents over the full scale of the calibration; ``None`` for
    analog.
    """

    def __post_init__(self) -> None:
        for name, bits in (("dac_bits", self.dac_bits), ("adc_bits", self.adc_bits)):
            if bits is not None and not 1 <= bits <= 24:
                raise InputError(f"mapping: {name} must be from 1 to 24, got {bits}")


class MappedMatrix:
    """One matrix on its tiles.

    Parameters
    ----------
    shape
        (rows, cols) of the matrix, bias row included.
    tile, engine
        The largest tile, and what makes an engine for the tile that the matrix gets.
    g_levels
        Conductance of every level [S], (levels,), equally spaced.
    v_read
        Voltage of the largest input [V].
    clip
        Weight that the highest level stands for.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        tile: Tile,
        engine: EngineFactory,
        g_levels: ArrayLike,
        v_read: float,
        clip: float,
        effects: Effects,
        options: MappingOptions,
        rng: np.random.Generator,
    ) -> None:
        g = _checked_levels(g_levels)
        rows, cols = shape[0] - (options.bias == "digital"), shape[1]
        self.tile = replace(tile, rows=min(tile.rows, rows), cols=min(tile.cols, 2 * cols))
        self.placement = Placement(rows, cols, self.tile.rows, self.tile.cols)
        self.engine, self.options, self.effects = engine(self.tile), options, effects
        self.devices = Devices(
            self.placement.shape, low=g[0], high=g[-1], levels=len(g), effects=effects, rng=rng
        )
        self.v_read, self.clip = v_read, clip
        self.bias: Array32 | None = None if rows == shape[0] else np.zeros(cols, np.float32)
        self._drive = (
            _inverse_law(tile.cell, v_read, float(g[0] + g[-1]) / 2)
            if options.drive == "device" and not tile.cell.linear
            else None
        )
        self.gain: Array32 = np.ones((), np.float32)
        """Calibrated factor on the pair outputs; its shape depends on the option."""
        self.full_scale = float(self.tile.rows * g[-1] * v_read)
        """Column current at which an ADC saturates [A]."""
        self._per_ampere = clip / (v_read * float(g[-1] - g[0]))
        self._stale = True

    def write(self, writes: Writes, rng: np.random.Generator, *, now: int = 0) -> Array32:
        """Program devices; return the levels that verify reads find, (n,)."""
        if not len(writes):
            return writes.level
        self._stale = True
        places = self.placement.places[writes.device]
        if writes.blind is None:
            return self.devices.write(places, writes.level, rng, now=now)
        change = writes.level - writes.before
        return self.devices.nudge(places, change, rng, noise=writes.blind, now=now)

    def levels(self) -> Array32:
        """Return the present, fractional level of every device in the order of
        :class:`.rules.Writes`.
        """
        return self.devices.levels(self.placement.places)

    def weights(self) -> Array32:
        """Return the weights that the devices really hold, and a digital bias, (rows, cols)."""
        pairs = self.levels().reshape(self.placement.rows, self.placement.cols, 2)
        held = (pairs[..., 0] - pairs[..., 1]) * np.float32(self.clip / self.devices.top)
        return held if self.bias is None else np.vstack([held, self.bias])

    def use(self, engine: EngineFactory) -> None:
        """Read through another engine from now on."""
        self.engine, self._stale = engine(self.tile), True

    def age(self, now: int) -> None:
        """Let the devices drift until update ``now``."""
        self._stale |= self.devices.age(now)

    def multiply(self, a: Array32, rng: np.random.Generator | None) -> Array32:
        """Return ``a @ w`` (n, cols) as the tiles compute it; noisy if ``rng`` is given."""
        x = a if self.bias is None else a[:, : self.placement.rows]
        scale = self._scale(x)
        y = self._sums(self._read(x, scale), self.gain) * (scale * np.float32(self._per_ampere))
        if rng is not None and self.effects.read > 0.0:
            power = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
            # Both devices of a pair are noisy; the noise of many devices adds up in the current.
            sigma = np.float32(self.clip * self.effects.read * 2.0**0.5) * power
            y += sigma * rng.standard_normal(y.shape, np.float32)
        if self.bias is not None:
            y += self.bias
        return np.asarray(y, np.float32)

    def compare(self, a: Array32, block: tuple[int, int], other: Engine) -> tuple[Array, Array]:
        """Return the currents [A] of the tile at ``block`` for vectors ``a`` (n, rows), read by this
        matrix's engine and by another one, (n, tile columns) each.
        """
        x = a[:, : self.placement.rows]
        v = self._voltages(x, self._scale(x))
        self._program()
        other.program(self.devices.g[block])
        return self.engine.read(v)[block], other.read(v[block])

    def calibrate(self, a: Array32) -> None:
        """Set the digital gain by least squares, from one noiseless read of ``a`` (n, rows) against
        what ideal tiles would give for the conductances that are there.
        """
        option = self.options.gain
        if option == "none":
            return
        x = a[:, : self.placement.rows]
        scale = self._scale(x)
        found: Any = self._read(x, scale)
        ideal: Any = self.placement.rows_of(x, np.float32(self.v_read) / scale) @ self.devices.g
        if option == "tile":
            found, ideal = _differences(found), _differences(ideal)
        else:
            found, ideal = (self._sums(stack, np.ones((), np.float32)) for stack in (found, ideal))
        axis = {"matrix": None, "column": 0, "tile": 2}[option]
        cross = np.sum(ideal * found, axis=axis, keepdims=option == "tile")
        power = np.sum(found * found, axis=axis, keepdims=option == "tile")
        # Columns without current, as in unused ones, keep the gain 1.
        gain = np.divide(cross, power, out=np.ones_like(power), where=power > 0.0)
        self.gain = np.asarray(gain, np.float32)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"gain": self.gain, "bias": self.bias, "devices": self.devices.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.gain = np.asarray(state["gain"], np.float32)
        if self.bias is not None:
            self.bias[...] = state["bias"]
        self.devices.restore(state["devices"])
        self._stale = True

    def _program(self) -> None:
        if self._stale:
            self.engine.program(self.devices.g)
            self._stale = False

    def _scale(self, x: Array32) -> Array32:
        """Return the largest input of every vector, (n, 1), or (1, 1) where all are alike."""
        highest, lowest = (float(x.max()), float(x.min())) if x.size else (1.0, 0.0)
        if highest == 1.0 and lowest >= -1.0:
            # So it is where all vectors hold a 1 for the bias and pixels: no search per vector.
            return np.ones((1, 1), np.float32)
        scale: Array32 = x.max(axis=1, keepdims=True)
        if lowest < 0.0:
            scale = np.maximum(scale, -x.min(axis=1, keepdims=True))
        scale[scale <= 0.0] = 1.0
        return scale

    def _read(self, x: Array32, scale: Array32) -> Array:
        """Return all column currents [A], (row blocks, column blocks, n, tile columns), for inputs
        (n, rows), of which ``scale`` (n, 1) is read at the read voltage.
        """
        self._program()
        if self.options.dac_bits is not None:
            steps = np.float32(2**self.options.dac_bits - 1)
            x, scale = np.rint(x * (steps / scale)), np.full_like(scale, steps)
        i = self.engine.read(self._voltages(x, scale))
        if self.options.adc_bits is not None:
            step = self.full_scale / (2**self.options.adc_bits - 1)
            i = np.rint(np.clip(i, -self.full_scale, self.full_scale) / step) * step
        return i

    def _voltages(self, x: Array32, scale: Array32) -> Array32:
        if self._drive is None:
            return self.placement.rows_of(x, np.float32(self.v_read) / scale)
        steps = np.float32(len(self._drive) - 1)
        share = x * (steps / scale)
        v = self._drive[np.rint(np.abs(share)).astype(np.intp)]
        return self.placement.rows_of(v, np.sign(share))

    def _sums(self, i: Array, gain: Array32) -> Array:
        """Return ``gain`` times ``I+ - I-`` [A] summed over row blocks, (n, cols)."""
        if gain.ndim == 4:
            y = self.placement.gather(_differences(i) * gain)
            return y[:, : self.placement.cols]
        y = _differences(self.placement.gather(i))
        return y[:, : self.placement.cols] * gain


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
    g_levels, v_read
        Conductance of every level at the read voltage [S], (levels,), equally spaced, and that
        voltage [V].
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
        v_read: float,
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


CALIBRATION_VECTORS = 256
"""Vectors per matrix that a calibration reads; more gain nothing."""

DRIVE_STEPS = 4096
"""Steps of the table that turns inputs into voltages: 12 bits."""


def _inverse_law(cell: Cell, v_read: float, g: float) -> Array32:
    """Return the voltages [V] at which a device of conductance ``g`` carries 0, 1, ... shares of
    its current at ``v_read``, (``DRIVE_STEPS`` + 1,).
    """
    v = np.linspace(0.0, v_read, 4 * DRIVE_STEPS + 1)
    i = cell.current(v, g)
    shares = np.linspace(0.0, 1.0, DRIVE_STEPS + 1)
    return np.interp(shares, i / i[-1], v).astype(np.float32)


def _differences(i: Array) -> Array:
    """Return ``I+ - I-`` of neighbouring columns, (..., columns) to (..., columns / 2)."""
    difference: Array = i[..., 0::2] - i[..., 1::2]
    return difference


def _checked_levels(g_levels: ArrayLike) -> Array:
    g = np.asarray(g_levels, float)
    if g.ndim != 1 or g.size < 2:
        raise InputError(f"expected at least 2 conductance levels, got {g.size}")
    steps = np.diff(g)
    if not np.isfinite(g).all() or steps.min() <= 0.0 or np.ptp(steps) > 1e-3 * steps.mean():
        raise InputError(
            "conductance levels must rise in equal steps [S]: weights are whole numbers of them"
        )
    return g
