"""Which engines there are: a name, and where its class is; a module is imported when its engine is asked for."""

__all__ = ["ENGINES", "make_engine"]

from importlib import import_module
from inspect import signature
from typing import Any

from ..data.errors import InputError, nearest
from .array.tile import Tile
from .engine import Engine

ENGINES = {
    "ideal": ".engines.ideal:Ideal",
    "surrogate": ".surrogate.engine:Surrogate",
    "line": ".lines.solver:LineSolver",
    "nodal": ".engines.nodal:Nodal",
    "spice": ".ngspice.engine:Spice",
}
"""Names that :func:`make_engine`, configurations and the command line take, and their classes."""


def make_engine(name: str, tile: Tile, **options: Any) -> Engine:
    """Return the engine called ``name`` for stacks of ``tile``.

    The options are those of the engine's own class, such as the line solver's ``tolerance``, or
    ngspice's ``workers``, ``executor`` and ``cache``. A surrogate made here takes the tile at its
    word; one that was fitted to ngspice comes from its fit, ``SurrogateFit.engine``.

    Raises
    ------
    InputError
        If there is no such engine, or it has no such option.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}{nearest(name, ENGINES)}")
    module, _, kind = ENGINES[name].partition(":")
    made = getattr(import_module(module, __package__), kind)
    known = [option for option in signature(made).parameters if option != "tile"]
    for option in options:
        if option not in known:
            raise InputError(
                f"the engine {name!r} has no option {option!r}"
                f" (known: {', '.join(known) or 'none'})"
            )
    engine: Engine = made(tile, **options)
    return engine
