"""Sections of a configuration that say what is learnt, and by which network."""

__all__ = ["DataSection", "NetworkSection"]

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ...data.dataset import DataOptions
from ...data.datasets.catalogued import IMAGE_SETS
from ...data.errors import InputError
from ...data.options import check_choice, check_number
from ..layers.weighted import Placing
from ..layers.written import written_layers, written_placings
from ..network import Residual


@dataclass(frozen=True)
class DataSection(DataOptions):
    """``[data]``: which data, and the library's options."""

    name: str = "digits"
    """A set of the catalogue: ``digits``, ``mnist``, ``fashion-mnist`` or ``cifar10``."""
    path: str | None = None
    """Own data instead: a ``.npz`` or CSV file, a folder of idx files or of images by class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("data", "name", self.name, IMAGE_SETS)

    @property
    def source(self) -> str:
        """What :func:`.dataset.load_data` is asked for."""
        return self.name if self.path is None else self.path

    @property
    def options(self) -> dict[str, Any]:
        """Options of :class:`.dataset.DataOptions`, by name."""
        return {item.name: getattr(self, item.name) for item in fields(DataOptions)}


@dataclass(frozen=True)
class NetworkSection:
    """``[network]``: the architecture; the size of its input is that of the data."""

    layers: tuple[Any, ...] = ()
    """Layers in order, as texts or tables, see :mod:`..layers.written`; where they are given they are
    the whole network, and the keys below say nothing."""
    kind: Literal["mlp", "lenet"] = "mlp"
    """Dense layers, or two 5x5 convolutions with pools before two dense layers."""
    hidden: tuple[int, ...] = (100,)
    """Outputs of the hidden layers of an ``mlp``."""
    channels: int = 6
    """Outputs of the first convolution of a ``lenet``."""
    pool: Literal["max", "average"] = "max"
    """Pools of a ``lenet``."""
    weights: str | None = None
    """Float weights to start from: a ``.npz``, ``.safetensors`` or torch file."""
    modules: Mapping[str, Any] = field(default_factory=dict)
    """Of a torch model, where the weights of layers are: tables with the options of
    :class:`.weighted.Placing`, by names of layers or patterns (``"features.*"``); the last that fits
    counts."""

    @property
    def placings(self) -> dict[str, Placing]:
        """What ``modules`` says, by name or pattern."""
        return written_placings(self.modules)

    def __post_init__(self) -> None:
        written_placings(self.modules)  # refuses what there is not
        sizes: dict[str, Any] = {f"hidden[{k}]": size for k, size in enumerate(self.hidden)}
        check_number("network", channels=self.channels, whole=True, at_least=1, **sizes)
        if self.layers:
            written_layers(self.layers, Residual)  # refuses what there is not
            return
        others = {"mlp": ("channels", "pool"), "lenet": ("hidden",)}[self.kind]
        for item in fields(self):
            if item.name in others and getattr(self, item.name) != item.default:
                raise InputError(
                    f"network: {item.name} does not belong to a network of kind {self.kind!r}"
                )
