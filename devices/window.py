"""Which conductances a device's levels lie between, chosen from what it reaches."""

__all__ = ["Window", "choose_window"]

from typing import NamedTuple

import numpy as np

from ..data.errors import InputError
from .device import Device

G_MAX = 14e-6
"""Conductance of the highest level [S], where it and the area are left open."""

ON_OFF = 10.0
"""Highest level over lowest level, where it is left open and the device has it."""

TOP_STATE = 0.95
"""State of the highest level of a device that does not say which states it was fitted in; that of
the lowest level is as far from the other end, where the device does not reach lower.
"""


LARGEST = 1e3
"""Areas of the measured device beyond which a chosen one is said to be far from it."""


class Window(NamedTuple):
    """A device of the area that was chosen, and the ends of its levels."""

    device: Device
    g_min: float
    """Conductance of the lowest level [S]."""
    g_max: float
    """Conductance of the highest level [S]."""
    note: str = ""
    """What is less than was asked for, and why, or how far from the measured device that is; empty where all is
    there."""


def choose_window(
    device: Device,
    v_read: float,
    *,
    area: float | None = None,
    g_max: float | None = None,
    g_min: float | None = None,
    on_off: float | None = None,
) -> Window:
    """Return the device at an area, and the range of its levels at ``v_read`` [V].

    Parameters
    ----------
    device
        The device at its own area.
    v_read
        Voltage at which conductances are meant [V].
    area
        In areas of the device; when absent such that it has ``g_max`` in its highest state in use.
    g_max, g_min
        Ends of the range [S]; when absent 14 µS, or, with an area, what the device has in its highest
        state in use; and ``g_max / on_off``.
    on_off
        ``g_max / g_min``, 10 when absent.

    A range that the device does not reach ends where the device does, with a note; so has an area that is more
    than a thousand times the device's. States in use are
    those that the device was fitted in (``x_min``, ``x_max`` of its ``meta``), else 5 to 95 % of all.

    Raises
    ------
    InputError
        If no range is left.
    """
    low, high = device.model.state_range
    bounded = bool(np.isfinite(high))
    top = float(device.meta.get("x_max", low + TOP_STATE * (high - low))) if bounded else np.inf
    bottom = float(device.meta.get("x_min", low + (1.0 - TOP_STATE) * (high - low)))
    notes: list[str] = []
    if area is not None:
        device = device.scaled(area)
        if bounded:
            reached = float(device.conductance(top, v_read))
            if g_max is not None and g_max > float(device.conductance(high, v_read)):
                notes.append(f"up to {1e6 * reached:.4g} µS where {1e6 * g_max:.4g} were asked for")
                g_max = reached
            g_max = g_max or reached
    g_max = g_max or G_MAX
    if area is None and bounded:
        device = device.scaled(g_max / float(device.scaled(1.0).conductance(top, v_read)))
    wanted = g_min or g_max / (on_off or ON_OFF)
    if wanted < float(device.conductance(low, v_read)):
        reached = float(device.conductance(bottom, v_read))
        if not reached < (1.0 - 1e-3) * g_max:
            raise InputError(
                f"device {device.name} can't span two levels: at {v_read:g} V it conducts"
                f" {1e6 * reached:.4g} to {1e6 * g_max:.4g} µS, whatever its state"
            )
        notes.append(
            f"{g_max / reached:.3g} times the lowest level at the top where {g_max / wanted:.3g} times"
            " were wanted"
        )
        wanted = reached
    said = [f"levels end where device {device.name} does: {', and '.join(notes)}"] if notes else []
    if area is None and device.area > LARGEST:
        said.append(
            f"a highest level of {g_max:.4g} S takes {device.area:,.0f} times the area of device {device.name},"
            " which is far from what was measured: choose a smaller device.g_max, or state device.area"
        )
    return Window(device, wanted, g_max, "; ".join(said))
