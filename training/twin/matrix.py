"""Matrices on stacks of tiles.

A matrix (rows, cols) is cut into tiles of ``tile.rows`` inputs and ``tile.cols / 2`` outputs; one
that needs less gets a smaller tile. Weight ``(i, j)`` is a pair of devices in neighbouring columns
of one tile, plus in the even and minus in the odd one, so that both see nearly the same wires. Row
blocks are read by different tiles and their differences ``I+ - I-`` added digitally. Inputs are
scaled per vector, digitally, so that the largest is the read voltage; unused rows are held at 0 V
and unused devices at the lowest level.
"""

__all__ = ["EngineFactory", "MappedMatrix"]

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...circuits.array.cell import Cell
from ...circuits.array.tile import Tile
from ...circuits.engine import Differentiable, Engine, ProgrammedArray
from ...circuits.engines.converters import ADC
from ...circuits.engines.ideal import Ideal
from ...data.errors import InputError
from ...data.types import Array, Array32
from ...devices.device import Device
from ..rules.quantise import Coding, make_quantiser
from ..rules.rule import Writes
from ..seeds import normals
from .crossbar import Crossbar
from .devices import Devices
from .drive import Drive
from .placement import Placement
from .redundancy import replaced

Missed: TypeAlias = Callable[[Array32, Array32], NDArray[np.bool_]]
"""Where devices that are at one level don't count as written to another."""

EngineFactory: TypeAlias = Callable[[Tile], Engine]
"""Makes the engine of one matrix, for a tile no larger than the twin's."""


MANY = 1000
"""Vectors among which repetitions of the first one are looked for: most patches of an image's dark
margin are alike, and are read once.
"""

