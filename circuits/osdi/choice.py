"""Whether nonlinear devices are compiled: as asked, and where it can be."""

__all__ = ["Devices", "available", "chosen", "to_compile", "why_not"]

import functools
import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from ...data.errors import EngineError, EngineMissing
from ...data.options import check_choice
from ...devices.device import Device
from ...devices.models import models
from ..array.cell import Cell
from ..ngspice.installed import features
from ..ngspice.job import Job, Step
from ..ngspice.pool import Mode, call
from .cells import CompiledCell
from .compiler import EXTRA, compiler, library_of

Devices: TypeAlias = Literal["auto", "behavioural", "compiled"]
"""How nonlinear devices stand in decks: as B-sources, compiled, or compiled where that can be."""

OLDEST = 44
"""First major version of ngspice that loads what the compiler writes."""


@functools.cache
def why_not(mode: Mode = "auto") -> str:
    """Return what keeps devices from being compiled here, in words; empty if nothing does.

    A compiled resistor is read to know it.
    """
    if compiler() is None:
        return f"there is no Verilog-A compiler: {EXTRA}"
    found = features()
    if found.major < OLDEST:
        return f"ngspice {found.version} can't load them, {OLDEST} or newer is needed"
    model = models["sinh"]
    cell = CompiledCell(Cell(Device("probe", model), 0.1))
    deck = f"probe\n{cell.card}v1 w 0 1.0\nn1 w 0 cell x0=1e-3\n.end\n"
    try:
        outcome = call(Job(deck, (Step("op", ("v1#branch",)),), sources=(cell.source,)), mode=mode)
    except EngineError as error:
        return f"this ngspice does not load them: {str(error).splitlines()[0]}"
    expected = -float(cell.cell.device.current(1.0, 1e-3))
    if abs(float(outcome.values[0][0, 0]) - expected) > 1e-6 * abs(expected):
        return "this ngspice reads a compiled device wrongly"
    return ""


def available() -> bool:
    """Return whether devices can be compiled here."""
    return not why_not()


def chosen(
    wanted: Devices, cell: Cell, *, mode: Mode = "auto", moving: bool = False
) -> CompiledCell | None:
    """Return ``cell`` as a compiled device, or ``None`` where it is to be printed as B-sources.

    While its state stays, a linear cell is a resistor, which nothing betters; ``moving`` says that
    it won't stay.

    Parameters
    ----------
    wanted
        What the user chose.
    cell
        What is at each crossing.
    mode
        How ngspice is run: in the worker's own process, or as a program.
    moving
        Whether the state moves.

    Raises
    ------
    InputError
        If there is no such choice.
    EngineMissing
        If compiled devices are asked for, and can't be had here.
    EngineError
        If this device's text does not compile; where the choice was left open, a warning says so.
    """
    if cell.linear and not moving:
        check_choice("spice", "devices", wanted, get_args(Devices))
        return None
    compiled = CompiledCell(cell)
    return compiled if to_compile(wanted, lambda: compiled.source, mode=mode) else None


def to_compile(wanted: Devices, source: Callable[[], str], *, mode: Mode = "auto") -> bool:
    """Return whether what ``source`` gives is to stand in decks as compiled devices.

    Parameters
    ----------
    wanted
        What the user chose.
    source
        Gives the Verilog-A text; called only where it can be compiled, as printing a model takes time.
    mode
        How ngspice is run: in the worker's own process, or as a program.

    Raises
    ------
    InputError
        If there is no such choice.
    EngineMissing
        If compiled devices are asked for, and can't be had here.
    EngineError
        If this text does not compile; where the choice was left open, a warning says so.
    """
    check_choice("spice", "devices", wanted, get_args(Devices))
    if wanted == "behavioural":
        return False
    if reason := why_not(mode):
        if wanted == "auto":
            return False
        raise EngineMissing(f"devices = compiled: {reason}; devices = behavioural does without")
    try:
        library_of(source())
    except EngineError as error:
        if wanted == "compiled":
            raise
        warnings.warn(f"{error}: behavioural devices instead", RuntimeWarning, stacklevel=4)
        return False
    return True
