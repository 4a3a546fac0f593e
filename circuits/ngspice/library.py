"""libngspice through PySpice, repaired.

PySpice 1.5 takes every line on stderr for a failure, misses errors that are on stdout or come while
a circuit is loaded, never removes an old circuit, and so can return the results of the circuit
before. :class:`Ng` is its shared-library wrapper with those parts replaced. One process holds one
instance, and only worker processes make one.
"""

__all__ = ["Ng"]

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PySpice.Spice.NgSpice import Shared as shared

from ...data.errors import EngineError, EngineMissing, InputError
from ...data.files import scratch
from ...data.types import Array
from ..osdi.compiler import library_of
from .installed import environment, find_library, parsed
from .verdict import INSTALL, Lost, gone, verdict


@contextmanager
def _no_start_up_files() -> Iterator[None]:
    """Let ngspice, started in the block, find no start-up file but the system's; leaves this
    process in a folder of its own that is gone.

    It reads the first ``.spiceinit`` that it finds, in the current folder or the user's home as the
    password file has it: an empty one in an own folder ends the search.
    """
    for name in os.environ.keys() - environment().keys():
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="memtwin-") as folder:
        os.chdir(folder)
        Path(".spiceinit").touch()
        yield


class Ng(shared.NgSpiceShared):  # type: ignore[misc]
    """The process's ngspice: load one circuit, run analyses, read vectors; every failure is an
    exception by type.
    """

    _number_of_exec_calls: int
    _lost = ""
    _loaded = False
    _kept: tuple[str, ...] = ()
    _known: set[str]
    """Verilog-A texts whose devices are loaded; they stay until the process ends."""
    solving = 0.0
    """CPU time spent in analyses so far [s]."""

    @classmethod
    def get(cls) -> "Ng":
        """Return this process's instance, made at the first call."""
        instance: Ng | None = cls._instances.get(0)
        if instance is None:
            library = find_library()
            if library is None:
                raise EngineMissing(f"ngspice's shared library was not found: {INSTALL}")
            shared.NgSpiceShared.LIBRARY_PATH = library
            try:
                with _no_start_up_files():
                    instance = cls()
            except (OSError, NameError) as error:
                raise EngineMissing(f"{library} can't be loaded: {error}") from error
            cls._instances[0] = instance
            instance._known = set()
            # The system's own start-up file may ask for another dialect, in which (-2)**3 is -8
            # instead of 8.
            for command in ("unset ngbehavior", "unset interactive", "set num_threads=1"):
                instance.exec_command(command)
        return instance

    # Callbacks. PySpice binds them by name when it starts the library.

    @staticmethod
    def _send_char(message_c: Any, ngspice_id: int, user_data: Any) -> int:
        self = shared.ffi.from_handle(user_data)
        stream, _, text = shared.ffi.string(message_c).decode("utf8", "replace").partition(" ")
        (self._stderr if stream == "stderr" else self._stdout).append(text)
        return 0

    @staticmethod
    def _send_stat(message: Any, ngspice_id: int, user_data: Any) -> int:
        return 0

    @staticmethod
    def _exit(status: int, unload: bool, quit: bool, ngspice_id: int, user_data: Any) -> int:
        self = shared.ffi.from_handle(user_data)
        self._lost = f"ngspice asked to exit with status {status}"
        return 0

    @staticmethod
    def _background_thread_running(is_running: bool, ngspice_id: int, user_data: Any) -> int:
        shared.ffi.from_handle(user_data)._is_running = not is_running
        return 0

    def _get_version(self) -> None:
        self._version_text = "\n".join(self.exec_command("version -f", join_lines=False))
        found = parsed(self._version_text, "")
        if found is None:
            raise NameError("its version command answers nothing")
        self._ngspice_version = found.major
        types = shared.SIMULATION_TYPE
        types.setdefault(found.major, types["last"])

    def print_features(self) -> None:
        """Print what :func:`features` looks for."""
        print(self._version_text)

    @property
    def log(self) -> str:
        """What the last command said."""
        return "\n".join([*self._stdout, *self._stderr])

    def exec_command(self, command: str, join_lines: bool = True) -> Any:
        """Run one ngspice command and return its output.

        Raises
        ------
        NonConvergence, Lost, EngineError
            By what ngspice said.
        """
        if self._lost:
            raise Lost(self._lost)
        if len(command) > self.MAX_COMMAND_LENGTH:
            limit = self.MAX_COMMAND_LENGTH
            raise InputError(f"ngspice takes commands up to {limit} characters: {command[:40]}...")
        self._number_of_exec_calls += 1
        if self._number_of_exec_calls > self.NUMBER_OF_EXEC_CALLS_TO_RELEASE_MEMORY:
            self._ngspice_shared.ngSpice_Command(shared.FFI.NULL)
            self._number_of_exec_calls = 0
        self.clear_output()
        failed = self._ngspice_shared.ngSpice_Command(command.encode("ascii"))
        self._check(f"ngspice command {command[:60]!r}", bool(failed))
        return self.stdout if join_lines else self._stdout

    def _check(self, doing: str, failed: bool) -> None:
        if self._lost or gone(self.log):
            self._lost = self._lost or "ngspice can't recover from an error"
            raise Lost(f"{doing}: {self._lost}\n{self.log[-2000:]}")
        error = verdict(doing, self._stderr, failed=failed, log=self.log)
        if error is not None:
            raise error

    def load_circuit(self, circuit: object) -> None:
        """Replace whatever was loaded by ``circuit`` (text, or a PySpice circuit).

        Raises
        ------
        EngineError
            If ngspice can't read it; then nothing is loaded.
        """
        if self._lost:
            raise Lost(self._lost)
        self.drop()
        lines = [line for line in str(circuit).splitlines() if line.strip()]
        if not lines:
            raise InputError("the netlist is empty")
        if lines[-1].strip().lower() != ".end":
            lines.append(".end")  # without it ngspice silently keeps the circuit before
        keep = [shared.ffi.new("char[]", line.encode("utf8")) for line in [*lines, ""]]
        array = shared.ffi.new("char *[]", [*keep, shared.FFI.NULL])
        self.clear_output()
        failed = self._ngspice_shared.ngSpice_Circ(array)
        self._loaded = True
        try:
            self._check("loading the netlist", bool(failed))
        except Lost:
            raise
        except EngineError:
            self.drop()
            raise

    def learn(self, sources: Iterable[str]) -> None:
        """Load the devices compiled from Verilog-A texts, those that are not loaded yet.

        Raises
        ------
        EngineError
            If one does not compile, or ngspice does not take it.
        """
        for text in sources:
            if text not in self._known:
                library = library_of(text)
                with scratch() as folder:  # whose name ngspice can't misread
                    (folder / "device.osdi").symlink_to(library)
                    self.exec_command(f"osdi {folder}/device.osdi")
                self._known.add(text)

    def drop(self) -> None:
        """Forget the circuit and all results; ngspice leaks a megabyte per load otherwise."""
        self.exec_command("destroy all")
        if self._loaded:
            self.exec_command("delete all")
            self.exec_command("remcirc")
            self._loaded, self._kept = False, ()

    def keep(self, vectors: Sequence[str]) -> None:
        """Keep only ``vectors`` in the analyses that follow."""
        if self._kept != tuple(vectors):
            self.exec_command("delete all")
            for line in _packed("save", vectors, self.MAX_COMMAND_LENGTH):
                self.exec_command(line)
            self._kept = tuple(vectors)

    def analyse(self, command: str) -> None:
        """Run an analysis and count its time."""
        began = time.process_time()
        try:
            self.exec_command(command)
        finally:
            self.solving += time.process_time() - began

    def points(self, vectors: Sequence[str]) -> int:
        """Return how many points of ``vectors`` a failed analysis left behind."""
        if not vectors:
            return 0
        info = self._ngspice_shared.ngGet_Vec_Info(vectors[0].encode("ascii"))
        return 0 if info == shared.FFI.NULL else int(info.v_length)

    def vector(self, name: str) -> Array:
        """Return a copy of a result of the last analysis, real.

        Raises
        ------
        EngineError
            If the last analysis made no such vector.
        """
        info = self._ngspice_shared.ngGet_Vec_Info(name.encode("ascii"))
        if info == shared.FFI.NULL or info.v_realdata == shared.FFI.NULL:
            raise EngineError(f"ngspice returned no vector {name!r}")
        return np.frombuffer(
            shared.ffi.buffer(info.v_realdata, 8 * info.v_length), dtype=np.float64
        ).copy()


def _packed(verb: str, words: Iterable[str], limit: int = 1000) -> Iterable[str]:
    """Yield commands ``verb word word ...`` of at most ``limit`` characters."""
    line = verb
    for word in words:
        if len(line) + 1 + len(word) > limit:
            yield line
            line = verb
        line += f" {word}"
    if line != verb:
        yield line
