"""What the matrices of a twin sit on: tiles with levels, the errors of their devices, and what is
digital around them.
"""

__all__ = ["Crossbar", "MappingOptions"]

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import cbrt
from typing import Literal, TypeAlias, get_args

import numpy as np

from ...circuits.array.cell import Cell
from ...circuits.array.terminals import plain
from ...circuits.array.tile import Tile
from ...data.errors import InputError
from ...data.options import check_choice, check_number
from ...devices.device import Levels
from ...devices.pulses.steps import PulseSteps
from ...devices.spread.effects import Effects
from ..layers.weighted import COMMON, Placing
from ..rules.quantise import QUANTISERS, Quantiser, make_quantiser
from .drive import Signed

Bias: TypeAlias = Literal["device", "digital"]
Gain: TypeAlias = Literal["none", "matrix", "column", "tile"]
InputDrive: TypeAlias = Literal["linear", "device", "bits"]


@dataclass(frozen=True)
class MappingOptions:
    """How weights become devices, and what is digital around the tiles."""

    clip: float | None = None
    """Largest weight, in standard deviations of the layer's initial weights; where it is not said, what
    suits the number of levels: 8 for 16 or more, 5 for 8, 3.2 for 4, 2 for 2.
    """
    bias: Bias = "device"
    """Biases as one more row of devices, or added digitally."""
    gain: Gain = "matrix"
    """Calibrated digital factor against wire drops and nonlinear devices: none, one per matrix, per
    output, or per output and tile.
    """
    drive: InputDrive = "device"
    """Input voltages in proportion to the inputs; such that a device of middle conductance carries
    a current in proportion to them (the DAC undoes the curvature of the device law); or bit by bit,
    each at 0 V or the read voltage, the reads added up digitally.
    """
    signed: Signed | None = None
    """How inputs below 0 are driven: ``two phases`` (two reads), ``offset`` (one read, half of the
    range, more read noise) or ``bipolar`` (one read, at voltages of either sign); where it is not said,
    ``bipolar`` if the cell conducts alike in both directions, else ``two phases``.
    """
    dac_bits: int | None = None
    """Resolution of the inputs; ``None`` for analog, which ``bits`` can't be."""
    adc_bits: int | None = None
    """Resolution of the column currents, over a range that calibration sets; ``None`` for analog.
    """
    spare_columns: int = 0
    """Pairs of columns of every tile that stay empty until they replace those whose dead devices hurt the most, as
    an array's test finds them before it is programmed.
    """
    quantiser: str | None = None
    """How levels stand for weights: ``uniform``, ``nonuniform``, or a registered one, see
    :func:`.quantise.make_quantiser`; ``None`` for what the levels' conductances call for.
    """

    def __post_init__(self) -> None:
        check_number("mapping", clip=self.clip, optional=True, above=0)
        check_choice("mapping", "bias", self.bias, get_args(Bias))
        check_choice("mapping", "gain", self.gain, get_args(Gain))
        if self.signed is not None:
            check_choice("mapping", "signed", self.signed, get_args(Signed))
        check_choice("mapping", "drive", self.drive, get_args(InputDrive))
        check_number(
            "mapping",
            dac_bits=self.dac_bits,
            adc_bits=self.adc_bits,
            whole=True,
            optional=True,
            at_least=1,
            at_most=24,
        )
        check_number("mapping", spare_columns=self.spare_columns, whole=True, at_least=0)
        if self.drive == "bits" and self.dac_bits is None:
            raise InputError("mapping: inputs driven bit by bit need dac_bits, such as 8")
        if self.quantiser is not None:
            QUANTISERS[self.quantiser]  # says what there is, where there is none


@dataclass(frozen=True)
class Crossbar:
    """The array that a twin's matrices are cut for.

    Raises
    ------
    InputError
        If the tile has no levels, or an odd number of columns.
    """

    tile: Tile
    """The largest tile, with the ``levels`` that its devices are programmed to."""
    effects: Effects = field(default_factory=Effects)
    mapping: MappingOptions = field(default_factory=MappingOptions)
    pulses: PulseSteps | None = None
    """What single pulses do to the devices, for rules that send them."""

    def __post_init__(self) -> None:
        plain(self.tile, "a network's crossbar")
        if self.tile.levels is None:
            raise InputError(
                "a crossbar needs a tile with conductance levels to program, such as"
                " Tile(32, 32, levels=device.levels(16, v_read))"
            )
        if self.tile.cols % 2:
            raise InputError(
                f"tile: cols must be even, for differential column pairs, got {self.tile.cols}"
            )

    @property
    def clip(self) -> float:
        """Largest weight, in standard deviations of the layer's initial weights."""
        # Few levels over a wide range have steps that first weights don't reach: the network starts as
        # zeros, and of two levels it never leaves them.
        suits = min(8.0, 2.0 * cbrt((self.levels.count / 2) ** 2))
        return suits if self.mapping.clip is None else self.mapping.clip

    @property
    def levels(self) -> Levels:
        """Levels of the tile's devices."""
        assert self.tile.levels is not None
        return self.tile.levels

    @property
    def quantiser(self) -> Quantiser:
        """Where these levels lie in their range."""
        return make_quantiser(self.mapping.quantiser, np.asarray(self.levels.g, float))

    def parts(self, placings: Sequence[Placing]) -> list["Crossbar | None"]:
        """Return what every matrix sits on: this, but for what its placing says; ``None`` for digital
        ones.

        Raises
        ------
        InputError
            If one asks for more levels than the device has, or for larger tiles, or all are digital.
        """
        found = [self.placed(placing) for placing in placings]
        if all(part is None for part in found):
            raise InputError("network.layers: all layers are digital, there is nothing on devices")
        return found

    def placed(self, placing: Placing) -> "Crossbar | None":
        """Return what the weights of one layer sit on: this, but for what its placing says; ``None`` for
        a digital layer.

        Raises
        ------
        InputError
            If it asks for more levels than the device has, or for larger tiles.
        """
        if placing.digital:
            return None
        if placing == COMMON:
            return self
        tile, mapping, levels = self.tile, self.mapping, self.levels
        if placing.levels is not None and placing.levels != levels.count:
            if placing.levels > levels.count:
                raise InputError(
                    f"a layer with {placing.levels} levels: the devices have {levels.count}, which is"
                    " what writes are priced and verified for; raise device.levels and give other"
                    " layers fewer"
                )
            chosen = np.linspace(0, levels.count - 1, placing.levels)
            g = np.interp(chosen, np.arange(levels.count), levels.g)
            tile = replace(tile, levels=Cell.of(levels).levels(g))
        if placing.tile is not None:
            rows, cols = placing.lines
            if rows > tile.rows or cols > tile.cols:
                raise InputError(
                    f"a layer on tiles of {rows} × {cols}: the largest, by tile.rows and tile.cols, is"
                    f" {tile.rows} × {tile.cols}"
                )
            tile = replace(tile, rows=rows, cols=cols)
        if placing.clip is not None:
            mapping = replace(mapping, clip=placing.clip)
        return replace(self, tile=tile, mapping=mapping)
