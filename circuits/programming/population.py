"""Many devices of one kind, each a little different, under one pulse each.

A population is what a controller meets in an array without wires: the same compact model with
parameters that differ from device to device (D2D), a state that answers every pulse a little
differently (C2C), and a read that is noisy.
"""

__all__ = ["Behaviour", "Population", "Spread", "spread_from_fit"]

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.records.pack import register
from ...data.types import Array
from ...devices.cycles.autoregression import CycleLaw
from ...devices.device import Device
from ...devices.pulses.trapezoid import Pulsed
from ...devices.series import Terminal
from ...devices.spread.noise import ReadNoise
from ...devices.spread.parameters import Lognormal, ParameterSpread
from ...devices.spread.pulse import PulseSpread
from ...devices.spread.record import law_of, law_tree
from .integrate import integrate

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Spread:
    """How devices of one kind differ, and how one device differs from pulse to pulse and from read
    to read: each a number, or a law of :mod:`memtwin.devices.spread`.
    """

    d2d: Mapping[str, float] | Lognormal | ParameterSpread = field(default_factory=dict)
    """Device to device: model parameters; a table of relative spreads is log-normal around the
    device's value, with this standard deviation of its logarithm.
    """
    c2c: float | PulseSpread | CycleLaw = 0.0
    """Pulse to pulse: standard deviation of the logarithm of the state's speed; or a law of cycles, whose SET and
    RESET voltages say how strongly a pulse acts."""
    read: float | ReadNoise = 0.0
    """Noise of a verify read: standard deviation relative to the conductance that is read."""

    def __post_init__(self) -> None:
        """Refuse numbers that are no spread."""
        for name in ("c2c", "read"):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not 0.0 <= value <= 2.0:
                raise InputError(f"spread: {name} must be from 0 to 2, got {value!r}")
        assert self.parameters  # checks a table

    @property
    def parameters(self) -> Lognormal | ParameterSpread:
        """The law of the model parameters."""
        return Lognormal(self.d2d) if isinstance(self.d2d, Mapping) else self.d2d

    @property
    def pulses(self) -> PulseSpread | CycleLaw | None:
        """The law of the pulses, if they differ."""
        law = PulseSpread(self.c2c) if isinstance(self.c2c, (int, float)) else self.c2c
        return law if isinstance(law, CycleLaw) or law.sigma > 0.0 else None

    @property
    def noise(self) -> ReadNoise | None:
        """The law of a verify read, if that is noisy."""
        law = ReadNoise(self.read) if isinstance(self.read, (int, float)) else self.read
        return law if law.scale > 0.0 else None

    def noise_at(self, g: Array) -> float | Array:
        """Return the standard deviation of a verify read relative to conductances ``g`` [S]."""
        law = self.noise
        if law is None or law.power == 1.0:
            return 0.0 if law is None else law.scale
        size = np.abs(g)
        return np.divide(law.sigma(size), size, out=np.zeros(np.shape(g)), where=size > 0.0)

    def tree(self) -> dict[str, Any]:
        """Return all of it as numbers, tables and lists, for a record."""
        plain: dict[str, Any] = {"c2c": self.c2c, "read": self.read}
        plain = {"d2d": dict(self.d2d) if isinstance(self.d2d, Mapping) else self.d2d} | plain
        return {
            name: value if isinstance(value, (dict, int, float)) else law_tree(value, plain=True)
            for name, value in plain.items()
        }

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> "Spread":
        """Return what :meth:`tree` describes."""
        values = dict(tree)
        for name, subject in (("d2d", "parameters"), ("c2c", "pulses"), ("read", "read")):
            value = values.get(name)
            if isinstance(value, Mapping) and "kind" in value:
                values[name] = law_of(subject, value, f"spread.{name}")
        return cls(**values)


register(
    Spread, str, lambda spread: json.dumps(spread.tree()), lambda text: Spread.of(json.loads(text))
)


