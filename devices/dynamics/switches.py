"""Metastable switches one by one: the stochastic form of the Knowm model.

A device has N switches, k of them on. In a time dt each switch that is off turns on with probability
1 - e^(-P_on dt/tau), each that is on turns off with 1 - e^(-P_off dt/tau), independently: two binomial draws
(Nugent and Molter 2014, doi:10.1371/journal.pone.0085175). For large N the share k/N follows the deterministic
model, with a spread that falls as N^-1/2.
"""

__all__ = ["simulate_switches"]

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..compile import vectorised
from ..device import Device
from ..model import symbols
from ..models.knowm import probabilities
from .simulate import Trace

_LARGEST = 0.05  # probability of a switch turning within one draw


def simulate_switches(
    device: Device,
    t: ArrayLike,
    v: ArrayLike,
    x0: ArrayLike,
    *,
    switches: int,
    rng: np.random.Generator,
    parameters: Mapping[str, ArrayLike] | None = None,
) -> Trace:
    """Drive devices of ``switches`` metastable switches each.

    Parameters
    ----------
    device
        A device of the model ``knowm``.
    t
        Times [s], (n,), rising.
    v
        Terminal voltages, linear between the times [V], (n,) or (..., n).
    x0
        Share of switches that are on at the start, rounded to whole switches.
    switches
        Number N of switches in a device.
    rng
        Source of all randomness; devices draw in order.
    parameters
        Parameters that differ between devices.

    Returns
    -------
    Trace
        Currents [A] and states at the samples, (..., n).

    Raises
    ------
    InputError
        If the device is of another model, or there is no switch in it.
    """
    if device.model.name != "knowm":
        raise InputError(f"only knowm devices have switches, {device.name} is {device.model.name}")
    if switches < 1:
        raise InputError(f"a device of {switches} switches; expected at least 1")
    t, v, x0 = np.asarray(t, float), np.asarray(v, float), np.asarray(x0, float)
    if t.ndim != 1 or v.shape[-1:] != t.shape or not (np.diff(t) > 0).all():
        raise InputError(
            f"expected rising t of shape (n,) and v of shape (..., n), got {t.shape}, {v.shape}"
        )
    p = {**device.parameters, **(parameters or {})}
    values = device.model.complete(p)
    shape = np.broadcast_shapes(v.shape[:-1], x0.shape, *(a.shape for a in values.values()))
    waves = np.broadcast_to(v, (*shape, t.size))
    chances = _chances(device)
    tau = values["tau"]
    on = np.broadcast_to(np.rint(x0 * switches), shape).astype(np.int64)
    states = np.empty((*shape, t.size))
    states[..., 0] = on / switches
    for k in range(t.size - 1):
        span = t[k + 1] - t[k]
        pieces = max(1, int(np.ceil(span / (_LARGEST * float(np.min(tau))))))
        for piece in range(pieces):
            between = (piece + 0.5) / pieces
            outer = waves[..., k] * (1 - between) + waves[..., k + 1] * between
            inner = _inner(device, outer, on / switches, p)
            up, down = chances(inner, values)
            dt = span / pieces / tau
            turned_on = rng.binomial(switches - on, -np.expm1(-up * dt))
            on = on + turned_on - rng.binomial(on, -np.expm1(-down * dt))
        states[..., k + 1] = on / switches
    q = {name: a[..., None] for name, a in values.items()}
    current = device.area * device.model.current(waves, states, q)
    return Trace(t, waves, current, states)


def _inner(device: Device, v: Array, x: Array, p: Mapping[str, ArrayLike]) -> Array:
    """Voltage behind the series resistance."""
    r_s = np.asarray(p["r_s"], float)
    return v - r_s * device.model.current(v, x, p) if np.any(r_s) else v


def _chances(device: Device) -> Callable[[Array, Mapping[str, Array]], tuple[Array, Array]]:
    """Return the function of voltage and parameters that gives both probabilities per tau."""
    names = device.model.names[:-1]
    (voltage,) = symbols("V")
    function = vectorised([voltage, *symbols(*names)], probabilities(voltage))

    def chances(v: Array, values: Mapping[str, Array]) -> tuple[Array, Array]:
        up, down = function(v, *(values[name] for name in names))
        return up, down

    return chances
