"""Results of ngspice, kept on disk: a validation that is run again costs nothing.

The key is a hash of deck, analyses and options, and of ngspice's version; the vectors are part of
the deck. Every result is one HDF5 record with a hash of its numbers, written whole or not at all,
so that several runs can share a folder, a killed one finds what it had done, and a damaged result
is made again.
"""

__all__ = ["Cache"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.errors import InputError
from ...data.records.store import digest, reading, write_record
from .job import Job, Outcome

KIND = "ngspice result"


@dataclass(frozen=True)
class Cache:
    """A folder of results."""

    folder: Path
    """Where they are; made when needed."""
    version: str
    """ngspice's version and solver: others never share a result."""

    def key(self, job: Job) -> str:
        """Return the hash that ``job``'s result is filed under."""
        steps = [[step.analysis, list(step.vectors), list(step.alter)] for step in job.steps]
        compiled = [list(job.sources)] if job.sources else []
        return digest(self.version, job.deck, steps, list(job.ladder), *compiled)

    def get(self, job: Job) -> Outcome | None:
        """Return the result of ``job`` if it is here and readable."""
        try:
            with reading(self._path(job), KIND) as tree:
                values = tuple(np.asarray(tree[f"step{k}"]) for k in range(len(job.steps)))
                outcome = Outcome(values, int(tree["rung"]), float(tree["seconds"]))
                return outcome if tree["content"] == digest(*values) else None
        except InputError:
            return None

    def put(self, job: Job, outcome: Outcome) -> None:
        """File the result of ``job``.

        Raises
        ------
        MemtwinError
            If it can't be written.
        """
        values = {f"step{k}": np.asarray(value) for k, value in enumerate(outcome.values)}
        tree = {
            "rung": outcome.rung,
            "seconds": outcome.seconds,
            "version": self.version,
            "content": digest(*values.values()),
            **values,
        }
        write_record(self._path(job), KIND, tree)

    def _path(self, job: Job) -> Path:
        key = self.key(job)
        return self.folder / key[:2] / f"{key[2:]}.h5"