def spread_from_fit(
    device: Device, *, c2c: float | PulseSpread | CycleLaw = 0.0, read: float | ReadNoise = 0.0
) -> Spread:
    """Return a spread whose D2D part is the device's own standard errors.

    Parameters
    ----------
    device
        The device; fitted parameters without a standard error do not vary, and neither does the
        series resistance, which is wiring.
    c2c, read
        See :class:`Spread`.

    Notes
    -----
    A standard error of one device's fit stands in for a population's spread where none was
    measured: it says how far the data leave a parameter open, not how devices differ.
    """
    d2d = {
        name: min(float(error / abs(device.parameters[name])), 0.5)
        for name, error in sorted(device.stderr.items())
        if np.isfinite(error) and error > 0.0 and device.parameters[name] != 0.0 and name != "r_s"
    }
    return Spread(d2d, c2c, read)


@dataclass(frozen=True)
class Population:
    """Devices that share the equations and the area of ``device``."""

    device: Device
    count: int
    parameters: Mapping[str, Array] = field(default_factory=dict)
    """Parameters that differ between the devices, (count,) each."""
    spread: Spread = field(default_factory=Spread)

    def __post_init__(self) -> None:
        if not self.device.dynamic:
            raise InputError(
                f"device {self.device.name}: model {self.device.model.name} has no dynamics, it"
                " can't be programmed by pulses"
            )
        for name, values in self.parameters.items():
            self.device.model.parameter(name)
            if np.shape(values) != (self.count,):
                raise InputError(
                    f"population: expected {self.count} values of {name}, got shape"
                    f" {np.shape(values)}"
                )

    @classmethod
    def sample(
        cls, device: Device, count: int, spread: Spread, rng: np.random.Generator
    ) -> "Population":
        """Return ``count`` devices with parameters drawn from ``spread``, within bounds.

        Parameters
        ----------
        device
            The device.
        count
            How many devices.
        spread
            How they differ.
        rng
            What random numbers are drawn from.
        """
        return cls(device, count, spread.parameters.sample(count, rng, device), spread)

    @cached_property
    def _args(self) -> list[Array]:
        values = {**self.device.parameters, **self.parameters}
        return [
            np.broadcast_to(np.asarray(values[name], float), (self.count,))
            for name in self.device.model.names
        ]

    def behaviour(self, which: Indices | slice = slice(None)) -> "Behaviour":
        """Return rate and current of devices ``which``, as the inner loops need them."""
        return Behaviour(self.device, [a[which] for a in self._args])

    def conductance(self, x: Array, v_read: float, which: Indices | slice = slice(None)) -> Array:
        """Return the noise-free conductances at ``v_read`` [S] of ``which`` in states ``x``.

        Parameters
        ----------
        x
            States, (devices,) [0..1].
        v_read
            Voltage at which conductances are meant [V].
        which
            Places of the devices meant, by default all.
        """
        values = dict(zip(self.device.model.names, (a[which] for a in self._args), strict=True))
        return self.device.area * self.device.model.current(v_read, x, values) / v_read

    def read(
        self,
        x: Array,
        v_read: float,
        rng: np.random.Generator,
        which: Indices | slice = slice(None),
    ) -> Array:
        """Return conductances [S] as a verify read sees them, with noise.

        Parameters
        ----------
        x
            States, (devices,) [0..1].
        v_read
            Voltage at which conductances are meant [V].
        rng
            What random numbers are drawn from.
        which
            Places of the devices meant, by default all.
        """
        g = self.conductance(x, v_read, which)
        return g if self.spread.noise is None else self.spread.noise.sample(g, rng)

    def states(self, g: ArrayLike, v_read: float) -> Array:
        """Return the states that have conductances ``g`` [S] at ``v_read``; where a device can't
        have one, the nearest end of its range.
        """
        low, high = self.device.model.state_range
        bottom, top = (
            self.conductance(np.full(self.count, end), v_read) for end in (float(low), float(high))
        )
        wanted = np.broadcast_to(np.asarray(g, float), (self.count,))
        inside = np.clip(wanted, bottom, top)
        values = dict(zip(self.device.model.names, self._args, strict=True))
        x = self.device.model.state(inside * v_read / self.device.area, v_read, values)
        return np.where(wanted >= top, high, np.where(wanted <= bottom, low, np.clip(x, low, high)))

    def pulse(
        self,
        x: Array,
        amplitude: ArrayLike,
        width: ArrayLike,
        edge: float,
        rng: np.random.Generator | None = None,
        which: Indices | slice = slice(None),
        *,
        rtol: float = 1e-7,
    ) -> Pulsed:
        """Apply one trapezoidal pulse to each of the devices ``which``.

        Parameters
        ----------
        x
            States before, (devices,).
        amplitude, width
            Height [V] and length of the flat part [s] of each device's pulse.
        edge
            Rise and fall time, each, as a share of the width.
        rng
            Draws the cycle-to-cycle spread; without it every device moves as its model says.
        which
            The devices that ``x`` belongs to.
        rtol
            Relative tolerance of the state per step.
        """
        n = len(x)
        amplitude = np.broadcast_to(np.asarray(amplitude, float), (n,))
        width = np.broadcast_to(np.asarray(width, float), (n,))
        pace = np.ones(n)
        if rng is not None and self.spread.pulses is not None:
            law = self.spread.pulses
            if isinstance(law, CycleLaw):
                amplitude = amplitude * law.drive(amplitude, rng)
            else:
                pace = law.sample(n, rng)
        behaviour = self.behaviour(which)
        y = np.stack([x, np.zeros(n)], axis=1)
        low, high = self.device.model.state_range
        for begins, ends, share in ((0.0, 1.0, edge), (1.0, 1.0, 1.0), (1.0, 0.0, edge)):
            if share == 0.0:
                continue
            time = share * width

            def motion(part: Indices, tau: Array, y: Array) -> Array:
                # Loop variables are read before the loop goes on: integrate() runs to its end.
                v = amplitude[part] * (begins + (ends - begins) * tau)  # noqa: B023
                rate, i = behaviour.rate(v, np.clip(y[:, 0], low, high), part)
                span = time[part]  # noqa: B023
                return np.stack([span * pace[part] * rate, span * v * i], axis=1)

            y = integrate(motion, y, controlled=1, rtol=rtol)
            y[:, 0] = np.clip(y[:, 0], low, high)
        return Pulsed(y[:, 0], y[:, 1])


