"""How long a read takes, and what it costs: the one function for both, estimated or in ngspice."""

__all__ = ["ERROR", "read_time"]

from typing import Literal, TypeAlias, get_args

from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.options import check_choice, check_number
from ...data.types import Progress
from ..array.terminals import plain
from ..array.tile import Tile
from ..engine import checked_conductances, checked_voltages
from .estimate import estimate_timing
from .result import ReadTiming
from .transient import Transients, spice_timing

Timekeeper: TypeAlias = Literal["estimate", "spice"]

ERROR = 0.01
"""What settled means, where it is not said: within 1 % of the largest column current."""


def read_time(
    tile: Tile,
    g: ArrayLike,
    v: ArrayLike,
    *,
    engine: Timekeeper = "estimate",
    error: float = ERROR,
    duration: float | None = None,
    transients: Transients | None = None,
    progress: Progress | None = None,
) -> ReadTiming:
    """Return settling times, energies and crosstalk of reads of one tile.

    All drivers start at 0 V and rise together to their voltages, along straight lines in the tile's
    rise time; states of devices stay as they are.

    Parameters
    ----------
    tile
        The array; ``tile.parasitics`` has its capacitances and the rise time.
    g
        Conductances [S], (rows, cols).
    v
        Row voltages [V], (batch, rows) or (rows,).
    engine
        ``"estimate"``: a reduced network, without a simulator; ``"spice"``: a transient of all nodes
        in ngspice.
    error
        A column is settled while its current is within this share of the largest end current of its
        vector.
    duration
        How long to look at the read [s]; by default one and a half times as long as the slowest
        column takes by the estimate.
    transients
        How ngspice runs.
    progress
        Called with vectors done and their number.

    Raises
    ------
    InputError
        If an input does not fit the tile, or is out of its range.
    NonConvergence
        If a column is not settled after ``duration``.
    """
    check_choice("read", "engine", engine, get_args(Timekeeper))
    plain(tile, "a read in time")
    check_number("read", error=error, above=0, below=1)
    check_number("read", duration=duration, above=0, optional=True)
    g = checked_conductances(tile, g)
    if g.ndim != 2:
        raise InputError(f"reads in time are of one tile, got conductances of shape {g.shape}")
    batch = checked_voltages(tile, (), v)
    if not (len(batch) and (batch != 0.0).any(axis=1).all()):
        raise InputError("every vector of a read in time must have a row that is not at 0 V")
    if not ((batch != 0.0) @ (g > 0.0)).any(axis=1).all():
        raise InputError("a read in time needs a device that is not open on a row that is driven")
    if engine == "estimate":
        return estimate_timing(tile, g, batch, duration, error, progress)
    if duration is None:
        duration = estimate_timing(tile, g, batch, None, error).duration
    return spice_timing(tile, g, batch, duration, error, transients, progress)
