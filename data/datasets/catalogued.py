"""Image sets of the catalogue, and the digits that are embedded.

``digits`` is the *test* part (1,797 images, 8×8, 17 grey values, 13 writers who are not in the
training part) of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and C.
Kaynak, 1998, doi:10.24432/C50P49, CC BY 4.0), as scikit-learn distributes it too; the file
``digits.csv.gz`` beside this module holds 64 pixels and the label per row. It is split in file
order: the first 1,297 images train, the last 500 test. The file runs writer by writer, so that most
test images come from writers that training has not seen; a shuffled split would look better and
mean less.

``mnist`` is Y. LeCun, C. Cortes and C. Burges' database (28×28, 60,000 + 10,000 images; LeCun et
al., Proc. IEEE 86(11), 1998, doi:10.1109/5.726791), ``fashion-mnist`` the articles of clothing of H.
Xiao, K. Rasul and R. Vollgraf (arXiv:1708.07747) in the same shape, and ``cifar10`` A. Krizhevsky's
(32×32 in colour, 50,000 + 10,000, 2009) as JPEG files, thus re-encoded. Each is in its own split,
downloaded once.
"""

__all__ = ["IMAGE_SETS", "read_catalogued"]

import gzip
import tarfile
from importlib.resources import files
from io import BytesIO

import numpy as np

from ..catalogue import fetch
from ..errors import InputError
from ..types import Progress
from .idx import read_idx_pair
from .pictures import read_picture
from .raw import Raw, Values

IMAGE_SETS = ("digits", "mnist", "fashion-mnist", "cifar10")
"""The names that :func:`.dataset.load_data` knows."""

_DIGITS_TRAIN = 1297


def read_catalogued(name: str, progress: Progress | None) -> Raw:
    """Read one of the ``IMAGE_SETS``; labels count their classes."""
    if name == "digits":
        return _digits()
    return _cifar(progress) if name == "cifar10" else _mnist(name, progress)


def _digits() -> Raw:
    packed = files(__package__).joinpath("digits.csv.gz").read_bytes()
    rows = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", dtype=np.int64)
    x, y = (rows[:, :-1] / 16.0).astype(np.float32).reshape(-1, 8, 8), rows[:, -1]
    train = (x[:_DIGITS_TRAIN], y[:_DIGITS_TRAIN])
    return Raw("digits", train, test=(x[_DIGITS_TRAIN:], y[_DIGITS_TRAIN:]), names=_TEN)


_TEN = tuple(map(str, range(10)))

_CLOTHES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle-boot",
)


def _mnist(name: str, progress: Progress | None) -> Raw:
    paths = {path.name.split("-ubyte")[0]: path for path in fetch(name, progress=progress)}
    parts = []
    for part in ("train", "t10k"):
        images, labels = paths[f"{part}-images-idx3"], paths[f"{part}-labels-idx1"]
        pixels, classes = read_idx_pair(images, labels)
        if classes.size and classes.max() > 9:
            raise InputError(f"{labels} holds the label {classes.max()}, expected 0 to 9")
        parts.append((pixels, classes.astype(np.int64)))
    return Raw(name, parts[0], test=parts[1], names=_CLOTHES if name != "mnist" else _TEN)


def _cifar(progress: Progress | None) -> Raw:
    (path,) = fetch("cifar10")
    images: dict[str, list[Values]] = {"train": [], "test": []}
    labels: dict[str, list[str]] = {"train": [], "test": []}
    try:
        with tarfile.open(path) as archive:
            for done, member in enumerate(archive, start=1):
                if not member.isfile() or (file := archive.extractfile(member)) is None:
                    continue
                part, label, _ = member.name.split("/")
                images[part].append(read_picture(BytesIO(file.read()), None, 3))
                labels[part].append(label)
                if progress is not None and done % 1000 == 0:
                    progress(done, 60_022)
    except (OSError, EOFError, ValueError, KeyError, tarfile.TarError) as error:
        raise InputError(f"can't read {path}: {error}") from error
    names = tuple(sorted(set(labels["train"])))
    parts = []
    for part in ("train", "test"):
        # They lie class by class; in this order the first are a fair sample.
        order = np.random.default_rng(10).permutation(len(labels[part]))
        numbers = np.array([names.index(one) for one in labels[part]], np.int64)
        parts.append((np.array(images[part])[order], numbers[order]))
    return Raw("cifar10", parts[0], test=parts[1], names=names)
