"""A network on memristor arrays in the manner of scikit-learn: fit, predict, score."""

__all__ = ["Twin"]

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..circuits.array.tile import Tile
from ..circuits.registry import make_engine
from ..data.dataset import Dataset
from ..data.display import as_html, as_text
from ..data.errors import InputError
from ..data.types import Array32, Progress
from ..devices.pulses.costs import Pricing
from ..devices.pulses.nominal import nominal_pricing
from ..devices.spread.effects import Effects
from .network import Network
from .seeds import generator
from .trainer.loop import build_twin, train
from .trainer.options import TrainOptions
from .trainer.results import EpochRecord, TrainResult
from .twin.crossbar import Crossbar, MappingOptions
from .twin.evaluation import predict
from .twin.matrix import EngineFactory


class Twin:
    """A network whose matrices sit on memristor arrays.

    Parameters
    ----------
    network
        Its layers, such as ``mlp(784, 100, 10)``.
    tile
        The largest array, with the levels of its devices: ``Tile(32, 32, levels=...)``.
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
        self.engine = partial(make_engine, engine) if isinstance(engine, str) else engine
        levels = self.crossbar.levels
        self.pricing = pricing or nominal_pricing(levels.count, g_levels=levels.g)
        self._twin = build_twin(network, self.crossbar, self.engine, seed=seed)
        self.result: TrainResult | None = None

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        on_batch: Progress | None = None,
        on_epoch: Callable[[EpochRecord], None] | None = None,
        **options: Any,
    ) -> "Twin":
        """Train from new weights, in the Siamese way unless ``rule`` says otherwise.

        Parameters
        ----------
        x
            Inputs in 0..1, (n, features) or (n, height, width).
        y
            Class of each, whole numbers from 0, (n,).
        validation
            Inputs and classes to test on after every epoch; those to train on if not given.
        on_batch, on_epoch
            Called with (batches done, all batches), and with every epoch's record.
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
            If inputs and classes don't fit each other, the network, or an option's range.
        MemtwinError
            If the training diverges.
        """
        data = _dataset(x, y, validation)
        self._twin = build_twin(self.network, self.crossbar, self.engine, seed=self.seed)
        self.result = train(
            self._twin,
            data,
            TrainOptions(**options),
            self.pricing,
            seed=self.seed,
            on_batch=on_batch,
            on_epoch=on_epoch,
        )
        return self

    def outputs(self, x: ArrayLike, *, noise: bool = True) -> Array32:
        """Return what the last layer gives for inputs ``x``, (n, classes); read ``noise`` is drawn
        from the seed anew at every call.
        """
        if self.result is None:
            raise InputError("the twin holds no weights yet: fit it first")
        rng = generator(self.seed, "testing", 0) if noise else None
        return predict(self._twin, _inputs(x), rng)

    def predict(self, x: ArrayLike) -> NDArray[np.int64]:
        """Return the class of every input, (n,)."""
        said: NDArray[np.int64] = self.outputs(x).argmax(axis=1)
        return said

    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Return the share of inputs that are classified right."""
        said, right = self.predict(x), _classes(y)
        if said.shape != right.shape:
            raise InputError(f"{len(said)} inputs but classes of shape {right.shape}")
        return float(np.mean(said == right))

    def __repr__(self) -> str:
        state = "untrained"
        if self.result is not None:
            state = f"{100 * self.result.accuracy:.2f} % after {len(self.result.records)} epochs"
        shapes = ", ".join(f"{rows}×{cols}" for rows, cols in self.network.matrices)
        return f"<Twin {shapes} on {self.crossbar.tile!r}: {state}>"

    def __str__(self) -> str:
        return as_text(repr(self)[1:-1], self._rows())

    def _repr_html_(self) -> str:
        return as_html(repr(self)[1:-1], self._rows())

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
                    f"{100 * record.test_accuracy:.2f} %, {saved:.2f} % of writes removed",
                )
            )
        return rows


def _dataset(x: ArrayLike, y: ArrayLike, validation: tuple[ArrayLike, ArrayLike] | None) -> Dataset:
    given = np.asarray(x)
    shape = given.shape[1:3] if given.ndim > 2 else (1, *given.shape[1:])
    if len(shape) != 2:
        raise InputError(f"x has shape {given.shape}, expected (n, features) or (n, height, width)")
    x_train, y_train = _inputs(x), _classes(y)
    x_test, y_test = (
        (x_train, y_train)
        if validation is None
        else (_inputs(validation[0]), _classes(validation[1]))
    )
    return Dataset("data", x_train, y_train, x_test, y_test, (int(shape[0]), int(shape[1])))


def _inputs(x: ArrayLike) -> Array32:
    given = np.asarray(x, np.float32)
    return given.reshape(len(given), -1) if given.ndim > 1 else given


def _classes(y: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(y)
    if given.dtype.kind not in "iu":
        whole = given.dtype.kind in "bf" and bool(np.all(given == np.rint(given)))
        if not whole:
            raise InputError(f"y holds {given.dtype}, expected classes as whole numbers from 0")
    return given.astype(np.int64)
