"""How inputs become row voltages: analog with a chosen curve, or bit by bit."""

__all__ = ["Drive"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...circuits.array.cell import Cell
from ...data.types import Array32

STEPS = 4096
"""Steps of the table that turns inputs into voltages: 12 bits."""


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

    @classmethod
    def against(cls, cell: Cell, g: float, *, bits: int | None, sliced: bool) -> "Drive":
        """Return the drive that undoes the curvature of a device of conductance ``g`` [S]: half an
        input makes half the device's current at the read voltage.
        """
        if cell.linear or sliced:
            return cls(cell.v_read, None, bits, sliced)
        v = np.linspace(0.0, cell.v_read, 4 * STEPS + 1)
        i = cell.current(v, g)
        shares = np.linspace(0.0, 1.0, STEPS + 1)
        return cls(cell.v_read, np.interp(shares, i / i[-1], v).astype(np.float32), bits, sliced)

    def phases(self, x: Array32, scale: Array32) -> Iterator[tuple[float, Array32, Array32]]:
        """Yield the reads that inputs ``x`` (n, rows) take: the weight of each in the sum, and two
        factors whose product are its row voltages [V], (n, rows) and (n, 1) or (n, rows).
        """
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
            yield 1.0, self.table[np.rint(np.abs(share)).astype(np.intp)], np.sign(share)

    def voltages(self, x: Array32, scale: Array32) -> Array32:
        """Return the row voltages [V] of the first read, (n, rows)."""
        _, rows, factor = next(self.phases(x, scale))
        return rows * factor

    def slopes(self, x: Array32, scale: Array32) -> Array32:
        """Return the derivative of an analog drive's voltages by its inputs [V], (n, rows)."""
        if self.table is None:
            return np.broadcast_to(np.float32(self.v_read) / scale, x.shape)
        steep = np.gradient(self.table).astype(np.float32) * np.float32(STEPS)
        share = np.rint(np.abs(x) * (np.float32(STEPS) / scale)).astype(np.intp)
        result: Array32 = steep[share] / scale
        return result

    def power(self, x: Array32, scale: Array32) -> Array32:
        """Return the root of the summed squares of what the inputs drive, (n, 1), in their unit:
        the read noise of devices adds up with it.
        """
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
        if not self.sliced:
            return np.square(x)
        codes = np.rint(x * (np.float32(2 ** (self.bits or 1) - 1) / scale))
        squares = sum(weight**2 * np.square(bit) for weight, bit in self._slices(codes))
        return np.asarray(squares * np.square(scale), np.float32)

    def _slices(self, codes: Array32) -> Iterator[tuple[float, Array32]]:
        bits = self.bits or 1
        magnitude, sign = np.abs(codes).astype(np.int64), np.sign(codes)
        for k in range(bits):
            yield 2**k / (2**bits - 1), ((magnitude >> k) & 1).astype(np.float32) * sign
