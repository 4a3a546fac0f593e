"""How inputs become row voltages: analog with a chosen curve, or bit by bit."""

__all__ = ["Drive", "Part", "Signed"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from ...circuits.array.cell import Cell
from ...data.types import Array32

STEPS = 4096
"""Steps of the table that turns inputs into voltages: 12 bits."""


Signed: TypeAlias = Literal["two phases", "offset", "bipolar"]


class Part(NamedTuple):
    """Inputs of one sign that are driven together."""

    weight: float
    """Of their currents in the sum."""
    x: Array32
    """The inputs, (n, rows)."""
    slope: Array32 | float
    """Their derivative by the inputs that they are a part of."""


@dataclass(frozen=True)
class Drive:
    """Row voltages for inputs, of which a given ``scale`` is driven at the read voltage."""

    v_read: float
    """Largest voltage [V]."""
    table: Array32 | None = None
    """Voltage [V] for 0, 1, ... ``STEPS`` shares of the scale; in proportion if ``None``."""
    bits: int | None = None
    """Resolution; ``None`` for analog."""
    sliced: bool = False
    """Whether bits are driven one after the other, each at 0 V or the read voltage."""
    signed: Signed = "bipolar"
    """How inputs of either sign are driven: those above and below 0 one after the other, which takes
    two reads; all raised by the scale, and what that adds read once and taken off, which takes one
    read and leaves them half of the range, with more read noise; or at voltages of either sign, which
    takes devices that conduct alike both ways.
    """

    @classmethod
    def against(
        cls,
        cell: Cell,
        g: float,
        *,
        bits: int | None,
        sliced: bool,
        signed: Signed = "bipolar",
    ) -> "Drive":
        """Return the drive that undoes the curvature of a device of conductance ``g`` [S]: half an
        input makes half the device's current at the read voltage.

        Parameters
        ----------
        cell
            What is at each crossing.
        g
            Conductance of the device [S].
        bits
            Bits of the converter, ``None`` for a continuous drive.
        sliced
            Whether inputs are applied bit by bit.
        signed
            How negative inputs are applied.
        """
        if cell.linear or sliced:
            return cls(cell.v_read, None, bits, sliced, signed)
        v = np.linspace(0.0, cell.v_read, 4 * STEPS + 1)
        i = cell.current(v, g)
        shares = np.linspace(0.0, 1.0, STEPS + 1)
        table = np.interp(shares, i / i[-1], v).astype(np.float32)
        return cls(cell.v_read, table, bits, sliced, signed)

    def parts(self, x: Array32, scale: Array32) -> list[Part]:
        """Return what inputs ``x`` (n, rows) of either sign are driven as."""
        if self.signed == "bipolar" or not x.size or float(x.min()) >= 0.0:
            return [Part(1.0, x, 1.0)]
        if self.signed == "two phases":
            above, below = np.maximum(x, np.float32(0.0)), np.maximum(-x, np.float32(0.0))
            return [
                Part(1.0, above, (x > 0.0).astype(np.float32)),
                Part(-1.0, below, -(x < 0.0).astype(np.float32)),
            ]
        raised = np.float32(0.5) * (x + scale)
        rest = np.float32(0.5) * np.broadcast_to(scale, x.shape)
        return [Part(2.0, raised, 0.5), Part(-2.0, rest, 0.0)]

    def phases(self, x: Array32, scale: Array32) -> Iterator[tuple[float, Array32, Array32]]:
        """Yield the reads that inputs ``x`` (n, rows) take: the weight of each in the sum, and two
        factors whose product are its row voltages [V], (n, rows) and (n, 1) or (n, rows).
        """
        for weight, part, _ in self.parts(x, scale):
            for share, rows, factor in self._reads(part, scale):
                yield weight * share, rows, factor

    def _reads(self, x: Array32, scale: Array32) -> Iterator[tuple[float, Array32, Array32]]:
        if self.bits is not None:
            steps = np.float32(2**self.bits - 1)
            x, scale = np.rint(x * (steps / scale)), np.full_like(scale, steps)
        if self.sliced:
            full = np.full((1, 1), self.v_read, np.float32)
            for weight, bit in self._slices(x):
                yield weight, bit, full
        elif self.table is None:
            yield 1.0, x, np.float32(self.v_read) / scale
        else:
            share = x * (np.float32(STEPS) / scale)
            sign = np.ones((1, 1), np.float32)
            if share.size and share.min() < 0.0:
                sign = np.sign(share)
                np.abs(share, out=share)
            yield 1.0, self.table[np.rint(share, out=share).astype(np.intp)], sign

    def voltages(self, x: Array32, scale: Array32) -> Array32:
        """Return the row voltages [V] of the first read, (n, rows)."""
        _, rows, factor = next(self._reads(self.parts(x, scale)[0].x, scale))
        return rows * factor

    def slopes(self, x: Array32, scale: Array32) -> Array32:
        """Return the derivative of an analog drive's voltages by its inputs [V], (n, rows)."""
        if self.table is None:
            return np.broadcast_to(np.float32(self.v_read) / scale, x.shape)
        steep = np.gradient(self.table).astype(np.float32) * np.float32(STEPS)
        share = np.rint(np.abs(x) * (np.float32(STEPS) / scale)).astype(np.intp)
        result: Array32 = steep[share] / scale
        return result

    @property
    def scaled(self) -> bool:
        """Whether what is noisy in a read depends on the scale that is driven."""
        return self.sliced or self.signed == "offset"

    def power(self, x: Array32, scale: Array32) -> Array32:
        """Return the root of the summed squares of what the inputs drive, (n, 1), in their unit:
        the read noise of devices adds up with it.
        """
        x = self._noisy(x, scale)
        if not self.sliced:
            root: Array32 = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
            return root
        codes = np.rint(x * (np.float32(2 ** (self.bits or 1) - 1) / scale))
        squares = sum(weight**2 * (bit * bit).sum(axis=1) for weight, bit in self._slices(codes))
        result: Array32 = np.sqrt(squares)[:, None].astype(np.float32) * scale
        return result

    def squares(self, x: Array32, scale: Array32) -> Array32:
        """Return the squares of what each input drives, summed over the reads of a drive bit by
        bit, (n, rows), in their unit; :meth:`power` is the root of their sum.
        """
        x = self._noisy(x, scale)
        if not self.sliced:
            return np.square(x)
        codes = np.rint(x * (np.float32(2 ** (self.bits or 1) - 1) / scale))
        squares = sum(weight**2 * np.square(bit) for weight, bit in self._slices(codes))
        return np.asarray(squares * np.square(scale), np.float32)

    def _noisy(self, x: Array32, scale: Array32) -> Array32:
        """Return what is driven, in the inputs' unit. What is the same for all inputs can be read
        often, and its noise averaged away.
        """
        first = self.parts(x, scale)[0]
        return x if first.weight == 1.0 else first.x * np.float32(first.weight)

    def _slices(self, codes: Array32) -> Iterator[tuple[float, Array32]]:
        bits = self.bits or 1
        magnitude, sign = np.abs(codes).astype(np.int64), np.sign(codes)
        for k in range(bits):
            yield 2**k / (2**bits - 1), ((magnitude >> k) & 1).astype(np.float32) * sign
