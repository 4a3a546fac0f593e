"""A deck and what to run on it, as plain text and numbers.

It can be sent to any process, hashed, cached, or written out. It runs in the libngspice of a worker
process (:mod:`.pool`) or in an ``ngspice -b`` of its own (:mod:`.program`).
"""

__all__ = ["Job", "Outcome", "Step", "with_options"]

from dataclasses import dataclass, field

from ...data.types import Array


@dataclass(frozen=True)
class Step:
    """One analysis of a loaded deck."""

    analysis: str
    """ngspice command: ``"dc vsel 0 99 1"``, ``"op"``, ``"tran 1n 100n uic"``; empty for none."""
    vectors: tuple[str, ...] = ()
    """Results to return: ``"v(b31_0)"``, ``"time"``."""
    alter: tuple[str, ...] = ()
    """Commands to run before: ``"alter r.xa.r3_4 = 1e4"``, ``"alter c.xa.cx ic = 0.2"``."""


@dataclass(frozen=True)
class Job:
    """A deck and analyses to run on it in order; what a step alters stays altered in the next."""

    deck: str
    """Netlist text without analyses or control section; empty to go on with the one that is loaded.
    """
    steps: tuple[Step, ...]
    ladder: tuple[str, ...] = ("",)
    """Words for a line of ``.options``, tried one after another until the job converges."""
    keep: bool = False
    """Leave the circuit loaded for a job without a deck."""
    sources: tuple[str, ...] = ()
    """Verilog-A texts of the compiled devices in the deck; whoever runs the job compiles them, or has.
    """


@dataclass(frozen=True)
class Outcome:
    """What a job returned."""

    values: tuple[Array, ...]
    """Per step, (points, vectors)."""
    rung: int = 0
    """Which entry of the ladder converged."""
    seconds: float = field(compare=False, default=0.0)
    """CPU time that the job took [s]."""
    solving: float = field(compare=False, default=0.0)
    """CPU time of that in analyses, as against loading, altering and reading back [s]."""
    memory: float = field(compare=False, default=0.0)
    """Largest resident memory of the process so far [byte]."""


def with_options(deck: str, options: str) -> str:
    """Return ``deck`` with a line of ``.options`` after its title."""
    if not options:
        return deck
    title, _, rest = deck.partition("\n")
    return f"{title}\n.options {options}\n{rest}"
