"""Devices as TOML or JSON files: a model by name or with its equations, parameters with errors, provenance."""

__all__ = [
    "device_fields",
    "device_json",
    "device_text",
    "shipped_by_model",
    "shipped_devices",
]

import json
import math
import tomllib
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
    "temperature": (int, float),
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
    if str(name).endswith((".toml", ".json")):
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
    read = _read_json(path) if path.suffix == ".json" else read_toml(path)
    tree: dict[str, Any] = {"area": 1.0, "meta": {}} | read
    for key, kind in _KEYS.items():
        if key == "temperature" and key not in tree:
            continue
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
            error = math.inf if row["stderr"] is None else row["stderr"]
            errors[parameter] = _number(error, f"{path}: parameters.{parameter}.stderr")
        if "unidentified" in row:
            reasons[parameter] = str(row["unidentified"])
    area = _number(tree["area"], f"{path}: area")
    model = _model(tree["model"], path)
    if "temperature" in tree:
        if not model.ambient:
            raise InputError(f"{path}: model {model.name} has no temperature: leave the key out")
        values[model.ambient] = _number(tree["temperature"], f"{path}: temperature")
    return {
        "name": tree["name"],
        "model": model,
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


def device_json(device: Kept) -> str:
    """Return a device as JSON: what :func:`device_text` says under the same keys, and the equations of any model for
    those who read it elsewhere.

    A standard error that is not known, infinite in TOML, is null.
    """
    model = device.model
    kept = model_text(model, "model")
    rows: dict[str, dict[str, Any]] = {}
    for row in model.parameters:
        cells: dict[str, Any] = {"value": device.parameters[row.name]}
        if row.name in device.stderr:
            error = float(device.stderr[row.name])
            cells["stderr"] = error if math.isfinite(error) else None
        if row.name in device.unidentified:
            cells["unidentified"] = device.unidentified[row.name]
        rows[row.name] = {**cells, "unit": row.unit, "meaning": row.meaning}
    rate = None if model.rate_expr is None else str(model.rate_expr)
    tree = {
        "name": device.name,
        "model": tomllib.loads(kept)["model"] if kept.startswith("[") else kept,
        "area": device.area,
        "parameters": rows,
        "equations": {
            "title": model.title,
            "doi": model.doi,
            "current [A]": str(model.current_expr),
            "dX/dt [1/s]": rate,
            "state_range": [x if math.isfinite(x) else None for x in model.state_range],
            "symbols": "V: voltage behind r_s, positive sets [V]; X: state, high in the LRS; the current is that of"
            " area 1",
        },
        "meta": _plain(device.meta),
    }
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return a value of ``meta`` as JSON has it; numbers without end become text, as ``inf``."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no device: expected name, model and parameters")
    return tree
