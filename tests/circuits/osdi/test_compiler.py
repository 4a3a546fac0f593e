"""What is compiled once: the cache, its key, two processes at once, and errors in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memtwin.circuits.osdi import compiler as module
from memtwin.circuits.osdi.compiler import Compiler, compiler, library_of
from memtwin.data.errors import EngineError, EngineMissing

TEXT = """\
`include "disciplines.vams"
module tiny(p, n);
  inout p, n;
  electrical p, n;
  analog I(p, n) <+ 1e-3*V(p, n);
endmodule
"""
needs_compiler = pytest.mark.skipif(
    compiler() is None, reason="no Verilog-A compiler: install the extra 'osdi'"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "A cache"))
    return tmp_path / "A cache" / "memtwin" / "osdi"


def pretender(path: Path, body: str) -> Path:
    """A compiler in the shell: it says a version, and does ``body`` otherwise."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{path.parent.name}" && exit\n{body}\n'
    )
    path.chmod(0o755)
    return path


@needs_compiler
def test_a_text_is_compiled_once(cache, monkeypatch):
    first = library_of(TEXT)
    assert list(cache.iterdir()) == [first]
    monkeypatch.setattr(module, "_compile", lambda *args: pytest.fail("compiled again"))
    assert library_of(TEXT) == first


@needs_compiler
def test_another_text_or_compiler_is_another_library(cache, monkeypatch):
    first, second = library_of(TEXT), library_of(TEXT.replace("1e-3", "2e-3"))
    found = compiler()
    assert found is not None
    monkeypatch.setattr(module, "compiler", lambda: Compiler(found.program, "another"))
    assert len({first, second, library_of(TEXT)}) == 3


@needs_compiler
def test_many_processes_make_the_same_library_at_once(cache):
    code = (
        "from memtwin.circuits.osdi.compiler import library_of; import sys;"
        " path = library_of(sys.stdin.read()); print(path, path.stat().st_size)"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for _ in range(4)
    ]
    said = {process.communicate(TEXT)[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(said) == 1
    assert len(list(cache.iterdir())) == 1


@needs_compiler
def test_a_text_that_does_not_compile_leaves_nothing(cache):
    with pytest.raises(EngineError, match=r"can't compile a device: .*devices = behavioural"):
        library_of(TEXT.replace("endmodule", "endmodul"))
    assert not cache.exists()


def test_without_a_compiler_the_extra_is_named(cache, monkeypatch):
    monkeypatch.setattr(module, "compiler", lambda: None)
    with pytest.raises(EngineMissing, match=r"pip install 'memtwin\[osdi\]'"):
        library_of(TEXT)


def test_one_on_the_path_comes_first(tmp_path, monkeypatch):
    made = pretender(tmp_path / "mine" / "openvaf-r", "exit 1")
    monkeypatch.setenv("PATH", str(made.parent), prepend=os.pathsep)
    assert compiler.__wrapped__() == Compiler(str(made), "mine")


def test_one_that_dies_says_so_and_leaves_nothing(cache, tmp_path, monkeypatch):
    made = pretender(tmp_path / "mine" / "openvaf-r", "echo half > device.osdi; kill -9 $$")
    monkeypatch.setattr(module, "compiler", lambda: Compiler(str(made), "mine"))
    with pytest.raises(EngineError, match="it gave no reason"):
        library_of(TEXT)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = pretender(tmp_path / "mine" / "openvaf-r", "echo whole > device.osdi")
    monkeypatch.setattr(module, "compiler", lambda: Compiler(str(made), "mine"))
    with pytest.raises(EngineError, match=r"the cache of compiled devices: .*file"):
        library_of(TEXT)
