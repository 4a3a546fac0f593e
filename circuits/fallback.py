"""The last resort: what reads a tile that an engine gives up on."""

__all__ = ["Choice", "LastResort"]

from typing import TypeAlias

from ..data.errors import InputError, NonConvergence, nearest
from ..data.types import Array
from .engine import ENGINES, Engine, make_engine
from .tile import Tile

Choice: TypeAlias = Engine | str | None
"""An engine, or the name of one, which is made when it is needed; ``None`` makes it an error."""


class LastResort:
    """The engine that stands behind ``owner``, one of the engines, for single tiles.

    Raises
    ------
    InputError
        If there is no engine called ``choice``, or it is ``owner`` itself.
    """

    def __init__(self, owner: str, tile: Tile, choice: Choice) -> None:
        known = [name for name in ENGINES if name != owner]
        if isinstance(choice, str) and choice not in known:
            raise InputError(f"{owner}: there is no fallback {choice!r}{nearest(choice, known)}")
        self.choice = choice
        self._tile = tile

    def read(self, g: Array, v: Array, failure: NonConvergence) -> Array:
        """Return the currents [A], (batch, cols), of one tile with conductances ``g`` [S] at ``v``
        [V], (batch, rows), which its owner gave up with ``failure``.

        Raises
        ------
        NonConvergence
            If there is no fallback, or it gives up as well.
        """
        if self.choice is None:
            raise failure
        if isinstance(self.choice, str):
            self.choice = make_engine(self.choice, self._tile)
        self.choice.program(g)
        try:
            return self.choice.read(v)
        except NonConvergence as error:
            raise NonConvergence(
                f"{failure}; nor does its fallback, the engine {self.choice.name}: {error}"
            ) from error
