"""A recipe from the device's own rates: pulses gentle enough to hit a level, strong enough to end.

How far a short pulse moves a device, ``|dg/dt| width``, follows from its model at every amplitude.
The width is chosen so that a pulse at the voltage limit would move the quickest level through the
whole range; the first rung moves it by a third of the tolerance, and each rung by a given factor
more. At the limit pulses get longer, until they move the slowest level by twice the tolerance. Then
the nominal device gets every one of these pulses, and the recipe keeps how far they move it.
"""

__all__ = ["VoltageRange", "design_recipe", "fitted_range", "limits_of", "with_reach"]

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...data.errors import InputError
from ...data.types import Array
from ...devices.device import Device, Levels
from .population import Population
from .recipe import Ramp, Reach, Recipe

GRID = 400
"""Amplitudes tried per polarity."""

PULSED = 10.0
"""How much faster than no voltage pulses must move a device that holds levels."""

CONDUCTANCES = 17
"""Conductances that the nominal device is pulsed from."""

QUIET = 0.01
"""Move of a half-selected neighbour, in tolerances, up to which a pulse leaves it where it is."""


class VoltageRange(NamedTuple):
    """Voltages that a device may see."""

    low: float
    """Most negative, RESET [V]."""
    high: float
    """Most positive, SET [V]."""
    source: str
    """Where these limits come from."""


def fitted_range(device: Device) -> VoltageRange | None:
    """Return the voltages that the device was fitted on, if its provenance says so."""
    low, high = device.meta.get("v_min"), device.meta.get("v_max")
    if low is None or high is None:
        return None
    return VoltageRange(float(low), float(high), "the device's fit")


def limits_of(
    device: Device,
    v_set: float | None = None,
    v_reset: float | None = None,
    *,
    key: str | None = None,
) -> VoltageRange:
    """Return the voltages between which a device is written: those given, else those of its fit, else
    plus and minus the amplitude at which its parameters were published (``drive_v`` in its ``meta``).

    Parameters
    ----------
    device
        The device.
    v_set, v_reset
        Largest SET and RESET voltage [V], where they are given.
    key
        Section of a configuration that has them, for the sentence of an error; the command line
        otherwise.

    Raises
    ------
    InputError
        If one of them is neither given nor known.
    """
    known = fitted_range(device)
    drive = device.meta.get("drive_v")
    if known is None and drive is not None:
        known = VoltageRange(-float(drive), float(drive), "the drive at which it was published")
    names = ("--v-reset", "--v-set") if key is None else (f"{key}.v_reset", f"{key}.v_set")
    ends = [None, None] if known is None else [known.low, known.high]
    chosen = []
    for name, sign, given, found in zip(names, (-1, 1), (v_reset, v_set), ends, strict=True):
        # A sweep of one sign says nothing of the other polarity.
        value = found if given is None else given
        if value is None or (given is None and value * sign <= 0.0):
            kind = "RESET" if sign < 0 else "SET"
            raise InputError(
                f"device {device.name} does not say at which voltages it was fitted to {kind}, between"
                f" which write-verify stays: give {name}"
            )
        chosen.append(float(value))
    given_any = v_set is not None or v_reset is not None
    source = "the configuration" if given_any or known is None else known.source
    return VoltageRange(chosen[0], chosen[1], source)


def design_recipe(
    levels: Levels,
    *,
    tolerance: float = 0.25,
    limits: VoltageRange | None = None,
    width: float | None = None,
    factor: float = 1.3,
    margin: float = 1.0,
    read_time: float | None = None,
    max_pulses: int = 200,
) -> Recipe:
    """Return a recipe that writes between any two of ``levels``.

    Parameters
    ----------
    levels
        Levels to reach; their device gives the rates.
    tolerance
        Accepted distance from a level, in steps between levels.
    limits
        Voltages that are never exceeded; by default those of :func:`limits_of`. Of a device that too much voltage moves
        back, such as a phase-change memory that melts, what moves it best is the strongest pulse.
    width
        Flat part of the first pulses [s]; by default each polarity's own, from its rates.
    factor
        How much further each rung moves a device than the one before.
    margin
        How much faster than the nominal device the fastest one is, and how much slower the slowest.
    read_time
        Duration of a verify read [s]; by default a tenth of the shorter pulse.
    max_pulses
        Pulses after which a device is given up.

    Raises
    ------
    InputError
        If the device has no dynamics, no limits are known, it does not switch within them, or it
        moves without a voltage too.
    """
    device = levels.device
    if not device.dynamic:
        raise InputError(
            f"device {device.name}: model {device.model.name} has no dynamics, it can't be"
            " programmed by pulses"
        )
    limits = limits or limits_of(device)
    if not (np.isfinite(limits.low) and np.isfinite(limits.high) and limits.low < 0 < limits.high):
        raise InputError(
            f"voltage limits must enclose 0 V, got {limits.low!r} to {limits.high!r} V"
        )
    if not 0.0 < tolerance < 0.5:
        raise InputError(f"tolerance must be between 0 and 0.5 level steps, got {tolerance!r}")
    if not (factor > 1.0 and margin >= 1.0):
        raise InputError(f"expected factor > 1 and margin >= 1, got {factor!r} and {margin!r}")
    band = tolerance * float(np.diff(levels.g).min())
    up, down = (
        _ramp(levels, end, band, width, factor, margin) for end in (limits.high, limits.low)
    )
    return with_reach(
        Recipe(
            up,
            down,
            band,
            v_read=levels.v_read,
            read_time=read_time or 0.1 * min(up.width, down.width),
            max_pulses=max_pulses,
        ),
        levels,
    )


