"""Which layers of a PyTorch model go on tiles, which stay digital, and why."""

__all__ = ["Placed", "convert", "layer_table"]

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from torch import nn
from torch.nn.parameter import UninitializedParameter

from ...data.errors import InputError, nearest
from ..layers.weighted import COMMON, Placing
from ..seeds import generator
from ..twin.crossbar import Crossbar
from ..twin.matrix import EngineFactory, MappedMatrix
from .attention import SplitAttention, call_layers_one_by_one, split_attention
from .grouped import split_groups
from .layers import TileLayer, TwinConv2d, TwinLinear, array_of

TWINS: dict[type[nn.Module], type[TileLayer]] = {nn.Linear: TwinLinear, nn.Conv2d: TwinConv2d}

DIGITAL = (
    (
        (nn.RNNBase, nn.RNNCellBase),
        "a recurrent layer is one call of torch, which hands out none of its products",
    ),
    (nn.Bilinear, "a product of two inputs"),
    ((nn.Embedding, nn.EmbeddingBag), "a look-up, no product"),
    (nn.modules.conv._ConvTransposeNd, "a transposed convolution; only Conv2d is mapped"),
    (nn.modules.conv._ConvNd, "a convolution other than Conv2d"),
    ((nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm), "a normalisation, no product"),
    (SplitAttention, "what it adds to keys and values is no product"),
    (nn.MultiheadAttention, "an attention whose projections are not called as layers"),
)


@dataclass(frozen=True)
class Placed:
    """What became of one layer that has parameters."""

    layer: str
    """Its name in the model."""
    kind: str
    """Its class."""
    rows: int = 0
    """Rows of its matrix on tiles; 0 where it stays digital, as are the numbers below."""
    cols: int = 0
    """Columns of its matrix, two of devices each."""
    tiles: int = 0
    """Tiles that the matrix is cut into."""
    devices: int = 0
    """Devices that hold it."""
    digital: str = ""
    """Why it stays digital; empty where it does not."""
    tile: tuple[int, int] = (0, 0)
    """Lines of its tiles."""
    levels: int = 0
    """Conductance levels of its devices."""

    def __str__(self) -> str:
        if self.digital:
            return f"digital: {self.digital}"
        tile = "×".join(map(str, self.tile))
        return (
            f"{self.rows} × {self.cols} on {self.tiles} tiles of {tile}, {self.devices} devices with"
            f" {self.levels} levels"
        )


def convert(
    model: nn.Module,
    crossbar: Crossbar,
    engine: EngineFactory,
    *,
    seed: int = 0,
    digital: Sequence[str] = (),
    placings: Mapping[str, Placing] | None = None,
    say: Callable[[str], None] | None = print,
) -> nn.Module:
    """Return a copy of ``model`` whose linear layers, two-dimensional convolutions (of those in groups
    every group) and attention projections sit on tiles; what stays digital, and why, is said.

    The devices hold weights once a :class:`.optimiser.SiameseOptimizer` has programmed them.

    Parameters
    ----------
    model
        Any module; its weights are the float twin's. Shared layers stay shared.
    crossbar, engine
        As for a :class:`.twin.MemristorTwin`. The largest weight of a layer is ``mapping.clip``
        times ``sqrt(2 / fan_in)``, or its largest weight at present if that is larger.
    seed
        Of the devices' errors and of the noise of reads.
    digital
        Names or patterns (``"features.*"``) of layers to leave as they are, with all that is in them.
    placings
        Where the weights of layers are, as far as that is not where those of all others are, by the
        layers' names or patterns; of several that fit the last. A ``clip`` that is said holds, and
        larger weights end there.
    say
        Hears the table of :func:`layer_table` in words; ``None`` for silence.

    Raises
    ------
    InputError
        If there is no layer to convert, a name is that of no layer, the weights of one are not
        finite, or one asks for what the crossbar has not.
    """
    wanted = {**(placings or {}), **dict.fromkeys(digital, Placing(digital=True))}
    known = [name for name, _ in model.named_modules()]
    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        if _placing(name, wanted).digital:
            continue
        if _splits(layer):
            split_attention(layer)
        elif isinstance(layer, nn.Conv2d) and layer.groups > 1 and not _why_digital(layer):
            split_groups(layer)
    known += [name for name, _ in model.named_modules()]
    fixed = generator(seed, "devices")
    able = {
        name: layer
        for name, layer, why in _reasons(model)
        if not why and not isinstance(layer, TileLayer)
    }
    _check_names(wanted, known, able)
    chosen = [
        (name, layer, placing)
        for name, layer in able.items()
        if not (placing := _placing(name, wanted)).digital
    ]
    if not chosen:
        table = "\n".join(f"  {row.layer} ({row.kind}): {row}" for row in layer_table(model))
        raise InputError(
            f"the model has no Linear or Conv2d layer to put on tiles\n{table}".strip()
        )
    for k, (name, layer, placing) in enumerate(chosen):
        label = f"{f'layer {name!r}' if name else 'the model'} ({type(layer).__name__})"
        try:
            part = crossbar.placed(placing)
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
        assert part is not None  # those that are digital were not chosen
        weights = array_of(layer.weight)
        if not np.isfinite(weights).all():
            raise InputError(f"{label}: its weights must be finite numbers to be put on devices")
        bias = layer.bias is not None
        fan_in = weights[0].size
        largest = part.clip * (2.0 / fan_in) ** 0.5
        if placing.clip is None:
            largest = max(largest, float(np.abs(weights).max()))
        if not bias:
            part = replace(part, mapping=replace(part.mapping, bias="device"))
        matrix = MappedMatrix((fan_in + bias, len(weights)), part, engine, fixed, clip=largest)
        kind = next(twin for base, twin in TWINS.items() if isinstance(layer, base))
        kind.mount(layer, label, matrix, crossbar.quantiser, generator(seed, "reading", k))
    call_layers_one_by_one(model)
    if say is not None:
        say(_text(layer_table(model)))
    return model


