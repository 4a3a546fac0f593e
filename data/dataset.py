"""Labelled samples as flat vectors: sets of the catalogue, files and folders of one's own, arrays.

:func:`load_data` takes any of them; :class:`DataOptions` says what is done with it: which column is
the label, what is kept apart to validate and to test on, how inputs are scaled.
"""

__all__ = ["DataOptions", "Dataset", "check_data_path", "load_data"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from .datasets.catalogued import IMAGE_SETS, read_catalogued
from .datasets.idx import read_idx_folder
from .datasets.pictures import read_pictures
from .datasets.prepare import Missing, Scale, Scaling, Targets, Task, split
from .datasets.raw import Raw, Values, of_mapping, of_pair
from .datasets.tables import LARGEST, Column, read_table
from .datasets.torch_sets import is_torch_set, read_torch_set
from .errors import InputError, nearest
from .options import check_choice, check_number
from .records.store import digest
from .types import Array32, Progress

TABLES = frozenset({".csv", ".tsv", ".txt", ".data"})


@dataclass(frozen=True)
class DataOptions:
    """What is done with data before a network sees it."""

    label: Column | tuple[Column, ...] | None = None
    """Column of a table to predict, by name or place (from 0, -1 the last); several for targets that
    are numbers. The one called ``label``, ``labels``, ``class``, ``target``, ``y`` or ``species`` when
    absent."""
    leave_out: tuple[Column, ...] = ()
    """Columns of a table that are neither label nor feature."""
    missing: Missing = "refuse"
    """Whether a table with missing fields is refused, or ``drop``: such rows are left out."""
    task: Task = "auto"
    """``classes`` for text and whole numbers, ``regression`` for others, unless said."""
    shape: tuple[int, ...] | None = None
    """(height, width[, channels]) of an image: pictures are brought to it, vectors are read as it; one
    such as (3, 32, 32) says that channels come first."""
    scale: Scale = "auto"
    """``none``, ``unit`` (to 0..1) or ``standard`` (mean 0, deviation 1), by the part to train on;
    ``auto``: bytes and other images without a sign to 0..1, what lies in 0..1 as it is, all else
    standardised."""
    test_share: float = 0.2
    """Share that is kept apart to test on, where the data has no such part of its own."""
    validation_share: float = 0.0
    """Share of the part to train on that is kept apart to validate on, for early stopping."""
    split_seed: int = 0
    """Of what is kept apart. It isn't the run's: runs with other seeds see the same parts."""
    train: int | None = None
    """Samples to train on that are used, the first; all when absent."""
    test: int | None = None
    """Samples to test on that are used, the first; all when absent."""

    def __post_init__(self) -> None:
        for name in ("label", "leave_out", "shape"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.label == ():
            raise InputError("data: label must be a column, or several, got none")
        check_choice("data", "missing", self.missing, get_args(Missing))
        check_choice("data", "task", self.task, get_args(Task))
        check_choice("data", "scale", self.scale, get_args(Scale))
        check_number("data", test_share=self.test_share, above=0, below=1)
        check_number("data", validation_share=self.validation_share, at_least=0, below=1)
        check_number("data", split_seed=self.split_seed, whole=True, at_least=0)
        check_number(
            "data", train=self.train, test=self.test, whole=True, optional=True, at_least=1
        )
        if self.shape is not None:
            for k, side in enumerate(self.shape):
                options: dict[str, Any] = {f"shape[{k}]": side}
                check_number("data", whole=True, at_least=1, **options)
            if len(self.shape) not in (2, 3):
                raise InputError(
                    f"data: shape must be [height, width] or [height, width, channels], got"
                    f" {list(self.shape)}"
                )


@dataclass(frozen=True)
class Dataset:
    """Labelled samples, in a part to train on, one to test on, and perhaps one to validate on.

    Attributes
    ----------
    name
        As the catalogue calls it, or its file, or whatever its maker calls it.
    x_train, x_test
        Inputs as ``scaling`` leaves them, float32, shape (samples, features).
    y_train, y_test
        Class of each sample, int64, shape (samples,); or scaled targets, float32, (samples, targets).
    shape
        Of one sample: (height, width), (height, width, channels) or (features,).
    x_validation, y_validation
        The same of the part to validate on; ``None`` where there is none.
    scaling, targets
        What was done to inputs as they were found, and what the outputs stand for.
    digest
        Hash of what it holds; ``""`` for a set of the catalogue, which its name tells.
    notes
        What was read otherwise than it stands there, a sentence each.

    Raises
    ------
    InputError
        If samples and labels don't fit each other or ``shape``, a sample is not finite, a class is
        below 0, or there are no samples to train on.
    """

    name: str
    x_train: Array32
    y_train: NDArray[Any]
    x_test: Array32
    y_test: NDArray[Any]
    shape: tuple[int, ...]
    x_validation: Array32 | None = None
    y_validation: NDArray[Any] | None = None
    scaling: Scaling = field(default_factory=lambda: Scaling.of(np.zeros((1, 1)), "none"))
    targets: Targets = field(default_factory=Targets)
    digest: str = ""
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse samples and labels that do not belong together."""
        for part, x, y in self.parts:
            if x.ndim != 2 or x.shape[1] != prod(self.shape):
                raise InputError(
                    f"{self.name}: expected {part} samples of shape (samples, {prod(self.shape)}),"
                    f" got {x.shape}"
                )
            if y.shape[:1] != x.shape[:1] or y.ndim != 1 + self.regression:
                raise InputError(
                    f"{self.name}: {x.shape[0]} {part} samples but labels of shape {y.shape}"
                )
            if x.size and not np.isfinite(x).all():
                row, column = np.argwhere(~np.isfinite(x))[0]
                raise InputError(
                    f"{self.name}: {part} sample {row} holds {x[row, column]} in feature {column}:"
                    " expected finite numbers"
                )
            if not self.regression and y.size and y.min() < 0:
                raise InputError(f"{self.name}: {part} labels must be 0 or more, got {y.min()}")
        if not self.y_train.size:
            raise InputError(f"{self.name}: there are no samples to train on")

    def __repr__(self) -> str:
        """Return name, sizes and outputs: arrays are too long to be read."""
        parts = ", ".join(f"{len(y)} {part}" for part, _, y in self.parts)
        outputs = ("target" if self.classes == 1 else "targets") if self.regression else "classes"
        shape = "×".join(map(str, self.shape))
        return f"<Dataset {self.name}: {parts} samples of {shape}, {self.classes} {outputs}>"

    @property
    def parts(self) -> list[tuple[str, Array32, NDArray[Any]]]:
        """Name, samples and labels of every part."""
        parts = [("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)]
        if self.x_validation is not None and self.y_validation is not None:
            parts.append(("validation", self.x_validation, self.y_validation))
        return parts

    @property
    def regression(self) -> bool:
        """Whether numbers are to be predicted, not classes."""
        return self.targets.task == "regression"

    @property
    def classes(self) -> int:
        """Number of classes; for regression, of targets."""
        if self.regression:
            return int(self.y_train.shape[1])
        return max(int(self.y_train.max()) + 1, len(self.targets.names))

    @classmethod
    def of_torch(cls, train: Any, test: Any = None, **options: Any) -> "Dataset":
        """Return what torch or torchvision data sets hold, ``train`` alone or with ``test``;
        ``options`` are those of :class:`DataOptions`.

        Parameters
        ----------
        train
            Data set of torch to train on.
        test
            Data set of torch to test on; by default a share (``test_share``) of ``train`` is.
        **options
            Options of :class:`DataOptions`, by name.

        Raises
        ------
        InputError
            If items are no pairs of samples of one shape and labels, or an option can't be.
        """
        parts = [read_torch_set(part, "data") for part in (train, test) if part is not None]
        raw = Raw("data", parts[0], test=parts[1] if test is not None else None)
        return _prepared(raw, DataOptions(**options))

    @classmethod
    def of_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        name: str = "data",
        **options: Any,
    ) -> "Dataset":
        """Return samples ``x`` (n, features) or (n, height, width[, channels]) and labels ``y`` as a
        data set; ``options`` are those of :class:`DataOptions`.

        Parameters
        ----------
        x
            Samples, (n, ...), to train on.
        y
            Labels, (n,), or targets, (n, targets).
        validation
            Samples and labels to validate on; by default a share (``validation_share``) of ``x``, 0
            unless given.
        test
            Samples and labels to test on; by default a share (``test_share``) of ``x``.
        name
            What to call it.
        **options
            Options of :class:`DataOptions`, by name.

        Raises
        ------
        InputError
            If samples and labels don't fit each other, are missing or no numbers, or an option can't
            be.
        """
        held, kept = (None if part is None else of_pair(*part, name) for part in (validation, test))
        return _prepared(Raw(name, of_pair(x, y, name), held, kept), DataOptions(**options))

    def chosen(self, train: int | None, test: int | None) -> "Dataset":
        """Return the first ``train`` samples of the part to train on and the first ``test`` of the one
        to test on; all of those where ``None``.
        """
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )


def load_data(thing: Any, *, progress: Progress | None = None, **options: Any) -> Dataset:
    """Load labelled samples.

    Parameters
    ----------
    thing
        A name of the catalogue (``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``), downloaded if
        need be; the path of a ``.npz`` file, of a table (``.csv``, ``.tsv``, ``.txt``, ``.data``,
        gzipped or not), of a folder of idx files or of images by class; a pair of arrays ``(x, y)``;
        arrays by name (``x_train``, ``y_train``, ...); or a data set of torch.
    options
        Those of :class:`DataOptions`.
    progress
        Called with how much is done, and of how much.

    Returns
    -------
    Dataset
        Samples (n, features), float32, in parts to train and to test on.

    Raises
    ------
    InputError
        If there is no such set or file, what it holds is no labelled data, or an option can't be.

    Examples
    --------
    >>> load_data("digits").x_train.shape
    (1297, 64)
    """
    wanted = DataOptions(**options)
    table = isinstance(thing, str | Path) and TABLES.intersection(_endings(Path(thing)))
    if not table and (wanted.label is not None or wanted.leave_out):
        key = "leave_out" if wanted.label is None else "label"
        raise InputError(f"data.{key} names columns of a table (.csv and the like): leave it out")
    if isinstance(thing, str) and thing in IMAGE_SETS:
        return _prepared(read_catalogued(thing, progress), wanted, known=True)
    if isinstance(thing, str | Path):
        return _prepared(_read(Path(thing), wanted), wanted)
    if isinstance(thing, Mapping):
        return _prepared(of_mapping(thing, "data"), wanted)
    if isinstance(thing, tuple) and len(thing) == 2:
        return _prepared(Raw("data", of_pair(*thing, "data")), wanted)
    if is_torch_set(thing):
        return _prepared(Raw("data", read_torch_set(thing, "data")), wanted)
    raise InputError(
        f"data: expected a name, a path, arrays or a data set, got {type(thing).__name__}"
    )


def _endings(path: Path) -> list[str]:
    return [ending.lower() for ending in path.suffixes]


def _read(path: Path, options: DataOptions) -> Raw:
    if path.is_dir():
        try:
            if any("idx" in each.name and each.is_file() for each in path.iterdir()):
                return read_idx_folder(path)
            return read_pictures(path, options.shape)
        except OSError as error:
            raise InputError(f"can't read {path}: {error.strerror or error}") from error
    check_data_path(path)
    if path.suffix.lower() == ".npz":
        return _npz(path)
    return read_table(path, options.label, options.leave_out, drop=options.missing == "drop")


def check_data_path(path: str | Path) -> None:
    """Refuse what can't be read by its name, without reading it.

    Parameters
    ----------
    path
        A file, or a folder.

    Raises
    ------
    InputError
        If there is nothing of that name, or it is a file of no kind that is read.
    """
    path = Path(path)
    endings = _endings(path)
    if path.is_dir():
        return
    if not path.is_file():
        bare = len(path.parts) == 1 and not endings
        hint = nearest(str(path), IMAGE_SETS) if bare else ""
        raise InputError(f"there is no data set, file or folder {str(path)!r}{hint}")
    if path.suffix.lower() != ".npz" and not TABLES.intersection(endings):
        raise InputError(
            f"can't tell what {path} holds: expected .npz, .csv (or .tsv, .txt, .data, gzipped or not), or"
            " a folder of idx files or of images by class"
        )


def _npz(path: Path) -> Raw:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return of_mapping({name: file[name] for name in file.files}, path.name)
    except InputError:
        raise
    except Exception as error:  # numpy and zipfile have many words for a damaged file
        raise InputError(f"can't read {path}: {error}") from error


def _prepared(raw: Raw, options: DataOptions, *, known: bool = False) -> Dataset:
    """Do what ``options`` say to what was found; a set is ``known`` that its name tells."""
    where, (x, y) = "data" if raw.name == "data" else f"data: {raw.name}", raw.train
    if len(x) < 2 or y.size == 0:
        raise InputError(f"{where} holds {len(x)} samples, expected at least 2")
    raw, notes = _one_column(raw, options)
    raw, wanted = _channels_last(raw, options.shape, notes)
    (x, y) = raw.train
    if not known and x.dtype.kind == "f":
        within = np.abs(x) <= LARGEST  # nor is NaN
        if not within.all():
            place = np.argwhere(~within)[0]
            raise InputError(
                f"{where}: sample {place[0]} holds {x[tuple(place)]:.4g} at {place[1:].tolist()}: expected"
                " finite numbers of single precision"
            )
    targets = Targets.of(y, options.task, where, raw.names)
    shape = _shape(x.shape[1:], wanted, where)
    parts = _parted(raw, options, where, by_class=targets.task == "classes")
    if not known:
        parts = {part: _mixed(*held, options.split_seed) for part, held in parts.items()}
    if targets.task == "regression":
        targets = Targets.of(parts["train"][1], "regression", where)
    scaling = Scaling.of(parts["train"][0], options.scale)
    if scaling.kind == "unit" and options.scale == "auto" and x.ndim == 2 and x.dtype != np.uint8:
        notes.append(
            f"{raw.name}: features are whole numbers from 0 to 255, as pixels are, and are brought to 0..1"
            " together: data.scale = 'standard' scales each for itself"
        )
    done: dict[str, tuple[Array32, NDArray[Any]]] = {}
    for part, (samples, labels) in parts.items():
        if samples.shape[1:] != x.shape[1:]:
            raise InputError(
                f"{where}: samples to train on are of shape {x.shape[1:]}, those of the {part} part"
                f" {samples.shape[1:]}"
            )
        numbers = labels.astype(np.int64) if raw.names else targets.apply(labels, where)
        done[part] = (scaling.apply(samples).reshape(len(samples), -1), numbers)
    x_validation, y_validation = done.get("validation", (None, None))
    everything = [array for pair in done.values() for array in pair]
    return Dataset(
        raw.name,
        *done["train"],
        *done["test"],
        shape=shape,
        x_validation=x_validation,
        y_validation=y_validation,
        scaling=scaling,
        targets=targets,
        digest="" if known and options.validation_share == 0.0 else digest(*everything),
        notes=(*raw.notes, *notes),
    )


def _one_column(raw: Raw, options: DataOptions) -> tuple[Raw, list[str]]:
    """Return labels that are one column per class, a single 1 in every row, as numbers of the classes."""
    parts = {part: getattr(raw, part) for part in ("train", "validation", "test")}
    labels = [held[1] for held in parts.values() if held is not None]
    single = all(y.ndim == 2 and y.dtype.kind in "biuf" and y.shape[1] > 1 for y in labels) and all(
        bool(np.all((y == 0) | (y == 1)) and np.all(y.sum(axis=1) == 1)) for y in labels
    )
    if not single or options.task == "regression":
        return raw, []
    read: dict[str, Any] = {
        part: None if held is None else (held[0], held[1].argmax(axis=1))
        for part, held in parts.items()
    }
    count = labels[0].shape[1]
    said = f"labels are {count} columns with a single 1 in every row: read as {count} classes"
    return replace(raw, **read), [said]


def _channels_last(
    raw: Raw, wanted: tuple[int, ...] | None, notes: list[str]
) -> tuple[Raw, tuple[int, ...] | None]:
    """Return images whose channels come first, (n, 3, 32, 32), with channels last, or without where
    there is one; and the shape that is wanted of them.
    """
    found = raw.train[0].shape[1:]
    flat = len(found) == 1 and wanted is not None and prod(wanted) == found[0]
    first = wanted if flat and wanted is not None else found
    if _channels_first(first):
        last = (*first[1:], *first[:1])
        notes.append(f"{raw.name}: images of {first} are read as channels, height, width")
    elif len(found) == 3 and found[2] == 1 and wanted is None:
        first = last = found
    else:
        return raw, wanted
    last = last[:2] if last[2] == 1 else last

    def moved(part: tuple[Values, Values] | None) -> tuple[Values, Values] | None:
        if part is None or part[0].shape[1:] != found:
            return part
        x = part[0].reshape(len(part[0]), *first)
        x = np.moveaxis(x, 1, -1) if _channels_first(first) else x
        return x.reshape(len(x), *last), part[1]

    train = moved(raw.train)
    assert train is not None
    same = wanted is None or wanted in (first, (*last[:2], first[0])) or flat
    parts = replace(raw, train=train, validation=moved(raw.validation), test=moved(raw.test))
    return parts, None if same else wanted


def _channels_first(shape: Sequence[int]) -> bool:
    """Return whether a shape is that of an image whose channels come first."""
    return len(shape) == 3 and shape[0] in (1, 3, 4) and min(shape[1:]) > 4


def _shape(found: tuple[int, ...], wanted: Sequence[int] | None, where: str) -> tuple[int, ...]:
    """Return the shape of one sample, by that of its array and what is asked for."""
    if len(found) > 3:
        raise InputError(f"{where}: samples of shape {found}, expected at most three dimensions")
    if wanted is None:
        return found
    if prod(wanted) != prod(found):
        raise InputError(
            f"{where}: data.shape = {list(wanted)} is {prod(wanted)} numbers, a sample has {prod(found)}"
        )
    return tuple(wanted)


def _parted(
    raw: Raw, options: DataOptions, where: str, *, by_class: bool
) -> dict[str, tuple[Values, Values]]:
    """Return the parts by name; what the data has not apart is drawn from what it trains on."""
    x, y = raw.train
    shares = {
        "test": 0.0 if raw.test is not None else options.test_share,
        "validation": 0.0 if raw.validation is not None else options.validation_share,
    }
    parts = {"train": raw.train}
    if any(shares.values()):
        if sum(shares.values()) >= 1.0:
            raise InputError(
                f"{where}: data.test_share and data.validation_share leave nothing to train on"
            )
        left, *drawn = split(y, list(shares.values()), options.split_seed, by_class=by_class)
        parts["train"] = (x[left], y[left])
        for (part, share), places in zip(shares.items(), drawn, strict=True):
            if share and not len(places):
                raise InputError(
                    f"{where}: {len(x)} samples leave none for the {part} part of {100 * share:g} %"
                )
            if share:
                parts[part] = (x[places], y[places])
    parts |= {
        part: held
        for part, held in (("validation", raw.validation), ("test", raw.test))
        if held is not None
    }
    for part, (samples, _) in parts.items():
        if not len(samples):
            raise InputError(f"{where}: the {part} part is empty")
    return parts


def _mixed(x: Values, y: Values, seed: int) -> tuple[Values, Values]:
    """Return samples that lie class by class in another order, in which the first are a fair sample."""
    if y.ndim != 1 or y.dtype.kind not in "iuU" or np.any(y[1:] < y[:-1]):
        return x, y
    order = np.random.default_rng([seed, 15]).permutation(len(y))
    return x[order], y[order]
