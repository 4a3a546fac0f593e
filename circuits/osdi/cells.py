"""A cell as a compiled device: its Verilog-A text, its ``.model`` line, and its line in a deck.

The memristor, its series resistance and the access device are one module, so that a crossing is one
element ``n{i}_{j}`` between word line and bit line, and everything in it loads at once. Of every
module there are two kinds in one library: one whose state moves, and one whose state is frozen, of
which the compiler works out beforehand all that depends on the state alone.
"""

__all__ = ["CompiledCell", "Module", "module_of"]

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...data.records.store import digest
from ...data.types import Array
from ...devices.model import CompactModel
from ...devices.printing.ngspice import number
from ...devices.printing.verilog_a import InSeries, instance_names, module
from ..array.cell import Cell

_TRANSISTOR = InSeries(
    {"access_v_gate": 3.0, "access_v_threshold": 0.5, "access_k": 2e-3, "access_channel": 0.02},
    # The lower end counts as the source, whose potential is against ground.
    (
        "I(t, n) <+ (y < 0.0 ? -1.0 : 1.0)*access_k*(1.0 + access_channel*abs(y))",
        "  *min(abs(y), max(access_v_gate - access_v_threshold - V(n) - min(y, 0.0), 0.0))",
        "  *(max(access_v_gate - access_v_threshold - V(n) - min(y, 0.0), 0.0)",
        "  - 0.5*min(abs(y), max(access_v_gate - access_v_threshold - V(n) - min(y, 0.0), 0.0)));",
    ),
)
_SELECTOR = InSeries(
    {"access_v_threshold": 0.1, "access_width": 0.01, "access_g_on": 1e-2, "access_g_off": 1e-8},
    (
        "I(t, n) <+ y*(access_g_off + 0.5*(access_g_on - access_g_off)*(1.0 + tanh(",
        "  (y*y - access_v_threshold*access_v_threshold)/(4.0*access_v_threshold*access_width))));",
    ),
)
_IN_SERIES: dict[str, InSeries | None] = {
    "none": None,
    "transistor": _TRANSISTOR,
    "selector": _SELECTOR,
}
"""By the kind of the access device."""


@dataclass(frozen=True)
class Module:
    """What is compiled for a model and a kind of access device."""

    source: str
    """Verilog-A text."""
    frozen: str
    """Name of the module whose state stays."""
    moving: str
    """Name of the one whose state moves; empty where the model has no dynamics."""


@functools.cache
def module_of(model: CompactModel, access: str, resistive: bool) -> Module:
    """Return the modules of cells with devices of ``model``, with a series resistance or without;
    their names tell texts apart, as one simulator may have several loaded.

    Parameters
    ----------
    model
        The compact model.
    access
        Kind of what is in series with the device.
    resistive
        Whether there is a series resistance.
    """
    series = _IN_SERIES[access]

    def text(stem: str) -> str:
        kinds = (True, False) if model.rate_expr is not None else (True,)
        return "".join(
            module(
                model,
                f"{stem}_{'frozen' if frozen else 'moving'}",
                bounded=False,
                frozen=frozen,
                resistive=resistive,
                series=series,
            )
            for frozen in kinds
        )

    # ngspice reads no case, and so finds no name that has any.
    stem = "memtwin_" + re.sub(r"[^a-z0-9_]", "_", model.name.lower())
    stem = f"{stem}_{digest(text(stem))[:10]}"
    moving = f"{stem}_moving" if model.rate_expr is not None else ""
    return Module(text(stem), f"{stem}_frozen", moving)


@dataclass(frozen=True)
class CompiledCell:
    """How a cell's device and access device stand in a deck as one compiled element."""

    cell: Cell

    @property
    def module(self) -> Module:
        """What is compiled for it."""
        device = self.cell.device
        return module_of(device.model, self._access, device.r_s > 0.0)

    @property
    def source(self) -> str:
        """Verilog-A text that a job with this cell needs."""
        return self.module.source

    @property
    def card(self) -> str:
        """The line ``.model cell`` of devices whose state stays."""
        return self._card("cell", self.module.frozen)

    @property
    def cards(self) -> str:
        """The lines ``.model cell`` and ``.model moving``."""
        return self.card + self._card("moving", self.module.moving)

    line = "n@ w@ b@ cell x0=%r\n"
    """A cell's line, with ``@`` for its position and ``%r`` for its state."""

    def constants(self, x: Array) -> Array:
        """Return what fills :attr:`line` for devices in the states ``x``, (n,), as (n, 1)."""
        return np.asarray(x, float)[:, None]

    def differing(self, values: Mapping[str, float]) -> str:
        """Return parameters of one instance, ``name=value ...``."""
        names = instance_names(self.cell.device.model)
        return " ".join(f"{names[key]}={number(value)}" for key, value in values.items())

    def _card(self, name: str, kind: str) -> str:
        device = self.cell.device
        given = [self.differing(device.parameters), f"area={number(device.area)}"]
        access, series = self.cell.access, _IN_SERIES[self._access]
        if series is not None:
            given += [
                f"{key}={number(getattr(access, key.removeprefix('access_')))}"
                for key in series.parameters
            ]
        return f".model {name} {kind} {' '.join(given)}\n"

    @property
    def _access(self) -> str:
        return "none" if self.cell.access is None else self.cell.access.kind
