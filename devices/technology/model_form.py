"""A dynamic model behind a transistor as a fit of pulse maps searches it: what is freed, and where that begins.

A model's own parameters are of another device. What it conducts at both ends of its state is first spread over what the
map's cells read, then the parameters that are freed are put where its cell SETs within 100 ns at the map's voltage.
From there they are searched, each held near that beginning by a weak prior.
"""

__all__ = ["ModelForm", "model_forms"]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from ...data.errors import InputError, nearest
from ...data.types import Array
from ..device import Device
from ..device_file import shipped_devices
from ..model import SERIES, Parameter
from ..models import models
from .combinations import Combinations
from .forms import PULSE, Form, first_transistor, first_voltages, shared, top_level
from .switching import CellLaw, ModelLaw, device_or_model, evenly_read

_STATES = 200  # of a cell that is asked for its range, or for its time
_WEAK = 0.05  # of a deviation: how much a beginning clings to the device's own values
_LEAST_SPAN = 3.0  # times the highest level that is read: what a cell of its own must reach
_GOOD_SPAN = 12.0
_FAR = 5.0  # e-folds of time by which a beginning may miss 100 ns
_STEEP = 0.02
_YEAR = 17.0  # ln of its seconds
_LOST = 0.05  # of the state's range in a second without voltage


@dataclass(frozen=True)
class ModelForm(Form):
    """A model as it is searched.

    Attributes
    ----------
    device
        The device whose parameters are those of the beginning.
    named
        What the law calls it.
    free
        Parameters that are searched.
    v_read
        Voltage of the reads [V].
    v_cell
        Voltage at which the beginning's cell SETs within 100 ns [V].
    """

    device: Device
    named: str
    free: tuple[Parameter, ...]
    v_read: float
    v_cell: float

    spread_names = ("s_v_t", "s_log10_rate", "s_r_read", "s_u")
    spread_start = (0.07, 1.0, 0.2, 0.06)

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the parameters that are searched."""
        return tuple(row.name for row in self.free)

    @property
    def centre(self) -> Array:
        """Where the search begins, as it is searched, (free,)."""
        return _searched(self.free, self.device.parameters)

    def starts(self, data: Combinations) -> list[Array]:
        """Return the beginning: the transistor carries what the cell does as it SETs, of which a read shows less."""
        first = first_transistor(data)
        x = np.array([0.5 * sum(self.device.model.state_range)])
        more = self.device.conductance(x, self.v_cell) / self.device.conductance(x, self.v_read)
        first[0] += float(np.log(more[0]))
        return [np.concatenate((first, self.centre))]

    def law(self, x: Array) -> CellLaw:
        """Return the law; it holds every parameter, so that it needs no file."""
        transistor, r_read, r_write = shared(x)
        values = {**self.device.parameters, **_values(self.free, self._of(x))}
        return ModelLaw(
            transistor, self.named, self.v_read, self.device.area, r_read, r_write, values
        )

    def own_prior(self, x: Array) -> Array:
        """Return how far each parameter is from its beginning, and beyond its bounds."""
        z = self._of(x)
        inside = _searched(self.free, _values(self.free, z))
        return np.asarray((z - self.centre) / self._width + 10.0 * (z - inside) / self._width)

    def own_scales(self, x: Array) -> Iterable[float]:
        """Return each parameter where its logarithm is searched, else its unit."""
        values = _values(self.free, self._of(x))
        return [values[row.name] if row.log else 1.0 for row in self.free]

    def _of(self, x: Array) -> Array:
        """Return the model's own of searched numbers."""
        first = len(self.names) - len(self.free)
        return x[first : first + len(self.free)]

    @property
    def _width(self) -> Array:
        return _widths(self.free, self.centre)


def model_forms(
    name: str, data: Combinations, free: Sequence[str], v_read: float
) -> list[ModelForm]:
    """Return a model as it is searched, once for each voltage that the map's cells may have as they SET.

    Parameters
    ----------
    name
        A shipped device, the path of a device's file, or a model.
    data
        Combinations of pulses, and what they did.
    free
        Parameters that are searched; empty for those that the speed of a SET depends on and a read does not.
    v_read
        Voltage of the map's reads [V].

    Raises
    ------
    InputError
        If the model can't do what the map's cells do, or has no such parameter.
    """
    device = _known(name)
    if not device.dynamic:
        raise InputError(f"SET law {name}: the model has no dynamics, no pulse moves it")
    _check_kept(name, device, float(data.v_bl.max()))
    for one in free:
        device.model.parameter(one)
    device = _spread_over(name, device, data, v_read)
    forms = []
    for v_cell in first_voltages(data):
        rows = _free_rows(name, device, free, v_cell, v_read)
        begun = _timed(name, device, rows, v_cell, v_read, data)
        forms.append(ModelForm(begun, name, rows, v_read, v_cell))
    return forms


