"""Memristor twins of PyTorch models.

:func:`convert` puts the linear layers, convolutions and attention projections of any module on
tiles: forward they are read through an engine, backward errors go through their float weights, which
stay ordinary parameters. :class:`SiameseOptimizer` wraps any torch optimiser: that one moves the
float weights, and the few devices whose level must change are written. Needs the extra
``memtwin[torch]``; tiles are computed on the CPU, whatever the model's device.

>>> model = convert(model, Crossbar(Tile(64, 64, levels=levels)), Ideal)
>>> optimiser = SiameseOptimizer(model, torch.optim.SGD(model.parameters(), 0.1, 0.9), costs)

:func:`configured` does the same by a run's configuration, ``configured(model, "own.toml")``.

``state_dict`` of both, loaded into a model that was converted in the same way and a new optimiser,
continues with the same numbers.
"""

__all__ = [
    "Configured",
    "Placed",
    "SiameseOptimizer",
    "TwinConv2d",
    "TwinLinear",
    "configured",
    "convert",
    "layer_table",
]

from .configured import Configured, configured
from .convert import Placed, convert, layer_table
from .layers import TwinConv2d, TwinLinear
from .optimiser import SiameseOptimizer
