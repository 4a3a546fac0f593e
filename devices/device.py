"""One device: a compact model with one parameter set, scaled to an area.

A device of ``area`` a (relative to the one that was fitted) carries a times the current at the
same voltage and state: current densities and the state's dynamics stay, its series resistance is
divided by a.
"""

__all__ = ["Device", "Levels", "load_device", "value_text"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.display import as_html, as_text
from ..data.errors import InputError
from ..data.files import write_text
from ..data.records.pack import UNSAVED, register
from ..data.records.store import digest
from ..data.shown.quantities import measured
from ..data.types import Array, Progress
from .device_file import device_fields, device_text
from .equations.model_file import model_text, parse_model_text
from .levels import Spacing, spaced
from .model import CompactModel

if TYPE_CHECKING:
    from .dynamics.simulate import Trace

register(CompactModel, str, model_text, lambda text: parse_model_text(text, "model"))

_NEAR_0V = 1e-3
"""Where a device must have a conductance [V]."""

_TABLED = 2049
"""States at which two devices are compared."""


@dataclass(frozen=True)
class Device:
    """A model with its parameters.

    A record of something that has a device keeps what it computes with: errors and provenance are
    in the device's own file.

    Attributes
    ----------
    name
        What the device is called in reports.
    model
        Its equations.
    parameters
        Value of every parameter; what is left out takes the model's default.
    stderr
        Standard errors of the fitted ones; infinite where the data do not know the parameter. What
        has none was not fitted.
    area
        Area relative to the device that the parameters describe.
    meta
        Provenance: source, stack, licence, fit record, and so on.
    unidentified
        Fitted parameters that the data do not pin down, with the reason.

    Raises
    ------
    InputError
        If the model has no parameter of a name, a value is not finite, the area not above 0, the
        series resistance or a standard error below 0, or the device's conductance near 0 V not finite.
    """

    name: str
    model: CompactModel
    parameters: Mapping[str, float] = field(default_factory=dict)
    stderr: Mapping[str, float] = field(default_factory=dict, metadata=UNSAVED)
    area: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict, metadata=UNSAVED)
    unidentified: Mapping[str, str] = field(default_factory=dict, metadata=UNSAVED)

    def __post_init__(self) -> None:
        """Fill in defaults and refuse what no device can have."""
        for name, value in self.parameters.items():
            self.model.parameter(name)
            if not np.isfinite(value):
                raise InputError(
                    f"device {self.name}: parameter {name} is {value}, expected a number"
                )
        for name in (*self.stderr, *self.unidentified):
            self.model.parameter(name)
        for name, error in self.stderr.items():
            if not error >= 0:
                raise InputError(
                    f"device {self.name}: the standard error of {name} is {error}, expected 0 or"
                    " more, or inf where it is not known"
                )
        if not (np.isfinite(self.area) and self.area > 0):
            raise InputError(f"device {self.name}: area is {self.area}, expected a number above 0")
        object.__setattr__(self, "area", float(self.area))
        complete = {**self.model.defaults, **{k: float(v) for k, v in self.parameters.items()}}
        if complete["r_s"] < 0:
            raise InputError(
                f"device {self.name}: r_s is {complete['r_s']} ohm, expected 0 or more"
            )
        object.__setattr__(self, "parameters", complete)
        low, high = self.model.state_range
        with np.errstate(all="ignore"):
            i = self.model.current(_NEAR_0V, np.array([low, min(high, 1.0)]), complete | {"r_s": 0})
        if not np.isfinite(i).all():
            raise InputError(
                f"device {self.name}: its conductance at {_NEAR_0V} V is not finite; a resistance of"
                " 0 ohm, or a parameter far beyond its bounds, does that"
            )

    @property
    def r_s(self) -> float:
        """Series resistance of the scaled device [ohm]."""
        return self.parameters["r_s"] / self.area

    @property
    def dynamic(self) -> bool:
        """Whether voltage changes the state at all."""
        return self.model.rate_expr is not None

    @property
    def caveat(self) -> str:
        """What has to be said wherever the device is shown; empty if nothing."""
        if self.meta.get("kind") == "assumed":
            return "its parameters are assumed, of no measured device"
        return "" if self.meta.get("converged", True) else "its fit did not converge"

    @property
    def digest(self) -> str:
        """Hash of all that the device's behaviour depends on."""
        return digest(
            self.model.name,
            str(self.model.current_expr),
            str(self.model.rate_expr),
            *self.model.inside,
            dict(self.parameters),
            self.area,
        )

    def scaled(self, area: float) -> "Device":
        """Return the same device at ``area`` times the area that its parameters describe, whatever its
        own area is now.

        Raises
        ------
        InputError
            If the area is not a number above 0.
        """
        return replace(self, area=area)

    @property
    def temperature(self) -> float | None:
        """Ambient temperature [K]; ``None`` where the model knows none."""
        return self.parameters.get(self.model.ambient)

    def at(self, temperature: float) -> "Device":
        """Return the same device at an ambient temperature [K].

        Raises
        ------
        InputError
            If the model has no temperature, or this one is none.
        """
        name = self.model.ambient
        if not name:
            raise InputError(
                f"device {self.name}: the equations of model {self.model.name} don't depend on a"
                f" temperature, so that it can't be set to {temperature:g} K"
            )
        if not (np.isfinite(temperature) and temperature > 0.0):
            raise InputError(f"device {self.name}: a temperature is above 0 K, got {temperature:g}")
        return replace(self, parameters={**self.parameters, name: float(temperature)})

    def moved(self, g: ArrayLike, other: "Device", v_read: float) -> Array:
        """Return the conductances at ``v_read`` [S] that states of conductances g here have in
        ``other``: the same device in a warmer place, say. Of g's shape; an open device stays open.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S]; those beyond the device's reach change by as
            much as its ends do.
        other
            What the states are read in.
        v_read
            Read voltage [V].
        """
        low, high = self.model.state_range
        g = np.asarray(g, float)
        if not np.isfinite(high):  # the state is the conductance
            return g
        x = np.linspace(low, high, _TABLED)
        here, there = self.conductance(x, v_read), other.conductance(x, v_read)
        closed = (here > 0.0) & (there > 0.0)
        here, there = here[closed], there[closed]
        order = np.argsort(here)
        ratio = np.interp(g, here[order], np.log(there / here)[order])
        return np.where(g > 0.0, g * np.exp(ratio), 0.0)

    def current(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return the current [A] at terminal voltage v [V] and state x (broadcasting)."""
        return self.area * self.model.current(v, x, self.parameters)

    def didv(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return di/dv [S] at terminal voltage v [V] and constant state x (broadcasting)."""
        return self.area * self.model.didv(v, x, self.parameters)

    def current_and_didv(self, v: ArrayLike, x: ArrayLike) -> tuple[Array, Array]:
        """Return :meth:`current` and :meth:`didv`, for which a device is solved once."""
        i, slope = self.model.current_and_didv(v, x, self.parameters)
        return self.area * i, self.area * slope

    def didx(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return di/dx [A] at constant terminal voltage v [V] and state x (broadcasting)."""
        return self.area * self.model.didx(v, x, self.parameters)

    def rate(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return dx/dt [1/s] at terminal voltage v [V] and state x (broadcasting); independent of the
        area.

        Raises
        ------
        InputError
            If the model has no dynamics.
        """
        return self.model.rate(v, x, self.parameters)

    def conductance(self, x: ArrayLike, v_read: float) -> Array:
        """Return i/v at the read voltage [S] in state x, of its shape."""
        return self.current(v_read, x) / v_read

    def state(self, g: ArrayLike, v_read: float) -> Array:
        """Return the state whose conductance i/v at ``v_read`` is g [S], of g's shape.

        Raises
        ------
        InputError
            If some g lies outside what the device reaches at that voltage, or the voltage is 0 V or
            not finite.
        """
        if v_read == 0 or not np.isfinite(v_read):
            raise InputError(f"read voltage is {v_read} V, expected a number other than 0")
        g = np.asarray(g, float)
        low, high = self.model.state_range
        ends: Array | None = None
        x: Array = np.full(g.shape, low)
        between: NDArray[np.bool_] = np.ones(g.shape, bool)
        if np.isfinite(high):
            # At an end an inverse may find nothing, as the last digit of a conductance is many of a state's.
            ends = self.conductance(np.array([low, high]), v_read)
            at = np.abs(g[..., None] - ends) <= 1e-9 * np.abs(ends)
            x[at[..., 1]] = high
            between &= ~at.any(axis=-1)
        x[between] = self.model.state(g[between] * v_read / self.area, v_read, self.parameters)
        slack = 1e-9 if np.isfinite(high) else 0.0
        wrong = ~((x >= low - slack) & (x <= high + slack))
        if wrong.any():
            span = "0 S and more" if ends is None else f"{ends.min():.4g} to {ends.max():.4g} S"
            raise InputError(
                f"device {self.name} can't have a conductance of {g[wrong].flat[0]:.4g} S"
                f" at {v_read} V: it reaches {span}"
            )
        clipped: Array = np.clip(x, low, high)
        return clipped

    def levels(
        self,
        count: int,
        v_read: float,
        *,
        g_min: float | None = None,
        g_max: float | None = None,
        noise: ArrayLike | None = None,
        spacing: Spacing = "even",
    ) -> "Levels":
        """Choose ``count`` conductance levels between ``g_min`` and ``g_max`` [S].

        Parameters
        ----------
        count
            How many, at least 2.
        v_read
            Read voltage [V].
        g_min, g_max
            Ends of the range [S]; by default the conductances at x = 0.05 and x = 0.95, because the
            last part of either way takes very long in most devices.
        noise
            Standard deviation of the conductance [S] on an even grid of conductances from ``g_min``
            to ``g_max``, (n,): levels are then equally many deviations apart.
        spacing
            How levels lie where no ``noise`` is given: ``even`` steps of conductance, ``logarithmic``
            (equal ratios), or ``powers`` (shares 0, .. 1/4, 1/2, 1 of the range).

        Raises
        ------
        InputError
            If there are fewer than 2, the range is empty or missing where the model has no bounds, the
            device can't reach it, or spacing and noise don't go together.
        """
        low, high = self.model.state_range
        if np.isinf(high) and (g_min is None or g_max is None):
            raise InputError(
                f"model {self.model.name} has no bounds of its own: give g_min and g_max"
            )
        margin = 0.05 * (high - low) if np.isfinite(high) else 0.0
        g_min = float(self.conductance(low + margin, v_read)) if g_min is None else g_min
        g_max = float(self.conductance(high - margin, v_read)) if g_max is None else g_max
        g = spaced(count, g_min, g_max, noise=noise, spacing=spacing)
        return Levels(self, v_read, g, self.state(g, v_read))

    def simulate(
        self,
        t: ArrayLike,
        v: ArrayLike,
        x0: ArrayLike,
        *,
        parameters: Mapping[str, ArrayLike] | None = None,
        compliance: ArrayLike | None = None,
        rtol: float = 1e-6,
        atol: float = 1e-9,
        progress: Progress | None = None,
    ) -> "Trace":
        """Drive the device, or many like it, with voltages.

        Parameters
        ----------
        t
            Rising times of the samples [s], (n,).
        v
            Terminal voltage at these times, linear in between [V], (n,) or (..., n).
        x0
            State at ``t[0]``, broadcasting against the leading shape of v.
        parameters
            Parameters that differ between devices, each broadcasting against the leading shape.
        compliance
            Largest current of the source, of either sign [A]: one, or one for each sample, (n,) or
            (..., n), the lower of two holding between them; ``inf`` is none. Where the device would
            carry more, its voltage is the lower one at which it carries just this.
        rtol, atol
            Tolerances on the state per step.
        progress
            Called with samples done and their number.

        Returns
        -------
        Trace
            Currents and states at the samples, with the broadcast leading shape.

        Raises
        ------
        InputError
            If times don't rise, shapes don't fit, a number is not finite, a state lies outside the
            model's range, or a compliance is not above 0 A.
        """
        from .dynamics.simulate import Trace, integrate  # with SciPy and SymPy: when first used

        p = {**self.parameters, **(parameters or {})}
        limit = None if compliance is None else np.asarray(compliance, float) / self.area
        trace = integrate(
            self.model, p, t, v, x0, compliance=limit, rtol=rtol, atol=atol, progress=progress
        )
        return Trace(trace.t, trace.v, self.area * trace.i, trace.x)

    def to_ngspice(
        self, path: str | Path | None = None, *, name: str = "memristor", x0: float = 0.5
    ) -> str:
        """Return the device's ngspice subcircuit ``name p n x``, and write it to ``path`` if given.

        Parameters
        ----------
        path
            Where to write it; ``None`` for nowhere.
        name
            Name of the subcircuit.
        x0
            State at the start [0..1].

        Raises
        ------
        InputError
            If the model has no dynamics, or ``name`` can't be a name in a netlist.
        """
        from .printing.ngspice import subcircuit

        text = subcircuit(self, name, x0=x0)
        if path is not None:
            write_text(path, text)
        return text

    def to_verilog_a(self, path: str | Path | None = None, *, name: str | None = None) -> str:
        """Return the device's Verilog-A module ``name(p, n)``, and write it to ``path`` if given.

        The default of its parameter ``area`` is the area here.

        Parameters
        ----------
        path
            Where to write it; ``None`` for nowhere.
        name
            Name of the module; by default ``memtwin_`` and the model's.

        Raises
        ------
        InputError
            If ``name`` can't be the name of a module.
        """
        from .printing.verilog_a import module

        text = module(self.model, name, values=self.parameters, area=self.area)
        if path is not None:
            write_text(path, text)
        return text

    def export(
        self,
        path: str | Path | None = None,
        *,
        to: str = "ngspice",
        name: str = "memristor",
        x0: float = 0.5,
        state: float | None = None,
    ) -> str:
        """Return the device as another program reads it, and write it to ``path`` if given.

        Parameters
        ----------
        path
            Where to write it; ``None`` for nowhere.
        to
            One of :data:`.printing.export.FORMATS`: ``ngspice``, ``ltspice``, ``xyce``, ``verilog-a``,
            ``toml``, ``json``.
        name
            Name of the subcircuit or module.
        x0
            State at the start, of subcircuits.
        state
            Freeze the state here: the read law alone, as a subcircuit of ``ngspice``, ``ltspice`` or
            ``xyce``. A model without dynamics is always written so.

        Raises
        ------
        InputError
            If there is no such format, it has no frozen states, or name or state can't be.
        """
        from .printing.export import export_text

        text = export_text(self, to, name=name, x0=x0, state=state)
        if path is not None:
            write_text(path, text)
        return text

    def save(self, path: str | Path) -> Path:
        """Write the device as TOML: parameters with units and standard errors, its provenance, and
        the equations of a model that memtwin does not have itself.
        """
        return write_text(Path(path), device_text(self))

    def __repr__(self) -> str:
        area = "" if self.area == 1.0 else f", area {self.area:.4g}"
        return f"<Device {self.name}: {self.model.name}, {len(self.parameters)} parameters{area}>"

    def __str__(self) -> str:
        return as_text(repr(self)[1:-1], self._rows())

    def _repr_html_(self) -> str:
        return as_html(repr(self)[1:-1], self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            (
                row.name,
                value_text(
                    self.parameters[row.name],
                    self.stderr.get(row.name),
                    self.unidentified.get(row.name),
                    row.unit,
                ),
            )
            for row in self.model.parameters
        ]
        facts = ("stack", "source", "doi", "licence", "rms_percent")
        rows += [(key, str(self.meta[key])) for key in facts if self.meta.get(key)]
        return [*rows, ("caveat", self.caveat)] if self.caveat else rows


@dataclass(frozen=True)
class Levels:
    """L conductance levels of one device at a read voltage.

    Attributes
    ----------
    device
        The device; its law at state ``x[k]`` is the read I-V law of level k.
    v_read
        Read voltage [V] at which the conductances hold.
    g
        Conductances i/v, rising, (L,) [S].
    x
        States of the same levels, as the model counts them, (L,).
    """

    device: Device
    v_read: float
    g: Array
    x: Array

    @property
    def count(self) -> int:
        """Number of levels L."""
        return len(self.g)

    @property
    def step(self) -> float:
        """Mean distance between neighbouring levels [S]."""
        return float(self.g[-1] - self.g[0]) / (self.count - 1)

    def at(self, temperature: float) -> "Levels":
        """Return the same conductances held by the device at an ambient temperature [K]: in other
        states, where its current depends on the temperature.

        Raises
        ------
        InputError
            If the model has no temperature, or the device can't have a conductance there.
        """
        device = self.device.at(temperature)
        return replace(self, device=device, x=device.state(self.g, self.v_read))

    def __repr__(self) -> str:
        low, high = 1e6 * self.g[0], 1e6 * self.g[-1]
        return (
            f"<Levels: {self.count} from {low:.4g} to {high:.4g} µS at {self.v_read:g} V,"
            f" {self.device.name}>"
        )


def load_device(name: str | Path) -> Device:
    """Load a shipped device by name, or any device by the path of its TOML or JSON file.

    Its ``model`` is a registered model's name, the path of a model's file (from the device's folder), or a table with
    the equations, see :mod:`.equations.model_file`.

    Raises
    ------
    InputError
        If there is no such device, its file is not a device description, or its model is unknown.
    """
    return Device(**device_fields(name))


def value_text(value: float, stderr: float | None, reason: str | None, unit: str = "1") -> str:
    """Return a parameter with its unit and what is known of it: ``5.2 ± 0.1 V``, ``1 (fixed)``.

    Parameters
    ----------
    value, stderr
        In ``unit``; a parameter without a standard error was not fitted.
    reason
        Why the data do not pin it down, if they do not.
    unit
        ``"1"`` for a pure number.
    """
    text, shown = measured(value, stderr, unit)
    text += "" if unit == "1" else f" {shown}"
    if reason is not None or stderr == np.inf:
        return f"{text} (unidentified)"
    return f"{text} (fixed)" if stderr is None else text
