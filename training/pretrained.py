"""Float weights from elsewhere: ``.npz``, safetensors, or a torch ``state_dict``, as matrices.

Arrays are taken in their order, each with the layer that is next; where that is the alphabet's, as
safetensors has it, numbers in names count as numbers, and the layers' shapes decide. A kernel (outputs, inputs, height,
width) or matrix (outputs, inputs) is turned into ours, inputs in the order (height, width, channels);
a vector after it is its bias. A batch normalisation in the file is folded into the layer before it,
unless the network has one of its own.
"""

__all__ = ["Pretrained", "load_weights", "read_weights"]

import json
import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..data.errors import InputError
from ..data.types import Array32
from .layers.norm import FLOOR, BatchNorm
from .layers.weighted import Conv2d, Shape
from .network import Network, walk

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "u1",
    "BOOL": "?",
}

STATES = ("state_dict", "model_state_dict", "model")
"""Names under which checkpoints of torch keep a state_dict."""

NORMS = ("weight", "bias", "running_mean", "running_var")
"""What a state_dict holds of a normalisation, in the order of a state's rows."""


Group: TypeAlias = tuple[str, dict[str, Array32]]
"""The name of a layer, and its arrays."""


class Pretrained(NamedTuple):
    """Where a training starts."""

    matrices: list[Array32]
    """Float matrices of the network, (rows, cols) each, the bias row included."""
    norms: list[Array32]
    """States of its normalisations, (4, channels) each."""


def read_weights(path: str | Path) -> dict[str, Any]:
    """Return the arrays of a file by their names, in their order.

    Raises
    ------
    InputError
        If the file can't be read, or is of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file of weights {str(path)!r}")
    try:
        if path.suffix == ".npz":
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix == ".safetensors":
            return _safetensors(path.read_bytes())
        if path.suffix in (".pt", ".pth"):
            return _torch(path)
    except InputError:
        raise
    except Exception as error:  # numpy, zipfile and torch have many words for a damaged file
        said = str(error).partition("\n")[0]
        raise InputError(f"can't read the weights in {path}: {said}") from error
    raise InputError(f"{path}: expected weights in .npz, .safetensors, .pt or .pth")


def load_weights(network: Network, source: str | Path | Mapping[str, Any]) -> Pretrained:
    """Return ``network``'s matrices, and the states of its normalisations, out of a file or arrays by
    name, such as a ``state_dict``.

    Raises
    ------
    InputError
        If arrays are too few, too many, or of shapes that don't fit: which one is said.
    """
    where = "weights" if isinstance(source, Mapping) else str(source)
    found = dict(source) if isinstance(source, Mapping) else read_weights(source)
    arrays = {str(name): _numbers(one, f"{where}: {name!r}") for name, one in found.items()}
    groups = _grouped(arrays)
    if list(arrays) == sorted(arrays):
        groups = _in_order(sorted(groups, key=lambda group: _natural(group[0])), network)
    matrices: list[Array32] = []
    states: list[Array32] = []
    for layer, shape in walk(network.layers, network.shape):
        if isinstance(layer, BatchNorm):
            name, parts = _next(groups, where, layer, norm=True)
            if any(part.shape != (shape[-1],) for part in parts.values()):
                raise InputError(f"{where}: {name} does not fit {layer} of {shape[-1]} channels")
            states.append(np.stack([parts[part] for part in NORMS]))
        elif hasattr(layer, "groups"):
            name, parts = _next(groups, where, layer, norm=False)
            matrix = _matrix(layer, shape, parts, f"{where}: {name}")
            follows = groups and "running_mean" in groups[0][1]
            if follows and not network.states():
                matrix = _folded(matrix, groups.pop(0)[1])
            count = layer.groups
            matrices += [np.ascontiguousarray(part) for part in np.split(matrix, count, axis=1)]
    if groups:
        raise InputError(f"{where}: {groups[0][0]!r} is left over, the network has no layer for it")
    if not all(np.isfinite(one).all() for one in (*matrices, *states)):
        raise InputError(f"{where}: weights must be finite numbers")
    return Pretrained(matrices, states)


def _numbers(one: Any, where: str) -> Array32:
    try:
        plain = one.detach().cpu().float().numpy() if hasattr(one, "detach") else one
        return np.asarray(plain, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where} is no array of numbers: give a state_dict, or arrays by name"
        ) from error


def _natural(name: str) -> list[Any]:
    """Return what sorts ``conv2`` before ``conv10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _in_order(groups: list[Group], network: Network) -> list[Group]:
    """Return groups in the order of the network's layers, where their shapes allow one order only; as
    they are where they fit so, or can't be told apart.
    """
    units: list[list[Group]] = []  # a matrix, and the normalisations after it
    for group in groups:
        if "running_mean" not in group[1] or not units:
            units.append([])
        units[-1].append(group)
    layers = [one for one in walk(network.layers, network.shape) if hasattr(one[0], "groups")]
    if len(units) != len(layers):
        return groups

    def fits(layer: Any, shape: Shape, unit: list[Group]) -> bool:
        try:
            _matrix(layer, shape, unit[0][1], "")
        except (InputError, KeyError):
            return False
        return True

    fitting = [{k for k, unit in enumerate(units) if fits(*one, unit)} for one in layers]
    if all(k in found for k, found in enumerate(fitting)):
        return groups
    places: dict[int, int] = {}
    while len(places) < len(layers):
        left = {layer: fitting[layer] - set(places.values()) for layer in range(len(layers))}
        told = [layer for layer, found in left.items() if layer not in places and len(found) == 1]
        if not told:
            return groups
        places[told[0]] = left[told[0]].pop()
    return [group for layer in range(len(layers)) for group in units[places[layer]]]


