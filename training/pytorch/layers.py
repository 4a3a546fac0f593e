"""Layers of PyTorch models on tiles: forward they are read through an engine, backward errors go
through their float weights.

A layer takes part in ``state_dict`` with all that its devices are: conductances, stuck devices, gain,
ADC range, clip, level codes and the noise's random state.
"""

__all__ = ["TileLayer", "TwinConv2d", "TwinLinear", "array_of", "arrays", "tensors"]

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...data.errors import InputError
from ...data.records.store import digest
from ...data.types import Array32
from ...devices.spread.record import law_tree
from ..rules.quantise import Quantiser
from ..twin.matrix import MappedMatrix
from ..twin.twin import CALIBRATION_VECTORS

ENOUGH = 100
"""Vectors that make a calibration complete."""


class TileLayer:
    """What layers on tiles share: float parameters and the matrix of devices that follows them.

    It is mixed into the torch layer whose product it computes.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    training: bool
    label: str
    """How errors call the layer."""
    matrix: MappedMatrix
    priced: Quantiser
    """Where the levels lie that writes are priced for; the layer may have fewer."""
    noise: np.random.Generator
    """Draws the noise of reads."""
    codes: Array32 | None
    """Level codes that the devices are meant to hold; ``None`` before they are programmed."""
    now: int
    """Updates that the devices have seen, the clock of their drift."""
    was_read: bool
    """Whether anything has been read through the tiles."""
    _followed: Array32 | None
    _changes: int | None
    _collected: Array32 | None
    _first: bool

    @classmethod
    def mount(
        cls,
        layer: Any,
        label: str,
        matrix: MappedMatrix,
        priced: Quantiser,
        noise: np.random.Generator,
    ) -> "TileLayer":
        """Make a layer of torch, in place, one whose weights sit on ``matrix``.

        Parameters
        ----------
        layer
            The layer of torch.
        label
            What to call it in messages.
        matrix
            The tiles that its weights sit on.
        priced
            Where the levels lie that writes are priced for.
        noise
            What read noise is drawn from.
        """
        layer.__class__ = cls
        layer.label, layer.matrix, layer.priced, layer.noise = label, matrix, priced, noise
        layer.codes = layer._collected = layer._followed = layer._changes = None
        layer.now, layer.was_read, layer._first = 0, False, True
        layer.calibrate()
        mounted: TileLayer = layer
        return mounted

    def joined(self) -> Tensor:
        """Return weights and biases as one matrix (rows, cols), the bias in the last row."""
        return _joined(self.weight, self.bias)

    def gradient(self) -> Array32:
        """Return the gradient of :meth:`joined`; 0 for parameters that have none."""
        with torch.no_grad():
            parts = (
                torch.zeros_like(one) if one.grad is None else one.grad
                for one in (self.weight, self.bias)
                if one is not None
            )
            return array_of(_joined(*parts))

    def follow(self, weights: Array32, codes: Array32) -> None:
        """Take over the float weights and level codes that the devices have been written by."""
        moved = torch.from_numpy(weights).to(self.weight)
        with torch.no_grad():
            if self.bias is not None:
                self.bias.copy_(moved[-1])
                moved = moved[:-1]
            self.weight.copy_(moved.T.reshape(self.weight.shape))
        if self.matrix.bias is not None:
            self.matrix.bias[...] = weights[-1]
        self._followed, self.codes = weights, codes

    def calibrate(self) -> None:
        """Let the next reads set the digital gain and the ADC's range anew."""
        if self._collected is None:
            self._collected = np.zeros((0, self.matrix.placement.rows), np.float32)

    def settle(self) -> None:
        """Take the float weights, as they are now, for those that the devices follow."""
        self._changes = self._count()

    def strayed(self) -> bool:
        """Return whether somebody else moved the float weights, by more than half a level."""
        if self._changes is not None and self._changes != self._count():
            if self._followed is None:
                return True
            moved = np.abs(array_of(self.joined()) - self._followed)
            smallest = float(np.diff(self.matrix.devices.places).min())
            if moved.max() > 0.5 * self.matrix.clip / self.matrix.devices.top * smallest:
                return True
        self.settle()
        return False

    def _count(self) -> int:
        """Return how often torch has changed the float parameters."""
        parameters = [p for p in (self.weight, self.bias) if p is not None]
        return sum(0 if p.is_inference() else p._version for p in parameters)

    def product(self, a: Tensor) -> Tensor:
        """Return what the tiles compute for vectors (n, fan_in)."""
        if self.codes is None:
            raise InputError(
                f"{self.label} has no weights on its devices yet: make a SiameseOptimizer, which"
                " programs them, or load the state of a programmed twin, before reading"
            )
        if self.strayed():
            raise InputError(
                f"{self.label}: its float weights were changed and no device written; change them"
                " through SiameseOptimizer.step, or make a new SiameseOptimizer, which writes what"
                " differs"
            )
        w = self.joined()
        if self.bias is not None:
            a = functional.pad(a, (0, 1), value=1.0)
        self.was_read = True
        if not len(a):
            return a @ w.to(a.dtype)
        wide = torch.promote_types(a.dtype, w.dtype)
        y: Tensor = _Read.apply(a.to(wide), w.to(wide), self)
        return y.to(a.dtype) if a.is_floating_point() else y

    def read(self, a: Array32) -> Array32:
        """Return what the tiles compute for the rows of ``a``; calibrate on them where that is
        due.
        """
        if not np.isfinite(a).all():
            raise InputError(f"{self.label}: expected inputs that are finite numbers")
        if self._collected is not None and (self.training or self._first):
            self._calibrate(a[:, : self.matrix.placement.rows])
        return self.matrix.multiply(a, self.noise)

    def _calibrate(self, a: Array32) -> None:
        a = a[a.any(axis=1)]
        if self._collected is None or not len(a):
            return
        # Evenly over the batch: neighbouring rows are neighbouring places of one image.
        chosen = np.linspace(0, len(a) - 1, min(len(a), CALIBRATION_VECTORS)).astype(np.intp)
        self._collected = np.concatenate([self._collected, a[chosen]])
        full = len(self._collected) >= ENOUGH
        if full or self._first:
            self.matrix.calibrate(self._collected)
        if full:
            self._collected, self._first = None, False

    def get_extra_state(self) -> dict[str, Any]:
        """Return what ``state_dict`` must hold besides the float parameters."""
        state: dict[str, Any] = tensors(
            {
                "facts": self._facts(),
                "matrix": self.matrix.state(),
                "codes": self.codes,
                "now": self.now,
                "noise": self.noise.bit_generator.state,
                "collected": self._collected,
                "first": self._first,
            }
        )
        return state

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`get_extra_state` returned."""
        try:
            self._restore(arrays(state))
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{self.label}: its saved state is damaged, or of another version of memtwin"
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        facts = self._facts()
        for key in facts | state["facts"]:
            saved, mine = state["facts"].get(key), facts.get(key)
            if saved != mine:
                raise InputError(
                    f"{self.label}: the saved twin has {key} = {saved}, this one {mine}: convert"
                    " with the tile, levels, effects and options of the saved one"
                )
        self.matrix.restore(state["matrix"])
        self.noise.bit_generator.state = state["noise"]
        self.now = state["now"]
        self._collected, self._first = state["collected"], state["first"]
        # Layers that share parameters load them one after the other: changes count from the next
        # read.
        self._followed = self._changes = None
        codes = state["codes"]
        if codes is None or self.codes is None:
            self.codes = codes
        else:
            # An optimiser that is there already shares this array.
            self.codes[...] = codes
        self.matrix.programmed = codes is not None

    def _facts(self) -> dict[str, Any]:
        """Return what the saved and the restored twin must have in common."""
        matrix, effects = self.matrix, self.matrix.effects
        devices, placement, laws = matrix.devices, matrix.placement, effects.laws
        aging = [law_tree(law) for law in laws.later if law.timed or law.lucks]
        return {
            "rows": placement.rows,
            "cols": placement.cols,
            "tile rows": placement.tile_rows,
            "tile cols": placement.tile_cols,
            "levels": devices.top + 1,
            "lowest level [S]": float(devices.low),
            "level step [S]": float(devices.step),
            "levels at [mean steps]": None if devices.even else devices.places.tolist(),
            "read voltage [V]": float(matrix.v_read),
            "gain": matrix.mapping.gain,
            "adc_bits": matrix.mapping.adc_bits,
            "stuck devices": laws.stuck is not None,
            "reach": laws.reach is not None,
            "drift": effects.drift if isinstance(effects.drift, float) else "a law",
            # Said only where they are on: older states know nothing of them.
            **({"spare columns": placement.spares} if placement.spares else {}),
            **({"wear": True} if laws.wear is not None else {}),
            **({"aging": digest(*aging)[:12]} if aging else {}),
        }


class TwinLinear(TileLayer, nn.Linear):
    """A linear layer on tiles."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (..., out_features) for inputs (..., in_features)."""
        if x.shape[-1] != self.in_features:
            raise InputError(
                f"{self.label}: expected inputs (..., {self.in_features}), got {tuple(x.shape)}"
            )
        y = self.product(x.reshape(-1, self.in_features))
        return y.reshape(*x.shape[:-1], self.out_features)


