"""Write-verify on a population of devices: closed loop with a read after each pulse, or open loop.

No wires and no neighbours here, so tens of thousands of devices run side by side; the array with
both is :mod:`.write_array` and, in ngspice, :mod:`.write_spice`.
"""

__all__ = ["History", "Outcome", "check_targets", "open_loop", "planned_writes", "write"]

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array, Progress
from ...devices.device import Device
from ...devices.pulses.costs import Costs
from .population import Population
from .recipe import GUARD, Loop, Recipe, Status

ACCURACY = 1e-5
"""Relative tolerance of the state per step of a pulse: a thousandth of the cycle-to-cycle spread."""


class History(NamedTuple):
    """Staircase of a write, one row per read; after a device's last read its rows repeat."""

    g: Array
    """Conductance as read [S], (reads, devices)."""
    amplitude: Array
    """Pulse that came before the read [V], (reads, devices); 0: none."""
    width: Array
    """Width of that pulse [s], (reads, devices); 0: none."""


@dataclass(frozen=True)
class Outcome:
    """What writing every device once came to; all arrays are (devices,) unless said."""

    target: Array
    """Conductance asked for [S]."""
    x: Array
    """State in the end."""
    g: Array
    """True conductance in the end, without read noise [S]."""
    status: NDArray[np.int8]
    """A :class:`~.recipe.Status` per device."""
    pulses: NDArray[np.int64]
    """RESET and SET pulses, (devices, 2)."""
    reads: NDArray[np.int64]
    """Verify reads."""
    pulse_energy: Array
    """Energy that the pulses brought into the device [J]."""
    read_energy: Array
    """Energy of the verify reads [J]."""
    tolerance: float
    """Half width of the accepted band [S]."""
    reachable: NDArray[np.bool_]
    """Whether the target lies between the ends of the device's own range."""
    time: Array
    """Duration of pulses and reads [s]."""
    history: History | None = None

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Devices that the loop took for written and whose true conductance is within the
        tolerance.
        """
        within: NDArray[np.bool_] = np.abs(self.error) <= self.tolerance
        within &= self.status == Status.REACHED
        return within

    @property
    def success(self) -> float:
        """Share of the devices that are :attr:`reached`."""
        return float(self.reached.mean())

    @property
    def costs(self) -> Costs:
        """What each write cost, verify reads included, (devices,) each."""
        pulses, reads = self.pulses.astype(float), self.reads.astype(float)
        energy = self.pulse_energy + self.read_energy
        return Costs(pulses.sum(axis=1), pulses[:, 1], reads, energy, self.time)

    @property
    def error(self) -> Array:
        """True conductance minus target [S]."""
        return self.g - self.target

    def summary(self) -> dict[str, float]:
        """Return the figures that a report shows."""
        costs = self.costs
        return {
            "devices": float(len(self.g)),
            "success_percent": 100.0 * self.success,
            **costs.means(),
            "pulses_p95": float(np.percentile(costs.pulses, 95)),
            "error_rms_siemens": float(np.sqrt(np.mean(self.error**2))),
            "stuck": float(np.sum(self.status == Status.STUCK)),
            "exhausted": float(np.sum(self.status == Status.EXHAUSTED)),
            "out_of_own_range": float(np.sum(~self.reachable)),
        }


def write(
    population: Population,
    x: ArrayLike,
    target: ArrayLike,
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    history: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Write every device of a population to its target, with a verify read after every pulse.

    Parameters
    ----------
    population
        The devices.
    x
        Their states before, (devices,) or a number.
    target
        Conductances to reach at ``recipe.v_read`` [S], (devices,) or a number.
    recipe
        Pulses, tolerance and limits.
    rng
        Draws cycle-to-cycle spread and read noise.
    history
        Whether to keep the staircase.
    progress
        Called with the devices that are done and their number.

    Raises
    ------
    InputError
        If a target is outside the device's range, or the tolerance is below the read noise.
    """
    n = population.count
    x = np.array(np.broadcast_to(np.asarray(x, float), (n,)))
    target = np.array(np.broadcast_to(np.asarray(target, float), (n,)))
    noise = population.spread.noise_at(target)
    check_targets(population.device, target, recipe, noise)
    loop = Loop(recipe, target, noise)
    energy, read_energy, time = np.zeros(n), np.zeros(n), np.zeros(n)
    last = np.zeros((3, n))
    rows: list[Array] = []

    def verify() -> None:
        on = loop.running
        g = population.read(x[on], recipe.v_read, rng, on)
        read_energy[on] += recipe.v_read**2 * np.abs(g) * recipe.read_time
        time[on] += recipe.read_time
        loop.observe(g)
        last[0, on] = g
        if history:
            rows.append(last.copy())
        if progress is not None:
            progress(n - len(loop.running), n)

    verify()
    while len(loop.running):
        on, amplitude, width = loop.following()
        pulsed = population.pulse(x[on], amplitude, width, recipe.edge, rng, on, rtol=ACCURACY)
        x[on] = pulsed.x
        energy[on] += pulsed.energy
        time[on] += recipe.duration(width)
        last[1:] = 0.0
        last[1, on], last[2, on] = amplitude, width
        verify()
    return Outcome(
        target,
        x,
        population.conductance(x, recipe.v_read),
        loop.status,
        loop.pulses,
        loop.reads,
        energy,
        read_energy,
        recipe.tolerance,
        _reachable(population, target, recipe),
        time,
        History(*(np.stack(rows)[:, k] for k in range(3))) if history else None,
    )


