"""Networks as data: layers, and one forward and one backward pass that both twins share.

Every layer with weights is a matrix product ``a @ w`` of its unfolded inputs. Who computes the
product is the caller's choice: the float twin multiplies, the memristor twin reads its tiles. All
else (rectifiers, pools, im2col) is digital and the same for both. Images lie as (n, height, width,
channels) or (n, features), float32.
"""

__all__ = ["Adjoint", "Layer", "Network", "Product", "Residual", "Tape", "lenet", "mlp", "walk"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Union

import numpy as np

from ..data.errors import InputError
from ..data.types import Array32
from .layers.digital import AveragePool, Dropout, Flatten, MaxPool, Relu, Sigmoid, Tanh
from .layers.norm import BatchNorm
from .layers.weighted import Conv2d, Dense, Placing, Shape

Product: TypeAlias = Callable[[int, Array32], Array32]
"""``product(k, a)``: multiply (n, rows) inputs by the k-th matrix, giving (n, cols)."""

Adjoint: TypeAlias = Callable[[int, Array32, Array32], tuple[Array32, Array32]]
"""``adjoint(k, a, error)``: the loss's derivatives by the k-th matrix and by its inputs ``a`` (n, rows),
from those by its outputs (n, cols)."""

Tape: TypeAlias = list[Any]
"""What the backward pass needs of a forward pass, one entry per layer."""

Weighted = Dense | Conv2d
Plain = Relu | Tanh | Sigmoid | MaxPool | AveragePool | Flatten | Dropout

Layer: TypeAlias = Union[Weighted, Plain, BatchNorm, "Residual"]


@dataclass(frozen=True)
class Residual:
    """Inputs plus what ``layers`` make of them; these must keep the shape."""

    layers: tuple[Layer, ...]

    def output(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of ``shape``."""
        end = chain(self.layers, shape)[-1]
        if end != shape:
            raise InputError(f"its layers turn inputs of {shape} into {end}, which can't be added")
        return shape


def chain(layers: Sequence[Layer], shape: Shape) -> list[Shape]:
    """Return the shape of one input of every layer, then that of the output.

    Raises
    ------
    InputError
        If a layer can't take what the one before gives: which one is said.
    """
    shapes = [shape]
    for place, layer in enumerate(layers, start=1):
        try:
            shapes.append(layer.output(shapes[-1]))
        except InputError as error:
            raise InputError(f"layer {place}, {layer}: {error}") from error
        if min(shapes[-1]) < 1:
            raise InputError(f"layer {place}, {layer}: every layer needs at least one output")
    return shapes


@dataclass
class _Pass:
    """A walk through the layers: whose products, whose digital states, and how far it has come."""

    product: Product
    states: Sequence[Array32]
    draw: np.random.Generator | None
    k: int = 0
    norm: int = 0

    def through(self, layers: Sequence[Layer], shape: Shape, x: Array32) -> tuple[Array32, Tape]:
        tape: Tape = []
        for layer in layers:
            outer = layer.output(shape)
            if isinstance(layer, Weighted):
                x, kept = self._multiplied(layer, outer, x)
            elif isinstance(layer, Residual):
                inner, kept = self.through(layer.layers, shape, x)
                x = x + inner
            elif isinstance(layer, BatchNorm):
                x, kept = layer.forward(x, self.states[self.norm], self.draw is not None)
                self.norm += 1
            else:
                x, kept = layer.forward(x, self.draw)
            tape.append(kept)
            shape = outer
        return x, tape

    def _multiplied(self, layer: Weighted, shape: Shape, x: Array32) -> tuple[Array32, Any]:
        n, first = len(x), self.k
        self.k += layer.groups
        if isinstance(layer, Dense) or layer.groups == 1:
            a = layer.unfold(x)
            return self.product(first, a).reshape(n, *shape), a
        unfolded = [layer.unfold(part) for part in layer.parts(x)]
        outputs = [self.product(first + g, a) for g, a in enumerate(unfolded)]
        return np.concatenate(outputs, axis=1).reshape(n, *shape), unfolded


@dataclass
class _Return:
    """The walk back, from the last layer to the first."""

    weights: Sequence[Array32]
    adjoint: Adjoint | None
    gradients: list[Array32]
    digital: list[Array32]

    def through(
        self, layers: Sequence[Layer], shape: Shape, tape: Tape, error: Array32
    ) -> Array32 | None:
        """Return the gradient of the inputs, or ``None`` where no matrix lies before them."""
        shapes = chain(layers, shape)
        for layer, before, kept in zip(
            reversed(layers), reversed(shapes[:-1]), reversed(tape), strict=True
        ):
            found: Array32 | None
            if isinstance(layer, Weighted):
                found = self._multiplied(layer, before, kept, error)
            elif isinstance(layer, Residual):
                inner = self.through(layer.layers, before, kept, error)
                found = None if inner is None else error + inner
            elif isinstance(layer, BatchNorm):
                found, gradient = layer.backward(error, kept)
                self.digital.append(gradient)
            else:
                found = layer.backward(error, kept)
            if found is None:
                return None
            error = found
        return error

    def _multiplied(
        self, layer: Weighted, shape: Shape, kept: Any, error: Array32
    ) -> Array32 | None:
        if isinstance(layer, Dense) or layer.groups == 1:
            return self._back(layer, shape, kept, error.reshape(len(kept), -1))
        errors = error.reshape(len(kept[0]), layer.groups, -1)
        part = (*shape[:2], shape[2] // layer.groups)
        inputs = [
            self._back(layer, part, a, np.ascontiguousarray(errors[:, g]), last=g == 0)
            for g, a in reversed(list(enumerate(kept)))
        ]
        found = [one for one in reversed(inputs) if one is not None]
        return np.concatenate(found, axis=3) if len(found) == layer.groups else None

    def _back(
        self, layer: Weighted, shape: Shape, a: Array32, error: Array32, *, last: bool = True
    ) -> Array32 | None:
        k = len(self.weights) - 1 - len(self.gradients)
        if self.adjoint is not None:
            gradient, inputs = self.adjoint(k, a, error)
            self.gradients.append(gradient)
            return layer.fold(np.ascontiguousarray(inputs[:, :-1]), shape)
        self.gradients.append(a.T @ error)
        if k == 0 and last and not self.digital_left:
            return None
        return layer.fold(error @ self.weights[k][:-1].T, shape)

    digital_left: int = 0
    """Digital states before the first matrix, whose gradients are still to come."""


@dataclass(frozen=True)
class Network:
    """Layers in order, and the shape of one input image, e.g. ``(784,)`` or ``(28, 28, 1)``.

    Raises
    ------
    InputError
        If a layer can't take what the one before gives, no layer has weights, or the last one gives no
        vector.
    """

    layers: Sequence[Layer]
    """First to last; :class:`Residual` has layers inside."""
    shape: Shape
    """Of one input: ``(features,)`` or ``(height, width, channels)``."""
    shapes: tuple[Shape, ...] = field(init=False, repr=False, compare=False)
    """Shape of one input of every layer, then that of the output."""

    def __post_init__(self) -> None:
        shapes = chain(self.layers, self.shape)
        object.__setattr__(self, "shapes", tuple(shapes))
        if not self.matrices or len(shapes[-1]) != 1:
            raise InputError(
                f"a network must end in a vector of classes and hold weights, got {self.layers}"
            )

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(rows, cols) of every matrix, the bias row included."""
        return tuple(
            (layer.fan_in(shape) + 1, layer.output(shape)[-1] // layer.groups)
            for layer, shape in walk(self.layers, self.shape)
            if isinstance(layer, Weighted)
            for _ in range(layer.groups)
        )

    @property
    def placings(self) -> tuple[Placing, ...]:
        """Where the weights of every matrix are, as its layer says."""
        return tuple(
            layer.placing
            for layer, _ in walk(self.layers, self.shape)
            if isinstance(layer, Weighted)
            for _ in range(layer.groups)
        )

    @property
    def deviations(self) -> tuple[float, ...]:
        """Standard deviation of the initial weights: sqrt(2 / fan_in) before rectifiers (He),
        sqrt(1 / fan_in) at the end.
        """
        last = len(self.matrices) - 1
        return tuple(
            ((1 if k == last else 2) / (rows - 1)) ** 0.5
            for k, (rows, _) in enumerate(self.matrices)
        )

    @property
    def weights(self) -> int:
        """Number of weights, biases included."""
        return sum(rows * cols for rows, cols in self.matrices)

    def initial(self, rng: np.random.Generator) -> list[Array32]:
        """Return random matrices, (rows, cols) each, normal with :attr:`deviations`, and zero biases in
        their last rows.
        """
        result = []
        for (rows, cols), deviation in zip(self.matrices, self.deviations, strict=True):
            w = rng.standard_normal((rows, cols), np.float32) * np.float32(deviation)
            w[-1] = 0.0
            result.append(w)
        return result

    def states(self) -> list[Array32]:
        """Return the digital state of every normalisation before training, (4, channels) each."""
        return [
            layer.initial(shape)
            for layer, shape in walk(self.layers, self.shape)
            if isinstance(layer, BatchNorm)
        ]

    def forward(
        self,
        x: Array32,
        product: Product,
        states: Sequence[Array32] = (),
        draw: np.random.Generator | None = None,
    ) -> tuple[Array32, Tape]:
        """Return the outputs (n, classes) for images (n, ...) and the tape that :meth:`backward`
        plays back.

        Parameters
        ----------
        x
            Images, (n, ...).
        product
            Multiplies inputs (n, rows) by the k-th matrix: ``product(k, a)``.
        states
            Digital states, as :meth:`states` gives them; training moves them on.
        draw
            Given while training: draws what drops out.
        """
        passing = _Pass(product, states, draw)
        return passing.through(self.layers, self.shape, x.reshape(len(x), *self.shape))

    def inputs(self, tape: Tape) -> list[Array32]:
        """Return the unfolded inputs (n, rows) of every matrix, as the tape holds them."""
        return list(_unfolded(self.layers, tape))

    def backward(
        self,
        tape: Tape,
        error: Array32,
        weights: Sequence[Array32],
        adjoint: Adjoint | None = None,
    ) -> list[Array32]:
        """Return dloss/dw of every matrix from dloss/doutput (n, classes), propagated through
        ``weights``, or by ``adjoint`` if that is given.

        Parameters
        ----------
        tape
            What the forward pass kept.
        error
            Derivative of the loss by the outputs, (n, outputs).
        weights
            Weights of every layer.
        adjoint
            Carries an error back through a layer, by default by its weights.
        """
        return self.gradients(tape, error, weights, adjoint)[0]

    def gradients(
        self,
        tape: Tape,
        error: Array32,
        weights: Sequence[Array32],
        adjoint: Adjoint | None = None,
    ) -> tuple[list[Array32], list[Array32]]:
        """Return what :meth:`backward` does, and the gradients of factor and offset of every
        normalisation, (2, channels) each.

        Parameters
        ----------
        tape
            What the forward pass kept.
        error
            Derivative of the loss by the outputs, (n, outputs).
        weights
            Weights of every layer.
        adjoint
            Carries an error back through a layer, by default by its weights.
        """
        back = _Return(weights, adjoint, [], [], self._early_states)
        back.through(self.layers, self.shape, tape, error)
        return back.gradients[::-1], back.digital[::-1]

    @property
    def _early_states(self) -> int:
        kinds = [type(layer) for layer, _ in walk(self.layers, self.shape)]
        first = next(k for k, kind in enumerate(kinds) if issubclass(kind, Weighted))
        return kinds[:first].count(BatchNorm)


def walk(layers: Sequence[Layer], shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Yield every layer and the shape of its input, those inside of others too, in order."""
    for layer, before in zip(layers, chain(layers, shape), strict=False):
        if isinstance(layer, Residual):
            yield from walk(layer.layers, before)
        else:
            yield layer, before


def _unfolded(layers: Sequence[Layer], tape: Tape) -> Iterator[Array32]:
    for layer, kept in zip(layers, tape, strict=True):
        if isinstance(layer, Residual):
            yield from _unfolded(layer.layers, kept)
        elif isinstance(layer, Weighted):
            yield from [kept] if layer.groups == 1 else kept


def mlp(*sizes: int) -> Network:
    """Return the network of dense layers with rectifiers between them: ``mlp(784, 100, 10)``.

    Parameters
    ----------
    *sizes
        Number of inputs, then of the outputs of every layer.

    Raises
    ------
    InputError
        If there are fewer than two, or one is below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(f"an MLP needs at least input and output sizes, all positive, got {sizes}")
    layers: list[Layer] = []
    for size in sizes[1:]:
        layers += [Dense(size), Relu()]
    return Network(tuple(layers[:-1]), (sizes[0],))


def lenet(
    channels: int = 6, side: int = 28, pool: type[MaxPool | AveragePool] = MaxPool
) -> Network:
    """Return a LeNet-like network for square grey images: two 5x5 convolutions with ``channels`` and
    16 outputs, each rectified and pooled, then 84 and 10 outputs; 25,010 weights by default
    (LeCun et al., Proc. IEEE 86 (1998) 2278, doi:10.1109/5.726791).

    Parameters
    ----------
    channels
        Outputs of the first convolution.
    side
        Pixels along one side.
    pool
        Kind of the pools: a class of :mod:`memtwin.training.layers.digital`.

    Raises
    ------
    InputError
        If the images are too small for the layers, or there are no channels.
    """
    return Network(
        (
            Conv2d(channels, 5),
            Relu(),
            pool(2),
            Conv2d(16, 5),
            Relu(),
            pool(2),
            Dense(84),
            Relu(),
            Dense(10),
        ),
        (side, side, 1),
    )
