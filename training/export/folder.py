"""Writes a trained network as a folder: conductances, facts, and the code that evaluates them."""

__all__ = ["export"]

import json
import os
import shutil
import tempfile
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.engines.ideal import Ideal
from ...data.dataset import Dataset
from ...data.errors import InputError, MemtwinError
from ..layers.written import KINDS
from ..network import Residual
from ..twin.matrix import MappedMatrix
from ..twin.twin import MemristorTwin

FORMAT = 1


def export(twin: MemristorTwin, data: Dataset, folder: str | Path) -> Path:
    """Write what ``twin`` holds now to a new ``folder``: ``weights.npz`` (conductances [S], gains),
    ``network.json`` and ``evaluate.py``, which needs numpy alone; return the folder.

    The code takes devices as ohmic and wires as without resistance: what the twin's gains are calibrated
    against. Gains of a twin that is read so are written; those that give back what wires take are 1.

    Parameters
    ----------
    twin
        The trained twin.
    folder
        Where to write; must not exist.
    data
        What it was trained on, for the scaling of inputs and the names of outputs.

    Raises
    ------
    InputError
        If there is something at ``folder``, or a layer that has no name.
    MemtwinError
        If it can't be written; nothing is left then.
    """
    target = Path(folder)
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already: name a folder that is not")
    arrays: dict[str, Any] = {
        "input_mean": np.asarray(data.scaling.mean, float),
        "input_deviation": np.asarray(data.scaling.deviation, float),
    }
    if data.targets.mean is not None and data.targets.deviation is not None:
        arrays |= {"target_mean": data.targets.mean, "target_deviation": data.targets.deviation}
    matrices: dict[int, dict[str, Any]] = {}
    for place, (k, matrix) in enumerate(zip(twin.mapped, twin.matrices, strict=True)):
        matrices[k] = _facts(matrix)
        arrays[f"g{k}"] = matrix.placement.used(matrix.devices.g)
        arrays[f"gain{k}"] = matrix.gain if _ohmic(matrix) else np.ones((), np.float32)
        if matrix.bias is not None:
            arrays[f"bias{k}"] = matrix.bias
        if twin.scales is not None and (scale := twin.scales[place]) is not None:
            arrays[f"scale{k}"] = scale
    for k, w in twin.digital.items():
        matrices[k] = {"digital": True, "rows": w.shape[0], "cols": w.shape[1]}
        arrays[f"w{k}"] = w
    arrays |= {f"norm{k}": norm for k, norm in enumerate(twin.norms)}
    facts = {
        "format": FORMAT,
        "shape": list(twin.network.shape),
        "sample": list(data.shape),
        "scaling": "input_",
        "names": list(data.targets.names),
        "layers": [_written(layer) for layer in twin.network.layers],
        "matrices": [matrices[k] for k in range(len(matrices))],
    }
    code = files(__package__).joinpath("evaluate.py").read_text(encoding="utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=".memtwin-export-"))
        try:
            np.savez_compressed(part / "weights.npz", **arrays)
            text = json.dumps(facts, indent=1, default=lambda number: number.item())  # of numpy
            (part / "network.json").write_text(text, encoding="utf-8")
            (part / "evaluate.py").write_text(code, encoding="utf-8")
            part.chmod(0o755)
            os.rename(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise MemtwinError(f"can't write {target}: {error.strerror or error}") from error
    return target


def _ohmic(matrix: MappedMatrix) -> bool:
    return type(matrix.engine) is Ideal and matrix.tile.cell.linear


def _facts(matrix: MappedMatrix) -> dict[str, Any]:
    levels, mapping = matrix.devices, matrix.mapping
    return {
        "rows": matrix.placement.rows,
        "cols": matrix.placement.cols,
        "v_read": float(matrix.v_read),
        "weight_per_ampere": float(matrix.clip / (matrix.v_read * levels.span)),
        "levels": levels.quantiser.levels,
        "g_min": float(levels.low),
        "g_max": float(levels.low) + levels.span,
        "signed": matrix.drive.signed,
        "dac_bits": mapping.dac_bits,
        "sliced": mapping.drive == "bits",
        "adc_bits": mapping.adc_bits,
        "full_scale": None if matrix.adc is None else float(matrix.adc.i_max),
    }


def _written(layer: Any) -> dict[str, Any]:
    if isinstance(layer, Residual):
        return {"kind": "residual", "layers": [_written(one) for one in layer.layers]}
    name = next((name for name, kind in KINDS.items() if type(layer) is kind), None)
    if name is None:
        raise InputError(f"the layer {layer} has no name by which it could be written")
    options = {item.name: getattr(layer, item.name) for item in fields(layer)}
    options.pop("placing", None)  # what it says is in the arrays
    return {"kind": name} | options
