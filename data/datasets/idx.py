"""idx files, as MNIST and its kin lie in: one of images and one of labels per part."""

__all__ = ["read_idx", "read_idx_folder", "read_idx_pair"]

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError
from .raw import Raw, Values, of_pair

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

PARTS = {"train": ("train",), "test": ("t10k", "test")}
"""How the names of a part's files begin."""


def read_idx(path: str | Path) -> Values:
    """Read an idx file, gzipped or not, into an array of the shape and type that its header declares.

    Raises
    ------
    InputError
        If the file is missing, damaged, of an unknown element type, or shorter or longer than its
        header says.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"can't read {path}: {error}") from error
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InputError(f"{path} is no idx file: it does not start with two zero bytes")
    kind, rank = data[2], data[3]
    if kind not in _TYPES:
        raise InputError(f"{path} holds idx elements of the unknown type 0x{kind:02x}")
    element = np.dtype(_TYPES[kind])
    start = 4 + 4 * rank
    if len(data) < start:
        raise InputError(f"{path} ends inside its idx header")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", count=rank, offset=4))
    if len(data) - start != prod(shape) * element.itemsize:
        raise InputError(
            f"{path} holds {len(data) - start} bytes of data, its header says"
            f" {prod(shape) * element.itemsize} for"
            f" {shape}"
        )
    try:
        return np.frombuffer(data, element, offset=start).reshape(shape)
    except ValueError as error:  # more dimensions, or longer empty ones, than an array can have
        raise InputError(f"{path}: its header describes no array: {error}") from error


def read_idx_folder(folder: Path) -> Raw:
    """Read a folder of idx files: ``train-images…`` and ``train-labels…``, and the same of ``t10k`` or
    ``test`` where they are; or one file of images and one of labels.
    """
    files = {path.name.lower(): path for path in sorted(folder.iterdir()) if "idx" in path.name}
    parts = {part: _pair(files, beginnings, folder) for part, beginnings in PARTS.items()}
    train = parts["train"] or _pair(files, ("",), folder)
    if train is None:
        raise InputError(f"{folder}: expected idx files called …images… and …labels…")
    return Raw(folder.name, train, None, parts["test"] if parts["train"] else None)


def read_idx_pair(images: Path, labels: Path) -> tuple[Values, Values]:
    """Read one part: images of (n, height, width), or vectors of (n, features), and their labels."""
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim < 2:
        raise InputError(
            f"{images} holds an array of rank {pixels.ndim}, expected (images, height, width)"
        )
    if classes.shape != pixels.shape[:1]:
        raise InputError(
            f"{labels} holds labels of shape {classes.shape} for {len(pixels)} images in {images}"
        )
    return of_pair(pixels, classes, str(images))


def _pair(
    files: dict[str, Path], beginnings: tuple[str, ...], folder: Path
) -> tuple[Values, Values] | None:
    for beginning in beginnings:
        images, labels = (
            [path for name, path in files.items() if name.startswith(beginning) and what in name]
            for what in ("images", "labels")
        )
        if images and not labels:
            raise InputError(f"{folder} holds {images[0].name} but no labels to go with it")
        if images:
            return read_idx_pair(images[0], labels[0])
    return None
