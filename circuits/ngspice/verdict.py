"""What ngspice's messages mean.

It has no error codes: "Error" and "Warning" come on the same streams as its chatter, and a failed
analysis leaves the points so far behind as if they were all. So a failure is told by the content of
what it said on stderr.
"""

__all__ = ["INSTALL", "Lost", "gone", "verdict"]

import re
from collections.abc import Sequence

from ...data.errors import EngineError, NonConvergence

INSTALL = "install it (Debian, Ubuntu: apt install libngspice0 ngspice) or set NGSPICE_LIBRARY_PATH"

FATAL = re.compile(
    r"^\s*(fatal )?error|doanalyses|aborted|no such|unknown |can't find|not parsed|"
    r"too (many|few) parameters|not enough|incorrect|undefined|singular matrix|no circuit|syntax|"
    r"could not|cannot open|mismatch|no simulations run",
    re.IGNORECASE,
)
BENIGN = re.compile(
    r"^\s*(note|warning|using (sparse|klu)|trying|supplies reduced|reducing trtol|original line)",
    re.IGNORECASE,
)
DIVERGED = re.compile(
    r"timestep too small|no convergence|iteration limit|singular matrix|gmin stepping failed|"
    r"source stepping failed|did not converge|trouble with",
    re.IGNORECASE,
)
GONE = re.compile(r"cannot recover|awaits to be (detached|reset)", re.IGNORECASE)


class Lost(EngineError):
    """A process's ngspice can't be used any more; the process must be replaced."""


def gone(log: str) -> bool:
    """Return whether ngspice said that it can't go on in this process."""
    return GONE.search(log) is not None


def verdict(doing: str, said: Sequence[str], *, failed: bool, log: str = "") -> EngineError | None:
    """Return the error that the lines on stderr amount to, if any.

    ``failed`` says that ngspice reported failure in another way; ``log`` is quoted with a failure
    to converge.

    Parameters
    ----------
    doing
        What ngspice was asked to do.
    said
        Lines that it wrote on stderr.
    failed
        Whether it reported failure in another way.
    log
        What to quote with a failure to converge.
    """
    said = [line for line in said if line.strip() and not BENIGN.search(line)]
    wrong = [line for line in said if FATAL.search(line)]
    if not (failed or wrong):
        return None
    if any(DIVERGED.search(line) for line in said):
        return NonConvergence(f"{doing}: no operating point was found\n{log[-2000:]}".rstrip())
    reason = (wrong or said or ["no reason given"])[0].strip()
    return EngineError(f"{doing} failed: {reason}")