class TwinConv2d(TileLayer, nn.Conv2d):
    """A convolution on tiles, one read per image position."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n, out_channels, height, width) for images (n, in_channels, height,
        width), or of one image without the n.
        """
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise InputError(
                f"{self.label}: expected images ([n,] {self.in_channels}, height, width), got"
                f" {tuple(x.shape)}"
            )
        if x.dim() == 3:
            return self.forward(x[None])[0]
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        x = functional.pad(x, self._reversed_padding_repeated_twice, mode=mode)
        sides = [
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, dilation, kernel, stride in zip(
                x.shape[2:], self.dilation, self.kernel_size, self.stride, strict=True
            )
        ]
        patches = functional.unfold(x, self.kernel_size, dilation=self.dilation, stride=self.stride)
        n, rows, positions = patches.shape
        y = self.product(patches.transpose(1, 2).reshape(n * positions, rows))
        y = y.reshape(n, positions, self.out_channels).transpose(1, 2)
        return y.reshape(n, self.out_channels, *sides)


class _Read(torch.autograd.Function):
    """``a @ w``, computed by tiles forward and by the float weights backward."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, w: Tensor, layer: TileLayer) -> Tensor:
        ctx.save_for_backward(a, w)
        return torch.from_numpy(layer.read(array_of(a))).to(a)

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, w = ctx.saved_tensors
        to_a, to_w, _ = ctx.needs_input_grad
        return errors[0] @ w.T if to_a else None, a.T @ errors[0] if to_w else None, None


def _joined(weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return weights as torch has them, and biases, as one matrix (rows, cols)."""
    w = weight.flatten(1).T
    return w if bias is None else torch.cat([w, bias[None]])


def array_of(tensor: Tensor) -> Array32:
    """Return a tensor of any floating type and device as a contiguous array."""
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy())


def tensors(tree: Any) -> Any:
    """Return copies of a tree's arrays as tensors, which ``torch.load`` takes without pickles."""
    if isinstance(tree, dict):
        return {key: tensors(value) for key, value in tree.items()}
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(tree.copy())
    return tree.item() if isinstance(tree, np.generic) else tree


def arrays(tree: Any) -> Any:
    """Return copies of a tree's tensors as arrays."""
    if isinstance(tree, dict):
        return {key: arrays(value) for key, value in tree.items()}
    return tree.detach().cpu().numpy().copy() if isinstance(tree, Tensor) else tree
