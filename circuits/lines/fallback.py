"""The last resort: what reads a tile that an engine gives up on."""

__all__ = ["Choice", "LastResort"]

from functools import cached_property
from typing import TypeAlias

from ...data.errors import InputError, NonConvergence, nearest
from ...data.types import Array
from ..array.tile import Tile
from ..engine import Engine, Inside
from ..engines.nodal import Nodal

Choice: TypeAlias = Engine | str | None
"""An engine, or ``"nodal"``, which is made when it is needed; ``None`` makes it an error."""


class LastResort:
    """The engine that stands behind ``owner``, one of the engines, for single tiles.

    Raises
    ------
    InputError
        If there is no fallback called ``choice``.
    """

    def __init__(self, owner: str, tile: Tile, choice: Choice) -> None:
        if isinstance(choice, str) and choice != Nodal.name:
            raise InputError(
                f"{owner}: there is no fallback {choice!r}{nearest(choice, [Nodal.name])}; give an engine, or None"
            )
        self.choice = choice
        self._tile = tile

    def read(self, g: Array, v: Array, failure: NonConvergence) -> Array:
        """Return the currents [A], (batch, cols), of one tile with conductances ``g`` [S] at ``v``
        [V], (batch, rows), which its owner gave up with ``failure``.

        Parameters
        ----------
        g
            Conductances, (..., rows, cols) [S].
        v
            Row voltages, (..., batch, rows) [V].
        failure
            With what its owner gave up.

        Raises
        ------
        NonConvergence
            If there is no fallback, or it gives up as well.
        """
        engine = self._engine
        if engine is None:
            raise failure
        array = engine.program(g)
        try:
            return array.read(v)
        except NonConvergence as error:
            raise NonConvergence(
                f"{failure}; nor does its fallback, the engine {engine.name}: {error}"
            ) from error

    def inside(
        self, g: Array, v: Array, held: Array, failure: NonConvergence
    ) -> tuple[Array, Array]:
        """Return the potentials of word and bit lines [V], (batch, rows, cols), of such a tile whose
        bit lines are held at ``held`` [V], (batch, cols).

        Parameters
        ----------
        g
            Conductances of the tile [S], (rows, cols).
        v
            Row voltages [V], (batch, rows).
        held
            Potentials of the bit lines' far ends [V], (batch, cols).
        failure
            Why the line solver gave up, which is raised where nothing else helps.

        Raises
        ------
        NonConvergence
            If there is no fallback that knows them, or it gives up as well.
        """
        engine = self._engine
        if engine is None or not isinstance(array := engine.program(g), Inside):
            raise failure
        found = array.fields(v, held)
        return found.w, found.b

    @cached_property
    def _engine(self) -> Engine | None:
        return Nodal(self._tile) if isinstance(self.choice, str) else self.choice
