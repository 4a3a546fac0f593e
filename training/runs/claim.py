"""A folder belongs to one job at a time, until that ends, however it ends."""

__all__ = ["Claim", "FolderInUse", "claimed", "holder"]

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Self

from ...data.errors import InputError, MemtwinError

FILE = "claim.json"
"""File whose lock is the claim; it says whose it is."""

ATTEMPTS = 100
"""Times that the file is made anew where another job removes it meanwhile."""

_held: set[int] = set()


class FolderInUse(InputError):
    """Another job works in the folder."""


class Claim:
    """A folder that this job alone works in, until :meth:`release`; a context manager.

    The claim is a lock that the system drops with its process, so that what a killed one leaves
    behind binds nobody. The folder is made if it is not there, and removed if it ends up empty.

    Raises
    ------
    FolderInUse
        If another job holds the folder; the text says which.
    MemtwinError
        If the folder can't be made or locked.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder)
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{folder} is no folder: a run keeps its files in one of its own")
        self._made = [place for place in (self.path, *self.path.parents) if not place.exists()]
        self._handle = _lock(self.path)
        _held.add(self._handle)
        mine = {
            "process": os.getpid(),
            "host": platform.node(),
            "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        }
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(mine).encode() + b"\n", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the folder."""
        (self.path / FILE).unlink(missing_ok=True)
        _held.discard(self._handle)
        os.close(self._handle)
        with suppress(OSError):  # one that is not empty stays, and those that it lies in
            for place in self._made:
                place.rmdir()


@contextmanager
def claimed(folder: str | Path | Claim) -> Iterator[Path]:
    """Claim ``folder`` for a block, unless the caller has; yields its path."""
    if isinstance(folder, Claim):
        yield folder.path
    else:
        with Claim(folder) as claim:
            yield claim.path


def _lock(folder: Path) -> int:
    """Return the handle of the folder's claim, locked; folder and file are made."""
    file = folder / FILE
    try:
        for _ in range(ATTEMPTS):
            # A job that ends just now removes its file, and its folder if that is empty.
            with suppress(FileNotFoundError):
                folder.mkdir(parents=True, exist_ok=True)
                handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.path.samestat(os.fstat(handle), file.stat()):
                        return handle
                except BaseException:
                    os.close(handle)
                    raise
                os.close(handle)
    except BlockingIOError as error:
        raise FolderInUse(
            f"{folder} is in use by {_holder(file)}: wait until that has ended, or choose another"
            " folder"
        ) from error
    except OSError as error:
        raise MemtwinError(f"can't write and lock {file}: {error}") from error
    raise MemtwinError(f"can't lock {file}: something keeps removing it")


def holder(folder: str | Path) -> str | None:
    """Return which process holds ``folder``, or ``None`` if it is free."""
    file = Path(folder) / FILE
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(file)
    finally:
        os.close(handle)
    return None


def _holder(file: Path) -> str:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return f"process {found['process']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "a process that has only just started"


def _leave_to_parent() -> None:
    # A lock lasts as long as any copy of its handle: a forked child must not outlive it with one.
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
