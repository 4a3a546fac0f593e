"""What one inference costs beside devices that are written: energy, time and area, from figures that
are stated (:class:`.options.HardwareOptions`).

The array's energy is computed: sample vectors are read through its wires, and what its sources
deliver lasts for the read time. That one is estimated for each matrix from its wires, devices and
capacitances, with what it takes to charge these, unless it is given. Converters and layout are stated
figures. Digital work (sums, gains, pools, memory) is not counted.
"""

__all__ = ["FOOTPRINTS", "Footprint", "LayerFootprint", "footprint"]

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...circuits.array.parasitics import Parasitics
from ...circuits.engines.nodal import Nodal
from ...circuits.lines.solver import LineSolver
from ...data.errors import NonConvergence
from ...data.types import Array, Array32
from ..twin.matrix import MappedMatrix
from ..twin.twin import MemristorTwin
from .options import ISAAC_BITS, HardwareOptions

FOOTPRINTS = 20
"""Images over which a footprint is a mean."""

SAMPLED = 16
"""Vectors of each matrix whose power is computed."""


ASSUMED = 10e-9
"""Read time [s] of a matrix whose currents are not seen to settle."""


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
    read_time: float
    """How long one of them lasts [s]."""
    timed: str
    """Where that is from: ``"given"``, ``"estimated"``, or ``"assumed"``, where the estimate didn't settle."""
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
    edge: Parasitics
    """Capacitances and the drivers' edge, which estimated read times are from."""

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
            "read_time_seconds": max((layer.read_time for layer in self.layers), default=0.0),
            "latency_seconds": self.total("latency"),
            "area_square_metre": self.total("area"),
            "tiles": int(self.total("tiles")),
        }


def footprint(twin: MemristorTwin, x: Array32, options: HardwareOptions | None = None) -> Footprint:
    """Return what one inference of ``twin`` costs, as a mean over images ``x`` (n, ...).

    The power of the array is that of a sample of vectors, by the line solver through all tiles and
    wires (nodal analysis where there are amplifiers). How long reads last, and what they take beside
    that power, is estimated (:func:`~memtwin.circuits.timing.read.read_time`) for the tile and vector
    that take most and for those that take least; lines with terminals of their own count as the others.

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
    edge = twin.crossbar.tile.parasitics or Parasitics(pitch=options.wire_pitch)
    layers = tuple(
        _layer(matrix, np.concatenate(a), len(x), options, edge)
        for matrix, a in zip(twin.matrices, taken, strict=True)
    )
    return Footprint(options, layers, edge)


def _layer(
    matrix: MappedMatrix, a: Array32, images: int, options: HardwareOptions, edge: Parasitics
) -> LayerFootprint:
    place, tile = matrix.placement, matrix.tile
    blocks, columns = place.grid
    vectors = len(a) / images
    some = a[:: max(1, len(a) // SAMPLED)][:SAMPLED]
    reading = _Reading.of(matrix, some)
    last = reading.lasting(matrix, options, edge)
    reads = vectors * reading.phases
    bits = matrix.mapping.adc_bits or options.adc_bits
    conversions = reads * blocks * 2 * place.cols
    in_turn = -(-2 * min(place.outputs, place.cols) // options.adcs_per_tile)
    cell = options.cell_area or options.wire_pitch**2
    tiles = blocks * columns
    return LayerFootprint(
        rows=place.rows,
        outputs=place.cols,
        tiles=tiles,
        vectors=vectors,
        reads=reads,
        read_time=last.time,
        timed=last.source,
        array_energy=vectors * reading.power * (last.time + last.charging),
        dac_energy=reads * columns * place.rows * options.dac_energy,
        adc_energy=conversions * options.adc_energy * 2.0 ** (bits - ISAAC_BITS),
        latency=reads * (last.time + in_turn * options.adc_time),
        area=tiles * (tile.rows * tile.cols * cell + tile.rows * options.dac_area)
        + tiles * options.adcs_per_tile * options.adc_area,
    )


class _Lasting(NamedTuple):
    """How long reads last."""

    time: float
    """[s]"""
    source: str
    charging: float = 0.0
    """How much longer the end's power would have to last to deliver what a read takes [s]; below 0
    where currents rise with the drivers' edge and there is little to charge.
    """


class _Reading(NamedTuple):
    """Reads of one matrix, statically."""

    power: float
    """Mean power that a vector takes, summed over its reads [W]."""
    phases: int
    """Reads that a vector takes."""
    extremes: tuple[tuple[Array, Array], ...]
    """Conductances (rows, cols) [S] and row voltages (rows,) [V] of the tiles and reads that take most
    and least power; none where all are at 0 V.
    """

    @classmethod
    def of(cls, matrix: MappedMatrix, a: Array32) -> "_Reading":
        """Read vectors ``a`` (n, rows)."""
        engine: Any = Nodal(matrix.tile) if matrix.tile.amplifier else LineSolver(matrix.tile)
        g = np.asarray(matrix.devices.g, float)
        array = engine.program(g)
        total, phases = 0.0, 0
        ends: dict[str, tuple[float, Array, Array]] = {}
        for v in matrix.voltages(a):
            power = array.fields(v).supplied
            total += float(power.sum()) / len(a)
            phases += 1
            for name, at in (("most", power.argmax()), ("least", _least(power))):
                *block, k = np.unravel_index(at, power.shape)
                worth = float(power.flat[at]) * (1.0 if name == "most" else -1.0)
                if power.flat[at] > 0.0 and (name not in ends or worth > ends[name][0]):
                    ends[name] = worth, g[tuple(block)], v[tuple(block)][k]
        return cls(total, phases, tuple((g, v) for _, g, v in ends.values()))

    def lasting(self, matrix: MappedMatrix, options: HardwareOptions, edge: Parasitics) -> _Lasting:
        """Return how long reads last: as given, or until currents are settled."""
        if options.read_time is not None:
            return _Lasting(options.read_time, "given")
        from ...circuits.timing.read import read_time  # its integrator takes long to import

        tile = replace(matrix.tile, terminals=None, parasitics=edge)
        try:
            found = [read_time(tile, g, v, error=options.settled) for g, v in self.extremes]
        except NonConvergence:
            return _Lasting(ASSUMED, "assumed")
        if not found:
            return _Lasting(edge.rise, "estimated")
        beside = sum(float((one.energy.drivers - one.duration * one.power).sum()) for one in found)
        power = sum(float(one.power.sum()) for one in found)
        return _Lasting(max(float(one.slowest.max()) for one in found), "estimated", beside / power)


def _least(power: Array) -> Any:
    """Return where a power is least, but not 0."""
    return np.where(power > 0.0, power, np.inf).argmin()
