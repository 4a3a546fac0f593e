"""memtwin: memristor devices in SPICE, and the networks that train on them.

``import memtwin as mt`` gives the names below; each loads what it needs when it is first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Cell",
    "CompactModel",
    "Dataset",
    "Device",
    "Effects",
    "Fit",
    "InputError",
    "Levels",
    "MappingOptions",
    "MemtwinError",
    "Parameter",
    "Selector",
    "Terminals",
    "Tile",
    "Transistor",
    "Twin",
    "__version__",
    "characterise",
    "engine",
    "fit",
    "fit_surrogate",
    "lenet",
    "load_data",
    "load_device",
    "load_run",
    "mlp",
    "models",
    "plots",
    "pytorch",
    "read_sweep",
    "read_sweeps",
    "read_tile",
    "run",
    "train",
]

_PLACES = {
    # data
    "Dataset": "data.dataset",
    "InputError": "data.errors",
    "MemtwinError": "data.errors",
    "load_data": "data.dataset",
    "read_sweep": "data.importers.sweeps",
    "read_sweeps": "data.importers.sweeps",
    # devices
    "CompactModel": "devices.model",
    "Device": "devices.device",
    "Effects": "devices.spread.effects",
    "Fit": "devices.fitting.result",
    "Levels": "devices.device",
    "Parameter": "devices.model",
    "fit": "devices.fitting.compare:fit_best",
    "load_device": "devices.device",
    "models": "devices.models",
    # circuits
    "Cell": "circuits.array.cell",
    "Selector": "circuits.array.cell",
    "Terminals": "circuits.array.terminals",
    "Tile": "circuits.array.tile",
    "Transistor": "circuits.array.cell",
    "characterise": "circuits.surrogate.characterise",
    "engine": "circuits.registry:make_engine",
    "fit_surrogate": "circuits.surrogate.fit",
    "read_tile": "circuits.reading.read",
    # training
    "MappingOptions": "training.twin.crossbar",
    "Twin": "training.estimator",
    "lenet": "training.network",
    "load_run": "training.runs.finished",
    "mlp": "training.network",
    "run": "training.runs.finished",
    "train": "training.trainer.loop",
}
"""Where each name is defined, and what it is called there if that differs."""

_MODULES = {"plots": "devices.plots", "pytorch": "training.pytorch"}
"""Names that are modules."""

if TYPE_CHECKING:
    from .circuits.array.cell import Cell, Selector, Transistor
    from .circuits.array.terminals import Terminals
    from .circuits.array.tile import Tile
    from .circuits.reading.read import read_tile
    from .circuits.registry import make_engine as engine
    from .circuits.surrogate.characterise import characterise
    from .circuits.surrogate.fit import fit_surrogate
    from .data.dataset import Dataset, load_data
    from .data.errors import InputError, MemtwinError
    from .data.importers.sweeps import read_sweep, read_sweeps
    from .devices import plots
    from .devices.device import Device, Levels, load_device
    from .devices.fitting.compare import fit_best as fit
    from .devices.fitting.result import Fit
    from .devices.model import CompactModel, Parameter
    from .devices.models import models
    from .devices.spread.effects import Effects
    from .training import pytorch
    from .training.estimator import Twin
    from .training.network import lenet, mlp
    from .training.runs.finished import load_run, run
    from .training.trainer.loop import train
    from .training.twin.crossbar import MappingOptions


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    found = getattr(import_module(f".{module}", __name__), attribute or name)
    globals()[name] = found  # asked for once
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
