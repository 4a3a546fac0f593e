"""Jobs in an ``ngspice -b`` of their own: for places where the shared library is missing or broken.

It takes the same :class:`.job.Job` and returns the same numbers, starts in 10 ms, can't leak or
be lost, but knows no live session: a deck is read anew for every job.
"""

__all__ = ["raw_file", "run", "script"]

import math
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

from ...data.errors import EngineError, EngineMissing, InputError, NonConvergence
from ...data.files import scratch
from ...data.processes import bound
from ...data.types import Array
from ..osdi.compiler import library_of
from .crew import Crew
from .installed import environment
from .job import Job, Outcome, Step, with_options
from .verdict import INSTALL, verdict


def run(job: Job, timeout: float, crew: Crew | None = None, memory: float = math.inf) -> Outcome:
    """Run ``job``; as :func:`.worker.run`, but in a process that ends with it, or with ``crew``.

    Parameters
    ----------
    job
        A deck, what to run on it, and what to return.
    timeout
        Time that a job may take [s].
    crew
        The worker processes that end together.
    memory
        Memory that a process may take [bytes].

    Raises
    ------
    TimeoutError
        If it takes longer than ``timeout`` [s]; the process is then gone.
    MemoryError
        If it needs an address space of more than ``memory`` [byte].
    ChildProcessError
        If ngspice crashes.
    """
    program = shutil.which("ngspice")
    if program is None:
        raise EngineMissing(f"there is no ngspice program: {INSTALL}")
    if not job.deck or job.keep:
        raise InputError("ngspice -b keeps no circuit between jobs: every job needs its deck")
    crew = Crew() if crew is None else crew
    began = time.monotonic()
    said = []
    for rung, options in enumerate(job.ladder):
        with scratch() as folder:
            left = timeout - (time.monotonic() - began)
            try:
                values, seconds = _attempt(program, folder, job, options, left, crew, memory)
            except NonConvergence as error:
                said.append(f"with options {options!r}: {error}" if options else str(error))
                continue
            return Outcome(values, rung, seconds)
    raise NonConvergence("\n".join(said))


def _attempt(
    program: str, folder: Path, job: Job, options: str, timeout: float, crew: Crew, memory: float
) -> tuple[tuple[Array, ...], float]:
    libraries = [library_of(text) for text in job.sources]
    try:
        for k, library in enumerate(libraries):  # here no folder's name can be misread
            (folder / f"device{k}.osdi").symlink_to(library)
        (folder / "deck.cir").write_text(script(job, options), encoding="utf-8")
    except OSError as error:
        raise EngineError(f"can't write a deck to {folder}: {error}") from error
    # -n: a user's .spiceinit must not change what the deck means.
    command = bound([program, "-n", "-b", "deck.cir"], memory)
    before = os.times()
    try:
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as process:
            try:
                with crew.at_work(process.kill):
                    out, err = process.communicate(timeout=max(timeout, 0.0))
            except BaseException:
                process.kill()
                raise
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"ngspice -b did not end within {timeout:.0f} s") from error
    after = os.times()
    said = err.decode("utf8", "replace").splitlines()
    log = out.decode("utf8", "replace") + "\n".join(said)
    if "can't allocate" in log:
        raise MemoryError
    if process.returncode < 0:
        raise ChildProcessError(f"ngspice -b died of signal {-process.returncode}")
    read = [k for k, step in enumerate(job.steps) if step.analysis]
    missing = [k for k in read if not (folder / f"step{k}.raw").is_file()]
    trouble = verdict("the ngspice -b run", said, failed=bool(missing), log=log)
    if trouble is not None:
        raise trouble
    values = tuple(
        _values(folder / f"step{k}.raw", step) if step.analysis else np.empty((0, 0))
        for k, step in enumerate(job.steps)
    )
    seconds = after.children_user + after.children_system
    return values, seconds - before.children_user - before.children_system


def script(job: Job, options: str = "") -> str:
    """Return the deck of ``job`` with a control section that runs its steps and writes
    ``step{k}.raw``; compiled devices are expected beside it as ``device{k}.osdi``.
    """
    deck = with_options(job.deck.rstrip().removesuffix(".end"), options).rstrip()
    lines = [deck, ".control"]
    lines += [f"pre_osdi device{k}.osdi" for k in range(len(job.sources))]
    lines += ["unset ngbehavior", "set filetype=binary"]
    for k, step in enumerate(job.steps):
        lines += step.alter
        if step.analysis:
            lines += ["delete all", *(f"save {name}" for name in step.vectors)]
            lines += [step.analysis, f"write step{k}.raw", "destroy all"]
    return "\n".join([*lines, "quit", ".endc", ".end", ""])


def _values(path: Path, step: Step) -> Array:
    columns = raw_file(path)
    found = []
    for name in step.vectors:
        key = name.lower()
        if key.endswith("#branch"):
            key = f"i({key.removesuffix('#branch')})"
        if key not in columns:
            raise EngineError(f"ngspice returned no vector {name!r}")
        found.append(columns[key])
    return np.stack(found, axis=-1) if found else np.empty((0, 0))


def raw_file(path: Path) -> dict[str, Array]:
    """Return the vectors of a binary raw file by name, lower case."""
    head, _, body = path.read_bytes().partition(b"Binary:\n")
    text = head.decode("ascii", "replace")
    variables = re.search(r"No\. Variables: (\d+)", text)
    points = re.search(r"No\. Points: (\d+)", text)
    if variables is None or points is None or "complex" in text.partition("Flags:")[2][:20]:
        raise EngineError(f"{path.name} is no raw file of real numbers")
    shape = int(points[1]), int(variables[1])
    if len(body) < 8 * shape[0] * shape[1]:
        raise EngineError(f"{path.name} is cut short: is the disk full?")
    table = np.frombuffer(body, dtype=np.float64, count=shape[0] * shape[1]).reshape(shape)
    rows = text.partition("Variables:\n")[2].splitlines()[: shape[1]]
    return {row.split()[1].lower(): table[:, k].copy() for k, row in enumerate(rows)}