def _placing(name: str, placings: Mapping[str, Placing]) -> Placing:
    """Return what the last name or pattern that fits says of a layer."""
    fitting = [placing for pattern, placing in placings.items() if _fits(name, pattern)]
    return fitting[-1] if fitting else COMMON


def _fits(name: str, pattern: str) -> bool:
    inside = not pattern or fnmatchcase(name, f"{pattern}.*")
    return inside or fnmatchcase(name, pattern)


def _check_names(
    placings: Mapping[str, Placing], known: Sequence[str], able: Mapping[str, nn.Module]
) -> None:
    """Refuse names of layers that there are not, and options of layers that stay digital."""
    for pattern, placing in placings.items():
        if not any(_fits(name, pattern) for name in known):
            what = " to leave digital" if placing.digital else ""
            raise InputError(f"the model has no layer {pattern!r}{what}{nearest(pattern, known)}")
        if not placing.digital and not any(_fits(name, pattern) for name in able):
            raise InputError(
                f"{pattern!r} names no layer that can go on tiles: {placing} says nothing there"
            )


def layer_table(model: nn.Module) -> tuple[Placed, ...]:
    """Return what became of every layer of a converted model that has parameters of its own."""
    rows = []
    for name, layer, why in _reasons(model):
        kind = type(layer).__name__
        if not isinstance(layer, TileLayer):
            rows.append(Placed(name, kind, digital=why or "left so on request"))
            continue
        placement = layer.matrix.placement
        rows.append(
            Placed(
                name,
                kind,
                placement.rows,
                placement.cols,
                int(np.prod(placement.grid)),
                placement.places.size,
                tile=(placement.tile_rows, placement.tile_cols),
                levels=layer.matrix.devices.top + 1,
            )
        )
    return tuple(rows)


def _reasons(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield every layer with parameters of its own, and why it can't go on tiles, if so."""
    closed = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.MultiheadAttention) and not isinstance(layer, SplitAttention)
    ]
    for name, layer in model.named_modules():
        if all(parameter is None for parameter in layer._parameters.values()) and not hasattr(
            layer, "parametrizations"
        ):
            continue
        if name not in closed and _within(name, closed):
            yield name, layer, "part of an attention whose projections are not called as layers"
        else:
            yield name, layer, _why_digital(layer)


def _why_digital(layer: nn.Module) -> str:
    if isinstance(layer, TileLayer):
        return ""
    for kind in TWINS:
        if isinstance(layer, kind):
            return _obstacle(layer, kind)
    for kinds, why in DIGITAL:
        if isinstance(layer, kinds):
            return why
    return f"how a {type(layer).__name__} uses its parameters is not known here"


def _obstacle(layer: nn.Module, kind: type[nn.Module]) -> str:
    """Return what keeps a linear or convolutional layer from tiles."""
    if any(isinstance(p, UninitializedParameter) for p in layer._parameters.values()):
        return "its size is not known: give the model one input before it is converted"
    own = [name for name in ("forward", "_conv_forward") if hasattr(kind, name)]
    if any(
        getattr(type(layer), name) is not getattr(kind, name) or name in vars(layer) for name in own
    ):
        return f"a {type(layer).__name__} has a forward of its own"
    if not {"weight", "bias"} <= layer._parameters.keys():
        return "its weights are made from other parameters"
    weight = layer._parameters["weight"]
    if weight is None or not weight.is_floating_point() or not weight.numel():
        return "its weights are not real numbers"
    return ""


def _splits(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.MultiheadAttention)
        and type(layer).forward is nn.MultiheadAttention.forward
        and not _why_digital(layer.out_proj)
        and layer.embed_dim > 0
    )


def _within(name: str, others: Sequence[str]) -> bool:
    return any(not other or name == other or name.startswith(f"{other}.") for other in others)


def _text(rows: Sequence[Placed]) -> str:
    """Return the table in words, one layer a line."""
    name, kind = (max(len(getattr(row, key)) for row in rows) for key in ("layer", "kind"))
    return "\n".join(f"{row.layer:{name}}  {row.kind:{kind}}  {row}" for row in rows)