def _known(name: str) -> Device:
    try:
        return device_or_model(name)
    except InputError as error:
        if name.endswith((".toml", ".json")):
            raise
        known = ["exponential", "power", *shipped_devices(), *models]
        near = nearest(name, known)
        raise InputError(
            f"there is no SET law {name!r}{near if 'mean' in near else ''}: it is exponential, power, or a model or"
            " device with dynamics, as memtwin models list has them, or a device's file"
        ) from error


def _check_kept(name: str, device: Device, v_max: float) -> None:
    """Refuse a state that no positive voltage lifts, or that is not kept without one."""
    low, high = device.model.state_range
    if not np.isfinite(high - low):
        raise InputError(f"SET law {name}: the model's state has no bounds")
    x = low + (high - low) * np.array([0.1, 0.3, 0.5, 0.9])
    lost = float(-device.rate(np.zeros(1), x).min()) / (high - low)
    if lost > _LOST:
        raise InputError(
            f"SET law {name}: the model forgets its state within {1.0 / lost:.2g} s at 0 V, what a pulse leaves"
            " would be gone when it is read"
        )
    v = np.linspace(0.05, 1.0, 20)[:, None] * v_max
    if not (device.rate(v, x[:3]) > 0.0).any():
        raise InputError(f"SET law {name}: no voltage up to {v_max:g} V lets the model SET")


def _spread_over(name: str, device: Device, data: Combinations, v_read: float) -> Device:
    """Return the device with an area and scales of its current for which its states span what the map's cells read."""
    start = float(np.median(np.concatenate(data.g_before)))
    low = np.log(max(float(np.quantile(np.concatenate(data.g_before), 0.1)), 0.1 * start))
    high, least = (np.log(top_level(data) * by) for by in (_GOOD_SPAN, _LEAST_SPAN))
    evenly_read(device, v_read, 2)  # refuses what does not grow
    rows = [row for row in _movable(device) if row.log and _acts_on_reads(device, row, v_read)]
    own = np.append(_searched(rows, device.parameters), 0.0)

    def changed(z: Array) -> Device:
        values = {**device.parameters, **_values(rows, z[:-1])}
        return replace(device, parameters=values, area=float(np.exp(z[-1])))

    def ends(z: Array) -> Array:
        state = np.array(device.model.state_range) + np.array([1e-6, -1e-6])
        return np.log(np.maximum(changed(z).conductance(state, v_read), 1e-30))

    def residuals(z: Array) -> Array:
        bottom, top = ends(z)
        short = (max(bottom - low, 0.0), max(high - top, 0.0))
        return np.append(short, _WEAK * (z - own) / np.append(np.full(len(rows), 3.0), 100.0))

    begin = own.copy()
    begin[-1] = high - ends(own)[1]
    found = least_squares(residuals, begin, x_scale=1.0, max_nfev=100).x
    bottom, top = ends(found)
    if top < least or bottom > np.log(start):
        raise InputError(
            f"SET law {name}: the model's conductance spans a factor of {np.exp(top - bottom):.3g} at {v_read:g} V,"
            f" that of the map's cells {np.exp(least - np.log(start)):.3g} and more"
        )
    return changed(found)


def _free_rows(
    name: str, device: Device, free: Sequence[str], v_cell: float, v_read: float
) -> tuple[Parameter, ...]:
    """Return the parameters to search: those that are named, else all that a SET's speed depends on and a read does
    not; where these are fewer than two, those too that fits hold otherwise.
    """
    if free:
        return tuple(device.model.parameter(one) for one in dict.fromkeys(free))
    rows = [row for row in _movable(device, held=True) if _acts_on_rate(device, row, v_cell)]
    rows = [row for row in rows if not _acts_on_reads(device, row, v_read)]
    usual = [row for row in rows if not row.fixed]
    chosen = tuple(usual if len(usual) > 1 else [row for row in rows if row.name != "smooth"])
    if not chosen:
        raise InputError(
            f"SET law {name}: no parameter of the model sets the speed of a SET alone: name those to search, --free"
        )
    return chosen


def _movable(device: Device, *, held: bool = False) -> list[Parameter]:
    kept = {SERIES.name, device.model.ambient}
    return [
        row for row in device.model.parameters if row.name not in kept and (held or not row.fixed)
    ]


