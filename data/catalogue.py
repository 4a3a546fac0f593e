"""The catalogue of public datasets: where each file comes from, its hash and its licence, and the
cache on disk.

No measured data ships with memtwin. :func:`fetch` looks for a dataset in the cache (the folder that
the environment variable ``MEMTWIN_DATA`` names, else the platform's cache folder), downloads what
is missing with pooch, and checks every file's sha256. ``catalogue.toml`` beside this module lists
the datasets.
"""

__all__ = ["Entry", "cache_folder", "datasets", "fetch", "find_dataset"]

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import pooch

from .errors import InputError, MemtwinError, nearest
from .types import Progress

_TIMEOUT = 30.0  # [s] for a connection, and between two packets


@dataclass(frozen=True)
class Entry:
    """One catalogue entry.

    Attributes
    ----------
    name, title, kind
        Key in the catalogue, one line for people, and ``images``, ``sweeps``, ``pulses`` or
        ``array``.
    device
        The device or source measured, as far as its publishers say.
    licence, doi, source
        Licence with its caveats, DOI of the paper or set (or ``""``), web page of the publisher.
    folder
        Folder in the cache, relative to its root.
    base
        URL that file names are appended to.
    columns
        What the files hold, with units.
    files
        File name, relative to ``folder`` -> sha256.
    upstream
        File name -> path below ``base``, for the files whose path there differs.
    """

    name: str
    title: str
    kind: str
    device: str
    licence: str
    doi: str
    source: str
    folder: str
    base: str
    columns: str
    files: Mapping[str, str] = field(repr=False)
    upstream: Mapping[str, str] = field(default_factory=dict, repr=False)

    def url(self, file: str) -> str:
        """Return the address of ``file``."""
        return self.base + quote(self.upstream.get(file, file))

    def path(self, file: str) -> Path:
        """Return where ``file`` lies, or would lie, in the cache."""
        return cache_folder() / self.folder / file

    def matching(self, pattern: str) -> list[str]:
        """Return its files whose names match a shell ``pattern`` (``*`` also crosses folders).

        Raises
        ------
        InputError
            If none does.
        """
        found = [file for file in self.files if fnmatchcase(file, pattern)]
        if not found:
            raise InputError(
                f"no file of dataset {self.name} matches {pattern!r}; it has {len(self.files)} files,"
                f" the first is {next(iter(self.files))!r}"
            )
        return found

    @property
    def cached(self) -> int:
        """Number of its files that lie in the cache, their contents not checked."""
        return sum(self.path(file).is_file() for file in self.files)


def cache_folder() -> Path:
    """Return the root of the cache: ``$MEMTWIN_DATA``, else the platform's cache folder for
    memtwin.
    """
    given = os.environ.get("MEMTWIN_DATA")
    return Path(given).expanduser() if given else Path(pooch.os_cache("memtwin"))


@cache
def datasets() -> Mapping[str, Entry]:
    """Return every dataset of the catalogue by its name."""
    table = tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text("utf-8"))
    return {name: Entry(name=name, **entry) for name, entry in table.items()}


def find_dataset(name: str) -> Entry:
    """Return the dataset called ``name``; an unknown name is an error that says which one is
    nearest.
    """
    if name not in datasets():
        raise InputError(f"unknown dataset {name!r}{nearest(name, datasets())}")
    return datasets()[name]


def fetch(name: str, pattern: str = "*", *, progress: Progress | None = None) -> list[Path]:
    """Return the paths of a dataset's files, downloaded where the cache lacks them, each one
    checked by its sha256.

    Parameters
    ----------
    name
        A key of :func:`datasets`.
    pattern
        Shell pattern of the file names wanted (``*`` also crosses folders); the others are neither
        downloaded nor read.
    progress
        Called after each file with (files done, files).

    Raises
    ------
    InputError
        If the dataset is unknown, no file matches, or a file in the cache is not the one that the
        catalogue means. Such a file is never overwritten.
    MemtwinError
        If a download fails, or brings something else than the catalogue's file.
    """
    dataset = find_dataset(name)
    wanted = dataset.matching(pattern)
    for done, file in enumerate(wanted, start=1):
        path = dataset.path(file)
        if path.exists():
            _check(path, dataset.files[file], name)
        else:
            _download(dataset, file, path)
        if progress is not None:
            progress(done, len(wanted))
    return [dataset.path(file) for file in wanted]


def _check(path: Path, expected: str, name: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"can't read {path} of dataset {name}: {error.strerror}") from error
    if found != expected:
        raise InputError(
            f"{path} is not the file that dataset {name} means (sha256 {found[:12]}…, expected"
            f" {expected[:12]}…);"
            " it was left as it is: move it away to have it downloaded again"
        )


def _download(dataset: Entry, file: str, path: Path) -> None:
    url = dataset.url(file)
    remedy = (
        f"download it by hand to {path}, or let MEMTWIN_DATA name a folder that has"
        f" {dataset.folder}/{file}"
    )
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{dataset.files[file]}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
        )
    except ValueError as error:  # pooch's word for a wrong hash; it has removed what came
        raise MemtwinError(
            f"{url} no longer holds the file of dataset {dataset.name} (wrong sha256): {remedy}"
        ) from error
    except OSError as error:  # no network, no such page, no right to write
        reason = type(error).__name__ if error.strerror is None else error.strerror
        raise MemtwinError(f"can't download {url} ({reason}): {remedy}") from error
