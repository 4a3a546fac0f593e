"""A simulator process: it loads a deck, changes values, runs analyses and returns vectors.

:func:`main` is such a process: pickled jobs come on its standard input and pickled outcomes leave
on its standard output, each after its length. It ends with its input, and when its parent has gone.
"""

__all__ = ["main", "run"]

import math
import os
import pickle
import signal
import struct
import sys
import time
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ...data.errors import EngineError, MemtwinError, NonConvergence
from ...data.processes import bind, memory
from ...data.types import Array
from .job import Job, Outcome, Step, with_options
from .verdict import Lost

if TYPE_CHECKING:
    from .library import Ng

LENGTH = struct.Struct("<Q")
OVER_MEMORY = 75
"""Exit status of a worker whose job took more memory than it may."""


def run(job: Job) -> Outcome:
    """Run ``job`` in this process's libngspice.

    Raises
    ------
    NonConvergence
        If no entry of the ladder converges; the text says at which step and point, and holds
        ngspice's log.
    EngineError
        If ngspice rejects the deck or a command.
    Lost
        If this process's ngspice can't be used any more.
    """
    from .library import Ng

    ng = Ng.get()
    began, solving = time.process_time(), ng.solving
    said = []
    ng.learn(job.sources)
    for rung, options in enumerate(job.ladder):
        try:
            if job.deck:
                ng.load_circuit(with_options(job.deck, options))
            values = tuple(_analyse(ng, k, step) for k, step in enumerate(job.steps))
        except NonConvergence as error:
            said.append(f"with options {options!r}: {error}" if options else str(error))
            ng.drop()
        except Lost:
            raise
        except EngineError:
            ng.drop()
            raise
        else:
            if not job.keep:
                ng.drop()
            seconds = time.process_time() - began
            return Outcome(values, rung, seconds, ng.solving - solving, memory()[1])
    raise NonConvergence("\n".join(said))


def _analyse(ng: "Ng", number: int, step: Step) -> Array:
    for command in step.alter:
        ng.exec_command(command)
    if not step.analysis:
        return np.empty((0, 0))
    ng.keep(step.vectors)
    try:
        ng.analyse(step.analysis)
    except NonConvergence as error:
        raise NonConvergence(f"step {number}, point {ng.points(step.vectors)}: {error}") from error
    found = [ng.vector(name) for name in step.vectors]
    if len({len(column) for column in found}) > 1:
        raise EngineError(f"{step.analysis!r} returned vectors of different lengths")
    ng.exec_command("destroy all")
    return np.stack(found, axis=-1) if found else np.empty((0, 0))


def send(stream: IO[bytes], item: object) -> None:
    """Write ``item`` to a pipe between worker and parent."""
    data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read an item from such a pipe; ``EOFError`` when the other end has gone."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main(parent: int) -> None:
    """Answer jobs, each with the memory that it may take, until the input or ``parent`` ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    most = math.inf

    def look() -> None:
        if memory()[0] > most:
            os._exit(OVER_MEMORY)

    bind(parent, look)
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever ngspice prints must not get between the outcomes
    while True:
        try:
            job, most = receive(incoming)
        except EOFError:
            break
        answer: object
        try:
            answer = run(job)
        except MemtwinError as error:
            answer = error
        except Exception as error:
            answer = EngineError(f"the ngspice worker failed: {type(error).__name__}: {error}")
        send(outgoing, answer)
        if isinstance(answer, Lost):
            break
    os._exit(0)  # ngspice's own exit handlers may crash
