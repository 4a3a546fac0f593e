"""The record of a run: what it holds, and how it is built.

See docs/records.md for the layout.
"""

__all__ = [
    "FORMAT",
    "KIND",
    "audits_tree",
    "data_tree",
    "device_tree",
    "digital_tree",
    "epochs_tree",
    "inference_tree",
    "laws_tree",
    "layers_tree",
    "levels_tree",
    "load_record",
    "network_name",
    "pricing_tree",
    "record_path",
    "versions",
    "wear_tree",
]

import platform
from collections.abc import Iterator, Sequence
from dataclasses import fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...circuits.array.cell import Cell
from ...circuits.ngspice.installed import Features
from ...circuits.programming.fractional_moves import LevelMoves
from ...data.dataset import Dataset
from ...data.errors import InputError
from ...data.records.store import pack, reading
from ...data.types import Array
from ...devices.device import Device, Levels
from ...devices.pulses.costs import step_over_gentlest
from ...devices.pulses.pricing import LevelPricing
from ...devices.spread.effects import Effects, Laws
from ...devices.spread.record import law_tree, load_law
from ..layers.weighted import COMMON, Conv2d, Dense, Placing
from ..network import Layer, Network, Residual
from ..studies.hardware import Footprint, LayerFootprint
from ..trainer.audit import AuditRecord
from ..trainer.loop import FloatTraining
from ..trainer.results import EpochRecord, TrainResult
from ..twin.twin import MemristorTwin
from .config import RunConfig
from .overview.summary import STEP, summarise

KIND, FORMAT = "run", 2

WORN_SHARE = 1e-3
"""Share of the devices, the most-written ones, whose end is projected."""


def record_path(run: str | Path) -> Path:
    """Return the path of a run's record, given its folder or the record itself."""
    run = Path(run)
    return run if run.suffix == ".h5" else run / "run.h5"


def load_record(run: str | Path) -> dict[str, Any]:
    """Read the record of a finished run, given its folder or the record itself.

    Raises
    ------
    InputError
        If there is none, or it is of an older memtwin.
    """
    path = record_path(run)
    with reading(path, KIND, format=FORMAT) as tree:
        if not ({"audits", "wear"} <= tree.keys() and "learning" in tree["epochs"]):
            raise InputError(
                f"{path} was written by an older memtwin: memtwin run --resume {path.parent} writes it anew"
            )
        # Fails where a figure that users ask for can't be told; names are those of today.
        tree["summary"] = summarise(tree)
        return tree


def versions(features: Features | None, devices: str = "behavioural") -> dict[str, Any]:
    """Return what the run was made with; ``features`` are ngspice's, if it played a part, and
    ``devices`` says how devices stood in its decks.
    """
    return {
        "memtwin": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "ngspice": "not used" if features is None else features.version,
        "klu": features is not None and features.klu,
        "devices": "not used" if features is None else devices,
    }


def data_tree(data: Dataset) -> dict[str, Any]:
    """Return what was learnt: how many samples each part has, what was done to their inputs (by the
    part to train on), and what the outputs stand for.
    """
    targets = data.targets
    tree: dict[str, Any] = {
        "name": data.name,
        "digest": data.digest,
        "task": targets.task,
        "shape": np.array(data.shape),
        "samples": {name: len(x) for name, x, _ in data.parts},
        "scaling": pack(data.scaling),
        "names": list(targets.names),
    }
    if targets.mean is not None and targets.deviation is not None:
        tree |= {"target_mean": targets.mean, "target_deviation": targets.deviation}
    return tree


def network_name(network: Network) -> str:
    """Return input and layers in a few characters: ``784-100-10``, ``28x28x1-5x5c6-5x5c16-84-10``; what a
    layer says of its own place in brackets, as in ``784-100-10[digital]``.
    """
    parts = ["x".join(map(str, network.shape))]
    return "-".join([*parts, *_names(network.layers)])