def _grouped(arrays: Mapping[str, Array32]) -> list[Group]:
    """Gather arrays by layer: those of one prefix, or a matrix and the vector after it."""
    groups: list[Group] = []
    for name, array in arrays.items():
        prefix, _, part = name.rpartition(".")
        if part == "num_batches_tracked":
            continue
        if part in NORMS:
            if groups and groups[-1][0] == prefix:
                groups[-1][1][part] = array
            else:
                groups.append((prefix, {part: array}))
        elif array.ndim == 1 and groups and "bias" not in groups[-1][1]:
            groups[-1][1]["bias"] = array
        else:
            groups.append((name, {"weight": array}))
    return groups


def _next(
    groups: list[Group], where: str, layer: Any, *, norm: bool
) -> tuple[str, dict[str, Array32]]:
    if not groups:
        raise InputError(f"{where} holds no weights for {layer}")
    name, parts = groups.pop(0)
    if norm != ("running_mean" in parts) or (norm and len(parts) != len(NORMS)):
        raise InputError(f"{where}: {name!r} comes where weights for {layer} were expected")
    return name, parts


def _matrix(layer: Any, shape: Shape, parts: Mapping[str, Array32], name: str) -> Array32:
    """Return the matrix (rows, outputs), a bias row last; of a convolution in groups all side by side."""
    weight, bias = parts["weight"], parts.get("bias")
    rows, cols = layer.fan_in(shape), layer.output(shape)[-1]
    wanted = (
        (cols, shape[2] // layer.groups, layer.kernel, layer.kernel)
        if isinstance(layer, Conv2d)
        else (cols, rows)
    )
    if weight.shape == wanted:
        if isinstance(layer, Conv2d):
            body = weight.transpose(2, 3, 1, 0).reshape(rows, cols)
        elif len(shape) == 3:  # torch lays images flat channel by channel
            body = (
                weight.reshape(cols, shape[2], *shape[:2]).transpose(2, 3, 1, 0).reshape(rows, cols)
            )
        else:
            body = weight.T
    elif bias is None and weight.shape == (rows + 1, cols):
        return weight
    elif weight.shape == (rows, cols):
        body = weight
    else:
        raise InputError(f"{name} is of shape {weight.shape}, {layer} takes {wanted}")
    if bias is None:
        bias = np.zeros(cols, np.float32)
    if bias.shape != (cols,):
        raise InputError(f"{name}: the bias is of shape {bias.shape}, {layer} takes ({cols},)")
    return np.vstack([body, bias]).astype(np.float32)


def _folded(matrix: Array32, norm: Mapping[str, Array32]) -> Array32:
    """Return the matrix that does what it and the normalisation after it did."""
    mean, variance = norm["running_mean"], norm["running_var"]
    slope = norm.get("weight", np.ones_like(mean)) / np.sqrt(variance + FLOOR)
    folded = matrix * slope
    folded[-1] += norm.get("bias", np.zeros_like(mean)) - mean * slope
    return np.asarray(folded, np.float32)


def _safetensors(raw: bytes) -> dict[str, Any]:
    """Read the format of huggingface/safetensors: a length, a JSON header, and the arrays' bytes."""
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    data, arrays = raw[8 + size :], {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _TYPES:
            raise InputError(
                f"{name} is of type {entry['dtype']}, expected one of {', '.join(_TYPES)}"
            )
        kind, shape = np.dtype(_TYPES[entry["dtype"]]), tuple(entry["shape"])
        start, end = entry["data_offsets"]
        if end - start != prod(shape) * kind.itemsize or end > len(data):
            raise InputError(f"{name} ends early")
        array = np.frombuffer(data[start:end], kind).reshape(shape)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            array = (array.astype("<u4") << 16).view("<f4")
        arrays[name] = (start, array)
    # The header may be sorted by name; the bytes lie in the order of whoever wrote them.
    return {name: one for name, (_, one) in sorted(arrays.items(), key=lambda item: item[1][0])}


def _torch(path: Path) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"reading {path} needs torch: pip install 'memtwin[torch]', or save the weights as .npz"
        ) from error
    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, Mapping):
        raise InputError(f"{path} holds {type(found).__name__}, expected a state_dict")
    kept = (found[name] for name in STATES if isinstance(found.get(name), Mapping))
    return dict(next(kept, found))
