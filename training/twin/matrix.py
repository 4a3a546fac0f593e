"""Matrices on stacks of tiles.

A matrix (rows, cols) is cut into tiles of ``tile.rows`` inputs and ``tile.cols / 2`` outputs; one
that needs less gets a smaller tile. Weight ``(i, j)`` is a pair of devices in neighbouring columns
of one tile, plus in the even and minus in the odd one, so that both see nearly the same wires. Row
blocks are read by different tiles and their differences ``I+ - I-`` added digitally. Inputs are
scaled per vector, digitally, so that the largest is the read voltage; unused rows are held at 0 V
and unused devices at the lowest level.
"""

__all__ = ["Differentiable", "EngineFactory", "MappedMatrix"]

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from ...circuits.array.tile import Tile
from ...circuits.engine import Engine
from ...circuits.engines.converters import ADC
from ...data.errors import InputError
from ...data.types import Array, Array32
from ..rules.rule import Writes
from .crossbar import Crossbar
from .drive import Drive
from .effects import Devices
from .placement import Placement

EngineFactory: TypeAlias = Callable[[Tile], Engine]
"""Makes the engine of one matrix, for a tile no larger than the twin's."""


ADC_MARGIN = 1.25
"""Range of an ADC over the largest current that calibration sees."""


@runtime_checkable
class Differentiable(Engine, Protocol):
    """An engine that knows the derivatives of its reads."""

    def gradients(self, v: ArrayLike, d: ArrayLike) -> tuple[Array, Array]:
        """Return dL/dg and dL/dv from dL/di, see :meth:`.circuits.line.LineSolver.gradients`."""


