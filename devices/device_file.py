"""Devices as TOML files: a model by name or with its equations, parameters with errors, provenance."""

__all__ = ["device_fields", "device_text", "shipped_by_model", "shipped_devices"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..data.errors import InputError, Unregistered, nearest
from ..data.files import read_toml, toml_key, toml_value
from .equations.model_file import load_model, model_text, parse_model
from .model import CompactModel

_LIBRARY = Path(__file__).parent / "library"
_KEYS: Mapping[str, Any] = {
    "name": str,
    "model": (str, dict),
    "parameters": dict,
    "area": (int, float),
    "meta": dict,
}
_SAID: Mapping[Any, str] = {
    str: "a string",
    dict: "a table",
    (int, float): "a number",
    (str, dict): "a string or a table",
}


class Kept(Protocol):
    """What a file keeps of a device."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> CompactModel: ...
    @property
    def parameters(self) -> Mapping[str, float]: ...
    @property
    def stderr(self) -> Mapping[str, float]: ...
    @property
    def unidentified(self) -> Mapping[str, str]: ...
    @property
    def area(self) -> float: ...
    @property
    def meta(self) -> Mapping[str, Any]: ...


def _shipped() -> dict[str, Path]:
    return {
        path.stem: path for path in sorted(_LIBRARY.glob("*/*.toml"), key=lambda path: path.stem)
    }


def shipped_devices() -> list[str]:
    """Return the names of the devices that come with the package."""
    return list(_shipped())


def shipped_by_model() -> dict[str, list[str]]:
    """Return the same by model, whose name their folder has."""
    found: dict[str, list[str]] = {}
    for name, path in _shipped().items():
        found.setdefault(path.parent.name, []).append(name)
    return found


def device_fields(name: str | Path) -> dict[str, Any]:
    """Return what the file of a shipped device, or of any device by its path, says: arguments of
    :class:`.device.Device`.

    Its ``model`` is a registered model's name, the path of a model's file (from the device's folder), or a table with
    the equations, see :mod:`.equations.model_file`.

    Raises
    ------
    InputError
        If there is no such device, or its file is not a device description.
    """
    if str(name).endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"there is no device file {path}")
    else:
        shipped = _shipped()
        if str(name) not in shipped:
            raise InputError(
                f"there is no shipped device {str(name)!r}{nearest(str(name), shipped)}"
            )
        path = shipped[str(name)]
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
    return {
        "name": tree["name"],
        "model": _model(tree["model"], path),
        "parameters": values,
        "stderr": errors,
        "area": area,
        "meta": tree["meta"],
        "unidentified": reasons,
    }


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


def device_text(device: Kept) -> str:
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
