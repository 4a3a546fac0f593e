"""Memristor twins of PyTorch models.

:func:`convert` puts the linear and convolutional layers of any module on tiles: forward they are read
through an engine, backward errors go through their float weights, which stay ordinary parameters.
:class:`SiameseOptimizer` wraps any torch optimiser: that one moves the float weights, and the few
devices whose level must change are written. Needs the extra ``memtwin[torch]``; tiles are computed
on the CPU, whatever the model's device.

>>> model = convert(model, tile=tile, engine=Ideal, g_levels=levels.g, v_read=levels.v_read)
>>> optimiser = SiameseOptimizer(model, torch.optim.SGD(model.parameters(), 0.1, 0.9), costs)
"""

__all__ = ["SiameseOptimizer", "TwinConv2d", "TwinLinear", "convert"]

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from ..circuits.tile import Tile
from ..data.errors import InputError
from ..data.types import Array32
from .effects import Effects
from .ledger import Cost, Ledger, WriteCosts
from .mapping import EngineFactory, MappedMatrix, MappingOptions
from .optim import Sgd
from .quantise import Quantiser
from .siamese import Siamese, SiameseOptions
from .streams import generator


class _Read(torch.autograd.Function):
    """``a @ w``, computed by tiles forward and by the float weights backward."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, w: Tensor, layer: "_Twin") -> Tensor:
        ctx.save_for_backward(a, w)
        inputs = np.ascontiguousarray(a.detach().cpu().numpy(), np.float32)
        outputs = layer.matrix.multiply(inputs, layer.noise)
        return torch.from_numpy(outputs).to(a)

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor, Tensor, None]:
        a, w = ctx.saved_tensors
        return errors[0] @ w.T, a.T @ errors[0], None


class _Twin(nn.Module):
    """Float parameters, the matrix of devices that follows them, and the noise of its reads."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    matrix: MappedMatrix
    noise: np.random.Generator

    def mount(self, layer: nn.Linear | nn.Conv2d, make: Callable[..., MappedMatrix]) -> None:
        """Take over the parameters of ``layer`` and have the matrix made for them."""
        self.weight, self.bias = layer.weight, layer.bias
        rows, cols = self.joined().shape
        self.matrix = make((rows, cols), float(self.weight.detach().abs().max()))

    def joined(self) -> Tensor:
        """Return weights and biases as one matrix (rows, cols), the bias in the last row."""
        w = self.weight.flatten(1).T
        return w if self.bias is None else torch.cat([w, self.bias[None]])

    def adopt(self, weights: Array32) -> None:
        """Set the float parameters from a matrix like :meth:`joined`."""
        moved = torch.from_numpy(weights).to(self.weight)
        with torch.no_grad():
            if self.bias is not None:
                self.bias.copy_(moved[-1])
                moved = moved[:-1]
            self.weight.copy_(moved.T.reshape(self.weight.shape))

    def product(self, a: Tensor) -> Tensor:
        """Return what the tiles compute for vectors (n, fan_in)."""
        if self.bias is not None:
            a = functional.pad(a, (0, 1), value=1.0)
        result: Tensor = _Read.apply(a, self.joined(), self)
        return result


