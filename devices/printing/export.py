"""A device as other programs read it: the formats of ``memtwin export`` and ``Device.export``."""

__all__ = ["FORMATS", "export_text"]

from collections.abc import Mapping
from typing import Protocol

from ...data.errors import InputError, nearest
from ..device_file import Kept, device_json, device_text
from .dialects import DIALECTS
from .ngspice import frozen_subcircuit, subcircuit
from .operators import Described
from .verilog_a import module

FORMATS: Mapping[str, str] = {
    "ngspice": ".subckt name p n x",
    "ltspice": ".subckt name p n x",
    "xyce": ".subckt name p n x",
    "verilog-a": "module name(p, n), its parameters with their ranges",
    "toml": "memtwin's own file",
    "json": "the same as JSON, with the equations of any model",
}
"""What a device can be exported to, with what is written."""


class _Device(Described, Kept, Protocol):
    """A device, as far as any of the printings goes."""


def export_text(
    device: _Device,
    to: str,
    *,
    name: str = "memristor",
    x0: float = 0.5,
    state: float | None = None,
) -> str:
    """Return a device in another program's language; see :meth:`.device.Device.export`.

    Parameters
    ----------
    device
        The device.
    to
        The language.
    name
        What to call it.
    x0
        State at the start [0..1].
    state
        Where the state is frozen; ``None`` for a device that moves.
    """
    if to not in FORMATS:
        raise InputError(f"unknown format {to!r}{nearest(to, FORMATS)}")
    if state is not None and to not in DIALECTS:
        raise InputError(
            f"a frozen state (--state) is no part of {to}, only of {', '.join(DIALECTS)}"
        )
    if to == "toml":
        return device_text(device)
    if to == "json":
        return device_json(device)
    if to == "verilog-a":
        return module(device.model, name, values=device.parameters, area=device.area)
    if state is not None or device.model.rate_expr is None:
        return frozen_subcircuit(device, name, x=x0 if state is None else state, dialect=to)
    return subcircuit(device, name, x0=x0, dialect=to)
