"""Files that are whole or not there at all: the one place that writes what memtwin leaves on disk.

A file is written beside its destination, under a name that nobody takes for it, and renamed into place, so that a full
disk or a kill leaves what was there. A symlink is followed, permissions stay (or are those of the umask), and what is
neither a regular file nor absent is refused. A process that dies leaves at most a file or a folder with a lock that the
system has lifted: the next one to write there removes it.
"""

__all__ = [
    "PICTURES",
    "Partial",
    "caption",
    "check_target",
    "parse_toml",
    "printable",
    "read_toml",
    "replacing",
    "scratch",
    "toml_key",
    "toml_value",
    "write_csv",
    "write_figure",
    "write_text",
]

import fcntl
import io
import os
import re
import secrets
import shutil
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from .errors import InputError, MemtwinError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Partial: TypeAlias = BinaryIO
"""What :func:`replacing` yields: open for reading and writing, empty."""

PICTURES = ("eps", "jpeg", "jpg", "pdf", "png", "ps", "svg", "svgz", "tif", "tiff", "webp")
"""Formats of pictures, by their suffix."""

_PART = ".memtwin-{}.part"
_SCRATCH = "memtwin-scratch-"


@contextmanager
def replacing(path: str | Path) -> Iterator[Partial]:
    """Yield a file that takes the place of ``path`` once the block has ended well.

    Folders that are missing are made, and removed again if the block fails.

    Raises
    ------
    InputError
        If there is something at ``path`` that is no regular file, or it is no path at all.
    MemtwinError
        If the file can't be written; what was at ``path`` is then unchanged.
    """
    target = _target(path)
    made: list[Path] = []
    try:
        _make(target.parent, made)
        _sweep_parts(target.parent)
        with _part(target.parent) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if target.exists():
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                os.replace(file.name, target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except BaseException as error:
        for folder in reversed(made):
            with suppress(OSError):  # not empty: another process has put something there
                folder.rmdir()
        if isinstance(error, OSError):
            raise MemtwinError(
                f"can't write {path}: {error.strerror or error}; what was there before is unchanged"
            ) from error
        raise


def check_target(path: str | Path) -> None:
    """Refuse, before any work is done, a path at which no file can be written.

    Raises
    ------
    InputError, MemtwinError
        As :func:`replacing`.
    """
    target = _target(path)
    folder = next(each for each in target.parents if each.exists())
    if not os.access(folder, os.W_OK):
        raise MemtwinError(f"can't write {path}: {folder} is write-protected")


def write_text(path: str | Path, text: str) -> Path:
    """Write ``text`` (UTF-8) at ``path``, whole or not at all."""
    with replacing(path) as file:
        file.write(printable(text).encode())
    return Path(path)


def write_csv(
    path: str | Path,
    names: Iterable[str],
    rows: Iterable[Iterable[Any]],
    cell: Callable[[Any], str] = repr,
) -> Path:
    """Write a table with its names above, and return its path.

    Parameters
    ----------
    path
        Where to write it.
    names
        Names of the columns.
    rows
        Values, a row each.
    cell
        Says a value as text.
    """
    lines = [",".join(names), *(",".join(map(cell, row)) for row in rows)]
    return write_text(path, "\n".join(lines) + "\n")


def write_figure(figure: "Figure", path: str | Path, *, dpi: int = 150) -> Path:
    """Draw ``figure`` at ``path``, whole or not at all, in the format that its suffix names (PNG without one).

    Parameters
    ----------
    figure
        What to draw.
    path
        Where to write it; the suffix names the format.
    dpi
        Dots per inch, where the format has dots.
    """
    path = Path(path)
    format = path.suffix[1:].lower() or "png"
    if format not in PICTURES:
        raise InputError(
            f"can't draw to {path}: {path.suffix} is no format of a picture (known: {', '.join(PICTURES)})"
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, dpi=dpi)
    with replacing(path) as file:
        file.write(buffer.getbuffer())
    return path


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder for temporary files; it goes with the block, or when the next one is asked for after a
    kill.
    """
    _sweep_scratch(tempfile.gettempdir())
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def printable(text: str) -> str:
    r"""Return ``text`` with what has no place in UTF-8 text or in a record (a byte that a file name holds in another
    encoding, a NUL) written out, as ``\udce9``.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", r"\x00")


def caption(text: str) -> str:
    """Return ``text``, which may be any file's name, to be drawn as it is: matplotlib takes dollar signs to enclose
    a formula.
    """
    return printable(text).replace("$", r"\$")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return what the TOML file at ``path`` holds.

    Raises
    ------
    InputError
        If it can't be read, or is no TOML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text file: {error.reason}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"can't read {printable(str(path))}: {error}") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Return what TOML text from ``where`` holds.

    Raises
    ------
    InputError
        If it is no TOML, is nested too deep, or has a number of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "brackets are nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"{where} is no valid TOML: {reason}") from error


def toml_key(key: str) -> str:
    """Return ``key`` as TOML writes it, in quotes where it must have them."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: Any) -> str:
    """Return a string, number, truth value, or a sequence of them as TOML, numpy's too; anything else as
    a string.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"'
        + "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in escaped)
        + '"'
    )


def _target(path: str | Path) -> Path:
    """Return the regular file, or the free place, that ``path`` means."""
    try:
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except OSError as error:  # the folder is a file, or a circle of symlinks: opening says the same
        raise MemtwinError(f"can't write {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{printable(str(path))} is no path: {error}") from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise InputError(f"can't write {path}: it is {what}; give the path of a file")
    if not os.access(target, os.W_OK):
        raise MemtwinError(f"can't write {path}: it is write-protected")
    return target


def _make(folder: Path, made: list[Path]) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        with suppress(FileExistsError):  # made by another process meanwhile
            each.mkdir()
            made.append(each)


def _part(folder: Path) -> Partial:
    while True:
        file = (folder / _PART.format(secrets.token_hex(8))).open("x+b")
        if _lock(file.fileno()):
            return file
        file.close()


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = tempfile.mkdtemp(prefix=_SCRATCH)
        lock = os.open(folder, os.O_RDONLY)
        if _lock(lock):
            return Path(folder), lock
        os.close(lock)


def _lock(handle: int) -> bool:
    """Hold a new file or folder until this process ends; False if it was swept away before that."""
    with suppress(OSError):  # a file system without locks: nothing is swept there either
        fcntl.flock(handle, fcntl.LOCK_EX)
    return os.fstat(handle).st_nlink > 0


@cache
def _sweep_parts(folder: Path) -> None:
    for part in folder.glob(_PART.format("*")):
        _remove_if_dead(part)


@cache
def _sweep_scratch(home: str) -> None:
    for folder in Path(home).glob(f"{_SCRATCH}*"):
        _remove_if_dead(folder)


def _remove_if_dead(path: Path) -> None:
    """Remove what a process left that has ended: nobody holds its lock."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        finally:
            os.close(handle)
