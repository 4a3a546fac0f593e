"""How much the loss of a trained network rises by an error of each weight, to second order."""

__all__ = ["sensitivities"]

import numpy as np

from ...data.options import check_number
from ...data.types import Array32
from ..losses import cross_entropy
from ..network import Network


def sensitivities(
    network: Network,
    weights: list[Array32],
    x: Array32,
    *,
    samples: int = 256,
    seed: int = 0,
) -> list[Array32]:
    """Return the diagonal of the second derivative of the mean cross-entropy by the weights, of each
    matrix, (rows, cols).

    At a minimum the loss rises by half of it times the square of an error. It is estimated as Fisher's
    information, the mean square of a sample's gradient with its label drawn from what the network itself
    says, which needs no labels and is never negative.

    Parameters
    ----------
    network
        A network of classes, in float.
    weights
        Its matrices, the bias as last row.
    x
        Samples to take it from, (n, features).
    samples
        How many of these, drawn at random.
    seed
        Of what is drawn.

    Raises
    ------
    InputError
        If there is no sample.
    """
    check_number("sensitivity", samples=samples, whole=True, at_least=1)
    rng = np.random.default_rng(seed)
    sums = [np.zeros_like(w) for w in weights]
    chosen = rng.permutation(len(x))[:samples]

    def product(k: int, a: Array32) -> Array32:
        result: Array32 = a @ weights[k]
        return result

    for place in chosen:
        outputs, tape = network.forward(x[place : place + 1], product)
        error = cross_entropy(outputs, np.zeros(1, np.int64))[1]
        error[0, 0] += 1.0  # what the network says of every class
        chances = error[0].astype(float)
        error[0, rng.choice(len(chances), p=chances / chances.sum())] -= 1.0
        for total, gradient in zip(sums, network.backward(tape, error, weights), strict=True):
            total += np.square(gradient)
    return [total / np.float32(len(chosen)) for total in sums]