def with_reach(recipe: Recipe, levels: Levels) -> Recipe:
    """Return the recipe with how far its pulses move the nominal device from conductances between
    the lowest and the highest of ``levels``.
    """
    g = np.linspace(levels.g[0], levels.g[-1], CONDUCTANCES)
    down, up = (_moves(levels, g, ramp, recipe.edge) for ramp in (recipe.reset, recipe.set))
    disturbed = (_moves(levels, g, ramp, recipe.edge, 0.5) for ramp in (recipe.reset, recipe.set))
    loud = [np.abs(moved).max(axis=1) > QUIET * recipe.tolerance for moved in disturbed]
    # The rung before the first loud one, the last where none is.
    quiet = [max(int(np.argmax([*each, True])) - 1, 0) for each in loud]
    set_moves, reset_moves = (tuple(map(tuple, moved.tolist())) for moved in (up, -down))
    reach = Reach(tuple(g.tolist()), set_moves, reset_moves, (quiet[0], quiet[1]))
    return replace(recipe, reach=reach)


def _moves(levels: Levels, g: Array, ramp: Ramp, edge: float, share: float = 1.0) -> Array:
    """Return how far every rung moves the nominal device [S], (rungs, conductances), at a
    ``share`` of its amplitude.
    """
    rungs = np.repeat(np.arange(ramp.rungs), len(g))
    before = np.tile(g, ramp.rungs)
    nominal = Population(levels.device, len(before))
    x = nominal.states(before, levels.v_read)
    pulsed = nominal.pulse(x, share * ramp.amplitude(rungs), ramp.duration(rungs), edge)
    after = nominal.conductance(pulsed.x, levels.v_read)
    moved: Array = (after - before).reshape(-1, len(g))
    return moved


def _ramp(
    levels: Levels, end: float, band: float, width: float | None, factor: float, margin: float
) -> Ramp:
    amplitude = np.linspace(0.0, end, GRID + 1)[1:]
    speed = _speed(levels, amplitude)
    # The last level of a way is where pulses of this polarity end, not where they start.
    used = speed[:, :-1] if end > 0 else speed[:, 1:]
    least = used.min(axis=1)
    # Where more than enough moves a device back, as heat does that melts, pulses stop at what moves it best.
    top = len(least) - int(np.argmax(least[::-1]))
    if not least[top - 1] > 0.0:
        kind = "SET" if end > 0 else "RESET"
        raise InputError(f"device {levels.device.name} does not {kind} all its levels at {end:g} V")
    rest = np.abs(_drift(levels, np.zeros(1)))
    if least[top - 1] < PULSED * rest.max():
        raise InputError(
            f"device {levels.device.name} holds no level: pulses of up to {end:g} V move it less than"
            f" {PULSED:g} times faster than it moves without a voltage"
        )
    amplitude, speed = amplitude[:top], speed[:top]
    end = float(amplitude[-1])
    fastest = np.maximum.accumulate(speed.max(axis=1))
    width = width or _rounded(float(np.ptp(levels.g)) / (margin * fastest[-1]))
    gentle = band / (3.0 * margin)
    start = float(amplitude[min(int(np.searchsorted(fastest * width, gentle)), top - 1)])
    rungs = max(1.0, np.ceil(np.log(fastest[-1] * width / gentle) / np.log(factor)))
    slowest = float(least[top - 1]) / margin
    longest = max(width, _rounded(2.0 * band / slowest))
    return Ramp(start, float((end - start) / rungs), end, width, factor, longest)


def _speed(levels: Levels, amplitude: Array) -> Array:
    """Return ``|dg/dt|`` [S/s] at each amplitude and level, (amplitudes, levels)."""
    drift = _drift(levels, amplitude)
    forward: Array = np.where(drift * amplitude[:, None] > 0.0, np.abs(drift), 0.0)
    return forward


def _drift(levels: Levels, v: Array) -> Array:
    """Return ``dg/dt`` [S/s] at each voltage and level, (voltages, levels)."""
    device = levels.device
    slope = device.didx(levels.v_read, levels.x) / levels.v_read
    moving: Array = device.rate(v[:, None], levels.x) * slope
    return moving


def _rounded(value: float) -> float:
    """Return ``value`` with two significant digits."""
    return float(f"{value:.1e}")
