"""Stanford's cycle-to-cycle noise: a gap that wanders while it moves.

    dgap -> dgap (1 + delta_g chi),   delta_g = delta_0/(1 + exp((T_crit - T)/T_smth))

chi is a normal deviate drawn anew at every step, T the device's own temperature (Jiang et al. 2016,
doi:10.1109/TED.2016.2545412). The published noise depends on the step, as its effect averages out over
many: here a step is one sample of the waveform, so that the samples set it.
"""

__all__ = ["GapNoise", "simulate_with_gap_noise"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ..device import Device
from .simulate import Trace


@dataclass(frozen=True)
class GapNoise:
    """How much the gap's motion varies; the defaults are the published ones.

    Attributes
    ----------
    delta_0
        Largest relative deviation of a step.
    t_crit, t_smth
        Temperature at which half of it is reached, and the width of its onset [K].
    """

    delta_0: float = 0.02
    t_crit: float = 450.0
    t_smth: float = 500.0

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        if not (self.delta_0 >= 0.0 and self.t_smth > 0.0):
            raise InputError(
                f"gap noise: delta_0 is {self.delta_0} and t_smth {self.t_smth} K, expected 0 or more"
                " and a number above 0"
            )

    def sigma(self, temperature: Array) -> Array:
        """Return the relative deviation of a step at temperatures [K]."""
        u = np.clip((self.t_crit - temperature) / self.t_smth, -80.0, 80.0)
        return np.asarray(self.delta_0 / (1.0 + np.exp(u)))


def simulate_with_gap_noise(
    device: Device,
    t: ArrayLike,
    v: ArrayLike,
    x0: ArrayLike,
    *,
    noise: GapNoise | None = None,
    rng: np.random.Generator,
) -> Trace:
    """Drive Stanford devices whose gaps wander.

    Parameters
    ----------
    device
        A device of the model ``stanford``.
    t
        Rising times [s], (n,): a step of the noise each.
    v
        Terminal voltages [V], (n,) or (..., n).
    x0
        States at the start, broadcasting against the leading shape of v.
    noise
        How much; the published noise by default.
    rng
        Source of all randomness.

    Returns
    -------
    Trace
        Currents and states, (..., n).

    Raises
    ------
    InputError
        If the device is of another model.
    """
    if device.model.name != "stanford":
        raise InputError(f"gap noise is of stanford devices, {device.name} is {device.model.name}")
    noise = GapNoise() if noise is None else noise
    t, v = np.asarray(t, float), np.asarray(v, float)
    shape = np.broadcast_shapes(v.shape[:-1], np.shape(x0))
    wave = np.broadcast_to(v, (*shape, t.size))
    x = np.broadcast_to(np.asarray(x0, float), shape).copy()
    p = device.parameters
    states, currents = np.empty(wave.shape), np.empty(wave.shape)
    states[..., 0], currents[..., 0] = x, device.current(wave[..., 0], x)
    for k in range(t.size - 1):
        trace = device.simulate(t[k : k + 2] - t[k], wave[..., k : k + 2], x)
        power = np.abs(wave[..., k + 1] * trace.i[..., 1]) / device.area
        chi = rng.standard_normal(shape)
        moved = trace.x[..., 1] - x
        x = np.clip(x + moved * (1.0 + noise.sigma(p["t_0"] + p["r_th"] * power) * chi), 0.0, 1.0)
        states[..., k + 1], currents[..., k + 1] = x, device.current(wave[..., k + 1], x)
    return Trace(t, wave.copy(), currents, states)
