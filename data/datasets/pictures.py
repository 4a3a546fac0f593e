"""A folder of images by class: ``CLASS/NAME.png``, or ``train/CLASS/…`` and ``test/CLASS/…``."""

__all__ = ["is_picture", "read_pictures"]

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import InputError
from .raw import Raw, Values

ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
)

PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test",),
}
"""What folders of parts are called."""

_GREY = frozenset({"1", "L", "LA", "I", "I;16", "F"})


def is_picture(path: Path) -> bool:
    """Return whether a file's name is that of an image."""
    return path.suffix.lower() in ENDINGS


def read_pictures(folder: Path, shape: Sequence[int] | None = None) -> Raw:
    """Read a folder of images by class into unsigned bytes, (n, height, width) or (n, height, width,
    3); classes are the names of their folders, in the order of the alphabet.

    Parameters
    ----------
    shape
        (height, width[, channels]) that every image is brought to; that of the first one if absent.

    Raises
    ------
    InputError
        If there are no images, one can't be read, or is of another size than the first and no
        ``shape`` is given; or parts differ in their classes.
    """
    subfolders = {path.name.lower(): path for path in _folders(folder)}
    parts = {
        part: next((subfolders[name] for name in names if name in subfolders), None)
        for part, names in PARTS.items()
    }
    home = parts["train"] or folder
    classes = [path.name for path in _folders(home) if any(map(is_picture, path.iterdir()))]
    if not classes:
        raise InputError(
            f"{folder} holds no images by class: expected {folder.name}/CLASS/NAME.png, or"
            f" {folder.name}/train/CLASS/NAME.png and {folder.name}/test/CLASS/NAME.png"
        )
    wanted = tuple(shape) if shape is not None else None
    read = {"train": _part(home, classes, wanted)}
    wanted = read["train"][0].shape[1:]
    for part in ("validation", "test"):
        place = parts[part]
        if parts["train"] is not None and place is not None:
            others = [path.name for path in _folders(place)]
            if strange := sorted(set(others) - set(classes)):
                raise InputError(f"{place} holds the class {strange[0]!r}, which {home} has not")
            read[part] = _part(place, classes, wanted)
    return Raw(folder.name, read["train"], read.get("validation"), read.get("test"), tuple(classes))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _part(
    home: Path, classes: Sequence[str], shape: tuple[int, ...] | None
) -> tuple[Values, Values]:
    paths = [
        (label, path)
        for label, name in enumerate(classes)
        if (home / name).is_dir()
        for path in sorted((home / name).iterdir())
        if is_picture(path)
    ]
    first = read_picture(paths[0][1], shape) if paths else np.empty((0, 0), np.uint8)
    images = np.empty((len(paths), *first.shape), np.uint8)
    for k, (_, path) in enumerate(paths):
        pixels = first if k == 0 else read_picture(path, shape, first.ndim)
        if pixels.shape != first.shape:
            raise InputError(
                f"{path} is {_size(pixels)}, {paths[0][1]} is {_size(first)}: say what all are to be"
                f" brought to, such as data.shape = {list(first.shape)}"
            )
        images[k] = pixels
    return images, np.array([label for label, _ in paths], np.int64)


def read_picture(path: Path | BytesIO, shape: tuple[int, ...] | None, rank: int = 0) -> Values:
    """Read one image, grey (``rank`` 2) or of three colours (3), as it is where neither is asked for."""
    try:
        with Image.open(path) as image:
            rank = rank or (len(shape) if shape else 2 if image.mode in _GREY else 3)
            if shape and len(shape) == 3 and shape[2] == 1:
                rank = 2
            plain: Any = image.convert("L" if rank == 2 else "RGB")
            if shape is not None and plain.size != (shape[1], shape[0]):
                plain = plain.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
            return np.asarray(plain, np.uint8)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"can't read the image {path}: {error}") from error


def _size(pixels: Values) -> str:
    return " × ".join(map(str, pixels.shape[:2])) + (
        " in colour" if pixels.ndim == 3 else " in grey"
    )