def _names(layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        if isinstance(layer, Conv2d):
            groups = f"g{layer.groups}" if layer.groups > 1 else ""
            yield f"{layer.kernel}x{layer.kernel}c{layer.channels}{groups}{_placed(layer.placing)}"
        elif isinstance(layer, Dense):
            yield f"{layer.outputs}{_placed(layer.placing)}"
        elif isinstance(layer, Residual):
            yield f"({'-'.join(_names(layer.layers))})"


def _placed(placing: Placing) -> str:
    if placing == COMMON:
        return ""
    return "[digital]" if placing.digital else f"[{placing}]"


def device_tree(device: Device) -> dict[str, Any]:
    """Return parameters, errors, what is not identified, area and provenance of the cell's device."""
    tree: dict[str, Any] = pack(device)
    return tree | {
        "title": device.model.title,
        "stderr": dict(device.stderr),
        "unidentified": dict(device.unidentified),
        "caveat": device.caveat,
        "provenance": dict(device.meta),
    }


def levels_tree(levels: Levels, cell: Cell) -> dict[str, Any]:
    """Return the levels and the read I-V of each, ``i`` of shape (levels, voltages)."""
    v = np.linspace(0.0, levels.v_read, 41)
    return {
        "g": levels.g,
        "x": levels.x,
        "v_read": levels.v_read,
        "v": v,
        "i": cell.current(v, levels.g[:, None]),
    }


def laws_tree(config: RunConfig, effects: Effects | None = None) -> dict[str, Any]:
    """Return the laws that the configuration names by their files, or as those of a technology and of a table of
    writes, since these may change; ``effects`` are the run's, with what such names stand for.
    """
    device, found = config.device, (config.effects if effects is None else effects)
    tree = {
        "effects": {
            name: law_tree(law)
            for name in Laws._fields
            if isinstance(getattr(config.effects, name), str)
            and (law := getattr(found.laws, name)) is not None
        },
        "device": {
            name: law_tree(load_law(getattr(device, name)))
            for name in ("c2c", "verify_noise", "d2d")
            if isinstance(getattr(device, name), str)
        },
    }
    return {section: laws for section, laws in tree.items() if laws}


def pricing_tree(pricing: LevelPricing) -> dict[str, Any]:
    """Return what writes cost between levels, (L, L), and between fractional ones or in vain where
    a table of moves says so.
    """
    tree = pricing.table._asdict() | {
        "read_energy": pricing.read.energy,
        "read_time": pricing.read.time,
        "source": pricing.source,
        "tolerance": pricing.tolerance,
    }
    if pricing.bracket is not None:
        tree["energy_bracket"] = pricing.bracket
    if isfinite(ratio := step_over_gentlest(pricing)):
        tree[STEP] = ratio
    for name, law in (("moves", pricing.between), ("vain", pricing.vain)):
        if isinstance(law, LevelMoves):
            tree |= {name: vars(law.moves), "g": law.g}
    return tree


def epochs_tree(records: Sequence[EpochRecord], trained_float: FloatTraining) -> dict[str, Array]:
    """Return one array (epochs,) per figure of the epochs' records; wall times are left out.
    ``float_interval``, (2,), is that of the last R², if it is one.
    """
    rows = [record.summary() for record in records]
    # Epochs of a training that an older memtwin began know less.
    common = [name for name in rows[0] if all(name in row for row in rows)]
    names = [name for name in common if name != "seconds" and "_removed_" not in name]
    tree = {name: np.array([row[name] for row in rows]) for name in names}
    tree["float_accuracy"] = np.asarray(trained_float.accuracies)
    if trained_float.interval is not None:
        tree["float_interval"] = np.array(trained_float.interval)
    return tree


def audits_tree(records: Sequence[AuditRecord]) -> dict[str, Any]:
    """Return one array (audits,) per field of the audits' records; ``tile`` is (audits, 2)."""
    tree: dict[str, Any] = {
        name: np.array([getattr(record, name) for record in records])
        for name in ("epoch", "batch", "matrix", "vectors", "nrmse_percent", "max_error_percent")
    }
    tree["passed"] = np.array([record.passed for record in records], bool)
    tree["tile"] = np.array([record.tile for record in records], int).reshape(-1, 2)
    return tree | {"engine": [record.engine for record in records]}


def layers_tree(twin: MemristorTwin, result: TrainResult) -> dict[str, Any]:
    """Return conductances [S], sums of the ledger, float weights, largest weight (``clip``), number of
    ``levels``, size of its ``tile`` and calibrated digital ``gain`` of every layer on devices, and the
    range of its ADCs [A]: what its outputs follow from. See :func:`digital_tree` for the others.

    Devices are laid out as (inputs, 2 × outputs); the first programming of each is not counted.
    """
    ledger, tree = result.ledger, {}
    sums = {name: ledger.maps(name) for name in vars(ledger.devices[0])}
    weights = twin.on_devices(result.weights)
    for k, (number, matrix) in enumerate(zip(twin.mapped, twin.matrices, strict=True)):
        place = matrix.placement
        stacks = {"g": matrix.devices.g} | {name: maps[k] for name, maps in sums.items()}
        tree[f"layer_{number + 1}"] = {
            name: _laid_out(place.used(stack), place.rows, 2 * place.cols)
            for name, stack in stacks.items()
        } | {
            "weights": weights[k],
            "clip": float(matrix.clip),
            "levels": matrix.devices.quantiser.levels,
            "tile": np.array(matrix.tile.shape),
            "gain": matrix.gain,
        }
        if matrix.adc is not None:
            tree[f"layer_{number + 1}"]["adc_full_scale"] = matrix.adc.i_max
    return tree


def digital_tree(twin: MemristorTwin) -> dict[str, Any]:
    """Return the ``weights`` (inputs + 1, outputs) of every digital layer, the bias row last."""
    return {f"layer_{number + 1}": {"weights": w} for number, w in twin.digital.items()}


def inference_tree(found: Footprint) -> dict[str, Any]:
    """Return what one inference takes: the sums, one array (matrices,) per figure, and the figures
    that it follows from.
    """
    names = [item.name for item in fields(LayerFootprint) if item.name != "timed"]
    layers = {name: np.array([getattr(one, name) for one in found.layers]) for name in names}
    return {
        "total": found.summary(),
        "layers": layers | {"timed": [one.timed for one in found.layers]},
        "hardware": pack(found.options),
        "parasitics": pack(found.edge),
    }


def wear_tree(result: TrainResult, endurance: float) -> dict[str, Any]:
    """Return when the most-written devices reach ``endurance`` writes, if epochs go on like these."""
    epochs = len(result.records)
    return {
        "endurance": endurance,
        "share": WORN_SHARE,
        "epochs_to_endurance": result.ledger.epochs_to_limit(endurance, epochs, WORN_SHARE),
    }


def _laid_out(stack: Any, rows: int, cols: int) -> Any:
    """Lay a stack of tiles (row blocks, column blocks, rows, cols) out as one matrix, unused places cut off."""
    down, across, tile_rows, tile_cols = stack.shape
    return stack.swapaxes(1, 2).reshape(down * tile_rows, across * tile_cols)[:rows, :cols]
