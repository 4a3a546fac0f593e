"""Labelled images as flat vectors in 0..1: the embedded UCI digits, and MNIST through the
catalogue.

``digits`` is the *test* part (1,797 images, 8×8, 17 grey values, 13 writers who are not in the
training part) of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and C.
Kaynak, 1998, doi:10.24432/C50P49, CC BY 4.0), as scikit-learn distributes it too; the file
``digits.csv.gz`` beside this module holds 64 pixels and the label per row. It is split in file
order: the first 1,297 images train, the last 500 test. The file runs writer by writer, so that most
test images come from writers that training has not seen; a shuffled split would look better and
mean less.

``mnist`` is Y. LeCun, C. Cortes and C. Burges' database (28×28, 60,000 + 10,000 images; LeCun et
al., Proc. IEEE 86(11), 1998, doi:10.1109/5.726791) in its own split, downloaded once.
"""

__all__ = ["IMAGE_SETS", "Dataset", "load_data", "read_idx"]

import gzip
import zlib
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .catalogue import fetch
from .errors import InputError, nearest
from .types import Progress

IMAGE_SETS = ("digits", "mnist")
"""The names that :func:`load_data` knows."""

_DIGITS_TRAIN = 1297
_IDX_UBYTE = 0x08  # the only element type that image files use


@dataclass(frozen=True)
class Dataset:
    """Labelled images, split into a part to train on and a part to test on.

    Attributes
    ----------
    name
        ``digits`` or ``mnist``, or whatever its maker calls it.
    x_train, x_test
        Pixels in 0..1, float32, shape (images, pixels).
    y_train, y_test
        Class of each image, int64, shape (images,).
    shape
        (height, width) of one image.
    """

    name: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse images and labels that do not belong together."""
        for part, x, y in (
            ("train", self.x_train, self.y_train),
            ("test", self.x_test, self.y_test),
        ):
            if x.ndim != 2 or x.shape[1] != prod(self.shape):
                raise InputError(
                    f"{self.name}: expected {part} images of shape (images, {prod(self.shape)}),"
                    f" got {x.shape}"
                )
            if y.shape != x.shape[:1]:
                raise InputError(
                    f"{self.name}: {x.shape[0]} {part} images but labels of shape {y.shape}"
                )
            if x.size and not (np.isfinite(x).all() and x.min() >= 0.0 and x.max() <= 1.0):
                raise InputError(f"{self.name}: {part} pixels must lie in 0..1")
            if y.size and y.min() < 0:
                raise InputError(f"{self.name}: {part} labels must be 0 or more, got {y.min()}")
        if not self.y_train.size:
            raise InputError(f"{self.name}: there are no images to train on")

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y_train.max()) + 1


def load_data(name: str, *, progress: Progress | None = None) -> Dataset:
    """Load the image set ``name`` (one of :data:`IMAGE_SETS`), downloading it if it is not
    embedded.

    Examples
    --------
    >>> load_data("digits").x_train.shape
    (1297, 64)
    """
    if name == "digits":
        return _digits()
    if name == "mnist":
        return _mnist(progress)
    raise InputError(f"unknown image set {name!r}{nearest(name, IMAGE_SETS)}")


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzipped or not, into an array of the shape that its
    header declares.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another element type, or shorter or longer than its
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
    if kind != _IDX_UBYTE:
        raise InputError(
            f"{path} holds idx elements of type 0x{kind:02x}, expected unsigned bytes (0x08)"
        )
    start = 4 + 4 * rank
    if len(data) < start:
        raise InputError(f"{path} ends inside its idx header")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", count=rank, offset=4))
    if len(data) - start != prod(shape):
        raise InputError(
            f"{path} holds {len(data) - start} bytes of data, its header says {prod(shape)} for"
            f" {shape}"
        )
    try:
        return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
    except ValueError as error:  # more dimensions, or longer empty ones, than an array can have
        raise InputError(f"{path}: its header describes no array: {error}") from error


def _digits() -> Dataset:
    packed = files(__package__).joinpath("digits.csv.gz").read_bytes()
    rows = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", dtype=np.int64)
    x, y = (rows[:, :-1] / 16.0).astype(np.float32), rows[:, -1]
    return Dataset(
        "digits", x[:_DIGITS_TRAIN], y[:_DIGITS_TRAIN], x[_DIGITS_TRAIN:], y[_DIGITS_TRAIN:], (8, 8)
    )


def _mnist(progress: Progress | None) -> Dataset:
    paths = {path.name.split("-ubyte")[0]: path for path in fetch("mnist", progress=progress)}
    x_train, y_train = _idx_pair(paths["train-images-idx3"], paths["train-labels-idx1"])
    x_test, y_test = _idx_pair(paths["t10k-images-idx3"], paths["t10k-labels-idx1"])
    return Dataset("mnist", x_train, y_train, x_test, y_test, (28, 28))


def _idx_pair(images: Path, labels: Path) -> tuple[Any, Any]:
    """Read one part of an MNIST-like set: images of (n, height, width), labels 0..9 of (n,)."""
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim != 3:
        raise InputError(
            f"{images} holds an array of rank {pixels.ndim}, expected (images, height, width)"
        )
    if classes.shape != pixels.shape[:1]:
        raise InputError(
            f"{labels} holds labels of shape {classes.shape} for {len(pixels)} images in {images}"
        )
    if classes.size and classes.max() > 9:
        raise InputError(f"{labels} holds the label {classes.max()}, expected 0 to 9")
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    flat /= 255.0
    return flat, classes.astype(np.int64)
