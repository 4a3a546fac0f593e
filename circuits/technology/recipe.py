"""How a chip writes its cells: a ramp of SET pulses whose word or bit line rises, RESETs, a verify read after each."""

__all__ = ["Line", "RampRecipe", "Way"]

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

import numpy as np

from ...data.errors import InputError
from ...data.options import check_choice

Way: TypeAlias = Literal["ramp", "seeded", "ping-pong"]
Line: TypeAlias = Literal["word", "bit"]


@dataclass(frozen=True)
class RampRecipe:
    """Pulses, bands and limits of write-verify on cells behind transistors.

    A cell that reads below its band gets a SET pulse, the next one a step stronger. One that reads above it is reset
    and its ramp begins anew.

    Attributes
    ----------
    tolerance
        Half width of the band [S].
    way
        ``ramp``: every ramp begins at ``start``. ``seeded``: it begins ``lead`` below the voltage at which the median
        cell reaches the target. ``ping-pong``: seeded, and a cell above its band meets a ramp of RESET pulses, whose
        source line rises from ``sl_start``, instead of full ones.
    line
        Whose voltage the SET ramp raises: the word line's, which is the limit of the current, or the bit line's.
    start, step, stop
        Ramp of that line [V].
    lead
        By how much a seeded ramp begins below its target [V].
    other
        Voltage of the other line of a SET [V].
    pw
        Width of a SET pulse [s].
    erase_first
        Whether every write begins with a full RESET.
    sl_start, sl_step
        Ramp of the source line of a ping-pong's RESETs, up to that of the full RESET [V].
    patience
        SET pulses at the end of a ramp after which the cell is given up.
    resets_max
        RESET pulses after which it is given up.
    v_read, read_time
        Voltage [V] and duration [s] of a verify read.
    verify_noise
        Standard deviation of a verify read [S].
    """

    tolerance: float
    way: Way = "seeded"
    line: Line = "word"
    start: float = 0.5
    step: float = 0.05
    stop: float = 3.4
    lead: float = 0.15
    other: float = 2.0
    pw: float = 1e-7
    erase_first: bool = False
    sl_start: float = 2.5
    sl_step: float = 0.1
    patience: int = 3
    resets_max: int = 20
    v_read: float = 0.2
    read_time: float = 1e-6
    verify_noise: float = 5e-7

    def __post_init__(self) -> None:
        """Refuse what is no ramp, and bands that drown in the noise of their reads."""
        check_choice("recipe", "way", self.way, get_args(Way))
        check_choice("recipe", "line", self.line, get_args(Line))
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("way", "line", "erase_first"):
                continue
            zero = item.name in ("lead", "verify_noise", "start")
            if not np.isfinite(value) or value < 0.0 or (value == 0.0 and not zero):
                bound = "0 or more" if zero else "above 0"
                raise InputError(f"recipe: {item.name} must be {bound}, got {value!r}")
        if self.stop < self.start:
            raise InputError(f"recipe: the ramp ends at {self.stop:g} V, below its start")
        if self.tolerance < 2.0 * self.verify_noise:
            raise InputError(
                f"recipe: bands of ±{1e6 * self.tolerance:.3g} µS drown in verify reads with a noise of"
                f" {1e6 * self.verify_noise:.3g} µS: choose fewer levels, wider bands or quieter reads"
            )

    @property
    def rungs(self) -> np.ndarray:
        """Voltages of the whole ramp [V]."""
        return self.start + self.step * np.arange(int((self.stop - self.start) / self.step + 1.5))