class MappedMatrix:
    """One matrix on its tiles.

    Parameters
    ----------
    shape
        (rows, cols) of the matrix, bias row included.
    crossbar
        The largest tile with its levels, device errors, and what is digital.
    engine
        Makes an engine for the tile that the matrix gets.
    rng
        Draws what is fixed per device.
    clip
        Weight that the highest level stands for.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        crossbar: Crossbar,
        engine: EngineFactory,
        rng: np.random.Generator,
        *,
        clip: float,
    ) -> None:
        tile, g = crossbar.tile, _checked_levels(crossbar.levels.g)
        self.mapping, self.effects = mapping, effects = crossbar.mapping, crossbar.effects
        rows, cols = shape[0] - (mapping.bias == "digital"), shape[1]
        self.tile = replace(tile, rows=min(tile.rows, rows), cols=min(tile.cols, 2 * cols))
        self.placement = Placement(rows, cols, self.tile.rows, self.tile.cols)
        self._factory, self.engine = engine, engine(self.tile)
        self.devices = Devices(
            self.placement.shape, low=g[0], high=g[-1], levels=len(g), effects=effects, rng=rng
        )
        self.clip = clip
        self.bias: Array32 | None = None if rows == shape[0] else np.zeros(cols, np.float32)
        self.drive = (
            Drive(tile.cell.v_read, None, mapping.dac_bits)
            if mapping.drive == "linear"
            else Drive.against(
                tile.cell,
                float(g[0] + g[-1]) / 2,
                bits=mapping.dac_bits,
                sliced=mapping.drive == "bits",
            )
        )
        self.gain: Array32 = np.ones((), np.float32)
        """Calibrated factor on the pair outputs; its shape depends on the option."""
        self.adc = self._converter(float(self.tile.rows * g[-1] * abs(self.v_read)))
        """Converter of the column currents; its range is set by calibration."""
        self._span = float(g[-1] - g[0])
        self.programmed = False
        """Whether the devices hold weights; they can't be read before."""
        self._stale = True

    @property
    def v_read(self) -> float:
        """Voltage of the largest input, at which the levels' conductances are meant [V]."""
        return self.tile.cell.v_read

    def write(self, writes: Writes, rng: np.random.Generator, *, now: int = 0) -> Array32:
        """Program devices; return the levels that verify reads find, (n,)."""
        if not len(writes):
            return writes.level
        self._stale = self.programmed = True
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
        self._factory = engine
        self.renew()

    def renew(self) -> None:
        """Read through a new engine of the same kind.

        What an engine reads may depend, within its error, on what it has read and held before. It
        starts anew at the beginning of an epoch and where states are taken and restored, so that a
        resumed training repeats to the last bit.
        """
        self.engine, self._stale = self._factory(self.tile), True

    def age(self, now: int) -> None:
        """Let the devices drift until update ``now``."""
        self._stale |= self.devices.age(now)

    def multiply(self, a: Array32, rng: np.random.Generator | None) -> Array32:
        """Return ``a @ w`` (n, cols) as the tiles compute it; noisy if ``rng`` is given."""
        x = a if self.bias is None else a[:, : self.placement.rows]
        scale = self._scale(x)
        y = self._sums(self._read(x, scale), self.gain) * (scale * self._per_ampere)
        if rng is not None and self.effects.read > 0.0:
            power = self.drive.power(x, scale)
            # Both devices of a pair are noisy; the noise of many devices adds up in the current.
            sigma = np.float32(self.clip * self.effects.read * 2.0**0.5) * power
            y += sigma * rng.standard_normal(y.shape, np.float32)
        if self.bias is not None:
            y += self.bias
        return np.asarray(y, np.float32)

    def adjoint(self, a: Array32, error: Array32) -> tuple[Array32, Array32]:
        """Return the loss's derivatives by the weights, (rows, cols), and by ``a``, (n, rows), from
        those by the outputs, ``error`` (n, cols): through wires and device laws, as the engine
        knows them. A weight moves both devices of its pair by half.

        Raises
        ------
        InputError
            If the engine has no gradients, or inputs are driven bit by bit.
        """
        if not isinstance(self.engine, Differentiable) or self.mapping.drive == "bits":
            raise InputError(
                f"gradients through the array need an analog drive and the engine line or"
                f" surrogate, not {self.mapping.drive!r} and {self.engine.name!r}"
            )
        placement, x = self.placement, a[:, : self.placement.rows]
        scale = self._scale(x)
        v = placement.rows_of(self.drive.voltages(x, scale), np.ones((), np.float32))
        self._program()
        by_g, by_v = self.engine.gradients(v, self._by_currents(error, scale))
        pairs = by_g.reshape(-1)[placement.places].reshape(placement.rows, placement.cols, 2)
        by_w = (pairs[..., 0] - pairs[..., 1]) * (0.5 * self._span / self.clip)
        rows = by_v.sum(axis=1).transpose(1, 0, 2).reshape(len(x), -1)[:, : placement.rows]
        by_a = rows * self.drive.slopes(x, scale)
        if self.bias is not None:
            by_w = np.vstack([by_w, error.sum(axis=0)])
            by_a = np.hstack([by_a, np.zeros((len(a), 1))])
        return by_w.astype(np.float32), by_a.astype(np.float32)

    def compare(self, a: Array32, block: tuple[int, int], other: Engine) -> tuple[Array, Array]:
        """Return the currents [A] of the tile at ``block`` for vectors ``a`` (n, rows), read by this
        matrix's engine and by another one, (n, tile columns) each.
        """
        x = a[:, : self.placement.rows]
        v = self.placement.rows_of(self.drive.voltages(x, self._scale(x)), np.ones((), np.float32))
        self._program()
        other.program(self.devices.g[block])
        return self.engine.read(v)[block], other.read(v[block])

    def calibrate(self, a: Array32) -> None:
        """Set the digital gain by least squares, from one noiseless read of ``a`` (n, rows) against
        what ideal tiles would give for the conductances that are there.
        """
        x = a[:, : self.placement.rows]
        scale, option = self._scale(x), self.mapping.gain
        if self.adc is not None:
            before, self.adc = self.adc, None
            largest = float(np.abs(self._read(x, scale)).max())
            # Vectors of zeros say nothing of the range.
            self.adc = self._converter(ADC_MARGIN * largest) if largest > 0.0 else before
        if option == "none":
            return
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
        self.renew()
        return {
            "clip": self.clip,
            "gain": self.gain,
            "bias": self.bias,
            "full_scale": None if self.adc is None else self.adc.i_max,
            "devices": self.devices.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.clip = float(state["clip"])
        self.gain = np.asarray(state["gain"], np.float32)
        if self.adc is not None:
            self.adc = self._converter(float(state["full_scale"]))
        if self.bias is not None:
            self.bias[...] = state["bias"]
        self.devices.restore(state["devices"])
        self.renew()
        self.programmed = True

    @property
    def _per_ampere(self) -> np.float32:
        """Weight times input of one ampere between the columns of a pair."""
        return np.float32(self.clip / (self.v_read * self._span))

    def _converter(self, full_scale: float) -> ADC | None:
        """Return an ADC for currents of either sign up to ``full_scale`` [A]."""
        if self.mapping.adc_bits is None:
            return None
        return ADC(self.mapping.adc_bits, full_scale, -full_scale)

    def _program(self) -> None:
        if not self.programmed:
            raise InputError(
                "the devices hold no weights yet: program them before reading, as a Trainer does"
            )
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
        total: Any = None
        for weight, rows, factor in self.drive.phases(x, scale):
            i: Any = self.engine.read(self.placement.rows_of(rows, factor))
            if self.adc is not None:
                i = self.adc.convert(i)
            i = i if weight == 1.0 else weight * i
            total = i if total is None else total + i
        return np.asarray(total)

    def _by_currents(self, error: Array32, scale: Array32) -> Array:
        """Return the loss's derivatives by all column currents [1/A] from those by the outputs."""
        blocks, columns = self.placement.grid
        by_sum = np.zeros((len(error), columns * self.placement.outputs))
        gain = np.ones(()) if self.gain.ndim == 4 else self.gain
        by_sum[:, : self.placement.cols] = error * gain * (scale * self._per_ampere)
        by_pair = by_sum.reshape(len(error), columns, -1).transpose(1, 0, 2)
        by_pair = by_pair * self.gain if self.gain.ndim == 4 else by_pair[None]
        result = np.stack([by_pair, -by_pair], axis=-1).reshape(*by_pair.shape[:-1], -1)
        return np.broadcast_to(result, (blocks, *result.shape[1:]))

    def _sums(self, i: Array, gain: Array32) -> Array:
        """Return ``gain`` times ``I+ - I-`` [A] summed over row blocks, (n, cols)."""
        if gain.ndim == 4:
            y = self.placement.gather(_differences(i) * gain)
            return y[:, : self.placement.cols]
        y = _differences(self.placement.gather(i))
        return y[:, : self.placement.cols] * gain


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
