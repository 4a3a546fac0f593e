"""Checks of the training engine against a trusted one, while training goes on.

Every so many batches, counted through all epochs, one random tile is read with a few of that
batch's own input vectors, once by the engine that trains and once by another, full SPICE as a rule.
Where they differ by more than the bar, training falls back to a slower engine, and the record says
so.
"""

__all__ = ["AuditOptions", "AuditRecord", "Auditor"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...circuits.array.tile import Tile
from ...circuits.engine import Engine
from ...circuits.registry import ENGINES, make_engine
from ...data.options import check_number, check_registered
from ...data.types import Array32
from ..twin.matrix import EngineFactory
from ..twin.twin import MemristorTwin


@dataclass(frozen=True)
class AuditRecord:
    """One tile, read twice."""

    epoch: int
    """Counted from 1, as are batch and matrix."""
    batch: int
    matrix: int
    tile: tuple[int, int]
    """Row block and column block, counted from 0."""
    engine: str
    """The engine that was audited."""
    vectors: int
    nrmse_percent: float
    """Root mean square of the differences over the largest current of the trusted engine."""
    max_error_percent: float
    passed: bool


@dataclass(frozen=True)
class AuditOptions:
    """When to audit, against which engine, and what to do then."""

    every: int = 200
    """Batches between audits, counted through all epochs; 0 for none."""
    vectors: int = 2
    """Vectors read in each."""
    engine: str = "spice"
    """The engine that is trusted."""
    bar_percent: float = 0.5
    """Largest NRMSE that passes [% of full scale]."""
    fallback: str = "line"
    """The engine that trains on after an audit that did not pass; ``none`` trains on as is."""

    def __post_init__(self) -> None:
        check_number("audit", every=self.every, whole=True, at_least=0)
        check_number("audit", vectors=self.vectors, whole=True, at_least=1)
        check_registered("audit", "engine", self.engine, ENGINES)
        check_number("audit", bar_percent=self.bar_percent, above=0)
        if self.fallback != "none":
            check_registered("audit", "fallback", self.fallback, ENGINES)


class Auditor:
    """Audits of one training.

    Parameters
    ----------
    options
        When, against which engine, and what to do then.
    engine
        Returns what makes the engine of a name; by default :func:`.registry.make_engine` does.
    on_record
        Called with every finding.
    """

    def __init__(
        self,
        options: AuditOptions,
        engine: Callable[[str], EngineFactory] | None = None,
        on_record: Callable[[AuditRecord], None] | None = None,
    ) -> None:
        engine = engine or (lambda name: partial(make_engine, name))
        self.options, self.on_record = options, on_record
        self.truth = engine(options.engine)
        self.fallback = None if options.fallback == "none" else engine(options.fallback)
        self._engines: dict[tuple[int, int], Engine] = {}

    def due(self, batch: int) -> bool:
        """Return whether ``batch``, counted from 0 through all epochs, is to be audited."""
        every = self.options.every
        return every > 0 and batch % every == every - 1

    def renew(self) -> None:
        """Read through new engines from now on; see :meth:`.mapping.MappedMatrix.renew`."""
        self._engines.clear()

    def audit(
        self,
        twin: MemristorTwin,
        inputs: Sequence[Array32],
        rng: np.random.Generator,
        *,
        epoch: int,
        batch: int,
    ) -> AuditRecord:
        """Audit one tile of one matrix, on rows of the ``inputs`` (n, rows) of all matrices.

        Parameters
        ----------
        twin
            The memristor twin.
        inputs
            Inputs of every matrix on tiles, (n, rows) each.
        rng
            What random numbers are drawn from.
        epoch
            The epoch, counted from 0.
        batch
            The batch within it, counted from 0.
        """
        k = int(rng.integers(len(twin.matrices)))
        matrix, a = twin.matrices[k], inputs[k]
        row_blocks, column_blocks = matrix.placement.grid
        block = int(rng.integers(row_blocks)), int(rng.integers(column_blocks))
        chosen = a[rng.choice(len(a), min(self.options.vectors, len(a)), replace=False)]
        found, expected = matrix.compare(chosen, block, self._truth(matrix.tile))
        scale = float(np.abs(expected).max())
        error = np.abs(found - expected) / (scale if scale > 0.0 else 1.0)
        nrmse = 100.0 * float(np.sqrt(np.mean(error * error)))
        record = AuditRecord(
            epoch + 1,
            batch + 1,
            twin.mapped[k] + 1,
            block,
            matrix.engine.name,
            len(chosen),
            nrmse,
            100.0 * float(error.max()),
            nrmse <= self.options.bar_percent,
        )
        if self.on_record is not None:
            self.on_record(record)
        return record

    def _truth(self, tile: Tile) -> Engine:
        key = tile.rows, tile.cols
        if key not in self._engines:
            self._engines[key] = self.truth(tile)
        return self._engines[key]