def open_loop(
    population: Population,
    x: ArrayLike,
    target: ArrayLike,
    recipe: Recipe,
    rng: np.random.Generator,
) -> Outcome:
    """Write every device without reading it, by the pulses that the nominal device would need.

    The plan is the closed loop of a device without spread and noise, from the same state to the
    same target; each real device gets its twin's pulses. ``status`` tells which ended within the
    tolerance (checked by us, not by the circuit), ``reads`` is 0.

    Parameters
    ----------
    population
        The devices that are written.
    x
        States to begin with, (devices,) [0..1].
    target
        Conductances to reach, (devices,) [S].
    recipe
        How writes go: pulses, reads, tolerance.
    rng
        What random numbers are drawn from.
    """
    n = population.count
    x = np.array(np.broadcast_to(np.asarray(x, float), (n,)))
    target = np.array(np.broadcast_to(np.asarray(target, float), (n,)))
    # Equal writes have equal plans: each is made once.
    pairs, plan_of = np.unique(np.stack([x, target], axis=1), axis=0, return_inverse=True)
    plan_of = plan_of.reshape(-1)
    plan = planned_writes(population.device, pairs[:, 0], pairs[:, 1], recipe)
    assert plan.history is not None
    energy, time = np.zeros(n), np.zeros(n)
    for amplitudes, widths in zip(plan.history.amplitude[1:], plan.history.width[1:], strict=True):
        on = np.flatnonzero(widths[plan_of] > 0.0)
        amplitude, width = amplitudes[plan_of[on]], widths[plan_of[on]]
        pulsed = population.pulse(x[on], amplitude, width, recipe.edge, rng, on, rtol=ACCURACY)
        x[on] = pulsed.x
        energy[on] += pulsed.energy
        time[on] += recipe.duration(width)
    g = population.conductance(x, recipe.v_read)
    missed = np.where(plan.status == Status.STUCK, Status.STUCK, Status.EXHAUSTED)[plan_of]
    status = np.where(np.abs(g - target) <= recipe.tolerance, Status.REACHED, missed)
    return Outcome(
        target,
        x,
        g,
        status.astype(np.int8),
        plan.pulses[plan_of],
        np.zeros(n, np.int64),
        energy,
        np.zeros(n),
        recipe.tolerance,
        _reachable(population, target, recipe),
        time,
    )


def planned_writes(device: Device, x: Array, target: Array, recipe: Recipe) -> Outcome:
    """Return how the nominal device is written from states to targets, (n,) each, with its pulses as the history.

    Parameters
    ----------
    device
        The nominal device.
    x
        States to begin with, (n,).
    target
        Conductances to reach, (n,) [S].
    recipe
        How writes go: pulses, reads, tolerance.
    """
    nominal = Population(device, len(x))
    return write(nominal, x, target, recipe, np.random.default_rng(0), history=True)


def _reachable(population: Population, target: Array, recipe: Recipe) -> NDArray[np.bool_]:
    low, high = (
        population.conductance(np.full(population.count, float(end)), recipe.v_read)
        for end in population.device.model.state_range
    )
    within: NDArray[np.bool_] = (target >= low - recipe.tolerance) & (
        target <= high + recipe.tolerance
    )
    return within


def check_targets(device: Device, target: Array, recipe: Recipe, read_noise: float | Array) -> None:
    """Refuse what can't be written: targets out of range, a tolerance that drowns in read noise.

    Parameters
    ----------
    device
        The device.
    target
        Conductances to reach [S].
    recipe
        How writes go: pulses, reads, tolerance.
    read_noise
        Standard deviation of a read, relative.

    Raises
    ------
    InputError
        With the place, the value and the range.
    """
    if not np.isfinite(target).all():
        place, value = _first(target, ~np.isfinite(target))
        raise InputError(f"target {place} is {value:g}, expected a conductance in S")
    ends = device.conductance(np.array(device.model.state_range), recipe.v_read)
    low, high = float(ends.min()), float(ends.max())
    outside = (target < low * (1 - 1e-9)) | (target > high * (1 + 1e-9))
    if outside.any():
        place, value = _first(target, outside)
        raise InputError(
            f"target {place} is {value:.4g} S, but device {device.name} reaches only"
            f" {low:.4g} to {high:.4g} S at {recipe.v_read:g} V"
        )
    noise = float(np.max(read_noise * target, initial=0.0))
    if recipe.tolerance < 2.0 * GUARD * noise:
        raise InputError(
            f"the tolerance of {recipe.tolerance:.3g} S drowns in the read noise of {noise:.2g} S at"
            f" the largest target: expected at least {2.0 * GUARD:g} times as much"
        )


def _first(values: Array, wrong: NDArray[np.bool_]) -> tuple[str, float]:
    """Return where ``wrong`` is true first, and the value there."""
    place = np.argwhere(wrong)[0]
    return ", ".join(map(str, place.tolist())), float(values[tuple(place)])