class TwinLinear(_Twin):
    """A linear layer on tiles."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (..., out_features) for inputs (..., in_features)."""
        return self.product(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


class TwinConv2d(_Twin):
    """A convolution on tiles, one read per image position."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.shape = {
            "kernel_size": layer.kernel_size,
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
        }

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n, channels, height, width) for inputs of that kind."""
        patches = functional.unfold(x, **self.shape)
        n, rows, positions = patches.shape
        y = self.product(patches.transpose(1, 2).reshape(-1, rows))
        sides = [
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, padding, dilation, kernel, stride in zip(
                x.shape[2:],
                self.shape["padding"],
                self.shape["dilation"],
                self.shape["kernel_size"],
                self.shape["stride"],
                strict=True,
            )
        ]
        return y.reshape(n, positions, -1).transpose(1, 2).reshape(n, -1, *sides)


def convert(
    model: nn.Module,
    *,
    tile: Tile,
    engine: EngineFactory,
    g_levels: ArrayLike,
    v_read: float,
    clip: float = 8.0,
    effects: Effects | None = None,
    options: MappingOptions | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return a copy of ``model`` whose linear and convolutional layers sit on tiles.

    Parameters
    ----------
    model
        Any module; its weights are the float twin's. Shared layers stay shared.
    clip
        Largest weight of a layer, in units of ``sqrt(2 / fan_in)``, or its largest weight at
        present if that is larger.
    seed
        Of the devices' errors and of the noise of reads.

    The other parameters are those of :class:`.twin.MemristorTwin`. The devices hold weights once
    a :class:`SiameseOptimizer` has programmed them.

    Raises
    ------
    InputError
        If there is no layer to convert, or a convolution can't be mapped.
    """
    effects, options = effects or Effects(), options or MappingOptions()
    fixed, noise = generator(seed, "devices"), generator(seed, "reading")

    def make(shape: tuple[int, int], largest: float, *, bias: bool) -> MappedMatrix:
        return MappedMatrix(
            shape,
            tile=tile,
            engine=engine,
            g_levels=g_levels,
            v_read=v_read,
            clip=max(clip * (2.0 / (shape[0] - bias)) ** 0.5, largest),
            effects=effects,
            options=options if bias else replace(options, bias="device"),
            rng=fixed,
        )

    model = copy.deepcopy(model)
    twins: dict[nn.Module, _Twin] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            _check_convolution(name, layer)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            twin = TwinLinear() if isinstance(layer, nn.Linear) else TwinConv2d(layer)
            twin.noise = noise
            bias = layer.bias is not None
            twin.mount(layer, lambda shape, largest, bias=bias: make(shape, largest, bias=bias))
            twins[layer] = twin
    if not twins:
        raise InputError("the model has no Linear or Conv2d layer to put on tiles")
    if model in twins:
        return twins[model]
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in twins:
                setattr(parent, name, twins[child])
    return model


class SiameseOptimizer:
    """A torch optimiser for the float weights, and sparse writes for the devices.

    Parameters
    ----------
    model
        From :func:`convert`; its devices are programmed at once.
    optimiser
        Any torch optimiser over the model's parameters.
    costs
        Write costs of the device, for the ledger.
    options
        Gradients are accumulated as usual in torch, by calling :meth:`step` every k batches, so
        that ``accumulate`` must be 1.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: "torch.optim.Optimizer",
        costs: WriteCosts,
        options: SiameseOptions | None = None,
        *,
        seed: int = 0,
    ) -> None:
        options = options or SiameseOptions()
        if options.accumulate != 1 or options.compensation == "scale":
            raise InputError("with torch: accumulate in torch (accumulate=1), and do not scale")
        self.optimiser = optimiser
        self.layers = [layer for layer in model.modules() if isinstance(layer, _Twin)]
        if not self.layers:
            raise InputError("the model has no memristor-twin layers: convert(model) first")
        matrices = [layer.matrix for layer in self.layers]
        self.ledger = Ledger([matrix.placement for matrix in matrices], costs)
        self._rng = generator(seed, "programming")
        self._steps = 0
        self.updates = []
        self.initial = Cost()
        """Cost of programming the initial weights, which the ledger does not hold."""
        for k, (layer, matrix) in enumerate(zip(self.layers, matrices, strict=True)):
            start = layer.joined().detach().cpu().numpy()
            update = Siamese(
                start,
                Quantiser(costs.levels, matrix.clip),
                Sgd(start.shape, 0.0),
                options,
                digital_rows=int(matrix.bias is not None),
            )
            self.updates.append(update)
            writes = update.first()
            self.initial = self.initial + self.ledger.estimate(k, writes)
            update.verify(writes, matrix.write(writes, self._rng))
            self._follow(layer, update)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.optimiser.zero_grad(set_to_none=set_to_none)

    def step(self) -> Cost:
        """Move the float weights, write the devices that must change; return what that costs."""
        self.optimiser.step()
        self._steps += 1
        total = Cost()
        for k, (layer, update) in enumerate(zip(self.layers, self.updates, strict=True)):
            moved = layer.joined().detach().cpu().numpy()
            # An optimiser without momentum passes on whatever move the torch optimiser made.
            writes = update.step(update.weights - moved, 1.0)
            if writes is not None:
                total = total + self.ledger.record(k, writes)
                update.verify(writes, layer.matrix.write(writes, self._rng, now=self._steps))
            self._follow(layer, update)
        return total

    @staticmethod
    def _follow(layer: _Twin, update: Siamese) -> None:
        """Give the clipped float weights back to torch, and a digital bias to the matrix."""
        layer.adopt(update.weights)
        if layer.matrix.bias is not None:
            layer.matrix.bias[...] = update.weights[-1]


def _check_convolution(name: str, layer: nn.Conv2d) -> None:
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise InputError(
            f"layer {name!r} can't be mapped: convolutions on tiles need groups=1, zero padding"
            " and a padding given in numbers"
        )