class Behaviour:
    """Rate and current of devices, in one evaluation.

    The voltage behind a series resistance is searched from where it was found the time before.
    """

    def __init__(self, device: Device, args: list[Array]) -> None:
        self._area = device.area
        self._devices = Terminal(device.model, args, tolerance=1e-7, start=np.zeros(len(args[-1])))

    def rate(self, v: Array, x: Array, which: Indices | slice) -> tuple[Array, Array]:
        """Return dx/dt [1/s] and i [A] of ``which`` at terminal voltages ``v``, in states ``x``.

        Parameters
        ----------
        v
            Voltages, (devices,) [V].
        x
            States, (devices,) [0..1].
        which
            Places of the devices meant, by default all.
        """
        part = self._devices.only(which)
        rate, i = part.rate_and_current(v, x)
        self._devices.absorb(part, which)
        return rate, self._area * i

    def current(self, v: Array, x: Array, which: Indices | slice) -> tuple[Array, Array]:
        """Return i [A] and di/dv [S] of ``which`` at terminal voltages ``v``, in states ``x``.

        Parameters
        ----------
        v
            Voltages, (devices,) [V].
        x
            States, (devices,) [0..1].
        which
            Places of the devices meant, by default all.
        """
        part = self._devices.only(which)
        i, slope = part.current_and_slope(v, x)
        self._devices.absorb(part, which)
        return self._area * i, self._area * slope
