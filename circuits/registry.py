"""Which engines there are: a name, and its class; a module is imported when its engine is asked for."""

__all__ = ["ENGINES", "engine_names", "known_engine", "make_engine", "register_engine"]

from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, TypeAlias

from ..data.errors import InputError
from ..data.registry import Registry
from .array.tile import Tile
from .engine import Engine

EngineMaker: TypeAlias = Callable[..., Engine]
"""A class or function that takes a tile, and options by keyword."""

_CLASSES = {
    "ideal": ".engines.ideal:Ideal",
    "surrogate": ".surrogate.engine:Surrogate",
    "line": ".lines.solver:LineSolver",
    "nodal": ".engines.nodal:Nodal",
    "spice": ".ngspice.engine:Spice",
    "vacask": ".vacask.engine:Vacask",
}


def _imported(place: str) -> EngineMaker:
    module, _, name = place.partition(":")
    made: EngineMaker = getattr(import_module(module, __package__), name)
    return made


def _checked(name: str, maker: Any) -> EngineMaker:
    try:
        takes_tile = bool(signature(maker).parameters)
    except (TypeError, ValueError):  # not callable, or written in C
        takes_tile = False
    if not takes_tile:
        raise InputError(
            f"the engine {name!r} is {maker!r:.60}, expected a class or function of a tile"
        )
    taken: EngineMaker = maker
    return taken


ENGINES: Registry[EngineMaker] = Registry(
    "engine",
    how="register it with register_engine(NAME, CLASS) of memtwin.circuits.registry",
    shipped={name: partial(_imported, place) for name, place in _CLASSES.items()},
    group="memtwin.engines",
    check=_checked,
)
"""What makes an engine, by the name that :func:`make_engine`, configurations and the command line take; packages offer
theirs by entry points of the group ``memtwin.engines``.
"""


def register_engine(name: str, maker: EngineMaker, *, replace: bool = False) -> EngineMaker:
    """Let ``name`` stand for an engine wherever one is named, and return what makes it.

    Parameters
    ----------
    name
        The name.
    maker
        The engine's class, or a function: called with a :class:`.array.tile.Tile` and the options of
        :func:`make_engine`, which are checked against its signature.
    replace
        Whether it may take the place of another one of that name.

    Raises
    ------
    InputError
        If another engine has that name, or ``maker`` can't be called.
    """
    return ENGINES.add(name, maker, replace=replace)


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines: those here, registered ones, those of installed packages."""
    return tuple(ENGINES)


def known_engine(name: str) -> str:
    """Return ``name``, or say that there is no such engine here and how one is registered."""
    if name not in ENGINES:
        ENGINES[name]  # raises, with the nearest name
    return name


def make_engine(name: str, tile: Tile, **options: Any) -> Engine:
    """Return the engine called ``name`` for stacks of ``tile``.

    The options are those of the engine's own class, such as the line solver's ``tolerance``, or
    ngspice's ``workers``, ``executor`` and ``cache``. A surrogate made here takes the tile at its
    word; one that was fitted to ngspice comes from its fit, ``SurrogateFit.engine``.

    Parameters
    ----------
    name
        Name of the engine.
    tile
        The tile: its size, wires, periphery and cell.
    **options
        Options of the engine, by name.

    Returns
    -------
    Engine
        ``engine.program(g)`` with conductances [S], (..., rows, cols), gives an array whose
        ``read(v)`` takes row voltages [V], (..., batch, rows), to currents [A], (..., batch, cols).

    Raises
    ------
    InputError
        If there is no such engine, it has no such option, or can't read such a tile.
    EngineMissing
        If its simulator is not installed.
    """
    maker = ENGINES[name]
    _, *takes = signature(maker).parameters.values()  # the tile comes first
    if not any(each.kind is Parameter.VAR_KEYWORD for each in takes):
        known = [each.name for each in takes]
        for option in options:
            if option not in known:
                raise InputError(
                    f"the engine {name!r} has no option {option!r}"
                    f" (known: {', '.join(known) or 'none'})"
                )
    return maker(tile, **options)
