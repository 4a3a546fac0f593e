"""What one pulse of either polarity does to each of many devices, wherever it stands.

A measured :class:`.response.PulseResponse`, or a compact model under identical pulses, becomes
:class:`PulseSteps`: tables of the step by the share of the range that a device has reached, one for
each of a number of devices that differ. What differs from pulse to pulse is drawn.
"""

__all__ = ["PulseSteps", "steps_of_model", "steps_of_response"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.records.store import digest
from ...data.types import Array, Array32
from ..device import Levels
from .ramp import inverse
from .ramp_spread import RampSpread
from .response import PulseResponse
from .trapezoid import Pulse, apply_pulse, choose_pulse

GRID = 129
"""Shares of the range at which steps are tabled."""

KINDS = 64
"""Devices that a population is made of, unless said otherwise."""

LAGS = (1, 6)
"""Pulses apart at which ramps are compared, to part what adds up from what a read adds."""


@dataclass(frozen=True)
class PulseSteps:
    """Steps of devices by identical pulses, in shares of the conductance range."""

    up: Array
    """What a pulse up adds at shares 0, 1/(n-1), ... 1 of the range, (devices, n)."""
    down: Array
    """What a pulse down takes off, (devices, n), not negative."""
    c2c: float = 0.0
    """From pulse to pulse: standard deviation relative to the step."""
    c2c_fixed: tuple[float, float] = (0.0, 0.0)
    """And in shares of the range, whatever the step: up and down."""
    source: str = "steps"
    on_off: float | None = field(default=None, compare=False)
    """Highest over lowest conductance, where they were measured."""

    def __post_init__(self) -> None:
        for name in ("up", "down"):
            table = np.maximum(np.asarray(getattr(self, name), float), 0.0)
            if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
                raise InputError(
                    f"pulse steps: expected {name} as finite numbers of shape (devices, 2 or more)"
                )
            if not table.mean(0).max() > 0.0:
                raise InputError(f"pulse steps: no pulse {name} changes anything")
            object.__setattr__(self, name, table)

    @property
    def count(self) -> int:
        """Number of devices that differ."""
        return len(self.up)

    @property
    def middle(self) -> float:
        """What a pair of pulses, up on one device and down on another, changes in the middle of the
        range between them, on average.
        """
        at = self.up.shape[1] // 2
        return float(self.up[:, at].mean() + self.down[:, at].mean())

    @cached_property
    def mean(self) -> "PulseSteps":
        """Steps of the mean device, without any spread."""
        return PulseSteps(self.up.mean(0)[None], self.down.mean(0)[None], source=self.source)

    @property
    def digest(self) -> str:
        """Hash of all that steps depend on."""
        return digest(self.up, self.down, self.c2c, list(self.c2c_fixed))

    def apply(
        self,
        share: Array32,
        pulses: NDArray[np.int64],
        which: NDArray[np.int64] | int,
        rng: np.random.Generator | None,
    ) -> Array32:
        """Return where ``pulses``, up where above 0, bring devices at ``share`` of the range, (n,).

        Parameters
        ----------
        share
            Where the devices are, 0 to 1 of the range, (n,).
        pulses
            Numbers of pulses, (n,); above 0 those that raise the conductance.
        which
            The device among those of the table, (n,).
        rng
            Draws what differs from pulse to pulse; ``None`` for none.
        """
        result = np.clip(np.asarray(share, np.float32), 0.0, 1.0)
        kinds = np.broadcast_to(np.asarray(which), result.shape)
        for k in range(int(np.abs(pulses).max(initial=0))):
            on = np.flatnonzero(np.abs(pulses) > k)
            rising = pulses[on] > 0
            moved = np.where(
                rising, self._at(self._up, result[on], kinds[on]),
                -self._at(self._down, result[on], kinds[on]),
            )  # fmt: skip
            if rng is not None:
                fixed = np.where(rising, *self.c2c_fixed).astype(np.float32)
                width = np.abs(moved) * np.float32(self.c2c) + fixed
                moved = moved + width * rng.standard_normal(len(on), np.float32)
            result[on] = np.clip(result[on] + moved, 0.0, 1.0)
        return result

    @cached_property
    def _up(self) -> Array32:
        return self.up.astype(np.float32)

    @cached_property
    def _down(self) -> Array32:
        return self.down.astype(np.float32)

    @staticmethod
    def _at(table: Array32, share: Array32, which: NDArray[np.int64]) -> Array32:
        last = table.shape[1] - 1
        place = share * np.float32(last)
        at = np.minimum(place.astype(np.intp), last - 1)
        rest = place - at
        found: Array32 = table[which, at] * (1.0 - rest) + table[which, at + 1] * rest
        return found


def steps_of_response(response: PulseResponse, *, count: int = KINDS, seed: int = 0) -> PulseSteps:
    """Return the steps of devices that differ as the measured ramps do.

    The range is what ramps of both directions pass through. Each device follows ramps drawn from the
    response's spread; where few ramps told none, all are alike. What ramps scatter about their own
    course is parted by how it grows with the pulses between two reads: what adds up is the pulses',
    the rest that of the reads.

    Parameters
    ----------
    response
        Fitted ramps of both directions.
    count
        Number of devices.
    seed
        Of the draws from the response's spread.

    Raises
    ------
    InputError
        If a direction was not measured, or the two share no range.
    """
    if response.up is None or response.down is None:
        missing = "up" if response.up is None else "down"
        raise InputError(
            f"{response.name}: no ramp {missing} was measured; training by pulses needs both"
            " directions"
        )
    low, high = response.levels(2).tolist()
    rng = np.random.default_rng(seed)
    g = np.linspace(low, high, GRID)
    tables = [
        np.stack([_steps(side, row, g) for row in _drawn(side, count, rng)]) / (high - low)
        for side in (response.up, response.down)
    ]
    fixed = tuple(_walk(side) / (high - low) for side in (response.up, response.down))
    return PulseSteps(
        tables[0],
        -tables[1],
        c2c_fixed=(fixed[0], fixed[1]),
        source=f"measured ramps of {response.name}",
        on_off=high / low if response.unit == "S" and low > 0.0 else None,
    )


def steps_of_model(
    levels: Levels,
    parameters: Mapping[str, ArrayLike] | None = None,
    *,
    c2c: float = 0.0,
    set_pulse: Pulse | None = None,
    reset_pulse: Pulse | None = None,
    pulses: int = 64,
) -> PulseSteps:
    """Return the steps of devices under identical pulses, by their compact model.

    Parameters
    ----------
    levels
        Range and device.
    pulses
        How many pass the range, where the pulses are chosen here.
    parameters
        Parameters that differ between devices, (devices,) each; one device where there are none.
    c2c
        Standard deviation of a step from pulse to pulse, relative to it.
    set_pulse, reset_pulse
        By default such that about ``pulses`` of them pass the range.

    Raises
    ------
    InputError
        If the device has no dynamics, or no pulse takes it through its levels.
    """
    device, (low, high) = levels.device, (float(levels.g[0]), float(levels.g[-1]))
    if not device.dynamic:
        raise InputError(
            f"device {device.name} has no dynamics ({device.model.name}), so that it has no response"
            " to pulses of its own: give a measured one by device.response"
        )
    ends = levels.x[0], levels.x[-1]
    up = set_pulse or choose_pulse(device, *ends, count=pulses)
    down = reset_pulse or choose_pulse(device, *ends[::-1], count=pulses)
    values = {name: np.asarray(each, float) for name, each in (parameters or {}).items()}
    count = max((each.size for each in values.values()), default=1)
    shares = np.linspace(0.0, 1.0, GRID)
    tables = []
    for pulse in (up, down):
        # From everywhere in the range at once: a step depends on the state alone.
        x = np.tile(device.state(low + shares * (high - low), levels.v_read), (count, 1))
        own = {name: np.repeat(each[:, None], GRID, axis=1) for name, each in values.items()}
        after = apply_pulse(device, x, pulse.v, pulse.width, parameters=own, rtol=1e-5).x
        moved = device.conductance(after, levels.v_read) - device.conductance(x, levels.v_read)
        tables.append(moved / (high - low))
    return PulseSteps(
        tables[0],
        -tables[1],
        c2c=c2c,
        source=f"{device.model.title} of {device.name}: SET {up.v:.4g} V for {up.width:.3g} s,"
        f" RESET {down.v:.4g} V for {down.width:.3g} s",
    )


def _drawn(side: RampSpread, count: int, rng: np.random.Generator) -> Array:
    """Draw the parameters of ``count`` ramps, within what the fits themselves found."""
    middle = side.expected(0.0)
    if not side.covariance.any():
        return np.tile(middle, (count, 1))
    drawn = rng.multivariate_normal(middle, side.covariance, count, method="svd")
    found = np.stack([one.values for one in side.fits])
    # A law's rates can't change sign, as tails of a normal distribution would have it.
    return np.clip(drawn, found.min(0), found.max(0))


def _steps(side: RampSpread, values: Array, g: Array) -> Array:
    """Return what one pulse changes at conductances ``g``, signed, (n,)."""
    fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
    curve = side.law.curve(fine, values, side.pulses) + np.interp(
        fine, np.arange(len(side.bias)), _smooth(side.bias)
    )
    n = inverse(fine, curve, g, clip=True)
    way = 1.0 if curve[-1] >= curve[0] else -1.0
    rising = np.maximum.accumulate(way * curve)
    # A whole pulse where the ramp goes on that far, the last one's pace beyond.
    start = np.minimum(n, side.pulses - 1.0)
    moved = np.interp(start + 1.0, fine, rising) - np.interp(start, fine, rising)
    return np.asarray(way * moved)


def _smooth(bias: Array) -> Array:
    """Return what the law leaves behind, averaged over a tenth of the ramp: noise makes no steps."""
    window = max(len(bias) // 10 | 1, 3)
    padded = np.pad(bias, window // 2, mode="edge")
    return np.convolve(padded, np.full(window, 1.0 / window), mode="valid")


def _walk(side: RampSpread) -> float:
    """Return the standard deviation that adds up with every pulse, in the ramps' unit."""
    left = -np.stack([one.residual for one in side.fits])
    left = left - (left.mean(0) if len(left) > 1 else 0.0)
    near, far = (k for k in LAGS)
    if left.shape[1] <= far + 1:
        return 0.0
    spread = [float(np.mean((left[:, k:] - left[:, :-k]) ** 2)) for k in (near, far)]
    return float(np.sqrt(max(spread[1] - spread[0], 0.0) / (far - near)))
