"""One device: a compact model with one parameter set, scaled to an area.

A device of ``area`` a (relative to the one that was fitted) carries a times the current at the
same voltage and state: current densities and the state's dynamics stay, its series resistance is
divided by a.
"""

__all__ = ["Device", "device_text", "load_device", "save_device", "shipped_devices", "value_text"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..data.errors import InputError, Unregistered, nearest
from ..data.files import read_toml, toml_key, toml_value, write_text
from ..data.pack import UNSAVED, register
from ..data.store import digest
from ..data.types import Array
from .equations.model_file import load_model, model_text, parse_model, parse_model_text
from .model import CompactModel

register(CompactModel, str, model_text, lambda text: parse_model_text(text, "model"))

_LIBRARY = Path(__file__).parent / "library"
_KEYS: Mapping[str, Any] = {
    "name": str,
    "model": (str, dict),
    "parameters": dict,
    "area": (int, float),
    "meta": dict,
}
_NEAR_0V = 1e-3
"""Where a device must have a conductance [V]."""
_SAID: Mapping[Any, str] = {
    str: "a string",
    dict: "a table",
    (int, float): "a number",
    (str, dict): "a string or a table",
}


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
        return "" if self.meta.get("converged", True) else "its fit did not converge"

    @property
    def digest(self) -> str:
        """Hash of all that the device's behaviour depends on."""
        return digest(
            self.model.name,
            str(self.model.current_expr),
            str(self.model.rate_expr),
            dict(self.parameters),
            self.area,
        )

    def scaled(self, area: float) -> "Device":
        """Return the same device at ``area`` times the area it was fitted at."""
        return replace(self, area=area)

    def current(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return the current [A] at terminal voltage v [V] and state x (broadcasting)."""
        return self.area * self.model.current(v, x, self.parameters)

    def didv(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return di/dv [S] at constant state."""
        return self.area * self.model.didv(v, x, self.parameters)

    def didx(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return di/dx [A] at constant voltage."""
        return self.area * self.model.didx(v, x, self.parameters)

    def rate(self, v: ArrayLike, x: ArrayLike) -> Array:
        """Return dx/dt [1/s]; independent of the area."""
        return self.model.rate(v, x, self.parameters)

    def conductance(self, x: ArrayLike, v_read: float) -> Array:
        """Return i/v at the read voltage [S]."""
        return self.current(v_read, x) / v_read

    def state(self, g: ArrayLike, v_read: float) -> Array:
        """Return the state whose conductance i/v at ``v_read`` is g [S], of g's shape.

        Raises
        ------
        InputError
            If some g lies outside what the device reaches at that voltage.
        """
        if v_read == 0 or not np.isfinite(v_read):
            raise InputError(f"read voltage is {v_read} V, expected a number other than 0")
        g = np.asarray(g, float)
        x = self.model.state(g * v_read / self.area, v_read, self.parameters)
        low, high = self.model.state_range
        slack = 1e-9 if np.isfinite(high) else 0.0
        wrong = ~((x >= low - slack) & (x <= high + slack))
        if wrong.any():
            reach = (
                self.conductance(np.array([low, min(high, 1e300)]), v_read)
                if np.isfinite(high)
                else None
            )
            span = "0 S and more" if reach is None else f"{min(reach):.4g} to {max(reach):.4g} S"
            raise InputError(
                f"device {self.name} can't have a conductance of {g[wrong].flat[0]:.4g} S"
                f" at {v_read} V: it reaches {span}"
            )
        return np.clip(x, low, high)


def shipped_devices() -> list[str]:
    """Return the names of the devices that come with the package."""
    return sorted(path.stem for path in _LIBRARY.glob("*.toml"))


def load_device(name: str | Path) -> Device:
    """Load a shipped device by name, or any device by the path of its TOML file.

    Its ``model`` is a registered model's name, the path of a model's file (from the device's folder), or a table with
    the equations, see :mod:`.equations.model_file`.

    Raises
    ------
    InputError
        If there is no such device, or its file is not a device description.
    """
    path = Path(name) if str(name).endswith(".toml") else _LIBRARY / f"{name}.toml"
    if not path.is_file():
        if path.parent == _LIBRARY:
            raise InputError(
                f"there is no shipped device {str(name)!r}{nearest(str(name), shipped_devices())}"
            )
        raise InputError(f"there is no device file {path}")
    tree: dict[str, Any] = {"area": 1.0, "meta": {}} | read_toml(path)
    for key, kind in _KEYS.items():
        if key not in tree:
            raise InputError(
                f"{path}: key {key!r} is missing; expected name, model and [parameters]"
            )
        if not isinstance(tree[key], kind) or isinstance(tree[key], bool):
            raise InputError(f"{path}: {key} is {tree[key]!r:.60}, expected {_SAID[kind]}")
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for parameter, row in tree["parameters"].items():
        row = row if isinstance(row, dict) else {"value": row}
        values[parameter] = _number(row.get("value"), f"{path}: parameters.{parameter}")
        if "stderr" in row:
            errors[parameter] = _number(row["stderr"], f"{path}: parameters.{parameter}.stderr")
        if "unidentified" in row:
            reasons[parameter] = str(row["unidentified"])
    area = _number(tree["area"], f"{path}: area")
    return Device(
        tree["name"], _model(tree["model"], path), values, errors, area, tree["meta"], reasons
    )


def _model(given: str | dict[str, Any], path: Path) -> CompactModel:
    if isinstance(given, dict):
        return parse_model(given, f"{path}: model")
    try:
        return load_model(given, folder=path.parent)
    except Unregistered as error:
        raise Unregistered(f"{path}: {error}") from error


def _number(value: Any, where: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise InputError(f"{where} is {value!r:.60}, expected a number")


def save_device(device: Device, path: str | Path) -> Path:
    """Write a device as TOML, see :func:`device_text`."""
    return write_text(Path(path), device_text(device))


def device_text(device: Device) -> str:
    """Return a device as TOML: parameters with units and standard errors, its provenance, and the equations of a model
    that memtwin does not have itself.
    """
    model = model_text(device.model, "model")
    lines = [f"name = {toml_value(device.name)}"]
    lines += [] if model.startswith("[") else [f"model = {toml_value(model)}"]
    lines += [f"area = {device.area!r}", "", "[parameters]"]
    for row in device.model.parameters:
        cells = [f"value = {device.parameters[row.name]!r}"]
        if row.name in device.stderr:
            cells.append(f"stderr = {float(device.stderr[row.name])!r}")
        if row.name in device.unidentified:
            cells.append(f"unidentified = {toml_value(device.unidentified[row.name])}")
        cells.append(f"unit = {toml_value(row.unit)}")
        lines.append(f"{row.name} = {{ {', '.join(cells)} }}")
    if device.meta:
        lines += ["", "[meta]"]
        lines += [f"{toml_key(key)} = {toml_value(value)}" for key, value in device.meta.items()]
    lines += ["", model.rstrip()] if model.startswith("[") else []
    return "\n".join(lines) + "\n"


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
    text = f"{value:.5g}"
    if stderr is not None and np.isfinite(stderr):
        text += f" ± {stderr:.2g}"
    text += "" if unit == "1" else f" {unit}"
    if reason is not None or stderr == np.inf:
        return f"{text} (unidentified)"
    return f"{text} (fixed)" if stderr is None else text