ADC_MARGIN = 1.25
"""Range of an ADC over the largest current that calibration sees."""


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
        tile, g = crossbar.tile, np.asarray(crossbar.levels.g, float)
        self.mapping, self.effects = mapping, effects = crossbar.mapping, crossbar.effects
        quantiser = make_quantiser(mapping.quantiser, g)
        rows, cols = shape[0] - (mapping.bias == "digital"), shape[1]
        spares = mapping.spare_columns
        widest = min(tile.cols, 2 * (cols + spares))
        self.tile = replace(tile, rows=min(tile.rows, rows), cols=widest)
        self.placement = Placement(rows, cols, self.tile.rows, self.tile.cols, spares)
        self._factory, self.engine = engine, engine(self.tile)
        self.devices = Devices(
            self.placement.shape,
            low=g[0],
            high=g[-1],
            quantiser=quantiser,
            effects=effects,
            rng=rng,
            pulses=crossbar.pulses,
        )
        self.clip = clip
        self.bias: Array32 | None = None if rows == shape[0] else np.zeros(cols, np.float32)
        middle = float(g[0] + g[-1]) / 2
        signed = mapping.signed or ("bipolar" if _odd(tile.cell, middle) else "two phases")
        self.drive = (
            Drive(tile.cell.v_read, None, mapping.dac_bits, signed=signed)
            if mapping.drive == "linear"
            else Drive.against(
                tile.cell,
                middle,
                bits=mapping.dac_bits,
                sliced=mapping.drive == "bits",
                signed=signed,
            )
        )
        self.gain: Array32 = np.ones((), np.float32)
        """Calibrated factor on the pair outputs; its shape depends on the option."""
        self.adc = self._converter(float(self.tile.rows * g[-1] * abs(self.v_read)))
        """Converter of the column currents; its range is set by calibration."""
        self._span = float(g[-1] - g[0])
        self.programmed = False
        """Whether the devices hold weights; they can't be read before."""
        self._array: ProgrammedArray | None = None
        self._stale = False
        self._variances: Array32 | None = None
        self._product: bool | None = None
        """Whether a read is a product with the weights that are held, where that is known."""
        self._held: Array32 | None = None
        """Weights that the devices hold [mean steps], (rows, cols), where a read is a product with
        them.
        """

    @property
    def coding(self) -> Coding:
        """What codes weigh here."""
        return Coding(self.devices.quantiser, self.clip)

    @property
    def v_read(self) -> float:
        """Voltage of the largest input, at which the levels' conductances are meant [V]."""
        return self.tile.cell.v_read

    def repair(self, weights: Array32, *, trained: bool) -> None:
        """Give the outputs whose columns hurt them most spare ones, where there are any; before the devices are
        programmed.

        Parameters
        ----------
        weights
            Float weights, (rows, cols), the bias as last row.
        trained
            Whether these are the ones to hold, not only to start from.
        """
        if not self.placement.spares or (dead := self.devices.dead) is None:
            return
        wanted = weights[: self.placement.rows] * np.float32(self.devices.top / self.clip)
        plain = replace(self.placement, columns=None)
        columns = replaced(plain, dead, wanted, trained=trained)
        self.placement = replace(plain, columns=columns)

    def write(self, writes: Writes, rng: np.random.Generator, *, now: int = 0) -> Array32:
        """Program devices; return the levels that verify reads find, (n,).

        Parameters
        ----------
        writes
            Devices and the levels that they get.
        rng
            What random numbers are drawn from.
        now
            The update at which it is done, counted from 0.
        """
        if not len(writes):
            return writes.level
        self._stale, self.programmed, self._variances = True, True, None
        places = self.placement.places[writes.device]
        if writes.pulses is not None:
            found = self.devices.pulse(places, writes.pulses, rng, now=now)
        elif writes.unread is not None:
            found = self._write_some(writes, places, rng, now)
        elif writes.blind is None:
            found = self.devices.write(places, writes.level, rng, now=now)
        else:
            steps = self.devices.quantiser.steps
            change = steps(writes.level) - steps(writes.before)
            found = self.devices.nudge(places, change, rng, noise=writes.blind, now=now)
        if self._held is not None:
            self._held.reshape(-1)[writes.device >> 1] = self._pairs(places >> 1)
        return found

    def _write_some(
        self, writes: Writes, places: NDArray[np.int64], rng: np.random.Generator, now: int
    ) -> Array32:
        """Write devices of which nobody reads some; return what is known of their levels, (n,)."""
        assert writes.unread is not None
        devices, alone, found = self.devices, writes.alone, writes.level.copy()
        read = np.flatnonzero(np.isnan(writes.unread))
        found[read] = devices.write(places[read], writes.level[read], rng, now=now)
        steps = devices.quantiser.steps
        meant = steps(writes.level[alone]) - steps(writes.before[alone])
        made = meant + (writes.unread[alone] / devices.step).astype(np.float32)
        devices.shift(places[alone], made, rng, now=now)
        return found

    def reverify(
        self,
        writes: Writes,
        rng: np.random.Generator,
        *,
        seconds: float,
        missed: Missed,
        now: int = 0,
    ) -> Writes:
        """Read devices again ``seconds`` after their ``writes`` and write those anew that have left their band, as
        ``missed(end, target)`` says of levels; return these writes, with the reads.

        Parameters
        ----------
        writes
            What was written.
        rng
            Draws the errors of the new writes.
        seconds
            After which devices are read again [s].
        missed
            Says which levels, (n,), are out of the band of their targets, (n,).
        now
            Update in which it happens.
        """
        places = self.placement.places[writes.device]
        off = self.devices.missing(places, writes.level, seconds)
        quantiser, top = self.devices.quantiser, np.float32(self.devices.top)
        end = quantiser.code(quantiser.steps(writes.level) - off)
        out = np.flatnonzero(missed(end, writes.level) & (off != 0.0))
        before = np.clip(end[out], np.float32(0.0), top)
        again = Writes(writes.device[out], before, writes.level[out], 0, reads=len(writes))
        self.write(again, rng, now=now)
        return again

    def standing(self, writes: Writes) -> tuple[Array32, Array]:
        """Return where the devices of ``writes`` stand before them: fractional levels, and conductances [S], (n,)
        each.

        Parameters
        ----------
        writes
            Of which devices.
        """
        places = self.placement.places[writes.device]
        held = self.devices.g.reshape(-1)[places].astype(float)
        return self.devices.levels(places), held

    def levels(self) -> Array32:
        """Return the present, fractional level of every device in the order of
        :class:`.rules.Writes`.
        """
        return self.devices.levels(self.placement.places)

    def weights(self) -> Array32:
        """Return the weights that the devices really hold, and a digital bias, (rows, cols)."""
        held = self._all_pairs()
        held *= np.float32(self.clip / self.devices.top)
        return held if self.bias is None else np.vstack([held, self.bias])

    def _all_pairs(self) -> Array32:
        """Return by how many mean steps the devices of every pair differ, (rows, cols)."""
        found = self._pairs(self.placement.pairs)
        return found.reshape(self.placement.rows, self.placement.cols)

    def _pairs(self, pair: NDArray[np.int64]) -> Array32:
        """Return by how many mean steps the devices of some pairs differ, by place, (n,)."""
        held = self.devices.pairs(pair)
        difference: Array32 = held[:, 0] - held[:, 1]
        return difference

    def use(self, engine: EngineFactory) -> None:
        """Read through another engine from now on."""
        self._factory = engine
        self.renew()

    def renew(self) -> None:
        """Read through a new engine of the same kind.

        What is read may depend, within its error, on what was read and held before. It starts anew
        at the beginning of an epoch and where states are taken and restored, so that a resumed
        training repeats to the last bit.
        """
        self.engine, self._array = self._factory(self.tile), None
        self._held = self._product = None

    def age(self, now: int) -> None:
        """Let the devices drift until update ``now``."""
        if self.devices.age(now):
            self._stale, self._variances, self._held = True, None, None

    def multiply(self, a: Array32, rng: np.random.Generator | None) -> Array32:
        """Return ``a @ w`` (n, cols) as the tiles compute it; noisy if ``rng`` is given."""
        x = a if self.bias is None else a[:, : self.placement.rows]
        if self._plain:
            y = x @ self._holding() * (self.gain * np.float32(self.clip / self.devices.top))
        elif len(x) >= MANY and 4 * len(other := np.flatnonzero((x != x[0]).any(1))) < 3 * len(x):
            found = self._products(np.concatenate([x[:1], x[other]]))
            y = found[:1].repeat(len(x), 0)
            y[other] = found[1:]
        else:
            y = self._products(x)
        if rng is not None and self.effects.laws.read is not None:
            noise = normals(rng, y.size).reshape(y.shape)
            noise *= self._noise(x)
            y += noise
        if self.bias is not None:
            y += self.bias
        return np.asarray(y, np.float32)

    def _products(self, x: Array32) -> Array:
        """Return what the tiles make of inputs (n, rows), without noise, (n, cols)."""
        scale = self._scale(x)
        return self._sums(self._read(x, scale), self.gain) * (scale * self._per_ampere)

    @property
    def _plain(self) -> bool:
        """Whether a read is a product with the weights that are held: by linear devices without
        wires or converters.
        """
        if self._product is None:
            analog = self.adc is None and self.mapping.dac_bits is None and not self.drive.sliced
            linear = type(self.engine) is Ideal and self.tile.cell.linear
            self._product = analog and linear
        return self._product and self.gain.ndim < 4

    def _holding(self) -> Array32:
        if not self.programmed:
            self.array  # noqa: B018  says so
        if self._held is None:
            self._held = self._all_pairs()
        return self._held

    def adjoint(self, a: Array32, error: Array32) -> tuple[Array32, Array32]:
        """Return the loss's derivatives by the weights, (rows, cols), and by ``a``, (n, rows), from
        those by the outputs, ``error`` (n, cols): through wires and device laws, as the engine
        knows them. A weight moves both devices of its pair by half.

        Raises
        ------
        InputError
            If the engine has no gradients, or inputs are driven bit by bit.
        """
        array = self.array
        if not isinstance(array, Differentiable) or self.mapping.drive == "bits":
            raise InputError(
                f"gradients through the array need an analog drive and the engine line or"
                f" surrogate, not {self.mapping.drive!r} and {self.engine.name!r}"
            )
        placement, x = self.placement, a[:, : self.placement.rows]
        scale = self._scale(x)
        by_i = self._by_currents(error, scale)
        by_g, by_x = np.zeros(self.devices.g.shape), np.zeros(x.shape)
        for weight, part, slope in self.drive.parts(x, scale):
            v = placement.rows_of(self.drive.voltages(part, scale), np.ones((), np.float32))
            by_devices, by_v = array.gradients(v, weight * by_i)
            rows = by_v.sum(axis=1).transpose(1, 0, 2).reshape(len(x), -1)[:, : placement.rows]
            by_g += by_devices
            by_x += rows * self.drive.slopes(part, scale) * slope
        pairs = by_g.reshape(-1)[placement.places].reshape(placement.rows, placement.cols, 2)
        by_w = (pairs[..., 0] - pairs[..., 1]) * (0.5 * self._span / self.clip)
        by_a = by_x
        if self.bias is not None:
            by_w = np.vstack([by_w, error.sum(axis=0)])
            by_a = np.hstack([by_a, np.zeros((len(a), 1))])
        return by_w.astype(np.float32), by_a.astype(np.float32)

    def compare(self, a: Array32, block: tuple[int, int], other: Engine) -> tuple[Array, Array]:
        """Return the currents [A] of the tile at ``block`` for vectors ``a`` (n, rows), read by this
        matrix's engine and by another one, (n, tile columns) each.

        Parameters
        ----------
        a
            Inputs, (n, rows).
        block
            Row block and column block of the tile.
        other
            The other engine.
        """
        x = a[:, : self.placement.rows]
        v = self.placement.rows_of(self.drive.voltages(x, self._scale(x)), np.ones((), np.float32))
        return self.array.read(v)[block], other.program(self.devices.g[block]).read(v[block])

    def calibrate(self, a: Array32, meant: Array32 | None = None) -> None:
        """Set the digital gain by least squares, from one noiseless read of ``a`` (n, rows) against
        what ideal tiles would give for the conductances that are there, or for those that are
        ``meant`` [S], where they have changed since.
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
        ideal: Any = self.placement.used(
            self.placement.rows_of(x, np.float32(self.v_read) / scale)
            @ (self.devices.g if meant is None else meant)
        )
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
            "columns": self.placement.columns,
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
        self._place(state.get("columns"))
        self._variances = None
        self.renew()
        self.programmed = True

    def _place(self, columns: Any) -> None:
        """Let outputs have the pairs of columns that a checkpoint kept."""
        if columns is not None:
            self.placement = replace(self.placement, columns=np.asarray(columns, np.int64))

    def deploy(
        self, state: Mapping[str, Any], rng: np.random.Generator, *, anew: bool, seconds: float
    ) -> None:
        """Hold the weights of another such matrix, of its :meth:`state`, ``seconds`` after they were
        written: in the array that it had, or programmed ``anew`` into this one. Gains and ADC ranges
        are those of then, where the mapping is.

        Parameters
        ----------
        state
            Of the other matrix, as :meth:`state` gives it.
        rng
            Draws programming errors.
        anew
            Whether devices are programmed, or hold what those held.
        seconds
            Since they were written [s].
        """
        self.clip = float(state["clip"])
        gain = np.asarray(state["gain"], np.float32)
        plain = self.mapping.gain == "none"
        self.gain = np.ones((), np.float32) if plain else gain
        if self.adc is not None and state.get("full_scale") is not None:
            self.adc = self._converter(float(state["full_scale"]))
        if self.bias is not None:
            self.bias[...] = state["bias"]
        self._place(state.get("columns"))
        before = self.placement.places
        if anew and self.placement.spares:
            held = np.asarray(state["devices"]["g"]).reshape(-1)[before].reshape(-1, 2)
            weights = (held[:, 0] - held[:, 1]) * (self.clip / self._span)
            shape = self.placement.rows, self.placement.cols
            self.repair(weights.reshape(shape), trained=True)
        places = self.placement.places
        self.devices.deploy(places, state["devices"], rng, anew=anew, source=before)
        self.devices.wait(seconds)
        self._variances = None
        self.renew()
        self.programmed = True

    def hold(self, before: Device, device: Device, engine: EngineFactory) -> None:
        """Let the devices be ``device``, in the very states that they are in as ``before``: the same
        ones in a warmer place, say. Drivers, converters and what levels mean stay as they are.

        Parameters
        ----------
        before
            What they have been.
        device
            What they are from now on.
        engine
            Makes the engine that reads them.
        """
        held = before.moved(self.devices.g, device, self.v_read)
        self.devices.g[...] = np.asarray(held, np.float32)
        self.tile = self.tile.holding(device)
        self._variances = None
        self.use(engine)

    def voltages(self, a: Array32) -> Iterator[Array]:
        """Yield the row voltages [V] of every read that inputs ``a`` (n, rows) take, (row blocks,
        column blocks, n, tile rows).
        """
        x = a if self.bias is None else a[:, : self.placement.rows]
        for _, rows, factor in self.drive.phases(x, self._scale(x)):
            yield np.asarray(self.placement.rows_of(rows, factor), float)

    @property
    def _per_ampere(self) -> np.float32:
        """Weight times input of one ampere between the columns of a pair."""
        return np.float32(self.clip / (self.v_read * self._span))

    def _noise(self, x: Array32) -> Array32:
        """Return the standard deviation of the outputs by read noise, (n, 1) or (n, cols).

        The noise of all devices of a column adds up in its current, and both devices of a pair are
        noisy.
        """
        law = self.effects.laws.read
        assert law is not None
        scale = self._scale(x) if self.drive.scaled else np.ones((1, 1), np.float32)
        share = law.share(self._span)
        if share is not None:
            return np.float32(self.clip * share * 2.0**0.5) * self.drive.power(x, scale)
        if self._variances is None:
            g = self.devices.g.reshape(-1)[self.placement.places]
            each = (law.sigma(g, self._span) / self._span).reshape(self.placement.rows, -1, 2)
            self._variances = np.square(each).sum(axis=-1).astype(np.float32)
        total = self.drive.squares(x, scale) @ self._variances
        return np.asarray(np.float32(self.clip) * np.sqrt(total), np.float32)

    def _converter(self, full_scale: float) -> ADC | None:
        """Return an ADC for currents of either sign up to ``full_scale`` [A]."""
        if self.mapping.adc_bits is None:
            return None
        return ADC(self.mapping.adc_bits, full_scale, -full_scale)

    @property
    def array(self) -> ProgrammedArray:
        """The stack of tiles as the devices are now, (row blocks, column blocks)."""
        if not self.programmed:
            raise InputError(
                "the devices hold no weights yet: program them before reading, as a Trainer does"
            )
        if self._array is None:
            self._array, self._stale = self.engine.program(self.devices.g), False
        elif self._stale:
            self._array, self._stale = self._array.reprogram(self.devices.g), False
        return self._array

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
        """Return the currents of all outputs' columns [A], (row blocks, column blocks, n, 2 * outputs), for
        inputs (n, rows), of which ``scale`` (n, 1) is read at the read voltage.
        """
        array, total = self.array, None
        for weight, rows, factor in self.drive.phases(x, scale):
            i: Any = array.read(self.placement.rows_of(rows, factor))
            if self.adc is not None:
                i = self.adc.convert(i)
            i = i if weight == 1.0 else weight * i
            total = i if total is None else total + i
        return self.placement.used(np.asarray(total))

    def _by_currents(self, error: Array32, scale: Array32) -> Array:
        """Return the loss's derivatives by all column currents [1/A] from those by the outputs."""
        blocks, columns = self.placement.grid
        by_sum = np.zeros((len(error), columns * self.placement.outputs))
        gain = np.ones(()) if self.gain.ndim == 4 else self.gain
        by_sum[:, : self.placement.cols] = error * gain * (scale * self._per_ampere)
        by_pair = by_sum.reshape(len(error), columns, -1).transpose(1, 0, 2)
        by_pair = by_pair * self.gain if self.gain.ndim == 4 else by_pair[None]
        result = np.stack([by_pair, -by_pair], axis=-1).reshape(*by_pair.shape[:-1], -1)
        return self.placement.spread(np.broadcast_to(result, (blocks, *result.shape[1:])))

    def _sums(self, i: Array, gain: Array32) -> Array:
        """Return ``gain`` times ``I+ - I-`` [A] summed over row blocks, (n, cols)."""
        if gain.ndim == 4:
            y = self.placement.gather(_differences(i) * gain)
            return y[:, : self.placement.cols]
        y = _differences(self.placement.gather(i))
        return y[:, : self.placement.cols] * gain


def _odd(cell: Cell, g: float) -> bool:
    """Return whether a device of conductance ``g`` [S] conducts alike in both directions."""
    if cell.linear:
        return True
    v = np.linspace(0.0, cell.v_read, 9)
    there, back = cell.current(v, g), cell.current(-v, g)
    return bool(np.abs(there + back).max() <= 1e-3 * np.abs(there).max())


def _differences(i: Array) -> Array:
    """Return ``I+ - I-`` of neighbouring columns, (..., columns) to (..., columns / 2)."""
    difference: Array = i[..., 0::2] - i[..., 1::2]
    return difference
