"""Open-loop writes: a device moved from every level to every other by identical pulses, unread."""

__all__ = ["OpenLoop", "open_loop_costs"]

from dataclasses import dataclass

import numpy as np

from ...data.errors import InputError
from ...data.types import Array
from ..device import Levels
from .costs import Costs, Read, verified
from .pricing import LevelPricing, uneven_places
from .trapezoid import Pulse, choose_pulse


@dataclass(frozen=True)
class OpenLoop:
    """Open-loop writes of a device from level a (rows) to level b (columns).

    Attributes
    ----------
    levels
        The levels between which it holds.
    costs
        What each write costs, (L, L); nothing on the diagonal, and no reads.
    miss
        Conductance reached minus the target [S], (L, L): identical pulses stop nearest to it, not
        on it.
    set_pulse, reset_pulse
        The pulses; SET where b > a.
    source
        How the numbers were obtained, in a sentence.
    """

    levels: Levels
    costs: Costs
    miss: Array
    set_pulse: Pulse
    reset_pulse: Pulse
    source: str

    def pricing(self, *, read_time: float = 100e-9) -> LevelPricing:
        """Return what such writes cost with a verify read after each pulse.

        Reads last ``read_time`` [s], at the device's read voltage and middle conductance.
        """
        g, v = self.levels.g, self.levels.v_read
        energy = float(v * v * 0.5 * (g[0] + g[-1]) * read_time)
        table = verified(self.costs.pulses, self.costs.energy, self.costs.time)
        return LevelPricing(
            table, Read(energy, read_time), self.source, places=uneven_places(self.levels.g)
        )


def open_loop_costs(
    levels: Levels,
    *,
    set_pulse: Pulse | None = None,
    reset_pulse: Pulse | None = None,
    count: int = 64,
    limit: int = 4096,
) -> OpenLoop:
    """Simulate the write of every level from every other one by identical pulses.

    Parameters
    ----------
    levels
        The device and its levels.
    set_pulse, reset_pulse
        The pulses; by default chosen (:func:`~.trapezoid.choose_pulse`) so that the whole range
        takes about ``count`` of them.
    count
        See there.
    limit
        Most pulses that a write may take.

    Raises
    ------
    InputError
        If the device has no dynamics, or its pulses do not reach some level.
    """
    device, x = levels.device, levels.x
    if not device.dynamic:
        raise InputError(
            f"device {device.name} has no dynamics ({device.model.name}), so pulses have no cost:"
            " choose a device with a state equation"
        )
    set_pulse = set_pulse or choose_pulse(device, x[0], x[-1], count=count)
    reset_pulse = reset_pulse or choose_pulse(device, x[-1], x[0], count=count)
    size = levels.count
    pulses, energy, miss = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    for pulse, rising in ((set_pulse, True), (reset_pulse, False)):
        path, spent = _staircase(levels, pulse, rising, limit)
        for a in range(size):
            for b in range(a + 1, size) if rising else range(a):
                n = max(1, int(np.argmin(np.abs(path[:, a] - levels.g[b]))))
                pulses[a, b], energy[a, b] = n, spent[n, a]
                miss[a, b] = path[n, a] - levels.g[b]
    up = np.triu(np.full((size, size), set_pulse.period))
    time = pulses * (up + np.tril(np.full((size, size), reset_pulse.period), -1))
    source = (
        f"{device.model.title} of {device.name} under identical pulses, open loop: SET"
        f" {set_pulse.v:.4g} V for {set_pulse.width:.4g} s, RESET {reset_pulse.v:.4g} V for"
        f" {reset_pulse.width:.4g} s"
    )
    costs = Costs(pulses, np.triu(pulses), np.zeros_like(pulses), energy, time)
    return OpenLoop(levels, costs, miss, set_pulse, reset_pulse, source)


def _staircase(levels: Levels, pulse: Pulse, rising: bool, limit: int) -> tuple[Array, Array]:
    """Return conductance and energy so far after 0, 1, ... pulses, (n + 1, L), from every level at
    once.
    """
    device, goal = levels.device, levels.g[-1] if rising else levels.g[0]
    x, g, total = levels.x, levels.g, np.zeros(levels.count)
    path, spent = [g], [total]
    t, v = pulse.waveform()
    for _ in range(limit):
        trace = device.simulate(t, v, x, rtol=1e-5)
        before, x = x, trace.x[:, -1]
        g, total = device.conductance(x, levels.v_read), total + trace.energy
        path.append(g)
        spent.append(total)
        if (g >= goal).all() if rising else (g <= goal).all():
            return np.stack(path), np.stack(spent)
        if np.abs(x - before).max() < 1e-9:
            break
    raise InputError(
        f"device {device.name}: {len(path) - 1} pulses of {pulse.v:.4g} V and"
        f" {pulse.width:.4g} s do not reach {goal:.4g} S; give a longer or higher pulse"
    )
