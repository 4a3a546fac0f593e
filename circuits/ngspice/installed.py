"""Which ngspice is installed, as a library or as a program, and what it can do; nothing is loaded into this process."""

__all__ = [
    "Features",
    "available",
    "environment",
    "features",
    "find_library",
    "parsed",
    "program_available",
]

import ctypes.util
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...data.errors import EngineMissing
from .verdict import INSTALL

OLDEST = 39
"""First major version whose B-sources and callbacks behave as the decks need."""


class Features(NamedTuple):
    """What the installed ngspice can do."""

    version: str
    """Version as ngspice gives it, ``"44.2"``."""
    klu: bool
    """Whether it has the KLU solver."""
    library: str
    """Path of the shared library; empty where only the program can be used."""

    @property
    def major(self) -> int:
        """Major version."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]


def find_library() -> str | None:
    """Return the path (or loadable name) of libngspice, or ``None``; ``NGSPICE_LIBRARY_PATH`` comes
    first.
    """
    given = os.environ.get("NGSPICE_LIBRARY_PATH")
    if given:
        return given if Path(given).exists() else None
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), f"{sys.prefix}/lib"]
    for root in ("/usr/local", "/usr", "/opt/homebrew", "/opt/local"):
        folders += [
            f"{root}/lib64",
            *map(str, Path(f"{root}/lib").glob("*-linux-*")),
            f"{root}/lib",
        ]
    for folder in filter(None, folders):
        for name in ("libngspice.so.0", "libngspice.so", "libngspice.dylib"):
            if (Path(folder) / name).exists():
                return str(Path(folder) / name)
    return ctypes.util.find_library("ngspice")


def available() -> bool:
    """Return whether ngspice is installed, as a library or as a program; nothing is loaded or
    started.
    """
    return find_library() is not None or program_available()


PATIENCE = 300
"""Time that ngspice may take to say what it is, the first start of a fresh installation included [s]."""


@functools.cache
def features() -> Features:
    """Ask the installed ngspice for its version and solvers, in a process of its own.

    Raises
    ------
    EngineMissing
        If there is neither a usable library nor a program, or it is too old.
    """
    library, trouble = find_library(), "was not found"
    found = None
    if library is not None:
        code = "from memtwin.circuits.ngspice.library import Ng; Ng.get().print_features()"
        said, trouble = _ask([sys.executable, "-P", "-W", "ignore", "-c", code])
        found = parsed(said, library)
        trouble = f"{library} can't be used ({trouble})"
    if found is None and program_available():
        with tempfile.TemporaryDirectory() as folder:
            deck = Path(folder) / "version.cir"
            deck.write_text("version\n.control\nversion -f\nquit\n.endc\n.end\n")
            found = parsed(_ask(["ngspice", "-n", "-b", str(deck)])[0], "")
        if found is not None:
            warnings.warn(
                f"the ngspice library {trouble}: running ngspice -b instead",
                RuntimeWarning,
                stacklevel=2,
            )
    if found is None:
        raise EngineMissing(f"the ngspice library {trouble}: {INSTALL}")
    if found.major < OLDEST:
        raise EngineMissing(
            f"ngspice {found.version} is too old, {OLDEST} or newer is needed: {INSTALL}"
        )
    return found


def _ask(command: Sequence[str]) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            asked = subprocess.run(
                command,
                capture_output=True,
                text=True,
                cwd=folder,
                env=environment(),
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return "", f"it did not answer within {PATIENCE} s"
        except OSError as error:
            return "", str(error)
    last = (asked.stderr.strip().splitlines() or [f"exit status {asked.returncode}"])[-1]
    return asked.stdout, last


def parsed(text: str, library: str) -> Features | None:
    """Return the features that ngspice's answer to its version command names, if it names any."""
    version = re.search(r"ngspice-(\d+(\.\d+)*)", text)
    return None if version is None else Features(version[1], "KLU" in text, library)


def program_available() -> bool:
    """Return whether there is an ``ngspice`` program."""
    return shutil.which("ngspice") is not None


def environment() -> dict[str, str]:
    """Return this process's environment for ngspice, without the variables by which a user's own
    start-up files would change what a deck means.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SPICE_")}
    return {**kept, "OMP_NUM_THREADS": "1"}