def _stepped(device: Device, row: Parameter) -> Device:
    value = device.parameters[row.name]
    step = 1e-3 * (abs(value) or row.upper - row.lower)
    step = step if value + step <= row.upper else -step
    return replace(device, parameters={**device.parameters, row.name: value + step})


def _acts_on_reads(device: Device, row: Parameter, v_read: float) -> bool:
    x = _middle(device)
    here, there = (one.current(v_read, x) for one in (device, _stepped(device, row)))
    return bool(np.abs(there / here - 1.0).max() > 1e-7)


def _acts_on_rate(device: Device, row: Parameter, v_cell: float) -> bool:
    """Return whether a SET's time depends on a parameter, at the cell's voltage and a little above."""
    x, v = _middle(device), v_cell * np.array([[1.0], [1.2]])
    here, there = (one.rate(v, x) for one in (device, _stepped(device, row)))
    change = np.abs(there - here) > 1e-7 * np.abs(here)
    return bool((change & np.isfinite(there)).any())


def _middle(device: Device) -> Array:
    low, high = device.model.state_range
    return low + (high - low) * np.linspace(0.02, 0.98, 13)


def _timed(
    name: str,
    device: Device,
    rows: Sequence[Parameter],
    v_cell: float,
    v_read: float,
    data: Combinations,
) -> Device:
    """Return the device with freed parameters for which a cell SETs within 100 ns at its voltage, about as steeply as
    cells do.
    """
    own = _searched(rows, device.parameters)
    width = _widths(rows, own)
    first = np.log(float(np.median(np.concatenate(data.g_before))))
    x, u = evenly_read(device, v_read, _STATES)
    chosen = (u + np.log(1e-6) >= first) & (u + np.log(1e-6) <= first + np.log(5.0))
    x = x[chosen] if chosen.sum() > 3 else x[: _STATES // 4]

    def ln_time(cell: Device, v: float) -> float:
        slow = 1.0 / np.maximum(cell.rate(v, x), 1e-250)
        return float(np.log(np.trapezoid(slow, x)))

    def changed(z: Array) -> Device:
        return replace(device, parameters={**device.parameters, **_values(rows, z)})

    def residuals(z: Array) -> Array:
        cell = changed(z)
        ends = [ln_time(cell, v_cell * by) for by in (0.99, 1.0, 1.01)]
        steep = (ends[0] - ends[2]) * _STEEP / 0.02  # 1 where e-fold by 2 % of the voltage
        off = np.array([(ends[1] - np.log(PULSE)) / 0.2, np.log(max(steep, 1e-3))])
        return np.concatenate((off, 3.0 * _WEAK * (z - own) / width))

    bounds = (_searched(rows, {r.name: r.lower for r in rows}), _ends(rows))
    inside = np.clip(own, bounds[0] + 1e-9, bounds[1] - 1e-9)
    found = least_squares(residuals, inside, bounds=bounds, x_scale=width, max_nfev=300).x
    begun = changed(found)
    took = ln_time(begun, v_cell)
    if abs(took - np.log(PULSE)) > _FAR:
        told = f"{np.exp(took):.2g} s" if took < _YEAR else "more than a year"
        raise InputError(
            f"SET law {name}: within the bounds of {', '.join(row.name for row in rows)} the model takes {told} to SET"
            f" at {v_cell:.2g} V, the map's cells take about {PULSE:g} s"
        )
    return begun


def _ends(rows: Sequence[Parameter]) -> Array:
    return _searched(rows, {row.name: row.upper for row in rows})


def _searched(rows: Sequence[Parameter], values: Mapping[str, float]) -> Array:
    """Return parameters as they are searched: logarithms of those that span decades."""
    return np.array(
        [np.log(max(values[r.name], r.lower)) if r.log else values[r.name] for r in rows], float
    )


def _values(rows: Sequence[Parameter], z: Array) -> dict[str, float]:
    """Return parameters of what is searched, within their bounds."""
    found = (
        float(np.exp(min(one, 700.0))) if r.log else float(one)
        for r, one in zip(rows, z, strict=True)
    )
    return {
        row.name: min(max(value, row.lower), row.upper)
        for row, value in zip(rows, found, strict=True)
    }


def _widths(rows: Sequence[Parameter], centre: Array) -> Array:
    """Return how far parameters may be from where they begin: a decade, or a third."""
    wide = [
        np.log(10.0) if row.log else max(0.3 * abs(float(one)), 0.02 * (row.upper - row.lower))
        for row, one in zip(rows, centre, strict=True)
    ]
    return np.array(wide)
