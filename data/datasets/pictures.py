"""A folder of images by class: ``CLASS/NAME.png``, or ``train/CLASS/…`` and ``test/CLASS/…``."""

__all__ = ["is_picture", "read_pictures"]

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
    return path.suffix.lower() in ENDINGS and path.name[0] != "."


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
    if shape is not None and len(shape) == 3 and shape[2] not in (1, 3):
        raise InputError(
            f"data.shape = {list(shape)}: images have 1 channel (grey) or 3 (colour), height and width first"
        )
    subfolders = {path.name.lower(): path for path in _folders(folder)}
    parts = {
        part: next((subfolders[name] for name in names if name in subfolders), None)
        for part, names in PARTS.items()
    }
    home = parts["train"] or folder
    full = {path.name: any(map(is_picture, path.iterdir())) for path in _folders(home)}
    classes = [name for name, holds in full.items() if holds]
    if not classes:
        if any(map(is_picture, folder.iterdir())):
            raise InputError(
                f"{folder} holds images, but no folder for each class: their labels are not known, expected"
                f" {folder.name}/CLASS/NAME.png"
            )
        raise InputError(
            f"{folder} holds no images by class: expected {folder.name}/CLASS/NAME.png, or"
            f" {folder.name}/train/CLASS/NAME.png and {folder.name}/test/CLASS/NAME.png"
        )
    notes = [
        f"{home / name} holds no images and is left out"
        for name, holds in full.items()
        if not holds and name.lower() not in sum(PARTS.values(), ())
    ]
    wanted = tuple(shape) if shape is not None else None
    read = {"train": _part(home, classes, wanted, notes)}
    wanted = read["train"][0].shape[1:]
    for part in ("validation", "test"):
        place = parts[part]
        if parts["train"] is not None and place is not None:
            others = [path.name for path in _folders(place)]
            if strange := sorted(set(others) - set(classes)):
                raise InputError(f"{place} holds the class {strange[0]!r}, which {home} has not")
            read[part] = _part(place, classes, wanted, notes)
            if not len(read[part][0]):
                raise InputError(f"{place} holds no images by class")
    return Raw(
        folder.name,
        read["train"],
        read.get("validation"),
        read.get("test"),
        tuple(classes),
        tuple(notes),
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _part(
    home: Path, classes: Sequence[str], shape: tuple[int, ...] | None, notes: list[str]
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
    greyed: list[Path] = []
    for k, (_, path) in enumerate(paths):
        pixels = first if k == 0 else read_picture(path, shape, first.ndim, greyed)
        if pixels.shape != first.shape:
            raise InputError(
                f"{path} is {_size(pixels)}, {paths[0][1]} is {_size(first)}: say what all are to be"
                f" brought to, such as data.shape = {list(first.shape)}"
            )
        images[k] = pixels
    if greyed and shape is None:
        size = [*first.shape[:2], 3]
        notes.append(
            f"{len(greyed)} of {len(paths)} images, such as {greyed[0]}, have colours and are read as grey,"
            f" since {paths[0][1].name} is: data.shape = {size} reads all in colour"
        )
    return images, np.array([label for label, _ in paths], np.int64)


def read_picture(
    path: Path | BytesIO,
    shape: tuple[int, ...] | None,
    rank: int = 0,
    greyed: list[Path] | None = None,
) -> Values:
    """Read one image, grey (``rank`` 2) or of three colours (3), as it is where neither is asked for; one
    that loses its colours is added to ``greyed``.
    """
    try:
        with Image.open(path) as opened:
            image = _in_bytes(opened)
            rank = rank or (len(shape) if shape else 2 if image.mode in _GREY else 3)
            if shape and len(shape) == 3 and shape[2] == 1:
                rank = 2
            if rank == 2 and greyed is not None and isinstance(path, Path):
                greyed += [path] if image.mode not in _GREY else []
            plain: Any = image.convert("L" if rank == 2 else "RGB")
            if shape is not None and plain.size != (shape[1], shape[0]):
                plain = plain.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
            return np.asarray(plain, np.uint8)
    except Exception as error:  # Pillow has many words for a damaged file, and some of its own kind
        raise InputError(f"can't read the image {path}: {error}") from error


def _in_bytes(image: Any) -> Any:
    """Return an image of 16 bits, or of numbers from 0 to 255, in bytes, which Pillow would cut off."""
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image, float)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if image.mode == "F" or low < 0.0 or high > 65535.0:
        if not (low >= 0.0 and high <= 255.0):
            raise ValueError(f"its values go from {low:g} to {high:g}, expected bytes or 16 bits")
        return Image.fromarray(np.rint(values).astype(np.uint8))
    if image.mode != "I" or high > 255.0:
        values = values / 257.0
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _size(pixels: Values) -> str:
    return " × ".join(map(str, pixels.shape[:2])) + (
        " in colour" if pixels.ndim == 3 else " in grey"
    )
