"""Figures of converters and of the layout: the defaults are those of a published design.

ISAAC (Shafiee et al. 2016, doi:10.1109/ISCA.2016.12; its table of components, 32 nm) has 8-bit ADCs
that take 2 mW at 1.28 GS/s on 0.0012 mm², and 1024 DACs that take 4 mW at 10 MHz on 0.00017 mm². The
energy of an ADC grows with its steps (Walden 1999, doi:10.1109/49.761034). How long a read lasts is
estimated unless given; pitch of the wires and cell area are assumed.
"""

__all__ = ["ISAAC_BITS", "HardwareOptions"]

from dataclasses import dataclass

from ...data.options import check_number

ISAAC_BITS = 8
"""Resolution of the ADC whose energy and area are the defaults."""


@dataclass(frozen=True)
class HardwareOptions:
    """``[hardware]``: figures of the periphery and of the layout, for energy, latency and area."""

    read_time: float | None = None
    """Time that row voltages stay before the currents are converted [s]; when absent as long as the
    tiles' currents take to settle, as estimated for every matrix.
    """
    settled: float = 0.01
    """What settled means then: a distance from the end, as a share of the largest current."""
    adc_bits: int = 8
    """Resolution of the ADCs where ``mapping.adc_bits`` leaves it open."""
    adc_energy: float = 1.5625e-12
    """Energy of one 8-bit conversion [J]; it doubles with every bit."""
    adc_time: float = 0.78125e-9
    """Time of one conversion [s]."""
    adc_area: float = 1.2e-9
    """Area of one ADC [m²]."""
    adcs_per_tile: int = 1
    """ADCs that share the columns of a tile."""
    dac_energy: float = 0.390625e-12
    """Energy of one row's voltage in one read [J]."""
    dac_area: float = 0.166e-12
    """Area of one row's DAC [m²]."""
    wire_pitch: float = 100e-9
    """Distance between neighbouring lines [m], for areas, and for capacitances where
    ``tile.parasitics`` is absent. Assumed.
    """
    cell_area: float | None = None
    """Area of one cell [m²]; the square of the pitch when absent, as of a cell below its crossing."""

    def __post_init__(self) -> None:
        """Refuse what is no figure."""
        check_number("hardware", read_time=self.read_time, optional=True, above=0)
        check_number("hardware", settled=self.settled, above=0, below=1)
        check_number("hardware", wire_pitch=self.wire_pitch, above=0)
        check_number(
            "hardware",
            adc_energy=self.adc_energy,
            adc_time=self.adc_time,
            adc_area=self.adc_area,
            dac_energy=self.dac_energy,
            dac_area=self.dac_area,
            at_least=0,
        )
        check_number("hardware", adc_bits=self.adc_bits, whole=True, at_least=1, at_most=24)
        check_number("hardware", adcs_per_tile=self.adcs_per_tile, whole=True, at_least=1)
        check_number("hardware", cell_area=self.cell_area, optional=True, above=0)
