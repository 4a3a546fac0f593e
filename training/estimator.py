"""A network on memristor arrays in the manner of scikit-learn: fit, predict, score."""

__all__ = ["Twin"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..circuits.array.tile import Tile
from ..circuits.engines.ideal import Ideal, faithful_law
from ..circuits.registry import make_engine
from ..data.dataset import Dataset
from ..data.datasets.prepare import Scale, Task
from ..data.display import as_html, as_text
from ..data.errors import InputError, nearest
from ..data.types import Array32, Progress
from ..devices.pulses.costs import Pricing
from ..devices.pulses.nominal import nominal_pricing
from ..devices.spread.effects import Effects
from .export.folder import export
from .losses import score_of, score_text
from .network import Network
from .pretrained import load_weights
from .seeds import generator
from .trainer.loop import build_twin, train
from .trainer.options import TrainOptions
from .trainer.results import EpochRecord, TrainResult
from .twin.crossbar import Crossbar, MappingOptions
from .twin.evaluation import predict
from .twin.matrix import EngineFactory

BEYOND = 8.0
"""Inputs that are so many times larger than any that was trained on were not scaled."""


class Twin:
    """A network whose matrices sit on memristor arrays.

    Parameters
    ----------
    network
        Its layers, such as ``mlp(784, 100, 10)``.
    tile
        The largest array, with an even number of columns and the levels of its devices:
        ``Tile(32, 32, levels=...)``.
    engine
        What reads the arrays: an engine's name, or what makes one for a tile, such as a fitted
        surrogate's ``engine``.
    effects, mapping
        Errors of the devices, and what is digital around the arrays.
    pricing
        What a write costs; by default a nominal device's, which says so.
    seed
        Of everything that is random.

    Attributes
    ----------
    result
        The outcome of the last :meth:`fit`: records per epoch, writes, weights; ``None`` before.
    data
        What the last :meth:`fit` trained on, with the scaling of its inputs; ``None`` before.

    Raises
    ------
    InputError
        If the tile has no levels, an odd number of columns or lines with terminals of their own, or
        there is no such engine.
    """

    def __init__(
        self,
        network: Network,
        tile: Tile,
        *,
        engine: str | EngineFactory = "surrogate",
        effects: Effects | None = None,
        mapping: MappingOptions | None = None,
        pricing: Pricing | None = None,
        seed: int = 0,
    ) -> None:
        self.network, self.seed = network, seed
        self.crossbar = Crossbar(tile, effects or Effects(), mapping or MappingOptions())
        levels = self.crossbar.levels
        if engine == "ideal":
            engine = partial(Ideal, law=faithful_law(tile.cell, levels))
        self.engine = partial(make_engine, engine) if isinstance(engine, str) else engine
        self.pricing = pricing or nominal_pricing(levels.count, g_levels=levels.g)
        self._twin = build_twin(network, self.crossbar, self.engine, seed=seed)
        self.result: TrainResult | None = None
        self.data: Dataset | None = None
        self._whole = False  # whether it was trained on a data set, whose samples are scaled
        self._labels: NDArray[Any] | None = None

    def fit(
        self,
        x: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        scale: Scale = "auto",
        task: Task = "auto",
        weights: str | Path | Mapping[str, Any] | None = None,
        on_batch: Progress | None = None,
        on_epoch: Callable[[EpochRecord], bool | None] | None = None,
        **options: Any,
    ) -> "Twin":
        """Train from new weights, in the Siamese way unless ``rule`` says otherwise.

        Parameters
        ----------
        x
            Inputs, (n, features) or (n, height, width[, channels]); or a whole data set, as
            :func:`.dataset.load_data` gives it: inputs of :meth:`predict` and :meth:`score` are then
            those that it holds, such as its ``x_test``.
        y
            Class of each, as numbers or text, (n,); or numbers to predict, (n,) or (n, targets).
        validation
            Inputs and labels to test on after every epoch, by which ``patience`` ends training early;
            those to train on if not given.
        scale
            What is done to inputs, here and where they are predicted: ``none``, ``unit`` (to 0..1),
            ``standard`` (mean 0, deviation 1), or what fits (``auto``).
        task
            ``classes`` for whole numbers and text, ``regression`` for others, unless said.
        weights
            Float weights to start from instead of new ones: a file, or arrays by name such as a torch
            ``state_dict``, see :mod:`.pretrained`.
        on_batch, on_epoch
            Called with (batches done, all batches), and with every epoch's record; training ends where
            ``on_epoch`` returns ``False``.
        options
            Those of :class:`.trainer.options.TrainOptions`: ``epochs``, ``batch``,
            ``learning_rate``, ``rule``, ``hysteresis``, ...

        Returns
        -------
        Twin
            Itself.

        Raises
        ------
        InputError
            If inputs and labels don't fit each other or the network, or an option is unknown or out of its
            range.
        MemtwinError
            If the training diverges.
        """
        known = [row.name for row in fields(TrainOptions) if row.init]
        for name in options:
            if name not in known:
                raise InputError(f"there is no option {name!r} of a training{nearest(name, known)}")
        chosen = TrainOptions(**options)
        whole = isinstance(x, Dataset)
        if whole and (y is not None or validation is not None or (scale, task) != ("auto", "auto")):
            raise InputError(
                f"{x!r} has labels, parts and scales of its own: y, validation, scale and task go with arrays"
            )
        data = x if isinstance(x, Dataset) else _dataset(x, y, validation, chosen, scale, task)
        self.data, self._whole = data, whole
        self._labels = None if whole else _kinds(y, data)
        start = None if weights is None else load_weights(self.network, weights)
        self._twin = build_twin(
            self.network, self.crossbar, self.engine, seed=self.seed, start=start
        )
        self.result = train(
            self._twin,
            data,
            chosen,
            self.pricing,
            seed=self.seed,
            on_batch=on_batch,
            on_epoch=on_epoch,
        )
        return self

    def outputs(self, x: ArrayLike, *, noise: bool = True) -> Array32:
        """Return what the last layer gives for inputs ``x``, (n, classes) or (n, targets), scaled as
        those that it was trained on; read ``noise`` is drawn from the seed anew at every call.

        Parameters
        ----------
        x
            Inputs as :meth:`fit` was given them: not scaled, or as its data set holds them.
        noise
            Whether reads have their noise.

        Raises
        ------
        InputError
            If the twin is not fitted yet, or inputs don't fit it, or are far beyond those of the data
            set that it was trained on.
        """
        if self.result is None:
            raise InputError("the twin holds no weights yet: fit it first")
        rng = generator(self.seed, "testing", 0) if noise else None
        return predict(self._twin, self._scaled(x), rng)

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Return the class of every input as :meth:`fit` was given it (by its name where the data set
        has names), (n,), or the numbers that are predicted, in their own unit, (n,) or (n, targets);
        inputs and errors as for :meth:`outputs`.
        """
        return self._answers(self.outputs(x))

    def _answers(self, outputs: Array32) -> NDArray[Any]:
        assert self.data is not None
        if self._labels is not None:
            return np.asarray(self._labels[outputs.argmax(axis=1)])
        if not self.data.regression and not self.data.targets.names:
            return np.asarray(outputs.argmax(axis=1))
        return self.data.targets.said(outputs)

    def export(self, folder: str | Path) -> Path:
        """Write conductances, gains and code that evaluates them with numpy alone to a new ``folder``;
        return it. See :func:`.export.folder.export`.

        Raises
        ------
        InputError
            If the twin is not fitted yet, or there is something at ``folder``.
        """
        if self.result is None or self.data is None:
            raise InputError("the twin holds no weights yet: fit it first")
        return export(self._twin, self.data, folder)

    def score(self, x: ArrayLike | Dataset, y: ArrayLike | None = None) -> float:
        """Return the share of inputs that are classified right, or R² of the numbers predicted.

        Parameters
        ----------
        x
            Inputs, as for :meth:`outputs`; or a whole data set, whose part to test on is scored.
        y
            Their classes as :meth:`fit` was given them, (n,), or numbers, (n,) or (n, targets): numbers
            of classes and scaled targets after a data set, which holds those.

        Raises
        ------
        InputError
            If the twin is not fitted yet, or inputs and labels don't fit it or each other.
        """
        if isinstance(x, Dataset):
            if y is not None or not self._whole:
                raise InputError(
                    f"{x!r} is scored alone, by a twin that was trained on a data set: give x and y as"
                    " arrays"
                )
            y, x = x.y_test, x.x_test
        if y is None:
            raise InputError("labels y are missing: give them, or a whole data set as x")
        right, outputs = np.asarray(y), self.outputs(x)
        assert self.data is not None
        if self._whole and right.dtype.kind not in "US":
            said = outputs if self.data.regression else outputs.argmax(axis=1)
        else:
            said = self._answers(outputs)
        if right.shape[:1] != said.shape[:1] or said.size != right.size:
            raise InputError(f"{len(said)} inputs but labels of shape {right.shape}")
        if self.data.regression:
            return score_of(said.reshape(len(said), -1), right.reshape(len(right), -1))
        return float(np.mean(said.astype(str) == right.ravel().astype(str)))

    def _scaled(self, x: ArrayLike) -> Array32:
        given = np.asarray(x)
        assert self.data is not None
        size = self.data.x_train.shape[1]
        if (
            given.ndim < 2
            or given.dtype.kind not in "biuf"
            or int(np.prod(given.shape[1:])) != size
        ):
            raise InputError(f"expected inputs of {size} numbers each, got {given.shape}")
        if self._whole:
            return self._held(given.reshape(len(given), -1).astype(np.float32))
        shaped = given.reshape(len(given), *self.data.shape)
        return self.data.scaling.apply(shaped).reshape(len(given), -1)

    def _held(self, x: Array32) -> Array32:
        """Return inputs in the scale of the data set, or say that they are in another one."""
        assert self.data is not None
        reach, known = float(np.abs(x).max(initial=0.0)), float(np.abs(self.data.x_train).max())
        if not reach <= BEYOND * known:
            raise InputError(
                f"inputs reach {reach:g}, those of {self.data!r} that the twin was trained on {known:g}:"
                " give them as it holds them, data.scaling.apply(x) of raw samples"
            )
        return x

    def __repr__(self) -> str:
        state = "untrained"
        if self.result is not None:
            count = len(self.result.records)
            state = f"{self._said(self.result.accuracy)} after {count} epoch{'s' * (count != 1)}"
        shapes = ", ".join(f"{rows}×{cols}" for rows, cols in self.network.matrices)
        return f"<Twin {shapes} on {self.crossbar.tile!r}: {state}>"

    def __str__(self) -> str:
        return as_text(repr(self)[1:-1], self._rows())

    def _repr_html_(self) -> str:
        return as_html(repr(self)[1:-1], self._rows())

    def _said(self, score: float) -> str:
        return score_text(score, regression=self.data is not None and self.data.regression)

    def _rows(self) -> Sequence[tuple[str, str]]:
        rows = [
            ("devices", f"{self._twin.devices} on {self._twin.tiles} tiles"),
            ("levels", repr(self.crossbar.levels)[1:-1]),
            ("price of writes", getattr(self.pricing, "source", "") or repr(self.pricing)),
        ]
        for record in self.result.records if self.result is not None else ():
            saved = record.summary()["writes_removed_percent"]
            rows.append(
                (
                    f"epoch {record.epoch}",
                    f"{self._said(record.test_accuracy)}, {saved:.2f} % of writes removed",
                )
            )
        return rows


def _dataset(
    x: ArrayLike,
    y: ArrayLike | None,
    validation: tuple[ArrayLike, ArrayLike] | None,
    options: TrainOptions,
    scale: Scale,
    task: Task,
) -> Dataset:
    if y is None:
        raise InputError("labels y are missing: give them, or a whole data set as x")
    if options.patience is not None and validation is None:
        raise InputError("patience needs validation=(x, y), samples that training doesn't see")
    return Dataset.of_arrays(
        x,
        y,
        test=validation or (x, y),
        validation=validation if options.patience is not None else None,
        scale=scale,
        task=task,
    )


def _kinds(y: ArrayLike | None, data: Dataset) -> NDArray[Any] | None:
    """Return the labels in the order of the outputs, as they were given; ``None`` for numbers."""
    return None if data.regression else np.unique(np.asarray(y))
