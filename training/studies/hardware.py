"""What one inference costs beside devices that are written: energy, time and area, from figures that
are stated (:class:`.options.HardwareOptions`).

The array's energy is computed: sample vectors are read through its wires, and what its sources
deliver lasts for the read time. Converters and layout are stated figures. Digital work (sums, gains,
pools, memory) is not counted.
"""

__all__ = ["FOOTPRINTS", "Footprint", "LayerFootprint", "footprint"]

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.engines.nodal import Nodal
from ...circuits.lines.solver import LineSolver
from ...data.types import Array32
from ..twin.matrix import MappedMatrix
from ..twin.twin import MemristorTwin
from .options import ISAAC_BITS, HardwareOptions

FOOTPRINTS = 20
"""Images over which a footprint is a mean."""

SAMPLED = 16
"""Vectors of each matrix whose power is computed."""


@dataclass(frozen=True)
class LayerFootprint:
    """One matrix in one inference."""

    rows: int
    """Inputs, bias included."""
    outputs: int
    tiles: int
    vectors: float
    """Vectors that it multiplies per inference."""
    reads: float
    """Reads of its tiles per inference: vectors by phases, or bits."""
    array_energy: float
    """What the sources deliver into its tiles [J]."""
    dac_energy: float
    """[J]"""
    adc_energy: float
    """[J]"""
    latency: float
    """[s]"""
    area: float
    """[m²]"""

    @property
    def energy(self) -> float:
        """All of it [J]."""
        return self.array_energy + self.dac_energy + self.adc_energy


@dataclass(frozen=True)
class Footprint:
    """Energy, latency and area of one inference; the matrices work one after the other."""

    options: HardwareOptions
    layers: tuple[LayerFootprint, ...]

    def total(self, name: str) -> float:
        """Return the sum of a figure over all matrices."""
        return float(sum(getattr(layer, name) for layer in self.layers))

    def summary(self) -> dict[str, float]:
        """Return the sums by name."""
        return {
            "read_energy_joule": self.total("energy"),
            "array_energy_joule": self.total("array_energy"),
            "dac_energy_joule": self.total("dac_energy"),
            "adc_energy_joule": self.total("adc_energy"),
            "latency_seconds": self.total("latency"),
            "area_square_metre": self.total("area"),
            "tiles": int(self.total("tiles")),
        }


def footprint(twin: MemristorTwin, x: Array32, options: HardwareOptions | None = None) -> Footprint:
    """Return what one inference of ``twin`` costs, as a mean over images ``x`` (n, ...).

    The power of the array is that of a sample of vectors, by the line solver through all tiles and
    wires (nodal analysis where there are amplifiers).

    Parameters
    ----------
    twin
        The trained twin.
    x
        Images, (n, ...).
    options
        What converters, lines and cells take; as stated there by default.
    """
    options = options or HardwareOptions()
    taken: list[list[Array32]] = [[] for _ in twin.matrices]

    def multiply(k: int, a: Array32) -> Array32:
        taken[k].append(a)
        return twin.matrices[k].multiply(a, None)

    twin.network.forward(x, twin.product(multiply), twin.norms)
    layers = tuple(
        _layer(matrix, np.concatenate(a), len(x), options)
        for matrix, a in zip(twin.matrices, taken, strict=True)
    )
    return Footprint(options, layers)


def _layer(
    matrix: MappedMatrix, a: Array32, images: int, options: HardwareOptions
) -> LayerFootprint:
    place, tile = matrix.placement, matrix.tile
    blocks, columns = place.grid
    vectors = len(a) / images
    some = a[:: max(1, len(a) // SAMPLED)][:SAMPLED]
    power, phases = _power(matrix, some)
    reads = vectors * phases
    bits = matrix.mapping.adc_bits or options.adc_bits
    conversions = reads * blocks * 2 * place.cols
    in_turn = -(-min(tile.cols, 2 * place.cols) // options.adcs_per_tile)
    cell = options.cell_area or options.wire_pitch**2
    tiles = blocks * columns
    return LayerFootprint(
        rows=place.rows,
        outputs=place.cols,
        tiles=tiles,
        vectors=vectors,
        reads=reads,
        array_energy=vectors * power * options.read_time,
        dac_energy=reads * columns * place.rows * options.dac_energy,
        adc_energy=conversions * options.adc_energy * 2.0 ** (bits - ISAAC_BITS),
        latency=reads * (options.read_time + in_turn * options.adc_time),
        area=tiles * (tile.rows * tile.cols * cell + tile.rows * options.dac_area)
        + tiles * options.adcs_per_tile * options.adc_area,
    )


def _power(matrix: MappedMatrix, a: Array32) -> tuple[float, float]:
    """Return the mean power that a vector of ``a`` (n, rows) takes, summed over its reads [W], and
    how many reads it takes.
    """
    engine: Any = Nodal(matrix.tile) if matrix.tile.amplifier else LineSolver(matrix.tile)
    array = engine.program(matrix.devices.g)
    power, phases = 0.0, 0
    for v in matrix.voltages(a):
        power += float(array.fields(v).supplied.sum()) / len(a)
        phases += 1
    return power, float(phases)
