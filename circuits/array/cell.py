"""What sits at a crossing: a memristor (1R), with a transistor (1T1R), or with a selector (1S1R).

A memristor is programmed to a conductance ``g``, its chord conductance at the read voltage; while
it is read its state stays as it is, so a cell is a static two-terminal element between word line
and bit line. Only the transistor also feels the potential ``b`` of the bit line, against which its
gate voltage is counted.
"""

__all__ = ["ACCESS", "Access", "Cell", "Selector", "Transistor"]

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array
from ...devices.device import Device, Levels
from ...devices.levels import V_READ
from ...devices.model import CompactModel, symbols
from ...devices.models import models

NEWTON_STEPS = 100


@dataclass(frozen=True)
class Transistor:
    """NMOS pass gate between memristor and bit line: the level-1 (Shichman-Hodges) equations, no
    body effect.

    Shichman & Hodges, IEEE J. Solid-State Circuits 3 (1968) 285, doi:10.1109/JSSC.1968.1049902.

    Raises
    ------
    InputError
        If a voltage is not finite, ``k`` not positive, or ``channel`` not from 0 to 1.
    """

    v_gate: float = 3.0
    """Gate voltage against ground while the row is read [V]."""
    v_threshold: float = 0.5
    """Threshold voltage [V]."""
    k: float = 2e-3
    """Transconductance ``kp w / l`` [A/V^2]."""
    channel: float = 0.02
    """Channel-length modulation [1/V]."""
    kind: Literal["transistor"] = "transistor"
    """What it is called in configurations and records."""

    def __post_init__(self) -> None:
        _finite("transistor", v_gate=self.v_gate, v_threshold=self.v_threshold)
        _positive("transistor", k=self.k)
        if not 0.0 <= self.channel <= 1.0:
            raise InputError(
                f"transistor: channel must be from 0 to 1 per volt, got {self.channel!r}"
            )

    def current(self, y: ArrayLike, b: ArrayLike = 0.0) -> Array:
        """Return the current [A] from drain to source at ``y`` [V] across the channel, the source
        at ``b`` [V]; both broadcast.
        """
        return self._law(y, b)[0]

    def slopes(self, y: ArrayLike, b: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return the derivatives of the current by ``y`` and by ``b`` [S]."""
        return self._law(y, b)[1:]

    def _law(self, y: ArrayLike, b: ArrayLike) -> tuple[Array, Array, Array]:
        y, b = np.broadcast_arrays(np.asarray(y, float), np.asarray(b, float))
        # With y < 0 drain and source change roles: the lower end counts as the source.
        sign = np.where(y < 0.0, -1.0, 1.0)
        span = np.abs(y)
        over = np.maximum(self.v_gate - self.v_threshold - b - np.minimum(y, 0.0), 0.0)
        linear = span < over
        depth = np.minimum(span, over)
        body = depth * (over - 0.5 * depth)
        gain = self.k * (1.0 + self.channel * span)
        by_over = gain * depth
        by_span = np.where(linear, gain * (over - span), 0.0) + self.k * self.channel * body
        # over falls with b, and with y as well where y < 0 (there span = -y).
        didy = np.where(y < 0.0, by_over + by_span, by_span)
        return sign * gain * body, didy, -sign * by_over


@dataclass(frozen=True)
class Selector:
    """Two-terminal threshold selector: it conducts ``g_off`` below its threshold voltage and
    ``g_on`` above.

    ``i = y (g_off + (g_on - g_off) / (1 + exp(-(y^2 - v^2) / (2 v w))))`` with the threshold ``v``
    and the width ``w``: smooth, odd and rising, the static envelope of a volatile threshold switch.

    Raises
    ------
    InputError
        If a number is not positive and finite, or ``g_off`` is above ``g_on``.
    """

    v_threshold: float = 0.1
    """Threshold voltage [V]."""
    width: float = 0.01
    """Width of the transition [V]."""
    g_on: float = 1e-2
    """Conductance when on [S]."""
    g_off: float = 1e-8
    """Conductance when off [S]."""
    kind: Literal["selector"] = "selector"
    """What it is called in configurations and records."""

    def __post_init__(self) -> None:
        _positive(
            "selector",
            v_threshold=self.v_threshold,
            width=self.width,
            g_on=self.g_on,
            g_off=self.g_off,
        )
        if self.g_off > self.g_on:
            raise InputError(f"selector: g_off {self.g_off!r} must not exceed g_on {self.g_on!r}")

    def current(self, y: ArrayLike, b: ArrayLike = 0.0) -> Array:
        """Return the current [A] at ``y`` [V] across the selector; ``b`` plays no part."""
        y = np.asarray(y, float) + 0.0 * np.asarray(b, float)
        return y * (self.g_off + (self.g_on - self.g_off) * self._share(y))

    def slopes(self, y: ArrayLike, b: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return the derivatives of the current by ``y`` and by ``b`` [S]."""
        y = np.asarray(y, float) + 0.0 * np.asarray(b, float)
        share = self._share(y)
        rise = y * share * (1.0 - share) / (self.v_threshold * self.width)
        didy = self.g_off + (self.g_on - self.g_off) * (share + y * rise)
        return didy, np.zeros_like(didy)

    def _share(self, y: Array) -> Array:
        argument = (y * y - self.v_threshold**2) / (2.0 * self.v_threshold * self.width)
        share: Array = 0.5 * (1.0 + np.tanh(0.5 * argument))
        return share


Access: TypeAlias = Transistor | Selector

ACCESS: Mapping[str, type[Access]] = {"transistor": Transistor, "selector": Selector}
"""Access devices by their kind."""


@dataclass(frozen=True)
class Cell:
    """A memristor programmed by its conductance at ``v_read``, with or without an access device in
    series.

    A conductance of 0 is an open device: it carries no current.

    Raises
    ------
    InputError
        If ``v_read`` is 0 V or not finite.
    """

    device: Device
    """The memristor."""
    v_read: float
    """Voltage at which a conductance is meant [V]."""
    access: Access | None = None
    """Transistor or selector between the memristor and the bit line."""

    def __post_init__(self) -> None:
        _finite("cell", v_read=self.v_read)
        if self.v_read == 0.0:
            raise InputError("cell: v_read must not be 0 V, a conductance is measured there")

    @classmethod
    def of(cls, levels: Levels, access: Access | None = None) -> "Cell":
        """Return the cell that holds ``levels``, read at their voltage."""
        return cls(levels.device, levels.v_read, access)

    def __repr__(self) -> str:
        access = "" if self.access is None else f" with {type(self.access).__name__.lower()}"
        return f"<Cell {self.device.name}{access}, read at {self.v_read:g} V>"

    def __str__(self) -> str:
        lines = [f"{self.device.name} ({self.device.model.name}), read at {self.v_read:g} V"]
        if self.access is not None:
            kind = type(self.access).__name__.lower()
            lines.append(f"{kind}, threshold {self.access.v_threshold:g} V")
        return "\n".join(lines)

    @classmethod
    def resistor(cls, v_read: float = V_READ, access: Access | None = None) -> "Cell":
        """Return the cell whose device is ``i = g v``."""
        return cls(Device("resistor", models["resistor"]), v_read, access)

    @classmethod
    def sinh(cls, b: float, v_read: float, access: Access | None = None) -> "Cell":
        """Return the cell whose device is ``i = x sinh(b v) / b``, with the state ``x`` in S.

        Parameters
        ----------
        b
            Curvature [1/V].
        v_read
            Voltage at which conductances are meant [V].
        access
            What is in series with the device.
        """
        return cls(Device("sinh", models["sinh"], {"b": b}), v_read, access)

    @classmethod
    def sinh_state(
        cls, parameters: Mapping[str, float], v_read: float, access: Access | None = None
    ) -> "Cell":
        """Return the sinh cell whose curvature falls with its conductance; see the model's
        parameters.

        Parameters
        ----------
        parameters
            Parameters of the model by name, SI.
        v_read
            Voltage at which conductances are meant [V].
        access
            What is in series with the device.
        """
        return cls(Device("sinh_state", models["sinh_state"], parameters), v_read, access)

    def check_voltage(self, v_read: float) -> None:
        """Refuse levels that are meant at another voltage than this cell's conductances."""
        if not np.isclose(v_read, self.v_read, rtol=1e-9, atol=0.0):
            raise InputError(
                f"the cell's conductances are meant at {self.v_read:g} V, its levels at"
                f" v_read = {v_read:g} V: make both for the same read voltage, as Cell.of(levels) does"
            )

    def levels(self, g: ArrayLike) -> Levels:
        """Return the conductances ``g`` [S], (L,) rising, as levels of the memristor.

        Raises
        ------
        InputError
            If the device can't have one of them at the read voltage.
        """
        g = np.asarray(g, float)
        return Levels(self.device, self.v_read, g, self.state(g))

    @property
    def linear(self) -> bool:
        """Whether the current is ``g v``, whatever ``v``."""
        return self.access is None and _ohmic(self.device.model)

    def state(self, g: ArrayLike) -> Array:
        """Return the device state ``x`` that has the conductance ``g`` [S] at the read voltage;
        open devices get 0.

        Raises
        ------
        InputError
            If the device can't have such a conductance.
        """
        g = np.asarray(g, float)
        closed = g > 0.0
        x = np.zeros(g.shape)
        x[closed] = self.device.state(g[closed], self.v_read)
        return x

    def conductance(self, x: ArrayLike) -> Array:
        """Return the conductance [S] at the read voltage of devices in the state ``x`` of their
        model, of its shape: what to program when states are known.
        """
        return self.device.conductance(x, self.v_read)

    def current(self, v: ArrayLike, g: ArrayLike, b: ArrayLike = 0.0) -> Array:
        """Return the current [A] at ``v`` [V] from word to bit line, the bit line at ``b`` [V]; all
        broadcast.

        Parameters
        ----------
        v
            Voltage across the cell, an array that broadcasts [V].
        g
            Conductance of the device, an array that broadcasts [S].
        b
            Potential of the bit line, where the law depends on it [V].
        """
        return self.law(v, self.state(g), np.asarray(g, float) > 0.0, b)[0]

    def didv(self, v: ArrayLike, g: ArrayLike, b: ArrayLike = 0.0) -> Array:
        """Return the derivative of :meth:`current` by ``v`` [S].

        Parameters
        ----------
        v
            Voltage across the cell, an array that broadcasts [V].
        g
            Conductance of the device, an array that broadcasts [S].
        b
            Potential of the bit line, where the law depends on it [V].
        """
        return self.law(v, self.state(g), np.asarray(g, float) > 0.0, b)[1]

    def law(
        self, v: ArrayLike, x: ArrayLike, closed: ArrayLike = True, b: ArrayLike = 0.0
    ) -> tuple[Array, Array, Array]:
        """Return current [A] and its derivatives by ``v`` and ``b`` [S] of devices in state ``x``;
        zeros where not ``closed``.

        Parameters
        ----------
        v
            Voltage across the cell, an array that broadcasts [V].
        x
            States of the devices, as their model counts them, an array that broadcasts.
        closed
            Where there is a device that conducts, an array that broadcasts.
        b
            Potential of the bit line, where the law depends on it [V].
        """
        v, x, closed, b = np.broadcast_arrays(
            np.asarray(v, float), np.asarray(x, float), closed, np.asarray(b, float)
        )
        if self.access is None:
            i, didv = self.device.current_and_didv(v, x)
            didb = np.zeros(v.shape)
        else:
            i, didv, didb = self._series(self.access, v, x, b)
        return np.where(closed, i, 0.0), np.where(closed, didv, 0.0), np.where(closed, didb, 0.0)

    def _series(self, access: Access, v: Array, x: Array, b: Array) -> tuple[Array, Array, Array]:
        """Solve for the voltage ``y`` across the access device, where both currents are equal.

        Both currents rise with their own voltage, so ``y`` lies between 0 and ``v`` and Newton
        steps that leave the bracket are replaced by bisection.
        """
        low, high = np.minimum(v, 0.0), np.maximum(v, 0.0)
        y = 0.5 * v
        for _ in range(NEWTON_STEPS):
            i, g_memristor = self.device.current_and_didv(v - y, x)
            excess = access.current(y, b) - i
            low, high = np.where(excess < 0.0, y, low), np.where(excess > 0.0, y, high)
            didy, _ = access.slopes(y, b)
            slope = didy + g_memristor
            step = excess / np.where(slope > 0.0, slope, np.inf)
            new = y - step
            new = np.where((new > low) & (new < high) & (slope > 0.0), new, 0.5 * (low + high))
            moved = np.abs(new - y)
            y = new
            if np.all(moved <= 1e-15 + 4e-16 * np.abs(v)):
                break
        i, g_memristor = self.device.current_and_didv(v - y, x)
        didy, didb = access.slopes(y, b)
        total = didy + g_memristor
        # An access device that is off lets nothing through: no current, no slope.
        share = np.divide(g_memristor, total, out=np.zeros_like(total), where=total > 0.0)
        return i, didy * share, didb * share


@functools.cache
def _ohmic(model: CompactModel) -> bool:
    v, _ = symbols("V", "X")
    return model.inner_expr is None and v not in model.current_expr.diff(v).free_symbols


def _finite(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise InputError(f"{owner}: {name} must be a finite number, got {value!r}")


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0.0):
            raise InputError(f"{owner}: {name} must be positive and finite, got {value!r}")
